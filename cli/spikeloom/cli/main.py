"""The command ``spikeloom``."""

import argparse
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from time import monotonic
from types import FrameType
from typing import Any, NoReturn

__all__ = ["main"]

USAGE_ERROR = 2
FAILURE = 1
INTERRUPTED = 130

COMMANDS = (
    *("demo", "convert", "inspect", "simulate", "quantize", "compare"),
    *("generate", "verify", "boards", "plan", "build", "program", "run", "virtual", "doctor"),
)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# In seconds: longer than any clean-up, and short enough for a user who has to ask twice.
_CLEANUP_TIME = 10


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, and whose last argument may stand behind options."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        namespace, rest = super().parse_known_args(args, namespace)
        # argparse takes an optional argument as left out once an option stands before it.
        last = self._get_positional_actions()[-1:]
        if len(rest) == 1 and not rest[0].startswith("-") and last and last[0].nargs == "?":
            (action,) = last
            if getattr(namespace, action.dest) is None:
                setattr(namespace, action.dest, self._get_value(action, rest[0]))
                rest = []
        return namespace, rest

    def error(self, message: str) -> NoReturn:
        _complain(f"{message}; `{self.prog} --help` lists the options")
        sys.exit(USAGE_ERROR)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    The exit code: 0 where all went well, 1 where something was found unequal or a tool or a device
    failed, 2 where the user's input is wrong, 130 after an interrupt, be it by SIGINT, SIGTERM or
    SIGHUP.
    """
    try:
        with _interruptible():
            return _run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        warnings.simplefilter("ignore")  # Amaranth's, of hardware that was only half made
        _complain("interrupted; nothing half-written is left")
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    # What is heavy is imported here, where an interrupt is expected, and only if it is needed.
    with _held():
        parser = _parser(arguments)
    chosen = parser.parse_args(arguments)
    with _held():
        from spikeloom.boards.device import DeviceError
        from spikeloom.boards.flow import FlowError
        from spikeloom.rtl_gen.emit import EmitError
        from spikeloom.sim.runner import SimulationError

    run: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return run(chosen)
    except ValueError as error:
        _complain(error)
        return USAGE_ERROR
    except (DeviceError, EmitError, FlowError, SimulationError, OSError) as error:
        _complain(error)
        return FAILURE
    except MemoryError:
        _complain("there is not enough memory; smaller data or a smaller network may fit")
        return FAILURE


def _parser(arguments: list[str]) -> _Parser:
    """The parser, with the one command that is meant if that is plain, else with all."""
    from importlib.metadata import version

    parser = _Parser(
        prog="spikeloom",
        description="Spiking networks as FPGA hardware that equals its golden model bit for bit.",
    )
    parser.add_argument("--version", action="version", version=f"spikeloom {version('spikeloom')}")
    commands = parser.add_subparsers(
        metavar="COMMAND", required=True, title="commands", parser_class=_Parser
    )
    if arguments[:1] != ["--version"]:
        for name in [name for name in COMMANDS if name in arguments[:1]] or COMMANDS:
            import_module(f"spikeloom.cli.{name}").add_parser(commands)
    return parser


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let each signal that asks for an end raise :exc:`KeyboardInterrupt`, but not twice.

    A second one, which comes when a terminal or a supervisor sends two kinds, would interrupt the
    clean-up that follows the first.
    """
    last = -float("inf")

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        earlier, last = last, monotonic()
        if last - earlier > _CLEANUP_TIME:
            raise KeyboardInterrupt

    earlier = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number, handler in earlier.items():
            if handler is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextmanager
def _held() -> Iterator[None]:
    """Signals wait until the end of the block: half an import can make another error of them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _complain(message: object) -> None:
    print(f"spikeloom: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
