"""The host's side of the wire format: address events as bytes, and back.

Format and behaviour are those of :mod:`spikeloom.rtl_gen.link.codec`. An event is the number
``kind, address, count``, 2 bits of kind on top, in base 128: the highest digit first, a fixed
number of digits, bit 7 set in the first byte alone.
"""

import numpy as np
from numpy.typing import ArrayLike

from spikeloom.reference.fixed import IntArray

__all__ = ["decode_events", "encode_events", "encode_numbers", "event_bytes"]


def _widths(size: int, max_count: int) -> tuple[int, int]:
    """Bits of address and count, those of the hardware's layout."""
    for name, value in (("size", size), ("max_count", max_count)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be positive, not {value!r}")
    return max(1, (size - 1).bit_length()), max_count.bit_length()


def event_bytes(size: int, max_count: int = 1) -> int:
    """Number of bytes of an event.

    Parameters
    ----------
    size
        Number of neurons or inputs that the address tells apart.
    max_count
        Largest number of spikes of one neuron in one step.

    Raises
    ------
    TypeError, ValueError
        If one of them is not a positive integer.
    """
    return _digits(2 + sum(_widths(size, max_count)))


def _digits(bits: int) -> int:
    """Digits of a number of so many bits."""
    return -(-bits // 7)


def encode_numbers(numbers: IntArray, bits: int) -> bytes:
    """Bytes of numbers of so many bits, each as an event is sent."""
    digits = (numbers[:, None] >> 7 * np.arange(_digits(bits))[::-1]) & 0x7F
    digits[:, 0] |= 0x80
    return digits.astype(np.uint8).tobytes()


def encode_events(events: ArrayLike, size: int, max_count: int = 1) -> bytes:
    """Bytes of events.

    Parameters
    ----------
    events
        Rows ``(kind, address, count)``, as :func:`spikeloom.reference.events.raster_to_events`
        gives them.
    size, max_count
        As :func:`event_bytes`'.

    Raises
    ------
    TypeError
        If ``size`` or ``max_count`` is not an integer.
    ValueError
        If ``size`` or ``max_count`` is not positive, or a number does not fit its field.
    """
    address_width, count_width = _widths(size, max_count)
    rows = np.asarray(events, dtype=np.int64).reshape(-1, 3)
    for values, name, width in zip(
        rows.T, ("kind", "address", "count"), (2, address_width, count_width), strict=True
    ):
        wrong = values[(values < 0) | (values >> width != 0)]
        if wrong.size:
            raise ValueError(f"{name} must be 0 to {(1 << width) - 1}, but one is {wrong[0]}")
    kind, address, count = rows.T
    number = ((kind << address_width | address) << count_width) | count
    return encode_numbers(number, 2 + address_width + count_width)


def decode_events(data: bytes, size: int, max_count: int = 1) -> IntArray:
    """Events of bytes, the inverse of :func:`encode_events`.

    An event that another one interrupts is discarded, and so are bytes before a first byte. An
    event that is not complete at the end is left out.

    Parameters
    ----------
    data
        Bytes as received.
    size, max_count
        As :func:`event_bytes`'.

    Returns
    -------
    Rows ``(kind, address, count)``, as they came, legal or not.

    Raises
    ------
    TypeError, ValueError
        If ``size`` or ``max_count`` is not a positive integer.
    """
    address_width, count_width = _widths(size, max_count)
    length = event_bytes(size, max_count)
    wire = np.frombuffer(data, dtype=np.uint8).astype(np.int64)
    starts = np.flatnonzero(wire >= 0x80)
    # An event is whole if no first byte, and not the end, comes within its length.
    gaps = np.diff(np.append(starts, len(wire)))
    starts = starts[gaps >= length]
    digits = wire[starts[:, None] + np.arange(length)] & 0x7F
    number = (digits << 7 * np.arange(length)[::-1]).sum(axis=1)
    return np.stack(
        (
            number >> (address_width + count_width) & 3,
            number >> count_width & ((1 << address_width) - 1),
            number & ((1 << count_width) - 1),
        ),
        axis=1,
    )
