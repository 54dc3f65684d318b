"""The page of a sample that was on a board."""

from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.cli.chart import Plot, Scale, legend, nice_ticks
from spikeloom.cli.markup import Html, count, tag
from spikeloom.cli.page import definitions, render_page, section
from spikeloom.cli.plots import cells, step_ticks

__all__ = ["render_board_run"]

Array = NDArray[Any]

_LINES = 16
"""Outputs whose potential is drawn."""


def render_board_run(
    *, title: str, about: str, stimulus: Array, spikes: Array, label: int | None = None
) -> str:
    """The page. The same run gives the same text on any machine.

    Parameters
    ----------
    title
        Of the page.
    about
        What the device says of itself.
    stimulus, spikes
        What went in and what came out, shape (steps, \\*shape). What is signed are potentials.
    label
        The right output.
    """
    steps = len(spikes)
    flat = spikes.reshape(steps, -1)
    facts = {
        "device": about,
        "steps": count(steps),
        "output with the most": str(int(flat.sum(axis=0).argmax())),
    }
    if label is not None:
        facts["label"] = str(label)
    header = tag(
        "header",
        tag("p", f"Spikeloom {version('spikeloom')}", class_="eyebrow"),
        tag("h1", title),
        tag("p", "One sample on its way to the board and back.", class_="lead"),
        definitions(facts),
    )
    x = Scale.steps(steps)
    return render_page(
        title,
        header,
        section(
            "What went in",
            "Each row is a source, each box a step in which it sends; the stronger, the more.",
            tag("figure", cells("input", np.abs(stimulus).reshape(steps, -1), x), class_="card"),
        ),
        _potentials(flat, x) if spikes.dtype.kind == "i" else _spikes(flat, x),
    )


def _spikes(counts: Array, x: Scale) -> Html:
    figure = tag("figure", cells("output", counts, x, ticks=True), class_="card")
    return section("What came out", "The same of each output.", figure)


def _potentials(values: Array, x: Scale) -> Html:
    order = np.argsort(-values.sum(axis=0), kind="stable")[:_LINES]
    plot = Plot(
        x=x,
        y=Scale.upwards(values[:, order], [0.0]),
        height=240,
        label=f"Potentials of {len(order)} outputs over {len(values)} steps",
        caption=f"membrane potential of {count(len(order))} outputs",
    )
    steps = np.arange(len(values))
    drawing = plot.render(
        # The first is on top.
        *(plot.line(steps, values[:, k], "weak") for k in order[:0:-1]),
        plot.line(steps, values[:, order[0]], "fixed"),
        x_ticks=step_ticks(x),
        y_ticks=nice_ticks(plot.y, 4),
    )
    keys = legend(
        ("fixed", f"output {order[0]}, the one with the most"),
        ("weak", "the others") if len(order) > 1 else None,
    )
    return section(
        "What came out",
        "The potentials that the outputs send, after each step; of many those with the largest"
        " sums.",
        tag("figure", keys, drawing, class_="card"),
    )
