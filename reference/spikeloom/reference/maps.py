"""Linear maps between populations: what a vector of spike counts adds to whom.

A map works on the last dimensions of an array and on any type of number, so the same object
serves the float network, with real weights, and the fixed one, with integers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = [
    "Convolution",
    "Dense",
    "Diagonal",
    "Map",
    "Pool",
    "Reshape",
    "Shape",
    "Weighted",
    "apply_maps",
    "dense_of",
    "map_bounds",
]

Shape = tuple[int, ...]
Array = NDArray[Any]

MAX_UNFOLDED = 1 << 22
"""Numbers that a convolution has in memory at a time to be one product, if a sample has fewer."""

MAX_DENSE = 1 << 26
"""Weights that a map may have when it is written out as a matrix: 512 MiB."""


@dataclass(frozen=True, eq=False)
class Map:
    """A linear map from arrays of one shape to arrays of another."""

    @property
    def input_shape(self) -> Shape:
        """Shape of what comes in."""
        raise NotImplementedError

    @property
    def output_shape(self) -> Shape:
        """Shape of what goes out."""
        raise NotImplementedError

    def apply(self, x: Array) -> Array:
        """Map an array of shape (batch, \\*input_shape) to one of (batch, \\*output_shape)."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Weighted(Map):
    """A map with weights.

    Raises
    ------
    ValueError
        If the weights are not of the right shape.
    """

    weight: Array

    def with_weight(self, weight: Array) -> Self:
        """The same map with other weights of the same shape."""
        return replace(self, weight=weight)

    def target_axes(self) -> Shape:
        """The shape, broadcastable to the weights', of one number for each independent target."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Dense(Weighted):
    """Everything with everything: ``x @ weight``; weight of shape (inputs, neurons)."""

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or 0 in self.weight.shape:
            raise ValueError(f"weight must be of shape (inputs, neurons), not {self.weight.shape}")

    @property
    def input_shape(self) -> Shape:
        return (self.weight.shape[0],)

    @property
    def output_shape(self) -> Shape:
        return (self.weight.shape[1],)

    def apply(self, x: Array) -> Array:
        return x @ self.weight

    def target_axes(self) -> Shape:
        return (1, self.weight.shape[1])


@dataclass(frozen=True, eq=False)
class Diagonal(Weighted):
    """Each element by itself: ``x * weight``; weight of the input's shape."""

    @property
    def input_shape(self) -> Shape:
        return self.weight.shape

    @property
    def output_shape(self) -> Shape:
        return self.weight.shape

    def apply(self, x: Array) -> Array:
        return x * self.weight

    def target_axes(self) -> Shape:
        return self.weight.shape


