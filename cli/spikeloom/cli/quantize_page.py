"""The page of a quantisation: what integers cost, layer by layer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from spikeloom.cli.chart import Plot, Scale, every, legend, nice_ticks
from spikeloom.cli.markup import Html, count, percent, tag
from spikeloom.cli.page import definitions, render_page, section, table
from spikeloom.reference.loss import LayerLoss, Loss, Trial
from spikeloom.reference.precision import Precision

__all__ = ["LossReport", "render_loss"]

_WITHOUT_DATA = (
    *("name", "neurons", "weights", "weight_width", "weight_low", "weight_high"),
    *("weights_lost", "weights_at_ends", "state_width"),
)
_SEARCHED = ("weight_width", "state_width", "decay_fraction")


@dataclass(frozen=True, kw_only=True)
class LossReport:
    """What a quantisation came to.

    Attributes
    ----------
    model, profile, precision
        What was quantised, and how.
    loss
        What that did.
    trials, keep
        What a search tried, and the accuracy in percent that it kept.
    doubts
        What makes one doubt the profile.
    """

    model: str
    profile: str
    precision: Precision
    loss: Loss
    trials: tuple[Trial, ...] = ()
    keep: float | None = None
    doubts: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As plain data, without what was not measured."""
        loss = asdict(self.loss)
        if not self.loss.samples:
            layers = [{n: each[n] for n in _WITHOUT_DATA} for each in loss["layers"]]
            loss = {"layers": layers, "samples": 0}
        return {
            "model": self.model,
            "profile": self.profile,
            "precision": _plain(self.precision),
            **loss,
            "trials": [
                {"precision": _plain(each.precision), "accuracy": each.accuracy}
                for each in self.trials
            ],
            "keep_percent": self.keep,
            "doubts": list(self.doubts),
        }


def render_loss(report: LossReport) -> str:
    """The page. The same report gives the same text on any machine."""
    title = f"{report.model} in fixed point"
    return render_page(
        title,
        tag(
            "header",
            tag("p", f"Spikeloom {version('spikeloom')}", class_="eyebrow"),
            tag("h1", title),
            tag("p", "What rounding the network to integers costs.", class_="lead"),
            definitions({"profile": report.profile, **_facts(report.precision)}),
        ),
        _accuracy(report.loss),
        _layers(report.loss),
        _ranges(report.loss),
        _spikes(report.loss) if report.loss.samples else None,
        _search(report) if report.trials else None,
        _doubts(report.doubts),
    )


def _plain(precision: Precision) -> dict[str, Any]:
    return asdict(precision) | {"scale": precision.scale.value}


def _facts(precision: Precision) -> dict[str, str]:
    fraction = precision.state_fraction
    return {
        "weights": f"{precision.weight_width} bits",
        "states": f"{precision.state_width} bits",
        "state fraction": "auto" if fraction is None else f"{fraction} bits",
        "decay multipliers": f"{precision.decay_fraction} fraction bits",
        "one scale for each": precision.scale.value,
        "percentile": f"{precision.percentile:g}",
    }


def _accuracy(loss: Loss) -> Html | None:
    if not loss.samples:
        return None
    tiles = [
        ("floating point", loss.float_correct, "samples right"),
        ("fixed point", loss.fixed_correct, "samples right"),
        ("decided as before", loss.samples - loss.decisions_changed, "samples"),
    ]
    shown = (
        tag(
            "li",
            tag("span", name, class_="name"),
            tag("strong", percent(number, loss.samples)),
            tag("span", f"{count(number)} of {count(loss.samples)} {what}"),
        )
        for name, number, what in tiles
        if number is not None
    )
    return section(
        "Accuracy",
        "How many samples the network decides as labelled in both forms, and on how many both"
        " decide the same.",
        tag("ul", *shown, class_="tiles"),
    )


def _layers(loss: Loss) -> Html:
    titles = ["layer", "neurons", "weights", "rounded to 0", "at an end of the word"]
    if loss.samples:
        titles += ["overflows", "spike counts changed"]
    rows = []
    for each in loss.layers:
        row = [tag("b", each.name), *map(count, (each.neurons, each.weights))]
        row += [count(each.weights_lost), count(each.weights_at_ends)]
        if loss.samples:
            row.append(count(each.overflows))
            row.append(percent(each.counts_changed, each.neurons * loss.samples))
        rows.append(row)
    return section(
        "Layers",
        "What rounding did to the weights of each layer and, on the data, to its sums and to the"
        " spike counts of its neurons.",
        table(titles, rows, numeric=1),
    )


