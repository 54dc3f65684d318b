"""Independent tasks over cores, or over machines."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from types import FrameType
from typing import TypeVar

from spikeloom.sim.runner import SimulationError

__all__ = ["spread"]

_T = TypeVar("_T")


def spread(
    tasks: Sequence[Callable[[], _T]], *, jobs: int = 1, scheduler: str | None = None
) -> Iterator[tuple[int, _T]]:
    """What comes of tasks, as it comes.

    Parameters
    ----------
    tasks
        Functions that can be pickled; they share nothing but files.
    jobs
        How many run at once on this machine. Each has a process of its own.
    scheduler
        Address of a Dask scheduler whose workers run them instead, such as
        ``tcp://10.0.0.5:8786``. The workers need this package and, where tasks name folders, the
        same files.

    Returns
    -------
    For each task its place and its result. The first error of a task ends them all.

    Raises
    ------
    SimulationError
        If Dask is not installed, or the scheduler does not answer.
    """
    if scheduler is not None:
        yield from _over_machines(tasks, scheduler)
        return
    # A fork would inherit locks of threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, signal.signal, _LEFT_TO_US) as pool:
        places = {pool.submit(_interruptible, task): place for place, task in enumerate(tasks)}
        try:
            for future in as_completed(places):
                yield places[future], future.result()
        except BaseException:
            # The death of one ends the pool; what waits must not be cancelled beside that.
            for process in multiprocessing.active_children():
                process.terminate()
            raise


_LEFT_TO_US = (signal.SIGINT, signal.SIG_IGN)
"""An interrupt comes to all processes of a terminal at once."""


def _interruptible(task: Callable[[], _T]) -> _T:
    """Do a task. When its process is terminated, the task ends what it has started first."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return task()
    except KeyboardInterrupt:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt a task, once: the pool terminates all of its processes when one has died."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _over_machines(tasks: Sequence[Callable[[], _T]], scheduler: str) -> Iterator[tuple[int, _T]]:
    try:
        from distributed import Client
        from distributed import as_completed as dask_completed
    except ModuleNotFoundError:
        raise SimulationError(
            "Dask is not there; to get it, type: pip install 'spikeloom[dask]'"
        ) from None
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise SimulationError(f"no Dask scheduler answers at {scheduler}: {error}") from None
    with client:
        futures = [client.submit(task, pure=False) for task in tasks]
        places = {future.key: place for place, future in enumerate(futures)}
        for future in dask_completed(futures):
            yield places[future.key], future.result()
