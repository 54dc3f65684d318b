"""A network on a board, from the host: ``docs/host_protocol.md`` over a line."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from spikeloom.boards.flow import LINK, WEIGHTS
from spikeloom.boards.line import Line, open_serial
from spikeloom.boards.link_facts import LinkFacts
from spikeloom.reference.events import RESTART, SPIKE, TICK, events_to_raster, raster_to_events
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.link_codec import decode_events, encode_events
from spikeloom.reference.link_frames import (
    END,
    MOST_PAYLOAD,
    NUMBERS,
    VERSION,
    Answer,
    Frame,
    FrameReader,
    Order,
    order_bytes,
)
from spikeloom.rtl_gen.link.monitor import COUNTERS

__all__ = ["Device", "DeviceError"]

_OVERHEAD = 2
"""Bytes of the device's queue that an order takes besides its payload: length and header."""
_IDENTITY = 16
"""Bytes of an identity; text follows."""
_TRIES = 5
"""How often something is begun again before it is given up."""


class DeviceError(RuntimeError):
    """The device does not answer, is another, or says that something went wrong."""


class _LostError(Exception):
    """Something was lost on the line: what was under way must begin again."""


@dataclass
class _Window:
    """Orders that are under way.

    Attributes
    ----------
    unsent
        Those that are sent next, or again.
    waiting
        Those that have been sent and not answered.
    ignored
        The number of which further refusals say nothing new.
    """

    unsent: deque[Frame]
    waiting: deque[Frame]
    ignored: int | None = None


