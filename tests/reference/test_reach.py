"""What is said to be out of reach is, of all potentials that tiny neurons can get to."""

from itertools import product

import numpy as np
import pytest

from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
    LateBias,
)
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig, SynapseConfig
from spikeloom.reference.neurons import FixedState, step
from spikeloom.reference.profile import Accumulation, Compared, Comparison, Order, Reset
from spikeloom.reference.reach import reach
from spikeloom.reference.simulate import run_fixed


def _network(neurons: NeuronConfig, weight: np.ndarray, **options) -> FixedNetwork:
    connection = Connection(source="in", maps=(Dense(weight[:, None]),))
    population = FixedPopulation(shape=(1,), neurons=neurons, connections=(connection,), **options)
    return FixedNetwork(
        {"in": FixedInput(shape=(len(weight),))}, {"a": population}, {"out": "a"}, "tiny"
    )


def _drawn(rng: np.random.Generator) -> NeuronConfig:
    """One neuron in a word of five bits, without synapse and without refractory steps."""
    rule, reset = rng.choice(list(DecayRule)), rng.choice(list(Reset))
    decay = {
        DecayRule.MULTIPLIER: rng.integers(0, 9),
        DecayRule.SHIFT: rng.integers(0, 4),
        DecayRule.CONSTANT: rng.integers(-3, 4),
        DecayRule.NONE: 0,
    }[rule]
    return NeuronConfig(
        size=1,
        state=QFormat(
            word_length=5,
            rounding=rng.choice(list(Rounding)),
            overflow=rng.choice(list(Overflow), p=[0.8, 0.2]),
        ),
        current_width=6,
        threshold=int(rng.integers(1, 16)),
        decay_rule=rule,
        decay=int(decay),
        decay_fraction=3,
        bias=int(rng.integers(-3, 4)),
        order=rng.choice(list(Order)),
        comparison=rng.choice(list(Comparison)),
        compared=rng.choice(list(Compared)),
        reset=reset,
        v_reset=int(rng.integers(-4, 5)),
        v_init=int(rng.integers(-4, 5)),
        max_spikes=int(rng.choice([1, 3])) if reset is Reset.SUBTRACT else 1,
        floor=int(rng.integers(-8, 1)) if rng.random() < 0.4 else None,
    )


def _all_potentials(neurons: NeuronConfig, currents: list[int]) -> set[int]:
    """All that can be after any number of steps, found by going everywhere."""
    found, new = set(), {int(neurons.v_init)}
    while new:
        found |= new
        v, current = np.array(list(product(new, currents))).T[..., None]
        after, _ = step(FixedState(v, np.zeros_like(v)), current, neurons)
        new = set(after.v.ravel().tolist()) - found
    return found


def test_ranges_hold_and_are_mostly_the_narrowest():
    rng = np.random.default_rng(4)
    narrow = 0
    for _ in range(300):
        neurons = _drawn(rng)
        weight = rng.integers(-4, 6, 3)
        currents = [int(weight @ bits) for bits in product((0, 1), repeat=3)]
        potentials = _all_potentials(neurons, currents)
        left = reach(_network(neurons, weight), "a").unfloored
        floor = neurons.state.min if neurons.floor is None else neurons.floor
        # The first potential may lie below the floor.
        low, high = (np.clip(end, floor, neurons.state.max).item() for end in left)
        low, high = min(low, neurons.v_init), max(high, neurons.v_init)
        assert low <= min(potentials) <= max(potentials) <= high, neurons
        narrow += (low, high) == (min(potentials), max(potentials))
    assert narrow > 200


def test_sums_by_hand():
    """Half is lost a step, so that twice what comes in is not reached: 40 and 10 up, 20 down."""
    word = QFormat(word_length=16, rounding=Rounding.TOWARD_ZERO)
    leaky = NeuronConfig(
        size=1,
        state=word,
        current_width=8,
        threshold=30000,
        decay_rule=DecayRule.MULTIPLIER,
        decay=4,
        decay_fraction=3,
    )
    weight = np.array([40, 10, -20])
    found = reach(_network(leaky, weight), "a")
    assert [int(end[0]) for end in found.sums] == [-39, 99]
    # The reset is to -7, the least that spikes 31: sums start from 30 at most.
    plain = NeuronConfig(
        size=1,
        state=word,
        current_width=8,
        threshold=30,
        comparison=Comparison.GT,
        reset=Reset.TO_VALUE,
        v_reset=-7,
        floor=-9,
    )
    found = reach(_network(plain, weight, late_bias=(LateBias(3, np.array([5])),)), "a")
    assert [int(end[0]) for end in found.sums] == [-9 - 20, 30 + 50 + 5]
    assert [int(end[0]) for end in found.unfloored] == [-29, 30]


def test_a_synapse_holds_what_came_in():
    """Half of the current stays: it gets to twice what comes in, and never below."""
    half = SynapseConfig(
        state=QFormat(word_length=16, rounding=Rounding.FLOOR),
        decay_rule=DecayRule.SHIFT,
        decay=1,
    )
    neurons = NeuronConfig(
        size=1,
        state=QFormat(word_length=16),
        current_width=8,
        threshold=30,
        reset=Reset.TO_VALUE,
        synapse=half,
    )
    found = reach(_network(neurons, np.array([8, 8])), "a")
    assert [int(end[0]) for end in found.sums] == [0, 29 + 32]


def test_words_that_wrap_go_anywhere():
    word = QFormat(word_length=6, overflow=Overflow.WRAP)
    neurons = NeuronConfig(size=1, state=word, current_width=8, threshold=9, reset=Reset.TO_VALUE)
    assert [int(end[0]) for end in reach(_network(neurons, np.array([9])), "a").sums] == [0, 17]
    wide = reach(_network(neurons, np.array([30])), "a")
    assert [int(end[0]) for end in wide.compared] == [-32, 31]


@pytest.mark.parametrize("accumulation", list(Accumulation))
def test_events_one_by_one(accumulation):
    """Against all orders of all that can come in, in three steps of the golden model."""
    neurons = NeuronConfig(
        size=1,
        state=QFormat(word_length=6),
        current_width=8,
        threshold=7,
        bias=2,
        accumulation=accumulation,
    )
    network = _network(neurons, np.array([5, -6, 9]))
    everything = np.array(list(product(product((0, 1), repeat=3), repeat=3)))
    seen = run_fixed(network, everything).membrane["a"]
    low, high = reach(network, "a").unfloored
    assert low <= seen.min() <= seen.max() <= high
