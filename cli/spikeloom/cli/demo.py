"""``spikeloom demo``: the main job, end to end, on real handwritten digits."""

import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any, Self

from rich.markup import escape
from rich.progress import Progress

from spikeloom.cli.demo_report import demo_report
from spikeloom.cli.digits import DIGITS_LANES, load_digits_demo, write_design
from spikeloom.cli.progress import console, print_json, progress, task
from spikeloom.cli.report import write_report
from spikeloom.cli.report_data import Outcome, Report, Verdict
from spikeloom.cli.textbook import textbook_curve, textbook_traces
from spikeloom.reference.quantize import quantize
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed, run_float
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.output import check_output, mark, write_whole
from spikeloom.sim.bundle import write_bundle
from spikeloom.sim.engine import EngineRun, run_engine
from spikeloom.sim.tools import SIMULATORS, find_simulators

__all__ = ["add_parser"]

BOARD = "icebreaker"

IMAGES = {"verilator": 360, "icarus": 24, "amaranth": 2}
"""How many images each engine runs, so that none takes much longer than ten seconds."""

BUNDLE_IMAGES = 2


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="generate, simulate, build and report, on handwritten digits",
        description="Turns a network for handwritten digits into Verilog, runs that in"
        " every simulator found, compares every spike and every membrane potential with the"
        " golden model, makes a bitstream, and writes a report.",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("build/demo"),
        help="folder for everything that is made (default build/demo)",
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    start = monotonic()
    folder: Path = arguments.output
    check_output(folder, "demo")
    folder.mkdir(parents=True, exist_ok=True)
    mark(folder, "demo")
    with progress(quiet=arguments.json) as bars:
        with task(bars, "golden runs of 64-64-10 on handwritten digits"):
            digits = load_digits_demo()
            network = quantize(digits.network)
            float_run = run_float(digits.network, digits.stimulus)
            fixed_run = run_fixed(network, digits.stimulus)
        inputs = dict.fromkeys(network.inputs, digits.stimulus)
        golden = Scenario(inputs, fixed_run.outputs, tuple(fixed_run.membrane.values()))
        with task(bars, "writing Verilog, sidecar and testbench"):
            top = NetworkTop(network, DIGITS_LANES)
            (folder / "design").mkdir(exist_ok=True)
            design = write_design(digits, folder / "design")
            few = golden.head(BUNDLE_IMAGES)
            write_bundle(folder / "verilog", top, "digits", network.profile, few)
        with _Build(design, folder / "board", bars) as build:
            engines, absent = _engines()
            runs = [
                _simulate(engine, top, golden, folder / "sim" / engine, bars) for engine in engines
            ]
            quick = "icarus" if "icarus" in engines else "amaranth"
            with task(bars, f"textbook neurons in {quick}"):
                traces, trace_runs = textbook_traces(quick, folder / "sim")
                curve, curve_run = textbook_curve(quick, folder / "sim")
            built = build.result()
    report = demo_report(
        digits=digits,
        network=network,
        float_run=float_run,
        fixed_run=fixed_run,
        runs=runs,
        textbook_runs=[*trace_runs, curve_run],
        absent=absent,
        traces=traces,
        curve=curve,
        built=built,
    )
    write_report(report, folder / "report.html")
    results = _results(report)
    write_whole(folder / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    if arguments.json:
        print_json(results)
    else:
        _print(report, folder, monotonic() - start)
    equal = all(run.equal for run in [*runs, *trace_runs, curve_run])
    return 0 if equal and "error" not in built else 1


def _engines() -> tuple[list[str], dict[str, str]]:
    """Engines to run, and what to type for each that is absent; Amaranth's own is always there."""
    tools = find_simulators()
    found = [name for name in SIMULATORS if tools[name].found]
    absent = {name: tool.remedy for name, tool in tools.items() if not tool.found}
    return [*found, "amaranth"], absent


def _simulate(
    engine: str, top: NetworkTop, golden: Scenario, folder: Path, bars: Progress
) -> EngineRun:
    images = IMAGES[engine]
    with task(bars, f"{images} digits in {engine}, every spike and membrane potential"):
        return run_engine(engine, top, golden.head(images), folder, profile=top.network.profile)


class _Build:
    """``spikeloom build`` in a process of its own, beside the simulations."""

    def __init__(self, design: Path, folder: Path, bars: Progress) -> None:
        self._command = [
            *(sys.executable, "-m", "spikeloom.cli.main", "build", str(design)),
            *("--board", BOARD, "--output", str(folder), "--json"),
        ]
        self._bars = bars

    def __enter__(self) -> Self:
        self._task = self._bars.add_task(f"bitstream for {BOARD}", total=None)
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        return self

    def result(self) -> dict[str, Any]:
        """The build's facts, or a single fact ``error``."""
        output, error = self._process.communicate()
        self._bars.update(self._task, total=1, completed=1)
        if self._process.returncode:
            return {"error": error.strip().removeprefix("spikeloom: ")}
        facts: dict[str, Any] = json.loads(output)
        return facts

    def __exit__(self, *exception: object) -> None:
        # An interrupt, not a termination: the build ends its own tools and tidies up.
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()


def _results(report: Report) -> list[dict[str, Any]]:
    """The figures, as name, unit and value."""
    results: list[dict[str, Any]] = []

    def add(name: str, unit: str, value: float | None) -> None:
        if value is not None:
            results.append({"name": name, "unit": unit, "value": value})

    for accuracy in report.accuracies:
        name = accuracy.name.replace(" ", "_").lower()
        add(f"accuracy.{name}", "%", round(100 * accuracy.correct / accuracy.samples, 2))
        add(f"images.{name}", "images", accuracy.samples)
    for verdict in report.verdicts:
        name = f"{verdict.engine}.{verdict.design or 'none'}".replace(" ", "_")
        add(f"equality.{name}.spikes", "counts", verdict.spikes)
        add(f"equality.{name}.membranes", "potentials", verdict.membranes)
        add(f"equality.{name}.equal", "bool", int(verdict.outcome is Outcome.EQUAL))
    add("cycles_per_image", "cycles", report.cycles_per_image)
    resources = report.resources
    if resources is not None and not resources.skipped:
        add("fmax", "MHz", round(resources.fmax_mhz, 2))
        add("target", "MHz", resources.target_mhz)
        for name, (used, _) in resources.used.items():
            add(f"used.{name.replace(' ', '_').lower()}", "cells", used)
        add("bitstream", "bytes", resources.bitstream_bytes)
    return results


def _print(report: Report, folder: Path, seconds: float) -> None:
    for accuracy in report.accuracies:
        percent = 100 * accuracy.correct / accuracy.samples
        console.print(
            f"accuracy  {accuracy.name:<18} {percent:6.2f} %  of {accuracy.samples} images"
        )
    for verdict in report.verdicts:
        console.print(_sentence(verdict), soft_wrap=True)
    for warning in report.warnings:
        console.print(f"[yellow]note[/]      {warning}", soft_wrap=True)
    resources = report.resources
    if resources is not None and resources.skipped:
        console.print(f"[red]no bitstream:[/] {resources.skipped}", soft_wrap=True)
    elif resources is not None:
        used = ", ".join(f"{n} of {total} {name}" for name, (n, total) in resources.used.items())
        console.print(
            f"bitstream {resources.bitstream}, {resources.fmax_mhz:.1f} MHz"
            f" (needs {resources.target_mhz:g}), {used}",
            soft_wrap=True,
        )
    if report.cycles_per_image and report.clock_mhz:
        console.print(
            f"speed     {report.cycles_per_image:.0f} cycles an image,"
            f" {report.cycles_per_image / report.clock_mhz:.0f} µs at {report.clock_mhz:g} MHz"
        )
    console.print(f"report    {folder / 'report.html'}   ({seconds:.0f} s)", soft_wrap=True)


def _sentence(verdict: Verdict) -> str:
    where = f"{verdict.design} in {verdict.engine}"
    match verdict.outcome:
        case Outcome.EQUAL:
            return (
                f"[green]equal[/]     {where}: all {verdict.spikes} spike counts and"
                f" {verdict.membranes} membrane potentials of {verdict.samples} samples"
            )
        case Outcome.DIFFERENT:
            return f"[red]DIFFERENT[/] {where}: {escape(verdict.difference)}"
        case Outcome.NOT_RUN:
            return f"[yellow]not run[/]   {verdict.engine}: {escape(verdict.reason)}"
