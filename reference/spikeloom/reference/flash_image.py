"""What is written into a board's flash for a design that loads its weights from there."""

from spikeloom.reference.link_frames import END, MOST_PAYLOAD, NUMBERS, Frame, Order, order_bytes

__all__ = ["FLASH_BYTES", "flash_image", "weight_frames"]

FLASH_BYTES = 1 << 24
"""Bytes that an address of three bytes reaches."""

_ERASED = b"\xff"


def weight_frames(weights: bytes) -> bytes:
    """The frames that a host would send to load the weights.

    A RESET, EVENTS numbered from 0 on, and a delimiter.

    Parameters
    ----------
    weights
        Weights as events, as the host sends them.
    """
    parts = [weights[k : k + MOST_PAYLOAD] for k in range(0, len(weights), MOST_PAYLOAD)]
    frames = [Frame(Order.RESET, NUMBERS - 1)]
    frames += [Frame(Order.EVENTS, k % NUMBERS, part) for k, part in enumerate(parts)]
    return b"".join(map(order_bytes, frames)) + bytes([END])


def flash_image(bitstream: bytes, weights: bytes, offset: int, size: int = FLASH_BYTES) -> bytes:
    """Bitstream and weights as they lie in the flash.

    Parameters
    ----------
    bitstream
        What configures the FPGA, at address 0.
    weights
        Weights as events, as the host sends them.
    offset
        Address of the weights' frames; what is between is as in an erased flash.
    size
        Bytes of the flash.

    Raises
    ------
    ValueError
        If the bitstream reaches beyond the offset, or the frames beyond the flash.
    """
    if len(bitstream) > offset:
        raise ValueError(
            f"the bitstream must end before the weights at {offset}, but has {len(bitstream)} bytes"
        )
    image = bitstream.ljust(offset, _ERASED) + weight_frames(weights)
    if len(image) > size:
        raise ValueError(f"the image must fit the flash's {size} bytes, but has {len(image)}")
    return image
