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
from spikeloom.rtl_gen.fixed import index_shape
from spikeloom.rtl_gen.weights import WeightMemory, WeightStore

__all__ = [
    "Accumulators",
    "Expander",
    "Lookup",
    "RowCounter",
    "ScatterArray",
    "ScatterRows",
    "Weigher",
    "weighed_row",
]


def weighed_row(rows: int, lanes: int, width: int) -> data.StructLayout:
    """Layout of what an event adds to a row of neurons: so much to each lane."""
    return data.StructLayout(
        {
            "kind": EventKind,
            "target": index_shape(rows),
            "current": data.ArrayLayout(signed(width), lanes),
        }
    )


class _Words:
    """The words that pass between the stages."""

    def __init__(self, tables: ScatterTables, rows: int, count: ShapeCastable, places: int) -> None:
        weight, target = index_shape(len(tables.weights)), index_shape(rows)
        pairs = [sum(len(each) for each in axis) for axis in (tables.height, tables.width)]
        lengths = [max(len(each) for each in axis) for axis in (tables.height, tables.width)]
        common = {"kind": EventKind, "count": count, "place": index_shape(places)}
        groups = unsigned(bits_for(max(tables.groups)))
        self.channel = data.StructLayout(
            {"weight": weight, "target": target, "groups": groups, "place": index_shape(places)}
        )
        self.axes = [
            data.StructLayout(
                {"start": index_shape(max(1, n)), "length": unsigned(bits_for(length))}
            )
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
        issue = Signal()
        last = Signal()
        none = Signal()
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


class Weigher(wiring.Component):
    """Reads a row of weights, and multiplies it by the count and shifts it. One row a cycle.

    Parameters
    ----------
    weights
        The weight memory.
    row
        Layout of the rows that arrive.
    places
        Left shifts between which ``place`` chooses.
    weighed
        Layout of the weighed rows; its currents hold every product.

    Members
    -------
    i
        Numbers of rows.
    o
        Weighed rows.
    load
        As :class:`~spikeloom.rtl_gen.weights.WeightMemory`'s.
    """

    i: stream.Interface
    o: stream.Interface
    load: stream.Interface

    def __init__(
        self,
        weights: WeightMemory,
        row: data.StructLayout,
        places: Sequence[int],
        weighed: data.StructLayout,
    ) -> None:
        self.weights = weights
        self.places = places
        super().__init__(
            {
                "i": In(stream.Signature(row)),
                "o": Out(stream.Signature(weighed)),
                **weights.load_member,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.weights = weights = self.weights
        if weights.store.loaded:
            connect(m, flipped(self.load), weights.load)
        advance = ~self.o.valid | self.o.ready
        read_valid = Signal()
        read: Any = Signal(self.i.p.shape())
        count = Signal.like(self.i.p.count)
        place = Signal.like(self.i.p.place)
        m.d.comb += [
            self.i.ready.eq(advance),
            weights.addr.eq(self.i.p.weight),
            weights.needed.eq(self.i.valid & (self.i.p.kind == EventKind.SPIKE)),
            weights.en.eq(advance),
        ]
        with m.If(advance):
            m.d.sync += [
                read_valid.eq(self.i.valid),
                read.eq(self.i.p),
                self.o.valid.eq(read_valid),
                self.o.p.kind.eq(read.kind),
                self.o.p.target.eq(read.target),
                count.eq(read.count),
                place.eq(read.place),
            ]
        for lane in range(weights.lanes):
            term = self._times(m, lane, weights.data[lane], count, place)
            m.d.comb += self.o.p.current[lane].eq(term)
        return m

    def _times(self, m: Module, lane: int, weight: Value, count: Value, place: Value) -> Value:
        one = count.shape().width == 1 and not count.shape().signed
        value = weight if one else weight * count
        if len(self.places) == 1:
            return value << self.places[0]
        times = Signal(value.shape(), name=f"times_{lane}")
        m.d.comb += times.eq(value)
        shifted = Signal(signed(value.shape().width + max(self.places)), name=f"shifted_{lane}")
        with m.Switch(place):
            for k, places in enumerate(self.places):
                with m.Case(k):
                    m.d.comb += shifted.eq(times << places)
        return shifted


class Accumulators(wiring.Component):
    """Adds weighed rows to rows of accumulators, and hands these over at each tick.

    Two banks take turns: one is added to, one row a cycle; the other is handed over row by row and
    cleared. After a reset and after a restart in the middle of a step the banks are cleared, which
    takes as many cycles as there are rows.

    Parameters
    ----------
    weighed
        Layout of the rows that arrive.
    rows
        Rows of a bank.
    beat
        Layout of what is handed over; its currents hold every sum.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, weighed: data.StructLayout, rows: int, beat: data.StructLayout) -> None:
        self.rows = rows
        super().__init__({"i": In(stream.Signature(weighed)), "o": Out(stream.Signature(beat))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bank_shape = self.i.p.current.shape()
        ports: list[tuple[ReadPort, WritePort]] = []
        for k in range(2):
            bank: Memory = Memory(shape=bank_shape, depth=self.rows, init=[])
            m.submodules[f"bank_{k}"] = bank
            write = bank.write_port()
            ports.append((bank.read_port(transparent_for=[write]), write))

        advance = Signal()
        valid = Signal()
        added: Any = Signal(self.i.p.shape())
        m.d.comb += self.i.ready.eq(advance)
        with m.If(advance):
            m.d.sync += [valid.eq(self.i.valid), added.eq(self.i.p)]

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

        tick = valid & (added.kind == EventKind.TICK)
        restarts = valid & (added.kind == EventKind.RESTART)
        adds = valid & (added.kind == EventKind.SPIKE)
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
                    read.addr.eq(added.target),
                    read.en.eq(1),
                    write.addr.eq(row),
                    write.en.eq(1),
                    write.data.eq(0),
                ]
            with m.Elif(filling == k):
                m.d.comb += [
                    read.addr.eq(self.i.p.target),
                    read.en.eq(advance),
                    write.addr.eq(added.target),
                    write.en.eq(advance & adds),
                ]
                m.d.comb += [
                    write.data[lane].eq(read.data[lane] + each)
                    for lane, each in enumerate(added.current)
                ]
        return m

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


class ScatterRows(wiring.Component):
    """From joined events to the weighed rows that they add, by way of tables. One row a cycle.

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
    width
        Bits that hold what an event adds.
    store
        What the weight memory is made of.
    parity
        Whether its rows have a parity bit.

    Attributes
    ----------
    weights : WeightMemory
        Rows as the tables name them.

    Members
    -------
    i
        Events.
    o
        Weighed rows; ticks and restarts between them.
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
        width: int,
        store: WeightStore = WeightStore.AUTO,
        *,
        parity: bool = False,
    ) -> None:
        places = sorted(set(shifts))
        words = _Words(tables, rows, event["count"].shape, len(places))
        weighed = weighed_row(rows, tables.weights.shape[1], width)
        self._lookup = Lookup(event, tables, words, [places.index(shift) for shift in shifts])
        self._expander = Expander(tables, words)
        self._counter = RowCounter(words)
        self.weights = WeightMemory(tables.weights, weight_width, store, parity=parity)
        self._weigher = Weigher(self.weights, words.row, places, weighed)
        super().__init__(
            {
                "i": In(stream.Signature(event)),
                "o": Out(stream.Signature(weighed)),
                **self.weights.load_member,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.lookup = self._lookup
        m.submodules.expander = self._expander
        m.submodules.counter = self._counter
        m.submodules.weigher = self._weigher
        connect(m, flipped(self.i), self._lookup.i)
        connect(m, self._lookup.o, self._expander.i)
        connect(m, self._expander.o, self._counter.i)
        connect(m, self._counter.o, self._weigher.i)
        connect(m, self._weigher.o, flipped(self.o))
        if self.weights.store.loaded:
            connect(m, flipped(self.load), self._weigher.load)
        return m


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
    parity
        Whether its rows have a parity bit.

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
        *,
        parity: bool = False,
    ) -> None:
        width = Shape.cast(beat["current"].shape.elem_shape).width
        self._rows = ScatterRows(
            event, tables, shifts, rows, weight_width, width, store, parity=parity
        )
        self.weights = self._rows.weights
        self._accumulators = Accumulators(self._rows.o.p.shape(), rows, beat)
        super().__init__(
            {
                "i": In(stream.Signature(event)),
                "o": Out(stream.Signature(beat)),
                **self.weights.load_member,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rows = self._rows
        m.submodules.accumulators = self._accumulators
        connect(m, flipped(self.i), self._rows.i)
        connect(m, self._rows.o, self._accumulators.i)
        connect(m, self._accumulators.o, flipped(self.o))
        if self.weights.store.loaded:
            connect(m, flipped(self.load), self._rows.load)
        return m
