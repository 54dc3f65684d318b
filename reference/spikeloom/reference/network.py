"""Networks: populations, and the connections onto them, in floating and in fixed point.

:class:`FixedNetwork` is the contract of the whole project: it alone fixes every spike and every
state bit of golden model, hardware and netlist.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import exact_integer, exact_integers, signed_width
from spikeloom.reference.maps import Map, Shape, Weighted, map_bounds
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import Accumulation

__all__ = [
    "Connection",
    "FixedInput",
    "FixedNetwork",
    "FixedPopulation",
    "FloatNetwork",
    "FloatPopulation",
    "LateBias",
    "Population",
    "check_weight",
    "schedule",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Connection:
    """What one population's spikes add to the current of another.

    The current is ``maps(counts) << shift``, formed exactly.

    Parameters
    ----------
    source
        Name of an input or of a population.
    maps
        Linear maps, one after the other; none where the source's counts are the current.
    delay
        Steps from a spike to its effect: one number, or an array of one for each source.
    shift
        Places between the last place of the maps' numbers and that of the state, 0 to 24; 0 in a
        float network.
    """

    source: str
    maps: tuple[Map, ...] = ()
    delay: int | NDArray[np.int64] = 0
    shift: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "maps", tuple(self.maps))
        for before, after in pairwise(self.maps):
            if before.output_shape != after.input_shape:
                raise ValueError(
                    f"maps from {self.source!r} must fit together, but {before.output_shape} does"
                    f" not go into {after.input_shape}"
                )
        if np.any(np.asarray(self.delay) < 0):
            raise ValueError(f"delay must not be negative, not {np.min(self.delay)}")
        if not 0 <= exact_integer("shift", self.shift) <= 24:
            raise ValueError(f"shift must be 0 to 24, not {self.shift!r}")

    @property
    def least_delay(self) -> int:
        """The shortest of its delays."""
        return int(np.min(self.delay))

    @property
    def synapses(self) -> int:
        """How many weights it has, each shared one counted once."""
        return sum(each.weight.size for each in self.maps if isinstance(each, Weighted))


@dataclass(frozen=True, eq=False)
class LateBias:
    """A current added in every step from ``start`` on; one number a neuron."""

    start: int
    current: NDArray[Any]


class Population(Protocol):
    """What float and fixed populations have in common."""

    @property
    def shape(self) -> Shape:
        """Shape of its neurons."""

    @property
    def connections(self) -> tuple[Connection, ...]:
        """What arrives."""

    @property
    def late_bias(self) -> tuple[LateBias, ...]:
        """Biases that do not act from the first step on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatPopulation:
    """Neurons of one kind with all that arrives at them.

    Parameters
    ----------
    shape
        Shape of the neurons.
    neuron
        The neurons; arrays among their parameters are of this shape.
    connections
        What arrives.
    late_bias
        Biases that do not act from the first step on.
    """

    shape: Shape
    neuron: FloatNeuron
    connections: tuple[Connection, ...]
    late_bias: tuple[LateBias, ...] = ()


@dataclass(frozen=True)
class FloatNetwork:
    """Populations in real numbers: the yardstick for the fixed-point network.

    Parameters
    ----------
    inputs
        Shape of each input by its name.
    populations
        Populations by name.
    outputs
        For each output's name that of the input or population that it is.

    Raises
    ------
    ValueError
        If a connection comes from nowhere or does not fit, or a loop has no delay.
    """

    inputs: Mapping[str, Shape]
    populations: Mapping[str, FloatPopulation]
    outputs: Mapping[str, str]

    def __post_init__(self) -> None:
        _check_topology(self.inputs, self.populations, self.outputs)


