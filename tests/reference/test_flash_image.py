"""What lies in a flash: the bitstream, nothing, and frames that another reader understands."""

import random
from itertools import pairwise

import pytest

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
