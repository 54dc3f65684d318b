"""What a network is tried with asks no more of right hardware than it can do."""

import pytest
from tiny_network import tiny_scenario, tiny_top

from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore
from spikeloom.sim.campaign import campaign, play_stage
from spikeloom.sim.playback import build_player, write_player


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
@pytest.mark.parametrize("store", [WeightStore.AUTO, WeightStore.LOADED_BLOCK])
def test_words_come_when_they_must(simulator, store, tmp_path):
    """The simulator counts the cycles, in which weights are loaded or not. No potential is read
    here, and in Icarus nothing unknown may go in for that."""
    top = NetworkTop(tiny_top().network, [2], store)
    program = build_player(simulator, write_player(top, tmp_path, "tiny"), tmp_path)
    timed = [stage for stage in campaign(top, tiny_scenario(top)) if stage.cycles]
    assert [stage.name for stage in timed] == ["a sample", "corners, at full speed"]
    for stage in timed:
        stage.vectors.save(tmp_path / "vectors")
        assert not stage.difference(play_stage(program, stage, tmp_path))
