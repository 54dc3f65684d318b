"""What goes onto a board: clock, reset, pins and lamps around a network."""

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
from spikeloom.rtl_gen.link.linked import EventNetwork
from spikeloom.rtl_gen.link.serial import SerialNetwork
from spikeloom.rtl_gen.link.uart import uart_divisor

__all__ = ["BoardTop", "board_clock"]

RESET_CYCLES = 1 << 12
"""Length of the reset once the clock is stable: at 275 MHz still the 15 us that block RAMs of an
iCE40 may need after configuration before they can be read (Project IceStorm, issue 76)."""

GLOW = 0.04
"""How long a lamp glows after a spike, in seconds, before it is rounded up to cycles of a power of
two: 44 ms at 24 MHz, 42 ms at 100 MHz."""


def board_clock(
    board: Board, frequency: float | None = None, baud: int | None = None
) -> tuple[PLL, int]:
    """The loop that makes a board's clock, and the cycles of a bit of its serial line.

    Parameters
    ----------
    board
        The board.
    frequency, baud
        Clock frequency in Hz, and bits a second; ``None`` is the board's own.

    Raises
    ------
    TypeError, ValueError
        If the loop cannot be set to the frequency, or the serial line's bits would be more than
        1 % off.
    """
    make = board.pll or board.family.pll
    pll = make(board.oscillator, board.clock if frequency is None else frequency)
    baud = board.baud if baud is None else baud
    divisor = uart_divisor(pll.frequency, baud)
    if abs(divisor * baud / pll.frequency - 1) > 0.01:
        raise ValueError(
            f"baud must be within 1 % of what {pll.frequency / 1e6:g} MHz can be divided to, not"
            f" {baud!r}: the nearest is {pll.frequency / divisor:.0f}"
        )
    return pll, divisor


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
    frequency, baud
        Clock frequency in Hz, and bits a second of the serial line; ``None`` is the board's own.

    Attributes
    ----------
    frequency : float
        Clock frequency in Hz, as the phase-locked loop makes it.
    baud : int
        Bits a second of the serial line.

    Raises
    ------
    TypeError, ValueError
        If the loop or the serial line cannot be set to the frequency, or the network's streams
        are not of events.
    """

    def __init__(
        self,
        network: EventNetwork,
        board: Board,
        frequency: float | None = None,
        baud: int | None = None,
    ) -> None:
        self.board = board
        self._pll, divisor = board_clock(board, frequency, baud)
        self.frequency = self._pll.frequency
        self.baud = board.baud if baud is None else baud
        self._serial = SerialNetwork(network, divisor)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.serial = serial = self._serial
        pin = partial(platform.request, dir="-")
        uart = pin("uart")
        m.submodules.rx = rx = Buffer(Direction.Input, uart.rx)
        m.submodules.tx = tx = Buffer(Direction.Output, uart.tx)
        pressed = Signal()
        if self.board.button is not None:
            m.submodules.button = button = Buffer(Direction.Input, pin(*self.board.button))
            m.d.comb += pressed.eq(button.i)
        m.submodules.spike = spike = Buffer(Direction.Output, pin(*self.board.spike_lamp))
        m.submodules.error = error = Buffer(Direction.Output, pin(*self.board.error_lamp))
        self._add_clock(m, platform, pressed)
        m.d.comb += [serial.rx.eq(rx.i), tx.o.eq(serial.tx), error.o.eq(serial.error)]

        cycles = 1 << int(GLOW * self.frequency).bit_length()
        glow = Signal(range(cycles + 1), init=cycles)
        m.d.comb += spike.o.eq(~glow[-1])
        with m.If(serial.spike):
            m.d.sync += glow.eq(0)
        with m.Elif(~glow[-1]):
            m.d.sync += glow.eq(glow + 1)
        return m

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
