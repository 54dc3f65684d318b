"""The host's side of a line on which the device always sends something, as on SPI.

While it has nothing to say, in the middle of a frame too, it sends a byte that means nothing, and
that no frame has on such a line: there it is escaped as the delimiter is.
"""

from spikeloom.reference.link_frames import ESCAPE

__all__ = ["ESCAPED_FILL", "FILL", "FillReader"]

FILL = 0xFF
"""What means nothing. A line that nobody drives is high."""
ESCAPED_FILL = 0xDE


class FillReader:
    """Takes what means nothing out of a line's bytes, and its escapes."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take bytes, and give those that were meant; half an escape is held back."""
        data = self._held + data.replace(bytes([FILL]), b"")
        self._held = data[-1:] if data[-1:] == bytes([ESCAPE]) else b""
        data = data[: len(data) - len(self._held)]
        return data.replace(bytes([ESCAPE, ESCAPED_FILL]), bytes([FILL]))
