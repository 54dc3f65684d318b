"""How many cycles a network takes, without a simulator: exactly as many as its hardware."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.maps import Convolution, Dense
from spikeloom.reference.memory_map import Layout
from spikeloom.reference.network import schedule
from spikeloom.reference.profile import Accumulation
from spikeloom.reference.scatter import ScatterTables, three_sizes
from spikeloom.reference.simulate import Recording, Stimulus
from spikeloom.rtl_gen.delay import loop_depth
from spikeloom.rtl_gen.event_population import EventPopulation
from spikeloom.rtl_gen.junction import Source, joined_layout
from spikeloom.rtl_gen.network import NetworkTop, Population
from spikeloom.rtl_gen.population import DensePopulation, ScatterPopulation
from spikeloom.rtl_gen.timing_flow import (
    Clock,
    EventFork,
    EventQueue,
    Input,
    Junction,
    Output,
    Part,
    Port,
    StepDelay,
    StepMerge,
)
from spikeloom.rtl_gen.timing_neurons import (
    EventNeuronArray,
    NeuronArray,
    Rows,
    SpikeSerializer,
    Step,
    StreamBuffer,
    steps_of,
)
from spikeloom.rtl_gen.timing_sorter import StepSorter
from spikeloom.rtl_gen.timing_synapses import (
    Accumulators,
    EventList,
    Expander,
    Lookup,
    Reach,
    RowCounter,
    SynapseArray,
    Tally,
    Weigher,
)

__all__ = ["PopulationTiming", "Timing", "predict"]


@dataclass(frozen=True)
class PopulationTiming:
    """What the lanes of a population do in a run.

    Attributes
    ----------
    lanes
        Its lanes.
    rows_added
        How many rows of weights it adds, one a cycle at most.
    accumulations
        How many weights of these lead from a spike to a neuron: synapses at work. One of several
        times the weight counts once, as it costs a cycle. Lanes without a neuron, and those to
        whose neuron nothing leads, as between the groups of a convolution, do not count.
    busy
        Cycles in which it knows of rows to be added, and can add: it knows of them from the cycle
        behind that in which a spike (where it gathers, the tick that ends the spike's step) has
        been taken to that in which the last is added.
    held
        Cycles in which it knows of some and cannot, since it has not got rid of the step before:
        its own neurons are not done with it, or those that hear them. Where events act one by one
        the lanes themselves end a step, and it counts here.
    ticks
        For each step the cycle in which its tick has been taken by all that hear it.
    """

    lanes: int
    rows_added: int
    accumulations: int
    busy: int
    held: int
    ticks: tuple[int, ...]

    @property
    def utilisation(self) -> float:
        """Accumulations of all that the lanes could have done while busy; 0 if they never were."""
        return self.accumulations / (self.lanes * self.busy) if self.busy else 0.0

    @property
    def step_cycles(self) -> tuple[int, ...]:
        """Cycles from each step's tick to the next one's."""
        return tuple(after - before for before, after in pairwise(self.ticks))


@dataclass(frozen=True)
class Timing:
    """How long a network takes for a run; cycle 0 is the first after a reset.

    Inputs offer their first event in cycle 1, after all weights that are loaded, and then always
    have one; outputs are always ready.

    Attributes
    ----------
    cycles
        Cycles from that in which the first events are offered to that in which the last leaves an
        output, both counted: the number of the latter.
    outputs
        For each output the cycle of each event.
    populations
        For each population what its lanes do.
    """

    cycles: int
    outputs: Mapping[str, tuple[int, ...]]
    populations: Mapping[str, PopulationTiming]


def predict(top: NetworkTop, stimulus: Stimulus, recording: Recording) -> Timing:
    """Predict the cycles of a run.

    Parameters
    ----------
    top
        The network.
    stimulus
        As :func:`~spikeloom.reference.simulate.run_fixed` takes it. Each sample begins with a
        restart; a step's spikes come position by position, in each the channels.
    recording
        What the golden model made of it.

    Raises
    ------
    ValueError
        If the recording is not one of this network and so many samples and steps, or the network
        has a read-out, which holds the outputs up.
    """
    if top.readout is not None:
        raise ValueError("cycles must be asked for of a network without a read-out")
    return _Run(top, _signals(top, stimulus, recording)).timing()


def _signals(top: NetworkTop, stimulus: Stimulus, recording: Recording) -> dict[str, NDArray[Any]]:
    """What inputs and populations send, of shape (samples, steps, \\*shape)."""
    inputs = top.network.inputs
    given = stimulus if isinstance(stimulus, Mapping) else dict.fromkeys(inputs, stimulus)
    taken: dict[str, NDArray[Any]] = {
        name: each.taken(given[name]) for name, each in inputs.items()
    }
    sent = {**taken, **recording.membrane, **recording.spikes}
    samples, steps = next(iter(taken.values())).shape[:2]
    signals = {}
    for name in (*inputs, *top.network.populations):
        shape = (samples, steps, *top.network.shape(name))
        if name not in sent or sent[name].shape != shape:
            raise ValueError(
                f"recording must be of this network and stimulus, but {name!r} is not of shape"
                f" {shape}"
            )
        signals[name] = sent[name]
    return signals


class _Run:
    """A network made of the parts that decide when something happens."""

    def __init__(self, top: NetworkTop, signals: Mapping[str, NDArray[Any]]) -> None:
        network = top.network
        self._signals = signals
        self._clock = Clock()
        self._forks = {name: EventFork(self._clock) for name in signals}
        self._tallies: dict[str, Tally] = {}
        self._populations = dict(zip(network.populations, top.populations, strict=True))
        self._loaded = sum(
            each.weights.rows.size for each in top.populations if each.weights.store.loaded
        )
        self._outputs = {name: self._output(source) for name, source in network.outputs.items()}
        heard = {each.source for p in network.populations.values() for each in p.connections}
        heard |= set(network.outputs.values())
        unheard = [self._output(name) for name in signals if name not in heard]
        # Queues take before anything else happens; then consumers are stepped before producers.
        self._accepts: list[Callable[[], None]] = []
        self._parts: list[Part] = [*self._outputs.values(), *unheard]
        for name in reversed(list(chain.from_iterable(schedule(network.populations)))):
            self._add_population(name, self._populations[name])
        for name in network.inputs:
            self._add_input(name)

    def timing(self) -> Timing:
        clock = self._clock
        steps = (*self._accepts, *(each.step for each in self._parts))
        clock.left = len(self._forks) * math.prod(next(iter(self._signals.values())).shape[:2])
        while clock.left:
            for step in steps:
                step()
            clock.cycle += 1
        outputs = {name: tuple(each.cycles) for name, each in self._outputs.items()}
        return Timing(
            cycles=max((cycle for each in outputs.values() for cycle in each[-1:]), default=0),
            outputs=outputs,
            populations={name: self._timing_of(name) for name in self._populations},
        )

    def _timing_of(self, name: str) -> PopulationTiming:
        tally = self._tallies[name]
        return PopulationTiming(
            lanes=self._populations[name].lanes,
            rows_added=tally.rows,
            accumulations=tally.accumulations,
            busy=tally.known - tally.held,
            held=tally.held,
            ticks=tuple(self._forks[name].ticks),
        )

    def _output(self, source: str) -> Output:
        return Output(self._forks[source].tap(), self._clock)

    def _add_input(self, name: str) -> None:
        signal = self._signals[name]
        # All channels of a position in one row.
        steps = steps_of(Layout(signal.shape[2:], signal.shape[2]), signal)
        groups = chain.from_iterable(row.groups for step in steps for row in step.rows)
        source = Input(chain.from_iterable(groups))
        self._forks[name].source = source
        self._parts.append(source)

    def _add_population(self, name: str, population: Population) -> None:
        self._tallies[name] = tally = Tally(self._clock)
        junction, before = self._junction(population)
        steps = steps_of(population.layout, self._signals[name])
        array: Rows
        match population.core:
            case DensePopulation() as core:
                array, parts = _gather(core, junction, steps, tally)
            case ScatterPopulation() as core:
                array, parts = self._scatter(core, junction, steps, tally, population.sources)
            case EventPopulation() as core:
                array, parts = self._take_one_by_one(
                    core, junction, steps, tally, population.sources
                )
        buffer = StreamBuffer(array)
        spikes = SpikeSerializer(buffer, population.lanes)
        self._forks[name].source = spikes
        self._parts += [spikes, buffer, *parts, *before]

    def _cleared(self, rows: int) -> int:
        """Cycles in which a memory is cleared, once weights have been loaded."""
        return max(0, rows - self._loaded)

    def _scatter(
        self,
        core: ScatterPopulation,
        junction: Junction,
        steps: Iterator[Step],
        tally: Tally,
        sources: Sequence[Source],
    ) -> tuple[Rows, list[Part]]:
        reaches = _reaches(sources, core.tables)
        weigher, parts = _scatter_rows(Lookup(junction, reaches, tally))
        accumulators = Accumulators(weigher, core.rows, self._cleared(core.rows), tally)
        array = NeuronArray(accumulators, steps, core.rows, core.array.latency, core.array.rests)
        return array, [array, accumulators, *parts]

    def _take_one_by_one(
        self,
        core: EventPopulation,
        junction: Junction,
        steps: Iterator[Step],
        tally: Tally,
        sources: Sequence[Source],
    ) -> tuple[Rows, list[Part]]:
        reaches = _reaches(sources, core.tables)
        repeats = core.array.config.accumulation is Accumulation.SPIKING_EVENT
        clearing = self._cleared(len(reaches))
        sorter = StepSorter(junction, reaches, clearing, tally, repeats=repeats)
        # The sorter has counted what is looked up.
        weigher, parts = _scatter_rows(Lookup(sorter, reaches, None))
        clearing = self._cleared(core.rows)
        array = EventNeuronArray(weigher, steps, core.rows, core.array.latency, clearing, tally)
        return array, [array, *parts, sorter]

    def _junction(self, population: Population) -> tuple[Junction, list[Part]]:
        """Where a population takes its events, and what is stepped for that."""
        ports: list[Port] = []
        parts: list[Part] = []
        for source in population.sources:
            port = self._forks[source.connection.source].tap()
            delay = np.asarray(source.connection.delay)
            if source.loop:
                port = queue = EventQueue(port, loop_depth(math.prod(source.shape)))
                self._accepts.append(queue.accept)
                parts.insert(0, queue)
                delay = delay - 1
            if np.any(delay):
                delays = np.broadcast_to(delay, source.shape).ravel().tolist()
                port = late = StepDelay(port, delays)
                parts.insert(0, late)
            ports.append(port)
        if len(ports) == 1:
            return ports[0], parts
        sizes = [math.prod(each.shape) for each in population.sources]
        offsets = np.cumsum([0, *sizes])[:-1].tolist()
        return StepMerge(ports, offsets, [each.loop for each in population.sources]), parts


def _gather(
    core: DensePopulation, junction: Junction, steps: Iterator[Step], tally: Tally
) -> tuple[Rows, list[Part]]:
    sources = EventList(junction, core.rows, math.prod(core.layout.shape), tally)
    synapses = SynapseArray(sources, core.synapses.latency, tally)
    array = NeuronArray(synapses, steps, core.rows, core.array.latency, core.array.rests)
    return array, [array, synapses, sources]


def _scatter_rows(lookup: Lookup) -> tuple[Weigher, list[Part]]:
    expander = Expander(lookup)
    counter = RowCounter(expander)
    weigher = Weigher(counter)
    return weigher, [weigher, counter, expander, lookup]


def _reaches(sources: Sequence[Source], tables: ScatterTables) -> list[Reach]:
    """What each of all sources leads to, in the order of the flat arrays."""
    _, offsets = joined_layout(sources, flat=False)
    reaches = []
    for source, offset in zip(sources, offsets, strict=True):
        neurons = _neurons_reached(source)
        for place in np.ndindex(three_sizes(source.shape)):
            c, y, x = (a + b for a, b in zip(place, offset, strict=True))
            pairs = len(tables.height[y]) * len(tables.width[x])
            reaches.append(Reach(pairs, tables.groups[c], neurons))
    return reaches


def _neurons_reached(source: Source) -> int:
    """Channels, or of a dense connection neurons, that a pair of an event leads to."""
    for each in source.connection.maps:
        if isinstance(each, Dense):
            return math.prod(each.output_shape)
        if isinstance(each, Convolution):
            return each.output_shape[0] // each.groups
    return 1