def _ranges(loss: Loss) -> Html:
    """Bars of how much of their words weights and states use."""
    weights = [_part(e.weight_low, e.weight_high, e.weight_width) for e in loss.layers]
    states = [_part(e.state_low, e.state_high, e.state_width) for e in loss.layers]
    figures = [_bars("weight word", loss.layers, weights)]
    if loss.samples:
        figures.append(_bars("state word", loss.layers, states))
    return section(
        "Ranges",
        "How much of its word the largest magnitude in a layer uses: at 100 % the word is full,"
        " and each halving is a bit that is not needed.",
        tag("div", *figures, class_="pairs"),
    )


def _part(low: int, high: int, width: int) -> float:
    return 100 * max(-low, high + 1 if high > 0 else high) / (1 << (width - 1))


def _bars(what: str, layers: Sequence[LayerLoss], parts: Sequence[float]) -> Html:
    plot = Plot(
        x=Scale.steps(len(layers)),
        y=Scale(108.0, 0.0),
        height=170,
        label=f"{what} used: "
        + ", ".join(f"{e.name} {part:.0f} %" for e, part in zip(layers, parts, strict=True)),
        caption=f"% of the {what} used",
    )
    places = list(range(len(layers)))
    return tag(
        "figure",
        tag("figcaption", tag("h3", f"{what[:1].upper()}{what[1:]}")),
        plot.render(
            plot.boxes(places, [p / 2 for p in parts], "fixed", width=0.5, height=parts),
            plot.level(100.0, "threshold"),
            x_ticks=_layer_ticks(layers),
            y_ticks=[(0, "0"), (25, "25"), (50, "50"), (75, "75"), (100, "100")],
        ),
        class_="card",
    )


def _layer_ticks(layers: Sequence[LayerLoss]) -> list[tuple[float, str]]:
    stride = every(len(layers), 6)
    return [(float(k), each.name) for k, each in enumerate(layers) if k % stride == 0]


def _spikes(loss: Loss) -> Html:
    layers = [each for each in loss.layers if each.float_spikes or each.fixed_spikes]
    if not layers:
        return section("Spikes", "No neuron spiked on the data, in either form.")
    counts = [
        [getattr(e, f"{form}_spikes") / (e.neurons * loss.samples) for e in layers]
        for form in ("float", "fixed")
    ]
    plot = Plot(
        x=Scale.steps(len(layers)),
        y=Scale(1.08 * max(map(max, counts)), 0.0),
        height=200,
        label="Spikes per neuron and sample: "
        + ", ".join(f"{e.name} {count(e.float_spikes)}, {count(e.fixed_spikes)}" for e in layers),
        caption="spikes per neuron and sample",
    )
    places = range(len(layers))
    boxes = [
        plot.boxes(
            [place + shift for place in places],
            [value / 2 for value in values],
            kind,
            width=0.3,
            height=values,
        )
        for kind, shift, values in zip(("float", "fixed"), (-0.16, 0.16), counts, strict=True)
    ]
    return section(
        "Spikes",
        "How many spikes each layer sends in both forms: a layer that sends far fewer or far more"
        " in fixed point needs more bits.",
        tag(
            "figure",
            legend(("float", "floating point"), ("fixed", "fixed point")),
            plot.render(*boxes, x_ticks=_layer_ticks(layers), y_ticks=nice_ticks(plot.y, 5)),
            class_="card",
        ),
    )


def _search(report: LossReport) -> Html:
    accuracies = [100 * each.accuracy for each in report.trials]
    keep = report.keep or 0.0
    plot = Plot(
        x=Scale.steps(len(accuracies)),
        y=Scale.upwards(accuracies, keep),
        height=200,
        label="Accuracy of each trial of the search, in percent",
        caption="accuracy in %, trial after trial",
    )
    tries = list(range(len(accuracies)))
    rows = [
        [
            str(k),
            *(str(getattr(each.precision, n)) for n in _SEARCHED),
            f"{100 * each.accuracy:.2f} %",
            tag("b", "kept", class_="good") if 100 * each.accuracy >= keep else "–",
        ]
        for k, each in enumerate(report.trials)
    ]
    return section(
        "Search",
        f"The narrowest weights, then states, then decays that keep {keep:g} %: the last trial"
        " that was kept is the result, which the rest of this page is about.",
        tag(
            "figure",
            legend(("fixed", "accuracy"), ("threshold", f"{keep:g} %, to be kept")),
            plot.render(
                plot.level(keep, "threshold"),
                plot.line(tries, accuracies, "fixed"),
                x_ticks=[(k, str(k)) for k in tries[:: every(len(tries), 12)]],
                y_ticks=nice_ticks(plot.y, 5),
            ),
            class_="card",
        ),
        table(["trial", "weights", "states", "decays", "accuracy", ""], rows, numeric=1),
    )


def _doubts(doubts: Sequence[str]) -> Html | None:
    if not doubts:
        return None
    return section(
        "Doubts",
        "Signs that the profile is not the one that the network was made for.",
        tag("ul", *(tag("li", doubt) for doubt in doubts), class_="notes"),
    )
