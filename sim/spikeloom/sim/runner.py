"""Runs cocotb testbenches on generated designs."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from xml.etree import ElementTree

from spikeloom.sim.tools import environment, find_simulators

__all__ = [
    "Job",
    "SimulationError",
    "Verdict",
    "build_folder",
    "last_line",
    "run_child",
    "simulate",
]


class SimulationError(RuntimeError):
    """A simulation could not be built or did not come to an end."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One simulation.

    Parameters
    ----------
    simulator
        ``"verilator"`` or ``"icarus"``.
    sources
        Verilog files.
    top
        Name of the top module.
    module
        Python module of the cocotb tests.
    folder
        Where the simulation is built and leaves its logs; made if it is not there.
    plusargs
        Passed to the simulator.
    seed
        Seed of the testbench's chance.
    python_path
        Folder in which ``module`` lies, where that is not an installed one.
    """

    simulator: str
    sources: Sequence[str]
    top: str
    module: str
    folder: str
    plusargs: Sequence[str] = ()
    seed: int = 1
    python_path: str = ""


@dataclass(frozen=True)
class Verdict:
    """What came of a simulation.

    Attributes
    ----------
    simulator
        Where it ran.
    passed
        Names of the tests that passed.
    failed
        Names of the tests that failed, each with its message.
    seconds
        Wall time of build and run.
    results
        The JUnit XML file.
    """

    simulator: str
    passed: tuple[str, ...]
    failed: dict[str, str]
    seconds: float
    results: Path

    @property
    def equal(self) -> bool:
        """Whether tests ran and none failed."""
        return bool(self.passed) and not self.failed


def simulate(job: Job) -> Verdict:
    """Build a simulation, unless the very same is built already, and run it.

    Raises
    ------
    SimulationError
        If the simulator is missing, refuses the design or crashes; the message names the log.
    """
    tool = find_simulators()[job.simulator]
    if tool.found is None:
        raise SimulationError(f"{job.simulator} was not found; to get it: {tool.remedy}")
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    start = monotonic()
    command = [sys.executable, "-m", "spikeloom.sim.runner", json.dumps(asdict(job))]
    run_child(command, folder / "log.txt")
    if not results.is_file():
        raise SimulationError(
            f"{job.simulator} did not finish; its output ends in {last_line(folder / 'log.txt')!r}"
            f" (all of it is in {folder / 'log.txt'})"
        )
    passed, failed = _read_results(results)
    return Verdict(job.simulator, passed, failed, monotonic() - start, results)


def run_child(command: Sequence[str], log: Path, folder: Path | None = None) -> int:
    """Run a program where the simulators are found; whatever ends this process ends it too.

    Returns
    -------
    Its exit code; what it prints is in the log.
    """
    with log.open("w") as output:
        child = subprocess.Popen(
            command,
            env=environment(),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return child.wait()
        except BaseException:
            # It may have ended in this very moment.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            child.wait()
            raise


def last_line(log: Path) -> str:
    """The last line of a log that tells of an error, else the last."""
    lines = log.read_text(errors="replace").strip().splitlines() or [""]
    errors = [line for line in lines if "error" in line.lower() or "***" in line]
    return (errors or lines)[-1].strip()


def _read_results(path: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    passed, failed = [], {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("name", "")
        bad = [child for child in case if child.tag in ("failure", "error")]
        if bad:
            failed[name] = bad[0].get("error_msg") or bad[0].get("message") or bad[0].text or ""
        elif case.find("skipped") is None:
            passed.append(name)
    return tuple(passed), failed


def _run(job: Job) -> None:
    """What the child process does: cocotb's runner, which changes its own environment."""
    from cocotb_tools.runner import get_runner

    if job.python_path:
        sys.path.insert(0, job.python_path)
    folder = Path(job.folder).resolve()
    runner = get_runner(job.simulator)
    key = _content_key(job)
    build = build_folder(folder, key)
    stamp = folder / "built"
    if not stamp.is_file() or stamp.read_text() != key or not build.is_dir():
        stamp.unlink(missing_ok=True)
        shutil.rmtree(build, ignore_errors=True)
        build.mkdir(parents=True)
        sources = [build / Path(source).name for source in job.sources]
        for source, copy in zip(job.sources, sources, strict=True):
            shutil.copyfile(source, copy)
        runner.build(
            sources=sources,
            hdl_toplevel=job.top,
            build_dir=build,
            build_args=_build_args(job.simulator),
            timescale=("1ns", "1ps"),
            always=True,
        )
        stamp.write_text(key)
    runner.test(
        hdl_toplevel=job.top,
        hdl_toplevel_lang="verilog",
        test_module=job.module,
        build_dir=build,
        test_dir=folder,
        results_xml=str(folder / "results.xml"),
        plusargs=[f"+{argument}" for argument in job.plusargs],
        seed=job.seed,
    )


def build_folder(folder: Path, key: str) -> Path:
    """Where to build: GNU make, which Verilator calls, cannot in a folder with spaces."""
    if any(character.isspace() for character in str(folder)):
        return Path(tempfile.gettempdir()) / f"spikeloom-{os.getuid()}-{key[:32]}"
    return folder / "build"


def _build_args(simulator: str) -> Sequence[str]:
    if simulator == "icarus":
        return []
    # The player makes its own clock, for which Verilator needs coroutines.
    return ["-Wno-fatal", "-O3", "--timing", "-CFLAGS", "-fcoroutines -O2"]


def _content_key(job: Job) -> str:
    digest = hashlib.sha256()
    versions = (find_simulators()[job.simulator].found, version("cocotb"))
    arguments = _build_args(job.simulator)
    digest.update(repr((job.simulator, versions, arguments, job.top)).encode())
    for source in job.sources:
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    _run(Job(**json.loads(sys.argv[1])))
