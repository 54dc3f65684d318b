"""What is said to be needed, against what the generated hardware has."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from general_networks import Make, recurrent_dense, saturating, two_inputs

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig, SynapseConfig
from spikeloom.rtl_gen.inventory import MemoryShape, Multiplier, memories, multipliers
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.protection import Protection
from spikeloom.rtl_gen.weights import WeightStore


@pytest.mark.parametrize("seed", range(8))
def test_random_stacks(
    network_of: Callable[..., FixedNetwork], check_inventory: Callable[..., None], seed: int
) -> None:
    rng = random.Random(seed)
    sizes = [rng.randint(1, 40) for _ in range(rng.randint(2, 4))]
    network = network_of(rng, sizes, max_count=rng.choice([1, 3]))
    lanes = [rng.randint(1, 9) for _ in network.populations]
    check_inventory(NetworkTop(network, lanes, rng.choice(list(WeightStore))))


@pytest.mark.parametrize("store", [WeightStore.AUTO, WeightStore.SPRAM])
@pytest.mark.parametrize("make", [recurrent_dense, two_inputs, saturating])
def test_guarded_memories(check_inventory: Callable[..., None], make: Make, store) -> None:
    net = make(random.Random(make.__name__))
    guards = Protection(parity=True, ecc=True)
    check_inventory(NetworkTop(net, 2, store, protection=guards))


def test_by_hand() -> None:
    """Ten neurons on four lanes: three rows, 20 sources whose counts have two bits."""
    word = QFormat(word_length=12)
    decay: dict[str, Any] = {"decay_rule": DecayRule.MULTIPLIER, "decay_fraction": 6}
    neurons = NeuronConfig(
        size=10,
        state=word,
        current_width=15,
        threshold=tuple(range(100, 110)),
        decay=60,
        synapse=SynapseConfig(state=QFormat(word_length=14), decay=50, **decay),
        refractory_steps=5,
        **decay,
    )
    weight = np.ones((20, 10), np.int64)
    layer = FixedDense(weight=weight, weight_width=8, neurons=neurons, max_count=3)
    (population,) = NetworkTop(fixed_stack((layer,), "test"), 4).populations
    assert memories(population) == {
        "weights": MemoryShape(3 * 20, 4 * 8, rom=True),
        "state": MemoryShape(3, 4 * (12 + 14 + 3)),
        "parameters": MemoryShape(3, 4 * 12, rom=True),
        "events": MemoryShape(2 * 32, 5 + 2),
    }
    # 60 and 50, which are constants, have six bits and a sign.
    each = [Multiplier(8, 3, 10), Multiplier(12, 7, 18, 60), Multiplier(14, 7, 20, 50)]
    assert multipliers(population) == 4 * each
