"""The fixed-point neuron: the integers that golden model and hardware agree on.

:class:`NeuronConfig` fixes what one population computes, down to the last bit.
:class:`spikeloom.reference.neurons.Neurons` is its golden realisation,
:class:`spikeloom.rtl_gen.neuron.NeuronArray` its hardware.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikeloom.reference.fixed import QFormat, exact_integer
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
    "NeuronConfig",
    "PerNeuron",
    "SynapseConfig",
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
        How the events of a step are summed; see
        :meth:`spikeloom.reference.neurons.Neurons.step_events`.
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
