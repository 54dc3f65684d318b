"""The golden realisation of fixed-point neurons: what they do in a step, down to the last bit."""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import IntArray, QFormat, exact_integers, shift_right
from spikeloom.reference.neuron_fixed import (
    DecayRule,
    Emission,
    NeuronConfig,
    PerNeuron,
    SynapseConfig,
)
from spikeloom.reference.profile import Accumulation, Compared, Comparison, Order, Reset

__all__ = ["FixedState", "Neurons", "initial_state", "step"]

_Register: TypeAlias = NeuronConfig | SynapseConfig


class FixedState(NamedTuple):
    """Membrane potentials, remaining refractory steps and synaptic currents, (..., size)."""

    v: IntArray
    refractory: IntArray
    i_syn: IntArray | None = None
    """``None`` where the neurons have no synapse."""


def initial_state(config: NeuronConfig, batch: tuple[int, ...] = ()) -> FixedState:
    """The state before the first step, of shape (\\*batch, size)."""
    return Neurons(config, np.int64).initial(batch)


def step(
    state: FixedState, current: ArrayLike, config: NeuronConfig
) -> tuple[FixedState, IntArray]:
    """Advance by one step, exactly.

    Parameters
    ----------
    state
        Arrays of shape (..., size).
    current
        Input current of this step, integers of ``config.current_width`` bits, broadcastable to
        the same shape.
    config
        What the neurons compute.

    Returns
    -------
    state, spikes
        The new state, and the number of spikes of each neuron.

    Raises
    ------
    TypeError
        If a current is not an integer.
    ValueError
        If a current does not fit into ``config.current_width`` bits.
    """
    current = exact_integers("current", current)
    if not config.current.holds(current):
        raise ValueError(f"current must fit into {config.current_width} bits, but one does not")
    return Neurons(config, np.int64).step(state, current)


