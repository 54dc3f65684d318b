"""Facts of the boards that are supported."""

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from amaranth.build import Attrs, Pins, PinsN, Resource, Subsignal

from spikeloom.boards.artix7 import ARTIX7
from spikeloom.boards.ecp5 import ECP5
from spikeloom.boards.family import PLL, Family
from spikeloom.boards.gowin import GOWIN
from spikeloom.boards.ice40 import ICE40, ICE40_HX, ice40_core_pll

__all__ = ["BOARDS", "FAMILIES", "Board"]

Pin = tuple[str, int]
"""Name and number of a resource of the platform."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """Facts of a board.

    Attributes
    ----------
    name, title
        What the board is called on the command line and in text.
    family, chip, package
        The FPGA, the last two as its maker calls it.
    place
        Arguments of nextpnr that name the chip.
    logic_cells, block_rams, dsps, sprams
        What the FPGA has of the resources of these names, by its data sheet; its family says what
        they are. nextpnr may count more.
    oscillator
        Frequency of the board's clock in Hz.
    oscillator_pin
        The clock in the platform, where it is another than the platform's own.
    clock
        Frequency in Hz that the design is clocked with unless another is asked for.
    pll
        What makes the clock, where it is not the family's.
    baud, fastest_baud
        Bits a second of the serial line to the host, unless another is asked for; and the most
        that the board's USB bridge makes exactly and ``clock`` divides to within 1 %.
    wires
        Where the board has no bridge: the pins, by the names printed on the board, at which the
        FPGA receives and sends, for an adapter of 3.3 V.
    hint
        What a user must have done before the board works; empty if nothing.
    spi
        The connector at which a host can be with SPI; ``None`` where there is none.
    flash
        Bytes of the flash that a design can read weights from; ``None`` where it cannot, or needs
        none since all of its memories are configured.
    button
        The button that resets; ``None`` where there is none.
    spike_lamp, error_lamp
        The two lamps.
    resources
        What the platform lacks or has wrong.
    platform
        Module and class of the Amaranth platform, which knows the pins. Its package is needed for
        a build alone.
    """

    name: str
    title: str
    family: Family
    chip: str
    package: str
    place: tuple[str, ...]
    logic_cells: int
    block_rams: int
    dsps: int
    sprams: int
    oscillator: float
    oscillator_pin: Pin | None = None
    clock: float
    pll: Callable[[float, float], PLL] | None = None
    baud: int
    fastest_baud: int
    wires: tuple[str, str] | None = None
    hint: str = ""
    spi: Pin | None = None
    flash: int | None = None
    button: Pin | None
    spike_lamp: Pin
    error_lamp: Pin
    resources: tuple[Resource, ...] = ()
    platform: str

    @property
    def has(self) -> dict[str, int]:
        """How much there is of each resource, by its name."""
        names = "logic cells", "block RAMs", "DSPs", "SPRAMs"
        counts = self.logic_cells, self.block_rams, self.dsps, self.sprams
        return dict(zip(names, counts, strict=True))

    @property
    def built(self) -> bool:
        """Whether a bitstream can be built here, and not by the FPGA's maker's tool alone."""
        return bool(self.family.tools)

    def create_platform(self) -> Any:
        """A new Amaranth platform, good for one design.

        Raises
        ------
        ModuleNotFoundError
            If the package of the platform is not installed.
        """
        platform = resolve_name(self.platform)()
        for each in self.resources:
            platform.resources.pop((each.name, each.number), None)  # type: ignore[attr-defined]
        platform.add_resources(self.resources)
        if self.oscillator_pin is not None:
            platform.default_clk, _ = self.oscillator_pin
        return platform


def _lines(receive: str, send: str, attributes: Attrs) -> Resource:
    """A serial line on header pins."""
    lines = Subsignal("rx", Pins(receive, dir="i")), Subsignal("tx", Pins(send, dir="o"))
    return Resource("uart", 0, *lines, attributes)


def _flash(cs: str, clk: str, copi: str, cipo: str, attributes: Attrs) -> Resource:
    """The four lines of a flash, by the name that Amaranth's boards have for it."""
    lines = Subsignal("cs", PinsN(cs, dir="o")), Subsignal("clk", Pins(clk, dir="o"))
    data = Subsignal("copi", Pins(copi, dir="o")), Subsignal("cipo", Pins(cipo, dir="i"))
    return Resource("spi_flash_1x", 0, *lines, *data, attributes)


