"""Asynchronous serial line, 8N1: a start bit, eight data bits with the lowest first, a stop bit."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer  # type: ignore[import-untyped]
from amaranth.lib.wiring import In, Out

__all__ = ["UARTReceiver", "UARTTransmitter", "uart_divisor"]

LEAST_DIVISOR = 8
"""Cycles of a bit from which on the receiver stands its tolerance: it finds the start bit's edge
to within 1 cycle and the bit's middle to within 1/2, 3/16 of a bit together; 2 % over the 9.5
bits up to the stop bit's middle are 19 % of a bit, and the sum stays below half a bit."""


def uart_divisor(clock: float, baud: float) -> int:
    """Clock cycles of a bit.

    Parameters
    ----------
    clock
        Clock frequency in Hz.
    baud
        Bits a second.

    Raises
    ------
    ValueError
        If a bit would have less than 8 cycles, or its length would be more than 1 % off: half of
        what the receiver stands, the other half is the other side's.
    """
    if not (clock > 0 and baud > 0):
        raise ValueError(f"clock and baud must be positive, not {clock!r} and {baud!r}")
    divisor = round(clock / baud)
    if divisor < LEAST_DIVISOR:
        raise ValueError(
            f"baud must be at most 1/{LEAST_DIVISOR} of the clock, {clock / LEAST_DIVISOR:.0f} of"
            f" {clock / 1e6:g} MHz, not {baud!r}"
        )
    if abs(divisor * baud / clock - 1) > 0.01:
        raise ValueError(
            f"baud must be within 1 % of what {clock / 1e6:g} MHz can be divided to, not {baud!r}:"
            f" the nearest is {clock / divisor:.0f}"
        )
    return divisor


def _check_divisor(divisor: int) -> None:
    if not isinstance(divisor, int) or isinstance(divisor, bool):
        raise TypeError(f"divisor must be an integer, not {divisor!r}")
    if divisor < LEAST_DIVISOR:
        raise ValueError(f"divisor must be at least {LEAST_DIVISOR}, not {divisor!r}")


class UARTReceiver(wiring.Component):
    """Bytes from a serial line.

    The line is synchronised by two flip-flops and each bit sampled in its middle, counted from the
    edge of the start bit; a sender may be 2 % off. A low level that is over in the middle of the
    start bit is ignored. The receiver listens once it has seen the line at rest (high), so a line
    that is held low breaks one byte and gives none.

    Parameters
    ----------
    divisor
        Clock cycles of a bit, at least 8.

    Attributes
    ----------
    latency : int
        Cycles from the first low cycle of the start bit to the byte.

    Members
    -------
    rx
        The line, not synchronous to the clock.
    o
        Bytes received.
    broken
        High for the cycle in which a byte is dropped: one without a stop bit, or one that arrives
        while the one before has not been taken.

    Raises
    ------
    TypeError, ValueError
        If the divisor is not an integer of at least 8.
    """

    rx: Signal
    o: stream.Interface
    broken: Signal

    def __init__(self, divisor: int) -> None:
        _check_divisor(divisor)
        self.divisor = divisor
        self.latency = 3 + divisor // 2 + 9 * divisor
        super().__init__(
            {
                "rx": In(1),
                "o": Out(stream.Signature(8)),
                "broken": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rx = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, rx, init=1)
        timer = Signal(range(self.divisor))
        bits_left = Signal(range(11))
        shift = Signal(8)
        rested = Signal()

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(bits_left == 0):
            m.d.sync += timer.eq(self.divisor // 2 - 1)
            with m.If(rx):
                m.d.sync += rested.eq(1)
            with m.Elif(rested):
                m.d.sync += bits_left.eq(10)
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [
                timer.eq(self.divisor - 1),
                bits_left.eq(bits_left - 1),
                shift.eq(Cat(shift[1:], rx)),
            ]
            with m.If((bits_left == 10) & rx):
                m.d.sync += bits_left.eq(0)
            with m.If(bits_left == 1):
                with m.If(~rx):
                    m.d.sync += rested.eq(0)
                    m.d.comb += self.broken.eq(1)
                with m.Elif(self.o.valid & ~self.o.ready):
                    m.d.comb += self.broken.eq(1)
                with m.Else():
                    m.d.sync += [self.o.payload.eq(shift), self.o.valid.eq(1)]
        return m


class UARTTransmitter(wiring.Component):
    """Bytes onto a serial line.

    Throughput is one byte in ``10 * divisor`` cycles, without a gap between stop and start bit.

    Parameters
    ----------
    divisor
        Clock cycles of a bit, at least 8.

    Attributes
    ----------
    latency : int
        Cycles from taking a byte to the first cycle of its start bit.

    Members
    -------
    i
        Bytes to send.
    tx
        The line, from a flip-flop.

    Raises
    ------
    TypeError, ValueError
        If the divisor is not an integer of at least 8.
    """

    i: stream.Interface
    tx: Signal

    latency = 1

    def __init__(self, divisor: int) -> None:
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self.divisor))
        bits_left = Signal(range(11))
        shift = Signal(10, init=0x3FF)
        # A register, for all the logic that waits for it: high from the stop bit's last cycle on.
        free = Signal(init=1)
        m.d.comb += [self.tx.eq(shift[0]), self.i.ready.eq(free)]
        with m.If((bits_left == 1) & (timer == 1)):
            m.d.sync += free.eq(1)
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(bits_left != 0):
            m.d.sync += [
                timer.eq(self.divisor - 1),
                bits_left.eq(bits_left - 1),
                shift.eq(Cat(shift[1:], Const(1, 1))),
            ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                free.eq(0),
                timer.eq(self.divisor - 1),
                bits_left.eq(10),
                shift.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1))),
            ]
        return m
