"""Lanes and memories for a network on a board, and the cycles that it then takes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from spikeloom.boards.board import BOARDS, Board
from spikeloom.boards.flow import BoardTooSmallError, Usage
from spikeloom.boards.placement import Placement, Placer
from spikeloom.boards.resources import Memory
from spikeloom.boards.top import board_clock
from spikeloom.boards.work import Work, estimated_cycles, step_work
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.simulate import Recording, run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.timing import Timing, predict
from spikeloom.rtl_gen.weights import WeightStore

__all__ = ["Plan", "PopulationPlan", "make_plan"]

_MOST_LANES = 256
_ROOM = 0.9
"""Share of the logic cells up to which lanes are added, by estimate."""
_DOUBT = 1.15
"""Share of the logic cells from which an estimate is believed that a network does not fit."""


@dataclass(frozen=True, kw_only=True)
class PopulationPlan:
    """A population as it is planned.

    Attributes
    ----------
    name, neurons
        Its name, and how many neurons it has.
    lanes, rows, store
        Its lanes, in how many rows they sweep over the neurons, and what its weight memory is.
    memories, usage
        As :class:`~spikeloom.boards.resources.PopulationResources`'.
    work
        Cycles that it works on a step, about; mean of all steps.
    step_cycles
        Cycles from each step's tick to the next one's, of all samples.
    utilisation
        Weights that it adds, of all that its lanes could add in all cycles.
    """

    name: str
    neurons: int
    lanes: int
    rows: int
    store: WeightStore
    memories: Mapping[str, Memory]
    usage: Mapping[str, int]
    work: float
    step_cycles: tuple[int, ...]
    utilisation: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A network on a board.

    Attributes
    ----------
    board, frequency
        The board, and the clock in Hz, as its phase-locked loop makes it.
    populations
        The populations in the network's order.
    usage
        What all takes of the board, the serial line included: exact but for logic cells.
    samples, steps
        What the cycles are of.
    cycles
        For each sample the cycles from its first event in to its last one out, where it has the
        network to itself.
    period
        Cycles from sample to sample where none waits for the one before; mean.
    """

    board: Board
    frequency: float
    populations: tuple[PopulationPlan, ...]
    usage: Mapping[str, Usage]
    samples: int
    steps: int
    cycles: tuple[int, ...]
    period: float

    @property
    def lanes(self) -> tuple[int, ...]:
        """Lanes of the populations."""
        return tuple(each.lanes for each in self.populations)

    @property
    def stores(self) -> tuple[WeightStore, ...]:
        """Weight stores of the populations."""
        return tuple(each.store for each in self.populations)

    @property
    def bottleneck(self) -> PopulationPlan:
        """The population that has the most to do."""
        return max(self.populations, key=lambda each: each.work)

    @property
    def latency(self) -> float:
        """Mean time in seconds that a sample takes."""
        return float(np.mean(self.cycles)) / self.frequency

    @property
    def throughput(self) -> float:
        """Samples a second where none waits for the one before."""
        return self.frequency / self.period


