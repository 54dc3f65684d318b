"""A network behind an SPI peripheral, from pins to pins."""

import random
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from general_networks import dense, draw_stimulus, network, population
from spi_host import Host, as_bytes

from spikeloom.reference.events import events_to_raster, raster_to_events
from spikeloom.reference.link_codec import decode_events, encode_events
from spikeloom.reference.link_frames import (
    END,
    FILL,
    Answer,
    Frame,
    FrameReader,
    Order,
    order_bytes,
)
from spikeloom.reference.network import FixedInput, FixedNetwork
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.link.linked import LinkedNetwork
from spikeloom.rtl_gen.link.serial import SPINetwork
from spikeloom.rtl_gen.network import NetworkTop

STEPS = 4


def small_network() -> FixedNetwork:
    rng = random.Random(3)
    hidden = population(rng, (6,), dense(rng, "in", 10, 6))
    out = population(rng, (3,), dense(rng, "hidden", 6, 3))
    return network({"in": FixedInput(shape=(10,))}, {"hidden": hidden, "out": out}, "out")


def converse(dut: SPINetwork, host: Host) -> tuple[list[Frame], int]:
    """The device's answers, and how often ``spike`` was high."""
    spikes, over = 0, False

    async def talk(ctx: Any) -> None:
        nonlocal over
        await host.run(ctx, dut)
        over = True

    async def watch(ctx: Any) -> None:
        nonlocal spikes
        while not over:
            _, _, spike = await ctx.tick().sample(dut.spike)
            spikes += spike

    simulator = Simulator(dut)
    simulator.add_clock(1)
    simulator.add_testbench(talk)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    reader = FrameReader(1000)
    frames = list(reader.feed(b"".join(map(as_bytes, host.bits))))
    assert reader.broken == 0
    return frames, spikes


@pytest.mark.parametrize(("period", "phase", "mode"), [(4.0, 0.3, 0), (5.7, 0.9, 3)])
def test_equals_golden_model(period: float, phase: float, mode: int) -> None:
    """Orders, and delimiters for as long as answers may come; fill where there are none."""
    net = small_network()
    raster = draw_stimulus(random.Random(1), net, 2, STEPS)["in"]
    expected = run_fixed(net, raster).output
    assert 0 < expected.sum() < expected.size
    data = encode_events(raster_to_events(raster), 10)
    orders = [Frame(Order.IDENTIFY, 7), Frame(Order.EVENTS, 8, data), Frame(Order.STATUS, 9)]
    wire = b"".join(order_bytes(each) + bytes([END]) * 70 for each in orders)
    rng = random.Random(2)
    transfers = []
    while sum(transfers) < 8 * len(wire):
        left = len(wire) - sum(transfers) // 8
        transfers.append(8 * min(left, rng.choice([1, 2, 40])))
    dut = SPINetwork(LinkedNetwork(NetworkTop(net, 2)))
    host = Host(wire, transfers, period, phase=phase, mode=mode, setup=0.95, hold=1.0)
    answers, spikes = converse(dut, host)
    assert [each for each in answers if each.kind != Answer.EVENTS] == [
        Frame(Answer.IDENTITY, 7, dut.linked.identity),
        Frame(Answer.DONE, 8),
        Frame(Answer.STATUS, 9, b"\0"),
    ]
    payload = b"".join(each.payload for each in answers if each.kind == Answer.EVENTS)
    events = decode_events(payload, 3, net.sent("out")[1])
    assert np.array_equal(events_to_raster(events, STEPS, 3), expected)
    assert spikes == np.count_nonzero(expected)
    # Between answers there is fill, and it is the last that comes.
    read = host.bytes()
    first, last = read.index(END), read.rindex(END)
    assert FILL in read[first:last]
    assert set(read[last + 1 :]) == {FILL}


def test_byte_that_is_none() -> None:
    """Three bits in the middle of a good frame: it is refused, and taken when it comes again."""
    first, second = order_bytes(Frame(Order.IDENTIFY, 0)), order_bytes(Frame(Order.STATUS, 1))
    pause = bytes([END]) * 70
    begin, end = first + pause + second[:3], second[3:] + pause + second + pause
    bits = [*bits_of(begin), 1, 0, 1, *bits_of(end)]
    dut = SPINetwork(LinkedNetwork(NetworkTop(small_network(), 2)))
    host = Host(as_bytes([*bits, *[0] * 5]), [8 * len(begin), 3, 8 * len(end)], phase=0.3)
    answers, _ = converse(dut, host)
    assert answers == [
        Frame(Answer.IDENTITY, 0, dut.linked.identity),
        Frame(Answer.REFUSED, 1),
        Frame(Answer.STATUS, 1, b"\0"),
    ]


def bits_of(data: bytes) -> list[int]:
    return [byte >> k & 1 for byte in data for k in reversed(range(8))]
