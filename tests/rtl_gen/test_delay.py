"""Delays, queues and joined steps against lists."""

import random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spikeloom.rtl_gen.delay import EventQueue, StepDelay, StepMerge, loop_depth
from spikeloom.rtl_gen.events import EventKind, EventLayout
from spikeloom.rtl_gen.network import EventFork

SPIKE, TICK, RESTART = (kind.value for kind in EventKind)
PACES = [(1.0, 1.0), (0.4, 1.0), (1.0, 0.3), (0.6, 0.6)]
every_pace = pytest.mark.parametrize("pace", PACES)

Event = tuple[int, int, int]
"""Kind, number of the source, count."""

Step = tuple[bool, list[tuple[int, int]]]
"""Whether it starts anew, and its spikes."""


def words(layout: data.StructLayout, events: list[Event]) -> list[int]:
    """Payloads; the fields of an address lie as in the flat number where sizes are powers of 2."""
    offsets = [layout[name].offset for name in ("kind", "address", "count")]
    widths = [layout[name].width for name in ("kind", "address", "count")]
    return [
        sum(
            (value & ((1 << width) - 1)) << offset
            for value, offset, width in zip(event, offsets, widths, strict=True)
        )
        for event in events
    ]


def draw_steps(rng: random.Random, size: int, counts: list[int], number: int) -> list[Step]:
    """Silent, sparse and full steps; sequences of one step occur."""
    steps = []
    for _ in range(number):
        active = rng.choice([0, rng.randint(0, size), size])
        spikes = [(k, rng.choice(counts)) for k in rng.sample(range(size), active)]
        steps.append((rng.random() < 0.3, spikes))
    return steps


def events_of(steps: list[Step]) -> list[Event]:
    events: list[Event] = []
    for restart, spikes in steps:
        events += [(RESTART, 0, 0)] * restart
        events += [(SPIKE, *spike) for spike in spikes]
        events.append((TICK, 0, 0))
    return events


# --- delays ---


def delayed(events: list[Event], delays: list[int]) -> list[Event]:
    """Each spike in the step in which it is due, in the order in which they came."""
    result: list[Event] = []
    pending: list[tuple[int, Event]] = []
    now = 0
    for event in events:
        if event[0] == SPIKE:
            pending.append((now + delays[event[1]], event))
        elif event[0] == RESTART:
            pending = []
            result.append(event)
        else:
            result += [spike for due, spike in pending if due == now]
            result.append(event)
            now += 1
    return result


DELAYS: list[tuple[int, int | list[int]]] = [
    (1, 0),
    (1, 1),
    (1, 4),
    (4, 1),
    (5, 3),
    (2, [0, 1]),
    (3, [2, 2, 2]),
    (5, [0, 7, 1, 2, 1]),
    (8, [3, 0, 0, 0, 5, 1, 1, 6]),
]


@every_pace
@pytest.mark.parametrize(("size", "delays"), DELAYS)
def test_delay(bench: Any, size: int, delays: int | list[int], pace: tuple[float, float]) -> None:
    """With restarts anywhere, in the middle of a step too."""
    rng = random.Random(size)
    events = events_of(draw_steps(rng, size, [1, 2, 3], 25))
    for _ in range(3):
        place = rng.randrange(len(events))
        # A source sends once a step: what comes behind a restart in a step is a step anew.
        events.insert(place, (RESTART, 0, 0))
    layout = EventLayout(size, 3)
    delay = StepDelay(layout, (size,), delays)
    b = bench(delay, seed=size)
    b.source(delay.i, words(layout, events), chance=pace[0])
    sink = b.sink(delay.o, chance=pace[1])
    each = [delays] * size if isinstance(delays, int) else delays
    expected = delayed(events, each)
    b.receive(sink, len(expected), spare=20)
    assert sink.words == words(layout, expected)


def test_delay_of_coordinates_and_signed_values(bench: Any) -> None:
    """Each source's delay is found by its coordinates in the order of the flat array."""
    rng = random.Random(5)
    for shape in ((2, 4), (2, 2, 4), (3, 5), (3, 2, 3)):
        channels, *sizes = shape
        layout = EventLayout(shape, 7, -8)
        size = channels * sizes[0] * (sizes[1] if len(sizes) > 1 else 1)
        delays = [rng.randint(0, 4) for _ in range(size)]
        delay = StepDelay(layout, shape, delays)
        steps = draw_steps(rng, size, [-8, -1, 1, 7], 12)
        events = events_of(steps)
        sent, expected = (
            [layout.const(payload(layout, shape, event)).as_bits() for event in each]
            for each in (events, delayed(events, delays))
        )
        b = bench(delay, seed=1)
        b.source(delay.i, sent, chance=0.8)
        sink = b.sink(delay.o, chance=0.8)
        b.receive(sink, len(expected))
        assert sink.words == expected


