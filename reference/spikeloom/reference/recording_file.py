"""Recordings in files.

The suffix says the format:

``.npz``
    NumPy's archive: ``spikes/<population>``, ``membrane/<population>``, ``synapse/<population>``,
    ``outputs/<output>``, each of shape (samples, steps, \\*neurons), and
    ``overflows/<population>``.
``.h5``
    HDF5; see :mod:`~spikeloom.reference.nir_data`. The observables of a node are ``spikes``,
    ``membrane`` and ``synapse`` of a population, and ``output``.
``.csv``
    Address events of one output that sends spikes: a line
    ``# output <name>: <n> samples, <n> steps, shape <n>x<n>…``, a line
    ``sample,step,address,count``, and such a row for each neuron and step with spikes; addresses
    count the neurons in C order.

The same recording gives the same bytes.
"""

import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.array_file import MAX_BYTES, read_arrays, reason_of
from spikeloom.reference.nir_data import read_nir_data, write_nir_data
from spikeloom.reference.simulate import Recording
from spikeloom.reference.whole_file import whole_file

__all__ = [
    "SUFFIXES",
    "check_recording_path",
    "load_recording",
    "read_events",
    "save_recording",
]

SUFFIXES = (".npz", ".h5", ".csv")

Array = NDArray[Any]

_PARTS = {"spikes": "spikes", "membrane": "membrane", "synapse": "synapse", "output": "outputs"}
_TITLE = re.compile(
    r"# output (.{1,256}): (\d{1,9}) samples, (\d{1,9}) steps, shape (\d{1,9}(?:x\d{1,9}){0,7})"
)
_COLUMNS = "sample,step,address,count"


def save_recording(recording: Recording, path: Path, *, dt: float = 1.0) -> None:
    """Write a recording, whole or not at all; an earlier file is replaced at the end.

    Parameters
    ----------
    path
        The file; its suffix says the format.
    dt
        Length of a step, which HDF5 files state.

    Raises
    ------
    ValueError
        If the suffix is none of :data:`SUFFIXES`, or address events cannot say the recording.
    OSError
        If the file cannot be written. The earlier one is then as it was.
    """
    check_recording_path(path)
    if path.suffix == ".csv":
        text = _event_text(recording)
    with whole_file(path) as part, part.open("w+b") as file:
        if path.suffix == ".csv":
            file.write(text.encode())
        elif path.suffix == ".h5":
            write_nir_data(_nodes(recording), file, dt=dt)
        else:
            np.savez_compressed(file, **_archive(recording))


def load_recording(path: Path) -> Recording:
    """Read what :func:`save_recording` wrote. Of a ``.csv`` file there are only outputs.

    A recording of another tool may lack parts: outputs, or the potentials of layers.

    Raises
    ------
    ValueError
        If the file cannot be read, is none, or is too large.
    """
    check_recording_path(path)
    parts: dict[str, dict[str, Any]] = {part: {} for part in (*_PARTS.values(), "overflows")}
    if path.suffix == ".csv":
        name, raster = read_events(path)
        if not name:
            raise ValueError(f"{path} must begin with a line '# output …', but does not")
        parts["outputs"][name] = raster
    elif path.suffix == ".h5":
        for node, observables in read_nir_data(path).items():
            for observable, values in observables.items():
                if observable not in _PARTS:
                    raise ValueError(f"{path} must be a recording, but holds {observable!r}")
                parts[_PARTS[observable]][node] = values
    else:
        for key, values in read_arrays(path).items():
            part, _, name = key.partition("/")
            if part not in parts or not name:
                raise ValueError(f"{path} must be a recording, but holds {key!r}")
            parts[part][name] = int(values) if part == "overflows" and not values.ndim else values
    _check_parts(path, parts)
    return Recording(**parts)


def check_recording_path(path: Path) -> None:
    """Refuse a path whose suffix says no format.

    Raises
    ------
    ValueError
        If it does.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path} must end with {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")


def read_events(path: Path, shape: tuple[int, ...] | None = None) -> tuple[str, Array]:
    """Address events as spike counts of shape (samples, steps, \\*shape).

    Counts of rows for the same neuron and step are added. Where the file does not begin with a
    line that says how many samples and steps there are, the last event does.

    Parameters
    ----------
    shape
        Shape of the neurons, where the file does not say it.

    Returns
    -------
    Name of the output, empty if the file does not say it, and the counts.

    Raises
    ------
    ValueError
        If the file cannot be read, or an event does not fit.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it takes more than {MAX_BYTES >> 30} GiB")
        with path.open(encoding="utf-8") as file:
            first = file.readline(2048).rstrip("\n")
            title = _TITLE.fullmatch(first)
            columns = file.readline(2048).rstrip("\n") if title or first[:1] == "#" else first
            if columns != _COLUMNS:
                raise ValueError(f"it has no line {_COLUMNS!r}")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a file without events
                rows = np.loadtxt(file, dtype=np.int64, delimiter=",", ndmin=2, comments=None)
        name, samples, steps = "", 0, 0
        if title:
            name, samples, steps = title[1], int(title[2]), int(title[3])
            said = tuple(int(each) for each in title[4].split("x"))
            if shape is not None and math.prod(said) != math.prod(shape):
                raise ValueError(f"its events are of shape {said}, not {shape}")
            shape = shape or said
        return name, _raster(rows, samples, steps, shape)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise ValueError(f"{path} must be a .csv file of events, but {reason_of(error)}") from None


