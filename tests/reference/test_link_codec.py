"""The wire format against a byte-by-byte reading of its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.link_codec import (
    decode_events,
    encode_events,
    encode_numbers,
    event_bytes,
)


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


@st.composite
def maps_and_events(draw):
    """A source of one to three dimensions, its counts, room below the kind, and events."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    most, least = draw(st.integers(1, 300)), draw(st.sampled_from([0, 0, -1, -2, -128, -129, -300]))
    room = draw(st.integers(0, 40))
    address = st.integers(0, int(np.prod(shape)) - 1)
    # Counts repeat, as those of spikes do.
    count = st.one_of(st.just(most), st.integers(least, most))
    events = draw(st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 2, 3]), address, count)))
    return shape, most, least, room, events


def naive_encode(shape, most: int, least: int, room: int, events) -> bytes:
    """Bit by bit: coordinates side by side, in the fewest bits that hold them, the count last."""
    width = 1
    while not -(1 << width - 1) <= least <= most < 1 << width - 1 if least else most >> width:
        width += 1
    coordinates = [max(1, len(f"{size - 1:b}")) for size in shape]
    room = max(room, sum(coordinates) + width)
    last, data = (None, 0, None), []
    for kind, flat, count in events:
        bits = ""
        for size, field in zip(reversed(shape), reversed(coordinates), strict=True):
            bits = f"{flat % size:0{field}b}" + bits
            flat //= size
        address = int(bits, 2)
        whole = f"{kind:02b}" + (bits + f"{count % (1 << width):0{width}b}").zfill(room)
        whole = whole.zfill(-(-len(whole) // 7) * 7)
        if kind == 0 and last[0] == 0 and last[2] == count and 0 <= address - last[1] <= 127:
            data.append(address - last[1])
        else:
            digits = [int(whole[k : k + 7], 2) for k in range(0, len(whole), 7)]
            data += [digits[0] + 128, *digits[1:]]
        last = (kind, address, count)
    return bytes(data)


@given(maps_and_events())
def test_wire_is_the_naive_one(case) -> None:
    shape, most, least, room, events = case
    size = shape if len(shape) > 1 else shape[0]
    data = encode_events(events, size, most, least, room)
    assert data == naive_encode(*case)
    assert decode_events(data, size, most, least, room).tolist() == [list(each) for each in events]
    one = encode_events([(1, 0, 0)], size, most, least, room)
    assert len(one) == event_bytes(size, most, least, room)


@pytest.mark.parametrize(
    ("options", "length"),
    [
        # 2 bits of kind, at least 1 of address, and the count's.
        ({"size": 1}, 1),
        ({"size": 16}, 1),
        ({"size": 17}, 2),
        ({"size": 16, "max_count": 2}, 2),
        ({"size": (4, 4)}, 1),
        ({"size": (3, 5)}, 2),
        ({"size": (1, 1, 1, 1)}, 1),
        ({"size": 16, "least": 1}, 1),
        ({"size": 16, "least": -1}, 2),
        ({"size": 8, "least": -2}, 1),
        ({"size": 8, "least": -3}, 2),
        ({"size": 8, "max_count": 2, "least": -2}, 2),
        ({"size": 1, "room": 5}, 1),
        ({"size": 1, "room": 6}, 2),
        ({"size": 1, "room": 12}, 2),
        ({"size": 1, "room": 13}, 3),
    ],
)
def test_event_bytes(options, length: int) -> None:
    assert event_bytes(**options) == length


@given(st.integers(1, 56), st.data())
def test_encode_numbers(bits: int, data) -> None:
    """In base 128, the highest digit first and marked."""
    numbers = data.draw(st.lists(st.integers(0, (1 << bits) - 1)))
    expected = []
    for number in numbers:
        digits = [number // 128**k % 128 for k in range(8) if 7 * k < bits]
        expected += [*digits[:-1], digits[-1] + 128][::-1]
    assert list(encode_numbers(np.array(numbers, dtype=np.int64), bits)) == expected


@pytest.mark.parametrize(
    ("event", "rule"),
    [
        ((0, 14, 0), None),
        ((3, 0, 7), None),
        ((0, 0, -8), None),
        ((0, 15, 0), "address must be 0 to 14, but one is 15"),
        ((0, -1, 0), "address must be 0 to 14, but one is -1"),
        ((0, 0, 8), "count must be -8 to 7, but one is 8"),
        ((0, 0, -9), "count must be -8 to 7, but one is -9"),
        ((4, 0, 0), "kind must be 0 to 3, but one is 4"),
    ],
)
def test_wrong_events_of_a_map(event, rule: str | None) -> None:
    """Of 3 by 5 places there are 15, though 4 bits would name 16; of a count the whole word."""
    if rule is None:
        assert decode_events(encode_events([event], (3, 5), 5, -8), (3, 5), 5, -8)[0].tolist() == [
            *event
        ]
        return
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        encode_events([event], (3, 5), 5, -8)


def test_a_flat_source_takes_what_its_bits_name() -> None:
    """Whether its size is a number or a shape of one."""
    for size in (5, (5,)):
        data = encode_events([(0, 7, 1)], size)
        assert decode_events(data, size).tolist() == [[0, 7, 1]]
        with pytest.raises(ValueError, match=r"^address must be 0 to 7, but one is 8$"):
            encode_events([(0, 8, 1)], size)
