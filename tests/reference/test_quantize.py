"""From real numbers to integers: by hand, and close to the float network."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.ann import dense_ann
from spikeloom.reference.calibrate import Conversion, Normalisation
from spikeloom.reference.convert import convert
from spikeloom.reference.dense import FloatDense, dense_layers, float_stack
from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.reference.maps import Convolution, Dense, Pool
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FloatNetwork,
    FloatPopulation,
    LateBias,
)
from spikeloom.reference.neuron_fixed import DecayRule, Emission, SynapseConfig
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.neuron_rounding import DECAY_RULES, nearest, quantize_neurons
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.profile import (
    PROFILES,
    Accumulation,
    Compared,
    Comparison,
    Decay,
    InputGain,
    Order,
    Profile,
    Reset,
)
from spikeloom.reference.quantize import quantize
from spikeloom.reference.simulate import count_outputs, run_fixed, run_float

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


def test_numbers_of_each_neuron() -> None:
    """A scale of each too: 10 and 100 units for a potential of 1."""
    neuron = FloatNeuron(
        profile=Profile(**PLAIN),
        v_th=np.array([1.0, 2.0]),
        bias=np.array([0.1, -0.026]),
        v_reset=np.array([-0.4, 0.125]),
        v_init=0.5,
        v_min=np.array([-1.0, -3.0]),
    )
    config = quantize_neurons(neuron, 2, scale=np.array([10.0, 100.0]))
    assert (config.threshold, config.bias, config.v_reset) == ((10, 200), (1, -3), (-4, 12))
    assert (config.v_init, config.floor) == ((5, 50), (-10, -300))
    assert quantize_neurons(replace(neuron, bias=9.0), 2, scale=10).bias == 90


def test_a_potential_that_rests_elsewhere() -> None:
    """``v_leak`` is a current of a quarter of it; the bias of 1 has the gain of 1/4 as well."""
    neuron = FloatNeuron(profile=Profile(name="euler"), v_th=1.0, tau=4.0, v_leak=2.0, bias=1.0)
    assert quantize_neurons(neuron, 1, scale=100).bias == 75


def test_synapse_by_hand() -> None:
    profile = Profile(
        name="synapse",
        synapse_order=Order.INPUT_FIRST,
        rounding=Rounding.TOWARD_ZERO,
        synapse_overflow=Overflow.WRAP,
    )
    neuron = FloatNeuron(
        profile=profile, v_th=1.0, tau=4.0, tau_syn=np.array([2.0, 8.0]), w_in=3.0, bias=5.0
    )
    config = quantize_neurons(neuron, 2, scale=10, state_width=12, decay_fraction=4)
    assert config.synapse == SynapseConfig(
        state=QFormat(word_length=12, rounding=Rounding.TOWARD_ZERO, overflow=Overflow.WRAP),
        decay_rule=DecayRule.MULTIPLIER,
        decay=(8, 14),
        decay_fraction=4,
        order=Order.INPUT_FIRST,
    )
    # The membrane saturates, and a bias before the synapse is none of the membrane's.
    assert config.state.overflow is Overflow.SATURATE
    assert config.bias == 0


def test_rules_of_xylo_by_hand() -> None:
    profile = PROFILES["xylo"]
    neuron = FloatNeuron(profile=profile, v_th=1.0, tau=4.0, tau_syn=16.0, max_spikes=1)
    config = quantize_neurons(neuron, 1, scale=100)
    assert (config.decay_rule, config.decay, config.shift_at_least_one) == (
        DecayRule.SHIFT,
        2,
        True,
    )
    assert config.synapse is not None
    assert (config.synapse.decay, config.synapse.shift_at_least_one) == (4, True)
    assert (config.accumulation, config.staged_overflow) == (Accumulation.EVENT, True)
    assert config.max_spikes == 1
    assert quantize_neurons(replace(neuron, max_spikes=None), 1, scale=100).max_spikes == 31


def test_neurons_that_never_spike() -> None:
    neuron = FloatNeuron(profile=Profile(name="euler"), v_th=None, tau=4.0)
    config = quantize_neurons(neuron, 1, scale=100)
    assert (config.emission, config.reset) == (Emission.POTENTIAL, Reset.NONE)
    assert config.sent == (-32768, 32767)


def test_integrators_do_not_decay() -> None:
    profile = Profile(name="euler", integrator_gain=InputGain.DT, dt=0.5)
    neuron = FloatNeuron(profile=profile, v_th=1.0, tau=None, r=3.0, bias=2.0)
    config = quantize_neurons(neuron, 1, scale=100)
    assert (config.decay_rule, config.bias) == (DecayRule.NONE, 300)


def test_network_by_hand() -> None:
    """The largest weight, -0.5, becomes -7 in four bits: 14 units for 1, 56 with the shift."""
    neuron = FloatNeuron(profile=Profile(**PLAIN, reset=Reset.SUBTRACT), v_th=0.75, bias=0.125)
    layer = FloatDense(np.array([[0.5, -0.25], [0.12, -0.5]]), neuron, np.array([0.0, 0.0625]))
    precision = Precision(weight_width=4, state_fraction=2, state_width=10)
    network = quantize(float_stack([layer]), precision)
    (fixed,) = dense_layers(network)
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
    (fixed,) = dense_layers(quantize(float_stack([layer]), Precision(weight_width=8)))
    # 127 units for a potential of 2
    assert fixed.weight.tolist() == [[127], [-32]]
    assert fixed.neurons.threshold == 254
    assert fixed.neurons.bias == 64  # 63.5 to the even
    assert fixed.neurons.decay == 224


def test_gains_of_synapse_and_membrane_go_into_the_weights() -> None:
    """1/2 * 3 of the synapse, 1/4 * 2 of the membrane: a weight of 4 adds 3 in its own step."""
    neuron = FloatNeuron(
        profile=Profile(name="euler"), v_th=4.0, tau=4.0, tau_syn=2.0, r=2.0, w_in=3.0, bias=2.0
    )
    layer = FloatDense(np.array([[4.0], [-1.0]]), neuron)
    network = quantize(float_stack([layer]))
    (population,) = network.populations.values()
    # 127 units for 3; the bias is a current of 1.5 for the synapse, 63.5 to the even.
    assert population.connections[0].maps[0].weight.tolist() == [[127], [-32]]
    assert population.neurons.threshold == 169
    assert population.neurons.bias == 0
    ((start, current),) = [(late.start, late.current) for late in population.late_bias]
    assert (start, current.tolist()) == (0, [64])


def test_max_count_follows_the_layer_before() -> None:
    profile = Profile(**PLAIN, reset=Reset.SUBTRACT, max_spikes=7)
    layer = FloatDense(np.array([[1.0]]), FloatNeuron(profile=profile, v_th=1.0))
    inputs = {"input": FixedInput(shape=(1,), high=3)}
    network = quantize(float_stack([layer, layer]), inputs=inputs)
    assert [fixed.max_count for fixed in dense_layers(network)] == [3, 7]


@pytest.mark.parametrize(("most", "high", "clips"), [(None, 1, False), (15, 15, True)])
def test_inputs_by_default(most: int | None, high: int, clips: bool) -> None:
    profile = Profile(**PLAIN, max_input_count=most)
    layer = FloatDense(np.ones((2, 1)), FloatNeuron(profile=profile, v_th=1.0))
    entry = quantize(float_stack([layer])).inputs["input"]
    assert (entry.shape, entry.low, entry.high, entry.clips) == ((2,), 0, high, clips)


def test_silent_weights() -> None:
    """All weights 0: any scale will do, nothing is divided by 0."""
    layer = FloatDense(np.zeros((2, 1)), FloatNeuron(profile=Profile(**PLAIN), v_th=3.0))
    for scale in Scale:
        (fixed,) = dense_layers(quantize(float_stack([layer]), Precision(scale=scale)))
        assert fixed.weight.tolist() == [[0], [0]]
        assert fixed.neurons.threshold == 3


TWO = [
    FloatDense(
        np.array([[1.0, 0.5], [-0.25, 0.125]]), FloatNeuron(profile=Profile(**PLAIN), v_th=1.0)
    ),
    FloatDense(np.array([[4.0], [1.0]]), FloatNeuron(profile=Profile(**PLAIN), v_th=2.0)),
]


@pytest.mark.parametrize(
    ("scale", "weights", "thresholds"),
    [
        # 7 units for 1, and 7/4 units: 7, 3.5 (4), -1.75, 0.875; 7, 1.75.
        (Scale.LAYER, ([[7, 4], [-2, 1]], [[7], [2]]), (7, 4)),
        # The second column has 14 units for 1.
        (Scale.NEURON, ([[7, 7], [-2, 2]], [[7], [2]]), ((7, 14), 4)),
        # 7/4 units for 1 in all: 1.75, 0.875, -0.4375, 0.21875; threshold 1.75 and 3.5 (4).
        (Scale.NETWORK, ([[2, 1], [0, 0]], [[7], [2]]), (2, 4)),
    ],
)
def test_scales(scale: Scale, weights: Any, thresholds: Any) -> None:
    network = quantize(float_stack(TWO), Precision(weight_width=4, scale=scale))
    assert tuple(layer.weight.tolist() for layer in dense_layers(network)) == weights
    assert tuple(layer.neurons.threshold for layer in dense_layers(network)) == thresholds


def test_scale_of_a_neuron_takes_the_places_that_the_state_has() -> None:
    """In one layer's unit the weights of a finer connection take up to two more bits."""
    neuron = FloatNeuron(profile=Profile(**PLAIN), v_th=1.0)
    one = FloatPopulation(
        shape=(1,),
        neuron=neuron,
        connections=(
            Connection(source="in", maps=(Dense(np.array([[1.0]])),)),
            Connection(source="in", maps=(Dense(np.array([[0.2]])),), delay=1),
        ),
    )
    network = FloatNetwork({"in": (1,)}, {"a": one}, {"out": "a"})
    for fraction, shift, weight in ((0, 0, 1), (1, 0, 3), (2, 0, 6), (3, 1, 6)):
        fixed = quantize(network, Precision(weight_width=4, state_fraction=fraction))
        first, second = fixed.populations["a"].connections
        assert (first.maps[0].weight.item(), first.shift) == (7, fraction)
        # 7 * 0.2 = 1.4, 2.8, 5.6; 11.2 would not fit into four bits.
        assert (second.maps[0].weight.item(), second.shift, second.delay) == (weight, shift, 1)


