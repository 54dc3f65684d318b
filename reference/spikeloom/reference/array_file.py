"""Arrays out of NumPy's files, which may come from anyone."""

import math
import zipfile
import zlib
from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_BYTES", "read_array", "read_arrays", "reason_of"]

MAX_BYTES = 1 << 32
"""What the arrays of a file may take in memory."""

Array = NDArray[Any]

# What reading a damaged archive raises, RuntimeError for one that seems to be encrypted.
_DAMAGES = (
    *(KeyError, OSError, EOFError, TypeError, ValueError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError),
)


def read_arrays(path: Path, only: Container[str] | None = None) -> dict[str, Array]:
    """The arrays of a ``.npz`` file, of numbers or truth values; nothing in it is executed.

    Parameters
    ----------
    only
        Names of those that are read; all if ``None``.

    Raises
    ------
    ValueError
        If the file cannot be read, is none, holds something else, or more than 4 GiB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                name: name.removesuffix(".npy")
                for name in archive.namelist()
                if only is None or name.removesuffix(".npy") in only
            }
            total = 0
            for name in members:
                with archive.open(name) as file:
                    total += _declared_bytes(file)
                if total > MAX_BYTES:
                    raise ValueError(f"its arrays take more than {MAX_BYTES >> 30} GiB")
            arrays = {}
            for name, short in members.items():
                with archive.open(name) as file:
                    arrays[short] = np.lib.format.read_array(file)
            return arrays
    except _DAMAGES as error:
        raise ValueError(f"{path} must be a .npz file of numbers, but {reason_of(error)}") from None


def read_array(path: Path) -> Array:
    """The array of a ``.npy`` file, of numbers or truth values.

    Raises
    ------
    ValueError
        As :func:`read_arrays`.
    """
    try:
        with path.open("rb") as file:
            if _declared_bytes(file) > MAX_BYTES:
                raise ValueError(f"its array takes more than {MAX_BYTES >> 30} GiB")
            file.seek(0)
            return np.lib.format.read_array(file)
    except _DAMAGES as error:
        raise ValueError(f"{path} must be a .npy file of numbers, but {reason_of(error)}") from None


def _declared_bytes(file: Any) -> int:
    """What the array of a ``.npy`` file says that it takes."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError("it is of an unknown version")
    read = np.lib.format.read_array_header_1_0
    if version == (2, 0):
        read = np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.kind not in "biuf":
        raise ValueError(f"it holds {dtype}")
    return math.prod(shape) * int(dtype.itemsize)


def reason_of(error: BaseException) -> str:
    """An error in a line."""
    text = getattr(error, "strerror", None) or str(error).split("\n")[0]
    return str(text) or type(error).__name__
