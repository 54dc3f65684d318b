"""What a network is tried with asks no more of right hardware than it can do."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_network import tiny_scenario, tiny_top

from spikeloom.reference.latency import EarlyStop
from spikeloom.reference.network import FixedInput, FixedNetwork
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore
from spikeloom.sim.campaign import Stage, campaign, play_stage
from spikeloom.sim.playback import Played, build_player, write_player
from spikeloom.sim.vectors import Vectors


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
@pytest.mark.parametrize("store", [WeightStore.AUTO, WeightStore.LOADED_BLOCK])
def test_words_come_when_they_must(simulator, store, tmp_path):
    """The simulator counts the cycles, in which weights are loaded or not. No potential is read
    here, and in Icarus nothing unknown may go in for that."""
    top = NetworkTop(tiny_top().network, [2], store)
    program = build_player(simulator, write_player(top, tmp_path, "tiny"), tmp_path)
    timed = [stage for stage in campaign(top, tiny_scenario(top)) if stage.cycles]
    names = ["a sample", "corners, at full speed", "extremes, at full speed"]
    assert [stage.name for stage in timed] == names
    for stage in timed:
        stage.vectors.save(tmp_path / "vectors")
        assert not stage.difference(play_stage(program, stage, tmp_path))


@pytest.mark.parametrize("store", [WeightStore.AUTO, WeightStore.LOADED_BLOCK])
def test_outputs_are_refused_for_about_a_step(store):
    """However many weights are loaded before: of its sample of 6 steps the last word comes then."""
    top = NetworkTop(tiny_top().network, [2], store)
    stages = {stage.name: stage for stage in campaign(top, tiny_scenario(top))}
    loaded = stages["a sample"].vectors.stimulus.get("load", ())
    step = (stages["a sample"].cycles["o"][-1] - len(loaded)) / 6
    assert step <= stages["outputs refused for about a step"].manner.hold < step + 1
    part = stages["outputs refused for part of a step"].manner.hold
    assert step / 4 <= part < step / 4 + 2


def test_outputs_are_refused_where_a_read_out_says_little():
    top = NetworkTop(tiny_top().network, [2], stop=EarlyStop(steps=3, margin=1))
    stages = {stage.name: stage for stage in campaign(top, tiny_scenario(top))}
    sent = len(stages["a sample"].vectors.stimulus["i"])
    assert stages["outputs refused for about a step"].manner.hold == -(-sent // 6)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 0), (-2, 3)])
def test_a_step_has_one_spike_too_many(low, high):
    """Whatever the inputs send at most."""
    (population,) = tiny_top().network.populations.values()
    (connection,) = population.connections
    population = replace(population, connections=(replace(connection, source="in"),))
    entry = FixedInput(shape=(5,), low=low, high=high)
    top = NetworkTop(FixedNetwork({"in": entry}, {"a": population}, {"o": "a"}, "n"), 2)
    stages = campaign(top, Scenario.of(top.network, np.zeros((1, 3, 5), dtype=int)))
    (crowded,) = (stage for stage in stages if stage.name.startswith("too many spikes"))
    kind = top.input_layouts["in"]["kind"].offset
    kinds = [EventKind(word >> kind & 3) for _, word in crowded.vectors.stimulus["i"]]
    step = [EventKind.SPIKE] * 6 + [EventKind.TICK]
    assert kinds == [EventKind.RESTART, *4 * step]


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        ("1 2 3 4 5", ""),
        ("11 12 13 14 15", ""),
        ("1 12 13 4 15", ""),
        ("1 12 3 4 5", "words 0 to 2 of probe_o must be those before and then those behind"),
        ("1 2 3 14 5", "words 3 to 4 of probe_o must be those before and then those behind"),
        ("1 2 x 4 5", "words 0 to 2 of probe_o must be"),
        ("1 2 3 4", "5 words of probe_o must come out, not 4"),
    ],
)
def test_once_a_potential_is_new_none_behind_it_is_old(words, difference):
    """Two runs, of three words and of two."""
    runs = [([1, 2, 3], [0x11, 0x12, 0x13]), ([4, 5], [0x14, 0x15])]
    stage = Stage("runs", Vectors({}, {}), runs={"probe_o": runs})
    seen = stage.difference(Played({"probe_o": words.split()}, {"probe_o": []}, ""))
    assert seen.startswith(difference)
    assert bool(seen) == bool(difference)
