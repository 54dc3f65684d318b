"""An SPI host in software, whose times are no multiples of the device's clock."""

from dataclasses import dataclass, field
from typing import Any

from spikeloom.rtl_gen.link.serial import SPINetwork
from spikeloom.rtl_gen.link.spi import SPIPeripheral

CHANGED = 9
"""Stands for a bit that was not the same while it was needed."""


@dataclass
class Host:
    """Times are in cycles of the device's clock.

    Each transfer is a number of bits, sent from ``sends`` on; chip select is high between them.
    """

    sends: bytes
    transfers: list[int]
    period: float = SPIPeripheral.period
    duty: float = 0.5
    phase: float = 0.0
    mode: int = 0
    setup: float = 0.0
    hold: float = 0.0
    bits: list[list[int]] = field(default_factory=list)

    async def run(self, ctx: Any, dut: SPIPeripheral | SPINetwork) -> None:
        """Sample cipo ``setup`` before a rise; it must be the same ``hold`` behind it."""
        rest = self.mode // 3
        copi = iter([byte >> k & 1 for byte in self.sends for k in reversed(range(8))])
        high, low = self.duty * self.period, (1 - self.duty) * self.period
        ctx.set(dut.cs, 1)
        ctx.set(dut.sck, rest)
        await ctx.delay(10 + self.phase)
        for length in self.transfers:
            bits: list[int] = []
            self.bits.append(bits)
            ctx.set(dut.cs, 0)
            await ctx.delay(self.period - low)
            for _ in range(length):
                ctx.set(dut.sck, 0)
                ctx.set(dut.copi, next(copi))
                await ctx.delay(low - self.setup)
                before = ctx.get(dut.cipo)
                await ctx.delay(self.setup)
                ctx.set(dut.sck, 1)
                await ctx.delay(self.hold)
                bits.append(before if ctx.get(dut.cipo) == before else CHANGED)
                await ctx.delay(high - self.hold)
            ctx.set(dut.sck, rest)
            ctx.set(dut.copi, 0)
            await ctx.delay(low)
            ctx.set(dut.cs, 1)
            await ctx.delay(2 * self.period)

    def bytes(self) -> bytes:
        """What was read; all transfers are of whole bytes."""
        return b"".join(as_bytes(bits) for bits in self.bits)


def as_bytes(bits: list[int]) -> bytes:
    """Whole bytes of bits, the highest first."""
    return bytes(
        int("".join(map(str, bits[k : k + 8])), 2) for k in range(0, len(bits) // 8 * 8, 8)
    )
