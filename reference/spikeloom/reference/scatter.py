"""Tables by which an event finds the rows that it adds to: what drives the scatter engine.

A source of shape (channels, height, width) is told by three coordinates. What it adds to whom is
separable: from its channel follow the weights of that channel and the groups of lanes it reaches,
from its height a list of pairs (place among the weights, place among the accumulators), and from
its width another. An event of (c, y, x) adds, for each pair of y's list, each pair of x's list and
each group of c, the weight row ``base[c] + y.weight + x.weight + group`` to the accumulator row
``first[c] + y.target + x.target + group``. Stride, padding, dilation and pooling are all in the
lists; sources and targets of fewer dimensions have sizes of 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.fixed import IntArray
from spikeloom.reference.maps import (
    Convolution,
    Dense,
    Diagonal,
    Map,
    Pool,
    Reshape,
    Shape,
    Weighted,
)
from spikeloom.reference.memory_map import Layout

__all__ = ["ScatterTables", "joined_tables", "scatter_tables", "three_sizes"]

Pair = tuple[int, int]
Relation = list[list[Pair]]
"""For each place of a source the pairs of weight place and target place that it leads to."""


@dataclass(frozen=True, eq=False)
class ScatterTables:
    """Tables of a connection.

    Attributes
    ----------
    base, first, groups
        For each channel of the source its first weight row, the first of the accumulator rows of a
        position that it reaches, and how many.
    height, width
        For each place of the source pairs of what is added to the weight row and what to the
        accumulator row.
    weights
        Weight rows of one integer a lane.
    """

    base: tuple[int, ...]
    first: tuple[int, ...]
    groups: tuple[int, ...]
    height: Relation
    width: Relation
    weights: IntArray

    def additions(self, channel: int, y: int, x: int) -> list[Pair]:
        """Pairs of weight row and accumulator row of one event, in the hardware's order."""
        return [
            (
                self.base[channel] + wy + wx + group,
                self.first[channel] + ty + tx + group,
            )
            for wy, ty in self.height[y]
            for wx, tx in self.width[x]
            for group in range(self.groups[channel])
        ]


def scatter_tables(maps: Sequence[Map], shape: Shape, target: Layout) -> ScatterTables:
    """The tables of a connection's maps.

    Parameters
    ----------
    maps
        At most one of them with weights, which are integers.
    shape
        Shape of the source.
    target
        Layout of the population.

    Raises
    ------
    ValueError
        If the maps are not separable: weights before another map than pooling or reshaping, or a
        reshaping of what is not then fully connected.
    """
    weighted = next((k for k, each in enumerate(maps) if isinstance(each, Weighted)), len(maps))
    before, after = maps[:weighted], maps[weighted + 1 :]
    if any(isinstance(each, Weighted) for each in after):
        raise ValueError("maps must have one set of weights at most")
    one = maps[weighted] if weighted < len(maps) else None
    if isinstance(one, Dense):
        return _dense(before, one, after, shape, target)
    return _sliding(before, one, after, shape, target)


def three_sizes(shape: Shape) -> tuple[int, int, int]:
    """Channels, height and width, with 1 for what there is not."""
    if len(shape) > 3:
        raise ValueError(f"shapes must have at most three dimensions, not {shape}")
    sizes = (*shape[:1], *(1,) * (3 - len(shape)), *shape[1:])
    return sizes[0], sizes[1], sizes[2]


def _same(size: int) -> Relation:
    return [[(0, place)] for place in range(size)]


def _slid(
    relation: Relation,
    places: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    weigh: bool,
) -> Relation:
    """A relation, and then windows that slide over its targets."""
    return [
        [
            (tap if weigh else weight, place)
            for weight, target in pairs
            for tap in range(kernel)
            for place, rest in [divmod(target + padding - tap * dilation, stride)]
            if rest == 0 and 0 <= place < places
        ]
        for pairs in relation
    ]


def _window(
    each: Pool | Convolution,
) -> tuple[list[tuple[int, int, int, int, int]], bool]:
    """For height and width: places, kernel, stride, padding, dilation; and whether it weighs."""
    rank = len(each.input_shape) - 1
    places = each.output_shape[1:]
    if isinstance(each, Convolution):
        kernel, dilation, weigh = each.weight.shape[2:], each.dilation, True
    else:
        kernel, dilation, weigh = each.kernel, (1,) * rank, False
    axes = list(zip(places, kernel, each.stride, each.padding, dilation, strict=True))
    return ([(1, 1, 1, 0, 1)] if rank == 1 else []) + axes, weigh


def _followed(relations: list[Relation], maps: Sequence[Map]) -> list[Relation]:
    """Relations of height and width, with pools and a convolution behind them."""
    for each in maps:
        if isinstance(each, Pool | Convolution):
            axes, weigh = _window(each)
            relations = [
                _slid(relation, *axis, weigh)
                for relation, axis in zip(relations, axes, strict=True)
            ]
        elif not isinstance(each, Diagonal):
            raise ValueError(f"{type(each).__name__} must not stand here")
    return relations


