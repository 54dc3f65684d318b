"""The tables of ``docs/faults.md``."""

from boards_tables import table
from figures import CHECKOUT, Figures

from spikeloom.boards.board import BOARDS
from spikeloom.cli.fault_page import render_faults
from spikeloom.rtl_gen.protection import Protection
from spikeloom.sim.upsets import Accuracy, Fate, Kind

__all__ = ["COSTS", "DOCS", "GUARDS", "PAGE", "page", "tables"]

DOCS = CHECKOUT / "docs" / "faults.md"
PAGE = CHECKOUT / "docs" / "faults.html"

GUARDS = {
    "off": Protection(),
    "parity": Protection(parity=True),
    "ecc": Protection(ecc=True),
    "both": Protection(parity=True, ecc=True),
}
COSTS = ("icebreaker", "ulx3s-45f")
"""Boards on which guards are built."""

_OPTIONS = {"off": "none", "parity": "`--parity`", "ecc": "`--ecc`", "both": "both"}


def tables(figures: Figures) -> dict[str, str]:
    """Each table by the name in its markers; those that were measured."""
    found = {
        "upsets": lambda: _upsets(figures, "off"),
        "guarded": lambda: _upsets(figures, "both"),
        "accuracy": lambda: _accuracy(figures),
        "places": lambda: _places(figures),
        "cost": lambda: _cost(figures),
    }
    needed = {
        "upsets": "upsets.off.weights.bits",
        "guarded": "upsets.both.weights.bits",
        "accuracy": "accuracy.off",
        "places": "accuracy.off",
        "cost": "cost.off.cycles",
    }
    return {name: make() for name, make in found.items() if needed[name] in figures}


def page(figures: Figures) -> str:
    """The page with the drawings."""
    fates, bits = {}, {}
    for kind in Kind:
        name = f"upsets.off.{kind.name.lower()}"
        bits[kind] = round(figures[f"{name}.bits"][1])
        upsets = figures[f"{name}.upsets"][1]
        shares = {fate: figures[f"{name}.{fate.name.lower()}"][1] for fate in Fate}
        fates[kind] = {fate: round(share / 100 * upsets) for fate, share in shares.items()}
    accuracies = []
    for name, (_, value) in figures.items():
        part, *words = name.split(".")
        if part == "accuracy" and len(words) > 1:
            kind, flips, *place = words
            # Of so many samples that the mean is a whole number of them.
            accuracies.append(
                Accuracy(
                    Kind[kind.upper()],
                    int(flips),
                    int(place[0].removeprefix("bit_")) if place else None,
                    10**6,
                    round(value * 10**4),
                )
            )
    facts = {
        "samples": f"{figures['samples'][1]:.0f} digits",
        "upsets of each kind": f"{figures['upsets.off.weights.upsets'][1]:,.0f}",
    }
    right = figures["accuracy.off"][1]
    return render_faults(
        "Flipped bits in the digits network", facts, fates, bits, accuracies, right
    )


def _upsets(figures: Figures, guard: str) -> str:
    titles = ["what flips", "bits", "upsets", *(fate.value for fate in Fate)]
    if guard != "off":
        titles.append("noticed")
    rows = []
    for kind in Kind:
        name = f"upsets.{guard}.{kind.name.lower()}"
        if f"{name}.bits" in figures:
            shares = [figures[f"{name}.{fate.name.lower()}"][1] for fate in Fate]
            rows.append(
                (
                    kind.value,
                    f"{figures[f'{name}.bits'][1]:,.0f}",
                    f"{figures[f'{name}.upsets'][1]:,.0f}",
                    *(f"{share:.1f} %" for share in shares),
                    *([_noticed(figures, name)] if guard != "off" else []),
                )
            )
    return table(titles, rows)


def _noticed(figures: Figures, name: str) -> str:
    """How many of the upsets of a kind an alarm told of, and of how many that did harm none did."""
    if f"{name}.noticed" not in figures:
        return ""
    noticed, not_told = (figures[f"{name}.{each}"][1] for each in ("noticed", "wrong_unnoticed"))
    return f"{noticed:,.0f}; {not_told:,.0f} that made a sample wrong were not"


def _accuracy(figures: Figures) -> str:
    counts = (1, 10, 100, 1000, 10000)
    rows = []
    for kind in Kind:
        cells = []
        for flips in counts:
            figure = figures.get(f"accuracy.{kind.name.lower()}.{flips}")
            cells.append("" if figure is None else f"{figure[1]:.1f} %")
        where = "of the network" if kind.stays else "in each sample"
        rows.append((kind.value, where, *cells))
    return table(("flipped bits", "", *(f"{each:,}" for each in counts)), rows)


def _places(figures: Figures) -> str:
    rows = []
    for kind, flips, places in ((Kind.WEIGHTS, 300, 8), (Kind.STATE, 10, 16)):
        name = f"accuracy.{kind.name.lower()}.{flips}"
        values = [figures[f"{name}.bit_{place}"][1] for place in range(places)]
        cells = [f"{value:.1f}" for value in values]
        where = "of the network" if kind.stays else "in each sample"
        rows.append((f"{kind.value}, {flips} bits {where}", *cells, *[""] * (16 - places)))
    return table(("accuracy in %, bit", *map(str, range(16))), rows)


def _cost(figures: Figures) -> str:
    titles = ["guards", "cycles a digit"]
    for board in COSTS:
        name = BOARDS[board].family.name
        titles += [f"{name}: logic cells", "block RAMs", "MHz"]
    rows = []
    for guard, option in _OPTIONS.items():
        cells = [option, f"{figures[f'cost.{guard}.cycles'][1]:,.1f}"]
        for board in COSTS:
            for key, form in (("logic_cells", ",.0f"), ("block_rams", ".0f"), ("fmax", ".1f")):
                figure = figures.get(f"cost.{board}.{guard}.{key}")
                cells.append("not measured" if figure is None else f"{figure[1]:{form}}")
        rows.append(cells)
    return table(titles, rows)
