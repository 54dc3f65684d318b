"""Layers and networks: exact sums, widths that hold them, shapes that agree."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.network import FixedDense, FixedNetwork, FloatDense, FloatNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import TEXTBOOK_LIF

NEURON = FloatNeuron(profile=TEXTBOOK_LIF, v_th=1.0)


def neurons(size: int, **options: Any) -> NeuronConfig:
    return NeuronConfig(
        **{
            "size": size,
            "state": QFormat(word_length=16),
            "current_width": 2,
            "threshold": 100,
        }
        | options
    )


def dense(weight: Any, **options: Any) -> FixedDense:
    weight = np.asarray(weight)
    return FixedDense(
        **{"weight": weight, "weight_width": 8, "neurons": neurons(weight.shape[-1])} | options
    )


def test_init() -> None:
    layer = dense([[1, -2, 3]])
    assert (layer.weight_shift, layer.max_count) == (0, 1)
    assert layer.weight.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0, 0] = 5


def test_init_copies_the_weights() -> None:
    mine = np.array([[1, 2]])
    layer = dense(mine)
    mine[0, 0] = 100
    assert layer.weight.tolist() == [[1, 2]]


def naive_current(layer: FixedDense, counts: list[int]) -> list[int]:
    """``sum(count[i] * weight[i, j]) << weight_shift``, word for word."""
    weight = layer.weight.tolist()
    return [
        sum(count * row[j] for count, row in zip(counts, weight, strict=True))
        * 2**layer.weight_shift
        for j in range(len(weight[0]))
    ]


@st.composite
def layers(draw: st.DrawFn) -> FixedDense:
    inputs, size = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    width = draw(st.integers(2, 16))
    half = 1 << (width - 1)
    weights = st.lists(st.integers(-half, half - 1), min_size=inputs * size, max_size=inputs * size)
    return FixedDense(
        weight=np.array(draw(weights)).reshape(inputs, size),
        weight_width=width,
        neurons=neurons(size),
        weight_shift=draw(st.integers(0, 16)),
        max_count=draw(st.sampled_from([1, 3, 255])),
    )


@given(layers(), st.data())
def test_current_is_a_plain_sum(layer: FixedDense, data: st.DataObject) -> None:
    inputs = layer.weight.shape[0]
    counts = st.lists(st.integers(0, layer.max_count), min_size=inputs, max_size=inputs)
    batch = data.draw(st.lists(counts, min_size=1, max_size=3))
    currents = layer.current(np.array(batch)[:, None, :])
    assert currents.dtype == np.int64
    assert currents[:, 0].tolist() == [naive_current(layer, row) for row in batch]


@given(layers())
def test_accumulator_width_is_the_shortest_that_holds_every_sum(layer: FixedDense) -> None:
    """Worst order: all positive weights of a column first, or all negative ones."""
    worst = [
        layer.max_count * sum(w for w in column if (w > 0) is positive)
        for column in layer.weight.T.tolist()
        for positive in (True, False)
    ]
    half = 2 ** (layer.accumulator_width - 1)
    assert all(-half <= total < half for total in worst)
    if layer.accumulator_width > 2:
        assert not all(-half // 2 <= total < half // 2 for total in worst)
    assert layer.neurons.current_width == max(2, layer.accumulator_width + layer.weight_shift)


@pytest.mark.parametrize(
    ("weight", "max_count", "width"),
    [
        ([[0]], 1, 2),
        ([[-1]], 1, 2),
        ([[1]], 1, 2),
        ([[2]], 1, 3),
        ([[-2]], 1, 2),
        ([[127], [1]], 1, 9),
        ([[-128], [127]], 1, 8),
        ([[127, 0], [0, -128]], 255, 17 - 1),
        ([[64], [64]], 255, 16),
        ([[1], [-1]], 255, 9),
    ],
)
def test_accumulator_width_by_hand(weight: Any, max_count: int, width: int) -> None:
    assert dense(weight, max_count=max_count).accumulator_width == width


def test_current_width_of_the_neurons_is_kept_where_it_is_wider() -> None:
    layer = dense([[1]], neurons=neurons(1, current_width=20))
    assert layer.neurons.current_width == 20


@pytest.mark.parametrize("inputs", [1 << 9, 1 << 10, 1 << 11])
def test_current_is_exact_beyond_the_largest_float32(inputs: int) -> None:
    """2**24 + 1 is the first integer that a float of 24 bits cannot hold."""
    weight = np.full((inputs, 2), 32767)
    weight[:, 1] = 32766
    weight[-1] = (1, 2)
    layer = FixedDense(weight=weight, weight_width=16, neurons=neurons(2), max_count=3)
    counts = np.full((1, 1, inputs), 3)
    counts[0, 0, -1] = 1
    expected = [(inputs - 1) * 3 * 32767 + 1, (inputs - 1) * 3 * 32766 + 2]
    assert max(expected) > 2**24
    assert layer.current(counts)[0, 0].tolist() == expected


@pytest.mark.parametrize("total", [2**23 - 1, 2**23, 2**24 - 1, 2**24, 2**24 + 1, 2**25 + 1])
def test_current_is_exact_around_the_largest_float32(total: int) -> None:
    """A column whose weights sum up to a chosen number, in an unfavourable order."""
    rows = -(-total // 32767)
    weight = np.full((rows, 1), 32767)
    weight[0] = total - 32767 * (rows - 1)
    layer = FixedDense(weight=weight, weight_width=16, neurons=neurons(1))
    assert layer.current(np.ones((1, 1, rows), dtype=np.uint8)).item() == total


@pytest.mark.parametrize(
    ("counts", "rule"), [([0, 4], "0 to 4"), ([-1, 0], "-1 to 0"), ([3, 255], "3 to 255")]
)
def test_current_wrong_counts(counts: list[int], rule: str) -> None:
    layer = dense([[1], [2]], max_count=3)
    with pytest.raises(ValueError, match=rf"^counts must be 0 to 3, not {rule}$"):
        layer.current([counts])
    assert layer.current([[3, 3]]).tolist() == [[9]]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"weight_width": 1}, "weight_width must be 2 to 16, not 1"),
        ({"weight_width": 17}, "weight_width must be 2 to 16, not 17"),
        ({"weight_shift": -1}, "weight_shift must be 0 to 24, not -1"),
        ({"weight_shift": 25}, "weight_shift must be 0 to 24, not 25"),
        ({"max_count": 0}, "max_count must be 1 to 255, not 0"),
        ({"max_count": 256}, "max_count must be 1 to 255, not 256"),
        (
            {"weight": np.array([[8]]), "weight_width": 4},
            "weight must fit 4 bits, -8 to 7, but ranges from 8 to 8",
        ),
        (
            {"weight": np.array([[-9]]), "weight_width": 4},
            "weight must fit 4 bits, -8 to 7, but ranges from -9 to -9",
        ),
        (
            {"weight": np.array([[1, 2]])},
            "weight must have a column for each of 1 neurons, not 2",
        ),
        ({"weight": np.array([1])}, r"weight must be of shape \(inputs, neurons\), not \(1,\)"),
        (
            {"weight": np.zeros((0, 1), dtype=int)},
            r"weight must be of shape \(inputs, neurons\), not \(0, 1\)",
        ),
        (
            {
                "weight": np.full((2000, 1), -32768),
                "weight_width": 16,
                "weight_shift": 24,
                "max_count": 255,
            },
            "the input current must fit 48 bits, but can need 59",
        ),
    ],
)
def test_fixed_dense_wrong_value(options: dict[str, Any], rule: str) -> None:
    weight = options.get("weight", np.array([[1]]))
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        FixedDense(**{"weight_width": 8, "neurons": neurons(1)} | options | {"weight": weight})


def test_fixed_dense_widest_weights() -> None:
    assert dense([[-8, 7]], weight_width=4).weight.tolist() == [[-8, 7]]


def test_fixed_dense_wrong_weight() -> None:
    with pytest.raises(TypeError, match=r"^weight must hold integers, not float64$"):
        dense([[1.0]])


@pytest.mark.parametrize("value", [1.0, "1", True, None])
@pytest.mark.parametrize("name", ["weight_width", "weight_shift", "max_count"])
def test_fixed_dense_wrong_kind_of_integer(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must be an integer, not {value!r}$"):
        dense([[1]], **{name: value})


def test_fixed_dense_wrong_weight_beyond_64_bits() -> None:
    """An unsigned number that would be small if it were reinterpreted."""
    weight = np.array([[2**64 - 1]], dtype=np.uint64)
    with pytest.raises(ValueError, match=r"^weight must fit 8 bits, -128 to 127, but ranges"):
        dense(weight)


def test_current_wrong_kind_of_counts() -> None:
    with pytest.raises(TypeError, match=r"^counts must hold integers, not float64$"):
        dense([[1]]).current([[0.5]])
    assert dense([[7]]).current([[True]]).tolist() == [[7]]


def test_fixed_network() -> None:
    first = dense(np.ones((3, 4), dtype=int), max_count=7)
    second = dense(np.ones((4, 2), dtype=int))
    network = FixedNetwork([first, second], "plain")  # type: ignore[arg-type]
    assert network.layers == (first, second)
    assert (network.inputs, network.outputs, network.profile) == (3, 2, "plain")


def test_fixed_network_wrong_chain() -> None:
    first, second = dense(np.ones((3, 4), dtype=int)), dense(np.ones((5, 2), dtype=int))
    message = r"^layer 1 must have 4 inputs, the neurons of the layer before, not 5$"
    with pytest.raises(ValueError, match=message):
        FixedNetwork((first, second), "wrong")


def test_fixed_network_wrong_max_count() -> None:
    first = dense([[1]], neurons=neurons(1, max_spikes=3))
    message = r"^max_count of layer 2 must be 3, the max_spikes of the layer before, not 1$"
    with pytest.raises(ValueError, match=message):
        FixedNetwork((dense([[1]]), first, dense([[1]])), "wrong")
    FixedNetwork((dense([[1]]), first, dense([[1]], max_count=3)), "good")


def test_network_wrong_number_of_layers() -> None:
    message = r"^a network must have at least one layer$"
    with pytest.raises(ValueError, match=message):
        FixedNetwork((), "none")
    with pytest.raises(ValueError, match=message):
        FloatNetwork(())


def test_float_dense() -> None:
    layer = FloatDense(np.ones((3, 2)), NEURON)
    assert np.asarray(layer.bias).tolist() == [0.0, 0.0]
    assert np.asarray(FloatDense([[1], [2]], NEURON, [0.5]).bias).tolist() == [0.5]  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_float_dense_wrong_value(value: float) -> None:
    with pytest.raises(ValueError, match=r"^weight must be finite, but holds NaN or infinity$"):
        FloatDense(np.array([[1.0, value]]), NEURON)
    with pytest.raises(ValueError, match=r"^bias must be finite, but holds NaN or infinity$"):
        FloatDense(np.ones((1, 2)), NEURON, np.array([1.0, value]))


@pytest.mark.parametrize("shape", [(2,), (1, 2, 3), (0, 2), (2, 0)])
def test_float_dense_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^weight must be of shape \(inputs, neurons\), not "):
        FloatDense(np.ones(shape), NEURON)


def test_float_dense_wrong_bias() -> None:
    with pytest.raises(ValueError, match="shape"):
        FloatDense(np.ones((2, 3)), NEURON, np.ones(2))


def test_float_network_wrong_chain() -> None:
    first, second = FloatDense(np.ones((1, 2)), NEURON), FloatDense(np.ones((3, 1)), NEURON)
    message = r"^layer 1 must have 2 inputs, the neurons of the layer before, not 3$"
    with pytest.raises(ValueError, match=message):
        FloatNetwork((first, second))
