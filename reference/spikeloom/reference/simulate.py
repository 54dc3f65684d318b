"""Runs of whole networks: the float yardstick and the golden model."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from spikeloom.reference.exact_product import ExactProduct
from spikeloom.reference.fixed import IntArray, exact_integers
from spikeloom.reference.maps import Dense, Weighted, apply_maps
from spikeloom.reference.network import (
    Connection,
    FixedNetwork,
    FixedPopulation,
    FloatNetwork,
    Population,
    schedule,
)
from spikeloom.reference.neuron_fixed import Emission, NeuronConfig
from spikeloom.reference.neurons import Neurons
from spikeloom.reference.profile import Accumulation

__all__ = [
    "Recording",
    "Stimulus",
    "Trace",
    "count_outputs",
    "run_fixed",
    "run_float",
    "run_neurons",
    "trace_outputs",
]

Array = NDArray[Any]
_T = TypeVar("_T")
_ExactMap: TypeAlias = Callable[[Array], Array]
MAX_EVENTS = 1023
"""The most events of one source in a step that a float network sums one by one."""

Stimulus: TypeAlias = ArrayLike | Mapping[str, ArrayLike]
"""What comes in: for one input an array of shape (samples, steps, \\*shape), else one by name."""


@dataclass(frozen=True, eq=False)
class Recording:
    """What a run left behind, by the names of populations and outputs.

    Attributes
    ----------
    spikes
        Spike counts, shape (samples, steps, \\*neurons), of populations that spike: uint8,
        or uint16 where more than 255 in a step can be.
    membrane
        Membrane potentials after each step, same shape: real numbers from :func:`run_float`,
        integers from :func:`run_fixed`.
    synapse
        Synaptic currents after each step, of populations that have them.
    outputs
        What the outputs sent: spike counts, or membrane potentials.
    overflows
        How many sums have not fitted into their words, for each fixed-point population.
    """

    spikes: Mapping[str, Array]
    membrane: Mapping[str, Array]
    synapse: Mapping[str, Array]
    outputs: Mapping[str, Array]
    overflows: Mapping[str, int] = field(default_factory=dict)

    @property
    def output(self) -> Array:
        """What the first output sent."""
        return next(iter(self.outputs.values()))

    @property
    def counts(self) -> Array:
        """Sum of the first output over all steps, shape (samples, \\*outputs)."""
        kind = np.int64 if self.output.dtype.kind in "iu" else None
        return self.output.sum(axis=1, dtype=kind)

    @property
    def decision(self) -> IntArray:
        """The number of the first output with the largest sum, the first of equals; (samples,)."""
        counts = self.counts
        return np.argmax(counts.reshape(len(counts), math.prod(counts.shape[1:])), axis=1)


def run_float(
    network: FloatNetwork, stimulus: Stimulus, *, dtype: type[np.floating] = np.float64
) -> Recording:
    """Run the float network from its initial state.

    Where the profile has a ``max_input_count``, inputs are clipped to the range from 0 to it.

    Parameters
    ----------
    stimulus
        For one input an array of shape (samples, steps, \\*shape), else one by name.
    dtype
        Precision; single precision for recordings of tools that compute in it.

    Raises
    ------
    ValueError
        If the stimulus' shape does not fit the network, or what is summed spike by spike is not
        of counts from 0 to 1023.
    """
    most = min(
        (
            each.neuron.profile.max_input_count
            for each in network.populations.values()
            if each.neuron.profile.max_input_count is not None
        ),
        default=None,
    )
    signals = {}
    for name, values in _arrays(network.inputs, stimulus).items():
        signals[name] = (values if most is None else np.clip(values, 0, most)).astype(dtype)
    run = _Run(network.populations, signals, lambda name: _FloatNeurons(network, name, dtype))
    return run.recording(network.outputs)


def run_fixed(
    network: FixedNetwork, stimulus: Stimulus, *, neurons: Mapping[str, Neurons] | None = None
) -> Recording:
    """Run the golden model from its initial state, exactly.

    Parameters
    ----------
    stimulus
        For one input an array of integers of shape (samples, steps, \\*shape), else one by name.
    neurons
        The neurons of each population, for those who watch them; by default new ones.

    Raises
    ------
    TypeError
        If the stimulus is not of integers.
    ValueError
        If its shape or numbers do not fit the network.
    """
    run = _fixed_run(network, stimulus, _exact_maps(network), keep=True, neurons=neurons)
    return run.recording(network.outputs)


def count_outputs(
    network: FixedNetwork, stimuli: Iterable[Stimulus], *, workers: int | None = None
) -> Iterator[Array]:
    """Run the golden model on many stimuli, each from the initial state, on all cores.

    No more memory is taken than a few stimuli need, however many there are.

    Parameters
    ----------
    stimuli
        As :func:`run_fixed` takes them.
    workers
        Threads; by default one for each core that this process may use.

    Returns
    -------
    For each stimulus in order the sum of the first output over all steps, shape
    (samples, \\*outputs).

    Raises
    ------
    TypeError, ValueError
        As :func:`run_fixed`.
    """
    source = next(iter(network.outputs.values()))
    maps = _exact_maps(network)

    def counts(stimulus: Stimulus) -> Array:
        signal = _fixed_run(network, stimulus, maps, keep=False).signals[source]
        return signal.sum(axis=1, dtype=np.int64)

    return _on_all_cores(counts, stimuli, workers)


@dataclass(frozen=True, eq=False)
class Trace:
    """What a run on a stimulus sent, step by step.

    Attributes
    ----------
    output
        What the first output sent, shape (samples, steps, \\*outputs).
    events
        For each input how many numbers other than 0 came, for each population how many spikes it
        sent, in all samples together: shape (steps, \\*neurons).
    """

    output: Array
    events: Mapping[str, IntArray]


def trace_outputs(
    network: FixedNetwork, stimuli: Iterable[Stimulus], *, workers: int | None = None
) -> Iterator[Trace]:
    """As :func:`count_outputs`, but what went on in each step.

    Parameters
    ----------
    stimuli, workers
        As :func:`count_outputs` takes them.

    Raises
    ------
    TypeError, ValueError
        As :func:`run_fixed`.
    """
    source = next(iter(network.outputs.values()))
    maps = _exact_maps(network)

    def trace(stimulus: Stimulus) -> Trace:
        signals = _fixed_run(network, stimulus, maps, keep=False).signals
        events = {name: np.count_nonzero(signals[name], axis=0) for name in network.inputs}
        for name, population in network.populations.items():
            if population.neurons.emission is Emission.SPIKES:
                events[name] = signals[name].sum(axis=0, dtype=np.int64)
        return Trace(signals[source], events)

    return _on_all_cores(trace, stimuli, workers)


def _on_all_cores(
    run: Callable[[Stimulus], _T], stimuli: Iterable[Stimulus], workers: int | None
) -> Iterator[_T]:
    """What a function makes of each stimulus, in order."""
    workers = workers or _cores()
    # Each thread multiplies on its own core: cores that share one product wait for each other.
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        stimuli = iter(stimuli)
        waiting = [pool.submit(run, each) for each in islice(stimuli, 2 * workers)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(run, each) for each in islice(stimuli, 1)]


def run_neurons(config: NeuronConfig, current: ArrayLike) -> tuple[Array, IntArray]:
    """Run fixed-point neurons on input currents, exactly.

    Parameters
    ----------
    config
        The neurons.
    current
        Integers of shape (samples, steps, neurons).

    Returns
    -------
    spikes, membrane
        Spike counts and membrane potentials after each step, of the same shape.

    Raises
    ------
    TypeError
        If a current is not an integer.
    ValueError
        If a current does not fit its width.
    """
    current = exact_integers("current", current)
    if not config.current.holds(current):
        raise ValueError(f"current must fit into {config.current_width} bits, but one does not")
    neurons = Neurons(config)
    state = neurons.initial(current.shape[:1])
    spikes = np.empty(current.shape, dtype=_count_kind(config.max_spikes))
    membrane = np.empty(current.shape, dtype=np.int64)
    for t in range(current.shape[1]):
        state, spikes[:, t] = neurons.step(state, current[:, t].astype(neurons.kind))
        membrane[:, t] = state.v
    return spikes, membrane


class _FloatNeurons:
    """A float population made ready for a run."""

    def __init__(self, network: FloatNetwork, name: str, kind: Any) -> None:
        self.population = network.populations[name]
        self.neuron = self.population.neuron
        self.kind = kind
        self.spikes = self.neuron.v_th is not None
        self.sent_kind = _count_kind(self.neuron.most_spikes) if self.spikes else kind
        self.event_wise = self.neuron.profile.accumulation is Accumulation.SPIKING_EVENT
        self.overflows = 0
        self._maps = [_of_kind(each, kind) for each in self.population.connections]

    def drive(self, k: int, counts: Array) -> Array:
        return apply_maps(self._maps[k], counts.astype(self.kind))

    def initial(self, samples: int) -> Any:
        return self.neuron.initial((samples, *self.population.shape), self.kind)

    def step(self, state: Any, current: Array) -> tuple[Any, Array]:
        return self.neuron.step(state, current)

    def step_events(self, state: Any, events: Iterator[Array]) -> tuple[Any, Array]:
        return self.neuron.step_events(state, events)


class _FixedNeurons:
    """A fixed-point population made ready for a run, with its exact maps."""

    def __init__(
        self,
        network: FixedNetwork,
        name: str,
        maps: Sequence[_ExactMap],
        neurons: Neurons | None = None,
    ) -> None:
        self.population: FixedPopulation = network.populations[name]
        config = self.population.neurons
        self._neurons = neurons or Neurons(config)
        self.kind = self._neurons.kind
        self.spikes = config.emission is Emission.SPIKES
        self.sent_kind = _count_kind(config.max_spikes) if self.spikes else self.kind
        self.event_wise = config.accumulation is not Accumulation.STEP
        self._maps = maps

    @property
    def overflows(self) -> int:
        return self._neurons.overflows

    def drive(self, k: int, counts: Array) -> Array:
        product = self._maps[k](counts).astype(self.kind, copy=False)
        shift = self.population.connections[k].shift
        return product << shift if shift else product

    def initial(self, samples: int) -> Any:
        return self._neurons.initial((samples,))

    def step(self, state: Any, current: Array) -> tuple[Any, Array]:
        return self._neurons.step(state, current.reshape(len(current), -1))

    def step_events(self, state: Any, events: Iterator[Array]) -> tuple[Any, Array]:
        return self._neurons.step_events(state, (each.reshape(len(each), -1) for each in events))


_Kernel: TypeAlias = _FloatNeurons | _FixedNeurons


def _exact_maps(network: FixedNetwork) -> dict[str, list[_ExactMap]]:
    """For each population and connection what its maps make of counts, exactly.

    They run in floating point, in a precision that has an exact representation of every sum that
    can occur: 24 or 53 bits.
    """
    return {
        name: [
            _exact_map(each, network.sent(each.source), bound)
            for each, bound in zip(population.connections, network.magnitudes[name], strict=True)
        ]
        for name, population in network.populations.items()
    }


def _exact_map(connection: Connection, sent: tuple[int, int], bound: int) -> _ExactMap:
    least, most = sent
    if len(connection.maps) == 1 and isinstance(dense := connection.maps[0], Dense) and least == 0:
        return ExactProduct(dense.weight, max(most, 1))
    kind = np.float32 if bound < 1 << 24 else np.float64
    integers = np.int32 if kind is np.float32 else np.int64
    maps = _of_kind(connection, kind)
    return lambda counts: apply_maps(maps, counts.astype(kind)).astype(integers)


def _cores() -> int:
    """Cores that this process may use; all where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _count_kind(most: int) -> Any:
    return np.uint8 if most <= 255 else np.uint16


