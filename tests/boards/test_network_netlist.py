"""Netlists of networks alone, through the player that plays their Verilog."""

import re
from pathlib import Path

import numpy as np
import pytest

from spikeloom.boards import netlist
from spikeloom.boards.family import Family
from spikeloom.boards.netlist import NETLISTS, check_netlist, write_netlist
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore
from spikeloom.sim.evidence import Strength
from spikeloom.sim.playback import play
from spikeloom.sim.runner import SimulationError
from spikeloom.sim.tools import find_simulators
from spikeloom.sim.vectors import Wait, vectors

pytestmark = pytest.mark.skipif(find_simulators()["icarus"].found is None, reason="no Icarus")

ICE40, *_ = NETLISTS
families = pytest.mark.parametrize("family", NETLISTS, ids=lambda each: each.name)


@pytest.fixture
def scenario(dense_network) -> Scenario:
    raster = np.random.default_rng(2).random((2, 5, 4)) < 0.5
    scenario = Scenario.of(dense_network(4, 3), raster.astype(np.uint8))
    assert 0 < scenario.spikes.sum() < scenario.spikes.size
    return scenario


def check(top: NetworkTop, family: Family, scenario: Scenario, folder: Path):
    return check_netlist(top, family, scenario, folder, profile="test", simulator="icarus")


@families
def test_equals_golden_model(
    dense_network, scenario, tmp_path: Path, monkeypatch, family: Family
) -> None:
    """And what is not equal is told."""
    found = check(NetworkTop(dense_network(4, 3), 1), family, scenario, tmp_path)
    assert (found.passed, found.strength) == (True, Strength.TESTED)
    assert found.name == f"the netlist for {family.name} equals the golden model"
    assert ("without block RAMs" in found.detail) == (family is not ICE40)
    cells = {"iCE40": "SB_LUT4", "ECP5": "TRELLIS_FF", "Gowin": "DFF"}
    assert cells[family.name] in (tmp_path / "netlist.v").read_text()

    sources = [tmp_path / name for name in ("netlist.v", "cells.v", "player.v")]
    monkeypatch.setattr(netlist, "write_netlist", lambda *_: sources)
    other = np.random.default_rng(3).random((2, 5, 4)) < 0.5
    another = Scenario.of(dense_network(4, 3), other.astype(np.uint8))
    wrong = Scenario(scenario.inputs, another.outputs, scenario.membrane)
    found = check(NetworkTop(dense_network(4, 3), 1), family, wrong, tmp_path)
    assert not found.passed
    assert re.search(r": word \d+ of o must be ", found.detail)


def test_single_port_memories(dense_network, scenario, tmp_path: Path) -> None:
    top = NetworkTop(dense_network(4, 3), 1, WeightStore.SPRAM)
    assert check(top, ICE40, scenario, tmp_path).passed
    assert "SB_SPRAM256KA" in (tmp_path / "netlist.v").read_text()


def test_wrong_netlist_is_noticed(dense_network, scenario, tmp_path: Path) -> None:
    """Of twenty tables of which each has a bit that is another, some make a difference."""
    top = NetworkTop(dense_network(4, 3), 1)
    sources = write_netlist(top, ICE40, tmp_path, "test")
    given = vectors(top, scenario, wait=Wait.STEP, probe=True)
    text = sources[0].read_text()
    tables = list(re.finditer(r"\.LUT_INIT\(16'h([0-9a-f]{4})\)", text))[:20]
    assert len(tables) == 20
    for table in tables:
        start, end = table.span(1)
        flipped = f"{int(table[1], 16) ^ 0x8001:04x}"
        sources[0].write_text(text[:start] + flipped + text[end:])
        if play("icarus", sources, given, tmp_path).difference:
            break
    else:
        raise AssertionError("no wrong table was noticed")


def test_no_yosys(dense_network, tmp_path: Path, monkeypatch) -> None:
    missing = netlist.FlowTool("yosys", None, "pip install it", ())
    monkeypatch.setattr(netlist, "find_flow_tools", lambda sources: {"yosys": missing})
    with pytest.raises(SimulationError, match=r"^yosys was not found; to get it, type: pip ins"):
        write_netlist(NetworkTop(dense_network(4, 3), 1), ICE40, tmp_path, "test")
