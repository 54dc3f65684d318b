"""The command ``spikeloom``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import NoReturn

from rich.console import Console

from spikeloom.boards.flow import FlowError
from spikeloom.cli import build, demo, doctor, generate, verify
from spikeloom.rtl_gen.emit import EmitError
from spikeloom.sim.runner import SimulationError

__all__ = ["main"]

USAGE_ERROR = 2
FAILURE = 1
INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        _complain(f"{message}; `{self.prog} --help` lists the options")
        sys.exit(USAGE_ERROR)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    The exit code: 0 where all went well, 1 where something was found unequal or a tool failed, 2
    where the user's input is wrong, 130 after an interrupt.
    """
    parser = _Parser(
        prog="spikeloom",
        description="Spiking networks as FPGA hardware that equals its golden model bit for bit.",
    )
    parser.add_argument("--version", action="version", version=f"spikeloom {version('spikeloom')}")
    commands = parser.add_subparsers(
        metavar="COMMAND", required=True, title="commands", parser_class=_Parser
    )
    for module in (demo, generate, verify, build, doctor):
        module.add_parser(commands)
    chosen = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return run(chosen)
    except ValueError as error:
        _complain(error)
        return USAGE_ERROR
    except (EmitError, FlowError, SimulationError, OSError) as error:
        _complain(error)
        return FAILURE
    except KeyboardInterrupt:
        _complain("interrupted; nothing half-written is left")
        return INTERRUPTED


def _complain(message: object) -> None:
    Console(stderr=True, highlight=False).print(
        f"spikeloom: {message}", markup=False, soft_wrap=True
    )


if __name__ == "__main__":
    sys.exit(main())
