"""From real numbers to the integers of the hardware."""

import numpy as np

from spikeloom.reference.fixed import IntArray, Overflow, QFormat, Rounding
from spikeloom.reference.network import FixedDense, FixedNetwork, FloatDense, FloatNetwork
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import Decay

__all__ = ["DECAY_RULES", "quantize", "quantize_neurons"]

DECAY_RULES = {
    Decay.EULER: DecayRule.MULTIPLIER,
    Decay.EXPONENTIAL: DecayRule.MULTIPLIER,
    Decay.SHIFT: DecayRule.SHIFT,
    Decay.CONSTANT: DecayRule.CONSTANT,
    Decay.NONE: DecayRule.NONE,
}
"""The integer arithmetic that realises each decay of a profile."""


def quantize_neurons(
    neuron: FloatNeuron,
    size: int,
    *,
    scale: float,
    state_width: int = 16,
    current_width: int = 16,
    decay_fraction: int = 8,
    bias: np.ndarray | float | None = None,
) -> NeuronConfig:
    """Round a textbook neuron's parameters to integers.

    Parameters
    ----------
    neuron
        The neuron; its profile's rounding and overflow become those of the state.
    size
        Number of neurons.
    scale
        State units that stand for a potential of 1.
    state_width, current_width, decay_fraction
        Widths in bits; see :class:`~spikeloom.reference.neuron_fixed.NeuronConfig`.
    bias
        Currents of shape (size,) in place of the neuron's own.

    Raises
    ------
    ValueError
        If a parameter does not fit its width at this scale.
    """
    profile = neuron.profile
    nearest = Rounding.NEAREST_EVEN
    word = QFormat(word_length=48, rounding=nearest)
    real = {
        "threshold": neuron.v_th,
        "v_reset": neuron.v_reset,
        "v_init": neuron.v_init,
        "leak": neuron.leak,
        "floor": 0.0 if neuron.v_min is None else neuron.v_min,
    }
    units = {name: int(word.quantize(value * scale)) for name, value in real.items()}
    if neuron.leak and not units["leak"]:
        raise ValueError(
            f"leak of {neuron.leak:g} a step must not vanish, but is less than half of the state's"
            f" last place {1 / scale:g}"
        )
    drive = neuron.gain * (neuron.bias if bias is None else np.asarray(bias)) * scale
    match DECAY_RULES[profile.decay]:
        case DecayRule.MULTIPLIER:
            decay = int(word.quantize(neuron.alpha * 2**decay_fraction))
            if neuron.alpha < 1 and decay == 1 << decay_fraction:
                least = int(np.floor(-np.log2(1 - neuron.alpha)))
                raise ValueError(
                    f"decay_fraction must be at least {least} for tau {neuron.tau:g}, or the"
                    f" decay vanishes, not {decay_fraction}"
                )
        case DecayRule.SHIFT:
            decay = neuron.decay_shift
        case DecayRule.CONSTANT:
            decay = units["leak"]
        case DecayRule.NONE:
            decay = 0
    return NeuronConfig(
        size=size,
        state=QFormat(
            word_length=state_width, rounding=profile.rounding, overflow=profile.overflow
        ),
        current_width=current_width,
        threshold=units["threshold"],
        decay_rule=DECAY_RULES[profile.decay],
        decay=decay,
        decay_fraction=decay_fraction,
        bias=_per_neuron(word.quantize(drive)),
        order=profile.order,
        comparison=profile.comparison,
        compared=profile.compared,
        reset=profile.reset,
        v_reset=units["v_reset"],
        v_init=units["v_init"],
        max_spikes=profile.max_spikes,
        floor=None if neuron.v_min is None else units["floor"],
        refractory_steps=profile.refractory_steps,
    )


def quantize(
    network: FloatNetwork,
    *,
    weight_width: int = 8,
    state_width: int = 16,
    weight_shift: int = 0,
    decay_fraction: int = 8,
    max_count: int = 1,
) -> FixedNetwork:
    """Round a float network to integers, each layer at the scale that fills its weight word.

    Parameters
    ----------
    network
        The network; all its neurons share one profile.
    weight_width, state_width, decay_fraction
        Widths in bits.
    weight_shift
        Fraction bits that the state has and the weights have not.
    max_count
        Most spikes that one input brings in one step.

    Raises
    ------
    ValueError
        If a threshold, bias or decay does not fit its width, or the layers' profiles differ.
    """
    profile = network.layers[0].neuron.profile
    layers = []
    for k, layer in enumerate(network.layers):
        if layer.neuron.profile != profile:
            raise ValueError(f"all layers must have one profile, but layer {k} has another")
        gain = layer.neuron.gain
        largest = float(np.abs(layer.weight * gain).max())
        scale = ((1 << (weight_width - 1)) - 1) / largest if largest else 1.0
        try:
            layers.append(
                FixedDense(
                    weight=_nearest(layer.weight * gain * scale, weight_width),
                    weight_width=weight_width,
                    weight_shift=weight_shift,
                    max_count=max_count,
                    neurons=_neurons(layer, scale * 2**weight_shift, state_width, decay_fraction),
                )
            )
        except ValueError as error:
            raise ValueError(f"layer {k} does not fit: {error}") from error
        max_count = layer.neuron.profile.max_spikes
    return FixedNetwork(tuple(layers), profile.name)


def _neurons(
    layer: FloatDense, scale: float, state_width: int, decay_fraction: int
) -> NeuronConfig:
    bias = np.asarray(layer.bias) + layer.neuron.bias
    width = 2 + int(np.ceil(np.log2(1 + np.abs(bias * layer.neuron.gain * scale).max())))
    return quantize_neurons(
        layer.neuron,
        layer.weight.shape[1],
        scale=scale,
        state_width=state_width,
        current_width=width,
        decay_fraction=decay_fraction,
        bias=bias,
    )


def _nearest(real: np.ndarray, width: int) -> IntArray:
    return QFormat(
        word_length=width, rounding=Rounding.NEAREST_EVEN, overflow=Overflow.SATURATE
    ).quantize(real)


def _per_neuron(values: IntArray) -> int | tuple[int, ...]:
    return int(values) if values.ndim == 0 else tuple(int(value) for value in values)
