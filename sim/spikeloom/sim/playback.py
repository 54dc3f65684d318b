"""Runs the player in a simulator, without Python in the loop."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeloom.rtl_gen.emit import describe, emit_verilog, header_lines
from spikeloom.sim.check import first_difference
from spikeloom.sim.player import TOP, player_verilog
from spikeloom.sim.runner import SimulationError, build_folder, last_line, run_child
from spikeloom.sim.tools import find_simulators
from spikeloom.sim.vectors import ALARMS, Design, Vectors

__all__ = ["MODULE", "Played", "play", "write_player"]

MODULE = "spikeloom_dut"
"""Name of the design's Verilog module."""


@dataclass(frozen=True, eq=False)
class Played:
    """What came out of a design.

    Attributes
    ----------
    outputs
        For each stream out of the design its words in hexadecimal, with letters where bits are
        unknown.
    cycles
        For each of these words its clock cycle, 0 being the first after the reset.
    difference
        The first difference to what must come out, or an empty string.
    """

    outputs: dict[str, list[str]]
    cycles: dict[str, list[int]]
    difference: str


def write_player(top: Design, folder: Path, profile: str) -> list[Path]:
    """Write a design and its player in Verilog; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    design, player = folder / f"{MODULE}.v", folder / "player.v"
    design.write_text(emit_verilog(top, MODULE, header_lines(top, profile)))
    player.write_text(player_verilog(describe(top, MODULE, profile)))
    return [design, player]


def play(
    simulator: str, sources: Sequence[Path], vectors: Vectors, folder: Path, *, gap: int = 0
) -> Played:
    """Build the player, unless the very same is built already, and let it play.

    Parameters
    ----------
    simulator
        ``"verilator"`` or ``"icarus"``.
    sources
        What :func:`write_player` wrote.
    vectors
        What is played, and what must come out.
    folder
        Where it is built and run.
    gap
        As :func:`~spikeloom.sim.engine.run_engine`'s.

    Raises
    ------
    SimulationError
        If the simulator is missing, refuses the design or crashes; the message names the log.
    """
    tool = find_simulators()[simulator]
    if tool.found is None:
        raise SimulationError(f"{simulator} was not found; to get it: {tool.remedy}")
    vectors.save(folder / "vectors")
    program = _built(simulator, tool.found, sources, folder)
    log = folder / "play.txt"
    path = str(program.resolve())
    run = ["vvp", "-n", path] if simulator == "icarus" else [path]
    code = run_child([*run, f"+gap={gap}"], log, folder)
    words = log.read_text(errors="replace").splitlines()
    ended = next((line for line in words if line.startswith("ended ")), None)
    if code or ended is None:
        raise SimulationError(
            f"{simulator} did not finish; its output ends in {last_line(log)!r} (all of it is in"
            f" {log})"
        )
    outputs, cycles = {}, {}
    for stream in vectors.outputs:
        fields = (folder / f"{stream}.log").read_text().split()
        outputs[stream], cycles[stream] = fields[1::2], [int(cycle) for cycle in fields[::2]]
    difference = first_difference(outputs, vectors.outputs) or _mishap(ended)
    return Played(outputs, cycles, difference)


def _built(simulator: str, version: str, sources: Sequence[Path], folder: Path) -> Path:
    """The program that plays, built in a folder that make can stand."""
    command = _command(simulator)
    digest = hashlib.sha256(repr((simulator, version, command)).encode())
    for source in sources:
        digest.update(source.read_bytes())
    key = digest.hexdigest()
    build = build_folder(folder, key)
    program = build / TOP
    stamp = folder / "built"
    if stamp.is_file() and stamp.read_text() == key and program.is_file():
        return program
    stamp.unlink(missing_ok=True)
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    for source in sources:
        shutil.copyfile(source, build / source.name)
    log = folder / "build.txt"
    code = run_child([*command, *(source.name for source in sources)], log, build)
    if code or not program.is_file():
        raise SimulationError(
            f"{simulator} refused the design: {last_line(log)!r} (all of it is in {log})"
        )
    stamp.write_text(key)
    return program


def _command(simulator: str) -> list[str]:
    if simulator == "icarus":
        return ["iverilog", "-g2012", "-s", TOP, "-o", TOP]
    # The player makes its own clock, for which Verilator needs coroutines. A design's memories
    # are initialised by code, over which the compiler takes its time from -O2 on.
    flags = ["-CFLAGS", "-fcoroutines -O1"]
    return [
        *("verilator", "--binary", "--timing", "-Wno-fatal", "-O3", *flags, "-j", "0"),
        *("--top-module", TOP, "--Mdir", ".", "-o", TOP),
    ]


def _mishap(ended: str) -> str:
    """What the player itself found to be wrong."""
    values = dict(each.split("=") for each in ended.split()[1:])
    if values.pop("stuck") != "0":
        return "the design stopped before its last word came out"
    # An alarm that is not known is no better than one that is high.
    return next((ALARMS[name] for name, value in values.items() if value != "0"), "")
