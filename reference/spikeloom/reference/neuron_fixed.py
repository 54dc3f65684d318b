"""The fixed-point neuron: the integers that golden model and hardware agree on.

:class:`NeuronConfig` fixes what one population computes, down to the last bit. :func:`step` is
its golden realisation; :class:`spikeloom.rtl_gen.neuron.NeuronArray` is its hardware.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spikeloom.reference.fixed import IntArray, QFormat, exact_integer, exact_integers, shift_right
from spikeloom.reference.profile import Compared, Comparison, Order, Reset, check_spike_rule

__all__ = ["DecayRule", "FixedState", "NeuronConfig", "initial_state", "step"]


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


class FixedState(NamedTuple):
    """Membrane potentials and remaining refractory steps, both of shape (..., size)."""

    v: IntArray
    refractory: IntArray


@dataclass(frozen=True, kw_only=True)
class NeuronConfig:
    """All that fixes a population of neurons, in integers.

    Threshold, decay and bias are one integer for all neurons or a sequence of one for each.

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
    order, comparison, compared, reset
        As in :class:`~spikeloom.reference.profile.Profile`.
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
        Steps after a spiking one in which the potential is held and input is ignored, 0 to 255.

    Raises
    ------
    TypeError
        If a parameter is of the wrong kind.
    ValueError
        If a parameter is outside its range; the message names parameter, value and range.
    """

    size: int
    state: QFormat
    current_width: int
    threshold: int | tuple[int, ...]
    decay_rule: DecayRule = DecayRule.NONE
    decay: int | tuple[int, ...] = 0
    decay_fraction: int = 8
    shift_at_least_one: bool = False
    bias: int | tuple[int, ...] = 0
    order: Order = Order.DECAY_FIRST
    comparison: Comparison = Comparison.GE
    compared: Compared = Compared.NEW
    reset: Reset = Reset.SUBTRACT
    v_reset: int = 0
    v_init: int = 0
    max_spikes: int = 1
    floor: int | None = None
    refractory_steps: int = 0

    def __post_init__(self) -> None:
        self._check_kinds()
        for name in ("threshold", "decay", "bias"):
            object.__setattr__(self, name, self._per_neuron(name))
        check_spike_rule(self.reset, self.max_spikes, self.refractory_steps)
        if not (self.state.signed and 4 <= self.state.word_length <= 32):
            kind = "a signed" if self.state.signed else "an unsigned"
            raise ValueError(
                f"state must be a signed word of 4 to 32 bits, not {kind} one of"
                f" {self.state.word_length}"
            )
        self._check_range("size", 1, 1 << 20)
        self._check_range("current_width", 2, 48)
        self._check_range("decay_fraction", 1, 16)
        lowest, highest = self.state.min, self.state.max
        positive = self.reset is Reset.SUBTRACT
        self._check_range("threshold", 1 if positive else lowest, highest)
        self._check_range("v_reset", lowest, highest)
        self._check_range("v_init", lowest, highest)
        half = 1 << (self.current_width - 1)
        self._check_range("bias", -half, half - 1)
        match self.decay_rule:
            case DecayRule.MULTIPLIER:
                self._check_range("decay", 0, 1 << self.decay_fraction)
            case DecayRule.SHIFT:
                self._check_range("decay", 0, 31)
            case DecayRule.CONSTANT:
                self._check_range("decay", lowest, highest)
            case DecayRule.NONE:
                self._check_range("decay", 0, 0)
        if self.shift_at_least_one and self.decay_rule is not DecayRule.SHIFT:
            raise ValueError(
                f"shift_at_least_one must go with a shift decay, not {self.decay_rule.value!r}"
            )
        if self.floor is not None:
            self._check_range("floor", lowest, 0)

    def _check_kinds(self) -> None:
        kinds = {
            "state": QFormat,
            "decay_rule": DecayRule,
            "order": Order,
            "comparison": Comparison,
            "compared": Compared,
            "reset": Reset,
        }
        for name, kind in kinds.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(f"{name} must be a {kind.__name__}, not {value!r}")
        integers = ("size", "current_width", "decay_fraction", "v_reset", "v_init", "max_spikes")
        for name in (*integers, "refractory_steps"):
            object.__setattr__(self, name, exact_integer(name, getattr(self, name)))
        if self.floor is not None:
            if not _is_integer(self.floor):
                raise TypeError(f"floor must be an integer or None, not {self.floor!r}")
            object.__setattr__(self, "floor", int(self.floor))

    def _per_neuron(self, name: str) -> int | tuple[int, ...]:
        value = getattr(self, name)
        if _is_integer(value):
            return int(value)
        if not isinstance(value, Sequence | np.ndarray) or not all(map(_is_integer, value)):
            raise TypeError(f"{name} must be an integer or a sequence of integers, not {value!r}")
        if len(value) != self.size:
            raise ValueError(f"{name} must have {self.size} values, one a neuron, not {len(value)}")
        values = tuple(map(int, value))
        return values[0] if len(set(values)) == 1 else values

    def _check_range(self, name: str, lowest: int, highest: int) -> None:
        value = getattr(self, name)
        for each in value if isinstance(value, tuple) else (value,):
            if not lowest <= each <= highest:
                raise ValueError(f"{name} must be {lowest} to {highest}, not {each!r}")

    @property
    def count_width(self) -> int:
        """Bits that hold the spikes of one neuron in one step."""
        return self.max_spikes.bit_length()

    @property
    def current(self) -> QFormat:
        """Format of the input current."""
        return QFormat(word_length=self.current_width, fraction_bits=self.state.fraction_bits)


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def initial_state(config: NeuronConfig, batch: tuple[int, ...] = ()) -> FixedState:
    """The state before the first step, of shape (\\*batch, size)."""
    shape = (*batch, config.size)
    return FixedState(
        np.full(shape, config.v_init, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    )


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
    held = state.refractory > 0
    v = state.v
    spikes = np.zeros(v.shape, dtype=np.int64)
    if config.compared is Compared.OLD:
        v, spikes = _fire(v, config)
    v = _integrate(v, current, config)
    if config.compared is Compared.NEW:
        v, spikes = _fire(v, config)
    if config.floor is not None:
        v = np.maximum(v, config.floor)
    spikes = np.where(held, 0, spikes)
    refractory = np.where(spikes > 0, config.refractory_steps, state.refractory - held)
    return FixedState(np.where(held, state.v, v), refractory), spikes


def _integrate(v: IntArray, current: IntArray, config: NeuronConfig) -> IntArray:
    drive = current + np.asarray(config.bias)
    if config.decay_rule is DecayRule.CONSTANT:
        drive = drive - np.asarray(config.decay)
    if config.order is Order.INPUT_FIRST:
        return _decay(config.state.fit(v + drive), config)
    return config.state.fit(_decay(v, config) + drive)


def _decay(v: IntArray, config: NeuronConfig) -> IntArray:
    match config.decay_rule:
        case DecayRule.MULTIPLIER:
            product = v * np.asarray(config.decay)
            return shift_right(product, config.decay_fraction, config.state.rounding)
        case DecayRule.SHIFT:
            return v - _shift_loss(v, config)
        case DecayRule.CONSTANT | DecayRule.NONE:
            return v


def _shift_loss(v: IntArray, config: NeuronConfig) -> IntArray:
    decay = np.broadcast_to(np.asarray(config.decay), v.shape)
    loss = np.zeros(v.shape, dtype=np.int64)
    for bits in np.unique(decay).tolist():
        loss = np.where(decay == bits, shift_right(v, bits, config.state.rounding), loss)
    if config.shift_at_least_one:
        loss = np.where((v > 0) & (loss == 0), 1, loss)
    return loss


def _fire(v: IntArray, config: NeuronConfig) -> tuple[IntArray, IntArray]:
    threshold = np.asarray(config.threshold)
    if config.max_spikes > 1:
        if config.comparison is Comparison.GE:
            count = v // threshold
        else:
            count = -(-v // threshold) - 1
        spikes = np.clip(count, 0, config.max_spikes)
    elif config.comparison is Comparison.GE:
        spikes = (v >= threshold).astype(np.int64)
    else:
        spikes = (v > threshold).astype(np.int64)
    match config.reset:
        case Reset.SUBTRACT:
            return v - spikes * threshold, spikes
        case Reset.TO_VALUE:
            return np.where(spikes > 0, config.v_reset, v), spikes
        case Reset.NONE:
            return v, spikes
