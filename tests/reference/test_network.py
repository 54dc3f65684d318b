"""Layers and networks: exact sums, widths that hold them, shapes that agree."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.dense import FixedDense, FloatDense, dense_layers, fixed_stack, float_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Convolution, Dense, Diagonal, Pool
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
    FloatNetwork,
    FloatPopulation,
    LateBias,
    check_weight,
    schedule,
)
from spikeloom.reference.neuron_fixed import Emission, NeuronConfig
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import TEXTBOOK_LIF, Accumulation, Reset
from spikeloom.reference.simulate import run_fixed

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


def currents(layer: FixedDense, counts: Any) -> list[list[int]]:
    """What counts of shape (batch, inputs) add to potentials of 32 bits, which saturate."""
    wide = neurons(
        layer.weight.shape[1],
        state=QFormat(word_length=32),
        threshold=2**31 - 1,
        reset=Reset.NONE,
        current_width=layer.neurons.current_width,
    )
    network = fixed_stack([replace(layer, neurons=wide)], "plain")
    return run_fixed(network, np.array(counts)[:, None, :]).membrane["layer_0"][:, 0].tolist()


@given(layers(), st.data())
def test_current_is_a_plain_sum(layer: FixedDense, data: st.DataObject) -> None:
    inputs = layer.weight.shape[0]
    counts = st.lists(st.integers(0, layer.max_count), min_size=inputs, max_size=inputs)
    batch = data.draw(st.lists(counts, min_size=1, max_size=3))
    ends = -(2**31), 2**31 - 1
    expected = [
        [min(max(total, ends[0]), ends[1]) for total in naive_current(layer, row)] for row in batch
    ]
    assert currents(layer, batch) == expected


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
    assert currents(layer, counts[0]) == [expected]


@pytest.mark.parametrize("total", [2**23 - 1, 2**23, 2**24 - 1, 2**24, 2**24 + 1, 2**25 + 1])
def test_current_is_exact_around_the_largest_float32(total: int) -> None:
    """A column whose weights sum up to a chosen number, in an unfavourable order."""
    rows = -(-total // 32767)
    weight = np.full((rows, 1), 32767)
    weight[0] = total - 32767 * (rows - 1)
    layer = FixedDense(weight=weight, weight_width=16, neurons=neurons(1))
    assert currents(layer, np.ones((1, rows), dtype=np.uint8)) == [[total]]


@pytest.mark.parametrize(
    ("counts", "rule"), [([0, 4], "0 to 4"), ([-1, 0], "-1 to 0"), ([3, 255], "3 to 255")]
)
def test_current_wrong_counts(counts: list[int], rule: str) -> None:
    layer = dense([[1], [2]], max_count=3)
    with pytest.raises(ValueError, match=rf"^counts must be 0 to 3, not {rule}$"):
        currents(layer, [counts])
    assert currents(layer, [[3, 3]]) == [[9]]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"weight_width": 1}, "weight_width must be 2 to 16, not 1"),
        ({"weight_width": 17}, "weight_width must be 2 to 16, not 17"),
        ({"weight_shift": -1}, "weight_shift must be 0 to 24, not -1"),
        ({"weight_shift": 25}, "weight_shift must be 0 to 24, not 25"),
        ({"max_count": 0}, "max_count must be 1 to 2147483647, not 0"),
        ({"max_count": 1 << 31}, "max_count must be 1 to 2147483647, not 2147483648"),
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
        currents(dense([[1]]), [[0.5]])
    assert currents(dense([[7]]), [[True]]) == [[7]]


def test_fixed_stack() -> None:
    first = dense(np.ones((3, 4), dtype=int), max_count=7, weight_shift=2)
    second = dense(np.ones((4, 2), dtype=int))
    network = fixed_stack([first, second], "plain")
    assert network.profile == "plain"
    assert [*network.populations] == ["layer_0", "layer_1"]
    assert network.outputs == {"output": "layer_1"}
    entry = network.inputs["input"]
    assert (entry.shape, entry.low, entry.high, entry.clips) == ((3,), 0, 7, False)
    for found, given_layer in zip(dense_layers(network), (first, second), strict=True):
        assert found.weight.tolist() == given_layer.weight.tolist()
        for name in ("weight_width", "weight_shift", "max_count", "neurons"):
            assert getattr(found, name) == getattr(given_layer, name)


def test_fixed_stack_wrong_chain() -> None:
    first, second = dense(np.ones((3, 4), dtype=int)), dense(np.ones((5, 2), dtype=int))
    message = r"^layer 1 must have 4 inputs, the neurons of the layer before, not 5$"
    with pytest.raises(ValueError, match=message):
        fixed_stack((first, second), "wrong")


def test_fixed_stack_wrong_max_count() -> None:
    first = dense([[1]], neurons=neurons(1, max_spikes=3))
    message = r"^max_count of layer 2 must be 3, the max_spikes of the layer before, not 1$"
    with pytest.raises(ValueError, match=message):
        fixed_stack((dense([[1]]), first, dense([[1]])), "wrong")
    fixed_stack((dense([[1]]), first, dense([[1]], max_count=3)), "good")


def test_stack_wrong_number_of_layers() -> None:
    message = r"^a network must have at least one layer$"
    with pytest.raises(ValueError, match=message):
        fixed_stack((), "none")
    with pytest.raises(ValueError, match=message):
        float_stack(())


def population(
    size: int = 1, connections: tuple[Connection, ...] = (), **options: Any
) -> FixedPopulation:
    return FixedPopulation(
        **{"shape": (size,), "neurons": neurons(size), "connections": connections} | options
    )


def weights(source: str, inputs: int = 1, size: int = 1, **options: Any) -> Connection:
    return Connection(source=source, maps=(Dense(np.ones((inputs, size), dtype=int)),), **options)


ONE = {"in": FixedInput(shape=(1,))}


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (
            {"inputs": ONE | {"other": FixedInput(shape=(1,))}},
            "a stack must have one input, not 2",
        ),
        (
            {"inputs": {"in": FixedInput(shape=(1,), low=-1)}},
            "input 'in' of a stack must be of spike counts, but is not",
        ),
        (
            {"inputs": {"in": FixedInput(shape=(1,), clips=True)}},
            "input 'in' of a stack must be of spike counts, but is not",
        ),
        ({"outputs": {"out": "in"}}, "the one output of a stack must be 'a'"),
    ],
)
def test_layers_wrong_network(options: dict[str, Any], rule: str) -> None:
    given_options = {
        "inputs": ONE,
        "populations": {"a": population(connections=(weights("in"),))},
        "outputs": {"out": "a"},
        "profile": "plain",
    } | options
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        dense_layers(FixedNetwork(**given_options))


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"connections": (weights("in"), weights("a", delay=1))}, "must have one dense connection"),
        ({"connections": (weights("in", delay=1),)}, "must have one dense connection"),
        (
            {"connections": (Connection(source="in", maps=(Diagonal(np.ones(1, dtype=int)),)),)},
            "must have one dense connection",
        ),
        (
            {"late_bias": (LateBias(1, np.ones(1, dtype=int)),)},
            "must have one dense connection",
        ),
        ({"neurons": neurons(1, emission=Emission.POTENTIAL)}, "must send spikes and sum step by"),
        ({"neurons": neurons(1, accumulation=Accumulation.EVENT)}, "must send spikes and sum"),
    ],
)
def test_layers_wrong_population(changed: dict[str, Any], rule: str) -> None:
    one = population(**{"connections": (weights("in"),)} | changed)
    network = FixedNetwork(ONE, {"a": one}, {"out": "a"}, "plain")
    with pytest.raises(ValueError, match=rf"^population 'a' of a stack {rule}"):
        _ = dense_layers(network)


def test_connection() -> None:
    """Shared weights count once."""
    conv = Convolution(np.ones((2, 1, 2, 2)), (1, 5, 5), (1, 1), (0, 0), (1, 1))
    pool = Pool((2, 4, 4), (2, 2), (2, 2), (0, 0))
    each = Connection(source="a", maps=[conv, pool], delay=np.array([3, 2]))  # type: ignore[arg-type]
    assert (each.synapses, each.least_delay, each.shift) == (8, 2, 0)
    assert each.maps == (conv, pool)
    assert Connection(source="a").synapses == 0


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"delay": -1}, "delay must not be negative, not -1"),
        ({"delay": np.array([1, -2])}, "delay must not be negative, not -2"),
        ({"shift": 25}, "shift must be 0 to 24, not 25"),
        ({"shift": -1}, "shift must be 0 to 24, not -1"),
        (
            {"maps": (Dense(np.ones((1, 2))), Dense(np.ones((3, 1))))},
            r"maps from 'a' must fit together, but \(2,\) does not go into \(3,\)",
        ),
    ],
)
def test_connection_wrong_value(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        Connection(**{"source": "a"} | options)


def test_connection_wrong_kind_of_shift() -> None:
    with pytest.raises(TypeError, match=r"^shift must be an integer, not 1\.0$"):
        Connection(source="a", shift=1.0)  # type: ignore[arg-type]


def test_fixed_input() -> None:
    counts = FixedInput(shape=(2,), high=3)
    assert counts.taken([[0, 3]]).tolist() == [[0, 3]]
    clips = FixedInput(shape=(2,), low=-2, high=3, clips=True)
    assert clips.taken([[-3, 9]]).tolist() == [[-2, 3]]
    with pytest.raises(ValueError, match=r"^counts must be 0 to 3, not 0 to 4$"):
        counts.taken([[0, 4]])
    with pytest.raises(ValueError, match=r"^counts must be 0 to 3, not -1 to 3$"):
        counts.taken([[-1, 3]])
    with pytest.raises(TypeError, match=r"^counts must hold integers, not float64$"):
        clips.taken([[0.5]])


@pytest.mark.parametrize(("low", "high"), [(1, 2), (-2, -1), (-(2**23) - 1, 0), (0, 2**23)])
def test_fixed_input_wrong_range(low: int, high: int) -> None:
    message = rf"^low and high must be of at most 24 bits .* not {low} and {high}$"
    with pytest.raises(ValueError, match=message):
        FixedInput(shape=(1,), low=low, high=high)


@pytest.mark.parametrize("name", ["low", "high", "fraction_bits"])
def test_fixed_input_wrong_kind(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must be an integer, not 0\.5$"):
        FixedInput(**{"shape": (1,), name: 0.5})


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"weight_width": 17}, "weight_width must be 2 to 16, not 17"),
        ({"shape": (2, 2)}, r"shape must be of 1 neurons, not \(2, 2\)"),
        (
            {
                "weight_width": 4,
                "connections": (Connection(source="in", maps=(Dense(np.array([[8]])),)),),
            },
            "weight must fit 4 bits, -8 to 7, but ranges from 8 to 8",
        ),
    ],
)
def test_fixed_population_wrong_value(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        population(**options)


def test_fixed_population_wrong_weight() -> None:
    connection = Connection(source="in", maps=(Dense(np.array([[0.5]])),))
    with pytest.raises(TypeError, match=r"^weight must hold integers, not float64$"):
        population(connections=(connection,))


def test_fixed_network_widens_the_current() -> None:
    """Two connections and a late bias: 3 * 127 << 2, -128 of a potential of 16 bits, -5."""
    maps = (Dense(np.array([[127]])),), (Dense(np.array([[-1]])),)
    a = population(neurons=neurons(1, emission=Emission.POTENTIAL))
    b = population(
        connections=(
            Connection(source="in", maps=maps[0], shift=2),
            Connection(source="a", maps=maps[1]),
        ),
        late_bias=(LateBias(3, np.array([-5])),),
    )
    inputs = {"in": FixedInput(shape=(1,), high=3)}
    network = FixedNetwork(inputs, {"a": a, "b": b}, {"out": "b"}, "plain")
    # 1524 + 32768 needs 17 bits, and so does -32767 - 5.
    assert network.populations["b"].neurons.current_width == 17
    assert network.magnitudes == {"a": (), "b": (381, 32768)}
    assert network.sent("in") == (0, 3)
    assert network.sent("a") == (-32768, 32767)
    assert (network.shape("in"), network.shape("b")) == ((1,), (1,))
    wide = replace(b, neurons=neurons(1, current_width=30))
    kept = FixedNetwork(inputs, {"a": a, "b": wide}, {"out": "b"}, "plain")
    assert kept.populations["b"].neurons.current_width == 30


@pytest.mark.parametrize(("weight", "width"), [(-128, 14), (127, 14), (-64, 13), (63, 13)])
def test_current_width_counts_the_shift(weight: int, width: int) -> None:
    """-128 << 6 is -8192, which 14 bits hold, as they do 8128."""
    maps = (Dense(np.array([[weight]])),)
    one = population(connections=(Connection(source="in", maps=maps, shift=6),))
    network = FixedNetwork(ONE, {"a": one}, {"out": "a"}, "plain")
    assert network.populations["a"].neurons.current_width == width


@pytest.mark.parametrize(("late", "width"), [(-129, 9), (-128, 8), (127, 8), (128, 9)])
def test_current_width_counts_late_biases(late: int, width: int) -> None:
    one = population(connections=(), late_bias=(LateBias(2, np.array([late])),))
    network = FixedNetwork(ONE, {"a": one}, {"out": "a"}, "plain")
    assert network.populations["a"].neurons.current_width == width


def test_fixed_network_wrong_width() -> None:
    maps = (Dense(np.full((2, 1), 127)),)
    one = population(connections=(Connection(source="in", maps=maps, shift=24),))
    wide = {"in": FixedInput(shape=(2,), high=2**23 - 1)}
    message = r"^population 'a': the input current must fit 48 bits, but can need 56$"
    with pytest.raises(ValueError, match=message):
        FixedNetwork(wide, {"a": one}, {"out": "a"}, "plain")


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"inputs": {}}, "a network must have an input, a population and an output"),
        ({"populations": {}}, "a network must have an input, a population and an output"),
        ({"outputs": {}}, "a network must have an input, a population and an output"),
        ({"inputs": {"a": ONE["in"]}}, "inputs and populations must have names of their own"),
        (
            {"outputs": {"out": "b"}},
            "output 'out' must be an input or population, not 'b'",
        ),
        (
            {"populations": {"a": population(connections=(weights("b"),))}},
            "population 'a' must be connected to inputs and populations, not to 'b'",
        ),
        (
            {"populations": {"a": population(connections=(weights("in", 2),))}},
            r"maps from 'in' to 'a' must lead from shape .* not from \(2,\) to \(1,\)",
        ),
        (
            {"populations": {"a": population(connections=(weights("in", 1, 3),))}},
            r"maps from 'in' to 'a' must lead from shape .* not from \(1,\) to \(3,\)",
        ),
        (
            {"populations": {"a": population(2, connections=(Connection(source="in"),))}},
            r"maps from 'in' to 'a' must lead from shape .* not from \(2,\) to \(1,\)",
        ),
        (
            {"populations": {"a": population(connections=(weights("a"),))}},
            "a loop must have a delay, but 'a' is in one",
        ),
    ],
)
def test_fixed_network_wrong_topology(options: dict[str, Any], rule: str) -> None:
    given_options = {
        "inputs": ONE,
        "populations": {"a": population(connections=(weights("in"),))},
        "outputs": {"out": "a"},
        "profile": "plain",
    } | options
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        FixedNetwork(**given_options)


def linked(*edges: tuple[str, str, int]) -> dict[str, FixedPopulation]:
    """Populations a to d with connections of given delays."""
    return {
        name: population(
            connections=tuple(weights(a, delay=delay) for a, b, delay in edges if b == name)
        )
        for name in "abcd"
    }


@pytest.mark.parametrize(
    ("edges", "groups"),
    [
        ([], [("a",), ("b",), ("c",), ("d",)]),
        ([("a", "a", 1)], [("a",), ("b",), ("c",), ("d",)]),
        ([("b", "a", 0), ("c", "b", 0), ("d", "c", 0)], [("d",), ("c",), ("b",), ("a",)]),
        # A delayed way back: all from the one to the other, step by step.
        (
            [("a", "b", 0), ("b", "c", 0), ("c", "d", 0), ("c", "b", 1)],
            [("a",), ("b", "c"), ("d",)],
        ),
        (
            [("a", "b", 0), ("b", "c", 0), ("c", "d", 0), ("b", "a", 1), ("d", "c", 2)],
            [("a", "b"), ("c", "d")],
        ),
        (
            [("a", "b", 0), ("b", "c", 0), ("c", "d", 0), ("c", "a", 1), ("d", "b", 2)],
            [("a", "b", "c", "d")],
        ),
    ],
)
def test_schedule(edges: list[tuple[str, str, int]], groups: list[tuple[str, ...]]) -> None:
    assert schedule(linked(*edges)) == groups


@given(st.integers(0, 2**32))
def test_schedule_respects_every_edge(seed: int) -> None:
    """Sources without delay come first; others are in a group that is not a later one."""
    rng = random.Random(seed)
    names = [*"abcd"]
    rng.shuffle(names)
    edges = [
        (a, b, rng.choice([0, 1]) if names.index(a) < names.index(b) else rng.choice([1, 2]))
        for a in names
        for b in names
        if rng.random() < 0.3
    ]
    groups = schedule(linked(*edges))
    assert sorted(name for group in groups for name in group) == sorted(names)
    order = [name for group in groups for name in group]
    place = {name: k for k, group in enumerate(groups) for name in group}
    for a, b, delay in edges:
        assert place[a] <= place[b]
        if delay == 0:
            assert order.index(a) < order.index(b)


def test_schedule_wrong_loop() -> None:
    with pytest.raises(ValueError, match=r"^a loop must have a delay, but '[ab]' is in one$"):
        schedule(linked(("a", "b", 0), ("b", "a", 0), ("c", "c", 1)))
    mixed = np.array([1, 0])
    one = replace(linked()["a"], connections=(weights("a", delay=mixed),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^a loop must have a delay, but 'a' is in one$"):
        schedule({"a": one})


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
        float_stack((first, second))


def test_float_stack() -> None:
    """A layer's bias is added to its neuron's own."""
    first = FloatDense(np.ones((3, 2)), replace(NEURON, bias=1.0), np.array([0.5, -0.5]))
    network = float_stack([first, FloatDense(np.ones((2, 1)), NEURON)])
    assert network.inputs == {"input": (3,)}
    assert network.outputs == {"output": "layer_1"}
    one, two = network.populations.values()
    assert (one.shape, two.shape) == ((2,), (1,))
    assert np.asarray(one.neuron.bias).tolist() == [1.5, 0.5]
    assert [each.connections[0].source for each in (one, two)] == ["input", "layer_0"]


def test_float_network_wrong_topology() -> None:
    one = FloatPopulation(shape=(1,), neuron=NEURON, connections=(Connection(source="a", maps=()),))
    with pytest.raises(ValueError, match=r"^a loop must have a delay, but 'a' is in one$"):
        FloatNetwork({"in": (1,)}, {"a": one}, {"out": "a"})


@given(st.lists(st.integers(-(2**16), 2**16)), st.integers(2, 16))
def test_check_weight(values: list[int], width: int) -> None:
    """Two's complement: one more below 0 than above."""
    weight = np.array(values, dtype=np.int64)
    if all(-(2**width) <= 2 * value < 2**width for value in values):
        check_weight(weight, width)
    else:
        with pytest.raises(ValueError, match=rf"^weight must fit {width} bits, "):
            check_weight(weight, width)


