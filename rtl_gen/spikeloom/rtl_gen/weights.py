"""Weight memories: what they are made of, and how their content gets there."""

import enum
from collections.abc import Iterator
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory, ReadPort
from amaranth.lib.wiring import In, Out

from spikeloom.reference.fixed import IntArray
from spikeloom.rtl_gen.fixed import index_shape
from spikeloom.rtl_gen.memory import UNMET

__all__ = ["WeightMemory", "WeightStore", "load_layout", "row_layout"]


class WeightStore(enum.Enum):
    """What a weight memory is made of, and whether its weights are loaded at start.

    The weights of the others are part of the bitstream. ``style`` is what Yosys is told
    (``ram_style``); an empty one leaves the choice to it.
    """

    AUTO = ("", False)
    BLOCK = ("block", False)
    DISTRIBUTED = ("distributed", False)
    LOADED_BLOCK = ("block", True)
    LOADED_DISTRIBUTED = ("distributed", True)
    SPRAM = ("huge", True)
    """Single-port memories of 256 kbit of the iCE40 UltraPlus, which no bitstream can fill."""

    @property
    def style(self) -> str:
        return self.value[0]

    @property
    def word(self) -> str:
        """What files call it."""
        return self.name.lower().replace("_", "-")

    @property
    def loaded(self) -> bool:
        return self.value[1]


def row_layout(width: int, lanes: int) -> data.ArrayLayout:
    """Layout of a row of weights of ``width`` bits."""
    return data.ArrayLayout(Shape(width, signed=True), lanes)


def load_layout(width: int, lanes: int, rows: int) -> data.StructLayout:
    """Layout of a weight that is loaded, with its place."""
    return data.StructLayout(
        {"weight": Shape(width, signed=True), "lane": index_shape(lanes), "row": index_shape(rows)}
    )


class WeightMemory(wiring.Component):
    """Rows of weights, read one a cycle.

    Parameters
    ----------
    rows
        The weights, integers of shape (rows, lanes).
    width
        Bits of a weight.
    store
        What it is made of.
    parity
        Whether rows have a parity bit, in a memory of its own.

    Attributes
    ----------
    latency : int
        Cycles with ``en`` from a row's number to its weights: one for the memory, and one for a
        register behind it, since memories are slow to answer.
    load_member : dict of str to Member
        The member ``load`` where the store is loaded, for those who pass it on.

    Members
    -------
    addr, en
        The row that is asked for, and whether it is read at the end of this cycle.
    needed
        Whether there is a row to be read: nothing is loaded meanwhile.
    data
        The weights of the row, once ``en`` has been high in another cycle.
    load
        Weights, in any order, where the store is loaded; with ``parity`` those of a row one behind
        the other, from lane 0 on. Ready while no row is needed: the memory has one port for both.
    error
        Where there is ``parity``: set until reset four cycles after a row has been read, with
        ``needed``, of which an odd number of bits is wrong.
    """

    addr: Signal
    en: Signal
    needed: Signal
    data: Any
    load: stream.Interface
    error: Signal

    latency = 2

    def __init__(
        self, rows: IntArray, width: int, store: WeightStore, *, parity: bool = False
    ) -> None:
        self.rows = np.asarray(rows)
        self.width = width
        self.store = store
        self.parity = parity
        depth, self.lanes = self.rows.shape
        load = In(stream.Signature(load_layout(width, self.lanes, depth)))
        self.load_member = {"load": load} if store.loaded else {}
        super().__init__(
            {
                "addr": In(index_shape(depth)),
                "en": In(1),
                "needed": In(1),
                "data": Out(row_layout(width, self.lanes)),
                **self.load_member,
                **({"error": Out(1)} if parity else {}),
            }
        )

    @property
    def row_parity(self) -> IntArray:
        """The parity bit of each row."""
        return np.bitwise_count(self.rows & ((1 << self.width) - 1)).sum(axis=1) & 1

    def loads(self) -> Iterator[dict[str, int]]:
        """All weights as they are loaded; those of 0 too, since memories begin with anything."""
        for row, weights in enumerate(self.rows.tolist()):
            for lane, weight in enumerate(weights):
                yield {"weight": weight, "lane": lane, "row": row}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        style = {"ram_style": self.store.style} if self.store.style else {}
        memory: Memory = Memory(
            shape=row_layout(self.width, self.lanes),
            depth=len(self.rows),
            init=[] if self.store.loaded else self.rows.tolist(),
            attrs=style | (UNMET if self.store.loaded else {}),
        )
        m.submodules.memory = memory
        read = memory.read_port()
        with m.If(self.en):
            m.d.sync += self.data.eq(read.data)
        if not self.store.loaded:
            m.d.comb += [read.addr.eq(self.addr), read.en.eq(self.en)]
            if self.parity:
                self._check(m, self._parities(m), read)
            return m
        write = memory.write_port(granularity=1)
        place = Mux(self.needed, self.addr, self.load.p.row)
        loads = self.load.valid & self.load.ready
        m.d.comb += [
            self.load.ready.eq(~self.needed),
            read.addr.eq(place),
            read.en.eq(self.en & self.needed),
            write.addr.eq(place),
            write.en.eq(Mux(loads, 1 << self.load.p.lane, 0)),
        ]
        m.d.comb += [each.eq(self.load.p.weight) for each in write.data]
        if self.parity:
            memory = self._parities(m)
            self._check(m, memory, read)
            parities = memory.write_port()
            # What is stored after a row's last weight is the parity of all of them.
            before = Signal()
            now = self.load.p.weight.xor() ^ (before & (self.load.p.lane != 0))
            m.d.comb += [parities.addr.eq(place), parities.en.eq(loads), parities.data.eq(now)]
            with m.If(loads):
                m.d.sync += before.eq(now)
        return m

    def _parities(self, m: Module) -> Memory:
        """The memory of the rows' parity bits."""
        loaded = self.store.loaded
        memory: Memory = Memory(
            shape=1,
            depth=len(self.rows),
            init=[] if loaded else self.row_parity.tolist(),
            attrs=UNMET if loaded else {},
        )
        m.submodules.parity = memory
        return memory

    def _check(self, m: Module, parities: Memory, beside: ReadPort) -> None:
        """Compare each row that is read with its parity."""
        read = parities.read_port()
        m.d.comb += [read.addr.eq(beside.addr), read.en.eq(beside.en)]
        asked = Signal()
        there = Signal()
        expected = Signal()
        with m.If(self.en):
            m.d.sync += [asked.eq(self.needed), there.eq(asked), expected.eq(read.data)]
        # Lanes first: the sum over all of them in one cycle would slow the clock.
        folded = Signal(self.lanes + 1)
        checked = Signal()
        lanes = [Value.cast(self.data[lane]).xor() for lane in range(self.lanes)]
        m.d.sync += [folded.eq(Cat(expected, *lanes)), checked.eq(there)]
        with m.If(checked & folded.xor()):
            m.d.sync += self.error.eq(1)
