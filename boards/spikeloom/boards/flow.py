"""From a network to a bitstream: yosys, nextpnr and the family's packer."""

import hashlib
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikeloom.boards.board import Board
from spikeloom.boards.family import Family
from spikeloom.boards.link_facts import WEIGHTS, host_files
from spikeloom.boards.tools import YOSYS, FlowTool, find_flow_tools
from spikeloom.boards.top import SERIAL, WEIGHTS_ADDRESS, BoardTop, HostLink
from spikeloom.reference.flash_image import flash_image
from spikeloom.rtl_gen.link.linked import EventNetwork
from spikeloom.rtl_gen.network import NetworkTop, Population
from spikeloom.rtl_gen.output import check_output, whole_folder

__all__ = [
    "FLASH",
    "READ_DESIGN",
    "STAGES",
    "BoardTooSmallError",
    "BuildResult",
    "FlowError",
    "PathStep",
    "TimingError",
    "Usage",
    "board_files",
    "build",
    "would_fit",
]

READ_DESIGN = """read_rtlil top.il
proc
memory_collect
setparam -set RD_COLLISION_X_MASK 1'1 a:no_rw_check
rename -hide w:*[[]*"""
"""Yosys minds the attribute in Verilog alone. And of names with brackets abc9 of yosys 0.70 dies in
some designs for an ECP5: an assertion in ``abc9_ops -reintegrate``."""

STAGES = ("elaborate", "prepare tools", "synthesise", "place and route", "pack")
"""What :func:`build` does, in order. YoWASP's tools compile themselves when they are prepared for
the first time, which takes a minute or two each."""

FLASH = "flash.bin"
"""File of a build with bitstream and weights as they lie in the flash, where they are loaded from
there."""


class FlowError(RuntimeError):
    """There is no bitstream: a tool is missing or failed, or the design does not fit."""


class TimingError(FlowError):
    """The clock is too fast for the design as it was placed; another seed may do."""


class BoardTooSmallError(FlowError, ValueError):
    """The network is too big for the board; the message says what would fit."""


@dataclass(frozen=True)
class Usage:
    """How many of a resource are used, and how many there are."""

    used: int
    available: int


@dataclass(frozen=True)
class PathStep:
    """A step of a path: through a cell or along a net.

    Attributes
    ----------
    kind
        ``clk-to-q``, ``logic``, ``routing`` or ``setup``, as nextpnr calls it.
    name
        The net of a ``routing``, else the cell, with the modules that it is in.
    delay
        In ns.
    """

    kind: str
    name: str
    delay: float


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """A bitstream, and what the tools say of it.

    Attributes
    ----------
    folder
        Where everything lies: bitstream, netlist, reports, logs and this result as
        ``build.json``.
    cached
        Whether the folder held this very build already.
    board
        Name of the board.
    seed
        Seed of placement.
    frequency, fmax
        Clock frequency of the design, and the highest that it would stand, in Hz.
    baud
        Bits a second of the serial line.
    usage
        ``logic cells``, ``block RAMs``, ``DSPs`` and what else the family has.
    critical_path
        The slowest path from clock to clock.
    tools
        Version of each tool.
    seconds
        Duration of each stage.
    inputs
        SHA-256 of all that went in: design, constraints, seed, versions and options of the tools.
    file
        Name of the bitstream's file.
    files
        SHA-256 of each file but logs, by its name.
    """

    folder: Path
    cached: bool
    board: str
    seed: int
    frequency: float
    fmax: float
    baud: int
    usage: dict[str, Usage]
    critical_path: tuple[PathStep, ...]
    tools: dict[str, str]
    seconds: dict[str, float]
    inputs: str
    file: str
    files: dict[str, str]

    @property
    def bitstream(self) -> Path:
        """File to load into the FPGA."""
        return self.folder / self.file


