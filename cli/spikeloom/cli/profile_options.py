"""What a user can say of a discretisation profile: a preset, and what differs from it."""

import argparse
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, Any

from spikeloom.cli.options import Spelling, given_values
from spikeloom.reference.fixed import Overflow, Rounding
from spikeloom.reference.profile import (
    PROFILES,
    Accumulation,
    Compared,
    Comparison,
    Decay,
    InputGain,
    Order,
    Profile,
    Reset,
)

__all__ = ["ProfileOptions", "given_profile", "option_word", "required_profile"]

_PRESET = Spelling(flag="--profile", choices=tuple(PROFILES))


@dataclass(frozen=True, kw_only=True)
class ProfileOptions:
    """The rule of discretisation: ``[profile]``."""

    preset: Annotated[str, "rule of another tool, over which the others here go", _PRESET] = ""
    name: Annotated[str, "name of the rule, for the header"] = "custom"
    dt: Annotated[float, "length of a step, in the unit of tau"] = 1.0
    decay: Annotated[Decay, "what is left of the potential after a step"] = Decay.EULER
    decay_at_least_one: Annotated[bool, "whether a shift decay takes at least 1"] = False
    input_gain: Annotated[InputGain, "factor on the input"] = InputGain.DT_OVER_TAU
    integrator_gain: Annotated[InputGain, "the same without a time constant"] = InputGain.ONE
    synapse_gain: Annotated[InputGain, "factor on the input of a synapse"] = InputGain.DT_OVER_TAU
    order: Annotated[Order, "whether the decay acts on the step's input"] = Order.DECAY_FIRST
    synapse_order: Annotated[Order, "the same of a synapse"] = Order.DECAY_FIRST
    comparison: Annotated[Comparison, "when the threshold is reached"] = Comparison.GE
    compared: Annotated[Compared, "which potential is compared"] = Compared.NEW
    reset: Annotated[Reset, "what a spike does to the potential"] = Reset.TO_VALUE
    max_spikes: Annotated[int, "most spikes of a neuron in a step"] = 1
    max_output_spikes: Annotated[int | None, "the same of neurons before outputs alone"] = None
    max_input_count: Annotated[int | None, "what a count of an input is clipped to"] = None
    refractory_steps: Annotated[int, "steps after a spike in which a neuron is held"] = 0
    floor: Annotated[float | None, "lowest potential, in thresholds"] = None
    integrator_floor: Annotated[float | None, "the same without a time constant"] = None
    input_delay: Annotated[int, "steps from an input's spike to its effect"] = 0
    layer_delay: Annotated[int, "steps from a layer's spike to its effect on a later one"] = 0
    recurrent_delay: Annotated[int, "steps from a spike to its effect over a loop"] = 1
    recurrent_bias_at_start: Annotated[bool, "whether a loop's bias acts in the first step"] = True
    accumulation: Annotated[Accumulation, "how a step's events are summed"] = Accumulation.STEP
    rounding: Annotated[Rounding, "rounding of the decayed potential"] = Rounding.FLOOR
    overflow: Annotated[Overflow, "overflow of the potential"] = Overflow.SATURATE
    synapse_overflow: Annotated[Overflow, "overflow of the synaptic current"] = Overflow.SATURATE
    staged_overflow: Annotated[bool, "whether leak, bias and potential overflow one by one"] = False


def given_profile(arguments: argparse.Namespace, table: Any = None) -> Profile | None:
    """The profile that arguments and a TOML table name.

    A preset that was changed says so in its name: ``norse, reset=subtract``.

    Returns
    -------
    The profile, or ``None`` if nothing at all was said of it.

    Raises
    ------
    ValueError
        If an option is wrong, or options contradict each other.
    """
    values = given_values(ProfileOptions, arguments, table)
    if not values:
        return None
    base = PROFILES.get(values.pop("preset", ""))
    if base is None:
        return Profile(**({"name": ProfileOptions.name} | values))
    changes = [
        f"{name}={option_word(value)}"
        for name, value in values.items()
        if value != getattr(base, name)
    ]
    return replace(base, **({"name": ", ".join([base.name, *changes])} | values))


def required_profile(arguments: argparse.Namespace) -> Profile:
    """The profile of a command that cannot do without a preset.

    Raises
    ------
    ValueError
        As :func:`given_profile`, and if no preset was given.
    """
    if "preset" not in given_values(ProfileOptions, arguments):
        raise ValueError(
            "--profile must say how time is discretised, which a NIR file leaves open: one of"
            f" {', '.join(PROFILES)}"
        )
    profile = given_profile(arguments)
    if profile is None:
        raise ValueError("--profile must be given")
    return profile


def option_word(value: Any) -> str:
    """A value of an option as the command line says it."""
    if isinstance(value, Enum):
        return str(value.value)
    return ("no", "yes")[value] if isinstance(value, bool) else str(value).lower()
