"""Facts of the boards that are supported."""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

__all__ = ["BOARDS", "Board"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """Facts of a board.

    Attributes
    ----------
    name, title
        What the board is called on the command line and in text.
    family, chip, package
        The FPGA, as its maker calls it.
    logic_cells, block_rams, dsps, sprams
        What the FPGA has: cells of a 4-input table and a flip-flop, memories of 4 kbit,
        multipliers of 16 bits, memories of 256 kbit that cannot be loaded with the bitstream.
    oscillator
        Frequency of the board's clock in Hz.
    clock
        Frequency in Hz that the design is clocked with unless another is asked for.
    baud
        Bits a second of the serial line to the host.
    platform
        Module and class of the Amaranth platform, which knows the pins. Its package is needed for
        a build alone.
    """

    name: str
    title: str
    family: str
    chip: str
    package: str
    logic_cells: int
    block_rams: int
    dsps: int
    sprams: int
    oscillator: float
    clock: float
    baud: int
    platform: str

    def create_platform(self) -> Any:
        """A new Amaranth platform, good for one design.

        Raises
        ------
        ModuleNotFoundError
            If the package of the platform is not installed.
        """
        return resolve_name(self.platform)()


BOARDS = {
    board.name: board
    for board in (
        # Chip: Lattice, iCE40 UltraPlus Family Data Sheet (FPGA-DS-02008), table 2.1.
        # Board: 1BitSquared, iCEBreaker V1.0 schematic; its FTDI chip takes 1 Mbaud exactly.
        Board(
            name="icebreaker",
            title="iCEBreaker",
            family="ice40",
            chip="iCE40UP5K",
            package="SG48",
            logic_cells=5280,
            block_rams=30,
            dsps=8,
            sprams=4,
            oscillator=12e6,
            clock=24e6,
            baud=1_000_000,
            platform="amaranth_boards.icebreaker:ICEBreakerPlatform",
        ),
    )
}
"""The boards by name."""
