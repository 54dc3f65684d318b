"""A board in Verilator, as a host on its serial line sees it."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial
from amaranth.hdl import Elaboratable
from flash_player import FlashPlayer, answer, transfer
from link_parts import BROKEN, fuzz, good_order

from spikeloom.boards import virtual
from spikeloom.boards.board import BOARDS
from spikeloom.boards.tools import YOSYS, find_flow_tools
from spikeloom.boards.top import BoardTop, HostLink
from spikeloom.boards.virtual import MissingToolError, VirtualBoard, compile_virtual
from spikeloom.reference.events import TICK, events_to_raster, raster_to_events
from spikeloom.reference.link_codec import decode_events, encode_events
from spikeloom.reference.link_frames import (
    Answer,
    Frame,
    FrameReader,
    Order,
    answer_bytes,
    order_bytes,
)
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.link.linked import identity
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.runner import SimulationError
from spikeloom.sim.tools import environment, find_simulators

# One worker runs them all, so that a model is compiled once.
pytestmark = [
    pytest.mark.xdist_group("virtual"),
    pytest.mark.skipif(find_simulators()["verilator"].found is None, reason="no Verilator"),
]

SPIKES = np.random.default_rng(2).random((2, 12, 4)) < 0.5


def write_build(top: Elaboratable, name: str, folder: Path) -> Path:
    """What the virtual board needs of a build, without place and route."""
    board = BOARDS[name]
    plan = board.create_platform().prepare(top, "top", emit_src=False)
    folder.mkdir()
    (folder / "top.il").write_text(plan.files["top.il"])
    (folder / "top.ys").write_text(f"read_rtlil top.il\n{board.family.synthesis}\n")
    (folder / "build.json").write_text(
        json.dumps({"board": name, "frequency": board.clock, "baud": board.baud})
    )
    return folder


@pytest.fixture(scope="module")
def network(dense_network):
    return dense_network(4, 3)


@pytest.fixture(scope="module")
def icebreaker_build(network, tmp_path_factory) -> Path:
    top = BoardTop(NetworkTop(network, 1), BOARDS["icebreaker"])
    return write_build(top, "icebreaker", tmp_path_factory.mktemp("icebreaker") / "build")


@pytest.fixture(scope="module")
def icebreaker(icebreaker_build: Path) -> VirtualBoard:
    return compile_virtual(icebreaker_build, icebreaker_build / "sim" / "virtual")


class Host:
    """One frame at a time."""

    def __init__(self, path: Path) -> None:
        self.line = serial.Serial(str(path), 1_000_000, timeout=20)
        self._frames = self._read(FrameReader(1 << 16))

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def _read(self, reader: FrameReader) -> Iterator[Frame]:
        while data := self.line.read(max(1, self.line.in_waiting)):
            yield from reader.feed(data)
        raise AssertionError("the board is silent")

    def ask(self, frame: Frame, answers: Answer) -> Frame:
        """The answer of a kind; what else comes before it is left out."""
        self.line.write(order_bytes(frame))
        return next(each for each in self._frames if each.kind == answers)

    def run(self, raster) -> np.ndarray:
        """Spikes of three neurons, for samples of four inputs."""
        self.ask(Frame(Order.RESET, 0), Answer.DONE)
        data = encode_events(raster_to_events(raster), raster.shape[2])
        assert len(data) <= 252
        self.line.write(order_bytes(Frame(Order.EVENTS, 1, data)))
        payload = b""
        events = np.zeros((0, 3), dtype=int)
        while np.sum(events[:, 0] == TICK) < raster.shape[0] * raster.shape[1]:
            frame = next(self._frames)
            payload += frame.payload if frame.kind == Answer.EVENTS else b""
            events = decode_events(payload, 3)
        return events_to_raster(events, raster.shape[1], 3)


def identity_bytes(network) -> int:
    """Length of an answer to IDENTIFY; a device sends its delimiter behind an answer alone."""
    answer = Frame(Answer.IDENTITY, 0, identity(NetworkTop(network, 1)))
    return len(answer_bytes(answer)) - 1


def golden(network) -> np.ndarray:
    spikes = run_fixed(network, SPIKES).output
    assert 0 < spikes.sum() < spikes.size
    return spikes


def test_spikes_equal_golden_model(network, icebreaker: VirtualBoard) -> None:
    spikes = golden(network)
    with icebreaker.run() as board, Host(board.path) as host:
        assert not board.status().spike
        assert np.array_equal(host.run(SPIKES), spikes)
        status = board.status()
    assert status.spike
    assert not status.error
    # No faster than the line: ten bits a byte, each as long as on the board.
    assert icebreaker.divisor == 24
    assert status.cycles > 240 * max(status.bytes_in, status.bytes_out)
    last = board.stop()
    assert last.cycles >= status.cycles
    assert last.bytes_out == status.bytes_out


def test_ecp5_equals_golden_model(network, tmp_path: Path) -> None:
    top = BoardTop(NetworkTop(network, 1), BOARDS["ulx3s-85f"])
    model = compile_virtual(write_build(top, "ulx3s-85f", tmp_path / "build"), tmp_path / "model")
    with model.run() as board, Host(board.path) as host:
        assert np.array_equal(host.run(SPIKES), golden(network))
        # Ticks are 1 and restarts 2 in the upper two bits of five; there is no kind 3.
        host.ask(Frame(Order.EVENTS, 2, encode_events([(3, 0, 0)], 4)), Answer.DONE)
        assert host.ask(Frame(Order.STATUS, 3), Answer.STATUS).payload == b"\x01"
        assert board.status().error


def test_garbage_is_nothing(network, icebreaker: VirtualBoard) -> None:
    garbage = np.random.default_rng(5).integers(0, 256, 6_000, dtype=np.uint8).tobytes()
    with icebreaker.run() as board, Host(board.path) as host:
        host.line.write(garbage + order_bytes(Frame(Order.STATUS, 0))[:1])
        assert host.ask(Frame(Order.IDENTIFY, 0), Answer.IDENTITY).payload[0] == 1
        assert np.array_equal(host.run(SPIKES), golden(network))
        assert board.status().bytes_in > len(garbage)


def test_nonsense_is_nothing(network, icebreaker: VirtualBoard) -> None:
    """Some of what the benchmark sends: each burst is followed by answers, and the spikes stay."""
    known = identity(NetworkTop(network, 1))
    with icebreaker.run() as board:
        assert fuzz(board, random.Random(5), 600, known) == 0
        with Host(board.path) as host:
            assert np.array_equal(host.run(SPIKES), golden(network))


@pytest.mark.parametrize("kind", BROKEN)
def test_nonsense_is_noticed(kind: str) -> None:
    """The golden reader takes nothing of what is broken, and all of what is whole."""
    rng, reader = random.Random(6), FrameReader(4096, orders=True)
    wire = b"".join(BROKEN[kind](rng, bytearray(good_order(rng))) for _ in range(200))
    frames = list(reader.feed(wire))
    assert (len(frames), reader.broken) == ((200, 0) if kind == "whole" else (0, reader.broken))
    assert kind == "whole" or reader.broken >= 150


def test_nothing_is_lost_while_the_host_does_not_read(network, icebreaker: VirtualBoard) -> None:
    """More answers than a terminal holds: the board stands still until they are taken."""
    order, length = order_bytes(Frame(Order.IDENTIFY, 0)), identity_bytes(network)
    with icebreaker.run() as board, serial.Serial(str(board.path), timeout=20) as line:
        sent, status = 0, board.status()
        while status.bytes_out >= length * (sent - 1):
            # As many orders as the board's queue holds, and time to answer them.
            assert line.write(20 * order) == 20 * len(order)
            sent += 20
            cycles, status = -1, board.status()
            while cycles < status.cycles and status.bytes_out < length * sent:
                cycles, status = status.cycles, board.status()
        answers = line.read(length * sent)
    assert len(answers) == length * sent > 4096
    assert answers == answers[:length] * sent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it(icebreaker: VirtualBoard, number: int) -> None:
    board = icebreaker.run()
    board.status()
    os.kill(board._process.pid, number)
    status = board.wait()
    assert board._process.returncode == 0
    assert status.bytes_in == 0
    assert not board.path.exists()
    with pytest.raises(SimulationError, match=r"^the virtual board has ended$"):
        board.status()


def test_it_outlives_a_host_but_not_with_once(icebreaker: VirtualBoard) -> None:
    with icebreaker.run() as board:
        for _ in range(2):
            with Host(board.path) as host:
                host.ask(Frame(Order.IDENTIFY, 0), Answer.IDENTITY)
        assert board.status().bytes_in == 2 * len(order_bytes(Frame(Order.IDENTIFY, 0)))
    board = icebreaker.run(once=True)
    with Host(board.path) as host:
        host.ask(Frame(Order.IDENTIFY, 0), Answer.IDENTITY)
    assert board.wait().bytes_in == len(order_bytes(Frame(Order.IDENTIFY, 0)))


def test_it_does_not_outlive_us(icebreaker: VirtualBoard) -> None:
    with icebreaker.run() as board:
        board._process.stdin.close()
        assert board._process.wait(20) == 0
        board._process.stdin = None


def test_terminal_is_raw(icebreaker: VirtualBoard) -> None:
    """What is written before a host sets the terminal up is neither echoed nor changed."""
    with icebreaker.run() as board:
        line = os.open(board.path, os.O_RDWR | os.O_NOCTTY)
        frame = order_bytes(Frame(Order.EVENTS, 3, b"\r\n\x03\x04\x11\x13\x1c\x7f"))
        os.write(line, frame)
        heard = os.read(line, 1)  # a refusal, since frame 0 is expected
        while heard[-1:] != b"\xc0":
            heard += os.read(line, 1)
        os.close(line)
        reader = FrameReader(100)
        (frame,) = reader.feed(heard)
        assert (frame.kind, frame.number) == (Answer.REFUSED, 0)


def test_cached(icebreaker: VirtualBoard, icebreaker_build: Path, monkeypatch) -> None:
    def refuse(*_: object) -> int:
        raise AssertionError("a tool was run")

    monkeypatch.setattr(virtual, "run_child", refuse)
    assert not icebreaker.cached
    assert compile_virtual(icebreaker_build, icebreaker.folder).cached
    program = icebreaker.folder / "board"
    whole = program.read_bytes()
    program.write_bytes(whole[:-1])
    with pytest.raises(AssertionError, match=r"^a tool was run$"):
        compile_virtual(icebreaker_build, icebreaker.folder)
    program.write_bytes(whole)
    with pytest.raises(AssertionError, match=r"^a tool was run$"):
        compile_virtual(icebreaker_build, icebreaker.folder, trace=Path("x.vcd"))
    assert compile_virtual(icebreaker_build, icebreaker.folder).cached
    assert os.listdir(icebreaker.folder.parent) == ["virtual"]


@pytest.mark.parametrize("end", ["close", signal.SIGINT, signal.SIGTERM])
def test_command(network, icebreaker: VirtualBoard, icebreaker_build: Path, end) -> None:
    """It finds the model that the command would compile."""
    command = [sys.executable, "-m", "spikeloom.cli.main", "virtual", str(icebreaker_build)]
    with subprocess.Popen(
        [*command, "--json", *(["--once"] if end == "close" else [])],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        path = Path(process.stdout.readline().strip())
        with Host(path) as host:
            host.ask(Frame(Order.IDENTIFY, 0), Answer.IDENTITY)
            if end != "close":
                process.send_signal(end)
                process.wait(20)
        output, complaint = process.communicate(timeout=20)
    assert (process.returncode, complaint) == (0, "")
    assert json.loads(output)["bytes_out"] == identity_bytes(network)
    assert not path.exists()


FILE = bytes(range(100, 200))

SLEEP = [(0, 0, 0)] * 100
"""More than 3 us."""

SCRIPT = [
    (b"\x9f", 1, b"\xff"),  # asleep
    (b"\xab", 0, b""),
    (b"\x9f", 1, b"\xff"),  # not awake yet
    (None, 0, b""),
    (b"\x9f", 3, b"\xef\x40\x18"),
    (b"\x03\x00\x00\x10", 4, FILE[16:20]),
    (b"\x0b\x00\x00\x20\x55", 3, FILE[32:35]),
    (b"\x03\x00\x00\x62", 3, FILE[98:] + b"\xff"),
    (b"\x03\xff\xff\xff", 3, b"\xff" + FILE[:2]),
    (b"\x00\x00\x00\x00", 1, b"\xff"),
]


def test_flash_of_a_netlist(tmp_path: Path) -> None:
    """What a hand-written sequence reads from the flash, through the cells of an iCE40."""
    steps, starts = [], []
    for data, count, _ in SCRIPT:
        starts.append(len(steps))
        steps += SLEEP if data is None else transfer(data, count)
    folder = write_build(FlashPlayer(BOARDS["icebreaker"], steps), "icebreaker", tmp_path / "build")
    yosys = find_flow_tools([YOSYS])["yosys"].command
    subprocess.run([*yosys, "-q", "-s", "top.ys"], cwd=folder, check=True)
    netlist = (folder / "top.json").read_text()
    assert all(f'"type": "{cell}"' in netlist for cell in ("SB_RAM40_4K", "SB_DFF", "SB_LUT4"))
    model = compile_virtual(folder, tmp_path / "model", netlist=True)
    assert model.flash
    image = tmp_path / "flash.bin"
    image.write_bytes(FILE)
    with model.run(flash=image) as board, serial.Serial(str(board.path), timeout=20) as line:
        line.write(b"!")
        heard = line.read(len(steps))
    for (data, count, expected), start in zip(SCRIPT, starts, strict=True):
        if count:
            assert answer(heard[start:], len(data), count) == expected

    with pytest.raises(SimulationError, match=r"^the virtual board failed: .* cannot be read$"):
        model.run(flash=tmp_path / "none.bin")


def test_flash_without_pins(icebreaker: VirtualBoard) -> None:
    with pytest.raises(ValueError, match=r"^a design must have pins to a flash for x to be read$"):
        icebreaker.run(flash=Path("x"))


def test_no_serial_line(network, tmp_path: Path) -> None:
    top = BoardTop(NetworkTop(network, 1), BOARDS["icebreaker"], link=HostLink(spi=True))
    folder = write_build(top, "icebreaker", tmp_path / "build")
    with pytest.raises(ValueError, match=r"build must have a serial line to be run without a bo"):
        compile_virtual(folder, tmp_path / "out")


def test_netlist_without_models(tmp_path: Path) -> None:
    (tmp_path / "build.json").write_text(
        '{"board": "ulx3s-85f", "frequency": 100e6, "baud": 1000000}'
    )
    (tmp_path / "top.json").write_text('{"modules": {"top": {"ports": {}}}}')
    with pytest.raises(
        ValueError, match=r"^a netlist must be of iCE40 to be simulated, not of ECP5, whose cells"
    ):
        compile_virtual(tmp_path, tmp_path / "out", netlist=True)


@pytest.mark.parametrize("facts", [None, "{", "[]", "{}", '{"board": "x", "frequency": 1}'])
def test_wrong_build(tmp_path: Path, facts: str | None) -> None:
    (tmp_path / "top.il").touch()
    if facts is not None:
        (tmp_path / "build.json").write_text(facts)
    with pytest.raises(ValueError, match=r"must be a folder that `spikeloom build` wrote, but"):
        compile_virtual(tmp_path, tmp_path / "out")


def test_wrong_trace(icebreaker_build: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^waveforms must go to a .vcd file, not x.txt$"):
        compile_virtual(icebreaker_build, tmp_path / "out", trace=Path("x.txt"))


@pytest.mark.parametrize("tool", ["verilator", "yosys"])
def test_missing_tool(icebreaker_build: Path, tmp_path: Path, monkeypatch, tool: str) -> None:
    for finder in ("find_simulators", "find_flow_tools"):
        found = getattr(virtual, finder)

        def find(*arguments, found=found):
            tools = found(*arguments)
            for name, each in tools.items():
                if name == tool:
                    object.__setattr__(each, "found", None)
                    object.__setattr__(each, "remedy", "pip install it")
            return tools

        monkeypatch.setattr(virtual, finder, find)
    with pytest.raises(MissingToolError, match=rf"^{tool}.* to get it, type: pip install it$"):
        compile_virtual(icebreaker_build, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_broken_design(tmp_path: Path) -> None:
    port = "  wire width 1 input 1  \\uart_0__rx__io\n"
    (tmp_path / "top.il").write_text(f"module \\top\n{port}  nonsense\nend\n")
    (tmp_path / "build.json").write_text(
        '{"board": "icebreaker", "frequency": 24e6, "baud": 1000000}'
    )
    with pytest.raises(SimulationError, match=r"^yosys refused the design: .*ERROR"):
        compile_virtual(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["ice40.v", "ecp5.v", "gowin.v"])
def test_models_are_verilog(tmp_path: Path, name: str) -> None:
    """Each module of them, beside a top whose clock they refer to."""
    models = Path(virtual.__file__).parent / "models"
    (tmp_path / "top.v").write_text(
        "module virtual_board(input clock);\n"
        + "".join(
            f"  {line.split()[1]} cell_{k}();\n"
            for k, line in enumerate((models / name).read_text().splitlines())
            if line.startswith("module ")
        )
        + "endmodule\n"
    )
    lint = ["verilator", "--lint-only", "-Wno-lint", "-Wno-PINMISSING", "top.v"]
    done = subprocess.run(
        [*lint, "--top-module", "virtual_board", models / name, models / "locks.v"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
