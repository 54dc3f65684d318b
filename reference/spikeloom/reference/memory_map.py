"""How arrays lie in the hardware's memories: rows of one word a lane."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import IntArray
from spikeloom.reference.maps import Shape

__all__ = ["Layout", "dense_rows"]


@dataclass(frozen=True)
class Layout:
    """Where the neurons of a population lie.

    Lanes lie across channels, the first dimension; a flat population is one of channels alone. Row
    ``position * groups + group`` holds at lane ``p`` the neuron of channel ``group * lanes + p`` at
    that position, positions in the order of the flat array.

    Parameters
    ----------
    shape
        Shape of the population.
    lanes
        Words in a row.
    """

    shape: Shape
    lanes: int

    @property
    def channels(self) -> int:
        """Channels of the population."""
        return self.shape[0]

    @property
    def positions(self) -> int:
        """Neurons of a channel."""
        return math.prod(self.shape[1:])

    @property
    def groups(self) -> int:
        """Rows of a position."""
        return -(-self.channels // self.lanes)

    @property
    def rows(self) -> int:
        """Rows in which the lanes sweep over the population."""
        return self.positions * self.groups

    @property
    def present(self) -> int:
        """Lanes that have a neuron in the last row of a position."""
        return self.channels - (self.groups - 1) * self.lanes

    @property
    def neurons(self) -> NDArray[np.int64]:
        """Number of the neuron in the flat array for each row and lane; -1 where there is none."""
        channel = np.arange(self.groups * self.lanes).reshape(1, self.groups, self.lanes)
        position = np.arange(self.positions).reshape(-1, 1, 1)
        number = channel * self.positions + position
        return np.where(channel < self.channels, number, -1).reshape(self.rows, self.lanes)

    def by_row(self, values: ArrayLike) -> IntArray:
        """One value a neuron, or one for all, as rows of one value a lane.

        Parameters
        ----------
        values
            One integer, or an array of shape (..., neurons) in the flat order.

        Returns
        -------
        Integers of shape (..., rows, lanes); lanes without a neuron hold 0.
        """
        values = np.asarray(values, dtype=np.int64)
        if values.ndim == 0:
            values = np.broadcast_to(values, (math.prod(self.shape),))
        return np.where(self.neurons < 0, 0, values[..., self.neurons])

    def from_rows(self, rows: ArrayLike) -> IntArray:
        """The inverse of :meth:`by_row`: shape (..., neurons) from (..., rows, lanes)."""
        rows = np.asarray(rows, dtype=np.int64)
        flat = rows.reshape(*rows.shape[:-2], -1)
        place = np.argsort(self.neurons.ravel(), kind="stable")
        return flat[..., place[-math.prod(self.shape) :]]


def dense_rows(weight: ArrayLike, layout: Layout) -> IntArray:
    """The weight memory of a dense connection.

    Row ``sweep * inputs + input`` holds the weights from that input to the neurons of that row of
    the layout; lanes without a neuron hold 0.

    Parameters
    ----------
    weight
        Integers of shape (inputs, neurons).

    Returns
    -------
    Integers of shape (rows * inputs, lanes).
    """
    return layout.by_row(weight).swapaxes(0, 1).reshape(-1, layout.lanes)
