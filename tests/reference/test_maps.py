"""Linear maps against naive loops in Python's integers."""

import itertools
import math
import random
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikeloom.reference.maps import (
    MAX_DENSE,
    Convolution,
    Dense,
    Diagonal,
    Map,
    Pool,
    Reshape,
    apply_maps,
    dense_of,
    map_bounds,
)

seeds = st.integers(0, 2**32)


def integers(rng: random.Random, shape: tuple[int, ...], low: int = -9, high: int = 9) -> Any:
    values = [rng.randint(low, high) for _ in range(math.prod(shape))]
    return np.array(values, dtype=np.int64).reshape(shape)


def naive_convolution(each: Convolution, x: NDArray[Any]) -> NDArray[Any]:
    """By the definition: padded inputs that are not there are 0."""
    outputs, per_group, *kernel = each.weight.shape
    sizes = x.shape[1:]
    places = [
        len(range(-pad, size + pad - gap * (k - 1), step))
        for size, k, step, pad, gap in zip(
            sizes, kernel, each.stride, each.padding, each.dilation, strict=True
        )
    ]
    result = np.zeros((outputs, *places), dtype=x.dtype)
    for o in range(outputs):
        group = o // (outputs // each.groups)
        for place in itertools.product(*map(range, places)):
            total = x.dtype.type(0)
            for c in range(per_group):
                for tap in itertools.product(*map(range, kernel)):
                    at = tuple(
                        p * step - pad + k * gap
                        for p, step, pad, k, gap in zip(
                            place, each.stride, each.padding, tap, each.dilation, strict=True
                        )
                    )
                    if all(0 <= a < size for a, size in zip(at, sizes, strict=True)):
                        total += each.weight[(o, c, *tap)] * x[(group * per_group + c, *at)]
            result[(o, *place)] = total
    return result


def naive_pool(each: Pool, x: NDArray[Any]) -> NDArray[Any]:
    channels = len(x)
    rows = []
    for c in range(channels):
        weight = np.ones((1, 1, *each.kernel), dtype=x.dtype)
        one = Convolution(
            weight=weight,
            shape=(1, *x.shape[1:]),
            stride=each.stride,
            padding=each.padding,
            dilation=(1,) * len(each.kernel),
        )
        rows.append(naive_convolution(one, x[c : c + 1])[0])
    return np.stack(rows)


