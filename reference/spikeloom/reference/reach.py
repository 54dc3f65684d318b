"""How far potentials can go, whatever comes in: bounds that the parameters alone show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from spikeloom.reference.fixed import IntArray, Overflow, QFormat
from spikeloom.reference.maps import map_bounds
from spikeloom.reference.network import FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig, SynapseConfig
from spikeloom.reference.neurons import Neurons
from spikeloom.reference.profile import Accumulation, Compared, Comparison, Order, Reset

__all__ = ["Reach", "reach"]

_Range: TypeAlias = tuple[IntArray, IntArray]


@dataclass(frozen=True, eq=False)
class Reach:
    """Ranges that the neurons of a population cannot leave, one number for each.

    Attributes
    ----------
    sums
        The least and the most that is brought into the word of the membrane.
    compared
        Of what is compared with the threshold.
    decayed
        Of what decays.
    unfloored
        Of what the floor is held against.
    """

    sums: _Range
    compared: _Range
    decayed: _Range
    unfloored: _Range


def reach(network: FixedNetwork, name: str) -> Reach:
    """How far the potentials of a population can go.

    The ranges hold for all inputs, but are not always the narrowest: sources are taken to send
    whatever they may, in any order, and of neurons whose sums overflow in stages, or whose words
    wrap, nothing is said but what the word itself says.
    """
    population = network.populations[name]
    low, high = _currents(network, population)
    return _Bounds(population.neurons).reach(low, high)


def _currents(network: FixedNetwork, population: FixedPopulation) -> _Range:
    """The least and the most that comes in a step; every partial sum with 0 lies between."""
    low = np.zeros(population.shape, dtype=np.int64)
    high = np.zeros(population.shape, dtype=np.int64)
    for each in population.connections:
        shape = network.shape(each.source)
        least, most = (np.full(shape, end, dtype=np.int64) for end in network.sent(each.source))
        lowest, highest = map_bounds(each.maps, least, most)
        low = low + (np.minimum(lowest, 0) << each.shift)
        high = high + (np.maximum(highest, 0) << each.shift)
    for late in population.late_bias:
        low, high = low + np.minimum(late.current, 0), high + np.maximum(late.current, 0)
    return low.ravel(), high.ravel()


class _Bounds(Neurons):
    """Neurons' own arithmetic on the ends of ranges.

    Decay, sum, reset and floor keep the order of what goes into them, or are bounded by what does:
    a potential that such a bound leads back to, or below, is never passed.
    """

    def __init__(self, config: NeuronConfig) -> None:
        super().__init__(config, np.int64)

    def reach(self, low: IntArray, high: IntArray) -> Reach:
        """Given the range of what comes in a step."""
        config, synapse = self.config, self.config.synapse
        bias = np.asarray(self._bias)
        if config.accumulation is Accumulation.SPIKING_EVENT:
            # An event is never more than all of them.
            low, high = np.minimum(low, bias), np.maximum(high, bias)
        elif config.accumulation is Accumulation.EVENT and synapse is None:
            low, high = _fitted(config.state, (low, high))
        if synapse is not None:
            low, high = self._synaptic(synapse, low, high)
        if config.accumulation is not Accumulation.SPIKING_EVENT:
            low, high = low + bias, high + bias
        if config.decay_rule is DecayRule.CONSTANT:
            low, high = low - self._decay, high - self._decay
        found = self._closed((low, high))
        word = config.state
        wraps = word.overflow is Overflow.WRAP and not _holds(word, found.sums)
        if wraps or config.staged_overflow:
            # What wraps, or overflows on its way, can end up anywhere.
            low, high = np.full_like(low, word.min), np.full_like(high, word.max)
            return Reach((low - 1, high + 1), (low, high), (low, high), (low - 1, high + 1))
        return found

    def _closed(self, current: _Range) -> Reach:
        """The ranges of potentials that no step leads out of."""
        word, start = self.config.state, np.asarray(self.config.v_init) + np.zeros_like(current[0])
        top = _least_closed(start, word.max, lambda v: self._after((v, v), current)[1])
        bottom = -_least_closed(-start, -word.min, lambda v: -self._after((-v, top), current)[0])
        return self._ranges((bottom, top), current)

    def _synaptic(self, synapse: SynapseConfig, low: IntArray, high: IntArray) -> _Range:
        """The range of the synaptic current."""
        if synapse.decay_rule is DecayRule.CONSTANT:
            decay = np.asarray(self._synapse_decay)
            low, high = low - decay, high - decay
        word, start = synapse.state, np.zeros_like(low)

        def after(value: IntArray, current: IntArray) -> IntArray:
            if synapse.order is Order.INPUT_FIRST:
                return self._decayed(synapse, self._synapse_decay, _clipped(word, value + current))
            return self._decayed(synapse, self._synapse_decay, value) + current

        top = _least_closed(start, word.max, lambda i: np.minimum(after(i, high), word.max))
        bottom = -_least_closed(start, -word.min, lambda i: -np.maximum(after(-i, low), word.min))
        if word.overflow is Overflow.WRAP and not _holds(
            word, (self._synaptic_sum(synapse, bottom, low), self._synaptic_sum(synapse, top, high))
        ):
            return np.full_like(low, word.min), np.full_like(high, word.max)
        return bottom, top

    def _synaptic_sum(self, synapse: SynapseConfig, value: IntArray, current: IntArray) -> IntArray:
        if synapse.order is Order.DECAY_FIRST:
            value = self._decayed(synapse, self._synapse_decay, value)
        return value + current

    def _after(self, v: _Range, current: _Range) -> _Range:
        """The range of potentials behind a step that began in one."""
        low, high = self._ranges(v, current).unfloored
        return self._floored(low), self._floored(high)

    def _ranges(self, v: _Range, current: _Range) -> Reach:
        config, word = self.config, self.config.state
        old = config.compared is Compared.OLD
        before = self._reset(v) if old else v
        if config.order is Order.INPUT_FIRST:
            sums = before[0] + current[0], before[1] + current[1]
            decayed = _clipped(word, sums[0]), _clipped(word, sums[1])
            new = self._leaked(decayed)
        else:
            decayed = before
            left = self._leaked(decayed)
            sums = left[0] + current[0], left[1] + current[1]
            new = _clipped(word, sums[0]), _clipped(word, sums[1])
        return Reach(sums, v if old else new, decayed, new if old else self._reset(new))

    def _leaked(self, v: _Range) -> _Range:
        low, high = (self._decayed(self.config, self._decay, each) for each in v)
        return low, high

    def _reset(self, v: _Range) -> _Range:
        """The range of what is left behind the comparison with the threshold."""
        config, (low, high) = self.config, v
        if config.emission is Emission.POTENTIAL or config.reset is Reset.NONE:
            return v
        # The least that spikes.
        least = np.asarray(self._threshold) + (config.comparison is Comparison.GT)
        if config.reset is Reset.TO_VALUE:
            left, most = np.asarray(self._v_reset), np.asarray(self._v_reset)
        else:
            one_by_one = config.accumulation is Accumulation.SPIKING_EVENT
            spikes = 1 if one_by_one else config.max_spikes
            left, most = np.asarray(0), high - spikes * np.asarray(self._threshold)
        spiking = high >= least
        return (
            np.where(spiking, np.minimum(low, left), low),
            np.where(spiking, np.maximum(least - 1, most), high),
        )


def _least_closed(start: IntArray, end: int, after: Callable[[IntArray], IntArray]) -> IntArray:
    """For each neuron the least number from ``start`` on that no step leads beyond, or ``end``."""
    low, high = start.astype(np.int64), np.full(start.shape, end, dtype=np.int64)
    while bool((low < high).any()):
        middle = (low + high) >> 1
        closed = after(middle) <= middle
        low, high = np.where(closed, low, middle + 1), np.where(closed, middle, high)
    return high


def _clipped(word: QFormat, value: IntArray) -> IntArray:
    return np.clip(value, word.min, word.max)


def _fitted(word: QFormat, value: _Range) -> _Range:
    """The range of sums brought into a word."""
    if word.overflow is Overflow.WRAP and not _holds(word, value):
        return np.full_like(value[0], word.min), np.full_like(value[1], word.max)
    return _clipped(word, value[0]), _clipped(word, value[1])


def _holds(word: QFormat, value: _Range) -> bool:
    return bool((value[0] >= word.min).all() and (value[1] <= word.max).all())
