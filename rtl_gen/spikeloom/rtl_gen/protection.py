"""What guards memories against bits that flip: a parity for weights, a code for neurons' state.

The code is an extended Hamming code (SECDED): one flipped bit of a word is put right, two are
noticed. Bits of a word have the numbers from 1 on that are no power of two; a check bit ``k`` is
the parity of those whose number has bit ``k``, and one more makes the parity of everything even.
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal, Value

__all__ = ["UNGUARDED", "Protection", "check_bits", "check_width", "put_right"]


@dataclass(frozen=True, kw_only=True)
class Protection:
    """What of a network's memories is guarded.

    Attributes
    ----------
    parity
        Whether each row of weights has a parity bit: a row of which an odd number of bits is wrong
        is noticed when it is read. No effect on the cycles that anything takes.
    ecc
        Whether each neuron's state is stored in a code: one wrong bit is put right when it is read,
        two are noticed. It costs a stage of the neurons' pipeline, except where events act one by
        one.
    """

    parity: bool = False
    ecc: bool = False


UNGUARDED = Protection()
"""Nothing is."""


def _numbers(width: int) -> list[int]:
    """The numbers of a word's bits in the code."""
    numbers: list[int] = []
    number = 3
    while len(numbers) < width:
        if number & (number - 1):
            numbers.append(number)
        number += 1
    return numbers


def check_width(width: int) -> int:
    """How many bits the code adds to a word of ``width`` bits, at least 1."""
    return _numbers(width)[-1].bit_length() + 1


def check_bits(word: Value) -> Value:
    """The bits that the code adds to a word."""
    numbers = _numbers(len(word))
    bits = [
        _parity(word, [number >> k & 1 for number in numbers])
        for k in range(check_width(len(word)) - 1)
    ]
    # A bit counts in its check bits too, and once for itself.
    whole = _parity(word, [(number.bit_count() + 1) & 1 for number in numbers])
    return Cat(*bits, whole)


def put_right(m: Module, name: str, word: Value, check: Value) -> tuple[Signal, Signal]:
    """A word as it was stored, and whether that cannot be known.

    Parameters
    ----------
    m, name
        Module to which the logic is added, and what its signals begin with.
    word, check
        What is read of a word and of its :func:`check_bits`.

    Returns
    -------
    The word, right if at most one bit of all that is read is wrong; and whether two are. Of three
    and more nothing is known.
    """
    read = Signal(len(word), name=f"{name}_read")
    syndrome = Signal(len(check) - 1, name=f"{name}_syndrome")
    odd = Signal(name=f"{name}_odd")
    right = Signal(len(word), name=f"{name}_right")
    lost = Signal(name=f"{name}_lost")
    wrong = Cat(odd & (syndrome == number) for number in _numbers(len(word)))
    m.d.comb += [
        read.eq(word),
        syndrome.eq(check_bits(read) ^ check),
        odd.eq(read.xor() ^ check.xor()),
        right.eq(read ^ wrong),
        lost.eq(~odd & syndrome.any()),
    ]
    return right, lost


def _parity(word: Value, chosen: list[int]) -> Value:
    return (word & sum(counts << place for place, counts in enumerate(chosen))).xor()
