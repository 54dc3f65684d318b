"""The spike serializer, and dense populations against the golden model."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.events import RESTART, SPIKE, TICK, raster_to_events
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.profile import Reset
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.population import DensePopulation, SpikeSerializer

Event = tuple[int, int, int]

SHAPES = [
    # inputs, neurons, lanes
    (1, 1, 1),
    (3, 1, 1),
    (1, 5, 2),
    (4, 3, 8),
    (5, 8, 8),
    (6, 9, 8),
    (7, 7, 3),
    (9, 5, 1),
    (2, 13, 4),
]

PACES = [(1.0, 1.0), (0.4, 1.0), (1.0, 0.3), (0.6, 0.6)]


def neurons(size: int, **options: Any) -> NeuronConfig:
    return NeuronConfig(
        **{
            "size": size,
            "state": QFormat(word_length=10),
            "current_width": 4,
            "threshold": 100,
        }
        | options
    )


def words(events: Any) -> list[dict[str, Any]]:
    return [
        {"kind": EventKind(kind), "address": address, "count": count}
        for kind, address, count in np.asarray(events).tolist()
    ]


def found_events(sink: Any) -> list[Event]:
    return [(word["kind"].value, word["address"], word["count"]) for word in sink.get()]


def expected_events(spikes: np.ndarray) -> list[Event]:
    return [tuple(row) for row in raster_to_events(spikes).tolist()]


# --- the serializer ---


def rows_of(rng: random.Random, config: NeuronConfig, lanes: int, steps: int) -> list[Any]:
    """Rows of counts: some empty, some full."""
    number = -(-config.size // lanes)
    rows = []
    for _ in range(steps):
        restart = rng.random() < 0.3
        for row in range(number):
            density = rng.choice([0, 0.5, 1])
            present = min(lanes, config.size - row * lanes)
            counts = [
                rng.randint(1, config.max_spikes) if k < present and rng.random() < density else 0
                for k in range(lanes)
            ]
            rows.append(
                {
                    "count": counts,
                    "restart": int(restart and row == 0),
                    "last": int(row == number - 1),
                }
            )
    return rows


def serialized(rows: list[Any], lanes: int) -> list[Event]:
    events: list[Event] = []
    base = 0
    for row in rows:
        if row["restart"]:
            events.append((RESTART, 0, 0))
        events += [(SPIKE, base + k, count) for k, count in enumerate(row["count"]) if count]
        base += lanes
        if row["last"]:
            events.append((TICK, 0, 0))
            base = 0
    return events


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize(
    ("size", "lanes"),
    [*((1, 1), (1, 4), (5, 2), (8, 8), (9, 4), (3, 1)), *((9, 9), (40, 16), (40, 33), (70, 17))],
)
def test_serializer(bench: Any, size: int, lanes: int, pace: tuple[float, float]) -> None:
    rng = random.Random(10 * size + lanes)
    config = neurons(size, max_spikes=rng.choice([1, 7]))
    rows = rows_of(rng, config, lanes, 10)
    serializer = SpikeSerializer(config, Layout((size,), lanes))
    b = bench(serializer, seed=size)
    b.source(serializer.i, rows, chance=pace[0])
    sink = b.sink(serializer.o, chance=pace[1])
    expected = serialized(rows, lanes)
    b.receive(sink, len(expected), spare=20)
    assert found_events(sink) == expected


def test_serializer_latency_and_throughput(bench: Any) -> None:
    """An event a cycle, and a cycle for a row without any."""
    rng = random.Random(3)
    config = neurons(10)
    rows = rows_of(rng, config, 4, 12)
    serializer = SpikeSerializer(config, Layout((10,), 4))
    b = bench(serializer)
    source, sink = b.source(serializer.i, rows), b.sink(serializer.o)
    b.run_until(lambda: sum(word["kind"] == EventKind.TICK for word in sink.get()) == 12)
    assert serializer.latency == 2
    cycle, taken, sent = source.cycles[0], [], []
    for k, row in enumerate(rows):
        taken.append(cycle)
        number = row["restart"] + sum(count > 0 for count in row["count"]) + row["last"]
        sent += [cycle + serializer.latency + k for k in range(number)]
        cycle += max(1, number)
    assert source.cycles == taken
    assert sink.cycles == sent


def test_serializer_of_wide_rows_passes_empty_groups_over(bench: Any) -> None:
    """Of 40 lanes the events of two groups: not a cycle is lost, between rows neither."""
    config = neurons(80)
    serializer = SpikeSerializer(config, Layout((80,), 40))
    counts = [int(k in (3, 20, 21)) for k in range(40)]
    rows = [{"count": counts, "restart": 0, "last": row} for row in (0, 1)] * 5
    b = bench(serializer)
    source, sink = b.source(serializer.i, rows), b.sink(serializer.o)
    b.run_until(lambda: len(sink.words) == 5 * 7)
    assert found_events(sink) == serialized(rows, 40)
    assert sink.cycles[0] - source.cycles[0] == serializer.latency == 3
    assert np.diff(sink.cycles).tolist() == [1] * 34


def test_serializer_reset(bench: Any) -> None:
    config = neurons(6, max_spikes=3)
    serializer = SpikeSerializer(config, Layout((6,), 2))
    full = [{"count": [1, 2], "restart": int(row == 0), "last": int(row == 2)} for row in range(3)]
    for cycles in range(1, 14):
        b = bench(serializer, seed=cycles)
        source, sink = b.source(serializer.i, full * 3), b.sink(serializer.o)

        async def script(ctx: Any, b: Any = b, ends: Any = (source, sink), n: int = cycles) -> None:
            await ctx.tick().repeat(n)
            await b.reset(ctx, *ends)
            ends[0].put(full)
            await b.until(ctx, lambda: len(ends[1].words) == 8)
            await ctx.tick().repeat(5)

        b.run(script)
        assert found_events(sink) == serialized(full, 2), f"reset after {cycles} cycles"


# --- the population ---


def test_init(layer_of: Callable[..., FixedDense]) -> None:
    layer = layer_of(random.Random(1), 5, 9, max_count=3)
    population = DensePopulation(layer, 4)
    assert (population.rows, population.lanes, population.layer) == (3, 4, layer)
    assert {name: field.width for name, field in population.i.payload.shape()} == {
        "kind": 2,
        "address": 3,
        "count": 2,
    }
    output = {name: field.width for name, field in population.o.payload.shape()}
    assert output == {"kind": 2, "address": 4, "count": layer.neurons.count_width}


def check(
    bench: Any,
    rng: random.Random,
    layer: FixedDense,
    lanes: int,
    pace: tuple[float, float],
    raster: np.ndarray,
) -> None:
    population = DensePopulation(layer, lanes)
    b = bench(population, seed=rng.randrange(1000))
    b.source(population.i, words(raster_to_events(raster)), chance=pace[0])
    sink = b.sink(population.o, chance=pace[1])
    expected = expected_events(run_fixed(fixed_stack((layer,), "random"), raster).output)
    b.receive(sink, len(expected), spare=20)
    assert found_events(sink) == expected, f"{layer}, {lanes} lanes"


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize(("inputs", "size", "lanes"), SHAPES)
def test_shapes(
    bench: Any,
    layer_of: Callable[..., FixedDense],
    raster_of: Callable[..., np.ndarray],
    inputs: int,
    size: int,
    lanes: int,
    pace: tuple[float, float],
) -> None:
    rng = random.Random(100 * inputs + size)
    max_count = rng.choice([1, 1, 3, 6])
    layer = layer_of(rng, inputs, size, max_count=max_count)
    check(bench, rng, layer, lanes, pace, raster_of(rng, 2, 6, inputs, max_count))


@pytest.mark.parametrize("seed", range(24))
def test_random_configurations(
    bench: Any,
    layer_of: Callable[..., FixedDense],
    raster_of: Callable[..., np.ndarray],
    seed: int,
) -> None:
    rng = random.Random(1000 + seed)
    inputs, size, lanes = rng.choice(SHAPES)
    max_count = rng.choice([1, 1, 3, 6])
    layer = layer_of(rng, inputs, size, max_count=max_count)
    raster = raster_of(rng, 3, 5, inputs, max_count)
    check(bench, rng, layer, lanes, PACES[seed % 4], raster)


def integrators(inputs: int, size: int, *, max_count: int = 3, **options: Any) -> FixedDense:
    """Every spike adds 1; the threshold is out of reach unless an option says otherwise."""
    return FixedDense(
        weight=np.ones((inputs, size), dtype=int),
        weight_width=2,
        neurons=neurons(size, **options),
        max_count=max_count,
    )


@pytest.mark.parametrize("max_count", [1, 3])
@pytest.mark.parametrize("spikes", [0, 1, 2, 5])
@pytest.mark.parametrize("threshold", [1, 500])
@pytest.mark.parametrize("options", [{}, {"max_spikes": 7, "floor": -1}, {"reset": Reset.TO_VALUE}])
def test_latency(
    bench: Any, options: dict[str, Any], threshold: int, spikes: int, max_count: int
) -> None:
    """From the tick to the step's first event, spike or tick: further sources cost a cycle each."""
    layer = integrators(5, 3, max_count=max_count, **options | {"threshold": threshold})
    population = DensePopulation(layer, 4)
    # list 2, sums 4 and one where counts are multiplied, update 3 and one for each further stage,
    # buffer 1, serializer 2
    multiplies = int(max_count > 1)
    assert population.latency == 13 + multiplies + (3 if options.get("max_spikes") else 0)
    b = bench(population)
    events = [(SPIKE, k, 1) for k in range(spikes)] + [(TICK, 0, 0)]
    source, sink = b.source(population.i, words(events)), b.sink(population.o)
    b.run_until(lambda: len(sink.words) >= 1)
    first = EventKind.TICK if threshold == 500 or not spikes else EventKind.SPIKE
    assert next(sink.get())["kind"] == first
    assert sink.cycles[0] - source.cycles[-1] == population.latency + max(spikes, 1) - 1


