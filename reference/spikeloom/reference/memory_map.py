"""How arrays lie in the hardware's memories: rows of one word a lane."""

import numpy as np
from numpy.typing import ArrayLike

from spikeloom.reference.fixed import IntArray

__all__ = ["by_lane", "sweep_rows", "weight_rows"]


def sweep_rows(size: int, lanes: int) -> int:
    """Rows in which ``lanes`` lanes sweep over ``size`` neurons."""
    return -(-size // lanes)


def by_lane(values: ArrayLike, size: int, lanes: int) -> IntArray:
    """One value a neuron, or one for all, as rows of one value a lane.

    Neuron ``n`` lies in row ``n // lanes`` at lane ``n % lanes``; lanes without a neuron hold the
    last neuron's value.

    Returns
    -------
    Integers of shape (rows, lanes).
    """
    neurons = np.minimum(np.arange(sweep_rows(size, lanes) * lanes), size - 1)
    return np.broadcast_to(np.asarray(values, dtype=np.int64), (size,))[neurons].reshape(-1, lanes)


def weight_rows(weight: ArrayLike, lanes: int) -> IntArray:
    """The weight memory of a dense layer.

    Row ``sweep * inputs + input`` holds the weights from that input to the ``lanes`` neurons of
    that sweep; lanes without a neuron hold 0.

    Parameters
    ----------
    weight
        Integers of shape (inputs, neurons).

    Returns
    -------
    Integers of shape (sweeps * inputs, lanes).
    """
    weight = np.asarray(weight, dtype=np.int64)
    inputs, neurons = weight.shape
    sweeps = sweep_rows(neurons, lanes)
    padded = np.zeros((inputs, sweeps * lanes), dtype=np.int64)
    padded[:, :neurons] = weight
    return padded.reshape(inputs, sweeps, lanes).swapaxes(0, 1).reshape(-1, lanes)
