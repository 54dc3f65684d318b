"""Fixed-point words against Python's own integers and fractions."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.fixed import (
    Overflow,
    QFormat,
    Rounding,
    exact_integer,
    exact_integers,
    shift_right,
    signed_width,
)

ROUND = {
    Rounding.FLOOR: math.floor,
    Rounding.TOWARD_ZERO: math.trunc,
    Rounding.NEAREST_EVEN: round,  # of a Fraction: to the nearest, ties to even
}

roundings = st.sampled_from(Rounding)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("bits", range(10))
def test_shift_right_every_small_value(bits: int, rounding: Rounding) -> None:
    values = range(-600, 601)
    expected = [ROUND[rounding](Fraction(value, 2**bits)) for value in values]
    assert shift_right(list(values), bits, rounding).tolist() == expected


@given(st.integers(1 - 2**62, 2**62 - 1), st.integers(0, 62), roundings)
def test_shift_right_large_values(value: int, bits: int, rounding: Rounding) -> None:
    assert shift_right(value, bits, rounding) == ROUND[rounding](Fraction(value, 2**bits))


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        (Rounding.FLOOR, [-2, -2, -1, -1, 0, 0, 1, 1, 2]),
        (Rounding.TOWARD_ZERO, [-2, -1, -1, 0, 0, 0, 1, 1, 2]),
        (Rounding.NEAREST_EVEN, [-2, -2, -1, 0, 0, 0, 1, 2, 2]),
    ],
)
def test_shift_right_halves(rounding: Rounding, expected: list[int]) -> None:
    """Half of -4 to 4, written out."""
    assert shift_right(np.arange(-4, 5), 1, rounding).tolist() == expected


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("bits", [1, 2, 15, 29, 30, 31, 32, 40, 62])
def test_shift_right_of_short_integers(bits: int, rounding: Rounding) -> None:
    """All around the ends of 32 bits, where a sum of 32 bits would wrap."""
    ends = (0, 2**29, 2**30, 2**31 - 2, -(2**29), -(2**30), 2 - 2**31)
    values = [end + k for end in ends for k in (-2, -1, 0, 1)]
    for batch in (values, *([value] for value in values)):
        found = shift_right(np.array(batch, dtype=np.int32), bits, rounding)
        assert found.tolist() == [ROUND[rounding](Fraction(value, 2**bits)) for value in batch]


@pytest.mark.parametrize("rounding", Rounding)
def test_shift_right_leaves_its_argument_alone(rounding: Rounding) -> None:
    value = np.array([3, -3])
    for bits in (0, 1):
        result = shift_right(value, bits, rounding)
        result += 1
        assert value.tolist() == [3, -3]


def test_shift_right_wrong_bits() -> None:
    with pytest.raises(ValueError, match=r"^bits must be 0 to 62, not -1$"):
        shift_right(1, -1, Rounding.FLOOR)


@given(st.integers(-(2**60), 2**60))
def test_signed_width_is_the_shortest(value: int) -> None:
    width = signed_width(value)
    assert -(2 ** (width - 1)) <= value < 2 ** (width - 1)
    assert width == 1 or not -(2 ** (width - 2)) <= value < 2 ** (width - 2)


@pytest.mark.parametrize(
    ("value", "width"), [(0, 1), (-1, 1), (1, 2), (-2, 2), (127, 8), (128, 9), (-128, 8), (-129, 9)]
)
def test_signed_width(value: int, width: int) -> None:
    assert signed_width(value) == width


def test_init() -> None:
    word = QFormat(word_length=8, fraction_bits=4)
    assert (word.signed, word.rounding, word.overflow) == (
        True,
        Rounding.FLOOR,
        Overflow.SATURATE,
    )


@pytest.mark.parametrize(
    ("word_length", "signed", "lowest", "highest"),
    [
        (2, True, -2, 1),
        (8, True, -128, 127),
        (48, True, -(2**47), 2**47 - 1),
        (1, False, 0, 1),
        (8, False, 0, 255),
        (48, False, 0, 2**48 - 1),
    ],
)
def test_range(word_length: int, signed: bool, lowest: int, highest: int) -> None:
    word = QFormat(word_length=word_length, signed=signed)
    assert (word.min, word.max) == (lowest, highest)
    assert word.holds([lowest, highest])
    assert not word.holds([lowest - 1, highest])
    assert not word.holds([lowest, highest + 1])


@pytest.mark.parametrize(("bits", "step"), [(0, 1.0), (3, 0.125), (-2, 4.0), (60, 2.0**-60)])
def test_resolution(bits: int, step: float) -> None:
    assert QFormat(word_length=8, fraction_bits=bits).resolution == step


def naive_fit(value: int, word: QFormat) -> int:
    """Count up or down until the value is inside, as the enumeration's docstrings say."""
    lowest = -(2 ** (word.word_length - 1)) if word.signed else 0
    highest = lowest + 2**word.word_length - 1
    if word.overflow is Overflow.SATURATE:
        return min(max(value, lowest), highest)
    while value < lowest:
        value += 2**word.word_length
    while value > highest:
        value -= 2**word.word_length
    return value


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("word_length", range(2, 7))
def test_fit_every_small_value(word_length: int, signed: bool, overflow: Overflow) -> None:
    word = QFormat(word_length=word_length, signed=signed, overflow=overflow)
    values = range(-300, 301)
    assert word.fit(list(values)).tolist() == [naive_fit(value, word) for value in values]


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("word_length", [4, 16, 29, 30, 31, 32, 33, 48])
def test_fit_of_short_integers(word_length: int, signed: bool, overflow: Overflow) -> None:
    """All around the ends of 32 bits, where a sum of 32 bits would wrap."""
    word = QFormat(word_length=word_length, signed=signed, overflow=overflow)
    half, modulus = 2**31, 2**word_length
    values = [end + k for end in (0, half // 2, half - 2, -half // 2, 2 - half) for k in (-2, 0, 1)]
    if overflow is Overflow.SATURATE:
        expected = [min(max(value, word.min), word.max) for value in values]
    else:
        expected = [(value - word.min) % modulus + word.min for value in values]
    assert word.fit(np.array(values, dtype=np.int32)).tolist() == expected


@given(st.integers(1 - 2**62, 2**62 - 1), st.integers(44, 48), st.booleans(), st.data())
def test_fit_large_values(value: int, word_length: int, signed: bool, data: st.DataObject) -> None:
    word = QFormat(
        word_length=word_length, signed=signed, overflow=data.draw(st.sampled_from(Overflow))
    )
    assert word.fit(value) == naive_fit(value, word)


@given(
    st.floats(-1e9, 1e9),
    st.integers(2, 48),
    st.integers(-8, 24),
    roundings,
    st.sampled_from(Overflow),
)
def test_quantize_rounds_exactly(
    real: float, word_length: int, fraction_bits: int, rounding: Rounding, overflow: Overflow
) -> None:
    word = QFormat(
        word_length=word_length,
        fraction_bits=fraction_bits,
        rounding=rounding,
        overflow=overflow,
    )
    exact = ROUND[rounding](Fraction(real) * Fraction(2) ** fraction_bits)
    half, modulus = 2 ** (word_length - 1), 2**word_length
    if overflow is Overflow.SATURATE:
        expected = min(max(exact, -half), half - 1)
    else:
        expected = (exact + half) % modulus - half
    assert word.quantize(real) == expected


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        (Rounding.FLOOR, [-3, -2, -1, 0, 1, 2]),
        (Rounding.TOWARD_ZERO, [-2, -1, 0, 0, 1, 2]),
        (Rounding.NEAREST_EVEN, [-2, -2, 0, 0, 2, 2]),
    ],
)
def test_quantize_ties(rounding: Rounding, expected: list[int]) -> None:
    """Halves of a unit of 1/4."""
    word = QFormat(word_length=8, fraction_bits=2, rounding=rounding)
    real = [-0.625, -0.375, -0.125, 0.125, 0.375, 0.625]
    assert word.quantize(real).tolist() == expected


