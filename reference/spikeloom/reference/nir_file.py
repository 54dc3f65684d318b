"""The HDF5 of a NIR file, taken in by a process of its own.

A file may come from anyone, and the HDF5 library is C: a damaged file can make it crash, loop or
ask for any amount of memory. So this very module, run as a program, opens the file under limits
of memory and of processor time, checks what each data set says of itself before it reads it, and
sends what it read through a pipe; whatever happens to it, :func:`read_tree` answers with a tree or
a :class:`NIRError`. The program can open no other file: external links, external storage and
virtual data sets are refused, and were one missed, the system would refuse it.
"""

import codecs
import json
import math
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any, TypeAlias, cast

import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MAX_DEPTH",
    "MAX_EDGES",
    "MAX_ELEMENTS",
    "MAX_NAME",
    "MAX_NODES",
    "NIRError",
    "Tree",
    "extract",
    "grow",
    "read_tree",
]

MAX_ELEMENTS = 1 << 25
"""Numbers in all parameters of a file together: 256 MiB in double precision."""
MAX_NODES = 2048
MAX_EDGES = 32768
MAX_NAME = 256
"""Characters in a name or another text."""
MAX_DEPTH = 16
"""Graphs within graphs."""
MAX_CHUNKS = 1 << 16
"""Chunks of a data set; HDF5 keeps books on each."""
MAX_DATASETS = 12 * MAX_NODES
METADATA = ("spikeloom_v_init", "spikeloom_max_spikes", "spikeloom_bias")
"""What is read of a node's metadata."""

MEMORY = 1 << 30
PROCESSOR_SECONDS = 4
WALL_SECONDS = 60
"""For a process that neither runs nor ends; on a busy machine four seconds' work takes longer."""

Message: TypeAlias = tuple[tuple[str, ...], "str | list[Any] | NDArray[Any] | None"]
Tree: TypeAlias = dict[str, "Tree | str | list[Any] | NDArray[Any]"]
"""A group by its members' names: groups, texts, lists of texts, arrays of numbers."""


class NIRError(ValueError):
    """A file is no NIR file, or says what no network is; one sentence tells where and what."""


def read_tree(path: Path) -> Tree:
    """What a NIR file holds: ``version`` and the tree of ``node``.

    Raises
    ------
    NIRError
        If the file cannot be opened, is no HDF5, is damaged, holds what a NIR file never does, or
        takes more than 1 GiB of memory or 4 seconds of processor time to read.
    """
    try:
        regular = S_ISREG(os.stat(path).st_mode)
        if regular:
            path.open("rb").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NIRError(f"the file cannot be opened: {reason}") from None
    if not regular:
        raise NIRError("it must be a file")
    command = [sys.executable, "-P", __file__, os.fspath(path)]
    # One thread: each thread of the linear algebra library would reserve memory of its own.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        timer = threading.Timer(WALL_SECONDS, process.kill)
        timer.start()
        try:
            return grow(receive(cast(BufferedReader, process.stdout)))
        finally:
            timer.cancel()
            process.kill()


def grow(messages: Iterator[Message]) -> Tree:
    """The tree whose members the messages are."""
    tree: Tree = {}
    for (*groups, name), value in messages:
        group = tree
        for each in groups:
            inner = group[each]
            if not isinstance(inner, dict):
                raise NIRError("it cannot be read: its groups are out of order")
            group = inner
        group[name] = {} if value is None else value
    return tree


