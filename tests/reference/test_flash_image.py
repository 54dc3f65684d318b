"""What lies in a flash: the bitstream, nothing, and frames that another reader understands."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.flash_image import FLASH_BYTES, flash_image, weight_frames
from spikeloom.reference.link_frames import FrameReader, Order


@pytest.mark.parametrize("length", [0, 1, 254, 255, 254 * 17 + 5])
def test_weight_frames(length: int) -> None:
    """A RESET and then EVENTS, each number behind the other, 15 to 0 at the first."""
    weights = random.Random(length).randbytes(length)
    image = weight_frames(weights)
    reader = FrameReader(1000, orders=True)
    reset, *events = reader.feed(image)
    assert reader.broken == 0
    assert (image[0], image[-2:]) == (0xC0, b"\xc0\xc0")
    assert (reset.kind, reset.number, reset.payload) == (Order.RESET, 15, b"")
    assert {each.kind for each in events} <= {Order.EVENTS}
    assert all((b.number - a.number) % 16 == 1 for a, b in pairwise([reset, *events]))
    assert b"".join(each.payload for each in events) == weights


def test_flash_image() -> None:
    """A bitstream of three bytes, a gap of five, and the frames."""
    weights = b"\x81\x01"
    expected = b"abc" + b"\xff" * 5 + weight_frames(weights)
    assert flash_image(b"abc", weights, 8) == expected
    assert flash_image(b"abcdefgh", weights, 8)[:11] == b"abcdefgh\xc0\x01\x1f"
    assert flash_image(b"abc", weights, 8, len(expected)) == expected


def test_bitstream_reaches_the_weights() -> None:
    message = r"^the bitstream must end before the weights at 8, but has 9 bytes$"
    with pytest.raises(ValueError, match=message):
        flash_image(bytes(9), b"", 8)


def test_larger_than_the_flash() -> None:
    length = 8 + len(weight_frames(b"abc"))
    message = rf"^the image must fit the flash's {length - 1} bytes, but has {length}$"
    with pytest.raises(ValueError, match=message):
        flash_image(b"", b"abc", 8, length - 1)
    with pytest.raises(ValueError, match=rf"^the image must fit the flash's {FLASH_BYTES} bytes"):
        flash_image(b"", b"abc", FLASH_BYTES - 3)


def test_address_of_three_bytes() -> None:
    assert FLASH_BYTES == 0x100_0000


@given(st.binary(max_size=9), st.binary(max_size=600), st.integers(0, 12))
def test_everything_is_where_it_belongs(bitstream: bytes, weights: bytes, offset: int) -> None:
    if len(bitstream) > offset:
        with pytest.raises(ValueError, match=r"^the bitstream must end before the weights at "):
            flash_image(bitstream, weights, offset)
        return
    image = flash_image(bitstream, weights, offset)
    assert image.startswith(bitstream)
    assert set(image[len(bitstream) : offset]) <= {0xFF}
    _, *events = FrameReader(1000, orders=True).feed(image[offset:])
    assert b"".join(each.payload for each in events) == weights
    assert [each.number for each in events] == [k % 16 for k in range(len(events))]
    assert all(len(each.payload) == 254 for each in events[:-1])
