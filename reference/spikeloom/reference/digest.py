"""A short number that tells networks apart."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

__all__ = ["digest"]


def digest(*values: Any) -> bytes:
    """SHA-256 of plain values: numbers, text, enumerations, arrays, and what is made of them.

    Equal values give equal bytes on any machine: names of fields and shapes and contents of arrays
    count, their type and their place in memory do not.

    Raises
    ------
    TypeError
        If one is of another kind.
    """
    found = hashlib.sha256()
    for part in _parts(values):
        found.update(len(part).to_bytes(8))
        found.update(part)
    return found.digest()


def _parts(value: Any) -> Iterator[bytes]:
    if is_dataclass(value) and not isinstance(value, type):
        yield type(value).__name__.encode()
        for each in fields(value):
            yield each.name.encode()
            yield from _parts(getattr(value, each.name))
    elif isinstance(value, np.ndarray):
        kind = np.float64 if value.dtype.kind == "f" else np.int64
        yield from _parts(value.shape)
        yield np.ascontiguousarray(value, dtype=np.dtype(kind).newbyteorder("<")).tobytes()
    elif isinstance(value, Mapping):
        yield b"mapping"
        for name, each in value.items():
            yield from _parts(name)
            yield from _parts(each)
    elif isinstance(value, tuple | list):
        yield b"sequence of %d" % len(value)
        for each in value:
            yield from _parts(each)
    elif isinstance(value, Enum):
        yield f"{type(value).__name__}.{value.name}".encode()
    elif value is None or isinstance(value, bool | int | float | str | np.number | np.bool_):
        plain = value.item() if isinstance(value, np.generic) else value
        yield f"{type(plain).__name__} {plain!r}".encode()
    else:
        raise TypeError(f"values must be plain, not {value!r}")
