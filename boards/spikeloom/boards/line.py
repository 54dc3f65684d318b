"""Lines to a device: a serial port, or an SPI host."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from spikeloom.reference.link_frames import END

__all__ = ["Line", "SPILine", "open_serial"]

_PAUSE = 0.01
"""Seconds that a port waits for bytes."""


class Line(Protocol):
    """Bytes to a device, and from it. A line that has failed raises OSError."""

    def write(self, data: bytes) -> None:
        """Send bytes; waits until the line has taken them."""

    def read_some(self) -> bytes:
        """Bytes that have come; waits for a few milliseconds if there are none."""

    def close(self) -> None:
        """Give the line back."""


class _SerialLine:
    """pyserial's port."""

    def __init__(self, port: str, baud: int, timeout: float) -> None:
        try:
            import serial
        except ModuleNotFoundError:
            raise OSError(
                "pyserial is not there; to get it, type: pip install 'spikeloom[boards]'"
            ) from None

        # Two hosts on one port would take each other's answers.
        self._port = serial.Serial(
            port, baud, timeout=_PAUSE, write_timeout=timeout, exclusive=True
        )

    def write(self, data: bytes) -> None:
        self._port.write(data)

    def read_some(self) -> bytes:
        return bytes(self._port.read(max(1, self._port.in_waiting)))

    def close(self) -> None:
        self._port.close()


def open_serial(port: str | Path, baud: int, timeout: float = 1.0) -> Line:
    """Open a serial port: 8 bits, no parity, one stop bit.

    Parameters
    ----------
    port
        Its name.
    baud
        Bits a second.
    timeout
        Seconds that a write may take.

    Raises
    ------
    OSError
        If it cannot be opened, or another host has it, or pyserial is not installed.
    """
    import termios

    try:
        return _SerialLine(str(port), baud, timeout)
    except termios.error as error:
        # pyserial lets some of these pass.
        raise OSError(*error.args) from None


class SPILine:
    """A line of an SPI host, in mode 0 with the highest bit first.

    Parameters
    ----------
    transfer
        Sends bytes with chip select low and gives as many that came meanwhile, such as spidev's
        ``xfer2`` or pyftdi's ``exchange`` with ``duplex=True``.
    """

    def __init__(self, transfer: Callable[[bytes], bytes]) -> None:
        self._transfer = transfer
        self._held = b""

    def write(self, data: bytes) -> None:
        self._held += bytes(self._transfer(data))

    def read_some(self) -> bytes:
        held, self._held = self._held, b""
        # Delimiters between frames mean nothing to the device.
        return held or bytes(self._transfer(bytes([END]) * 64))

    def close(self) -> None:
        """The transfer belongs to who made it."""
