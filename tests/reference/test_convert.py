"""From ReLU to IAF: closed-form rates, and activations that come back."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.ann import (
    Norm,
    ReLU,
    activations,
    dense_ann,
    global_pool,
    relu_network,
)
from spikeloom.reference.calibrate import Conversion, Normalisation
from spikeloom.reference.coding import Coding, encode
from spikeloom.reference.convert import convert
from spikeloom.reference.graph import Affine, Conv2d, Flatten, Graph, Input, Output, SumPool2d
from spikeloom.reference.network import FixedInput, FloatNetwork
from spikeloom.reference.nir_export import write_nir
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.profile import IAF, Compared, Comparison, Decay, InputGain, Order, Reset
from spikeloom.reference.quantize import quantize
from spikeloom.reference.simulate import run_fixed, run_float


def plain(**options: Any) -> Conversion:
    """A conversion with one spike a step, and weights and biases as they are."""
    return Conversion(
        **({"max_spikes": 1, "bias_correction": False, "weight_width": None} | options)
    )


LARGEST = plain(normalisation=Normalisation.MAXIMUM)


def residual(seed: int) -> Graph:
    """Two convolutions and a way past them, a pool and a dense layer; 6 x 6 places."""
    rng = np.random.default_rng(seed)

    def conv(channels: int, before: int, kernel: int) -> Conv2d:
        weight = rng.normal(0, 1 / kernel, (channels, before, kernel, kernel))
        pad = (kernel // 2,) * 2
        return Conv2d(weight, rng.normal(0, 0.1, channels), (1, 1), pad, (1, 1), 1)

    nodes: dict[str, Any] = {
        "input": Input((1, 6, 6)),
        "stem": conv(4, 1, 3),
        "r0": ReLU(),
        "a": conv(4, 4, 3),
        "norm": Norm(rng.uniform(0.5, 1.5, 4), rng.normal(0, 0.1, 4)),
        "r1": ReLU(),
        "b": conv(4, 4, 3),
        "r2": ReLU(),
        "pool": SumPool2d((2, 2), (2, 2), (0, 0)),
        "flat": Flatten(0, 2),
        "dense": Affine(rng.normal(size=(3, 36)), rng.normal(size=3)),
        "output": Output((3,)),
    }
    names = ["input", "stem", "r0", "a", "norm", "r1", "b", "r2", "pool", "flat", "dense", "output"]
    return Graph(nodes, (*pairwise(names), ("r0", "r2")))


def test_profile() -> None:
    """Nothing leaks, nothing scales, nothing is lost at a spike."""
    assert (IAF.decay, IAF.input_gain, IAF.reset) == (Decay.NONE, InputGain.ONE, Reset.SUBTRACT)
    assert (IAF.order, IAF.comparison) == (Order.DECAY_FIRST, Comparison.GE)
    assert (IAF.compared, IAF.max_spikes) == (Compared.NEW, 1)


def test_weights_by_hand() -> None:
    """The largest activations are 6 and then 12; each layer is scaled to 1."""
    ann = dense_ann([[[2.0, -1.0], [4.0, 0.0]], [[2.0], [5.0]]], [[0.0, 1.0], [0.0]])
    network = convert(ann, [[1.0, 1.0], [0.0, 0.0]], LARGEST).network
    first, second = network.populations.values()
    weights = [each.connections[0].maps[0].weight for each in (first, second)]
    # Activations: (6, 0) and (0, 1); then 12 and 5.
    assert weights[0] == pytest.approx(np.array([[2.0, -1.0], [4.0, 0.0]]) / 6)
    assert np.asarray(first.neuron.bias) == pytest.approx(np.array([0.0, 1.0]) / 6)
    assert weights[1] == pytest.approx(np.array([[2.0], [5.0]]) * 6 / 12)
    assert second.neuron.bias == 0.0
    for layer in (first, second):
        assert (layer.neuron.v_th, layer.neuron.v_init, layer.neuron.max_spikes) == (1.0, 0.5, 1)
        assert layer.neuron.profile is IAF


def test_channels_by_hand() -> None:
    """Each neuron by its own largest, 6 and 1; one spike in three stands for a third of it."""
    ann = dense_ann([[[2.0, -1.0], [4.0, 0.0]], [[2.0], [5.0]]], [[0.0, 1.0], [0.0]])
    options = plain(normalisation=Normalisation.MAXIMUM, max_spikes=3, per_channel=True)
    converted = convert(ann, [[1.0, 1.0], [0.0, 0.0]], options)
    assert converted.units["layer_0"] == pytest.approx(np.array([2, 1 / 3]))
    first, second = converted.network.populations.values()
    assert first.connections[0].maps[0].weight == pytest.approx(np.array([[1, -3], [2, 0]]))
    assert second.connections[0].maps[0].weight == pytest.approx(np.array([[4], [5 / 3]]) / 4)


def test_percentile() -> None:
    """Of activations 1 to 5 the median is 3."""
    calibration = np.arange(1, 6)[:, None] / 5
    options = plain(normalisation=Normalisation.PERCENTILE, percentile=50)
    network = convert(dense_ann([[[5.0]]], [[0.0]]), calibration, options).network
    weight = network.populations["layer_0"].connections[0].maps[0].weight
    assert weight == pytest.approx(np.array([[5 / 3]]))


def test_current() -> None:
    """The largest sum that arrives in a step, not the largest activation: two spikes at once."""
    options = plain(
        normalisation=Normalisation.CURRENT, per_channel=False, steps=2, coding=Coding.RATE
    )
    converted = convert(dense_ann([[[1.0], [2.0]]], [[0.5]]), [[0.5, 0.5]], options)
    # Half a spike a step each: both come in the same one of the two steps.
    assert converted.units["layer_0"].tolist() == [3.5]


def test_ceiling_is_the_threshold() -> None:
    """A clipped unit is never given more than its ceiling."""
    nodes = {"input": Input((1,)), "w": Affine(np.array([[9.0]]), np.zeros(1)), "r": ReLU(2.0)}
    graph = Graph(nodes | {"output": Output((1,))}, (("input", "w"), ("w", "r"), ("r", "output")))
    for normalisation in Normalisation:
        converted = convert(graph, [[1.0]], plain(normalisation=normalisation))
        assert 1.9 < converted.units["r"].item() <= 2.0
        run = run_float(converted.network, np.ones((1, 7, 1)))
        assert run.counts.tolist() == [[7]]


def one_neuron(weight: float, bias: float) -> FloatNetwork:
    """A neuron whose activations are not scaled: a second one has the largest, 1."""
    return convert(dense_ann([[[weight, 0.0]]], [[bias, 1.0]]), [[1.0]], LARGEST).network


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


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 4, 16, 100]),
    st.sampled_from([1, 3, 15]),
    st.booleans(),
    st.sampled_from([0.0, 0.5]),
)
def test_rate_converges_to_the_relu(
    seed: int, steps: int, most: int, per_channel: bool, v_init: float
) -> None:
    """A random layer and constant input: the rate is the ReLU to one spike in all steps.

    In single precision: a sum that ends next to a threshold can fall on its other side.
    """
    rng = np.random.default_rng(seed)
    ann = dense_ann([rng.normal(size=(5, 6))], [rng.normal(size=6)])
    samples = rng.random((4, 5))
    options = plain(
        normalisation=Normalisation.MAXIMUM,
        per_channel=per_channel,
        max_spikes=most,
        v_init=v_init,
    )
    relu = activations(relu_network(ann), samples)["layer_0"]
    if not relu.max() > 0:
        return
    converted = convert(ann, samples, options)
    unit = converted.units["layer_0"]
    rates = run_float(converted.network, encode(samples, steps)).counts * unit / steps
    assert np.all(np.abs(rates - relu) <= unit / steps * (1 + 1e-4))


@pytest.mark.parametrize("seed", range(3))
def test_rates_approach_the_activations(seed: int) -> None:
    """Two layers; the input is constant, so the first layer's rates are right to 1/T."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(6, 8)), rng.normal(size=(8, 3))]
    biases = [rng.normal(size=8) / 4, rng.normal(size=3) / 4]
    sample = rng.integers(0, 2, (4, 6)).astype(float)
    network = convert(dense_ann(weights, biases), sample, LARGEST).network
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


