"""From real numbers to the integers of the hardware."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.fixed import QFormat, Rounding, signed_width
from spikeloom.reference.fold import scaled_sources, scaled_targets
from spikeloom.reference.maps import Diagonal, Shape, Weighted, map_bounds
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
    FloatNetwork,
    FloatPopulation,
    LateBias,
)
from spikeloom.reference.neuron_rounding import nearest, quantize_neurons
from spikeloom.reference.precision import DEFAULT, Precision
from spikeloom.reference.scaling import (
    PopulationScale,
    is_sum,
    plan_scales,
    total_gain,
    with_weights,
)
from spikeloom.reference.simulate import Stimulus, run_float

__all__ = ["quantize"]


def quantize(
    network: FloatNetwork,
    precision: Precision = DEFAULT,
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
        run = None
        if precision.state_fraction is None and calibration is not None:
            run = run_float(network, calibration)
        self.scales = plan_scales(network, precision, inputs, run)
        self.done: dict[str, FixedPopulation] = {}

    def network(self) -> FixedNetwork:
        names = {each.neuron.profile.name for each in self.source.populations.values()}
        if len(names) > 1:
            raise ValueError(
                f"all populations must have one profile, not {', '.join(sorted(names))}"
            )
        # In the order of the scales: a sum of potentials is as wide as what it is of.
        for name, scale in self.scales.items():
            try:
                self.done[name] = self._population(self.source.populations[name], scale)
            except ValueError as error:
                raise ValueError(f"{name} does not fit: {error}") from error
        populations = {name: self.done[name] for name in self.source.populations}
        return FixedNetwork(self.inputs, populations, self.source.outputs, names.pop())

    def _population(self, population: FloatPopulation, scale: PopulationScale) -> FixedPopulation:
        connections = tuple(
            self._connection(each, population, scale) for each in population.connections
        )
        neuron, shape = population.neuron, population.shape
        drive = np.asarray(total_gain(neuron)) * scale.state
        biases = [(late.start, late.current) for late in population.late_bias]
        if neuron.tau_syn is not None and np.any(neuron.bias):
            # A bias before the synapse is one more current; behind it, it is the neuron's.
            biases.append((0, np.broadcast_to(np.asarray(neuron.bias), shape)))
        late_bias = tuple(
            LateBias(start, nearest(current * drive).reshape(shape)) for start, current in biases
        )
        width = scale.width
        if is_sum(neuron):
            bias = np.broadcast_to(nearest(np.asarray(neuron.bias) * drive), shape)
            width = self._sum_width(connections, late_bias, bias)
        config = quantize_neurons(
            neuron,
            math.prod(shape),
            scale=scale.state,
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
            resolution=1 / scale.state,
        )

    def _sum_width(
        self,
        connections: tuple[Connection, ...],
        late_bias: tuple[LateBias, ...],
        bias: NDArray[Any],
    ) -> int:
        """Bits that hold every weighted sum, for a population that has no memory."""
        low = high = bias
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
        return 0, self.source.populations[name].neuron.most_spikes

    def _connection(
        self, connection: Connection, population: FloatPopulation, scale: PopulationScale
    ) -> Connection:
        """The connection in integers, as fine as the weight word and the state's places allow."""
        maps = list(with_weights(connection.maps, population.shape))
        k = next(k for k, each in enumerate(maps) if isinstance(each, Weighted))
        weighted = maps[k]
        factor = np.broadcast_to(
            np.asarray(total_gain(population.neuron)) * scale.weight, population.shape
        )
        scaled: Weighted | None = None
        if isinstance(weighted, Weighted):
            scaled = scaled_targets(weighted, maps[k + 1 :], Diagonal(factor))
        if scaled is not None:
            unit = np.broadcast_to(self._unit(connection.source), maps[0].input_shape)
            scaled = scaled_sources(Diagonal(unit), maps[:k], scaled)
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
            finer = min(max(finer, 0), scale.fraction)
        word = QFormat(word_length=self.precision.weight_width, rounding=Rounding.NEAREST_EVEN)
        maps[k] = scaled.with_weight(word.quantize(scaled.weight * 2.0**finer))
        return replace(connection, maps=tuple(maps), shift=scale.fraction - finer)

    def _unit(self, source: str) -> NDArray[Any]:
        """What the last place of a source stands for: 1 for spikes."""
        if source in self.inputs:
            return np.asarray(2.0 ** -self.inputs[source].fraction_bits)
        if self.source.populations[source].neuron.v_th is None:
            return 1 / self.scales[source].state
        return np.asarray(1.0)
