"""A population that takes its events one by one: events in, events out."""

from collections.abc import Sequence

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import connect, flipped

from spikeloom.reference.memory_map import Layout
from spikeloom.reference.network import FixedPopulation
from spikeloom.reference.profile import Accumulation
from spikeloom.reference.scatter import ScatterTables
from spikeloom.rtl_gen.event_neuron import EventNeuronArray
from spikeloom.rtl_gen.junction import Source
from spikeloom.rtl_gen.neuron import check_lanes, spike_beat
from spikeloom.rtl_gen.population import SpikeSerializer
from spikeloom.rtl_gen.protection import UNGUARDED, Protection
from spikeloom.rtl_gen.scatter import ScatterRows
from spikeloom.rtl_gen.sorter import StepSorter
from spikeloom.rtl_gen.stream import StreamBuffer
from spikeloom.rtl_gen.weights import WeightMemory, WeightStore

__all__ = ["EventPopulation", "check_reach"]


class EventPopulation(wiring.Component):
    """Any population whose events overflow, or make its neurons spike, one by one.

    A step's events are sorted while those of the step before are at work. Each costs the lanes a
    cycle for each row that it reaches, and with ``SPIKING_EVENT`` so many for each of its spikes;
    the sorter looks at a source a cycle meanwhile. Then the neurons are swept, a row a cycle.

    Parameters
    ----------
    sources
        What its connections hear, in their order.
    tables
        What their events add to whom, joined.
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
    event : EventLayout
        Layout of the events that reach the lanes.
    layout : Layout
        Where its neurons lie.
    rows : int
        Rows of neurons.
    array : EventNeuronArray
        Its neurons.
    weights : WeightMemory
        As :class:`~spikeloom.rtl_gen.scatter.ScatterRows`'s.
    patience : int
        Cycles in which it is bound to finish a step whose events are there.

    Members
    -------
    i
        Events with flat addresses, those of each connection behind those of the one before.
    o
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
        sources: Sequence[Source],
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
        self.shifts = list(shifts)
        self.lanes = lanes
        self.layout = Layout(population.shape, lanes)
        self.rows = self.layout.rows
        repeats = config.accumulation is Accumulation.SPIKING_EVENT
        self._sorter = StepSorter(sources, repeats=repeats)
        self.event = self._sorter.o.p.shape()
        self._synapses = ScatterRows(
            self._sorter.o.p.shape(),
            tables,
            shifts,
            self.rows,
            population.weight_width,
            config.current_width,
            store,
            parity=protection.parity,
        )
        self.weights: WeightMemory = self._synapses.weights
        self.array = EventNeuronArray(
            config, lanes, population.shape, population.late_bias, ecc=protection.ecc
        )
        self._buffer = StreamBuffer(spike_beat(config, lanes))
        self._spikes = SpikeSerializer(config, self.layout)
        reached = sum(map(len, tables.height)) * sum(map(len, tables.width)) * sum(tables.groups)
        most = max(each.most for each in sources) if repeats else 1
        cycles = [reached * most, 2 * self._sorter.size, 2 * config.size, 4 * self.rows]
        self.patience = sum(cycles) + 64
        neurons = self.array.signature.members
        super().__init__(
            {
                "i": self._sorter.signature.members["i"],
                "o": self._spikes.signature.members["o"],
                "probe_i": neurons["probe_i"],
                "probe_o": neurons["probe_o"],
                **self.weights.load_member,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sorter = self._sorter
        m.submodules.synapses = self._synapses
        m.submodules.neurons = self.array
        m.submodules.buffer = self._buffer
        m.submodules.spikes = self._spikes
        connect(m, flipped(self.i), self._sorter.i)
        connect(m, self._sorter.o, self._synapses.i)
        connect(m, self._synapses.o, self.array.i)
        connect(m, self.array.o, self._buffer.i)
        connect(m, self._buffer.o, self._spikes.i)
        connect(m, self._spikes.o, flipped(self.o))
        connect(m, flipped(self.probe_i), self.array.probe_i)
        connect(m, self.array.probe_o, flipped(self.probe_o))
        if self.weights.store.loaded:
            connect(m, flipped(self.load), self._synapses.load)
        return m


def check_reach(source: str, tables: ScatterTables) -> None:
    """Refuse a connection in which an event adds to a neuron twice: it would be two events.

    Raises
    ------
    ValueError
        If there is such an event.
    """
    for pairs in (*tables.height, *tables.width):
        if len({target for _, target in pairs}) < len(pairs):
            raise ValueError(
                f"pools from {source!r} must neither overlap before weights nor stand behind a"
                " convolution where events act one by one"
            )
