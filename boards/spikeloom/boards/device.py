"""A network on a board, from the host: ``docs/host_protocol.md`` over a serial line."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from spikeloom.reference.events import TICK, events_to_raster, raster_to_events
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.link_codec import decode_events, encode_events
from spikeloom.reference.link_frames import (
    IDENTITY_BYTES,
    MOST_PAYLOAD,
    NUMBERS,
    VERSION,
    Answer,
    Frame,
    FrameReader,
    Order,
    frame_bytes,
)

__all__ = ["Device", "DeviceError", "Line", "LinkFacts"]

_OVERHEAD = 4
"""Bytes of the queue that a frame takes besides its payload: length, header and checksum."""
_TRIES = 5
"""How often a frame is sent again, and a sample begun again, before it is given up."""


class DeviceError(RuntimeError):
    """The device does not answer, is another, or says that something went wrong."""


class Line(Protocol):
    """A serial line, as pyserial's."""

    timeout: float | None

    def read(self, size: int = 1) -> bytes: ...
    def write(self, data: bytes, /) -> int | None: ...
    def close(self) -> None: ...

    @property
    def in_waiting(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class LinkFacts:
    """What a host must know of a build.

    Attributes
    ----------
    identity
        What the device says of itself.
    inputs, outputs
        How many inputs and outputs there are.
    most_in, most_out
        The largest counts.
    weights
        What is loaded before all events.
    """

    identity: bytes
    inputs: int
    outputs: int
    most_in: int = 1
    most_out: int = 1
    weights: bytes = b""


class Device:
    """A device on a line.

    Parameters
    ----------
    line
        The line, open.
    facts
        The build that must be there.
    timeout
        Seconds after which a silent device is given up.

    Raises
    ------
    DeviceError
        If there is no answer, or the device is another.
    """

    def __init__(self, line: Line, facts: LinkFacts, timeout: float = 2.0) -> None:
        self._line = line
        self._facts = facts
        self._timeout = timeout
        self._number = 0
        self._reader = FrameReader(2 * (facts.outputs + 4) * 8 + 64)
        self._queue = MOST_PAYLOAD + _OVERHEAD
        line.timeout = 0.01
        try:
            self.identify()
            self.reset()
            self.load()
        except BaseException:
            line.close()
            raise

    @classmethod
    def open(cls, port: str | Path, facts: LinkFacts, baud: int = 1_000_000) -> Self:
        """Open a serial port.

        Raises
        ------
        DeviceError
            If it cannot be opened, or as :class:`Device`.
        """
        import serial

        try:
            line = serial.Serial(str(port), baud)
        except serial.SerialException as error:
            raise DeviceError(f"{port} cannot be opened: {error}") from None
        return cls(line, facts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._line.close()

    def identify(self) -> bytes:
        """Ask the device who it is.

        Raises
        ------
        DeviceError
            If there is no answer, or the device is another.
        """
        (answer,) = self._order([Frame(Order.IDENTIFY, 0)], Answer.IDENTITY)
        found = answer.payload
        if len(found) != IDENTITY_BYTES or found[0] != VERSION:
            raise DeviceError(
                f"the device must speak version {VERSION} of the protocol, but says {found.hex()}"
            )
        if found != self._facts.identity:
            raise DeviceError(
                f"the device must be network {self._facts.identity[8:].hex()}, but is"
                f" {found[8:].hex()}: program it with this build"
            )
        self._queue = int.from_bytes(found[4:6])
        return found

    def reset(self) -> None:
        """Have the network begin anew; loaded weights stay."""
        self._order([Frame(Order.RESET, 0)])

    def load(self) -> None:
        """Load the build's weights, if they are not part of the bitstream."""
        self._order(_pieces(self._facts.weights))

    def status(self) -> bool:
        """Whether an illegal event came since the last reset."""
        (answer,) = self._order([Frame(Order.STATUS, 0)], Answer.STATUS)
        return bool(answer.payload[0] & 1) if answer.payload else True

    def run(
        self, raster: ArrayLike, progress: Callable[[int], None] = lambda samples: None
    ) -> IntArray:
        """Send samples, and take what comes of them.

        Parameters
        ----------
        raster
            Counts of shape (samples, steps, inputs).
        progress
            Hears how many samples are done.

        Returns
        -------
        Counts of shape (samples, steps, outputs).

        Raises
        ------
        ValueError
            If the raster is of another shape or range.
        DeviceError
            If the device does not answer.
        """
        counts = np.asarray(raster)
        if counts.ndim != 3 or counts.shape[2] != self._facts.inputs or 0 in counts.shape:
            raise ValueError(
                f"raster must be of shape (samples, steps, {self._facts.inputs}), not"
                f" {counts.shape}"
            )
        results = []
        for k, sample in enumerate(counts):
            results.append(self._sample(sample[None]))
            progress(k + 1)
        return np.concatenate(results)

    def _sample(self, sample: IntArray) -> IntArray:
        facts, steps = self._facts, sample.shape[1]
        data = encode_events(raster_to_events(sample), facts.inputs, facts.most_in)
        for _ in range(_TRIES):
            events = self._events(data, steps)
            if events is not None:
                return events_to_raster(events, steps, facts.outputs)
            self.reset()
        raise DeviceError(f"the device's events were broken {_TRIES} times")

    def _events(self, data: bytes, steps: int) -> IntArray | None:
        """Events of a sample, or nothing if some were broken on the way."""
        facts, broken = self._facts, self._reader.broken
        answers = self._order(_pieces(data), Answer.DONE, ticks=steps)
        if self._reader.broken > broken:
            return None
        payload = b"".join(each.payload for each in answers if each.kind == Answer.EVENTS)
        events = decode_events(payload, facts.outputs, facts.most_out)
        return events if np.sum(events[:, 0] == TICK) == steps else None

    def _order(
        self, frames: Sequence[Frame], kind: Answer = Answer.DONE, ticks: int = 0
    ) -> list[Frame]:
        """Have frames carried out in turn; answers of a kind, and events up to so many ticks."""
        anew = bool(frames) and frames[0].kind in (Order.IDENTIFY, Order.RESET)
        if anew:
            self._line.write(frame_bytes(Frame(Order.STATUS, 0))[:1])
        numbered = deque(
            Frame(each.kind, (self._number + k) % NUMBERS, each.payload)
            for k, each in enumerate(frames)
        )
        self._number = (self._number + len(frames)) % NUMBERS
        sent: deque[Frame] = deque()
        found: list[Frame] = []
        tries, seen, deadline = 0, 0, time.monotonic() + self._timeout
        while numbered or sent or seen < ticks:
            while numbered and self._room(sent, numbered[0]):
                self._line.write(frame_bytes(numbered[0]))
                sent.append(numbered.popleft())
            for answer in self._answers():
                deadline = time.monotonic() + self._timeout
                if answer.kind == Answer.EVENTS:
                    found.append(answer)
                    seen += 1
                elif answer.kind == Answer.REFUSED:
                    if sent and answer.number in [each.number for each in sent]:
                        while sent and sent[0].number != answer.number:
                            sent.popleft()
                        numbered.extendleft(reversed(sent))
                        sent.clear()
                        tries += 1
                elif sent and answer.number == sent[0].number:
                    sent.popleft()
                    tries = 0
                    if answer.kind == kind != Answer.DONE:
                        found.append(answer)
            if time.monotonic() > deadline or tries > _TRIES * NUMBERS:
                if not sent or tries >= _TRIES:
                    raise DeviceError(f"the device does not answer within {self._timeout:g} s")
                numbered.extendleft(reversed(sent))
                sent.clear()
                tries += 1
                deadline = time.monotonic() + self._timeout
        return found

    def _room(self, sent: Sequence[Frame], frame: Frame) -> bool:
        taken = sum(len(each.payload) + _OVERHEAD for each in sent)
        return len(sent) < NUMBERS - 1 and (
            not sent or taken + len(frame.payload) + _OVERHEAD <= self._queue
        )

    def _answers(self) -> Iterator[Frame]:
        data = self._line.read(max(1, self._line.in_waiting))
        yield from self._reader.feed(data)


def _pieces(data: bytes) -> list[Frame]:
    parts = (data[k : k + MOST_PAYLOAD] for k in range(0, len(data), MOST_PAYLOAD))
    return [Frame(Order.EVENTS, 0, part) for part in parts]
