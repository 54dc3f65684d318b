"""Lanes and memories for a network on a board, and the cycles that it then takes."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import Any

import numpy as np

from spikeloom.boards.board import BOARDS, Board
from spikeloom.boards.family import Family
from spikeloom.boards.flow import BoardTooSmallError, Usage, would_fit
from spikeloom.boards.placement import Placement, Placer
from spikeloom.boards.resources import Memory
from spikeloom.boards.top import board_clock
from spikeloom.boards.work import Work, estimated_cycles, step_work
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.simulate import Recording, run_fixed
from spikeloom.rtl_gen.link.uart import uart_divisor
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.protection import UNGUARDED, Protection
from spikeloom.rtl_gen.timing import Timing, predict
from spikeloom.rtl_gen.weights import WeightStore

__all__ = ["Plan", "PopulationPlan", "make_plan"]

_MOST_LANES = 256
_ROOM = 0.9
"""Share of the logic cells up to which lanes are added, by estimate."""
_DOUBT = 1.15
"""Share of the logic cells from which an estimate is believed that a network does not fit a board
that was asked for."""


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
        What all takes of the board, the serial line included. Logic cells are an estimate.
    samples, steps
        What the cycles are of.
    cycles
        For each sample the cycles from its first event in to its last one out, where it has the
        network to itself.
    period
        Cycles from a sample's last step at the output to the next one's, where none waits for the
        one before; mean. ``None`` for one sample.
    """

    board: Board
    frequency: float
    populations: tuple[PopulationPlan, ...]
    usage: Mapping[str, Usage]
    samples: int
    steps: int
    cycles: tuple[int, ...]
    period: float | None

    @property
    def lanes(self) -> tuple[int, ...]:
        """Lanes of the populations."""
        return tuple(each.lanes for each in self.populations)

    @property
    def stores(self) -> tuple[WeightStore, ...]:
        """Weight stores of the populations."""
        return tuple(each.store for each in self.populations)

    @property
    def fits(self) -> bool:
        """Whether all of it is no more than there is, the estimate of the logic cells included."""
        return all(each.used <= each.available for each in self.usage.values())

    @property
    def bottleneck(self) -> PopulationPlan:
        """The population that has the most to do."""
        return max(self.populations, key=lambda each: each.work)

    @property
    def latency(self) -> float:
        """Mean time in seconds that a sample takes."""
        return float(np.mean(self.cycles)) / self.frequency

    @property
    def throughput(self) -> float | None:
        """Samples a second where none waits for the one before; ``None`` for one sample."""
        return None if self.period is None else self.frequency / self.period


