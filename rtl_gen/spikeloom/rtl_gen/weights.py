"""Weight memories: what they are made of, and how their content gets there."""

import enum
from collections.abc import Iterator
from typing import Any

import numpy as np
from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
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
        Weights, in any order, where the store is loaded. Ready while no row is needed: the memory
        has one port for both.
    """

    addr: Signal
    en: Signal
    needed: Signal
    data: Any
    load: stream.Interface

    latency = 2

    def __init__(self, rows: IntArray, width: int, store: WeightStore) -> None:
        self.rows = np.asarray(rows)
        self.width = width
        self.store = store
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
            }
        )

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
        return m
