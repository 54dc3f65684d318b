"""A testbench for a whole network: what is played into it, and how, to find whatever is wrong."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data

from spikeloom.reference.corners import corner_stimulus, crowd_stimulus, extreme_stimulus
from spikeloom.reference.network import FixedInput
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.timing import predict
from spikeloom.sim.playback import Manner, Played, Program, run_player
from spikeloom.sim.vectors import Vectors, Wait, initially, loading, vectors

__all__ = ["Stage", "campaign", "corner_scenarios", "play_stage", "reset_stages"]

IDLE = Manner(gap=200)
STALL = Manner(refuse=220, hold=600)
BOTH = Manner(gap=120, refuse=120)


@dataclass(frozen=True, eq=False)
class Stage:
    """One thing that is played.

    Attributes
    ----------
    name
        What it is about.
    vectors
        What is sent, and what must come out.
    manner
        How.
    error
        Whether the design must take an event for an illegal one.
    long
        Whether it takes much longer than a sample.
    cycles
        For some streams the cycle in which each word must come out.
    runs
        For some streams that the vectors say nothing of: runs of words, each what it is before
        something happens and what it is behind it, which is once in a run.
    """

    name: str
    vectors: Vectors
    manner: Manner = field(default_factory=Manner)
    error: bool = False
    long: bool = False
    cycles: Mapping[str, Sequence[int]] = field(default_factory=dict)
    runs: Mapping[str, Sequence[tuple[list[int], list[int]]]] = field(default_factory=dict)

    def difference(self, played: Played) -> str:
        """The first difference between what came out and what must, or an empty string."""
        if played.difference:
            return played.difference
        for stream, expected in self.cycles.items():
            for place, (seen, due) in enumerate(zip(played.cycles[stream], expected, strict=True)):
                if seen != due:
                    return f"word {place} of {stream} must come in cycle {due}, but came in {seen}"
        for stream, runs in self.runs.items():
            words = [_number(word) for word in played.outputs[stream]]
            due = sum(len(before) for before, _ in runs)
            if len(words) != due:
                return f"{due} words of {stream} must come out, not {len(words)}"
            place = 0
            for before, behind in runs:
                end = place + len(before)
                allowed = [[*before[:k], *behind[k:]] for k in range(len(before) + 1)]
                if words[place:end] not in allowed:
                    return (
                        f"words {place} to {end - 1} of {stream} must be those before and then"
                        f" those behind, but are {' '.join(played.outputs[stream][place:end])}"
                    )
                place = end
        return ""


def _number(word: str) -> int | None:
    """A word that came out; it may have unknown bits."""
    return int(word, 16) if re.fullmatch("[0-9a-f]+", word) else None


def play_stage(
    program: Program, stage: Stage, folder: Path, *, arguments: Sequence[str] = (), **options: Any
) -> Played:
    """Play a stage in a folder in which its vectors have been saved.

    Parameters
    ----------
    program, folder, arguments
        As :func:`~spikeloom.sim.playback.run_player`'s.
    options
        Changes of the stage's manner.
    """
    manner = replace(stage.manner, **options)
    return run_player(
        program,
        stage.vectors,
        folder,
        manner,
        error=stage.error,
        others=list(stage.runs),
        arguments=arguments,
    )


def corner_scenarios(
    top: NetworkTop, seed: int = 1, neurons: int = 0
) -> tuple[Scenario, Scenario, Scenario]:
    """The corners that any network has, crowds of spikes, and the extremes of potentials, those of
    so many single neurons among them."""
    network = top.network
    return (
        Scenario.of(network, corner_stimulus(network, seed=seed)),
        Scenario.of(network, crowd_stimulus(network, seed=seed)),
        Scenario.of(network, extreme_stimulus(network, neurons=neurons, seed=seed)),
    )


def campaign(top: NetworkTop, scenario: Scenario, seed: int = 1) -> list[Stage]:
    """All that a network is tried with, what finds the most first.

    Parameters
    ----------
    top
        The design.
    scenario
        Ordinary data, of which the first samples are used.
    seed
        Of all chance.
    """
    # Two of each lane, where there are not too many lanes.
    neurons = min(64, 2 * max(each.lanes for each in top.populations))
    corners, crowds, extremes = corner_scenarios(top, seed, neurons)
    loaded = loading(top)
    rng = np.random.default_rng(seed)
    some, few = scenario.head(4), scenario.head(1)
    cut = loaded + _cut(top, some, rng)
    step = -(-(_length(top, few) - loaded.count) // few.stimulus.shape[1])

    def asked(each: Scenario) -> Vectors:
        return loaded + initially(top) + vectors(top, each, wait=Wait.STEP, probe=True)

    def streamed(each: Scenario) -> Vectors:
        return loaded + vectors(top, each, wait=Wait.NEVER, probe=False)

    return [
        Stage("a sample", streamed(few), cycles=_cycles(top, few)),
        Stage("a sample, potentials read", asked(few)),
        Stage("samples cut short", cut, replace(BOTH, seed=seed)),
        *_illegal(top, few, loaded, seed),
        Stage("corners, at full speed", streamed(corners), cycles=_cycles(top, corners)),
        Stage(
            "outputs refused for long",
            streamed(corners) + vectors(top, some, wait=Wait.NEVER, probe=False),
            replace(STALL, seed=seed),
            long=True,
        ),
        *(
            Stage(
                f"outputs refused for {words}",
                cut + vectors(top, some, wait=Wait.NEVER, probe=False),
                Manner(refuse=160, hold=hold, seed=seed),
            )
            for words, hold in (("part of a step", -(-step // 4)), ("about a step", step))
        ),
        *reset_stages(top, scenario, seed=seed, resets=_resets(top, few)),
        _reset_reading(top, few, seed),
        Stage(
            "inputs idle",
            streamed(some) + vectors(top, corners, wait=Wait.NEVER, probe=False),
            replace(IDLE, seed=seed),
        ),
        Stage("potentials read, idle and refused", asked(few), replace(BOTH, seed=seed)),
        _at_work("", top, some, loaded, replace(IDLE, seed=seed)),
        _at_work(", outputs refused for long", top, some, loaded, replace(STALL, seed=seed)),
        _at_once(top, few, loaded, rng, replace(BOTH, seed=seed)),
        Stage("corners", asked(corners)),
        Stage("crowds", asked(crowds) + _in_turn(top, crowds)),
        Stage("extremes", asked(extremes), long=True),
        Stage(
            "extremes, at full speed",
            streamed(extremes),
            cycles=_cycles(top, extremes),
            long=True,
        ),
    ]


def _in_turn(top: NetworkTop, scenario: Scenario) -> Vectors:
    """A single step, and the scenario: if it has been played before and has an even number of
    steps, what takes turns from step to step is now the other way round."""
    step = {name: each[:1, :1] for name, each in scenario.inputs.items()}
    first = vectors(top, Scenario.of(top.network, step), wait=Wait.STEP, probe=True)
    return first + vectors(top, scenario, wait=Wait.STEP, probe=True)


def _at_work(
    how: str, top: NetworkTop, scenario: Scenario, loaded: Vectors, manner: Manner
) -> Stage:
    """Potentials are asked for while a step is under way.

    A population answers when it is not in the middle of a step: with the potentials before it, and
    once one behind it has come, with no other.
    """
    played = vectors(top, scenario, wait=Wait.STEP, probe=True)
    behind = played.outputs["probe_o"]
    rows = sum(each.rows for each in top.populations)
    before = [*initially(top).outputs["probe_o"], *behind[:-rows]]
    runs, start = [], 0
    for _ in range(0, len(behind), rows):
        for each in top.populations:
            runs.append((before[start : start + each.rows], behind[start : start + each.rows]))
            start += each.rows
    questions = played.stimulus["probe_i"]
    # A step is sent when all questions behind the step before have been answered.
    sent = [0, *(after + rows for after, _ in questions[:-rows:rows])]
    asked = [(sent[k // rows] + k % rows, word) for k, (_, word) in enumerate(questions)]
    outputs = {name: words for name, words in played.outputs.items() if name != "probe_o"}
    changed = Vectors(played.stimulus | {"probe_i": asked}, outputs)
    name = f"potentials read at work{how}"
    long = manner.hold > 0
    return Stage(name, loaded + changed, manner, long=long, runs={"probe_o": runs})


def _at_once(
    top: NetworkTop,
    scenario: Scenario,
    loaded: Vectors,
    rng: np.random.Generator,
    manner: Manner,
) -> Stage:
    """All potentials of a step are asked for in any order, without waiting for answers."""
    played = vectors(top, scenario, wait=Wait.STEP, probe=True)
    questions, answers = played.stimulus["probe_i"], played.outputs["probe_o"]
    rows = len(initially(top).outputs["probe_o"])
    order = [k + row for k in range(0, len(answers), rows) for row in rng.permutation(rows)]
    asked = [(questions[k - k % rows][0], questions[k][1]) for k in order]
    changed = Vectors(
        played.stimulus | {"probe_i": asked},
        played.outputs | {"probe_o": [answers[k] for k in order]},
    )
    return Stage("potentials asked for at once", loaded + changed, manner)


def reset_stages(
    top: NetworkTop, scenario: Scenario, *, seed: int, resets: int
) -> tuple[Stage, Stage, Stage]:
    """A sample that begins anew by a reset, many times: with all membrane potentials read, at full
    speed, and with outputs refused for long.

    What counts is all that comes out behind the last reset; the membrane potentials before the
    first step are always read. No restart stands before the sample.
    """
    few = scenario.head(1)
    begun = loading(top) + initially(top)
    read = begun + _without_restart(top, few, Wait.STEP)
    streamed = begun + _without_restart(top, few, Wait.NEVER)
    length = _length(top, few)
    # Most of the time goes into the reading of potentials.
    slow = Manner(seed=seed, resets=resets, within=length + 4 * read.count)
    fast = replace(slow, within=length)
    stalled = replace(slow, refuse=STALL.refuse, hold=STALL.hold)
    return (
        Stage("resets", read, slow, long=True),
        Stage("resets at full speed", streamed, fast, long=True),
        Stage("resets, outputs refused for long", streamed, stalled, long=True),
    )


def _reset_reading(top: NetworkTop, scenario: Scenario, seed: int) -> Stage:
    """Resets that come while membrane potentials are read, which is soon over in a sample."""
    first = loading(top) + initially(top)
    manner = Manner(seed=seed, resets=96, within=8 * first.count)
    return Stage(
        "resets while potentials are read",
        first + _without_restart(top, scenario, Wait.STEP),
        manner,
        long=True,
    )


def _cycles(top: NetworkTop, scenario: Scenario) -> dict[str, tuple[int, ...]]:
    """When each event must leave each output."""
    if top.readout is not None:
        return {}
    timing = predict(top, scenario.inputs, run_fixed(top.network, scenario.inputs))
    # A weight is loaded in each cycle before the first event.
    first = loading(top).count
    return {
        top.output_ports[name]: tuple(first + cycle for cycle in cycles)
        for name, cycles in timing.outputs.items()
    }


def _length(top: NetworkTop, scenario: Scenario) -> int:
    """About how many cycles a scenario takes, weights loaded before it."""
    played = vectors(top, scenario, wait=Wait.NEVER, probe=False)
    first = loading(top).count
    words = [first + len(each) for each in played.stimulus.values()]
    words += [first + len(each) for each in played.outputs.values()]
    return max(*words, *(each[-1] for each in _cycles(top, scenario).values()))


def _resets(top: NetworkTop, scenario: Scenario) -> int:
    """How often a network is reset: the more, the sooner it is through with a scenario."""
    return max(24, min(96, 24_000 // _length(top, scenario)))


def _kinds(top: NetworkTop, port: str, words: Iterable[int]) -> list[int]:
    layout = {top.input_ports[name]: each for name, each in top.input_layouts.items()}
    layout |= {top.output_ports[name]: each for name, each in top.output_layouts.items()}
    return [word >> layout[port]["kind"].offset & 3 for word in words]


def _without_restart(top: NetworkTop, scenario: Scenario, wait: Wait) -> Vectors:
    """A sample that begins without a restart, as it may behind a reset."""
    played = vectors(top, scenario.head(1), wait=wait, probe=True)
    ports = {*top.input_ports.values(), *top.output_ports.values()}
    outputs = {k: v[1:] if k in ports else v for k, v in played.outputs.items()}
    fewer = len(top.output_ports)
    stimulus = {
        stream: [(max(0, after - fewer), word) for after, word in words[stream in ports :]]
        for stream, words in played.stimulus.items()
    }
    return Vectors(stimulus, outputs)


def _cut(top: NetworkTop, scenario: Scenario, rng: np.random.Generator) -> Vectors:
    """Samples of few steps, events in any order, and restarts that take back what came before."""
    stimulus: dict[str, list[tuple[int, int]]] = {port: [] for port in top.input_ports.values()}
    stimulus["probe_i"] = []
    outputs: dict[str, list[int]] = {"probe_o": []}
    samples, steps = scenario.stimulus.shape[:2]
    for k in range(8 * samples):
        length = int(rng.integers(1, min(6, steps) + 1))
        start = int(rng.integers(0, steps - length + 1))
        inputs = {
            name: each[k % samples, start : start + length][None]
            for name, each in scenario.inputs.items()
        }
        part = vectors(top, Scenario.of(top.network, inputs), wait=Wait.NEVER, probe=False)
        for port, words in part.stimulus.items():
            plain = [word for _, word in words]
            if port in top.input_ports.values():
                plain = _shuffled(_kinds(top, port, plain), plain, rng)
                if not top.whole_steps:
                    kinds = _kinds(top, port, plain)
                    spikes = [w for w, kind in zip(plain, kinds, strict=True) if kind == 0]
                    plain = spikes[: int(rng.integers(0, 4))] + plain
                stimulus[port] += [(0, word) for word in plain]
        for port, words_out in part.outputs.items():
            outputs.setdefault(port, []).extend(words_out)
    return Vectors(stimulus, outputs)


def _shuffled(kinds: Sequence[int], words: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Words with the spikes of each step in any order."""
    result: list[int] = []
    spikes: list[int] = []
    for kind, word in zip(kinds, words, strict=True):
        if kind == EventKind.SPIKE.value:
            spikes.append(word)
        else:
            result += [spikes[k] for k in rng.permutation(len(spikes))] + [word]
            spikes = []
    return result


