"""The number of plain values: worked out by hand, and what does and does not change it."""

import enum
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.digest import digest


class Colour(enum.Enum):
    RED = 1
    ROUGE = 2


@dataclass
class Point:
    x: Any
    y: Any


def by_hand(*parts: bytes) -> bytes:
    """SHA-256 of parts, the length of each in eight bytes before it, the highest first."""
    return hashlib.sha256(b"".join(len(p).to_bytes(8, "big") + p for p in parts)).digest()


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (7, [b"int 7"]),
        (np.int8(7), [b"int 7"]),
        (True, [b"bool True"]),
        (np.bool_(True), [b"bool True"]),
        (0.5, [b"float 0.5"]),
        (np.float32(0.5), [b"float 0.5"]),
        ("a b", [b"str 'a b'"]),
        (None, [b"NoneType None"]),
        (Colour.RED, [b"Colour.RED"]),
        ([], [b"sequence of 0"]),
        ((1, [2, 3]), [b"sequence of 2", b"int 1", b"sequence of 2", b"int 2", b"int 3"]),
        ({"a": 1}, [b"mapping", b"str 'a'", b"int 1"]),
        (Point(1, None), [b"Point", b"x", b"int 1", b"y", b"NoneType None"]),
        (
            np.array([[1, -2, 3]]),
            [
                *(b"sequence of 2", b"int 1", b"int 3"),
                bytes.fromhex("0100000000000000 feffffffffffffff 0300000000000000"),
            ],
        ),
        (
            np.array([1.0]),
            [b"sequence of 1", b"int 1", bytes.fromhex("000000000000f03f")],
        ),
    ],
)
def test_by_hand(value: Any, parts: list[bytes]) -> None:
    assert digest(value) == by_hand(b"sequence of 1", *parts)


def test_of_several_and_of_none() -> None:
    assert digest() == by_hand(b"sequence of 0")
    assert digest(1, 2) == by_hand(b"sequence of 2", b"int 1", b"int 2")


def test_arrays_count_by_their_contents() -> None:
    """Neither kind of word, nor order of bytes, nor place in memory."""
    array = np.arange(-3, 3).reshape(2, 3)
    same = (array.astype(np.int8), array.astype(">i4"), np.asfortranarray(array), array[::-1][::-1])
    assert {digest(each) for each in same} == {digest(array)}
    real = array / 4
    assert {digest(each) for each in (real.astype(np.float32), real.astype(">f8"))} == {
        digest(real)
    }
    different = (array.T, array.reshape(6), array + 1, real, array.tolist())
    assert len({digest(each) for each in (array, *different)}) == 1 + len(different)


def test_truth_values_count_as_integers_in_arrays() -> None:
    assert digest(np.array([True, False])) == digest(np.array([1, 0]))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(PLAIN, PLAIN)
def test_differs_where_values_differ(a: Any, b: Any) -> None:
    """Their text tells plain values apart, ``True`` from 1 and 1 from 1.0."""
    assert (digest(a) == digest(b)) == (repr(a) == repr(b))


@pytest.mark.parametrize("value", [{1}, object(), Point, b"a", 1j])
def test_wrong_values(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^values must be plain, not "):
        digest(value)
