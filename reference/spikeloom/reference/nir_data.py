"""Signals of a NIR graph's nodes in HDF5.

The ``nir`` package defines :class:`NIRGraphData` in memory and no file; this one is laid out as
its dataclasses are, so that each group is one object and each data set one field of it::

    nodes/<node>/observables/<observable>/data        (samples, steps, neurons)
                                         /dt          length of a step
    or                                   /idx         (samples, events), -1 for none
                                         /time        (samples, events), infinite for none
                                         /n_neurons
                                         /t_max

The first is a ``TimeGriddedData``, the second an ``EventData``. Binary data are truth values, as
the dataclass wants them. Two attributes of the observable's group, which may be absent, say what
the dataclasses cannot: ``shape``, that of the neurons, which ``data`` and ``idx`` count in C order;
and ``dtype``, the type that truth values were of. An event that comes twice counts twice. Groups
keep the order in which they were written.
"""

import math
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.array_file import MAX_BYTES

__all__ = ["read_nir_data", "write_nir_data"]

MAX_SIGNALS = 1 << 13
"""Observables in a file."""

Array = NDArray[Any]

_COMPRESSED_FROM = 256
_GRID, _EVENTS = {"data", "dt"}, {"idx", "time", "n_neurons", "t_max"}


def write_nir_data(
    nodes: Mapping[str, Mapping[str, Array]], file: BinaryIO | Path, *, dt: float
) -> None:
    """Write signals as ``TimeGriddedData``; the same ones give the same bytes.

    Parameters
    ----------
    nodes
        For each node its observables, each of shape (samples, steps, \\*neurons).
    file
        An open file, or a path.
    dt
        Length of a step.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    image = _image(nodes, dt)
    if isinstance(file, Path):
        file.write_bytes(image)
    else:
        file.write(image)


def _image(nodes: Mapping[str, Mapping[str, Array]], dt: float) -> bytes:
    """The bytes of the file.

    HDF5 itself writes into memory only: an error or an interrupt while it calls back into Python
    for a full disk would end the process without a word.
    """
    name = secrets.token_hex(8)  # of no file; two that are open at once must differ in it
    options = {"driver": "core", "backing_store": False, "libver": ("earliest", "v110")}
    with h5py.File(name, "w", **options) as h5:
        parent = _group(h5, "nodes")
        for node, observables in nodes.items():
            group = _group(_group(parent, node), "observables")
            for observable, values in observables.items():
                _write_grid(_group(group, observable), values, dt)
        h5.flush()
        return bytes(h5.id.get_file_image())


def _group(parent: Any, name: str) -> Any:
    """A new group that keeps the order of its members, and no time."""
    plan = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    plan.set_link_creation_order(h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED)
    plan.set_obj_track_times(False)
    return h5py.Group(h5py.h5g.create(parent.id, name.encode(), gcpl=plan))


def _write_grid(group: Any, values: Array, dt: float) -> None:
    samples, steps, *shape = values.shape
    data = values.reshape(samples, steps, math.prod(shape))
    if values.dtype.kind == "u" and values.max(initial=0) <= 1:
        data = data.astype(bool)
    options = {"compression": "gzip", "shuffle": True} if data.size >= _COMPRESSED_FROM else {}
    group.create_dataset("data", data=data, track_times=False, **options)
    group.create_dataset("dt", data=float(dt), track_times=False)
    group.attrs["shape"] = np.asarray(shape, dtype=np.int64)
    group.attrs["dtype"] = values.dtype.str


def read_nir_data(path: Path, *, dt: float | None = None) -> dict[str, dict[str, Array]]:
    """Read signals of both kinds.

    Parameters
    ----------
    dt
        Length of a step into which events are sorted; events are refused without it.

    Returns
    -------
    For each node its observables, each of shape (samples, steps, \\*neurons).

    Raises
    ------
    ValueError
        If the file cannot be read, is laid out otherwise, or takes more than 4 GiB.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _Reader(dt).nodes(file)
    # What h5py raises for a damaged file is not documented: nearly any exception has been seen.
    except Exception as error:
        ours = isinstance(error, _Fault)
        reason = str(error) if ours else f"it is damaged or none ({type(error).__name__})"
        raise ValueError(f"{path} must be an HDF5 file of NIR data, but {reason}") from None


