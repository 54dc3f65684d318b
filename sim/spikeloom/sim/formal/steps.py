"""Claims that what keeps events for their step loses and doubles none, seen from its ports alone.

One source, or one place in a list, which may be any, is followed. Nothing is said of what is
inside, so that these are looked at up to a bound.
"""

from amaranth.asserts import AnyConst  # type: ignore[attr-defined]
from amaranth.hdl import Array, Assert, Assume, Module, Mux, Signal, Value
from amaranth.lib import data, stream

from spikeloom.rtl_gen.delay import StepDelay
from spikeloom.rtl_gen.events import EventKind, flat_address
from spikeloom.rtl_gen.fixed import index_shape
from spikeloom.rtl_gen.synapse import EventList
from spikeloom.sim.formal.proof import Claim
from spikeloom.sim.formal.streams import Behind, unchanged

__all__ = ["delay_claim", "legal_events", "list_claim"]

_STEPS = 4
"""Steps that a list can have under way: two lists, and what has been read of a third."""


def legal_events(m: Module, i: stream.Interface, shape: tuple[int, ...]) -> None:
    """Assume that events are such as a guard lets through, each source once a step at most.

    Parameters
    ----------
    m
        Where they go in.
    i
        The stream.
    shape
        Shape of the source.
    """
    event = i.p
    size = 1
    for each in shape:
        size *= each
    heard = Signal(size)
    address = Signal(index_shape(size))
    m.d.comb += [
        address.eq(flat_address(event.address, shape)),
        Assume(Value.cast(event.kind) <= EventKind.RESTART.value, "the kind is one"),
    ]
    with m.If(i.valid & (event.kind == EventKind.SPIKE)):
        m.d.comb += [
            Assume(flat_address(event.address, shape) < size, "the address is one"),
            Assume(event.count != 0, "a spike counts"),
            Assume(~heard.bit_select(address, 1), "a source sends once a step"),
        ]
    with m.If(i.valid & i.ready):
        with m.If(event.kind == EventKind.SPIKE):
            m.d.sync += heard.bit_select(address, 1).eq(1)
        with m.Else():
            m.d.sync += heard.eq(0)


def delay_claim(delay: StepDelay, behind: Behind = unchanged) -> Claim:
    """A :class:`~spikeloom.rtl_gen.delay.StepDelay` sends each spike once, in its step.

    ``behind`` is a fault behind it, to see that it is found.
    """
    m = Module()
    m.submodules.delay = delay
    i, o = delay.i, behind(m, delay.o)
    legal_events(m, i, delay.shape)
    place = index_shape(delay.size)
    source = Signal(place)
    count = i.p.count.shape()
    # What the source has sent, by the steps until it is due; the first is due now.
    due = [Signal(count, name=f"due_in_{k}") for k in range(delay.lists)]
    # Of the steps whose ticks went in and have not come out, by turns.
    now = Array(Signal(count, name=f"now_{k}") for k in range(2))
    entering = Signal()
    leaving = Signal()
    pending = Signal(range(4))
    restarts = Signal(range(4))
    sent = Signal()
    m.d.comb += [source.eq(AnyConst(place)), Assume(source < delay.size, "the source is one")]
    from_source = flat_address(o.p.address, delay.shape) == source
    enters, leaves = i.valid & i.ready, o.valid & o.ready
    with m.If(enters):
        with m.Switch(i.p.kind):
            with m.Case(EventKind.SPIKE):
                with m.If(flat_address(i.p.address, delay.shape) == source):
                    with m.Switch(source):
                        for k, steps in enumerate(delay.delays):
                            with m.Case(k):
                                m.d.sync += due[steps].eq(i.p.count)
            with m.Case(EventKind.TICK):
                m.d.sync += [now[entering].eq(due[0]), entering.eq(~entering), due[-1].eq(0)]
                m.d.sync += [due[k].eq(due[k + 1]) for k in range(delay.lists - 1)]
            with m.Case(EventKind.RESTART):
                m.d.sync += [each.eq(0) for each in due]
    for kind, level in ((EventKind.TICK, pending), (EventKind.RESTART, restarts)):
        more = enters & (i.p.kind == kind)
        m.d.sync += level.eq(level + more - (leaves & (o.p.kind == kind)))
    with m.If(o.valid):
        with m.Switch(o.p.kind):
            with m.Case(EventKind.SPIKE):
                m.d.comb += Assert(pending != 0, "spikes come out of a step that is whole")
                with m.If(from_source):
                    right = ~sent & (o.p.count == now[leaving])
                    m.d.comb += Assert(right, "a spike comes once, when due")
            with m.Case(EventKind.TICK):
                right = (pending != 0) & (sent == (now[leaving] != 0))
                m.d.comb += Assert(right, "no spike is lost")
            with m.Case(EventKind.RESTART):
                m.d.comb += Assert(restarts != 0, "a restart comes where it went in")
    with m.If(leaves):
        with m.Switch(o.p.kind):
            with m.Case(EventKind.SPIKE):
                m.d.sync += sent.eq(sent | from_source)
            with m.Case(EventKind.TICK):
                m.d.sync += [sent.eq(0), leaving.eq(~leaving)]
    return Claim(m, [i.valid, Value.cast(i.payload), o.ready])


