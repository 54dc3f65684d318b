"""What goes onto a board, up to the text that the tools read."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from amaranth.build import Subsignal
from amaranth.hdl import Fragment, Module, Signal
from amaranth.lib.io import PortLike, SimulationPort
from amaranth.sim import Simulator
from model_flash import Flash
from spi_host import Host

from spikeloom.boards import top
from spikeloom.boards.board import BOARDS, Board
from spikeloom.boards.top import WEIGHTS_ADDRESS, BoardTop, HostLink
from spikeloom.reference.flash_image import weight_frames
from spikeloom.reference.link_frames import Answer, Frame, FrameReader, Order, order_bytes
from spikeloom.rtl_gen.link.linked import identity, weight_bytes
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
a_board_each = pytest.mark.parametrize(
    "board",
    {board.family: board for board in reversed(BOARDS.values())}.values(),
    ids=lambda board: board.name,
)
"""One of each family."""

PRINT_DIGEST = """
import hashlib
import sys
import numpy as np
from spikeloom.boards.board import BOARDS
from spikeloom.boards.top import BoardTop, HostLink
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.rtl_gen.network import NetworkTop
board = BOARDS[sys.argv[1]]
neurons = NeuronConfig(size=3, state=QFormat(word_length=12), current_width=8, threshold=100)
weight = np.random.default_rng(0).integers(-40, 100, (4, 3))
network = fixed_stack((FixedDense(weight=weight, weight_width=8, neurons=neurons),), "test")
plan = board.create_platform().prepare(BoardTop(NetworkTop(network, 1), board), emit_src=False)
text = plan.files[board.family.source] + plan.files[board.family.constraints]
print(hashlib.sha256(text.encode()).hexdigest())
"""


PLLS = dict.fromkeys(BOARDS, "EHXPLLL") | {
    "icebreaker": "SB_PLL40_PAD",
    "upduino": "SB_PLL40_CORE",
    "hx8k": "SB_PLL40_CORE",
    "tang-nano-9k": "rPLL",
    "arty-a7-35t": "PLLE2_BASE",
}


@pytest.fixture
def network(dense_network) -> NetworkTop:
    return NetworkTop(dense_network(4, 3), 1)


@boards
def test_init(network: NetworkTop, board) -> None:
    assert BoardTop(network, board).frequency == board.clock
    assert BoardTop(network, board, 60e6).frequency == 60e6


@boards
def test_baud(network: NetworkTop, board) -> None:
    assert BoardTop(network, board).baud == board.baud
    assert (
        BoardTop(network, board, link=HostLink(baud=board.fastest_baud)).baud == board.fastest_baud
    )


@pytest.mark.parametrize(
    ("baud", "complaint"),
    [
        # 24 MHz / 23 is 1.04 Mbaud, 24 MHz / 22 is 1.09 Mbaud.
        (1_060_000, r"^baud must be within 1 % of what 24 MHz .*, not 1060000: the nearest is 10"),
        (4_000_000, r"^baud must be at most 1/8 of the clock, 3000000 of 24 MHz, not 4000000$"),
        (0, r"^clock and baud must be positive, not 24000000\.0 and 0$"),
    ],
)
def test_wrong_baud(network: NetworkTop, baud: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        BoardTop(network, BOARDS["icebreaker"], link=HostLink(baud=baud))


def test_spi_has_no_rate(network: NetworkTop) -> None:
    """A clock that no serial line could be divided from will do for SPI; a rate is refused."""
    board = BOARDS["icebreaker"]
    with pytest.raises(ValueError, match=r"^baud must be within 1 % of what 16.5 MHz"):
        BoardTop(network, board, 16.5e6)
    assert BoardTop(network, board, 16.5e6, HostLink(spi=True)).frequency == 16.5e6
    with pytest.raises(ValueError, match=r"^baud must be left out where the host has SPI, not 1"):
        BoardTop(network, board, link=HostLink(spi=True, baud=1_000_000))


@boards
def test_wrong_frequency(network: NetworkTop, board) -> None:
    with pytest.raises(ValueError, match=r"^frequency must be [\d.]+ to \d+ MHz, not 2 MHz$"):
        BoardTop(network, board, 2e6)


@pytest.fixture
def loaded_network(dense_network) -> NetworkTop:
    return NetworkTop(dense_network(4, 3), 1, WeightStore.LOADED_BLOCK)


@boards
def test_links_that_a_board_has_not(loaded_network: NetworkTop, board) -> None:
    title = re.escape(board.title)
    if board.spi is None:
        with pytest.raises(ValueError, match=rf"^{title} must have a connector for SPI, but has"):
            BoardTop(loaded_network, board, link=HostLink(spi=True))
    if board.flash is None:
        with pytest.raises(ValueError, match=rf"^{title} must have a flash for weights, but has"):
            BoardTop(loaded_network, board, link=HostLink(flash=True))


def test_nothing_for_the_flash(network: NetworkTop) -> None:
    message = "^weights must be loaded to lie in the flash; these are configured$"
    with pytest.raises(ValueError, match=message):
        BoardTop(network, BOARDS["icebreaker"], link=HostLink(flash=True))


def test_where_links_are() -> None:
    assert [name for name, each in BOARDS.items() if each.spi] == ["icebreaker", "arty-a7-35t"]
    assert [name for name, each in BOARDS.items() if each.flash] == ["icebreaker", "upduino"]


def prepare(network: NetworkTop, board, link: HostLink = top.SERIAL) -> dict[str, str]:
    """The text that the tools read."""
    design = BoardTop(network, board, link=link)
    files = board.create_platform().prepare(design, emit_src=False).files
    return {name: files[name] for name in (board.family.source, board.family.constraints)}


@boards
def test_elaborates(network: NetworkTop, board) -> None:
    text = prepare(network, board)[board.family.source]
    assert len(re.findall(rf"^ +(?:cell \\)?{PLLS[board.name]} ", text, re.MULTILINE)) == 1


@a_board_each
@pytest.mark.parametrize("frequency", [None, 60e6])
def test_glow(network: NetworkTop, board, frequency: float | None) -> None:
    """A lamp glows for 40 to 80 ms after a spike: the counter's last bit ends it."""
    clock = board.clock if frequency is None else frequency
    plan = board.create_platform().prepare(BoardTop(network, board, frequency), emit_src=False)
    text = plan.files[board.family.source]
    (width,) = re.findall(r"^  wire width (\d+) \\glow$", text, re.MULTILINE) or [
        int(last) + 1 for last in re.findall(r"^  reg \[(\d+):0\] glow ", text, re.MULTILINE)
    ]
    assert 0.04 <= (1 << (int(width) - 1)) / clock <= 0.08