@pytest.mark.parametrize("kind", [np.float64, np.bool_, np.complex128, object])
def test_check_weight_wrong_kind(kind: type) -> None:
    with pytest.raises(TypeError, match=r"^weight must hold integers, not "):
        check_weight(np.ones(2, dtype=kind), 8)


@given(st.integers(-9, 0), st.integers(0, 9), st.lists(st.integers(-12, 12)), st.booleans())
def test_what_an_input_takes(low: int, high: int, values: list[int], clips: bool) -> None:
    entry = FixedInput(shape=(1,), low=low, high=high, clips=clips)
    given_values = np.array(values, dtype=np.int16)
    inside = [min(max(value, low), high) for value in values]
    if clips or inside == values:
        assert entry.taken(given_values).tolist() == inside
    else:
        message = rf"^counts must be {low} to {high}, not {min(values)} to {max(values)}$"
        with pytest.raises(ValueError, match=message):
            entry.taken(given_values)


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_what_needs_no_change_is_not_copied(kind: type) -> None:
    raster = np.ones((2, 2), dtype=kind)
    assert FixedInput(shape=(2,)).taken(raster) is raster
    assert FixedInput(shape=(2,), clips=True).taken(raster) is not raster
    assert FixedInput(shape=(2,)).taken(raster.astype(np.int16)).dtype == np.int64


