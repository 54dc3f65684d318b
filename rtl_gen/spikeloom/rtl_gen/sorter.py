"""The spikes of a step in the order in which they act, where that matters."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeloom.reference.scatter import three_sizes
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.junction import Source, joined_layout
from spikeloom.rtl_gen.memory import UNMET

__all__ = ["StepSorter"]


class StepSorter(wiring.Component):
    """Sends the spikes of a step connection by connection, in each in the order of the flat array.

    That is the golden model's order, whatever the order in which they come. Two tables of counts,
    one for each source, take turns: one is filled with the step under way, the other is read from
    its first to its last source, one a cycle, and cleared. A step without spikes is not read. After
    a reset the tables are cleared, which takes as many cycles as there are sources.

    Parameters
    ----------
    sources
        What the connections hear, in their order.
    repeats
        Whether an event of count c goes out as c events of one spike.

    Attributes
    ----------
    latency : int
        Cycles from a tick to its own at the output, where the step has no spikes, it begins no
        sequence, and no earlier step is being read.

    Members
    -------
    i
        Events with flat addresses. Of several spikes of a source in a step the last one counts. A
        restart stands before a step's first spike alone. Not ready while both tables are full.
    o
        Events with coordinates.
    """

    i: stream.Interface
    o: stream.Interface

    latency = 2

    def __init__(self, sources: Sequence[Source], *, repeats: bool) -> None:
        flat, _ = joined_layout(sources, flat=True)
        sent = [replace(each, most=1) for each in sources] if repeats else sources
        joined, offsets = joined_layout(sent, flat=False)
        self.repeats = repeats
        self.size = sum(math.prod(each.shape) for each in sources)
        # Coordinates of the first and of the last source of each connection.
        self._blocks = [
            (first, tuple(c + n - 1 for c, n in zip(first, three_sizes(each.shape), strict=True)))
            for first, each in zip(offsets, sources, strict=True)
        ]
        super().__init__({"i": In(stream.Signature(flat)), "o": Out(stream.Signature(joined))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        filled = Array(Signal(name=f"filled_{k}") for k in range(2))
        silent = Array(Signal(name=f"silent_{k}", init=1) for k in range(2))
        restart = Array(Signal(name=f"restart_{k}") for k in range(2))
        filling = Signal()
        reading = Signal()
        clearing = Signal(init=1)
        accept = Signal()
        m.d.comb += [
            self.i.ready.eq(~clearing & ~filled[filling]),
            accept.eq(self.i.valid & self.i.ready),
        ]
        with m.If(accept):
            with m.Switch(self.i.p.kind):
                with m.Case(EventKind.SPIKE):
                    m.d.sync += silent[filling].eq(0)
                with m.Case(EventKind.RESTART):
                    m.d.sync += restart[filling].eq(1)
                with m.Case(EventKind.TICK):
                    m.d.sync += [filled[filling].eq(1), filling.eq(~filling)]

        # A place is read in one cycle; in the next it is sent, if there is a count, and cleared.
        place = Signal(range(self.size))
        last = place == self.size - 1
        reads = Signal()
        passes = Signal()
        ended = Signal()
        found: Any = Signal(
            data.StructLayout(
                {"valid": 1, "place": place.shape(), "address": self.o.p.address.shape()}
            )
        )
        with m.If(passes):
            m.d.sync += [
                found.valid.eq(~ended),
                found.place.eq(place),
                found.address.eq(self._walk(m, reads)),
                ended.eq(~ended & last),
            ]
        with m.If(clearing | reads):
            m.d.sync += place.eq(Mux(last, 0, place + 1))
        with m.If(clearing & last):
            m.d.sync += clearing.eq(0)

        counts = []
        for k in range(2):
            table: Memory = Memory(
                shape=self.i.p.count.shape(), depth=self.size, init=[], attrs=UNMET
            )
            m.submodules[f"table_{k}"] = table
            read, write = table.read_port(), table.write_port()
            counts.append(read.data)
            m.d.comb += [read.addr.eq(place), read.en.eq(passes)]
            with m.If(clearing):
                m.d.comb += [write.addr.eq(place), write.en.eq(1)]
            with m.Elif(filled[k]):
                m.d.comb += [
                    write.addr.eq(found.place),
                    write.en.eq(passes & found.valid & (reading == k)),
                ]
            with m.Else():
                spikes = accept & (self.i.p.kind == EventKind.SPIKE) & (filling == k)
                m.d.comb += [
                    write.addr.eq(self.i.p.address),
                    write.data.eq(self.i.p.count),
                    write.en.eq(spikes),
                ]

        count = Mux(reading, counts[1], counts[0])
        sends = found.valid & (count != 0)
        with m.FSM():
            with m.State("open"):
                m.d.comb += [
                    self.o.p.kind.eq(EventKind.RESTART),
                    self.o.valid.eq(filled[reading] & restart[reading]),
                ]
                with m.If(filled[reading] & (~restart[reading] | self.o.ready)):
                    with m.If(silent[reading]):
                        m.next = "close"
                    with m.Else():
                        m.next = "scan"
            with m.State("scan"):
                whole = self._send(m, sends, count)
                m.d.comb += [
                    self.o.p.address.eq(found.address),
                    self.o.valid.eq(sends),
                    passes.eq(~sends | (self.o.ready & whole)),
                    reads.eq(passes & ~ended),
                ]
                with m.If(passes & ended):
                    m.next = "close"
            with m.State("close"):
                m.d.comb += [self.o.p.kind.eq(EventKind.TICK), self.o.valid.eq(1)]
                with m.If(self.o.ready):
                    m.d.sync += [
                        filled[reading].eq(0),
                        silent[reading].eq(1),
                        restart[reading].eq(0),
                        reading.eq(~reading),
                    ]
                    m.next = "open"
        return m

    def _send(self, m: Module, sends: Value, count: Value) -> Value:
        """Offer a count, or one spike after the other; whether what is offered is the last."""
        if not self.repeats:
            m.d.comb += self.o.p.count.eq(count)
            return Const(1)
        sent = Signal.like(count)
        whole = sent + 1 == count
        m.d.comb += self.o.p.count.eq(1)
        with m.If(sends & self.o.ready):
            m.d.sync += sent.eq(Mux(whole, 0, sent + 1))
        return whole

    def _walk(self, m: Module, steps: Value) -> Value:
        """Coordinates of the place that is read: connections one by one, the width first."""
        at: Any = Signal(self.o.p.address.shape())
        block = Signal(range(len(self._blocks)))
        with m.If(steps):
            with m.Switch(block):
                for k, (first, final) in enumerate(self._blocks):
                    c, y, x = (at[n] == end for n, end in zip("cyx", final, strict=True))
                    with m.Case(k):
                        m.d.sync += at.x.eq(Mux(x, first[2], at.x + 1))
                        with m.If(x):
                            m.d.sync += at.y.eq(Mux(y, first[1], at.y + 1))
                        with m.If(x & y):
                            m.d.sync += at.c.eq(at.c + 1)
                        with m.If(x & y & c):
                            following = (k + 1) % len(self._blocks)
                            start = dict(zip("cyx", self._blocks[following][0], strict=True))
                            m.d.sync += [block.eq(following)]
                            m.d.sync += [at[n].eq(begin) for n, begin in start.items()]
        return at