@pytest.mark.parametrize("options", [
    LARGEST,
    plain(),
    plain(max_spikes=7, bias_correction=True, steps=8),
    plain(normalisation=Normalisation.CURRENT, per_channel=False),
])  # fmt: skip
def test_residual_network_comes_to_its_scores(options: Conversion) -> None:
    """In many steps, whatever spikes stand for: only what saturates is lost, if not the largest."""
    graph = residual(0)
    samples = np.random.default_rng(1).random((6, 1, 6, 6))
    steps = 600
    converted = convert(graph, samples, options)
    scores = activations(converted.ann, samples)["output"]
    found = run_float(converted.network, encode(samples, steps)).counts / steps
    error = np.abs(found - scores).max() / np.abs(scores).max()
    whole = options.normalisation in (Normalisation.MAXIMUM, Normalisation.CURRENT)
    assert error <= (0.02 if whole else 0.1)


def test_bias_correction_lessens_the_error() -> None:
    """Of four steps, on the calibration data themselves."""
    graph = residual(2)
    samples = np.random.default_rng(3).random((32, 1, 6, 6))
    errors = []
    for correction in (False, True):
        options = plain(steps=4, bias_correction=correction)
        converted = convert(graph, samples, options)
        scores = activations(converted.ann, samples)["output"]
        found = run_float(converted.network, encode(samples, 4)).counts / 4
        errors.append(float(np.abs((found - scores).mean(axis=0)).max()))
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("coding", Coding)
def test_codings(coding: Coding) -> None:
    """All bring the same numbers on average, and so the same scores in the end."""
    ann = dense_ann([np.array([[1.0, -1.0], [0.5, 2.0]])], [np.array([0.25, 0.0])])
    samples = np.array([[0.25, 0.5], [1.0, 0.0], [0.0, 0.75]])
    normalisation = Normalisation.CURRENT  # in some steps more arrives than on average
    options = plain(coding=coding, normalisation=normalisation, max_spikes=7, steps=8)
    converted = convert(ann, samples, options)
    steps = 400
    stimulus = encode(samples, steps, coding, seed=5)
    network = converted.network
    assert ("held" in network.populations) == (coding is Coding.FIRST_SPIKE)
    rates = run_float(network, stimulus).counts / steps * converted.units["layer_0"]
    relu = activations(converted.ann, samples)["layer_0"]
    # By chance: the mean of 400 throws is off by 4 standard deviations of 1/40 each at most.
    tolerance = 0.25 if coding is Coding.BERNOULLI else 0.02
    assert np.abs(rates - relu).max() <= tolerance


