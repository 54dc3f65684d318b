"""Whole networks: events in, events out."""

from collections.abc import Sequence

from amaranth.hdl import Module, Shape, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import bits_for

from spikeloom.reference.network import FixedNetwork
from spikeloom.rtl_gen.events import EventKind, event_stream
from spikeloom.rtl_gen.population import DensePopulation

__all__ = ["EventGuard", "NetworkTop"]


class EventGuard(wiring.Component):
    """Lets legal events through and takes note of the others.

    Illegal, and swallowed, are an unknown kind, a spike of an address that does not exist, a
    count of 0 or above ``max_count``, and more spikes in one step than there are sources.

    Parameters
    ----------
    size, max_count
        As :class:`~spikeloom.rtl_gen.events.EventLayout`'s.

    Members
    -------
    i, o
        Events; no latency.
    error
        Set by the first illegal event until reset.
    """

    i: stream.Interface
    o: stream.Interface
    error: Signal

    def __init__(self, size: int, max_count: int) -> None:
        self.size = size
        self.max_count = max_count
        super().__init__(
            {
                "i": In(event_stream(size, max_count)),
                "o": Out(event_stream(size, max_count)),
                "error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        event = self.i.p
        spikes = Signal(range(self.size + 1))
        legal = Signal()
        with m.Switch(event.kind):
            with m.Case(EventKind.SPIKE):
                m.d.comb += legal.eq(
                    (event.address < self.size)
                    & (event.count != 0)
                    & (event.count <= self.max_count)
                    & (spikes != self.size)
                )
            with m.Case(EventKind.TICK, EventKind.RESTART):
                m.d.comb += legal.eq(1)
        m.d.comb += [
            self.o.payload.eq(event),
            self.o.valid.eq(self.i.valid & legal),
            self.i.ready.eq(self.o.ready | ~legal),
        ]
        with m.If(self.i.valid & self.i.ready):
            with m.If(~legal):
                m.d.sync += self.error.eq(1)
            with m.Elif(event.kind == EventKind.SPIKE):
                m.d.sync += spikes.eq(spikes + 1)
            with m.Else():
                m.d.sync += spikes.eq(0)
        return m


class NetworkTop(wiring.Component):
    """A stack of dense populations.

    All layers are at work at once, each on a step of its own. A probe reads a row of membrane
    potentials of one population; it is answered when that population has finished a step and has
    not begun the next.

    Parameters
    ----------
    network
        What is computed, down to the last bit.
    lanes
        Lanes of each population, or one number for all.

    Attributes
    ----------
    populations : tuple of DensePopulation
        The layers in order.
    latency : int
        Cycles from the tick of a step without spikes at the input to that tick at the output,
        where no neuron spikes either, in a network at rest.

    Members
    -------
    i
        Events of the inputs.
    o
        Events of the output neurons.
    error
        Set by the first illegal input event until reset.
    probe_i
        ``population`` and ``row`` whose membrane potentials are asked for; both must exist.
    probe_o
        The row's potentials, sign-extended to the widest state, for as many lanes as the widest
        population has; unused lanes hold 0.

    Raises
    ------
    TypeError, ValueError
        If a number of lanes is not an integer from 1 to 256, their number is not that of the
        layers, or the network is more than a stack of dense layers.
    """

    i: stream.Interface
    o: stream.Interface
    error: Signal
    probe_i: stream.Interface
    probe_o: stream.Interface

    def __init__(self, network: FixedNetwork, lanes: int | Sequence[int] = 8) -> None:
        count = len(network.layers)
        each = tuple(lanes) if isinstance(lanes, Sequence) else (lanes,) * count
        if len(each) != count:
            raise ValueError(f"lanes must be one number or {count}, one a layer, not {len(each)}")
        self.network = network
        self.populations = tuple(
            DensePopulation(layer, k) for layer, k in zip(network.layers, each, strict=True)
        )
        self.latency = sum(p.latency + p.rows - 1 for p in self.populations)
        first, last = network.layers[0], network.layers[-1]
        width = max(layer.neurons.state.word_length for layer in network.layers)
        probe = data.StructLayout(
            {
                "population": max(1, bits_for(len(each) - 1)),
                "row": max(self._row_shape(k).width for k in range(len(each))),
            }
        )
        super().__init__(
            {
                "i": In(event_stream(first.weight.shape[0], first.max_count)),
                "o": Out(event_stream(last.neurons.size, last.neurons.max_spikes)),
                "error": Out(1),
                "probe_i": In(stream.Signature(probe)),
                "probe_o": Out(stream.Signature(data.ArrayLayout(signed(width), max(each)))),
            }
        )

    def _row_shape(self, k: int) -> Shape:
        return Shape.cast(self.populations[k].probe_i.p.shape())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first = self.network.layers[0]
        m.submodules.guard = guard = EventGuard(first.weight.shape[0], first.max_count)
        connect(m, flipped(self.i), guard.i)
        m.d.comb += self.error.eq(guard.error)
        events = guard.o
        for k, population in enumerate(self.populations):
            m.submodules[f"population_{k}"] = population
            connect(m, events, population.i)
            events = population.o
            self._connect_probe(m, k, population)
        connect(m, events, flipped(self.o))
        return m

    def _connect_probe(self, m: Module, k: int, population: DensePopulation) -> None:
        # One answer at a time: a second one would take the place of the first.
        chosen = (self.probe_i.p.population == k) & ~self.probe_o.valid
        m.d.comb += [
            population.probe_i.p.eq(self.probe_i.p.row),
            population.probe_i.valid.eq(self.probe_i.valid & chosen),
            population.probe_o.ready.eq(self.probe_o.ready),
        ]
        with m.If(chosen):
            m.d.comb += self.probe_i.ready.eq(population.probe_i.ready)
        with m.If(population.probe_o.valid):
            m.d.comb += self.probe_o.valid.eq(1)
            for lane in range(population.lanes):
                m.d.comb += self.probe_o.p[lane].eq(population.probe_o.p[lane])
