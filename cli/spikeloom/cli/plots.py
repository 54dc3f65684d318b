"""The figures of the report: membrane traces, transfer curve, spike raster."""

import numpy as np

from spikeloom.cli.chart import Plot, Scale, Tick, every, legend, nice_ticks
from spikeloom.cli.markup import Html, count, decimal, join, tag
from spikeloom.cli.report_data import Array, Raster, Trace, TransferCurve

__all__ = ["cells", "curve_figure", "picture", "raster_figure", "step_ticks", "trace_figure"]

_DOTS = 34
"""Most dots of a series: with more, the line below them would not be seen."""
_ROWS = 512
"""Most neurons of a raster: with more, a box would not be seen."""


def trace_figure(trace: Trace) -> Html:
    """Membrane potential with threshold, spikes, and input current, one above the other."""
    steps = len(trace.current)
    x, time = Scale.steps(steps), np.arange(steps)
    rtl = [] if trace.rtl_v is None else [trace.rtl_v]
    membrane = Plot(
        x=x,
        y=Scale.upwards(trace.float_v, trace.fixed_v, trace.threshold, *rtl),
        height=210,
        label=f"Membrane potential of {trace.title} over {steps} steps",
        caption="membrane potential after each step",
    )
    dots, dots_key = _dots(membrane, time, trace.fixed_v, trace.rtl_v)
    return tag(
        "figure",
        tag("figcaption", tag("h3", trace.title), tag("p", trace.note) if trace.note else None),
        legend(
            ("float", "float"),
            ("fixed", "fixed point"),
            dots_key,
            ("bad", "RTL differs") if _trace_differs(trace) else None,
            ("threshold", f"threshold {decimal(trace.threshold)}"),
        ),
        membrane.render(
            membrane.level(trace.threshold, "threshold"),
            membrane.line(time, trace.float_v, "float"),
            membrane.line(time, trace.fixed_v, "fixed"),
            dots,
            y_ticks=nice_ticks(membrane.y, 5),
        ),
        _spike_rows(trace, x),
        _current(trace, x),
        class_="card",
    )


def _trace_differs(trace: Trace) -> bool:
    pairs = (trace.fixed_v, trace.rtl_v), (trace.fixed_spikes, trace.rtl_spikes)
    return any(_different(fixed, rtl).any() for fixed, rtl in pairs)


def _spike_rows(trace: Trace, x: Scale) -> Html:
    """One row of spike marks each for float, fixed and RTL; taller for more spikes in a step."""
    rows: list[tuple[str, str, Array]] = [
        ("float", "float", trace.float_spikes),
        ("fixed", "fixed", trace.fixed_spikes),
    ]
    if trace.rtl_spikes is not None:
        rows.append(("rtl", "RTL", trace.rtl_spikes))
    most = max(1, *(int(spikes.max()) for _, _, spikes in rows))
    totals = ", ".join(f"{name} {count(int(spikes.sum()))}" for _, name, spikes in rows)
    plot = Plot(
        x=x,
        y=Scale(0, len(rows)),
        height=18 * len(rows),
        label=f"Spikes of {trace.title}: {totals}",
        caption=f"spikes: {totals}",
    )
    marks: list[Html] = []
    ticks: list[Tick] = []
    for row, (kind, name, spikes) in enumerate(rows):
        (when,) = np.nonzero(spikes)
        tall = 0.3 + 0.55 * spikes[when] / most
        marks.append(plot.bars(when, row + 0.92, row + 0.92 - tall, f"spike {kind}"))
        ticks.append((row + 0.5, name))
    wrong = np.flatnonzero(_different(trace.fixed_spikes, trace.rtl_spikes))
    marks.append(plot.dots(wrong, np.full(len(wrong), len(rows) - 0.5), "bad"))
    lines = [plot.level(row, "grid") for row in range(len(rows) + 1)]
    return plot.render(*lines, *marks, y_ticks=ticks, grid=False)