def test_file_and_memory_are_the_same_integers(tmp_path: Path) -> None:
    """Initial potentials and spikes a step are in the file, as metadata."""
    samples = np.random.default_rng(4).random((8, 1, 6, 6))
    converted = convert(residual(4), samples, plain(max_spikes=3, steps=4))
    write_nir(converted.graph, tmp_path / "model.nir")
    file = read_nir(tmp_path / "model.nir")
    assert file.repairs == ()
    inputs = {"input": FixedInput(shape=(1, 6, 6), high=256, fraction_bits=8)}
    stimulus = np.rint(encode(samples, 4) * 256).astype(int)
    runs = [
        run_fixed(
            quantize(
                network,
                Precision(scale=Scale.NEURON, state_fraction=2),
                inputs=inputs,
            ),
            stimulus,
        )
        for network in (converted.network, network_of(file.graph, IAF))
    ]
    assert runs[0].output.any()
    assert max(int(each.max()) for each in runs[0].spikes.values()) > 1
    for name, membrane in runs[0].membrane.items():
        assert np.array_equal(membrane, runs[1].membrane[name])


def after(*nodes: tuple[str, Any], edges: tuple[tuple[str, str], ...] = ()) -> Graph:
    """Nodes one after the other, and more edges."""
    return Graph(dict(nodes), (*pairwise(name for name, _ in nodes), *edges))


def padded(rng: np.random.Generator, channels: int, before: int) -> Conv2d:
    weight = rng.normal(0, 0.4, (channels, before, 3, 3))
    return Conv2d(weight, rng.normal(0, 0.2, channels), (1, 1), (1, 1), (1, 1), 1)


def behind_units(rng: np.random.Generator) -> Graph:
    """Keras' order: a normalisation between units and a padded convolution."""
    return after(
        ("input", Input((1, 6, 6))),
        ("stem", padded(rng, 3, 1)),
        ("r0", ReLU()),
        ("norm", Norm(rng.uniform(0.5, 1.5, 3), rng.normal(0, 0.3, 3))),
        ("conv", padded(rng, 2, 3)),
        ("r1", ReLU()),
        ("flat", Flatten(0, 2)),
        ("dense", Affine(rng.normal(size=(4, 72)), rng.normal(size=4))),
        ("output", Output((4,))),
    )


