"""Frames as bytes and back: by hand, and what comes of everything else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from link_bytes import naive_crc

from spikeloom.reference.link_frames import (
    END,
    ESCAPE,
    ESCAPED_END,
    ESCAPED_ESCAPE,
    ESCAPED_FILL,
    FILL,
    MOST_PAYLOAD,
    NUMBERS,
    VERSION,
    Answer,
    Frame,
    FrameReader,
    Order,
    answer_bytes,
    order_bytes,
)


def test_numbers_of_the_specification() -> None:
    """As ``docs/host_protocol.md`` has them; the first two are SLIP's."""
    assert (END, ESCAPE, FILL) == (0xC0, 0xDB, 0xFF)
    assert (ESCAPED_END, ESCAPED_ESCAPE, ESCAPED_FILL) == (0xDC, 0xDD, 0xDE)
    assert (VERSION, NUMBERS, MOST_PAYLOAD) == (1, 16, 254)
    assert [each.name for each in sorted(Order)] == [
        *("IDENTIFY", "RESET", "EVENTS", "STATUS", "POTENTIALS", "COUNTERS")
    ]
    assert [each.name for each in sorted(Answer)] == [
        *("REFUSED", "DONE", "IDENTITY", "EVENTS", "STATUS", "POTENTIALS", "COUNTERS")
    ]
    assert sorted(Order) == list(range(6))
    assert sorted(Answer) == list(range(7))


def test_checksum_of_the_catalogue() -> None:
    assert naive_crc(b"123456789").hex() == "29b1"


def test_bytes_by_hand() -> None:
    """Header 0x2C, a payload of all that is escaped, and of an order the length 4 before."""
    body = bytes([0x2C, 0xC0, 0xDB, 0xFF])
    wire = bytes([0x2C, 0xDB, 0xDC, 0xDB, 0xDD])
    for length, fill, made in ((b"", b"\xdb\xde", answer_bytes), (b"\4", b"\xff", order_bytes)):
        crc = naive_crc(length + body)
        assert not {0xC0, 0xDB, 0xFF} & set(crc)
        assert made(Frame(2, 12, body[1:])) == b"\xc0" + length + wire + fill + crc + b"\xc0"


def test_wrong_frames() -> None:
    with pytest.raises(ValueError, match=r"^number must be 0 to 15, not 16$"):
        order_bytes(Frame(1, 16))
    with pytest.raises(ValueError, match=r"^payload must have at most 254 bytes, not 255$"):
        order_bytes(Frame(1, 1, bytes(255)))


@pytest.mark.parametrize("orders", [False, True])
@given(frames=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), st.binary(max_size=60))))
def test_reader_takes_what_was_written(orders: bool, frames: list[Any]) -> None:
    """In pieces of any length, and whatever is between the frames."""
    expected = [Frame(*each) for each in frames]
    made = order_bytes if orders else answer_bytes
    wire = b"".join(made(each) + bytes([END] * (k % 3)) for k, each in enumerate(expected))
    reader = FrameReader(200, orders=orders)
    pieces = [wire[k : k + 7] for k in range(0, len(wire), 7)]
    assert [frame for piece in pieces for frame in reader.feed(piece)] == expected
    assert reader.broken == 0


@given(st.binary(max_size=300), st.binary(max_size=20))
def test_reader_goes_on_after_garbage(garbage: bytes, payload: bytes) -> None:
    reader = FrameReader(100)
    good = Frame(3, 5, payload)
    found = list(reader.feed(garbage + answer_bytes(good)))
    assert found[-1] == good


def test_reader_refuses_what_is_nothing() -> None:
    """Wrong lengths, wrong escapes and the empty body, all with the right checksum."""
    for body, orders in ((b"\1\x20?", True), (b"\3\x20?", True), (b"", False), (b"\1", True)):
        reader = FrameReader(100, orders=orders)
        wire = body + naive_crc(body)
        wire = wire if orders else wire.replace(b"\xff", b"\xdb\xde")
        assert not list(reader.feed(wire + bytes([END])))
        assert reader.broken == 1
    strange = answer_bytes(Frame(2, 1, b"\xc0")).replace(b"\xdb\xdc", b"\xdb?")
    reader = FrameReader(100)
    assert not list(reader.feed(strange))


def test_answers_have_fill_between_their_bytes() -> None:
    answer = Frame(Answer.STATUS, 3, b"\xff\xdb")
    filled = b"".join(bytes([byte, 0xFF, 0xFF]) for byte in answer_bytes(answer))
    assert list(FrameReader(100).feed(filled)) == [answer]


def test_reader_holds_no_more_than_a_frame() -> None:
    reader = FrameReader(100)
    assert list(reader.feed(bytes(100_000))) == []
    assert len(reader._held) == 101
    assert list(reader.feed(bytes([END]) + answer_bytes(Frame(1, 1)))) == [Frame(1, 1)]
    assert reader.broken == 1


def test_every_kind_and_number() -> None:
    for kind in range(16):
        for number in range(16):
            frame = Frame(kind, number)
            for made, orders in ((order_bytes, True), (answer_bytes, False)):
                assert list(FrameReader(9, orders=orders).feed(made(frame))) == [frame]
    for kind, number in ((-1, 0), (16, 0), (0, -1), (0, 16)):
        for made in (order_bytes, answer_bytes):
            with pytest.raises(ValueError, match=r"^(kind|number) must be 0 to 15, not (-1|16)$"):
                made(Frame(kind, number))


def test_longest_order() -> None:
    """The length counts header and payload, and does not fit a byte beyond that."""
    frame = Frame(Order.EVENTS, 1, bytes(254))
    wire = order_bytes(frame)
    assert wire[1] == 0xFF
    assert len(wire) == 1 + 1 + 1 + 254 + 2 + 1
    assert list(FrameReader(258, orders=True).feed(wire)) == [frame]


def test_frame_as_long_as_the_reader_takes() -> None:
    """Header, payload and checksum, escapes counted; one byte more is no frame."""
    for payload, escaped in ((bytes(7), 7), (b"\xc0" * 3 + b"\0", 7)):
        wire = answer_bytes(Frame(3, 4, payload))
        assert len(wire) == 1 + 1 + escaped + 2 + 1
        for most, taken in ((10, 1), (9, 0), (1, 0)):
            reader = FrameReader(most)
            assert list(reader.feed(wire)) == [Frame(3, 4, payload)] * taken
            assert reader.broken == 1 - taken


def test_reader_counts_what_is_broken() -> None:
    """Once between two delimiters; nothing at all is not counted."""
    reader = FrameReader(100)
    good = answer_bytes(Frame(1, 2))
    assert (
        list(reader.feed(good + b"abc" + good + bytes([END, END]) + b"d" + good))
        == [Frame(1, 2)] * 3
    )
    assert reader.broken == 2


@given(st.binary(max_size=40), st.data())
def test_one_wrong_bit_is_no_frame(payload: bytes, data: st.DataObject) -> None:
    """The checksum finds every single bit that is wrong between the delimiters."""
    wire = bytearray(answer_bytes(Frame(5, 6, payload)))
    place = data.draw(st.integers(8, 8 * (len(wire) - 1) - 1))
    wire[place // 8] ^= 1 << place % 8
    # The bit may have made a delimiter: then there are two pieces, of which none is a frame.
    assert Frame(5, 6, payload) not in list(FrameReader(100).feed(bytes(wire)))
