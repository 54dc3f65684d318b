"""The page of a run: what one sample did to each population."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.cli.chart import Plot, Scale, legend, nice_ticks
from spikeloom.cli.markup import Html, count, tag
from spikeloom.cli.page import definitions, render_page, section
from spikeloom.cli.plots import cells, step_ticks
from spikeloom.reference.network import FixedNetwork, FloatNetwork
from spikeloom.reference.simulate import Recording

__all__ = ["render_run"]

Array = NDArray[Any]

_TRACES = 4
"""Neurons of a population whose potential is drawn."""


def render_run(
    *,
    title: str,
    profile: str,
    network: FloatNetwork,
    stimulus: Mapping[str, Array],
    real: Recording,
    fixed: tuple[FixedNetwork, Recording] | None = None,
    label: int | None = None,
) -> str:
    """The page. The same run gives the same text on any machine.

    Parameters
    ----------
    title
        Of the page.
    profile
        Name of the profile.
    network
        The network in real numbers.
    stimulus, real
        What came in and what came of it, of one sample.
    fixed
        The network in integers and what came of the same sample, if it ran.
    label
        The right output.
    """
    shown = real if fixed is None else fixed[1]
    facts = {
        "profile": profile,
        "steps": count(shown.output.shape[1]),
        "output with the most": str(int(shown.decision[0])),
    }
    if fixed is not None:
        facts["in floating point"] = str(int(real.decision[0]))
    if label is not None:
        facts["label"] = str(label)
    header = tag(
        "header",
        tag("p", f"Spikeloom {version('spikeloom')}", class_="eyebrow"),
        tag("h1", title),
        tag("p", "One sample on its way through the network.", class_="lead"),
        definitions(facts),
    )
    return render_page(
        title,
        header,
        _inputs(stimulus),
        *(_population(name, network, real, fixed) for name in network.populations),
    )


def _inputs(stimulus: Mapping[str, Array]) -> Html:
    rasters = [
        _raster(f"{name}", np.abs(values[0]), last=k == len(stimulus) - 1)
        for k, (name, values) in enumerate(stimulus.items())
    ]
    return section(
        "Input",
        "What comes in: each row is a source, each box a step in which it sends; the stronger, the"
        " more.",
        tag("figure", *rasters, class_="card"),
    )


def _population(
    name: str,
    network: FloatNetwork,
    real: Recording,
    fixed: tuple[FixedNetwork, Recording] | None,
) -> Html:
    runs = [("float", "floating point", real)]
    if fixed is not None:
        runs.append(("fixed", "fixed point", fixed[1]))
    rasters = [
        _raster(f"{name}, {words}", run.spikes[name][0], last=k == len(runs) - 1)
        for k, (_, words, run) in enumerate(runs)
        if name in run.spikes
    ]
    figures = [tag("figure", *rasters, class_="card")] if rasters else []
    traces = _traces(name, network, real, fixed)
    figures.append(tag("div", *traces, class_="pairs"))
    spiking = name in real.spikes
    sentence = (
        "Spikes of each neuron (rows) in each step, and the membrane potential of those that spike"
        " most, after each step."
        if spiking
        else "The membrane potential of the neurons with the largest, after each step; they send"
        " it and never spike."
    )
    return section(name, sentence, *figures)


def _raster(name: str, counts: Array, *, last: bool) -> Html:
    steps = len(counts)
    return cells(name, counts.reshape(steps, -1), Scale.steps(steps), ticks=last)


def _traces(
    name: str,
    network: FloatNetwork,
    real: Recording,
    fixed: tuple[FixedNetwork, Recording] | None,
) -> list[Html]:
    main = real if fixed is None else fixed[1]
    activity = main.spikes.get(name, np.abs(main.membrane[name]))[0]
    totals = activity.reshape(len(activity), -1).sum(axis=0, dtype=np.float64)
    chosen = np.argsort(-totals, kind="stable")[:_TRACES]
    lines = {"float": _levels(real, name, network.populations[name].neuron.threshold)}
    if fixed is not None:
        spiking = name in fixed[1].spikes
        threshold = fixed[0].populations[name].neurons.threshold if spiking else None
        lines["fixed"] = _levels(fixed[1], name, threshold)
    return [
        _trace(
            int(neuron),
            {kind: v[:, neuron] for kind, v in lines.items()},
            spikes=int(totals[neuron]) if name in main.spikes else None,
        )
        for neuron in chosen
    ]


def _levels(run: Recording, name: str, threshold: Any) -> Array:
    """Potentials of the sample, shape (steps, neurons): in thresholds, or in their own largest."""
    v = run.membrane[name][0]
    v = v.reshape(len(v), -1).astype(np.float64)
    unit = np.abs(v).max(initial=0.0) if threshold is None else np.ravel(threshold)
    return v / np.where(unit == 0, 1, unit)


def _trace(neuron: int, lines: Mapping[str, Array], *, spikes: int | None) -> Html:
    steps = len(next(iter(lines.values())))
    level = [] if spikes is None else [1.0]
    unit = "thresholds" if level else "the largest potential of the run"
    plot = Plot(
        x=Scale.steps(steps),
        y=Scale.upwards(*lines.values(), level, [0.0]),
        height=170,
        label=f"Membrane potential of neuron {neuron} over {steps} steps",
        caption=f"membrane potential, in {unit}",
    )
    words = {"float": "floating point", "fixed": "fixed point"}
    total = "" if spikes is None else f", {count(spikes)} spikes"
    return tag(
        "figure",
        tag("figcaption", tag("h3", f"neuron {neuron}{total}")),
        legend(
            *((kind, words[kind]) for kind in lines),
            ("threshold", "threshold") if level else None,
        ),
        plot.render(
            *(plot.level(value, "threshold") for value in level),
            *(plot.line(np.arange(steps), v, kind) for kind, v in lines.items()),
            x_ticks=step_ticks(plot.x),
            y_ticks=nice_ticks(plot.y, 4),
        ),
        class_="card",
    )