def test_percentile() -> None:
    """The median of 1, 2, 3, 4, 10 fills the word: 3 becomes 7, and larger ones are clipped."""
    weight = np.array([[1.0], [2.0], [-3.0], [4.0], [-10.0]])
    layer = FloatDense(weight, FloatNeuron(profile=Profile(**PLAIN), v_th=3.0))
    precision = Precision(weight_width=4, percentile=50)
    (fixed,) = dense_layers(quantize(float_stack([layer]), precision))
    # 2.33, 4.67, -7, 9.33, -23.3
    assert fixed.weight.tolist() == [[2], [5], [-7], [7], [-8]]
    assert fixed.neurons.threshold == 7


def conv_network(r: Any, v_th: Any = 1.0) -> FloatNetwork:
    """Two output channels with largest weights of 1 and 0.25, pooled two by one."""
    weight = np.array([[[[1.0, -0.5]]], [[[0.25, 0.125]]]])
    conv = Convolution(weight, (1, 2, 3), (1, 1), (0, 0), (1, 1))
    pool = Pool((2, 2, 2), (2, 1), (1, 1), (0, 0))
    population = FloatPopulation(
        shape=(2, 1, 2),
        neuron=FloatNeuron(profile=Profile(**PLAIN), v_th=v_th, tau=1.0, r=r),
        connections=(Connection(source="in", maps=(conv, pool)),),
    )
    return FloatNetwork({"in": (1, 2, 3)}, {"a": population}, {"out": "a"})


