"""Data for a network out of the files that users have."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.array_file import read_array, read_arrays
from spikeloom.reference.maps import Shape
from spikeloom.reference.nir_data import read_nir_data
from spikeloom.reference.recording_file import read_events

__all__ = ["DATA_HELP", "Data", "check_labels", "read_data"]

DATA_HELP = (
    "data: .npz (array x, or one by the name of each input; labels y), .npy, .csv of events"
    " (sample,step,address,count) or .h5 of NIR data; arrays are of shape (samples, steps, ...), or"
    " (steps, ...) for one sample"
)

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Data:
    """What comes in, and what should come of it.

    Attributes
    ----------
    signals
        For each input an array of shape (samples, steps, \\*shape).
    labels
        The right output of each sample, or ``None``.
    """

    signals: Mapping[str, Array]
    labels: Array | None = None

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.signals.values())))

    @property
    def steps(self) -> int:
        """How many steps each has."""
        return next(iter(self.signals.values())).shape[1]

    def part(self, which: slice) -> "Data":
        """Some of the samples."""
        signals = {name: values[which] for name, values in self.signals.items()}
        return Data(signals, None if self.labels is None else self.labels[which])


def read_data(
    path: Path,
    inputs: Mapping[str, Shape],
    *,
    dt: float,
    labels: Path | None = None,
    limit: int | None = None,
) -> Data:
    """Read data for a network's inputs.

    Parameters
    ----------
    inputs
        Shape of each input by its name.
    dt
        Length of a step, into which the events of a ``.h5`` file are sorted.
    labels
        File of labels, ``.npy``; they go before those of the data's own file.
    limit
        How many samples are taken at most.

    Raises
    ------
    ValueError
        If a file cannot be read or does not fit the inputs.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"--limit must be positive, not {limit}")
    arrays = _arrays(path, inputs, dt)
    signals = {
        name: _fitted(f"{name} in {path}", arrays[name], shape) for name, shape in inputs.items()
    }
    if len({values.shape[:2] for values in signals.values()}) > 1:
        raise ValueError(f"all inputs in {path} must have the same number of samples and of steps")
    right = read_array(labels) if labels is not None else arrays.get("labels of samples")
    data = Data(signals)
    if right is not None:
        data = Data(signals, _labels(labels or path, right, data.samples))
    return data.part(slice(limit))


def _arrays(path: Path, inputs: Mapping[str, Shape], dt: float) -> dict[str, Array]:
    """Arrays by the names of the inputs; labels by a name that no input has."""
    if path.suffix == ".npz":
        return _archive(path, inputs)
    if path.suffix == ".h5":
        return _nir_data(path, inputs, dt)
    if path.suffix not in (".npy", ".csv"):
        raise ValueError(f"{path} must end with .npz, .npy, .csv or .h5")
    if len(inputs) > 1:
        raise ValueError(
            f"{path} must be a .npz or .h5 file with an array for each of the inputs"
            f" {', '.join(inputs)}"
        )
    ((name, shape),) = inputs.items()
    return {name: read_array(path) if path.suffix == ".npy" else read_events(path, shape)[1]}


def _archive(path: Path, inputs: Mapping[str, Shape]) -> dict[str, Array]:
    arrays = read_arrays(path, {*inputs, "x", "y"})
    if len(inputs) == 1 and not set(inputs) & set(arrays) and "x" in arrays:
        (name,) = inputs
        arrays[name] = arrays["x"]
    for name in inputs:
        if name not in arrays:
            also = " or 'x'" if len(inputs) == 1 else ""
            raise ValueError(f"{path} must hold an array {name!r}{also}, but does not")
    if "y" in arrays and "y" not in inputs:
        arrays["labels of samples"] = arrays["y"]
    return arrays


def _nir_data(path: Path, inputs: Mapping[str, Shape], dt: float) -> dict[str, Array]:
    nodes = read_nir_data(path, dt=dt)
    arrays = {}
    for name, shape in inputs.items():
        observables = nodes.get(name, {})
        if len(observables) != 1:
            raise ValueError(
                f"{path} must have one observable of node {name!r}, not {len(observables)}"
            )
        (values,) = observables.values()
        flat = values.reshape(*values.shape[:2], -1)
        fits = flat.shape[2] == math.prod(shape)
        arrays[name] = flat.reshape(*flat.shape[:2], *shape) if fits else values
    return arrays


def _fitted(name: str, values: Array, shape: Shape) -> Array:
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be of numbers, not {values.dtype}")
    if values.ndim == 1 + len(shape):
        values = values[None]
    if values.ndim != 2 + len(shape) or values.shape[2:] != tuple(shape):
        inner = ", ".join(map(str, shape))
        raise ValueError(
            f"{name} must be of shape (samples, steps, {inner}) or (steps, {inner}), not"
            f" {values.shape}"
        )
    if 0 in values.shape:
        raise ValueError(f"{name} must have samples and steps, but is of shape {values.shape}")
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{name} must be finite, but holds NaN or infinity")
    if values.dtype.kind == "u" and values.max() >= 1 << 63:
        raise ValueError(f"{name} must be below 2**63, but holds {values.max()}")
    return values.astype(np.uint8) if values.dtype == bool else values


def check_labels(labels: Array, outputs: int) -> None:
    """Refuse labels that no output has.

    Raises
    ------
    ValueError
        If there are fewer than two outputs, or a label is of none.
    """
    if outputs < 2:
        raise ValueError("labels must go with two outputs at least, but there is one")
    wrong = labels[(labels < 0) | (labels >= outputs)]
    if wrong.size:
        raise ValueError(f"labels must be 0 to {outputs - 1}, one of the outputs, not {wrong[0]}")


def _labels(path: Path, labels: Array, samples: int) -> Array:
    if labels.shape != (samples,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels in {path} must be {samples} integers, one a sample, not {labels.dtype} of"
            f" shape {labels.shape}"
        )
    return labels