@dataclass(frozen=True, eq=False)
class Convolution(Weighted):
    """A convolution over one or more dimensions, in the orientation of PyTorch and NIR.

    Parameters
    ----------
    weight
        Shape (outputs, inputs / groups, \\*kernel).
    shape
        Shape of what comes in: (inputs, \\*sizes).
    stride, padding, dilation
        One integer a dimension; padding with zeros on both sides.
    groups
        Groups of channels that have nothing to do with each other.
    """

    shape: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int = 1

    def __post_init__(self) -> None:
        if self.weight.shape[1] * self.groups != self.shape[0]:
            raise ValueError(
                f"weight must be for {self.shape[0]} channels in {self.groups} groups, not of"
                f" shape {self.weight.shape}"
            )

    @property
    def input_shape(self) -> Shape:
        return self.shape

    @property
    def spans(self) -> Shape:
        """What the kernel covers in each dimension, its gaps included."""
        kernel = self.weight.shape[2:]
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, kernel, strict=True))

    @property
    def output_shape(self) -> Shape:
        sizes = _places(self.shape[1:], self.spans, self.stride, self.padding)
        return (self.weight.shape[0], *sizes)

    def apply(self, x: Array) -> Array:
        shape = (len(x), *self.output_shape)
        result = np.empty(shape, dtype=np.result_type(self.weight, x))
        # A kernel of k places repeats each number up to k times: not the whole batch at once.
        unfolded = self.groups * self.weight[0].size * math.prod(self.output_shape[1:])
        rows = max(1, MAX_UNFOLDED // max(1, unfolded))
        for start in range(0, len(x), rows):
            result[start : start + rows] = self._unfolded_product(x[start : start + rows])
        return result

    def _unfolded_product(self, x: Array) -> Array:
        windows = _windows(x, self.spans, self.stride, self.padding)
        gaps: Any = (..., *(slice(None, None, d) for d in self.dilation))
        windows = windows[gaps]
        rank = len(self.shape) - 1
        sizes, kernel = self.output_shape[1:], self.weight.shape[2:]
        # (batch, groups, channels, *sizes, *kernel): channels and kernel are summed over.
        windows = windows.reshape(len(x), self.groups, -1, *sizes, *kernel)
        order = (0, 1, 2, *range(3 + rank, 3 + 2 * rank), *range(3, 3 + rank))
        columns = windows.transpose(order).reshape(
            len(x), self.groups, self.weight[0].size, math.prod(sizes)
        )
        weight = self.weight.reshape(self.groups, -1, self.weight[0].size)
        return (weight @ columns).reshape(len(x), *self.output_shape)

    def target_axes(self) -> Shape:
        return (self.weight.shape[0], *(1,) * (self.weight.ndim - 1))


@dataclass(frozen=True, eq=False)
class Pool(Map):
    """Sums over windows of an input of shape (channels, \\*sizes)."""

    shape: Shape
    kernel: Shape
    stride: Shape
    padding: Shape

    @property
    def input_shape(self) -> Shape:
        return self.shape

    @property
    def output_shape(self) -> Shape:
        return (self.shape[0], *_places(self.shape[1:], self.kernel, self.stride, self.padding))

    def apply(self, x: Array) -> Array:
        windows = _windows(x, self.kernel, self.stride, self.padding)
        rank = len(self.kernel)
        return windows.sum(axis=tuple(range(-rank, 0)), dtype=x.dtype)


@dataclass(frozen=True, eq=False)
class Reshape(Map):
    """The same numbers in another shape."""

    shape: Shape
    to: Shape

    @property
    def input_shape(self) -> Shape:
        return self.shape

    @property
    def output_shape(self) -> Shape:
        return self.to

    def apply(self, x: Array) -> Array:
        return x.reshape(len(x), *self.to)


def apply_maps(maps: Sequence[Map], x: Array) -> Array:
    """One map after the other; none leaves the array as it is."""
    for each in maps:
        x = each.apply(x)
    return x


def map_bounds(maps: Sequence[Map], low: Array, high: Array) -> tuple[Array, Array]:
    """The least and the most that maps make of inputs between two arrays.

    Parameters
    ----------
    low, high
        Integers of the input's shape.

    Returns
    -------
    Integers of the output's shape. No partial sum in any order lies outside the least or 0 and
    the most or 0.
    """
    low, high = np.minimum(low, 0)[None], np.maximum(high, 0)[None]
    for each in maps:
        if isinstance(each, Weighted):
            rise = each.with_weight(np.maximum(each.weight, 0))
            fall = each.with_weight(np.minimum(each.weight, 0))
            low, high = rise.apply(low) + fall.apply(high), rise.apply(high) + fall.apply(low)
        else:
            low, high = each.apply(low), each.apply(high)
    return low[0], high[0]


def dense_of(maps: Sequence[Map], shape: Shape) -> Array:
    """The matrix of maps one after the other.

    Parameters
    ----------
    shape
        Shape of what comes in.

    Returns
    -------
    Array of shape (inputs, outputs), both flat.

    Raises
    ------
    ValueError
        If it would have more than :data:`MAX_DENSE` numbers.
    """
    size = math.prod(shape)
    outputs = math.prod(maps[-1].output_shape) if maps else size
    if size * max(size, outputs) > MAX_DENSE:
        raise ValueError(
            f"a map from {size} to {outputs} numbers must not be written out as a matrix: it would"
            f" have more than {MAX_DENSE} numbers"
        )
    weights = [each.weight for each in maps if isinstance(each, Weighted)]
    unit = np.eye(size, dtype=np.result_type(np.int64, *weights))
    return apply_maps(maps, unit.reshape(size, *shape)).reshape(size, outputs)


def _windows(x: Array, spans: Shape, stride: Shape, padding: Shape) -> Array:
    """Windows over the last dimensions: shape (batch, channels, \\*places, \\*spans)."""
    rank = len(spans)
    if any(padding):
        x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    windows = sliding_window_view(x, spans, axis=tuple(range(-rank, 0)))
    return windows[(slice(None), slice(None), *(slice(None, None, s) for s in stride))]


def _places(sizes: Shape, spans: Shape, stride: Shape, padding: Shape) -> Shape:
    return tuple(
        (size + 2 * pad - span) // step + 1
        for size, span, step, pad in zip(sizes, spans, stride, padding, strict=True)
    )
