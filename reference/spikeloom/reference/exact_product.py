"""Exact products of spike counts and integer weights in floating point, two rows at a time.

Processors multiply matrices of single-precision numbers several times faster than matrices of
integers. Such a number holds every integer up to ``2**24``, far more than most sums of a layer
need: so two rows of counts ``x`` and ``y`` are packed into one, ``x + 4096 * y``, and multiplied by
the weights together.

The result is exact. Take a block of inputs whose weights onto one neuron add up, in magnitude and
times the largest count, to at most 4095. Let ``X`` and ``Y`` be the sums of the two rows, and
``low`` the sum of the block's negative weights times the largest count. Each product, and each sum
of some of them in any order, has the magnitude of at most ``4095 * 4097 = 2**24 - 1``: no step
rounds. As ``0 <= X - low <= 4095``, the result ``X + 4096 * Y`` less ``low`` has ``X - low`` in its
lowest 12 bits and ``Y`` above them. What several blocks give is added up in integers.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.fixed import IntArray

__all__ = ["ExactProduct"]

FIELD = 12
"""Bits between the two rows."""
MOST_COUNT = 15
"""The largest count with which two rows still pack into 16 bits."""
LEAST_ROWS = 32
"""Rows of counts, and inputs in a block, from which on packing pays."""
MOST_BLOCKS = 127
"""Blocks whose results, before they are taken apart, add up to less than ``2**31``."""
PAIRS = 512
"""Pairs of rows at a time, which stay in a core's cache."""


class ExactProduct:
    """``counts @ weight`` without any error.

    Parameters
    ----------
    weight
        Integers of shape (inputs, neurons), below ``2**24`` in magnitude.
    most
        The largest count, at least 1.
    """

    def __init__(self, weight: IntArray, most: int) -> None:
        bound = int(np.abs(weight).sum(axis=0).max()) * most
        self.kind: Any = np.float32 if bound < 1 << 24 else np.float64
        self._weight: NDArray[Any] = weight.astype(self.kind)
        self._blocks: list[tuple[int, int, NDArray[np.int32]]] = []
        if most <= MOST_COUNT and int(np.abs(weight).max()) * most < 1 << FIELD:
            blocks = _blocks(weight, most)
            if len(blocks) <= min(MOST_BLOCKS, len(weight) // LEAST_ROWS):
                self._weight = weight.astype(np.float32)
                self._blocks = blocks

    def __call__(self, counts: NDArray[np.integer]) -> NDArray[np.signedinteger]:
        """Multiply counts of shape (rows, inputs); the result has the shape (rows, neurons)."""
        rows = len(counts)
        if not self._blocks or rows < LEAST_ROWS:
            product = counts.astype(self.kind) @ self._weight
            return product.astype(np.int32 if self.kind is np.float32 else np.int64)
        half = (rows + 1) // 2
        products = np.empty((2, half, self._weight.shape[1]), dtype=np.int32)
        for start in range(0, half, PAIRS):
            packed = counts[start : min(start + PAIRS, half)].astype(np.uint16)
            others = counts[half + start : half + start + len(packed)]
            packed[: len(others)] |= np.left_shift(others, FIELD, dtype=np.uint16, casting="unsafe")
            self._multiply(packed, products[:, start : start + len(packed)])
        return products.reshape(2 * half, -1)[:rows]

    def _multiply(self, packed: NDArray[np.uint16], products: NDArray[np.int32]) -> None:
        """Multiply pairs of rows, shape (pairs, inputs), into an array (2, pairs, neurons)."""
        # Silent inputs at either end, as an image's margins have them, are left out.
        heard = np.flatnonzero(np.bitwise_or.reduce(packed, axis=0))
        first, end = (int(heard[0]), int(heard[-1]) + 1) if heard.size else (0, 0)
        values = packed[:, first:end].astype(np.float32)
        lower, upper = products
        products[...] = 0
        total_low = np.zeros(lower.shape[1:], dtype=np.int32)
        for start, stop, low in self._blocks:
            start, stop = max(start, first), min(stop, end)
            if start < stop:
                both = values[:, start - first : stop - first] @ self._weight[start:stop]
                fields = both.astype(np.int32)
                fields -= low
                lower += fields
                fields >>= FIELD
                upper += fields
                total_low += low
        lower -= upper << FIELD
        lower += total_low


def _blocks(weight: IntArray, most: int) -> list[tuple[int, int, NDArray[np.int32]]]:
    """The fewest runs of inputs in which no neuron's magnitudes add up to ``2**FIELD``.

    Returns
    -------
    First input, end, and each neuron's least sum.
    """
    starts = [0]
    sums = np.zeros(weight.shape[1], dtype=np.int64)
    for k, each in enumerate(np.abs(weight) * most):
        sums += each
        if sums.max() >= 1 << FIELD:
            starts.append(k)
            sums = each
    least = np.minimum(weight, 0) * most
    return [
        (start, stop, least[start:stop].sum(axis=0, dtype=np.int32))
        for start, stop in pairwise([*starts, len(weight)])
    ]
