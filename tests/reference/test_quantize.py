"""From real numbers to integers: by hand, and close to the float network."""

import math
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.convert import relu_to_iaf
from spikeloom.reference.fixed import Overflow, Rounding
from spikeloom.reference.network import FloatDense, FloatNetwork
from spikeloom.reference.neuron_fixed import DecayRule
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import (
    Compared,
    Comparison,
    Decay,
    InputGain,
    Order,
    Profile,
    Reset,
)
from spikeloom.reference.quantize import DECAY_RULES, quantize, quantize_neurons
from spikeloom.reference.simulate import run_fixed, run_float

PLAIN: dict[str, Any] = {"name": "plain", "decay": Decay.NONE, "input_gain": InputGain.ONE}


def test_every_decay_has_a_rule() -> None:
    assert set(DECAY_RULES) == set(Decay)


def test_neurons_by_hand() -> None:
    profile = Profile(
        name="hand",
        order=Order.INPUT_FIRST,
        comparison=Comparison.GT,
        compared=Compared.OLD,
        refractory_steps=3,
        rounding=Rounding.TOWARD_ZERO,
        overflow=Overflow.WRAP,
    )
    neuron = FloatNeuron(
        profile=profile, v_th=1.5, tau=4.0, r=2.0, v_reset=-0.24, v_init=0.26, bias=0.5, v_min=-1.0
    )
    config = quantize_neurons(
        neuron, 5, scale=10, state_width=12, current_width=9, decay_fraction=4
    )
    # tau 4: keeps 3/4 = 12/16; gain 2/4, so the bias is 0.5 * 0.5 * 10 = 2.5, to the even 2.
    assert (config.decay_rule, config.decay, config.decay_fraction) == (
        DecayRule.MULTIPLIER,
        12,
        4,
    )
    assert (config.threshold, config.bias, config.floor) == (15, 2, -10)
    assert (config.v_reset, config.v_init) == (-2, 3)
    assert (config.size, config.state.word_length, config.current_width) == (5, 12, 9)
    assert (config.state.rounding, config.state.overflow) == (Rounding.TOWARD_ZERO, Overflow.WRAP)
    assert (config.order, config.comparison) == (Order.INPUT_FIRST, Comparison.GT)
    assert (config.compared, config.reset) == (Compared.OLD, Reset.TO_VALUE)
    assert (config.max_spikes, config.refractory_steps) == (1, 3)


@pytest.mark.parametrize(
    ("decay", "rule", "value"),
    [
        (Decay.EULER, DecayRule.MULTIPLIER, 216),  # 256 * (1 - 1/6.4)
        (Decay.EXPONENTIAL, DecayRule.MULTIPLIER, round(256 * math.exp(-1 / 6.4))),
        (Decay.SHIFT, DecayRule.SHIFT, 3),  # log2(6.4) = 2.68
        (Decay.CONSTANT, DecayRule.CONSTANT, 5),  # 100 * 0.32 / 6.4
        (Decay.NONE, DecayRule.NONE, 0),
    ],
)
def test_decay(decay: Decay, rule: DecayRule, value: int) -> None:
    neuron = FloatNeuron(profile=Profile(name="decay", decay=decay), v_th=1.0, tau=6.4, v_leak=0.32)
    config = quantize_neurons(neuron, 1, scale=100)
    assert (config.decay_rule, config.decay) == (rule, value)


@pytest.mark.parametrize(("tau", "multiplier"), [(7.0, 219), (9.0, 228), (2.8, 165)])
def test_decay_is_the_nearest(tau: float, multiplier: int) -> None:
    """Of 256 * (1 - 1/tau): 219.43, 227.56 and 164.57."""
    neuron = FloatNeuron(profile=Profile(name="euler"), v_th=1.0, tau=tau)
    assert quantize_neurons(neuron, 1, scale=100).decay == multiplier


def test_no_floor_stays_none() -> None:
    neuron = FloatNeuron(profile=Profile(**PLAIN), v_th=1.0)
    assert quantize_neurons(neuron, 1, scale=10).floor is None


def test_many_spikes_and_subtraction() -> None:
    profile = Profile(**PLAIN, reset=Reset.SUBTRACT, max_spikes=31)
    config = quantize_neurons(FloatNeuron(profile=profile, v_th=1.0), 1, scale=10)
    assert (config.reset, config.max_spikes) == (Reset.SUBTRACT, 31)


