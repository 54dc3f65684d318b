"""The places that weights are given."""

from amaranth.lib import data
from amaranth.sim import Simulator

from spikeloom.rtl_gen.link.loader import WeightLoader


def test_places() -> None:
    """Two memories, the second time round too, while the consumer refuses now and then."""
    layout = data.StructLayout({"weight": 4, "lane": 2, "row": 2, "population": 2})
    loader = WeightLoader(layout, [(2, 3, 2), (0, 1, 4)])
    expected = [(2, row, lane) for row in range(3) for lane in range(2)]
    expected += [(0, 0, lane) for lane in range(4)]
    seen = []

    async def bench(ctx):
        ctx.set(loader.i.valid, 1)
        for k in range(2 * len(expected)):
            ctx.set(loader.i.payload, k % 16)
            ctx.set(loader.o.ready, 0)
            await ctx.tick().repeat(1 + k % 3)
            assert not ctx.get(loader.i.ready)
            ctx.set(loader.o.ready, 1)
            word = ctx.get(loader.o.payload)
            assert word.weight == k % 16
            assert ctx.get(loader.i.ready)
            seen.append((word.population, word.row, word.lane))
            await ctx.tick()

    simulator = Simulator(loader)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == 2 * expected
