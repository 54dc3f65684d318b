"""The fixed-point neuron: the integers that golden model and hardware agree on.

:class:`NeuronConfig` fixes what one population computes, down to the last bit. :func:`step` is
its golden realisation; :class:`spikeloom.rtl_gen.neuron.NeuronArray` is its hardware.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import IntArray, QFormat, exact_integer, exact_integers, shift_right
from spikeloom.reference.profile import (
    Accumulation,
    Compared,
    Comparison,
    Order,
    Reset,
    check_spike_rule,
)

__all__ = [
    "DecayRule",
    "Emission",
    "FixedState",
    "NeuronConfig",
    "Neurons",
    "PerNeuron",
    "SynapseConfig",
    "initial_state",
    "step",
]

PerNeuron = int | tuple[int, ...]
"""One integer for all neurons, or one for each."""


class DecayRule(enum.Enum):
    """The integer arithmetic of the decay."""

    MULTIPLIER = "multiplier"
    """``round(v * decay / 2**decay_fraction)``."""
    SHIFT = "shift"
    """``v - round(v / 2**decay)``."""
    CONSTANT = "constant"
    """``v - decay``, in the same sum as current and bias."""
    NONE = "none"
    """``v``."""


class Emission(enum.Enum):
    """What neurons send."""

    SPIKES = "spikes"
    POTENTIAL = "potential"
    """Their membrane potential, in every step; they never spike."""


class FixedState(NamedTuple):
    """Membrane potentials, remaining refractory steps and synaptic currents, (..., size)."""

    v: IntArray
    refractory: IntArray
    i_syn: IntArray | None = None
    """``None`` where the neurons have no synapse."""


@dataclass(frozen=True, kw_only=True)
class _Decay:
    """A register with a decay, and the checks of its parameters."""

    state: QFormat
    decay_rule: DecayRule = DecayRule.NONE
    decay: PerNeuron = 0
    decay_fraction: int = 8
    shift_at_least_one: bool = False
    order: Order = Order.DECAY_FIRST

    def _check_decay(self) -> None:
        for name, kind in (("state", QFormat), ("decay_rule", DecayRule), ("order", Order)):
            _check_kind(self, name, kind)
        name = "decay_fraction"
        object.__setattr__(self, name, exact_integer(name, self.decay_fraction))
        if not (self.state.signed and 4 <= self.state.word_length <= 32):
            kind_of = "a signed" if self.state.signed else "an unsigned"
            raise ValueError(
                f"state must be a signed word of 4 to 32 bits, not {kind_of} one of"
                f" {self.state.word_length}"
            )
        self._check_range("decay_fraction", 1, 16)
        match self.decay_rule:
            case DecayRule.MULTIPLIER:
                self._check_range("decay", 0, 1 << self.decay_fraction)
            case DecayRule.SHIFT:
                self._check_range("decay", 0, 31)
            case DecayRule.CONSTANT:
                self._check_range("decay", self.state.min, self.state.max)
            case DecayRule.NONE:
                self._check_range("decay", 0, 0)
        if self.shift_at_least_one and self.decay_rule is not DecayRule.SHIFT:
            raise ValueError(
                f"shift_at_least_one must go with a shift decay, not {self.decay_rule.value!r}"
            )

    def _check_range(self, name: str, lowest: int, highest: int) -> None:
        value = getattr(self, name)
        for each in value if isinstance(value, tuple) else (value,):
            if not lowest <= each <= highest:
                raise ValueError(f"{name} must be {lowest} to {highest}, not {each!r}")


@dataclass(frozen=True, kw_only=True)
class SynapseConfig(_Decay):
    """The synaptic current of neurons that have one, in units of the membrane potential.

    Parameters
    ----------
    state
        Format of the current: signed, 4 to 32 bits. Its rounding is that of the decay.
    decay_rule, decay, decay_fraction, shift_at_least_one
        As :class:`NeuronConfig`'s; the decay is one integer, or a sequence of one for each neuron.
    order
        Whether the decay acts on the step's input.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong kind, or outside its range.
    """

    def __post_init__(self) -> None:
        decay = _integers("decay", self.decay)
        if isinstance(decay, tuple) and len(set(decay)) == 1:
            decay = decay[0]
        object.__setattr__(self, "decay", decay)
        self._check_decay()


@dataclass(frozen=True, kw_only=True)
class NeuronConfig(_Decay):
    """All that fixes a population of neurons, in integers.

    Threshold, decay, bias, floor and the potentials after a spike and at the first step are one
    integer for all neurons or a sequence of one for each.

    Parameters
    ----------
    size
        Number of neurons.
    state
        Format of the membrane potential: signed, 4 to 32 bits. Its rounding is that of the decay,
        its overflow that of the sum ``decayed + current + bias``, which is formed exactly and
        brought into the word once.
    current_width
        Bits of the signed input current, 2 to 48, in units of the state's last place.
    decay_rule, decay
        The decay and its parameter: a multiplier from 0 to ``2**decay_fraction``, a shift from 0
        to 31, a constant that fits the state, or 0 where there is no decay.
    decay_fraction
        Fraction bits of the multiplier, 1 to 16.
    shift_at_least_one
        Makes a shift decay take at least 1 from a positive potential, so that it reaches 0.
    synapse
        The synaptic current between input and membrane, or ``None``.
    order, comparison, compared, reset
        As in :class:`~spikeloom.reference.profile.Profile`.
    accumulation
        How the events of a step are summed; see :meth:`Neurons.step_events`.
    staged_overflow
        Whether ``current - loss``, that plus ``bias``, and the potential plus that are each brought
        into the word, rather than their sum once.
    emission
        What the neurons send.
    threshold
        Within the state's range, and positive where the reset subtracts it.
    v_reset, v_init
        Potential after a spike (where the reset is to a value), and at the first step.
    bias
        Added in every step; a signed word of ``current_width`` bits.
    max_spikes
        Most spikes in one step: 1, or ``2**n - 1`` with a subtracting reset.
    floor
        Lowest potential at the end of a step, or ``None``.
    refractory_steps
        Steps after a spiking one in which the potential is held, whatever reaches it, 0 to 255; a
        synaptic current goes on.

    Raises
    ------
    TypeError
        If a parameter is of the wrong kind.
    ValueError
        If a parameter is outside its range, or two contradict each other; the message names
        parameter, value and range.
    """

    size: int
    current_width: int
    threshold: PerNeuron
    bias: PerNeuron = 0
    synapse: SynapseConfig | None = None
    comparison: Comparison = Comparison.GE
    compared: Compared = Compared.NEW
    reset: Reset = Reset.SUBTRACT
    accumulation: Accumulation = Accumulation.STEP
    staged_overflow: bool = False
    emission: Emission = Emission.SPIKES
    v_reset: PerNeuron = 0
    v_init: PerNeuron = 0
    max_spikes: int = 1
    floor: PerNeuron | None = None
    refractory_steps: int = 0

    def __post_init__(self) -> None:
        self._check_kinds()
        for name in ("threshold", "decay", "bias", "v_reset", "v_init"):
            object.__setattr__(self, name, self._per_neuron(name))
        if self.floor is not None:
            object.__setattr__(self, "floor", self._per_neuron("floor"))
        check_spike_rule(self.reset, self.max_spikes, self.refractory_steps)
        self._check_range("size", 1, 1 << 20)
        self._check_decay()
        self._check_range("current_width", 2, 48)
        lowest, highest = self.state.min, self.state.max
        positive = self.reset is Reset.SUBTRACT
        self._check_range("threshold", 1 if positive else lowest, highest)
        self._check_range("v_reset", lowest, highest)
        self._check_range("v_init", lowest, highest)
        half = 1 << (self.current_width - 1)
        self._check_range("bias", -half, half - 1)
        if self.floor is not None:
            self._check_range("floor", lowest, 0)
        self._check_agreement()

    def _check_kinds(self) -> None:
        kinds = {
            "comparison": Comparison,
            "compared": Compared,
            "reset": Reset,
            "accumulation": Accumulation,
            "emission": Emission,
        }
        for name, kind in kinds.items():
            _check_kind(self, name, kind)
        for name in ("size", "current_width", "max_spikes", "refractory_steps"):
            object.__setattr__(self, name, exact_integer(name, getattr(self, name)))
        if self.synapse is not None:
            _check_kind(self, "synapse", SynapseConfig)

    def _check_agreement(self) -> None:
        synapse = self.synapse
        each = synapse.decay if synapse is not None else 0
        if isinstance(each, tuple) and len(each) != self.size:
            raise ValueError(
                f"decay of the synapse must have {self.size} values, one a neuron, not {len(each)}"
            )
        if (
            synapse is not None
            and synapse.decay_rule is DecayRule.CONSTANT
            and self.accumulation is not Accumulation.STEP
        ):
            raise ValueError("a synapse with a constant decay must go with accumulation 'step'")
        if self.staged_overflow and self.order is Order.INPUT_FIRST:
            raise ValueError("staged_overflow must go with the decay first, not the input")
        if self.accumulation is Accumulation.SPIKING_EVENT and (
            synapse is not None
            or self.decay_rule is not DecayRule.NONE
            or self.compared is Compared.OLD
            or self.refractory_steps
            or self.emission is Emission.POTENTIAL
        ):
            raise ValueError(
                "accumulation 'spiking-event' must go with spikes of the new potential, without"
                " synapse, decay and refractory steps"
            )

    def _per_neuron(self, name: str) -> PerNeuron:
        value = _integers(name, getattr(self, name))
        if isinstance(value, tuple):
            if len(value) != self.size:
                raise ValueError(
                    f"{name} must have {self.size} values, one a neuron, not {len(value)}"
                )
            return value[0] if len(set(value)) == 1 else value
        return value

    @property
    def count_width(self) -> int:
        """Bits that hold the spikes of one neuron in one step."""
        return self.max_spikes.bit_length()

    @property
    def current(self) -> QFormat:
        """Format of the input current."""
        return QFormat(word_length=self.current_width, fraction_bits=self.state.fraction_bits)

    @property
    def sent(self) -> tuple[int, int]:
        """The least and the most that a neuron sends in a step."""
        if self.emission is Emission.POTENTIAL:
            return self.state.min, self.state.max
        return 0, self.max_spikes


def _check_kind(config: object, name: str, kind: type) -> None:
    value = getattr(config, name)
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {value!r}")


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _integers(name: str, value: object) -> PerNeuron:
    if _is_integer(value):
        return int(value)  # type: ignore[call-overload]
    if not isinstance(value, Sequence | np.ndarray) or not all(map(_is_integer, value)):
        raise TypeError(f"{name} must be an integer or a sequence of integers, not {value!r}")
    return tuple(map(int, value))


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
            after = self._fit(self.config.state, v + event)
            if self._floor is not None:
                after = np.maximum(after, self._floor)
            after, spikes = self._fire(after, most=1)
            # An event reaches the neurons to which it adds something.
            reached = np.asarray(event) != 0
            v = np.where(reached, after, v)
            total += np.where(reached, spikes, 0)
        return FixedState(v, state.refractory), np.minimum(total, self.config.max_spikes)

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
        if self._floor is not None:
            v = np.maximum(v, self._floor)
        if not config.refractory_steps:
            return FixedState(v, state.refractory, i_syn), spikes
        held = state.refractory > 0
        spikes = np.where(held, 0, spikes)
        refractory = np.where(spikes > 0, config.refractory_steps, state.refractory - held)
        return FixedState(np.where(held, state.v, v), refractory.astype(self.kind), i_syn), spikes

    def _integrate(
        self, config: _Decay, decay: Any, value: NDArray[Any], drive: NDArray[Any]
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

    def _decayed(self, config: _Decay, decay: Any, value: NDArray[Any]) -> NDArray[Any]:
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
    registers: list[_Decay] = [config]
    if config.synapse is not None:
        registers.append(config.synapse)
    bits = 2 + max(config.current_width + 1, *(each.state.word_length for each in registers))
    for each in registers:
        if each.decay_rule is DecayRule.MULTIPLIER:
            bits = max(bits, each.state.word_length + each.decay_fraction + 2)
    return bits


def _shift_loss(config: _Decay, decay: Any, value: NDArray[Any]) -> NDArray[Any]:
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
