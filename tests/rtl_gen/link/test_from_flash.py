"""A network that loads itself from a flash, and the host that comes after."""

import random
from collections import deque
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from general_networks import dense, draw_stimulus, network, population
from model_flash import Flash

from spikeloom.reference.events import events_to_raster, raster_to_events
from spikeloom.reference.flash_image import weight_frames
from spikeloom.reference.link_codec import decode_events, encode_events
from spikeloom.reference.link_frames import (
    MOST_PAYLOAD,
    Answer,
    Frame,
    FrameReader,
    Order,
    order_bytes,
)
from spikeloom.reference.network import FixedInput
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.link.flash import FlashReader
from spikeloom.rtl_gen.link.from_flash import FlashLoadedNetwork
from spikeloom.rtl_gen.link.linked import LinkedNetwork, weight_bytes, weight_width
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore

ADDRESS = 0x0123
STEPS = 4


class Board:
    """A network of 10, 12 and 3 that a flash holds the weights of, and a host for it.

    Parameters
    ----------
    length
        Bytes that are read of the flash at most; all of the weights by default.
    """

    def __init__(self, length: int | None = None) -> None:
        rng = random.Random(3)
        hidden = population(rng, (12,), dense(rng, "in", 10, 12))
        out = population(rng, (3,), dense(rng, "hidden", 12, 3))
        populations = {"hidden": hidden, "out": out}
        self.network = network({"in": FixedInput(shape=(10,))}, populations, "out")
        top = NetworkTop(self.network, (4, 3), WeightStore.LOADED_BLOCK)
        raster = draw_stimulus(random.Random(2), self.network, 2, STEPS)["in"]
        self.events = encode_events(raster_to_events(raster), 10, room=weight_width(top))
        self.expected = run_fixed(self.network, raster).output
        assert 0 < self.expected.sum() < self.expected.size
        self.weights = weight_bytes(top)
        self.image = weight_frames(self.weights)
        # Two frames of them, and they and the events have room in the queue together.
        assert MOST_PAYLOAD < len(self.weights) < 512 - 20 - len(self.events)
        self.reader = FlashReader(ADDRESS, length or len(self.image), 1e6)
        self.linked = LinkedNetwork(top)
        self.dut = FlashLoadedNetwork(self.linked, self.reader)
        self.waited, self.loaded = 0, 0

    def start(
        self, content: bytes, orders: list[Frame], *, pause: int, early: bytes = b""
    ) -> list[Frame]:
        """What is answered to orders, the first byte so many cycles behind the reader's end.

        While it reads, all that is sent early is sent again and again.
        """
        dut, flash = self.dut, Flash(bytes(ADDRESS) + content.ljust(1 << 13, b"\xff"))
        said = bytearray()

        async def tick(ctx: Any, byte: int | None) -> bool:
            """Offer a byte for a cycle; whether it was taken."""
            level = flash.look(ctx.get(dut.cs), ctx.get(dut.sck), ctx.get(dut.copi))
            if level is not None:
                ctx.set(dut.cipo, level)
            ctx.set(dut.i.valid, byte is not None)
            ctx.set(dut.i.payload, byte or 0)
            taken = byte is not None and bool(ctx.get(dut.i.ready))
            if ctx.get(dut.o.valid):
                said.append(ctx.get(dut.o.payload))
            await ctx.tick()
            return taken

        async def bench(ctx: Any) -> None:
            ctx.set(dut.o.ready, 1)
            sent = deque(early)
            while not ctx.get(self.reader.done):
                if await tick(ctx, sent[0] if sent else None):
                    sent.rotate(-1)
                    self.waited += 1
            for _ in range(pause):
                await tick(ctx, None)
            assert not said
            self.loaded = ctx.get(dut.loaded)
            wire = deque(b"".join(map(order_bytes, orders)))
            silence = 0
            while wire or silence < 700:
                length = len(said)
                if await tick(ctx, wire[0] if wire else None):
                    wire.popleft()
                silence = silence + 1 if len(said) == length else 0

        simulator = Simulator(dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        assert flash.commands == [b"\xab", b"\x03" + ADDRESS.to_bytes(3)]
        reader = FrameReader(1000)
        frames = list(reader.feed(bytes(said)))
        assert reader.broken == 0
        return frames

    def check_spikes(self, answers: list[Frame]) -> None:
        payload = b"".join(each.payload for each in answers if each.kind == Answer.EVENTS)
        events = decode_events(payload, 3, self.network.sent("out")[1])
        assert np.array_equal(events_to_raster(events, STEPS, 3), self.expected)


def numbered(*orders: tuple[Order, bytes]) -> list[Frame]:
    """Frames from number 0 on."""
    return [Frame(kind, number, payload) for number, (kind, payload) in enumerate(orders)]


def events(data: bytes) -> list[tuple[Order, bytes]]:
    parts = [data[k : k + MOST_PAYLOAD] for k in range(0, len(data), MOST_PAYLOAD)]
    return [(Order.EVENTS, part) for part in parts]


def others(answers: list[Frame]) -> list[Frame]:
    return [each for each in answers if each.kind != Answer.EVENTS]


@pytest.mark.parametrize("length", [None, 4096])
def test_loads_itself(length: int | None) -> None:
    """Also where the reader has not come to its end; what the host says meanwhile is lost."""
    board = Board(length)
    orders = numbered((Order.IDENTIFY, b""), *events(board.events), (Order.STATUS, b""))
    early = order_bytes(Frame(Order.STATUS, 5))
    answers = board.start(board.image, orders, pause=1000, early=early)
    assert board.loaded
    assert 5_000 < board.waited < 7_000
    # Erased bytes that were read behind the image are no frame, which the host's delimiter ends.
    assert others(answers) == [
        Frame(Answer.REFUSED, 2),
        Frame(Answer.IDENTITY, 0, board.linked.identity),
        *(Frame(Answer.DONE, each.number) for each in orders[1:-1]),
        Frame(Answer.STATUS, orders[-1].number, b"\0"),
    ]
    board.check_spikes(answers)


@pytest.mark.parametrize("place", [300, None], ids=["flipped", "erased"])
def test_host_loads_instead(place: int | None) -> None:
    """A byte is wrong in the second frame of weights, or there is none at all."""
    board = Board(100 if place is None else None)
    content = bytearray(board.image) if place is not None else bytearray()
    if place is not None:
        content[place] ^= 0x10
    orders = numbered(
        *((Order.IDENTIFY, b""), (Order.STATUS, b""), (Order.RESET, b"")),
        *events(board.weights + board.events),
        (Order.STATUS, b""),
    )
    answers = board.start(bytes(content), orders, pause=0 if place is None else 1000)
    assert not board.loaded
    (refused, *rest) = others(answers)
    assert refused.kind == Answer.REFUSED
    assert rest == [
        Frame(Answer.IDENTITY, 0, board.linked.identity),
        Frame(Answer.STATUS, 1, b"\2"),
        *(Frame(Answer.DONE, each.number) for each in orders[2:-1]),
        Frame(Answer.STATUS, orders[-1].number, b"\0"),
    ]
    board.check_spikes(answers)