def test_scale_of_a_channel() -> None:
    """A channel's weights are shared, so its scale is one; the pool changes nothing."""
    precision = Precision(weight_width=4, scale=Scale.NEURON)
    fixed = quantize(conv_network(np.ones((2, 1, 2))), precision).populations["a"]
    conv, pool = fixed.connections[0].maps
    # 7 and 28 units for 1.
    assert conv.weight.reshape(2, 2).tolist() == [[7, -4], [7, 4]]
    assert isinstance(pool, Pool)
    assert fixed.neurons.threshold == (7, 7, 28, 28)


def test_wrong_gains_of_shared_weights() -> None:
    message = (
        r"^a does not fit: the weights from 'in' are shared by neurons whose gains or scales"
        r" differ; "
    )
    with pytest.raises(ValueError, match=message):
        quantize(conv_network(np.array([[[1.0, 2.0]], [[1.0, 1.0]]])))
    # By channel they may differ.
    gains = np.broadcast_to(np.array([1.0, 4.0]).reshape(2, 1, 1), (2, 1, 2))
    fixed = quantize(conv_network(gains), Precision(weight_width=4)).populations["a"]
    assert fixed.connections[0].maps[0].weight.reshape(2, 2).tolist() == [[7, -4], [7, 4]]


def test_a_connection_without_weights_gets_them() -> None:
    neuron = FloatNeuron(profile=Profile(**PLAIN), v_th=1.0)
    one = FloatPopulation(
        shape=(2,), neuron=neuron, connections=(Connection(source="in"),), late_bias=()
    )
    network = FloatNetwork({"in": (2,)}, {"a": one}, {"out": "a"})
    fixed = quantize(network, Precision(weight_width=4)).populations["a"]
    assert fixed.connections[0].maps[0].weight.tolist() == [7, 7]
    assert fixed.neurons.threshold == 7