def before_activation(rng: np.random.Generator) -> Graph:
    """A residual sum, normalised, and then the units (He et al., ECCV 2016)."""
    return after(
        ("input", Input((1, 6, 6))),
        ("stem", padded(rng, 3, 1)),
        ("r0", ReLU()),
        ("conv", padded(rng, 3, 3)),
        ("norm", Norm(rng.uniform(0.5, 1.5, 3), rng.normal(0, 0.3, 3))),
        ("r1", ReLU()),
        ("flat", Flatten(0, 2)),
        ("dense", Affine(rng.normal(size=(4, 108)), rng.normal(size=4))),
        ("output", Output((4,))),
        edges=(("r0", "norm"),),
    )


def mean_at_the_end(rng: np.random.Generator) -> Graph:
    """The scores are means over all places of units."""
    return after(
        ("input", Input((1, 6, 6))),
        ("stem", padded(rng, 3, 1)),
        ("r0", ReLU()),
        ("pool", global_pool((3, 6, 6))),
        ("flat", Flatten(0, 2)),
        ("output", Output((3,))),
    )


@pytest.mark.parametrize("make", [behind_units, before_activation, mean_at_the_end])
def test_ordinary_networks(tmp_path: Path, make: Any) -> None:
    """What a network sends on average, out of its file, is what it was trained to send."""
    rng = np.random.default_rng(11)
    ann = make(rng)
    samples = rng.random((40, 1, 6, 6))
    converted = convert(ann, samples, Conversion(weight_width=12))
    write_nir(converted.graph, tmp_path / "a.nir")
    network = network_of(read_nir(tmp_path / "a.nir").graph, IAF)
    wanted = activations(relu_network(ann), samples)["output"]
    counts = run_float(network, encode(samples, 64)).counts
    assert np.abs(counts / 64 - wanted).max() < 0.03 * np.abs(wanted).max()


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("normalisation", Normalisation)
def test_a_silent_layer_is_refused(normalisation: Normalisation, per_channel: bool) -> None:
    options = Conversion(normalisation=normalisation, per_channel=per_channel)
    with pytest.raises(ValueError, match=r"^'layer_1' must be active on the calibration data"):
        convert(dense_ann([[[1.0]], [[-1.0]]], [[0.0], [-1.0]]), [[1.0]], options)


def test_a_silent_channel_has_the_ceiling_of_the_others() -> None:
    ann = dense_ann([[[8.0, -1.0]]], [[0.0, 0.0]])
    units = convert(ann, [[1.0], [0.5]], plain(per_channel=True)).units["layer_0"]
    assert units[0] == units[1] > 6


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((0, 1)), "^calibration must have samples, but has none$"),
        ([[math.nan]], "^calibration must be finite, but holds NaN or infinity$"),
    ],
)
def test_samples_that_do_not_calibrate(samples: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(dense_ann([[[1.0]]], [[0.0]]), samples)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_channel": 2}, "^per_channel must be True or False, not 2$"),
        ({"bias_correction": "no"}, "^bias_correction must be True or False, not 'no'$"),
        ({"percentile": "a"}, "^percentile must be a number, not 'a'$"),
    ],
)
def test_options_of_a_wrong_kind(options: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Conversion(**options)


@pytest.mark.parametrize("percentile", [0, -1, 100.1, math.nan])
def test_wrong_percentile(percentile: float) -> None:
    message = rf"^percentile must be above 0 and up to 100, not {percentile!r}$"
    with pytest.raises(ValueError, match=message):
        Conversion(percentile=percentile)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"steps": 0}, r"^steps must be positive, not 0$"),
        ({"v_init": 1.0}, r"^v_init must be at least 0 and below 1, not 1\.0$"),
        ({"max_spikes": 4}, r"^max_spikes must be 1, 3, 7"),
    ],
)
def test_wrong_option(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Conversion(**option)


def test_wrong_normalisation() -> None:
    with pytest.raises(TypeError, match=r"^normalisation must be a Normalisation, not 'maximum'$"):
        Conversion(normalisation="maximum")  # type: ignore[arg-type]


def test_wrong_calibration() -> None:
    message = r"^'layer_1' must be active on the calibration data, but its percentile is 0$"
    options = plain(normalisation=Normalisation.PERCENTILE)
    with pytest.raises(ValueError, match=message):
        convert(dense_ann([[[1.0]], [[-1.0]]], [[0.0], [0.0]]), [[1.0]], options)
