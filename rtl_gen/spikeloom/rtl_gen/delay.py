"""Time between a spike and its effect: step delays, loops, and several sources in one step."""

import math
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeloom.reference.maps import Shape
from spikeloom.rtl_gen.events import EventKind, coordinates, flat_address
from spikeloom.rtl_gen.fixed import index_shape
from spikeloom.rtl_gen.memory import UNMET

__all__ = ["EventQueue", "StepDelay", "StepMerge", "add_offsets", "loop_depth"]


class StepDelay(wiring.Component):
    """Delays spikes by whole steps, each source by its own.

    A ring of lists, one for each step under way: a spike goes to the list of the step in which it
    is due; a tick sends the list that is due, then the tick. A restart empties all lists.

    Parameters
    ----------
    layout
        Layout of the events.
    shape
        Shape of the source; each neuron sends one spike a step at most.
    delays
        Steps of each neuron, in the order of the flat array, or one number for all; at least 0.

    Members
    -------
    i, o
        Events.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self, layout: data.StructLayout, shape: Shape, delays: int | Sequence[int]
    ) -> None:
        self.layout = layout
        self.shape = shape
        self.size = math.prod(shape)
        self.delays = [delays] * self.size if isinstance(delays, int) else list(delays)
        self.lists = max(self.delays) + 1
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        place = index_shape(self.size).width
        entry = data.StructLayout(
            {"address": self.layout["address"].shape, "count": self.layout["count"].shape}
        )
        memory: Memory = Memory(shape=entry, depth=self.lists << place, init=[], attrs=UNMET)
        m.submodules.memory = memory
        write, read = memory.write_port(), memory.read_port()
        levels = Array(Signal(range(self.size + 1), name=f"level_{k}") for k in range(self.lists))
        now = Signal(range(self.lists))
        delay = self._delay(m)
        due = Signal(range(self.lists))
        late = Signal(range(2 * self.lists))
        m.d.comb += [
            late.eq(now + delay),
            due.eq(Mux(late >= self.lists, late - self.lists, late)),
        ]
        event = self.i.p
        level = Signal(range(self.size + 1))
        m.d.comb += level.eq(levels[due])
        sending = Signal()
        sent = Signal(range(self.size + 1))
        fetched = Signal()
        advance = ~self.o.valid | self.o.ready
        m.d.comb += [
            write.addr.eq(Cat(level[:place], due)),
            write.data.address.eq(event.address),
            write.data.count.eq(event.count),
            read.addr.eq(Cat(sent[:place], now)),
            read.en.eq(1),
        ]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(0)
        with m.If(sending):
            # A place a turn of two cycles: one to read it, one to send it.
            with m.If(sent == levels[now]):
                with m.If(advance):
                    m.d.sync += [
                        self.o.valid.eq(1),
                        self.o.p.eq(self.layout.const({"kind": EventKind.TICK})),
                        sending.eq(0),
                        levels[now].eq(0),
                        now.eq(Mux(now == self.lists - 1, 0, now + 1)),
                    ]
            with m.Elif(~fetched):
                m.d.sync += fetched.eq(1)
            with m.Elif(advance):
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.p.kind.eq(EventKind.SPIKE),
                    self.o.p.address.eq(read.data.address),
                    self.o.p.count.eq(read.data.count),
                    sent.eq(sent + 1),
                    fetched.eq(0),
                ]
        with m.Else():
            with m.Switch(event.kind):
                with m.Case(EventKind.SPIKE):
                    m.d.comb += [self.i.ready.eq(1), write.en.eq(self.i.valid)]
                    with m.If(self.i.valid):
                        m.d.sync += levels[due].eq(levels[due] + 1)
                with m.Case(EventKind.TICK):
                    m.d.comb += self.i.ready.eq(1)
                    m.d.sync += [sending.eq(self.i.valid), sent.eq(0), fetched.eq(0)]
                with m.Case(EventKind.RESTART):
                    m.d.comb += self.i.ready.eq(advance)
                    with m.If(self.i.valid & advance):
                        m.d.sync += [self.o.valid.eq(1), self.o.p.eq(event)]
                        m.d.sync += [each.eq(0) for each in levels]
        return m

    def _delay(self, m: Module) -> Value:
        """The delay of the event's source."""
        shape = range(self.lists)
        delay = Signal(shape)
        if len(set(self.delays)) == 1:
            m.d.comb += delay.eq(self.delays[0])
            return delay
        with m.Switch(flat_address(self.i.p.address, self.shape)):
            for steps in sorted(set(self.delays)):
                chosen = [k for k, each in enumerate(self.delays) if each == steps]
                with m.Case(*chosen):
                    m.d.comb += delay.eq(steps)
        return delay


