"""The order of a step's spikes against Python's own sorting."""

import random
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.maps import Shape
from spikeloom.reference.network import Connection
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.junction import Source, three_sizes
from spikeloom.rtl_gen.sorter import StepSorter

PACES = [(1.0, 1.0), (0.4, 1.0), (1.0, 0.3), (0.6, 0.6)]
SHAPES: list[list[Shape]] = [
    [(1,)],
    [(5,)],
    [(2, 3)],
    [(2, 3, 4)],
    [(1, 1, 1), (3,)],
    [(4,), (2, 2, 3), (3, 2)],
    [(1,), (1,), (1,)],
    [(2, 1, 3), (2, 4, 1)],
]
Step = tuple[bool, dict[int, int]]
"""Whether it starts anew, and the count of each source that spikes."""


def sources(shapes: list[Shape], most: int) -> list[Source]:
    connection = Connection(source="in")
    return [Source(connection, shape, least=0, most=most, loop=False) for shape in shapes]


def draw_steps(rng: random.Random, size: int, most: int, number: int) -> list[Step]:
    """Silent, sparse and full steps, in any order."""
    steps = []
    for _ in range(number):
        active = rng.choice([0, rng.randint(0, size), size])
        counts = {k: rng.randint(1, most) for k in rng.sample(range(size), active)}
        steps.append((rng.random() < 0.3, counts))
    return steps


def words(steps: list[Step]) -> list[dict[str, Any]]:
    result = []
    for restart, counts in steps:
        if restart:
            result.append({"kind": EventKind.RESTART, "address": 0, "count": 0})
        result += [{"kind": EventKind.SPIKE, "address": k, "count": n} for k, n in counts.items()]
        result.append({"kind": EventKind.TICK, "address": 0, "count": 0})
    return result


def expected(shapes: list[Shape], steps: list[Step], repeats: bool) -> list[tuple[int, ...]]:
    """Kind, channel, height, width and count; coordinates of each connection behind the others'."""
    places, start = [], np.zeros(3, dtype=int)
    for shape in shapes:
        sizes = three_sizes(shape)
        places += [tuple(int(n) for n in start + at) for at in np.ndindex(sizes)]
        start += sizes
    events = []
    for restart, counts in steps:
        events += [(EventKind.RESTART.value, 0, 0, 0, 0)] * restart
        for k in sorted(counts):
            one = (EventKind.SPIKE.value, *places[k])
            events += [(*one, 1)] * counts[k] if repeats else [(*one, counts[k])]
        events.append((EventKind.TICK.value, 0, 0, 0, 0))
    return events


def found(sink: Any) -> list[tuple[int, ...]]:
    events = []
    for word in sink.get():
        spike = word["kind"] is EventKind.SPIKE
        at = [word["address"][name] for name in "cyx"] if spike else [0, 0, 0]
        events.append((word["kind"].value, *at, word["count"] if spike else 0))
    return events


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("most", [1, 6])
@pytest.mark.parametrize("shapes", SHAPES)
def test_random_steps(bench: Any, shapes: list[Shape], most: int, repeats: bool) -> None:
    for pace in PACES:
        rng = random.Random(most)
        sorter = StepSorter(sources(shapes, most), repeats=repeats)
        steps = draw_steps(rng, sorter.size, most, 9)
        b = bench(sorter, seed=most)
        b.source(sorter.i, words(steps), chance=pace[0])
        sink = b.sink(sorter.o, chance=pace[1])
        right = expected(shapes, steps, repeats)
        b.receive(sink, len(right), spare=40)
        assert found(sink) == right


def test_the_last_of_two_counts(bench: Any) -> None:
    sorter = StepSorter(sources([(3,)], 5), repeats=False)
    b = bench(sorter)
    b.source(sorter.i, words([(False, {1: 5, 2: 1})])[:-1] + words([(False, {1: 2})]))
    sink = b.sink(sorter.o)
    b.receive(sink, 3)
    assert found(sink) == expected([(3,)], [(False, {1: 2, 2: 1})], False)


def test_latency(bench: Any) -> None:
    sorter = StepSorter(sources([(3,)], 1), repeats=False)
    b = bench(sorter)
    source, sink = b.source(sorter.i, words([(False, {})])), b.sink(sorter.o)
    b.run_until(lambda: len(sink.words) == 1)
    assert sink.cycles[0] == source.cycles[0] + sorter.latency == source.cycles[0] + 2


@pytest.mark.parametrize("repeats", [False, True])
def test_throughput(bench: Any, repeats: bool) -> None:
    """A source a cycle, and of counts that are told apart a spike a cycle."""
    sorter = StepSorter(sources([(8,)], 3), repeats=repeats)
    b = bench(sorter)
    b.source(sorter.i, words([(False, {k: 3 for k in range(8)}), (False, {7: 1})] * 3))
    sink = b.sink(sorter.o)
    events = 24 if repeats else 8
    b.run_until(lambda: len(sink.words) == events + 3)
    assert np.diff(sink.cycles[:events]).tolist() == [1] * (events - 1)
    # The tick; a cycle to begin, one to read, and seven places without a count.
    assert np.diff(sink.cycles[events - 1 :]).tolist() == [1, 10, 1]


def test_two_steps_fit(bench: Any) -> None:
    """While nothing is taken, two tables fill up; then the input waits."""
    sorter = StepSorter(sources([(4,)], 1), repeats=False)
    b = bench(sorter)
    steps: list[Step] = [(False, {k: 1 for k in range(n)}) for n in (2, 3, 1, 4)]
    source, sink = b.source(sorter.i, words(steps)), b.sink(sorter.o, chance=0.0)
    accepted = []

    async def script(ctx: Any) -> None:
        await ctx.tick().repeat(40)
        accepted.append(len(source.cycles))
        sink.chance = 1.0
        await b.until(ctx, lambda: len(sink.words) == 14)

    b.run(script)
    assert accepted == [3 + 4]
    assert found(sink) == expected([(4,)], steps, False)


@pytest.mark.parametrize("seed", range(12))
def test_reset_at_any_time(bench: Any, seed: int) -> None:
    rng = random.Random(seed)
    shapes = SHAPES[seed % len(SHAPES)]
    sorter = StepSorter(sources(shapes, 3), repeats=bool(seed % 2))
    b = bench(sorter, seed=seed)
    source, sink = b.source(sorter.i), b.sink(sorter.o, chance=0.6)
    steps = draw_steps(rng, sorter.size, 3, 3)
    right = expected(shapes, steps, sorter.repeats)

    async def script(ctx: Any) -> None:
        for _ in range(5):
            source.put(words(draw_steps(rng, sorter.size, 3, 5)))
            await ctx.tick().repeat(rng.randint(1, 60))
            await b.reset(ctx, source, sink)
        source.put(words(steps))
        await b.until(ctx, lambda: len(sink.words) >= len(right))
        await ctx.tick().repeat(40)

    b.run(script)
    assert found(sink) == right, f"seed {seed}"
