"""Event lists against Python's lists, synapse arrays against plain sums."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.dense import FixedDense
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.rtl_gen.events import EventKind, EventLayout
from spikeloom.rtl_gen.synapse import EventList, SynapseArray, source_layout

Step = tuple[bool, list[tuple[int, int]]]
"""Whether it starts anew, and its spikes: address and count."""

SPIKE, TICK, RESTART = EventKind.SPIKE, EventKind.TICK, EventKind.RESTART
PACES = [(1.0, 1.0), (0.4, 1.0), (1.0, 0.4), (0.6, 0.6)]


def event(kind: EventKind, address: int = 0, count: int = 0) -> dict[str, Any]:
    return {"kind": kind, "address": address, "count": count}


def draw_steps(rng: random.Random, size: int, max_count: int, number: int) -> list[Step]:
    """Silent, sparse and full steps, in any order of addresses."""
    steps = []
    for _ in range(number):
        active = rng.choice([0, 0, rng.randint(0, size), size])
        spikes = [(k, rng.randint(1, max_count)) for k in rng.sample(range(size), active)]
        steps.append((rng.random() < 0.3, spikes))
    return steps


def events_of(rng: random.Random, steps: list[Step], size: int) -> list[dict[str, Any]]:
    """A restart may come after spikes, which it discards, and more than once."""
    events = []
    for restart, spikes in steps:
        if restart:
            for _ in range(rng.choice([0, 0, 1])):
                discarded = rng.sample(range(size), rng.randint(0, size))
                events += [event(SPIKE, k, 1) for k in discarded]
                events.append(event(RESTART))
            events.append(event(RESTART))
        events += [event(SPIKE, *spike) for spike in spikes]
        events.append(event(TICK))
    return events


Source = tuple[int, int, bool, bool, bool]
"""Address, count, last, final, restart; address 0 where the count is 0."""


def sources_of(steps: list[Step], sweeps: int) -> list[Source]:
    """All sweeps of each step; of one without spikes, a single source."""
    sources = []
    for restart, spikes in steps:
        if not spikes:
            sources.append((0, 0, True, True, restart))
            continue
        for sweep in range(sweeps):
            for k, (address, count) in enumerate(spikes):
                last = k == len(spikes) - 1
                sources.append((address, count, last, last and sweep == sweeps - 1, restart))
    return sources


def found_sources(sink: Any) -> list[Source]:
    return [
        (
            word["address"] if word["count"] else 0,
            word["count"],
            bool(word["last"]),
            bool(word["final"]),
            bool(word["restart"]),
        )
        for word in sink.get()
    ]


def test_event_layout() -> None:
    fields = {name: (field.offset, field.width) for name, field in EventLayout(5, 7)}
    assert fields == {"kind": (0, 2), "address": (2, 3), "count": (5, 3)}
    assert [EventLayout(size).size - 3 for size in (1, 2, 3, 4, 5, 256, 257)] == [
        1,
        1,
        2,
        2,
        3,
        8,
        9,
    ]
    assert [EventLayout(2, count).size - 3 for count in (1, 2, 3, 4, 255)] == [1, 2, 2, 3, 8]
    assert [kind.value for kind in (SPIKE, TICK, RESTART)] == [0, 1, 2]


def test_event_layout_of_shapes() -> None:
    """The last coordinate lies lowest, as in the flat number."""
    image, line = EventLayout((3, 5, 9), 1), EventLayout((3, 9), 1)
    assert {name: (f.offset, f.width) for name, f in image["address"].shape} == {
        "x": (0, 4),
        "y": (4, 3),
        "c": (7, 2),
    }
    assert {name: (f.offset, f.width) for name, f in line["address"].shape} == {
        "x": (0, 4),
        "c": (4, 2),
    }
    assert EventLayout((5,), 1) == EventLayout(5, 1)
    assert EventLayout((1, 1, 1)).size == 2 + 3 + 1


@pytest.mark.parametrize(
    ("least", "most", "width"), [(-1, 0, 1), (-1, 1, 2), (-2, 1, 2), (-1, 7, 4), (-128, 127, 8)]
)
def test_event_layout_of_signed_values(least: int, most: int, width: int) -> None:
    count = EventLayout(4, most, least)["count"].shape
    assert (count.width, count.signed) == (width, True)


@pytest.mark.parametrize("sweeps", [1, 2, 5])
@pytest.mark.parametrize(("size", "max_count"), [(1, 1), (2, 3), (5, 1), (8, 7), (9, 255)])
def test_list_of_random_steps(bench: Any, size: int, max_count: int, sweeps: int) -> None:
    for pace in PACES:
        rng = random.Random(1000 * size + sweeps)
        steps = draw_steps(rng, size, max_count, 12)
        listing = EventList(size, max_count, sweeps)
        b = bench(listing, seed=sweeps)
        b.source(listing.i, events_of(rng, steps, size), chance=pace[0])
        sink = b.sink(listing.o, chance=pace[1])
        expected = sources_of(steps, sweeps)
        b.receive(sink, len(expected))
        assert found_sources(sink) == expected


@pytest.mark.parametrize("spikes", [0, 1, 4])
def test_list_latency(bench: Any, spikes: int) -> None:
    listing = EventList(4, 1, 3)
    b = bench(listing)
    events = [event(SPIKE, k, 1) for k in range(spikes)] + [event(TICK)]
    source, sink = b.source(listing.i, events), b.sink(listing.o)
    b.run_until(lambda: len(sink.words) == max(1, 3 * spikes))
    assert listing.latency == 3
    assert sink.cycles[0] == source.cycles[-1] + listing.latency
    # One a cycle, from sweep to sweep.
    assert np.diff(sink.cycles).tolist() == [1] * (len(sink.cycles) - 1)


def test_list_throughput(bench: Any) -> None:
    """One source a cycle from step to step, where the events of a step come soon enough."""
    listing = EventList(4, 1, 3)
    b = bench(listing)
    step = [event(SPIKE, k, 1) for k in range(4)] + [event(TICK)]
    b.source(listing.i, step * 6)
    sink = b.sink(listing.o)
    b.run_until(lambda: len(sink.words) == 72)
    assert sink.cycles[-1] - sink.cycles[0] == 71


def test_list_holds_two_steps(bench: Any) -> None:
    """While nothing is taken, two lists fill up; then the input waits."""
    listing = EventList(4, 1, 1)
    b = bench(listing)
    steps = [[event(SPIKE, k, 1) for k in range(k)] + [event(TICK)] for k in (3, 4, 1, 2)]
    source = b.source(listing.i, [e for step in steps for e in step])
    sink = b.sink(listing.o, chance=0.0)
    accepted = []

    async def script(ctx: Any) -> None:
        await ctx.tick().repeat(30)
        accepted.append(len(source.cycles))
        assert ctx.get(listing.o.valid)
        sink.chance = 1.0
        await b.until(ctx, lambda: len(sink.words) == 10)

    b.run(script)
    assert accepted == [4 + 5]
    assert [word["address"] for word in sink.get()] == [0, 1, 2, 0, 1, 2, 3, 0, 0, 1]


def test_list_reset(bench: Any) -> None:
    listing = EventList(4, 1, 2)
    for cycles in range(1, 14):
        b = bench(listing, seed=cycles)
        events = [event(RESTART)] + [event(SPIKE, k, 1) for k in range(3)] + [event(TICK)]
        source, sink = b.source(listing.i, events * 3), b.sink(listing.o)

        async def script(ctx: Any, b: Any = b, ends: Any = (source, sink), n: int = cycles) -> None:
            await ctx.tick().repeat(n)
            await b.reset(ctx, *ends)
            ends[0].put([event(TICK), event(SPIKE, 3, 1), event(TICK)])
            await b.until(ctx, lambda: len(ends[1].words) == 3)
            await ctx.tick().repeat(8)

        b.run(script)
        expected = sources_of([(False, []), (False, [(3, 1)])], 2)
        assert found_sources(sink) == expected, f"reset after {cycles} cycles"


def plain_layer(weight: list[list[int]], **options: Any) -> FixedDense:
    size = len(weight[0])
    neurons = NeuronConfig(size=size, state=QFormat(word_length=8), current_width=2, threshold=10)
    return FixedDense(
        **{"weight": np.array(weight), "weight_width": 8, "neurons": neurons} | options
    )


Row = tuple[list[int], bool, bool]
"""Currents, lanes without a neuron left out; restart, and whether it stands for a silent step."""


def sums(layer: FixedDense, lanes: int, steps: list[Step]) -> list[Row]:
    weight = layer.weight.tolist()
    size = len(weight[0])
    shift = layer.weight_shift
    shifts = shift if isinstance(shift, tuple) else (shift,) * len(weight)
    rows = []
    for restart, spikes in steps:
        totals = [
            sum(count * weight[k][n] * 2 ** shifts[k] for k, count in spikes) for n in range(size)
        ]
        if not spikes:
            rows.append(([], restart, True))
            continue
        rows += [(totals[n : n + lanes], restart, False) for n in range(0, size, lanes)]
    return rows


def found_sums(sink: Any, size: int, lanes: int) -> list[Row]:
    found: list[Row] = []
    start = 0
    for word in sink.get():
        currents = [] if word["void"] else list(word["current"])[: size - start]
        found.append((currents, bool(word["restart"]), bool(word["void"])))
        if not word["void"]:
            start = start + lanes if start + lanes < size else 0
    return found


def words_of(sources: list[Source]) -> list[dict[str, int]]:
    names = ("address", "count", "last", "final", "restart")
    return [dict(zip(names, map(int, source), strict=True)) for source in sources]


@pytest.mark.parametrize("max_count", [1, 5, 255])
@pytest.mark.parametrize(
    ("inputs", "size", "lanes"),
    [(1, 1, 1), (1, 3, 8), (3, 1, 1), (5, 8, 8), (4, 9, 8), (6, 7, 3), (7, 5, 1)],
)
def test_sums_of_random_steps(
    bench: Any,
    layer_of: Callable[..., FixedDense],
    inputs: int,
    size: int,
    lanes: int,
    max_count: int,
) -> None:
    for pace in PACES:
        rng = random.Random(1000 * inputs + lanes)
        layer = layer_of(rng, inputs, size, max_count=max_count)
        steps = draw_steps(rng, inputs, min(max_count, 9), 6)
        if max_count > 9:
            steps.append((False, [(0, max_count)]))
        synapses = SynapseArray(layer, lanes)
        b = bench(synapses, seed=inputs)
        b.source(synapses.i, words_of(sources_of(steps, synapses.sweeps)), chance=pace[0])
        sink = b.sink(synapses.o, chance=pace[1])
        expected = sums(layer, lanes, steps)
        b.receive(sink, len(expected))
        assert found_sums(sink, size, lanes) == expected


def test_sums_at_both_ends(bench: Any) -> None:
    """Every partial sum on the way to the largest and the smallest fits."""
    layer = plain_layer([[127, -128], [127, -128], [127, -128]], max_count=7)
    steps: list[Step] = [(False, [(0, 7), (1, 7), (2, 7)]), (False, [(0, 7)])]
    synapses = SynapseArray(layer, 2)
    b = bench(synapses)
    b.source(synapses.i, words_of(sources_of(steps, 1)))
    sink = b.sink(synapses.o)
    b.run_until(lambda: len(sink.words) == 2)
    assert found_sums(sink, 2, 2) == [
        ([2667, -2688], False, False),
        ([889, -896], False, False),
    ]


@pytest.mark.parametrize(
    ("options", "multiplies"),
    [
        ({}, False),
        ({"weight_shift": 3}, False),
        ({"weight_shift": (3, 3)}, True),
        ({"max_count": 5}, True),
        ({"least_count": -1}, True),
        ({"weight_shift": (0, 2)}, True),
    ],
)
@pytest.mark.parametrize("counts", [[1], [5], [0], [1, 1], [2, 3], [3, 1]])
def test_sum_latency(
    bench: Any, counts: list[int], options: dict[str, Any], multiplies: bool
) -> None:
    layer = plain_layer([[1, 2], [3, 4]], **options)
    counts = [min(count, layer.max_count) for count in counts]
    synapses = SynapseArray(layer, 2)
    steps: list[Step] = [(False, [(k, count) for k, count in enumerate(counts) if count])]
    b = bench(synapses)
    source, sink = b.source(synapses.i, words_of(sources_of(steps, 1))), b.sink(synapses.o)
    b.run_until(lambda: len(sink.words) == 1)
    # Row address, weights and their register, sum; the product with the count before the latter.
    assert synapses.latency == (5 if multiplies else 4)
    assert sink.cycles[0] == source.cycles[-1] + synapses.latency


def test_sum_throughput(bench: Any) -> None:
    """A source a cycle, whatever its count; nothing comes between."""
    layer = plain_layer([[1, 2, 3], [4, 5, 6]], max_count=5)
    synapses = SynapseArray(layer, 2)
    steps: list[Step] = [(False, [(0, 5), (1, 1)]), (False, []), (True, [(1, 3)])] * 3
    words = words_of(sources_of(steps, 2))
    b = bench(synapses)
    source, sink = b.source(synapses.i, words), b.sink(synapses.o)
    b.run_until(lambda: len(sink.words) == 15)
    assert np.diff(source.cycles).tolist() == [1] * (len(words) - 1)


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize(
    ("least", "most", "shifts"),
    [
        (-3, 4, 2),
        (-8, 0, 0),
        (-1, 1, (0, 0, 3, 3, 1)),
        (0, 1, (5, 5, 2, 2, 2)),
        (0, 7, (1, 2, 3, 4, 5)),
        (-128, 127, (0, 0, 0, 0, 24)),
    ],
)
def test_signed_counts_and_shifts_of_each_input(
    bench: Any,
    least: int,
    most: int,
    shifts: int | tuple[int, ...],
    pace: tuple[float, float],
) -> None:
    rng = random.Random(most)
    weight = [[rng.choice([-128, 127, rng.randint(-128, 127)]) for _ in range(5)] for _ in range(5)]
    layer = plain_layer(weight, weight_shift=shifts, max_count=max(1, most), least_count=least)
    counts = [count for count in (least, most, least // 2, 1) if least <= count <= most and count]
    steps: list[Step] = [
        (rng.random() < 0.3, [(k, rng.choice(counts)) for k in range(5) if rng.random() < density])
        for density in (0, 0.4, 0.8, 1, 1, 1)
    ]
    # All in the same direction: the largest and the smallest sums.
    steps += [(False, [(k, count) for k in range(5)]) for count in (least, most) if count]
    synapses = SynapseArray(layer, 2)
    b = bench(synapses, seed=1)
    b.source(synapses.i, words_of(sources_of(steps, 3)), chance=pace[0])
    sink = b.sink(synapses.o, chance=pace[1])
    expected = sums(layer, 2, steps)
    b.receive(sink, len(expected))
    assert found_sums(sink, 5, 2) == expected


def test_sum_without_back_pressure_is_not_lost(bench: Any) -> None:
    """A row stays until it is taken, and the rows behind it wait."""
    layer = plain_layer([[1], [2], [4]])
    steps: list[Step] = [(False, [(k, 1)]) for k in (0, 1, 2)] * 4
    synapses = SynapseArray(layer, 1)
    b = bench(synapses)
    b.source(synapses.i, words_of(sources_of(steps, 1)))
    sink = b.sink(synapses.o, chance=0.0)

    async def script(ctx: Any) -> None:
        await ctx.tick().repeat(20)
        assert ctx.get(synapses.o.valid)
        sink.chance = 1.0
        await b.until(ctx, lambda: len(sink.words) == 12)

    b.run(script)
    assert [word["current"][0] for word in sink.get()] == [1, 2, 4] * 4


def test_sum_reset(bench: Any) -> None:
    layer = plain_layer([[1, 2, 3], [10, 20, 30]], max_count=5)
    synapses = SynapseArray(layer, 2)
    step: Step = (True, [(0, 5), (1, 2)])
    for cycles in range(1, 22):
        b = bench(synapses, seed=cycles)
        source = b.source(synapses.i, words_of(sources_of([step] * 4, 2)))
        sink = b.sink(synapses.o)

        async def script(ctx: Any, b: Any = b, ends: Any = (source, sink), n: int = cycles) -> None:
            await ctx.tick().repeat(n)
            await b.reset(ctx, *ends)
            ends[0].put(words_of(sources_of([(False, [(1, 1)])], 2)))
            await b.until(ctx, lambda: len(ends[1].words) == 2)
            await ctx.tick().repeat(8)

        b.run(script)
        expected = [([10, 20], False, False), ([30], False, False)]
        assert found_sums(sink, 3, 2) == expected, f"reset after {cycles} cycles"


def test_source_layout() -> None:
    fields = {name: field.width for name, field in source_layout(5, 7)}
    assert fields == {"address": 3, "count": 3, "last": 1, "final": 1, "restart": 1}


@pytest.mark.parametrize("lanes", [0, 257])
def test_wrong_lanes(lanes: int) -> None:
    with pytest.raises(ValueError, match=rf"^lanes must be 1 to 256, not {lanes}$"):
        SynapseArray(plain_layer([[1]]), lanes)


def test_wrong_kind_of_lanes() -> None:
    with pytest.raises(TypeError, match=r"^lanes must be an integer, not '1'$"):
        SynapseArray(plain_layer([[1]]), "1")  # type: ignore[arg-type]