def test_real_inputs() -> None:
    """An integer that stands for quarters: 7 units of weight are 28 units for 1."""
    layer = FloatDense(np.array([[1.0]]), FloatNeuron(profile=Profile(**PLAIN), v_th=2.0))
    inputs = {"input": FixedInput(shape=(1,), low=-8, high=7, fraction_bits=2)}
    network = quantize(
        float_stack([layer]), Precision(weight_width=4, state_width=6), inputs=inputs
    )
    fixed = network.populations["layer_0"]
    assert (fixed.connections[0].maps[0].weight.item(), fixed.connections[0].shift) == (7, 0)
    assert fixed.neurons.threshold == 56
    # 7 bits hold that; four more are above it.
    assert fixed.neurons.state.word_length == 11
    found = run_fixed(network, [[[4], [-3], [7]]])
    assert found.membrane["layer_0"].ravel().tolist() == [28, 7, 0]
    assert found.output.ravel().tolist() == [0, 0, 1]


def sums(weights: dict[str, float], *, loop: bool = False) -> FloatNetwork:
    """``in`` to ``a`` to ``b`` to ``c``, weighted sums; the order of names is another."""
    neuron = FloatNeuron(profile=Profile(name="sum", input_gain=InputGain.ONE), v_th=None)
    populations = {}
    for name, source, inputs in (("c", "b", 1), ("b", "a", 1), ("a", "in", 400)):
        maps = (Dense(np.full((inputs, 1), weights[name])),)
        connections = [Connection(source=source, maps=maps)]
        if loop and name == "b":
            connections.append(Connection(source="c", maps=maps, delay=1))
        populations[name] = FloatPopulation(
            shape=(1,), neuron=neuron, connections=tuple(connections)
        )
    return FloatNetwork({"in": (400,)}, populations, {"out": "c"})


@pytest.mark.parametrize("fraction", [0, 3])
def test_potentials_are_weighed_in_their_unit(fraction: int) -> None:
    """Each sum of sums has 127 units where the one before has 1; 32 bits are the most."""
    network = sums({"a": 2.0, "b": 1.0, "c": 1.0})
    fixed = quantize(network, Precision(state_fraction=fraction))
    assert [*fixed.populations] == ["c", "b", "a"]
    found = run_fixed(fixed, np.ones((1, 2, 400), dtype=int))
    real = run_float(network, np.ones((1, 2, 400)))
    assert real.output.ravel().tolist() == [800, 800]
    a, b = 50800 << fraction, 127 * 50800 << fraction
    # 127 * b has 31 bits; eight times that has 34, so that the weight is a quarter of 127.
    c = 127 * b if fraction == 0 else 32 * b
    for name, integer in (("a", a), ("b", b), ("c", c)):
        assert found.membrane[name].ravel().tolist() == [integer] * 2
        # No wider than a sum of all inputs is.
        assert fixed.populations[name].neurons.state.word_length == integer.bit_length() + 1
    assert found.overflows == {"a": 0, "b": 0, "c": 0}


def test_a_loop_of_sums_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^'[bc]' must not hear its own potential, over others"):
        quantize(sums({"a": 2.0, "b": 1.0, "c": 1.0}, loop=True))


