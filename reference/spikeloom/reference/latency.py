"""Accuracy, synaptic operations and latency of a network, step by step."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import exact_integer
from spikeloom.reference.maps import Weighted, apply_maps
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.simulate import Trace

__all__ = [
    "EarlyStop",
    "Progress",
    "decisions",
    "early_stop",
    "measure_progress",
    "synaptic_operations",
]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Progress:
    """What a network knows after each step, and what it has done for that.

    Attributes
    ----------
    correct
        Samples whose decision is right, if the network stops after the step; shape (steps,).
    operations
        Synaptic operations of a sample up to the step, on average; shape (steps,).
    sums
        Sums of the output up to each step, flat: shape (samples, steps, outputs).
    samples
        How many samples there were.
    """

    correct: NDArray[np.int64]
    operations: NDArray[np.float64]
    sums: NDArray[np.int64]
    samples: int


def measure_progress(network: FixedNetwork, traces: Iterable[Trace], labels: ArrayLike) -> Progress:
    """Put traces together.

    Parameters
    ----------
    network
        What ran.
    traces
        Traces of groups of samples, in order.
    labels
        The right output of each sample.
    """
    sums: list[Array] = []
    events: dict[str, Array] = {}
    for trace in traces:
        flat = trace.output.reshape(*trace.output.shape[:2], -1)
        sums.append(flat.cumsum(axis=1, dtype=np.int64))
        for name, count in trace.events.items():
            events[name] = events.get(name, 0) + count
    whole = np.concatenate(sums)
    right = whole.argmax(axis=2) == np.asarray(labels)[:, None]
    operations = synaptic_operations(network, events, len(whole)).cumsum() / len(whole)
    return Progress(right.sum(axis=0), operations, whole, len(whole))


def synaptic_operations(
    network: FixedNetwork, events: Mapping[str, Array], samples: int = 1
) -> NDArray[np.int64]:
    """How often a weight is added to a neuron, which is once for each event and neuron it reaches.

    The spikes of a neuron in a step are one event, whose weight the hardware multiplies by their
    number; so is a number that comes in. What sends its potential does so in each step, and all of
    it counts. The energy of neuromorphic hardware is for the most part proportional to this
    (Merolla et al., "A million spiking-neuron integrated circuit with a scalable communication
    network and interface", Science 345:668, 2014).

    Parameters
    ----------
    events
        As :class:`~spikeloom.reference.simulate.Trace` has them.
    samples
        How many samples they are of.

    Returns
    -------
    Operations of each step, shape (steps,).
    """
    (steps,) = {len(each) for each in events.values()}
    total = np.zeros(steps, dtype=np.float64)
    for population in network.populations.values():
        for each in population.connections:
            sent = events.get(each.source)
            if sent is None:
                sent = np.full((steps, *network.shape(each.source)), samples)
            maps = [
                m.with_weight((m.weight != 0).astype(np.float64)) if isinstance(m, Weighted) else m
                for m in each.maps
            ]
            reached = apply_maps(maps, sent.astype(np.float64))
            total += reached.reshape(steps, math.prod(reached.shape[1:])).sum(axis=1)
    return np.rint(total).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """When a decision is clear: in the golden model and in the hardware's read-out.

    Parameters
    ----------
    steps
        The step that decides at the latest, at least 1.
    margin
        The lead of the largest sum, in units of the output, from which on an earlier one does.

    Raises
    ------
    TypeError, ValueError
        If one is no integer or outside its range.
    """

    steps: int
    margin: int

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("margin", 0)):
            value = exact_integer(name, getattr(self, name))
            object.__setattr__(self, name, value)
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value!r}")


def decisions(output: ArrayLike, stop: EarlyStop) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What a read-out decides, and after how many steps.

    Parameters
    ----------
    output
        What the outputs send, shape (samples, steps, outputs).
    stop
        When it stops.

    Returns
    -------
    steps, decisions
        For each sample; steps of 0 where its steps were over before the decision.
    """
    output = np.asarray(output)
    sums = output[:, : stop.steps].cumsum(axis=1, dtype=np.int64)
    clear = _clear(sums, stop.margin)
    clear[:, stop.steps - 1 :] = True
    last = clear.argmax(axis=1)
    decided = sums.argmax(axis=2)[np.arange(len(sums)), last]
    return np.where(clear.any(axis=1), last + 1, 0), decided


def early_stop(sums: ArrayLike, margin: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stop as soon as the decision is clear.

    It is clear after the first step in which the largest sum is ahead of the second by the margin,
    at the latest after the last.

    Parameters
    ----------
    sums
        Sums of the outputs up to each step, shape (samples, steps, outputs).
    margin
        The least lead, in units of the output.

    Returns
    -------
    steps, decisions
        How many steps each sample took, and what it decided.

    Raises
    ------
    ValueError
        If there are fewer than two outputs, or the margin is negative.
    """
    sums = np.asarray(sums)
    if sums.ndim != 3 or sums.shape[2] < 2:
        raise ValueError(
            f"sums must be of shape (samples, steps, outputs), two outputs at least, not"
            f" {sums.shape}"
        )
    if margin < 0:
        raise ValueError(f"margin must not be negative, not {margin!r}")
    clear = _clear(sums, margin)
    clear[:, -1] = True
    last = clear.argmax(axis=1)
    return last + 1, sums.argmax(axis=2)[np.arange(len(sums)), last]


def _clear(sums: Array, margin: int) -> NDArray[np.bool_]:
    """Whether the largest sum is ahead by the margin, shape (samples, steps)."""
    top = np.partition(sums, -2, axis=2)
    return top[:, :, -1] - top[:, :, -2] >= margin
