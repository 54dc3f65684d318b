"""Spike rasters as lists of address events, and back.

An event is a row ``(kind, address, count)`` of integers; the numbers of the kinds are those of
the hardware's :class:`spikeloom.rtl_gen.events.EventKind`.
"""

import numpy as np
from numpy.typing import ArrayLike

from spikeloom.reference.fixed import IntArray

__all__ = ["RESTART", "SPIKE", "TICK", "events_to_raster", "raster_to_events"]

SPIKE, TICK, RESTART = 0, 1, 2


def raster_to_events(raster: ArrayLike) -> IntArray:
    """Address events of a spike raster.

    Parameters
    ----------
    raster
        Spike counts, or other integers, of shape (samples, steps, neurons).

    Returns
    -------
    Rows ``(kind, address, count)``: for each sample a restart, then for each step its spikes in
    ascending order of address and a tick.

    Raises
    ------
    ValueError
        If the raster is not three-dimensional.
    """
    raster = np.asarray(raster)
    if raster.ndim != 3:
        raise ValueError(f"raster must be of shape (samples, steps, neurons), not {raster.shape}")
    samples, steps, neurons = raster.shape
    # A slot for the restart before, and for the tick behind the spikes of each step.
    slots = np.zeros((samples, steps, neurons + 2), dtype=np.int64)
    slots[:, :1, 0] = 1
    slots[:, :, 1:-1] = raster
    slots[:, :, -1] = 1
    address = np.nonzero(slots)[2] - 1
    events = np.zeros((len(address), 3), dtype=np.int64)
    events[:, 0] = np.where(address < 0, RESTART, np.where(address == neurons, TICK, SPIKE))
    spike = events[:, 0] == SPIKE
    events[spike, 1] = address[spike]
    events[spike, 2] = slots[slots != 0][spike]
    return events


def events_to_raster(events: ArrayLike, steps: int, neurons: int) -> IntArray:
    """Spike raster of address events, the inverse of :func:`raster_to_events`.

    Parameters
    ----------
    events
        Rows ``(kind, address, count)``.
    steps, neurons
        Shape of one sample.

    Returns
    -------
    Spike counts of shape (samples, steps, neurons).

    Raises
    ------
    ValueError
        If a kind or address is unknown, a restart does not stand at the start of each sample and
        there alone, a count is 0, an address comes twice in a step, or the last sample
        is not complete.
    """
    events = np.asarray(events, dtype=np.int64).reshape(-1, 3)
    kind, address, count = events.T
    if steps < 1:
        raise ValueError(f"steps must be positive, not {steps!r}")
    if not np.all((kind >= SPIKE) & (kind <= RESTART)):
        raise ValueError(f"kind must be 0, 1 or 2, but one is {kind[(kind < 0) | (kind > 2)][0]}")
    tick = kind == TICK
    step = np.cumsum(tick) - tick
    if tick.sum() % steps or (len(events) and not tick[-1]):
        raise ValueError(f"events must end with the tick of a sample's step {steps - 1}")
    samples = int(tick.sum()) // steps
    restart = kind == RESTART
    follows_tick = np.concatenate([[True], tick[:-1]])
    if not np.array_equal(step[restart], np.arange(samples) * steps) or np.any(
        restart & ~follows_tick
    ):
        raise ValueError("a restart must stand at the start of each sample and nowhere else")
    spike = kind == SPIKE
    if np.any((address[spike] < 0) | (address[spike] >= neurons)):
        raise ValueError(f"address must be 0 to {neurons - 1}, but one is not")
    if np.any(count[spike] == 0):
        raise ValueError("count must not be 0, but one is")
    index = step[spike] * neurons + address[spike]
    if len(np.unique(index)) != len(index):
        raise ValueError("an address must come at most once in a step, but one comes twice")
    raster = np.zeros(samples * steps * neurons, dtype=np.int64)
    raster[index] = count[spike]
    return raster.reshape(samples, steps, neurons)
