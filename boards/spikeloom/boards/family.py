"""What a family of FPGAs is to the flow: its tools, files, resources and clock."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from amaranth.hdl import Elaboratable, Instance, Signal
from amaranth.lib.io import SingleEndedPort

from spikeloom.boards.cells import LogicModel, MultiplierCell, RAMCell
from spikeloom.boards.tools import YOSYS, ToolSource

__all__ = ["PLL", "Family", "Resource", "check_frequency", "check_reached"]


class PLL(Protocol):
    """Settings of a phase-locked loop, and the loop.

    Attributes
    ----------
    frequency
        The output's frequency in Hz.
    """

    @property
    def frequency(self) -> float: ...

    def create(
        self, oscillator: SingleEndedPort, clock: Signal, locked: Signal
    ) -> Elaboratable | Instance:
        """The loop between the pin of an oscillator and two signals that it drives."""
        ...


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Something that an FPGA has a number of.

    Attributes
    ----------
    name
        What we call it.
    cell
        What nextpnr calls it.
    less
        What a network needs less of if there is not enough: ``weights`` or ``lanes``.
    """

    name: str
    cell: str
    less: str


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of FPGAs.

    Attributes
    ----------
    name
        What it is called in text.
    placer, packer
        Sources of the tools that place and route, and that make the bitstream; ``None`` where
        there are no open ones, so that only a project for the maker's tool is written.
    synthesis
        Command of yosys that makes ``top.json`` of the module ``top``.
    source, constraints
        Files of the design, and of pins and clocks, that Amaranth's platform writes.
    place, pack
        Arguments of the two tools, beside those that name the chip; ``{mhz}`` stands for the clock
        rate, where the placer does not derive it from the oscillator's.
    bitstream
        File that ``packer``, or the maker's tool, writes.
    resources
        What is counted, the most general first.
    rams
        Kinds of memory cells, in the order in which yosys looks at them.
    multiplier
        What products are formed in, a DSP each; ``None`` where they are logic.
    logic
        How many logic cells a network takes, about.
    cell_bits
        Bits that a logic cell can hold at most, as flip-flop and as distributed memory.
    block_ram_bits
        Bits of a block RAM.
    suffix
        Regular expression of what yosys appends to a signal's name to name a cell after it.
    pll
        A function of the oscillator's frequency and the wanted one, in Hz. It raises TypeError
        where one is not a number and ValueError where the loop cannot make the frequency.
    """

    name: str
    placer: ToolSource | None
    packer: ToolSource | None
    synthesis: str
    source: str = "top.il"
    constraints: str
    place: tuple[str, ...]
    pack: tuple[str, ...]
    bitstream: str
    resources: tuple[Resource, ...]
    rams: tuple[RAMCell, ...]
    multiplier: MultiplierCell | None
    logic: LogicModel
    cell_bits: int
    block_ram_bits: int
    suffix: str
    pll: Callable[[float, float], PLL]

    @property
    def tools(self) -> tuple[ToolSource, ...]:
        """Sources of all tools that make a bitstream, in the order of their use; none where only
        the maker's tool can."""
        if self.placer is None or self.packer is None:
            return ()
        return YOSYS, self.placer, self.packer


def check_frequency(name: str, value: float, lowest: float, highest: float) -> None:
    """Refuse a frequency that is not a number of Hz within bounds.

    Raises
    ------
    TypeError, ValueError
        If it is not.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number of Hz, not {value!r}")
    if not lowest <= value <= highest:
        raise ValueError(
            f"{name} must be {lowest / 1e6:g} to {highest / 1e6:g} MHz, not {value / 1e6:g} MHz"
        )


def check_reached(nearest: float, reference: float, frequency: float) -> None:
    """Refuse a frequency in Hz that a loop makes of its reference with more than 1 % of error.

    Raises
    ------
    ValueError
        If it is so far off.
    """
    if abs(nearest / frequency - 1) > 0.01:
        raise ValueError(
            f"frequency must be within 1 % of what the loop can make of {reference / 1e6:g} MHz,"
            f" not {frequency / 1e6:g} MHz: the nearest is {nearest / 1e6:g} MHz"
        )
