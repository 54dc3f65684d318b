"""Xilinx' Artix-7, as a project for Vivado: no open tool that is used here makes its bitstream."""

from dataclasses import dataclass

from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib.io import Buffer, Direction, SingleEndedPort

from spikeloom.boards.cells import MultiplierCell, RAMCell
from spikeloom.boards.ecp5 import ECP5
from spikeloom.boards.family import Family, Resource, check_frequency, check_reached

__all__ = ["ARTIX7", "Artix7PLL", "artix7_pll"]


@dataclass(frozen=True)
class Artix7PLL:
    """Parameters of a ``PLLE2_BASE`` cell with internal feedback.

    Attributes
    ----------
    reference
        The input's frequency in Hz.
    divclk_divide, clkfbout_mult
        The loop's oscillator runs at ``reference * clkfbout_mult / divclk_divide``.
    clkout0_divide
        The output is the oscillator's by this.
    frequency
        The output's frequency in Hz.
    """

    reference: float
    divclk_divide: int
    clkfbout_mult: int
    clkout0_divide: int
    frequency: float

    def create(self, oscillator: SingleEndedPort, clock: Signal, locked: Signal) -> Module:
        """The loop, between an input buffer and a global one."""
        m = Module()
        m.submodules.buffer = buffer = Buffer(Direction.Input, oscillator)
        feedback = Signal()
        output = Signal()
        m.submodules.loop = Instance(
            "PLLE2_BASE",
            ("p", "CLKIN1_PERIOD", 1e9 / self.reference),
            ("p", "DIVCLK_DIVIDE", self.divclk_divide),
            ("p", "CLKFBOUT_MULT", self.clkfbout_mult),
            ("p", "CLKOUT0_DIVIDE", self.clkout0_divide),
            ("i", "CLKIN1", buffer.i),
            ("i", "CLKFBIN", feedback),
            ("i", "RST", Const(0, 1)),
            ("i", "PWRDWN", Const(0, 1)),
            ("o", "CLKFBOUT", feedback),
            ("o", "CLKOUT0", output),
            ("o", "LOCKED", locked),
        )
        m.submodules.net = Instance("BUFG", ("i", "I", output), ("o", "O", clock))
        return m


def artix7_pll(reference: float, frequency: float) -> Artix7PLL:
    """Dividers that bring a loop nearest to a frequency.

    Of several that do, those with the fastest phase detector and oscillator. The bounds are those
    of Xilinx' Artix-7 data sheet (DS181) for the speed grade -1 and of the 7 Series Clocking
    Resources guide (UG472): reference 19 to 800 MHz, phase detector 19 to 450 MHz, oscillator 800
    to 1600 MHz, output 6.25 to 800 MHz, ``divclk_divide`` 1 to 56, ``clkfbout_mult`` 2 to 64,
    ``clkout0_divide`` 1 to 128.

    Parameters
    ----------
    reference, frequency
        Input and wanted output, in Hz.

    Raises
    ------
    TypeError
        If a frequency is not a number.
    ValueError
        If a frequency is out of bounds, or the nearest is more than 1 % off.
    """
    check_frequency("reference", reference, 19e6, 800e6)
    check_frequency("frequency", frequency, 6.25e6, 800e6)
    candidates = [
        Artix7PLL(reference, divide, multiply, out, oscillator / out)
        for divide in range(1, min(56, int(reference / 19e6)) + 1)
        if reference / divide <= 450e6
        for multiply in range(2, 65)
        if 800e6 <= (oscillator := reference * multiply / divide) <= 1600e6
        for out in range(1, 129)
    ]
    best = min(
        candidates,
        key=lambda settings: (
            abs(settings.frequency - frequency),
            settings.divclk_divide,
            -settings.clkfbout_mult,
        ),
    )
    check_reached(best.frequency, reference, frequency)
    return best


ARTIX7 = Family(
    name="Artix-7",
    placer=None,
    packer=None,
    synthesis="synth_xilinx -family xc7 -top top",
    source="top.v",
    constraints="top.xdc",
    place=(),
    pack=(),
    bitstream="top.bit",
    resources=(
        Resource(name="logic cells", cell="LUT", less="lanes"),
        Resource(name="block RAMs", cell="RAMB18E1", less="weights"),
        Resource(name="DSPs", cell="DSP48E1", less="lanes"),
    ),
    rams=(
        RAMCell(
            name="distributed RAM",
            resource="logic cells",
            takes=4,
            style="distributed",
            cost=8,
            modes=((64, 3), (32, 6)),
            enabled=0,
            points=1,
            rom=False,
        ),
        RAMCell(
            name="block RAM",
            resource="block RAMs",
            style="block",
            cost=128,
            modes=((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36)),
            enabled=9,
            points=7,
        ),
    ),
    multiplier=MultiplierCell(width=17, least_product=9),
    # Compared with nothing. A table of six inputs does at least what one of four does.
    logic=ECP5.logic,
    # A flip-flop of the two, and 64 words of 3 bits in four tables.
    cell_bits=2 + 64 * 3 // 4,
    block_ram_bits=18432,
    suffix=r"\$",
    pll=artix7_pll,
)
"""Logic cells are 6-input tables, block RAMs are halves of 18 kbit, DSPs of 25 by 18 bits. What a
network takes of them is an estimate altogether: Vivado has rules of its own."""