def payload(layout: EventLayout, shape: tuple[int, ...], event: Event) -> dict[str, Any]:
    """Fields of an event whose source is given by its number in the flat array."""
    kind, number, count = event
    names = ("c", "x") if len(shape) == 2 else ("c", "y", "x")
    places = {}
    for name, size in reversed(list(zip(names, shape, strict=True))):
        number, places[name] = divmod(number, size)
    return {"kind": EventKind(kind), "address": places, "count": count}


def test_delay_timing(bench: Any) -> None:
    """A step of n spikes that are due takes two cycles a spike, and two for its tick."""
    layout = EventLayout(4, 1)
    delay = StepDelay(layout, (4,), 1)
    b = bench(delay)
    full = [(SPIKE, k, 1) for k in range(4)]
    source = b.source(delay.i, words(layout, [*full, (TICK, 0, 0), (TICK, 0, 0), (TICK, 0, 0)]))
    sink = b.sink(delay.o)
    b.run_until(lambda: len(sink.words) == 7)
    first, second, third = source.cycles[4:]
    # A tick is taken; the cycle after, the list is seen to have come to its end.
    assert sink.cycles[0] - first == 2
    assert sink.cycles[1:6] == [second + 3 + 2 * k for k in range(4)] + [second + 2 + 2 * 4]
    assert sink.cycles[6] - third == 2


@pytest.mark.parametrize("seed", range(6))
def test_delay_reset_at_any_time(bench: Any, seed: int) -> None:
    rng = random.Random(seed)
    size, delays = DELAYS[-1 - seed % 3]
    each = delays if isinstance(delays, list) else [delays] * size
    layout = EventLayout(size, 3)
    delay = StepDelay(layout, (size,), delays)
    b = bench(delay, seed=seed)
    source, sink = b.source(delay.i), b.sink(delay.o, chance=0.7)
    events = events_of([(False, spikes) for _, spikes in draw_steps(rng, size, [1, 3], 10)])
    expected = delayed(events, each)

    async def script(ctx: Any) -> None:
        for _ in range(6):
            source.put(words(layout, events_of(draw_steps(rng, size, [1, 3], 20))))
            await ctx.tick().repeat(rng.randint(1, 70))
            await b.reset(ctx, source, sink)
        source.put(words(layout, events))
        await b.until(ctx, lambda: len(sink.words) >= len(expected))
        await ctx.tick().repeat(20)

    b.run(script)
    assert sink.words == words(layout, expected), f"seed {seed}"


# --- queues ---


@every_pace
@pytest.mark.parametrize("depth", [1, 2, 9])
def test_queue(bench: Any, depth: int, pace: tuple[float, float]) -> None:
    layout = EventLayout((3, 5), 7, -8)
    queue = EventQueue(layout, depth)
    rng = random.Random(depth)
    sent = [rng.randrange(1 << layout.size) for _ in range(60)]
    b = bench(queue, seed=depth)
    b.source(queue.i, sent, chance=pace[0])
    sink = b.sink(queue.o, chance=pace[1])
    b.receive(sink, len(sent))
    assert sink.words == sent


@pytest.mark.parametrize("size", [1, 2, 7])
def test_queue_of_a_loop_holds_two_steps(bench: Any, size: int) -> None:
    """All spikes of two steps, their ticks and a restart, before anyone takes one."""
    layout = EventLayout(size, 1)
    queue = EventQueue(layout, loop_depth(size))
    b = bench(queue)
    full = (False, [(k, 1) for k in range(size)])
    sent = words(layout, events_of([full, (True, full[1])]))
    source = b.source(queue.i, sent)
    sink = b.sink(queue.o, chance=0.0)

    async def script(ctx: Any) -> None:
        await ctx.tick().repeat(len(sent) + 2)
        assert len(source.cycles) == len(sent)
        await b.reset(ctx, source)
        sink.chance = 1.0
        await ctx.tick().repeat(5)
        assert sink.words == []
        source.put(sent)
        await b.until(ctx, lambda: len(sink.words) == len(sent))

    b.run(script)
    assert sink.words == sent


# --- joined steps ---


def split(events: list[Event]) -> list[tuple[bool, list[tuple[int, int]]]]:
    """Steps of events; a restart must come first."""
    steps: list[Step] = []
    restart, spikes = False, []
    for kind, address, count in events:
        if kind == RESTART:
            assert not spikes
            assert not restart
            restart = True
        elif kind == SPIKE:
            spikes.append((address, count))
        else:
            steps.append((restart, spikes))
            restart, spikes = False, []
    assert (restart, spikes) == (False, [])
    return steps


def found(layout: data.StructLayout, raw: list[int]) -> list[Event]:
    events = []
    for word in raw:
        event = layout.from_bits(word)
        events.append((event["kind"].value, event["address"], event["count"]))
    return events