def test_latency_does_not_depend_on_counts(bench: Any) -> None:
    """An input that spiked three times is one active source."""
    population = DensePopulation(integrators(5, 3, threshold=500), 4)
    b = bench(population)
    events = [(SPIKE, 0, 3), (SPIKE, 4, 2), (TICK, 0, 0)]
    source, sink = b.source(population.i, words(events)), b.sink(population.o)
    b.run_until(lambda: len(sink.words) >= 1)
    assert sink.cycles[0] - source.cycles[-1] == population.latency + 2 - 1


@pytest.mark.parametrize(
    ("spikes", "count", "bias", "cycles"),
    [(0, 0, 0, 1), (0, 0, 1, 10), (2, 1, 1, 20), (6, 1, 0, 60), (6, 3, 0, 60)],
)
def test_throughput(bench: Any, spikes: int, count: int, bias: int, cycles: int) -> None:
    """``n * ceil(neurons / lanes)`` cycles a step, whatever the counts.

    In a silent step it is a cycle for each of the ten rows, or one where the neurons rest.
    """
    layer = integrators(6, 37, threshold=500, bias=bias)
    population = DensePopulation(layer, 4)
    b = bench(population)
    step = [(SPIKE, k, count) for k in range(spikes)] + [(TICK, 0, 0)]
    b.source(population.i, words(step * 8))
    sink = b.sink(population.o)
    b.run_until(lambda: len(sink.words) == 8)
    assert np.diff(sink.cycles[2:]).tolist() == [cycles] * 5