def make_plan(
    network: FixedNetwork,
    stimulus: IntArray,
    board: Board | None = None,
    *,
    lanes: Sequence[int] | None = None,
    latency: float | None = None,
    frequency: float | None = None,
    protection: Protection = UNGUARDED,
    progress: Callable[[str], None] = lambda stage: None,
) -> Plan:
    """Choose lanes and weight memories.

    It begins with one lane for each population. Of those whose next lanes fit and make a sample
    faster, by an estimate, the one that has the most to do on the stimulus gets them, until the
    latency is reached, as it is predicted to the cycle, or there is none. Then lanes are taken back
    from one population after the other as long as the latency is still reached; where none was
    asked for, as long as the estimate stays. That is no search of all combinations: others may
    reach the latency with fewer lanes in all, or, on a board that is full, be faster.

    Weights lie in the bitstream; where block RAM is not enough for them, those of which most does
    are loaded into SPRAM.

    Parameters
    ----------
    network
        The network, of one input and one output.
    stimulus
        Integers of shape (samples, steps, \\*shape).
    board
        The board; ``None`` is the smallest that holds the network, by estimate too, and reaches the
        latency.
    lanes
        Lanes of each population, where they are not to be chosen.
    latency
        Mean time in seconds that a sample may take; ``None`` is as little as is found to fit.
    frequency
        Clock in Hz; ``None`` is the board's own. The plan has the nearest that the board makes.
    protection
        What of the network's memories is guarded.
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
    planner = _Planner(network, stimulus, lanes, latency, frequency, protection, progress)
    boards = sorted(
        (each for each in BOARDS.values() if each.built), key=lambda each: each.logic_cells
    )
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
        protection: Protection,
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
        self._protection = protection
        self._progress = progress
        self._signals = {name: self._stimulus}
        self._signals |= {**self._recording.membrane, **self._recording.spikes}
        flat = self._stimulus.reshape(*self._stimulus.shape[:2], -1)
        self._arrival = {name: np.count_nonzero(flat, axis=2) + 1}
        self._placer = Placer(network, protection)
        self._useful = [_useful_lanes(each.shape[0]) for each in network.populations.values()]
        self._work = cache(self._work_of)
        self._runs = cache(self._runs_of)
        self._clock = cache(self._clock_of)
        self._top = cache(self._top_of)
        self.plan = cache(self._plan)

    def suits(self, board: Board) -> bool:
        """Whether there is a plan for a board that fits."""
        if self._latency is not None:
            plan = self.plan(board)
            return isinstance(plan, Plan) and plan.fits
        return isinstance(self._clock(board), float) and not self._first(board).lacks(1)

    def _clock_of(self, board: Board) -> float | _Refusal:
        """The clock of a board in Hz, or why it cannot make it."""
        try:
            frequency = board_clock(board, self._frequency).frequency
            # The board's serial line must be divided from it.
            uart_divisor(frequency, board.baud)
            return frequency
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
            return self._too_big(board, placement, lacks)
        if not self._given:
            placement = self._chosen(board, (self._latency or 0) * frequency, placement)
        plan = self._predicted(board, frequency, placement)
        if self._latency is None or plan.latency <= self._latency:
            return plan
        return self._too_slow(plan)

    def _chosen(self, board: Board, cycles: float, first: Placement) -> Placement:
        """The lanes with which a sample takes so many cycles at most, or as little as it can."""
        # What is predicted, of what was estimated: corrects the estimates that follow.
        ratio = 1.0
        for placement in chain([first], self._growth(board, first)):
            if self._estimate(placement) * ratio <= cycles:
                predicted = self._cycles(placement)
                if predicted <= cycles:
                    return self._reduced(
                        board, placement, lambda fewer: self._cycles(fewer) <= cycles
                    )
                ratio = predicted / self._estimate(placement)
        least = self._estimate(placement)
        return self._reduced(board, placement, lambda fewer: self._estimate(fewer) <= least)

    def _growth(self, board: Board, placement: Placement) -> Iterator[Placement]:
        """Placements with more and more lanes, each faster, by estimate, than all before.

        Where no population makes the network faster on its own, as one of two equal branches, the
        one that has the most to do gets lanes all the same, and others may follow.
        """
        least = self._estimate(placement)
        while larger := list(self._larger(board, placement)):
            faster = (each for each in larger if self._estimate(each) < least)
            placement = next(faster, larger[0])
            if self._estimate(placement) < least:
                least = self._estimate(placement)
                yield placement

    def _larger(self, board: Board, placement: Placement) -> Iterator[Placement]:
        """Of each population the next number of lanes that fits and with which it has less to do;
        first of the one that has the most."""
        for k in reversed(self._by_work(placement)):
            for lanes in self._useful[k]:
                if lanes > placement.lanes[k]:
                    larger = self._changed(board, placement, k, lanes)
                    if larger is not None and self._total(k, larger) < self._total(k, placement):
                        yield larger
                        break

    def _reduced(
        self, board: Board, placement: Placement, enough: Callable[[Placement], bool]
    ) -> Placement:
        """The placement without the lanes that it can do without, taken back from one population
        after the other; first from the one that has the least to do."""
        for k in self._by_work(placement):
            for lanes in reversed(self._useful[k]):
                if lanes < placement.lanes[k]:
                    fewer = self._changed(board, placement, k, lanes)
                    if fewer is not None:
                        if not enough(fewer):
                            break
                        placement = fewer
        return placement

    def _changed(self, board: Board, placement: Placement, k: int, lanes: int) -> Placement | None:
        """The placement with other lanes in a population, if it fits."""
        changed = (*placement.lanes[:k], lanes, *placement.lanes[k + 1 :])
        found = self._placer.place(board, changed)
        return None if found.lacks(_ROOM) else found

    def _by_work(self, placement: Placement) -> list[int]:
        """The populations by what they have to do, least first."""
        return sorted(range(len(self._names)), key=lambda k: self._total(k, placement))

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
        runs = self._runs(placement.lanes, placement.stores)
        top = self._top(placement.lanes, placement.stores)
        samples, steps = self._stimulus.shape[:2]
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
            period=self._period(top),
        )

    def _cycles(self, placement: Placement) -> float:
        """Cycles of a sample, mean."""
        runs = self._runs(placement.lanes, placement.stores)
        return float(np.mean([each.cycles for each in runs]))

    def _runs_of(self, lanes: tuple[int, ...], stores: tuple[WeightStore, ...]) -> list[Timing]:
        """Each sample on its own."""
        top, samples = self._top(lanes, stores), len(self._stimulus)
        runs = []
        for k in range(samples):
            self._progress(f"cycles of sample {k + 1} of {samples}, lanes {_listed(lanes)}")
            runs.append(self._predict(top, slice(k, k + 1)))
        return runs

    def _period(self, top: NetworkTop) -> float | None:
        """Cycles from sample to sample where all come in a row, mean; ``None`` for one sample."""
        samples, steps = self._stimulus.shape[:2]
        if samples == 1:
            return None
        self._progress("cycles of all samples in a row")
        (output,) = self._network.outputs.values()
        ticks = self._predict(top, slice(None)).populations[output].ticks
        return (ticks[-1] - ticks[steps - 1]) / (samples - 1)

    def _top_of(self, lanes: tuple[int, ...], stores: tuple[WeightStore, ...]) -> NetworkTop:
        return NetworkTop(self._network, lanes, stores, protection=self._protection)

    def _predict(self, top: NetworkTop, which: slice) -> Timing:
        return predict(top, self._stimulus[which], _part(self._recording, which))

    def _too_big(self, board: Board, placement: Placement, lacks: Mapping[str, Usage]) -> _Refusal:
        needs = [
            f"{'about ' if name == 'logic cells' else ''}{each.used} {name} of {each.available}"
            for name, each in lacks.items()
        ]
        short = dict(lacks)
        if "block RAMs" in short and "SPRAMs" in placement.usage:
            blocks, huge = short["block RAMs"], placement.usage["SPRAMs"]
            size = _spram_blocks(board.family)
            short["block RAMs"] = Usage(
                round(blocks.used + size * huge.used),
                round(blocks.available + size * huge.available),
            )
        populations = [
            self._placer.population(k, lanes, store)
            for k, (lanes, store) in enumerate(zip(placement.lanes, placement.stores, strict=True))
        ]
        return _Refusal(
            f"the network is too big for {board.title}: it needs {' and '.join(needs)}",
            would_fit(short, board.family, populations),
        )

    def _too_slow(self, plan: Plan) -> _Refusal:
        return _Refusal(
            f"{plan.board.title} needs {1e6 * plan.latency:.4g} us for a sample, with"
            f" {_listed(plan.lanes)} lanes at {plan.frequency / 1e6:g} MHz, and not"
            f" {1e6 * (self._latency or 0):.4g} us",
            "a faster clock or fewer spikes may",
        )


def _listed(lanes: Sequence[int]) -> str:
    return ", ".join(map(str, lanes))


def _spram_blocks(family: Family) -> float:
    """Block RAMs that would hold as much as an SPRAM."""
    (cell,) = (each for each in family.rams if each.resource == "SPRAMs")
    return max(depth * width for depth, width in cell.modes) / family.block_ram_bits


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
