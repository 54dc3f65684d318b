"""Tasks that other processes can import."""

import os
import signal
from pathlib import Path

__all__ = ["fail_after", "hold", "note", "square"]


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def note(folder: Path, number: int) -> int:
    if number == 3:
        raise ValueError("three is wrong")
    (folder / str(number)).touch()
    return number


def hold(fifo: Path, folder: Path) -> None:
    """Say that it has begun, and go on for good."""
    try:
        fifo.write_text("begun")
        signal.pause()
    finally:
        (folder / "cleaned").touch()


def fail_after(fifo: Path) -> None:
    raise ValueError(f"the other has {fifo.read_text()}")
