"""Neurons at work, cycle by cycle: when they send.

Each class stands for the component of the same name; see
:mod:`spikeloom.rtl_gen.timing_flow` for the rules. What neurons send is known.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.memory_map import Layout
from spikeloom.rtl_gen.population import GROUP
from spikeloom.rtl_gen.timing_flow import RESTART, TICK, Event, Port
from spikeloom.rtl_gen.timing_synapses import Beats, Mark, Tally, Weigher

__all__ = [
    "EventNeuronArray",
    "NeuronArray",
    "Row",
    "Rows",
    "SpikeSerializer",
    "Step",
    "StreamBuffer",
    "steps_of",
]


class Row(NamedTuple):
    """What a row of neurons sends: events by groups of lanes, of those that have any."""

    groups: tuple[tuple[Event, ...], ...] = ()
    spikes: bool = False
    last: bool = False
    rests: bool = False


SILENT = Row()
RESTING = Row(groups=((TICK,),), last=True, rests=True)


class Step(NamedTuple):
    """What a population sends in a step."""

    rows: list[Row]
    first: bool


def steps_of(layout: Layout, signal: NDArray[Any]) -> Iterator[Step]:
    """The steps of a signal of shape (samples, steps, \\*shape)."""
    samples, steps = signal.shape[:2]
    numbers = layout.neurons.ravel()
    places = np.flatnonzero(numbers >= 0)
    numbers, last = numbers[places], layout.rows - 1
    for n, values in enumerate(signal.reshape(samples * steps, math.prod(layout.shape))):
        first = n % steps == 0
        sent: dict[int, list[tuple[int, Event]]] = {0: [], last: []}
        values = values[numbers]
        active = np.flatnonzero(values)
        found = (places[active], numbers[active], values[active])
        for place, number, value in zip(*(each.tolist() for each in found), strict=True):
            row, lane = divmod(place, layout.lanes)
            sent.setdefault(row, []).append((lane // GROUP, Event(number, value)))
        rows = [SILENT] * layout.rows
        for row, events in sent.items():
            rows[row] = _row(events, first and row == 0, row == last)
        yield Step(rows, first)


def _row(events: Sequence[tuple[int, Event]], first: bool, last: bool) -> Row:
    groups: dict[int, list[Event]] = {0: []} if first or last else {}
    if first:
        groups[0].append(RESTART)
    for group, event in events:
        groups.setdefault(group, []).append(event)
    ordered = list(groups.values())
    if last:
        ordered[-1].append(TICK)
    return Row(tuple(map(tuple, ordered)), bool(events), last)


class Rows:
    """An output register of rows of spikes."""

    __slots__ = ("token",)

    def __init__(self) -> None:
        self.token: Row | None = None


class NeuronArray(Rows):
    """As :class:`~spikeloom.rtl_gen.neuron.NeuronArray`."""

    __slots__ = (
        *("_i", "_in_flight", "_now", "_offered", "_quiet", "_rests", "_row", "_rows", "_stages"),
        *("_steps", "_stirred", "_valid", "_waits"),
    )

    def __init__(
        self, i: Beats, steps: Iterator[Step], rows: int, latency: int, rests: bool
    ) -> None:
        super().__init__()
        self._i = i
        self._steps = steps
        self._now = next(steps, None)
        self._rows = rows
        self._row = 0
        self._rests = rests
        self._waits = rows <= latency
        self._stages: deque[Row | None] = deque([None] * (latency - 1))
        self._offered: Row | None = None
        self._valid = self._in_flight = 0
        self._quiet = self._stirred = False

    def step(self) -> None:
        if self.token is not None or (not self._valid and self._i.token is None):
            return
        void = self._i.token
        entering = None if void is None or self._now is None else self._enter(void, self._now)
        self._leave(self._offered, entering)
        self._stages.appendleft(entering)
        self.token = self._offered = self._stages.pop()

    def _enter(self, void: bool, step: Step) -> Row | None:
        """The row that enters in this cycle."""
        if self._rests and void and not step.first and self._row == 0:
            if self._quiet:
                self._i.token = None
                self._now = next(self._steps, None)
                return RESTING
            if self._valid:
                return None
        if self._waits and self._in_flight == self._rows:
            return None
        row = step.rows[self._row]
        self._row += 1
        if row.last:
            self._row = 0
            self._now = next(self._steps, None)
        if row.last or not void:
            self._i.token = None
        return row

    def _leave(self, leaving: Row | None, entering: Row | None) -> None:
        alone = self._valid == 1
        if entering is not None:
            self._valid += 1
            if not entering.rests:
                self._in_flight += 1
                self._quiet = False
        if leaving is not None:
            self._valid -= 1
            if not leaving.rests:
                self._in_flight -= 1
            stirred = self._stirred or leaving.spikes
            self._stirred = stirred and not leaving.last
            if leaving.last and alone and (entering is None or entering.rests):
                self._quiet = not stirred


class EventNeuronArray(Rows):
    """As :class:`~spikeloom.rtl_gen.event_neuron.EventNeuronArray`."""

    __slots__ = (
        *("_clearing", "_i", "_now", "_offered", "_row", "_rows", "_stages", "_steps"),
        *("_sweeping", "_tally", "_valid"),
    )

    def __init__(
        self,
        i: Weigher,
        steps: Iterator[Step],
        rows: int,
        latency: int,
        clearing: int,
        tally: Tally,
    ) -> None:
        super().__init__()
        self._i = i
        self._steps = steps
        self._now = next(steps, None)
        self._rows = rows
        self._row = 0
        self._clearing = clearing
        self._sweeping = False
        self._tally = tally
        # One cycle of the latency is that in which a tick comes in.
        self._stages: deque[Row | None] = deque([None] * (latency - 2))
        self._offered: Row | None = None
        self._valid = 0

    def step(self) -> None:
        if self._clearing or self._sweeping or self._valid:
            self._tally.hold()
            if self._clearing:
                self._clearing -= 1
            else:
                self._sweep()
        elif self._i.token is not None:
            self._accept(self._i.token)
            self._i.token = None

    def _accept(self, mark: Mark) -> None:
        match mark:
            case Mark.ROW:
                self._tally.added()
            case Mark.TICK:
                self._sweeping = True
            case Mark.RESTART:
                self._clearing = self._rows

    def _sweep(self) -> None:
        if self.token is not None:
            return
        self._valid -= self._offered is not None
        entering = None
        if self._sweeping and self._now is not None:
            entering = self._now.rows[self._row]
            self._row += 1
            self._valid += 1
            if entering.last:
                self._row = 0
                self._sweeping = False
                self._now = next(self._steps, None)
        self._stages.appendleft(entering)
        self.token = self._offered = self._stages.pop()


class StreamBuffer(Rows):
    """As :class:`~spikeloom.rtl_gen.stream.StreamBuffer`."""

    __slots__ = ("_i", "_waiting")

    def __init__(self, i: Rows) -> None:
        super().__init__()
        self._i = i
        self._waiting: Row | None = None

    def step(self) -> None:
        if self._waiting is None:
            coming, self._i.token = self._i.token, None
            if self.token is None:
                self.token = coming
            else:
                self._waiting = coming
        elif self.token is None:
            self.token, self._waiting = self._waiting, None


class SpikeSerializer(Port):
    """As :class:`~spikeloom.rtl_gen.population.SpikeSerializer`."""

    __slots__ = ("_i", "_items", "_row", "_wide")

    def __init__(self, i: Rows, lanes: int) -> None:
        super().__init__()
        self._i = i
        self._wide = lanes > GROUP
        self._row: Sequence[Sequence[Event]] = ()
        """Groups that wait behind the one whose items are sent."""
        self._items: Sequence[Event] = ()

    def step(self) -> None:
        if not self._items and not self._row and self._i.token is None:
            return
        takes = not self._items
        if self._items and self.token is None:
            self.token, *self._items = self._items
            takes = not self._items
        if self._wide:
            ready = not self._row or (takes and len(self._row) == 1)
            if takes and self._row:
                self._items, *self._row = self._row
            if ready:
                self._row = self._fetch()
        elif takes and (row := self._fetch()):
            (self._items,) = row

    def _fetch(self) -> Sequence[Sequence[Event]]:
        """The groups of the row that comes."""
        row, self._i.token = self._i.token, None
        return () if row is None else row.groups
