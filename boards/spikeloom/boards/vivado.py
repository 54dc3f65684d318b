"""From a network to a project for Vivado, which is not run here."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spikeloom.boards.board import Board
from spikeloom.boards.flow import board_files
from spikeloom.boards.link_facts import host_files
from spikeloom.boards.top import SERIAL, BoardTop, HostLink
from spikeloom.rtl_gen.link.linked import EventNetwork
from spikeloom.rtl_gen.output import check_output, whole_folder

__all__ = ["SCRIPT", "Project", "write_project"]

SCRIPT = "top.tcl"
"""The project's Tcl script. It makes the project, runs it, and writes a bitstream."""

_CHECK = """\
foreach delay {max min} {
    set path [get_timing_paths -delay_type $delay]
    if {[get_property SLACK $path] < 0} {
        error "the clock is too fast for the design: slack [get_property SLACK $path] ns"
    }
}
"""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project.

    Attributes
    ----------
    folder
        Where Verilog, constraints, script and the host's files lie, and these facts as
        ``build.json``.
    board
        Name of the board.
    frequency
        Clock frequency of the design in Hz.
    baud
        Bits a second of the serial line.
    file
        Name of the bitstream that Vivado writes.
    """

    folder: Path
    board: str
    frequency: float
    baud: int
    file: str


def write_project(
    network: EventNetwork,
    board: Board,
    folder: Path,
    *,
    frequency: float | None = None,
    link: HostLink = SERIAL,
    progress: Callable[[str], None] = lambda stage: None,
) -> Project:
    """Write the project of a network on a board whose bitstreams are not built here.

    Vivado refuses to write a bitstream where the clock is too fast for the design.

    Parameters
    ----------
    network, board, frequency, link
        As :class:`~spikeloom.boards.top.BoardTop`'s.
    folder
        Where to put everything; an earlier folder of ours is replaced.
    progress
        Is called with the name of what is done when it begins.

    Raises
    ------
    FlowError
        If the package of the board's platform is not installed.
    TypeError, ValueError
        If the folder is not ours, the board is one that is built here, or as
        :class:`~spikeloom.boards.top.BoardTop`.
    """
    if board.built:
        raise ValueError(f"board must be one that is not built here, not {board.title}")
    folder = folder.resolve()
    check_output(folder, "build")
    progress("elaborate")
    top = BoardTop(network, board, frequency, link)
    family = board.family
    files = board_files(top, (family.source, family.constraints, SCRIPT))
    # The script would write a bitstream all the same.
    before, write, after = files[SCRIPT].partition("write_bitstream ")
    files[SCRIPT] = f"{before}{_CHECK}{write}{after}"
    facts = {
        "board": board.name,
        "frequency": top.frequency,
        "baud": top.baud,
        "file": family.bitstream,
    }
    with whole_folder(folder, "build", editable=False) as part:
        for name, text in files.items():
            (part / name).write_text(text, encoding="utf-8")
        for name, content in host_files(network, link, top.baud).items():
            (part / name).write_bytes(content)
        (part / "build.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return Project(
        folder=folder,
        board=board.name,
        frequency=top.frequency,
        baud=top.baud,
        file=family.bitstream,
    )
