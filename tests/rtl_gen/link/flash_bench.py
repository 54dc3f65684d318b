"""Testbench of a flash reader: a flash made of someone else's SPI device."""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer
from cocotb.utils import get_sim_time
from spi_models import SpiBus, SpiConfig, SpiFrameError, SpiSlaveBase

CASE = json.loads(Path(os.environ["SPIKELOOM_CASE"]).read_text(encoding="utf-8"))
WAKING = 30_000  # ns
WAKE, READ = 0xAB, 0x03


class Flash(SpiSlaveBase):
    """Sleeps until it is told to wake up, which takes its time; then it can be read."""

    def __init__(self, bus: SpiBus, content: bytes) -> None:
        self._config = SpiConfig(cpol=False, cpha=False, frame_spacing_ns=100)
        self._content = content
        self._awake_from = float("inf")
        self.read_from: list[int] = []
        super().__init__(bus)

    async def _transaction(self, frame_start, frame_end) -> None:
        await frame_start
        self.idle.clear()
        try:
            command = await self._shift(8)
            if command == WAKE:
                await frame_end
                self._awake_from = get_sim_time("ns") + WAKING
            elif command == READ and get_sim_time("ns") >= self._awake_from:
                await self._read(await self._shift(24))
        except SpiFrameError:
            pass

    async def _read(self, address: int) -> None:
        self.read_from.append(address)
        # The base sends a bit behind its fall, a flash behind the one before.
        now = self._at(address)
        self._miso.value = now >> 7
        while True:
            address += 1
            following = self._at(address)
            await self._shift(8, (now << 1 | following >> 7) & 0xFF)
            now = following

    def _at(self, address: int) -> int:
        return self._content[address % len(self._content)]


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize((("chance", "stop"), [(1.0, None), (0.05, None), (0.1, 21)]))
async def reads(dut, chance: float, stop: int | None) -> None:
    """All bytes, or as many as are wanted, taken at once or at random times."""
    rng = random.Random(1)
    content = bytes(CASE["content"])
    bus = SpiBus(dut, sclk_name="sck", mosi_name="copi", miso_name="cipo", cs_name="cs")
    dut.o__ready.value = 0
    dut.stop.value = 0
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, CASE["period"], unit="ns").start())
    for _ in range(3):
        await RisingEdge(dut.clk)
    await FallingEdge(dut.clk)
    flash = Flash(bus, content)
    dut.rst.value = 0
    taken = bytearray()
    while not int(dut.done.value):
        await RisingEdge(dut.clk)
        if int(dut.o__valid.value) and int(dut.o__ready.value):
            taken.append(int(dut.o__payload.value))
        await FallingEdge(dut.clk)
        dut.o__ready.value = int(rng.random() < chance)
        dut.stop.value = int(stop is not None and len(taken) >= stop)
    await Timer(10 * CASE["period"], "ns")
    assert int(dut.cs.value) == 1
    assert flash.read_from == [CASE["address"]]
    expected = content[CASE["address"] :][: stop or CASE["length"]]
    assert taken == expected
