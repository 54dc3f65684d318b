"""A network on a board, from the host: ``docs/host_protocol.md`` over a line."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from spikeloom.boards.line import Line, open_serial
from spikeloom.boards.link_facts import IDENTITY_BYTES, LINK, WEIGHTS, LinkFacts
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

__all__ = ["Device", "DeviceError", "open_line"]

_ANSWERS = {
    Order.IDENTIFY: Answer.IDENTITY,
    Order.RESET: Answer.DONE,
    Order.EVENTS: Answer.DONE,
    Order.STATUS: Answer.STATUS,
    Order.POTENTIALS: Answer.POTENTIALS,
    Order.COUNTERS: Answer.COUNTERS,
}
_OVERHEAD = 2
"""Bytes of the device's queue that an order takes besides its payload: length and header."""
_WORDS = 200
"""Characters of that text that are shown at most."""
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
    ended
        Whether no further orders come.
    """

    unsent: deque[Frame] = field(default_factory=deque)
    waiting: deque[Frame] = field(default_factory=deque)
    ignored: int | None = None
    ended: bool = False


class Device:
    """A device on a line, with the build that it must be.

    Opening it verifies its identity, has its network begin anew and loads weights that are
    missing. Where bytes are lost on the line, or broken, what was under way begins again: results
    are right, or there is an error. A call that is broken off, by an interrupt or an error, leaves
    the device so that the next call works: it asks again who is there, and a run has the network
    begin anew. For one thread at a time.

    Parameters
    ----------
    line
        The line, open; it is closed with the device.
    facts
        What the build says of itself.
    weights
        What is loaded before all events, if the device does not have it.
    timeout
        Seconds without progress after which a device is asked again; after the fifth time it is
        given up. Answers that say nothing new are no progress.
    progress
        Hears of the weights that are loaded: bytes sent and bytes in all.

    Attributes
    ----------
    about : str
        What the device says of itself in words.

    Raises
    ------
    DeviceError
        If there is no answer, or the device is another.
    ValueError
        If ``timeout`` is not positive.
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
        self._events = 0
        # An answer's longest: a step's events, or an identity, each byte escaped.
        most = max(int(np.prod(facts.outputs)) + 2, facts.lanes * facts.potential_bytes) * 16
        self._reader = FrameReader(most + len(facts.identity) + 1024)
        self._queue = MOST_PAYLOAD + _OVERHEAD
        self._turn = object()
        # Whether all answers to what was sent have come, and all results.
        self._settled, self._finished = False, True
        self.about = ""
        try:
            if not timeout > 0:
                raise ValueError(f"timeout must be above 0 s, not {timeout!r}")
            self.reset()
            self._load_missing(progress)
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
            As above; after five times ``timeout`` a port that takes no bytes is given up.

        Raises
        ------
        DeviceError
            If the port cannot be opened, or as above.
        ValueError
            If the folder is not a build's, or the build has no serial line.
        """
        line, facts, weights = open_line(port, build, timeout)
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
        """Have the network begin anew, and its counters and errors; loaded weights stay.

        Raises
        ------
        DeviceError
            If the device does not answer, or has become another.
        """
        self._ask(Order.RESET)
        self._events = 0
        self._finished = True

    def illegal(self) -> bool:
        """Whether an illegal event came since the last reset.

        Raises
        ------
        DeviceError
            If the device does not answer, or has become another.
        """
        return bool(self._status() & 1)

    def weight_error(self) -> bool:
        """Whether a weight that was read since the last reset was wrong.

        Where weights are loaded, opening the device anew after its power was off loads them again.

        Raises
        ------
        DeviceError
            If the device does not answer, has become another, or was built without parity.
        """
        if not self._facts.parity:
            raise DeviceError("the device has no parity of weights: build it with --parity")
        return bool(self._status() & 4)

    def state_error(self) -> bool:
        """Whether two bits of a neuron's state were wrong since the last reset.

        Raises
        ------
        DeviceError
            If the device does not answer, has become another, or was built without the code.
        """
        if not self._facts.ecc:
            raise DeviceError("the device has no code for states: build it with --ecc")
        return bool(self._status() & 8)

    def counters(self) -> dict[str, int]:
        """What was counted since the last reset, modulo ``2**32``.

        A run in which bytes were lost begins its sample with a reset.

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
        payload = self._ask(Order.COUNTERS)
        if len(payload) != 4 * len(COUNTERS):
            raise DeviceError(f"the device must send {4 * len(COUNTERS)} bytes, not {len(payload)}")
        values = np.frombuffer(payload, ">u4").tolist()
        return dict(zip(COUNTERS, values, strict=True))

    def potentials(self) -> dict[str, IntArray]:
        """Membrane potentials as the last step left them, or as they begin.

        Behind a run that was broken off the network begins anew.

        Returns
        -------
        Integers of each population's shape, by its name.

        Raises
        ------
        DeviceError
            If the device does not answer, or has no monitor.
        """
        self._check_monitor()
        if not self._finished:
            self.reset()
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
        payload = self._ask(Order.POTENTIALS, asked)
        digits = np.frombuffer(payload, np.uint8).astype(np.int64)
        if digits.size != facts.lanes * facts.potential_bytes:
            raise DeviceError(
                f"the device must send {facts.lanes * facts.potential_bytes} bytes of a row, not"
                f" {digits.size}"
            )
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
            Integers of shape (samples, steps, \\*inputs); clipped where the input clips.
        progress
            Hears how many samples are done.

        Returns
        -------
        Counts of shape (samples, steps, \\*outputs), or potentials where the output sends them.

        Raises
        ------
        TypeError
            If the raster is not of integers.
        ValueError
            If the raster is of another shape or range.
        DeviceError
            If the device does not answer.
        """
        values = self._checked(raster, ("samples", "steps"))
        results: list[IntArray] = []
        for result in self.stream(values):
            results.append(result)
            progress(len(results))
        return np.stack(results)

    def stream(self, samples: Iterable[ArrayLike | None]) -> Iterator[IntArray]:
        """Send samples as they come, and give what comes of each.

        On the line samples follow each other without pause: the next ones are asked for before the
        results of earlier ones are given. If other calls come between, the iterator ends with an
        error.

        Parameters
        ----------
        samples
            Integers of shape (steps, \\*inputs), the steps of each its own; or nothing, if there
            is none at the moment: then results are waited for, and the next one is asked for again
            some milliseconds later.

        Returns
        -------
        For each sample in order counts of shape (steps, \\*outputs), or potentials.

        Raises
        ------
        TypeError, ValueError, DeviceError
            As :meth:`run`.
        """
        source = (None if each is None else self._checked(each, ("steps",)) for each in samples)
        kept: deque[IntArray] = deque()
        tries = 0
        if self._finished:
            # Another device may have come meanwhile.
            self._identify()
        else:
            self.reset()
        while True:
            # They may have gone: a board can be switched off while its line stays.
            self._load_missing()
            self._finished = False
            try:
                for result in self._results(source, kept):
                    kept.popleft()
                    tries = 0
                    yield result
                break
            except _LostError as error:
                tries += 1
                if tries == _TRIES:
                    raise DeviceError(f"{error}, {_TRIES} times") from None
                if kept:
                    self.reset()
                else:
                    # All that was sent has been computed: its potentials can still be read.
                    self._identify()
        self._finished = True

    def _checked(self, raster: ArrayLike, before: tuple[str, ...]) -> IntArray:
        """Samples, if they are of the right kind, shape and range."""
        values = np.asarray(raster)
        facts = self._facts
        if values.shape[len(before) :] != facts.inputs or 0 in values.shape:
            names = ", ".join([*before, *map(str, facts.inputs)])
            raise ValueError(f"raster must be of shape ({names}), none 0, not {values.shape}")
        if values.dtype.kind not in "biu":
            raise TypeError(f"raster must be of integers, not of {values.dtype}")
        if facts.clips:
            values = np.clip(values, facts.least_in, facts.most_in)
        least, most = int(values.min()), int(values.max())
        if least < facts.least_in or most > facts.most_in:
            raise ValueError(
                f"raster must be of {facts.least_in} to {facts.most_in}, but has"
                f" {most if most > facts.most_in else least}"
            )
        return values.astype(np.int64)

    def _results(
        self, source: Iterator[IntArray | None], kept: deque[IntArray]
    ) -> Iterator[IntArray]:
        """Results of the samples that are kept, and then of others, which are kept too."""
        begun: deque[int] = deque()

        def data() -> Iterator[bytes | None]:
            for sample in chain(tuple(kept), _keeping(source, kept)):
                if sample is not None:
                    begun.append(len(sample))
                yield None if sample is None else self._sample_bytes(sample)

        found: list[IntArray] = []
        for answer in self._exchange(_pieces(data()), lambda: bool(begun)):
            if answer.kind != Answer.EVENTS:
                continue
            if answer.number != self._events:
                raise _LostError("a frame of events was lost")
            self._events = (self._events + 1) % NUMBERS
            found.append(self._step_events(answer.payload, first=not found))
            if len(found) > begun[0]:
                result = self._raster(np.concatenate(found), begun.popleft())
                found.clear()
                yield result

    def _sample_bytes(self, sample: IntArray) -> bytes:
        facts = self._facts
        events = raster_to_events(sample.reshape(1, len(sample), -1))
        kind, address, count = events.T
        step = np.cumsum(kind == TICK) - (kind == TICK)
        # Within a step the order says nothing; equal counts side by side are short.
        place = np.select([kind == RESTART, kind == SPIKE], [0, 1], 2)
        order = np.lexsort((address, count, place, step))
        return encode_events(events[order], facts.inputs, facts.most_in, facts.least_in, facts.room)

    def _step_events(self, payload: bytes, first: bool) -> IntArray:
        """Events of a frame: a restart, which is a sample's first; or a step's, and its tick."""
        facts = self._facts
        events = decode_events(payload, facts.outputs, facts.most_out, facts.least_out)
        *kinds, last = events[:, 0].tolist() or [SPIKE]
        spikes = not first and all(kind == SPIKE for kind in kinds)
        if last != (RESTART if first else TICK) or (kinds and not spikes):
            raise _LostError("the device's events were wrong")
        return events

    def _raster(self, events: IntArray, steps: int) -> IntArray:
        outputs = self._facts.outputs
        try:
            raster = events_to_raster(events, steps, int(np.prod(outputs)))
        except ValueError as error:
            raise _LostError(f"the device's events were wrong: {error}") from None
        return raster.reshape(steps, *outputs)

    def _status(self) -> int:
        payload = self._ask(Order.STATUS)
        if len(payload) != 1:
            raise DeviceError(f"the device must send 1 byte of status, not {len(payload)}")
        return payload[0]

    def _identify(self) -> None:
        found = self._ask(Order.IDENTIFY)
        if len(found) < IDENTITY_BYTES:
            raise DeviceError(
                f"the device must send at least {IDENTITY_BYTES} bytes of identity, not"
                f" {len(found)}"
            )
        if found[0] != VERSION:
            raise DeviceError(
                f"the device must speak version {VERSION} of the protocol, but speaks {found[0]}"
            )
        self.about = _printable(found[IDENTITY_BYTES:])
        expected = bytes.fromhex(self._facts.identity)
        if found != expected:
            if found[8:IDENTITY_BYTES] == expected[8:IDENTITY_BYTES]:
                raise DeviceError(
                    f"the device must say {expected.hex()}, but says {found[:_WORDS].hex()}: it is"
                    " the same network, built with other options; program it with this build"
                )
            raise DeviceError(
                f"the device must be network {_named(expected)}, but is {_named(found)}: program"
                " it with this build"
            )
        self._queue = int.from_bytes(found[4:6])

    def _load_missing(
        self, progress: Callable[[int, int], None] = lambda sent, total: None
    ) -> None:
        if self._facts.loads and self._status() & 2:
            self._load(progress)

    def _load(self, progress: Callable[[int, int], None]) -> None:
        total = len(self._weights)
        for _ in range(_TRIES):
            sent = 0
            try:
                for answer in self._exchange(_pieces([self._weights]), strict=False):
                    if answer.kind == Answer.DONE:
                        sent += MOST_PAYLOAD
                        progress(min(total, sent), total)
                if not self._status() & 2:
                    return
                error = "weights were still missing when all had been sent"
            except _LostError as lost:
                error = str(lost)
            self.reset()
        raise DeviceError(f"weights could not be loaded: {error}, {_TRIES} times")

    def _ask(self, order: Order, payload: bytes = b"") -> bytes:
        """Have one order carried out; the payload of its answer."""
        error = ""
        for _ in range(_TRIES):
            if order is Order.IDENTIFY:
                # Whatever the line held before ends here.
                self._write(bytes([END]))
            elif not self._settled:
                # Its answer comes behind all that are still to come.
                self._identify()
            try:
                # Anything may come before a device says who it is.
                strict = order is not Order.IDENTIFY
                (answer,) = self._exchange(iter([Frame(order, 0, payload)]), strict=strict)
                return answer.payload
            except _LostError as lost:
                error = str(lost)
        raise DeviceError(f"{error}, {_TRIES} times")

    def _exchange(
        self,
        orders: Iterator[Frame | None],
        wanted: Callable[[], bool] = lambda: False,
        *,
        strict: bool = True,
    ) -> Iterator[Frame]:
        """Have orders carried out in turn, and give the answers to them, and events if wanted.

        Parameters
        ----------
        orders
            Orders; they get their numbers here. Nothing, if there is none at the moment.
        wanted
            Whether events are waited for; others are dropped.
        strict
            Whether a broken answer ends it; where not, answers that matter are missed after a
            while.

        Raises
        ------
        _LostError
            If there was no progress for too long, or an answer was broken.
        """
        self._turn = turn = object()
        self._settled = False
        window = _Window()
        broken = self._reader.broken
        deadline = time.monotonic() + self._timeout
        while True:
            moves = self._send(orders, window)
            self._check_turn(turn)
            if not (window.unsent or window.waiting or wanted()):
                if window.ended:
                    break
                moves = True
            for answer in self._reader.feed(self._read()):
                # What comes behind a broken step must not take its place.
                if strict and self._reader.broken > broken:
                    break
                for each in _heard(window, answer, wanted()):
                    moves = True
                    yield each
                    self._check_turn(turn)
            if strict and self._reader.broken > broken:
                raise _LostError("answers were broken")
            now = time.monotonic()
            if moves:
                deadline = now + self._timeout
            elif now > deadline:
                raise _LostError(f"the device did not answer within {self._timeout:g} s")
        self._settled = True

    def _check_turn(self, turn: object) -> None:
        if self._turn is not turn:
            self._finished = False
            raise DeviceError("other calls must not come before the last result, but one did")

    def _send(self, orders: Iterator[Frame | None], window: _Window) -> bool:
        """Send all that the device has room for; whether a new order was among them."""
        new = False
        while True:
            if not window.unsent:
                if not self._take(orders, window):
                    return new
                new = True
            if not self._room(window.waiting, window.unsent[0]):
                return new
            window.waiting.append(window.unsent.popleft())
            self._write(order_bytes(window.waiting[-1]))

    def _take(self, orders: Iterator[Frame | None], window: _Window) -> bool:
        """Number the next order, if there is one."""
        try:
            following = next(orders)
        except StopIteration:
            window.ended = True
            return False
        if following is None:
            return False
        window.unsent.append(replace(following, number=self._number))
        self._number = (self._number + 1) % NUMBERS
        return True

    def _room(self, waiting: Sequence[Frame], frame: Frame) -> bool:
        taken = sum(len(each.payload) + _OVERHEAD for each in waiting)
        # One byte of the queue stays free.
        return len(waiting) < NUMBERS - 1 and (
            not waiting or taken + len(frame.payload) + _OVERHEAD < self._queue
        )

    def _write(self, data: bytes) -> None:
        try:
            self._line.write(data)
        except OSError as error:
            raise DeviceError(f"the line to the device failed: {error}") from None

    def _read(self) -> bytes:
        try:
            return self._line.read_some()
        except OSError as error:
            raise DeviceError(f"the line to the device failed: {error}") from None


def open_line(port: str | Path, build: Path, timeout: float) -> tuple[Line, LinkFacts, bytes]:
    """Open the serial port at which a build is; the line, its facts, and its weights.

    Parameters
    ----------
    port, build, timeout
        As :meth:`Device.open`'s.

    Raises
    ------
    DeviceError
        If the port cannot be opened.
    ValueError
        If the folder is not a build's, or the build has no serial line.
    """
    facts = LinkFacts.load(build / LINK)
    if facts.spi:
        raise ValueError(f"{build} must have a serial line, but has SPI: give Device a SPILine")
    try:
        weights = (build / WEIGHTS).read_bytes() if facts.loads else b""
    except OSError as error:
        raise ValueError(
            f"{build} must be a folder that `spikeloom build` wrote, but {error}"
        ) from None
    try:
        return open_serial(port, facts.baud, _TRIES * timeout), facts, weights
    except OSError as error:
        raise DeviceError(f"{port} cannot be opened: {error}") from None


def _keeping(source: Iterator[IntArray | None], kept: deque[IntArray]) -> Iterator[IntArray | None]:
    for sample in source:
        if sample is not None:
            kept.append(sample)
        yield sample


def _named(identity: bytes) -> str:
    return f"{identity[8:IDENTITY_BYTES].hex()} ({_printable(identity[IDENTITY_BYTES:])})"


def _printable(text: bytes) -> str:
    """Words that a device sends, without what a terminal would obey."""
    words = text[:_WORDS].decode("ascii", "replace")
    return "".join(each if each.isprintable() else "?" for each in words)


def _heard(window: _Window, answer: Frame, wanted: bool) -> Iterator[Frame]:
    """What an answer says that is new."""
    if answer.kind == Answer.EVENTS:
        if wanted:
            yield answer
    elif answer.kind == Answer.REFUSED:
        _refuse(window, answer.number)
    else:
        yield from _acknowledge(window, answer)


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
    asked = [each for each in window.waiting if each.number == answer.number]
    # Another kind is an answer to what was sent long before.
    if not asked or _ANSWERS[Order(asked[0].kind)] != answer.kind:
        return
    while window.waiting:
        order = window.waiting.popleft()
        if order.number == window.ignored:
            window.ignored = None
        if order.number == answer.number:
            yield answer
            return
        yield Frame(Answer.DONE, order.number)


def _pieces(data: Iterable[bytes | None]) -> Iterator[Frame | None]:
    """Frames of events; what is sent together may lie across them."""
    held = b""
    for part in data:
        held += part or b""
        while len(held) >= MOST_PAYLOAD or (held and part is None):
            yield Frame(Order.EVENTS, 0, held[:MOST_PAYLOAD])
            held = held[MOST_PAYLOAD:]
        if part is None:
            yield None
    if held:
        yield Frame(Order.EVENTS, 0, held)
