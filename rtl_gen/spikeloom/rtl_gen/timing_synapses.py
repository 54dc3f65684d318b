"""Synapses at work, cycle by cycle: how many rows of weights they add, and when.

Each class stands for the component of the same name; see
:mod:`spikeloom.rtl_gen.timing_flow` for the rules. Weights and sums are tokens.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from spikeloom.rtl_gen.timing_flow import RESTART, TICK, Clock, Junction

__all__ = [
    "Accumulators",
    "Beats",
    "EventList",
    "Expander",
    "Lookup",
    "Mark",
    "Reach",
    "RowCounter",
    "SynapseArray",
    "Tally",
    "Weigher",
]


class Tally:
    """The rows that a population adds."""

    __slots__ = ("_clock", "_pending", "_since", "accumulations", "held", "known", "rows")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending = self._since = 0
        self.rows = self.accumulations = 0
        self.known = self.held = 0
        """Cycles in which there is something to be added, and those of them in which it cannot."""

    def expect(self, rows: int, accumulations: int) -> None:
        """There is so much to be added from the next cycle on."""
        if not self._pending:
            self._since = self._clock.cycle
        self._pending += rows
        self.rows += rows
        self.accumulations += accumulations

    def added(self) -> None:
        """A row is added in this cycle."""
        self._pending -= 1
        if not self._pending:
            self.known += self._clock.cycle - self._since

    def hold(self) -> None:
        """Nothing can be added in this cycle."""
        if self._pending:
            self.held += 1


class Beats:
    """An output register of rows of currents: whether the row is void, where there is one."""

    __slots__ = ("token",)

    def __init__(self) -> None:
        self.token: bool | None = None


class _Source(NamedTuple):
    adds: bool
    last: bool


_SOURCES = {(adds, last): _Source(adds, last) for adds in (False, True) for last in (False, True)}


class EventList:
    """As :class:`~spikeloom.rtl_gen.synapse.EventList`; its token is a source that is read."""

    __slots__ = (
        *("_filled", "_filling", "_found", "_i", "_level", "_neurons", "_place", "_reading"),
        *("_sweep", "_sweeps", "_tally", "token"),
    )

    def __init__(self, i: Junction, sweeps: int, neurons: int, tally: Tally) -> None:
        self._i = i
        self._sweeps = sweeps
        self._neurons = neurons
        self._tally = tally
        self._filled: list[int | None] = [None, None]
        """How many sources a list has, where it waits to be read."""
        self._filling = self._reading = 0
        self._level = self._place = self._sweep = 0
        self._found: _Source | None = None
        self.token: _Source | None = None

    def step(self) -> None:
        ready = self._filled[self._filling] is None
        if self.token is None:
            self.token, self._found = self._found, self._read()
        event = self._i.pull(ready)
        if event is TICK:
            self._filled[self._filling] = self._level
            self._tally.expect(self._level * self._sweeps, self._level * self._neurons)
            self._filling ^= 1
            self._level = 0
        elif event is not None and event is not RESTART:
            self._level += 1

    def _read(self) -> _Source | None:
        count = self._filled[self._reading]
        if count is None:
            return None
        last = self._place >= count - 1
        self._place = 0 if last else self._place + 1
        if last:
            self._sweep += 1
            if count == 0 or self._sweep == self._sweeps:
                self._sweep = 0
                self._filled[self._reading] = None
                self._reading ^= 1
        return _SOURCES[count > 0, last]


class SynapseArray(Beats):
    """As :class:`~spikeloom.rtl_gen.synapse.SynapseArray`."""

    __slots__ = ("_i", "_sources", "_stages", "_tally")

    def __init__(self, i: EventList, latency: int, tally: Tally) -> None:
        super().__init__()
        self._i = i
        self._tally = tally
        self._stages: deque[_Source | None] = deque([None] * (latency - 1))
        self._sources = 0

    def step(self) -> None:
        if self.token is not None:
            self._tally.hold()
            return
        source = self._i.token
        if source is not None:
            self._i.token = None
            self._sources += 1
        elif not self._sources:
            return
        self._stages.appendleft(source)
        weighed = self._stages.pop()
        if weighed is not None:
            self._sources -= 1
            if weighed.adds:
                self._tally.added()
            if weighed.last:
                self.token = not weighed.adds


class Reach(NamedTuple):
    """What an event leads to: pairs of its height and width, each of some rows."""

    pairs: int
    groups: int
    neurons: int
    """Neurons that a pair is added to."""

    @property
    def rows(self) -> int:
        """Rows of weights that it adds."""
        return self.pairs * self.groups

    @property
    def accumulations(self) -> int:
        """Weights that it adds to a neuron."""
        return self.pairs * self.neurons


class Mark(Enum):
    """What passes behind the expander: rows, and what stands between steps."""

    ROW = auto()
    TICK = auto()
    RESTART = auto()


class Lookup:
    """As :class:`~spikeloom.rtl_gen.scatter.Lookup`."""

    __slots__ = ("_i", "_reaches", "_tally", "token")

    def __init__(self, i: Junction, reaches: Sequence[Reach], tally: Tally | None) -> None:
        self._i = i
        self._reaches = reaches
        self._tally = tally
        self.token: Reach | Mark | None = None

    def step(self) -> None:
        event = self._i.pull(self.token is None)
        if event is None:
            return
        if event is TICK:
            self.token = Mark.TICK
        elif event is RESTART:
            self.token = Mark.RESTART
        else:
            self.token = reach = self._reaches[event.address]
            if self._tally is not None:
                self._tally.expect(reach.rows, reach.accumulations)


class Expander:
    """As :class:`~spikeloom.rtl_gen.scatter.Expander`."""

    __slots__ = ("_i", "_place", "_read", "token")

    def __init__(self, i: Lookup) -> None:
        self._i = i
        self._place = 0
        self._read: int | Mark | None = None
        self.token: int | Mark | None = None

    def step(self) -> None:
        if self.token is None:
            self.token, self._read = self._read, None
        elif self._read is not None:
            return
        event = self._i.token
        if isinstance(event, Reach):
            if event.pairs:
                self._read = event.groups
                self._place += 1
            if self._place < event.pairs:
                return
            self._place = 0
        else:
            self._read = event
        self._i.token = None


class RowCounter:
    """As :class:`~spikeloom.rtl_gen.scatter.RowCounter`."""

    __slots__ = ("_group", "_i", "token")

    def __init__(self, i: Expander) -> None:
        self._i = i
        self._group = 0
        self.token: Mark | None = None

    def step(self) -> None:
        if self.token is not None:
            return
        groups = self._i.token
        if isinstance(groups, int):
            self.token = Mark.ROW
            self._group += 1
            if self._group < groups:
                return
            self._group = 0
        else:
            self.token = groups
        self._i.token = None


class Weigher:
    """As :class:`~spikeloom.rtl_gen.scatter.Weigher`."""

    __slots__ = ("_i", "_read", "token")

    def __init__(self, i: RowCounter) -> None:
        self._i = i
        self._read: Mark | None = None
        self.token: Mark | None = None

    def step(self) -> None:
        if self.token is None:
            self.token, self._read, self._i.token = self._read, self._i.token, None


class Accumulators(Beats):
    """As :class:`~spikeloom.rtl_gen.scatter.Accumulators`."""

    __slots__ = (
        *("_added", "_clearing", "_dirty", "_i", "_row", "_rows", "_sweeping", "_tally", "_void"),
    )

    def __init__(self, i: Weigher, rows: int, clearing: int, tally: Tally) -> None:
        super().__init__()
        self._i = i
        self._rows = rows
        self._clearing = clearing
        self._tally = tally
        self._added: Mark | None = None
        self._dirty = self._sweeping = self._void = False
        self._row = 0

    def step(self) -> None:
        sweeping = self._sweeping
        if self._clearing or (sweeping and self._added is Mark.TICK):
            self._clearing = max(0, self._clearing - 1)
            self._tally.hold()
        else:
            self._add()
        if sweeping and self.token is None:
            if self._row < (1 if self._void else self._rows):
                self.token = self._void
                self._row += 1
            else:
                self._row = 0
                self._sweeping = False

    def _add(self) -> None:
        if self._added is Mark.ROW:
            self._dirty = True
            self._tally.added()
        elif self._added is Mark.TICK:
            self._sweeping = True
            self._void = not self._dirty
            self._dirty = False
        self._added, self._i.token = self._i.token, None
