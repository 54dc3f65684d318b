"""Runs the player in a simulator, without Python in the loop."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from spikeloom.rtl_gen.emit import describe, emit_verilog, header_lines
from spikeloom.sim.check import first_difference
from spikeloom.sim.player import TOP, player_verilog
from spikeloom.sim.runner import SimulationError, build_folder, last_line, run_child
from spikeloom.sim.tools import find_simulators
from spikeloom.sim.vectors import ALARMS, Design, Vectors

__all__ = [
    "MODULE",
    "Manner",
    "Played",
    "Program",
    "build_player",
    "play",
    "run_player",
    "write_player",
]

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


@dataclass(frozen=True)
class Program:
    """A player that was built.

    Attributes
    ----------
    simulator
        By what.
    command
        What runs it.
    """

    simulator: str
    command: tuple[str, ...]


def write_player(top: Design, folder: Path, profile: str) -> list[Path]:
    """Write a design and its player in Verilog; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    design, player = folder / f"{MODULE}.v", folder / "player.v"
    design.write_text(emit_verilog(top, MODULE, header_lines(top, profile)))
    player.write_text(player_verilog(describe(top, MODULE, profile)))
    return [design, player]


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a player plays; its arguments.

    Attributes
    ----------
    gap, refuse
        Of 256 cycles, how many are idle at each input, and how many refuse each output, by chance;
        0 to 240.
    hold
        How many cycles longer than one each such choice lasts.
    seed
        Seed of all chance.
    resets, within
        How often the design is reset before it plays to the end, each time after a number of cycles
        less than ``within``.
    strict
        Whether it ends with the first word that is wrong.
    limit
        From this cycle on no word may go in or come out, or ``None``.
    """

    gap: int = 0
    refuse: int = 0
    hold: int = 0
    seed: int = 1
    resets: int = 0
    within: int = 1
    strict: bool = False
    limit: int | None = None

    @property
    def arguments(self) -> list[str]:
        """What the player is given."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return [f"+{name}={int(value)}" for name, value in given.items() if value is not None]


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
    program = build_player(simulator, sources, folder)
    vectors.save(folder / "vectors")
    return run_player(program, vectors, folder, Manner(gap=gap, refuse=gap))


def build_player(
    simulator: str, sources: Sequence[Path], folder: Path, options: Sequence[str] = ()
) -> Program:
    """Build the player, unless the very same is built already.

    Parameters
    ----------
    simulator, sources, folder
        As :func:`play`'s.
    options
        More arguments of the simulator's compiler.

    Raises
    ------
    SimulationError
        If the simulator is missing or refuses the design; the message names the log.
    """
    tool = find_simulators()[simulator]
    if tool.found is None:
        raise SimulationError(f"{simulator} was not found; to get it: {tool.remedy}")
    folder.mkdir(parents=True, exist_ok=True)
    path = str(_built(simulator, tool.found, sources, folder, options).resolve())
    return Program(simulator, ("vvp", "-n", path) if simulator == "icarus" else (path,))


def run_player(
    program: Program,
    vectors: Vectors,
    folder: Path,
    manner: Manner,
    *,
    error: bool = False,
    others: Sequence[str] = (),
    arguments: Sequence[str] = (),
) -> Played:
    """Let a player play what lies in the folder's ``vectors``.

    Parameters
    ----------
    program
        What :func:`build_player` built.
    vectors
        The same, for comparison.
    folder
        Where it runs, and leaves its logs.
    manner
        How it plays.
    error
        Whether the design must take an event for an illegal one.
    others
        Streams out of the design that are not compared.
    arguments
        More arguments, for what is built into the design.

    Raises
    ------
    SimulationError
        If it crashes; the message names the log.
    """
    log = folder / "play.txt"
    code = run_child([*program.command, *manner.arguments, *arguments], log, folder)
    words = log.read_text(errors="replace").splitlines()
    ended = next((line for line in words if line.startswith("ended ")), None)
    if code or ended is None:
        raise SimulationError(
            f"{program.simulator} did not finish; its output ends in {last_line(log)!r} (all of it"
            f" is in {log})"
        )
    outputs, cycles = {}, {}
    for stream in (*vectors.outputs, *others):
        logged = (folder / f"{stream}.log").read_text().split()
        outputs[stream], cycles[stream] = logged[1::2], [int(cycle) for cycle in logged[::2]]
    difference = first_difference(outputs, vectors.outputs)
    if not difference or "unknown=1" in ended:
        difference = _mishap(ended, error)
    return Played(outputs, cycles, difference)


def _built(
    simulator: str, version: str, sources: Sequence[Path], folder: Path, options: Sequence[str]
) -> Path:
    """The program that plays, built in a folder that make can stand."""
    command = [*_command(simulator), *options]
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


def _mishap(ended: str, error: bool) -> str:
    """What the player itself found to be wrong."""
    seen = dict(flag.split("=") for flag in ended.split()[1:])
    if seen.pop("unknown") != "0":
        return "an output was unknown behind the reset"
    if seen.pop("unstable") != "0":
        return "a word changed while it waited"
    if seen.pop("stuck") != "0":
        return "the design stopped before its last word came out"
    if error and seen.pop("error") != "1":
        return "the design took illegal events for legal ones"
    # An alarm that is not known is no better than one that is high.
    return next((ALARMS[name] for name, value in seen.items() if value != "0"), "")
