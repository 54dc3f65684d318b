"""Build the digits network for every board, and print what comes of it in ``docs/boards.md``.

    pip install -e '.[boards,sim,demo]'
    python benchmarks/boards.py                     # everything, about an hour
    python benchmarks/boards.py --only hx8k         # one part, or several
    python benchmarks/boards.py --work build/boards # keep the builds, and take those that are there

A part is a board whose bitstreams are built here. Each must meet the clock that the board has
unless another is asked for; of four seeds the first that does is taken, and is a figure too. Other
parts are of the host link, on a virtual iCEBreaker that Verilator makes of the build: ``images``,
the digits test set bit by bit over the serial pins; ``netlist``, some of it through the netlist;
``speed``, the line's share of the time; ``fuzz``, nonsense on the line.

Writes ``benchmarks/results/boards.json``, and the tables of ``docs/boards.md`` from it, unless the
figures go elsewhere.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path

from boards_tables import DOCS, write_tables
from figures import RESULTS, Figures, read_figures, write_figures
from link_parts import fuzz_figures, image_figures, netlist_figures, speed_figures

from spikeloom.boards.board import BOARDS
from spikeloom.boards.flow import BuildResult, TimingError, build
from spikeloom.cli.digits import DIGITS_LANES, load_digits_demo
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.quantize import quantize
from spikeloom.rtl_gen.network import NetworkTop

SEEDS = 4
"""Placements that are tried."""


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@cache
def digits() -> FixedNetwork:
    return quantize(load_digits_demo().network)


def board_figures(name: str, folder: Path) -> Figures:
    """The network on a board: clock rates in MHz, and what it takes."""
    built = in_time(name, folder)
    figures: Figures = {
        f"{name}.fmax": ("MHz", built.fmax / 1e6),
        f"{name}.target": ("MHz", built.frequency / 1e6),
        f"{name}.seed": ("", built.seed),
    }
    for key, resource in (
        ("logic_cells", "logic cells"),
        ("block_rams", "block RAMs"),
        ("dsps", "DSPs"),
    ):
        usage = built.usage.get(resource)
        figures[f"{name}.{key}"] = "count", 0 if usage is None else usage.used
    return figures


def in_time(name: str, folder: Path) -> BuildResult:
    """The build of the first seed that meets the clock."""
    for seed in range(1, SEEDS):
        try:
            return build_with(name, folder, seed)
        except TimingError as error:
            progress(f"{name}, seed {seed}: {error}")
    return build_with(name, folder, SEEDS)


def build_with(name: str, folder: Path, seed: int) -> BuildResult:
    progress(f"{name}, seed {seed}")
    return build(NetworkTop(digits(), DIGITS_LANES), BOARDS[name], folder / name, seed=seed)


PARTS: dict[str, Callable[[Path], Figures]] = {
    board.name: partial(board_figures, board.name) for board in BOARDS.values() if board.built
} | {
    "images": image_figures,
    "netlist": netlist_figures,
    "speed": speed_figures,
    "fuzz": fuzz_figures,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=(),
        help="measure these parts and keep the figures of the others",
    )
    parser.add_argument(
        "--work", type=Path, help="folder for the builds (default: a temporary one)"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "boards.json")
    args = parser.parse_args()
    figures = read_figures(args.output) if args.only else {}
    for part in args.only or PARTS:
        progress(part)
        work = tempfile.TemporaryDirectory() if args.work is None else nullcontext(args.work)
        with work as folder:
            figures |= PARTS[part](Path(folder))
        write_figures(figures, args.output)
    if args.output == parser.get_default("output"):
        write_tables(figures, DOCS)


if __name__ == "__main__":
    main()
