"""A population: neurons, the synapses onto them, and the events they send."""

from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spikeloom.reference.dense import FixedDense
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.network import FixedPopulation, LateBias
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.scatter import ScatterTables
from spikeloom.rtl_gen.events import EventKind, event_stream
from spikeloom.rtl_gen.neuron import NeuronArray, check_lanes, current_beat, spike_beat
from spikeloom.rtl_gen.protection import UNGUARDED, Protection
from spikeloom.rtl_gen.scatter import ScatterArray
from spikeloom.rtl_gen.stream import StreamBuffer
from spikeloom.rtl_gen.synapse import EventList, SynapseArray
from spikeloom.rtl_gen.weights import WeightMemory, WeightStore

__all__ = ["DensePopulation", "ScatterPopulation", "SpikeSerializer"]

GROUP = 8
"""Lanes among which a spike is found in one cycle."""


class SpikeSerializer(wiring.Component):
    """Turns rows of spike counts, or potentials, into events, in the order of the layout.

    One event a cycle, and a cycle for a row without any. A step's tick follows its last spike, a
    restart goes before the first. Rows of more than eight lanes are taken apart first, into groups
    of eight, of which those without spikes are passed over.

    Parameters
    ----------
    config
        The neurons that send.
    layout
        Where they lie.

    Attributes
    ----------
    latency : int
        Cycles from a row to its first event, without back-pressure.

    Members
    -------
    i
        Rows of spike counts.
    o
        Events.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: NeuronConfig, layout: Layout) -> None:
        self.config = config
        self.layout = layout
        self.lanes = layout.lanes
        self._size = min(GROUP, layout.lanes)
        self._groups = -(-layout.lanes // self._size)
        self.latency = 2 if self._groups == 1 else 3
        least, most = config.sent
        super().__init__(
            {
                "i": In(stream.Signature(spike_beat(config, layout.lanes))),
                "o": Out(event_stream(layout.shape, most, least)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        place, follow = self._place(m)
        # A group of lanes: what is to be sent of it, lowest first, and its first lane's address.
        items = Signal(self._size + 2)
        rest = Signal.like(items)
        count = Signal(data.ArrayLayout(self.i.p.count.shape().elem_shape, self._size))
        first = Signal.like(self.o.p.address)
        advance = Signal()
        takes = Signal()
        m.d.comb += [
            rest.eq(items & (items - 1)),
            advance.eq(~self.o.valid | self.o.ready),
            takes.eq(~items.any() | (advance & ~rest.any())),
        ]
        with m.If(advance):
            m.d.sync += [self.o.valid.eq(items.any()), items.eq(rest)]
            m.d.sync += self.o.p.eq(self.o.p.shape().const({"kind": EventKind.TICK}))
            # The last assignment holds: that of the lowest item.
            for k in reversed(range(self._size)):
                with m.If(items[1 + k]):
                    m.d.sync += [
                        self.o.p.kind.eq(EventKind.SPIKE),
                        self.o.p.count.eq(count[k]),
                        *self._at(self.o.p.address, first, k),
                    ]
            with m.If(items[0]):
                m.d.sync += self.o.p.eq(self.o.p.shape().const({"kind": EventKind.RESTART}))

        if self._groups == 1:
            m.d.comb += self.i.ready.eq(takes)
            with m.If(takes):
                spikes = [each != 0 for each in self.i.p.count]
                new = Cat(self.i.p.restart, *spikes, self.i.p.last)
                m.d.sync += [
                    items.eq(Mux(self.i.valid, new, 0)),
                    count.eq(self.i.p.count),
                    first.eq(place),
                ]
            follow(self.i.valid & self.i.ready)
            return m

        # A row: its groups that have something to send. The first one has where there is a flag.
        row: Any = Signal(self.i.p.shape())
        base = Signal.like(place)
        waiting = Signal(self._groups)
        others = Signal.like(waiting)
        m.d.comb += [
            others.eq(waiting & (waiting - 1)),
            self.i.ready.eq(~waiting.any() | (takes & ~others.any())),
        ]
        groups = [
            [row.count[k] for k in range(start, min(start + self._size, self.lanes))]
            for start in range(0, self.lanes, self._size)
        ]
        with m.If(takes):
            m.d.sync += [items.eq(0), waiting.eq(others)]
            for k, lanes in reversed(list(enumerate(groups))):
                with m.If(waiting[k]):
                    spikes = [each != 0 for each in lanes]
                    spikes += [Const(0)] * (self._size - len(spikes))
                    new = Cat(row.restart & (k == 0), *spikes, row.last & ~others.any())
                    m.d.sync += items.eq(new)
                    m.d.sync += [count[j].eq(each) for j, each in enumerate(lanes)]
                    m.d.sync += self._at(first, base, k * self._size)
        with m.If(self.i.ready):
            flags = self.i.p.restart | self.i.p.last
            present = [
                Cat(each != 0 for each in self.i.p.count[start : start + self._size]).any()
                for start in range(0, self.lanes, self._size)
            ]
            present[0] = present[0] | flags
            m.d.sync += [
                waiting.eq(Mux(self.i.valid, Cat(present), 0)),
                row.eq(self.i.p),
                base.eq(place),
            ]
        follow(self.i.valid & self.i.ready)
        return m

    def _at(self, address: Any, first: Any, lane: int) -> list[Any]:
        """Assignments of the address of a lane, given that of the first."""
        if len(self.layout.shape) == 1:
            return [address.eq(first + lane)]
        return [address.eq(first), address.c.eq(first.c + lane)]

    def _place(self, m: Module) -> tuple[Any, Callable[[Value], None]]:
        """Address of the first lane of the row that comes, and what follows the rows."""
        place: Any = Signal.like(self.o.p.address, name="place")
        last = self.i.p.last
        if len(self.layout.shape) == 1:

            def follow(takes: Value) -> None:
                with m.If(takes):
                    m.d.sync += place.eq(Mux(last, 0, place + self.lanes))

            return place, follow
        names = [name for name, _ in place.shape() if name != "c"]
        sizes = dict(zip(names, reversed(self.layout.shape[1:]), strict=True))

        def follow_places(takes: Value) -> None:
            carry = place.c == (self.layout.groups - 1) * self.lanes
            with m.If(takes):
                m.d.sync += place.c.eq(Mux(last | carry, 0, place.c + self.lanes))
                for name in names:
                    end = place[name] == sizes[name] - 1
                    with m.If(last):
                        m.d.sync += place[name].eq(0)
                    with m.Elif(carry):
                        m.d.sync += place[name].eq(Mux(end, 0, place[name] + 1))
                    carry = carry & end

        return place, follow_places


class DensePopulation(wiring.Component):
    """A dense layer: events in, events out.

    Output-stationary and event-driven: while the events of one step are listed, the step before
    is computed, for ``lanes`` neurons at a time. A step with ``n`` active sources, each as often as
    it may have spiked, occupies the lanes for ``n * ceil(neurons / lanes)`` cycles, and one without
    the neurons for a sweep, or not at all where they rest
    (:class:`~spikeloom.rtl_gen.neuron.NeuronArray`). Steps follow each other at that rate unless
    spikes leave more slowly (an event and a row each take the serialiser a cycle) or the sweep is
    shorter than the neurons' pipeline.

    Parameters
    ----------
    layer
        Weights and neurons.
    lanes
        Neurons computed at once, 1 to 256.
    late_bias
        Currents that are added from a step of each sequence on.
    store
        What the weight memory is made of.
    protection
        What of its memories is guarded.

    Attributes
    ----------
    rows : int
        Rows of neurons, each computed in one sweep over the active sources.
    synapses : SynapseArray
        Its synapses.
    array : NeuronArray
        Its neurons.
    weights : WeightMemory
        As :class:`~spikeloom.rtl_gen.synapse.SynapseArray`'s.
    latency : int
        Cycles from a tick at the input to the first event of its step at the output (its tick,
        where no neuron spikes), without back-pressure, in a network at rest and with ``n`` active
        sources: ``latency + (max(n, 1) - 1)`` where one sweep suffices for all neurons.

    Members
    -------
    i, o
        Events.
    probe_i, probe_o
        As :class:`~spikeloom.rtl_gen.neuron.NeuronArray`'s.
    load
        As :class:`~spikeloom.rtl_gen.weights.WeightMemory`'s.
    """

    i: stream.Interface
    o: stream.Interface
    load: stream.Interface
    probe_i: stream.Interface
    probe_o: stream.Interface

    def __init__(
        self,
        layer: FixedDense,
        lanes: int,
        late_bias: Sequence[LateBias] = (),
        store: WeightStore = WeightStore.AUTO,
        protection: Protection = UNGUARDED,
    ) -> None:
        check_lanes(lanes)
        self.layer = layer
        self.lanes = lanes
        inputs = layer.weight.shape[0]
        self.synapses = SynapseArray(layer, lanes, store, parity=protection.parity)
        self.weights: WeightMemory = self.synapses.weights
        self.layout = self.synapses.layout
        self.rows = self.layout.rows
        self._sources = EventList(inputs, layer.max_count, self.rows, layer.least_count)
        self.array = NeuronArray(layer.neurons, lanes, late_bias=late_bias, ecc=protection.ecc)
        # Spikes queue here, so that neurons and synapses don't wait on each event's consumer.
        self._buffer = StreamBuffer(spike_beat(layer.neurons, lanes))
        self._spikes = SpikeSerializer(layer.neurons, self.layout)
        self.patience = 3 * self.rows * inputs + 2 * layer.neurons.size + 64
        self.latency = (
            self._sources.latency
            + self.synapses.latency
            + self.array.latency
            + self._buffer.latency
            + self._spikes.latency
        )
        neurons = self.array.signature.members
        super().__init__(
            {
                "i": self._sources.signature.members["i"],
                "o": self._spikes.signature.members["o"],
                "probe_i": neurons["probe_i"],
                "probe_o": neurons["probe_o"],
                **self.weights.load_member,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sources = self._sources
        m.submodules.synapses = self.synapses
        m.submodules.neurons = self.array
        m.submodules.buffer = self._buffer
        m.submodules.spikes = self._spikes
        connect(m, flipped(self.i), self._sources.i)
        connect(m, self._sources.o, self.synapses.i)
        connect(m, self.synapses.o, self.array.i)
        connect(m, self.array.o, self._buffer.i)
        connect(m, self._buffer.o, self._spikes.i)
        connect(m, self._spikes.o, flipped(self.o))
        connect(m, flipped(self.probe_i), self.array.probe_i)
        connect(m, self.array.probe_o, flipped(self.probe_o))
        if self.weights.store.loaded:
            connect(m, flipped(self.load), self.synapses.load)
        return m


class ScatterPopulation(wiring.Component):
    """Any population: events in, events out.

    Each event costs the lanes a cycle for each row that it reaches; the neurons are swept while
    the next step's events come in.

    Parameters
    ----------
    event
        Layout of the joined events.
    tables
        What they add to whom, joined.
    shifts
        For each channel of the tables the left shift of what it adds.
    population
        Weights and neurons.
    lanes
        Neurons computed at once, 1 to 256.
    store
        What the weight memory is made of.
    protection
        What of its memories is guarded.

    Attributes
    ----------
    rows : int
        Rows of neurons.
    array : NeuronArray
        Its neurons.
    weights : WeightMemory
        As :class:`~spikeloom.rtl_gen.scatter.ScatterArray`'s.

    Members
    -------
    i, o
        Events.
    probe_i, probe_o
        As :class:`~spikeloom.rtl_gen.neuron.NeuronArray`'s.
    load
        As :class:`~spikeloom.rtl_gen.weights.WeightMemory`'s.
    """

    i: stream.Interface
    o: stream.Interface
    load: stream.Interface
    probe_i: stream.Interface
    probe_o: stream.Interface

    def __init__(
        self,
        event: data.StructLayout,
        tables: ScatterTables,
        shifts: Sequence[int],
        population: FixedPopulation,
        lanes: int,
        store: WeightStore = WeightStore.AUTO,
        protection: Protection = UNGUARDED,
    ) -> None:
        check_lanes(lanes)
        config = population.neurons
        self.tables = tables
        self.event = event
        self.shifts = list(shifts)
        self.lanes = lanes
        self.layout = Layout(population.shape, lanes)
        self.rows = self.layout.rows
        beat = current_beat(config, lanes)
        self._synapses = ScatterArray(
            event,
            tables,
            shifts,
            self.rows,
            population.weight_width,
            beat,
            store,
            parity=protection.parity,
        )
        self.weights: WeightMemory = self._synapses.weights
        self.array = NeuronArray(
            config, lanes, population.shape, population.late_bias, ecc=protection.ecc
        )
        self._buffer = StreamBuffer(spike_beat(config, lanes))
        self._spikes = SpikeSerializer(config, self.layout)
        reached = [
            sum(map(len, tables.height)) * sum(map(len, tables.width)) * sum(tables.groups),
            2 * config.size,
            3 * self.rows,
        ]
        self.patience = sum(reached) + 64
        neurons = self.array.signature.members
        super().__init__(
            {
                "i": In(stream.Signature(event)),
                "o": self._spikes.signature.members["o"],
                "probe_i": neurons["probe_i"],
                "probe_o": neurons["probe_o"],
                **self.weights.load_member,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.synapses = self._synapses
        m.submodules.neurons = self.array
        m.submodules.buffer = self._buffer
        m.submodules.spikes = self._spikes
        connect(m, flipped(self.i), self._synapses.i)
        connect(m, self._synapses.o, self.array.i)
        connect(m, self.array.o, self._buffer.i)
        connect(m, self._buffer.o, self._spikes.i)
        connect(m, self._spikes.o, flipped(self.o))
        connect(m, flipped(self.probe_i), self.array.probe_i)
        connect(m, self.array.probe_o, flipped(self.probe_o))
        if self.weights.store.loaded:
            connect(m, flipped(self.load), self._synapses.load)
        return m
