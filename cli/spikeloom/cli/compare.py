"""``spikeloom compare``: where two recordings differ."""

import argparse
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.cli.progress import print_json, print_table, progress, say, task
from spikeloom.reference.recording_file import load_recording
from spikeloom.reference.simulate import Recording

__all__ = ["add_parser"]

Array = NDArray[Any]

_PARTS = ("spikes", "synapse", "membrane")


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compare",
        help="find where two recordings differ",
        description="Compares two recordings that `spikeloom simulate` wrote, layer by layer, and"
        " tells the first difference and how many there are. The exit code is 1 where they"
        " differ. Events (.csv) are compared with the outputs of the other recording.",
    )
    parser.add_argument("a", type=Path, metavar="A", help="a recording: .npz, .h5 or .csv")
    parser.add_argument("b", type=Path, metavar="B", help="another")
    parser.add_argument(
        "--tolerance",
        type=float,
        help="difference up to which real numbers are equal (default 0); integers always are"
        " compared exactly",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_run)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What the comparison of a layer's spikes, currents or potentials came to.

    Attributes
    ----------
    compared, different
        How many numbers were compared, and how many differ.
    sample, step, neuron, a, b
        The first difference in the order of samples, then steps, then neurons, if there is one.
    skipped
        Why nothing was compared, if so.
    """

    name: str
    compared: int = 0
    different: int = 0
    sample: int | None = None
    step: int | None = None
    neuron: int | None = None
    a: float | int | None = None
    b: float | int | None = None
    skipped: str = ""


def _run(arguments: argparse.Namespace) -> int:
    tolerance = arguments.tolerance
    if tolerance is not None and not 0 <= tolerance < math.inf:
        raise ValueError(f"--tolerance must be at least 0 and finite, not {tolerance!r}")
    with progress(quiet=arguments.json) as bars, task(bars, "comparing"):
        a, b = (load_recording(path) for path in (arguments.a, arguments.b))
        pairs = list(_pairs(a, b, events=".csv" in (arguments.a.suffix, arguments.b.suffix)))
        if tolerance is not None and not any(_real(x) and _real(y) for _, x, y in pairs):
            raise ValueError(
                "--tolerance must be left out for recordings in integers, which are compared"
                " exactly"
            )
        parts = [_compare(name, x, y, tolerance or 0.0) for name, x, y in pairs]
    if not any(part.compared or part.different for part in parts):
        raise ValueError(f"{arguments.a} and {arguments.b} must have something in common")
    first = _first(parts)
    if arguments.json:
        print_json(
            {
                "equal": first is None,
                "first": None if first is None else asdict(first),
                "parts": [asdict(part) for part in parts],
            }
        )
    else:
        _print(parts, first)
    return 0 if first is None else 1


def _pairs(
    a: Recording, b: Recording, *, events: bool
) -> Iterator[tuple[str, Array | None, Array | None]]:
    """What is compared, layer by layer: ``None`` where a recording lacks it."""
    if events:
        for name in dict.fromkeys([*a.outputs, *b.outputs]):
            # Events are those of one output.
            if name in a.outputs and name in b.outputs:
                yield f"outputs/{name}", a.outputs[name], b.outputs[name]
        return
    layers = [name for each in (a, b) for name in each.membrane]
    for name in dict.fromkeys(layers):
        for part in _PARTS:
            x, y = (getattr(each, part).get(name) for each in (a, b))
            if x is not None or y is not None:
                yield f"{part}/{name}", x, y
    for name in dict.fromkeys([*a.outputs, *b.outputs]):
        yield f"outputs/{name}", a.outputs.get(name), b.outputs.get(name)


def _real(values: Array | None) -> bool:
    return values is not None and values.dtype.kind == "f"


def _compare(name: str, a: Array | None, b: Array | None, tolerance: float) -> _Part:
    if a is None or b is None:
        # A layer that is not there is a difference, of all that it would hold.
        there = a if a is not None else b
        size = 0 if there is None else there.size
        return _Part(name=name, different=size, skipped=f"only in {'B' if a is None else 'A'}")
    if a.shape != b.shape:
        return _Part(
            name=name, different=max(a.size, b.size), skipped=f"shapes {a.shape} and {b.shape}"
        )
    if _real(a) != _real(b):
        kinds = ("real numbers", "integers") if _real(a) else ("integers", "real numbers")
        return _Part(name=name, skipped=f"{kinds[0]} in A, {kinds[1]} in B")
    a, b = (each.reshape(*each.shape[:2], -1) for each in (a, b))
    wrong = _different(a, b, tolerance)
    if not wrong.any():
        return _Part(name=name, compared=wrong.size)
    sample, step, neuron = (int(k) for k in np.unravel_index(np.argmax(wrong), wrong.shape))
    return _Part(
        name=name,
        compared=wrong.size,
        different=int(wrong.sum()),
        sample=sample,
        step=step,
        neuron=neuron,
        a=a[sample, step, neuron].item(),
        b=b[sample, step, neuron].item(),
    )


def _different(a: Array, b: Array, tolerance: float) -> Array:
    if not _real(a):
        return a != b
    missing = np.isnan(a) & np.isnan(b)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        near = np.abs(a - b) <= tolerance if tolerance else a == b
    return ~(near | (a == b) | missing)


def _first(parts: list[_Part]) -> _Part | None:
    """The one of the first sample and step; of several in a step the first layer's."""
    wrong = [part for part in parts if part.different]
    return min(
        wrong,
        key=lambda part: (-1, -1) if part.step is None else (part.sample, part.step),
        default=None,
    )


def _print(parts: list[_Part], first: _Part | None) -> None:
    rows = [
        [part.name, f"{part.compared:,}", f"{part.different:,}", _place(part) or "-"]
        for part in parts
    ]
    print_table(["layer", "compared", "different", "first difference"], rows)
    if first is None:
        left = [part.name for part in parts if part.skipped]
        say(f"equal{', save for what was not compared: ' + ', '.join(left) if left else ''}")
    else:
        say(f"DIFFERENT, first in {first.name}: {_place(first)}")


def _place(part: _Part) -> str:
    if part.skipped or part.step is None:
        return part.skipped
    return (
        f"sample {part.sample}, step {part.step}, neuron {part.neuron}: {part.a:.9g} and"
        f" {part.b:.9g}"
    )
