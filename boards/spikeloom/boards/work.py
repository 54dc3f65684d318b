"""How much a network's populations have to do: a cheap figure by which lanes are chosen.

:func:`spikeloom.rtl_gen.timing.predict` tells what becomes of it, cycle by cycle.
"""

from collections.abc import Mapping
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.network import FixedNetwork, schedule
from spikeloom.reference.profile import Accumulation
from spikeloom.reference.scatter import three_sizes
from spikeloom.rtl_gen.event_population import EventPopulation
from spikeloom.rtl_gen.network import Population
from spikeloom.rtl_gen.population import DensePopulation

__all__ = ["estimated_cycles", "step_work"]

Counts = NDArray[np.integer]
Work = NDArray[np.int64]
"""Cycles of each step, shape (samples, steps)."""


def step_work(population: Population, signals: Mapping[str, Counts], sent: Counts) -> Work:
    """Cycles that a population works on each step, delays of events left aside.

    Parameters
    ----------
    population
        The population.
    signals
        What inputs and populations send, shape (samples, steps, \\*shape).
    sent
        What it sends itself.
    """
    core, rows = population.core, population.rows
    leaves = rows + _active(sent)
    heard = [signals[each.connection.source] for each in population.sources]
    if isinstance(core, DensePopulation):
        active = sum((_active(each) for each in heard), start=np.zeros(1, np.int64))
        return np.maximum(np.maximum(active, 1) * rows, leaves)
    counts = population.neurons.accumulation is Accumulation.SPIKING_EVENT
    added = np.zeros(sent.shape[:2], np.int64)
    lengths = [list(map(len, axis)) for axis in (core.tables.height, core.tables.width)]
    tables = [np.array(each) for each in (core.tables.groups, *lengths)]
    for values in heard:
        sizes = three_sizes(values.shape[2:])
        events = values.reshape(*values.shape[:2], *sizes).astype(np.int64)
        reached = [table[:size] for table, size in zip(tables, sizes, strict=True)]
        added += np.einsum("stcyx,c,y,x->st", events if counts else events != 0, *reached)
        tables = [table[size:] for table, size in zip(tables, sizes, strict=True)]
    if isinstance(core, EventPopulation):
        return added + np.where(added > 0, population.inputs, 0) + rows
    return np.maximum(added, leaves)


def estimated_cycles(network: FixedNetwork, work: Mapping[str, Work]) -> float:
    """Cycles of a sample, about, mean of all: each step of a population begins when those that it
    hears have ended theirs, and when it has ended the one before.

    Parameters
    ----------
    work
        Of each input and population.
    """
    samples, steps = next(iter(work.values())).shape
    ends = {name: np.cumsum(work[name], axis=1) for name in network.inputs}
    for name in chain.from_iterable(schedule(network.populations)):
        sources = [each.source for each in network.populations[name].connections]
        begins = [ends[each] for each in sources if each in ends]
        ready = np.max(begins, axis=0) if begins else np.zeros((samples, steps), np.int64)
        end = np.zeros(samples, np.int64)
        ends[name] = np.empty((samples, steps), np.int64)
        for step in range(steps):
            end = np.maximum(ready[:, step], end) + work[name][:, step]
            ends[name][:, step] = end
    return float(np.mean(np.max([each[:, -1] for each in ends.values()], axis=0)))


def _active(values: Counts) -> Work:
    """How many of a step's numbers are not 0."""
    return np.count_nonzero(values, axis=tuple(range(2, values.ndim)))
