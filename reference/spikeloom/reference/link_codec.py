"""The host's side of the wire format: address events as bytes, and back.

Format and behaviour are those of :mod:`spikeloom.rtl_gen.link.codec`. An event is the number
``kind, address, count``, 2 bits of kind on top, in base 128: the highest digit first, a fixed
number of digits, bit 7 set in the first byte alone. The address of a source of several dimensions
is its coordinates side by side. A spike with the count of the event before, and an address that is
at most 127 further, is one byte: the distance.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from spikeloom.reference import maps
from spikeloom.reference.events import SPIKE
from spikeloom.reference.fixed import IntArray, signed_width

__all__ = ["decode_events", "encode_events", "encode_numbers", "event_bytes"]

_SHORT = 1 << 7
"""Distances from here on have no short form."""


def _fields(size: int | maps.Shape, max_count: int, least: int) -> tuple[list[int], int]:
    """Bits of each coordinate of an address and of a count, those of the hardware's layout."""
    shape = size if isinstance(size, tuple) else (size,)
    for name, values in (("size", shape), ("max_count", (max_count,))):
        for value in values:
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if value < 1:
                raise ValueError(f"{name} must be positive, not {value!r}")
    signed = max(signed_width(least), signed_width(max_count))
    count = max_count.bit_length() if least >= 0 else signed
    return [max(1, (each - 1).bit_length()) for each in shape], count


def _size(size: int | maps.Shape, coordinates: list[int]) -> int:
    """Addresses that there are; of a flat source all that its bits can name."""
    return math.prod(size) if isinstance(size, tuple) and len(size) > 1 else 1 << coordinates[0]


def event_bytes(size: int | maps.Shape, max_count: int = 1, least: int = 0, room: int = 0) -> int:
    """Number of bytes of an event in its long form.

    Parameters
    ----------
    size
        Number of neurons or inputs that the address tells apart, or their shape.
    max_count
        Largest number of spikes of one neuron in one step, or the largest value.
    least
        The least value, 0 for spikes; where it is negative counts have a sign.
    room
        Bits below the kind at least, for weights that are wider than address and count.

    Raises
    ------
    TypeError, ValueError
        If a size or ``max_count`` is not a positive integer.
    """
    coordinates, count = _fields(size, max_count, least)
    return _digits(2 + max(room, sum(coordinates) + count))


def _digits(bits: int) -> int:
    """Digits of a number of so many bits."""
    return -(-bits // 7)


def encode_numbers(numbers: IntArray, bits: int) -> bytes:
    """Bytes of numbers of so many bits, each as an event is sent."""
    return _long(numbers, bits).astype(np.uint8).tobytes()


def _long(numbers: IntArray, bits: int) -> IntArray:
    digits = (numbers[:, None] >> 7 * np.arange(_digits(bits))[::-1]) & 0x7F
    digits[:, 0] |= 0x80
    return digits


def encode_events(
    events: ArrayLike,
    size: int | maps.Shape,
    max_count: int = 1,
    least: int = 0,
    room: int = 0,
) -> bytes:
    """Bytes of events, the fewest that there are for this order of them.

    Parameters
    ----------
    events
        Rows ``(kind, address, count)``, as :func:`spikeloom.reference.events.raster_to_events`
        gives them; addresses are flat numbers.
    size, max_count, least, room
        As :func:`event_bytes`'.

    Raises
    ------
    TypeError
        If ``size`` or ``max_count`` is not an integer.
    ValueError
        If ``size`` or ``max_count`` is not positive, or a number does not fit its field.
    """
    coordinates, count_width = _fields(size, max_count, least)
    rows = np.asarray(events, dtype=np.int64).reshape(-1, 3)
    low = -(1 << count_width - 1) if least < 0 else 0
    for values, name, first, last in zip(
        rows.T,
        ("kind", "address", "count"),
        (0, 0, low),
        (3, _size(size, coordinates) - 1, low + (1 << count_width) - 1),
        strict=True,
    ):
        wrong = values[(values < first) | (values > last)]
        if wrong.size:
            raise ValueError(f"{name} must be {first} to {last}, but one is {wrong[0]}")
    kind, address, count = rows[:, 0], _packed(rows[:, 1], size, coordinates), rows[:, 2]
    room = max(room, sum(coordinates) + count_width)
    number = kind << room | address << count_width | count & (1 << count_width) - 1
    bits = 2 + room

    distance = np.diff(address, prepend=0)
    like = (np.diff(kind, prepend=-1) == 0) & (np.diff(count, prepend=0) == 0)
    short = like & (kind == SPIKE) & (distance >= 0) & (distance < _SHORT)
    digits = _long(number, bits)
    digits[short, 0] = distance[short]
    sent = ~short[:, None] | (np.arange(digits.shape[1]) == 0)
    return digits[sent].astype(np.uint8).tobytes()


def _packed(flat: IntArray, size: int | maps.Shape, coordinates: list[int]) -> IntArray:
    if isinstance(size, int) or len(size) == 1:
        return flat
    packed = np.zeros_like(flat)
    for place, bits in zip(np.unravel_index(flat, size), coordinates, strict=True):
        packed = packed << bits | place
    return packed


def _flat(packed: IntArray, size: int | maps.Shape, coordinates: list[int]) -> IntArray:
    if isinstance(size, int) or len(size) == 1:
        return packed
    flat, step = np.zeros_like(packed), 1
    for length, bits in zip(reversed(size), reversed(coordinates), strict=True):
        flat, packed, step = flat + (packed & (1 << bits) - 1) * step, packed >> bits, step * length
    return flat


def decode_events(
    data: bytes, size: int | maps.Shape, max_count: int = 1, least: int = 0, room: int = 0
) -> IntArray:
    """Events of bytes, the inverse of :func:`encode_events`.

    An event that another one interrupts is discarded. An event that is not complete at the end is
    left out.

    Parameters
    ----------
    data
        Bytes as received.
    size, max_count, least, room
        As :func:`event_bytes`'.

    Returns
    -------
    Rows ``(kind, address, count)``, as they came, legal or not.

    Raises
    ------
    TypeError, ValueError
        If ``size`` or ``max_count`` is not a positive integer.
    """
    coordinates, count_width = _fields(size, max_count, least)
    length = event_bytes(size, max_count, least, room)
    # All begins with an event of zeros, which is no event.
    wire = np.concatenate(([0x80, *[0] * (length - 1)], np.frombuffer(data, np.uint8).astype(int)))
    starts = np.flatnonzero(wire >= 0x80)
    # An event is whole if no first byte, and not the end, comes within its length.
    gaps = np.diff(np.append(starts, len(wire)))
    starts, gaps = starts[gaps >= length], gaps[gaps >= length]
    digits = wire[starts[:, None] + np.arange(length)] & 0x7F
    number = (digits << 7 * np.arange(length)[::-1]).sum(axis=1)

    # Each is followed by short forms of it.
    runs = gaps - length + 1
    of = np.repeat(np.arange(len(starts)), runs)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(runs) - runs, runs)
    total = np.cumsum(wire[starts[of] + length - 1 + nth])
    moved = total - total[np.flatnonzero(nth == 0)][of]
    mask = (1 << sum(coordinates)) - 1
    address = (number[of] >> count_width & mask) + moved & mask
    count = number[of] & (1 << count_width) - 1
    if least < 0:
        count -= (count >> count_width - 1) << count_width
    kind = number[of] >> max(room, sum(coordinates) + count_width) & 3
    return np.stack((kind, _flat(address, size, coordinates), count), axis=1)[1:]
