"""Single faults in the generated design, which its testbench must notice.

Yosys' ``mutate`` draws them: a bit at a port of a cell is inverted, stuck, or inverted where
another bit of the port is high, or low. All of them are in one design, behind a number that says
which is at work.
"""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from time import monotonic

import amaranth.back.rtlil as rtlil

from spikeloom.rtl_gen.emit import describe
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.campaign import Stage, play_stage
from spikeloom.sim.playback import MODULE, Played, Program, build_player
from spikeloom.sim.player import player_verilog
from spikeloom.sim.runner import SimulationError
from spikeloom.sim.yosys import run_yosys

__all__ = ["FLAT", "Mutant", "MutantRun", "Proof", "kill_mutants", "sample_mutants", "write_flat"]

FLAT = "flat.il"
"""File of the design that the faults are put into."""

DRAWN = 500
"""Faults of one call of ``mutate -list``, which does not end when asked for many more."""

# What stands in the source twice is there once, as every synthesis makes it: a fault in one of two
# equal adders is none that hardware can have.
_FLATTEN = f"""read_rtlil source.il
hierarchy -top {MODULE}
proc
flatten
opt_expr
opt_merge
opt_muxtree
opt_reduce
opt_merge
opt_expr
opt_clean
memory_collect
opt_clean
write_rtlil {FLAT}
"""
_SELECTOR = "mutsel"


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes
    ----------
    number
        Its number, from 1 on.
    mode
        ``inv``, ``const0``, ``const1``, ``cnot0`` or ``cnot1``, as yosys calls them.
    cell, port, bit
        Where: a cell of the flat netlist, one of its ports, and the bit of it.
    control
        The bit of the port that decides, of the latter two modes.
    wire
        Name and bit of the wire there, if it has a name.
    sources
        Lines of the generator that made the cell.
    """

    number: int
    mode: str
    cell: str
    port: str
    bit: int
    control: int | None
    wire: str
    sources: tuple[str, ...]

    @property
    def options(self) -> str:
        """What makes yosys' ``mutate`` put it in."""
        control = "" if self.control is None else f" -ctrlbit {self.control}"
        return (
            f"-mode {self.mode} -module {MODULE} -cell {self.cell} -port {self.port}"
            f" -portbit {self.bit}{control}"
        )

    def __str__(self) -> str:
        cell = self.cell.replace("$flatten", "").replace("\\", "")
        control = "" if self.control is None else f" by bit {self.control}"
        wire = f" ({self.wire})" if self.wire else ""
        return f"{self.mode} at {cell}.{self.port}[{self.bit}]{control}{wire}"


@dataclass(frozen=True)
class Proof:
    """What became of the proof of a mutant.

    Attributes
    ----------
    equivalent
        Whether it is proven that it cannot be noticed.
    how
        How it was proven, or why not.
    """

    equivalent: bool
    how: str


@dataclass(frozen=True, eq=False)
class MutantRun:
    """What a testbench made of the mutants.

    Attributes
    ----------
    mutants
        All of them.
    killed
        For the number of each one that was noticed the stage that did, and what it saw.
    seconds
        How long each stage took, by its name.
    crashed
        Numbers of those among them that were noticed by nothing but that the simulation crashed.
    """

    mutants: tuple[Mutant, ...]
    killed: dict[int, tuple[str, str]]
    seconds: dict[str, float]
    crashed: frozenset[int] = frozenset()

    def followed_by(self, other: "MutantRun") -> "MutantRun":
        """This one, and one of other stages for some of its mutants."""
        return MutantRun(
            self.mutants,
            self.killed | other.killed,
            self.seconds | other.seconds,
            self.crashed | other.crashed,
        )

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        """Those that no stage noticed."""
        return tuple(each for each in self.mutants if each.number not in self.killed)


def write_flat(top: NetworkTop, folder: Path) -> None:
    """Write the design without hierarchy, with the lines of the generator that made each cell."""
    text = rtlil.convert(top, name=MODULE, emit_src=True)
    # The same text in whatever folder all of this lies.
    text = re.sub(r'"[^"\n]*?/((?:spikeloom/\w+|amaranth)/[^"\n]*:\d+)"', r'"\1"', text)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "source.il").write_text(text)
    run_yosys(_FLATTEN, folder, "flatten")


def sample_mutants(folder: Path, count: int, seed: int) -> tuple[Mutant, ...]:
    """Draw faults for the design in a folder; the same for the same seed.

    Those at clocks are left out: what comes of them depends on the simulator.

    Parameters
    ----------
    folder
        Where :func:`write_flat` has written.
    count
        How many; fewer where there are no more.
    seed
        Of yosys' draw, and the seeds that follow it, as many as it takes.
    """
    found: dict[str, Mutant] = {}
    fruitless = 0
    while len(found) < count and fruitless < 3:
        run_yosys(
            f"read_rtlil {FLAT}\nmutate -list {DRAWN} -seed {seed} -o drawn.txt", folder, "draw"
        )
        before = len(found)
        for line in (folder / "drawn.txt").read_text().splitlines():
            mutant = _parsed(line, len(found) + 1)
            if not mutant.port.endswith("CLK") and len(found) < count:
                found.setdefault(mutant.options, mutant)
        fruitless = fruitless + 1 if len(found) == before else 0
        seed += 1
    return tuple(found.values())