def _current(trace: Trace, x: Scale) -> Html:
    plot = Plot(
        x=x,
        y=Scale.upwards(trace.current, 0.0, margin=0.15),
        height=56,
        label=f"Input current of {trace.title}",
        caption="input current",
    )
    low, high = float(min(0.0, trace.current.min())), float(max(0.0, trace.current.max()))
    return plot.render(
        plot.stairs(np.arange(len(trace.current)), trace.current, "current"),
        x_ticks=step_ticks(x),
        y_ticks=[(value, decimal(value)) for value in sorted({low, high})],
    )


def curve_figure(curve: TransferCurve) -> Html:
    """Spike counts against constant input beside the rectified-linear unit."""
    relu = np.maximum(0.0, curve.steps * curve.current)
    rtl = [] if curve.rtl_counts is None else [curve.rtl_counts]
    plot = Plot(
        x=_sideways(curve.current),
        y=Scale.upwards(relu, curve.float_counts, curve.fixed_counts, *rtl),
        height=280,
        label="Spike count against input current, beside the rectified-linear unit",
        caption=f"spikes in {count(curve.steps)} steps",
    )
    dots, dots_key = _dots(plot, curve.current, curve.fixed_counts, curve.rtl_counts, "input")
    return tag(
        "figure",
        legend(
            ("float", "float"),
            ("fixed", "fixed point"),
            dots_key,
            ("bad", "RTL differs")
            if _different(curve.fixed_counts, curve.rtl_counts).any()
            else None,
            ("threshold", f"ReLU: max(0, {count(curve.steps)} × current)"),
        ),
        plot.render(
            plot.line(curve.current, curve.float_counts, "float"),
            plot.line(curve.current, curve.fixed_counts, "fixed"),
            plot.line(curve.current, relu, "threshold"),
            dots,
            x_ticks=nice_ticks(plot.x, 6),
            y_ticks=nice_ticks(plot.y, 6),
        ),
        tag("p", "constant input current, in thresholds a step", class_="axis"),
        class_="card",
    )


def raster_figure(raster: Raster) -> Html:
    """A sample's picture, the spikes of each layer, and what the output neurons made of them."""
    right = raster.label == raster.decision
    shown = None
    if raster.image is not None:
        shown = tag("div", picture(raster.image, f"The sample, a {raster.label}"), class_="digit")
    facts = tag(
        "dl",
        *(tag("dt", "shown"), tag("dd", str(raster.label))),
        *(tag("dt", "decided"), tag("dd", str(raster.decision), class_="good" if right else "bad")),
    )
    x = Scale.steps(len(raster.membrane))
    return tag(
        "figure",
        tag("figcaption", tag("h3", raster.title)),
        tag(
            "div",
            tag("div", shown, facts, _totals(raster), class_="side"),
            tag(
                "div",
                *(cells(name, counts, x) for name, counts in raster.layers),
                _output_membrane(raster, x),
                class_="main",
            ),
            class_="sample",
        ),
        class_="card",
    )


def picture(image: Array, label: str) -> Html:
    """A picture in shades of the page's ink."""
    low, span = float(image.min()), float(np.ptp(image)) or 1.0
    rows, columns = image.shape
    return tag(
        "svg",
        *(
            tag(
                "rect",
                x=str(column),
                y=str(row),
                width="1",
                height="1",
                fill_opacity=f"{(float(image[row, column]) - low) / span:.3f}",
            )
            for row in range(rows)
            for column in range(columns)
        ),
        viewBox=f"0 0 {columns} {rows}",
        role="img",
        aria_label=label,
        class_="picture",
    )


def _totals(raster: Raster) -> Html:
    """Spikes of each output neuron in all steps."""
    totals = raster.layers[-1][1].sum(axis=0, dtype=np.int64)
    outputs = len(totals)
    plot = Plot(
        x=Scale.steps(outputs),
        y=Scale(float(max(1, totals.max())) * 1.08, 0.0),
        height=90,
        label="Spikes of each output neuron: " + ", ".join(str(int(n)) for n in totals),
        caption="spikes of each output",
    )
    columns = np.arange(outputs)
    marks = []
    for chosen, kind in ((totals > 0, "weak"), (columns == raster.decision, "fixed")):
        high = totals[chosen]
        marks.append(plot.boxes(columns[chosen], high / 2, kind, width=0.7, height=high))
    return plot.render(*marks, x_ticks=_index_ticks(outputs), y_ticks=nice_ticks(plot.y, 3))