def receive(pipe: BufferedReader) -> Iterator[Message]:
    """Messages as :func:`send` sent them."""
    left = MAX_ELEMENTS
    while True:
        try:
            place, kind, value = json.loads(pipe.readline())
        except (ValueError, TypeError, RecursionError):
            raise NIRError(
                "reading it crashed, or took more than"
                f" {PROCESSOR_SECONDS} s of processor time or {MEMORY >> 30} GiB of memory"
            ) from None
        if kind == "end":
            return
        if kind == "error":
            raise NIRError(value)
        if kind == "array":
            dtype, shape = value
            left -= int(np.prod(shape, dtype=np.float64))
            if left < 0:
                raise NIRError(f"it must hold at most {MAX_ELEMENTS} numbers")
            value = np.empty(shape, dtype)
            if pipe.readinto(_bytes(value)) != value.nbytes:
                raise NIRError("reading it stopped midway")
        yield tuple(place), value


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def send(messages: Iterator[Message], pipe: IO[bytes]) -> None:
    """Each message as a line of JSON, the bytes of an array behind it; then the end or an error."""

    def line(*parts: Any) -> None:
        pipe.write(json.dumps(parts).encode() + b"\n")

    try:
        for place, value in messages:
            if isinstance(value, np.ndarray):
                line(place, "array", [value.dtype.str, value.shape])
                pipe.write(_bytes(value))
            else:
                line(place, "value", value)
        line([], "end", None)
    except NIRError as error:
        line([], "error", str(error))
    pipe.flush()


def extract(path: str, *, alone: bool = False) -> Iterator[Message]:
    """Members of the tree, each group before what is in it.

    Parameters
    ----------
    path
        The file.
    alone
        Whether the process may open no further file.

    Raises
    ------
    NIRError
        As :func:`read_tree`, save for the limits of the process.
    """
    walker = _Walker()
    try:
        with h5py.File(path, "r", locking=False) as file:
            if alone:
                resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
            yield from walker.file(file)
    except NIRError:
        raise
    # What h5py raises for a damaged file is not documented: nearly any exception has been seen.
    except Exception as error:
        if not walker.place:
            raise NIRError(
                f"it is no HDF5 file, or a damaged one ({type(error).__name__})"
            ) from None
        what = _where(walker.place)
        raise NIRError(f"{what} is damaged, or too large ({type(error).__name__})") from None


class _Walker:
    """Takes the members of a file, and counts them against the limits."""

    def __init__(self) -> None:
        self.place: tuple[str, ...] = ()
        self.seen: set[int] = set()
        self.elements = self.datasets = self.nodes = 0

    def file(self, file: Any) -> Iterator[Message]:
        """What is of NIR in a file: ``version``, which older ones lack, and ``node``."""
        self.seen.add(h5py.h5o.get_info(file.id).addr)
        version = self.member(file, "version", ("version",))
        if isinstance(version, h5py.Dataset):
            yield ("version",), self.value(version, ("version",))
        node = self.member(file, "node", ("node",))
        if isinstance(node, h5py.Group):
            yield from self.group(node, ("node",))

    def member(self, parent: Any, name: str, place: tuple[str, ...]) -> Any:
        """A group or data set, if it is there by a plain link, and by no other."""
        self.place = place
        link = parent.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            kind = "an external" if isinstance(link, h5py.ExternalLink) else "a soft"
            raise NIRError(f"{_where(place)} must not be {kind} link")
        member = parent[name]
        address = h5py.h5o.get_info(member.id).addr
        if address in self.seen:
            raise NIRError(f"{_where(place)} must not be a second link to the same object")
        self.seen.add(address)
        return member

    def group(self, group: Any, place: tuple[str, ...], nodes: bool = False) -> Iterator[Message]:
        """A group: a node or a part of one, or the one that holds the nodes of a graph."""
        # node, then nodes and a name for each graph around, then those of the last one's node.
        if len(place) > 1 + 2 * MAX_DEPTH + 2:
            raise NIRError(f"graphs must be at most {MAX_DEPTH} deep within each other")
        yield place, None
        for name in group:
            _check_text(name, place)
            inner = (*place, name)
            self.nodes += nodes
            if self.nodes > MAX_NODES:
                raise NIRError(f"it must have at most {MAX_NODES} nodes")
            if name == "metadata" and not nodes:
                yield from self.metadata(group, inner)
                continue
            member = self.member(group, name, inner)
            if isinstance(member, h5py.Group):
                yield from self.group(member, inner, name == "nodes" and not nodes)
            elif isinstance(member, h5py.Dataset):
                yield inner, self.value(member, inner)
            else:
                raise NIRError(f"{_where(inner)} must be a group or a data set, but is neither")

    def metadata(self, group: Any, place: tuple[str, ...]) -> Iterator[Message]:
        """What is ours in a node's metadata; the rest is not looked at."""
        if not isinstance(group.get("metadata", getlink=True), h5py.HardLink):
            return
        metadata = group["metadata"]
        known = [name for name in METADATA if isinstance(metadata, h5py.Group) and name in metadata]
        if not known:
            return
        self.member(group, "metadata", place)
        yield place, None
        for name in known:
            inner = (*place, name)
            member = self.member(metadata, name, inner)
            if not isinstance(member, h5py.Dataset):
                raise NIRError(f"{_where(inner)} must be a data set, but is none")
            yield inner, self.value(member, inner)

    def value(self, dataset: Any, place: tuple[str, ...]) -> Any:
        """Value of a data set, read once all that it says of itself is known to be harmless."""
        self.datasets += 1
        if self.datasets > MAX_DATASETS:
            raise NIRError(f"it must have at most {MAX_DATASETS} data sets")
        if dataset.shape is None:
            raise NIRError(f"{_where(place)} must hold a value, but is empty")
        dtype = dataset.dtype
        texts = h5py.check_string_dtype(dtype) is not None
        if not texts and (dtype.kind not in "biuf" or dtype.itemsize > 8):
            raise NIRError(f"{_where(place)} must hold numbers or texts, not {dtype}")
        size = math.prod(dataset.shape)
        self.elements += size
        if self.elements > MAX_ELEMENTS:
            raise NIRError(
                f"it must hold at most {MAX_ELEMENTS} numbers, but {_where(place)} has"
                f" shape {dataset.shape}"
            )
        if texts and (size > 2 * MAX_EDGES or dtype.itemsize > MAX_NAME):
            raise NIRError(
                f"{_where(place)} must hold at most {MAX_EDGES} pairs of texts of at"
                f" most {MAX_NAME} characters"
            )
        _check_storage(dataset, place)
        value = np.asarray(dataset[()])
        return _decoded(value.tolist(), place) if texts else value


