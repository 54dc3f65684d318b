"""Weight memories: what is loaded is read, and nothing else."""

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import ResetInserter, Signal, Value
from amaranth.sim import Simulator

from spikeloom.rtl_gen.weights import WeightMemory, WeightStore

ROWS = np.random.default_rng(0).integers(-128, 128, (6, 3))
loaded = [store for store in WeightStore if store.loaded]


def simulate(memory: WeightMemory, script) -> None:
    simulator = Simulator(memory)
    simulator.add_clock(1e-6)
    simulator.add_testbench(script)
    simulator.run()


async def load(ctx, memory: WeightMemory, word: dict[str, int]) -> None:
    ctx.set(memory.load.payload, word)
    ctx.set(memory.load.valid, 1)
    await ctx.tick().until(memory.load.ready)
    ctx.set(memory.load.valid, 0)


async def read(ctx, memory: WeightMemory, row: int) -> list[int]:
    ctx.set(memory.addr, row)
    ctx.set(memory.needed, 1)
    ctx.set(memory.en, 1)
    await ctx.tick()
    ctx.set(memory.needed, 0)
    await ctx.tick().repeat(memory.latency - 1)
    ctx.set(memory.en, 0)
    return [ctx.get(memory.data[lane]) for lane in range(memory.lanes)]


@pytest.mark.parametrize("store", WeightStore)
def test_rows(store: WeightStore) -> None:
    memory = WeightMemory(ROWS, 8, store)
    words = list(memory.loads())
    assert len(words) == ROWS.size
    np.random.default_rng(1).shuffle(words)

    async def script(ctx):
        if store.loaded:
            for word in words:
                await load(ctx, memory, word)
        for row in (3, 0, 5, 5, 1):
            assert await read(ctx, memory, row) == ROWS[row].tolist()

    simulate(memory, script)


@pytest.mark.parametrize("store", loaded)
def test_nothing_is_loaded_while_a_row_is_needed(store: WeightStore) -> None:
    """A row that waits is not lost, and a weight is not lost either."""
    memory = WeightMemory(ROWS, 8, store)

    async def script(ctx):
        for word in memory.loads():
            await load(ctx, memory, word)
        ctx.set(memory.load.payload, {"weight": 77, "lane": 1, "row": 2})
        ctx.set(memory.load.valid, 1)
        ctx.set(memory.addr, 2)
        ctx.set(memory.needed, 1)
        await ctx.tick().repeat(3)  # the reader waits
        assert not ctx.get(memory.load.ready)
        assert await read(ctx, memory, 2) == ROWS[2].tolist()
        ctx.set(memory.load.valid, 0)
        assert [ctx.get(each) for each in memory.data] == ROWS[2].tolist()
        assert await read(ctx, memory, 2) == [ROWS[2, 0], 77, ROWS[2, 2]]

    simulate(memory, script)


def test_one_weight_of_one_lane() -> None:
    memory = WeightMemory(np.array([[-2]]), 2, WeightStore.SPRAM)

    async def script(ctx):
        for word in memory.loads():
            await load(ctx, memory, word)
        assert await read(ctx, memory, 0) == [-2]

    simulate(memory, script)


@pytest.mark.parametrize("store", WeightStore)
def test_what_the_tools_are_told(store: WeightStore) -> None:
    text = rtlil.convert(WeightMemory(ROWS, 8, store), name="top", emit_src=False)
    assert ('attribute \\ram_style "' in text) == (store is not WeightStore.AUTO)
    if store.style:
        assert f'attribute \\ram_style "{store.style}"' in text


@pytest.mark.parametrize("store", [WeightStore.AUTO, WeightStore.SPRAM, WeightStore.LOADED_BLOCK])
def test_parity(store: WeightStore) -> None:
    """Each bit of each row, and each parity: noticed when the row is read, and not before."""
    memory = WeightMemory(ROWS, 8, store, parity=True)
    module = memory.elaborate(None)
    bits = module.submodules.memory.data, module.submodules.parity.data
    simulator = Simulator(ResetInserter(begin_anew := Signal())(module))
    simulator.add_clock(1e-6)

    async def flipped(ctx, data, row: int, bit: int) -> None:
        value = Value.cast(data[row])
        ctx.set(value, ctx.get(value) ^ 1 << bit)

    async def noticed(ctx, row: int) -> bool:
        ctx.set(begin_anew, 1)
        await ctx.tick()
        ctx.set(begin_anew, 0)
        await read(ctx, memory, row)
        await ctx.tick().repeat(3)
        return bool(ctx.get(memory.error))

    async def script(ctx):
        if store.loaded:
            for word in memory.loads():
                await load(ctx, memory, word)
        for row in range(len(ROWS)):
            assert not await noticed(ctx, row)
        for row in range(len(ROWS)):
            for data, width in zip(bits, (24, 1), strict=True):
                for bit in range(width):
                    await flipped(ctx, data, row, bit)
                    assert await noticed(ctx, row)
                    assert not await noticed(ctx, (row + 1) % len(ROWS))
                    await flipped(ctx, data, row, bit)

    simulator.add_testbench(script)
    simulator.run()


def test_parity_of_rows_that_nobody_needs() -> None:
    """Whatever the port shows where no row is needed is no error, nor is a row that waits."""
    memory = WeightMemory(ROWS, 8, WeightStore.LOADED_BLOCK, parity=True)

    async def script(ctx):
        for word in memory.loads():
            await load(ctx, memory, word)
        # Half of a row is loaded again.
        await load(ctx, memory, {"weight": 1, "lane": 0, "row": 3})
        ctx.set(memory.addr, 3)
        for needed, en in ((0, 1), (1, 0), (0, 1)):
            ctx.set(memory.needed, needed)
            ctx.set(memory.en, en)
            await ctx.tick().repeat(4)
            assert not ctx.get(memory.error)
        # The parity that is stored is that of lane 0 alone, which is odd.
        row = [1, *ROWS[3, 1:].tolist()]
        even = sum((weight & 255).bit_count() for weight in row) % 2 == 0
        await read(ctx, memory, 3)
        await ctx.tick().repeat(3)
        assert ctx.get(memory.error) == even

    simulate(memory, script)
