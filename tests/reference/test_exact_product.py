"""Packed products against plain ones of 64-bit integers."""

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference import exact_product
from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.exact_product import LEAST_ROWS, MOST_COUNT, PAIRS, ExactProduct
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.simulate import count_outputs, run_fixed


def is_exact(weight: Any, counts: Any, most: int) -> bool:
    expected = counts.astype(np.int64) @ weight.astype(np.int64)
    return np.array_equal(ExactProduct(weight, most)(counts), expected)


@pytest.mark.parametrize("most", [1, 3, MOST_COUNT, 31, 255])
@pytest.mark.parametrize("width", [2, 4, 8, 12, 16])
@pytest.mark.parametrize("rows", [1, LEAST_ROWS - 1, LEAST_ROWS, 101, 2 * PAIRS + 5])
def test_random_weights(rows: int, width: int, most: int) -> None:
    rng = np.random.default_rng([rows, width, most])
    half = 1 << (width - 1)
    for inputs in (1, 40, 700):
        weight = rng.integers(-half, half, (inputs, 7))
        counts = rng.integers(0, most + 1, (rows, inputs), dtype=np.uint8)
        assert is_exact(weight, counts, most)
        assert is_exact(weight, counts.astype(np.int64), most)


@pytest.mark.parametrize("sign", [-1, 1])
def test_extremes(sign: int) -> None:
    """Sums at the very ends of a field, with every count the largest or 0."""
    weight = np.full((4095 // 63, 3), 63) * [sign, -sign, 1]
    assert is_exact(weight, np.ones((64, 65), dtype=np.uint8), 1)
    weight = np.concatenate([weight, [[1, -1, 1]], weight])
    rows = np.random.default_rng(0).integers(0, 2, (64, 1), dtype=np.uint8)
    assert is_exact(weight, np.broadcast_to(rows, (64, 131)), 1)


def test_a_skewed_block() -> None:
    """Neurons with positive weights alone and with negative ones alone share the blocks."""
    rng = np.random.default_rng(1)
    magnitude = rng.integers(0, 128, (784, 6))
    weight = magnitude * [1, -1, 1, -1, 0, 1]
    assert is_exact(weight, rng.integers(0, 2, (333, 784), dtype=np.uint8), 1)


def test_silent_inputs() -> None:
    rng = np.random.default_rng(2)
    weight = rng.integers(-128, 128, (784, 5))
    counts = rng.integers(0, 2, (200, 784), dtype=np.uint8)
    for heard in (slice(0, 0), slice(0, 1), slice(783, 784), slice(300, 310), slice(5, 700)):
        some = np.zeros_like(counts)
        some[:, heard] = counts[:, heard]
        assert is_exact(weight, some, 1)


def test_packs_what_it_can() -> None:
    """Weights of a trained layer are packed; ones that fill a field by themselves are not."""
    rng = np.random.default_rng(3)
    counts = np.ones((64, 784), dtype=np.uint8)
    for scale, packs in ((20, True), (2000, False)):
        weight = np.rint(rng.normal(0, scale, (784, 5))).astype(np.int64)
        with patch.object(ExactProduct, "_multiply", autospec=True) as multiply:
            ExactProduct(weight, 1)(counts)
        assert multiply.called is packs


def test_many_blocks() -> None:
    """More blocks than may be added up are not packed."""
    weight = np.full((LEAST_ROWS * 200, 2), 100)
    assert len(exact_product._blocks(weight, 1)) > exact_product.MOST_BLOCKS
    assert is_exact(weight, np.ones((40, len(weight)), dtype=np.uint8), 1)


def test_streamed_runs_are_whole_runs() -> None:
    """What is counted in chunks is what a run that packs nothing counts."""
    rng = np.random.default_rng(4)
    state = QFormat(word_length=16)
    layers = [
        FixedDense(
            weight=rng.integers(-128, 128, shape),
            weight_width=8,
            neurons=NeuronConfig(
                size=shape[1], state=state, current_width=2, threshold=300, floor=-300
            ),
        )
        for shape in ((300, 40), (40, 5))
    ]
    network = fixed_stack(layers, "test")
    raster = (rng.random((50, 9, 300)) < 0.2).astype(np.uint8)
    with patch.object(exact_product, "MOST_COUNT", 0):
        plain = run_fixed(network, raster)
    assert plain.counts.any()
    assert np.array_equal(run_fixed(network, raster).membrane["layer_0"], plain.membrane["layer_0"])
    for chunk in (1, 7, 50):
        chunks = (raster[k : k + chunk] for k in range(0, 50, chunk))
        assert np.array_equal(np.concatenate(list(count_outputs(network, chunks))), plain.counts)


@given(
    st.integers(0, 2**32),
    st.sampled_from([1, 2, MOST_COUNT, MOST_COUNT + 1, 255]),
    st.sampled_from([1, 7, 127, 4095, 4096, 32767]),
    st.sampled_from([LEAST_ROWS - 1, LEAST_ROWS, LEAST_ROWS + 1, 2 * LEAST_ROWS]),
)
def test_any_weights(seed: int, most: int, largest: int, inputs: int) -> None:
    """Counts and weights at the ends of their ranges more often than not."""
    rng = np.random.default_rng(seed)
    weight = rng.choice([-largest, 0, largest, 1], (inputs, 2))
    rows = int(rng.integers(1, 80))
    counts = rng.choice([0, most], (rows, inputs)).astype(np.uint8)
    counts[:, : rng.integers(0, inputs)] = 0
    assert is_exact(weight, counts, most)


def test_blocks_are_the_fewest() -> None:
    """A field holds magnitudes up to 4095, times the largest count, of each neuron."""
    for most in (1, 5, 15):
        whole = 4095 // most
        weight = np.array([[whole - 1, 0], [-1, -whole], [1, 0], [0, 1], [0, -whole]])
        # The third input would overflow the first neuron, the fifth the second.
        assert [(start, stop) for start, stop, _ in exact_product._blocks(weight, most)] == [
            (0, 2),
            (2, 4),
            (4, 5),
        ]
        assert [low.tolist() for _, _, low in exact_product._blocks(weight, most)] == [
            [-most, -whole * most],
            [0, 0],
            [0, -whole * most],
        ]


@pytest.mark.parametrize(
    ("rows", "inputs", "most", "largest", "packs"),
    [
        (LEAST_ROWS, LEAST_ROWS, 1, 1, True),
        (LEAST_ROWS - 1, LEAST_ROWS, 1, 1, False),
        (LEAST_ROWS, LEAST_ROWS - 1, 1, 1, False),
        (LEAST_ROWS, LEAST_ROWS, 15, 1, True),
        (LEAST_ROWS, LEAST_ROWS, 16, 1, False),
        # A single weight that fills a field, and one that overflows it, however sparse they are.
        (LEAST_ROWS, LEAST_ROWS, 15, 273, True),
        (LEAST_ROWS, LEAST_ROWS, 15, 274, False),
        (LEAST_ROWS, LEAST_ROWS, 1, 4095, True),
        (LEAST_ROWS, LEAST_ROWS, 1, 4096, False),
    ],
)
def test_when_it_packs(rows: int, inputs: int, most: int, largest: int, packs: bool) -> None:
    weight = np.zeros((inputs, 1), dtype=np.int64)
    weight[inputs // 2] = -largest
    counts = np.full((rows, inputs), most, dtype=np.uint8)
    with patch.object(
        ExactProduct, "_multiply", autospec=True, side_effect=ExactProduct._multiply
    ) as multiply:
        assert np.all(ExactProduct(weight, most)(counts) == -largest * most)
    assert multiply.called is packs


def test_most_blocks_that_pack() -> None:
    """127 blocks of the largest sums, in both rows: what they add up to fits 32 bits."""
    for blocks, packs in ((127, True), (128, False)):
        weight = np.zeros((LEAST_ROWS * blocks, 2), dtype=np.int64)
        weight[::LEAST_ROWS] = [4095, -4095]
        counts = np.ones((LEAST_ROWS, len(weight)), dtype=np.uint8)
        product = ExactProduct(weight, 1)
        assert bool(product._blocks) is packs
        assert product(counts).tolist() == [[4095 * blocks, -4095 * blocks]] * LEAST_ROWS


@pytest.mark.parametrize("total", [2**24 - 1, 2**24])
def test_precision_follows_the_largest_sum(total: int) -> None:
    """Beyond 24 bits single precision would lose the last place."""
    weight = np.array([[total - 1], [1]])
    product = ExactProduct(weight, 1)
    assert product.kind is (np.float32 if total < 2**24 else np.float64)
    assert product(np.array([[1, 1], [1, 0]])).tolist() == [[total], [total - 1]]
    weight = np.array([[2**23], [2**23 - 1], [2]])
    assert ExactProduct(weight, 1)(np.ones((1, 3), int)).item() == 2**24 + 1


@pytest.mark.parametrize("rows", [1, LEAST_ROWS])
def test_sums_beyond_32_bits(rows: int) -> None:
    """300 times ``2**23`` is more than ``2**31``, as currents of 48 bits may be."""
    weight = np.full((300, 2), 2**23) * [1, -1]
    counts = np.ones((rows, 300), dtype=np.uint8)
    assert ExactProduct(weight, 1)(counts).tolist() == [[300 * 2**23, -300 * 2**23]] * rows
