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
        " differ. Of a layer that both have, spikes, currents or potentials that only one has are"
        " not compared; a layer that only one has is a difference. Events (.csv) are compared with"
        " the outputs of the other recording.",
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
        Numbers that JSON does not have are words: ``nan``, ``inf``, ``-inf``.
    skipped
        Why nothing was compared, if so.
    """

    name: str
    compared: int = 0
    different: int = 0
    sample: int | None = None
    step: int | None = None
    neuron: int | None = None
    a: float | int | str | None = None
    b: float | int | str | None = None
    skipped: str = ""


def _run(arguments: argparse.Namespace) -> int:
    tolerance = arguments.tolerance
    if tolerance is not None and not 0 <= tolerance < math.inf:
        raise ValueError(f"--tolerance must be at least 0 and finite, not {tolerance!r}")
    with progress(quiet=arguments.json) as bars, task(bars, "comparing"):
        a, b = (_load(path) for path in (arguments.a, arguments.b))
        pairs = list(_pairs(a, b, events=".csv" in (arguments.a.suffix, arguments.b.suffix)))
        if tolerance is not None and not any(pair.real for pair in pairs):
            raise ValueError(
                "--tolerance must be left out for recordings in integers, which are compared"
                " exactly"
            )
        parts = [_compare(pair, tolerance or 0.0) for pair in pairs]
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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pair:
    """What is compared: ``None`` where a recording lacks it.

    Attributes
    ----------
    partial
        Whether both recordings have something of the layer, so that what only one of them has is
        no difference.
    """

    name: str
    a: Array | None
    b: Array | None
    partial: bool

    @property
    def real(self) -> bool:
        """Whether both are of real numbers."""
        return _real(self.a) and _real(self.b)


def _load(path: Path) -> Recording:
    recording = load_recording(path)
    for part in (*_PARTS, "outputs"):
        for values in getattr(recording, part).values():
            if 0 in values.shape[:2]:
                raise ValueError(f"{path} must have samples and steps, but has none")
    return recording


def _pairs(a: Recording, b: Recording, *, events: bool) -> Iterator[_Pair]:
    """What is compared, layer by layer."""
    if not events:
        for name in _layers(a, b):
            held = [[getattr(each, part).get(name) for part in _PARTS] for each in (a, b)]
            partial = all(any(v is not None for v in values) for values in held)
            for part, x, y in zip(_PARTS, *held, strict=True):
                if x is not None or y is not None:
                    yield _Pair(name=f"{part}/{name}", a=x, b=y, partial=partial)
    # Events are those of one output; a recording of layers alone lacks no output.
    partial = events or not (a.outputs and b.outputs)
    for name in dict.fromkeys([*a.outputs, *b.outputs]):
        x, y = (each.outputs.get(name) for each in (a, b))
        if not events or (x is not None and y is not None):
            yield _Pair(name=f"outputs/{name}", a=x, b=y, partial=partial)


def _layers(a: Recording, b: Recording) -> dict[str, None]:
    """All layers of both, in the order of the part that has the most of them."""
    parts = [getattr(each, part) for each in (a, b) for part in reversed(_PARTS)]
    return dict.fromkeys(name for part in sorted(parts, key=len, reverse=True) for name in part)


def _real(values: Array | None) -> bool:
    return values is not None and values.dtype.kind == "f"


def _compare(pair: _Pair, tolerance: float) -> _Part:
    name, a, b = pair.name, pair.a, pair.b
    if a is None or b is None:
        # A layer that is not there is a difference, of all that it would hold.
        there = a if a is not None else b
        size = 0 if there is None or pair.partial else there.size
        return _Part(name=name, different=size, skipped=f"only in {'B' if a is None else 'A'}")
    if a.shape != b.shape:
        return _Part(
            name=name, different=max(a.size, b.size), skipped=f"shapes {a.shape} and {b.shape}"
        )
    # Spikes are counts, whatever type another tool has for them.
    if _real(a) != _real(b) and not name.startswith("spikes/"):
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
        a=_number(a[sample, step, neuron]),
        b=_number(b[sample, step, neuron]),
    )


def _number(value: Any) -> float | int | str:
    return value.item() if np.isfinite(value) else str(value)


def _different(a: Array, b: Array, tolerance: float) -> Array:
    if not (_real(a) and _real(b)):
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
    a, b = (each if isinstance(each, str) else f"{each:.9g}" for each in (part.a, part.b))
    return f"sample {part.sample}, step {part.step}, neuron {part.neuron}: {a} and {b}"
