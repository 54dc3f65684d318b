"""Fixed-point arithmetic on Amaranth values, the twin of :mod:`spikeloom.reference.fixed`."""

from amaranth.hdl import Mux, Shape, Value, unsigned
from amaranth.utils import bits_for

from spikeloom.reference.fixed import Overflow, QFormat, Rounding

__all__ = ["fit", "index_shape", "shape_of", "shift_right"]


def shape_of(fmt: QFormat) -> Shape:
    """The Amaranth shape of a word."""
    return Shape(fmt.word_length, signed=fmt.signed)


def index_shape(size: int) -> Shape:
    """The shape of a number that tells so many things apart; of one bit at least."""
    return unsigned(max(1, bits_for(size - 1)))


def shift_right(value: Value, bits: Value, rounding: Rounding) -> Value:
    """Divide a signed value by ``2**bits`` and round; combinational.

    A constant number of bits costs no shifter.
    """
    match rounding:
        case Rounding.FLOOR:
            return value >> bits
        case Rounding.TOWARD_ZERO:
            low_bits = (1 << bits) - 1
            return (value + Mux(value < 0, low_bits, 0)) >> bits
        case Rounding.NEAREST_EVEN:
            below_half = (1 << bits) - 1 >> 1
            odd = (value >> bits)[0] & (bits != 0)
            return (value + below_half + odd) >> bits


def fit(value: Value, fmt: QFormat) -> Value:
    """Bring a signed value into a signed word by saturation or by wrapping; combinational."""
    if value.shape().width <= fmt.word_length:
        return value
    word = value[: fmt.word_length].as_signed()
    if fmt.overflow is Overflow.WRAP:
        return word
    high = value[fmt.word_length - 1 :]
    fits = (high == 0) | high.all()
    return Mux(fits, word, Mux(value[-1], fmt.min, fmt.max))