def _pmod_spi(number: int, attributes: Attrs) -> Resource:
    """A connector of six pins for SPI, the board being the peripheral: Digilent, Pmod Interface
    Specification 1.2, type 2."""
    pins = (("cs", PinsN, "1"), ("copi", Pins, "2"), ("cipo", Pins, "3"), ("clk", Pins, "4"))
    lines = (
        Subsignal(name, kind(pin, dir="o" if name == "cipo" else "i", conn=("pmod", number)))
        for name, kind, pin in pins
    )
    return Resource("host_spi", 0, *lines, attributes)


def _lamps(spike: str, error: str, attributes: Attrs) -> tuple[Resource, Resource]:
    """Two lamps that are lit by a low level."""
    return tuple(  # type: ignore[return-value]
        Resource("lamp", k, PinsN(pin, dir="o"), attributes) for k, pin in enumerate((spike, error))
    )


def _ulx3s(size: str, die: str, logic_cells: int, block_rams: int, dsps: int) -> Board:
    # Chip: Lattice, ECP5 Family Data Sheet (FPGA-DS-02012), table 1.1, and nextpnr's own count of
    # LFE5U-45F and -85F. The LFE5U-12F is the die of the -25F, all of which nextpnr uses; what the
    # data sheet does not promise is not taken. Board: Radiona, ULX3S v3 schematic. Its FT231X makes
    # 3 Mbaud and whole fractions of it.
    return Board(
        name=f"ulx3s-{size.lower()}",
        title=f"ULX3S {size}",
        family=ECP5,
        chip=f"LFE5U-{size}",
        package="BG381",
        place=(f"--{die}", "--package", "CABGA381", "--speed", "6"),
        logic_cells=logic_cells,
        block_rams=block_rams,
        dsps=dsps,
        sprams=0,
        oscillator=25e6,
        clock=100e6,
        baud=1_000_000,
        fastest_baud=2_000_000,
        button=("button_fire", 0),
        spike_lamp=("led", 0),
        error_lamp=("led", 7),
        platform=f"amaranth_boards.ulx3s:ULX3S_{size}_Platform",
    )


_SB = Attrs(IO_STANDARD="SB_LVCMOS")

