"""From real numbers to the integers of the hardware."""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import IntArray, QFormat, Rounding, exact_integer, signed_width
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
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
    FloatNetwork,
    FloatPopulation,
    LateBias,
    schedule,
)
from spikeloom.reference.neuron_fixed import (
    DecayRule,
    Emission,
    NeuronConfig,
    PerNeuron,
    SynapseConfig,
)
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import Decay, Profile, Reset
from spikeloom.reference.simulate import Stimulus, run_float

__all__ = ["DECAY_RULES", "Precision", "Scale", "quantize", "quantize_neurons"]

DECAY_RULES = {
    Decay.EULER: DecayRule.MULTIPLIER,
    Decay.EXPONENTIAL: DecayRule.MULTIPLIER,
    Decay.SHIFT: DecayRule.SHIFT,
    Decay.CONSTANT: DecayRule.CONSTANT,
    Decay.NONE: DecayRule.NONE,
}
"""The integer arithmetic that realises each decay of a profile."""

MOST_FRACTION = 8
"""Fraction bits of the state that calibration gives at most."""


class Scale(enum.Enum):
    """Whose weights share a scale."""

    NETWORK = "network"
    LAYER = "layer"
    NEURON = "neuron"
    """Those of a neuron, or of an output channel of a convolution."""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The words of a fixed-point network.

    Parameters
    ----------
    weight_width
        Bits of a weight, 2 to 16.
    state_width
        Bits of potentials and synaptic currents, 4 to 32.
    state_fraction
        Places that the state has behind the weights' last place, 0 to 24; ``None`` has each
        population take as many as its potentials on calibration data leave, up to 8.
    decay_fraction
        Fraction bits of decay multipliers, 1 to 16.
    scale
        Whose weights share a scale.
    percentile
        The percentile of the magnitudes of the weights that fills the weight word; those above it
        are clipped. Above 0, up to 100.

    Raises
    ------
    TypeError
        If a number is not an integer or the scale not a :class:`Scale`.
    ValueError
        If a number is outside its range.
    """

    weight_width: int = 8
    state_width: int = 16
    state_fraction: int | None = 0
    decay_fraction: int = 8
    scale: Scale = Scale.LAYER
    percentile: float = 100.0

    def __post_init__(self) -> None:
        if not isinstance(self.scale, Scale):
            raise TypeError(f"scale must be a Scale, not {self.scale!r}")
        ranges = {
            "weight_width": (2, 16),
            "state_width": (4, 32),
            "state_fraction": (0, 24),
            "decay_fraction": (1, 16),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if value is None and name == "state_fraction":
                continue
            object.__setattr__(self, name, exact_integer(name, value))
            if not least <= value <= most:
                raise ValueError(f"{name} must be {least} to {most}, not {value!r}")
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile must be above 0 and up to 100, not {self.percentile!r}")


def quantize(
    network: FloatNetwork,
    precision: Precision = Precision(),
    *,
    inputs: Mapping[str, FixedInput] | None = None,
    calibration: Stimulus | None = None,
) -> FixedNetwork:
    """Round a float network to integers.

    Gains go into the weights, so that a population needs no multiplier but its decay's. All
    rounding is to the nearest, ties to even.

    Parameters
    ----------
    network
        The network; all its populations are of one profile.
    precision
        The words.
    inputs
        The integers that come in; by default counts of 0 or 1, or clipped to the profile's
        ``max_input_count``.
    calibration
        Stimulus in real numbers for a ``state_fraction`` of ``None``.

    Raises
    ------
    ValueError
        If a threshold, bias or decay does not fit its width, a scale cannot be part of shared
        weights, or calibration data are missing; the message names the population.
    """
    if inputs is None:
        inputs = {name: _default_input(network, shape) for name, shape in network.inputs.items()}
    return _Quantizer(network, precision, inputs, calibration).network()


def _default_input(network: FloatNetwork, shape: Shape) -> FixedInput:
    profile = next(iter(network.populations.values())).neuron.profile
    most = profile.max_input_count
    return FixedInput(shape=shape, high=most or 1, clips=most is not None)


class _Quantizer:
    def __init__(
        self,
        network: FloatNetwork,
        precision: Precision,
        inputs: Mapping[str, FixedInput],
        calibration: Stimulus | None,
    ) -> None:
        self.source = network
        self.precision = precision
        self.inputs = inputs
        self.most_weight = (1 << (precision.weight_width - 1)) - 1
        # What the last place of each source stands for; a potential's, once it is known.
        self.units: dict[str, NDArray[Any]] = {
            **{name: np.asarray(2.0**-each.fraction_bits) for name, each in inputs.items()},
            **{name: np.asarray(1.0) for name in network.populations},
        }
        self.done: dict[str, FixedPopulation] = {}
        self.peaks: dict[str, float] = {}
        if precision.state_fraction is None:
            if calibration is None:
                raise ValueError("calibration must be given where state_fraction is to follow it")
            run = run_float(network, calibration)
            self.peaks = {
                name: _peak(each.neuron, run.membrane[name], run.spikes.get(name))
                for name, each in network.populations.items()
            }

    def network(self) -> FixedNetwork:
        names = {each.neuron.profile.name for each in self.source.populations.values()}
        if len(names) > 1:
            raise ValueError(
                f"all populations must have one profile, not {', '.join(sorted(names))}"
            )
        least = np.inf
        if self.precision.scale is Scale.NETWORK:
            scales = [self._weight_scale(each) for each in self.source.populations.values()]
            least = min(float(np.min(each)) for each in scales)
        # Sources first, as far as there are no loops: who hears a potential is scaled to it, and a
        # sum is as wide as what it is of.
        for name in (name for group in schedule(self.source.populations) for name in group):
            population = self.source.populations[name]
            scale = np.minimum(self._weight_scale(population), least)
            fraction = self._fraction(name, population, scale)
            scale = scale * 2.0 ** -self._excess(population, scale, fraction)
            if population.neuron.v_th is None:
                self.units[name] = 1 / (scale * 2.0**fraction)
            try:
                self.done[name] = self._population(population, scale, fraction)
            except ValueError as error:
                raise ValueError(f"{name} does not fit: {error}") from error
        populations = {name: self.done[name] for name in self.source.populations}
        return FixedNetwork(self.inputs, populations, self.source.outputs, names.pop())

    def _weight_scale(self, population: FloatPopulation) -> NDArray[Any]:
        """Weight units for a potential of 1, one number or one for each neuron."""
        gain = np.abs(_total_gain(population.neuron))
        largest = np.zeros(population.shape)
        magnitudes = []
        for connection in population.connections:
            weighted, after = _weighted(connection.maps, population.shape)
            unit = self._unit(connection)
            largest = np.maximum(largest, _largest(weighted, after, population.shape) * unit)
            magnitudes.append(np.abs(weighted.weight).ravel() * unit)
        largest = largest * gain
        if self.precision.scale is Scale.NEURON:
            return self.most_weight / np.where(largest > 0, largest, self.most_weight)
        most = float(largest.max(initial=0.0))
        if self.precision.percentile < 100 and magnitudes:
            each = np.concatenate(magnitudes)
            most *= float(np.percentile(each, self.precision.percentile) / each.max())
        return np.asarray(self.most_weight / most if most else 1.0)

    def _unit(self, connection: Connection) -> float:
        """What the last place of a source stands for: 1 for spikes."""
        return float(np.max(self.units[connection.source]))

    def _fraction(self, name: str, population: FloatPopulation, scale: NDArray[Any]) -> int:
        """Places of the state behind the weights' last place."""
        if min(map(self._unit, population.connections), default=1.0) < 1:
            return self._finest(population, scale)
        if self.precision.state_fraction is not None:
            return self.precision.state_fraction
        room = (1 << (self.precision.state_width - 1)) / (
            self.peaks[name] * float(np.max(scale)) or 1.0
        )
        return int(np.clip(math.floor(math.log2(room)), 0, MOST_FRACTION))

    def _finest(self, population: FloatPopulation, scale: NDArray[Any]) -> int:
        """Places that weights of what is finer than a spike need to fill their word."""
        finest = 0
        for connection in population.connections:
            unit = self._unit(connection)
            weighted, _ = _weighted(connection.maps, population.shape)
            gain = float(np.max(np.abs(_total_gain(population.neuron)) * scale))
            largest = float(np.abs(weighted.weight).max(initial=0.0)) * unit * gain
            if unit < 1 and largest:
                finest = max(finest, math.floor(math.log2(self.most_weight / largest)))
        return min(finest, 24)

    def _state_width(self, population: FloatPopulation, state: NDArray[Any]) -> int:
        """Bits of the state: more than asked for where it must hold what is finer than a spike."""
        width = self.precision.state_width
        finer = min(map(self._unit, population.connections), default=1.0)
        if finer >= 1:
            return width
        threshold = population.neuron.threshold
        if threshold is None:
            return width + math.ceil(-math.log2(finer))
        highest = int(np.max(np.abs(np.asarray(threshold) * state)))
        return max(width, signed_width(highest) + 1)

    def _excess(self, population: FloatPopulation, scale: NDArray[Any], fraction: int) -> int:
        """Bits by which a state that hears potentials would be longer than 32."""
        known = all(
            each.source in self.inputs or each.source in self.done
            for each in population.connections
        )
        if not known or min(map(self._unit, population.connections), default=1.0) >= 1:
            return 0
        if not _is_sum(population.neuron):
            return max(0, self._state_width(population, scale * 2.0**fraction) - 32)
        bits = 1 + math.ceil(math.log2(self._largest_sum(population, scale * 2.0**fraction)))
        return max(0, bits - 32)

    def _largest_sum(self, population: FloatPopulation, state: NDArray[Any]) -> float:
        """A bound on weighted sums, in units of the state's last place."""
        neuron = population.neuron
        most = np.abs(np.asarray(neuron.bias, dtype=np.float64))
        for connection in population.connections:
            low, high = self._sent(connection.source)
            begin = connection.maps[0].input_shape if connection.maps else population.shape
            unit = self._unit(connection)
            ends = map_bounds(
                connection.maps, np.full(begin, low * unit), np.full(begin, high * unit)
            )
            most = most + np.maximum(-ends[0], ends[1])
        for late in population.late_bias:
            most = most + np.abs(late.current)
        return max(1.0, float(np.max(most * np.abs(_total_gain(neuron)) * state)))

    def _population(
        self, population: FloatPopulation, scale: NDArray[Any], fraction: int
    ) -> FixedPopulation:
        connections = tuple(
            self._connection(each, population, scale, fraction) for each in population.connections
        )
        neuron = population.neuron
        shape, size = population.shape, math.prod(population.shape)
        state = scale * 2.0**fraction
        drive = np.asarray(_total_gain(neuron)) * state
        biases = [(late.start, late.current) for late in population.late_bias]
        if neuron.tau_syn is not None and np.any(neuron.bias):
            # A bias before the synapse is one more current; behind it, it is the neuron's.
            biases.append((0, np.broadcast_to(np.asarray(neuron.bias), shape)))
        late_bias = tuple(
            LateBias(start, _nearest(current * drive).reshape(shape)) for start, current in biases
        )
        width = min(32, self._state_width(population, state))
        if _is_sum(neuron):
            width = self._sum_width(connections, late_bias, neuron, drive, shape)
        config = quantize_neurons(
            neuron,
            size,
            scale=state,
            state_width=width,
            current_width=2,
            decay_fraction=self.precision.decay_fraction,
        )
        return FixedPopulation(
            shape=shape,
            neurons=config,
            connections=connections,
            weight_width=self.precision.weight_width,
            late_bias=late_bias,
        )

    def _sum_width(
        self,
        connections: tuple[Connection, ...],
        late_bias: tuple[LateBias, ...],
        neuron: FloatNeuron,
        drive: NDArray[Any],
        shape: Shape,
    ) -> int:
        """Bits that hold every weighted sum, for a population that has no memory."""
        low = high = np.broadcast_to(_nearest(np.asarray(neuron.bias) * drive), shape)
        for each in connections:
            least, most = self._sent(each.source)
            begin = each.maps[0].input_shape
            ends = map_bounds(each.maps, np.full(begin, least), np.full(begin, most))
            low, high = low + (ends[0] << each.shift), high + (ends[1] << each.shift)
        for late in late_bias:
            low, high = low + np.minimum(late.current, 0), high + np.maximum(late.current, 0)
        return min(32, max(4, signed_width(int(low.min())), signed_width(int(high.max()))))

    def _sent(self, name: str) -> tuple[int, int]:
        if name in self.inputs:
            return self.inputs[name].low, self.inputs[name].high
        if name in self.done:
            return self.done[name].neurons.sent
        neuron = self.source.populations[name].neuron
        if neuron.v_th is None:
            half = 1 << ((32 if _is_sum(neuron) else self.precision.state_width) - 1)
            return -half, half - 1
        return 0, neuron.most_spikes

    def _connection(
        self,
        connection: Connection,
        population: FloatPopulation,
        scale: NDArray[Any],
        fraction: int,
    ) -> Connection:
        """The connection in integers, as fine as the weight word and the state's places allow."""
        maps = list(_with_weights(connection.maps, population.shape))
        k = next(k for k, each in enumerate(maps) if isinstance(each, Weighted))
        weighted = maps[k]
        factor = np.broadcast_to(
            np.asarray(_total_gain(population.neuron)) * scale, population.shape
        )
        scaled: Weighted | None = None
        if isinstance(weighted, Weighted):
            scaled = scaled_targets(weighted, maps[k + 1 :], Diagonal(factor))
        unit = self.units[connection.source]
        if scaled is not None:
            begin = maps[0].input_shape
            scaled = scaled_sources(Diagonal(np.broadcast_to(unit, begin)), maps[:k], scaled)
        if scaled is None:
            raise ValueError(
                f"the weights from {connection.source!r} are shared by neurons whose gains or"
                " scales differ; a scale of 'neuron' for them, and of 'layer' before them, helps"
                " where they differ by channel"
            )
        largest = float(np.abs(scaled.weight).max(initial=0.0))
        finer = 0
        if largest:
            finer = math.floor(math.log2(self.most_weight / largest) + 1e-9)
            finer = min(max(finer, 0), fraction)
        word = QFormat(word_length=self.precision.weight_width, rounding=Rounding.NEAREST_EVEN)
        maps[k] = scaled.with_weight(word.quantize(scaled.weight * 2.0**finer))
        return replace(connection, maps=tuple(maps), shift=fraction - finer)


