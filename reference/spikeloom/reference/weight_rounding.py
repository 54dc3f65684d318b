"""Weights of a population as what a word of some bits can say."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from spikeloom.reference.fold import scaled_targets
from spikeloom.reference.maps import Diagonal, Map, Shape, Weighted
from spikeloom.reference.network import Connection
from spikeloom.reference.scaling import largest_weights, with_weights

__all__ = ["rounded_weights"]


def rounded_weights(
    connections: Sequence[Connection], shape: Shape, width: int, *, shared: bool
) -> tuple[Connection, ...]:
    """Round weights to the nearest of those that a word of ``width`` bits has.

    The largest weight of each neuron, or of each channel of a convolution, fills the word, which
    is what :func:`~spikeloom.reference.quantize.quantize` does with a scale for each neuron: it
    finds these weights whole, if the state is wide enough for the threshold in units of the step.

    Parameters
    ----------
    connections, shape
        Of a population whose sources send whole numbers.
    shared
        Whether the largest of all weights fills the word of all.

    Raises
    ------
    ValueError
        If neurons with different largest weights share some.
    """
    largest = largest_weights(connections, shape)
    if shared:
        largest = np.full(shape, largest.max(initial=0.0))
    step = np.where(largest > 0, largest, 1.0) / ((1 << (width - 1)) - 1)
    return tuple(
        replace(each, maps=_rounded(each, shape, Diagonal(step), Diagonal(1 / step)))
        for each in connections
    )


def _rounded(
    connection: Connection, shape: Shape, step: Diagonal, steps: Diagonal
) -> tuple[Map, ...]:
    maps = list(with_weights(connection.maps, shape))
    (k,) = (k for k, each in enumerate(maps) if isinstance(each, Weighted))
    whole = back = scaled_targets(cast(Weighted, maps[k]), maps[k + 1 :], steps)
    if whole is not None:
        back = scaled_targets(whole.with_weight(np.rint(whole.weight)), maps[k + 1 :], step)
    if back is None:
        raise ValueError(
            f"the weights from {connection.source!r} are shared by neurons whose scales differ"
        )
    maps[k] = back
    return tuple(maps)