def heard_potentials(kind: str) -> FloatNetwork:
    """Three leaky neurons that hear themselves over a population that sends potentials."""
    rng = np.random.default_rng(5)
    euler = Profile(name="euler", comparison=Comparison.GT)
    plain = Profile(name="euler", input_gain=InputGain.ONE)
    between = {
        "leaky": FloatNeuron(profile=euler, v_th=None, tau=8.0),
        "sum": FloatNeuron(profile=plain, v_th=None, tau=1.0),
    }[kind]
    lif = FloatPopulation(
        shape=(3,),
        neuron=FloatNeuron(profile=euler, v_th=0.4, tau=4.0),
        connections=(
            Connection(source="in", maps=(Dense(rng.normal(0.3, 1.0, (4, 3))),)),
            Connection(source="back", maps=(Dense(rng.normal(0, 0.5, (3, 3))),), delay=1),
        ),
    )
    back = FloatPopulation(
        shape=(3,),
        neuron=between,
        connections=(Connection(source="lif", maps=(Dense(rng.normal(0, 1.0, (3, 3))),)),),
    )
    return FloatNetwork({"in": (4,)}, {"lif": lif, "back": back}, {"out": "lif"})


@pytest.mark.parametrize("kind", ["leaky", "sum"])
@pytest.mark.parametrize("scale", [Scale.LAYER, Scale.NEURON])
def test_a_loop_over_potentials(kind: str, scale: Scale) -> None:
    """With wide words nearly every spike is that of the float network, and nothing overflows."""
    network = heard_potentials(kind)
    raster = (np.random.default_rng(2).random((20, 40, 4)) < 0.5).astype(int)
    real = run_float(network, raster)
    assert real.output.sum() > 300
    words = Precision(
        weight_width=14, state_width=24, state_fraction=4, decay_fraction=16, scale=scale
    )
    found = run_fixed(quantize(network, words), raster)
    # A spike that differs is fed back, so a few may follow from one whose potential was close.
    assert np.mean(real.output != found.output) < 0.01
    assert found.overflows == {"lif": 0, "back": 0}


def test_potentials_that_go_out_share_a_scale() -> None:
    """Which of two is larger must be the same in integers: 3 against 2, weights 1 and 100."""
    neuron = FloatNeuron(profile=Profile(name="sum", input_gain=InputGain.ONE), v_th=None)
    network = float_stack([FloatDense(np.array([[1.0, 0.0], [0.0, 100.0]]), neuron, [200.0, 0.0])])
    fixed = quantize(network, Precision(scale=Scale.NEURON))
    found = run_fixed(fixed, np.array([[[1, 1]]]))
    assert found.decision.tolist() == run_float(network, [[[1, 1]]]).decision.tolist() == [0]
    resolution = fixed.populations["layer_0"].resolution
    assert found.output.ravel() * resolution == pytest.approx([201, 100], abs=0.51 * 100 / 127)


def test_percentile_is_of_weights_that_are_not_0() -> None:
    neuron = FloatNeuron(profile=Profile(**PLAIN), v_th=1.0)
    weight = np.zeros((100, 1))
    weight[:3, 0] = 1.0, 2.0, 3.0
    for scale in (Scale.LAYER, Scale.NEURON):
        precision = Precision(percentile=50.0, scale=scale, weight_width=8)
        (layer,) = dense_layers(quantize(float_stack([FloatDense(weight, neuron)]), precision))
        # 2 fills the word; 3 is clipped to its end.
        assert layer.weight[:4, 0].tolist() == [64, 127, 127, 0]


def test_calibration_counts_synaptic_currents() -> None:
    """A current of 300 thresholds, which the reset keeps from the potential, must not overflow."""
    profile = Profile(name="cuba", synapse_gain=InputGain.ONE, input_gain=InputGain.ONE)
    neuron = FloatNeuron(profile=profile, v_th=1.0, tau=1.0, tau_syn=100.0)
    network = float_stack([FloatDense(np.array([[1.0]]), neuron)])
    raster = np.ones((1, 800, 1), dtype=int)
    precision = Precision(state_fraction=None)
    fixed = quantize(network, precision, calibration=raster)
    found = run_fixed(fixed, raster)
    assert found.synapse["layer_0"].max() > 9000
    assert found.overflows == {"layer_0": 0}