def _of_kind(connection: Connection, kind: Any) -> list[Any]:
    return [
        each.with_weight(each.weight.astype(kind)) if isinstance(each, Weighted) else each
        for each in connection.maps
    ]


class _Run:
    """A run of a network on a stimulus, population after population.

    Where no loop forbids it, a population is computed for all steps before the next, so that its
    maps become few large products.
    """

    def __init__(
        self,
        populations: Mapping[str, Population],
        signals: dict[str, Array],
        kernel: Callable[[str], _Kernel],
        *,
        keep: bool = True,
    ) -> None:
        self.populations = populations
        self.signals = signals
        self.samples, self.steps = next(iter(signals.values())).shape[:2]
        self.keep = keep
        self.membrane: dict[str, Array] = {}
        self.synapse: dict[str, Array] = {}
        self.kernels: dict[str, _Kernel] = {}
        for group in schedule(populations):
            for name in group:
                self.kernels[name] = kernel(name)
            self._run_group(group)

    def recording(self, outputs: Mapping[str, str]) -> Recording:
        names = self.populations
        return Recording(
            spikes={n: self.signals[n] for n in names if self.kernels[n].spikes},
            membrane={n: self.membrane[n] for n in names},
            synapse={n: self.synapse[n] for n in names if n in self.synapse},
            outputs={name: self.signals[source] for name, source in outputs.items()},
            overflows={n: self.kernels[n].overflows for n in names},
        )

    def _run_group(self, group: tuple[str, ...]) -> None:
        """Compute populations that depend on each other, step by step."""
        currents, states = {}, {}
        for name in group:
            kernel, shape = self.kernels[name], self.populations[name].shape
            ready = {
                k
                for k, each in enumerate(self.populations[name].connections)
                if each.source not in group and not kernel.event_wise
            }
            currents[name] = self._current(name, ready), ready
            states[name] = kernel.initial(self.samples)
            whole = (self.samples, self.steps, *shape)
            self.signals[name] = np.zeros(whole, dtype=kernel.sent_kind)
            if self.keep:
                self.membrane[name] = np.empty(whole, dtype=kernel.kind)
                if states[name].i_syn is not None:
                    self.synapse[name] = np.empty(whole, dtype=kernel.kind)
        for t in range(self.steps):
            for name in group:
                states[name] = self._step(name, t, states[name], *currents[name])

    def _current(self, name: str, connections: set[int]) -> Array | None:
        """What connections bring in all steps, and the biases that begin late."""
        kernel, population = self.kernels[name], self.populations[name]
        shape = (self.samples, self.steps, *population.shape)
        total: Array | None = None
        for k in sorted(connections):
            connection = population.connections[k]
            counts = _delayed(self.signals[connection.source], connection.delay)
            if self.steps and counts.strides[1] == 0:  # the same in every step, as a view
                drive = kernel.drive(k, counts[:, 0]).reshape(shape[0], 1, *shape[2:])
                drive = np.broadcast_to(drive, shape)
            else:
                flat = counts.reshape(-1, *counts.shape[2:])
                drive = kernel.drive(k, flat).reshape(shape)
            total = drive if total is None else total + drive
        for late in population.late_bias:
            total = np.zeros(shape, dtype=kernel.kind) if total is None else total
            total = total if total.flags.writeable else total.copy()
            total[:, late.start :] += late.current.astype(kernel.kind)
        return total

    def _step(self, name: str, t: int, state: Any, current: Array | None, ready: set[int]) -> Any:
        kernel, population = self.kernels[name], self.populations[name]
        if kernel.event_wise:
            state, sent = kernel.step_events(state, self._events(name, t, current))
        else:
            now = None if current is None else current[:, t]
            for k, each in enumerate(population.connections):
                if k not in ready:
                    drive = kernel.drive(k, _at(self.signals[each.source], t, each.delay))
                    now = drive if now is None else now + drive
            if now is None:
                now = np.zeros((self.samples, *population.shape), dtype=kernel.kind)
            state, sent = kernel.step(state, now)
        whole = (self.samples, *population.shape)
        v = state.v.reshape(whole)
        self.signals[name][:, t] = sent.reshape(whole) if kernel.spikes else v
        if self.keep:
            self.membrane[name][:, t] = v
            if state.i_syn is not None:
                self.synapse[name][:, t] = state.i_syn.reshape(whole)
        return state

    def _events(self, name: str, t: int, late: Array | None) -> Iterator[Array]:
        """What each event of a step adds: input by input, in ascending order of address.

        An event of count c is c events. Biases that begin late come last.
        """
        kernel, population = self.kernels[name], self.populations[name]
        for k, connection in enumerate(population.connections):
            counts = _at(self.signals[connection.source], t, connection.delay)
            shape, counts = counts.shape[1:], counts.reshape(self.samples, -1)
            _check_events(connection.source, counts)
            for address in np.flatnonzero(counts.any(axis=0)):
                one = np.zeros((1, counts.shape[1]))
                one[0, address] = 1
                row = kernel.drive(k, one.reshape(1, *shape))
                for again in range(int(counts[:, address].max())):
                    happens = counts[:, address] > again
                    yield happens.reshape(-1, *(1,) * len(population.shape)) * row
        if late is not None:
            yield late[:, t]


