"""The stream buffer: order, latency, throughput, and the path that it cuts."""

import random
from typing import Any

import pytest
from amaranth.hdl import unsigned
from amaranth.lib import data

from spikeloom.rtl_gen.stream import StreamBuffer

SHAPE = data.StructLayout({"a": 3, "b": 5})


def test_init() -> None:
    buffer = StreamBuffer(SHAPE)
    assert buffer.i.payload.shape() == SHAPE
    assert buffer.o.payload.shape() == SHAPE
    assert StreamBuffer(unsigned(7)).o.payload.shape() == unsigned(7)


@pytest.mark.parametrize("give", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("take", [1.0, 0.5, 0.1])
def test_nothing_is_lost(bench: Any, give: float, take: float) -> None:
    rng = random.Random(7)
    words = [rng.randrange(256) for _ in range(100)]
    buffer = StreamBuffer(SHAPE)
    b = bench(buffer, seed=7)
    b.source(buffer.i, words, chance=give)
    sink = b.sink(buffer.o, chance=take)
    b.run_until(lambda: len(sink.words) >= len(words), spare=20)
    assert sink.words == words


def test_latency(bench: Any) -> None:
    buffer = StreamBuffer(8)
    b = bench(buffer)
    source, sink = b.source(buffer.i, range(1, 21), chance=0.4), b.sink(buffer.o)
    b.run_until(lambda: len(sink.words) == 20)
    assert buffer.latency == 1
    assert sink.cycles == [cycle + buffer.latency for cycle in source.cycles]


def test_throughput(bench: Any) -> None:
    """One payload a cycle, after a stall as before it."""
    buffer = StreamBuffer(8)
    b = bench(buffer)
    source, sink = b.source(buffer.i, range(30)), b.sink(buffer.o)

    async def script(ctx: Any) -> None:
        await b.until(ctx, lambda: len(sink.words) == 10)
        sink.chance = 0.0
        await ctx.tick().repeat(10)
        sink.chance = 1.0
        await b.until(ctx, lambda: len(sink.words) == 30)

    b.run(script)
    assert sink.words == list(range(30))
    stall = [k for k in range(1, 30) if sink.cycles[k] != sink.cycles[k - 1] + 1]
    assert len(stall) == 1
    # Two places: so many words enter that have not left.
    assert sum(cycle < sink.cycles[stall[0]] for cycle in source.cycles) == stall[0] + 2


def test_ready_is_a_register(bench: Any) -> None:
    """The consumer's ready reaches the producer in the next cycle, not in the same."""
    buffer = StreamBuffer(8)
    b = bench(buffer)
    seen = []

    async def script(ctx: Any) -> None:
        ctx.set(buffer.i.valid, 1)
        for cycle in range(8):
            now = []
            for ready in (0, 1, 0) if cycle < 5 else (1, 0, 1):
                ctx.set(buffer.o.ready, ready)
                now.append(ctx.get(buffer.i.ready))
            assert len(set(now)) == 1
            seen.append(now[0])
            await ctx.tick()

    b.run(script)
    # Two are taken; room again two cycles after the first is taken out.
    assert seen == [1, 1, 0, 0, 0, 0, 1, 1]


def test_reset(bench: Any) -> None:
    buffer = StreamBuffer(8)
    b = bench(buffer)
    source, sink = b.source(buffer.i, range(1, 9)), b.sink(buffer.o, chance=0.0)

    async def script(ctx: Any) -> None:
        await ctx.tick().repeat(6)
        await b.reset(ctx, source, sink)
        sink.chance = 1.0
        source.put([100, 101])
        await b.until(ctx, lambda: len(sink.words) >= 2)
        await ctx.tick().repeat(5)

    b.run(script)
    assert sink.words == [100, 101]
