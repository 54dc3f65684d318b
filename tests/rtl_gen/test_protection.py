"""The code of states, word by word: what is wrong is put right, or noticed."""

import random
from itertools import combinations

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from spikeloom.rtl_gen.protection import check_bits, check_width, put_right


@pytest.mark.parametrize(
    ("width", "bits"), [(1, 3), (4, 4), (5, 5), (8, 5), (11, 5), (12, 6), (16, 6), (26, 6), (64, 8)]
)
def test_check_width(width: int, bits: int) -> None:
    """Those of Hamming's codes with a bit more: (8, 4), (22, 16), (72, 64)."""
    assert check_width(width) == bits


@pytest.mark.parametrize("width", [1, 2, 5, 11, 16, 23])
def test_flips(width: int) -> None:
    """No flip or one: the word; each two: noticed, and the word is not made worse."""
    total = width + check_width(width)
    word, flips, seen = Signal(width), Signal(total), Signal(width)
    lost = Signal()
    stored = Signal(total)
    m = Module()
    m.d.comb += [stored[:width].eq(word), stored[width:].eq(check_bits(word))]
    read = Signal(total)
    m.d.comb += read.eq(stored ^ flips)
    right, unknown = put_right(m, "word", read[:width], read[width:])
    m.d.comb += [seen.eq(right), lost.eq(unknown)]
    rng = random.Random(width)
    pairs = list(combinations(range(total), 2))

    async def script(ctx) -> None:
        for value in (0, (1 << width) - 1, rng.randrange(1 << width)):
            ctx.set(word, value)
            for each in [(), *((k,) for k in range(total)), *pairs]:
                ctx.set(flips, sum(1 << k for k in each))
                assert ctx.get(lost) == (len(each) == 2), (value, each)
                if len(each) < 2:
                    assert ctx.get(seen) == value, (value, each)

    simulator = Simulator(m)
    simulator.add_testbench(script)
    simulator.run()