class EventQueue(wiring.Component):
    """A queue of events.

    Parameters
    ----------
    layout
        Layout of the events.
    depth
        How many it holds.

    Members
    -------
    i, o
        Events; a cycle or more of latency.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, layout: data.StructLayout, depth: int) -> None:
        self.layout = layout
        self.depth = depth
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=self.layout.size, depth=self.depth)
        m.d.comb += [
            fifo.w_data.eq(Value.cast(self.i.p)),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            self.o.p.eq(data.View(self.layout, fifo.r_data)),
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.ready),
        ]
        return m


def loop_depth(size: int) -> int:
    """Events that a queue on a way that closes a loop must hold, so that the layer never waits.

    A step's spikes, its tick, the next step's, and a restart.
    """
    return 2 * (size + 1) + 1


class StepMerge(wiring.Component):
    """Joins the events of several sources, so that they make one step.

    Events are taken from whichever source has one; a source that has sent its tick waits until all
    have, and one tick is passed on. The first event of a step tells whether it begins a sequence:
    one restart is passed on, those of the other sources are swallowed. Sources must begin sequences
    between steps alone. Spikes of a source that closes a loop are those of the step before: in the
    first step of a sequence it is passed over, and what it still brings of the sequence before is
    dropped up to its restart.

    No source is made to wait for another but at ticks, so that a source that reaches a population
    on several ways cannot block itself.

    Parameters
    ----------
    layouts
        Layout of each source's events.
    offsets
        What is added to each source's addresses: to the flat number, or to channel, height and
        width where the joined address has coordinates.
    loops
        For each source whether it closes a loop.
    result
        Layout of the joined events.

    Members
    -------
    i_0, i_1, …
        Events.
    o
        Events; no latency, but a cycle a step for its tick.

    Raises
    ------
    ValueError
        If all sources close loops.
    """

    o: stream.Interface

    def __init__(
        self,
        layouts: Sequence[data.StructLayout],
        offsets: Sequence[tuple[int, int, int]],
        loops: Sequence[bool],
        result: data.StructLayout,
    ) -> None:
        if all(loops):
            raise ValueError("a source must not close a loop, but all do")
        self.offsets = list(offsets)
        self.loops = list(loops)
        sources = {f"i_{k}": In(stream.Signature(each)) for k, each in enumerate(layouts)}
        super().__init__({**sources, "o": Out(stream.Signature(result))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = len(self.offsets)
        opened = Signal()
        first = Signal(init=1)
        done = Signal(count)
        restarts = Signal()
        over = Signal(count)
        eligible = Signal(count)
        stale = Signal(count)
        # What is offered is not changed for another source's event.
        chosen = Signal(count)
        held = Signal(count)
        m.d.sync += held.eq(Mux(self.o.valid & ~self.o.ready, chosen, 0))
        for k, loop in enumerate(self.loops):
            source = getattr(self, f"i_{k}")
            m.d.comb += over[k].eq(done[k] | (first & opened if loop else 0))
            if loop:
                m.d.comb += stale[k].eq(self._drop(m, k, restarts))
            waits = (stale[k] | ~opened) if loop else Const(0)
            m.d.comb += eligible[k].eq(source.valid & ~over[k] & ~waits)
        with m.If(over.all()):
            m.d.comb += [self.o.p.kind.eq(EventKind.TICK), self.o.valid.eq(1)]
            with m.If(self.o.ready):
                m.d.sync += [done.eq(0), opened.eq(0), first.eq(0)]
        for k in range(count):
            turn = Mux(held.any(), held[k], eligible[k] & ~eligible[:k].any())
            m.d.comb += chosen[k].eq(turn & ~over.all())
            with m.If(chosen[k]):
                self._take(m, k, opened, done, restarts, stale.any())
        with m.If(restarts):
            m.d.sync += first.eq(1)
        return m

    def _drop(self, m: Module, k: int, restarts: Value) -> Signal:
        """Drop what a loop brings of the sequence before; high while it may."""
        source = getattr(self, f"i_{k}")
        stale = Signal(name=f"stale_{k}")
        with m.If(restarts):
            m.d.sync += stale.eq(1)
        with m.If(stale):
            m.d.comb += source.ready.eq(1)
            with m.If(source.valid & (source.p.kind == EventKind.RESTART)):
                m.d.sync += stale.eq(0)
        return stale

    def _take(
        self, m: Module, k: int, opened: Signal, done: Signal, restarts: Signal, stale: Value
    ) -> None:
        """Take the event of the source whose turn it is.

        A restart waits until each loop has brought the one before: they are not counted.
        """
        source = getattr(self, f"i_{k}")
        m.d.comb += self.o.p.kind.eq(source.p.kind)
        with m.Switch(source.p.kind):
            with m.Case(EventKind.SPIKE):
                m.d.comb += [
                    *add_offsets(self.o.p.address, source.p.address, self.offsets[k]),
                    self.o.p.count.eq(source.p.count),
                    self.o.valid.eq(1),
                    source.ready.eq(self.o.ready),
                ]
                m.d.sync += opened.eq(1)
            with m.Case(EventKind.TICK):
                m.d.comb += source.ready.eq(1)
                m.d.sync += [opened.eq(1), done[k].eq(1)]
            with m.Case(EventKind.RESTART):
                m.d.comb += [
                    self.o.valid.eq(~opened & ~stale),
                    source.ready.eq((self.o.ready & ~stale) | opened),
                    restarts.eq(self.o.valid & self.o.ready),
                ]
                with m.If(restarts):
                    m.d.sync += opened.eq(1)


def add_offsets(
    joined: Value | data.View, address: Value | data.View, offsets: tuple[int, int, int]
) -> list[Any]:
    """Assignments to a flat number, or to coordinates, of an address with offsets added."""
    if not isinstance(joined, data.View):
        return [joined.eq(Value.cast(address) + offsets[0])]
    places = coordinates(address)
    return [
        joined[name].eq(place + offset)
        for name, place, offset in zip(("c", "y", "x"), places, offsets, strict=True)
    ]
