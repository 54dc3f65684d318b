"""From ReLU to IAF: closed-form rates, and activations that come back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.convert import IAF, relu_to_iaf
from spikeloom.reference.network import FloatNetwork
from spikeloom.reference.profile import Compared, Comparison, Decay, InputGain, Order, Reset
from spikeloom.reference.simulate import run_float


def test_profile() -> None:
    """Nothing leaks, nothing scales, nothing is lost at a spike."""
    assert (IAF.decay, IAF.input_gain, IAF.reset) == (Decay.NONE, InputGain.ONE, Reset.SUBTRACT)
    assert (IAF.order, IAF.comparison) == (Order.DECAY_FIRST, Comparison.GE)
    assert (IAF.compared, IAF.max_spikes) == (Compared.NEW, 1)


def test_weights_by_hand() -> None:
    """The largest activations are 6 and then 12; each layer is scaled to 1."""
    network = relu_to_iaf(
        [[[2.0, -1.0], [4.0, 0.0]], [[2.0], [5.0]]],
        [[0.0, 1.0], [0.0]],
        [[1.0, 1.0], [0.0, 0.0]],
        percentile=100,
    )
    first, second = network.populations.values()
    weights = [each.connections[0].maps[0].weight for each in (first, second)]
    # Activations: (6, 0) and (0, 1); then 12 and 5.
    assert weights[0] == pytest.approx(np.array([[2.0, -1.0], [4.0, 0.0]]) / 6)
    assert np.asarray(first.neuron.bias) == pytest.approx(np.array([0.0, 1.0]) / 6)
    assert weights[1] == pytest.approx(np.array([[2.0], [5.0]]) * 6 / 12)
    assert second.neuron.bias == 0.0
    for layer in (first, second):
        assert (layer.neuron.v_th, layer.neuron.v_init) == (1.0, 0.5)
        assert layer.neuron.profile is IAF


def test_percentile() -> None:
    """Of activations 1 to 5 the median is 3."""
    calibration = np.arange(1, 6)[:, None] / 5
    network = relu_to_iaf([[[5.0]]], [[0.0]], calibration, percentile=50)
    assert network.populations["layer_0"].connections[0].maps[0].weight == pytest.approx(
        np.array([[5 / 3]])
    )


def one_neuron(weight: float, bias: float) -> FloatNetwork:
    """A neuron whose activations are not scaled: a second one has the largest, 1."""
    return relu_to_iaf([[[weight, 0.0]]], [[bias, 1.0]], [[1.0]], percentile=100)


@given(st.integers(-64, 64), st.integers(-64, 64), st.sampled_from([1, 7, 32, 100]))
def test_rate_is_the_activation_to_the_nearest_spike(weight: int, bias: int, steps: int) -> None:
    """``T`` steps of activation ``x`` from 0 to 1 give ``floor(1/2 + T x)`` spikes.

    All numbers are 64ths, so nothing is rounded: the closed form holds exactly.
    """
    total = weight + bias
    if total > 64:
        weight, bias, total = 0, 64, 64
    network = one_neuron(weight / 64, bias / 64)
    count = run_float(network, np.ones((1, steps, 1), dtype=np.uint8)).counts[0, 0]
    expected = math.floor((32 + steps * total) / 64) if total > 0 else 0
    assert count == expected
    # Half a spike at most from the activation, in 64ths.
    assert abs(64 * int(count) - steps * max(0, total)) <= 32


@pytest.mark.parametrize("seed", range(5))
def test_rates_approach_the_activations(seed: int) -> None:
    """Two layers; the input is constant, so the first layer's rates are right to 1/T."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(6, 8)), rng.normal(size=(8, 3))]
    biases = [rng.normal(size=8) / 4, rng.normal(size=3) / 4]
    sample = rng.integers(0, 2, (4, 6)).astype(float)
    network = relu_to_iaf(weights, biases, sample, percentile=100)
    hidden = np.maximum(sample @ weights[0] + biases[0], 0)
    output = np.maximum(hidden @ weights[1] + biases[1], 0)
    steps = 2000
    recording = run_float(network, np.repeat(sample[:, None, :], steps, axis=1))
    first = recording.spikes["layer_0"].sum(axis=1, dtype=int) / steps
    assert np.abs(first - hidden / hidden.max()).max() <= 1 / steps
    # At any time each hidden count is off by half a spike; the output rounds once more.
    summed = (
        np.abs(network.populations["layer_1"].connections[0].maps[0].weight).sum(axis=0).max() / 2
    )
    error = np.abs(recording.counts / steps - output / output.max()).max()
    assert error <= (summed + 1) / steps


@pytest.mark.parametrize("percentile", [0, -1, 100.1, math.nan])
def test_wrong_percentile(percentile: float) -> None:
    message = rf"^percentile must be above 0 and up to 100, not {percentile!r}$"
    with pytest.raises(ValueError, match=message):
        relu_to_iaf([[[1.0]]], [[0.0]], [[1.0]], percentile=percentile)


def test_wrong_calibration() -> None:
    message = r"^layer 1 must be active on the calibration data, but its percentile 99\.9 is 0$"
    with pytest.raises(ValueError, match=message):
        relu_to_iaf([[[1.0]], [[-1.0]]], [[0.0], [0.0]], [[1.0]])


def test_wrong_number_of_biases() -> None:
    with pytest.raises(ValueError, match="zip"):
        relu_to_iaf([[[1.0]], [[1.0]]], [[0.0]], [[1.0]])
