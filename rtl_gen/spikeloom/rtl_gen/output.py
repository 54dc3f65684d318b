"""Files and folders that appear whole or not at all."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikeloom.reference.whole_file import beside, whole_file

__all__ = ["MARKER", "check_output", "mark", "whole_folder", "write_whole"]

MARKER = ".spikeloom"
"""File that marks a folder as written by this project: by which command, and which files."""

# What `spikeloom verify` and Python leave behind, which is no user's work.
_LEFT_BEHIND = {"sim", "results.xml"}
_CACHE = "__pycache__"


def check_output(path: Path, kind: str = "") -> None:
    """Refuse a folder that is not ours to replace.

    Parameters
    ----------
    path
        The folder.
    kind
        The command that wants to write it; empty if any may have written it before.

    Raises
    ------
    ValueError
        If the path exists and is neither an empty folder nor one that the same command wrote, or
        if files were added to it or changed since. What ``spikeloom verify`` leaves may be there.
    """
    if not (path.exists() or path.is_symlink()):
        return
    if not path.is_dir() or (any(path.iterdir()) and not (path / MARKER).is_file()):
        raise ValueError(f"{path} exists and was not written by spikeloom; choose another folder")
    if not (path / MARKER).is_file():
        return
    facts = _facts(path / MARKER)
    if kind and facts.get("kind") != kind:
        raise ValueError(
            f"{path} was written by another command than `spikeloom {kind}`; choose another folder"
            f" or delete it"
        )
    if "files" not in facts:
        return
    for name in _files(path):
        if name not in facts["files"]:
            what = "was added to"
        elif facts["files"][name] not in (None, _digest(path / name)):
            what = "was changed in"
        else:
            continue
        raise ValueError(
            f"{name} {what} {path} after spikeloom wrote it; choose another folder or delete it"
        )


def mark(path: Path, kind: str) -> None:
    """Mark a folder as one that a command fills little by little and may write into again."""
    write_whole(path / MARKER, json.dumps({"kind": kind}) + "\n")


@contextmanager
def whole_folder(path: Path, kind: str, *, editable: bool = True) -> Iterator[Path]:
    """A folder to write into, which becomes ``path`` at the end of the block.

    An earlier folder of ours is replaced in the same moment. If the block is left by an exception,
    an interrupt included, nothing stays of the new folder and the earlier one is as it was.

    Parameters
    ----------
    path
        The folder.
    kind
        The command that writes it.
    editable
        Whether its files are a user's to change; they are then not replaced once they are changed.

    Raises
    ------
    ValueError
        As :func:`check_output`, which is asked at the beginning and at the end.
    """
    check_output(path, kind)
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    part, old = beside(path, "part"), beside(path, "old")
    try:
        part.mkdir()
        yield part
        files = {name: _digest(part / name) if editable else None for name in _files(part)}
        (part / MARKER).write_text(json.dumps({"kind": kind, "files": files}, indent=1) + "\n")
        check_output(path, kind)
        if path.exists():
            path.rename(old)
        part.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file, whole or not at all; an earlier one is replaced at the end.

    Raises
    ------
    OSError
        If the file cannot be written. The earlier one is then as it was.
    """
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def _facts(marker: Path) -> dict[str, Any]:
    """What a marker says; nothing where it is damaged."""
    try:
        facts = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _files(folder: Path) -> list[str]:
    """The files in a folder that can be a user's."""
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        ours = name.parts[0] in _LEFT_BEHIND or _CACHE in name.parts or str(name) == MARKER
        if not ours and (path.is_symlink() or not path.is_dir()):
            names.append(name.as_posix())
    return names


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
