"""The wire format against a byte-by-byte reading of its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.link_codec import decode_events, encode_events, event_bytes


def naive_decode(data: bytes, size: int, max_count: int) -> list[list[int]]:
    """A receiver that looks at one byte at a time."""
    address_width = max(1, len(f"{size - 1:b}"))
    count_width = len(f"{max_count:b}")
    length = 1
    while 7 * length < 2 + address_width + count_width:
        length += 1
    events, last, digits = [], [0, 0, 0], ""
    for byte in data:
        if byte & 0x80:
            digits = ""
        elif not digits:
            kind, address, count = last
            last = [kind, (address + byte) % (1 << address_width), count]
            events.append(last)
            continue
        digits += f"{byte & 0x7F:07b}"
        if len(digits) == 7 * length:
            bits = digits[7 * length - 2 - address_width - count_width :]
            kind, rest = bits[:2], bits[2:]
            last = [int(b, 2) for b in (kind, rest[:address_width], rest[address_width:])]
            events.append(last)
            digits = ""
    return events


layouts = st.tuples(st.integers(1, 5000), st.integers(1, 300))


@st.composite
def layouts_and_events(draw):
    size, max_count = draw(layouts)
    address = st.integers(0, (1 << max(1, (size - 1).bit_length())) - 1)
    count = st.integers(0, (1 << max_count.bit_length()) - 1)
    return size, max_count, draw(st.lists(st.tuples(st.integers(0, 3), address, count)))


@given(layouts_and_events())
def test_round_trip(case) -> None:
    size, max_count, events = case
    data = encode_events(events, size, max_count)
    assert len(data) <= len(events) * event_bytes(size, max_count)
    assert decode_events(data, size, max_count).tolist() == [list(event) for event in events]
    assert naive_decode(data, size, max_count) == [list(event) for event in events]


@given(st.data(), st.tuples(*3 * (st.integers(1, 20),)), st.integers(-300, -1))
def test_round_trip_of_values_on_a_map(data, shape: tuple[int, ...], least: int) -> None:
    channels, height, width = shape
    address = st.integers(0, channels * height * width - 1)
    row = st.tuples(st.integers(0, 3), address, st.integers(least, 100))
    events = data.draw(st.lists(row))
    sent = encode_events(events, shape, 100, least)
    assert decode_events(sent, shape, 100, least).tolist() == [list(event) for event in events]


@given(st.binary(max_size=60), layouts)
def test_decode_garbage(data: bytes, layout: tuple[int, int]) -> None:
    assert decode_events(data, *layout).tolist() == naive_decode(data, *layout)


def test_a_run_of_equal_spikes_is_a_byte_each() -> None:
    events = [(0, k, 3) for k in range(784)]
    assert len(encode_events(events, 784, 3)) == 2 + 783


def test_decode_every_cut() -> None:
    """Cut anywhere, the events after the first long one arrive."""
    data = encode_events([(0, 300, 3), (1, 0, 0), (0, 999, 1)], 1000, 3)
    for cut in range(len(data) + 1):
        whole = decode_events(data, 1000, 3).tolist()
        late = decode_events(data[cut:], 1000, 3).tolist()[cut % 2 :]
        assert late == whole[-(-cut // 2) :]
        assert decode_events(data[:cut], 1000, 3).tolist() == whole[: cut // 2]


@pytest.mark.parametrize(
    ("event", "size", "max_count", "data"),
    [
        # 2 + 6 + 1 bits: 00 101010 1
        ((0, 42, 1), 64, 1, [0b1000_0000, 0b0101_0101]),
        ((1, 0, 0), 64, 1, [0b1000_0001, 0b0000_0000]),
        ((2, 0, 0), 64, 1, [0b1000_0010, 0b0000_0000]),
        # 2 + 1 + 1 bits are one byte: 00 1 1
        ((0, 1, 1), 2, 1, [0b1000_0011]),
        # 2 + 10 + 4 bits are three: 00 1100001111 1010
        ((0, 783, 10), 784, 15, [0b1000_0000, 0b0110_0001, 0b0111_1010]),
        # of 2 x 3 x 5 the place 1, 2, 4: 00 1 10 100 1
        ((0, 29, 1), (2, 3, 5), 1, [0b1000_0000, 0b0110_1001]),
    ],
)
def test_encode_by_hand(event, size: int, max_count: int, data: list[int]) -> None:
    assert list(encode_events([event], size, max_count)) == data


def test_encode_by_hand_in_short() -> None:
    """Behind 42 come 43 and 170, 127 further; 298 is too far, and a lower one has no short form."""
    events = [(0, address, 1) for address in (42, 43, 170, 298, 297)]
    data = encode_events(events, 1024)
    # 2 + 10 + 1 bits: 00 0000101010 1, then 00 0100101010 1 and 00 0100101001 1
    assert data == bytes([0b1000_0000, 0b0101_0101, 1, 127, 0x84, 0b0101_0101, 0x84, 0b0101_0011])


def test_encode_values_by_hand() -> None:
    # 2 + 2 + 4 bits: 00 10 1101 is -3
    assert list(encode_events([(0, 2, -3)], 4, 7, -8)) == [0b1000_0000, 0b0010_1101]


def test_encode_nothing() -> None:
    assert encode_events([], 64) == b""
    assert decode_events(b"", 64).shape == (0, 3)


@pytest.mark.parametrize("name", ["size", "max_count"])
def test_wrong_size_and_max_count(name: str) -> None:
    for call in (
        event_bytes,
        lambda **k: encode_events([], **k),
        lambda **k: decode_events(b"", **k),
    ):
        with pytest.raises(TypeError, match=f"^{name} must be an integer, not 2.5$"):
            call(**{"size": 4, name: 2.5})
        with pytest.raises(TypeError, match=f"^{name} must be an integer, not True$"):
            call(**{"size": 4, name: True})
        with pytest.raises(ValueError, match=f"^{name} must be positive, not 0$"):
            call(**{"size": 4, name: 0})


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ((4, 0, 0), "kind must be 0 to 3, but one is 4"),
        ((-1, 0, 0), "kind must be 0 to 3, but one is -1"),
        ((0, 64, 0), "address must be 0 to 63, but one is 64"),
        ((0, 0, 2), "count must be 0 to 1, but one is 2"),
    ],
)
def test_wrong_events(event, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        encode_events(np.array([(0, 1, 1), event]), 64)
