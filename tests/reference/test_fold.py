"""Folded maps do what the maps one by one did, exactly: all numbers are short binary fractions."""

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.fold import fold, scaled_sources, scaled_targets
from spikeloom.reference.maps import (
    Convolution,
    Dense,
    Diagonal,
    Map,
    Pool,
    Reshape,
    Weighted,
)

seeds = st.integers(0, 2**32)


def numbers(rng: random.Random, shape: tuple[int, ...]) -> Any:
    values = [rng.randint(-6, 6) / 4 for _ in range(math.prod(shape))]
    return np.array(values).reshape(shape)


def scales(rng: random.Random, shape: tuple[int, ...]) -> Diagonal:
    """One number, one a channel or one an element; all are binary fractions."""
    kind = rng.randint(0, 2)
    if kind == 0:
        return Diagonal(np.full(shape, rng.choice([-0.5, 0.25, 3.0])))
    if kind == 1:
        ones = (1,) * (len(shape) - 1)
        channel = numbers(rng, (shape[0],)).reshape(-1, *ones)
        return Diagonal(np.broadcast_to(channel, shape).copy())
    return Diagonal(numbers(rng, shape))


def step(rng: random.Random, shape: tuple[int, ...]) -> Map:
    if len(shape) == 3:
        kind = rng.choice(["scale", "scale", "conv", "pool", "flat"])
        height, width = shape[1:]
        if kind == "conv":
            groups = rng.choice([1, shape[0]])
            kernel = (min(2, height), min(2, width))
            weight = numbers(rng, (groups * rng.randint(1, 2), shape[0] // groups, *kernel))
            padding = (rng.randint(0, 1), 0)
            return Convolution(weight, shape, (rng.randint(1, 2), 1), padding, (1, 1), groups)
        if kind == "pool":
            return Pool(shape, (min(2, height), 1), (1, 1), (rng.randint(0, 1), 0))
        if kind == "flat":
            return Reshape(shape, (math.prod(shape),))
        return scales(rng, shape)
    kind = rng.choice(["scale", "scale", "dense", "dense", "shape"])
    if kind == "dense":
        return Dense(numbers(rng, (shape[0], rng.randint(1, 4))))
    if kind == "shape":
        return Reshape(shape, (shape[0], 1, 1))
    return scales(rng, shape)


def random_chain(seed: int) -> list[Map]:
    rng = random.Random(seed)
    shape = rng.choice([(3,), (2, 3, 2), (1, 4, 3)])
    maps = []
    for _ in range(rng.randint(0, 5)):
        maps.append(step(rng, shape))
        shape = maps[-1].output_shape
    return maps


@given(seeds)
def test_fold_is_one_map_after_the_other(seed: int) -> None:
    maps = random_chain(seed)
    if not maps:
        assert fold(maps) == ()
        return
    x = numbers(random.Random(seed + 1), (3, *maps[0].input_shape))
    expected = x
    for each in maps:
        expected = each.apply(expected)
    folded = fold(maps)
    found = x
    for each in folded:
        assert each.input_shape == found.shape[1:]
        found = each.apply(found)
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)
    assert sum(isinstance(each, Weighted) for each in folded) <= 1


def kinds(maps: tuple[Map, ...]) -> list[str]:
    return [type(each).__name__ for each in maps]


def conv(channels: int, outputs: int, size: int) -> Convolution:
    weight = numbers(random.Random(7), (outputs, channels, 2, 2))
    return Convolution(weight, (channels, size, size), (1, 1), (0, 0), (1, 1))


def test_convolutions_stay_convolutions() -> None:
    """Scales of a channel go into the weights, through pools and flattening too."""
    each = conv(2, 3, 5)
    places = each.output_shape
    by_channel = Diagonal(np.broadcast_to(np.array([1.0, 2.0, 4.0])[:, None, None], places))
    assert kinds(fold([each, by_channel])) == ["Convolution"]
    pool = Pool(places, (2, 2), (2, 2), (0, 0))
    uniform = Diagonal(np.full(pool.output_shape, 0.25))
    assert kinds(fold([each, pool, uniform])) == ["Convolution", "Pool"]
    flat = Reshape(places, (math.prod(places),))
    flat_scale = Diagonal(by_channel.weight.reshape(-1))
    assert kinds(fold([each, flat, flat_scale])) == ["Convolution", "Reshape"]
    source = Diagonal(np.broadcast_to(np.array([1.0, 2.0])[:, None, None], each.shape))
    assert kinds(fold([source, each])) == ["Convolution"]
    # A scale that differs within a channel cannot be part of shared weights.
    single = Diagonal(np.arange(math.prod(places), dtype=float).reshape(places))
    assert kinds(fold([each, single])) == ["Reshape", "Dense", "Reshape"]


def test_scaled_targets_by_hand() -> None:
    matrix = Dense(np.array([[1.0, 2.0], [3.0, 4.0]]))
    scaled = scaled_targets(matrix, [], Diagonal(np.array([10.0, 100.0])))
    assert scaled is not None
    assert scaled.weight.tolist() == [[10, 200], [30, 400]]
    pooled = scaled_targets(
        Diagonal(np.ones((1, 2, 2))),
        [Pool((1, 2, 2), (2, 1), (1, 1), (0, 0))],
        Diagonal(np.array([[[2.0, 3.0]]])),
    )
    assert pooled is None


def test_scaled_sources_by_hand() -> None:
    matrix = Dense(np.array([[1.0, 2.0], [3.0, 4.0]]))
    scaled = scaled_sources(Diagonal(np.array([10.0, 100.0])), [], matrix)
    assert scaled is not None
    assert scaled.weight.tolist() == [[10, 20], [300, 400]]
    grouped = Convolution(np.ones((2, 1, 1)), (2, 3), (1,), (0,), (1,), 2)
    by_channel = Diagonal(np.array([[2.0] * 3, [3.0] * 3]))
    scaled = scaled_sources(by_channel, [], grouped)
    assert scaled is not None
    assert scaled.weight.tolist() == [[[2]], [[3]]]


def test_wrong_size() -> None:
    """Two convolutions without neurons between become a matrix, which must not be too large."""
    first = Convolution(np.ones((2, 1, 2, 2)), (1, 120, 120), (1, 1), (0, 0), (1, 1))
    second = Convolution(np.ones((1, 2, 2, 2)), first.output_shape, (1, 1), (0, 0), (1, 1))
    with pytest.raises(ValueError, match="must not be written out as a matrix"):
        fold([first, second])
