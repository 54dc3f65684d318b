"""The scatter engine's tables, played by a plain loop, against the maps that they stand for."""

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest

from spikeloom.reference.fixed import IntArray
from spikeloom.reference.maps import (
    Convolution,
    Dense,
    Diagonal,
    Map,
    Pool,
    Reshape,
    Shape,
    apply_maps,
)
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.scatter import ScatterTables, joined_tables, scatter_tables

LANES = [1, 2, 3, 4, 8]


def whole(shape: Shape) -> tuple[int, int, int]:
    """Channels, height and width; what is missing lies before the width."""
    channels, *sizes = shape
    rows, columns = ([1, 1, *sizes])[-2:]
    return channels, rows, columns


def played(
    tables: ScatterTables,
    values: IntArray,
    layout: Layout,
    starts: tuple[int, int, int] = (0, 0, 0),
) -> IntArray:
    """What the tables make of one value a source, each put where the layout says."""
    rows = [[0] * layout.lanes for _ in range(layout.rows)]
    for (c, y, x), value in np.ndenumerate(values.reshape(whole(values.shape))):
        for weight, target in tables.additions(c + starts[0], y + starts[1], x + starts[2]):
            for lane in range(layout.lanes):
                rows[target][lane] += int(value) * int(tables.weights[weight][lane])
    number = layout.neurons
    absent = [v for row, n in zip(rows, number, strict=True) for v, k in zip(row, n, strict=True)]
    assert all(v == 0 for v, k in zip(absent, number.ravel(), strict=True) if k < 0)
    flat = np.zeros(math.prod(layout.shape), dtype=np.int64)
    for row, lane in np.ndindex(number.shape):
        if number[row, lane] >= 0:
            flat[number[row, lane]] = rows[row][lane]
    return flat


def check(maps: Sequence[Map], shape: Shape, lanes: int, rng: random.Random) -> None:
    layout = Layout(maps[-1].output_shape if maps else shape, lanes)
    tables = scatter_tables(maps, shape, layout)
    values = np.array([rng.randint(-4, 4) for _ in range(math.prod(shape))]).reshape(shape)
    expected = apply_maps(maps, values[None])[0].ravel()
    found = played(tables, values, layout)
    assert found.tolist() == expected.tolist(), f"{maps}, {shape}, {lanes} lanes"
    assert tables.weights.shape[1] == lanes
    channels, rows, columns = whole(shape)
    assert len(tables.base) == len(tables.first) == len(tables.groups) == channels
    assert (len(tables.height), len(tables.width)) == (rows, columns)


def weights(rng: random.Random, *shape: int) -> IntArray:
    return np.array([rng.randint(-9, 9) for _ in range(math.prod(shape))]).reshape(shape)


def sizes(rng: random.Random, rank: int, low: int, high: int) -> Shape:
    return tuple(rng.randint(low, high) for _ in range(rank))