def _check_storage(dataset: Any, place: tuple[str, ...]) -> None:
    h5d, h5z = h5py.h5d, h5py.h5z
    plan = dataset.id.get_create_plist()
    layout = plan.get_layout()
    if layout not in (h5d.COMPACT, h5d.CONTIGUOUS, h5d.CHUNKED):
        raise NIRError(f"{_where(place)} must not be a virtual data set")
    if plan.get_external_count():
        raise NIRError(f"{_where(place)} must not lie in another file")
    filters = {plan.get_filter(n)[0] for n in range(plan.get_nfilters())}
    if not filters <= {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE}:
        raise NIRError(f"{_where(place)} must be compressed by gzip or not at all")
    if layout != h5d.CHUNKED:
        return
    chunk = plan.get_chunk()
    chunks = math.prod(-(-size // part) for size, part in zip(dataset.shape, chunk, strict=True))
    if chunks > MAX_CHUNKS or math.prod(chunk) > MAX_ELEMENTS:
        raise NIRError(f"{_where(place)} must not be in {chunks} chunks of shape {chunk}")


def _where(place: tuple[str, ...]) -> str:
    return repr("/".join(place))


def _check_text(text: str, place: tuple[str, ...]) -> None:
    if len(text) > MAX_NAME:
        raise NIRError(f"{_where(place)} must hold texts of at most {MAX_NAME} characters")
    if not text or any("\ud800" <= c <= "\udfff" for c in text):
        raise NIRError(f"{_where(place)} must hold texts in UTF-8 that are not empty")


def _decoded(value: Any, place: tuple[str, ...]) -> Any:
    """Texts in place of bytes, in nested lists."""
    if isinstance(value, list):
        return [_decoded(each, place) for each in value]
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    _check_text(text, place)
    return text


def main() -> None:
    """Send what is in the file of this program's argument, under limits."""
    # Python loads its codecs when they are first needed, and h5py needs these for texts; once the
    # file is open, no other can be.
    for codec in ("ascii", "utf-8", "latin-1"):
        codecs.lookup(codec)
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, PROCESSOR_SECONDS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (least, least))
    send(extract(sys.argv[1], alone=True), sys.stdout.buffer)


if __name__ == "__main__":
    main()
