"""Where benchmarks find their data, and how they leave their figures."""

import gzip
import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SPIKELOOM_SHARED", CHECKOUT.parent / "shared"))
RESULTS = CHECKOUT / "benchmarks" / "results"

Array = np.ndarray[Any, Any]
Figures = dict[str, tuple[str, float | str]]
"""Unit and value by name."""


def data_set(name: str, part: str) -> tuple[Array, Array]:
    """Images of bytes, shape (images, 28, 28), and labels; of ``mnist`` or ``fashion-mnist``."""
    folder = SHARED / "data" / name
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images, labels


def write_figures(figures: Figures, output: Path) -> None:
    """Write figures as a list of ``{name, unit, value}``, and print them."""
    entries = [
        {"name": name, "unit": unit, "value": _rounded(value)}
        for name, (unit, value) in figures.items()
    ]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    print_figures(figures)


def print_figures(figures: Figures) -> None:
    for name, (unit, value) in figures.items():
        print(f"{name:<28} {_rounded(value):>12} {unit}")


def _rounded(value: float | str) -> float | str:
    return value if isinstance(value, str) else round(value, 4)


def merge_figures(part: str, figures: Figures, output: Path) -> None:
    """Write the figures of a part among those of others, with the date and the commit."""
    # What earlier parts have written is no change of what is measured.
    written = (f":!{RESULTS.relative_to(CHECKOUT)}", ":!docs")
    changed = _git("status", "--porcelain", "--", ".", *written)
    stamps: Figures = {
        f"{part}.date": ("date", datetime.now(UTC).date().isoformat()),
        f"{part}.commit": ("commit", _git("rev-parse", "HEAD") + (", changed" if changed else "")),
    }
    write_figures(read_figures(output) | figures | stamps, output)


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def read_figures(path: Path) -> Figures:
    """The figures in a file, in its order; none where there is no file."""
    if not path.is_file():
        return {}
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {each["name"]: (each["unit"], each["value"]) for each in entries}
