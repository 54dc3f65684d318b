"""The files that a design is made of."""

import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_array", "read_toml"]


def read_toml(path: Path) -> dict[str, Any]:
    """Read a design file.

    Raises
    ------
    ValueError
        If it cannot be read, is not TOML, or holds an unknown table.
    """
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be a TOML file, but {error}") from error
    known = ("design", "profile", "neuron", "fixed", "vectors", "layer")
    for name in tables:
        if name not in known:
            raise ValueError(f"[{name}] in {path} is unknown; it must be one of {', '.join(known)}")
    if not isinstance(tables.get("layer", []), list):
        raise ValueError(f"layer in {path} must be [[layer]] tables, one a layer, in two brackets")
    return tables


def read_array(path: Path) -> NDArray[np.float64]:
    """Read numbers from a ``.npy`` or ``.csv`` file, the latter as rows and columns.

    Raises
    ------
    ValueError
        If it cannot be read or does not hold numbers.
    """
    try:
        if path.suffix == ".npy":
            array = np.load(path, allow_pickle=False)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of an empty file, which its shape tells
                array = np.loadtxt(path, delimiter=",", ndmin=2)
        return np.asarray(array, dtype=np.float64)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise ValueError(f"{path} must be a .npy or .csv file of numbers, but {error}") from error
