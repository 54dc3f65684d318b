"""Maps that follow each other without neurons between them, made into fewer."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.maps import (
    Convolution,
    Dense,
    Diagonal,
    Map,
    Pool,
    Reshape,
    Weighted,
    dense_of,
)

__all__ = ["fold", "scaled_sources", "scaled_targets"]


def fold(maps: Sequence[Map]) -> tuple[Map, ...]:
    """Maps with one set of weights at most, which do the same in real numbers.

    Scales go into the weights next to them; other maps with weights that follow each other without
    neurons between become one matrix.

    Raises
    ------
    ValueError
        If the matrix would be too large.
    """
    folded: list[Map] = []
    for each in maps:
        folded = _joined(folded, _by_element(each))
    return tuple(folded)


def _by_element(each: Map) -> Map:
    """A convolution that scales each channel by itself as that."""
    if not isinstance(each, Convolution) or each.groups != each.weight.shape[0]:
        return each
    same = math.prod(each.weight.shape[1:]) == 1 and each.input_shape == each.output_shape
    if not same:
        return each
    ones = (1,) * (len(each.input_shape) - 1)
    return Diagonal(np.broadcast_to(each.weight.reshape(-1, *ones), each.input_shape))


def _joined(maps: list[Map], last: Map) -> list[Map]:
    """Maps with one more behind them, with one set of weights at most."""
    places = [k for k, each in enumerate(maps) if isinstance(each, Weighted)]
    if not places or not isinstance(last, Weighted):
        return [*maps, last]
    (k,) = places
    before: Any = maps[k]
    between = maps[k + 1 :]
    scaled = None
    if isinstance(last, Diagonal):
        scaled = scaled_targets(before, between, last)
    if scaled is not None:
        return [*maps[:k], scaled, *between]
    if isinstance(before, Diagonal):
        scaled = scaled_sources(before, between, last)
    if scaled is not None:
        return [*maps[:k], *between, scaled]
    whole = [*maps[k:], last]
    matrix = dense_of(whole, before.input_shape)
    flat = (math.prod(before.input_shape),)
    result: list[Map] = [*maps[:k]]
    if before.input_shape != flat:
        result.append(Reshape(before.input_shape, flat))
    result.append(Dense(matrix))
    if last.output_shape != (matrix.shape[1],):
        result.append(Reshape((matrix.shape[1],), last.output_shape))
    return result


def scaled_targets(before: Weighted, between: Sequence[Map], scale: Diagonal) -> Weighted | None:
    """Weights that hold a scale of what becomes of them after unweighted maps, if that can be."""
    uniform = _uniform(scale)
    if uniform is not None:
        return before.with_weight(before.weight * uniform)
    if all(isinstance(each, Reshape) for each in between):
        factor = scale.weight.reshape(before.output_shape)
        if isinstance(before, Dense | Diagonal):
            return before.with_weight(before.weight * factor)
    elif all(isinstance(each, Pool) for each in between):
        factor = scale.weight
    else:
        return None
    channel = _each_channel(factor)
    if isinstance(before, Convolution) and channel is not None:
        return before.with_weight(before.weight * channel.reshape(before.target_axes()))
    return None


def scaled_sources(scale: Diagonal, between: Sequence[Map], last: Weighted) -> Weighted | None:
    """Weights that hold a scale of what comes to them through unweighted maps, if that can be."""
    uniform = _uniform(scale)
    if uniform is not None:
        return last.with_weight(last.weight * uniform)
    carried = _carried(scale.weight, between)
    if carried is None:
        return None
    if isinstance(last, Dense):
        return last.with_weight(last.weight * carried.reshape(-1, 1))
    if isinstance(last, Diagonal):
        return last.with_weight(last.weight * carried.reshape(last.weight.shape))
    channel = _each_channel(carried)
    if isinstance(last, Convolution) and channel is not None:
        # A row of inputs for each output channel, which hears those of its own group alone.
        groups = np.repeat(channel.reshape(last.groups, -1), len(last.weight) // last.groups, 0)
        ones = (1,) * (last.weight.ndim - 2)
        return last.with_weight(last.weight * groups.reshape(*groups.shape, *ones))
    return None


def _carried(scale: NDArray[Any], between: Sequence[Map]) -> NDArray[Any] | None:
    """A scale before unweighted maps as one behind them, if that can be."""
    for each in between:
        if isinstance(each, Pool):
            channel = _each_channel(scale)
            if channel is None:
                return None
            ones = (1,) * (scale.ndim - 1)
            scale = np.broadcast_to(channel.reshape(-1, *ones), each.output_shape)
        else:
            scale = scale.reshape(each.output_shape)
    return scale


def _uniform(scale: Diagonal) -> float | None:
    first = scale.weight.flat[0]
    return float(first) if np.all(scale.weight == first) else None


def _each_channel(values: NDArray[Any]) -> NDArray[Any] | None:
    """One number for each channel of an array, if they do not differ within channels."""
    channels = values.reshape(len(values), -1)
    return channels[:, 0] if np.all(channels == channels[:, :1]) else None