def build(
    network: EventNetwork,
    board: Board,
    folder: Path,
    *,
    seed: int = 1,
    frequency: float | None = None,
    link: HostLink = SERIAL,
    progress: Callable[[str], None] = lambda stage: None,
) -> BuildResult:
    """Build a network for a board, or return the build that the folder holds if it is the same.

    The folder appears whole, with a bitstream that meets its timing, or stays as it was.

    Parameters
    ----------
    network
        As :class:`~spikeloom.boards.top.BoardTop`'s.
    board
        The board.
    folder
        Where to put everything; an earlier folder of ours is replaced.
    seed
        Seed of placement, not negative.
    frequency
        Clock frequency in Hz; ``None`` is the board's own.
    link
        How a host gets at it.
    progress
        Is called with each stage's name, one of :data:`STAGES`, when it begins.

    Raises
    ------
    FlowError
        If a tool is missing or fails.
    TimingError
        If the clock is too fast for the design.
    BoardTooSmallError
        If the network is too big for the board.
    TypeError, ValueError
        If the folder is not ours, the seed is not an integer of at least 0, the board is not one
        that is built here, or as :class:`~spikeloom.boards.top.BoardTop`.
    """
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise TypeError(f"seed must be an integer, not {seed!r}")
    if not 0 <= seed < 1 << 31:
        raise ValueError(f"seed must be 0 to {(1 << 31) - 1}, not {seed!r}")
    folder = folder.resolve()
    check_output(folder, "build")
    family = board.family
    if family.placer is None or family.packer is None:
        raise ValueError(f"board must be one that is built here, not {board.title}")
    tools = find_flow_tools(family.tools)
    for tool in tools.values():
        if tool.found is None:
            raise FlowError(f"{tool.name} is not there; to get it, type: {tool.remedy}")

    seconds: dict[str, float] = {}
    stage = _Stages(progress, seconds)
    stage.begin("elaborate")
    top = BoardTop(network, board, frequency, link)
    sources = board_files(top, (family.source, family.constraints))
    sources["top.ys"] = f"{READ_DESIGN}\n{family.synthesis}\n"
    _check_memory(sources["top.il"], network, board)
    # That timing was met is read from nextpnr's report.
    options = ["--report", "report.json", "--seed", str(seed), "--timing-allow-fail"]
    place = [each.format(mhz=f"{top.frequency / 1e6:.6f}") for each in family.place]
    placement = [*board.place, "--json", "top.json", *place, *options]
    versions = {tool.name: str(tool.found) for tool in tools.values()}
    for_host = host_files(network, link, top.baud)
    digests = {name: _digest(content) for name, content in for_host.items()}
    inputs = _digest(json.dumps([sources, placement, family.pack, versions, digests]).encode())
    if (earlier := _load(folder, inputs)) is not None:
        return earlier

    with whole_folder(folder, "build", editable=False) as part:
        for name, text in sources.items():
            (part / name).write_text(text, encoding="utf-8")
        stage.begin("prepare tools")
        for tool in tools.values():
            _run(tool, ["-h"], part, part / "tools.log")
        stage.begin("synthesise")
        _run_or_fail(tools[YOSYS.name], ["-s", "top.ys"], part)
        stage.begin("place and route")
        try:
            _run_or_fail(tools[family.placer.name], placement, part)
        except FlowError:
            log = part / f"{family.placer.name}.log"
            _check_usage(log.read_text(encoding="utf-8"), network, board)
            raise
        report = json.loads((part / "report.json").read_text(encoding="utf-8"))
        usage = _usage(report["utilization"], board)
        if any(each.used > each.available for each in usage.values()):
            raise _too_big(usage, network, board)
        path = _critical_path(report)
        fmax = min(clock["achieved"] for clock in report["fmax"].values()) * 1e6
        if fmax < top.frequency:
            raise TimingError(
                f"the design reaches {fmax / 1e6:.2f} MHz on {board.title} where"
                f" {top.frequency / 1e6:g} MHz are asked for; its slowest path leads from"
                f" {_signal(path[0].name, family)} to {_signal(path[-1].name, family)}"
            )
        stage.begin("pack")
        _run_or_fail(tools[family.packer.name], list(family.pack), part)
        stage.end()
        for name, content in for_host.items():
            (part / name).write_bytes(content)
        if link.flash:
            bitstream = (part / family.bitstream).read_bytes()
            image = flash_image(bitstream, for_host[WEIGHTS], WEIGHTS_ADDRESS, board.flash or 0)
            (part / FLASH).write_bytes(image)
        result = BuildResult(
            folder=folder,
            cached=False,
            board=board.name,
            seed=seed,
            frequency=top.frequency,
            fmax=fmax,
            baud=top.baud,
            usage=usage,
            critical_path=path,
            tools=versions,
            seconds=seconds,
            inputs=inputs,
            file=family.bitstream,
            files=_digests(part),
        )
        _store(result, part)
    return result


