"""An SPI peripheral and a host in software, whose times are no multiples of the clock's."""

import random
import re
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator
from spi_host import CHANGED, Host, as_bytes

from spikeloom.reference.link_frames import FILL, Frame, FrameReader
from spikeloom.rtl_gen.link.frames import FrameSender
from spikeloom.rtl_gen.link.spi import SPIPeripheral

IDLE = 0xC0


def simulate(
    host: Host, replies: bytes = b"", *, offers: tuple[int, ...] = (), taking: Any = None
) -> tuple[bytes, bytes, int]:
    """What the device received, what is left of the replies, and how often a byte was lost.

    The replies are offered without a gap, or from the cycles ``offers`` on; ``taking`` says in
    which cycles the device's bytes are taken, by default in all.
    """
    dut = SPIPeripheral(IDLE)
    received, left, broken, over = bytearray(), list(replies), 0, False

    async def talk(ctx: Any) -> None:
        nonlocal over
        await host.run(ctx, dut)
        await ctx.delay(10)
        over = True

    async def device(ctx: Any) -> None:
        nonlocal broken
        cycle, sent = 0, 0
        while not over:
            begun = not offers or (sent < len(offers) and cycle >= offers[sent])
            ctx.set(dut.i.valid, bool(left) and begun)
            ctx.set(dut.i.payload, left[0] if left else 0)
            ctx.set(dut.o.ready, taking is None or taking(cycle))
            sampled = ctx.tick().sample(
                dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready, dut.o.payload, dut.broken
            )
            _, _, gone, came, byte, lost = await sampled
            if gone:
                left.pop(0)
                sent += 1
            if came:
                received.append(byte)
            broken += lost
            cycle += 1

    simulator = Simulator(dut)
    simulator.add_clock(1)
    simulator.add_testbench(talk)
    simulator.add_testbench(device, background=True)
    simulator.run()
    return bytes(received), bytes(left), broken


def test_init() -> None:
    assert SPIPeripheral(0xFF).idle == 0xFF


@pytest.mark.parametrize("idle", [2.0, "2", True, None])
def test_wrong_idle_type(idle: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(f"idle must be an integer, not {idle!r}")):
        SPIPeripheral(idle)


@pytest.mark.parametrize("idle", [-1, 256])
def test_wrong_idle(idle: int) -> None:
    with pytest.raises(ValueError, match=f"^idle must be 0 to 255, not {idle}$"):
        SPIPeripheral(idle)


def test_waveform_by_hand() -> None:
    """A byte each way with sck of an eighth of the clock, cycle by cycle."""
    dut = SPIPeripheral(IDLE)
    # 1010 0110 to the device: copi changes where sck falls.
    sck = "0000" * 4 + "11110000" * 8 + "0000" * 4
    copi = "0000" * 3 + "".join(bit * 8 for bit in "10100110") + "0000" * 5
    cs = "1111" * 2 + "0" * 72 + "1111" * 4
    # 0011 1010 from it, three cycles behind each rise: two to synchronise, one to count.
    cipo = "1" + "0" * 18 + "".join(bit * 8 for bit in "0111010") + "1" * 21
    seen, received = "", []

    async def bench(ctx: Any) -> None:
        nonlocal seen
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.payload, 0x3A)
        ctx.set(dut.i.valid, 1)
        for cycle, (clock, data, select) in enumerate(zip(sck, copi, cs, strict=True)):
            ctx.set(dut.sck, int(clock))
            ctx.set(dut.copi, int(data))
            ctx.set(dut.cs, int(select))
            seen += str(ctx.get(dut.cipo))
            if ctx.get(dut.i.ready):
                ctx.set(dut.i.valid, cycle == 0)
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
            else:
                await ctx.tick()
            if ctx.get(dut.o.valid):
                received.append((cycle + 1, ctx.get(dut.o.payload)))

    simulator = Simulator(dut)
    simulator.add_clock(1)
    simulator.add_testbench(bench)
    simulator.run()
    last_rise = 16 + 7 * 8
    assert received == [(last_rise + SPIPeripheral.latency, 0xA6)]
    assert seen[:74] == cipo[:74]
    # The byte has gone, and with it comes the idle one's first bit.
    assert set(seen[last_rise + SPIPeripheral.latency :]) == {"1"}


@pytest.mark.parametrize("phase", [0.01, 0.5, 0.99])
@pytest.mark.parametrize(("period", "mode"), [(4, 0), (4, 3), (4.3, 0), (11, 3)])
def test_every_byte_both_ways(period: float, phase: float, mode: int) -> None:
    """The host needs cipo from almost a cycle before a rise to almost two behind it."""
    rng = random.Random(1)
    sends, replies = rng.randbytes(20), rng.randbytes(20)
    lengths = [8, 40, 16, 96]
    hold = min(1.9, period / 2)
    host = Host(sends, lengths, period, phase=phase, mode=mode, setup=0.95, hold=hold)
    assert simulate(host, replies) == (sends, b"", 0)
    assert host.bytes() == replies


@pytest.mark.parametrize("duty", [0.3, 0.7])
def test_uneven_clock(duty: float) -> None:
    """High or low for little more than a cycle."""
    rng = random.Random(2)
    sends, replies = rng.randbytes(12), rng.randbytes(12)
    host = Host(sends, [96], duty=duty, phase=0.37, setup=0.95, hold=1.1)
    assert simulate(host, replies) == (sends, b"", 0)
    assert host.bytes() == replies


