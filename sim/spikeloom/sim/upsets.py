"""Single-event upsets: bits that flip in a design at work, and what becomes of its answers.

Yosys and a C++ compiler make a program of the design (:mod:`~spikeloom.sim.upset_player`). Which
bits flip, and when, follows from a seed.
"""

import enum
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic

import numpy as np

from spikeloom.reference.fixed import IntArray
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import stored_layout
from spikeloom.sim.evidence import Evidence, Strength
from spikeloom.sim.upset_player import Flip, Outcome, Part, Trial, UpsetPlayer

__all__ = ["AFTER", "Accuracy", "Fate", "Kind", "Upset", "UpsetReport", "Upsets", "inject"]

AFTER = 2
"""Samples that are played behind the one in which a bit flips."""

_CONTROL = r"(valid|rests|row|initial|restart|last|short|began_\d+)$"
"""What goes along with a row of neurons and is of none."""
_TABLES = r"parameters|table_[a-z]+|pairs_[xy]"


class Kind(enum.Enum):
    """What a bit belongs to."""

    WEIGHTS = "weights"
    """Weight memories, and the parities of their rows."""
    STATE = "neuron state"
    """What is stored of neurons between two steps."""
    TABLES = "tables"
    """Other memories that are never written: parameters of neurons, ways of events."""
    LISTS = "lists and queues"
    """Other memories that are written: events and sums on their way."""
    LANES = "registers of the lanes"
    """Weights, sums, states and spike counts on their way through the lanes."""
    CONTROL = "control registers"
    """All other registers: places, flags, what is valid, events between populations."""

    @property
    def stays(self) -> bool:
        """Whether a flipped bit stays so until the weights are loaded, or the board configured."""
        return self in (Kind.WEIGHTS, Kind.TABLES)


class Fate(enum.Enum):
    """What becomes of an upset."""

    MASKED = "masked"
    """All outputs are the golden model's, word by word."""
    TRANSIENT = "transient"
    """Some sample is wrong, and the last one right again."""
    LASTING = "lasting"
    """Samples are wrong until a reset; where the bit stays flipped, until it is loaded again."""
    HANG = "hang"
    """Nothing comes any more until a reset."""


@dataclass(frozen=True)
class Upset:
    """A bit that flipped.

    Attributes
    ----------
    kind, part, flip
        What it belonged to, its memory or register, and its place there.
    sample
        In which sample it flipped.
    fate
        What became of it.
    outcome
        What came out.
    """

    kind: Kind
    part: Part
    flip: Flip
    sample: int
    fate: Fate
    outcome: Outcome


@dataclass(frozen=True, eq=False)
class UpsetReport:
    """Upsets of a design, each on its own.

    Attributes
    ----------
    upsets
        All of them, kind by kind.
    bits
        How many bits there are of each kind.
    alarms
        Names of the ports of which an outcome's ``alarms`` tells.
    guarded
        The memories that are guarded: ``parity`` and ``ecc``, whether they are.
    seed, seconds
        What it was drawn with, and how long it took.
    """

    upsets: tuple[Upset, ...]
    bits: Mapping[Kind, int]
    alarms: tuple[str, ...]
    guarded: Mapping[str, bool]
    seed: int
    seconds: float

    @cached_property
    def fates(self) -> dict[Kind, Counter[Fate]]:
        """How many upsets of each kind ended how."""
        found: dict[Kind, Counter[Fate]] = {kind: Counter() for kind in self.bits}
        for each in self.upsets:
            found[each.kind][each.fate] += 1
        return found

    def noticed(self, upset: Upset, alarm: str) -> bool:
        """Whether an alarm told of an upset."""
        return alarm in self.alarms and upset.outcome.alarms[self.alarms.index(alarm)]

    def evidence(self) -> list[Evidence]:
        """What the upsets say of the design."""
        weights = [each for each in self.upsets if each.kind is Kind.WEIGHTS]
        state = [each for each in self.upsets if each.kind is Kind.STATE]
        fresh = [each for each in self.upsets if not each.kind.stays]
        wrong = [each for each in weights if each.fate is not Fate.MASKED]
        return [
            self._evidence(
                "a reset puts right whatever flips but what is never written",
                fresh,
                [each for each in fresh if not each.outcome.cured],
            ),
            self._evidence(
                "a state that flips is forgotten by the next sample",
                state,
                [each for each in state if each.fate in (Fate.LASTING, Fate.HANG)],
            ),
            self._evidence(
                "a weight that flips and makes a sample wrong is noticed",
                wrong,
                [each for each in wrong if not self.noticed(each, "weight_error")],
                omitted="" if self.guarded["parity"] else "weights have no parity",
            ),
            self._evidence(
                "one bit of a state that flips makes no sample wrong",
                state,
                [each for each in state if each.fate is not Fate.MASKED],
                omitted="" if self.guarded["ecc"] else "states are not stored in a code",
            ),
        ]

    def _evidence(
        self, name: str, tried: Sequence[Upset], failed: Sequence[Upset], omitted: str = ""
    ) -> Evidence:
        detail = omitted or f"{len(tried)} upsets, {len(failed)} against it"
        if failed and not omitted:
            detail += f"; the first: {_told(failed[0])}"
        done = tried and not omitted
        return Evidence(
            group="upsets",
            name=name,
            strength=Strength.TESTED if done else Strength.OMITTED,
            passed=bool(done) and not failed,
            detail=detail,
            repeat=f"seed {self.seed}",
            seconds=self.seconds,
        )

    def figures(self, prefix: str = "upsets") -> dict[str, tuple[str, float]]:
        """Unit and value by name: for each kind its bits, and the share of each fate in %."""
        found: dict[str, tuple[str, float]] = {}
        for kind, fates in self.fates.items():
            name = f"{prefix}.{kind.name.lower()}"
            total = fates.total()
            found[f"{name}.bits"] = "count", self.bits[kind]
            found[f"{name}.upsets"] = "count", total
            for fate in Fate:
                share = 100 * fates[fate] / total if total else 0.0
                found[f"{name}.{fate.name.lower()}"] = "%", share
        return found