def test_bias_of_each_neuron_replaces_the_neurons_own() -> None:
    neuron = FloatNeuron(profile=Profile(**PLAIN), v_th=1.0, bias=9.0)
    config = quantize_neurons(neuron, 3, scale=10, bias=np.array([0.1, -0.26, 0.0]))
    assert config.bias == (1, -3, 0)
    assert quantize_neurons(neuron, 3, scale=10).bias == 90


def test_network_by_hand() -> None:
    """The largest weight, -0.5, becomes -7 in four bits: 14 units for 1, 56 with the shift."""
    neuron = FloatNeuron(profile=Profile(**PLAIN, reset=Reset.SUBTRACT), v_th=0.75, bias=0.125)
    layer = FloatDense(np.array([[0.5, -0.25], [0.12, -0.5]]), neuron, np.array([0.0, 0.0625]))
    network = quantize(FloatNetwork((layer,)), weight_width=4, weight_shift=2, state_width=10)
    (fixed,) = network.layers
    # 14 * (0.5, -0.25, 0.12, -0.5) = 7, -3.5 (to the even -4), 1.68, -7
    assert fixed.weight.tolist() == [[7, -4], [2, -7]]
    assert (fixed.weight_width, fixed.weight_shift, fixed.max_count) == (4, 2, 1)
    assert fixed.neurons.threshold == 42
    # 56 * 0.125 = 7 and 56 * 0.1875 = 10.5, to the even 10
    assert fixed.neurons.bias == (7, 10)
    assert fixed.neurons.state.word_length == 10
    assert network.profile == "plain"


def test_gain_goes_into_the_weights() -> None:
    """``r dt / tau`` = 1/8: weight 16 adds 2 to a potential with threshold 4, thus half of it."""
    neuron = FloatNeuron(profile=Profile(name="euler"), v_th=4.0, tau=8.0)
    layer = FloatDense(np.array([[16.0], [-4.0]]), neuron, np.array([8.0]))
    (fixed,) = quantize(FloatNetwork((layer,)), weight_width=8).layers
    # 127 units for a potential of 2
    assert fixed.weight.tolist() == [[127], [-32]]
    assert fixed.neurons.threshold == 254
    assert fixed.neurons.bias == 64  # 63.5 to the even
    assert fixed.neurons.decay == 224


def test_max_count_follows_the_layer_before() -> None:
    profile = Profile(**PLAIN, reset=Reset.SUBTRACT, max_spikes=7)
    layer = FloatDense(np.array([[1.0]]), FloatNeuron(profile=profile, v_th=1.0))
    network = quantize(FloatNetwork((layer, layer)), max_count=3)
    assert [fixed.max_count for fixed in network.layers] == [3, 7]


def test_silent_weights() -> None:
    """All weights 0: any scale will do, nothing is divided by 0."""
    layer = FloatDense(np.zeros((2, 1)), FloatNeuron(profile=Profile(**PLAIN), v_th=3.0))
    (fixed,) = quantize(FloatNetwork((layer,))).layers
    assert fixed.weight.tolist() == [[0], [0]]
    assert fixed.neurons.threshold == 3