@dataclass(frozen=True, kw_only=True)
class FixedInput:
    """Where integers come in.

    Parameters
    ----------
    shape
        Shape of what comes in a step.
    low, high
        The range of each number: spike counts from 0, or signed words.
    fraction_bits
        Places behind the binary point, where the integers stand for real numbers.
    clips
        Whether what lies outside the range is clipped to it rather than refused.

    Raises
    ------
    TypeError
        If a number is not an integer.
    ValueError
        If the range has more than 24 bits or does not hold 0.
    """

    shape: Shape
    low: int = 0
    high: int = 1
    fraction_bits: int = 0
    clips: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high", "fraction_bits"):
            object.__setattr__(self, name, exact_integer(name, getattr(self, name)))
        if not -(1 << 23) <= self.low <= 0 <= self.high < 1 << 23:
            raise ValueError(
                f"low and high must be of at most 24 bits with 0 between them, not {self.low} and"
                f" {self.high}"
            )

    def taken(self, values: ArrayLike) -> NDArray[np.integer]:
        """Integers as the input takes them; what needs no change stays as it is.

        Raises
        ------
        TypeError
            If one is not an integer.
        ValueError
            If one is outside the range.
        """
        integers: NDArray[np.integer] = np.asarray(values)
        if integers.dtype not in (np.uint8, np.int64) or self.clips:
            integers = exact_integers("counts", values)
        if self.clips:
            return np.clip(integers, self.low, self.high)
        if integers.size and not (integers.min() >= self.low and integers.max() <= self.high):
            raise ValueError(
                f"counts must be {self.low} to {self.high}, not {integers.min()} to"
                f" {integers.max()}"
            )
        return integers


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedPopulation:
    """Neurons in integers with all that arrives at them.

    Parameters
    ----------
    shape
        Shape of the neurons.
    neurons
        The neurons, in the order of the flat array.
    connections
        What arrives; the weights are integers.
    weight_width
        Bits of a signed weight, 2 to 16.
    late_bias
        Biases that do not act from the first step on, in units of the state's last place.
    resolution
        The potential that the state's last place stands for, one number or one for each neuron:
        for reports, it fixes nothing.

    Raises
    ------
    TypeError
        If weights are not integers.
    ValueError
        If a parameter is outside its range, a weight does not fit ``weight_width``, or the
        numbers of neurons do not agree.
    """

    shape: Shape
    neurons: NeuronConfig
    connections: tuple[Connection, ...]
    weight_width: int = 8
    late_bias: tuple[LateBias, ...] = ()
    resolution: float | NDArray[Any] = 1.0

    def __post_init__(self) -> None:
        width = exact_integer("weight_width", self.weight_width)
        object.__setattr__(self, "weight_width", width)
        object.__setattr__(self, "connections", tuple(self.connections))
        if not 2 <= width <= 16:
            raise ValueError(f"weight_width must be 2 to 16, not {width!r}")
        if math.prod(self.shape) != self.neurons.size:
            raise ValueError(
                f"shape must be of {self.neurons.size} neurons, not {tuple(self.shape)}"
            )
        for connection in self.connections:
            for each in connection.maps:
                if isinstance(each, Weighted):
                    check_weight(each.weight, width)


@dataclass(frozen=True, eq=False)
class FixedNetwork:
    """Populations in integers, and the name of the profile that they realise.

    The ``current_width`` of each population is widened to hold every sum that can occur.

    Parameters
    ----------
    inputs
        Inputs by name.
    populations
        Populations by name.
    outputs
        For each output's name that of the input or population that it is.
    profile
        Stated in reports and in the header of the generated Verilog.

    Raises
    ------
    ValueError
        If a connection comes from nowhere or does not fit, a loop has no delay, or a current can
        need more than 48 bits.
    """

    inputs: Mapping[str, FixedInput]
    populations: Mapping[str, FixedPopulation]
    outputs: Mapping[str, str]
    profile: str
    magnitudes: Mapping[str, tuple[int, ...]] = field(init=False)
    """For each population and connection a bound on all sums that its maps can form."""

    def __post_init__(self) -> None:
        shapes = {name: each.shape for name, each in self.inputs.items()}
        _check_topology(shapes, self.populations, self.outputs)
        widened, magnitudes = {}, {}
        for name, population in self.populations.items():
            try:
                self._check_events(population)
                widened[name], magnitudes[name] = self._widened(population)
            except ValueError as error:
                raise ValueError(f"population {name!r}: {error}") from None
        object.__setattr__(self, "populations", widened)
        object.__setattr__(self, "magnitudes", magnitudes)

    def _check_events(self, population: FixedPopulation) -> None:
        """Refuse words where events are told apart: only spikes are events."""
        if population.neurons.accumulation is Accumulation.STEP:
            return
        for connection in population.connections:
            # Potentials have a sign.
            if self.sent(connection.source)[0] < 0:
                raise ValueError(
                    f"{connection.source!r} must send spikes where they are summed one by one"
                )

    def _widened(self, population: FixedPopulation) -> tuple[FixedPopulation, tuple[int, ...]]:
        """The population with a current wide enough, and the bounds of its connections."""
        low = np.zeros(population.shape, dtype=np.int64)
        high = np.zeros(population.shape, dtype=np.int64)
        bounds = []
        for connection in population.connections:
            least, most = self.sent(connection.source)
            shape = self.shape(connection.source)
            lowest, highest = map_bounds(
                connection.maps, np.full(shape, least), np.full(shape, most)
            )
            bounds.append(int(max(-lowest.min(), highest.max())))
            low, high = low + (lowest << connection.shift), high + (highest << connection.shift)
        for late in population.late_bias:
            low, high = low + np.minimum(late.current, 0), high + np.maximum(late.current, 0)
        needed = max(2, signed_width(int(low.min())), signed_width(int(high.max())))
        width = max(population.neurons.current_width, needed)
        if width > 48:
            raise ValueError(f"the input current must fit 48 bits, but can need {width}")
        neurons = replace(population.neurons, current_width=width)
        return replace(population, neurons=neurons), tuple(bounds)

    def shape(self, name: str) -> Shape:
        """Shape of an input or population."""
        return (self.inputs.get(name) or self.populations[name]).shape

    def sent(self, name: str) -> tuple[int, int]:
        """The least and the most that an input or a neuron of a population sends in a step."""
        if name in self.inputs:
            return self.inputs[name].low, self.inputs[name].high
        return self.populations[name].neurons.sent


