"""A flash reader and a flash in software, pin by pin."""

import random
import re
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator
from model_flash import Flash

from spikeloom.reference.flash_image import weight_frames
from spikeloom.rtl_gen.link.flash import FlashReader
from spikeloom.rtl_gen.link.frames import FrameReceiver

FREQUENCY = 4e6
"""30 us are 120 cycles of it."""


def simulate(
    dut: FlashReader, flash: Flash, *, stop: int | None = None, chance: float = 1.0, spare: int = 0
) -> list[tuple[int, int]]:
    """Bytes taken, with their cycles, until the reader is done; ``stop`` as soon as it has so many.

    With ``spare`` cycles behind, in which nothing may change.
    """
    rng = random.Random(1)
    taken: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        for cycle in range(20_000):
            level = flash.look(ctx.get(dut.cs), ctx.get(dut.sck), ctx.get(dut.copi))
            if level is not None:
                ctx.set(dut.cipo, level)
            ctx.set(dut.stop, stop is not None and len(taken) >= stop)
            ctx.set(dut.o.ready, rng.random() < chance)
            if ctx.get(dut.o.valid & dut.o.ready):
                assert not ctx.get(dut.done)
                taken.append((cycle, ctx.get(dut.o.payload)))
            elif ctx.get(dut.done):
                break
            await ctx.tick()
        else:
            pytest.fail("the reader is not done")
        for _ in range(spare):
            await ctx.tick()
            pins = [dut.cs, dut.sck, dut.o.valid, dut.done]
            assert [ctx.get(pin) for pin in pins] == [1, 0, 0, 1]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return taken


def test_init() -> None:
    dut = FlashReader(0x100000, 100, 24e6)
    assert (dut.address, dut.pause, dut.length) == (0x100000, 1024, 128)
    assert FlashReader(0, 257, 1e6).length == 272


@pytest.mark.parametrize("name", ["address", "length"])
@pytest.mark.parametrize("value", [1.0, "1", True, None])
def test_wrong_type(name: str, value: Any) -> None:
    values = {"address": 0, "length": 1} | {name: value}
    with pytest.raises(TypeError, match=re.escape(f"{name} must be an integer, not {value!r}")):
        FlashReader(**values, frequency=1e6)


@pytest.mark.parametrize("address", [-1, 1 << 24])
def test_wrong_address(address: int) -> None:
    with pytest.raises(ValueError, match=f"^address must have at most 24 bits, not {address}$"):
        FlashReader(address, 1, 1e6)


@pytest.mark.parametrize("length", [0, 257])
def test_wrong_length(length: int) -> None:
    with pytest.raises(ValueError, match=f"^length must be 1 to .*, 256, not {length}$"):
        FlashReader((1 << 24) - 256, length, 1e6)


@pytest.mark.parametrize("frequency", ["1", None, True])
def test_wrong_frequency_type(frequency: Any) -> None:
    message = re.escape(f"frequency must be a number of Hz, not {frequency!r}")
    with pytest.raises(TypeError, match=message):
        FlashReader(0, 1, frequency)


@pytest.mark.parametrize("frequency", [0, -1.0, float("nan"), float("inf")])
def test_wrong_frequency(frequency: float) -> None:
    with pytest.raises(
        ValueError, match=f"^frequency must be positive and finite, not {frequency}$"
    ):
        FlashReader(0, 1, frequency)


def test_commands() -> None:
    """Nothing for 30 us, AB, nothing for 30 us, 03 and the address; then a byte in 17 cycles."""
    flash = Flash(random.Random(2).randbytes(5000))
    dut = FlashReader(0x0001F3, 100, FREQUENCY)
    taken = simulate(dut, flash, spare=300)
    assert flash.commands == [b"\xab", b"\x03\x00\x01\xf3"]
    wake, read = flash.selected_in
    assert dut.pause == 128
    assert wake >= 120
    assert read - (wake + 16) >= 120
    # A cycle more for each end of a phase.
    assert (wake, read) == (129, 129 + 17 + 129)
    assert [cycle for cycle, _ in taken] == [read + 65 + 16 + 17 * k for k in range(dut.length)]
    assert dut.length == 112
    assert bytes(byte for _, byte in taken) == flash.content[0x1F3 : 0x1F3 + 112]


@pytest.mark.parametrize("address", [0, 0x5A5A5A, 0xFFFF00])
@pytest.mark.parametrize("chance", [0.02, 0.5])
def test_waits_for_who_takes(address: int, chance: float) -> None:
    flash = Flash(random.Random(3).randbytes(997))
    taken = simulate(FlashReader(address, 40, FREQUENCY), flash, chance=chance)
    expected = [flash.content[(address + k) % 997] for k in range(48)]
    assert [byte for _, byte in taken] == expected


@pytest.mark.parametrize("chance", [1.0, 0.03])
@pytest.mark.parametrize("stop", [1, 2, 7])
def test_stop(stop: int, chance: float) -> None:
    """Nothing comes behind, and chip select rises at once."""
    flash = Flash(bytes(range(100)))
    taken = simulate(FlashReader(10, 64, FREQUENCY), flash, stop=stop, chance=chance, spare=100)
    assert [byte for _, byte in taken] == list(range(10, 10 + stop))


def test_stop_while_a_byte_waits() -> None:
    """The byte stays until it is taken; then it is done."""
    dut = FlashReader(5, 64, FREQUENCY)
    flash = Flash(bytes(range(100)))

    async def bench(ctx: Any) -> None:
        for _ in range(600):
            level = flash.look(ctx.get(dut.cs), ctx.get(dut.sck), ctx.get(dut.copi))
            if level is not None:
                ctx.set(dut.cipo, level)
            await ctx.tick()
        assert ctx.get(dut.o.valid)
        ctx.set(dut.stop, 1)
        await ctx.tick().repeat(5)
        assert [ctx.get(x) for x in (dut.cs, dut.done, dut.o.valid, dut.o.payload)] == [1, 0, 1, 5]
        ctx.set(dut.o.ready, 1)
        await ctx.tick()
        assert [ctx.get(x) for x in (dut.cs, dut.done, dut.o.valid)] == [1, 1, 0]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_frames_pass_the_receiver() -> None:
    """The image's frames come out of the frame receiver whole, in order, none refused."""
    rng = random.Random(5)
    weights = bytes(rng.choice((0xC0, 0xDB, rng.randrange(256))) for _ in range(600))
    image = weight_frames(weights)
    m = Module()
    m.submodules.reader = reader = FlashReader(0, len(image), FREQUENCY)
    m.submodules.frames = frames = FrameReceiver()
    connect(m, reader.o, frames.i)
    flash = Flash(image.ljust(4096, b"\xff"))
    body, payloads = bytearray(), []

    async def bench(ctx: Any) -> None:
        ctx.set(frames.o.ready, 1)
        behind = 0
        # The last frame goes on when it is whole, a byte in two cycles.
        while behind < 2 * 256:
            behind += ctx.get(reader.done)
            level = flash.look(ctx.get(reader.cs), ctx.get(reader.sck), ctx.get(reader.copi))
            if level is not None:
                ctx.set(reader.cipo, level)
            assert not ctx.get(frames.refused)
            if ctx.get(frames.o.valid):
                body.append(ctx.get(frames.o.p.byte))
                if ctx.get(frames.o.p.last):
                    payloads.append(bytes(body))
                    body.clear()
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert payloads[0] == b"\x1f"
    assert [part[0] for part in payloads[1:]] == [0x20, 0x21, 0x22]
    assert b"".join(part[1:] for part in payloads[1:]) == weights