def _fixed_run(
    network: FixedNetwork,
    stimulus: Stimulus,
    maps: Mapping[str, Sequence[_ExactMap]],
    *,
    keep: bool,
    neurons: Mapping[str, Neurons] | None = None,
) -> _Run:
    shapes = {name: each.shape for name, each in network.inputs.items()}
    signals = {
        name: network.inputs[name].taken(values)
        for name, values in _arrays(shapes, stimulus).items()
    }
    return _Run(
        network.populations,
        signals,
        lambda name: _FixedNeurons(network, name, maps[name], (neurons or {}).get(name)),
        keep=keep,
    )


def _arrays(shapes: Mapping[str, Any], stimulus: Stimulus) -> dict[str, Array]:
    """The stimulus by the names of the inputs."""
    if not isinstance(stimulus, Mapping):
        if len(shapes) != 1:
            raise ValueError(
                f"stimulus must be one array for each input, {', '.join(shapes)}, by name"
            )
        stimulus = {name: stimulus for name in shapes}
    if set(stimulus) != set(shapes):
        raise ValueError(
            f"stimulus must be for the inputs {', '.join(shapes)}, not {', '.join(stimulus)}"
        )
    arrays = {name: np.asarray(stimulus[name]) for name in shapes}
    for name, array in arrays.items():
        if array.ndim < 2 or array.shape[2:] != tuple(shapes[name]):
            inner = ", ".join(map(str, shapes[name]))
            raise ValueError(
                f"raster must be of shape (samples, steps, {inner}), not {array.shape}"
            )
    if len({array.shape[:2] for array in arrays.values()}) > 1:
        raise ValueError("all inputs must have the same number of samples and of steps")
    return arrays