def _told(upset: Upset) -> str:
    flip = upset.flip
    return (
        f"bit {flip.bit} of word {flip.word} of {upset.part.name}, before cycle {flip.cycle} of"
        f" sample {upset.sample}: {upset.fate.value}"
    )


@dataclass(frozen=True)
class Accuracy:
    """How many samples are right with bits that have flipped.

    Attributes
    ----------
    kind, flips
        What flipped, and how many bits: of the network where they stay, else in each sample.
    place
        Which bit of a weight or of a potential, where it was one alone.
    samples, right
        Samples, and how many of them were decided as they must be.
    """

    kind: Kind
    flips: int
    place: int | None
    samples: int
    right: int


class Upsets:
    """Flips bits of a network that runs the samples of a scenario.

    Parameters
    ----------
    top
        The network.
    scenario
        Samples with the golden model's answer.
    folder
        Where the program is built, or found built.
    labels
        The right decision of each sample: the output of shape (neurons,) whose sum over the steps
        is the largest. ``None`` is the golden model's.

    Raises
    ------
    SimulationError
        If there is no compiler, the design cannot be built, or differs from the golden model.
    """

    def __init__(
        self, top: NetworkTop, scenario: Scenario, folder: Path, labels: IntArray | None = None
    ) -> None:
        self._top = top
        self._player = UpsetPlayer(top, scenario, folder)
        self._labels = self._player.decisions if labels is None else tuple(labels.tolist())
        self.kinds: dict[Kind, list[int]] = {kind: [] for kind in Kind}
        for number, part in enumerate(self._player.parts):
            self.kinds[kind_of(part)].append(number)
        self.kinds = {kind: parts for kind, parts in self.kinds.items() if parts}

    def bits(self, kind: Kind) -> int:
        """How many bits there are of a kind."""
        return int(self._sizes(kind).sum())

    def _sizes(self, kind: Kind) -> IntArray:
        parts = [self._player.parts[number] for number in self.kinds[kind]]
        return np.array([part.depth * part.width for part in parts], dtype=np.int64)

    def single(
        self, count: int, seed: int, progress: Callable[[str], None] = lambda stage: None
    ) -> UpsetReport:
        """Upsets one by one, ``count`` of each kind, bits and cycles drawn evenly."""
        start = monotonic()
        upsets: list[Upset] = []
        for kind in self.kinds:
            progress(f"{count} upsets of {kind.value}")
            rng = np.random.default_rng([seed, list(Kind).index(kind)])
            trials = []
            for place in self._drawn(kind, rng, count):
                sample = int(rng.integers(len(self._player.cycles)))
                trials.append(Trial(sample, (self._flip(kind, place, sample, rng),), AFTER))
            outcomes = self._player.play(trials)
            for trial, outcome in zip(trials, outcomes, strict=True):
                (flip,) = trial.flips
                part = self._player.parts[flip.part]
                fate = _fate(kind, outcome)
                upsets.append(Upset(kind, part, flip, trial.sample, fate, outcome))
        guards = self._top.protection
        return UpsetReport(
            tuple(upsets),
            {kind: self.bits(kind) for kind in self.kinds},
            self._player.alarms,
            {"parity": guards.parity, "ecc": guards.ecc},
            seed,
            monotonic() - start,
        )

    def accuracy(self, kind: Kind, flips: int, seed: int, place: int | None = None) -> Accuracy:
        """How many samples are right with so many bits flipped, drawn evenly.

        What stays flipped flips before the first sample; else so many bits flip in each sample, at
        any time, and a sample that hangs is wrong.

        Parameters
        ----------
        place
            Which bit of each weight, or of each neuron's stored state, is drawn alone.
        """
        rng = np.random.default_rng(
            [seed, list(Kind).index(kind), flips, 0 if place is None else place + 1]
        )
        samples = len(self._player.cycles)
        if kind.stays:
            drawn = [
                self._flip(kind, each, None, rng) for each in self._drawn(kind, rng, flips, place)
            ]
            (outcome,) = self._player.play([Trial(0, tuple(drawn), samples - 1)])
            decisions = outcome.decisions
        else:
            trials = [
                Trial(
                    sample,
                    tuple(
                        self._flip(kind, each, sample, rng)
                        for each in self._drawn(kind, rng, flips, place)
                    ),
                    0,
                )
                for sample in range(samples)
            ]
            decisions = tuple(each.decisions[0] for each in self._player.play(trials))
        right = sum(a == b for a, b in zip(decisions, self._labels, strict=True))
        return Accuracy(kind, flips, place, samples, right)

    def _drawn(
        self, kind: Kind, rng: np.random.Generator, count: int, place: int | None = None
    ) -> IntArray:
        """Numbers of bits of a kind, none twice unless there are fewer."""
        bits = self.bits(kind)
        if place is None:
            return rng.choice(bits, count, replace=count > bits)
        there = np.flatnonzero(self._places(kind) == place)
        return rng.choice(there, count, replace=count > len(there))

    def _places(self, kind: Kind) -> IntArray:
        """For each bit of a kind which bit of its weight or of its neuron's state it is."""
        found = []
        for number in self.kinds[kind]:
            part = self._player.parts[number]
            width = self._width(part)
            inner = np.arange(part.depth * part.width) % part.width
            found.append(inner % width if width else np.full(len(inner), -1))
        return np.concatenate(found)

    def _width(self, part: Part) -> int:
        """Bits of a weight or of a neuron's state, 0 where a part is of neither."""
        words = part.name.split()
        population = self._top.populations[int(words[0].removeprefix("population_"))]
        if words[-1] == "state":
            return stored_layout(population.neurons, population.protection.ecc).size
        return population.weights.width if words[-1] == "memory" else 0

    def _flip(self, kind: Kind, place: int, sample: int | None, rng: np.random.Generator) -> Flip:
        """The flip of a bit, before any cycle of a sample, or before all."""
        ends = np.cumsum(self._sizes(kind))
        index = int(np.searchsorted(ends, place, side="right"))
        number = self.kinds[kind][index]
        part = self._player.parts[number]
        inner = int(place - (ends[index] - part.depth * part.width))
        cycle = 0 if sample is None else int(rng.integers(self._player.cycles[sample]))
        return Flip(cycle, number, *divmod(inner, part.width))


