"""Whole networks in hardware against the golden model; the guard at their input."""

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.events import RESTART, SPIKE, TICK, raster_to_events
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import EventGuard, NetworkTop

Event = tuple[int, int, int]

UNKNOWN = 3
PACES = [(1.0, 1.0), (0.4, 1.0), (1.0, 0.3), (0.6, 0.6)]

# Numbers of inputs and of each layer's neurons, and lanes.
STACKS: list[tuple[list[int], int | list[int]]] = [
    ([3, 4], 8),
    ([1, 1, 1], 1),
    ([4, 6, 3], 2),
    ([5, 7, 5, 2], [4, 1, 3]),
    ([2, 9, 1], [8, 2]),
    ([7, 3, 8, 3], 3),
]


def words(stream: Any, events: Any) -> list[int]:
    """Raw payloads, so that unknown kinds are possible too."""
    fields = dict(iter(stream.payload.shape()))
    return [
        sum(
            value << fields[name].offset
            for name, value in zip(("kind", "address", "count"), event, strict=True)
        )
        for event in np.asarray(events).tolist()
    ]


def unpacked(stream: Any, raw: list[int]) -> list[Event]:
    fields = [dict(iter(stream.payload.shape()))[name] for name in ("kind", "address", "count")]
    return [
        tuple(word >> field.offset & ((1 << field.width) - 1) for field in fields) for word in raw
    ]


# --- the guard ---


def guarded(events: list[Event], size: int, max_count: int) -> tuple[list[Event], list[bool]]:
    """The events that pass, and for each whether an illegal one has come up to it."""
    passed, errors = [], []
    spikes, error = 0, False
    for event in events:
        kind, address, count = event
        if kind == SPIKE:
            legal = address < size and 1 <= count <= max_count and spikes < size
            spikes += legal
        else:
            legal = kind in (TICK, RESTART)
            if legal:
                spikes = 0
        error = error or not legal
        errors.append(error)
        if legal:
            passed.append(event)
    return passed, errors


def draw_events(rng: random.Random, guard: EventGuard, number: int) -> list[Event]:
    """Anything that the ports can carry."""
    fields = dict(iter(guard.i.payload.shape()))
    return [
        (
            rng.choice([SPIKE] * 8 + [TICK, RESTART, UNKNOWN]),
            rng.randrange(1 << fields["address"].width),
            rng.randrange(1 << fields["count"].width),
        )
        for _ in range(number)
    ]


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize(("size", "max_count"), [(1, 1), (2, 1), (5, 5), (8, 7), (3, 4)])
def test_guard(bench: Any, size: int, max_count: int, pace: tuple[float, float]) -> None:
    guard = EventGuard(size, max_count)
    events = draw_events(random.Random(size), guard, 150)
    passed, errors = guarded(events, size, max_count)
    b = bench(guard, seed=size)
    source = b.source(guard.i, words(guard.i, events), chance=pace[0])
    sink = b.sink(guard.o, chance=pace[1])
    seen = []

    async def script(ctx: Any) -> None:
        while len(source.cycles) < len(events):
            before = len(source.cycles)
            await ctx.tick()
            if len(source.cycles) > before:
                seen.append(bool(ctx.get(guard.error)))

    b.run(script)
    assert unpacked(guard.o, sink.words) == passed
    assert seen == errors


def test_guard_lets_a_full_step_pass(bench: Any) -> None:
    """As many spikes as sources are legal in each step, and after a restart inside one."""
    guard = EventGuard(3, 2)
    full = [(SPIKE, k, 2) for k in range(3)]
    events = [*full, (TICK, 0, 0), *full, (RESTART, 0, 0), *full, (TICK, 0, 0)]
    b = bench(guard)
    source = b.source(guard.i, words(guard.i, events))
    sink = b.sink(guard.o)

    async def script(ctx: Any) -> None:
        await b.until(ctx, lambda: len(sink.words) == len(events))
        await ctx.tick()
        assert not ctx.get(guard.error)
        source.put(words(guard.i, [*full, (SPIKE, 0, 1)]))
        await b.until(ctx, lambda: len(source.cycles) == len(events) + 4)
        assert ctx.get(guard.error)
        source.put(words(guard.i, [(TICK, 0, 0), *full]))
        await b.until(ctx, lambda: len(source.cycles) == len(events) + 8)
        assert ctx.get(guard.error)
        await b.reset(ctx)
        assert not ctx.get(guard.error)

    b.run(script)
    assert unpacked(guard.o, sink.words) == [*events, *full, (TICK, 0, 0), *full]


