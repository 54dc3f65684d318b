"""Runs of networks against a triple loop over samples, steps and neurons."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.network import FixedDense, FixedNetwork, FloatDense, FloatNetwork
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import Decay, InputGain, Profile, Reset
from spikeloom.reference.simulate import Recording, run_fixed, run_float, run_neurons

LEAK = 3
THRESHOLD = 40
MAX_SPIKES = 3


def fixed_layer(rng: random.Random, inputs: int, size: int, max_count: int) -> FixedDense:
    """Leaks an eighth, three spikes at most, saturates at eight bits."""
    return FixedDense(
        weight=np.array([[rng.randint(-31, 31) for _ in range(size)] for _ in range(inputs)]),
        weight_width=6,
        weight_shift=1,
        max_count=max_count,
        neurons=NeuronConfig(
            size=size,
            state=QFormat(word_length=8),
            current_width=8,
            threshold=THRESHOLD,
            decay_rule=DecayRule.SHIFT,
            decay=LEAK,
            bias=tuple(rng.randint(-9, 9) for _ in range(size)),
            v_init=rng.randint(-20, 20),
            max_spikes=MAX_SPIKES,
        ),
    )


def naive_run(
    network: FixedNetwork, sample: list[list[int]]
) -> tuple[list[list[list[int]]], list[list[list[int]]]]:
    """Spikes and potentials [layer][step][neuron] of one sample, in Python's integers."""
    all_spikes, all_potentials = [], []
    inputs = sample
    for layer in network.layers:
        config = layer.neurons
        weight = layer.weight.tolist()
        bias = config.bias if isinstance(config.bias, tuple) else (config.bias,) * config.size
        potential = [config.v_init] * config.size
        spikes, potentials = [], []
        for counts in inputs:
            emitted = []
            for n in range(config.size):
                current = 0
                for source, count in enumerate(counts):
                    current += 2 * count * weight[source][n]
                v = potential[n] - potential[n] // 2**LEAK + current + bias[n]
                v = max(-128, min(127, v))
                number = 0
                while v >= THRESHOLD and number < MAX_SPIKES:
                    v -= THRESHOLD
                    number += 1
                potential[n] = v
                emitted.append(number)
            spikes.append(emitted)
            potentials.append(list(potential))
        all_spikes.append(spikes)
        all_potentials.append(potentials)
        inputs = spikes
    return all_spikes, all_potentials


@given(st.integers(0, 2**32))
def test_run_fixed_is_a_triple_loop(seed: int) -> None:
    rng = random.Random(seed)
    sizes = [rng.randint(1, 5) for _ in range(rng.randint(2, 4))]
    network = FixedNetwork(
        tuple(
            fixed_layer(rng, inputs, size, MAX_SPIKES) for inputs, size in itertools.pairwise(sizes)
        ),
        "leaky",
    )
    samples = [
        [[rng.randint(0, MAX_SPIKES) for _ in range(sizes[0])] for _ in range(6)] for _ in range(2)
    ]
    recording = run_fixed(network, samples)
    naive = [naive_run(network, sample) for sample in samples]
    for k in range(len(network.layers)):
        assert recording.spikes[k].dtype == np.uint8
        assert recording.spikes[k].tolist() == [spikes[k] for spikes, _ in naive]
        assert recording.membrane[k].tolist() == [potentials[k] for _, potentials in naive]