@given(st.lists(st.integers(-(2**30), 2**30 - 1)), st.integers(-40, 40), roundings)
def test_to_float_is_inverted_by_quantize(values: list[int], bits: int, rounding: Rounding) -> None:
    word = QFormat(word_length=31, fraction_bits=bits, rounding=rounding)
    real = word.to_float(values)
    assert real.tolist() == [math.ldexp(value, -bits) for value in values]
    assert word.quantize(real).tolist() == values


@pytest.mark.parametrize("real", [math.nan, math.inf, -math.inf])
def test_quantize_wrong_values(real: float) -> None:
    with pytest.raises(ValueError, match=r"^values must be finite, but NaN or infinity was given"):
        QFormat(word_length=8).quantize([0.0, real])


@pytest.mark.parametrize("real", [2.0**62, -(2.0**62), 1e300])
def test_quantize_wrong_size(real: float) -> None:
    message = rf"^values must be below 2\*\*62 in units .* but one is {re.escape(repr(real))}$"
    with pytest.raises(ValueError, match=message):
        QFormat(word_length=8).quantize([1.0, real, 2.0])


def test_quantize_wrong_size_beyond_the_largest_float() -> None:
    """The scaled number overflows a float, not only 64 bits."""
    with pytest.raises(ValueError, match=r"^values must be below 2\*\*62"):
        QFormat(word_length=8, fraction_bits=8).quantize(1e308)