def test_guard_has_no_latency(bench: Any) -> None:
    guard = EventGuard(3, 2)
    b = bench(guard)
    source = b.source(guard.i, words(guard.i, [(TICK, 0, 0), (SPIKE, 0, 2)] * 5), chance=0.5)
    sink = b.sink(guard.o)
    b.run_until(lambda: len(sink.words) == 10)
    assert sink.cycles == source.cycles


# --- the network ---


def check(
    bench: Any,
    network: FixedNetwork,
    lanes: int | list[int],
    pace: tuple[float, float],
    raster: np.ndarray,
    seed: int,
) -> None:
    top = NetworkTop(network, lanes)
    b = bench(top, seed=seed)
    b.source(top.i, words(top.i, raster_to_events(raster)), chance=pace[0])
    sink = b.sink(top.o, chance=pace[1])
    spikes = run_fixed(network, raster).output
    expected = [tuple(row) for row in raster_to_events(spikes).tolist()]

    async def script(ctx: Any) -> None:
        await b.until(ctx, lambda: len(sink.words) >= len(expected))
        for _ in range(20):
            await ctx.tick()
        assert not ctx.get(top.error)

    b.run(script)
    assert unpacked(top.o, sink.words) == expected, f"seed {seed}"


def test_init(network_of: Callable[..., FixedNetwork]) -> None:
    network = network_of(random.Random(1), [5, 9, 3], word_length=12)
    top = NetworkTop(network, [4, 2])
    assert top.network is network
    assert [(p.lanes, p.rows) for p in top.populations] == [(4, 3), (2, 2)]
    assert {name: field.width for name, field in top.probe_i.payload.shape()} == {
        "population": 1,
        "row": 2,
    }
    assert top.probe_o.payload.shape().size == 4 * 12
    assert [p.lanes for p in NetworkTop(network).populations] == [8, 8]


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize(("sizes", "lanes"), STACKS)
def test_stacks(
    bench: Any,
    network_of: Callable[..., FixedNetwork],
    raster_of: Callable[..., np.ndarray],
    sizes: list[int],
    lanes: int | list[int],
    pace: tuple[float, float],
) -> None:
    rng = random.Random(sum(sizes))
    max_count = rng.choice([1, 3, 5])
    network = network_of(rng, sizes, max_count=max_count)
    raster = raster_of(rng, 2, 5, sizes[0], max_count)
    check(bench, network, lanes, pace, raster, seed=sum(sizes))


@given(st.integers(0, 2**32 - 1))
# A seed does not become simpler by shrinking.
@settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_random_networks(
    bench: Any,
    network_of: Callable[..., FixedNetwork],
    raster_of: Callable[..., np.ndarray],
    seed: int,
) -> None:
    rng = random.Random(seed)
    sizes = [rng.randint(1, 8) for _ in range(rng.randint(2, 4))]
    max_count = rng.choice([1, 3, 5])
    network = network_of(rng, sizes, max_count=max_count)
    lanes = [rng.randint(1, 5) for _ in sizes[1:]]
    raster = raster_of(rng, 2, 4, sizes[0], max_count)
    check(bench, network, lanes, rng.choice(PACES), raster, seed=seed)