def board_files(top: BoardTop, names: Iterable[str]) -> dict[str, str]:
    """Files of these names that Amaranth writes for a board.

    Raises
    ------
    FlowError
        If the package of the board's platform is not installed.
    """
    try:
        platform = top.board.create_platform()
    except ModuleNotFoundError:
        raise FlowError(
            "amaranth-boards is not there; to get it, type: pip install 'spikeloom[boards]'"
        ) from None
    plan = platform.prepare(top, "top", emit_src=False)
    return {name: plan.files[name] for name in names}


class _Stages:
    """Tells of each stage and takes its time."""

    def __init__(self, progress: Callable[[str], None], seconds: dict[str, float]) -> None:
        self._progress = progress
        self._seconds = seconds
        self._name = ""
        self._start = 0.0

    def begin(self, name: str) -> None:
        self.end()
        self._name = name
        self._start = time.perf_counter()
        self._progress(name)

    def end(self) -> None:
        if self._name:
            self._seconds[self._name] = round(time.perf_counter() - self._start, 2)


def _run(tool: FlowTool, arguments: list[str], folder: Path, log: Path) -> int:
    """Run a tool in a folder and return its exit code; it ends with us if we are interrupted."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*tool.command, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            return process.wait()
        except BaseException:
            # An interrupt lets YoWASP remove its temporary folder.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise


def _run_or_fail(tool: FlowTool, arguments: list[str], folder: Path) -> None:
    log = folder / f"{tool.name}.log"
    code = _run(tool, arguments, folder, log)
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line for line in lines if "ERROR" in line] or lines[-1:] or [f"exit code {code}"]
        raise FlowError(f"{tool.name} failed: {errors[0]}")


def _check_memory(rtlil: str, network: EventNetwork, board: Board) -> None:
    """Refuse at once what cannot fit, since yosys would take minutes over it.

    All bits that neither block RAMs nor logic cells could hold; SPRAMs are asked for by name.
    """
    lines = r"((?:^\s*attribute .*\n)*)^\s*memory width (\d+) size (\d+) "
    bits = sum(
        int(width) * int(depth)
        for attributes, width, depth in re.findall(lines, rtlil, re.MULTILINE)
        if '"huge"' not in attributes
    )
    least = -(-(bits - board.logic_cells * board.family.cell_bits) // board.family.block_ram_bits)
    if least > board.block_rams:
        usage = {"block RAMs": Usage(least, board.block_rams)}
        raise _too_big(usage, network, board, "at least ")


def _check_usage(log: str, network: EventNetwork, board: Board) -> None:
    """Say so if what nextpnr counted is more than there is."""
    counted = {
        cell: {"used": int(used), "available": int(available)}
        for cell, used, available in re.findall(r"(\w+):\s*(\d+)/\s*(\d+)", log)
    }
    usage = _usage(counted, board)
    if any(each.used > each.available for each in usage.values()):
        raise _too_big(usage, network, board) from None


def _usage(counted: Mapping[str, Mapping[str, int]], board: Board) -> dict[str, Usage]:
    """What nextpnr counted, of what the board's facts say there is."""
    usage = {}
    for each in board.family.resources:
        if (found := counted.get(each.cell)) is not None:
            usage[each.name] = Usage(found["used"], board.has.get(each.name, found["available"]))
    return usage