@pytest.mark.parametrize("seed", range(3))
def test_rates_of_fixed_and_float_network_agree(seed: int) -> None:
    """A weight is off by half a unit of 127 of the largest; a layer of constant input sums them."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(5, 6)), rng.normal(size=6) / 4
    sample = rng.integers(0, 2, (4, 5))
    network = relu_to_iaf([weight], [bias], sample, percentile=100)
    steps = 400
    raster = np.repeat(sample[:, None, :], steps, axis=1)
    real = run_float(network, raster).counts / steps
    fixed = run_fixed(quantize(network, weight_shift=4), raster).counts / steps
    unit = np.abs(network.layers[0].weight).max() / 127
    assert np.abs(real - fixed).max() <= 6 * unit / 2 + 2 / steps


@pytest.mark.parametrize(
    ("options", "neuron", "rule"),
    [
        (
            {"state_width": 8},
            {"v_th": 2.0},
            "layer 0 does not fit: threshold must be -128 to 127, not 254",
        ),
        (
            {},
            {"v_th": 1.0, "v_init": 300.0},
            "layer 0 does not fit: v_init must be -32768 to 32767, not 38100",
        ),
        (
            {"weight_width": 17},
            {"v_th": 0.001},
            "layer 0 does not fit: weight_width must be 2 to 16, not 17",
        ),
        (
            {"weight_shift": 25},
            {"v_th": 1e-9},
            "layer 0 does not fit: weight_shift must be 0 to 24",
        ),
        ({"max_count": 0}, {"v_th": 1.0}, "layer 0 does not fit: max_count must be 1 to 255"),
    ],
)
def test_wrong_fit(options: dict[str, Any], neuron: dict[str, Any], rule: str) -> None:
    layer = FloatDense(np.array([[1.0]]), FloatNeuron(profile=Profile(**PLAIN), **neuron))
    with pytest.raises(ValueError, match=rf"^{rule}"):
        quantize(FloatNetwork((layer,)), **options)


def test_wrong_fit_of_the_second_layer() -> None:
    small, large = (FloatNeuron(profile=Profile(**PLAIN), v_th=v_th) for v_th in (1.0, 1000.0))
    layers = tuple(FloatDense(np.array([[1.0]]), neuron) for neuron in (small, large))
    with pytest.raises(ValueError, match=r"^layer 1 does not fit: threshold must be "):
        quantize(FloatNetwork(layers))


def test_wrong_decay() -> None:
    """Forward Euler with a step longer than the time constant has a negative factor."""
    neuron = FloatNeuron(profile=Profile(name="euler", dt=2.0), v_th=1.0)
    with pytest.raises(ValueError, match=r"^decay must be 0 to 256, not -256$"):
        quantize_neurons(neuron, 1, scale=1.0)


@pytest.mark.parametrize("tau", [2.1, 100.0, 255.0, 256.0, 257.0, 500.0, 1000.0, 20000.0])
@pytest.mark.parametrize("decay", [Decay.EULER, Decay.EXPONENTIAL])
def test_wrong_decay_fraction(decay: Decay, tau: float) -> None:
    """Refused exactly where the factor would round to 1; the bits it names are the fewest."""
    neuron = FloatNeuron(profile=Profile(name="slow", decay=decay), v_th=1.0, tau=tau)
    alpha = 1 - 1 / tau if decay is Decay.EULER else math.exp(-1 / tau)
    fewest = min(bits for bits in range(1, 17) if round(alpha * 2**bits) < 2**bits)
    for bits in range(1, 17):
        if bits >= fewest:
            config = quantize_neurons(neuron, 1, scale=1.0, decay_fraction=bits)
            assert config.decay == round(alpha * 2**bits)
            continue
        message = rf"^decay_fraction must be at least {fewest} for tau {tau:g}, .* not {bits}$"
        with pytest.raises(ValueError, match=message):
            quantize_neurons(neuron, 1, scale=1.0, decay_fraction=bits)


def test_decay_of_one_is_no_decay() -> None:
    """A shift or a leak of nothing stays as it is."""
    profile = Profile(name="none", decay=Decay.CONSTANT)
    assert quantize_neurons(FloatNeuron(profile=profile, v_th=1.0), 1, scale=1.0).decay == 0


@pytest.mark.parametrize(("leak", "units"), [(0.006, 1), (-0.006, -1), (0.3, 30)])
def test_leak(leak: float, units: int) -> None:
    profile = Profile(name="leak", decay=Decay.CONSTANT)
    neuron = FloatNeuron(profile=profile, v_th=1.0, v_leak=leak)
    assert quantize_neurons(neuron, 1, scale=100.0).decay == units


@pytest.mark.parametrize("leak", [0.004, -0.004])
def test_wrong_leak(leak: float) -> None:
    profile = Profile(name="leak", decay=Decay.CONSTANT)
    neuron = FloatNeuron(profile=profile, v_th=1.0, v_leak=leak)
    message = rf"^leak of {leak:g} a step must not vanish, but is less than half of .* 0\.01$"
    with pytest.raises(ValueError, match=message):
        quantize_neurons(neuron, 1, scale=100.0)


def test_wrong_profiles() -> None:
    neurons = [
        FloatNeuron(profile=Profile(**PLAIN | {"name": name}), v_th=1.0) for name in ("a", "b")
    ]
    layers = tuple(FloatDense(np.array([[1.0]]), neuron) for neuron in neurons)
    message = r"^all layers must have one profile, but layer 1 has another$"
    with pytest.raises(ValueError, match=message):
        quantize(FloatNetwork(layers))