@pytest.mark.parametrize("seed", range(6))
def test_restart_inside_a_step(
    bench: Any,
    layer_of: Callable[..., FixedDense],
    raster_of: Callable[..., np.ndarray],
    seed: int,
) -> None:
    """The spikes before it are discarded, and its step is the first of a sequence."""
    rng = random.Random(seed)
    inputs, size, lanes = SHAPES[seed + 2]
    layer = layer_of(rng, inputs, size)
    population = DensePopulation(layer, lanes)
    raster = raster_of(rng, 4, 3, inputs, 1)
    events = []
    for event in raster_to_events(raster).tolist():
        if event[0] == RESTART:
            discarded = rng.sample(range(inputs), rng.randint(0, inputs))
            events += [(SPIKE, k, 1) for k in discarded]
        events.append(event)
    b = bench(population, seed=seed)
    b.source(population.i, words(events), chance=0.8)
    sink = b.sink(population.o, chance=0.8)
    expected = expected_events(run_fixed(fixed_stack((layer,), "random"), raster).output)
    b.receive(sink, len(expected), spare=20)
    assert found_events(sink) == expected, f"seed {seed}"


@pytest.mark.parametrize("seed", range(8))
def test_reset_at_any_time(
    bench: Any,
    layer_of: Callable[..., FixedDense],
    raster_of: Callable[..., np.ndarray],
    seed: int,
) -> None:
    """Exact afterwards without a restart event."""
    rng = random.Random(seed)
    inputs, size, lanes = rng.choice(SHAPES)
    layer = layer_of(rng, inputs, size, max_count=3)
    population = DensePopulation(layer, lanes)
    b = bench(population, seed=seed)
    source, sink = b.source(population.i, chance=0.9), b.sink(population.o, chance=0.7)
    raster = raster_of(rng, 1, 5, inputs, 3)
    expected = expected_events(run_fixed(fixed_stack((layer,), "random"), raster).output)[1:]

    async def script(ctx: Any) -> None:
        for _ in range(6):
            garbage = raster_of(rng, 2, 5, inputs, 3)
            source.put(words(raster_to_events(garbage)[rng.randint(0, 1) :]))
            await ctx.tick().repeat(rng.randint(1, 60))
            await b.reset(ctx, source, sink)
        source.put(words(raster_to_events(raster)[1:]))
        await b.until(ctx, lambda: len(sink.words) >= len(expected))
        for _ in range(20):
            await ctx.tick()

    b.run(script)
    assert found_events(sink) == expected, f"seed {seed}"


