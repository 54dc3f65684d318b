"""Flip bits of the digits network's hardware, and measure what it costs to notice them.

    pip install -e '.[boards,sim,demo]'
    python benchmarks/faults.py                      # everything, about half an hour
    python benchmarks/faults.py --only accuracy      # one part, or several
    python benchmarks/faults.py --work build/faults  # keep the builds, and take those there are

``upsets``: bits flip one by one, plain and with both guards. ``accuracy``: many bits flip, or the
same bit of many words. ``cost``: parity and code on an iCE40 and an ECP5, after place and route; of
four seeds the first that meets the board's clock. All is drawn with fixed seeds.

Writes ``benchmarks/results/faults.json``, and the tables of ``docs/faults.md`` and the page
``docs/faults.html`` from it.
"""

import argparse
import sys
import tempfile
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import numpy as np
from boards_tables import put_tables
from faults_tables import COSTS, DOCS, GUARDS, PAGE, page, tables
from figures import RESULTS, Figures, read_figures, write_figures

from spikeloom.boards.board import BOARDS
from spikeloom.boards.flow import BuildResult, TimingError, build
from spikeloom.cli.digits import DIGITS_LANES, load_digits_demo
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.quantize import quantize
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.timing import predict
from spikeloom.sim.upsets import Accuracy, Kind, Upsets

IMAGES = 200
UPSETS = 1000
"""Of each kind."""
SEED = 1
SEEDS = (1, 2, 3)
"""Draws of the bits that stay flipped."""
FLIPS = {
    Kind.WEIGHTS: (1, 10, 100, 1000, 10000),
    Kind.TABLES: (1, 10, 100),
    Kind.STATE: (1, 10, 100, 1000),
    Kind.LISTS: (1, 10, 100, 1000),
    Kind.LANES: (1, 10, 100),
    Kind.CONTROL: (1, 10, 100),
}
PLACES = {Kind.WEIGHTS: (8, 300), Kind.STATE: (16, 10)}
"""Bits of a weight and of a potential, and how many of the same flip."""
PLACEMENTS = 4


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@cache
def digits() -> tuple[FixedNetwork, Scenario, np.ndarray]:
    demo = load_digits_demo()
    network = quantize(demo.network)
    return network, Scenario.of(network, demo.stimulus[:IMAGES]), demo.labels[:IMAGES]


def hardware(guard: str, folder: Path) -> Upsets:
    network, scenario, labels = digits()
    top = NetworkTop(network, DIGITS_LANES, protection=GUARDS[guard])
    progress(f"building the program, guards: {guard}")
    return Upsets(top, scenario, folder / f"upsets-{guard}", labels)


def single_upsets(guard: str, folder: Path) -> Figures:
    """Bits one by one."""
    report = hardware(guard, folder).single(UPSETS, SEED, progress)
    prefix = f"upsets.{guard}"
    figures: Figures = dict(report.figures(prefix))
    for kind, alarm in ((Kind.WEIGHTS, "weight_error"), (Kind.STATE, "state_error")):
        upsets = [each for each in report.upsets if each.kind is kind]
        wrong = [each for each in upsets if each.fate.value != "masked"]
        name = f"{prefix}.{kind.name.lower()}"
        figures[f"{name}.noticed"] = "count", sum(report.noticed(each, alarm) for each in upsets)
        figures[f"{name}.wrong_unnoticed"] = (
            "count",
            sum(not report.noticed(each, alarm) for each in wrong),
        )
    for each in report.evidence():
        progress(f"{'holds' if each.passed else each.strength.value}: {each.name}; {each.detail}")
    return figures


def accuracies(folder: Path) -> list[Accuracy]:
    """Many bits."""
    upsets = hardware("off", folder)
    found = []
    for kind, counts in FLIPS.items():
        for flips in counts:
            for seed in SEEDS if kind.stays else SEEDS[:1]:
                found.append(upsets.accuracy(kind, flips, seed))
                progress(f"{kind.value}, {flips} flips: {found[-1].right} of {IMAGES}")
    for kind, (places, flips) in PLACES.items():
        for place in range(places):
            for seed in SEEDS if kind.stays else SEEDS[:1]:
                found.append(upsets.accuracy(kind, flips, seed, place))
                progress(f"{kind.value}, bit {place}: {found[-1].right} of {IMAGES}")
    return found


def accuracy_figures(found: list[Accuracy]) -> Figures:
    _, scenario, labels = digits()
    decided = scenario.spikes.sum(axis=1).argmax(axis=1)
    figures: Figures = {"accuracy.off": ("%", 100 * float(np.mean(decided == labels)))}
    keys = dict.fromkeys((each.kind, each.flips, each.place) for each in found)
    for kind, flips, place in keys:
        drawn = [
            each for each in found if (each.kind, each.flips, each.place) == (kind, flips, place)
        ]
        mean = 100 * sum(each.right for each in drawn) / sum(each.samples for each in drawn)
        name = f"accuracy.{kind.name.lower()}.{flips}"
        figures[name if place is None else f"{name}.bit_{place}"] = "%", mean
    return figures


def cost_figures(folder: Path) -> Figures:
    """What guards cost on boards, and in cycles."""
    network, scenario, _ = digits()
    figures: Figures = {}
    for guard, protection in GUARDS.items():
        top = NetworkTop(network, DIGITS_LANES, protection=protection)
        stimulus = scenario.stimulus.astype(np.int64)
        cycles = predict(top, stimulus, run_fixed(network, stimulus)).cycles
        figures[f"cost.{guard}.cycles"] = "cycles", cycles / IMAGES
        for board in COSTS:
            built = in_time(top, board, folder / f"{board}-{guard}")
            name = f"cost.{board}.{guard}"
            figures[f"{name}.fmax"] = "MHz", built.fmax / 1e6
            figures[f"{name}.seed"] = "", built.seed
            for resource in ("logic cells", "block RAMs"):
                figures[f"{name}.{resource.replace(' ', '_').lower()}"] = (
                    "count",
                    built.usage[resource].used,
                )
    return figures


def in_time(top: NetworkTop, board: str, folder: Path) -> BuildResult:
    """The build of the first seed that meets the clock."""
    for seed in range(1, PLACEMENTS):
        try:
            progress(f"{folder.name}, seed {seed}")
            return build(top, BOARDS[board], folder, seed=seed)
        except TimingError as error:
            progress(str(error))
    return build(top, BOARDS[board], folder, seed=PLACEMENTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only",
        nargs="+",
        choices=("upsets", "accuracy", "cost"),
        default=(),
        help="measure these parts and keep the figures of the others",
    )
    parser.add_argument(
        "--work", type=Path, help="folder for the builds (default: a temporary one)"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "faults.json")
    args = parser.parse_args()
    figures = read_figures(args.output) if args.only else {}
    figures["samples"] = "digits", IMAGES
    parts = args.only or ("upsets", "accuracy", "cost")
    work = tempfile.TemporaryDirectory() if args.work is None else nullcontext(args.work)
    with work as name:
        folder = Path(name)
        if "upsets" in parts:
            for guard in ("off", "both"):
                figures |= single_upsets(guard, folder)
        if "accuracy" in parts:
            figures |= accuracy_figures(accuracies(folder))
        if "cost" in parts:
            figures |= cost_figures(folder)
    write_figures(figures, args.output)
    # As they are written: another day they are read from there.
    figures = read_figures(args.output)
    put_tables(tables(figures), DOCS)
    if "upsets.off.weights.bits" in figures and "accuracy.off" in figures:
        PAGE.write_text(page(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
