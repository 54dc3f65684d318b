"""The links in Icarus, beside other people's models of what is on the other end."""

import json
from pathlib import Path
from typing import Any

import pytest
from amaranth.lib import wiring
from cocotb_tools.runner import get_runner

from spikeloom.rtl_gen.emit import emit_verilog
from spikeloom.rtl_gen.link.spi import SPIPeripheral
from spikeloom.sim.tools import find_simulators

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(
    find_simulators()["icarus"].found is None, reason="Icarus was not found"
)


def run(folder: Path, component: wiring.Component, bench: str, case: dict[str, Any]) -> None:
    """Run a component under a bench, which must have nothing to complain about."""
    (folder / "dut.v").write_text(emit_verilog(component, "dut"), encoding="utf-8")
    (folder / "case.json").write_text(json.dumps(case), encoding="utf-8")
    runner = get_runner("icarus")
    runner.build(
        sources=[folder / "dut.v"],
        hdl_toplevel="dut",
        build_dir=folder / "icarus",
        timescale=("1ps", "1ps"),
        log_file=folder / "build.log",
    )
    runner.test(
        test_module=bench,
        hdl_toplevel="dut",
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