def test_back_pressure_stops_the_input(bench: Any) -> None:
    """Nothing is dropped: with nobody to take its events, a population stops to accept some."""
    layer = integrators(2, 3, threshold=1)
    population = DensePopulation(layer, 2)
    step = [(SPIKE, 0, 1), (TICK, 0, 0)]
    b = bench(population)
    source = b.source(population.i, words(step * 40))
    sink = b.sink(population.o, chance=0.0)

    async def script(ctx: Any) -> None:
        await ctx.tick().repeat(300)
        assert ctx.get(population.o.valid)
        assert len(source.cycles) < 30
        sink.chance = 1.0
        await b.until(ctx, lambda: len(sink.words) == 160)

    b.run(script)
    assert found_events(sink) == [(SPIKE, 0, 1), (SPIKE, 1, 1), (SPIKE, 2, 1), (TICK, 0, 0)] * 40


def test_probe(bench: Any) -> None:
    """By hand: potentials are the number of spikes so far."""
    layer = integrators(2, 5, threshold=500, v_init=-2)
    population = DensePopulation(layer, 2)
    b = bench(population)
    source, sink = b.source(population.i), b.sink(population.o)
    probes, answers = b.source(population.probe_i), b.sink(population.probe_o)

    async def script(ctx: Any) -> None:
        for step in range(3):
            probes.put([2, 0, 1])
            await b.until(ctx, lambda n=3 * step + 3: len(answers.words) == n)
            source.put(words([(SPIKE, 0, 1), (SPIKE, 1, 2), (TICK, 0, 0)]))
            await b.until(ctx, lambda n=step + 1: len(sink.words) == n)

    b.run(script)
    found = [list(word) for word in answers.get()]
    assert found == [[v, w] for v in (-2, 1, 4) for w in (0, v, v)]


@pytest.mark.parametrize("lanes", [0, 257])
def test_wrong_lanes(lanes: int) -> None:
    with pytest.raises(ValueError, match=rf"^lanes must be 1 to 256, not {lanes}$"):
        DensePopulation(integrators(2, 3), lanes)
