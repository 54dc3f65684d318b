"""The neurons of all profiles, with parameters that may be anything."""

from collections.abc import Iterator
from dataclasses import replace

from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig, SynapseConfig
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.neuron_rounding import quantize_neurons
from spikeloom.reference.profile import PROFILES, Accumulation, Profile, Reset

__all__ = ["any_parameters", "preset_neurons", "quantized"]

_SPARE = 4
"""Bits by which the current's word is wider than the state's."""


def preset_neurons(width: int) -> dict[str, NeuronConfig]:
    """What the profiles' neurons compute with a state of so many bits, by their kind.

    Equal neurons of several profiles are there once.
    """
    names: dict[NeuronConfig, list[str]] = {}
    for profile in PROFILES.values():
        for kind, neuron in _kinds(profile):
            same = names.setdefault(quantized(neuron, width), [])
            if profile.name not in "".join(same):
                same.append(f"{kind} of {profile.name}" if not same else profile.name)
    return {", ".join(same): config for config, same in names.items()}


def quantized(neuron: FloatNeuron, width: int) -> NeuronConfig:
    """One neuron with a threshold of 1, in integers with a state of so many bits."""
    return quantize_neurons(
        neuron,
        1,
        # A threshold of 1 has two places above it, so that neurons overflow too.
        scale=2 ** (width - 4),
        state_width=width,
        current_width=width + _SPARE,
    )


def _kinds(profile: Profile) -> Iterator[tuple[str, FloatNeuron]]:
    """Integrators and leaky neurons; those with a synapse, and those that never spike."""
    yield "IF neurons", FloatNeuron(profile=profile, v_th=1.0, tau=None)
    if profile.accumulation is Accumulation.SPIKING_EVENT:
        return
    tau = 4 * profile.dt
    yield "LIF neurons", FloatNeuron(profile=profile, v_th=1.0, tau=tau, v_leak=0.5)
    yield (
        "LIF neurons behind a synapse",
        FloatNeuron(profile=profile, v_th=1.0, tau=tau, tau_syn=tau),
    )
    yield "leaky integrators", FloatNeuron(profile=profile, v_th=None, tau=tau)


def any_parameters(config: NeuronConfig) -> NeuronConfig:
    """Two neurons with the least and the greatest of each parameter that is legal."""
    word = config.state
    half = 1 << (config.current_width - 1)
    subtracts = config.reset is Reset.SUBTRACT
    synapse = config.synapse
    if synapse is not None:
        synapse = replace(synapse, decay=_decays(synapse))
    return replace(
        config,
        size=2,
        threshold=(1 if subtracts else word.min, word.max),
        decay=_decays(config),
        bias=(-half, half - 1),
        v_reset=(word.min, word.max),
        floor=None if config.floor is None else (word.min, 0),
        synapse=synapse,
    )


def _decays(register: NeuronConfig | SynapseConfig) -> int | tuple[int, int]:
    match register.decay_rule:
        case DecayRule.MULTIPLIER:
            return 0, 1 << register.decay_fraction
        case DecayRule.SHIFT:
            return 0, 31
        case DecayRule.CONSTANT:
            return register.state.min, register.state.max
        case DecayRule.NONE:
            return 0