def _dense(
    before: Sequence[Map], dense: Dense, after: Sequence[Map], shape: Shape, target: Layout
) -> ScatterTables:
    """Every source adds to every row; the weights depend on its place behind the pools."""
    if not all(isinstance(each, Reshape) for each in after):
        raise ValueError("maps behind a dense one must be reshapings alone")
    pools = [each for each in before if not isinstance(each, Reshape)]
    flat = [k for k, each in enumerate(before) if isinstance(each, Reshape)]
    if flat and any(not isinstance(each, Reshape) for each in before[flat[0] :]):
        raise ValueError("maps between a reshaping and a dense one must be reshapings")
    channels, rows, columns = three_sizes(shape)
    height, width = _followed([_same(rows), _same(columns)], pools)
    places = three_sizes(pools[-1].output_shape if pools else shape)
    rows_each = target.rows
    weights = target.by_row(dense.weight)
    return ScatterTables(
        base=tuple(c * places[1] * places[2] * rows_each for c in range(channels)),
        first=(0,) * channels,
        groups=(rows_each,) * channels,
        height=[[(y * places[2] * rows_each, 0) for _, y in pairs] for pairs in height],
        width=[[(x * rows_each, 0) for _, x in pairs] for pairs in width],
        weights=weights.reshape(-1, target.lanes),
    )


def _sliding(
    before: Sequence[Map],
    one: Map | None,
    after: Sequence[Map],
    shape: Shape,
    target: Layout,
) -> ScatterTables:
    """Sources add to their surroundings: convolutions, pools, and weights element by element."""
    channels, rows, columns = three_sizes(shape)
    everything = [*before, *([] if one is None else [one]), *after]
    height, width = _followed([_same(rows), _same(columns)], everything)
    kernel = _kernel(one, before, after, channels)
    outputs, inputs, taps_y, taps_x = kernel.shape
    if isinstance(one, Diagonal) and (taps_y, taps_x) != (1, 1):
        # Weights that differ from place to place are found by the place.
        height = [[(y, y) for _, y in pairs] for pairs in height]
        width = [[(x, x) for _, x in pairs] for pairs in width]
    lanes, groups = target.lanes, target.groups
    _, _, target_width = three_sizes(target.shape)
    reached = [np.flatnonzero(_feeds(one, c, channels, outputs)) // lanes for c in range(channels)]
    first = [int(each[0]) for each in reached]
    count = [int(each[-1]) - int(each[0]) + 1 for each in reached]
    # Rows of a channel: taps, and in each the groups that it reaches, as many for all channels.
    most = max(count)
    first = [min(f, groups - most) for f in first]
    padded = np.zeros((groups * lanes, inputs, taps_y, taps_x), dtype=np.int64)
    padded[:outputs] = kernel
    by_group = padded.reshape(groups, lanes, inputs, taps_y, taps_x)
    weights = [
        by_group[first[c] : first[c] + most, :, c].transpose(2, 3, 0, 1) for c in range(channels)
    ]
    return ScatterTables(
        base=tuple(c * taps_y * taps_x * most for c in range(channels)),
        first=tuple(first),
        groups=(most,) * channels,
        height=[[(t * taps_x * most, y * target_width * groups) for t, y in p] for p in height],
        width=[[(t * most, x * groups) for t, x in p] for p in width],
        weights=np.concatenate([each.reshape(-1, lanes) for each in weights]),
    )


def _feeds(one: Map | None, channel: int, channels: int, outputs: int) -> NDArray[np.bool_]:
    """Which channels of the target a channel of the source adds to."""
    groups = one.groups if isinstance(one, Convolution) else channels
    return np.arange(outputs) // (outputs // groups) == channel // (channels // groups)


def _kernel(
    one: Map | None, before: Sequence[Map], after: Sequence[Map], channels: int
) -> NDArray[Any]:
    """Weights of shape (outputs, inputs, height, width), with 0 between groups of channels."""
    if isinstance(one, Convolution):
        outputs, each = one.weight.shape[:2]
        taps = three_sizes((1, *one.weight.shape[2:]))[1:]
        kernel = np.zeros((outputs, channels, *taps), dtype=np.int64)
        own = one.weight.reshape(outputs, each, *taps)
        for o in range(outputs):
            start = o // (outputs // one.groups) * each
            kernel[o, start : start + each] = own[o]
        return kernel
    if isinstance(one, Diagonal):
        values = one.weight.reshape(three_sizes(one.weight.shape))
        if np.all(values == values[:, :1, :1]):
            values = values[:, :1, :1]
        elif any(isinstance(each, Pool) for each in after):
            raise ValueError("weights of each element must not stand before a pool")
    else:
        values = np.ones((channels, 1, 1), dtype=np.int64)
    kernel = np.zeros((channels, channels, *values.shape[1:]), dtype=np.int64)
    kernel[np.arange(channels), np.arange(channels)] = values
    return kernel


def joined_tables(tables: Sequence[ScatterTables]) -> ScatterTables:
    """Tables of several connections in one: coordinates and weight rows count on."""
    starts = np.cumsum([0, *(len(each.weights) for each in tables)]).tolist()
    return ScatterTables(
        base=tuple(
            start + base for start, each in zip(starts, tables, strict=False) for base in each.base
        ),
        first=tuple(first for each in tables for first in each.first),
        groups=tuple(groups for each in tables for groups in each.groups),
        height=[pairs for each in tables for pairs in each.height],
        width=[pairs for each in tables for pairs in each.width],
        weights=np.concatenate([each.weights for each in tables]),
    )