def test_icebreaker_pins(network: NetworkTop) -> None:
    """As on the board's schematic: FTDI RXD 9 and TXD 6, lamps 11 and 37, button 10, clock 35."""
    pcf = prepare(network, BOARDS["icebreaker"])["top.pcf"]
    pins = dict(re.findall(r"^set_io (\S+) (\d+)$", pcf, re.MULTILINE))
    assert pins == {
        "clk12_0__io": "35",
        "uart_0__rx__io": "6",
        "uart_0__tx__io": "9",
        "led_r_0__io": "11",
        "led_g_0__io": "37",
        "button_0__io": "10",
    }
    assert re.findall(r"^set_frequency (.*)$", pcf, re.MULTILINE) == ["clk12_0__io 12.0"]


def test_upduino_pins(network: NetworkTop) -> None:
    """As in the board's pin list: serial line on header pins 23 and 25, green and red lamp 39 and
    41, the oscillator behind its jumper 20."""
    pcf = prepare(network, BOARDS["upduino"])["top.pcf"]
    assert dict(re.findall(r"^set_io (\S+) (\d+)$", pcf, re.MULTILINE)) == {
        "clk12_0__io": "20",
        "uart_0__rx__io": "23",
        "uart_0__tx__io": "25",
        "lamp_0__io": "39",
        "lamp_1__io": "41",
    }
    assert re.findall(r"^set_frequency (.*)$", pcf, re.MULTILINE) == ["clk12_0__io 12.0"]


SPI = {
    "host_spi_0__cs__io": "4",
    "host_spi_0__copi__io": "2",
    "host_spi_0__cipo__io": "47",
    "host_spi_0__clk__io": "45",
}
FLASH = {
    "spi_flash_1x_0__cs__io": "16",
    "spi_flash_1x_0__clk__io": "15",
    "spi_flash_1x_0__copi__io": "14",
    "spi_flash_1x_0__cipo__io": "17",
}
SERIAL = {"uart_0__rx__io", "uart_0__tx__io"}


@pytest.mark.parametrize(
    ("name", "link", "pins"),
    [
        ("icebreaker", HostLink(spi=True), SPI),
        ("icebreaker", HostLink(flash=True), FLASH),
        ("icebreaker", HostLink(spi=True, flash=True, monitor=True), SPI | FLASH),
        ("upduino", HostLink(flash=True), FLASH),
    ],
)
def test_pins_of_links(
    loaded_network: NetworkTop, name: str, link: HostLink, pins: dict[str, str]
) -> None:
    """SPI as on the upper row of the iCEBreaker's PMOD1A, in the order of a Pmod; the flash as on
    the schematics, the configuration's own pins."""
    pcf = prepare(loaded_network, BOARDS[name], link)["top.pcf"]
    found = dict(re.findall(r"^set_io (\S+) (\d+)$", pcf, re.MULTILINE))
    others = {port for port in found if port.startswith(("host_", "spi_", "uart_"))}
    assert others == pins.keys() | (set() if link.spi else SERIAL)
    assert {port: found[port] for port in pins} == pins


