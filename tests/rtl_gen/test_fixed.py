"""Fixed-point arithmetic in hardware, for every value of short words."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from amaranth.hdl import Const, Module, Signal, Value, signed, unsigned
from amaranth.sim import Simulator

from spikeloom.reference import fixed as reference
from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.rtl_gen.fixed import fit, shape_of, shift_right


def evaluate(inputs: list[Signal], result: Value, cases: Iterable[tuple[int, ...]]) -> list[int]:
    """The combinational result for each case."""
    m = Module()
    output = Signal(result.shape())
    m.d.comb += output.eq(result)
    found = []

    async def script(ctx: Any) -> None:
        for case in cases:
            for signal, value in zip(inputs, case, strict=True):
                ctx.set(signal, value)
            found.append(ctx.get(output))

    simulator = Simulator(m)
    simulator.add_testbench(script)
    simulator.run()
    return found


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("width", [2, 5, 7])
def test_shift_right_by_a_signal(width: int, rounding: Rounding) -> None:
    value, bits = Signal(signed(width)), Signal(unsigned(4))
    half = 1 << (width - 1)
    cases = [(v, b) for b in range(16) for v in range(-half, half)]
    expected = [int(reference.shift_right(v, b, rounding)) for v, b in cases]
    assert evaluate([value, bits], shift_right(value, bits, rounding), cases) == expected


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("bits", [0, 1, 2, 5, 6, 7, 12])
def test_shift_right_by_a_constant(bits: int, rounding: Rounding) -> None:
    value = Signal(signed(7))
    cases = [(v,) for v in range(-64, 64)]
    expected = [int(reference.shift_right(v, bits, rounding)) for (v,) in cases]
    assert evaluate([value], shift_right(value, Const(bits), rounding), cases) == expected


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("word_length", [2, 4, 7])
def test_fit(word_length: int, width: int, overflow: Overflow) -> None:
    word = QFormat(word_length=word_length, overflow=overflow)
    value = Signal(signed(width))
    half = 1 << (width - 1)
    cases = [(v,) for v in range(-half, half)]
    expected = [int(word.fit(v)) for (v,) in cases]
    assert evaluate([value], fit(value, word), cases) == expected


@pytest.mark.parametrize("function", [lambda v: v + v, lambda v: v - 5, lambda v: v * v])
def test_fit_of_an_expression(function: Callable[[Any], Any]) -> None:
    word = QFormat(word_length=4)
    value = Signal(signed(5))
    expected = [min(max(function(v), -8), 7) for v in range(-16, 16)]
    found = evaluate([value], fit(function(value), word), [(v,) for v in range(-16, 16)])
    assert found == expected


@pytest.mark.parametrize("is_signed", [True, False])
def test_shape_of(is_signed: bool) -> None:
    shape = shape_of(QFormat(word_length=9, fraction_bits=4, signed=is_signed))
    assert (shape.width, shape.signed) == (9, is_signed)
