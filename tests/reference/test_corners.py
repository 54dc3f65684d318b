"""Corner stimuli get networks where ordinary data does not."""

import numpy as np
import pytest

from spikeloom.reference.corners import corner_stimulus, extreme_stimulus
from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.simulate import run_fixed


def _stack():
    """Eight sources, six neurons, and three of which each hears two: half of the weights pull."""
    rng = np.random.default_rng(3)
    first = FixedDense(
        weight=rng.integers(-30, 31, (8, 6)),
        weight_width=6,
        neurons=NeuronConfig(size=6, state=QFormat(word_length=10), current_width=10, threshold=40),
    )
    second = FixedDense(
        weight=np.array([[20, 0, 0], [20, 0, 0], [0, 20, 0], [0, -20, 0], [0, 0, -20], [0, 0, -9]]),
        weight_width=6,
        neurons=NeuronConfig(size=3, state=QFormat(word_length=9), current_width=10, threshold=30),
    )
    return fixed_stack((first, second), "stack")


def test_corners_have_empty_and_full_steps_and_both_ends():
    network = _stack()
    (stimulus,) = corner_stimulus(network).values()
    active = stimulus.sum(axis=2)
    assert stimulus.shape[1:] == (16, 8)
    assert {0, 1, 7, 8} <= set(active.ravel().tolist())
    alone = stimulus[active == 1]
    assert alone[:, 0].any()
    assert alone[:, 7].any()


def test_extremes_reach_both_ends_of_the_words():
    """Behind the reset the top is a threshold below the end, and what only pulls never rises."""
    network = _stack()
    recording = run_fixed(network, extreme_stimulus(network))
    first, second = recording.membrane.values()
    assert first.max() == 511 - 40
    assert first.min() == -512
    assert second.max() == 255 - 30
    assert second.min() == -256


def test_extremes_of_single_neurons():
    """The first two of the first population get to both ends. The second of the last gets 20 at
    most, less than its threshold, or a threshold less than both at once; neither ever falls."""
    network = _stack()
    stimulus = extreme_stimulus(network, neurons=2)
    first, second = run_fixed(network, stimulus).membrane.values()
    assert len(first) == 12
    assert first.max(axis=(0, 1))[:2].tolist() == [511 - 40] * 2
    assert first.min(axis=(0, 1))[:2].tolist() == [-512] * 2
    assert second.max(axis=(0, 1))[:2].tolist() == [255 - 30, 20]
    assert second.min(axis=(0, 1))[:2].tolist() == [0, 0]


def test_the_same_seed_gives_the_same():
    network = _stack()
    for make in (corner_stimulus, extreme_stimulus):
        runs = [make(network, seed=seed) for seed in (1, 1, 2)]
        first, again, other = (next(iter(each.values())) for each in runs)
        assert np.array_equal(first, again)
        assert first.shape != other.shape or not np.array_equal(first, other)


@pytest.mark.parametrize("most", [40, 192])
def test_what_does_not_get_there_goes_on_for_fewer(most):
    """Fourteen bits would take more steps than there may be."""
    neurons = NeuronConfig(size=2, state=QFormat(word_length=20), current_width=8, threshold=40)
    layer = FixedDense(weight=np.full((3, 2), 5), weight_width=6, neurons=neurons)
    (stimulus,) = extreme_stimulus(fixed_stack((layer,), "slow"), most=most).values()
    assert stimulus.shape == (2, 38, 3)