def _illegal(top: NetworkTop, scenario: Scenario, loaded: Vectors, seed: int) -> Iterator[Stage]:
    """For each input and each kind of illegal event a stage with one: nothing else may change."""
    plain = vectors(top, scenario, wait=Wait.NEVER, probe=False)
    full = {
        name: np.full((1, 4, *entry.shape), entry.high or entry.low, dtype=np.int64)
        for name, entry in top.network.inputs.items()
    }
    # Whether crowds were counted rightly may show in nothing but potentials.
    crowded = vectors(top, Scenario.of(top.network, full), wait=Wait.STEP, probe=True)
    for name, port in top.input_ports.items():
        layout, entry = top.input_layouts[name], top.network.inputs[name]
        for what, word in _illegal_words(layout, entry):
            words = plain.stimulus[port]
            # Behind the restart, so that it is in the middle of a step.
            changed = [*words[:1], (0, word), *words[1:]]
            yield _with_words(f"{what} at {port}", loaded, plain, port, changed, seed)
        words = crowded.stimulus[port]
        kinds = _kinds(top, port, [word for _, word in words])
        changed = []
        for kind, (after, word) in zip(kinds, words, strict=True):
            if kind == EventKind.TICK.value:
                changed.append((after, words[1][1]))
            changed.append((after, word))
        yield _with_words(f"too many spikes at {port}", loaded, crowded, port, changed, seed)
        if top.whole_steps:
            changed = [*words[:2], words[0], *words[2:]]
            yield _with_words(f"a late restart at {port}", loaded, crowded, port, changed, seed)


