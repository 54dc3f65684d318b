"""Testbench of a board's netlist: a host on the serial line, and an eye on the lamps."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.triggers import Timer
from cocotbext.uart import UartSink, UartSource


@cocotb.test()
async def answers(dut) -> None:
    """Sends the bytes of ``case.json`` and reads as many as that expects; lamps are low-active."""
    case = json.loads(Path(os.environ["SPIKELOOM_CASE"]).read_text(encoding="utf-8"))
    dut.button_0__io.value = 1
    dut.clk12_0__io.value = 0
    source = UartSource(dut.uart_0__rx__io, baud=case["baud"])
    sink = UartSink(dut.uart_0__tx__io, baud=case["baud"])
    await Timer(200, "us")
    assert (dut.led_g_0__io.value, dut.led_r_0__io.value) == (1, 1)

    await source.write(bytes(case["send"]))
    answer = bytearray()
    while len(answer) < len(case["expect"]):
        answer += await sink.read(1)
    assert list(answer) == case["expect"]
    assert (dut.led_g_0__io.value, dut.led_r_0__io.value) == (0, 1)

    await source.write(bytes(case["illegal"]))
    await source.wait()
    await Timer(2, "us")
    assert dut.led_r_0__io.value == 0

    dut.button_0__io.value = 0
    await Timer(1, "us")
    dut.button_0__io.value = 1
    await Timer(200, "us")
    assert (dut.led_g_0__io.value, dut.led_r_0__io.value) == (1, 1)
    assert sink.empty()
