"""Some of the proofs, each with its planted bug; ``benchmarks/proofs.py`` runs them all."""

import numpy as np
import pytest

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
    LateBias,
)
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.profile import PROFILES
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.formal.presets import any_parameters, preset_neurons
from spikeloom.sim.formal.proof import Method, Proof, Verdict
from spikeloom.sim.formal.prove import network_proofs, preset_proofs, probes_proof


def recurrent_network() -> FixedNetwork:
    neurons = NeuronConfig(size=2, state=QFormat(word_length=6), current_width=4, threshold=3)
    own = Connection(source="a", maps=(Dense(np.array([[2, 1], [-1, 3]])),), delay=1)
    heard = Connection(source="in", maps=(Dense(np.array([[3, -2]])),))
    a = FixedPopulation(shape=(2,), neurons=neurons, connections=(heard, own))
    return FixedNetwork({"in": FixedInput(shape=(1,))}, {"a": a}, {"out": "a"}, "test")


def check(prove, proof: Proof) -> None:
    outcome = prove(proof)
    assert outcome.verdict is Verdict.PROVEN, f"{proof.name}: {outcome.evidence().detail}"
    planted = prove(proof.twin)
    assert planted.verdict is Verdict.FAILED, f"{proof.twin.name}: {planted.evidence().detail}"
    assert planted.broken
    assert not planted.broken.startswith("invariant")


@pytest.mark.parametrize(
    "start",
    [
        "a step is as specified: IF neurons of textbook,",
        "a step is as specified: LIF neurons of lava,",
        "an event is as specified: IF neurons of speck,",
        "a step is as specified: LIF neurons with floor and refractory steps,",
    ],
)
def test_presets(prove, start: str) -> None:
    (proof,) = (each for each in preset_proofs([8]) if each.name.startswith(start))
    check(prove, proof)


@pytest.mark.parametrize(
    "name",
    [
        "streams hold what they offer until it is taken: population_0.core.spikes",
        "streams hold what they offer until it is taken: population_0.junction.merge",
        "nothing is lost, doubled or swapped: population_0.core.buffer",
    ],
)
def test_network(prove, name: str) -> None:
    top = NetworkTop(recurrent_network(), 1)
    (proof,) = (each for each in network_proofs(top) if each.name.startswith(name))
    assert proof.method is Method.INDUCTION
    check(prove, proof)


def test_late_bias(prove) -> None:
    neurons = NeuronConfig(size=2, state=QFormat(word_length=6), current_width=4, threshold=3)
    heard = Connection(source="in", maps=(Dense(np.array([[3, -2]])),))
    late = LateBias(1, np.array([0, 2]))
    a = FixedPopulation(shape=(2,), neurons=neurons, connections=(heard,), late_bias=(late,))
    network = FixedNetwork({"in": FixedInput(shape=(1,))}, {"a": a}, {"out": "a"}, "test")
    proof, *others = network_proofs(NetworkTop(network, 1))
    assert proof.name == "a step is as specified: population 'a'"
    assert proof.twin is not None
    assert proof.twin.name.endswith(": no late biases")
    assert all(each.twin is not None for each in others)
    check(prove, proof)


def layered_network() -> FixedNetwork:
    """Two populations of which one has more neurons, and the other a wider state."""
    populations = {}
    for name, source, (heard, size), width in (("a", "in", (1, 3), 5), ("b", "a", (3, 1), 7)):
        neurons = NeuronConfig(
            size=size, state=QFormat(word_length=width), current_width=4, threshold=3
        )
        maps = (Dense(np.ones((heard, size), dtype=int)),)
        populations[name] = FixedPopulation(
            shape=(size,), neurons=neurons, connections=(Connection(source=source, maps=maps),)
        )
    return FixedNetwork({"in": FixedInput(shape=(1,))}, populations, {"out": "b"}, "test")


def test_probes(prove) -> None:
    top = NetworkTop(layered_network(), (2, 1))
    proof = probes_proof(top)
    assert proof.name in [each.name for each in network_proofs(top)]
    assert proof.method is Method.INDUCTION
    check(prove, proof)


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
