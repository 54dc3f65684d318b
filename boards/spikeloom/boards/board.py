"""Facts of the boards that are supported."""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from spikeloom.boards.ecp5 import ECP5
from spikeloom.boards.family import Family
from spikeloom.boards.ice40 import ICE40

__all__ = ["BOARDS", "FAMILIES", "Board"]


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
        What the FPGA has of the resources of these names; its family says what they are.
    oscillator
        Frequency of the board's clock in Hz.
    clock
        Frequency in Hz that the design is clocked with unless another is asked for.
    baud
        Bits a second of the serial line to the host.
    button, spike_lamp, error_lamp
        Name and number, in the platform, of the button that resets and of the two lamps.
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
    clock: float
    baud: int
    button: tuple[str, int]
    spike_lamp: tuple[str, int]
    error_lamp: tuple[str, int]
    platform: str

    def create_platform(self) -> Any:
        """A new Amaranth platform, good for one design.

        Raises
        ------
        ModuleNotFoundError
            If the package of the platform is not installed.
        """
        return resolve_name(self.platform)()


def _ulx3s(size: str, logic_cells: int, block_rams: int, dsps: int) -> Board:
    # Chip: nextpnr's own count of LFE5U-45F and -85F; Lattice, ECP5 Family Data Sheet
    # (FPGA-DS-02012), table 1.1. Board: Radiona, ULX3S v3 schematic. Its FT231X makes 3 Mbaud and
    # whole fractions of it, so 1 Mbaud is exact; 3 would be 1 % off at 100 MHz.
    return Board(
        name=f"ulx3s-{size.lower()}",
        title=f"ULX3S {size}",
        family=ECP5,
        chip=f"LFE5U-{size}",
        package="BG381",
        place=(f"--{size[:2]}k", "--package", "CABGA381", "--speed", "6"),
        logic_cells=logic_cells,
        block_rams=block_rams,
        dsps=dsps,
        sprams=0,
        oscillator=25e6,
        clock=100e6,
        baud=1_000_000,
        button=("button_fire", 0),
        spike_lamp=("led", 0),
        error_lamp=("led", 7),
        platform=f"amaranth_boards.ulx3s:ULX3S_{size}_Platform",
    )


BOARDS = {
    board.name: board
    for board in (
        # Chip: Lattice, iCE40 UltraPlus Family Data Sheet (FPGA-DS-02008), table 2.1.
        # Board: 1BitSquared, iCEBreaker V1.0 schematic; its FTDI chip takes 1 Mbaud exactly.
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
            button=("button", 0),
            spike_lamp=("led_g", 0),
            error_lamp=("led_r", 0),
            platform="amaranth_boards.icebreaker:ICEBreakerPlatform",
        ),
        _ulx3s("45F", logic_cells=43848, block_rams=108, dsps=72),
        _ulx3s("85F", logic_cells=83640, block_rams=208, dsps=156),
    )
}
"""The boards by name."""

FAMILIES = tuple(dict.fromkeys(board.family for board in BOARDS.values()))
"""The families of FPGAs that the boards have."""