@pytest.mark.parametrize("seed", range(6))
def test_probes_show_every_membrane_potential(
    bench: Any,
    network_of: Callable[..., FixedNetwork],
    raster_of: Callable[..., np.ndarray],
    seed: int,
) -> None:
    """Every neuron of every layer after every step."""
    rng = random.Random(seed)
    sizes, lanes = STACKS[seed]
    network = network_of(rng, sizes, max_count=3)
    raster = raster_of(rng, 2, 3, sizes[0], 3)
    recording = run_fixed(network, raster)
    top = NetworkTop(network, lanes)
    b = bench(top, seed=seed)
    source, sink = b.source(top.i), b.sink(top.o, chance=0.7)
    probes, answers = b.source(top.probe_i), b.sink(top.probe_o)
    widest = max(p.lanes for p in top.populations)
    rows = [(k, row) for k, p in enumerate(top.populations) for row in range(p.rows)]
    events = [tuple(event) for event in raster_to_events(raster).tolist()]

    async def script(ctx: Any) -> None:
        for step in range(6):
            end = events.index((TICK, 0, 0)) + 1
            source.put(words(top.i, events[:end]))
            del events[:end]
            await b.until(ctx, lambda n=step + 1: ticks() == n)
            rng.shuffle(rows)
            answers.words.clear()
            probes.put({"population": k, "row": row} for k, row in rows)
            await b.until(ctx, lambda: len(answers.words) == len(rows))
            for (k, row), answer in zip(rows, answers.get(), strict=True):
                potentials = [*recording.membrane.values()][k][step // 3, step % 3].tolist()
                n = top.populations[k].lanes
                present = potentials[row * n : (row + 1) * n]
                expected = present + [0] * (widest - len(present))
                assert list(answer) == expected, f"seed {seed}, step {step}, layer {k}, row {row}"

    def ticks() -> int:
        return sum(event[0] == TICK for event in unpacked(top.o, sink.words))

    b.run(script)


def integrators(sizes: list[int]) -> FixedNetwork:
    layers = [
        FixedDense(
            weight=np.ones((inputs, size), dtype=int),
            weight_width=2,
            neurons=NeuronConfig(
                size=size,
                state=QFormat(word_length=8),
                current_width=4,
                threshold=100,
                v_init=10 + size,
            ),
        )
        for inputs, size in pairwise(sizes)
    ]
    return fixed_stack(tuple(layers), "integrators")


def test_probe_answers_wait_for_their_taker(bench: Any) -> None:
    """Probes of several populations, answered late: each answer comes, in the order asked."""
    top = NetworkTop(integrators([1, 2, 3]), 4)
    b = bench(top)
    asked = [{"population": k, "row": 0} for k in (0, 1, 1, 0)]
    b.source(top.probe_i, asked)
    answers = b.sink(top.probe_o, chance=0.0)

    async def script(ctx: Any) -> None:
        await ctx.tick().repeat(20)
        answers.chance = 1.0
        for _ in range(20):
            await ctx.tick()

    b.run(script)
    first, second = [12, 12, 0, 0], [13, 13, 13, 0]
    assert [list(word) for word in answers.get()] == [first, second, second, first]


def test_reset_at_any_time(
    bench: Any,
    network_of: Callable[..., FixedNetwork],
    raster_of: Callable[..., np.ndarray],
) -> None:
    for seed in range(5):
        rng = random.Random(seed)
        sizes, lanes = STACKS[seed + 1]
        network = network_of(rng, sizes)
        top = NetworkTop(network, lanes)
        b = bench(top, seed=seed)
        source, sink = b.source(top.i), b.sink(top.o, chance=0.7)
        raster = raster_of(rng, 1, 4, sizes[0], 1)
        spikes = run_fixed(network, raster).output
        expected = [tuple(row) for row in raster_to_events(spikes).tolist()][1:]

        async def script(
            ctx: Any,
            rng: Any = rng,
            b: Any = b,
            ends: Any = (source, sink),
            top: Any = top,
            raster: Any = raster,
            number: int = len(expected),
        ) -> None:
            for _ in range(4):
                garbage = raster_of(rng, 3, 4, raster.shape[2], 1)
                ends[0].put(words(top.i, raster_to_events(garbage)))
                ends[0].put(words(top.i, [(UNKNOWN, 0, 0)]))
                await ctx.tick().repeat(rng.randint(1, 100))
                await b.reset(ctx, *ends)
            ends[0].put(words(top.i, raster_to_events(raster)[1:]))
            await b.until(ctx, lambda: len(ends[1].words) >= number)
            for _ in range(20):
                await ctx.tick()
            assert not ctx.get(top.error)

        b.run(script)
        assert unpacked(top.o, sink.words) == expected, f"seed {seed}"


@pytest.mark.parametrize("seed", range(6))
def test_illegal_events_do_no_harm(
    bench: Any,
    network_of: Callable[..., FixedNetwork],
    raster_of: Callable[..., np.ndarray],
    seed: int,
) -> None:
    """Unknown kinds, addresses and counts anywhere; spikes too many behind a full step."""
    rng = random.Random(seed)
    sizes, lanes = [5, 4, 3], 2
    network = network_of(rng, sizes, max_count=5)
    raster = raster_of(rng, 2, 5, 5, 5)
    raster[0, 2] = 5
    top = NetworkTop(network, lanes)
    events: list[Event] = []
    spikes = 0
    for event in raster_to_events(raster).tolist():
        for _ in range(rng.choice([0, 0, 1])):
            bad = [(UNKNOWN, 0, 0), (SPIKE, 5, 1), (SPIKE, 7, 5), (SPIKE, 1, 0), (SPIKE, 2, 6)]
            if spikes == 5:
                bad = [(SPIKE, 4, 5)]
            events.append(rng.choice(bad))
        events.append(tuple(event))
        spikes = spikes + 1 if event[0] == SPIKE else 0
    legal, errors = guarded(events, 5, 5)
    assert legal == [tuple(event) for event in raster_to_events(raster).tolist()]
    assert errors[-1]
    b = bench(top, seed=seed)
    b.source(top.i, words(top.i, events), chance=0.8)
    sink = b.sink(top.o, chance=0.8)
    output = run_fixed(network, raster).output
    expected = [tuple(row) for row in raster_to_events(output).tolist()]

    async def script(ctx: Any) -> None:
        assert not ctx.get(top.error)
        await b.until(ctx, lambda: len(sink.words) >= len(expected))
        assert ctx.get(top.error)

    b.run(script)
    assert unpacked(top.o, sink.words) == expected, f"seed {seed}"


@pytest.mark.parametrize(("sizes", "lanes"), STACKS)
def test_latency(bench: Any, sizes: list[int], lanes: int | list[int]) -> None:
    """A silent step's tick from input to output, step after step of a network at rest."""
    top = NetworkTop(integrators(sizes), lanes)
    b = bench(top)
    source, sink = b.source(top.i), b.sink(top.o)

    async def script(ctx: Any) -> None:
        for step in range(3):
            source.put(words(top.i, [(TICK, 0, 0)]))
            await b.until(ctx, lambda n=step + 1: len(sink.words) == n)
            await ctx.tick().repeat(10)

    b.run(script)
    latencies = [out - into for into, out in zip(source.cycles, sink.cycles, strict=True)]
    # Each population: list 3, sums 4, update 3, buffer 1, serializer 2, and one for each further
    # row; nothing lies between them. The first step makes the neurons initial, then they rest.
    assert [p.core.latency for p in top.populations] == [13] * (len(sizes) - 1)
    rest = 13 * len(top.populations)
    assert latencies == [rest + sum(p.rows - 1 for p in top.populations), rest, rest]


def test_layers_work_on_different_steps(bench: Any) -> None:
    """Two layers in a row take no longer for a step than the slower one alone."""
    sizes = [4, 24, 24]
    periods = []
    for network in (integrators(sizes[:2]), integrators(sizes)):
        top = NetworkTop(network, 2)
        b = bench(top)
        step = [*((SPIKE, k, 1) for k in range(4)), (TICK, 0, 0)]
        b.source(top.i, words(top.i, step * 8))
        sink = b.sink(top.o)
        b.run_until(lambda sink=sink: len(sink.words) == 8)
        periods.append(np.diff(sink.cycles[2:]).tolist())
    assert periods[0] == [4 * 12] * 5
    assert periods[1] == periods[0]


@pytest.mark.parametrize("lanes", [[2], [2, 2, 2], []])
def test_wrong_number_of_lanes(lanes: list[int]) -> None:
    message = rf"^lanes must be one number or 2, one a layer, not {len(lanes)}$"
    with pytest.raises(ValueError, match=message):
        NetworkTop(integrators([1, 2, 3]), lanes)


@pytest.mark.parametrize("lanes", [0, 257, [1, 0]])
def test_wrong_lanes(lanes: int | list[int]) -> None:
    with pytest.raises(ValueError, match=r"^lanes must be 1 to 256, not "):
        NetworkTop(integrators([1, 2, 3]), lanes)


@pytest.mark.parametrize("lanes", [[1, 2.0], [1, "2"], True])
def test_wrong_kind_of_lanes(lanes: Any) -> None:
    with pytest.raises(TypeError, match=r"^lanes must be an integer, not "):
        NetworkTop(integrators([1, 2, 3]), lanes)