class Neurons:
    """The golden realisation of a configuration, made ready for many steps.

    Its parameters lie in arrays of the shortest integers that hold every intermediate result, so
    that a step of many neurons is fast; the results do not depend on that.

    Parameters
    ----------
    config
        What the neurons compute.
    kind
        The type of the integers; by default the shortest.

    Attributes
    ----------
    overflows : int
        How many sums have not fitted into their words so far.
    """

    def __init__(self, config: NeuronConfig, kind: type[np.signedinteger] | None = None) -> None:
        self.config = config
        self.kind: Any = kind or (np.int32 if _most_bits(config) <= 31 else np.int64)
        self.overflows = 0
        self._threshold = self._parameter(config.threshold)
        self._decay = self._parameter(config.decay)
        self._bias = self._parameter(config.bias)
        self._v_reset = self._parameter(config.v_reset)
        self._floor = None if config.floor is None else self._parameter(config.floor)
        synapse = config.synapse
        self._synapse_decay = None if synapse is None else self._parameter(synapse.decay)

    def _parameter(self, value: PerNeuron) -> Any:
        return value if isinstance(value, int) else np.array(value, dtype=self.kind)

    def initial(self, batch: tuple[int, ...] = ()) -> FixedState:
        """The state before the first step, of shape (\\*batch, size)."""
        shape = (*batch, self.config.size)
        v = np.empty(shape, dtype=self.kind)
        v[...] = np.asarray(self.config.v_init)
        i_syn = None if self.config.synapse is None else np.zeros(shape, self.kind)
        return FixedState(v, np.zeros(shape, self.kind), i_syn)

    def step(self, state: FixedState, current: NDArray[Any]) -> tuple[FixedState, IntArray]:
        """Advance by one step on the sum of what arrived.

        Parameters
        ----------
        state
            Arrays of shape (..., size).
        current
            Integers of ``config.current_width`` bits, broadcastable to the same shape.

        Returns
        -------
        state, spikes
            The new state, and the number of spikes of each neuron.
        """
        synapse = self.config.synapse
        i_syn = state.i_syn
        if synapse is not None and i_syn is not None:
            i_syn = self._integrate(synapse, self._synapse_decay, i_syn, current)
            current = i_syn
        return self._membrane(state, current, i_syn)

    def step_events(
        self, state: FixedState, events: Iterable[NDArray[Any]]
    ) -> tuple[FixedState, IntArray]:
        """Advance by one step on events that overflow or spike one by one.

        With the accumulation ``EVENT`` each is added to the synaptic current, or where there is
        none to a sum that begins at 0, and is brought into the word. With ``SPIKING_EVENT`` each
        is added to the potential, is brought into the word and no lower than the floor, and may
        make it spike once; the bias comes last as one more.

        Parameters
        ----------
        state
            Arrays of shape (..., size).
        events
            What each event of the step adds, in order, broadcastable to the same shape.
        """
        config = self.config
        if config.accumulation is Accumulation.SPIKING_EVENT:
            return self._spiking_events(state, events)
        synapse, i_syn = config.synapse, state.i_syn
        if synapse is None or i_syn is None:
            total = np.zeros_like(state.v)
            for event in events:
                total = self._fit(config.state, total + event)
            return self._membrane(state, total, None)
        if synapse.order is Order.DECAY_FIRST:
            i_syn = self._decayed(synapse, self._synapse_decay, i_syn)
        for event in events:
            i_syn = self._fit(synapse.state, i_syn + event)
        if synapse.order is Order.INPUT_FIRST:
            i_syn = self._decayed(synapse, self._synapse_decay, i_syn)
        return self._membrane(state, i_syn, i_syn)

    def _spiking_events(
        self, state: FixedState, events: Iterable[NDArray[Any]]
    ) -> tuple[FixedState, IntArray]:
        v, total = state.v, np.zeros_like(state.v)
        for event in (*events, self._bias):
            v, spikes = self._spiking_event(v, np.asarray(event))
            total += spikes
        return FixedState(v, state.refractory), np.minimum(total, self.config.max_spikes)

    def _spiking_event(self, v: NDArray[Any], event: NDArray[Any]) -> tuple[NDArray[Any], Any]:
        """What one event, which reaches the neurons to which it adds something, does to them."""
        after = self._floored(self._fit(self.config.state, v + event))
        after, spikes = self._fire(after, most=1)
        reached = event != 0
        return np.where(reached, after, v), np.where(reached, spikes, 0)

    def _membrane(
        self, state: FixedState, current: NDArray[Any], i_syn: NDArray[Any] | None
    ) -> tuple[FixedState, IntArray]:
        """The update of the membrane, given the current that reaches it."""
        config = self.config
        v = state.v
        spikes: Any = None
        if config.compared is Compared.OLD:
            v, spikes = self._fire(v)
        if config.staged_overflow:
            v = self._staged(v, current)
        else:
            drive = current
            if not (isinstance(self._bias, int) and self._bias == 0):
                drive = drive + self._bias
            v = self._integrate(config, self._decay, v, drive)
        if config.compared is Compared.NEW:
            v, spikes = self._fire(v)
        v = self._floored(v)
        if not config.refractory_steps:
            return FixedState(v, state.refractory, i_syn), spikes
        held = state.refractory > 0
        spikes = np.where(held, 0, spikes)
        refractory = np.where(spikes > 0, config.refractory_steps, state.refractory - held)
        return FixedState(np.where(held, state.v, v), refractory.astype(self.kind), i_syn), spikes

    def _integrate(
        self, config: _Register, decay: Any, value: NDArray[Any], drive: NDArray[Any]
    ) -> NDArray[Any]:
        """Decay and input of a register, in its order."""
        if config.decay_rule is DecayRule.CONSTANT:
            drive = drive - decay
        if config.order is Order.INPUT_FIRST:
            return self._decayed(config, decay, self._fit(config.state, value + drive))
        return self._fit(config.state, self._decayed(config, decay, value) + drive)

    def _staged(self, v: NDArray[Any], current: NDArray[Any]) -> NDArray[Any]:
        config = self.config
        loss = v - self._decayed(config, self._decay, v)
        if config.decay_rule is DecayRule.CONSTANT:
            loss = loss + self._decay
        change = self._fit(config.state, current - loss)
        change = self._fit(config.state, change + self._bias)
        return self._fit(config.state, v + change)

    def _decayed(self, config: _Register, decay: Any, value: NDArray[Any]) -> NDArray[Any]:
        match config.decay_rule:
            case DecayRule.MULTIPLIER:
                return shift_right(value * decay, config.decay_fraction, config.state.rounding)
            case DecayRule.SHIFT:
                return value - _shift_loss(config, decay, value)
            case DecayRule.CONSTANT | DecayRule.NONE:
                return value

    def _fit(self, word: QFormat, value: NDArray[Any]) -> NDArray[Any]:
        if value.size and word.min <= value.min() and value.max() <= word.max:
            return value
        fitted = word.fit(value)
        self.overflows += int(np.count_nonzero(fitted != value))
        return fitted

    def _floored(self, v: NDArray[Any]) -> NDArray[Any]:
        return v if self._floor is None else np.maximum(v, self._floor)

    def _fire(self, v: NDArray[Any], most: int | None = None) -> tuple[NDArray[Any], Any]:
        config, threshold = self.config, self._threshold
        if config.emission is Emission.POTENTIAL:
            return v, np.zeros_like(v)
        most = config.max_spikes if most is None else most
        if most > 1:
            if config.comparison is Comparison.GE:
                count = v // threshold
            else:
                count = -(-v // threshold) - 1
            spikes = np.clip(count, 0, most)
        elif config.comparison is Comparison.GE:
            spikes = (v >= threshold).astype(self.kind)
        else:
            spikes = (v > threshold).astype(self.kind)
        match config.reset:
            case Reset.SUBTRACT:
                return v - spikes * threshold, spikes
            case Reset.TO_VALUE:
                return np.where(spikes > 0, np.asarray(self._v_reset, self.kind), v), spikes
            case Reset.NONE:
                return v, spikes


def _most_bits(config: NeuronConfig) -> int:
    """Bits that hold every intermediate result of a step."""
    registers: list[_Register] = [config]
    if config.synapse is not None:
        registers.append(config.synapse)
    bits = 2 + max(config.current_width + 1, *(each.state.word_length for each in registers))
    for each in registers:
        if each.decay_rule is DecayRule.MULTIPLIER:
            bits = max(bits, each.state.word_length + each.decay_fraction + 2)
    return bits


def _shift_loss(config: _Register, decay: Any, value: NDArray[Any]) -> NDArray[Any]:
    if isinstance(decay, int):
        loss = shift_right(value, decay, config.state.rounding)
    else:
        decay = np.broadcast_to(decay, value.shape)
        loss = np.zeros_like(value)
        for bits in np.unique(decay).tolist():
            loss = np.where(decay == bits, shift_right(value, bits, config.state.rounding), loss)
    if config.shift_at_least_one:
        loss = np.where((value > 0) & (loss == 0), np.asarray(1, value.dtype), loss)
    return loss