def _parsed(line: str, number: int) -> Mutant:
    """A mutant out of a line of ``mutate -list``."""
    lexer = shlex.shlex(line, posix=False)
    lexer.whitespace_split = True
    lexer.commenters = lexer.quotes = ""
    words = list(lexer)[1:]
    options = dict(zip(words[::2], words[1::2], strict=True))
    sources = [value for key, value in zip(words[::2], words[1::2], strict=True) if key == "-src"]
    wire = f"{options['-wire']}[{options['-wirebit']}]" if "-wire" in options else ""
    return Mutant(
        number=number,
        mode=options["-mode"],
        cell=options["-cell"],
        port=options["-port"].lstrip("\\"),
        bit=int(options["-portbit"]),
        control=int(options["-ctrlbit"]) if "-ctrlbit" in options else None,
        wire=wire,
        sources=tuple(sources),
    )


def kill_mutants(
    top: NetworkTop,
    mutants: Sequence[Mutant],
    stages: Sequence[Stage],
    folder: Path,
    progress: Callable[[str], None] = lambda words: None,
) -> MutantRun:
    """Play stages into each mutant until one of them notices it.

    A mutant is noticed when a word, or where the stage says so its cycle, is another than it must
    be, when a word changes while it waits, the error flag is wrong, the design stops, takes twice
    as long as without a fault, or crashes the simulation. A crash is only the fault's where the
    design without it is right just behind it; else something else is wrong, such as a full disk.

    Parameters
    ----------
    top
        The design.
    mutants
        Of :func:`sample_mutants`.
    stages
        What is played.
    folder
        Where :func:`write_flat` has written.
    progress
        Is called with words on what is going on.

    Raises
    ------
    SimulationError
        If Verilator is missing, or the design without a fault is noticed or crashes.
    """
    progress(f"compiling {len(mutants)} mutants")
    program = _build(top, mutants, folder)
    alive = list(mutants)
    killed: dict[int, tuple[str, str]] = {}
    seconds: dict[str, float] = {}
    crashed: set[int] = set()
    for number, stage in enumerate(stages):
        progress(f"{stage.name}: {len(alive)} mutants")
        start = monotonic()
        place = folder / f"stage_{number}"
        # What another run has left there would be played too.
        rmtree(place, ignore_errors=True)
        stage.vectors.save(place / "vectors")
        played = _faultless(program, stage, place)
        limit = 2 * max(cycles[-1] for cycles in played.cycles.values() if cycles) + 1000
        for mutant in alive:
            try:
                seen = stage.difference(
                    play_stage(
                        program,
                        stage,
                        place,
                        arguments=[f"+mutant={mutant.number}"],
                        strict=True,
                        limit=limit,
                    )
                )
            except SimulationError as error:
                _faultless(program, stage, place)
                crashed.add(mutant.number)
                seen = str(error)
            if seen:
                killed[mutant.number] = (stage.name, seen)
        alive = [each for each in alive if each.number not in killed]
        seconds[stage.name] = monotonic() - start
    return MutantRun(tuple(mutants), killed, seconds, frozenset(crashed))


def _faultless(program: Program, stage: Stage, folder: Path) -> Played:
    """What the design without a fault does, which must be right."""
    played = play_stage(program, stage, folder, arguments=["+mutant=0"])
    if difference := stage.difference(played):
        raise SimulationError(f"without a fault, {stage.name} must be right, but {difference}")
    return played


def _build(top: NetworkTop, mutants: Sequence[Mutant], folder: Path) -> Program:
    """A player with all mutants, which ``+mutant=N`` chooses among; 0 is none."""
    width = max(each.number for each in mutants).bit_length()
    apply = "".join(
        f"mutate -ctrl {_SELECTOR} {width} {each.number} {each.options}\n" for each in mutants
    )
    run_yosys(
        f"read_rtlil {FLAT}\n{apply}rename {MODULE} mutated\nclean\n"
        "write_verilog -noattr mutated.v\n",
        folder,
        "apply",
    )
    sidecar = describe(top, MODULE, "mutants")
    ports = "".join(
        f",\n    {each['direction']} [{each['width'] - 1}:0] {each['name']}"
        for each in sidecar["ports"]
    ).lstrip(",")
    wired = ", ".join(f".{each['name']}({each['name']})" for each in sidecar["ports"])
    (folder / f"{MODULE}.v").write_text(
        f"module {MODULE} ({ports}\n);\n"
        f"    reg [{width - 1}:0] mutant;\n"
        '    initial if (!$value$plusargs("mutant=%d", mutant)) mutant = 0;\n'
        f"    mutated mutated ({wired}, .{_SELECTOR}(mutant));\n"
        "endmodule\n"
    )
    (folder / "player.v").write_text(player_verilog(sidecar))
    sources = [folder / name for name in ("mutated.v", f"{MODULE}.v", "player.v")]
    # What two choices at once come to is in the Verilog; that there are two is no difference yet.
    return build_player("verilator", sources, folder, ["--no-assert-case"])