def make_plan(
    network: FixedNetwork,
    stimulus: IntArray,
    board: Board | None = None,
    *,
    lanes: Sequence[int] | None = None,
    latency: float | None = None,
    frequency: float | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Plan:
    """Choose lanes and weight memories.

    It begins with one lane for each population. The population that has the most to do on the
    stimulus gets more, so many that it needs fewer rows, until the latency is reached, nothing
    more fits, or the input takes the longest. So each lane counts. Weights lie in the bitstream;
    where block RAM is not enough for them, those of which most does are loaded into SPRAM.

    Parameters
    ----------
    network
        The network, of one input and one output.
    stimulus
        Integers of shape (samples, steps, \\*shape).
    board
        The board; ``None`` is the smallest that holds the network and reaches the latency.
    lanes
        Lanes of each population, where they are not to be chosen.
    latency
        Mean time in seconds that a sample may take; ``None`` is as little as possible.
    frequency
        Clock in Hz; ``None`` is the board's own. The plan has the nearest that the board makes.
    progress
        Is called with the name of each stage when it begins.

    Raises
    ------
    BoardTooSmallError
        If the board does not hold the network, or not with the lanes that the latency needs; the
        message names the smallest board that does.
    TypeError, ValueError
        If the network has several inputs or outputs, the lanes or the stimulus do not fit it, a
        number is not positive, or the board cannot make the clock.
    """
    for name, value in (("latency", latency), ("frequency", frequency)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, not {value!r}")
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ValueError(
            "a network for a board must have one input and one output, not"
            f" {len(network.inputs)} and {len(network.outputs)}"
        )
    if lanes is not None and len(lanes) != len(network.populations):
        raise ValueError(
            f"lanes must be {len(network.populations)}, one a population, not {len(lanes)}"
        )
    progress("golden run")
    planner = _Planner(network, stimulus, lanes, latency, frequency, progress)
    boards = sorted(BOARDS.values(), key=lambda each: each.logic_cells)
    if board is None:
        board = next((each for each in boards if planner.suits(each)), boards[-1])
    found = planner.plan(board)
    if isinstance(found, Plan):
        return found
    larger = (each for each in boards if each.logic_cells > board.logic_cells)
    better = next((each.title for each in larger if planner.suits(each)), None)
    hint = (
        f"no board does; {found.remedy}"
        if better is None
        else f"the smallest that does is {better}"
    )
    raise found.error(f"{found.reason}; {hint}")


@dataclass(frozen=True)
class _Refusal:
    """Why there is no plan, and what would help."""

    reason: str
    remedy: str
    error: type[ValueError] = BoardTooSmallError


class _Planner:
    """Plans of a network on any board."""

    def __init__(
        self,
        network: FixedNetwork,
        stimulus: IntArray,
        lanes: Sequence[int] | None,
        latency: float | None,
        frequency: float | None,
        progress: Callable[[str], None],
    ) -> None:
        self._network = network
        self._names = tuple(network.populations)
        ((name, entry),) = network.inputs.items()
        self._stimulus = entry.taken(stimulus)
        self._recording = run_fixed(network, self._stimulus)
        self._given = lanes
        self._latency = latency
        self._frequency = frequency
        self._progress = progress
        self._signals = {name: self._stimulus}
        self._signals |= {**self._recording.membrane, **self._recording.spikes}
        flat = self._stimulus.reshape(*self._stimulus.shape[:2], -1)
        self._arrival = {name: np.count_nonzero(flat, axis=2) + 1}
        self._placer = Placer(network)
        self._work = cache(self._work_of)
        self._clock = cache(self._clock_of)
        self.plan = cache(self._plan)

    def suits(self, board: Board) -> bool:
        """Whether there is a plan for a board."""
        if self._latency is not None:
            return isinstance(self.plan(board), Plan)
        return isinstance(self._clock(board), float) and not self._first(board).lacks(_DOUBT)

    def _clock_of(self, board: Board) -> float | _Refusal:
        """The clock of a board in Hz, or why it cannot make it."""
        try:
            return board_clock(board, self._frequency)[0].frequency
        except ValueError as error:
            return _Refusal(
                f"{board.title} cannot be clocked so: {error}",
                "another frequency may be made",
                ValueError,
            )

    def _first(self, board: Board) -> Placement:
        return self._placer.place(board, self._given or (1,) * len(self._names))

    def _plan(self, board: Board) -> Plan | _Refusal:
        """The plan for a board, or why there is none."""
        frequency = self._clock(board)
        if isinstance(frequency, _Refusal):
            return frequency
        self._progress(f"lanes for {board.title}")
        placement = self._first(board)
        if lacks := placement.lacks(_DOUBT):
            return self._too_big(board, lacks)
        # What is predicted, of what was estimated: corrects the estimates that follow.
        ratio = 1.0
        while True:
            enough = (
                self._latency and self._estimate(placement) * ratio <= self._latency * frequency
            )
            larger = None if self._given or enough else self._larger(board, placement)
            if larger is not None:
                placement = larger
                continue
            plan = self._predicted(board, frequency, placement)
            if self._latency is None or plan.latency <= self._latency:
                return plan
            larger = None if self._given else self._larger(board, placement)
            if larger is None:
                return self._too_slow(plan)
            ratio = float(np.mean(plan.cycles)) / self._estimate(placement)
            placement = larger

    def _larger(self, board: Board, placement: Placement) -> Placement | None:
        """More lanes for the population that has the most to do; ``None`` if that is no use."""
        work = [self._total(k, placement) for k in range(len(self._names))]
        busiest = int(np.argmax(work))
        if work[busiest] <= sum(float(each.sum()) for each in self._arrival.values()):
            return None
        channels = self._network.populations[self._names[busiest]].shape[0]
        for lanes in _useful_lanes(channels):
            if lanes <= placement.lanes[busiest]:
                continue
            more = (*placement.lanes[:busiest], lanes, *placement.lanes[busiest + 1 :])
            larger = self._placer.place(board, more)
            if not larger.lacks(_ROOM) and self._total(busiest, larger) < work[busiest]:
                return larger
        return None

    def _work_of(self, k: int, lanes: int, store: WeightStore) -> Work:
        population = self._placer.population(k, lanes, store)
        return step_work(population, self._signals, self._signals[self._names[k]])

    def _works(self, placement: Placement) -> dict[str, Work]:
        return {
            name: self._work(k, lanes, store)
            for k, (name, lanes, store) in enumerate(
                zip(self._names, placement.lanes, placement.stores, strict=True)
            )
        }

    def _total(self, k: int, placement: Placement) -> float:
        return float(self._work(k, placement.lanes[k], placement.stores[k]).sum())

    def _estimate(self, placement: Placement) -> float:
        return estimated_cycles(self._network, self._arrival | self._works(placement))

    def _predicted(self, board: Board, frequency: float, placement: Placement) -> Plan:
        """The plan of a placement, with its cycles."""
        top = NetworkTop(self._network, placement.lanes, placement.stores)
        samples, steps = self._stimulus.shape[:2]
        runs: list[Timing] = []
        for k in range(samples):
            self._progress(f"cycles of sample {k + 1} of {samples}")
            runs.append(self._predict(top, slice(k, k + 1)))
        period = self._predict(top, slice(None)).cycles / samples
        works = self._works(placement)
        populations = tuple(
            PopulationPlan(
                name=name,
                neurons=each.neurons.size,
                lanes=each.lanes,
                rows=each.rows,
                store=each.weights.store,
                memories=part.memories,
                usage=part.usage,
                work=float(works[name].mean()),
                step_cycles=tuple(c for run in runs for c in run.populations[name].step_cycles),
                utilisation=_utilisation(name, runs),
            )
            for name, each, part in zip(self._names, top.populations, placement.parts, strict=True)
        )
        return Plan(
            board=board,
            frequency=frequency,
            populations=populations,
            usage=placement.usage,
            samples=samples,
            steps=steps,
            cycles=tuple(each.cycles for each in runs),
            period=period,
        )

    def _predict(self, top: NetworkTop, which: slice) -> Timing:
        return predict(top, self._stimulus[which], _part(self._recording, which))

    def _too_big(self, board: Board, lacks: Mapping[str, Usage]) -> _Refusal:
        needs = [
            f"{'about ' if name == 'logic cells' else ''}{each.used} {name} of {each.available}"
            for name, each in lacks.items()
        ]
        weights = sum(
            connection.synapses
            for each in self._network.populations.values()
            for connection in each.connections
        )
        shares = [
            (each.available + (_spram_blocks(board) if name == "block RAMs" else 0)) / each.used
            for name, each in lacks.items()
        ]
        fits = weights * min(1.0, *shares)
        return _Refusal(
            f"the network is too big for {board.title}: it needs {' and '.join(needs)}",
            f"about {int(fits)} of its {weights} weights would fit",
        )

    def _too_slow(self, plan: Plan) -> _Refusal:
        lanes = ", ".join(map(str, plan.lanes))
        return _Refusal(
            f"{plan.board.title} needs {1e6 * plan.latency:.4g} us for a sample, with {lanes} lanes"
            f" at {plan.frequency / 1e6:g} MHz, and not {1e6 * (self._latency or 0):.4g} us",
            "a faster clock or fewer spikes may",
        )


def _spram_blocks(board: Board) -> float:
    """Block RAMs that would hold as much as a board's SPRAMs."""
    bits = sum(
        depth * width
        for each in board.family.rams
        if each.resource == "SPRAMs"
        for depth, width in each.modes
    )
    return board.sprams * bits / board.family.block_ram_bits


def _useful_lanes(channels: int) -> list[int]:
    """The numbers of lanes, from one on, of which each leaves fewer rows than the one before."""
    most = min(channels, _MOST_LANES)
    groups = sorted({-(-channels // lanes) for lanes in range(1, most + 1)}, reverse=True)
    return [-(-channels // each) for each in groups]


def _utilisation(name: str, runs: Sequence[Timing]) -> float:
    added = sum(run.populations[name].accumulations for run in runs)
    return added / sum(run.populations[name].lanes * run.cycles for run in runs)


def _part(recording: Recording, which: slice) -> Recording:
    """Some of the samples."""
    parts: dict[str, Any] = {
        field: {name: values[which] for name, values in getattr(recording, field).items()}
        for field in ("spikes", "membrane", "synapse", "outputs")
    }
    return replace(recording, **parts)
