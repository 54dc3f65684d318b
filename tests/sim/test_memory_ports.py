"""Memories that are said never to be read where they are written: such a word would be unknown."""

import random
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from general_networks import (
    Make,
    dense,
    draw_lanes,
    draw_stimulus,
    loop_of_two,
    network,
    population,
    recurrent_dense,
    saturating,
)

from spikeloom.boards.tools import YOSYS, find_flow_tools
from spikeloom.reference.network import FixedInput, FixedNetwork
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.emit import emit_rtlil
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore
from spikeloom.sim import playback
from spikeloom.sim.engine import run_engine

SCRIPT = """
read_rtlil design.il
proc
opt_clean
memory_collect
setparam -set RD_COLLISION_X_MASK 1'1 a:no_rw_check
write_verilog -noattr unknown.v
"""
WHERE_THEY_MEET = re.compile(r"if \(.* == .*\) begin\n.*\n\s*\S+ <= \d+'hx+;")


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Has such words be unknown in Icarus; the Verilog that comes of it."""
    written = tmp_path / "unknown.v"

    def emit(top: Any, name: str, header: tuple[str, ...]) -> str:
        (tmp_path / "design.il").write_text(emit_rtlil(top, name))
        (tmp_path / "design.ys").write_text(SCRIPT)
        yosys = find_flow_tools([YOSYS])["yosys"].command
        subprocess.run([*yosys, "-q", "-s", "design.ys"], cwd=tmp_path, check=True)
        return written.read_text()

    monkeypatch.setattr(playback, "emit_verilog", emit)
    return written


def loaded(rng: random.Random) -> FixedNetwork:
    hidden = population(rng, (6,), dense(rng, "in", 10, 6))
    out = population(rng, (3,), dense(rng, "hidden", 6, 3))
    return network({"in": FixedInput(shape=(10,), high=15)}, {"hidden": hidden, "out": out}, "out")


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
@pytest.mark.parametrize(
    ("make", "stores"),
    [
        (recurrent_dense, WeightStore.AUTO),
        (saturating, WeightStore.AUTO),
        (loop_of_two, WeightStore.AUTO),
        (loaded, WeightStore.LOADED_BLOCK),
    ],
)
def test_no_unknown_word_is_used(
    simulator: str, unknown: Path, tmp_path: Path, make: Make, stores: WeightStore
) -> None:
    rng = random.Random(11)
    made = make(rng)
    top = NetworkTop(made, draw_lanes(rng, made), stores)
    scenario = Scenario.of(made, draw_stimulus(rng, made, 2, 4))
    for gap in (0, 90):
        run = run_engine(simulator, top, scenario, tmp_path / "run", profile="test", gap=gap)
        assert run.difference == ""
    assert WHERE_THEY_MEET.search(unknown.read_text())
