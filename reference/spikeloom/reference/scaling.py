"""Scales of a fixed-point network: how many units of a word stand for 1."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from itertools import repeat
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.fixed import signed_width
from spikeloom.reference.fold import scaled_sources, scaled_targets
from spikeloom.reference.maps import (
    Convolution,
    Dense,
    Diagonal,
    Map,
    Shape,
    Weighted,
    apply_maps,
    map_bounds,
)
from spikeloom.reference.network import Connection, FixedInput, FloatNetwork, FloatPopulation
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.simulate import Recording

__all__ = [
    "MOST_FRACTION",
    "PopulationScale",
    "is_sum",
    "largest_weights",
    "plan_scales",
    "scaled_connection",
    "total_gain",
    "with_weights",
]

MOST_FRACTION = 8
"""Fraction bits of the state that calibration gives at most."""
USUAL_WIDTH = 16
"""Bits for potentials that are sent, beyond which more only widen their range."""
HEADROOM = 4
"""Bits between a threshold and the ends of the state, at least, where potentials are heard."""
MARGIN = 1.25
"""How far other data may go beyond the calibration data's potentials."""


@dataclass(frozen=True, eq=False)
class PopulationScale:
    """The words of a population.

    Attributes
    ----------
    weight
        Weight units that stand for what adds 1 to the potential: one number, or one a neuron.
    fraction
        Places of the state behind the weights' last place.
    width
        Bits of the state.
    """

    weight: NDArray[Any]
    fraction: int
    width: int

    @property
    def state(self) -> NDArray[Any]:
        """State units that stand for a potential of 1."""
        return self.weight * 2.0**self.fraction


def plan_scales(
    network: FloatNetwork,
    precision: Precision,
    inputs: Mapping[str, FixedInput],
    calibration: Recording | None = None,
) -> dict[str, PopulationScale]:
    """Scales of all populations, those first whose potentials others hear.

    The weights of a population fill their word. One that hears potentials, whose last place stands
    for less than 1, has as many more units, and a state wide enough for its threshold, or for the
    potentials that it sends itself, up to 32 bits.

    Parameters
    ----------
    network
        The float network.
    precision
        The words asked for.
    inputs
        The integers that come in.
    calibration
        A float run, for a ``state_fraction`` of ``None``.

    Raises
    ------
    ValueError
        If populations that send potentials hear each other in a loop: each round would need finer
        units.
    """
    return _Planner(network, precision, inputs, calibration).plan()