def test_arty_a7_spi_pins(loaded_network: NetworkTop) -> None:
    """As on the upper row of the board's connector JA, by its reference manual."""
    xdc = prepare(loaded_network, BOARDS["arty-a7-35t"], HostLink(spi=True))["top.xdc"]
    found = re.findall(r'^set_property LOC (\w+) \[get_ports "host_spi_0__(\w+)__io"\]$', xdc, re.M)
    assert dict(map(reversed, found)) == {"cs": "G13", "copi": "B11", "cipo": "A11", "clk": "D12"}


class SimulatedPlatform:
    """The ports of a board for Amaranth's simulator, inverted where the board's are."""

    default_clk = "clock"

    def __init__(self, board: Board) -> None:
        self._resources = board.create_platform().resources
        self.ports: dict[str, Any] = {}

    def request(self, name: str, number: int = 0, *, dir: str) -> Any:
        assert dir == "-"
        if name == self.default_clk:
            return None
        ios = self._resources[name, number].ios
        if isinstance(ios[0], Subsignal):
            ports: Any = SimpleNamespace(**{each.name: self._port(each.ios[0]) for each in ios})
        else:
            ports = self._port(ios[0])
        self.ports[name] = ports
        return ports

    def _port(self, pins: Any) -> PortLike:
        return SimulationPort(pins.dir, len(pins.names), invert=pins.invert)


class SimulatedClock:
    """Stands for a phase-locked loop that has locked."""

    def __init__(self) -> None:
        self.frequency = 24e6
        self.clock = Signal()

    def create(self, oscillator: Any, clock: Signal, locked: Signal) -> Module:
        m = Module()
        m.d.comb += [clock.eq(self.clock), locked.eq(1)]
        return m


