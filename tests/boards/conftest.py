"""Networks to build for boards."""

import numpy as np
import pytest

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig


@pytest.fixture(scope="session")
def dense_network():
    """A function that makes a network of one dense layer with random weights."""

    def make(inputs: int, size: int, decay_rule: DecayRule = DecayRule.NONE) -> FixedNetwork:
        neurons = NeuronConfig(
            size=size,
            state=QFormat(word_length=12),
            current_width=8,
            threshold=100,
            decay_rule=decay_rule,
            decay=0 if decay_rule is DecayRule.NONE else 200,
        )
        weight = np.random.default_rng(0).integers(-40, 100, (inputs, size))
        return fixed_stack((FixedDense(weight=weight, weight_width=8, neurons=neurons),), "test")

    return make
