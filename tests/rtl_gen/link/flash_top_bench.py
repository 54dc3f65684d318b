"""Testbench of a flash reader with a flash on its pins, which is asleep at first."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

CASE = json.loads(Path(os.environ["SPIKELOOM_CASE"]).read_text(encoding="utf-8"))


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def reads(dut) -> None:
    content = bytes(CASE["content"])
    dut.clk.value = 0
    dut.rst.value = 1
    dut.stop.value = 0
    dut.o__ready.value = 1
    cocotb.start_soon(Clock(dut.clk, CASE["period"], unit="ns").start())
    await RisingEdge(dut.clk)
    dut.flash.powered_up.value = 0
    for k, byte in enumerate(content):
        dut.flash.memory[CASE["address"] + k].value = byte
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    taken = bytearray()
    while not int(dut.done.value):
        await RisingEdge(dut.clk)
        if int(dut.o__valid.value):
            taken.append(int(dut.o__payload.value))
    assert taken == content
