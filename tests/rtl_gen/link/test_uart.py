"""The serial line against a line drawn and read in software."""

import re

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from spikeloom.rtl_gen.link.uart import UARTReceiver, UARTTransmitter, uart_divisor

BLOCKS = pytest.mark.parametrize("block", [UARTReceiver, UARTTransmitter])


def receive(levels: list[int], divisor: int, *, ready: bool = True):
    """What a receiver makes of a line: (cycle, byte) for each taken; bytes broken."""
    dut = UARTReceiver(divisor)
    taken = []
    broken = 0

    async def bench(ctx):
        nonlocal broken
        ctx.set(dut.o.ready, ready)
        ctx.set(dut.rx, 1)
        await ctx.tick().repeat(4)
        for cycle, level in enumerate([*levels, *[1] * 2 * divisor]):
            ctx.set(dut.rx, level)
            broken += ctx.get(dut.broken)
            if ctx.get(dut.o.valid & dut.o.ready):
                taken.append((cycle, ctx.get(dut.o.payload)))
            await ctx.tick()
        if not ready and ctx.get(dut.o.valid):
            taken.append((None, ctx.get(dut.o.payload)))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return taken, broken


def transmit(data: bytes, divisor: int, gaps: list[int]) -> list[int]:
    """Level of a transmitter's line in each cycle from the first byte offered on."""
    dut = UARTTransmitter(divisor)
    levels = []

    async def source(ctx):
        for byte, gap in zip(data, gaps, strict=True):
            for _ in range(gap):
                await ctx.tick()
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def line(ctx):
        for _ in range(sum(gaps) + (10 * len(data) + 2) * divisor):
            levels.append(ctx.get(dut.tx))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source)
    simulator.add_testbench(line)
    simulator.run()
    return levels


@BLOCKS
def test_init(block) -> None:
    assert block(24).divisor == 24


@BLOCKS
@pytest.mark.parametrize("divisor", [24.0, "24", True, None])
def test_wrong_divisor_type(block, divisor) -> None:
    with pytest.raises(TypeError, match=re.escape(f"divisor must be an integer, not {divisor!r}")):
        block(divisor)


@BLOCKS
def test_wrong_divisor(block) -> None:
    with pytest.raises(ValueError, match=r"^divisor must be at least 8, not 7$"):
        block(7)


def test_uart_divisor() -> None:
    assert uart_divisor(24e6, 1e6) == 24
    assert uart_divisor(24e6, 115_200) == 208
    assert uart_divisor(8e6, 1e6) == 8


def test_uart_divisor_wrong() -> None:
    with pytest.raises(ValueError, match=r"^baud must be at most 1/8 of the clock, 3000000 of 24"):
        uart_divisor(24e6, 4e6)
    # Divided by 9 it is 2.667, by 10 2.4: to the nearer one 1.1 %.
    with pytest.raises(
        ValueError, match=r"within 1 % of what 24 MHz .*, not 2638000.0: .* 2666667"
    ):
        uart_divisor(24e6, 2.638e6)
    for clock, baud in ((0, 1e6), (24e6, -1), (float("nan"), 1e6)):
        with pytest.raises(ValueError, match=r"^clock and baud must be positive, not"):
            uart_divisor(clock, baud)


@pytest.mark.parametrize("error", [-0.02, 0, 0.02])
@pytest.mark.parametrize("divisor", [8, 9, 24])
def test_receives_every_byte(line_levels, divisor: int, error: float) -> None:
    data = bytes(np.random.default_rng(1).permutation(256).astype(np.uint8))
    taken, broken = receive(line_levels(data, divisor * (1 + error)), divisor)
    assert bytes(byte for _, byte in taken) == data
    assert broken == 0


@pytest.mark.parametrize("divisor", [8, 9, 24])
def test_receiver_latency(line_levels, divisor: int) -> None:
    taken, _ = receive(line_levels(b"\x5a", divisor), divisor)
    assert taken == [(UARTReceiver(divisor).latency, 0x5A)]


def test_receiver_drops_a_byte_without_stop_bit(line_levels) -> None:
    stuck = [0] * 10 * 16
    levels = [*line_levels(b"a", 16), *stuck, *[1] * 16, *line_levels(b"bc", 16)]
    taken, broken = receive(levels, 16)
    assert bytes(byte for _, byte in taken) == b"abc"
    assert broken == 1


def test_receiver_ignores_a_held_line(line_levels) -> None:
    levels = [*[0] * 16 * 50, *[1] * 16, *line_levels(b"x", 16)]
    taken, broken = receive(levels, 16)
    assert bytes(byte for _, byte in taken) == b"x"
    assert broken == 1


@pytest.mark.parametrize("length", [1, 7])
def test_receiver_ignores_a_glitch(line_levels, length: int) -> None:
    levels = [*[0] * length, *[1] * 16, *line_levels(b"x", 16)]
    taken, broken = receive(levels, 16)
    assert bytes(byte for _, byte in taken) == b"x"
    assert broken == 0


def test_receiver_overrun(line_levels) -> None:
    taken, broken = receive(line_levels(b"xy", 16), 16, ready=False)
    assert taken == [(None, ord("x"))]
    assert broken == 1


@pytest.mark.parametrize("divisor", [8, 9, 24])
def test_transmits_without_gaps(line_levels, divisor: int) -> None:
    data = bytes(range(0, 256, 5))
    levels = transmit(data, divisor, [0] * len(data))
    start = UARTTransmitter.latency
    assert levels[:start] == [1] * start
    expected = line_levels(data, divisor)
    assert levels[start : start + len(expected)] == expected
    assert set(levels[start + len(expected) :]) == {1}


def test_transmits_with_gaps(line_bytes) -> None:
    rng = np.random.default_rng(2)
    data = rng.bytes(40)
    levels = transmit(data, 8, rng.integers(0, 120, 40).tolist())
    assert line_bytes(levels, 8) == data


def test_loopback() -> None:
    m = Module()
    m.submodules.transmitter = transmitter = UARTTransmitter(8)
    m.submodules.receiver = receiver = UARTReceiver(8)
    m.d.comb += [receiver.rx.eq(transmitter.tx), receiver.o.ready.eq(1)]
    data = np.random.default_rng(3).bytes(50)
    seen = bytearray()

    async def source(ctx):
        await ctx.tick().repeat(4)
        for byte in data:
            ctx.set(transmitter.i.payload, byte)
            ctx.set(transmitter.i.valid, 1)
            await ctx.tick().until(transmitter.i.ready)
        ctx.set(transmitter.i.valid, 0)

    async def sink(ctx):
        for _ in data:
            (byte,) = await ctx.tick().sample(receiver.o.payload).until(receiver.o.valid)
            seen.append(byte)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source)
    simulator.add_testbench(sink)
    simulator.run()
    assert bytes(seen) == data