def test_what_a_connection_says_of_itself() -> None:
    maps = (
        Pool((2, 3, 3), (1, 1), (1, 1), (0, 0)),
        Convolution(np.ones((4, 2, 2, 2), int), (2, 3, 3), (1, 1), (0, 0), (1, 1)),
        Diagonal(np.ones((4, 2, 2), int)),
    )
    assert Connection(source="a", maps=maps).synapses == 32 + 16
    assert Connection(source="a").synapses == 0
    assert Connection(source="a", delay=np.array([3, 2, 5])).least_delay == 2
    assert Connection(source="a").least_delay == 0


@given(st.data(), st.integers(1, 4), st.integers(1, 3), st.integers(1, 300), st.integers(-300, 0))
def test_accumulator_width_of_words(
    data: st.DataObject, inputs: int, size: int, most: int, least: int
) -> None:
    """Each input brings what makes a sum the largest or the least, shifted by its own places."""
    count = inputs * size
    weights = data.draw(st.lists(st.integers(-128, 127), min_size=count, max_size=count))
    shifts = tuple(data.draw(st.lists(st.integers(0, 5), min_size=inputs, max_size=inputs)))
    layer = dense(
        np.array(weights).reshape(inputs, size),
        max_count=most,
        least_count=least,
        weight_shift=shifts,
    )
    ends = []
    for column in layer.weight.T.tolist():
        each = [w * 2 ** (s - min(shifts)) for w, s in zip(column, shifts, strict=True)]
        ends.append(sum(max(w * most, w * least) for w in each))
        ends.append(sum(min(w * most, w * least) for w in each))
    width = 2
    while not all(-(2 ** (width - 1)) <= end < 2 ** (width - 1) for end in ends):
        width += 1
    assert layer.accumulator_width == width
    assert layer.neurons.current_width == max(2, width + min(shifts))
    assert layer.shifts == shifts


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("max_count", 1, 2**31 - 1), ("least_count", -(2**31), 0), ("weight_shift", 0, 24)],
)
def test_fixed_dense_ranges(name: str, least: int, most: int) -> None:
    for value in (least, most):
        kept = getattr(dense([[0]], **{name: value}), name)
        assert kept == value
    for value in (least - 1, most + 1):
        with pytest.raises(ValueError, match=rf"^{name} must be {least} to {most}, not {value}$"):
            dense([[0]], **{name: value})
    with pytest.raises(TypeError, match=rf"^{name} must be an integer, not 1\.0$"):
        dense([[0]], **{name: 1.0})
    with pytest.raises(ValueError, match=r"^weight_shift must be 0 to 24, not 25$"):
        dense([[0], [0]], weight_shift=(0, 25))


