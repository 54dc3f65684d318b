"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["beside", "whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of another at the end of the block.

    Where the block fails, the earlier one is as it was.

    Parameters
    ----------
    path
        The file that is to be.

    Returns
    -------
    The path to write to, beside it.
    """
    part = beside(path, "part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def beside(path: Path, role: str) -> Path:
    """A hidden path beside another, which nothing has yet."""
    return path.with_name(f".{path.name}.{role}-{secrets.token_hex(4)}")
