"""The claim that what sorts a step's spikes sends each source's once, in order, in its step."""

from collections.abc import Sequence
from itertools import product

from amaranth.asserts import AnyConst  # type: ignore[attr-defined]
from amaranth.hdl import Array, Assert, Assume, Module, Mux, Signal, Value
from amaranth.lib import data

from spikeloom.reference.scatter import three_sizes
from spikeloom.rtl_gen.events import EventKind
from spikeloom.rtl_gen.fixed import index_shape
from spikeloom.rtl_gen.junction import Source, joined_layout
from spikeloom.rtl_gen.sorter import StepSorter
from spikeloom.sim.formal.inside import Inside
from spikeloom.sim.formal.proof import Claim
from spikeloom.sim.formal.streams import Behind, unchanged

__all__ = ["sorter_claim"]


def sorter_claim(
    sources: Sequence[Source], sorter: StepSorter, behind: Behind = unchanged
) -> Claim:
    """A :class:`~spikeloom.rtl_gen.sorter.StepSorter` loses, doubles and swaps nothing.

    One source, which may be any, is followed through two steps: what it sends, and how often it
    has come out.

    Parameters
    ----------
    sources
        What its connections hear.
    sorter
        The sorter.
    behind
        A fault behind it, to see that it is found.
    """
    return _Claim(sources, sorter, behind).claim()


