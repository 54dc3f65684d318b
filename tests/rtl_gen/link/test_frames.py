"""Frames on both sides of a link: whole ones pass, everything else leaves no trace."""

import random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out
from link_bytes import naive_crc

from spikeloom.reference.link_frames import (
    END,
    MOST_PAYLOAD,
    Frame,
    Order,
    answer_bytes,
    order_bytes,
)
from spikeloom.rtl_gen.link.frames import FrameReceiver, FrameSender

SPECIAL = bytes([0xC0, 0xDB, 0xDC, 0xDD, 0xDE, 0xFF, 0x00])


def draw_payload(rng: random.Random, most: int = 40) -> bytes:
    """Bytes, of which many mean something to the line."""
    return bytes(
        rng.choice(SPECIAL) if rng.random() < 0.5 else rng.randrange(256)
        for _ in range(rng.randrange(most))
    )


def words_of(frame: Frame) -> list[dict[str, int]]:
    body = [frame.kind << 4 | frame.number, *frame.payload]
    return [{"byte": byte, "last": k == len(body) - 1} for k, byte in enumerate(body)]


def frames_of(words: Any) -> list[Frame]:
    """Frames of words that came out."""
    frames, body = [], []
    for word in words:
        body.append(word.byte)
        if word.last:
            frames.append(Frame(body[0] >> 4, body[0] & 15, bytes(body[1:])))
            body = []
    assert not body
    return frames


@pytest.mark.parametrize("seed", range(3))
def test_sender(bench: Any, seed: int) -> None:
    """What the hardware sends the host reads."""
    rng = random.Random(seed)
    frames = [Frame(rng.randrange(16), rng.randrange(16), draw_payload(rng)) for _ in range(30)]
    # A frame whose checksum holds what must be escaped.
    crcs = (Frame(1, 2, bytes([a, b])) for a in range(256) for b in range(256))
    frames.append(next(f for f in crcs if b"\xdb" in answer_bytes(f)[-5:]))
    dut = FrameSender()
    b = bench(dut, seed=seed)
    b.source(dut.i, [word for frame in frames for word in words_of(frame)], chance=0.7)
    sink = b.sink(dut.o, chance=0.6)
    expected = b"".join(answer_bytes(each)[1:] for each in frames)
    b.run_until(lambda: len(sink.words) >= len(expected), spare=30)
    assert bytes(sink.get()) == expected


class Refusing(wiring.Component):
    """A receiver whose refusals come as a stream."""

    def __init__(self) -> None:
        self.inner = FrameReceiver()
        members = dict(self.inner.signature.members)
        super().__init__(
            {"i": members["i"], "o": members["o"], "refused": Out(stream.Signature(4))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = self.inner
        wiring.connect(m, wiring.flipped(self.i), inner.i)
        wiring.connect(m, inner.o, wiring.flipped(self.o))
        m.d.comb += [
            self.refused.valid.eq(inner.refused),
            self.refused.payload.eq(inner.expected),
            inner.heard.eq(self.refused.ready),
        ]
        return m


def receive(bench: Any, data: bytes, seed: int = 1, chance: float = 0.7) -> Any:
    """Frames that a receiver passes on, and the numbers in its refusals."""
    dut = Refusing()
    b = bench(dut, seed=seed)
    source = b.source(dut.i, list(data), chance=0.3)
    sink, refused = b.sink(dut.o, chance=chance), b.sink(dut.refused, chance=1.0)
    b.run_until(lambda: len(source.cycles) == len(data), spare=1500)
    return frames_of(sink.get()), list(refused.get())


@pytest.mark.parametrize("seed", range(3))
def test_receiver_passes_frames(bench: Any, seed: int) -> None:
    rng = random.Random(seed)
    kinds = [Order.RESET] + [Order.EVENTS] * 39
    frames = [Frame(kind, k % 16, draw_payload(rng, 60)) for k, kind in enumerate(kinds)]
    assert receive(bench, b"".join(map(order_bytes, frames)), seed) == (frames, [])


def test_lengths(bench: Any) -> None:
    """The longest frame; and lengths that are not those of what follows, checksums being right."""
    whole = Frame(Order.IDENTIFY, 0, bytes(range(MOST_PAYLOAD)))
    after = Frame(Order.EVENTS, 1, b"x")
    data = order_bytes(whole)
    bodies = [b"\1\x21?", b"\3\x21?", b"\0", b"", b"\x21", b"\xff\x21" + bytes(300)]
    # No header, and as many bytes as a counter that wraps would take.
    bodies += [b"\0\x21", b"\0\x21" + bytes([7]) * 255]
    for body in bodies:
        data += bytes([END]) + body + naive_crc(body) + bytes([END])
    assert receive(bench, data + order_bytes(after)) == ([whole, after], [1] * len(bodies))


def test_numbers(bench: Any) -> None:
    """Out of turn is refused; IDENTIFY and RESET begin a count, and nothing comes before them."""
    frames = [
        Frame(Order.EVENTS, 0, b"-"),
        Frame(Order.RESET, 15, b"a"),
        Frame(Order.EVENTS, 2, b"b"),
        Frame(Order.EVENTS, 0, b"c"),
        Frame(Order.EVENTS, 1, b"d"),
        Frame(Order.IDENTIFY, 9),
        Frame(Order.EVENTS, 10, b"e"),
        Frame(Order.RESET, 15),
        Frame(Order.STATUS, 0),
    ]
    found, refused = receive(bench, b"".join(map(order_bytes, frames)))
    assert found == [frames[k] for k in (1, 3, 4, 5, 6, 7, 8)]
    assert refused == [0, 0]


def test_no_room(bench: Any) -> None:
    """Of what nobody takes 512 bytes are kept, and the rest is refused, not mixed up."""
    dut = Refusing()
    b = bench(dut, seed=3)
    kinds = [Order.IDENTIFY] + [Order.EVENTS] * 6
    frames = [Frame(kind, k, bytes([k]) * 100) for k, kind in enumerate(kinds)]
    data = b"".join(map(order_bytes, frames))
    source = b.source(dut.i, list(data), chance=1.0)
    sink, refused = b.sink(dut.o, chance=0.001), b.sink(dut.refused, chance=1.0)
    b.run_until(lambda: len(source.cycles) == len(data), spare=10)
    assert len(sink.words) < 20
    assert list(refused.get()) == [4, 4, 4] or list(refused.get()) == [5, 5]


@pytest.mark.parametrize("seed", range(6))
def test_garbage(bench: Any, seed: int) -> None:
    """Flipped bits, lost and strange bytes: what comes out was sent, and the whole ones come."""
    rng = random.Random(seed)
    every, whole, wire = [], [], bytearray()
    for k in range(60):
        frame = Frame(Order.IDENTIFY, k % 16, draw_payload(rng, 30))
        data = bytearray(order_bytes(frame))
        match rng.randrange(6):
            case 0:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:
                del data[rng.randrange(len(data))]
            case 2:
                data = data[: rng.randrange(len(data))]
            case 3:
                data += rng.randbytes(rng.randrange(400))
                whole.append(frame)
            case _:
                whole.append(frame)
        every.append(frame)
        wire += data
    last = Frame(Order.IDENTIFY, 3, b"still here")
    found, _ = receive(bench, bytes(wire) + order_bytes(last), seed)
    assert is_part(found, [*every, last])
    assert is_part([*whole, last], found)


def is_part(part: list[Frame], whole: list[Frame]) -> bool:
    """Whether all of a list is in another, in its order."""
    left = iter(whole)
    return all(frame in left for frame in part)
