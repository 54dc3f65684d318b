"""What a user sees while something takes its time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["console", "print_json", "progress", "task"]

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
    """Print data for a script."""
    print(json.dumps(data, indent=1))
