"""One scenario through any engine: what came out, and whether it is what must."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from time import monotonic

from spikeloom.reference.fixed import IntArray
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.emit import describe
from spikeloom.sim.amaranth_sim import play_in_amaranth
from spikeloom.sim.check import first_difference
from spikeloom.sim.playback import MODULE, play, write_player
from spikeloom.sim.tools import find_simulators
from spikeloom.sim.vectors import (
    Design,
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
    outputs, membrane
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
    outputs: Mapping[str, IntArray] | None
    membrane: tuple[IntArray, ...] | None
    difference: str
    cycles: int | None
    seconds: float

    @property
    def spikes(self) -> IntArray | None:
        """What came out of the first output."""
        return None if self.outputs is None else next(iter(self.outputs.values()))

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
        sidecar = describe(top, MODULE, profile)
        patience, settling = sidecar["patience"], sidecar["settling"]
        words, stopped = play_in_amaranth(top, both, patience, settling, gap)
        seen = {stream: [f"{word:x}" for word in each] for stream, each in words.items()}
        difference = first_difference(seen, both.outputs) or stopped
    else:
        version = find_simulators()[engine].found or ""
        played = play(engine, write_player(top, folder, profile), both, folder, gap=gap)
        difference = played.difference
        words = {stream: _known(each) for stream, each in played.outputs.items()}
        ends = [
            played.cycles[stream][: len(each)][-1]
            for stream, each in streamed.outputs.items()
            if len(played.cycles[stream]) >= len(each) > 0
        ]
        if len(ends) == sum(map(bool, streamed.outputs.values())) > 0:
            # A weight is loaded in each cycle before the first event.
            cycles = max(ends) - loaded.count
    rest = {stream: each[len(streamed.outputs[stream]) :] for stream, each in words.items()}
    outputs, membrane = _decoded(top, scenario, rest)
    return EngineRun(engine, version, outputs, membrane, difference, cycles, monotonic() - start)


def _known(words: Sequence[str]) -> list[int]:
    """Words as integers; one with an unknown bit ends the list."""
    known = []
    for word in words:
        if not set(word.lower()) <= set("0123456789abcdef"):
            break
        known.append(int(word, 16))
    return known


def _decoded(
    top: Design, scenario: Scenario, words: Mapping[str, Sequence[int]]
) -> tuple[dict[str, IntArray] | None, tuple[IntArray, ...] | None]:
    samples, steps = scenario.stimulus.shape[:2]
    try:
        return (
            decode_outputs(top, words, samples, steps),
            decode_rows(top, words["probe_o"], samples, steps),
        )
    except ValueError:
        return None, None