def together(rng: random.Random, sizes: list[int], number: int) -> list[list[Step]]:
    """For each source its steps; all begin sequences in the same ones."""
    restarts = [rng.random() < 0.4 for _ in range(number)]
    return [
        [
            (restart, spikes)
            for restart, (_, spikes) in zip(
                restarts, draw_steps(rng, size, [1, 3], number), strict=True
            )
        ]
        for size in sizes
    ]


@every_pace
@pytest.mark.parametrize("sizes", [[1, 1], [3, 5], [2, 1, 4], [3]])
def test_merge(bench: Any, sizes: list[int], pace: tuple[float, float]) -> None:
    rng = random.Random(sum(sizes))
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    result = EventLayout(sum(sizes), 3)
    layouts = [EventLayout(size, 3) for size in sizes]
    merge = StepMerge(layouts, [(start, 0, 0) for start in starts], [False] * len(sizes), result)
    steps = together(rng, sizes, 25)
    b = bench(merge, seed=len(sizes))
    for k, (layout, own) in enumerate(zip(layouts, steps, strict=True)):
        b.source(getattr(merge, f"i_{k}"), words(layout, events_of(own)), chance=pace[0])
    sink = b.sink(merge.o, chance=pace[1])
    b.run_until(lambda: sum(event[0] == TICK for event in found(result, sink.words)) == 25, 20)
    seen = split(found(result, sink.words))
    for at, (restart, spikes) in enumerate(seen):
        assert restart == steps[0][at][0]
        expected = [
            (start + address, count)
            for start, own in zip(starts, steps, strict=True)
            for address, count in own[at][1]
        ]
        assert sorted(spikes) == sorted(expected), f"step {at}"


def test_merge_of_coordinates(bench: Any) -> None:
    """Coordinates count on; those of a flat source are channels."""
    result = EventLayout((2 + 3, 1 + 2, 4 + 1), 1)
    first, second = EventLayout((2, 4), 1), EventLayout(3, 1)
    merge = StepMerge([first, second], [(0, 0, 0), (2, 1, 4)], [False, False], result)
    b = bench(merge)
    b.source(
        merge.i_0,
        [
            {"kind": EventKind.SPIKE, "address": {"c": 1, "x": 3}, "count": 1},
            {"kind": EventKind.TICK, "address": {"c": 0, "x": 0}, "count": 0},
        ],
    )
    b.source(merge.i_1, words(second, [(SPIKE, 2, 1), (TICK, 0, 0)]))
    sink = b.sink(merge.o)
    b.receive(sink, 3)
    seen = [(e["kind"].value, *(e["address"][n] for n in "cyx")) for e in sink.get()]
    assert sorted(seen[:2]) == [(SPIKE, 1, 0, 3), (SPIKE, 4, 1, 4)]
    assert seen[2][0] == TICK