class _Planner:
    def __init__(
        self,
        network: FloatNetwork,
        precision: Precision,
        inputs: Mapping[str, FixedInput],
        calibration: Recording | None,
    ) -> None:
        self.network = network
        self.precision = precision
        self.inputs = inputs
        self.calibration = calibration
        self.most_weight = (1 << (precision.weight_width - 1)) - 1
        self.scales: dict[str, PopulationScale] = {}

    def plan(self) -> dict[str, PopulationScale]:
        least = np.inf
        for name in self._order():
            population = self.network.populations[name]
            self.scales[name] = self._scale(name, population, self._weight_scale(name))
        if self.precision.scale is Scale.NETWORK:
            least = min(float(np.min(each.weight)) for each in self.scales.values())
            for name in self._order():
                population = self.network.populations[name]
                one = np.minimum(self._weight_scale(name), least)
                self.scales[name] = self._scale(name, population, one)
        return self.scales

    def _order(self) -> Iterator[str]:
        """Populations, each after those whose potentials it hears."""
        hears = {
            name: [
                each.source
                for each in population.connections
                if each.source in self.network.populations
                and self.network.populations[each.source].neuron.v_th is None
            ]
            for name, population in self.network.populations.items()
        }
        try:
            yield from TopologicalSorter(hears).static_order()
        except CycleError as error:
            raise ValueError(
                f"{error.args[1][0]!r} must not hear its own potential, over others or at once,"
                " in fixed point: each round would need finer units"
            ) from None

    def unit(self, connection: Connection) -> NDArray[Any]:
        """What the last place of a source stands for: 1 for spikes."""
        if connection.source in self.inputs:
            return np.asarray(2.0 ** -self.inputs[connection.source].fraction_bits)
        if self.network.populations[connection.source].neuron.v_th is None:
            return 1 / self.scales[connection.source].state
        return np.asarray(1.0)

    def _coarsest(self, connection: Connection) -> float:
        return float(np.max(self.unit(connection)))

    def _finest_unit(self, population: FloatPopulation) -> float:
        return min(map(self._coarsest, population.connections), default=1.0)

    def _finer_bits(self, population: FloatPopulation) -> int:
        """Bits of the state for what is finer than a spike."""
        return math.ceil(-math.log2(min(1.0, self._finest_unit(population))))

    def _weight_scale(self, name: str) -> NDArray[Any]:
        """Weight units for a potential of 1, one number or one for each neuron."""
        population = self.network.populations[name]
        # Potentials that go out are compared with each other, so they share a unit.
        shared = self.precision.scale is not Scale.NEURON or (
            population.neuron.v_th is None and name in self.network.outputs.values()
        )
        units = [self._coarsest(each) for each in population.connections]
        largest = largest_weights(
            population.connections,
            population.shape,
            units,
            percentile=self.precision.percentile,
            shared=shared,
        )
        largest = largest * np.abs(total_gain(population.neuron))
        if not shared:
            # Not so fine that a threshold would leave no room for what passes it.
            finer = self.precision.state_fraction
            left = HEADROOM if finer is None else finer + 1
            width = self.precision.state_width + self._finer_bits(population)
            room = 2.0 ** max(0, width - 1 - left)
            threshold = population.neuron.threshold
            least = 0.0 if threshold is None else self.most_weight / room * np.abs(threshold)
            least = np.where(largest > 0, np.maximum(largest, least), self.most_weight)
            return self.most_weight / least
        most = float(largest.max(initial=0.0))
        return np.asarray(self.most_weight / most if most else 1.0)

    def _scale(
        self, name: str, population: FloatPopulation, weight: NDArray[Any]
    ) -> PopulationScale:
        fraction = self._fraction(name, population, weight)
        needed, width = self._widths(population, weight * 2.0**fraction)
        excess = max(0, needed - 32)
        return PopulationScale(weight * 2.0**-excess, fraction, min(max(needed, width), 32))

    def _fraction(self, name: str, population: FloatPopulation, scale: NDArray[Any]) -> int:
        if self._finest_unit(population) < 1:
            return self._finest(population, scale)
        if self.precision.state_fraction is not None:
            return self.precision.state_fraction
        if self.calibration is None:
            raise ValueError("calibration must be given where state_fraction is to follow it")
        peak = _peak(population.neuron, name, self.calibration)
        highest = float(np.max(peak * np.broadcast_to(scale, peak.shape), initial=0.0))
        room = (1 << (self.precision.state_width - 1)) / (MARGIN * highest or 1.0)
        return int(np.clip(math.floor(math.log2(room)), 0, MOST_FRACTION))

    def _finest(self, population: FloatPopulation, scale: NDArray[Any]) -> int:
        """Places that weights of what is finer than a spike need to fill their word."""
        finest = 0
        for connection in population.connections:
            unit = self._coarsest(connection)
            weighted, _ = _weighted(connection.maps, population.shape)
            gain = float(np.max(np.abs(total_gain(population.neuron)) * scale))
            largest = float(np.abs(weighted.weight).max(initial=0.0)) * unit * gain
            if unit < 1 and largest:
                finest = max(finest, math.floor(math.log2(self.most_weight / largest)))
        return min(finest, 24)

    def _widths(self, population: FloatPopulation, state: NDArray[Any]) -> tuple[int, int]:
        """The fewest bits that the state needs, and those that it is to have.

        Where sources are finer than spikes, so is the state, and needs as many bits more.
        """
        asked = self.precision.state_width
        if is_sum(population.neuron):
            return 1 + math.ceil(math.log2(self._largest_sum(population, state))), 0
        finer = self._finer_bits(population)
        threshold = population.neuron.threshold
        if not finer:
            return 0, asked
        if threshold is None:
            return min(asked, USUAL_WIDTH) + finer, asked + finer
        highest = int(np.max(np.abs(np.asarray(threshold) * state)))
        return signed_width(highest) + HEADROOM, asked + finer

    def _largest_sum(self, population: FloatPopulation, state: NDArray[Any]) -> float:
        """A bound on weighted sums, in units of the state's last place."""
        neuron = population.neuron
        most = np.abs(np.asarray(neuron.bias, dtype=np.float64))
        for connection in population.connections:
            low, high = self._sent(connection.source)
            begin = connection.maps[0].input_shape if connection.maps else population.shape
            unit = self._coarsest(connection)
            ends = map_bounds(
                connection.maps, np.full(begin, low * unit), np.full(begin, high * unit)
            )
            most = most + np.maximum(-ends[0], ends[1])
        for late in population.late_bias:
            most = most + np.abs(late.current)
        return max(1.0, float(np.max(most * np.abs(total_gain(neuron)) * state)))

    def _sent(self, name: str) -> tuple[int, int]:
        if name in self.inputs:
            return self.inputs[name].low, self.inputs[name].high
        neuron = self.network.populations[name].neuron
        if neuron.v_th is None:
            half = 1 << (self.scales[name].width - 1)
            return -half, half - 1
        return 0, neuron.most_spikes


def is_sum(neuron: FloatNeuron) -> bool:
    """Whether neurons have no memory and send the weighted sum of what arrives."""
    return neuron.v_th is None and not np.any(neuron.alpha) and neuron.tau_syn is None


def total_gain(neuron: FloatNeuron) -> Any:
    """The factor between what arrives and what it adds to the potential in the same step."""
    return neuron.synapse_gain * neuron.gain


