"""Packed products against plain ones of 64-bit integers."""

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

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