class Device:
    """A device on a line, with the build that it must be.

    Opening it verifies its identity, has its network begin anew and loads weights that are
    missing.

    Parameters
    ----------
    line
        The line, open; it is closed with the device.
    facts
        What the build says of itself.
    weights
        What is loaded before all events, if the device does not have it.
    timeout
        Seconds after which a silent device is asked again; after the fifth time it is given up.
    progress
        Hears of the weights that are loaded: bytes sent and bytes in all.

    Raises
    ------
    DeviceError
        If there is no answer, or the device is another.
    """

    def __init__(
        self,
        line: Line,
        facts: LinkFacts,
        weights: bytes = b"",
        *,
        timeout: float = 1.0,
        progress: Callable[[int, int], None] = lambda sent, total: None,
    ) -> None:
        self._line = line
        self._facts = facts
        self._weights = weights
        self._timeout = timeout
        self._number = 0
        # An answer's longest: a step's events, each byte escaped.
        most = max(int(np.prod(facts.outputs)) + 2, facts.lanes * facts.potential_bytes) * 16
        self._reader = FrameReader(most + 1024)
        self._queue = MOST_PAYLOAD + _OVERHEAD
        self.about = ""
        try:
            self._identify()
            self.reset()
            if facts.loads and self._status() & 2:
                self._load(progress)
        except BaseException:
            line.close()
            raise

    @classmethod
    def open(
        cls,
        port: str | Path,
        build: Path,
        *,
        timeout: float = 1.0,
        progress: Callable[[int, int], None] = lambda sent, total: None,
    ) -> Self:
        """Open a serial port at which a build is.

        Parameters
        ----------
        port
            Name of the port, such as ``/dev/ttyUSB1``.
        build
            Folder that ``spikeloom build`` wrote.
        timeout, progress
            As above.

        Raises
        ------
        DeviceError
            If the port cannot be opened, or as above.
        ValueError
            If the folder is not a build's, or the build has no serial line.
        """
        facts = LinkFacts.load(build / LINK)
        if facts.spi:
            raise ValueError(f"{build} must have a serial line, but has SPI: give Device a SPILine")
        weights = (build / WEIGHTS).read_bytes() if facts.loads else b""
        try:
            line = open_serial(port, facts.baud)
        except OSError as error:
            raise DeviceError(f"{port} cannot be opened: {error}") from None
        return cls(line, facts, weights, timeout=timeout, progress=progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the line."""
        self._line.close()

    @property
    def facts(self) -> LinkFacts:
        """The build."""
        return self._facts

    def reset(self) -> None:
        """Have the network begin anew, and its counters and errors; loaded weights stay."""
        self._ask(Order.RESET, Answer.DONE)

    def illegal(self) -> bool:
        """Whether an illegal event came since the last reset."""
        return bool(self._status() & 1)

    def counters(self) -> dict[str, int]:
        """What was counted since the last reset, modulo ``2**32``.

        Returns
        -------
        ``events_in`` and ``events_out``; ``waits``, the cycles in which an event waited for the
        network; ``cycles`` from the first event in to the last one out.

        Raises
        ------
        DeviceError
            If the device does not answer, or has no monitor.
        """
        self._check_monitor()
        payload = self._ask(Order.COUNTERS, Answer.COUNTERS)
        if len(payload) != 4 * len(COUNTERS):
            raise DeviceError(f"the device must send {4 * len(COUNTERS)} bytes, not {len(payload)}")
        values = np.frombuffer(payload, ">u4").tolist()
        return dict(zip(COUNTERS, values, strict=True))

    def potentials(self) -> dict[str, IntArray]:
        """Membrane potentials as the last step left them.

        Returns
        -------
        Integers of each population's shape, by its name.

        Raises
        ------
        DeviceError
            If the device does not answer, or has no monitor.
        """
        self._check_monitor()
        facts = self._facts
        bits = max(1, (len(facts.populations) - 1).bit_length())
        found = {}
        for number, each in enumerate(facts.populations):
            rows = [self._row(row << bits | number) for row in range(each.layout.rows)]
            values = each.layout.from_rows(np.stack(rows)[:, : each.lanes])
            found[each.name] = values.reshape(each.shape)
        return found

    def _row(self, number: int) -> IntArray:
        facts, asked = self._facts, number.to_bytes(4)
        payload = self._ask(Order.POTENTIALS, Answer.POTENTIALS, asked)
        digits = np.frombuffer(payload, np.uint8).astype(np.int64)
        if digits.size != facts.lanes * facts.potential_bytes:
            raise DeviceError(f"the device sent a row of {digits.size} bytes")
        digits = digits.reshape(facts.lanes, facts.potential_bytes)
        values = (digits << 8 * np.arange(facts.potential_bytes)[::-1]).sum(axis=1)
        half = 1 << 8 * facts.potential_bytes - 1
        return (values ^ half) - half

    def _check_monitor(self) -> None:
        if not self._facts.monitor:
            raise DeviceError("the device has no monitor: build it with --monitor")

    def run(
        self, raster: ArrayLike, progress: Callable[[int], None] = lambda samples: None
    ) -> IntArray:
        """Send samples, and take what comes of them.

        Parameters
        ----------
        raster
            Integers of shape (samples, steps, \\*inputs).
        progress
            Hears how many samples are done.

        Returns
        -------
        Counts of shape (samples, steps, \\*outputs).

        Raises
        ------
        ValueError
            If the raster is of another shape or range.
        DeviceError
            If the device does not answer.
        """
        values = np.asarray(raster)
        facts = self._facts
        if values.shape[2:] != facts.inputs or 0 in values.shape:
            raise ValueError(
                f"raster must be of shape (samples, steps, {', '.join(map(str, facts.inputs))}),"
                f" not {values.shape}"
            )
        if values.dtype.kind not in "biu":
            raise TypeError(f"raster must be of integers, not of {values.dtype}")
        results: list[IntArray] = []
        for result in self._stream(values):
            results.append(result)
            progress(len(results))
        return np.stack(results)

    def _stream(self, values: IntArray) -> Iterator[IntArray]:
        """Results, sample by sample; samples follow each other on the line without pause."""
        done = tries = 0
        while done < len(values):
            try:
                for result in self._results(values[done:]):
                    yield result
                    done, tries = done + 1, 0
            except _LostError as error:
                tries += 1
                if tries == _TRIES:
                    raise DeviceError(f"{error}, {_TRIES} times") from None
                self._identify()
                self.reset()

    def _results(self, values: IntArray) -> Iterator[IntArray]:
        steps = values.shape[1]
        data = (self._sample_bytes(each) for each in values)
        payload = bytearray()
        left = steps
        for answer in self._exchange(_pieces(data), answers=len(values) * (steps + 1)):
            if answer.kind != Answer.EVENTS:
                continue
            payload += answer.payload
            events = self._events(answer.payload)
            left -= int(np.count_nonzero(events[:, 0] == TICK))
            if left == 0:
                yield self._raster(bytes(payload), steps)
                payload.clear()
                left = steps

    def _sample_bytes(self, sample: IntArray) -> bytes:
        facts = self._facts
        events = raster_to_events(sample.reshape(1, len(sample), -1))
        kind, address, count = events.T
        step = np.cumsum(kind == TICK) - (kind == TICK)
        # Within a step the order says nothing; equal counts side by side are short.
        place = np.select([kind == RESTART, kind == SPIKE], [0, 1], 2)
        order = np.lexsort((address, count, place, step))
        return encode_events(events[order], facts.inputs, facts.most_in, facts.least_in, facts.room)

    def _events(self, payload: bytes) -> IntArray:
        return decode_events(payload, self._facts.outputs, self._facts.most_out)

    def _raster(self, payload: bytes, steps: int) -> IntArray:
        outputs = self._facts.outputs
        try:
            raster = events_to_raster(self._events(payload), steps, int(np.prod(outputs)))
        except ValueError as error:
            raise _LostError(f"the device's events were wrong: {error}") from None
        return raster.reshape(steps, *outputs)

    def _status(self) -> int:
        payload = self._ask(Order.STATUS, Answer.STATUS)
        return payload[0] if payload else 0

    def _identify(self) -> None:
        found = self._ask(Order.IDENTIFY, Answer.IDENTITY)
        if len(found) < _IDENTITY or found[0] != VERSION:
            raise DeviceError(
                f"the device must speak version {VERSION} of the protocol, but says"
                f" {found[:_IDENTITY].hex() or 'nothing'}"
            )
        self.about = found[_IDENTITY:].decode(errors="replace")
        expected = bytes.fromhex(self._facts.identity)
        if found != expected:
            raise DeviceError(
                f"the device must be network {expected[8:_IDENTITY].hex()}"
                f" ({expected[_IDENTITY:].decode()}), but is {found[8:_IDENTITY].hex()}"
                f" ({self.about}): program it with this build"
            )
        self._queue = int.from_bytes(found[4:6])

    def _load(self, progress: Callable[[int, int], None]) -> None:
        total = len(self._weights)
        for _ in range(_TRIES):
            sent = 0
            try:
                for _ in self._exchange(_pieces([self._weights]), answers=0):
                    sent += MOST_PAYLOAD
                    progress(min(total, sent), total)
                if not self._status() & 2:
                    return
                error = "weights were still missing when all had been sent"
            except _LostError as lost:
                error = str(lost)
            self._identify()
            self.reset()
        raise DeviceError(f"weights could not be loaded: {error}, {_TRIES} times")

    def _ask(self, order: Order, answer: Answer, payload: bytes = b"") -> bytes:
        """Have one order carried out; the payload of its answer."""
        error = ""
        for _ in range(_TRIES):
            try:
                if order is Order.IDENTIFY:
                    # Whatever the line held before ends here.
                    self._line.write(bytes([END]))
                for each in self._exchange(iter([Frame(order, 0, payload)]), answers=0):
                    if each.kind == answer:
                        return each.payload
                raise DeviceError(f"the device answers {order.name} with something else")
            except _LostError as lost:
                error = str(lost)
                if order not in (Order.IDENTIFY, Order.RESET):
                    self._identify()
        raise DeviceError(f"{error}, {_TRIES} times")

    def _exchange(self, orders: Iterator[Frame], answers: int) -> Iterator[Frame]:
        """Have orders carried out in turn, and give all answers to them, and events.

        Parameters
        ----------
        orders
            Orders; they get their numbers here.
        answers
            How many frames of events are waited for.

        Raises
        ------
        _LostError
            If the device is silent, or an answer was broken.
        """
        window = _Window(deque(), deque())
        broken = self._reader.broken
        left = answers
        deadline = time.monotonic() + self._timeout
        while True:
            while window.unsent or self._take(orders, window):
                if not self._room(window.waiting, window.unsent[0]):
                    break
                window.waiting.append(window.unsent.popleft())
                self._line.write(order_bytes(window.waiting[-1]))
                deadline = time.monotonic() + self._timeout
            if not window.waiting and left <= 0:
                return
            for answer in self._reader.feed(self._line.read_some()):
                deadline = time.monotonic() + self._timeout
                if answer.kind == Answer.EVENTS:
                    left -= 1
                    yield answer
                elif answer.kind == Answer.REFUSED:
                    _refuse(window, answer.number)
                else:
                    yield from _acknowledge(window, answer)
            if self._reader.broken > broken:
                raise _LostError("answers were broken")
            if time.monotonic() > deadline:
                raise _LostError(f"the device did not answer within {self._timeout:g} s")

    def _take(self, orders: Iterator[Frame], window: _Window) -> bool:
        """Number the next order, if there is one."""
        following = next(orders, None)
        if following is None:
            return False
        window.unsent.append(replace(following, number=self._number))
        self._number = (self._number + 1) % NUMBERS
        return True

    def _room(self, waiting: Sequence[Frame], frame: Frame) -> bool:
        taken = sum(len(each.payload) + _OVERHEAD for each in waiting)
        return len(waiting) < NUMBERS - 1 and (
            not waiting or taken + len(frame.payload) + _OVERHEAD < self._queue
        )


def _refuse(window: _Window, expected: int) -> None:
    """Send again from the order on that is expected, if it is one that has been sent."""
    numbers = [each.number for each in window.waiting]
    if expected not in numbers or expected == window.ignored:
        return
    place = numbers.index(expected)
    waiting = list(window.waiting)
    window.waiting = deque(waiting[:place])
    window.unsent.extendleft(reversed(waiting[place:]))
    # Those behind it are refused too, with the same number.
    window.ignored = expected


def _acknowledge(window: _Window, answer: Frame) -> Iterator[Frame]:
    """Take an answer: orders before its own have been carried out too."""
    if answer.number not in [each.number for each in window.waiting]:
        return
    while window.waiting:
        order = window.waiting.popleft()
        if order.number == window.ignored:
            window.ignored = None
        if order.number == answer.number:
            yield answer
            return
        yield Frame(Answer.DONE, order.number)


def _pieces(data: Iterable[bytes]) -> Iterator[Frame]:
    """Frames of events; what is sent together may lie across them."""
    held = b""
    for part in data:
        held += part
        while len(held) >= MOST_PAYLOAD:
            yield Frame(Order.EVENTS, 0, held[:MOST_PAYLOAD])
            held = held[MOST_PAYLOAD:]
    if held:
        yield Frame(Order.EVENTS, 0, held)
