"""``spikeloom verify``: runs a generated folder's testbench."""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from spikeloom.cli.progress import console, print_json, progress, task
from spikeloom.rtl_gen.output import write_whole
from spikeloom.sim.bundle import Bundle
from spikeloom.sim.runner import SimulationError, Verdict
from spikeloom.sim.tools import SIMULATORS, find_simulators

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "verify",
        help="run a generated folder's testbench",
        description="Runs the cocotb testbench of a folder that `spikeloom generate` wrote in"
        " every simulator found, and writes FOLDER/results.xml (JUnit).",
    )
    parser.add_argument("folder", type=Path, help="the folder")
    parser.add_argument(
        "--simulator",
        choices=SIMULATORS,
        action="append",
        help="only in this simulator; may be given twice",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the testbench (default 1)")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    bundle = Bundle.open(arguments.folder)
    if find_spec("cocotb") is None:
        raise SimulationError("cocotb is not there; to get it, type: pip install 'spikeloom[sim]'")
    simulators = arguments.simulator or _found()
    verdicts = []
    with progress(quiet=arguments.json) as bars:
        for simulator in simulators:
            with task(bars, f"{bundle.module} in {simulator}"):
                verdicts.append(bundle.verify(simulator, arguments.seed))
    _write_junit(arguments.folder / "results.xml", verdicts)
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
