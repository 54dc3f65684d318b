"""The report: one HTML file that needs nothing else, for a browser, a phone or paper."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from spikeloom.cli.markup import Html, count, decimal, duration, join, listing, percent, tag
from spikeloom.cli.page import definitions, render_page, section, table
from spikeloom.cli.plots import curve_figure, raster_figure, trace_figure
from spikeloom.cli.report_data import (
    Outcome,
    Report,
    Resources,
    Verdict,
)
from spikeloom.rtl_gen.output import write_whole

__all__ = ["render_report", "write_report"]


def write_report(report: Report, path: Path) -> None:
    """Write the page to a file, whole or not at all; an earlier one is replaced at the end.

    Raises
    ------
    OSError
        If the file cannot be written. The earlier one is then as it was.
    """
    write_whole(path, render_report(report))


def render_report(report: Report) -> str:
    """The page. The same report gives the same text on any machine."""
    sections = (
        _accuracy(report),
        _equality(report),
        _sample(report),
        _traces(report),
        _curve(report),
        _hardware(report),
        _network(report),
        _not_run(report),
        _tools(report),
    )
    return render_page(report.title, _header(report), _headline(report), *sections)


def _header(report: Report) -> Html:
    return tag(
        "header",
        tag("p", f"Spikeloom {report.version}", class_="eyebrow"),
        tag("h1", report.title),
        tag(
            "p",
            "A trained spiking neural network, the hardware made of it, and the proof that both"
            " compute the same.",
            class_="lead",
        ),
    )


def _headline(report: Report) -> Html:
    """The verdict over all engines: equal only if one ran and none differed."""
    wrong = [v for v in report.verdicts if v.outcome is Outcome.DIFFERENT]
    equal = [v for v in report.verdicts if v.outcome is Outcome.EQUAL]
    idle = [v for v in report.verdicts if v.outcome is Outcome.NOT_RUN]
    if wrong:
        kind, mark = "bad", "✗"
        names = _names(wrong)
        verb = "differs" if len(names) == 1 else "differ"
        title = f"Not equal: {listing(names)} {verb} from the golden model"
        lines = [f"First difference in {_name(v)}{_of(v)}: {v.difference}" for v in wrong]
        lines += [f"Equal: {_amounts(equal)}."] if equal else []
    elif equal:
        kind, mark = "good", "✓"
        title = f"Equal, bit for bit: {_amounts(equal)}"
        lines = ["Hardware and golden model agree in every value of every step, without tolerance."]
    else:
        kind, mark = "warn", "?"
        title = "Not proven: no engine ran"
        lines = ["The hardware was compared with the golden model in no simulator."]
    lines += [f"Not run: {_name(v)}{_of(v)} ({v.reason})." for v in idle]
    return tag(
        "section",
        tag("span", mark, class_="mark", aria_hidden="true"),
        tag("div", tag("h2", title), *(tag("p", line) for line in lines)),
        class_=f"headline {kind}",
    )


def _amounts(verdicts: Sequence[Verdict]) -> str:
    """How much was compared in each engine; those that compared as much share the numbers."""
    shared: dict[tuple[int, int], list[str]] = {}
    for name in _names(verdicts):
        designs = [verdict for verdict in verdicts if _name(verdict) == name]
        amount = sum(v.spikes for v in designs), sum(v.membranes for v in designs)
        shared.setdefault(amount, []).append(name)
    return "; ".join(
        f"{count(spikes)} spike counts, {count(membranes)} membrane potentials, in {listing(names)}"
        for (spikes, membranes), names in shared.items()
    )


def _names(verdicts: Iterable[Verdict]) -> list[str]:
    return list(dict.fromkeys(_name(verdict) for verdict in verdicts))


def _name(verdict: Verdict) -> str:
    engine = verdict.engine[:1].upper() + verdict.engine[1:]
    return f"{engine} {verdict.version}".strip()


def _of(verdict: Verdict) -> str:
    return f", {verdict.design}" if verdict.design else ""


def _accuracy(report: Report) -> Html | None:
    if not report.accuracies:
        return None
    tiles = (
        tag(
            "li",
            tag("span", entry.name, class_="name"),
            tag("strong", percent(entry.correct, entry.samples)),
            tag("span", f"{count(entry.correct)} of {count(entry.samples)} images"),
        )
        for entry in report.accuracies
    )
    return section(
        "Accuracy",
        "How many test images each version of the network recognises, from floating point (float)"
        " over integers (fixed) to the hardware (RTL).",
        tag("ul", *tiles, class_="tiles"),
    )


def _equality(report: Report) -> Html | None:
    if not report.verdicts:
        return None
    several = any(verdict.design for verdict in report.verdicts)
    titles = ["engine", *(["design"] if several else []), "verdict"]
    numbers = ["samples", "spike counts", "potentials", "clock cycles", "time"]
    return section(
        "Equality with the golden model",
        "The golden model is the integer program that defines every spike and every membrane"
        " potential (the state of a neuron); each engine runs the generated Verilog on the same"
        " input, and all values are compared.",
        table(
            titles + numbers,
            [_verdict_row(verdict, several) for verdict in report.verdicts],
            numeric=len(titles),
            notes=[verdict.difference or verdict.reason for verdict in report.verdicts],
        ),
    )


def _verdict_row(verdict: Verdict, several: bool) -> list[str]:
    word, kind = {
        Outcome.EQUAL: ("equal", "good"),
        Outcome.DIFFERENT: ("differs", "bad"),
        Outcome.NOT_RUN: ("not run", "warn"),
    }[verdict.outcome]
    numbers = [
        count(verdict.samples),
        count(verdict.spikes),
        count(verdict.membranes),
        "–" if verdict.cycles is None else count(verdict.cycles),
        duration(verdict.seconds),
    ]
    return [
        tag("b", _name(verdict)),
        *([verdict.design or "–"] if several else []),
        tag("b", word, class_=kind),
        *(["–"] * len(numbers) if verdict.outcome is Outcome.NOT_RUN else numbers),
    ]


def _sample(report: Report) -> Html | None:
    if report.raster is None:
        return None
    return section(
        "One image on its way through the network",
        "The stronger a pixel, the more often it spikes; each box is a spike of one neuron (rows)"
        " in one step (from left to right), and the output neuron with the most spikes decides.",
        raster_figure(report.raster),
    )


def _traces(report: Report) -> Html | None:
    if not report.traces:
        return None
    return section(
        "Single neurons",
        "A neuron adds its input to its membrane potential and spikes at the threshold; the"
        " fixed-point neuron should stay close to the float one, and the hardware (RTL) must equal"
        " the fixed-point one.",
        tag("div", *(trace_figure(trace) for trace in report.traces), class_="pairs"),
    )


def _curve(report: Report) -> Html | None:
    if report.curve is None:
        return None
    return section(
        "Transfer curve",
        "How often a neuron spikes for a constant input, beside the rectified-linear unit (ReLU) of"
        " conventional networks: where both agree, training carries over.",
        curve_figure(report.curve),
    )


def _hardware(report: Report) -> Html | None:
    built = report.resources
    if built is None or built.skipped:
        # A build that did not happen is told among what was not run.
        return _speed_alone(report)
    facts = {}
    if built.bitstream:
        facts["bitstream"] = f"{built.bitstream}, {count(built.bitstream_bytes)} bytes"
    facts |= {tool: duration(seconds) for tool, seconds in built.seconds.items()}
    clock = (_clock(built), _speed(report), _path(built))
    return section(
        f"Hardware: {built.board}",
        f"What the design needs of the {built.chip} and how fast it may run, as synthesis and"
        " place and route report it.",
        tag(
            "div",
            tag("div", tag("h3", "Resources"), *_usage(built.used), class_="card"),
            tag("div", tag("h3", "Clock"), *clock, class_="card"),
            class_="pairs",
        ),
        definitions(facts),
    )


def _speed_alone(report: Report) -> Html | None:
    speed = _speed(report)
    if speed is None:
        return None
    return section(
        "Speed",
        "Clock cycles from one image to the next, counted in simulation, and the time they take.",
        tag("div", speed, class_="card"),
    )


def _usage(used: Mapping[str, tuple[int, int]]) -> Iterable[Html]:
    for name, (number, available) in used.items():
        part = number / available if available else float(number > 0)
        kind = "bad" if part > 1 else "warn" if part > 0.9 else "fill"
        amount = f"{count(number)} of {count(available)}"
        yield _bar(name, f"{amount} ({decimal(100 * part, 2)} %)", part, kind)


def _clock(built: Resources) -> Html:
    whole = 1.1 * max(built.fmax_mhz, built.target_mhz, 1e-9)
    spare = 100 * (built.fmax_mhz / built.target_mhz - 1) if built.target_mhz else 0.0
    verdict = f"met, {decimal(spare, 2)} % to spare" if built.timing_met else "not met"
    return join(
        [
            _bar(
                "highest clock rate",
                f"{decimal(built.fmax_mhz)} MHz",
                built.fmax_mhz / whole,
                "good" if built.timing_met else "bad",
                built.target_mhz / whole,
            ),
            tag(
                "p",
                f"Target {decimal(built.target_mhz)} MHz (the line): ",
                tag("b", verdict, class_="good" if built.timing_met else "bad"),
                ".",
            ),
        ]
    )


def _bar(name: str, amount: str, part: float, kind: str, mark: float | None = None) -> Html:
    width = f"width:{100 * min(1.0, part):.2f}%"
    line = None if mark is None else tag("i", style=f"left:{100 * mark:.2f}%")
    return tag(
        "div",
        tag("span", name),
        tag("span", amount, class_="amount"),
        tag("div", tag("div", class_=kind, style=width), line, class_="track", aria_hidden="true"),
        class_="bar",
    )


def _speed(report: Report) -> Html | None:
    if report.cycles_per_image is None:
        return None
    cycles = f"{decimal(report.cycles_per_image, 4)} clock cycles an image"
    if report.clock_mhz <= 0:
        return tag("p", f"{cycles}.")
    seconds = report.cycles_per_image / (report.clock_mhz * 1e6)
    rate = f"{decimal(1 / seconds)} images a second" if seconds else ""
    return tag(
        "p",
        f"{cycles}; at {decimal(report.clock_mhz)} MHz that is ",
        tag("b", duration(seconds)),
        f", or {rate}.",
    )


def _path(built: Resources) -> Html | None:
    if not built.critical_path:
        return None
    return tag(
        "details",
        tag("summary", f"Critical path, {count(len(built.critical_path))} entries"),
        tag("p", "The slowest way from register to register; it limits the clock rate."),
        tag("ol", *(tag("li", tag("code", entry)) for entry in built.critical_path)),
    )


def _network(report: Report) -> Html | None:
    if not (report.layers or report.profile):
        return None
    rows = [
        [
            tag("b", layer.name),
            count(layer.inputs),
            count(layer.neurons),
            count(layer.lanes),
            f"{count(layer.inputs * layer.neurons)} of {layer.weight_bits} bits",
            f"{layer.state_bits} bits",
            _threshold(layer.threshold),
            layer.decay,
            layer.reset,
        ]
        for layer in report.layers
    ]
    titles = [
        "layer",
        "inputs",
        "neurons",
        "lanes",
        "weights",
        "potential",
        "threshold",
        "decay",
        "reset",
    ]
    return section(
        "The network",
        "Its layers as they stand in the hardware, where a lane computes one neuron at a time,"
        " and its discretisation profile: the rule by which continuous time became steps.",
        table(titles, rows, numeric=1) if rows else None,
        definitions(report.profile),
    )


def _threshold(threshold: int | tuple[int, ...]) -> str:
    if isinstance(threshold, int):
        return count(threshold)
    low, high = min(threshold), max(threshold)
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def _not_run(report: Report) -> Html | None:
    """All that is missing on the page, with its reason."""
    missing = [
        (f"{_name(verdict)}{_of(verdict)}", verdict.reason)
        for verdict in report.verdicts
        if verdict.outcome is Outcome.NOT_RUN
    ]
    if report.resources is not None and report.resources.skipped:
        missing.append((f"build for {report.resources.board}", report.resources.skipped))
    if not (missing or report.warnings):
        return None
    return section(
        "Not run, and warnings",
        "What this report does not show, and what to keep in mind when reading it.",
        tag(
            "ul",
            *(tag("li", tag("b", name), f" not run: {reason}") for name, reason in missing),
            *(tag("li", warning) for warning in report.warnings),
            class_="notes",
        ),
    )


def _tools(report: Report) -> Html:
    return section(
        "How this was made",
        "The command, and the versions of all tools that took part: with the same ones the results"
        " are the same.",
        tag("p", tag("code", report.command), class_="command"),
        definitions({"spikeloom": report.version, **report.tools}),
    )
