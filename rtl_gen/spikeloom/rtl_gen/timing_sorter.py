"""Spikes that are sorted, cycle by cycle, where they act one by one.

See :mod:`spikeloom.rtl_gen.timing_flow` for the rules.
"""

from collections.abc import Sequence
from enum import Enum, auto

from spikeloom.rtl_gen.timing_flow import RESTART, TICK, Event, Junction, Port
from spikeloom.rtl_gen.timing_synapses import Reach, Tally

__all__ = ["StepSorter"]


class _Sorting(Enum):
    OPEN = auto()
    SCAN = auto()
    CLOSE = auto()


class StepSorter(Port):
    """As :class:`~spikeloom.rtl_gen.sorter.StepSorter`."""

    __slots__ = (
        *("_clearing", "_counts", "_ended", "_filled", "_filling", "_found", "_i", "_offered"),
        *("_place", "_reaches", "_reading", "_repeats", "_restart", "_sent", "_size", "_state"),
        "_tally",
    )

    def __init__(
        self,
        i: Junction,
        reaches: Sequence[Reach],
        clearing: int,
        tally: Tally,
        *,
        repeats: bool,
    ) -> None:
        super().__init__()
        self._i = i
        self._reaches = reaches
        self._size = len(reaches)
        self._clearing = clearing
        self._tally = tally
        self._repeats = repeats
        self._counts: list[dict[int, int]] = [{}, {}]
        self._filled = [False, False]
        self._restart = [False, False]
        self._filling = self._reading = 0
        self._state = _Sorting.OPEN
        self._place = self._sent = 0
        self._found = -1
        self._ended = False
        self._offered = False

    def step(self) -> None:
        ready = not self._clearing and not self._filled[self._filling]
        self._clearing = max(0, self._clearing - 1)
        event = self._i.pull(ready)
        self._read(self._offered and self.token is None)
        if event is not None:
            self._fill(event)
        self.token = self._next()
        self._offered = self.token is not None

    def _fill(self, event: Event) -> None:
        if event is TICK:
            self._filled[self._filling] = True
            self._filling ^= 1
        elif event is RESTART:
            self._restart[self._filling] = True
        else:
            self._counts[self._filling][event.address] = event.value
            reach, times = self._reaches[event.address], event.value if self._repeats else 1
            self._tally.expect(reach.rows * times, reach.accumulations * times)

    def _read(self, taken: bool) -> None:
        """What a cycle makes of the table that is read, where what was offered has been taken."""
        k = self._reading
        match self._state:
            case _Sorting.OPEN:
                if self._filled[k] and (taken or not self._restart[k]):
                    self._state = _Sorting.SCAN if self._counts[k] else _Sorting.CLOSE
            case _Sorting.SCAN:
                self._scan(taken)
            case _Sorting.CLOSE if taken:
                self._filled[k] = self._restart[k] = False
                self._counts[k].clear()
                self._reading ^= 1
                self._state = _Sorting.OPEN

    def _scan(self, taken: bool) -> None:
        if self._offered:
            self._sent += taken
            times = self._counts[self._reading][self._found] if self._repeats else 1
            if self._sent < times:
                return
            self._sent = 0
        if self._ended:
            self._state = _Sorting.CLOSE
            self._found, self._place, self._ended = -1, 0, False
        else:
            self._found = self._place
            self._place += 1
            self._ended = self._place == self._size

    def _next(self) -> Event | None:
        """What is offered in the next cycle."""
        k = self._reading
        match self._state:
            case _Sorting.OPEN:
                return RESTART if self._filled[k] and self._restart[k] else None
            case _Sorting.CLOSE:
                return TICK
        if self._found not in self._counts[k]:
            return None
        return Event(self._found, 1 if self._repeats else self._counts[k][self._found])