def kind_of(part: Part) -> Kind:
    """What a memory or a register is, by its name."""
    *modules, name = part.name.split()
    name = name.partition("$")[0]
    inside = modules[-1] if modules else ""
    if part.memory:
        if inside == "weights":
            return Kind.WEIGHTS
        if name == "state":
            return Kind.STATE
        return Kind.TABLES if re.fullmatch(_TABLES, name) else Kind.LISTS
    if re.search(_CONTROL, name):
        return Kind.CONTROL
    lanes = {
        "weights": r"data|read__data|folded|expected",
        "neurons": r"\w+_\d+_\w+|read__data|events",
        "synapses": r"(total|product)_\d+",
        "accumulators": r"read__data|added",
        "buffer": r"waiting|o__payload",
        "spikes": r"count",
    }
    chosen = re.fullmatch(lanes.get(inside, "(?!)"), name)
    return Kind.LANES if chosen else Kind.CONTROL


def _fate(kind: Kind, outcome: Outcome) -> Fate:
    if "hung" in outcome.ends:
        return Fate.HANG
    if "wrong" not in outcome.ends:
        return Fate.MASKED
    return Fate.LASTING if kind.stays or outcome.ends[-1] == "wrong" else Fate.TRANSIENT


def inject(
    top: NetworkTop,
    scenario: Scenario,
    folder: Path,
    *,
    count: int = 200,
    seed: int = 1,
    progress: Callable[[str], None] = lambda stage: None,
) -> UpsetReport:
    """Flip bits of a network one by one: what becomes of each, and what that is evidence of.

    Parameters
    ----------
    top, scenario, folder
        As :class:`Upsets`'s.
    count
        How many bits of each :class:`Kind` flip.
    seed
        What they are drawn with, and their cycles.
    progress
        Hears of each stage when it begins.

    Raises
    ------
    SimulationError
        As :class:`Upsets`.
    ValueError
        If the count is not positive.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count!r}")
    progress("building the program")
    return Upsets(top, scenario, folder).single(count, seed, progress)
