from itertools import pairwise

import numpy as np
import pytest

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.reference.profile import Compared, Comparison, Order, Reset
from spikeloom.sim.tools import find_simulators


@pytest.fixture
def simulator(request):
    """A simulator by name; skips where it is not installed."""
    tool = find_simulators()[request.param]
    if tool.found is None:
        pytest.skip(f"{tool.name} was not found; to get it: {tool.remedy}")
    return request.param


def _choice(rng, kind):
    return list(kind)[rng.integers(len(kind))]


def random_neurons(rng: np.random.Generator, size: int) -> NeuronConfig:
    """Neurons with every option drawn by chance."""
    width = int(rng.integers(8, 20))
    top = 1 << (width - 4)

    def value(low, high):
        if rng.random() < 0.5:
            return int(rng.integers(low, high))
        return tuple(int(v) for v in rng.integers(low, high, size))

    reset = _choice(rng, Reset)
    rule = _choice(rng, DecayRule)
    fraction = int(rng.integers(1, 13))
    decay = {
        DecayRule.MULTIPLIER: value(0, (1 << fraction) + 1),
        DecayRule.SHIFT: value(0, 8),
        DecayRule.CONSTANT: value(-top // 4, top // 4),
        DecayRule.NONE: 0,
    }[rule]
    return NeuronConfig(
        size=size,
        state=QFormat(
            word_length=width, rounding=_choice(rng, Rounding), overflow=_choice(rng, Overflow)
        ),
        current_width=width,
        threshold=value(1, top),
        decay_rule=rule,
        decay=decay,
        decay_fraction=fraction,
        shift_at_least_one=rule is DecayRule.SHIFT and bool(rng.random() < 0.5),
        bias=value(-top // 8, top // 8 + 1),
        order=_choice(rng, Order),
        comparison=_choice(rng, Comparison),
        compared=_choice(rng, Compared),
        reset=reset,
        v_reset=int(rng.integers(-top, top)),
        v_init=int(rng.integers(-top, top)),
        max_spikes=int(rng.choice([1, 3, 15])) if reset is Reset.SUBTRACT else 1,
        floor=-int(rng.integers(0, top)) if rng.random() < 0.5 else None,
        refractory_steps=int(rng.choice([0, 0, 1, 3])),
    )


@pytest.fixture
def random_network():
    """A function from a seed to a network, its lanes and a stimulus."""

    def make(seed: int):
        rng = np.random.default_rng(seed)
        sizes = [int(n) for n in rng.integers(1, 20, rng.integers(2, 4))]
        layers, max_count = [], int(rng.choice([1, 3]))
        first_count = max_count
        for inputs, size in pairwise(sizes):
            neurons = random_neurons(rng, size)
            layers.append(
                FixedDense(
                    weight=rng.integers(-100, 128, (inputs, size)),
                    weight_width=8,
                    neurons=neurons,
                    weight_shift=int(rng.integers(0, 3)),
                    max_count=max_count,
                )
            )
            max_count = neurons.max_spikes
        lanes = [int(rng.choice([1, 2, 3, 4, 8])) for _ in layers]
        shape = (3, 12, sizes[0])
        stimulus = rng.integers(0, first_count + 1, shape) * (rng.random(shape) < 0.5)
        return fixed_stack(tuple(layers), f"random {seed}"), lanes, stimulus

    return make
