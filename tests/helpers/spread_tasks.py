"""Tasks that other processes can import."""

import os
from pathlib import Path

__all__ = ["note", "square"]


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def note(folder: Path, number: int) -> int:
    if number == 3:
        raise ValueError("three is wrong")
    (folder / str(number)).touch()
    return number