def _is_sum(neuron: FloatNeuron) -> bool:
    """Whether neurons have no memory and send the weighted sum of what arrives."""
    return neuron.v_th is None and not np.any(neuron.alpha) and neuron.tau_syn is None


def _peak(neuron: FloatNeuron, membrane: NDArray[Any], spikes: NDArray[Any] | None) -> float:
    """The largest potential of a run, before the reset as far as that can be told."""
    if neuron.threshold is None or spikes is None:
        return float(np.abs(membrane).max(initial=0.0))
    before = membrane + spikes * np.asarray(neuron.threshold)
    # A reset to a value hides by how much the threshold was passed.
    return max(float(np.abs(before).max(initial=0.0)), 2 * float(np.max(np.abs(neuron.threshold))))


def _total_gain(neuron: FloatNeuron) -> Any:
    """The factor between what arrives and what it adds to the potential in the same step."""
    return neuron.synapse_gain * neuron.gain


def _with_weights(maps: tuple[Map, ...], shape: Shape) -> tuple[Map, ...]:
    """The maps, with weights of 1 behind them if they have none."""
    if any(isinstance(each, Weighted) for each in maps):
        return maps
    return (*maps, Diagonal(np.ones(shape)))


def _weighted(maps: tuple[Map, ...], shape: Shape) -> tuple[Weighted, tuple[Map, ...]]:
    """The map with weights, and the maps behind it."""
    maps = _with_weights(maps, shape)
    for k, each in enumerate(maps):
        if isinstance(each, Weighted):
            return each, maps[k + 1 :]
    raise ValueError("maps must have weights")