def largest_weights(
    connections: Sequence[Connection],
    shape: Shape,
    units: Iterable[float] = repeat(1.0),
    *,
    percentile: float = 100.0,
    shared: bool = False,
) -> NDArray[Any]:
    """The largest magnitude of the weights that lead to each neuron.

    Parameters
    ----------
    connections, shape
        Of a population.
    units
        A factor for the weights of each connection.
    percentile
        Of the magnitudes, those that are not 0, instead of the largest.
    shared
        Whether the percentile is that of all neurons' weights.
    """
    largest = np.zeros(shape)
    for connection, unit in zip(connections, units, strict=False):
        weighted, after = _weighted(connection.maps, shape)
        high = _high(weighted, percentile, shared)
        largest = np.maximum(largest, _onto(weighted, high, after, shape) * unit)
    return largest


def scaled_connection(
    connection: Connection,
    shape: Shape,
    *,
    sources: NDArray[Any] | float = 1.0,
    targets: NDArray[Any] | float = 1.0,
) -> Connection:
    """A connection whose weights hold a factor for each source and one for each target.

    Parameters
    ----------
    connection, shape
        One with a set of weights at most, and the shape of what it leads to.
    sources, targets
        The factors, of shapes that broadcast to the sources' and to ``shape``.

    Raises
    ------
    ValueError
        If factors differ where weights are shared.
    """
    maps = list(with_weights(connection.maps, shape))
    (k,) = (k for k, each in enumerate(maps) if isinstance(each, Weighted))
    before = np.broadcast_to(np.asarray(sources, np.float64), maps[0].input_shape)
    scaled = scaled_sources(Diagonal(before), maps[:k], cast(Weighted, maps[k]))
    if scaled is not None:
        after = np.broadcast_to(np.asarray(targets, np.float64), shape)
        scaled = scaled_targets(scaled, maps[k + 1 :], Diagonal(after))
    if scaled is None:
        raise ValueError(
            f"the weights from {connection.source!r} are shared by units whose spikes stand for"
            " different numbers; a conversion with one number a layer helps"
        )
    maps[k] = scaled
    return replace(connection, maps=tuple(maps))


def with_weights(maps: tuple[Map, ...], shape: Shape) -> tuple[Map, ...]:
    """The maps, with weights of 1 behind them if they have none."""
    if any(isinstance(each, Weighted) for each in maps):
        return maps
    return (*maps, Diagonal(np.ones(shape)))


def _weighted(maps: tuple[Map, ...], shape: Shape) -> tuple[Weighted, tuple[Map, ...]]:
    """The map with weights, and the maps behind it."""
    maps = with_weights(maps, shape)
    for k, each in enumerate(maps):
        if isinstance(each, Weighted):
            return each, maps[k + 1 :]
    raise ValueError("maps must have weights")


def _high(weighted: Weighted, percentile: float, shared: bool) -> NDArray[Any]:
    """The percentile of the magnitudes that are not 0, in the shape of independent targets.

    One for all where a scale is shared, else one for each target that has weights of its own.
    """
    magnitude = np.abs(weighted.weight)
    if percentile < 100 and shared:
        used = magnitude[magnitude > 0]
        high = np.percentile(used, percentile) if used.size else 0.0
        return np.full(weighted.target_axes(), high)
    if isinstance(weighted, Diagonal):
        return magnitude
    own = magnitude.T if isinstance(weighted, Dense) else magnitude.reshape(len(magnitude), -1)
    if percentile == 100:
        return own.max(axis=1).reshape(weighted.target_axes())
    each = [np.percentile(row[row > 0], percentile) if row.any() else 0.0 for row in own]
    return np.array(each).reshape(weighted.target_axes())


def _onto(
    weighted: Weighted, high: NDArray[Any], after: tuple[Map, ...], shape: Shape
) -> NDArray[Any]:
    """A number for each independent target, for each neuron that hears it behind other maps."""
    if isinstance(weighted, Convolution):
        high = high.reshape(-1, *(1,) * (len(weighted.output_shape) - 1))
    each = np.broadcast_to(
        high.reshape(high.shape[-1:]) if isinstance(weighted, Dense) else high,
        weighted.output_shape,
    )
    # Of windows summed over, each weight counts once: the mean of equals.
    ones = np.ones((1, *weighted.output_shape))
    through, count = apply_maps(after, each[None]), apply_maps(after, ones)
    return np.broadcast_to((through / np.maximum(count, 1))[0], shape)


def _peak(neuron: FloatNeuron, name: str, run: Recording) -> NDArray[Any]:
    """The largest potential or synaptic current of a run, of each neuron.

    The potential is that before the reset, as far as that can be told.
    """
    highest = np.abs(run.membrane[name]).max(axis=(0, 1), initial=0.0)
    if name in run.synapse:
        # In fixed point the current has the membrane's gain in it.
        current = np.abs(run.synapse[name] * np.asarray(neuron.gain))
        highest = np.maximum(highest, current.max(axis=(0, 1), initial=0.0))
    if neuron.threshold is None:
        return highest
    before = run.membrane[name] + run.spikes[name] * np.asarray(neuron.threshold)
    highest = np.maximum(highest, np.abs(before).max(axis=(0, 1), initial=0.0))
    # A reset to a value hides by how much the threshold was passed.
    return np.maximum(highest, 2 * np.abs(neuron.threshold))
