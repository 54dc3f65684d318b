"""The links in Icarus, beside other people's models of what is on the other end."""

import json
import random
from pathlib import Path
from typing import Any

import cocotbext.qspi
import numpy as np
import pytest
from amaranth.lib import wiring
from cocotb_tools.runner import get_runner

from spikeloom.reference.events import events_to_raster, raster_to_events
from spikeloom.reference.link_codec import decode_events, encode_events
from spikeloom.reference.link_frames import (
    MOST_PAYLOAD,
    Answer,
    Frame,
    FrameReader,
    Order,
    order_bytes,
)
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.emit import emit_verilog
from spikeloom.rtl_gen.link.flash import FlashReader
from spikeloom.rtl_gen.link.linked import LinkedNetwork
from spikeloom.rtl_gen.link.serial import SerialNetwork
from spikeloom.rtl_gen.link.spi import SPIPeripheral
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.tools import find_simulators

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(
    find_simulators()["icarus"].found is None, reason="Icarus was not found"
)


def run(
    folder: Path,
    component: wiring.Component,
    bench: str,
    case: dict[str, Any],
    *others: Path,
    top: str = "dut",
) -> None:
    """Run a component, or a top with others, under a bench, which must find nothing wrong."""
    (folder / "dut.v").write_text(emit_verilog(component, "dut"), encoding="utf-8")
    (folder / "case.json").write_text(json.dumps(case), encoding="utf-8")
    runner = get_runner("icarus")
    runner.build(
        sources=[folder / "dut.v", *others],
        hdl_toplevel=top,
        build_dir=folder / "icarus",
        timescale=("1ps", "1ps"),
        log_file=folder / "build.log",
    )
    runner.test(
        test_module=bench,
        hdl_toplevel=top,
        build_dir=folder / "icarus",
        test_dir=HERE,
        results_xml=str(folder / "results.xml"),
        extra_env={"SPIKELOOM_CASE": str(folder / "case.json")},
        log_file=folder / "test.log",
    )
    assert (folder / "results.xml").is_file()


def test_spi_host(tmp_path: Path) -> None:
    """Of sck's periods the first two are the shortest, in phase with the clock and not."""
    cases = [
        {"idle": 0xC0, "period": period, "phase": phase, "mode": mode, "seed": seed}
        for seed, (period, phase, mode) in enumerate(
            [
                (40_000, 0, 0),
                (40_000, 9_998, 3),
                (41_300, 2_500, 0),
                (56_600, 7_700, 3),
                (150_000, 3_000, 0),
            ]
        )
    ]
    run(tmp_path, SPIPeripheral(0xC0), "spi_bench", {"cases": cases})


def test_flash_in_python(tmp_path: Path) -> None:
    """One that takes its time to wake up."""
    dut = FlashReader(0x000123, 64, 4e6)
    content = list(random.Random(1).randbytes(1000))
    case = {"content": content, "address": dut.address, "length": dut.length, "period": 250}
    run(tmp_path, dut, "flash_bench", case)


def test_flash_in_verilog(tmp_path: Path) -> None:
    dut = FlashReader(0x00ABCD, 100, 4e6)
    content = list(random.Random(2).randbytes(dut.length))
    case = {"content": content, "address": dut.address, "period": 250}
    model = Path(cocotbext.qspi.verilog_dir()) / "qspi_flash.v"
    others = (HERE / "flash_top.v", model)
    run(tmp_path, dut, "flash_top_bench", case, *others, top="flash_top")


def test_serial_port(tmp_path: Path, network_of: Any, raster_of: Any) -> None:
    """Identity, two samples, and the status: the spikes are the golden model's at every rate."""
    rng = random.Random(6)
    net = network_of(rng, [6, 4, 3])
    raster = raster_of(rng, 2, 4, 6, 1)
    expected = run_fixed(net, raster).output
    assert 0 < expected.sum() < expected.size
    linked = LinkedNetwork(NetworkTop(net, (4, 3)))
    dut = SerialNetwork(linked, 8)
    events = encode_events(raster_to_events(raster), 6)
    parts = [events[k : k + MOST_PAYLOAD // 8] for k in range(0, len(events), MOST_PAYLOAD // 8)]
    frames = [Frame(Order.IDENTIFY, 4)]
    frames += [Frame(Order.EVENTS, (5 + k) % 16, part) for k, part in enumerate(parts)]
    frames += [Frame(Order.STATUS, (5 + len(parts)) % 16)]
    case = {
        "bit": 400,
        "period": 50,
        "errors": [-2, 0, 2],
        "send": list(b"".join(map(order_bytes, frames))),
        "answers": str(tmp_path),
    }
    assert len(frames) <= 15
    assert len(case["send"]) <= 512
    run(tmp_path, dut, "uart_bench", case)
    for error in case["errors"]:
        reader = FrameReader(1000)
        answers = list(reader.feed((tmp_path / f"{error}.bin").read_bytes()))
        assert reader.broken == 0
        others = [each for each in answers if each.kind != Answer.EVENTS]
        assert others == [
            Frame(Answer.IDENTITY, 4, linked.identity),
            *(Frame(Answer.DONE, each.number) for each in frames[1:-1]),
            Frame(Answer.STATUS, frames[-1].number, b"\0"),
        ]
        spikes = b"".join(each.payload for each in answers if each.kind == Answer.EVENTS)
        spikes = decode_events(spikes, 3, net.sent("layer_1")[1])
        assert np.array_equal(events_to_raster(spikes, 4, 3), expected)
