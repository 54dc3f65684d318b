"""Runs on many samples, some at a time, with a bar that moves."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from spikeloom.cli.stimulus import Data
from spikeloom.reference.maps import Convolution, Map
from spikeloom.reference.network import FixedNetwork, FloatNetwork
from spikeloom.reference.simulate import Recording, run_float

__all__ = ["Tally", "batches", "finite_numbers", "in_batches", "join_recordings", "run_finite"]

_T = TypeVar("_T")

_BATCH = 1 << 20
"""Potentials that are computed between two moves of a bar."""
_UNFOLDED = 1 << 23
"""Numbers that the maps of a connection hold at a time: 64 MiB in double precision."""


def batches(network: FloatNetwork | FixedNetwork, samples: int, steps: int) -> list[slice]:
    """Samples in groups, each of so many that a run takes little time and memory."""
    populations = network.populations.values()
    neurons = sum(math.prod(each.shape) for each in populations)
    maps = [each for p in populations for connection in p.connections for each in connection.maps]
    unfolded = max(map(_held, maps), default=0)
    size = min(_BATCH // max(1, steps * neurons), _UNFOLDED // max(1, steps * unfolded))
    size = max(1, size)
    return [slice(k, min(k + size, samples)) for k in range(0, samples, size)]


def _held(each: Map) -> int:
    """Numbers that a map holds for one sample in a step: all windows of a convolution at once."""
    places = max(math.prod(each.input_shape), math.prod(each.output_shape))
    if isinstance(each, Convolution):
        window = each.groups * each.weight[0].size
        places = max(places, window * math.prod(each.output_shape[1:]))
    return places


def run_finite(network: FloatNetwork, signals: Mapping[str, NDArray[Any]]) -> Recording:
    """Run a float network whose numbers must stay finite.

    Raises
    ------
    ValueError
        If one does not; the message names the population.
    """
    with np.errstate(all="ignore"):
        recording = run_float(network, signals)
    broken = {}
    for word, parts in (("potential", recording.membrane), ("current", recording.synapse)):
        for name, values in parts.items():
            steps = np.flatnonzero(
                ~np.isfinite(values).all(axis=(0, *range(2, values.ndim)))
            ).tolist()
            if steps:
                broken[word, name] = steps[0]
    if broken:
        word, name = min(broken, key=lambda each: broken[each])
        raise ValueError(
            f"the {word} of {name!r} must stay finite, but does not from step"
            f" {broken[word, name]} on"
        )
    return recording


@contextmanager
def finite_numbers(network: FloatNetwork, data: Data | None) -> Iterator[None]:
    """A block in which the network runs on the data, and its numbers must stay finite.

    Raises
    ------
    ValueError
        As :func:`run_finite`.
    """
    try:
        with np.errstate(over="raise", invalid="raise"):
            yield
    except FloatingPointError:
        if data is not None:
            for each in batches(network, data.samples, data.steps):
                run_finite(network, data.part(each).signals)
        raise ValueError("all numbers of the network must stay finite, but one does not") from None


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
        """Count one more recording.

        Raises
        ------
        ValueError
            If a sum of an output is too large for a number.
        """
        for name, membrane in recording.membrane.items():
            self.neurons[name] = math.prod(membrane.shape[2:])
            self.numbers[name] = self.numbers.get(name, 0) + membrane.size
        for name, spikes in recording.spikes.items():
            self.spikes[name] = self.spikes.get(name, 0) + int(spikes.sum(dtype=np.int64))
        for name, overflows in recording.overflows.items():
            self.overflows[name] = self.overflows.get(name, 0) + overflows
        for name, values in recording.outputs.items():
            kind = np.int64 if values.dtype.kind in "iu" else None
            with np.errstate(over="ignore"):
                total = values.sum(axis=1, dtype=kind).reshape(len(values), -1)
            if not np.all(np.isfinite(total)):
                raise ValueError(f"the sums of output {name!r} must be finite, but one is not")
            self.sums.setdefault(name, []).append(total)
        self.decisions.append(recording.decision)
