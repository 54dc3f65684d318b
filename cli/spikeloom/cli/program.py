"""``spikeloom program``: a build onto its board."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from spikeloom.boards.program import program
from spikeloom.cli.progress import print_json, say

__all__ = ["add_parser"]

_NO_TOOL = 2


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "program",
        help="load a build onto its board",
        description="Loads the bitstream of a folder that `spikeloom build` wrote, with a tool that"
        " is on PATH. Where there is none it prints what to type and how to get the tool, with exit"
        " code 2.",
    )
    parser.add_argument("folder", type=Path, help="folder that `spikeloom build` wrote")
    parser.add_argument(
        "--flash",
        action="store_true",
        help="write to flash, from which the board starts (default: only where the board takes a"
        " bitstream no other way)",
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    command, code = program(arguments.folder, flash=arguments.flash, quiet=arguments.json)
    if arguments.json:
        facts = {
            "command": list(command.words),
            "flash": command.flash,
            "found": command.found,
            "install": command.install,
            "exit_code": code,
        }
        print_json(facts)
        return _NO_TOOL if code is None else int(code != 0)
    where = "flash" if command.flash else "the FPGA's own memory, until the power goes"
    if code is None:
        say(f"{command.words[0]} is not there; to get it, type: {command.install}")
        say(f"then, to load the build into {where}, type:")
        say(shlex.join(command.words))
        return _NO_TOOL
    say(f"{shlex.join(command.words)}: {'failed' if code else f'loaded into {where}'}")
    return 1 if code else 0
