"""Whole networks: events in, events out."""

import math
from collections.abc import Collection, Iterator, Sequence
from itertools import chain

import numpy as np
from amaranth.hdl import Cat, Module, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spikeloom.reference.dense import FixedDense
from spikeloom.reference.latency import EarlyStop
from spikeloom.reference.maps import Dense, Reshape
from spikeloom.reference.maps import Shape as ArrayShape
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.network import FixedNetwork, FixedPopulation, schedule
from spikeloom.reference.profile import Accumulation
from spikeloom.reference.scatter import joined_tables, scatter_tables
from spikeloom.rtl_gen.event_population import EventPopulation, check_reach
from spikeloom.rtl_gen.events import EventKind, EventLayout, coordinates, event_stream
from spikeloom.rtl_gen.fixed import index_shape
from spikeloom.rtl_gen.junction import Junction, Source
from spikeloom.rtl_gen.population import DensePopulation, ScatterPopulation
from spikeloom.rtl_gen.protection import UNGUARDED, Protection
from spikeloom.rtl_gen.readout import EarlyReadout
from spikeloom.rtl_gen.weights import WeightStore

__all__ = ["EventFork", "EventGuard", "NetworkTop", "Population", "sources_of"]


class EventGuard(wiring.Component):
    """Lets legal events through and takes note of the others.

    Illegal, and swallowed, are an unknown kind, a spike of an address that does not exist, a
    count of 0 or outside the range, and more spikes in one step than there are sources.

    Parameters
    ----------
    size, max_count, least
        As :class:`~spikeloom.rtl_gen.events.EventLayout`'s.
    whole_steps
        Whether a restart behind the first spike of a step is illegal too.

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

    def __init__(
        self,
        size: int | ArrayShape,
        max_count: int,
        least: int = 0,
        *,
        whole_steps: bool = False,
    ) -> None:
        self.whole_steps = whole_steps
        self.shape = (size,) if isinstance(size, int) else tuple(size)
        self.max_count = max_count
        self.least = least
        super().__init__(
            {
                "i": In(event_stream(size, max_count, least)),
                "o": Out(event_stream(size, max_count, least)),
                "error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        event = self.i.p
        size = math.prod(self.shape)
        spikes = Signal(range(size + 1))
        legal = Signal()
        with m.Switch(event.kind):
            with m.Case(EventKind.SPIKE):
                in_range = event.count <= self.max_count
                if self.least < 0:
                    in_range = in_range & (event.count >= self.least)
                m.d.comb += legal.eq(
                    self._exists(event.address) & (event.count != 0) & in_range & (spikes != size)
                )
            with m.Case(EventKind.TICK):
                m.d.comb += legal.eq(1)
            with m.Case(EventKind.RESTART):
                m.d.comb += legal.eq((spikes == 0) if self.whole_steps else 1)
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

    def _exists(self, address: Value | data.View) -> Value:
        if not isinstance(address, data.View):
            return address < self.shape[0]
        c, y, x = coordinates(address)
        places = (c, x) if len(self.shape) == 2 else (c, y, x)
        return Cat(place < size for place, size in zip(places, self.shape, strict=True)).all()


class EventFork(wiring.Component):
    """Gives each event to several consumers; the next comes when all have taken it.

    Parameters
    ----------
    layout
        Layout of the events.
    count
        Number of consumers.

    Members
    -------
    i
        Events.
    o_0, o_1, …
        The same events; no latency.
    """

    i: stream.Interface

    def __init__(self, layout: data.StructLayout, count: int) -> None:
        self.count = count
        outputs = {f"o_{k}": Out(stream.Signature(layout)) for k in range(count)}
        super().__init__({"i": In(stream.Signature(layout)), **outputs})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken = Signal(self.count)
        done = Signal(self.count)
        m.d.comb += self.i.ready.eq(done.all())
        for k in range(self.count):
            o = getattr(self, f"o_{k}")
            m.d.comb += [
                o.p.eq(self.i.p),
                o.valid.eq(self.i.valid & ~taken[k]),
                done[k].eq(taken[k] | o.ready),
            ]
        with m.If(self.i.valid):
            with m.If(done.all()):
                m.d.sync += taken.eq(0)
            with m.Else():
                m.d.sync += taken.eq(done)
        return m


class Population(wiring.Component):
    """A population with all that arrives at it: events in, events out.

    A flat population whose connections are all dense lists a step's events and sums a row of
    neurons at a time (:class:`~spikeloom.rtl_gen.population.DensePopulation`); any other adds each
    event to the rows that it reaches (:class:`~spikeloom.rtl_gen.population.ScatterPopulation`).
    One whose events act one by one does so in the golden model's order
    (:class:`~spikeloom.rtl_gen.event_population.EventPopulation`).

    Parameters
    ----------
    population
        Weights and neurons.
    sources
        What its connections hear, in their order.
    lanes
        Neurons computed at once, 1 to 256.
    store
        What the weight memory is made of.
    protection
        What of its memories is guarded.

    Attributes
    ----------
    sources : tuple of Source
        What its connections hear.
    inputs : int
        Number of neurons and inputs that it hears, those of all connections.
    layout : Layout
        Where its neurons lie.
    rows : int
        Rows of neurons.
    gathers : bool
        Whether it lists events rather than scatter them.
    weights : WeightMemory
        The weight memory.
    patience : int
        Cycles in which it is bound to finish a step whose events are there.

    Members
    -------
    i_0, i_1, …
        Events of each connection's source.
    o
        Events.
    probe_i, probe_o
        As :class:`~spikeloom.rtl_gen.neuron.NeuronArray`'s.
    load
        As :class:`~spikeloom.rtl_gen.weights.WeightMemory`'s.
    weight_error, state_error
        Errors of the memories that are guarded: ``error`` of
        :class:`~spikeloom.rtl_gen.weights.WeightMemory` and of
        :class:`~spikeloom.rtl_gen.neuron.NeuronArray`.
    """

    o: stream.Interface
    probe_i: stream.Interface
    probe_o: stream.Interface
    load: stream.Interface
    weight_error: Signal
    state_error: Signal

    def __init__(
        self,
        population: FixedPopulation,
        sources: Sequence[Source],
        lanes: int,
        store: WeightStore = WeightStore.AUTO,
        protection: Protection = UNGUARDED,
    ) -> None:
        self.population = population
        self.protection = protection
        self.neurons = population.neurons
        self.lanes = lanes
        one_by_one = _acts_one_by_one(population)
        self.gathers = (
            not one_by_one
            and len(population.shape) == 1
            and all(_is_dense(each) for each in population.connections)
        )
        self.sources = tuple(sources)
        self._junction = Junction(sources, flat=self.gathers or one_by_one)
        self.core: DensePopulation | ScatterPopulation | EventPopulation
        if self.gathers:
            self.core = DensePopulation(
                _joined_layer(population, sources), lanes, population.late_bias, store, protection
            )
        else:
            self.core = self._scattering(sources, lanes, store)
        self.inputs = sum(math.prod(each.shape) for each in sources)
        self.layout = self.core.layout
        self.rows = self.core.rows
        self.weights = self.core.weights
        self.patience = self.core.patience
        members = self.core.signature.members
        super().__init__(
            {
                **{
                    name: member
                    for name, member in self._junction.signature.members.items()
                    if name != "o"
                },
                **{name: members[name] for name in ("o", "probe_i", "probe_o")},
                **self.weights.load_member,
                **_error_members(protection),
            }
        )

    def _scattering(
        self, sources: Sequence[Source], lanes: int, store: WeightStore
    ) -> ScatterPopulation | EventPopulation:
        layout = Layout(self.population.shape, lanes)
        tables = [scatter_tables(each.connection.maps, each.shape, layout) for each in sources]
        shifts = list(
            chain.from_iterable(
                [each.connection.shift] * len(table.base)
                for each, table in zip(sources, tables, strict=True)
            )
        )
        joined = joined_tables(tables)
        if _acts_one_by_one(self.population):
            for each, table in zip(sources, tables, strict=True):
                check_reach(each.connection.source, table)
            return EventPopulation(
                sources, joined, shifts, self.population, lanes, store, self.protection
            )
        return ScatterPopulation(
            self._junction.event, joined, shifts, self.population, lanes, store, self.protection
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.junction = self._junction
        m.submodules.core = self.core
        for k in range(len(self.sources)):
            connect(m, flipped(getattr(self, f"i_{k}")), getattr(self._junction, f"i_{k}"))
        connect(m, self._junction.o, self.core.i)
        connect(m, self.core.o, flipped(self.o))
        connect(m, flipped(self.probe_i), self.core.probe_i)
        connect(m, self.core.probe_o, flipped(self.probe_o))
        if self.weights.store.loaded:
            connect(m, flipped(self.load), self.core.load)
        if self.protection.parity:
            m.d.comb += self.weight_error.eq(self.weights.error)
        if self.protection.ecc:
            m.d.comb += self.state_error.eq(self.core.array.error)
        return m


def _error_members(protection: Protection) -> dict[str, wiring.Member]:
    """The errors that a network, or a population, of guarded memories tells of."""
    errors = {"weight_error": protection.parity, "state_error": protection.ecc}
    return {name: Out(1) for name, there in errors.items() if there}


def _acts_one_by_one(population: FixedPopulation) -> bool:
    return population.neurons.accumulation is not Accumulation.STEP


def _is_dense(connection: object) -> bool:
    maps = connection.maps  # type: ignore[attr-defined]
    return (
        bool(maps)
        and isinstance(maps[-1], Dense)
        and all(isinstance(each, Reshape) for each in maps[:-1])
    )


def _joined_layer(population: FixedPopulation, sources: Sequence[Source]) -> FixedDense:
    """All connections of a population as one dense layer, sources one behind the other."""
    weights = [each.maps[-1].weight for each in population.connections]  # type: ignore[attr-defined]
    shifts = [
        each.shift
        for each, weight in zip(population.connections, weights, strict=True)
        for _ in range(len(weight))
    ]
    return FixedDense(
        weight=np.concatenate(weights),
        weight_width=population.weight_width,
        neurons=population.neurons,
        weight_shift=shifts[0] if len(set(shifts)) == 1 else tuple(shifts),
        max_count=max(1, *(each.most for each in sources)),
        least_count=min(each.least for each in sources),
    )


class NetworkTop(wiring.Component):
    """A network.

    All populations are at work at once, each on a step of its own. A probe reads a row of membrane
    potentials of one population; it is answered when that population has finished a step and has
    not begun the next.

    Parameters
    ----------
    network
        What is computed, down to the last bit.
    lanes
        Lanes of each population, or one number for all.
    stores
        What each population's weight memory is made of, or one for all.
    stop
        When a read-out of the only output decides; without it there is none.
    protection
        What of all populations' memories is guarded.

    Attributes
    ----------
    populations : tuple of Population
        The populations in the network's order.
    loads : bool
        Whether weights are loaded at start.
    input_layouts, output_layouts : dict of str to EventLayout
        Layouts of what goes in and out, by the names of inputs and outputs.
    input_ports, output_ports : dict of str to str
        Names of the members that they go through, by the names of inputs and outputs.
    whole_steps : bool
        Whether a restart behind the first spike of a step is illegal.
    followed : bool
        Whether all populations have finished a step when its ticks have left the outputs. One that
        nobody hears, or that is heard from the next step on alone, may still be at work.
    patience : int
        Cycles in which it is bound to send an event if it has one.
    settling : int
        Cycles without an event in which it is bound to finish a step that has left all outputs.

    Members
    -------
    i, or i_0, i_1, …
        Events of the inputs, in the network's order.
    o, or o_0, o_1, …
        Events of the outputs, in the network's order.
    decision
        As :class:`~spikeloom.rtl_gen.readout.EarlyReadout`'s, where there is a read-out.
    error
        Set by the first illegal input event until reset.
    weight_error
        Where weights have a parity: set until reset when a row that was read was wrong.
    state_error
        Where states are stored in a code: set until reset when two bits of one that was read were
        wrong. One bit is put right.
    probe_i
        ``population`` and ``row`` whose membrane potentials are asked for; both must exist.
    probe_o
        The row's potentials, sign-extended to the widest state, for as many lanes as the widest
        population has; unused lanes hold 0.
    load
        Where weights are loaded: ``weight`` with its place, ``population``, ``row`` and ``lane``,
        which must exist; :meth:`load_words` gives them all. Ready whenever the population reads no
        weights.

    Raises
    ------
    TypeError, ValueError
        If a number of lanes is not an integer from 1 to 256, the number of lanes or stores is not
        that of the populations, a population cannot be built, or a read-out is asked for where
        there is not one flat output.
    """

    i: stream.Interface
    o: stream.Interface
    decision: stream.Interface
    error: Signal
    weight_error: Signal
    state_error: Signal
    probe_i: stream.Interface
    probe_o: stream.Interface
    load: stream.Interface

    def __init__(
        self,
        network: FixedNetwork,
        lanes: int | Sequence[int] = 8,
        stores: WeightStore | Sequence[WeightStore] = WeightStore.AUTO,
        stop: EarlyStop | None = None,
        protection: Protection = UNGUARDED,
    ) -> None:
        count = len(network.populations)
        each = tuple(lanes) if isinstance(lanes, Sequence) else (lanes,) * count
        if len(each) != count:
            raise ValueError(f"lanes must be one number or {count}, one a layer, not {len(each)}")
        made_of = (stores,) * count if isinstance(stores, WeightStore) else tuple(stores)
        if len(made_of) != count:
            raise ValueError(
                f"stores must be one store or {count}, one a layer, not {len(made_of)}"
            )
        self.network = network
        self.protection = protection
        self._names = list(network.populations)
        self._sources = {name: sources_of(network, name) for name in self._names}
        for name, sources in self._sources.items():
            # Nothing else begins its steps.
            if all(each.loop for each in sources):
                raise ValueError(f"population {name!r} must hear a source that closes no loop")
        self.populations = tuple(
            Population(network.populations[name], self._sources[name], k, store, protection)
            for name, k, store in zip(self._names, each, made_of, strict=True)
        )
        self.loads = any(store.loaded for store in made_of)
        self.input_layouts = {name: _layout(network, name) for name in network.inputs}
        self.output_layouts = {
            name: _layout(network, source) for name, source in network.outputs.items()
        }
        self.input_ports = _ports("i", network.inputs)
        self.output_ports = _ports("o", network.outputs)
        self.followed = self._followed()
        # Where several sources make a step, none can take back what it has sent of it; nor can one
        # whose events are sorted.
        self.whole_steps = any(len(sources) > 1 for sources in self._sources.values()) or any(
            _acts_one_by_one(each) for each in network.populations.values()
        )
        self.readout = None if stop is None else _readout(network, stop)
        self.patience = 64 + 4 * sum(each.patience for each in self.populations)
        if self.readout is not None:
            self.patience += self.readout.latency
        self.settling = 0 if self.followed else self.patience // 2
        width = max(p.neurons.state.word_length for p in self.populations)
        probe = data.StructLayout(
            {
                "population": index_shape(count),
                "row": max(self._row_shape(k).width for k in range(count)),
            }
        )
        super().__init__(
            {
                **{
                    port: In(stream.Signature(self.input_layouts[name]))
                    for name, port in self.input_ports.items()
                },
                **{
                    port: Out(stream.Signature(self.output_layouts[name]))
                    for name, port in self.output_ports.items()
                },
                **(
                    {}
                    if self.readout is None
                    else {"decision": self.readout.signature.members["o"]}
                ),
                "error": Out(1),
                **_error_members(protection),
                "probe_i": In(stream.Signature(probe)),
                "probe_o": Out(stream.Signature(data.ArrayLayout(signed(width), max(each)))),
                **({"load": In(stream.Signature(self._load_layout()))} if self.loads else {}),
            }
        )

    def _followed(self) -> bool:
        followed: set[str] = set()
        waiting = list(self.network.outputs.values())
        while waiting:
            name = waiting.pop()
            if name in self._sources and name not in followed:
                followed.add(name)
                waiting += [s.connection.source for s in self._sources[name] if not s.loop]
        return len(followed) == len(self._names)

    def _load_layout(self) -> data.StructLayout:
        """A weight with its place, wide enough for those of all populations."""
        loaded = [p.load.p.shape() for p in self.populations if p.weights.store.loaded]
        widest = {
            name: max((Shape.cast(each[name].shape) for each in loaded), key=lambda s: s.width)
            for name in ("weight", "lane", "row")
        }
        return data.StructLayout({**widest, "population": index_shape(len(self.populations))})

    def load_words(self) -> Iterator[dict[str, int]]:
        """All weights as they are loaded, population by population, row by row."""
        for k, population in enumerate(self.populations):
            if population.weights.store.loaded:
                for word in population.weights.loads():
                    yield {**word, "population": k}

    def _connect_load(self, m: Module) -> None:
        for k, population in enumerate(self.populations):
            if not population.weights.store.loaded:
                continue
            word = population.load.p
            m.d.comb += [word[name].eq(self.load.p[name]) for name in ("weight", "lane", "row")]
            with m.If(self.load.p.population == k):
                m.d.comb += [
                    population.load.valid.eq(self.load.valid),
                    self.load.ready.eq(population.load.ready),
                ]

    def _row_shape(self, k: int) -> Shape:
        return Shape.cast(self.populations[k].probe_i.p.shape())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ends = self._inputs(m)
        for k, (name, population) in enumerate(zip(self._names, self.populations, strict=True)):
            m.submodules[f"population_{k}"] = population
            ends[name] = population.o
            self._connect_probe(m, k, population)
        consumers: dict[str, list[stream.Interface]] = {name: [] for name in ends}
        for name, population in zip(self._names, self.populations, strict=True):
            for k, heard in enumerate(self._sources[name]):
                consumers[heard.connection.source].append(getattr(population, f"i_{k}"))
        for name, source in self.network.outputs.items():
            consumers[source].append(flipped(getattr(self, self.output_ports[name])))
            if self.readout is not None:
                m.submodules.readout = self.readout
                consumers[source].append(self.readout.i)
                connect(m, self.readout.o, flipped(self.decision))
        for k, (name, end) in enumerate(ends.items()):
            _fan_out(m, k, end, consumers[name])
        if self.loads:
            self._connect_load(m)
        for error in _error_members(self.protection):
            m.d.comb += getattr(self, error).eq(
                Cat(getattr(each, error) for each in self.populations).any()
            )
        return m

    def _inputs(self, m: Module) -> dict[str, stream.Interface]:
        """Guarded events of each input."""
        ends = {}
        errors = []
        for name, entry in self.network.inputs.items():
            port = self.input_ports[name]
            guard = EventGuard(entry.shape, entry.high, entry.low, whole_steps=self.whole_steps)
            m.submodules[f"guard_{port}"] = guard
            connect(m, flipped(getattr(self, port)), guard.i)
            errors.append(guard.error)
            ends[name] = guard.o
        m.d.comb += self.error.eq(Cat(errors).any())
        return ends

    def _connect_probe(self, m: Module, k: int, population: Population) -> None:
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


def _ports(prefix: str, names: Collection[str]) -> dict[str, str]:
    """Names of ports: the prefix alone where there is one."""
    if len(names) == 1:
        return dict.fromkeys(names, prefix)
    return {name: f"{prefix}_{k}" for k, name in enumerate(names)}


def _layout(network: FixedNetwork, name: str) -> EventLayout:
    least, most = network.sent(name)
    return EventLayout(network.shape(name), most, least)


def _readout(network: FixedNetwork, stop: EarlyStop) -> EarlyReadout:
    shapes = [network.shape(source) for source in network.outputs.values()]
    if len(shapes) != 1 or len(shapes[0]) != 1:
        raise ValueError(
            "a read-out must have one output of shape (neurons,), not"
            f" {', '.join(map(str, shapes))}"
        )
    ((source, (outputs,)),) = zip(network.outputs.values(), shapes, strict=True)
    least, most = network.sent(source)
    return EarlyReadout(outputs=outputs, stop=stop, max_count=most, least=least)


def sources_of(network: FixedNetwork, name: str) -> list[Source]:
    """What the connections of a population hear."""
    order = list(chain.from_iterable(schedule(network.populations)))
    place = {each: k for k, each in enumerate(order)}
    sources = []
    for connection in network.populations[name].connections:
        least, most = network.sent(connection.source)
        sources.append(
            Source(
                connection=connection,
                shape=network.shape(connection.source),
                least=least,
                most=most,
                loop=place.get(connection.source, -1) >= place[name],
            )
        )
    return sources


def _fan_out(m: Module, k: int, end: stream.Interface, consumers: list[stream.Interface]) -> None:
    """Connect a stream of events to all that hear it."""
    if len(consumers) == 1:
        connect(m, end, consumers[0])
        return
    if not consumers:
        m.d.comb += end.ready.eq(1)
        return
    m.submodules[f"fork_{k}"] = fork = EventFork(end.payload.shape(), len(consumers))
    connect(m, end, fork.i)
    for number, each in enumerate(consumers):
        connect(m, getattr(fork, f"o_{number}"), each)
