"""Claims that what holds events loses, doubles and swaps none.

An element that may be any is followed from the moment in which it goes in: as many elements as were
inside come out before it, and then it. Invariants about registers and memories, which are asserted
too, let an induction see it.
"""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Assert, Module, Mux, Signal, Value

from spikeloom.rtl_gen.delay import EventQueue
from spikeloom.rtl_gen.stream import StreamBuffer
from spikeloom.sim.formal.inside import Inside
from spikeloom.sim.formal.proof import Claim
from spikeloom.sim.formal.streams import Behind, unchanged

__all__ = ["Follower", "buffer_claim", "queue_claim"]


class Follower:
    """Follows an element that may be any through a queue.

    Parameters
    ----------
    m
        Where the claim is.
    i, o
        The streams that go in and out.
    room
        The most elements that can be inside.

    Attributes
    ----------
    pick : Signal
        Input of the claim: whether the next element is the one, where none is followed.
    inside : Signal
        How many elements are inside.
    follows : Signal
        Whether an element is followed.
    ahead : Signal
        How many leave before it.
    word : Signal
        What it is.
    """

    def __init__(self, m: Module, i: Any, o: Any, room: int) -> None:
        payload_in, payload_out = Value.cast(i.payload), Value.cast(o.payload)
        self.pick = Signal()
        self.inside = Signal(range(room + 2))
        self.follows = Signal()
        self.ahead = Signal(range(room + 2))
        self.word = Signal(len(payload_in))
        enters = Signal()
        leaves = Signal()
        m.d.comb += [enters.eq(i.valid & i.ready), leaves.eq(o.valid & o.ready)]
        m.d.sync += self.inside.eq(self.inside + enters - leaves)
        with m.If(self.follows & leaves):
            m.d.sync += [self.ahead.eq(self.ahead - 1), self.follows.eq(self.ahead != 0)]
        with m.Elif(~self.follows & enters & self.pick):
            m.d.sync += [
                self.follows.eq(1),
                self.ahead.eq(self.inside - leaves),
                self.word.eq(payload_in),
            ]
        with m.If(o.valid):
            m.d.comb += Assert(self.inside != 0, "nothing comes out that did not go in")
            with m.If(self.follows & (self.ahead == 0)):
                m.d.comb += Assert(payload_out == self.word, "what went in comes out in its turn")
        m.d.comb += Assert(self.inside <= room, "no more is inside than there is room")
        m.d.comb += Assert(~self.follows | (self.ahead < self.inside), "nothing is lost")


def _followed(
    built: StreamBuffer | EventQueue,
    room: int,
    invariants: Callable[[Module, Inside, Follower], None],
    behind: Behind,
) -> Claim:
    m = Module()
    inside = Inside(built)
    out = behind(m, built.o)
    follower = Follower(m, built.i, out, room)
    if behind is unchanged:
        # They tie what comes out to registers, of which a fault behind them knows nothing.
        invariants(m, inside, follower)
    m.submodules.component = inside.fragment
    return Claim(m, [built.i.valid, Value.cast(built.i.payload), out.ready, follower.pick])


def buffer_claim(buffer: StreamBuffer, behind: Behind = unchanged) -> Claim:
    """A :class:`~spikeloom.rtl_gen.stream.StreamBuffer` loses, doubles and swaps nothing.

    ``behind`` is a fault behind it, to see that it is found.
    """

    def invariants(m: Module, inside: Inside, follower: Follower) -> None:
        occupied = inside.signal("occupied")
        waiting = inside.signal("waiting")
        m.d.comb += [
            Assert(
                follower.inside == occupied + buffer.o.valid, "invariant: all places are counted"
            ),
            Assert(~occupied | buffer.o.valid, "invariant: what waits does so behind another"),
        ]
        with m.If(follower.follows & (follower.ahead == 1)):
            kept = Value.cast(waiting) == follower.word
            m.d.comb += Assert(kept, "invariant: what waits is kept")

    return _followed(buffer, 2, invariants, behind)


def queue_claim(queue: EventQueue, behind: Behind = unchanged) -> Claim:
    """An :class:`~spikeloom.rtl_gen.delay.EventQueue` loses, doubles and swaps nothing.

    ``behind`` is a fault behind it, to see that it is found.
    """
    places = queue.depth - 1

    def invariants(m: Module, inside: Inside, follower: Follower) -> None:
        produce, consume = inside.signal("fifo.produce"), inside.signal("fifo.consume")
        level, offered = inside.signal("fifo.inner_level"), queue.o.valid
        reach = Signal(range(2 * places + 1))
        place = Signal(range(2 * places + 1))
        m.d.comb += [
            reach.eq(consume + level),
            place.eq(consume + follower.ahead - offered),
            Assert(level <= places, "invariant: the level is one"),
            Assert(consume < places, "invariant: the place that is read is there"),
            Assert(
                produce == Mux(reach >= places, reach - places, reach),
                "invariant: what is written goes behind the last",
            ),
            Assert(follower.inside == level + offered, "invariant: all places are counted"),
        ]
        found = inside.word(m, "fifo.storage", Mux(place >= places, place - places, place))
        with m.If(follower.follows & (follower.ahead >= offered)):
            m.d.comb += Assert(found == follower.word, "invariant: what waits is kept")

    return _followed(queue, queue.depth, invariants, behind)