class Loop(wiring.Component):
    """A merge whose second source is what it sent, late by ``delay`` steps, in its own pipeline."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, size: int, delay: int, depth: int) -> None:
        self.size = size
        self.delay = delay
        self.depth = depth
        self.layout = EventLayout(size, 3)
        self.joined = EventLayout(2 * size, 3)
        super().__init__(
            {"i": In(stream.Signature(self.layout)), "o": Out(stream.Signature(self.joined))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A step is first gathered, as populations do; queues stand for their lists and pipelines.
        m.submodules.fork = fork = EventFork(self.layout, 2)
        m.submodules.pipeline = pipeline = EventQueue(self.layout, self.depth)
        m.submodules.whole = whole = StepDelay(self.layout, (self.size,), 0)
        m.submodules.queue = queue = EventQueue(self.layout, loop_depth(self.size))
        m.submodules.later = later = StepDelay(self.layout, (self.size,), self.delay - 1)
        m.submodules.merge = merge = StepMerge(
            [self.layout, self.layout], [(0, 0, 0), (self.size, 0, 0)], [False, True], self.joined
        )
        connect(m, flipped(self.i), merge.i_0)
        # What the loop adds goes out but not round again: only sources of the first half do.
        event = merge.o.p
        first = (event.kind != EventKind.SPIKE) | (event.address < self.size)
        ready = ~first | pipeline.i.ready
        m.d.comb += [
            self.o.p.eq(event),
            self.o.valid.eq(merge.o.valid & ready),
            pipeline.i.p.kind.eq(event.kind),
            pipeline.i.p.address.eq(event.address),
            pipeline.i.p.count.eq(event.count),
            pipeline.i.valid.eq(merge.o.valid & first & self.o.ready),
            merge.o.ready.eq(self.o.ready & ready),
        ]
        connect(m, pipeline.o, whole.i)
        connect(m, whole.o, fork.i)
        m.d.comb += fork.o_1.ready.eq(1)
        connect(m, fork.o_0, queue.i)
        connect(m, queue.o, later.i)
        connect(m, later.o, merge.i_1)
        return m


@pytest.mark.parametrize("pace", PACES[::3])
@pytest.mark.parametrize("delay", [1, 2, 4])
@pytest.mark.parametrize(("size", "depth"), [(1, 2), (3, 2), (3, 40)])
def test_merge_of_a_loop(
    bench: Any, size: int, depth: int, delay: int, pace: tuple[float, float]
) -> None:
    """Nothing of the sequence before; sequences of one step follow each other too."""
    rng = random.Random(size + delay)
    (steps,) = together(rng, [size], 30)
    loop = Loop(size, delay, depth)
    b = bench(loop, seed=delay)
    b.source(loop.i, words(loop.layout, events_of(steps)), chance=pace[0])
    sink = b.sink(loop.o, chance=pace[1])
    b.run_until(lambda: sum(e[0] == TICK for e in found(loop.joined, sink.words)) == 30, 20)
    age = 0
    for at, (restart, spikes) in enumerate(split(found(loop.joined, sink.words))):
        age = 0 if steps[at][0] else age
        expected = list(steps[at][1])
        if age >= delay:
            expected += [(size + address, count) for address, count in steps[at - delay][1]]
        assert (restart, sorted(spikes)) == (steps[at][0], sorted(expected)), f"step {at}"
        age += 1


@every_pace
def test_the_same_source_on_two_ways(bench: Any, pace: tuple[float, float]) -> None:
    """One late by two steps, the other not at all: neither way blocks the other."""

    class Ways(wiring.Component):
        def __init__(self) -> None:
            self.layout, self.joined = EventLayout(3, 3), EventLayout(6, 3)
            super().__init__(
                {"i": In(stream.Signature(self.layout)), "o": Out(stream.Signature(self.joined))}
            )

        def elaborate(self, platform: object) -> Module:
            m = Module()
            m.submodules.fork = fork = EventFork(self.layout, 2)
            m.submodules.delay = delay = StepDelay(self.layout, (3,), 2)
            m.submodules.merge = merge = StepMerge(
                [self.layout] * 2, [(0, 0, 0), (3, 0, 0)], [False] * 2, self.joined
            )
            connect(m, flipped(self.i), fork.i)
            connect(m, fork.o_0, merge.i_0)
            connect(m, fork.o_1, delay.i)
            connect(m, delay.o, merge.i_1)
            connect(m, merge.o, flipped(self.o))
            return m

    (steps,) = together(random.Random(1), [3], 30)
    ways = Ways()
    b = bench(ways, seed=1)
    b.source(ways.i, words(ways.layout, events_of(steps)), chance=pace[0])
    sink = b.sink(ways.o, chance=pace[1])
    b.run_until(lambda: sum(e[0] == TICK for e in found(ways.joined, sink.words)) == 30, 20)
    age = 0
    for at, (restart, spikes) in enumerate(split(found(ways.joined, sink.words))):
        age = 0 if steps[at][0] else age
        expected = steps[at][1] + (
            [(3 + address, count) for address, count in steps[at - 2][1]] if age >= 2 else []
        )
        assert (restart, sorted(spikes)) == (steps[at][0], sorted(expected)), f"step {at}"
        age += 1


def test_merge_reset(bench: Any) -> None:
    """After it, the first step passes the loop over without a restart."""
    size, delay = 3, 1
    full = [(k, 1) for k in range(size)]
    loop = Loop(size, delay, 2)
    for cycles in range(1, 40, 3):
        rng = random.Random(cycles)
        b = bench(loop, seed=cycles)
        source, sink = b.source(loop.i), b.sink(loop.o, chance=0.8)

        async def script(
            ctx: Any, b: Any = b, ends: Any = (source, sink), n: int = cycles, rng: Any = rng
        ) -> None:
            (garbage,) = together(rng, [size], 20)
            ends[0].put(words(loop.layout, events_of(garbage)))
            await ctx.tick().repeat(n)
            await b.reset(ctx, *ends)
            ends[0].put(words(loop.layout, events_of([(False, full), (False, []), (False, [])])))
            await b.until(ctx, lambda: len(ends[1].words) >= 9)
            await ctx.tick().repeat(30)

        b.run(script)
        steps = [sorted(spikes) for _, spikes in split(found(loop.joined, sink.words))]
        assert steps == [full, [(3, 1), (4, 1), (5, 1)], []], f"reset after {cycles} cycles"


def test_wrong_loops() -> None:
    layout = EventLayout(2, 1)
    with pytest.raises(ValueError, match=r"^a source must not close a loop, but all do$"):
        StepMerge([layout] * 2, [(0, 0, 0)] * 2, [True, True], layout)
