"""The host's side of the framed link: frames as bytes, and back.

``docs/host_protocol.md`` is the specification. A frame is a header, a payload and a checksum,
between two delimiters, in which the two bytes that mean something to the line are escaped as in
SLIP (Romkey, RFC 1055, 1988). The header has the kind in its upper and a number in its lower four
bits. Before that of an order stands the length of header and payload. The checksum, highest byte
first, is CRC-16/IBM-3740: polynomial 0x1021, begun with 0xFFFF. In answers a third byte is escaped,
which a device on SPI sends where it has nothing to say.
"""

import binascii
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = [
    "END",
    "ESCAPE",
    "ESCAPED_END",
    "ESCAPED_ESCAPE",
    "ESCAPED_FILL",
    "FILL",
    "MOST_PAYLOAD",
    "NUMBERS",
    "VERSION",
    "Answer",
    "Frame",
    "FrameReader",
    "Order",
    "answer_bytes",
    "order_bytes",
]

VERSION = 1
END, ESCAPE, FILL = 0xC0, 0xDB, 0xFF
ESCAPED_END, ESCAPED_ESCAPE, ESCAPED_FILL = 0xDC, 0xDD, 0xDE
NUMBERS = 16
"""Frames to the device are numbered, from 0 to this."""
MOST_PAYLOAD = 254
"""Bytes that a frame to the device carries at most."""


_ORDER_ESCAPES = {ESCAPE: ESCAPED_ESCAPE, END: ESCAPED_END}
_ANSWER_ESCAPES = {**_ORDER_ESCAPES, FILL: ESCAPED_FILL}
"""What stands behind an ESCAPE instead of a byte; the ESCAPE itself is the first to be escaped."""


class Order(enum.IntEnum):
    """Kinds of frames to the device."""

    IDENTIFY = 0
    """Who is there? Taken whatever its number, which the next one follows."""
    RESET = 1
    """Begin anew, loaded weights excepted. Taken whatever its number, as above."""
    EVENTS = 2
    """Events for the network, or weights for its memories."""
    STATUS = 3
    """What went wrong so far, and is anything missing?"""
    POTENTIALS = 4
    """A row of membrane potentials, where there is a monitor."""
    COUNTERS = 5
    """What was counted since the last RESET, where there is a monitor."""


class Answer(enum.IntEnum):
    """Kinds of frames from the device."""

    REFUSED = 0
    """A frame was broken or out of turn; the number is that of the one that is expected."""
    DONE = 1
    """The frame of this number has been carried out."""
    IDENTITY = 2
    """Who is there."""
    EVENTS = 3
    """Events of the network, up to the end of a step; numbered in turn."""
    STATUS = 4
    """What went wrong, and what is missing."""
    POTENTIALS = 5
    """The potentials of a row."""
    COUNTERS = 6
    """What was counted."""


@dataclass(frozen=True)
class Frame:
    """A frame.

    Attributes
    ----------
    kind
        An :class:`Order` or an :class:`Answer`, 0 to 15.
    number
        0 to 15.
    payload
        What it carries.
    """

    kind: int
    number: int
    payload: bytes = b""


def order_bytes(order: Frame) -> bytes:
    """An order as it is sent, with a delimiter on both sides.

    Raises
    ------
    ValueError
        If the kind or the number does not fit the header, or the payload is longer than
        :data:`MOST_PAYLOAD`.
    """
    if len(order.payload) > MOST_PAYLOAD:
        raise ValueError(
            f"payload must have at most {MOST_PAYLOAD} bytes, not {len(order.payload)}"
        )
    return _framed(bytes([1 + len(order.payload)]) + _body(order), _ORDER_ESCAPES)


def answer_bytes(answer: Frame) -> bytes:
    """An answer as it is sent, with a delimiter on both sides.

    Raises
    ------
    ValueError
        If the kind or the number does not fit the header.
    """
    return _framed(_body(answer), _ANSWER_ESCAPES)


def _body(frame: Frame) -> bytes:
    for name in ("kind", "number"):
        if not 0 <= getattr(frame, name) <= 15:
            raise ValueError(f"{name} must be 0 to 15, not {getattr(frame, name)}")
    return bytes([frame.kind << 4 | frame.number]) + frame.payload


def _framed(body: bytes, escapes: Mapping[int, int]) -> bytes:
    body += binascii.crc_hqx(body, 0xFFFF).to_bytes(2)
    for byte, escaped in escapes.items():
        body = body.replace(bytes([byte]), bytes([ESCAPE, escaped]))
    return bytes([END]) + body + bytes([END])


class FrameReader:
    """Frames out of bytes, of which some may be garbage.

    Attributes
    ----------
    broken : int
        How often something between two delimiters was no frame.
    """

    def __init__(self, most: int, *, orders: bool = False) -> None:
        """Begin at a delimiter.

        Parameters
        ----------
        most
            Bytes of a frame, as it is on the line, from which on it is none; what comes without a
            delimiter takes no more memory than that.
        orders
            Whether orders come, and not answers.
        """
        self.broken = 0
        self._most = most
        self._orders = orders
        self._fill = b"" if orders else bytes([FILL])
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes, and give the frames that end in them."""
        *ended, rest = data.translate(None, self._fill).split(bytes([END]))
        for part in ended:
            self._hold(part)
            body, self._held = bytes(self._held), bytearray()
            if not body:
                continue
            frame = self._frame(body) if len(body) <= self._most else None
            if frame is None:
                self.broken += 1
            else:
                yield frame
        self._hold(rest)

    def _hold(self, part: bytes) -> None:
        self._held += part[: self._most + 1 - len(self._held)]

    def _frame(self, escaped: bytes) -> Frame | None:
        body = _unescaped(escaped, _ORDER_ESCAPES if self._orders else _ANSWER_ESCAPES)
        if body is None or binascii.crc_hqx(body, 0xFFFF):
            return None
        if self._orders:
            length, body = body[:1], body[1:]
            if len(body) != 2 + int.from_bytes(length):
                return None
        return Frame(body[0] >> 4, body[0] & 15, body[1:-2]) if len(body) > 2 else None


def _unescaped(escaped: bytes, escapes: Mapping[int, int]) -> bytes | None:
    first, *parts = escaped.split(bytes([ESCAPE]))
    meant = {second: byte for byte, second in escapes.items()}
    if any(not part or part[0] not in meant for part in parts):
        return None
    return first + b"".join(bytes([meant[part[0]]]) + part[1:] for part in parts)
