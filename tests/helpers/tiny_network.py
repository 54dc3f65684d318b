"""A network so small that a simulator of it is soon compiled."""

import numpy as np

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop


def tiny_top() -> NetworkTop:
    """Five sources, three neurons on two lanes."""
    weight = np.random.default_rng(1).integers(-15, 24, (5, 3))
    neurons = NeuronConfig(
        size=3,
        state=QFormat(word_length=8),
        current_width=8,
        threshold=20,
        bias=(1, -2, 3),
    )
    layer = FixedDense(weight=weight, weight_width=6, neurons=neurons)
    return NetworkTop(fixed_stack((layer,), "tiny"), [2])


def tiny_scenario(top: NetworkTop) -> Scenario:
    """Four samples of six steps."""
    stimulus = np.random.default_rng(2).integers(0, 2, (4, 6, 5))
    return Scenario.of(top.network, stimulus)