class _Claim:
    def __init__(self, sources: Sequence[Source], sorter: StepSorter, behind: Behind) -> None:
        self.sorter = sorter
        self.sources = sources
        self.m = Module()
        self.out = behind(self.m, sorter.o)
        self.sound = behind is unchanged
        self.inside = Inside(sorter)
        self.words, self.blocks = _places(sources, sorter)
        self.size = sorter.size
        place = index_shape(self.size)
        # The source that is followed, by its flat number.
        self.source = Signal(place)
        self._held = [self.inside.word(self.m, f"table_{k}", self.source) for k in range(2)]
        count = sorter.i.p.count.shape()
        # Of the steps under way, by turns: its count, and whether the step begins a sequence.
        self.counts = Array(Signal(count, name=f"expected_{k}") for k in range(2))
        self.begins = Array(Signal(name=f"begins_{k}") for k in range(2))
        self.entering = Signal()
        self.leaving = Signal()
        self.pending = Signal(range(3))
        # Of the step that comes out: the spikes of the source, the restart, and the last place.
        self.sent = Signal(count)
        self.began = Signal()
        self.spiked = Signal()
        self.last = Signal(place)

    def claim(self) -> Claim:
        m = self.m
        m.d.comb += [
            self.source.eq(AnyConst(self.source.shape())),
            Assume(self.source < self.size, "the source is one"),
        ]
        self._goes_in()
        self._comes_out()
        if self.sound:
            # What comes out is tied to registers, of which a fault behind them knows nothing.
            self._turns()
            self._tables()
        m.submodules.component = self.inside.fragment
        i = self.sorter.i
        return Claim(m, [i.valid, Value.cast(i.payload), self.out.ready])

    def _goes_in(self) -> None:
        m, i = self.m, self.sorter.i
        kind = Value.cast(i.p.kind)
        m.d.comb += [
            Assume(kind <= EventKind.RESTART.value, "the kind is one"),
            Assume(i.p.address < self.size, "the address is one"),
            Assume((i.p.kind != EventKind.SPIKE) | (i.p.count != 0), "a spike counts"),
        ]
        with m.If(i.valid & i.ready):
            with m.Switch(i.p.kind):
                with m.Case(EventKind.SPIKE):
                    with m.If(i.p.address == self.source):
                        m.d.sync += self.counts[self.entering].eq(i.p.count)
                with m.Case(EventKind.RESTART):
                    m.d.sync += self.begins[self.entering].eq(1)
                with m.Case(EventKind.TICK):
                    m.d.sync += self.entering.eq(~self.entering)

    def _comes_out(self) -> None:
        m, i, o = self.m, self.sorter.i, self.out
        place, known = self._place_of(Value.cast(o.p.address))
        count, begins = self.counts[self.leaving], self.begins[self.leaving]
        again = self.sorter.repeats
        with m.If(o.valid):
            m.d.comb += Assert(self.pending != 0, "no step comes out before it is whole")
            with m.Switch(o.p.kind):
                with m.Case(EventKind.RESTART):
                    m.d.comb += Assert(
                        begins & ~self.began & ~self.spiked, "a restart comes where it went in"
                    )
                with m.Case(EventKind.SPIKE):
                    in_order = self.last <= place if again else self.last < place
                    m.d.comb += [
                        Assert(known, "a spike has an address that there is"),
                        Assert(self.began == begins, "a restart comes before the spikes"),
                        Assert(~self.spiked | in_order, "spikes come in order"),
                    ]
                    with m.If(place == self.source):
                        right = o.p.count == (1 if again else count)
                        m.d.comb += [
                            Assert(right, "a spike has the count that went in"),
                            Assert(self.sent + o.p.count <= count, "no spike comes twice"),
                        ]
                with m.Case(EventKind.TICK):
                    m.d.comb += [
                        Assert(self.began == begins, "a restart is not lost"),
                        Assert(self.sent == count, "no spike is lost"),
                    ]
                with m.Default():
                    m.d.comb += Assert(0, "the kind is one")
        ends = o.valid & o.ready & (o.p.kind == EventKind.TICK)
        enters = i.valid & i.ready & (i.p.kind == EventKind.TICK)
        m.d.sync += self.pending.eq(self.pending + enters - ends)
        with m.If(o.valid & o.ready):
            with m.Switch(o.p.kind):
                with m.Case(EventKind.RESTART):
                    m.d.sync += self.began.eq(1)
                with m.Case(EventKind.SPIKE):
                    m.d.sync += [self.spiked.eq(1), self.last.eq(place)]
                    with m.If(place == self.source):
                        m.d.sync += self.sent.eq(self.sent + o.p.count)
                with m.Case(EventKind.TICK):
                    m.d.sync += [
                        count.eq(0),
                        begins.eq(0),
                        self.leaving.eq(~self.leaving),
                        *(each.eq(0) for each in (self.sent, self.began, self.spiked)),
                    ]

    def _turns(self) -> None:
        """Invariants of the two tables' turns, and of the walk through the places."""
        m, inside = self.m, self.inside
        reading, place = inside.signal("reading"), inside.signal("place")
        # Clearing goes through the places, but not through their coordinates.
        word, block = self._of_place(Mux(inside.signal("clearing"), 0, place))
        first = self.pending == 1
        claims = {
            "the table that is filled": inside.signal("filling") == reading ^ first,
            "the step that goes in": inside.signal("filling") == self.entering,
            "the step that comes out": reading == self.leaving,
            "steps that are whole": self.pending <= 2,
            "the place": place < self.size,
            "the coordinates of the place": Value.cast(inside.signal("at")) == word,
            "the connection of the place": inside.signal("block") == block,
        }
        for k in range(2):
            filled = Mux(reading == k, self.pending != 0, self.pending == 2)
            unused = (reading != k) & (self.pending == 0)
            silent, begins = inside.signal(f"silent_{k}"), self.begins[k]
            claims |= {
                f"table {k} is filled": inside.signal(f"filled_{k}") == filled,
                f"table {k} begins": inside.signal(f"restart_{k}") == begins,
                f"table {k} is silent": ~silent | (self.counts[k] == 0),
                f"table {k} is not used": ~unused | (silent & ~begins),
            }
        m.d.comb += [Assert(each, f"invariant: {name}") for name, each in claims.items()]

    def _tables(self) -> None:
        """Invariants of what the tables hold, in each state."""
        m, inside = self.m, self.inside
        reading, place, ended = (inside.signal(name) for name in ("reading", "place", "ended"))
        clearing = inside.signal("clearing")
        address = self.sorter.o.p.address.shape()
        layout = data.StructLayout({"valid": 1, "place": place.shape(), "address": address})
        found = data.View(layout, inside.signal("found"))
        source, held = self.source, Mux(reading, *reversed(self._held))
        count = self.counts[reading]
        states = {name: inside.state(name) for name in ("open", "scan", "close")}
        valid, at = found.valid, found.place
        word, _ = self._of_place(at)
        read = Mux(reading, inside.read("table_1"), inside.read("table_0"))
        behind = Mux(valid, source < at, 0)
        here = valid & (at == source)
        claims = {
            "a state": states["open"] | states["scan"] | states["close"],
            "at work on a whole step": states["open"] | (self.pending != 0),
            "found where it scans": ~valid | states["scan"],
            "found at a place": ~valid | ((at < self.size) & (Value.cast(found.address) == word)),
            "the next place": place == Mux(valid & ~ended, at + 1, Mux(clearing, place, 0)),
            "ended at the last place": ~ended | (valid & (at == self.size - 1)),
            "the last place is the end": ~valid | ended | (at != self.size - 1),
            "begins open": ~states["open"] | ~(self.began | self.spiked | (self.sent != 0)),
            "has begun": states["open"] | (self.began == self.begins[reading]),
            "closes when all is sent": ~states["close"] | (self.sent == count),
            "closes when all is cleared": ~states["close"] | (held == 0),
            "scans what is not silent": ~states["scan"]
            | ~Array(inside.signal(f"silent_{k}") for k in range(2))[reading],
            "holds what waits": ~states["open"] | clearing | (held == count),
            "holds what is not scanned": ~states["scan"] | (held == Mux(behind, 0, count)),
            "reads the count": ~here | (read == count),
            "scans in order": ~(states["scan"] & self.spiked)
            | (valid & (self.last < at))
            | (self.sorter.repeats & valid & (self.last == at)),
        }
        other = Mux(reading, *self._held)
        claims["the other holds"] = clearing | (other == self.counts[~reading])
        idle = states["open"] & (self.pending == 0) & ~valid & ~ended
        none = ~(Value.cast(self.counts[0]).any() | Value.cast(self.counts[1]).any())
        for k in range(2):
            cleared = (source >= place) | (self._held[k] == 0)
            claims[f"table {k} is cleared up to the place"] = ~clearing | cleared
            claims[f"table {k} is silent while cleared"] = ~clearing | (
                inside.signal(f"silent_{k}") & ~self.begins[k]
            )
        claims["nothing while cleared"] = ~clearing | (idle & none)
        if self.sorter.repeats:
            sent = inside.signal("sent")
            claims |= {
                "sent of none": (valid & (read != 0)) | (sent == 0),
                "sent of what is here": ~here | (count == 0) | (sent < count),
                "sent": ~states["scan"] | (self.sent == Mux(behind, count, Mux(here, sent, 0))),
                "sent in part": (self.spiked & (self.last == at)) | (sent == 0),
            }
        else:
            claims["sent"] = ~states["scan"] | (self.sent == Mux(behind, count, 0))
            claims["sent before"] = ~(states["scan"] & self.spiked) | (self.last < at)
        m.d.comb += [Assert(each, f"invariant: {name}") for name, each in claims.items()]

    def _of_place(self, place: Value) -> tuple[Value, Value]:
        """Coordinates and connection of a place."""
        word = Signal(Value.cast(self.sorter.o.p.address).shape())
        block = Signal(range(len(self.sources)))
        with self.m.Switch(place):
            for k, (each, number) in enumerate(zip(self.words, self.blocks, strict=True)):
                with self.m.Case(k):
                    self.m.d.comb += [word.eq(each), block.eq(number)]
        return word, block

    def _place_of(self, word: Value) -> tuple[Value, Value]:
        """Place of an address with coordinates, and whether there is one."""
        place = Signal(index_shape(self.size))
        known = Signal()
        with self.m.Switch(word):
            for k, each in enumerate(self.words):
                with self.m.Case(each):
                    self.m.d.comb += [place.eq(k), known.eq(1)]
        return place, known


def _places(sources: Sequence[Source], sorter: StepSorter) -> tuple[list[int], list[int]]:
    """For each place the bits of its address, and the number of its connection."""
    layout = sorter.o.p.address.shape()
    _, offsets = joined_layout(sources, flat=False)
    words, blocks = [], []
    for number, (source, offset) in enumerate(zip(sources, offsets, strict=True)):
        for at in product(*map(range, three_sizes(source.shape))):
            c, y, x = (place + first for place, first in zip(at, offset, strict=True))
            words.append(layout.const({"c": c, "y": y, "x": x}).as_bits())
            blocks.append(number)
    return words, blocks
