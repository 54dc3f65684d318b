"""Weights of few bits: by hand, against a search of all words, and found whole by quantize."""

import numpy as np
import pytest

from spikeloom.reference.ann import activations, dense_ann, relu_network
from spikeloom.reference.calibrate import Conversion, Normalisation
from spikeloom.reference.convert import convert
from spikeloom.reference.maps import Convolution, Dense, Pool
from spikeloom.reference.network import Connection, FixedInput
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.quantize import quantize
from spikeloom.reference.weight_rounding import rounded_weights


def test_dense_by_hand() -> None:
    """Three bits say -3 to 3 of a neuron's own step: 1 and a half."""
    dense = Dense(np.array([[3.0, 0.2], [-1.4, -1.5], [1.6, 0.8]]))
    (rounded,) = rounded_weights([Connection(source="in", maps=(dense,))], (2,), 3, shared=False)
    assert rounded.maps[0].weight.tolist() == [[3.0, 0.0], [-1.0, -1.5], [2.0, 1.0]]
    (rounded,) = rounded_weights([Connection(source="in", maps=(dense,))], (2,), 3, shared=True)
    assert rounded.maps[0].weight.tolist() == [[3.0, 0.0], [-1.0, -2.0], [2.0, 1.0]]


def test_two_connections_share_the_step() -> None:
    """The largest of both, 3, is three steps: 0.4 is none and 0.6 is one."""
    first = Connection(source="a", maps=(Dense(np.array([[3.0]])),))
    second = Connection(source="b", maps=(Dense(np.array([[0.4], [0.6]])),))
    rounded = rounded_weights([first, second], (1,), 3, shared=False)
    assert [each.maps[0].weight.ravel().tolist() for each in rounded] == [[3.0], [0.0, 1.0]]


@pytest.mark.parametrize("width", [2, 4, 8])
def test_convolution_behind_a_pool(width: int) -> None:
    """Each weight is the nearest of its channel's words, found among all of them."""
    rng = np.random.default_rng(width)
    pool = Pool((2, 6, 6), (2, 2), (2, 2), (0, 0))
    weight = rng.normal(size=(3, 2, 3, 3)) * np.array([1, 10, 0.1]).reshape(3, 1, 1, 1)
    conv = Convolution(weight, (2, 3, 3), (1, 1), (1, 1), (1, 1), 1)
    connection = Connection(source="in", maps=(pool, conv))
    (rounded,) = rounded_weights([connection], conv.output_shape, width, shared=False)
    assert rounded.maps[0] is pool
    most = 2 ** (width - 1) - 1
    for before, after in zip(weight, rounded.maps[1].weight, strict=True):
        words = np.arange(-most, most + 1) * np.abs(before).max() / most
        nearest = words[np.abs(before.ravel()[:, None] - words).argmin(axis=1)]
        assert after.ravel() == pytest.approx(nearest, abs=1e-12)


@pytest.mark.parametrize("width", [3, 8])
def test_quantize_finds_them_whole(width: int) -> None:
    """What a conversion rounds is what the hardware has: the integers are those of the steps."""
    rng = np.random.default_rng(5)
    ann = dense_ann([rng.normal(size=(6, 5)), rng.normal(size=(5, 4))], [[0.1] * 5, [0.2] * 4])
    x = rng.uniform(size=(20, 6))
    options = Conversion(
        normalisation=Normalisation.MAXIMUM,
        per_channel=True,
        weight_width=width,
        max_spikes=3,
        bias_correction=False,
    )
    converted = convert(ann, x, options)
    fixed = quantize(
        converted.network,
        Precision(weight_width=width, scale=Scale.NEURON, state_fraction=8, state_width=24),
        inputs={"input": FixedInput(shape=(6,), high=256, fraction_bits=8)},
    )
    most = 2 ** (width - 1) - 1
    for name, population in converted.network.populations.items():
        weight = population.connections[0].maps[0].weight
        steps = weight / np.abs(weight).max(axis=0) * most
        assert steps == pytest.approx(np.rint(steps), abs=1e-4)
        assert np.array_equal(fixed.populations[name].connections[0].maps[0].weight, np.rint(steps))


def test_biases_make_up_for_the_rounding() -> None:
    """Of two bits hardly anything is left; with the correction the averages are right."""
    rng = np.random.default_rng(6)
    ann = dense_ann([rng.normal(size=(30, 8))], [np.full(8, 6.0)])
    x = rng.uniform(size=(200, 30))
    wanted = activations(relu_network(ann), x)["layer_0"].mean(axis=0)
    error = {}
    for corrected in (False, True):
        options = Conversion(weight_width=2, max_spikes=15, bias_correction=corrected)
        converted = convert(ann, x, options)
        (connection,) = converted.network.populations["layer_0"].connections
        unit = converted.units["layer_0"].ravel()
        bias = np.asarray(converted.network.populations["layer_0"].neuron.bias) * unit
        sums = x @ (connection.maps[0].weight * unit) + bias
        error[corrected] = np.abs(np.maximum(sums, 0).mean(axis=0) - wanted).mean()
    assert error[False] > 0.5
    assert error[True] < error[False] / 5
