"""Neurons that take rows of events against the golden step."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.network import LateBias
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.reference.neurons import Neurons
from spikeloom.reference.profile import Accumulation, Compared
from spikeloom.rtl_gen.event_neuron import EventNeuronArray
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.neuron import NeuronArray

PACES = [(1.0, 1.0), (0.4, 1.0), (1.0, 0.3), (0.6, 0.6)]
Step = tuple[bool, list[tuple[int, list[int]]]]
"""Whether it starts anew; the rows of its events, and what they add to the lanes."""


def draw_config(
    rng: random.Random, size: int, rule: Accumulation, config_of: Callable[..., NeuronConfig]
) -> NeuronConfig:
    """Words so short that the largest events never fit."""
    options: dict[str, Any] = {"word_length": 4, "current_width": 5}
    if rule is Accumulation.SPIKING_EVENT:
        options |= {"decay_rule": DecayRule.NONE, "compared": Compared.NEW, "synapse": False}
        options |= {"refractory_steps": 0}
    config = config_of(rng, size, **options)
    synapse = config.synapse
    if synapse is not None:
        synapse = replace(synapse, state=replace(synapse.state, word_length=4))
        if synapse.decay_rule is DecayRule.CONSTANT:
            synapse = replace(synapse, decay_rule=DecayRule.NONE, decay=0)
    return replace(config, synapse=synapse, accumulation=rule)


def draw_steps(rng: random.Random, array: EventNeuronArray, number: int) -> list[Step]:
    """Rows in any order, the same one again and again, and all of them."""
    half = 1 << (array.config.current_width - 1)
    present = array.layout.neurons >= 0
    steps = []
    for _ in range(number):
        some = [rng.randrange(array.rows) for _ in range(rng.randint(0, 6))]
        rows = rng.choice([[], some, [rng.randrange(array.rows)] * 5, list(range(array.rows))])
        events = [
            (row, [rng.choice([-half, half - 1, 0, 1, 5]) * int(lane) for lane in present[row]])
            for row in rows
        ]
        steps.append((rng.random() < 0.2, events))
    return steps


def words(array: EventNeuronArray, steps: list[Step]) -> list[dict[str, Any]]:
    none = [0] * array.lanes
    result = []
    for restart, events in steps:
        if restart:
            result.append({"kind": EventKind.RESTART, "target": 0, "current": none})
        result += [{"kind": EventKind.SPIKE, "target": r, "current": c} for r, c in events]
        result.append({"kind": EventKind.TICK, "target": 0, "current": none})
    return result


def golden(
    array: EventNeuronArray, steps: list[Step]
) -> tuple[list[tuple[list[int], bool, bool]], list[list[list[int]]], int]:
    """Rows sent, potentials after each step, and how many sums did not fit."""
    neurons, layout = Neurons(array.config), array.layout
    state, age = neurons.initial(), 0
    sent, membrane = [], []
    for restart, events in steps:
        if restart:
            state, age = neurons.initial(), 0
        arrays = []
        for row, currents in events:
            rows = np.zeros((array.rows, array.lanes), dtype=np.int64)
            rows[row] = currents
            arrays.append(layout.from_rows(rows).astype(neurons.kind))
        late = [each.current.ravel() for each in array.late_bias if age >= each.start]
        if late:
            arrays.append(np.sum(late, axis=0).astype(neurons.kind))
        state, spikes = neurons.step_events(state, arrays)
        age += 1
        counts = layout.by_row(np.broadcast_to(spikes, state.v.shape)).tolist()
        sent += [(row, restart and k == 0, k == array.rows - 1) for k, row in enumerate(counts)]
        membrane.append(layout.by_row(state.v).tolist())
    return sent, membrane, neurons.overflows


def draw_array(
    seed: int, rule: Accumulation, config_of: Callable[..., NeuronConfig]
) -> EventNeuronArray:
    rng = random.Random(f"{seed} {rule.value}")
    shape = rng.choice([(1,), (5,), (3, 2), (5, 1, 2), (2, 3, 2)])
    config = draw_config(rng, int(np.prod(shape)), rule, config_of)
    late = tuple(
        LateBias(rng.randint(0, 3), np.array([rng.randint(-4, 3) for _ in range(config.size)]))
        for _ in range(rng.choice([0, 0, 1, 2]))
    )
    return EventNeuronArray(config, rng.randint(1, 4), shape, late)


def found(sink: Any) -> list[tuple[list[int], bool, bool]]:
    return [(list(word["count"]), bool(word["restart"]), bool(word["last"])) for word in sink.get()]


RULES = [Accumulation.EVENT, Accumulation.SPIKING_EVENT]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(16))
def test_random_steps(
    bench: Any, seed: int, rule: Accumulation, config_of: Callable[..., NeuronConfig]
) -> None:
    array = draw_array(seed, rule, config_of)
    steps = draw_steps(random.Random(seed), array, 12)
    expected, _, overflows = golden(array, steps)
    assert overflows > 0, "the test shows nothing where every sum fits"
    pace = PACES[seed % 4]
    b = bench(array, seed=seed)
    b.source(array.i, words(array, steps), chance=pace[0])
    sink = b.sink(array.o, chance=pace[1])
    b.receive(sink, len(expected), spare=30)
    assert found(sink) == expected, f"seed {seed}"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(50, 58))
def test_probes_between_steps(
    bench: Any, seed: int, rule: Accumulation, config_of: Callable[..., NeuronConfig]
) -> None:
    """Asked for in the middle of a step, rows are shown after it."""
    array = draw_array(seed, rule, config_of)
    rng = random.Random(seed)
    steps = draw_steps(rng, array, 6)
    sent, membrane, _ = golden(array, steps)
    b = bench(array, seed=seed)
    source, sink = b.source(array.i), b.sink(array.o)
    probes, answers = b.source(array.probe_i), b.sink(array.probe_o, chance=0.5)

    async def script(ctx: Any) -> None:
        for k, step in enumerate(steps):
            step_words = words(array, [step])
            source.put(step_words[:-1])
            await b.until(ctx, lambda: not source.words)
            if len(step_words) > 1:
                probes.put([0])
                await ctx.tick().repeat(2 * array.rows + 4)
                assert len(answers.words) == k * (array.rows + 1)
            source.put(step_words[-1:])
            await b.until(ctx, lambda n=k + 1: len(sink.words) == n * array.rows)
            await ctx.tick().repeat(3)
            probes.put(range(array.rows))
            if len(step_words) == 1:
                probes.put([0])
            await b.until(ctx, lambda n=k + 1: len(answers.words) == n * (array.rows + 1))
            rows = [list(row) for row in answers.get()][-array.rows - 1 :]
            order = [*range(array.rows), 0] if len(step_words) == 1 else [0, *range(array.rows)]
            assert rows == [membrane[k][row] for row in order], f"step {k}"

    b.run(script)
    assert found(sink) == sent


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(100, 106))
def test_reset_at_any_time(
    bench: Any, seed: int, rule: Accumulation, config_of: Callable[..., NeuronConfig]
) -> None:
    array = draw_array(seed, rule, config_of)
    rng = random.Random(seed)
    steps = [(False, events) for _, events in draw_steps(rng, array, 5)]
    expected, _, _ = golden(array, steps)
    b = bench(array, seed=seed)
    source, sink = b.source(array.i), b.sink(array.o, chance=0.6)

    async def script(ctx: Any) -> None:
        for _ in range(5):
            source.put(words(array, draw_steps(rng, array, 6)))
            await ctx.tick().repeat(rng.randint(1, 60))
            await b.reset(ctx, source, sink)
        source.put(words(array, steps))
        await b.until(ctx, lambda: len(sink.words) >= len(expected))
        await ctx.tick().repeat(30)

    b.run(script)
    assert found(sink) == expected, f"seed {seed}"


PLAIN = NeuronConfig(
    size=6,
    state=QFormat(word_length=6),
    current_width=6,
    threshold=9,
    accumulation=Accumulation.SPIKING_EVENT,
)


def test_throughput_and_latency(bench: Any) -> None:
    """A row a cycle, the same one too; behind a tick a sweep, then the next step."""
    array = EventNeuronArray(PLAIN, 2)
    step: Step = (False, [(row, [3, 4]) for row in (0, 0, 0, 1, 2, 1)])
    b = bench(array)
    source, sink = b.source(array.i, words(array, [step] * 3)), b.sink(array.o)
    b.run_until(lambda: len(sink.words) == 9)
    assert array.latency == 3
    assert sink.cycles[0] == source.cycles[6] + array.latency
    assert np.diff(source.cycles[:7]).tolist() == [1] * 6
    # Until the last of three rows has been written.
    assert source.cycles[7] - source.cycles[6] == array.latency + array.rows
    assert np.diff(sink.cycles[:3]).tolist() == [1, 1]


def test_init() -> None:
    array = EventNeuronArray(PLAIN, 2, (3, 2))
    assert (array.rows, array.lanes, array.layout.shape) == (4, 2, (3, 2))


def test_wrong_accumulation() -> None:
    message = r"^accumulation must be 'event' or 'spiking-event', not 'step'$"
    with pytest.raises(ValueError, match=message):
        EventNeuronArray(replace(PLAIN, accumulation=Accumulation.STEP), 2)
    with pytest.raises(ValueError, match=r"^accumulation must be 'step', not 'spiking-event'$"):
        NeuronArray(PLAIN, 2)


def test_wrong_lanes() -> None:
    with pytest.raises(ValueError, match=r"^lanes must be 1 to 256, not 0$"):
        EventNeuronArray(PLAIN, 0)
