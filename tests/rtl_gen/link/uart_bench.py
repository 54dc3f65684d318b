"""Testbench of a network on a serial line: someone else's serial port with its own rate."""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Timer
from cocotbext.uart import UartSink, UartSource

CASE = json.loads(Path(os.environ["SPIKELOOM_CASE"]).read_text(encoding="utf-8"))
BIT = CASE["bit"]  # of the device, in ns


@cocotb.test(timeout_time=100, timeout_unit="ms")
@cocotb.parametrize(error=CASE["errors"])
async def converses(dut, error: int) -> None:
    """Sends with random gaps and keeps what is answered, until nothing has come for long.

    The error is that of the host's bits in percent.
    """
    rng = random.Random(error)
    # A little less than the rate of so many ns, which the models round down.
    baud = 1e9 / (BIT * (100 + error) / 100 + 0.01)
    dut.clk.value = 0
    dut.rst.value = 1
    source = UartSource(dut.rx, baud=baud)
    sink = UartSink(dut.tx, baud=baud)
    await Timer(100 + rng.randrange(CASE["period"]), "ns")
    cocotb.start_soon(Clock(dut.clk, CASE["period"], unit="ns").start())
    await Timer(10 * CASE["period"], "ns")
    dut.rst.value = 0
    await Timer(10 * CASE["period"], "ns")
    for byte in CASE["send"]:
        await source.write([byte])
        if rng.random() < 0.3:
            await source.wait()
            await Timer(rng.randrange(1, 20 * BIT), "ns")
    await source.wait()
    answer = bytearray()
    while True:
        await sink.wait(200 * BIT, "ns")
        if sink.empty():
            break
        answer += sink.read_nowait()
    Path(CASE["answers"], f"{error}.bin").write_bytes(answer)
