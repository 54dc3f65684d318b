"""The scatter engine: each event adds rows of weights to the accumulators that it reaches.

Events are looked up in the tables of :mod:`spikeloom.reference.scatter`, expanded into rows, and
added to one of two banks of accumulators, one row a cycle; the other bank is meanwhile handed to
the neurons.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Module, Mux, Shape, ShapeCastable, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory, ReadPort, WritePort
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import bits_for

from spikeloom.reference.scatter import ScatterTables
from spikeloom.rtl_gen.events import EventKind, coordinates
from spikeloom.rtl_gen.weights import WeightMemory, WeightStore

__all__ = ["Accumulators", "Expander", "Lookup", "RowCounter", "ScatterArray"]


def _index(size: int) -> Shape:
    return unsigned(max(1, bits_for(size - 1)))


class _Words:
    """The words that pass between the stages."""

    def __init__(self, tables: ScatterTables, rows: int, count: ShapeCastable, places: int) -> None:
        weight, target = _index(len(tables.weights)), _index(rows)
        pairs = [sum(len(each) for each in axis) for axis in (tables.height, tables.width)]
        lengths = [max(len(each) for each in axis) for axis in (tables.height, tables.width)]
        common = {"kind": EventKind, "count": count, "place": _index(places)}
        groups = unsigned(bits_for(max(tables.groups)))
        self.channel = data.StructLayout(
            {"weight": weight, "target": target, "groups": groups, "place": _index(places)}
        )
        self.axes = [
            data.StructLayout({"start": _index(max(1, n)), "length": unsigned(bits_for(length))})
            for n, length in zip(pairs, lengths, strict=True)
        ]
        self.pair = data.StructLayout({"weight": weight, "target": target})
        self.found = data.StructLayout(
            {
                **common,
                "weight": weight,
                "target": target,
                "groups": groups,
                "y": self.axes[0],
                "x": self.axes[1],
            }
        )
        self.expanded = data.StructLayout(
            {**common, "weight": weight, "target": target, "groups": groups}
        )
        self.row = data.StructLayout({**common, "weight": weight, "target": target})


class Lookup(wiring.Component):
    """Looks up an event's channel, height and width. One event a cycle."""

    i: stream.Interface
    o: stream.Interface

    latency = 1

    def __init__(
        self, event: data.StructLayout, tables: ScatterTables, words: _Words, places: Sequence[int]
    ) -> None:
        self.tables = tables
        self.words = words
        self.places = places
        super().__init__(
            {"i": In(stream.Signature(event)), "o": Out(stream.Signature(words.found))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tables = self.tables
        channel: list[dict[int | str, int]] = [
            {"weight": base, "target": first, "groups": groups, "place": place}
            for base, first, groups, place in zip(
                tables.base, tables.first, tables.groups, self.places, strict=True
            )
        ]
        advance = ~self.o.valid | self.o.ready
        c, y, x = coordinates(self.i.p.address)
        found = self._read(m, "channel", self.words.channel, channel, c, advance)
        m.d.comb += [
            self.o.p[name].eq(found[name]) for name in ("weight", "target", "groups", "place")
        ]
        for name, axis, layout, place in zip(
            ("y", "x"), (tables.height, tables.width), self.words.axes, (y, x), strict=True
        ):
            starts = np.cumsum([0, *map(len, axis)]).tolist()
            entries: list[dict[int | str, int]] = [
                {"start": start, "length": len(pairs)}
                for start, pairs in zip(starts, axis, strict=False)
            ]
            m.d.comb += self.o.p[name].eq(self._read(m, name, layout, entries, place, advance))
        m.d.comb += self.i.ready.eq(advance)
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                self.o.p.kind.eq(self.i.p.kind),
                self.o.p.count.eq(self.i.p.count),
            ]
        return m

    @staticmethod
    def _read(
        m: Module,
        name: str,
        layout: data.StructLayout,
        entries: list[dict[int | str, int]],
        place: Value | int,
        enable: Value,
    ) -> Any:
        if len(entries) == 1:
            return layout.const(entries[0])
        memory: Memory = Memory(shape=layout, depth=len(entries), init=entries)
        m.submodules[f"table_{name}"] = memory
        read = memory.read_port()
        m.d.comb += [read.addr.eq(place), read.en.eq(enable)]
        return read.data


class Expander(wiring.Component):
    """Expands an event into a pair of rows for each pair of its height and width. One a cycle."""

    i: stream.Interface
    o: stream.Interface

    latency = 2

    def __init__(self, tables: ScatterTables, words: _Words) -> None:
        self.tables = tables
        self.words = words
        super().__init__(
            {"i": In(stream.Signature(words.found)), "o": Out(stream.Signature(words.expanded))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        event = self.i.p
        read_valid = Signal()
        issue, last, none = Signal(), Signal(), Signal()
        advance_sum = ~self.o.valid | self.o.ready
        advance = Signal()
        spike = event.kind == EventKind.SPIKE
        m.d.comb += [
            advance.eq(~read_valid | advance_sum),
            none.eq(spike & ((event.y.length == 0) | (event.x.length == 0))),
            issue.eq(self.i.valid & ~none),
        ]
        ends = {}
        place = {}
        for name, length in (("y", event.y.length), ("x", event.x.length)):
            place[name] = Signal.like(length, name=f"place_{name}")
            ends[name] = place[name] + 1 == length
        m.d.comb += [
            last.eq(~spike | (ends["y"] & ends["x"])),
            self.i.ready.eq(advance & (last | none)),
        ]
        with m.If(advance & issue & spike):
            m.d.sync += place["x"].eq(Mux(ends["x"], 0, place["x"] + 1))
            with m.If(ends["x"]):
                m.d.sync += place["y"].eq(Mux(ends["y"], 0, place["y"] + 1))
        pairs = [
            self._read(m, name, axis, getattr(event, name).start + place[name], advance)
            for name, axis in (("y", self.tables.height), ("x", self.tables.width))
        ]
        carried = {
            name: Signal.like(Value.cast(event[name]), name=f"read_{name}")
            for name in ("kind", "count", "place", "weight", "target", "groups")
        }
        with m.If(advance):
            m.d.sync += read_valid.eq(issue)
            m.d.sync += [value.eq(Value.cast(event[name])) for name, value in carried.items()]
        with m.If(advance_sum):
            m.d.sync += self.o.valid.eq(read_valid)
            m.d.sync += [
                Value.cast(self.o.p[name]).eq(carried[name])
                for name in ("kind", "count", "place", "groups")
            ]
            m.d.sync += [
                self.o.p[name].eq(carried[name] + pairs[0][name] + pairs[1][name])
                for name in ("weight", "target")
            ]
        return m

    def _read(
        self, m: Module, name: str, axis: list[list[tuple[int, int]]], place: Value, enable: Value
    ) -> Any:
        entries: list[dict[int | str, int]] = [
            {"weight": w, "target": t} for pairs in axis for w, t in pairs
        ]
        if len(entries) <= 1:
            return self.words.pair.const((entries or [{"weight": 0, "target": 0}])[0])
        memory: Memory = Memory(shape=self.words.pair, depth=len(entries), init=entries)
        m.submodules[f"pairs_{name}"] = memory
        read = memory.read_port()
        m.d.comb += [read.addr.eq(place), read.en.eq(enable)]
        return read.data


class RowCounter(wiring.Component):
    """Counts through the groups of lanes that an expanded event reaches. One row a cycle."""

    i: stream.Interface
    o: stream.Interface

    latency = 1

    def __init__(self, words: _Words) -> None:
        self.words = words
        super().__init__(
            {"i": In(stream.Signature(words.expanded)), "o": Out(stream.Signature(words.row))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        group = Signal.like(self.i.p.groups)
        advance = ~self.o.valid | self.o.ready
        last = (self.i.p.kind != EventKind.SPIKE) | (group + 1 == self.i.p.groups)
        m.d.comb += self.i.ready.eq(advance & last)
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                self.o.p.kind.eq(self.i.p.kind),
                self.o.p.count.eq(self.i.p.count),
                self.o.p.place.eq(self.i.p.place),
                self.o.p.weight.eq(self.i.p.weight + group),
                self.o.p.target.eq(self.i.p.target + group),
            ]
            with m.If(self.i.valid):
                m.d.sync += group.eq(Mux(last, 0, group + 1))
        return m


class Accumulators(wiring.Component):
    """Adds rows of weights, times counts, to rows of accumulators; hands these over at each tick.

    Two banks take turns: one is added to, one row a cycle; the other is handed over row by row and
    cleared. After a reset and after a restart in the middle of a step the banks are cleared, which
    takes as many cycles as there are rows.

    Parameters
    ----------
    weights
        The weight memory.
    row
        Layout of the rows that arrive.
    places
        Left shifts between which ``place`` chooses.
    rows
        Rows of a bank.
    beat
        Layout of what is handed over; its currents hold every sum.
    """

    i: stream.Interface
    o: stream.Interface
    load: stream.Interface

    def __init__(
        self,
        weights: WeightMemory,
        row: data.StructLayout,
        places: Sequence[int],
        rows: int,
        beat: data.StructLayout,
    ) -> None:
        self.weights = weights
        self.places = places
        self.rows = rows
        self.lanes = weights.lanes
        super().__init__(
            {
                "i": In(stream.Signature(row)),
                "o": Out(stream.Signature(beat)),
                **weights.load_member,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = Shape.cast(self.o.p.shape()["current"].shape.elem_shape).width
        bank_shape = data.ArrayLayout(signed(width), self.lanes)
        ports: list[tuple[ReadPort, WritePort]] = []
        for k in range(2):
            bank: Memory = Memory(shape=bank_shape, depth=self.rows, init=[])
            m.submodules[f"bank_{k}"] = bank
            write = bank.write_port()
            ports.append((bank.read_port(transparent_for=[write]), write))

        advance = Signal()
        weighed, product, products = self._weigh(m, advance, width)
        m.d.comb += self.i.ready.eq(advance)

        # The step's accumulators are added to in one bank, and the step before is in the other.
        filling = Signal()
        clearing = Signal(init=1)
        sweeping = Signal()
        restart = Signal()
        dirty = Signal()
        row = Signal(range(self.rows))
        with m.If(clearing):
            m.d.sync += row.eq(Mux(row == self.rows - 1, 0, row + 1))
            with m.If(row == self.rows - 1):
                m.d.sync += [clearing.eq(0), dirty.eq(0)]

        tick = product.valid & (product.kind == EventKind.TICK)
        restarts = product.valid & (product.kind == EventKind.RESTART)
        adds = product.valid & (product.kind == EventKind.SPIKE)
        waits = (tick | (restarts & dirty)) & sweeping
        m.d.comb += advance.eq(~clearing & ~waits)
        handed_restart = Signal()
        # Where nothing was added there is nothing to hand over, and the banks stay.
        void = Signal()
        with m.If(advance & tick):
            m.d.sync += [
                filling.eq(filling ^ dirty),
                sweeping.eq(1),
                void.eq(~dirty),
                handed_restart.eq(restart),
                restart.eq(0),
                dirty.eq(0),
            ]
        with m.If(advance & restarts):
            m.d.sync += [restart.eq(1), clearing.eq(dirty), row.eq(0)]
        with m.If(advance & adds):
            m.d.sync += dirty.eq(1)

        self._sweep(m, ports, sweeping, filling, handed_restart, void, clearing)
        for k, (read, write) in enumerate(ports):
            with m.If(clearing):
                # What waits behind a restart has read its row too soon: it reads it again.
                m.d.comb += [
                    read.addr.eq(product.target),
                    read.en.eq(1),
                    write.addr.eq(row),
                    write.en.eq(1),
                    write.data.eq(0),
                ]
            with m.Elif(filling == k):
                m.d.comb += [
                    read.addr.eq(weighed.target),
                    read.en.eq(advance),
                    write.addr.eq(product.target),
                    write.en.eq(advance & adds),
                ]
                m.d.comb += [
                    write.data[lane].eq(read.data[lane] + each)
                    for lane, each in enumerate(products)
                ]
        return m

    def _weigh(
        self, m: Module, advance: Signal, width: int
    ) -> tuple[data.View, data.View, list[Signal]]:
        """The stages that read a row of weights and multiply it by the count."""
        m.submodules.weights = weights = self.weights
        if weights.store.loaded:
            connect(m, flipped(self.load), weights.load)
        m.d.comb += [
            weights.addr.eq(self.i.p.weight),
            weights.needed.eq(self.i.valid & (self.i.p.kind == EventKind.SPIKE)),
            weights.en.eq(advance),
        ]
        layout = data.StructLayout(
            {
                "valid": 1,
                "kind": EventKind,
                "target": self.i.p.target.shape(),
                "count": self.i.p.count.shape(),
                "place": self.i.p.place.shape(),
            }
        )
        weighed: Any = Signal(layout)
        product: Any = Signal(layout)
        products = [Signal(signed(width), name=f"product_{k}") for k in range(self.lanes)]
        with m.If(advance):
            m.d.sync += [
                weighed.valid.eq(self.i.valid),
                weighed.kind.eq(self.i.p.kind),
                weighed.target.eq(self.i.p.target),
                weighed.count.eq(self.i.p.count),
                weighed.place.eq(self.i.p.place),
                product.eq(weighed),
            ]
            for lane, each in enumerate(products):
                m.d.sync += each.eq(self._times(m, lane, weights.data[lane], weighed))
        return weighed, product, products

    def _times(self, m: Module, lane: int, weight: Value, item: data.View) -> Value:
        one = item.count.shape().width == 1 and not item.count.shape().signed
        value = weight if one else weight * item.count
        if len(self.places) == 1:
            return value << self.places[0]
        times = Signal(value.shape(), name=f"times_{lane}")
        m.d.comb += times.eq(value)
        shifted = Signal(signed(value.shape().width + max(self.places)), name=f"shifted_{lane}")
        with m.Switch(item.place):
            for k, places in enumerate(self.places):
                with m.Case(k):
                    m.d.comb += shifted.eq(times << places)
        return shifted

    def _sweep(
        self,
        m: Module,
        ports: list[tuple[ReadPort, WritePort]],
        sweeping: Signal,
        filling: Signal,
        restart: Signal,
        void: Signal,
        clearing: Signal,
    ) -> None:
        """Hand the other bank over, a row a cycle, and clear it."""
        row = Signal(range(self.rows + 1))
        handed = Signal(range(self.rows))
        advance = ~self.o.valid | self.o.ready
        reads = sweeping & (row != Mux(void, 1, self.rows))
        with m.If(sweeping & advance):
            m.d.sync += self.o.valid.eq(reads)
            with m.If(reads):
                m.d.sync += [row.eq(row + 1), handed.eq(row)]
                m.d.sync += [self.o.p.restart.eq(restart), self.o.p.void.eq(void)]
            with m.Else():
                m.d.sync += [row.eq(0), sweeping.eq(0)]
        for k, (read, write) in enumerate(ports):
            with m.If((filling != k) & ~clearing):
                m.d.comb += [
                    read.addr.eq(row),
                    read.en.eq(advance),
                    write.addr.eq(handed),
                    write.en.eq(self.o.valid & self.o.ready),
                    write.data.eq(0),
                    self.o.p.current.eq(read.data),
                ]


class ScatterArray(wiring.Component):
    """From joined events to rows of currents, by way of tables.

    Parameters
    ----------
    event
        Layout of the events.
    tables
        Tables of all connections, joined.
    shifts
        For each channel of the tables the left shift of what it adds.
    rows
        Rows of the population.
    weight_width
        Bits of a weight.
    beat
        Layout of a row of currents.
    store
        What the weight memory is made of.

    Attributes
    ----------
    weights : WeightMemory
        Rows as the tables name them.

    Members
    -------
    i
        Events.
    o
        Rows of currents, all of a step one after the other.
    load
        As :class:`~spikeloom.rtl_gen.weights.WeightMemory`'s.
    """

    i: stream.Interface
    o: stream.Interface
    load: stream.Interface

    def __init__(
        self,
        event: data.StructLayout,
        tables: ScatterTables,
        shifts: Sequence[int],
        rows: int,
        weight_width: int,
        beat: data.StructLayout,
        store: WeightStore = WeightStore.AUTO,
    ) -> None:
        places = sorted(set(shifts))
        words = _Words(tables, rows, event["count"].shape, len(places))
        self._lookup = Lookup(event, tables, words, [places.index(shift) for shift in shifts])
        self._expander = Expander(tables, words)
        self._counter = RowCounter(words)
        self.weights = WeightMemory(tables.weights, weight_width, store)
        self._accumulators = Accumulators(self.weights, words.row, places, rows, beat)
        super().__init__(
            {
                "i": In(stream.Signature(event)),
                "o": Out(stream.Signature(beat)),
                **self.weights.load_member,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.lookup = self._lookup
        m.submodules.expander = self._expander
        m.submodules.counter = self._counter
        m.submodules.accumulators = self._accumulators
        connect(m, flipped(self.i), self._lookup.i)
        connect(m, self._lookup.o, self._expander.i)
        connect(m, self._expander.o, self._counter.i)
        connect(m, self._counter.o, self._accumulators.i)
        connect(m, self._accumulators.o, flipped(self.o))
        if self.weights.store.loaded:
            connect(m, flipped(self.load), self._accumulators.load)
        return m