def test_host_on_spi_and_weights_in_flash(
    loaded_network: NetworkTop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the board's pins: chip selects are low when active, cipo is driven with it alone."""
    monkeypatch.setattr(top, "RESET_CYCLES", 4)
    pll = SimulatedClock()
    board = replace(BOARDS["icebreaker"], pll=lambda oscillator, frequency: pll)
    design = BoardTop(loaded_network, board, link=HostLink(spi=True, flash=True))
    platform = SimulatedPlatform(board)
    fragment = Fragment.get(design, platform)
    spi, memory = platform.ports["host_spi"], platform.ports["spi_flash_1x"]
    flash = Flash(bytes(WEIGHTS_ADDRESS) + weight_frames(weight_bytes(loaded_network)) + bytes(256))
    orders = [Frame(Order.IDENTIFY, 0), Frame(Order.STATUS, 1)]
    wire = b"".join(map(order_bytes, orders)) + bytes([0xC0] * 70)
    host = Host(wire, [8 * len(wire)], 5.0)
    pins = SimpleNamespace(sck=spi.clk.i, copi=spi.copi.i, cs=spi.cs.i, cipo=spi.cipo.o)
    driven = set()

    async def tick(ctx: Any) -> None:
        while True:
            await ctx.delay(0.5)
            ctx.set(pll.clock, not ctx.get(pll.clock))

    async def read(ctx: Any) -> None:
        while True:
            await ctx.delay(1)
            levels = ctx.get(memory.cs.o), ctx.get(memory.clk.o), ctx.get(memory.copi.o)
            if (level := flash.look(*levels)) is not None:
                ctx.set(memory.cipo.i, level)
            driven.add((ctx.get(spi.cs.i), ctx.get(spi.cipo.oe)))

    async def talk(ctx: Any) -> None:
        ctx.set(spi.cs.i, 1)
        ctx.set(platform.ports["button"].i, 1)
        await ctx.delay(2 * 1024 + 17 * 128 + 100)
        await host.run(ctx, pins)

    simulator = Simulator(fragment)
    simulator.add_testbench(tick, background=True)
    simulator.add_testbench(read, background=True)
    simulator.add_testbench(talk)
    simulator.run()
    assert flash.commands == [b"\xab", b"\x03" + WEIGHTS_ADDRESS.to_bytes(3)]
    assert driven == {(1, 0), (0, 1)}
    answers = list(FrameReader(1000).feed(host.bytes()))
    assert answers[-2:] == [
        Frame(Answer.IDENTITY, 0, identity(loaded_network)),
        Frame(Answer.STATUS, 1, b"\0"),
    ]


def test_hx8k_pins(network: NetworkTop) -> None:
    """As in Project IceStorm's example for the board: clock J3, lamps C3 and B5; FTDI TXD B10 and
    RXD B12."""
    pcf = prepare(network, BOARDS["hx8k"])["top.pcf"]
    assert dict(re.findall(r"^set_io (\S+) (\w+)$", pcf, re.MULTILINE)) == {
        "clk12_0__io": "J3",
        "uart_0__rx__io": "B10",
        "uart_0__tx__io": "B12",
        "led_0__io": "C3",
        "led_7__io": "B5",
    }


def test_orangecrab_pins(network: NetworkTop) -> None:
    """As in LiteX' description of the board: GPIO 0 N17 and 1 M18, green and red lamp M3 and K4,
    button J17, clock A9."""
    lpf = prepare(network, BOARDS["orangecrab"])["top.lpf"]
    assert dict(re.findall(r'^LOCATE COMP "(\S+)" SITE "(\w+)";$', lpf, re.MULTILINE)) == {
        "clk_0__io": "A9",
        "uart_0__rx__io": "N17",
        "uart_0__tx__io": "M18",
        "lamp_0__io": "M3",
        "lamp_1__io": "K4",
        "button_0__io": "J17",
    }


def test_tang_nano_9k_pins(network: NetworkTop) -> None:
    """As in LiteX' description of the board: BL702 TXD 18 and RXD 17, clock 52; lamps 10 and 16 and
    button 3 on a bank of 1.8 V."""
    cst = prepare(network, BOARDS["tang-nano-9k"])["top.cst"]
    assert dict(re.findall(r'^IO_LOC "(\S+)" (\d+);$', cst, re.MULTILINE)) == {
        "clk27_0__io": "52",
        "uart_0__rx__io": "18",
        "uart_0__tx__io": "17",
        "lamp_0__io": "10",
        "lamp_1__io": "16",
        "reset_0__io": "3",
    }
    low = dict(re.findall(r'^IO_PORT "(\S+)" IO_TYPE=(\w+);$', cst, re.MULTILINE))
    assert {name for name, kind in low.items() if kind == "LVCMOS18"} == {
        "lamp_0__io",
        "lamp_1__io",
        "reset_0__io",
    }


def test_arty_a7_pins(network: NetworkTop) -> None:
    """As in the board's own constraints: FTDI TXD A9 and RXD D10, clock E3, reset C2, lamps H5 and
    T10."""
    xdc = prepare(network, BOARDS["arty-a7-35t"])["top.xdc"]
    found = re.findall(r'^set_property LOC (\w+) \[get_ports "(\S+)"\]$', xdc, re.MULTILINE)
    assert {port: pin for pin, port in found} == {
        "clk100_0__io": "E3",
        "uart_0__rx__io": "A9",
        "uart_0__tx__io": "D10",
        "rst_0__io": "C2",
        "led_0__io": "H5",
        "led_3__io": "T10",
    }
    assert "create_clock -name clk100_0__io -period 10.0 " in xdc


@pytest.mark.parametrize("name", ["ulx3s-12f", "ulx3s-45f", "ulx3s-85f"])
def test_ulx3s_pins(network: NetworkTop, name: str) -> None:
    """As in the board's own constraints: FTDI TXD M1 and RXD L4, lamps D0 B2 and D7 H3, button
    FIRE1 R1, which pulls up, clock G2."""
    lpf = prepare(network, BOARDS[name])["top.lpf"]
    pins = dict(re.findall(r'^LOCATE COMP "(\S+)" SITE "(\w+)";$', lpf, re.MULTILINE))
    assert pins == {
        "clk25_0__io": "G2",
        "uart_0__rx__io": "M1",
        "uart_0__tx__io": "L4",
        "led_0__io": "B2",
        "led_7__io": "H3",
        "button_fire_0__io": "R1",
    }
    assert 'IOBUF PORT "button_fire_0__io" IO_TYPE=LVCMOS33 PULLMODE=DOWN;' in lpf
    assert re.findall("^FREQUENCY (.*)$", lpf, re.MULTILINE) == [
        'PORT "clk25_0__io" 25000000.0 HZ;'
    ]


@a_board_each
def test_same_bytes_everywhere(network: NetworkTop, board, tmp_path: Path) -> None:
    """Neither folder nor hash seed nor path of the sources shows in the text."""
    text = "".join(prepare(network, board).values())
    assert str(Path(__file__).parents[2]) not in text
    seen = {hashlib.sha256(text.encode()).hexdigest()}
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST, board.name],
            cwd=tmp_path,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(done.stdout.strip())
    assert len(seen) == 1