def test_faster_than_it_may() -> None:
    """The period's bound is one: with a cycle less cipo changes where the host needs it."""
    host = Host(bytes(10), [80], SPIPeripheral.period - 1, phase=0.5, setup=0.95)
    simulate(host, random.Random(3).randbytes(10))
    assert CHANGED in host.bits[0]


def test_idle_bytes() -> None:
    """Between replies that come late, and behind the last."""
    host = Host(bytes(6), [48], 8)
    # Eight rises end in the cycles 77, 141 and so on.
    offers = (70, 310)
    assert simulate(host, b"\x11\x22", offers=offers) == (bytes(6), b"", 0)
    assert host.bytes() == bytes([IDLE, 0x11, IDLE, IDLE, IDLE, 0x22])


@pytest.mark.parametrize("bits", range(1, 8))
def test_chip_select_rises_in_a_byte(bits: int) -> None:
    """The byte to the device is lost, that from it begins again."""
    host = Host(b"\x5a" * 4, [8 + bits, 8], phase=0.3)
    received, left, broken = simulate(host, b"\x81\x2b\x77")
    assert broken == 1
    assert received[:1] == b"\x5a"
    assert len(received) == 2
    assert as_bytes(host.bits[0] + [0] * (8 - bits))[0] == 0x81
    assert host.bits[0][8:] == [0x2B >> (7 - k) & 1 for k in range(bits)]
    assert as_bytes(host.bits[1]) == b"\x2b"
    # The last one was fetched together with the last bit of the one before.
    assert left == b""


def test_chip_select_without_a_bit() -> None:
    """Nothing happens, however often it falls."""
    host = Host(b"\x12", [0, 0, 8, 0], phase=0.6)
    assert simulate(host, b"\x34") == (b"\x12", b"", 0)
    assert host.bytes() == b"\x34"


@pytest.mark.parametrize("delay", [0, 1, 2])
def test_taken_in_time(delay: int) -> None:
    """In the third cycle a byte is still there, whatever the next bits are."""
    sends = random.Random(4).randbytes(12)
    waited = 0

    def taking(cycle: int) -> bool:
        nonlocal waited
        waited += 1
        return waited % (delay + 1) == 0

    assert simulate(Host(sends, [96], phase=0.8), taking=taking) == (sends, b"", 0)


def test_not_taken() -> None:
    """The first byte stays, the second is lost, the third comes."""
    begin, byte = 10 + 4, 8 * 8
    host = Host(b"abc", [24], 8)
    late = begin + 2 * byte + byte // 2
    received, _, broken = simulate(host, taking=lambda cycle: cycle > late)
    assert (received, broken) == (b"a", 2)
    host = Host(b"abc", [24], 8)
    late = begin + byte + byte // 2
    received, _, broken = simulate(host, taking=lambda cycle: cycle > late)
    assert (received, broken) == (b"ac", 1)


def test_clock_of_others() -> None:
    """Whatever is clocked while chip select is high has no effect."""
    dut = SPIPeripheral(IDLE)
    seen = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.cs, 1)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, 0x80)
        await ctx.tick().repeat(4)
        ctx.set(dut.i.payload, 0x7F)
        for cycle in range(200):
            ctx.set(dut.sck, cycle // 3 % 2)
            ctx.set(dut.copi, cycle // 6 % 2)
            await ctx.tick()
            seen.append([ctx.get(x) for x in (dut.cipo, dut.o.valid, dut.broken, dut.i.ready)])

    simulator = Simulator(dut)
    simulator.add_clock(1)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [[1, 0, 0, 0]] * 200


def test_frames_with_gaps() -> None:
    """Words of frames come with long gaps within frames; the host finds the frames whole."""
    m = Module()
    m.submodules.sender = sender = FrameSender()
    m.submodules.spi = spi = SPIPeripheral(FILL)
    connect(m, sender.o, spi.i)
    rng = random.Random(7)
    special = [0xC0, 0xDB, 0xDC, 0xDE, 0xFF]
    frames = [
        Frame(3, k, bytes(rng.choice([*special, rng.randrange(256)]) for _ in range(5)))
        for k in range(6)
    ]
    host = Host(bytes(250), [8 * 70, 8 * 60, 8 * 120], 5, phase=0.4)

    async def source(ctx: Any) -> None:
        for frame in frames:
            body = bytes([frame.kind << 4 | frame.number]) + frame.payload
            for k, byte in enumerate(body):
                if rng.random() < 0.5:
                    await ctx.tick().repeat(rng.randrange(300))
                ctx.set(sender.i.p, {"byte": byte, "last": k == len(body) - 1})
                ctx.set(sender.i.valid, 1)
                await ctx.tick().until(sender.i.ready)
                ctx.set(sender.i.valid, 0)

    async def talk(ctx: Any) -> None:
        await host.run(ctx, spi)

    simulator = Simulator(m)
    simulator.add_clock(1)
    simulator.add_testbench(source, background=True)
    simulator.add_testbench(talk)
    simulator.run()
    read = host.bytes()
    # A gap in a frame: between two bytes of it, there is fill.
    first = read.index(0xC0)
    assert FILL in read[:first].strip(bytes([FILL]))
    reader = FrameReader(1000)
    assert list(reader.feed(read)) == frames
    assert reader.broken == 0
