"""Events on their way between populations, cycle by cycle: what a junction is made of, and ends.

Each class stands for the component of the same name and has what of its registers decides when an
event moves. In a cycle consumers are stepped before producers, so that whoever finds its own output
register empty knows that it was empty or has just been taken: this is what ``ready`` says in
hardware.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

__all__ = [
    "RESTART",
    "TICK",
    "Clock",
    "Event",
    "EventFork",
    "EventQueue",
    "Input",
    "Junction",
    "Output",
    "Part",
    "Port",
    "StepDelay",
    "StepMerge",
]


class Event(NamedTuple):
    """A spike: number of its source in the flat array, and its number of spikes or its value."""

    address: int
    value: int


TICK = Event(-1, 0)
RESTART = Event(-2, 0)
"""The one tick, and the one restart: they are told by their identity."""


class Clock:
    """The cycle, and how many ticks are still to come at all ends."""

    __slots__ = ("cycle", "left")

    def __init__(self) -> None:
        self.cycle = 0
        self.left = 0


class Part(Protocol):
    """What is stepped once a cycle."""

    def step(self) -> None: ...


class Junction(Protocol):
    """Where a core takes its events."""

    def pull(self, ready: bool) -> Event | None:
        """The event that is taken in this cycle, where the core is ready; called once a cycle."""


class Port:
    """An output register."""

    __slots__ = ("token",)

    def __init__(self) -> None:
        self.token: Event | None = None

    def peek(self) -> Event | None:
        """The event that is offered."""
        return self.token

    def take(self) -> None:
        """Take it."""
        self.token = None

    def pull(self, ready: bool) -> Event | None:
        """As :meth:`Junction.pull`."""
        event = self.peek()
        if ready and event is not None:
            self.take()
            return event
        return None


class Input(Port):
    """Offers an event in each cycle but the first."""

    __slots__ = ("_events",)

    def __init__(self, events: Iterable[Event]) -> None:
        super().__init__()
        self._events = iter(events)

    def step(self) -> None:
        if self.token is None:
            self.token = next(self._events, None)


class EventFork:
    """Gives an event to all who hear it, and keeps the cycles of the ticks that all have taken."""

    __slots__ = ("_clock", "_open", "_taps", "source", "ticks")

    def __init__(self, clock: Clock) -> None:
        self.source = Port()
        self.ticks: list[int] = []
        self._clock = clock
        self._taps: list[_Tap] = []
        self._open = 0

    def tap(self) -> Port:
        """One more port."""
        tap = _Tap(self)
        self._taps.append(tap)
        self._open += 1
        return tap

    def taken(self) -> None:
        """One of them has taken its event."""
        self._open -= 1
        if self._open:
            return
        if self.source.token is TICK:
            self.ticks.append(self._clock.cycle)
            self._clock.left -= 1
        self.source.take()
        self._open = len(self._taps)
        for each in self._taps:
            each.done = False


class _Tap(Port):
    __slots__ = ("_fork", "done")

    def __init__(self, fork: EventFork) -> None:
        super().__init__()
        self._fork = fork
        self.done = False

    def peek(self) -> Event | None:
        return None if self.done else self._fork.source.token

    def take(self) -> None:
        self.done = True
        self._fork.taken()


class Output:
    """Takes each event as soon as it is there, and keeps its cycle."""

    __slots__ = ("_clock", "_i", "cycles")

    def __init__(self, i: Port, clock: Clock) -> None:
        self._i = i
        self._clock = clock
        self.cycles: list[int] = []

    def step(self) -> None:
        if self._i.pull(True) is not None:
            self.cycles.append(self._clock.cycle)


class StepDelay(Port):
    """As :class:`~spikeloom.rtl_gen.delay.StepDelay`."""

    __slots__ = ("_delays", "_fetched", "_i", "_lists", "_now", "_sending", "_sent")

    def __init__(self, i: Port, delays: Sequence[int]) -> None:
        super().__init__()
        self._i = i
        self._delays = delays
        self._lists: list[list[Event]] = [[] for _ in range(max(delays) + 1)]
        self._now = 0
        self._sending = False
        self._sent = 0
        self._fetched = False

    def step(self) -> None:
        if self._sending:
            self._send()
            return
        event = self._i.peek()
        if event is None:
            return
        if event is RESTART:
            if self.token is not None:
                return
            self.token = RESTART
            for each in self._lists:
                each.clear()
        elif event is TICK:
            self._sending, self._fetched, self._sent = True, False, 0
        else:
            due = self._now + self._delays[event.address]
            self._lists[due % len(self._lists)].append(event)
        self._i.take()

    def _send(self) -> None:
        due = self._lists[self._now]
        if self._sent < len(due) and not self._fetched:
            self._fetched = True
        elif self.token is None:
            if self._sent < len(due):
                self.token = due[self._sent]
                self._sent += 1
                self._fetched = False
            else:
                self.token = TICK
                self._sending = False
                due.clear()
                self._now = (self._now + 1) % len(self._lists)


class EventQueue(Port):
    """As :class:`~spikeloom.rtl_gen.delay.EventQueue`: a memory and an output register.

    Its ready is a register: events come in before anything else happens in a cycle.
    """

    __slots__ = ("_coming", "_i", "_room", "_waiting")

    def __init__(self, i: Port, depth: int) -> None:
        super().__init__()
        self._i = i
        self._room = depth - 1
        self._waiting: deque[Event] = deque()
        self._coming: Event | None = None

    def accept(self) -> None:
        """The first half of a cycle, before the source is stepped."""
        self._coming = self._i.pull(len(self._waiting) < self._room)

    def step(self) -> None:
        """The second half, after the consumer has been stepped."""
        if self.token is None and self._waiting:
            self.token = self._waiting.popleft()
        if self._coming is not None:
            self._waiting.append(self._coming)


class StepMerge:
    """As :class:`~spikeloom.rtl_gen.delay.StepMerge`."""

    __slots__ = ("_done", "_first", "_held", "_loops", "_offsets", "_opened", "_sources", "_stale")

    def __init__(
        self, sources: Sequence[Port], offsets: Sequence[int], loops: Sequence[bool]
    ) -> None:
        self._sources = sources
        self._offsets = offsets
        self._loops = loops
        self._opened = False
        self._first = True
        self._done = [False] * len(sources)
        self._stale = [False] * len(sources)
        self._held: int | None = None

    def pull(self, ready: bool) -> Event | None:
        """As :meth:`Junction.pull`."""
        passed = self._first and self._opened
        over = [
            done or (loop and passed) for done, loop in zip(self._done, self._loops, strict=True)
        ]
        stale = any(self._stale)
        chosen = None if all(over) else self._choose(over)
        event = None if chosen is None else self._sources[chosen].peek()
        self._drop()
        self._held = None
        if chosen is not None and event is not None:
            return self._pass(chosen, event, ready, stale)
        if not (ready and all(over)):
            return None
        self._done = [False] * len(over)
        self._opened = self._first = False
        return TICK

    def _pass(self, k: int, event: Event, ready: bool, stale: bool) -> Event | None:
        """What is passed on of the event of the source whose turn it is."""
        if event is TICK or (event is RESTART and self._opened):
            self._sources[k].take()
            self._done[k] = event is TICK
            self._opened = True
            return None
        if event is RESTART and stale:
            return None
        if not ready:
            self._held = k
            self._opened = self._opened or event is not RESTART
            return None
        self._sources[k].take()
        self._opened = True
        if event is not RESTART:
            return Event(event.address + self._offsets[k], event.value)
        self._first = True
        self._stale = list(self._loops)
        return RESTART

    def _choose(self, over: Sequence[bool]) -> int | None:
        """The source whose turn it is."""
        if self._held is not None:
            return self._held
        for k, source in enumerate(self._sources):
            waits = self._loops[k] and (self._stale[k] or not self._opened)
            if not over[k] and not waits and source.peek() is not None:
                return k
        return None

    def _drop(self) -> None:
        """Drop what loops bring of the sequence before."""
        for k, stale in enumerate(self._stale):
            if stale and (event := self._sources[k].peek()) is not None:
                self._sources[k].take()
                self._stale[k] = event is not RESTART
