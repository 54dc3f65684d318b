"""What a user sees while something takes its time."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["console", "print_json", "print_table", "progress", "say", "task", "warn"]

console = Console(highlight=False)
"""Where results go."""


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """Progress bars on standard error, which leave no trace in a pipe.

    Parameters
    ----------
    quiet
        Shows none.
    """
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bars:
        yield bars


@contextmanager
def task(bars: Progress, description: str) -> Iterator[None]:
    """A bar that runs while the block does."""
    bar = bars.add_task(description, total=None)
    yield
    bars.update(bar, total=1, completed=1)


def print_json(data: Any) -> None:
    """Print data for a script; JSON has no numbers but finite ones."""
    print(json.dumps(data, indent=1, allow_nan=False))


def say(text: str = "") -> None:
    """Print a line as it is."""
    console.print(text, markup=False, soft_wrap=True)


def warn(text: str) -> None:
    """Tell on standard error what a user should know."""
    print(f"spikeloom: warning: {text}", file=sys.stderr)


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1) -> None:
    """Print a table.

    Parameters
    ----------
    words
        How many columns stand to the left, as words do; the others stand to the right.
    """
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = [
            cell.ljust(width) if k < words else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())