def cells(name: str, counts: Array, x: Scale, *, ticks: bool = False) -> Html:
    """A box for each step and neuron with a spike, stronger for more than one.

    Parameters
    ----------
    ticks
        Whether the steps are numbered.
    """
    neurons = counts.shape[1]
    stride = every(neurons, _ROWS)
    few = f", of which one in {stride} is drawn" if stride > 1 else ""
    plot = Plot(
        x=x,
        y=Scale(-0.5 * stride, neurons - 0.5 * stride),
        height=round(min(260, max(36, neurons * min(13, max(2.5, 170 / neurons))))),
        label=f"Spikes of {name}: {neurons} neurons, {int(counts.sum())} spikes",
        caption=f"{name}: {count(neurons)} neurons, {count(int(counts.sum()))} spikes{few}",
    )
    levels = np.ceil(counts[:, ::stride] / (float(counts.max()) or 1.0) * 4).astype(np.int64)
    marks = []
    for level in range(1, 5):
        when, who = np.nonzero(levels == level)
        marks.append(plot.boxes(when, who * stride, f"spikes level{level}", height=0.8 * stride))
    x_ticks = step_ticks(x) if ticks else ()
    return plot.render(*marks, x_ticks=x_ticks, y_ticks=_index_ticks(neurons))


def _output_membrane(raster: Raster, x: Scale) -> Html:
    steps, outputs = raster.membrane.shape
    plot = Plot(
        x=x,
        y=Scale.upwards(raster.membrane, raster.threshold),
        height=170,
        label="Membrane potentials of the output neurons",
        caption="membrane potential of each output",
    )
    time = np.arange(steps)
    kinds = {raster.label: "rtl", raster.decision: "fixed"}
    order = sorted(range(outputs), key=lambda neuron: (neuron in kinds, neuron == raster.decision))
    wrong = raster.label != raster.decision
    return join(
        [
            plot.render(
                plot.level(raster.threshold, "threshold"),
                *(
                    plot.line(time, raster.membrane[:, neuron], kinds.get(neuron, "weak"))
                    for neuron in order
                ),
                x_ticks=step_ticks(x),
                y_ticks=nice_ticks(plot.y, 4),
            ),
            legend(
                ("fixed", f"output {raster.decision}, the decision"),
                ("rtlline", f"output {raster.label}, the truth") if wrong else None,
                ("weak", "the others"),
                ("threshold", f"threshold {decimal(raster.threshold)}"),
            ),
        ]
    )


def _dots(
    plot: Plot, x: Array, fixed: Array, rtl: Array | None, what: str = "step"
) -> tuple[Html, tuple[str, str] | None]:
    """Dots of the RTL on the fixed-point line, and in another colour wherever it is not on it."""
    if rtl is None:
        return join(()), None
    stride = every(len(x), _DOTS)
    marks = plot.dots(x[::stride], rtl[::stride], "rtl")
    wrong = _different(fixed, rtl)
    key = "RTL" if stride == 1 else f"RTL (a dot every {stride} {what}s)"
    return join([marks, plot.dots(x[wrong], rtl[wrong], "bad")]), ("rtl", key)


def _different(fixed: Array, rtl: Array | None) -> Array:
    """Where the two differ by more than the rounding of a conversion to real units."""
    if rtl is None:
        return np.zeros(len(fixed), dtype=bool)
    return ~np.isclose(rtl, fixed, rtol=1e-9, atol=1e-9 * float(np.abs(fixed).max()))


def _sideways(values: Array) -> Scale:
    scale = Scale.upwards(values, margin=0.03)
    return Scale(scale.end, scale.start)


def step_ticks(x: Scale) -> list[Tick]:
    """Ticks at whole steps, the first of which says what they are."""
    ticks = [tick for tick in nice_ticks(x, 6) if tick[0] == round(tick[0]) and tick[0] >= 0]
    if ticks:
        ticks[0] = (ticks[0][0], f"step {ticks[0][1]}")
    return ticks


def _index_ticks(length: int) -> list[Tick]:
    """Numbers of at most twelve of so many neurons."""
    stride = 1
    while length > 12 * stride:
        stride *= 2
    return [(index, str(index)) for index in range(0, length, stride)]