def _with_words(
    name: str,
    loaded: Vectors,
    plain: Vectors,
    port: str,
    words: list[tuple[int, int]],
    seed: int,
) -> Stage:
    changed = Vectors(plain.stimulus | {port: words}, plain.outputs)
    # The flag falls by a reset, and rises again.
    within = 2 * (loaded.count + len(words))
    manner = Manner(gap=BOTH.gap, seed=seed, resets=2, within=within)
    return Stage(name, loaded + changed, manner, error=True)


def _illegal_words(layout: data.Layout, entry: FixedInput) -> Iterator[tuple[str, int]]:
    """Events that a guard has to swallow, as far as there are bits for them."""

    def word(kind: int, address: int, count: int) -> int:
        width = Shape.cast(layout["count"].shape).width
        return (
            kind << layout["kind"].offset
            | address << layout["address"].offset
            | (count & ((1 << width) - 1)) << layout["count"].offset
        )

    count = Shape.cast(layout["count"].shape)
    most = (1 << (count.width - count.signed)) - 1
    yield "an unknown kind", word(3, 0, entry.high)
    yield "a count of 0", word(0, 0, 0)
    if most > entry.high:
        yield "a count above the most", word(0, 0, entry.high + 1)
    if count.signed and -most - 1 < entry.low:
        yield "a count below the least", word(0, 0, entry.low - 1)
    fields = layout["address"].shape
    parts = dict(fields) if isinstance(fields, data.Layout) else {}
    sizes = dict(zip(reversed(list(parts)), entry.shape, strict=True)) if parts else {}
    if not parts and entry.shape[0] < 1 << Shape.cast(fields).width:
        yield "an address that does not exist", word(0, entry.shape[0], entry.high)
    for name, part in parts.items():
        if sizes[name] < 1 << Shape.cast(part.shape).width:
            yield (
                f"an address whose {name} does not exist",
                word(0, sizes[name] << part.offset, entry.high),
            )