def test_fixed_dense_widest_current() -> None:
    """Sums of 24 bits and 24 places are just 48 bits; a bit more is refused."""
    layer = dense([[1]], max_count=2**23 - 1, weight_shift=24)
    assert layer.neurons.current_width == 48
    with pytest.raises(ValueError, match=r"^the input current must fit 48 bits, but can need 49$"):
        dense([[1]], max_count=2**23, weight_shift=24)


def test_defaults() -> None:
    entry = FixedInput(shape=(1,))
    assert (entry.low, entry.high, entry.fraction_bits, entry.clips) == (0, 1, 0, False)
    connection = Connection(source="a")
    assert (connection.maps, connection.delay, connection.shift) == ((), 0, 0)
    one = FixedPopulation(shape=(1,), neurons=neurons(1), connections=(connection,))
    assert (one.weight_width, one.late_bias, one.resolution) == (8, (), 1.0)
    layer = dense([[1]])
    assert (layer.weight_shift, layer.max_count, layer.least_count) == (0, 1, 0)
    assert FloatDense(np.ones((1, 1)), NEURON).bias == 0.0


@pytest.mark.parametrize("accumulation", Accumulation)
@pytest.mark.parametrize(("low", "spikes"), [(0, True), (-1, True), (0, False)])
def test_only_spikes_are_events(accumulation: Accumulation, low: int, spikes: bool) -> None:
    """Words, of an input or of a population, are summed at once or not at all."""
    emission = Emission.SPIKES if spikes else Emission.POTENTIAL
    first = FixedPopulation(
        shape=(1,), neurons=neurons(1, emission=emission), connections=(Connection(source="in"),)
    )
    second = FixedPopulation(
        shape=(1,),
        neurons=neurons(1, accumulation=accumulation),
        connections=(Connection(source="in"), Connection(source="a")),
    )
    options: dict[str, Any] = {
        "inputs": {"in": FixedInput(shape=(1,), low=low)},
        "populations": {"a": first, "b": second},
        "outputs": {"o": "b"},
        "profile": "p",
    }
    if accumulation is Accumulation.STEP or (low == 0 and spikes):
        assert FixedNetwork(**options).sent("in") == (low, 1)
    else:
        who = "in" if low else "a"
        message = rf"^population 'b': '{who}' must send spikes where they are summed one by one$"
        with pytest.raises(ValueError, match=message):
            FixedNetwork(**options)
