"""What a network is tried with asks no more of right hardware than it can do."""

import pytest
from tiny_network import tiny_scenario, tiny_top

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
