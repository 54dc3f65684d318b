"""Testbench of an SPI peripheral: someone else's host on its lines."""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer
from spi_models import SpiBus, SpiConfig, SpiMaster

CASES = json.loads(Path(os.environ["SPIKELOOM_CASE"]).read_text(encoding="utf-8"))["cases"]
PERIOD = 10_000  # of the clock, in ps


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(case=CASES)
async def both_ways(dut, case) -> None:
    """Transfers of random lengths with random gaps; replies are there at random times.

    A case is the period of sck and the phase of the clock, both in ps, the mode and a seed.
    """
    rng = random.Random(case["seed"])
    sends, replies = rng.randbytes(50), rng.randbytes(30)
    # An idle byte among the replies could not be told from the device's own.
    replies = replies.replace(bytes([case["idle"]]), b"")
    mode = case["mode"]
    bus = SpiBus(dut, sclk_name="sck", mosi_name="copi", miso_name="cipo", cs_name="cs")
    config = SpiConfig(
        sclk_freq=1e12 / case["period"], cpol=mode == 3, cpha=mode == 3, frame_spacing_ns=200
    )
    received, broken = bytearray(), 0

    async def offer() -> None:
        for byte in replies:
            await Timer(rng.choice([1, 1, rng.randrange(1, 3_000)]), "ns")
            await FallingEdge(dut.clk)
            dut.i__payload.value = byte
            dut.i__valid.value = 1
            await RisingEdge(dut.clk)
            while not int(dut.i__ready.value):
                await RisingEdge(dut.clk)
            await FallingEdge(dut.clk)
            dut.i__valid.value = 0

    async def take() -> None:
        nonlocal broken
        while True:
            await RisingEdge(dut.clk)
            if int(dut.o__valid.value) and int(dut.o__ready.value):
                received.append(int(dut.o__payload.value))
            broken += int(dut.broken.value)
            await FallingEdge(dut.clk)
            # Not ready for up to two cycles.
            dut.o__ready.value = int(not int(dut.o__ready.value) or rng.random() < 0.5)

    dut.i__valid.value = 0
    dut.o__ready.value = 0
    dut.clk.value = 0
    dut.rst.value = 1
    host = SpiMaster(bus, config)
    await Timer(case["phase"] + 1, "ps")
    cocotb.start_soon(Clock(dut.clk, PERIOD, unit="ps").start())
    await Timer(10 * PERIOD, "ps")
    dut.rst.value = 0
    await Timer(10 * PERIOD, "ps")
    cocotb.start_soon(take())
    offering = cocotb.start_soon(offer())

    answers, sent = bytearray(), 0
    while sent < len(sends):
        length = rng.choice([1, 2, rng.randrange(1, 12)])
        await host.write(sends[sent : sent + length], burst=rng.random() < 0.7)
        await Timer(rng.choice([1, rng.randrange(1, 2_000)]), "ns")
        sent += length
        answers += host.read_nowait()
    # What is offered last has been sent one byte later.
    last = False
    while not last:
        last = offering.done()
        await host.write([0])
        answers += host.read_nowait()
    assert bytes(received[: len(sends)]) == sends
    assert not any(received[len(sends) :])
    assert len(received) == len(answers)
    assert answers.replace(bytes([case["idle"]]), b"") == replies
    assert broken == 0