def _too_big(
    usage: Mapping[str, Usage], network: EventNetwork, board: Board, least: str = ""
) -> BoardTooSmallError:
    lacks = {name: each for name, each in usage.items() if each.used > each.available}
    needs = [f"{least}{each.used} {name} of {each.available}" for name, each in lacks.items()]
    populations = network.populations if isinstance(network, NetworkTop) else ()
    return BoardTooSmallError(
        f"the network is too big for {board.title}: it needs {' and '.join(needs)};"
        f" {would_fit(lacks, board.family, populations)}"
    )


def would_fit(lacks: Mapping[str, Usage], family: Family, populations: Sequence[Population]) -> str:
    """How much of a network would fit, in words.

    Parameters
    ----------
    lacks
        What there is too little of, by the names that the family gives it.
    family
        The FPGA's.
    populations
        The network's, where they are known.
    """
    parts: dict[str, float] = {}
    for resource in family.resources:
        if resource.name in lacks:
            each = lacks[resource.name]
            part = each.available / each.used
            parts[resource.less] = min(parts.get(resource.less, 1.0), part)
    shares = " and ".join(_share(populations, *each) for each in parts.items())
    return f"about {shares} would fit"


def _share(populations: Sequence[Population], less: str, part: float) -> str:
    """How many of its weights or lanes a network could keep, or neurons if lanes cannot be less."""
    if not populations:
        return f"{int(100 * part)} % of its {less}"
    have = {
        "weights": sum(
            connection.synapses
            for each in populations
            for connection in each.population.connections
        ),
        "lanes": sum(each.lanes for each in populations),
        "neurons": sum(each.neurons.size for each in populations),
    }
    if less == "lanes" and have["lanes"] * part < len(populations):
        less = "neurons"
    return f"{int(have[less] * part)} of its {have[less]} {less}"


def _critical_path(report: dict[str, Any]) -> tuple[PathStep, ...]:
    paths = [
        tuple(
            PathStep(step["type"], step.get("net", step["to"]["cell"]), round(step["delay"], 3))
            for step in path["path"]
        )
        for path in report["critical_paths"]
        if "<async>" not in (path["from"], path["to"])
    ]
    return max(paths, key=lambda path: sum(step.delay for step in path))


def _signal(cell: str, family: Family) -> str:
    """The signal of ours that a cell was named after."""
    return re.sub(f"({family.suffix}).*", "", cell) or cell


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _store(result: BuildResult, folder: Path) -> None:
    facts = asdict(result)
    del facts["folder"], facts["cached"]
    (folder / "build.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _digests(folder: Path) -> dict[str, str]:
    """Of all files of a build that something is made of; not of logs, and of these facts."""
    names = (path.name for path in folder.iterdir() if path.is_file())
    kept = sorted(name for name in names if Path(name).suffix not in ("", ".log"))
    return {name: _digest((folder / name).read_bytes()) for name in kept if name != "build.json"}


def _load(folder: Path, inputs: str) -> BuildResult | None:
    """The build in a folder, if it is whole and made of the same inputs."""
    try:
        facts = json.loads((folder / "build.json").read_text(encoding="utf-8"))
        found = _digests(folder)
        if facts["inputs"] != inputs or not facts["files"].items() <= found.items():
            return None
        facts["usage"] = {name: Usage(**usage) for name, usage in facts["usage"].items()}
        facts["critical_path"] = tuple(PathStep(**step) for step in facts["critical_path"])
        return BuildResult(folder=folder, cached=True, **facts)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None  # there is none, or it is damaged