BOARDS = {
    board.name: board
    for board in (
        # Chip: Lattice, iCE40 UltraPlus Family Data Sheet (FPGA-DS-02008), table 2.1.
        # Board: 1BitSquared, iCEBreaker V1.0 schematic; its FT2232H makes 12 Mbaud and whole
        # fractions of it, and a bit needs 8 cycles of the clock.
        Board(
            name="icebreaker",
            title="iCEBreaker",
            family=ICE40,
            chip="iCE40UP5K",
            package="SG48",
            place=("--up5k", "--package", "sg48"),
            logic_cells=5280,
            block_rams=30,
            dsps=8,
            sprams=4,
            oscillator=12e6,
            clock=24e6,
            baud=1_000_000,
            fastest_baud=3_000_000,
            spi=("host_spi", 0),
            flash=1 << 24,
            button=("button", 0),
            spike_lamp=("led_g", 0),
            error_lamp=("led_r", 0),
            resources=(_pmod_spi(0, _SB),),
            platform="amaranth_boards.icebreaker:ICEBreakerPlatform",
        ),
        # The same chip. Board: tinyVision.ai, UPduino v3 documentation and pin list. The chip's own
        # oscillator is up to 10 % off, too much for a serial line; the board's reaches pin 20,
        # which is not the loop's own, over a jumper; amaranth-boards has that pin for the flash's
        # hold too. The USB chip's lines are those of the flash, which would take serial data for
        # commands.
        Board(
            name="upduino",
            title="UPduino v3",
            family=ICE40,
            chip="iCE40UP5K",
            package="SG48",
            place=("--up5k", "--package", "sg48"),
            logic_cells=5280,
            block_rams=30,
            dsps=8,
            sprams=4,
            oscillator=12e6,
            oscillator_pin=("clk12", 0),
            clock=24e6,
            pll=ice40_core_pll,
            baud=1_000_000,
            fastest_baud=3_000_000,
            wires=("gpio_23", "gpio_25"),
            hint="solder the jumper OSC, which brings the board's 12 MHz to gpio_20",
            flash=1 << 22,
            button=None,
            spike_lamp=("lamp", 0),
            error_lamp=("lamp", 1),
            resources=(
                _lines("23", "25", _SB),
                *_lamps("39", "41", _SB),
                _flash("16", "15", "14", "17", _SB),
            ),
            platform="amaranth_boards.upduino_v3:UpduinoV3Platform",
        ),
        # Chip: Lattice, iCE40 LP/HX Family Data Sheet (FPGA-DS-02029), table 1.1.
        # Board: Lattice, iCE40HX-8K Breakout Board User's Guide (EB85); its FT2232H as above.
        Board(
            name="hx8k",
            title="iCE40-HX8K Breakout Board",
            family=ICE40_HX,
            chip="iCE40HX8K",
            package="CT256",
            place=("--hx8k", "--package", "ct256"),
            logic_cells=7680,
            block_rams=32,
            dsps=0,
            sprams=0,
            oscillator=12e6,
            clock=48e6,
            baud=1_000_000,
            fastest_baud=6_000_000,
            button=None,
            spike_lamp=("led", 0),
            error_lamp=("led", 7),
            platform="amaranth_boards.ice40_hx8k_b_evn:ICE40HX8KBEVNPlatform",
        ),
        # Chip: Gowin, GW1NR data sheet (DS117), table 1-1. Board: Sipeed, Tang Nano 9K schematic.
        # Lamps and buttons are on a bank of 1.8 V, which amaranth-boards has as 3.3 V. Its BL702
        # takes 3 Mbaud (sipeed/TangNano-9K-example, issue 7).
        Board(
            name="tang-nano-9k",
            title="Tang Nano 9K",
            family=GOWIN,
            chip="GW1NR-LV9",
            package="QN88P",
            place=("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"),
            logic_cells=8640,
            block_rams=26,
            dsps=20,
            sprams=0,
            oscillator=27e6,
            clock=54e6,
            baud=1_000_000,
            fastest_baud=3_000_000,
            button=("reset", 0),
            spike_lamp=("lamp", 0),
            error_lamp=("lamp", 1),
            resources=(
                *_lamps("10", "16", Attrs(IO_TYPE="LVCMOS18")),
                Resource(
                    "reset", 0, PinsN("3", dir="i"), Attrs(IO_TYPE="LVCMOS18", PULL_MODE="UP")
                ),
            ),
            platform="amaranth_boards.tang_nano_9k:TangNano9kPlatform",
        ),
        _ulx3s("12F", "12k", logic_cells=12000, block_rams=32, dsps=28),
        # Chip: Xilinx, 7 Series FPGAs Data Sheet: Overview (DS180), table 4. Board: Digilent, Arty
        # A7 reference manual; its FT2232HQ makes 12 Mbaud and whole fractions of it.
        Board(
            name="arty-a7-35t",
            title="Arty A7-35T",
            family=ARTIX7,
            chip="xc7a35ti",
            package="csg324",
            place=(),
            logic_cells=20800,
            block_rams=100,
            dsps=90,
            sprams=0,
            oscillator=100e6,
            clock=100e6,
            baud=1_000_000,
            fastest_baud=4_000_000,
            spi=("host_spi", 0),
            button=("rst", 0),
            spike_lamp=("led", 0),
            error_lamp=("led", 3),
            resources=(_pmod_spi(0, Attrs(IOSTANDARD="LVCMOS33")),),
            platform="amaranth_boards.arty_a7:ArtyA7_35Platform",
        ),
        # Chip: as of the ULX3S, and nextpnr's own count. Board: OrangeCrab r0.2 schematic. Its USB
        # is wired to the FPGA without a bridge.
        Board(
            name="orangecrab",
            title="OrangeCrab r0.2 25F",
            family=ECP5,
            chip="LFE5U-25F",
            package="MG285",
            place=("--25k", "--package", "CSFBGA285", "--speed", "8"),
            logic_cells=24288,
            block_rams=56,
            dsps=28,
            sprams=0,
            oscillator=48e6,
            clock=72e6,
            baud=1_000_000,
            fastest_baud=3_000_000,
            wires=("0", "1"),
            button=("button", 0),
            spike_lamp=("lamp", 0),
            error_lamp=("lamp", 1),
            resources=(
                _lines("N17", "M18", Attrs(IO_TYPE="LVCMOS33")),
                *_lamps("M3", "K4", Attrs(IO_TYPE="LVCMOS33")),
            ),
            platform="amaranth_boards.orangecrab_r0_2:OrangeCrabR0_2_25FPlatform",
        ),
        _ulx3s("45F", "45k", logic_cells=43848, block_rams=108, dsps=72),
        _ulx3s("85F", "85k", logic_cells=83640, block_rams=208, dsps=156),
    )
}
"""The boards by name."""

FAMILIES = tuple(dict.fromkeys(board.family for board in BOARDS.values()))
"""The families of FPGAs that the boards have."""
