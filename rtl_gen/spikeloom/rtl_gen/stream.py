"""What stands between two stream interfaces."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StreamBuffer"]


class StreamBuffer(wiring.Component):
    """Two places that cut the combinational path from the consumer's ready to the producer's.

    Throughput is one payload a cycle.

    Parameters
    ----------
    shape
        Shape of the payload.

    Attributes
    ----------
    latency : int
        Cycles from input to output, without back-pressure.
    """

    i: stream.Interface
    o: stream.Interface

    latency = 1

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waiting = Signal.like(self.i.payload)
        occupied = Signal()
        m.d.comb += self.i.ready.eq(~occupied)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += self.o.valid.eq(occupied | self.i.valid)
            m.d.sync += occupied.eq(0)
            with m.If(occupied):
                m.d.sync += self.o.payload.eq(waiting)
            with m.Else():
                m.d.sync += self.o.payload.eq(self.i.payload)
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [waiting.eq(self.i.payload), occupied.eq(1)]
        return m