@pytest.mark.parametrize("value", [8.0, "8", True, None])
@pytest.mark.parametrize("name", ["word_length", "fraction_bits"])
def test_wrong_kind_of_width(name: str, value: object) -> None:
    widths = {"word_length": 8, "fraction_bits": 4} | {name: value}
    with pytest.raises(TypeError, match=rf"^{name} must be an integer, not {value!r}$"):
        QFormat(**widths)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("signed", "word_length", "rule"),
    [
        (True, 1, "signed must be 2"),
        (True, 49, "signed must be 2"),
        (False, 0, "unsigned must be 1"),
    ],
)
def test_wrong_word_length(signed: bool, word_length: int, rule: str) -> None:
    message = rf"^word_length of a word that is {rule} to 48, not {word_length}$"
    with pytest.raises(ValueError, match=message):
        QFormat(word_length=word_length, signed=signed)


def test_wrong_rounding() -> None:
    with pytest.raises(TypeError, match=r"^rounding must be a Rounding, not 'floor'$"):
        QFormat(word_length=8, rounding="floor")  # type: ignore[arg-type]


def test_wrong_overflow() -> None:
    with pytest.raises(TypeError, match=r"^overflow must be an Overflow, not 'wrap'$"):
        QFormat(word_length=8, overflow="wrap")  # type: ignore[arg-type]


@pytest.mark.parametrize("rounding", Rounding)
def test_short_integers_stay_short(rounding: Rounding) -> None:
    """Where a sum with one of as many bits fits 32; a step of many neurons is faster by that."""
    ends = [2**30 - 1, -(2**30)]
    for values, bits, short in (
        (ends, 1, True),
        (ends, 30, True),
        (ends, 31, False),
        ([2**30], 1, False),
        ([-(2**30) - 1], 1, False),
        ([], 30, True),
    ):
        given = np.array(values, dtype=np.int32)
        assert shift_right(given, bits, rounding).dtype == (np.int32 if short else np.int64)
        for overflow in Overflow:
            word = QFormat(word_length=bits + 1, overflow=overflow)
            kind = np.int32 if short and bits < 30 else np.int64
            assert word.fit(given).dtype == kind
        assert shift_right(given.astype(np.int16), bits, rounding).dtype == np.int64


@given(st.integers(-(2**63), 2**63 - 1))
def test_exact_integer(value: int) -> None:
    for each in (value, np.int64(value)):
        assert exact_integer("it", each) == value
        assert type(exact_integer("it", each)) is int


@pytest.mark.parametrize("value", [1.0, np.float64(1), True, np.bool_(True), "1", None, [1]])
def test_exact_integer_wrong_kind(value: object) -> None:
    with pytest.raises(TypeError, match=r"^it must be an integer, not "):
        exact_integer("it", value)


def test_exact_integers() -> None:
    for values, expected in (
        ([1, -2], [1, -2]),
        (np.array([[200]], np.uint8), [[200]]),
        ([True, False], [1, 0]),
        ([], []),
        (np.zeros((0, 2)), []),
        (7, 7),
    ):
        found = exact_integers("they", values)
        assert found.dtype == np.int64
        assert found.tolist() == expected


@pytest.mark.parametrize("values", [[1.0], ["1"], [None], 0.5, np.array([1j])])
def test_exact_integers_wrong_kind(values: object) -> None:
    with pytest.raises(TypeError, match=r"^they must hold integers, not "):
        exact_integers("they", values)  # type: ignore[arg-type]


magnitudes = st.floats(1e-200, 1e200, exclude_min=True)


@given(st.one_of(magnitudes, magnitudes.map(lambda x: -x), st.just(0.0)), st.integers(-80, 80))
def test_quantize_largest(real: float, bits: int) -> None:
    """Refused exactly from ``2**62`` units on; a small word saturates before."""
    word = QFormat(word_length=8, fraction_bits=bits)
    units = Fraction(real) * Fraction(2) ** bits
    if abs(units) >= 2**62:
        with pytest.raises(ValueError, match=r"^values must be below 2\*\*62 in units of the last"):
            word.quantize(real)
    else:
        assert word.quantize(real) == min(max(math.floor(units), -128), 127)
