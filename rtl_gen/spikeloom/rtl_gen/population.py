"""A population: neurons, the synapses onto them, and the events they send."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spikeloom.reference.memory_map import sweep_rows
from spikeloom.reference.network import FixedDense
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.rtl_gen.events import EventKind, event_stream
from spikeloom.rtl_gen.neuron import NeuronArray, check_lanes, spike_beat
from spikeloom.rtl_gen.stream import StreamBuffer
from spikeloom.rtl_gen.synapse import EventList, SynapseArray

__all__ = ["DensePopulation", "SpikeSerializer"]


class SpikeSerializer(wiring.Component):
    """Turns rows of spike counts into events, in ascending order of address.

    One event a cycle, and one cycle to take a row. A step's tick follows its last spike, a restart
    goes before the first.

    Parameters
    ----------
    config
        The neurons that spike.
    lanes
        Counts in a row.

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

    def __init__(self, config: NeuronConfig, lanes: int) -> None:
        self.config = config
        self.lanes = lanes
        super().__init__(
            {
                "i": In(stream.Signature(spike_beat(config, lanes))),
                "o": Out(event_stream(config.size, config.max_spikes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal.like(self.i.p.count)
        pending = Signal(self.lanes)
        restart = Signal()
        tick = Signal()
        base = Signal.like(self.o.p.address)
        ended = Signal(init=1)

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
                    m.d.comb += [self.o.p.address.eq(base + k), self.o.p.count.eq(count[k])]
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
                base.eq(Mux(ended, 0, base + self.lanes)),
                ended.eq(self.i.p.last),
            ]
            for k in range(self.lanes):
                m.d.sync += pending[k].eq(self.i.p.count[k] != 0)
        return m


class DensePopulation(wiring.Component):
    """A dense layer: events in, events out.

    Output-stationary and event-driven: while the events of one step are listed, the step before
    is computed, for ``lanes`` neurons at a time. A step with ``n`` active sources (each counted as
    often as it spiked) occupies the lanes for ``max(n, 1) * ceil(neurons / lanes)`` cycles; steps
    follow each other at that rate unless spikes leave more slowly (an event and a row each take the
    serialiser a cycle) or the sweep is shorter than the neurons' pipeline.

    Parameters
    ----------
    layer
        Weights and neurons.
    lanes
        Neurons computed at once, 1 to 256.

    Attributes
    ----------
    rows : int
        Rows of neurons, each computed in one sweep over the active sources.
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
    """

    i: stream.Interface
    o: stream.Interface
    probe_i: stream.Interface
    probe_o: stream.Interface

    def __init__(self, layer: FixedDense, lanes: int) -> None:
        check_lanes(lanes)
        self.layer = layer
        self.lanes = lanes
        self.rows = sweep_rows(layer.neurons.size, lanes)
        inputs = layer.weight.shape[0]
        self._synapses = SynapseArray(layer, lanes)
        self._sources = EventList(inputs, layer.max_count, self.rows)
        self._neurons = NeuronArray(layer.neurons, lanes)
        # Spikes queue here, so that neurons and synapses don't wait on each event's consumer.
        self._buffer = StreamBuffer(spike_beat(layer.neurons, lanes))
        self._spikes = SpikeSerializer(layer.neurons, lanes)
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
                "i": In(event_stream(inputs, layer.max_count)),
                "o": Out(event_stream(layer.neurons.size, layer.neurons.max_spikes)),
                "probe_i": neurons["probe_i"],
                "probe_o": neurons["probe_o"],
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
        return m
