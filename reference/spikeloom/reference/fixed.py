"""Fixed-point words: word length, binary point, rounding and overflow.

Every quantity of the hardware is an integer; a :class:`QFormat` says what real number it stands
for and what happens to a result that does not fit. All functions here are exact: they work on
``int64`` arrays and never pass through a float.
"""

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "IntArray",
    "Overflow",
    "QFormat",
    "Rounding",
    "exact_integer",
    "exact_integers",
    "shift_right",
    "signed_width",
]

IntArray = NDArray[np.int64]


class Rounding(enum.Enum):
    """How the bits below the binary point are given up."""

    FLOOR = "floor"
    """Toward minus infinity: the bits are cut off."""
    TOWARD_ZERO = "toward-zero"
    """Toward zero: the magnitude's bits are cut off, as in Loihi's decay."""
    NEAREST_EVEN = "nearest-even"
    """To the nearest, ties to the even neighbour, as in IEEE 754."""


class Overflow(enum.Enum):
    """What becomes of a value outside the word's range."""

    SATURATE = "saturate"
    """It becomes the nearest end of the range."""
    WRAP = "wrap"
    """It is reduced modulo ``2**word_length``, as a plain binary adder does."""


def exact_integer(name: str, value: object) -> int:
    """An integer of Python, from one of Python or NumPy.

    Raises
    ------
    TypeError
        If it is no integer, or a truth value.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    return int(value)


def exact_integers(name: str, values: ArrayLike) -> IntArray:
    """An array of integers or truth values as ``int64``.

    Raises
    ------
    TypeError
        If it holds anything else.
    """
    array = np.asarray(values)
    if array.size and not (np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_):
        raise TypeError(f"{name} must hold integers, not {array.dtype}")
    return array.astype(np.int64)


def shift_right(value: ArrayLike, bits: int, rounding: Rounding) -> IntArray:
    """Divide integers by ``2**bits`` and round.

    Parameters
    ----------
    value
        Integers of any shape, ``|value| < 2**62``.
    bits
        How many bits are shifted out, 0 to 62.
    rounding
        The direction of rounding.

    Raises
    ------
    ValueError
        If ``bits`` is outside its range.
    """
    if not 0 <= bits <= 62:
        raise ValueError(f"bits must be 0 to 62, not {bits!r}")
    value = _integers(value, bits)
    if bits == 0:
        return value.copy()
    match rounding:
        case Rounding.FLOOR:
            return value >> bits
        case Rounding.TOWARD_ZERO:
            return np.where(value < 0, -(-value >> bits), value >> bits)
        case Rounding.NEAREST_EVEN:
            odd = (value >> bits) & 1
            return (value + (1 << (bits - 1)) - 1 + odd) >> bits


def _integers(value: ArrayLike, bits: int) -> NDArray[Any]:
    """Integers as ``int32`` where they are and one of ``bits`` bits may be added, or ``int64``."""
    array = np.asarray(value)
    short = array.dtype == np.int32 and bits <= 30
    if short and array.max(initial=0) < 1 << 30 and array.min(initial=0) >= -(1 << 30):
        return array
    return array.astype(np.int64, copy=False)


def signed_width(value: int) -> int:
    """Bits of the shortest two's complement word that holds an integer."""
    return (value if value >= 0 else ~value).bit_length() + 1


@dataclass(frozen=True, kw_only=True)
class QFormat:
    """A fixed-point word.

    The integer ``n`` stands for the real number ``n * 2**-fraction_bits``.

    Parameters
    ----------
    word_length
        Bits in the word, 1 to 48, the sign included.
    fraction_bits
        Bits behind the binary point; may exceed the word length or be negative.
    signed
        Two's complement if true, else unsigned.
    rounding, overflow
        What :meth:`quantize` and :meth:`fit` do with what the word cannot hold.

    Raises
    ------
    TypeError
        If a width is not an integer or an option not of its enumeration.
    ValueError
        If the word length is outside 1 to 48, or 1 for a signed word.
    """

    word_length: int
    fraction_bits: int = 0
    signed: bool = True
    rounding: Rounding = Rounding.FLOOR
    overflow: Overflow = Overflow.SATURATE

    def __post_init__(self) -> None:
        for name in ("word_length", "fraction_bits"):
            object.__setattr__(self, name, exact_integer(name, getattr(self, name)))
        if not isinstance(self.rounding, Rounding):
            raise TypeError(f"rounding must be a Rounding, not {self.rounding!r}")
        if not isinstance(self.overflow, Overflow):
            raise TypeError(f"overflow must be an Overflow, not {self.overflow!r}")
        shortest = 2 if self.signed else 1
        if not shortest <= self.word_length <= 48:
            kind = "signed" if self.signed else "unsigned"
            raise ValueError(
                f"word_length of a word that is {kind} must be {shortest} to 48,"
                f" not {self.word_length!r}"
            )

    @property
    def min(self) -> int:
        """The smallest integer that the word holds."""
        return -(1 << (self.word_length - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """The largest integer that the word holds."""
        return (1 << (self.word_length - self.signed)) - 1

    @property
    def resolution(self) -> float:
        """The real number that one least significant bit stands for."""
        return 2.0**-self.fraction_bits

    def holds(self, value: ArrayLike) -> bool:
        """Whether all the integers lie in the word's range."""
        value = np.asarray(value)
        return bool(np.all((value >= self.min) & (value <= self.max)))

    def fit(self, value: ArrayLike) -> IntArray:
        """Bring integers into the word's range by saturation or by wrapping."""
        value = _integers(value, self.word_length)
        match self.overflow:
            case Overflow.SATURATE:
                return np.clip(value, self.min, self.max)
            case Overflow.WRAP:
                return ((value - self.min) & ((1 << self.word_length) - 1)) + self.min

    def quantize(self, real: ArrayLike) -> IntArray:
        """Round real numbers to the word's grid, then apply the overflow rule.

        Raises
        ------
        ValueError
            If a number is NaN or infinite, or so large that it has no 64-bit integer.
        """
        real = np.asarray(real, dtype=np.float64)
        if not np.all(np.isfinite(real)):
            raise ValueError("values must be finite, but NaN or infinity was given")
        with np.errstate(over="ignore"):
            scaled = np.ldexp(real, self.fraction_bits)
        if np.any(np.abs(scaled) >= 2.0**62):
            raise ValueError(
                f"values must be below 2**62 in units of the last place, but one is"
                f" {float(real.flat[np.argmax(np.abs(scaled))])!r}"
            )
        match self.rounding:
            case Rounding.FLOOR:
                rounded = np.floor(scaled)
            case Rounding.TOWARD_ZERO:
                rounded = np.trunc(scaled)
            case Rounding.NEAREST_EVEN:
                rounded = np.rint(scaled)
        return self.fit(rounded.astype(np.int64))

    def to_float(self, value: ArrayLike) -> NDArray[np.float64]:
        """The real numbers that integers of this format stand for."""
        return np.ldexp(np.asarray(value, dtype=np.float64), -self.fraction_bits)
