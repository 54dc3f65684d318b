"""How a build comes onto its board: the tools that load bitstreams, and what to type."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeloom.boards.board import BOARDS, Board
from spikeloom.boards.flow import FLASH

__all__ = ["PROGRAMMERS", "Command", "Programmer", "choose", "commands", "program"]

_STDERR = 2


@dataclass(frozen=True, kw_only=True)
class Programmer:
    """A tool that loads a board's bitstreams.

    Attributes
    ----------
    tool
        The program.
    install
        What to type to get it, on Debian or Ubuntu.
    sram, flash
        Its arguments but the file, which comes last: into the FPGA's own memory, gone when the
        power is; and to where the FPGA finds it when the power comes. ``None`` where the board
        cannot take it so as it is sold.
    """

    tool: str
    install: str
    sram: tuple[str, ...] | None = None
    flash: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Command:
    """What to run, and whether its tool is there.

    Attributes
    ----------
    words
        The command.
    flash
        Whether it writes to flash.
    found
        Whether the tool is on ``PATH``.
    install
        What to type to get the tool.
    """

    words: tuple[str, ...]
    flash: bool
    found: bool
    install: str


def _loader(name: str, *, sram: bool = True) -> Programmer:
    """openFPGALoader, with the name that its ``src/board.hpp`` gives the board."""
    return Programmer(
        tool="openFPGALoader",
        install="apt-get install openfpgaloader",
        sram=("-b", name) if sram else None,
        flash=("-b", name, "-f"),
    )


# Project IceStorm. The iCE40 boards take a bitstream without the flash only with jumpers changed.
_ICEPROG = Programmer(tool="iceprog", install="apt-get install fpga-icestorm", flash=())

PROGRAMMERS: dict[str, tuple[Programmer, ...]] = {
    "icebreaker": (_loader("ice40_generic", sram=False), _ICEPROG),
    # openFPGALoader knows no board with this one's USB chip and an iCE40.
    "upduino": (_ICEPROG,),
    "hx8k": (_loader("ice40_generic", sram=False), _ICEPROG),
    "tang-nano-9k": (_loader("tangnano9k"),),
    "arty-a7-35t": (_loader("arty_a7_35t"),),
    # Its bootloader writes to flash, by the USB device that it is while the button is held.
    "orangecrab": (
        Programmer(
            tool="dfu-util",
            install="apt-get install dfu-util",
            flash=("-d", "1209:5af0", "-a", "0", "-D"),
        ),
        Programmer(
            tool="openFPGALoader",
            install="apt-get install openfpgaloader",
            flash=("-b", "orangeCrab"),
        ),
    ),
} | dict.fromkeys(("ulx3s-12f", "ulx3s-45f", "ulx3s-85f"), (_loader("ulx3s"),))
"""The tools for each board by its name, the better first."""


def commands(board: Board, file: Path, *, flash: bool = False) -> tuple[Command, ...]:
    """What loads a file onto a board, the better tool first.

    Parameters
    ----------
    board
        The board.
    file
        The bitstream.
    flash
        Whether to write it to flash although the board can do without.
    """
    programmers = PROGRAMMERS[board.name]
    flash = flash or all(each.sram is None for each in programmers)
    found = []
    for each in programmers:
        arguments = each.flash if flash else each.sram
        if arguments is not None:
            there = shutil.which(each.tool) is not None
            words = each.tool, *arguments, str(file)
            found.append(Command(words, flash, there, each.install))
    return tuple(found)


def choose(found: Sequence[Command]) -> Command:
    """The first of which the tool is there, else the first."""
    return next((each for each in found if each.found), found[0])


def program(
    folder: Path, *, flash: bool = False, quiet: bool = False
) -> tuple[Command, int | None]:
    """Load the build of a folder onto its board; one with weights in flash goes to flash.

    Parameters
    ----------
    folder
        What ``spikeloom build`` wrote.
    flash
        As :func:`commands`'.
    quiet
        Whether what the tool prints goes to standard error.

    Returns
    -------
    The command, and the tool's exit code; ``None`` where no tool is there, so that nothing was run.

    Raises
    ------
    ValueError
        If the folder holds no build, or not its bitstream.
    """
    board, file = _built(folder)
    image = folder / FLASH
    if image.is_file():
        # With the weights behind the bitstream.
        flash, file = True, image
    command = choose(commands(board, file, flash=flash))
    if not command.found:
        return command, None
    return command, subprocess.run(
        command.words, stdout=_STDERR if quiet else None, check=False
    ).returncode


def _built(folder: Path) -> tuple[Board, Path]:
    """The board and the bitstream of a build."""
    try:
        facts = json.loads((folder / "build.json").read_text(encoding="utf-8"))
        board, file = BOARDS[facts["board"]], folder / facts["file"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"{folder} must be a folder that `spikeloom build` wrote") from None
    if not file.is_file():
        how = "" if board.built else "; to make it, type: vivado -mode batch -source top.tcl"
        raise ValueError(f"{folder} must hold the bitstream {file.name}, but does not{how}")
    return board, file