def random_convolution(rng: random.Random, rank: int) -> Convolution:
    groups = rng.choice([1, 1, 2, 3])
    channels, outputs = groups * rng.randint(1, 3), groups * rng.randint(1, 3)
    kernel = tuple(rng.randint(1, 3) for _ in range(rank))
    dilation = tuple(rng.randint(1, 2) for _ in range(rank))
    padding = tuple(rng.randint(0, 2) for _ in range(rank))
    sizes = tuple(
        max(1, d * (k - 1) + 1 - 2 * p) + rng.randint(0, 3)
        for d, k, p in zip(dilation, kernel, padding, strict=True)
    )
    return Convolution(
        weight=integers(rng, (outputs, channels // groups, *kernel)),
        shape=(channels, *sizes),
        stride=tuple(rng.randint(1, 3) for _ in range(rank)),
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def random_pool(rng: random.Random) -> Pool:
    kernel = (rng.randint(1, 3), rng.randint(1, 3))
    padding = tuple(rng.randint(0, k // 2) for k in kernel)
    sizes = tuple(k + rng.randint(0, 3) for k in kernel)
    stride = (rng.randint(1, 3), rng.randint(1, 3))
    return Pool((rng.randint(1, 3), *sizes), kernel, stride, padding)


@given(seeds)
def test_dense(seed: int) -> None:
    rng = random.Random(seed)
    inputs, outputs = rng.randint(1, 5), rng.randint(1, 5)
    each = Dense(integers(rng, (inputs, outputs)))
    assert (each.input_shape, each.output_shape) == ((inputs,), (outputs,))
    x = integers(rng, (3, inputs))
    expected = [
        [sum(int(row[i]) * int(each.weight[i, o]) for i in range(inputs)) for o in range(outputs)]
        for row in x
    ]
    assert each.apply(x).tolist() == expected


@given(seeds)
def test_diagonal(seed: int) -> None:
    rng = random.Random(seed)
    shape = tuple(rng.randint(1, 3) for _ in range(rng.randint(1, 3)))
    each = Diagonal(integers(rng, shape))
    assert each.input_shape == each.output_shape == shape
    x = integers(rng, (2, *shape))
    pairs = [[a * b for a, b in zip(row.flat, each.weight.flat, strict=True)] for row in x]
    assert each.apply(x).reshape(2, -1).tolist() == pairs


@given(seeds, st.sampled_from([1, 2]))
def test_convolution(seed: int, rank: int) -> None:
    rng = random.Random(seed)
    each = random_convolution(rng, rank)
    x = integers(rng, (2, *each.shape))
    expected = np.stack([naive_convolution(each, one) for one in x])
    assert each.input_shape == each.shape
    assert each.output_shape == expected.shape[1:]
    found = each.apply(x)
    assert found.shape == expected.shape
    assert found.tolist() == expected.tolist()
    # Small integers are exact in single precision too.
    real = each.with_weight(each.weight.astype(np.float32)).apply(x.astype(np.float32))
    assert real.dtype == np.float32
    assert real.tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_convolution_over_three_dimensions(seed: int) -> None:
    rng = random.Random(seed)
    each = random_convolution(rng, 3)
    x = integers(rng, each.shape)
    assert each.apply(x[None])[0].tolist() == naive_convolution(each, x).tolist()


def test_convolution_of_many_samples_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 samples, unfolded to 50,176 numbers each, would be 80 MB; 12 of them at a time are 5."""
    rng = np.random.default_rng(4)
    each = Convolution(
        weight=rng.normal(size=(3, 4, 7, 7)),
        shape=(4, 16, 16),
        stride=(1, 1),
        padding=(3, 3),
        dilation=(1, 1),
    )
    x = rng.normal(size=(200, *each.shape))
    whole = each.apply(x)
    sizes = []
    for limit in (1, 12 * 50176):
        monkeypatch.setattr("spikeloom.reference.maps.MAX_UNFOLDED", limit)
        tracemalloc.start()
        assert np.array_equal(each.apply(x), whole)
        sizes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The result has 1.2 MB; what is unfolded is there twice, once as windows.
    assert sizes[0] < 3e6
    assert sizes[1] < 12e6
    assert each.apply(x[:0]).shape == (0, 3, 16, 16)


def test_pool_unfolds_nothing() -> None:
    each = Pool((4, 64, 64), (8, 8), (1, 1), (0, 0))
    x = np.ones((20, *each.shape))
    tracemalloc.start()
    assert np.all(each.apply(x) == 64)
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 20 * 4 * 57 * 57 results in 2.1 MB, and their windows would be 64 times as large.
    assert size < 8e6


def test_convolution_by_hand() -> None:
    """Not mirrored: at the left end the kernel's middle meets the first number."""
    each = Convolution(
        weight=np.array([[[1, 10, 100]]]), shape=(1, 4), stride=(1,), padding=(1,), dilation=(1,)
    )
    assert each.apply(np.array([[[1, 2, 3, 4]]])).tolist() == [[[210, 321, 432, 43]]]
    strided = Convolution(
        weight=np.array([[[1, 10]], [[1, -1]]]),
        shape=(1, 5),
        stride=(2,),
        padding=(0,),
        dilation=(2,),
    )
    assert strided.spans == (3,)
    assert strided.apply(np.array([[[1, 2, 3, 4, 5]]])).tolist() == [[[31, 53], [-2, -2]]]


@given(seeds)
def test_pool(seed: int) -> None:
    rng = random.Random(seed)
    each = random_pool(rng)
    x = integers(rng, (2, *each.shape))
    expected = np.stack([naive_pool(each, one) for one in x])
    assert (each.input_shape, each.output_shape) == (each.shape, expected.shape[1:])
    assert each.apply(x).tolist() == expected.tolist()


def test_pool_by_hand() -> None:
    each = Pool((1, 2, 3), (2, 2), (1, 1), (0, 0))
    assert each.apply(np.array([[[[1, 2, 3], [10, 20, 30]]]])).tolist() == [[[[33, 55]]]]
    assert each.apply(np.ones((1, 1, 2, 3), dtype=np.float32)).dtype == np.float32


def test_reshape() -> None:
    each = Reshape((2, 3), (6,))
    assert (each.input_shape, each.output_shape) == ((2, 3), (6,))
    assert each.apply(np.arange(12).reshape(2, 2, 3)).tolist() == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10, 11],
    ]


def test_with_weight_keeps_the_rest() -> None:
    rng = random.Random(3)
    each = random_convolution(rng, 2)
    other = each.with_weight(each.weight * 2)
    x = integers(rng, (1, *each.shape))
    assert other.apply(x).tolist() == (2 * each.apply(x)).tolist()
    assert (other.stride, other.padding, other.dilation, other.groups) == (
        each.stride,
        each.padding,
        each.dilation,
        each.groups,
    )


def test_target_axes() -> None:
    """What is multiplied along them multiplies targets: a column, a neuron, a channel."""
    rng = random.Random(4)
    for each in (
        Dense(integers(rng, (3, 2))),
        Diagonal(integers(rng, (2, 3))),
        random_convolution(rng, 1),
        random_convolution(rng, 2),
    ):
        factor = integers(rng, each.target_axes(), 1, 5)
        x = integers(rng, (2, *each.input_shape))
        scaled = each.with_weight(each.weight * factor).apply(x)
        rank = len(each.output_shape)
        ones = factor if rank == factor.ndim else factor.reshape(-1, *(1,) * (rank - 1))
        assert scaled.tolist() == (each.apply(x) * ones).tolist()


@st.composite
def chains(draw: st.DrawFn) -> list[Map]:
    """Convolution, pool, scale, flattening and matrix, each there or not."""
    rng = random.Random(draw(seeds))
    maps: list[Map] = []
    shape = (rng.randint(1, 2), rng.randint(3, 5), rng.randint(3, 5))
    if rng.random() < 0.6:
        weight = integers(rng, (rng.randint(1, 3), shape[0], 2, rng.randint(1, 2)), -3, 3)
        maps.append(Convolution(weight, shape, (1, 2), (rng.randint(0, 1), 0), (1, 1)))
        shape = maps[-1].output_shape
    if rng.random() < 0.5:
        maps.append(Pool(shape, (2, 1), (1, 1), (rng.randint(0, 1), 0)))
        shape = maps[-1].output_shape
    if rng.random() < 0.5:
        maps.append(Diagonal(integers(rng, shape, -3, 3)))
    if rng.random() < 0.7 or not maps:
        maps.append(Reshape(shape, (math.prod(shape),)))
        if rng.random() < 0.8:
            maps.append(Dense(integers(rng, (math.prod(shape), rng.randint(1, 3)), -3, 3)))
    return maps


@given(chains(), seeds)
def test_apply_maps_and_dense_of(maps: list[Map], seed: int) -> None:
    shape = maps[0].input_shape
    x = integers(random.Random(seed), (3, *shape))
    expected = x
    for each in maps:
        expected = each.apply(expected)
    assert apply_maps(maps, x).tolist() == expected.tolist()
    matrix = dense_of(maps, shape)
    assert matrix.shape == (math.prod(shape), math.prod(maps[-1].output_shape))
    assert (x.reshape(3, -1) @ matrix).tolist() == expected.reshape(3, -1).tolist()


def test_no_maps() -> None:
    x = np.arange(6).reshape(1, 2, 3)
    assert apply_maps((), x) is x
    assert dense_of((), (2, 3)).tolist() == np.eye(6).tolist()
    low, high = map_bounds((), np.full((2,), -3), np.full((2,), 5))
    assert (low.tolist(), high.tolist()) == ([-3, -3], [5, 5])


def partial_sums(column: list[int], low: list[int], high: list[int]) -> tuple[int, int]:
    """The least and the most of all sums of some of the products, whatever the inputs are."""
    ends = [
        sorted((0, weight * least, weight * most))
        for weight, least, most in zip(column, low, high, strict=True)
    ]
    return sum(least for least, _, _ in ends), sum(most for _, _, most in ends)


@given(seeds)
def test_map_bounds_of_one_map_are_reached(seed: int) -> None:
    """No bound is wider than the inputs from least to most, or 0, make it."""
    rng = random.Random(seed)
    choices = [
        Dense(integers(rng, (4, 3))),
        Diagonal(integers(rng, (2, 2))),
        random_convolution(rng, rng.choice([1, 2])),
        random_pool(rng),
        Reshape((2, 3), (6,)),
    ]
    each = rng.choice(choices)
    low = integers(rng, each.input_shape, -4, 1)
    high = np.maximum(low, integers(rng, each.input_shape, -1, 5))
    found = map_bounds([each], low, high)
    matrix = dense_of([each], each.input_shape).T.tolist()
    expected = [partial_sums(column, low.ravel(), high.ravel()) for column in matrix]
    pairs = zip(found[0].ravel().tolist(), found[1].ravel().tolist(), strict=True)
    assert list(pairs) == expected


@given(seeds)
def test_map_bounds_hold_every_input(seed: int) -> None:
    """Brute force over all inputs of a short chain, in every order of summation."""
    rng = random.Random(seed)
    maps: list[Map] = [
        Dense(integers(rng, (3, 2), -3, 3)),
        Diagonal(integers(rng, (2,), -2, 2)),
        Dense(integers(rng, (2, 2), -3, 3)),
    ][: rng.randint(1, 3)]
    least, most = rng.randint(-2, 0), rng.randint(0, 2)
    low, high = map_bounds(maps, np.full(3, least), np.full(3, most))
    for x in itertools.product(range(least, most + 1), repeat=3):
        for order in itertools.permutations(range(3)):
            partial = np.zeros((1, 3), dtype=np.int64)
            for k in order:
                partial[0, k] = x[k]
                total = apply_maps(maps, partial)[0]
                assert np.all((np.minimum(low, 0) <= total) & (total <= np.maximum(high, 0)))


@pytest.mark.parametrize("shape", [(3,), (0, 2), (2, 0), (1, 2, 3)])
def test_dense_wrong_weight(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^weight must be of shape \(inputs, neurons\), not \("):
        Dense(np.zeros(shape))


def test_convolution_wrong_weight() -> None:
    message = r"^weight must be for 4 channels in 2 groups, not of shape \(2, 3, 1\)$"
    with pytest.raises(ValueError, match=message):
        Convolution(np.zeros((2, 3, 1)), (4, 5), (1,), (0,), (1,), 2)


def test_dense_of_wrong_size() -> None:
    size = math.isqrt(MAX_DENSE) + 1
    message = rf"^a map from {size} to {size} numbers must not be written out as a matrix: it"
    with pytest.raises(ValueError, match=message):
        dense_of([Reshape((size,), (size, 1))], (size,))
