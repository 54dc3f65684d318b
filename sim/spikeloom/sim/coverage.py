"""Which lines of the generated design have run, and which of its bits have gone up and down."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.bins import WAITS, Bin, monitor_verilog
from spikeloom.sim.campaign import Stage, play_stage
from spikeloom.sim.evidence import Evidence, Strength
from spikeloom.sim.mutants import FLAT, write_flat
from spikeloom.sim.netlist import Netlist
from spikeloom.sim.playback import MODULE, build_player, write_player
from spikeloom.sim.player import TOP
from spikeloom.sim.runner import SimulationError
from spikeloom.sim.yosys import run_yosys

__all__ = ["Coverage", "Point", "measure_coverage", "read_points"]

WHOLE = "whole.json"
"""File of the flat design."""
GOALS = {"line": 95.0, "toggle": 90.0}
"""Per cent that must be covered."""


@dataclass(frozen=True)
class Point:
    """Something that Verilator counts.

    Attributes
    ----------
    file, line
        Where it is.
    kind
        ``line``, ``branch`` or ``toggle``.
    scope
        The instance that it is in, its parts parted by points.
    what
        Which branch, or which bit and, where the tool tells them apart, which way it goes.
    """

    file: str
    line: int
    kind: str
    scope: str
    what: str


@dataclass(frozen=True, eq=False)
class Coverage:
    """What was covered.

    Attributes
    ----------
    covered, missed
        Points, without those that are left out; some of each kind.
    excluded
        Points that are left out, with the reason.
    bins
        Situations of the hardware.
    """

    covered: tuple[Point, ...]
    missed: tuple[Point, ...]
    excluded: dict[Point, str]
    bins: tuple[Bin, ...]

    def share(self, kind: str) -> float:
        """Per cent of the points of a kind, ``line`` (branches too) or ``toggle``."""
        covered = sum(_kind(each) == kind for each in self.covered)
        total = covered + sum(_kind(each) == kind for each in self.missed)
        return 100 * covered / total

    def lines(self) -> Iterator[str]:
        """What was not reached, and what was left out and why."""
        yield "Not reached:"
        yield from _listed(dict.fromkeys(self.missed, ""))
        yield "Left out:"
        yield from _listed(self.excluded)


def _kind(point: Point) -> str:
    return "toggle" if point.kind == "toggle" else "line"


def _listed(reasons: Mapping[Point, str]) -> Iterator[str]:
    """Points, with their reasons; both ways of a bit are in one line, and all bits of a wire."""
    wires: dict[tuple[Point, str], dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for point, reason in reasons.items():
        name, bit, way = _bit(point.what) if point.kind == "toggle" else (point.what, -1, "")
        wires[replace(point, what=name), reason][bit].append(way)
    for (point, reason), bits in wires.items():
        alike: dict[str, list[int]] = defaultdict(list)
        for bit, ways in bits.items():
            alike[ways[0] if len(ways) == 1 else ""].append(bit)
        for way, several in alike.items():
            what = f"{point.what}{_ranges(several)}{way}"
            because = f": {reason}" if reason else ""
            yield f"  {point.kind} {what} in {point.scope}, line {point.line}{because}"


def _ranges(bits: Iterable[int]) -> str:
    """Numbers of bits, those in a row from the first to the last; -1 is the only bit of a wire."""
    ranges: list[list[int]] = []
    for bit in sorted(bits):
        if ranges and bit == ranges[-1][-1] + 1:
            ranges[-1][1:] = [bit]
        else:
            ranges.append([bit])
    return "" if ranges == [[-1]] else f"[{', '.join('-'.join(map(str, r)) for r in ranges)}]"


def read_points(text: str) -> dict[Point, int]:
    """Points and counts of a coverage file of Verilator's.

    A line is ``C '...' count``; between the quotes are fields, each a name behind the character
    with number 1 and a value behind that with number 2. Counts of the same point add up.

    Raises
    ------
    ValueError
        If the text is not such a file.
    """
    lines = text.splitlines()
    if not lines or not lines[0].startswith("# SystemC::Coverage"):
        raise ValueError("text must be a coverage file of Verilator's, but its first line is not")
    points: dict[Point, int] = defaultdict(int)
    for line in lines[1:]:
        found = re.fullmatch(r"C '(.*)' (\d+)", line)
        if found is None:
            raise ValueError(f"line must be a point and its count, not {line!r}")
        fields = dict(part.split("\x02", 1) for part in found[1].split("\x01") if part)
        kind = re.match(r"v_(\w+)", fields.get("page", ""))
        if kind is None:
            raise ValueError(f"point must be of a kind, but {line!r} names none")
        point = Point(
            file=fields.get("f", ""),
            line=int(fields.get("l", 0)),
            kind=kind[1],
            scope=fields.get("h", ""),
            what=_decoded(fields.get("o", "")) + (f" ({fields['S']})" if "S" in fields else ""),
        )
        points[point] += int(found[2])
    return dict(points)


def _decoded(name: str) -> str:
    """A name with its characters that Verilator wrote as numbers."""
    return re.sub("__0([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), name)


def measure_coverage(
    top: NetworkTop,
    stages: Sequence[Stage],
    folder: Path,
    progress: Callable[[str], None] = lambda words: None,
) -> Coverage:
    """Play stages, and see what of the design they reach.

    Bits that yosys finds to be constant are left out, and bits of memories' words that are the same
    in all words of one that is never written.

    Parameters
    ----------
    top
        The design.
    stages
        What is played; each must be right.
    folder
        Where it is built and run.
    progress
        Is called with words on what is going on.

    Raises
    ------
    SimulationError
        If Verilator is missing or counts nothing, or a stage is not right.
    """
    progress("compiling for coverage")
    sources = write_player(top, folder, "coverage")
    options = ["--coverage-line", "--coverage-toggle", "--coverage-max-width", "1024"]
    design, player = sources
    monitor, watched = monitor_verilog(design.read_text(), f"{TOP}.player.dut")
    (folder / "monitor.v").write_text(monitor)
    start = f"module {TOP};\n"
    player.write_text(player.read_text().replace(start, f"{start}    monitor monitor ();\n"))
    sources = [design, player, folder / "monitor.v"]
    program = build_player("verilator", sources, folder, options)
    points: dict[Point, int] = defaultdict(int)
    seen: set[int] = set()
    for number, stage in enumerate(stages):
        progress(stage.name)
        place = folder / f"stage_{number}"
        stage.vectors.save(place / "vectors")
        if difference := stage.difference(play_stage(program, stage, place)):
            raise SimulationError(f"{stage.name} must be right, but {difference}")
        for point, count in read_points((place / "coverage.dat").read_text()).items():
            if Path(point.file).name == f"{MODULE}.v":
                points[point] += count
        seen |= {int(k) for k in re.findall(r"^bin (\d+)$", (place / "play.txt").read_text(), re.M)}
    constants = constant_bits(top, folder)
    never = _never_full(top, folder)
    text = design.read_text()
    memories = set(re.findall(r"^  reg (?:\[\d+:0\] )?(\w+) *\[\d+:\d+\];", text, re.M))
    lines = text.splitlines()
    excluded = {
        point: why for point in points if (why := _reason(point, constants, memories, lines))
    }
    counted = {point: count for point, count in points.items() if point not in excluded}
    for kind in GOALS.keys() - set(map(_kind, counted)):
        raise SimulationError(f"Verilator must count {kind}s of the design, but it counted none")
    return Coverage(
        covered=tuple(point for point, count in counted.items() if count),
        missed=tuple(point for point, count in counted.items() if not count),
        excluded=excluded,
        bins=tuple(
            Bin(name, k in seen, never.get(name, ""), source="hardware")
            for k, name in enumerate(watched)
        ),
    )


def coverage_evidence(
    coverage: Coverage, situations: Sequence[Bin], repeat: str, seconds: float
) -> list[Evidence]:
    """What coverage says of a design.

    What the tests do not reach they do not test; that it is wrong nothing says. But what cannot
    occur must not.

    Parameters
    ----------
    coverage
        Of the design.
    situations
        Those of the golden model.
    repeat, seconds
        As of :class:`~spikeloom.sim.evidence.Evidence`.
    """
    bins = [*situations, *coverage.bins]
    reachable = [each for each in bins if not each.unreachable]
    missed = [each.name for each in reachable if not each.reached]
    wrong = [each.name for each in bins if each.reached and each.unreachable]
    found = [
        (
            f"{GOALS[kind]:g} % of {words} of the generated design are reached",
            coverage.share(kind) >= GOALS[kind],
            f"{coverage.share(kind):.2f} %, without"
            f" {sum(_kind(each) == kind for each in coverage.excluded)} that are constant",
        )
        for kind, words in (("line", "lines and branches"), ("toggle", "bits, up and down,"))
    ]
    found.append(
        (
            "the situations that matter have all occurred",
            not missed,
            f"{len(reachable) - len(missed)} of {len(reachable)};"
            f" {len(bins) - len(reachable)} that this network cannot be in are left out"
            + (f"; not reached: {', '.join(missed)}" if missed else ""),
        )
    )
    evidence = [
        Evidence(
            group="coverage",
            name=name,
            strength=Strength.TESTED if passed else Strength.PARTIAL,
            passed=passed,
            detail=detail,
            repeat=repeat,
            seconds=seconds,
        )
        for name, passed, detail in found
    ]
    evidence.append(
        Evidence(
            group="coverage",
            name="no situation that the network cannot be in has occurred",
            strength=Strength.TESTED,
            passed=not wrong,
            detail=", ".join(wrong) if wrong else f"none of {len(bins) - len(reachable)}",
            repeat=repeat,
        )
    )
    return evidence


def _never_full(top: NetworkTop, folder: Path) -> dict[str, str]:
    """Names of situations that cannot be since a queue is never full, and which queue that is.

    A queue on a way that closes a loop holds all that can be under way there
    (:func:`~spikeloom.rtl_gen.delay.loop_depth`); whoever sends into it, by whatever name in the
    flat design, never waits.
    """
    flat = json.loads((folder / WHOLE).read_text())["modules"][MODULE]
    nets: dict[str, list[int]] = {name: each["bits"] for name, each in flat["netnames"].items()}
    queues = {
        nets[f"population_{p}.junction.queue_{k}.i__ready"][0]: p
        for p, population in enumerate(top.populations)
        for k, source in enumerate(population.sources)
        if source.loop
    }
    return {
        f"{name.removesuffix('__ready')}: {WAITS}": "the queue of the loop onto population"
        f" {queues[bits[0]]} holds all that can be under way"
        for name, bits in nets.items()
        if name.endswith("__ready") and bits[0] in queues
    }


def constant_bits(top: NetworkTop, folder: Path) -> set[tuple[str, int]]:
    """Names of the wires, with the number of the bit, that never change.

    Names are those of the flat design, modules parted by points.
    """
    write_flat(top, folder)
    # Words of memories are known only where all are the same; the rest is yosys'.
    run_yosys(f"read_rtlil {FLAT}\nwrite_json {WHOLE}\n", folder, "whole")
    flat = json.loads((folder / WHOLE).read_text())["modules"][MODULE]
    for cell in flat["cells"].values():
        if cell["type"] == "$dffe":
            cell["type"] = "$dff"
    netlist = Netlist(flat)
    known = {
        netlist.memories[memory]["RD_DATA"][n]: value
        for memory in netlist.memories
        for n, value in netlist.constants(memory).items()
    }
    for cell in flat["cells"].values():
        for name, bits in cell["connections"].items():
            if cell["port_directions"][name] == "input":
                cell["connections"][name] = [known.get(bit, bit) for bit in bits]
    (folder / "known.json").write_text(json.dumps({"creator": "", "modules": {MODULE: flat}}))
    run_yosys(
        "read_json known.json\nopt_expr -full\nopt_dff\nopt_expr -full\nopt_dff\nopt_expr -full\n"
        "opt_dff\nopt_expr\nwrite_json constant.json\n",
        folder,
        "constant",
    )
    nets = json.loads((folder / "constant.json").read_text())["modules"][MODULE]["netnames"]
    found = set()
    for name, net in nets.items():
        before = flat["netnames"].get(name, net)["bits"]
        for k, bit in enumerate(net["bits"]):
            if isinstance(bit, str) or before[k] in known:
                found.add((name, k))
    return found


def _reason(
    point: Point, constants: set[tuple[str, int]], memories: set[str], lines: Sequence[str]
) -> str:
    """Why a point is left out, or an empty string."""
    scope = "".join(f"{part}." for part in point.scope.split(".")[3:])
    if point.kind != "toggle":
        choice = re.search(r"= \\?(\S+) +\? ", lines[point.line - 1])
        if choice and (scope + choice[1], 0) in constants:
            return "what it depends on is constant"
        return ""
    name, k, _ = _bit(point.what)
    if name.partition("[")[0] in memories:
        return "a word of a memory; what goes in and out is counted at its ports"
    return "constant" if (scope + name, max(k, 0)) in constants else ""


def _bit(what: str) -> tuple[str, int, str]:
    """Name and number of a bit that goes up or down, -1 if it has none, and which way it goes."""
    found = re.match(r"(.*?)(?:\[(\d+)\])?(:[01]->[01])?$", what)
    if found is None:
        raise ValueError(f"point must be of a bit, not {what!r}")
    return found[1], int(found[2] or -1), found[3] or ""
