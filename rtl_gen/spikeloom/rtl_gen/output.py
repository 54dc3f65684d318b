"""Folders that appear whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["MARKER", "check_output", "whole_folder"]

MARKER = ".spikeloom"
"""File that marks a folder as written by this project, so that it may be replaced."""


def check_output(path: Path) -> None:
    """Refuse a folder that is not ours to replace.

    Raises
    ------
    ValueError
        If the path exists and is neither an empty folder nor one that :func:`whole_folder` wrote.
    """
    if path.is_dir() and ((path / MARKER).is_file() or not any(path.iterdir())):
        return
    if path.exists() or path.is_symlink():
        raise ValueError(f"{path} exists and was not written by spikeloom; choose another folder")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``path`` at the end of the block.

    An earlier folder of ours is replaced in the same moment. If the block is left by an exception,
    an interrupt included, nothing stays of the new folder and the earlier one is as it was.

    Raises
    ------
    ValueError
        If the path exists and is not ours.
    """
    check_output(path)
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    old = path.with_name(f".{path.name}.old-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        (part / MARKER).touch()
        if path.exists():
            path.rename(old)
        part.rename(path)
    except BaseException:
        if old.exists():
            old.rename(path)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
