"""``spikeloom build``: a bitstream for a board."""

import argparse
from pathlib import Path
from typing import Any

from spikeloom.boards.board import BOARDS, Board
from spikeloom.boards.flow import BuildResult, build
from spikeloom.boards.link_facts import WEIGHTS
from spikeloom.boards.top import HostLink
from spikeloom.boards.vivado import SCRIPT, write_project
from spikeloom.cli.generate import (
    add_design_arguments,
    add_plan_argument,
    network_top,
    read_design,
    read_tables,
)
from spikeloom.cli.plan_file import planned_clock
from spikeloom.cli.progress import console, print_json, progress, say
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.output import check_output

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "build",
        help="make a bitstream for a board",
        description="Synthesises, places and routes a network behind a serial line, and writes a"
        " folder with bitstream, reports and logs. There is no bitstream where the clock is too"
        " fast for the design. Where only the FPGA's maker has tools, the folder holds a project"
        " for them, and no bitstream is built here.",
    )
    add_design_arguments(parser)
    add_plan_argument(parser)
    parser.add_argument("--board", choices=sorted(BOARDS), required=True, help="the board")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=1, help="seed of placement (default 1)")
    parser.add_argument(
        "--frequency",
        type=float,
        metavar="MHZ",
        help="clock rate (default: the plan's, or the board's own)",
    )
    parser.add_argument(
        "--baud",
        type=int,
        metavar="RATE",
        help="bits a second of the serial line (default: 1000000; `spikeloom boards` lists the most"
        " that each board's USB bridge makes)",
    )
    parser.add_argument(
        "--spi", action="store_true", help="the host is on the board's SPI connector instead"
    )
    parser.add_argument(
        "--flash",
        action="store_true",
        help="load weights from the board's flash when the power comes, and not from the host",
    )
    parser.add_argument(
        "--monitor",
        action="store_true",
        help="have the host read membrane potentials and counters, at the cost of some logic",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    check_output(arguments.output, "build")
    frequency = None
    if arguments.plan is not None:
        frequency = planned_clock(arguments.plan, arguments.board)
    if arguments.frequency is not None:
        frequency = arguments.frequency * 1e6
    design = read_design(arguments, read_tables(arguments))
    top = network_top(design, "a neuron array has no events to send over a serial line")
    board = BOARDS[arguments.board]
    link = HostLink(
        baud=arguments.baud,
        spi=arguments.spi,
        flash=arguments.flash,
        monitor=arguments.monitor,
    )
    if not board.built:
        return _write_project(top, board, frequency, link, arguments)
    with progress(quiet=arguments.json) as bars:
        bar = bars.add_task("", total=None)
        result = build(
            top,
            board,
            arguments.output,
            seed=arguments.seed,
            frequency=frequency,
            link=link,
            progress=lambda stage: bars.update(bar, description=stage),
        )
        bars.update(bar, total=1, completed=1, description="built")
    if arguments.json:
        print_json(_plain(result, arguments.output))
    else:
        _print(result)
    return 0


def _write_project(
    top: NetworkTop,
    board: Board,
    frequency: float | None,
    link: HostLink,
    arguments: argparse.Namespace,
) -> int:
    """Write a project for the maker's tool."""
    project = write_project(top, board, arguments.output, frequency=frequency, link=link)
    if arguments.json:
        facts = {
            "folder": str(arguments.output),
            "board": board.title,
            "chip": f"{board.chip} {board.package}",
            "target_mhz": project.frequency / 1e6,
            "baud": project.baud,
            "bitstream": None,
        }
        print_json(facts)
    else:
        say(f"project      {project.folder}")
        say(f"bitstream    not built here; to make {project.file}, type there:")
        say(f"             vivado -mode batch -source {SCRIPT}")
    return 0


def _plain(result: BuildResult, folder: Path) -> dict[str, Any]:
    board = BOARDS[result.board]
    return {
        "folder": str(folder),
        "cached": result.cached,
        "board": board.title,
        "chip": f"{board.chip} {board.package}",
        "used": {name: vars(usage) for name, usage in result.usage.items()},
        "fmax_mhz": result.fmax / 1e6,
        "target_mhz": result.frequency / 1e6,
        "baud": result.baud,
        "critical_path": [
            f"{step.delay:6.2f} ns  {step.kind}  {step.name}" for step in result.critical_path
        ],
        "bitstream": result.bitstream.name,
        "bitstream_bytes": result.bitstream.stat().st_size,
        "seconds": result.seconds,
        "tools": result.tools,
    }


def _print(result: BuildResult) -> None:
    for name, usage in result.usage.items():
        console.print(f"{name:<12} {usage.used:5} of {usage.available}")
    console.print(f"clock        {result.fmax / 1e6:.2f} MHz (needs {result.frequency / 1e6:g})")
    console.print(f"serial line  {result.baud:,} baud")
    kept = " (as built before)" if result.cached else ""
    console.print(f"bitstream    {result.bitstream}{kept}", soft_wrap=True)
    if (weights := result.folder / WEIGHTS).is_file():
        console.print(f"weights      {weights}, to be sent before all events", soft_wrap=True)