def draw_convolution(rng: random.Random, shape: Shape) -> Convolution:
    rank = len(shape) - 1
    groups = rng.choice([g for g in range(1, shape[0] + 1) if shape[0] % g == 0])
    outputs = groups * rng.randint(1, 4)
    kernel, dilation = sizes(rng, rank, 1, 3), sizes(rng, rank, 1, 2)
    padding = sizes(rng, rank, 0, 2)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    # Enough at the edge for one window at least.
    padding = tuple(
        max(pad, -(-(span - size) // 2))
        for pad, span, size in zip(padding, spans, shape[1:], strict=True)
    )
    weight = weights(rng, outputs, shape[0] // groups, *kernel)
    return Convolution(weight, shape, sizes(rng, rank, 1, 3), padding, dilation, groups)


def draw_pool(rng: random.Random, shape: Shape) -> Pool:
    rank = len(shape) - 1
    kernel = tuple(rng.randint(1, min(3, size)) for size in shape[1:])
    padding = tuple(rng.randint(0, k // 2) for k in kernel)
    return Pool(shape, kernel, sizes(rng, rank, 1, 3), padding)


def draw_shape(rng: random.Random, rank: int) -> Shape:
    return (rng.randint(1, 6), *sizes(rng, rank, 1, 7))


seeds = pytest.mark.parametrize("seed", range(40))


@seeds
def test_dense(seed: int) -> None:
    rng = random.Random(seed)
    inputs, outputs = rng.randint(1, 9), rng.randint(1, 9)
    check([Dense(weights(rng, inputs, outputs))], (inputs,), rng.choice(LANES), rng)


@seeds
def test_convolution(seed: int) -> None:
    """Pools before it, behind it, or neither, in one and two dimensions."""
    rng = random.Random(seed)
    shape = draw_shape(rng, rng.choice([1, 2, 2]))
    maps: list[Map] = [draw_pool(rng, shape) for _ in range(rng.choice([0, 0, 1]))]
    maps.append(draw_convolution(rng, maps[-1].output_shape if maps else shape))
    maps += [draw_pool(rng, maps[-1].output_shape) for _ in range(rng.choice([0, 0, 1]))]
    check(maps, shape, rng.choice(LANES), rng)


def test_convolution_with_windows_that_never_meet_a_source() -> None:
    """A stride beyond the kernel: some sources add to nothing."""
    convolution = Convolution(np.array([[[[3]]]]), (1, 5, 4), (3, 2), (0, 0), (1, 1))
    tables = scatter_tables([convolution], (1, 5, 4), Layout(convolution.output_shape, 2))
    assert [len(pairs) for pairs in tables.height] == [1, 0, 0, 1, 0]
    assert [len(pairs) for pairs in tables.width] == [1, 0, 1, 0]
    assert tables.additions(0, 1, 0) == []
    assert tables.additions(0, 3, 2) == [(0, 3)]


def test_only_groups_of_lanes_that_are_reached_have_rows() -> None:
    """A depthwise convolution: each channel adds to the one group of lanes that holds it."""
    convolution = Convolution(np.arange(1, 9).reshape(8, 1, 1), (8, 2), (1,), (0,), (1,), groups=8)
    tables = scatter_tables([convolution], (8, 2), Layout((8, 2), 2))
    assert tables.groups == (1,) * 8
    assert tables.first == (0, 0, 1, 1, 2, 2, 3, 3)
    assert tables.weights.tolist() == [
        [1, 0], [0, 2], [3, 0], [0, 4], [5, 0], [0, 6], [7, 0], [0, 8],
    ]  # fmt: skip
    assert tables.additions(5, 0, 1) == [(5, 4 + 2)]


@seeds
def test_pools(seed: int) -> None:
    rng = random.Random(seed)
    shape = draw_shape(rng, rng.choice([1, 2, 2]))
    maps: list[Map] = []
    for _ in range(rng.randint(0, 2)):
        maps.append(draw_pool(rng, maps[-1].output_shape if maps else shape))
    check(maps, shape, rng.choice(LANES), rng)


@seeds
def test_diagonal(seed: int) -> None:
    """One weight an element, or one a channel; the latter also before a pool."""
    rng = random.Random(seed)
    shape = draw_shape(rng, rng.choice([0, 1, 2]))
    maps: list[Map] = []
    if len(shape) > 1 and rng.random() < 0.4:
        maps.append(draw_pool(rng, shape))
    inner = maps[-1].output_shape if maps else shape
    weight = weights(rng, *inner)
    if rng.random() < 0.5:
        weight = weights(rng, inner[0], *(1,) * (len(inner) - 1)) * np.ones(inner, dtype=int)
        if len(inner) > 1:
            maps += [Diagonal(weight), draw_pool(rng, inner)]
            check(maps, shape, rng.choice(LANES), rng)
            return
    check([*maps, Diagonal(weight)], shape, rng.choice(LANES), rng)


@seeds
def test_reshaped_to_dense(seed: int) -> None:
    """Images flattened, pooled or not, and dense layers whose neurons are an image."""
    rng = random.Random(seed)
    shape = draw_shape(rng, rng.choice([0, 1, 2]))
    maps: list[Map] = []
    for _ in range(rng.choice([0, 1, 2]) if len(shape) > 1 else 0):
        maps.append(draw_pool(rng, maps[-1].output_shape if maps else shape))
    inner = maps[-1].output_shape if maps else shape
    if len(inner) > 1:
        maps.append(Reshape(inner, (math.prod(inner),)))
    target = draw_shape(rng, rng.choice([0, 1, 2]))
    maps.append(Dense(weights(rng, math.prod(inner), math.prod(target))))
    if len(target) > 1:
        maps.append(Reshape((math.prod(target),), target))
    check(maps, shape, rng.choice(LANES), rng)


@seeds
def test_joined_tables(seed: int) -> None:
    """Each connection's sources are found behind those of the connections before."""
    rng = random.Random(seed)
    shape = draw_shape(rng, 2)
    flat = rng.randint(1, 6)
    dense = [
        Dense(weights(rng, flat, math.prod(shape))),
        Reshape((math.prod(shape),), shape),
    ]
    square = Convolution(weights(rng, shape[0], 2, 3, 3), (2, *shape[1:]), (1, 1), (1, 1), (1, 1))
    connections: list[tuple[Sequence[Map], Shape]] = [
        (dense, (flat,)),
        ([square], (2, *shape[1:])),
        ([], shape),
        ([Diagonal(weights(rng, *shape))], shape),
    ]
    rng.shuffle(connections)
    layout = Layout(shape, rng.choice(LANES))
    tables = joined_tables([scatter_tables(maps, own, layout) for maps, own in connections])
    starts = (0, 0, 0)
    for maps, own in connections:
        values = np.array([rng.randint(-4, 4) for _ in range(math.prod(own))]).reshape(own)
        expected = apply_maps(maps, values[None])[0].ravel()
        assert played(tables, values, layout, starts).tolist() == expected.tolist(), f"seed {seed}"
        starts = tuple(a + b for a, b in zip(starts, whole(own), strict=True))
    assert starts == (len(tables.base), len(tables.height), len(tables.width))


ONES = np.ones((2, 3, 4), dtype=int)
UNEVEN = np.arange(24).reshape(2, 3, 4)
POOL = Pool((2, 3, 4), (1, 2), (1, 2), (0, 0))


FLAT = Reshape((2, 3, 4), (24,))
HALF: list[Map] = [Reshape((2, 3, 4), (2, 12)), Pool((2, 12), (2,), (2,), (0,))]
ALL = Dense(np.ones((24, 24), dtype=int))


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([Diagonal(ONES), Diagonal(ONES)], "maps must have one set of weights at most"),
        ([Diagonal(UNEVEN), POOL], "weights of each element must not stand before a pool"),
        ([FLAT], "Reshape must not stand here"),
        ([FLAT, Diagonal(UNEVEN.ravel())], "Reshape must not stand here"),
        (
            [*HALF, Reshape((2, 6), (12,)), Dense(np.ones((12, 2), dtype=int))],
            "maps between a reshaping and a dense one must be reshapings",
        ),
        (
            [FLAT, ALL, Reshape((24,), (2, 3, 4)), POOL],
            "maps behind a dense one must be reshapings alone",
        ),
    ],
)
def test_wrong_maps(maps: Sequence[Map], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{message}$"):
        scatter_tables(maps, (2, 3, 4), Layout(maps[-1].output_shape, 2))


def test_wrong_shape() -> None:
    message = r"^shapes must have at most three dimensions, not \(1, 2, 3, 4\)$"
    with pytest.raises(ValueError, match=message):
        scatter_tables([], (1, 2, 3, 4), Layout((1, 2, 3, 4), 2))
