"""The page of a sample that was on a board."""

from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.cli.chart import Scale
from spikeloom.cli.markup import count, tag
from spikeloom.cli.page import definitions, render_page, section
from spikeloom.cli.plots import cells

__all__ = ["render_board_run"]

Array = NDArray[Any]


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
        What went in and what came out, shape (steps, \\*shape).
    label
        The right output.
    """
    steps = len(spikes)
    facts = {
        "device": about,
        "steps": count(steps),
        "output with the most": str(int(spikes.reshape(steps, -1).sum(axis=0).argmax())),
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
        section(
            "What came out",
            "The same of each output.",
            tag("figure", cells("output", spikes.reshape(steps, -1), x, ticks=True), class_="card"),
        ),
    )