def test_run_float_by_hand() -> None:
    """Two IF layers in exact binary fractions: spikes of a step reach the next layer in it."""
    profile = Profile(
        name="if", decay=Decay.NONE, input_gain=InputGain.ONE, reset=Reset.SUBTRACT, max_spikes=3
    )
    neuron = FloatNeuron(profile=profile, v_th=1.0)
    network = FloatNetwork(
        (
            FloatDense(np.array([[0.5, 1.5], [0.25, 0.0]]), neuron, np.array([0.0, 0.25])),
            FloatDense(np.array([[1.0], [-0.5]]), neuron),
        )
    )
    # input currents (0.5, 1.75), (0.75, 1.75), (0, 0.25), (1, 3.25)
    recording = run_float(network, [[[1, 0], [1, 1], [0, 0], [2, 0]]])
    assert recording.spikes[0].tolist() == [[[0, 1], [1, 2], [0, 0], [1, 3]]]
    assert recording.membrane[0].tolist() == [[[0.5, 0.75], [0.25, 0.5], [0.25, 0.75], [0.25, 1.0]]]
    # second layer: -0.5, 1 - 1, 0, 1 - 1.5
    assert recording.spikes[1].tolist() == [[[0], [0], [0], [0]]]
    assert recording.membrane[1].tolist() == [[[-0.5], [-0.5], [-0.5], [-1.0]]]


def test_samples_do_not_touch_each_other() -> None:
    rng = random.Random(5)
    network = FixedNetwork((fixed_layer(rng, 3, 4, 1),), "leaky")
    raster = np.random.default_rng(5).integers(0, 2, (4, 7, 3))
    together = run_fixed(network, raster)
    for k in range(4):
        alone = run_fixed(network, raster[k : k + 1])
        assert np.array_equal(alone.spikes[0][0], together.spikes[0][k])
        assert np.array_equal(alone.membrane[0][0], together.membrane[0][k])


def test_run_neurons_starts_from_the_initial_state() -> None:
    config = NeuronConfig(
        size=2, state=QFormat(word_length=8), current_width=8, threshold=10, v_init=4
    )
    spikes, membrane = run_neurons(config, [[[1, 6], [5, 0]], [[0, -1], [0, 0]]])
    assert membrane.tolist() == [[[5, 0], [0, 0]], [[4, 3], [4, 3]]]
    assert spikes.tolist() == [[[0, 1], [1, 0]], [[0, 0], [0, 0]]]


def test_run_neurons_wrong_current() -> None:
    config = NeuronConfig(size=1, state=QFormat(word_length=8), current_width=4, threshold=10)
    with pytest.raises(ValueError, match=r"^current must fit into 4 bits, but one does not$"):
        run_neurons(config, [[[0], [8]]])


def test_run_neurons_wrong_kind_of_current() -> None:
    config = NeuronConfig(size=1, state=QFormat(word_length=8), current_width=4, threshold=10)
    with pytest.raises(TypeError, match=r"^current must hold integers, not float64$"):
        run_neurons(config, [[[0.5]]])


def test_counts_and_decision() -> None:
    spikes = np.zeros((3, 200, 3), dtype=np.uint8)
    spikes[0, :, 2] = 255  # more than one byte holds
    spikes[1, :4, 1] = 1
    spikes[1, 4:8, 2] = 1
    recording = Recording((spikes,), (spikes,))
    assert recording.counts.tolist() == [[0, 0, 51000], [0, 4, 4], [0, 0, 0]]
    # The first of equals.
    assert recording.decision.tolist() == [2, 1, 0]


@pytest.mark.parametrize("shape", [(2,), (2, 3), (1, 2, 4), (1, 1, 2, 3)])
def test_wrong_raster(shape: tuple[int, ...]) -> None:
    rng = random.Random(1)
    fixed = FixedNetwork((fixed_layer(rng, 3, 2, 1),), "leaky")
    neuron = FloatNeuron(profile=Profile(name="lif"), v_th=1.0)
    message = r"^raster must be of shape \(samples, steps, 3\), not "
    with pytest.raises(ValueError, match=message):
        run_fixed(fixed, np.zeros(shape, dtype=int))
    with pytest.raises(ValueError, match=message):
        run_float(FloatNetwork((FloatDense(np.ones((3, 2)), neuron),)), np.zeros(shape, dtype=int))


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 2)])
def test_wrong_counts(low: int, high: int) -> None:
    network = FixedNetwork((fixed_layer(random.Random(1), 2, 2, 1),), "leaky")
    with pytest.raises(ValueError, match=rf"^counts must be 0 to 1, not {low} to {high}$"):
        run_fixed(network, [[[low, high]]])