def test_a_threshold_that_vanishes() -> None:
    neuron = FloatNeuron(
        profile=Profile(name="iaf", reset=Reset.SUBTRACT, input_gain=InputGain.ONE), v_th=0.001
    )
    message = r"threshold must be at least 1 in units of the state's last place, not 0.13: more"
    with pytest.raises(ValueError, match=message):
        quantize(float_stack([FloatDense(np.array([[1.0]]), neuron)]))


def test_late_bias() -> None:
    neuron = FloatNeuron(profile=Profile(name="euler"), v_th=1.0, tau=2.0)
    one = FloatPopulation(
        shape=(2,),
        neuron=neuron,
        connections=(Connection(source="in", maps=(Dense(np.array([[2.0, 1.0]])),)),),
        late_bias=(LateBias(3, np.array([1.0, -0.5])),),
    )
    network = FloatNetwork({"in": (1,)}, {"a": one}, {"out": "a"})
    (late,) = (
        quantize(network, Precision(weight_width=4, state_fraction=1)).populations["a"].late_bias
    )
    # 7 units for 1, 14 with the shift; half of the bias counts.
    assert (late.start, late.current.tolist()) == (3, [7, -4])


def test_state_fraction_follows_calibration() -> None:
    """Three inputs of 1 bring potentials up to 3, thus 381 of 32768: 6 places fit behind.

    So they do with a quarter more, for what is not in the data.
    """
    neuron = FloatNeuron(profile=Profile(**PLAIN), v_th=None, tau=None)
    layer = FloatDense(np.array([[1.0]]), neuron)
    network = float_stack([layer])
    fixed = quantize(network, Precision(state_fraction=None), calibration=np.ones((1, 3, 1)))
    assert fixed.populations["layer_0"].connections[0].shift == 6
    # One input of 1, 127 and a quarter more: 206 times as much fits.
    fixed = quantize(network, Precision(state_fraction=None), calibration=np.ones((1, 1, 1)))
    assert fixed.populations["layer_0"].connections[0].shift == 7
    # A fifth of that: eight places at most.
    fixed = quantize(network, Precision(state_fraction=None), calibration=np.full((1, 1, 1), 0.2))
    assert fixed.populations["layer_0"].connections[0].shift == 8
    # 2**16: the potentials do not even fit as they are.
    fixed = quantize(network, Precision(state_fraction=None), calibration=np.ones((1, 600, 1)))
    assert fixed.populations["layer_0"].connections[0].shift == 0


def test_calibration_sees_the_potential_before_the_reset() -> None:
    """4 less the threshold of 3 leaves 1, but the word has to hold 4: 7 * 4 of 128 leave 2."""
    profile = Profile(**PLAIN, reset=Reset.SUBTRACT)
    layer = FloatDense(np.array([[4.0]]), FloatNeuron(profile=profile, v_th=3.0))
    precision = Precision(weight_width=4, state_width=8, state_fraction=None)
    fixed = quantize(float_stack([layer]), precision, calibration=np.ones((1, 1, 1)))
    # 7 units for 4; a potential of twice the threshold, 6, is 10.5: 12.2 of that fit.
    assert dense_layers(fixed)[0].weight_shift == 3


def test_calibration_sees_all_spikes_of_a_step() -> None:
    """16 is five times the threshold and 1: 7 units of 128 leave 3 places and a quarter's room.

    Those of 6, twice the threshold, would leave 5.
    """
    profile = Profile(**PLAIN, reset=Reset.SUBTRACT, max_spikes=7)
    layer = FloatDense(np.array([[16.0]]), FloatNeuron(profile=profile, v_th=3.0))
    precision = Precision(weight_width=4, state_width=8, state_fraction=None)
    fixed = quantize(float_stack([layer]), precision, calibration=np.ones((1, 1, 1)))
    assert dense_layers(fixed)[0].weight_shift == 3


def test_wrong_calibration() -> None:
    message = r"^calibration must be given where state_fraction is to follow it$"
    with pytest.raises(ValueError, match=message):
        quantize(float_stack(TWO), Precision(state_fraction=None))


