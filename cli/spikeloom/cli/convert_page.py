"""The page of a conversion: accuracy, operations and latency, step by step."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from spikeloom.cli.chart import Plot, Scale, legend, nice_ticks
from spikeloom.cli.markup import Html, count, percent, tag
from spikeloom.cli.page import definitions, render_page, section, table
from spikeloom.cli.plots import step_ticks
from spikeloom.reference.calibrate import Conversion

__all__ = ["ConversionReport", "render_conversion"]

_SMALL_LOSS = 1000
"""Early stopping may lose one sample in so many."""


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """What a conversion came to.

    Attributes
    ----------
    model, options
        What was converted, and how.
    samples, ann_correct
        How many samples there were, and how many the trained network decides rightly.
    correct, operations
        How many the spiking one does after each step, and its synaptic operations for a sample.
    stops
        For leads at which a run stops: the lead, steps on average, samples decided rightly.
    """

    model: str
    options: Conversion
    samples: int
    ann_correct: int
    correct: list[int]
    operations: list[float]
    stops: list[tuple[int, float, int]]

    @property
    def early(self) -> tuple[int, float, int] | None:
        """The smallest lead that loses next to nothing against all steps."""
        least = self.correct[-1] - self.samples / _SMALL_LOSS
        return next((stop for stop in self.stops if stop[2] >= least), None)

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        options = self.options
        return {
            "model": self.model,
            "conversion": {
                "steps": options.steps,
                "normalisation": options.normalisation.value,
                "percentile": options.percentile,
                "per_channel": options.per_channel,
                "max_spikes": options.max_spikes,
                "v_init": options.v_init,
                "bias_correction": options.bias_correction,
                "coding": options.coding.value,
            },
            "weight_width": options.weight_width,
            "samples": self.samples,
            "ann_correct": self.ann_correct,
            "correct": self.correct,
            "synaptic_operations": self.operations,
            "early_stops": [
                {"margin": margin, "steps": steps, "correct": correct}
                for margin, steps, correct in self.stops
            ],
        }


def render_conversion(report: ConversionReport) -> str:
    """The page. The same report gives the same text on any machine."""
    return render_page(
        f"{report.model} as spikes",
        tag(
            "header",
            tag("p", f"Spikeloom {version('spikeloom')} conversion", class_="kicker"),
            tag("h1", report.model),
        ),
        definitions(_facts(report)),
        _accuracy(report),
        _operations(report),
        _early(report),
    )


def _facts(report: ConversionReport) -> dict[str, str]:
    options = report.options
    return {
        "samples": count(report.samples),
        "calibrated for": f"{options.steps} steps",
        "ceilings by": options.normalisation.value,
        "one for each": "channel" if options.per_channel else "layer",
        "spikes a step": f"up to {options.max_spikes}",
        "biases": "corrected" if options.bias_correction else "as trained",
        "input": options.coding.value,
        "weights": f"{options.weight_width} bits",
    }


def _accuracy(report: ConversionReport) -> Html:
    steps = list(range(1, len(report.correct) + 1))
    shares = [100 * each / report.samples for each in report.correct]
    ann = 100 * report.ann_correct / report.samples
    # What is far below is cut off: the last points are what one looks for.
    low = max(0.0, min(ann, shares[-1]) - 10.0)
    plot = Plot(
        x=Scale(0.5, len(steps) + 0.5),
        y=Scale.upwards([max(low, each) for each in shares], [ann, low]),
        height=220,
        label=f"accuracy from {shares[0]:.1f} % after one step to {shares[-1]:.1f} % after"
        f" {len(steps)}; {ann:.1f} % before the conversion",
        caption="% of the samples decided rightly",
    )
    shown = [each for each in zip(steps, shares, strict=True) if each[1] >= low]
    return section(
        "Accuracy",
        "How many samples the spiking network decides rightly if it stops after so many steps,"
        " beside the trained one.",
        tag(
            "figure",
            legend(("fixed", "spiking, fixed point"), ("threshold", "trained network")),
            plot.render(
                plot.level(ann, "threshold"),
                plot.line([t for t, _ in shown], [share for _, share in shown], "fixed"),
                plot.dots([t for t, _ in shown], [share for _, share in shown], "fixed"),
                x_ticks=step_ticks(plot.x),
                y_ticks=nice_ticks(plot.y, 5),
            ),
            class_="card",
        ),
    )


def _operations(report: ConversionReport) -> Html:
    steps = list(range(1, len(report.operations) + 1))
    plot = Plot(
        x=Scale(0.5, len(steps) + 0.5),
        y=Scale(1.08 * max(1.0, report.operations[-1]), 0.0),
        height=170,
        label=f"synaptic operations of a sample: {report.operations[-1]:,.0f} in all steps",
        caption="synaptic operations of a sample",
    )
    return section(
        "Synaptic operations",
        "How often a weight was added to a neuron up to each step, which energy follows.",
        tag(
            "figure",
            plot.render(
                plot.line(steps, report.operations, "fixed"),
                x_ticks=step_ticks(plot.x),
                y_ticks=nice_ticks(plot.y, 4),
            ),
            class_="card",
        ),
    )


def _early(report: ConversionReport) -> Html | None:
    if not report.stops:
        return None
    chosen = report.early
    rows = []
    for stop in report.stops[:: max(1, len(report.stops) // 12)]:
        margin, steps, correct = stop
        rows.append([count(margin), f"{steps:.2f}", percent(correct, report.samples)])
    sentence = (
        "A run may stop as soon as the largest sum is ahead of the second by so much, in the"
        " output's last places."
    )
    if chosen is not None:
        sentence += (
            f" A lead of {count(chosen[0])} loses next to nothing and takes"
            f" {chosen[1]:.1f} steps on average."
        )
    return section(
        "Early stopping", sentence, table(["lead", "steps", "accuracy"], rows, numeric=0)
    )
