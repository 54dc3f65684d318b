"""The page of upsets: what becomes of bits that flip, and what they do to accuracy."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from spikeloom.cli.chart import Plot, Scale, Tick, legend, nice_ticks
from spikeloom.cli.markup import Html, count, percent, tag
from spikeloom.cli.page import definitions, render_page, section, table
from spikeloom.sim.upsets import Accuracy, Fate, Kind

__all__ = [
    "Fates",
    "accuracy_figures",
    "fate_table",
    "fates_figure",
    "place_figure",
    "render_faults",
]

Fates = Mapping[Kind, Mapping[Fate, int]]
"""How many upsets of each kind ended how."""

_BARS = {
    Fate.MASKED: "weak",
    Fate.TRANSIENT: "float",
    Fate.LASTING: "fixed",
    Fate.HANG: "bad",
}


def render_faults(
    title: str,
    facts: Mapping[str, str],
    fates: Fates,
    bits: Mapping[Kind, int],
    accuracies: Sequence[Accuracy],
    right: float,
) -> str:
    """The page. The same parts give the same text on any machine.

    Parameters
    ----------
    title
        The network.
    facts
        What is said of it on top.
    fates, bits
        As :class:`~spikeloom.sim.upsets.UpsetReport`'s.
    accuracies
        Accuracy with flipped bits.
    right
        Accuracy in percent without.
    """
    by_count = [each for each in accuracies if each.place is None]
    by_place = [each for each in accuracies if each.place is not None]
    return render_page(
        title,
        tag(
            "header",
            tag("p", f"Spikeloom {version('spikeloom')}", class_="eyebrow"),
            tag("h1", title),
            tag("p", "What bits do that flip while the hardware is at work.", class_="lead"),
            definitions(facts),
        ),
        section(
            "One bit",
            "Each time one bit flips, once, in one cycle of one sample.",
            fates_figure(fates),
            fate_table(fates, bits),
        ),
        section(
            "Many bits",
            "Where bits stay flipped they are of the whole network; elsewhere so many flip in each"
            " sample. The dashed line is the accuracy without.",
            tag("div", *accuracy_figures(by_count, right), class_="pairs"),
        ),
        section(
            "Which bit",
            "The same bit of many weights, or of the states of many neurons; bit 0 is the lowest.",
            tag(
                "div",
                *(
                    place_figure([each for each in by_place if each.kind is kind], right)
                    for kind in dict.fromkeys(each.kind for each in by_place)
                ),
                class_="pairs",
            ),
        ),
    )


def fates_figure(fates: Fates) -> Html:
    """What became of the upsets of each kind, as shares of a bar."""
    bars = []
    for number, (kind, counts) in enumerate(fates.items(), 1):
        total = sum(counts.values()) or 1
        shares = {fate: 100 * counts.get(fate, 0) / total for fate in Fate}
        plot = Plot(
            x=Scale(0, 100),
            y=Scale(-0.5, 0.5),
            height=20,
            label=f"{kind.value}: " + ", ".join(f"{f.value} {s:.1f} %" for f, s in shares.items()),
            caption=kind.value,
        )
        ends = np.cumsum(list(shares.values()))
        marks = [
            plot.boxes([end - share / 2], [0], _BARS[fate], width=share)
            for (fate, share), end in zip(shares.items(), ends, strict=True)
            if share
        ]
        last = number == len(fates)
        bars.append(plot.render(*marks, x_ticks=nice_ticks(plot.x, 5) if last else (), grid=False))
    return tag(
        "figure",
        tag(
            "ul",
            *(tag("li", fate.value, class_=f"key box {look}") for fate, look in _BARS.items()),
            class_="legend",
        ),
        *bars,
        tag("p", "percent of the upsets", class_="axis"),
        class_="card",
    )


def fate_table(fates: Fates, bits: Mapping[Kind, int]) -> Html:
    """The same as numbers."""
    rows = []
    for kind, counts in fates.items():
        total = sum(counts.values())
        shares = [percent(counts.get(fate, 0), total) if total else "" for fate in Fate]
        rows.append([kind.value, count(bits[kind]), count(total), *shares])
    titles = ["what flips", "bits", "upsets", *(fate.value for fate in Fate)]
    return table(titles, rows, numeric=1)


def accuracy_figures(accuracies: Sequence[Accuracy], right: float) -> list[Html]:
    """Accuracy against the number of flipped bits, a drawing for each kind."""
    most = max(each.flips for each in accuracies)
    figures = []
    for kind in dict.fromkeys(each.kind for each in accuracies):
        chosen = [each for each in accuracies if each.kind is kind]
        flips = sorted({each.flips for each in chosen})
        where = "of the network" if kind.stays else "in each sample"
        ticks = [(k, f"{10**k:,}") for k in range(len(str(most)))]
        figures.append(
            _drawing(
                kind.value,
                f"bits {where} that flip",
                Scale(-0.1, np.log10(most) + 0.1),
                np.log10(flips),
                [_mean(each for each in chosen if each.flips == n) for n in flips],
                ticks,
                right,
            )
        )
    return figures


def place_figure(accuracies: Sequence[Accuracy], right: float) -> Html:
    """Accuracy against the place of the bits that flip."""
    places = sorted({each.place for each in accuracies if each.place is not None})
    first = accuracies[0]
    where = "of the network" if first.kind.stays else "in each sample"
    return _drawing(
        f"{first.kind.value}: {count(first.flips)} bits {where}",
        "place of the bit",
        Scale(-0.5, places[-1] + 0.5),
        np.array(places, dtype=np.float64),
        [_mean(each for each in accuracies if each.place == n) for n in places],
        [(place, str(place)) for place in places],
        right,
    )


def _mean(accuracies: Iterable[Accuracy]) -> float:
    """Accuracy in percent, of all together."""
    each = list(accuracies)
    return 100 * sum(a.right for a in each) / sum(a.samples for a in each)


def _drawing(
    title: str,
    axis: str,
    x: Scale,
    places: NDArray[np.float64],
    values: Sequence[float],
    ticks: Sequence[Tick],
    right: float,
) -> Html:
    """Accuracy in percent along something, with the accuracy without flipped bits."""
    told = ", ".join(f"{value:.1f}" for value in values)
    plot = Plot(
        x=x,
        y=Scale(103, -3),
        height=170,
        label=f"Accuracy with {title} flipped: {told}",
        caption="accuracy in percent",
    )
    return tag(
        "figure",
        tag("figcaption", tag("h3", title)),
        legend(("fixed", "with flipped bits"), ("threshold", f"without: {right:.1f}")),
        plot.render(
            plot.level(right, "threshold"),
            plot.line(places, values, "fixed"),
            plot.dots(places, values, "fixed"),
            x_ticks=ticks,
            y_ticks=nice_ticks(plot.y, 5),
        ),
        tag("p", axis, class_="axis"),
        class_="card",
    )
