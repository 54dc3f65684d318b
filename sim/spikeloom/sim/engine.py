"""One scenario through any engine: what came out, and whether it is what must."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from time import monotonic

import numpy as np

from spikeloom.reference.fixed import IntArray
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.emit import describe
from spikeloom.sim.amaranth_sim import play_in_amaranth
from spikeloom.sim.check import check_words
from spikeloom.sim.playback import MODULE, play, write_player
from spikeloom.sim.tools import find_simulators
from spikeloom.sim.vectors import (
    Design,
    Vectors,
    Wait,
    decode_outputs,
    decode_rows,
    loading,
    vectors,
)

__all__ = ["ENGINES", "EngineRun", "run_engine"]

ENGINES = ("verilator", "icarus", "amaranth")
"""Simulators for whole scenarios, the fastest first. The last is always there."""


@dataclass(frozen=True, eq=False)
class EngineRun:
    """What an engine made of a scenario.

    Attributes
    ----------
    engine, version
        Which simulator.
    spikes, membrane
        As :class:`~spikeloom.reference.scenario.Scenario`'s, decoded from the words that came
        out; ``None`` where those were not decodable.
    difference
        The first difference to the golden model, or an empty string.
    cycles
        Clock cycles for all samples, one after the other without probes; ``None`` where the
        engine does not count them.
    seconds
        Wall time, build included.
    """

    engine: str
    version: str
    spikes: IntArray | None
    membrane: tuple[IntArray, ...] | None
    difference: str
    cycles: int | None
    seconds: float

    @property
    def equal(self) -> bool:
        """Whether every spike and every membrane potential equals the golden model's."""
        return not self.difference


def run_engine(
    engine: str, top: Design, scenario: Scenario, folder: Path, *, profile: str, gap: int = 0
) -> EngineRun:
    """Play a scenario twice: without pause, and with all membrane potentials read at each step.

    Parameters
    ----------
    engine
        One of :data:`ENGINES`.
    top
        The design.
    scenario
        Stimulus and expectation.
    folder
        Where the simulation is built, or found built; made if it is not there.
    profile
        Name of the profile, for the Verilog's header.
    gap
        Of 256 cycles, how many are idle at the input and how many refuse the output, by chance;
        0 to 240.

    Raises
    ------
    ValueError
        If the engine is unknown, or the gap is outside its range.
    SimulationError
        If the engine is missing, refuses the design or crashes.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    if not 0 <= gap <= 240:
        raise ValueError(f"gap must be 0 to 240, not {gap!r}")
    start = monotonic()
    loaded = loading(top)
    streamed = loaded + vectors(top, scenario, wait=Wait.NEVER, probe=False)
    probed = vectors(top, scenario, wait=Wait.STEP, probe=True)
    both = streamed + probed
    cycles = None
    if engine == "amaranth":
        version = package_version("amaranth")
        patience = describe(top, MODULE, profile)["patience"]
        outputs, rows, stopped = play_in_amaranth(top, both, patience, gap)
        seen = [f"{word:x}" for word in outputs], [f"{word:x}" for word in rows]
        difference = _difference(both, *seen) or stopped
    else:
        version = find_simulators()[engine].found or ""
        played = play(engine, write_player(top, folder, profile), both, folder, gap=gap)
        difference = played.difference
        outputs, rows = _known(played.outputs), _known(played.rows)
        if len(played.cycles) >= len(streamed.outputs) > 0:
            # A weight is loaded in each cycle before the first event.
            cycles = played.cycles[len(streamed.outputs) - 1] - len(loaded.commands)
    spikes, membrane = _decoded(top, scenario, outputs[len(streamed.outputs) :], rows)
    return EngineRun(engine, version, spikes, membrane, difference, cycles, monotonic() - start)


def _difference(both: Vectors, outputs: Sequence[str], rows: Sequence[str]) -> str:
    try:
        check_words("o", outputs, both.outputs)
        check_words("probe_o", rows, both.rows)
    except AssertionError as error:
        return str(error)
    return ""


def _known(words: Sequence[str]) -> list[int]:
    """Words as integers; one with an unknown bit ends the list."""
    known = []
    for word in words:
        if not set(word.lower()) <= set("0123456789abcdef"):
            break
        known.append(int(word, 16))
    return known


def _decoded(
    top: Design, scenario: Scenario, outputs: list[int], rows: list[int]
) -> tuple[IntArray | None, tuple[IntArray, ...] | None]:
    samples, steps = np.asarray(scenario.stimulus).shape[:2]
    try:
        return (
            decode_outputs(top, outputs, samples, steps),
            decode_rows(top, rows, samples, steps),
        )
    except ValueError:
        return None, None
