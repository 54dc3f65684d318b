"""Event lists and synapse memories: who spiked, and what that adds to whom."""

from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from spikeloom.reference.dense import FixedDense
from spikeloom.reference.memory_map import Layout, dense_rows
from spikeloom.rtl_gen.events import EventKind, EventLayout, event_stream
from spikeloom.rtl_gen.fixed import index_shape
from spikeloom.rtl_gen.memory import UNMET
from spikeloom.rtl_gen.neuron import check_lanes, current_beat
from spikeloom.rtl_gen.weights import WeightMemory, WeightStore

__all__ = ["EventList", "SynapseArray", "source_layout"]


def source_layout(size: int, max_count: int, least_count: int = 0) -> data.StructLayout:
    """Layout of one active source of a sweep.

    ``last`` marks the sweep's last source, ``final`` the step's last. A step without active
    sources is one sweep of one source with count 0. ``restart`` holds for all sources of a step.
    """
    event = EventLayout(size, max_count, least_count)
    return data.StructLayout(
        {
            "address": event["address"].shape,
            "count": event["count"].shape,
            "last": 1,
            "final": 1,
            "restart": 1,
        }
    )


class EventList(wiring.Component):
    """Lists a step's active sources while those of the step before are read.

    Two lists take turns: one is filled with the spikes of the step under way, the other is read
    ``sweeps`` times over. A restart empties the list under way.

    Parameters
    ----------
    size
        Number of sources; a step brings at most so many spikes.
    max_count, least_count
        The most and the least that a source sends in one step.
    sweeps
        How often each list is read.

    Attributes
    ----------
    latency : int
        Cycles from a tick to the first source of its step, where no earlier step is being read.

    Members
    -------
    i
        Events. Not ready while both lists are waiting to be read.
    o
        Active sources, one a cycle.
    """

    i: stream.Interface
    o: stream.Interface

    latency = 3

    def __init__(self, size: int, max_count: int, sweeps: int, least_count: int = 0) -> None:
        self.size = size
        self.sweeps = sweeps
        super().__init__(
            {
                "i": In(event_stream(size, max_count, least_count)),
                "o": Out(stream.Signature(source_layout(size, max_count, least_count))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        place_width = index_shape(self.size).width
        entry = data.StructLayout(
            {"address": self.i.p.address.shape(), "count": self.i.p.count.shape()}
        )
        memory: Memory = Memory(shape=entry, depth=2 << place_width, init=[], attrs=UNMET)
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()

        filled = Array(Signal(name=f"filled_{k}") for k in range(2))
        empty = Array(Signal(name=f"empty_{k}") for k in range(2))
        last_place = Array(Signal(place_width, name=f"last_place_{k}") for k in range(2))
        restart = Array(Signal(name=f"restart_{k}") for k in range(2))

        filling = Signal()
        level = Signal(range(self.size + 1))
        restarting = Signal()
        m.d.comb += [
            self.i.ready.eq(~filled[filling]),
            write.addr[:place_width].eq(level),
            write.addr[place_width].eq(filling),
            write.data.address.eq(self.i.p.address),
            write.data.count.eq(self.i.p.count),
        ]
        with m.If(self.i.valid & self.i.ready):
            with m.Switch(self.i.p.kind):
                with m.Case(EventKind.SPIKE):
                    m.d.comb += write.en.eq(1)
                    m.d.sync += level.eq(level + 1)
                with m.Case(EventKind.RESTART):
                    m.d.sync += [level.eq(0), restarting.eq(1)]
                with m.Case(EventKind.TICK):
                    m.d.sync += [
                        filled[filling].eq(1),
                        empty[filling].eq(level == 0),
                        last_place[filling].eq(level[:place_width] - 1),
                        restart[filling].eq(restarting),
                        filling.eq(~filling),
                        level.eq(0),
                        restarting.eq(0),
                    ]

        reading = Signal()
        place = Signal(place_width)
        sweep = Signal(range(max(2, self.sweeps)))
        last = empty[reading] | (place == last_place[reading])
        final = empty[reading] | (last & (sweep == self.sweeps - 1))
        none = Signal()
        flags: Any = Signal(data.StructLayout({"last": 1, "final": 1, "restart": 1}))
        found_valid = Signal()
        found: Any = Signal(self.o.p.shape())
        m.d.comb += [
            read.addr[:place_width].eq(place),
            read.addr[place_width].eq(reading),
            read.en.eq(~self.o.valid | self.o.ready),
            found.address.eq(read.data.address),
            found.count.eq(Mux(none, 0, read.data.count)),
            *(found[name].eq(flags[name]) for name in ("last", "final", "restart")),
        ]
        # Memories are slow to answer: behind this one there is a register.
        with m.If(read.en):
            m.d.sync += [
                found_valid.eq(filled[reading]),
                self.o.valid.eq(found_valid),
                self.o.p.eq(found),
            ]
            with m.If(filled[reading]):
                m.d.sync += [
                    none.eq(empty[reading]),
                    flags.last.eq(last),
                    flags.final.eq(final),
                    flags.restart.eq(restart[reading]),
                    place.eq(Mux(last, 0, place + 1)),
                ]
                with m.If(last):
                    m.d.sync += sweep.eq(Mux(final, 0, sweep + 1))
                with m.If(final):
                    m.d.sync += [filled[reading].eq(0), reading.eq(~reading)]
        return m


class SynapseArray(wiring.Component):
    """Sums the weights of the active sources, for as many neurons at once as there are lanes.

    Reads one row of weights a cycle, multiplies it by the count where there can be more than one
    spike, and delivers a row of currents at the end of each sweep. The sums are exact.

    Parameters
    ----------
    layer
        The dense layer whose weights these are.
    lanes
        Weights in a row, 1 to 256.
    store
        What the weight memory is made of.
    parity
        Whether its rows have a parity bit.

    Attributes
    ----------
    latency : int
        Cycles from a sweep's last source to its row of currents, without back-pressure; one more
        where counts are multiplied.
    weights : WeightMemory
        Row ``sweep * inputs + input`` holds the weights of that input for that sweep.

    Members
    -------
    i
        Active sources, all sweeps of a step one after the other.
    o
        Rows of currents.
    load
        As :class:`~spikeloom.rtl_gen.weights.WeightMemory`'s.
    """

    i: stream.Interface
    o: stream.Interface
    load: stream.Interface

    def __init__(
        self,
        layer: FixedDense,
        lanes: int,
        store: WeightStore = WeightStore.AUTO,
        *,
        parity: bool = False,
    ) -> None:
        check_lanes(lanes)
        self.layer = layer
        self.lanes = lanes
        self.inputs = layer.weight.shape[0]
        self.layout = Layout((layer.neurons.size,), lanes)
        self.sweeps = self.layout.rows
        self._scales = layer.max_count > 1 or layer.least_count < 0 or len(layer.shifts) > 1
        self.latency = WeightMemory.latency + (3 if self._scales else 2)
        self.weights = WeightMemory(
            dense_rows(layer.weight, self.layout), layer.weight_width, store, parity=parity
        )
        sources = source_layout(self.inputs, layer.max_count, layer.least_count)
        super().__init__(
            {
                "i": In(stream.Signature(sources)),
                "o": Out(stream.Signature(current_beat(layer.neurons, lanes))),
                **self.weights.load_member,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        m.submodules.weights = weights = self.weights
        if weights.store.loaded:
            connect(m, flipped(self.load), weights.load)
        advance = Signal()
        m.d.comb += [advance.eq(~self.o.valid | self.o.ready), self.i.ready.eq(advance)]

        # Fetch: the row of the source in this sweep.
        base = Signal.like(weights.addr)
        with m.If(self.i.valid & self.i.ready & self.i.p.last):
            m.d.sync += base.eq(Mux(self.i.p.final, 0, base + self.inputs))
        row = Signal.like(weights.addr)
        fetched: Any = Signal(self._stage)
        with m.If(advance):
            m.d.sync += [
                row.eq(base + self.i.p.address),
                fetched.adds.eq(self.i.valid & (self.i.p.count != 0)),
                fetched.last.eq(self.i.valid & self.i.p.last),
                fetched.void.eq(self.i.p.count == 0),
                fetched.restart.eq(self.i.p.restart),
                fetched.count.eq(self.i.p.count),
                fetched.place.eq(self._place(m)),
            ]

        # Read.
        read: Any = Signal(self._stage)
        weighed: Any = Signal(self._stage)
        m.d.comb += [weights.addr.eq(row), weights.needed.eq(fetched.adds), weights.en.eq(advance)]
        with m.If(advance):
            m.d.sync += [read.eq(fetched), weighed.eq(read)]
        terms: list[Value] = [weights.data[k] for k in range(self.lanes)]

        # Multiply.
        if self._scales:
            products = [
                Signal(signed(layer.accumulator_width), name=f"product_{k}")
                for k in range(self.lanes)
            ]
            multiplied: Any = Signal(self._stage)
            with m.If(advance):
                m.d.sync += multiplied.eq(weighed)
                m.d.sync += [
                    product.eq(self._scaled(m, k, term, weighed))
                    for k, (product, term) in enumerate(zip(products, terms, strict=True))
                ]
            weighed, terms = multiplied, list(products)

        # Accumulate.
        begin = Signal(init=1)
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(weighed.last),
                self.o.p.restart.eq(weighed.restart),
                self.o.p.void.eq(weighed.void),
            ]
            with m.If(weighed.last):
                m.d.sync += begin.eq(1)
            with m.Elif(weighed.adds):
                m.d.sync += begin.eq(0)
        for k, term in enumerate(terms):
            total = Signal(signed(layer.accumulator_width), name=f"total_{k}")
            with m.If(advance & (weighed.adds | weighed.last)):
                m.d.sync += total.eq(Mux(begin, 0, total) + Mux(weighed.adds, term, 0))
            m.d.comb += self.o.p.current[k].eq(total << min(layer.shifts))
        return m

    @property
    def _shifts(self) -> list[int]:
        """The left shifts that there are, beyond the least."""
        return sorted({shift - min(self.layer.shifts) for shift in self.layer.shifts})

    @property
    def _stage(self) -> data.StructLayout:
        """What goes along with a row of weights."""
        return data.StructLayout(
            {
                "adds": 1,
                "last": 1,
                "restart": 1,
                "void": 1,
                "count": self.i.p.count.shape(),
                "place": range(len(self._shifts)),
            }
        )

    def _place(self, m: Module) -> Value:
        """Number of the shift of the source's weights."""
        place = Signal(range(len(self._shifts)))
        if len(self._shifts) > 1:
            least = min(self.layer.shifts)
            starts = [
                (k, self._shifts.index(shift - least))
                for k, shift in enumerate(self.layer.shifts)
                if k == 0 or shift != self.layer.shifts[k - 1]
            ]
            for start, number in starts:
                with m.If(self.i.p.address >= start):
                    m.d.comb += place.eq(number)
        return place

    def _scaled(self, m: Module, lane: int, weight: Value, stage: data.View) -> Value:
        counted = self.layer.max_count > 1 or self.layer.least_count < 0
        value = weight * stage.count if counted else weight
        if len(self._shifts) == 1:
            return value
        times = Signal(value.shape(), name=f"times_{lane}")
        m.d.comb += times.eq(value)
        scaled = Signal(signed(self.layer.accumulator_width), name=f"scaled_{lane}")
        with m.Switch(stage.place):
            for k, shift in enumerate(self._shifts):
                with m.Case(k):
                    m.d.comb += scaled.eq(times << shift)
        return scaled