def list_claim(events: EventList, behind: Behind = unchanged) -> Claim:
    """An :class:`~spikeloom.rtl_gen.synapse.EventList` reads each step's list so often as it must.

    The place that may be any is one in the list; it is checked in each sweep, and so is where the
    sweeps and the list end. ``behind`` is a fault behind it, to see that it is found.
    """
    m = Module()
    m.submodules.events = events
    i, o = events.i, behind(m, events.o)
    legal_events(m, i, (events.size,))
    shape = index_shape(events.size)
    place = Signal(shape)
    m.d.comb += [place.eq(AnyConst(shape)), Assume(place < events.size, "the place is one")]
    step = data.StructLayout(
        {
            "length": range(events.size + 1),
            "address": i.p.address.shape(),
            "count": i.p.count.shape(),
            "restart": 1,
        }
    )
    flat = [Signal(step.size, name=f"step_{k}") for k in range(_STEPS)]
    steps = [data.View(step, each) for each in flat]
    entering = Signal(range(_STEPS))
    leaving = Signal(range(_STEPS))
    pending = Signal(range(_STEPS + 1))
    at = Signal(shape)
    sweep = Signal(range(events.sweeps + 1))
    with m.If(i.valid & i.ready):
        with m.Switch(entering):
            for k, each in enumerate(steps):
                with m.Case(k):
                    _enter(m, i.p, each, place)
        with m.If(i.p.kind == EventKind.TICK):
            m.d.sync += entering.eq(entering + 1)
    now = data.View(step, Array(flat)[leaving])
    last = (now.length == 0) | (at + 1 == now.length)
    final = last & ((sweep + 1 == events.sweeps) | (now.length == 0))
    with m.If(o.valid):
        m.d.comb += [
            Assert(pending != 0, "no list is read before it is whole"),
            Assert(o.p.last == last, "a sweep ends at the end of the list"),
            Assert(o.p.final == final, "the last sweep is the last"),
            Assert(o.p.restart == now.restart, "a restart is kept"),
        ]
        with m.If(now.length == 0):
            m.d.comb += Assert(o.p.count == 0, "an empty list has nothing")
        with m.Elif(at == place):
            m.d.comb += [
                Assert(o.p.address == now.address, "a place of the list keeps its address"),
                Assert(o.p.count == now.count, "a place of the list keeps its count"),
            ]
    ends = o.valid & o.ready & final
    m.d.sync += pending.eq(pending + (i.valid & i.ready & (i.p.kind == EventKind.TICK)) - ends)
    with m.If(o.valid & o.ready):
        m.d.sync += [at.eq(Mux(last, 0, at + 1)), sweep.eq(Mux(final, 0, sweep + last))]
    with m.If(ends):
        m.d.sync += leaving.eq(leaving + 1)
        with m.Switch(leaving):
            for k, bits in enumerate(flat):
                with m.Case(k):
                    m.d.sync += bits.eq(0)
    return Claim(m, [i.valid, Value.cast(i.payload), o.ready])


def _enter(m: Module, event: data.View, step: data.View, place: Value) -> None:
    with m.Switch(event.kind):
        with m.Case(EventKind.SPIKE):
            m.d.sync += step.length.eq(step.length + 1)
            with m.If(step.length == place):
                m.d.sync += [step.address.eq(event.address), step.count.eq(event.count)]
        with m.Case(EventKind.RESTART):
            m.d.sync += [step.length.eq(0), step.restart.eq(1)]