def _check_events(source: str, counts: Array) -> None:
    """Refuse real numbers that are no counts of events; integers are checked where they come in."""
    if counts.dtype.kind != "f":
        return
    good = (counts >= 0) & (counts <= MAX_EVENTS) & (counts == np.rint(counts))
    if not good.all():
        raise ValueError(
            f"{source!r} must send counts from 0 to {MAX_EVENTS} where they are summed one by one,"
            f" not {float(counts[~good][0])!r}"
        )


def _delayed(signal: Array, delay: int | NDArray[np.int64]) -> Array:
    """A signal of shape (samples, steps, ...) later by a number of steps."""
    if not np.any(delay):
        return signal
    late = np.zeros_like(signal)
    steps = signal.shape[1]
    for each in np.unique(delay).tolist():
        which: Any = (slice(None), slice(each, steps))
        source: Any = (slice(None), slice(0, max(0, steps - each)))
        if isinstance(delay, np.ndarray) and delay.ndim:
            which, source = (*which, delay == each), (*source, delay == each)
        late[which] = signal[source]
    return late


def _at(signal: Array, t: int, delay: int | NDArray[np.int64]) -> Array:
    """What arrives at a step of a signal that is delayed."""
    if np.ndim(delay) == 0:
        return signal[:, t - int(delay)] if t >= delay else np.zeros_like(signal[:, 0])
    now = np.zeros_like(signal[:, 0])
    for each in np.unique(delay).tolist():
        if t >= each:
            now[:, delay == each] = signal[:, t - each][:, delay == each]
    return now