def schedule(populations: Mapping[str, Population]) -> list[tuple[str, ...]]:
    """Populations in an order in which they can be computed.

    Returns
    -------
    Groups of names, each after all that it depends on. Within a step the members of a group follow
    each other in order; a group of one that does not lead to itself can be computed for all steps
    before the next group is.

    Raises
    ------
    ValueError
        If a loop has no delay.
    """
    sorter = TopologicalSorter[str]({name: () for name in populations})
    for name, population in populations.items():
        for each in population.connections:
            if each.source in populations and each.least_delay == 0:
                sorter.add(name, each.source)
    try:
        order = list(sorter.static_order())
    except CycleError as error:
        raise ValueError(f"a loop must have a delay, but {error.args[1][0]!r} is in one") from None
    place = {name: k for k, name in enumerate(order)}
    # Where one leads back to another, all from that to it are computed step by step together.
    reach = list(range(len(order)))
    for name, population in populations.items():
        for each in population.connections:
            if each.source in place:
                reach[place[name]] = max(reach[place[name]], place[each.source])
    groups: list[list[str]] = []
    last = -1
    for k, name in enumerate(order):
        if k > last:
            groups.append([])
        groups[-1].append(name)
        last = max(last, reach[k])
    return [tuple(group) for group in groups]


def _check_topology(
    inputs: Mapping[str, Shape], populations: Mapping[str, Population], outputs: Mapping[str, str]
) -> None:
    if not inputs or not populations or not outputs:
        raise ValueError("a network must have an input, a population and an output")
    shapes = {**inputs, **{name: each.shape for name, each in populations.items()}}
    if len(shapes) < len(inputs) + len(populations):
        raise ValueError("inputs and populations must have names of their own")
    for name, source in outputs.items():
        if source not in shapes:
            raise ValueError(f"output {name!r} must be an input or population, not {source!r}")
    for name, population in populations.items():
        for each in population.connections:
            if each.source not in shapes:
                raise ValueError(
                    f"population {name!r} must be connected to inputs and populations, not to"
                    f" {each.source!r}"
                )
            begin, end = shapes[each.source], population.shape
            first = each.maps[0].input_shape if each.maps else end
            last = each.maps[-1].output_shape if each.maps else begin
            if first != tuple(begin) or last != tuple(end):
                raise ValueError(
                    f"maps from {each.source!r} to {name!r} must lead from shape {tuple(begin)} to"
                    f" {tuple(end)}, not from {first} to {last}"
                )
    schedule(populations)


def check_weight(weight: NDArray[Any], width: int) -> None:
    """Refuse weights that are not integers of so many bits.

    Raises
    ------
    TypeError, ValueError
        If they are not integers, or one is outside the word's range.
    """
    half = 1 << (width - 1)
    if not np.issubdtype(weight.dtype, np.integer):
        raise TypeError(f"weight must hold integers, not {weight.dtype}")
    if weight.size and not -half <= int(weight.min()) <= int(weight.max()) < half:
        raise ValueError(
            f"weight must fit {width} bits, {-half} to {half - 1}, but ranges"
            f" from {weight.min()} to {weight.max()}"
        )
