"""Runs on many samples, some at a time, with a bar that moves."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from spikeloom.reference.network import FixedNetwork, FloatNetwork
from spikeloom.reference.simulate import Recording

__all__ = ["Tally", "batches", "in_batches", "join_recordings"]

_T = TypeVar("_T")

_BATCH = 1 << 20
"""Potentials that are computed between two moves of a bar."""


def batches(network: FloatNetwork | FixedNetwork, samples: int, steps: int) -> list[slice]:
    """Samples in groups, each of so many that a run takes little time and memory."""
    neurons = sum(math.prod(each.shape) for each in network.populations.values())
    size = max(1, _BATCH // max(1, steps * neurons))
    return [slice(k, min(k + size, samples)) for k in range(0, samples, size)]


def in_batches(
    bars: Progress, title: str, groups: Sequence[slice], run: Callable[[slice], _T]
) -> Iterator[_T]:
    """What a function makes of each group of samples, with a bar that shows how many are done."""
    bar = bars.add_task(title, total=groups[-1].stop)
    for each in groups:
        yield run(each)
        bars.update(bar, completed=each.stop)


def join_recordings(parts: Sequence[Recording]) -> Recording:
    """The recording of all samples, from those of groups in order."""
    first = parts[0]
    joined = {
        part: {
            name: np.concatenate([getattr(each, part)[name] for each in parts])
            for name in getattr(first, part)
        }
        for part in ("spikes", "membrane", "synapse", "outputs")
    }
    overflows = {name: sum(each.overflows[name] for each in parts) for name in first.overflows}
    return Recording(**joined, overflows=overflows)


@dataclass
class Tally:
    """Sums over recordings, which need not all be kept.

    Attributes
    ----------
    neurons, numbers
        For each population its neurons, and those times samples and steps.
    spikes
        Spikes of each population that spikes.
    overflows
        As in a recording.
    sums
        For each output the sums over all steps, flat: an array for each recording.
    decisions
        What each recording decides.
    """

    neurons: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    spikes: dict[str, int] = field(default_factory=dict)
    overflows: dict[str, int] = field(default_factory=dict)
    sums: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    decisions: list[NDArray[Any]] = field(default_factory=list)

    def add(self, recording: Recording) -> None:
        """Count one more recording."""
        for name, membrane in recording.membrane.items():
            self.neurons[name] = math.prod(membrane.shape[2:])
            self.numbers[name] = self.numbers.get(name, 0) + membrane.size
        for name, spikes in recording.spikes.items():
            self.spikes[name] = self.spikes.get(name, 0) + int(spikes.sum(dtype=np.int64))
        for name, overflows in recording.overflows.items():
            self.overflows[name] = self.overflows.get(name, 0) + overflows
        for name, values in recording.outputs.items():
            kind = np.int64 if values.dtype.kind in "iu" else None
            total = values.sum(axis=1, dtype=kind).reshape(len(values), -1)
            self.sums.setdefault(name, []).append(total)
        self.decisions.append(recording.decision)