@pytest.mark.parametrize("seed", range(3))
def test_rates_of_fixed_and_float_network_agree(seed: int) -> None:
    """A weight is off by half a unit of 127 of the largest; a layer of constant input sums them."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(5, 6)), rng.normal(size=6) / 4
    sample = rng.integers(0, 2, (4, 5))
    options = Conversion(
        normalisation=Normalisation.MAXIMUM, max_spikes=1, bias_correction=False, weight_width=None
    )
    network = convert(dense_ann([weight], [bias]), sample, options).network
    steps = 400
    raster = np.repeat(sample[:, None, :], steps, axis=1)
    real = run_float(network, raster).counts / steps
    fixed = run_fixed(quantize(network, Precision(state_fraction=4)), raster).counts / steps
    (layer,) = network.populations.values()
    unit = np.abs(layer.connections[0].maps[0].weight).max() / 127
    assert np.abs(real - fixed).max() <= 6 * unit / 2 + 2 / steps


def test_braille(shared: Path) -> None:
    """97.32 % in real numbers; 8-bit weights of a scale a neuron lose 0.3 points at most."""
    path = shared / "nir" / "braille" / "braille_noDelay_noBias_subtract.nir"
    network = network_of(read_nir(path).graph, replace(PROFILES["norse"], reset=Reset.SUBTRACT))
    samples = np.load(shared / "data" / "braille7_unique_samples.npz")
    precision = Precision(scale=Scale.NEURON, state_fraction=None, decay_fraction=12)
    fixed = quantize(network, precision, calibration=samples["x"][:200])
    (counts,) = count_outputs(fixed, [samples["x"]])
    right = np.count_nonzero(np.argmax(counts, axis=1) == samples["y"])
    assert right / len(samples["y"]) >= 0.97


@pytest.mark.parametrize(
    ("options", "neuron", "rule"),
    [
        (
            {"state_width": 8},
            {"v_th": 2.0},
            "layer_0 does not fit: threshold must be -128 to 127, not 254: a state of 9 bits holds",
        ),
        (
            {},
            {"v_th": 1.0, "v_init": 300.0},
            "layer_0 does not fit: v_init must be -32768 to 32767, not 38100",
        ),
    ],
)
def test_wrong_fit(options: dict[str, Any], neuron: dict[str, Any], rule: str) -> None:
    layer = FloatDense(np.array([[1.0]]), FloatNeuron(profile=Profile(**PLAIN), **neuron))
    with pytest.raises(ValueError, match=rf"^{rule}"):
        quantize(float_stack([layer]), Precision(**options))


def test_wrong_fit_of_the_second_layer() -> None:
    small, large = (FloatNeuron(profile=Profile(**PLAIN), v_th=v_th) for v_th in (1.0, 1000.0))
    layers = [FloatDense(np.array([[1.0]]), neuron) for neuron in (small, large)]
    with pytest.raises(ValueError, match=r"^layer_1 does not fit: threshold must be "):
        quantize(float_stack(layers))


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
        FloatNeuron(profile=Profile(**PLAIN | {"name": name}), v_th=1.0) for name in ("b", "a")
    ]
    layers = [FloatDense(np.array([[1.0]]), neuron) for neuron in neurons]
    message = r"^all populations must have one profile, not a, b$"
    with pytest.raises(ValueError, match=message):
        quantize(float_stack(layers))


@given(st.floats(-(2.0**50), 2.0**50))
def test_nearest(real: float) -> None:
    """Ties to even, as Python rounds fractions; beyond 48 bits the ends of the word."""
    assert nearest(real) == min(max(round(Fraction(real)), -(2**47)), 2**47 - 1)
    assert nearest([[0.5, 1.5, -0.5]]).tolist() == [[0, 2, 0]]


def test_wrong_threshold_names_the_range() -> None:
    """From 1 on where the reset subtracts it; else from the word's least."""
    for reset, range_ in ((Reset.SUBTRACT, "1 to 127"), (Reset.TO_VALUE, "-128 to 127")):
        neuron = FloatNeuron(profile=Profile(**PLAIN, reset=reset), v_th=1.0)
        assert quantize_neurons(neuron, 1, scale=127, state_width=8).threshold == 127
        message = rf"^threshold must be {range_}, not 128: a state of 9 bits holds it, or narrower"
        with pytest.raises(ValueError, match=message):
            quantize_neurons(neuron, 1, scale=128, state_width=8)
    subtract = FloatNeuron(profile=Profile(**PLAIN, reset=Reset.SUBTRACT), v_th=1.0)
    assert quantize_neurons(subtract, 1, scale=0.75).threshold == 1
    with pytest.raises(ValueError, match=r"^threshold must be at least 1 in units .* not 0\.25: "):
        quantize_neurons(subtract, 1, scale=0.25)
