"""From a trained ReLU network to a spiking one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from spikeloom.reference.dense import FloatDense, float_stack
from spikeloom.reference.network import FloatNetwork
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import Decay, InputGain, Profile, Reset

__all__ = ["IAF", "relu_to_iaf"]

IAF = Profile(name="iaf", decay=Decay.NONE, input_gain=InputGain.ONE, reset=Reset.SUBTRACT)
"""Integrate and fire without leak; its spike rate is the rectified-linear unit of its input."""


def relu_to_iaf(
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    calibration: ArrayLike,
    *,
    profile: Profile = IAF,
    percentile: float = 99.9,
) -> FloatNetwork:
    """Turn dense ReLU layers into IAF layers whose rates approximate the activations.

    Each layer's activations are divided by their percentile on calibration data, so that rates
    stay below one spike a step (data-based normalisation: Rueckauer et al., "Conversion of
    continuous-valued deep networks to efficient event-driven networks for image classification",
    Frontiers in Neuroscience 11:682, 2017). Potentials start at half the threshold, which rounds
    spike counts to the nearest instead of down.

    Parameters
    ----------
    weights, biases
        Layers in order; shapes (inputs, neurons) and (neurons,).
    calibration
        Inputs of the trained network, from 0 to 1, shape (samples, inputs).
    profile
        A profile without decay, with subtracting reset.
    percentile
        Above 0, up to 100.

    Raises
    ------
    ValueError
        If the profile leaks or does not subtract, the percentile is outside its range, or a layer
        is silent on the calibration data.
    """
    if profile.decay is not Decay.NONE or profile.reset is not Reset.SUBTRACT:
        raise ValueError(
            f"profile must be one without decay and with subtracting reset, not {profile.name!r}"
        )
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile must be above 0 and up to 100, not {percentile!r}")
    activation = np.asarray(calibration, dtype=np.float64)
    neuron = FloatNeuron(profile=profile, v_th=1.0, v_init=0.5)
    scale_before = 1.0
    layers = []
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        weight, bias = np.asarray(weight), np.asarray(bias)
        activation = np.maximum(activation @ weight + bias, 0.0)
        scale = float(np.percentile(activation, percentile))
        if scale == 0.0:
            raise ValueError(
                f"layer {k} must be active on the calibration data, but its percentile"
                f" {percentile} is 0"
            )
        layers.append(FloatDense(weight * (scale_before / scale), neuron, bias / scale))
        scale_before = scale
    return float_stack(layers)
