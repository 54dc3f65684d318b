"""A population: neurons, the synapses onto them, and the events they send."""

from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spikeloom.reference.dense import FixedDense
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.network import FixedPopulation, LateBias
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.scatter import ScatterTables
from spikeloom.rtl_gen.events import EventKind, event_stream
from spikeloom.rtl_gen.neuron import NeuronArray, check_lanes, current_beat, spike_beat
from spikeloom.rtl_gen.scatter import ScatterArray
from spikeloom.rtl_gen.stream import StreamBuffer
from spikeloom.rtl_gen.synapse import EventList, SynapseArray
from spikeloom.rtl_gen.weights import WeightMemory, WeightStore

__all__ = ["DensePopulation", "ScatterPopulation", "SpikeSerializer"]


class SpikeSerializer(wiring.Component):
    """Turns rows of spike counts, or potentials, into events, in the order of the layout.

    One event a cycle, and one cycle to take a row. A step's tick follows its last spike, a restart
    goes before the first.

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

    latency = 1

    def __init__(self, config: NeuronConfig, layout: Layout) -> None:
        self.config = config
        self.layout = layout
        self.lanes = layout.lanes
        least, most = config.sent
        super().__init__(
            {
                "i": In(stream.Signature(spike_beat(config, layout.lanes))),
                "o": Out(event_stream(layout.shape, most, least)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal.like(self.i.p.count)
        pending = Signal(self.lanes)
        restart = Signal()
        tick = Signal()
        ended = Signal(init=1)
        base = self._base(m, self.i.valid & self.i.ready, ended)

        m.d.comb += [
            self.o.valid.eq(restart | pending.any() | tick),
            self.i.ready.eq(~self.o.valid),
        ]
        with m.If(restart):
            m.d.comb += self.o.p.kind.eq(EventKind.RESTART)
            with m.If(self.o.ready):
                m.d.sync += restart.eq(0)
        with m.Elif(pending.any()):
            m.d.comb += self.o.p.kind.eq(EventKind.SPIKE)
            # The last assignment holds: that of the lowest lane.
            for k in reversed(range(self.lanes)):
                with m.If(pending[k]):
                    m.d.comb += [base(k), self.o.p.count.eq(count[k])]
            with m.If(self.o.ready):
                m.d.sync += pending.eq(pending & (pending - 1))
        with m.Else():
            m.d.comb += self.o.p.kind.eq(EventKind.TICK)
            with m.If(self.o.ready):
                m.d.sync += tick.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                count.eq(self.i.p.count),
                restart.eq(self.i.p.restart),
                tick.eq(self.i.p.last),
                ended.eq(self.i.p.last),
            ]
            for k in range(self.lanes):
                m.d.sync += pending[k].eq(self.i.p.count[k] != 0)
        return m

    def _base(self, m: Module, takes: Value, ended: Value) -> Callable[[int], Any]:
        """Follow the rows; gives the assignment of the address of a lane of the row."""
        address = self.o.p.address
        if len(self.layout.shape) == 1:
            base = Signal.like(address)
            with m.If(takes):
                m.d.sync += base.eq(Mux(ended, 0, base + self.lanes))
            return lambda lane: address.eq(base + lane)
        channel = Signal.like(address.c)
        names = [name for name, _ in address.shape() if name != "c"]
        places = {name: Signal.like(address[name], name=f"at_{name}") for name in names}
        sizes = dict(zip(names, reversed(self.layout.shape[1:]), strict=True))
        last_group = channel == (self.layout.groups - 1) * self.lanes
        with m.If(takes):
            m.d.sync += channel.eq(Mux(ended | last_group, 0, channel + self.lanes))
            carry = last_group
            for name in names:
                at, last = places[name], places[name] == sizes[name] - 1
                with m.If(ended):
                    m.d.sync += at.eq(0)
                with m.Elif(carry):
                    m.d.sync += at.eq(Mux(last, 0, at + 1))
                carry = carry & last
        for name in names:
            m.d.comb += address[name].eq(Mux(self.o.p.kind == EventKind.SPIKE, places[name], 0))
        return lambda lane: address.c.eq(channel + lane)


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

    Attributes
    ----------
    rows : int
        Rows of neurons, each computed in one sweep over the active sources.
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
    ) -> None:
        check_lanes(lanes)
        self.layer = layer
        self.lanes = lanes
        inputs = layer.weight.shape[0]
        self._synapses = SynapseArray(layer, lanes, store)
        self.weights: WeightMemory = self._synapses.weights
        self.layout = self._synapses.layout
        self.rows = self.layout.rows
        self._sources = EventList(inputs, layer.max_count, self.rows, layer.least_count)
        self._neurons = NeuronArray(layer.neurons, lanes, late_bias=late_bias)
        # Spikes queue here, so that neurons and synapses don't wait on each event's consumer.
        self._buffer = StreamBuffer(spike_beat(layer.neurons, lanes))
        self._spikes = SpikeSerializer(layer.neurons, self.layout)
        self.patience = 3 * self.rows * inputs + 2 * layer.neurons.size + 64
        self.latency = (
            self._sources.latency
            + self._synapses.latency
            + self._neurons.latency
            + self._buffer.latency
            + self._spikes.latency
        )
        neurons = self._neurons.signature.members
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
        m.submodules.synapses = self._synapses
        m.submodules.neurons = self._neurons
        m.submodules.buffer = self._buffer
        m.submodules.spikes = self._spikes
        connect(m, flipped(self.i), self._sources.i)
        connect(m, self._sources.o, self._synapses.i)
        connect(m, self._synapses.o, self._neurons.i)
        connect(m, self._neurons.o, self._buffer.i)
        connect(m, self._buffer.o, self._spikes.i)
        connect(m, self._spikes.o, flipped(self.o))
        connect(m, flipped(self.probe_i), self._neurons.probe_i)
        connect(m, self._neurons.probe_o, flipped(self.probe_o))
        if self.weights.store.loaded:
            connect(m, flipped(self.load), self._synapses.load)
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

    Attributes
    ----------
    rows : int
        Rows of neurons.
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
            event, tables, shifts, self.rows, population.weight_width, beat, store
        )
        self.weights: WeightMemory = self._synapses.weights
        self._neurons = NeuronArray(config, lanes, population.shape, population.late_bias)
        self._buffer = StreamBuffer(spike_beat(config, lanes))
        self._spikes = SpikeSerializer(config, self.layout)
        reached = [
            sum(map(len, tables.height)) * sum(map(len, tables.width)) * sum(tables.groups),
            2 * config.size,
            3 * self.rows,
        ]
        self.patience = sum(reached) + 64
        neurons = self._neurons.signature.members
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
        m.submodules.neurons = self._neurons
        m.submodules.buffer = self._buffer
        m.submodules.spikes = self._spikes
        connect(m, flipped(self.i), self._synapses.i)
        connect(m, self._synapses.o, self._neurons.i)
        connect(m, self._neurons.o, self._buffer.i)
        connect(m, self._buffer.o, self._spikes.i)
        connect(m, self._spikes.o, flipped(self.o))
        connect(m, flipped(self.probe_i), self._neurons.probe_i)
        connect(m, self._neurons.probe_o, flipped(self.probe_o))
        if self.weights.store.loaded:
            connect(m, flipped(self.load), self._synapses.load)
        return m