def _largest(weighted: Weighted, after: tuple[Map, ...], shape: Shape) -> NDArray[Any]:
    """The largest magnitude of a weight onto each neuron, shared ones for all that share them."""
    magnitude = np.abs(weighted.weight)
    if isinstance(weighted, Dense):
        each = magnitude.max(axis=0)
    elif isinstance(weighted, Convolution):
        channels = magnitude.reshape(len(magnitude), -1).max(axis=1)
        ones = (1,) * (magnitude.ndim - 2)
        each = np.broadcast_to(channels.reshape(-1, *ones), weighted.output_shape)
    else:
        each = magnitude
    # Of windows summed over, each weight counts once: the mean of equals.
    ones_in = np.ones((1, *weighted.output_shape))
    through, count = apply_maps(after, each[None]), apply_maps(after, ones_in)
    return np.broadcast_to((through / np.maximum(count, 1))[0], shape)


def quantize_neurons(
    neuron: FloatNeuron,
    size: int,
    *,
    scale: ArrayLike,
    state_width: int = 16,
    current_width: int = 16,
    decay_fraction: int = 8,
) -> NeuronConfig:
    """Round the parameters of neurons to integers.

    Parameters
    ----------
    neuron
        The neurons; their profile's rounding and overflow become those of the state. A bias before
        a synapse is left out: it is a current for all that arrives.
    size
        Number of neurons.
    scale
        State units that stand for a potential of 1: one number, or one for each neuron.
    state_width, current_width, decay_fraction
        Widths in bits; see :class:`~spikeloom.reference.neuron_fixed.NeuronConfig`. The current's
        is widened to hold the bias.

    Raises
    ------
    ValueError
        If a parameter does not fit its width at this scale.
    """
    profile = neuron.profile
    scale = np.asarray(scale, dtype=np.float64)
    drive = neuron.rest * scale
    if neuron.tau_syn is None:
        drive = drive + np.asarray(neuron.gain) * neuron.bias * scale
    leak = np.asarray(neuron.leak) * scale
    if np.any((leak != 0) & (_nearest(leak) == 0)):
        raise ValueError(
            f"leak of {np.max(neuron.leak):g} a step must not vanish, but is less than half of the"
            f" state's last place {np.min(1 / scale):g}"
        )
    word = QFormat(word_length=state_width, rounding=profile.rounding, overflow=profile.overflow)
    synapse = None
    if neuron.tau_syn is not None:
        synapse = SynapseConfig(
            state=replace(word, overflow=profile.synapse_overflow),
            **_decay(
                profile,
                neuron.tau_syn,
                neuron.alpha_syn,
                neuron.synapse_shift,
                _nearest(0),
                decay_fraction,
            ),
            order=profile.synapse_order,
        )
    bias = _nearest(drive)
    widest = max(signed_width(int(bias.min())), signed_width(int(bias.max())))
    spiking = neuron.threshold is not None
    threshold = neuron.threshold if neuron.threshold is not None else 0.0
    if spiking:
        _check_levels(neuron, scale, word)
    return NeuronConfig(
        size=size,
        state=word,
        current_width=max(current_width, 2, widest),
        threshold=_flat(_nearest(threshold * scale)) if spiking else word.max,
        **_decay(
            profile,
            neuron.tau,
            neuron.alpha,
            neuron.decay_shift,
            _nearest(leak),
            decay_fraction,
        ),
        bias=_flat(bias),
        synapse=synapse,
        order=profile.order,
        comparison=profile.comparison,
        compared=profile.compared,
        reset=profile.reset if spiking else Reset.NONE,
        accumulation=profile.accumulation,
        staged_overflow=profile.staged_overflow,
        emission=Emission.SPIKES if spiking else Emission.POTENTIAL,
        v_reset=_flat(_nearest(neuron.reset_value * scale)) if spiking else 0,
        v_init=_flat(_nearest(neuron.initial_value * scale)),
        max_spikes=max(1, neuron.most_spikes),
        floor=None if neuron.floor is None else _flat(_nearest(neuron.floor * scale)),
        refractory_steps=profile.refractory_steps,
    )


