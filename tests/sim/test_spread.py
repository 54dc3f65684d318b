"""Tasks in processes of their own, and on Dask's workers."""

import multiprocessing
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from spread_tasks import fail_after, hold, note, square

from spikeloom.sim.runner import SimulationError, run_child
from spikeloom.sim.spread import spread


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_and_their_places(jobs: int) -> None:
    found = dict(spread([partial(square, n) for n in range(7)], jobs=jobs))
    assert {place: value for place, (value, _) in found.items()} == {n: n * n for n in range(7)}
    processes = {process for _, process in found.values()}
    assert os.getpid() not in processes
    assert len(processes) <= jobs


def test_an_error_ends_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^three is wrong$"):
        list(spread([partial(note, tmp_path, n) for n in range(200)]))
    assert {"0", "1", "2"} <= set(os.listdir(tmp_path))
    assert len(os.listdir(tmp_path)) < 199


def test_what_is_terminated_cleans_up(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(ValueError, match=r"^the other has begun$"):
        list(spread([partial(hold, fifo, tmp_path), partial(fail_after, fifo)], jobs=2))
    assert (tmp_path / "cleaned").exists()
    assert multiprocessing.active_children() == []


def test_nothing_to_do() -> None:
    assert list(spread([])) == []


def test_no_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SimulationError, match=r"^Dask is not there; to get it, type: pip install"):
        list(spread([], scheduler="tcp://127.0.0.1:1"))


def test_dask() -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        found = dict(
            spread([partial(square, n) for n in range(7)], scheduler=cluster.scheduler_address)
        )
    assert {place: value for place, (value, _) in found.items()} == {n: n * n for n in range(7)}
    assert os.getpid() not in {process for _, process in found.values()}


def test_an_interrupt_in_the_moment_in_which_a_program_ends(monkeypatch, tmp_path):
    """There is nothing to end any more, and the interrupt is not lost."""

    class Ended(subprocess.Popen):
        interrupted = False

        def wait(self, timeout=None):
            code = super().wait(timeout)
            if not self.interrupted:
                self.interrupted = True
                raise KeyboardInterrupt
            return code

    monkeypatch.setattr(subprocess, "Popen", Ended)
    with pytest.raises(KeyboardInterrupt):
        run_child([sys.executable, "-c", ""], tmp_path / "log")
