"""What goes onto a board: clock, reset, pins and lamps around a network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Elaboratable,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib.cdc import ResetSynchronizer  # type: ignore[import-untyped]
from amaranth.lib.io import Buffer, Direction

from spikeloom.boards.board import Board
from spikeloom.boards.family import PLL
from spikeloom.reference.flash_image import weight_frames
from spikeloom.rtl_gen.link.flash import FlashReader
from spikeloom.rtl_gen.link.from_flash import FlashLoadedNetwork
from spikeloom.rtl_gen.link.linked import EventNetwork, LinkedNetwork, weight_bytes
from spikeloom.rtl_gen.link.serial import SerialNetwork, SPINetwork
from spikeloom.rtl_gen.link.uart import uart_divisor

__all__ = ["SERIAL", "WEIGHTS_ADDRESS", "BoardTop", "HostLink", "board_clock"]

WEIGHTS_ADDRESS = 1 << 18
"""Where in a flash weights lie: behind the 104,090 bytes of an iCE40UP5K's bitstream, where a block
of 64 KiB begins that can be erased."""

_Pins = list[tuple[Any, Any]]

RESET_CYCLES = 1 << 12
"""Length of the reset once the clock is stable: at 275 MHz still the 15 us that block RAMs of an
iCE40 may need after configuration before they can be read (Project IceStorm, issue 76)."""

GLOW = 0.04
"""How long a lamp glows after a spike, in seconds, before it is rounded up to cycles of a power of
two: 44 ms at 24 MHz, 42 ms at 100 MHz."""


def board_clock(board: Board, frequency: float | None = None) -> PLL:
    """The loop that makes a board's clock.

    Parameters
    ----------
    board
        The board.
    frequency
        Clock frequency in Hz; ``None`` is the board's own.

    Raises
    ------
    TypeError, ValueError
        If the loop cannot be set to the frequency.
    """
    make = board.pll or board.family.pll
    return make(board.oscillator, board.clock if frequency is None else frequency)


@dataclass(frozen=True, kw_only=True)
class HostLink:
    """How a host gets at a network on a board.

    Attributes
    ----------
    baud
        Bits a second of the serial line, where there is one; ``None`` is the board's own.
    spi
        Whether the board is the peripheral of an SPI host, and has no serial line.
    flash
        Whether weights are loaded from the board's flash when the power comes.
    monitor
        Whether membrane potentials and counters can be read, at the cost of some logic.
    """

    baud: int | None = None
    spi: bool = False
    flash: bool = False
    monitor: bool = False


SERIAL = HostLink()
"""The serial line that the board has."""


class BoardTop(Elaboratable):
    """A network on a board.

    The board's oscillator drives a phase-locked loop, which drives everything else. Reset lasts
    until the loop has locked and for 4096 cycles more; the board's button resets too, if there is
    one. One lamp glows for a moment after each spike that is sent, the other shows ``error`` of
    :class:`~spikeloom.rtl_gen.link.serial.SerialNetwork`, which only a reset clears.

    Parameters
    ----------
    network
        As :class:`~spikeloom.rtl_gen.link.serial.SerialNetwork`'s.
    board
        The board.
    frequency
        Clock frequency in Hz; ``None`` is the board's own.
    link
        How a host gets at it.

    Attributes
    ----------
    frequency : float
        Clock frequency in Hz, as the phase-locked loop makes it.
    baud : int
        Bits a second of the serial line.

    Raises
    ------
    TypeError, ValueError
        If the loop or the serial line cannot be set to the frequency, the network's streams are
        not of events, the board has no SPI or no flash for this, there are no weights to be
        loaded, or a rate is given for a serial line that there is none of.
    """

    def __init__(
        self,
        network: EventNetwork,
        board: Board,
        frequency: float | None = None,
        link: HostLink = SERIAL,
    ) -> None:
        self.board = board
        self._pll = board_clock(board, frequency)
        self.frequency = self._pll.frequency
        self.baud = board.baud if link.baud is None else link.baud
        plain = LinkedNetwork(network, link.monitor)
        linked = FlashLoadedNetwork(plain, self._reader(network)) if link.flash else plain
        self._loaded = linked
        self._line: SerialNetwork | SPINetwork
        if link.spi:
            if board.spi is None:
                raise ValueError(f"{board.title} must have a connector for SPI, but has none")
            if link.baud is not None:
                raise ValueError(f"baud must be left out where the host has SPI, not {link.baud!r}")
            self._line = SPINetwork(linked)
        else:
            self._line = SerialNetwork(linked, uart_divisor(self.frequency, self.baud))

    def _reader(self, network: EventNetwork) -> FlashReader:
        if self.board.flash is None:
            raise ValueError(f"{self.board.title} must have a flash for weights, but has none")
        weights = weight_bytes(network)
        if not weights:
            raise ValueError("weights must be loaded to lie in the flash; these are configured")
        return FlashReader(WEIGHTS_ADDRESS, len(weight_frames(weights)), self.frequency)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.line = line = self._line
        pin = partial(platform.request, dir="-")
        inputs, outputs = self._pins(pin)
        for k, (port, signal) in enumerate(inputs):
            m.submodules[f"input_{k}"] = buffer = Buffer(Direction.Input, port)
            m.d.comb += signal.eq(buffer.i)
        for k, (port, signal) in enumerate(outputs):
            m.submodules[f"output_{k}"] = buffer = Buffer(Direction.Output, port)
            m.d.comb += buffer.o.eq(signal)
            if isinstance(line, SPINetwork) and signal is line.cipo:
                m.d.comb += buffer.oe.eq(~line.cs)
        pressed = Signal()
        if self.board.button is not None:
            m.submodules.button = button = Buffer(Direction.Input, pin(*self.board.button))
            m.d.comb += pressed.eq(button.i)
        m.submodules.spike = spike = Buffer(Direction.Output, pin(*self.board.spike_lamp))
        m.submodules.error = error = Buffer(Direction.Output, pin(*self.board.error_lamp))
        self._add_clock(m, platform, pressed)
        m.d.comb += error.o.eq(line.error)

        cycles = 1 << int(GLOW * self.frequency).bit_length()
        glow = Signal(range(cycles + 1), init=cycles)
        m.d.comb += spike.o.eq(~glow[-1])
        with m.If(line.spike):
            m.d.sync += glow.eq(0)
        with m.Elif(~glow[-1]):
            m.d.sync += glow.eq(glow + 1)
        return m

    def _pins(self, pin: Callable[..., Any]) -> tuple[_Pins, _Pins]:
        """Ports of the platform that are inputs and outputs, with what they lead to.

        Where the platform says that a pin is active when low, it would be inverted on the way.
        """
        line, loaded = self._line, self._loaded
        inputs: _Pins = []
        outputs: _Pins = []
        if isinstance(line, SerialNetwork):
            uart = pin("uart")
            inputs, outputs = [(uart.rx, line.rx)], [(uart.tx, line.tx)]
        elif self.board.spi is not None:
            spi = pin(*self.board.spi)
            inputs = [(spi.clk, line.sck), (spi.copi, line.copi), (~spi.cs, line.cs)]
            outputs = [(spi.cipo, line.cipo)]
        if isinstance(loaded, FlashLoadedNetwork):
            flash = pin("spi_flash_1x")
            inputs.append((flash.cipo, loaded.cipo))
            outputs += [(flash.clk, loaded.sck), (flash.copi, loaded.copi), (~flash.cs, loaded.cs)]
        return inputs, outputs

    def _add_clock(self, m: Module, platform: Any, button: Signal) -> None:
        """Add clock and reset. nextpnr derives the clock's constraint from the oscillator's."""
        clock = Signal()
        locked = Signal()
        oscillator = platform.request(platform.default_clk, dir="-")
        m.submodules.pll = self._pll.create(oscillator, clock, locked)
        m.domains.locked = ClockDomain("locked", local=True)
        m.domains.sync = ClockDomain("sync")
        m.submodules.locked = ResetSynchronizer(~locked | button, domain="locked")
        age = Signal(range(RESET_CYCLES + 1))
        with m.If(~age[-1]):
            m.d.locked += age.eq(age + 1)
        m.d.comb += [
            ClockSignal("locked").eq(clock),
            ClockSignal("sync").eq(clock),
            ResetSignal("sync").eq(~age[-1]),
        ]