def _raster(rows: Array, samples: int, steps: int, shape: tuple[int, ...] | None) -> Array:
    if shape is None:
        raise ValueError("it does not begin with a line '# output …'")
    if len(rows) and rows.shape[1] != 4:
        raise ValueError(f"a row has {rows.shape[1]} numbers")
    sample, step, address, count = rows.reshape(-1, 4).T
    if len(rows) and (rows[:, :3].min() < 0 or count.min() < 1 or count.max() > 1 << 24):
        raise ValueError("a number is negative, or a count is not 1 to 16777216")
    if not samples:
        samples, steps = (int(each.max(initial=-1)) + 1 for each in (sample, step))
    neurons = math.prod(shape)
    for name, values, size in (
        ("sample", sample, samples),
        ("step", step, steps),
        ("address", address, neurons),
    ):
        if len(values) and values.max() >= size:
            raise ValueError(f"there are {size} {name} numbers, but an event has {values.max()}")
    if 8 * samples * steps * neurons > MAX_BYTES:
        raise ValueError(f"its {samples} samples of {steps} steps would take too much memory")
    counts = np.zeros(samples * steps * neurons, dtype=np.int64)
    np.add.at(counts, (sample * steps + step) * neurons + address, count)
    most = counts.max(initial=0)
    kind = np.uint8 if most < 256 else np.uint16 if most < 1 << 16 else np.int64
    return counts.reshape(samples, steps, *shape).astype(kind)


def _event_text(recording: Recording) -> str:
    if len(recording.outputs) != 1:
        raise ValueError(
            f"a .csv file must be of one output, not of {len(recording.outputs)}: take .npz or .h5"
        )
    ((name, output),) = recording.outputs.items()
    if not np.issubdtype(output.dtype, np.unsignedinteger):
        raise ValueError(
            f"a .csv file must be of spikes, but output {name!r} sends potentials: take .npz or .h5"
        )
    samples, steps, *shape = output.shape
    title = f"# output {name}: {samples} samples, {steps} steps, shape {'x'.join(map(str, shape))}"
    if not _TITLE.fullmatch(title):
        raise ValueError(f"a .csv file cannot name output {name!r}: take .npz or .h5")
    places = np.nonzero(output.reshape(samples, steps, -1))
    counts = output.reshape(samples, steps, -1)[places]
    rows = np.column_stack([*places, counts]).tolist()
    return "\n".join([title, _COLUMNS, *(",".join(map(str, row)) for row in rows)]) + "\n"


def _archive(recording: Recording) -> dict[str, Any]:
    arrays: dict[str, Any] = {
        f"{part}/{name}": values
        for part in _PARTS.values()
        for name, values in getattr(recording, part).items()
    }
    return arrays | {f"overflows/{name}": n for name, n in recording.overflows.items()}


def _nodes(recording: Recording) -> Mapping[str, Mapping[str, Array]]:
    # The membranes are of all populations in order, the other parts of some of them.
    nodes: dict[str, dict[str, Array]] = {name: {} for name in recording.membrane}
    for observable, part in _PARTS.items():
        for name, values in getattr(recording, part).items():
            nodes.setdefault(name, {})[observable] = values
    return nodes


def _check_parts(path: Path, parts: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse arrays that are no recording."""
    grids = set()
    for part in _PARTS.values():
        for name, values in parts[part].items():
            if values.ndim < 3 or values.dtype.kind not in "biuf":
                raise ValueError(
                    f"{path} must be a recording, but {part}/{name} is not of numbers of shape"
                    " (samples, steps, neurons)"
                )
            grids.add(values.shape[:2])
    if not grids:
        raise ValueError(f"{path} must be a recording, but has neither layers nor outputs")
    if len(grids) > 1:
        raise ValueError(f"{path} must be of one number of samples and steps, but is not")
    if not all(isinstance(each, int) for each in parts["overflows"].values()):
        raise ValueError(f"{path} must be a recording, but its overflows are no numbers")
