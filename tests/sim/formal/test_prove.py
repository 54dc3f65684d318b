"""Some of the proofs, each with its planted bug; ``benchmarks/proofs.py`` runs them all."""

from pathlib import Path

import numpy as np
import pytest

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.profile import PROFILES
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.formal.presets import any_parameters, preset_neurons
from spikeloom.sim.formal.proof import Method, Proof, Verdict
from spikeloom.sim.formal.prove import find_planted, network_proofs, preset_proofs


def recurrent_network() -> FixedNetwork:
    neurons = NeuronConfig(size=2, state=QFormat(word_length=6), current_width=4, threshold=3)
    own = Connection(source="a", maps=(Dense(np.array([[2, 1], [-1, 3]])),), delay=1)
    heard = Connection(source="in", maps=(Dense(np.array([[3, -2]])),))
    a = FixedPopulation(shape=(2,), neurons=neurons, connections=(heard, own))
    return FixedNetwork({"in": FixedInput(shape=(1,))}, {"a": a}, {"out": "a"}, "test")


def check(prove, folder: Path, proof: Proof) -> None:
    outcome = prove(proof)
    assert outcome.verdict is Verdict.PROVEN, f"{proof.name}: {outcome.evidence().detail}"
    (planted,) = find_planted([proof], folder)
    assert planted.passed, f"{planted.name}: {planted.detail}"
    assert "a counterexample of" in planted.detail


@pytest.mark.parametrize(
    "start",
    [
        "a step is as specified: IF neurons of textbook,",
        "a step is as specified: LIF neurons of lava,",
        "an event is as specified: IF neurons of speck,",
    ],
)
def test_presets(prove, tmp_path: Path, start: str) -> None:
    (proof,) = (each for each in preset_proofs([8]) if each.name.startswith(start))
    check(prove, tmp_path / "planted", proof)


@pytest.mark.parametrize(
    "name",
    [
        "streams hold what they offer until it is taken: population_0.core.spikes",
        "streams hold what they offer until it is taken: population_0.junction.merge",
        "nothing is lost, doubled or swapped: population_0.core.buffer",
    ],
)
def test_network(prove, tmp_path: Path, name: str) -> None:
    top = NetworkTop(recurrent_network(), 1)
    (proof,) = (each for each in network_proofs(top) if each.name.startswith(name))
    assert proof.method is Method.INDUCTION
    check(prove, tmp_path / "planted", proof)


def test_all_profiles_are_there() -> None:
    names = " ".join(preset_neurons(16))
    assert [name for name in PROFILES if name not in names] == []


def test_any_parameters_are_all_that_are_legal() -> None:
    for config in preset_neurons(8).values():
        free = any_parameters(config)
        assert free.threshold[1] == 127
        assert free.bias == (-2048, 2047)
        # One more would be refused.
        with pytest.raises(ValueError, match="threshold must be"):
            any_parameters(type(config)(**{**vars(free), "threshold": (free.threshold[0], 128)}))
