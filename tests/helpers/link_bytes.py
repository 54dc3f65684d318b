"""What stands on a link's line, worked out bit by bit."""


def naive_crc(body: bytes) -> bytes:
    """The checksum of a frame, highest byte first."""
    crc = 0xFFFF
    for byte in body:
        for k in reversed(range(8)):
            crc = (crc << 1 & 0xFFFF) ^ (0x1021 if (crc >> 15) ^ (byte >> k & 1) else 0)
    return crc.to_bytes(2)