def _check_levels(neuron: FloatNeuron, scale: NDArray[Any], word: QFormat) -> None:
    """Refuse a threshold that the state's word cannot hold, and say which could."""
    threshold = _nearest(np.asarray(neuron.threshold) * scale)
    most = int(np.abs(threshold).max())
    if most > word.max:
        least = 1 if neuron.profile.reset is Reset.SUBTRACT else word.min
        raise ValueError(
            f"threshold must be {least} to {word.max}, not {most}: a state of"
            f" {signed_width(most)} bits holds it, or narrower weights"
        )


def _decay(
    profile: Profile, tau: Any, alpha: Any, shift: Any, leak: IntArray, fraction: int
) -> dict[str, Any]:
    """The integer decay of a register."""
    rule = DecayRule.NONE if tau is None else DECAY_RULES[profile.decay]
    chosen: dict[str, Any] = {"decay_rule": rule}
    match rule:
        case DecayRule.MULTIPLIER:
            decay = _nearest(np.asarray(alpha) * 2**fraction)
            vanished = (np.asarray(alpha) < 1) & (decay == 1 << fraction)
            if np.any(vanished):
                slowest = float(np.max(np.asarray(alpha)[vanished]))
                least = int(np.floor(-np.log2(1 - slowest)))
                raise ValueError(
                    f"decay_fraction must be at least {least} for tau {float(np.max(tau)):g}, or"
                    f" the decay vanishes, not {fraction}"
                )
            chosen |= {"decay": _flat(decay), "decay_fraction": fraction}
        case DecayRule.SHIFT:
            chosen["decay"] = _flat(np.asarray(shift))
            chosen["shift_at_least_one"] = profile.decay_at_least_one
        case DecayRule.CONSTANT:
            chosen["decay"] = _flat(leak)
    return chosen


def _nearest(real: ArrayLike) -> IntArray:
    return QFormat(word_length=48, rounding=Rounding.NEAREST_EVEN).quantize(real)


def _flat(values: NDArray[Any]) -> PerNeuron:
    """One integer, or one for each neuron in the order of the flat array."""
    values = np.asarray(values)
    return int(values) if values.ndim == 0 else tuple(values.ravel().tolist())
