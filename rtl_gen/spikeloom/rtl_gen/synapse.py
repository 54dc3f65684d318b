"""Event lists and synapse memories: who spiked, and what that adds to whom."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from spikeloom.reference.memory_map import sweep_rows, weight_rows
from spikeloom.reference.network import FixedDense
from spikeloom.rtl_gen.events import EventKind, event_stream
from spikeloom.rtl_gen.neuron import check_lanes, current_beat

__all__ = ["EventList", "SynapseArray", "source_layout"]


def source_layout(size: int, max_count: int) -> data.StructLayout:
    """Layout of one active source of a sweep.

    ``last`` marks the sweep's last source, ``final`` the step's last. A sweep without active
    sources is one source with count 0. ``restart`` holds for all sources of a step.
    """
    return data.StructLayout(
        {
            "address": max(1, bits_for(size - 1)),
            "count": bits_for(max_count),
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
    max_count
        Most spikes of one source in one step.
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

    latency = 2

    def __init__(self, size: int, max_count: int, sweeps: int) -> None:
        self.size = size
        self.sweeps = sweeps
        super().__init__(
            {
                "i": In(event_stream(size, max_count)),
                "o": Out(stream.Signature(source_layout(size, max_count))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        place_width = max(1, bits_for(self.size - 1))
        entry = data.StructLayout(
            {"address": self.i.p.address.shape(), "count": self.i.p.count.shape()}
        )
        memory: Memory = Memory(shape=entry, depth=2 << place_width, init=[])
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
                        last_place[filling].eq(level - 1),
                        restart[filling].eq(restarting),
                        filling.eq(~filling),
                        level.eq(0),
                        restarting.eq(0),
                    ]

        reading = Signal()
        place = Signal(place_width)
        sweep = Signal(range(max(2, self.sweeps)))
        last = empty[reading] | (place == last_place[reading])
        final = last & (sweep == self.sweeps - 1)
        none = Signal()
        m.d.comb += [
            read.addr[:place_width].eq(place),
            read.addr[place_width].eq(reading),
            read.en.eq(~self.o.valid | self.o.ready),
            self.o.p.address.eq(read.data.address),
            self.o.p.count.eq(Mux(none, 0, read.data.count)),
        ]
        with m.If(read.en):
            m.d.sync += self.o.valid.eq(filled[reading])
            with m.If(filled[reading]):
                m.d.sync += [
                    none.eq(empty[reading]),
                    self.o.p.last.eq(last),
                    self.o.p.final.eq(final),
                    self.o.p.restart.eq(restart[reading]),
                    place.eq(Mux(last, 0, place + 1)),
                ]
                with m.If(last):
                    m.d.sync += sweep.eq(Mux(final, 0, sweep + 1))
                with m.If(final):
                    m.d.sync += [filled[reading].eq(0), reading.eq(~reading)]
        return m


class SynapseArray(wiring.Component):
    """Sums the weights of the active sources, for as many neurons at once as there are lanes.

    Reads one row of weights a cycle, an event of count ``n`` taking ``n`` cycles, and delivers a
    row of currents at the end of each sweep. The sums are exact.

    Parameters
    ----------
    layer
        The dense layer whose weights these are.
    lanes
        Weights in a row, 1 to 256.

    Attributes
    ----------
    latency : int
        Cycles from a sweep's last source to its row of currents, without back-pressure.

    Members
    -------
    i
        Active sources, all sweeps of a step one after the other.
    o
        Rows of currents.
    """

    i: stream.Interface
    o: stream.Interface

    latency = 3

    def __init__(self, layer: FixedDense, lanes: int) -> None:
        check_lanes(lanes)
        self.layer = layer
        self.lanes = lanes
        self.inputs = layer.weight.shape[0]
        self.sweeps = sweep_rows(layer.neurons.size, lanes)
        super().__init__(
            {
                "i": In(stream.Signature(source_layout(self.inputs, layer.max_count))),
                "o": Out(stream.Signature(current_beat(layer.neurons, lanes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        weights = weight_rows(layer.weight, self.lanes).tolist()
        memory: Memory = Memory(
            shape=data.ArrayLayout(signed(layer.weight_width), self.lanes),
            depth=len(weights),
            init=weights,
        )
        m.submodules.weights = memory
        read = memory.read_port()
        advance = Signal()
        m.d.comb += advance.eq(~self.o.valid | self.o.ready)

        # Fetch: the row of the source in this sweep, as often as the source spiked.
        base = Signal(range(len(weights)))
        again = Signal()
        m.d.comb += self.i.ready.eq(advance & ~again)
        if layer.max_count > 1:
            repeat = Signal.like(self.i.p.count)
            m.d.comb += again.eq(repeat + 1 < self.i.p.count)
            with m.If(advance & self.i.valid):
                m.d.sync += repeat.eq(Mux(again, repeat + 1, 0))
        with m.If(self.i.valid & self.i.ready & self.i.p.last):
            m.d.sync += base.eq(Mux(self.i.p.final, 0, base + self.inputs))
        row = Signal(range(len(weights)))
        fetched = Signal()
        fetched_none = Signal()
        fetched_last = Signal()
        fetched_restart = Signal()
        with m.If(advance):
            m.d.sync += [
                row.eq(base + self.i.p.address),
                fetched.eq(self.i.valid),
                fetched_none.eq(self.i.p.count == 0),
                fetched_last.eq(self.i.valid & self.i.p.last & ~again),
                fetched_restart.eq(self.i.p.restart),
            ]

        # Read.
        weighed = Signal()
        weighed_last = Signal()
        weighed_restart = Signal()
        m.d.comb += [read.addr.eq(row), read.en.eq(advance)]
        with m.If(advance):
            m.d.sync += [
                weighed.eq(fetched & ~fetched_none),
                weighed_last.eq(fetched_last),
                weighed_restart.eq(fetched_restart),
            ]

        # Accumulate.
        begin = Signal(init=1)
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(weighed_last),
                self.o.p.restart.eq(weighed_restart),
            ]
            with m.If(weighed_last):
                m.d.sync += begin.eq(1)
            with m.Elif(weighed):
                m.d.sync += begin.eq(0)
        for k in range(self.lanes):
            total = Signal(signed(layer.accumulator_width), name=f"total_{k}")
            with m.If(advance & (weighed | weighed_last)):
                m.d.sync += total.eq(Mux(begin, 0, total) + Mux(weighed, read.data[k], 0))
            m.d.comb += self.o.p.current[k].eq(total << layer.weight_shift)
        return m