class _Fault(ValueError):
    """An error of ours among those of h5py."""


class _Reader:
    def __init__(self, dt: float | None) -> None:
        self.dt = dt
        self.bytes = self.signals = 0

    def nodes(self, file: Any) -> dict[str, dict[str, Array]]:
        nodes = self.member(file, "nodes", h5py.Group)
        found = {}
        for name in nodes:
            node = self.member(nodes, name, h5py.Group)
            observables = self.member(node, "observables", h5py.Group)
            found[name] = {
                each: self.signal(self.member(observables, each, h5py.Group))
                for each in observables
            }
        return found

    def member(self, parent: Any, name: str, kind: type) -> Any:
        """A group or data set, if it is there by a plain link, and by no other."""
        where = f"{parent.name.rstrip('/')}/{name}"
        link = parent.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise _Fault(f"{where!r} is missing or a link")
        member = parent[name]
        if not isinstance(member, kind):
            raise _Fault(f"{where!r} is no {'group' if kind is h5py.Group else 'data set'}")
        return member

    def signal(self, group: Any) -> Array:
        self.signals += 1
        if self.signals > MAX_SIGNALS:
            raise _Fault(f"it has more than {MAX_SIGNALS} observables")
        if set(group) == _GRID:
            flat = self.values(group, "data", 3)
        elif set(group) == _EVENTS:
            flat = self.events(group)
        else:
            raise _Fault(f"{group.name!r} has neither data and dt nor the four of events")
        shape = tuple(int(each) for each in np.ravel(group.attrs.get("shape", flat.shape[2:])))
        if math.prod(shape) != flat.shape[2] or min(shape, default=1) < 0:
            raise _Fault(f"{group.name!r} has {flat.shape[2]} neurons, but says shape {shape}")
        if flat.dtype == bool:
            dtype = np.dtype(group.attrs.get("dtype", "|u1"))
            flat = flat.astype(dtype if dtype.kind == "u" else np.uint8)
        return flat.reshape(*flat.shape[:2], *shape)

    def values(self, group: Any, name: str, ndim: int) -> Array:
        """Numbers, read once what the data set says of itself is known to be harmless."""
        data = self.member(group, name, h5py.Dataset)
        if data.shape is None or data.ndim != ndim or data.dtype.kind not in "biuf":
            raise _Fault(f"{data.name!r} is not of numbers in {ndim} dimensions")
        self.grow(data.size * data.dtype.itemsize)
        plan = data.id.get_create_plist()
        filters = {plan.get_filter(n)[0] for n in range(plan.get_nfilters())}
        plain = plan.get_layout() != h5py.h5d.VIRTUAL and not plan.get_external_count()
        if not plain or not filters <= {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}:
            raise _Fault(f"{data.name!r} lies elsewhere, or is packed in another way than by gzip")
        return np.asarray(data[()])

    def grow(self, size: int) -> None:
        self.bytes += size
        if self.bytes > MAX_BYTES:
            raise _Fault(f"its arrays take more than {MAX_BYTES >> 30} GiB")

    def events(self, group: Any) -> Array:
        if self.dt is None:
            raise _Fault(f"{group.name!r} is of events, which no step length was given for")
        index, time = self.values(group, "idx", 2), self.values(group, "time", 2)
        neurons, most = (float(self.values(group, n, 0)) for n in ("n_neurons", "t_max"))
        steps = round(most / self.dt)
        if index.dtype.kind not in "iu" or index.shape != time.shape or min(neurons, steps) < 0:
            raise _Fault(f"{group.name!r} has an idx that does not fit, or a negative number")
        samples = len(index)
        self.grow(8 * samples * steps * int(neurons))
        sample, _ = valid = np.nonzero(index != -1)
        # A time that is a whole number of steps can be a little less in floating point.
        step = np.floor(time[valid] / self.dt + 1e-6)
        address = index[valid]
        if not np.all((step >= 0) & (step < steps) & (address >= 0) & (address < neurons)):
            raise _Fault(f"{group.name!r} has an event outside of t_max or n_neurons")
        counts = np.zeros((samples, steps, int(neurons)), dtype=np.int64)
        np.add.at(counts, (sample, step.astype(np.int64), address), 1)
        return counts.astype(np.uint8 if counts.max(initial=0) < 256 else np.uint16)
