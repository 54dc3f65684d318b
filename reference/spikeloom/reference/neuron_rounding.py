"""Parameters of neurons, from real numbers to integers."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import IntArray, QFormat, Rounding, signed_width
from spikeloom.reference.neuron_fixed import (
    DecayRule,
    Emission,
    NeuronConfig,
    PerNeuron,
    SynapseConfig,
)
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import Decay, Profile, Reset

__all__ = ["DECAY_RULES", "nearest", "quantize_neurons"]

DECAY_RULES = {
    Decay.EULER: DecayRule.MULTIPLIER,
    Decay.EXPONENTIAL: DecayRule.MULTIPLIER,
    Decay.SHIFT: DecayRule.SHIFT,
    Decay.CONSTANT: DecayRule.CONSTANT,
    Decay.NONE: DecayRule.NONE,
}
"""The integer arithmetic that realises each decay of a profile."""


def nearest(real: ArrayLike) -> IntArray:
    """Real numbers as the nearest integers, ties to even."""
    return QFormat(word_length=48, rounding=Rounding.NEAREST_EVEN).quantize(real)


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
    if np.any((leak != 0) & (nearest(leak) == 0)):
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
                nearest(0),
                decay_fraction,
            ),
            order=profile.synapse_order,
        )
    bias = nearest(drive)
    widest = max(signed_width(int(bias.min())), signed_width(int(bias.max())))
    spiking = neuron.threshold is not None
    threshold = neuron.threshold if neuron.threshold is not None else 0.0
    if spiking:
        _check_levels(neuron, scale, word)
    return NeuronConfig(
        size=size,
        state=word,
        current_width=max(current_width, 2, widest),
        threshold=_flat(nearest(threshold * scale)) if spiking else word.max,
        **_decay(
            profile,
            neuron.tau,
            neuron.alpha,
            neuron.decay_shift,
            nearest(leak),
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
        v_reset=_flat(nearest(neuron.reset_value * scale)) if spiking else 0,
        v_init=_flat(nearest(neuron.initial_value * scale)),
        max_spikes=max(1, neuron.most_spikes),
        floor=None if neuron.floor is None else _flat(nearest(neuron.floor * scale)),
        refractory_steps=profile.refractory_steps,
    )


def _check_levels(neuron: FloatNeuron, scale: NDArray[Any], word: QFormat) -> None:
    """Refuse a threshold that the state's word cannot hold, and say which could."""
    threshold = nearest(np.asarray(neuron.threshold) * scale)
    if neuron.profile.reset is Reset.SUBTRACT and threshold.min() < 1:
        raise ValueError(
            "threshold must be at least 1 in units of the state's last place, not"
            f" {float(np.min(np.asarray(neuron.threshold) * scale)):.2g}: more fraction bits of the"
            " state, or wider weights, make it larger"
        )
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
            decay = nearest(np.asarray(alpha) * 2**fraction)
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


def _flat(values: NDArray[Any]) -> PerNeuron:
    """One integer, or one for each neuron in the order of the flat array."""
    values = np.asarray(values)
    return int(values) if values.ndim == 0 else tuple(values.ravel().tolist())
