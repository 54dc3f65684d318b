"""SPI, the peripheral's side: bytes with the highest bit first, while chip select is low."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer  # type: ignore[import-untyped]
from amaranth.lib.wiring import In, Out

__all__ = ["SPIPeripheral"]


class SPIPeripheral(wiring.Component):
    """Bytes from an SPI host, and as many to it.

    Mode 0: the host samples cipo where sck rises, and changes copi where it falls. Mode 3, whose
    sck rests high, works as well.

    The lines are synchronised by two flip-flops each and looked at in every cycle. ``cipo`` goes
    on to the next bit not where sck falls but already behind its rise, 2 to 3 cycles later, so
    that a host may take all of its period but these for its pins and its own setup. The shortest
    period of sck is :attr:`period` cycles, of which one is then left; high and low it must be for
    more than one cycle each, and chip select must be low for :attr:`period` cycles before the
    first rise.

    A byte to send is fetched while chip select is high, or together with the last bit of the byte
    before; where there is none by then, the next byte is ``idle``. It is given up only when the
    host has clocked all of it: when chip select rises earlier, it is sent again from its first
    bit. So no byte is lost or doubled, whatever the host does.

    A received byte has to be taken before the next bit is in, in the 3rd cycle at the latest where
    sck has the shortest period. Where it is not, it stays, and the byte that follows is lost.

    Parameters
    ----------
    idle
        Byte that is sent while there is none to send.

    Attributes
    ----------
    period : int
        Cycles of sck's shortest period.
    latency : int
        Cycles, at most, from a rise of sck to the next bit on ``cipo``, or to the byte that is
        whole with it.

    Members
    -------
    sck, copi, cs
        The lines from the host, not synchronous to the clock; chip select is active when low.
    cipo
        The line to the host; driven always, so the pin's driver belongs to chip select.
    i
        Bytes to send.
    o
        Bytes received.
    broken
        High for a cycle where a byte was lost: it was whole before the one before had been taken,
        or chip select rose in its middle.

    Raises
    ------
    TypeError, ValueError
        If ``idle`` is no byte.
    """

    sck: Signal
    copi: Signal
    cipo: Signal
    cs: Signal
    i: stream.Interface
    o: stream.Interface
    broken: Signal

    period = 4
    latency = 3

    def __init__(self, idle: int) -> None:
        if not isinstance(idle, int) or isinstance(idle, bool):
            raise TypeError(f"idle must be an integer, not {idle!r}")
        if not 0 <= idle <= 255:
            raise ValueError(f"idle must be 0 to 255, not {idle!r}")
        self.idle = idle
        super().__init__(
            {
                "sck": In(1),
                "copi": In(1),
                "cipo": Out(1),
                "cs": In(1),
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "broken": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sck = Signal()
        copi = Signal()
        cs = Signal(init=1)
        m.submodules.sck = FFSynchronizer(self.sck, sck)
        m.submodules.copi = FFSynchronizer(self.copi, copi)
        m.submodules.cs = FFSynchronizer(self.cs, cs, init=1)
        # High while the device is not selected, for then no rise counts.
        before = Signal(init=1)
        place = Signal(3)
        rises = Signal()
        whole = Signal()
        m.d.comb += [rises.eq(sck & ~before), whole.eq(rises & place.all())]
        m.d.sync += before.eq(sck | cs)
        with m.If(cs):
            m.d.sync += place.eq(0)
        with m.Elif(rises):
            m.d.sync += place.eq(place + 1)
        lost = self._receive(m, rises, whole, copi)
        with m.If(cs):
            m.d.sync += lost.eq(0)
            m.d.comb += self.broken.eq(place.any())
        self._send(m, place, whole, cs)
        return m

    def _receive(self, m: Module, rises: Signal, whole: Signal, copi: Signal) -> Signal:
        """Shift bits in where the byte will be; high where there was no room for one of them."""
        lost = Signal()
        full = Signal()
        byte = Signal(8, reset_less=True)
        m.d.comb += [self.o.payload.eq(byte), full.eq(self.o.valid & ~self.o.ready)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(rises):
            with m.If(full):
                m.d.sync += lost.eq(1)
            with m.Else():
                m.d.sync += byte.eq(Cat(copi, byte[:7]))
        with m.If(whole):
            m.d.comb += self.broken.eq(lost | full)
            m.d.sync += [lost.eq(0), self.o.valid.eq(full | ~lost)]
        return lost

    def _send(self, m: Module, place: Signal, whole: Signal, cs: Signal) -> None:
        """Hold a byte and choose its bits; between two bytes the next one is fetched."""
        byte = Signal(8, init=self.idle, reset_less=True)
        full = Signal()
        m.d.comb += [
            self.cipo.eq(byte.bit_select(~place, 1)),
            self.i.ready.eq(whole | (cs & ~full)),
        ]
        with m.If(self.i.ready):
            m.d.sync += [full.eq(self.i.valid), byte.eq(Mux(self.i.valid, self.i.p, self.idle))]
