"""Someone else's models of an SPI host and of an SPI device.

Their release was written for cocotb 1; what it needs of that and cocotb 2 has not, they are lent.
"""

import cocotb.clock
from cocotb.handle import LogicObject
from cocotb.types import Logic

__all__ = ["SpiBus", "SpiConfig", "SpiFrameError", "SpiMaster", "SpiSlaveBase"]


class _BaseClock:
    def __init__(self, signal: LogicObject) -> None:
        self.signal = signal


cocotb.clock.BaseClock = _BaseClock
Logic.integer = property(int)

from cocotbext.spi import (  # noqa: E402
    SpiBus,
    SpiConfig,
    SpiFrameError,
    SpiMaster,
    SpiSlaveBase,
)
