"""``spikeloom virtual``: a build's board in a simulator, its serial line on a terminal."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spikeloom.boards.flow import FLASH
from spikeloom.boards.virtual import RunningBoard, Status, compile_virtual
from spikeloom.cli.progress import print_json, progress, say, task

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "virtual",
        help="run a build without its board",
        description="Compiles the design of a folder that `spikeloom build` wrote with Verilator,"
        " prints the path of a terminal that is the board's serial line, and runs until it is"
        " interrupted. The design is kept in FOLDER/sim and compiled once.",
    )
    parser.add_argument("folder", type=Path, help="the folder")
    parser.add_argument(
        "--netlist",
        action="store_true",
        help="the netlist of the synthesis, with the vendor's models of its cells (iCE40)",
    )
    parser.add_argument(
        "--flash",
        type=Path,
        metavar="FILE",
        help=f"what the board's serial flash holds (default: FOLDER/{FLASH}, where there is one)",
    )
    parser.add_argument(
        "--once", action="store_true", help="end when the terminal was opened and is closed again"
    )
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write waveforms, .vcd")
    parser.add_argument(
        "--json", action="store_true", help="print what the board did as JSON, behind the path"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    name = ("netlist" if arguments.netlist else "virtual") + "-trace" * bool(arguments.trace)
    folder: Path = arguments.folder / "sim" / name
    with progress(quiet=arguments.json) as bars, task(bars, "board in Verilator"):
        board = compile_virtual(
            arguments.folder, folder, netlist=arguments.netlist, trace=arguments.trace
        )
    flash = arguments.flash
    if flash is None and board.flash:
        flash = arguments.folder / FLASH
    with board.run(flash=flash, once=arguments.once) as running:
        print(running.path, flush=True)
        status = _wait(running)
    if arguments.json:
        print_json(asdict(status))
    else:
        _print(status, board.frequency)
    return 0


def _wait(running: RunningBoard) -> Status:
    """Until the board ends, or is to end: an interrupt is the usual way."""
    try:
        return running.wait()
    except KeyboardInterrupt:
        return running.stop()


def _print(status: Status, frequency: float) -> None:
    rate = status.cycles / status.seconds
    say(f"cycles       {status.cycles}, {1e3 * status.cycles / frequency:.1f} ms of the board")
    say(f"simulated    {rate / 1e6:.2f} MHz, {100 * rate / frequency:.1f} % of the board's speed")
    say(f"serial line  {status.bytes_in} bytes in, {status.bytes_out} bytes out")
    lit = [name for name in ("spike", "error") if getattr(status, name)]
    say(f"lamps lit    {', '.join(lit) or 'none'}")
