"""What a user can say of the words of a fixed-point network, and the integers that come in."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.cli.options import Spelling
from spikeloom.cli.runs import finite_numbers
from spikeloom.cli.stimulus import Data
from spikeloom.reference.network import FixedInput, FixedNetwork, FloatNetwork
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.profile import Profile
from spikeloom.reference.quantize import quantize

__all__ = [
    "CALIBRATION",
    "FixedOptions",
    "PrecisionOptions",
    "fixed_data",
    "fixed_inputs",
    "fixed_network",
    "precision_of",
]

Array = NDArray[Any]

CALIBRATION = 64
"""Samples that a state fraction of ``auto`` follows."""


@dataclass(frozen=True, kw_only=True)
class PrecisionOptions:
    """Fixed point: words and scales."""

    weight_width: Annotated[int, "bits of a weight, 2 to 16"] = 8
    state_width: Annotated[int, "bits of potentials and synaptic currents, 4 to 32"] = 16
    state_fraction: Annotated[
        int | None,
        "fraction bits that the state has and weights have not; auto: as many as the first"
        f" {CALIBRATION} samples leave room for, up to 8",
        Spelling(none="auto"),
    ] = 0
    decay_fraction: Annotated[int, "fraction bits of a decay multiplier, 1 to 16"] = 8
    scale: Annotated[Scale, "whose weights share a scale"] = Scale.LAYER
    percentile: Annotated[float, "percentile of the weights that fills the weight word"] = 100.0
    max_count: Annotated[int | None, "most spikes of an input in a step; by default the data's"] = (
        None
    )
    input_fraction: Annotated[int, "fraction bits of an input of real numbers, 0 to 16"] = 0


@dataclass(frozen=True, kw_only=True)
class FixedOptions(PrecisionOptions):
    """Widths in bits: ``[fixed]``."""

    current_width: Annotated[int, "bits of an array's input current, 2 to 48"] = 16
    unit: Annotated[
        float | None,
        "potential units for 1.0 in an array; by default v_th is a quarter of the range",
    ] = None


def precision_of(options: PrecisionOptions) -> Precision:
    """The words.

    Raises
    ------
    ValueError
        If one is outside its range.
    """
    return Precision(**{each.name: getattr(options, each.name) for each in fields(Precision)})


def fixed_inputs(
    network: FloatNetwork, data: Data | None, options: PrecisionOptions, profile: Profile
) -> dict[str, FixedInput]:
    """The range of each input: what the options say, else the profile, else the data.

    Raises
    ------
    ValueError
        If an option is outside its range, or an input needs more than 24 bits.
    """
    fraction = options.input_fraction
    if not 0 <= fraction <= 16:
        raise ValueError(f"input_fraction must be 0 to 16, not {fraction}")
    if options.max_count is not None and options.max_count < 1:
        raise ValueError(f"max_count must be positive, not {options.max_count}")
    signals = {} if data is None else fixed_data(data, options)
    inputs = {}
    for name, shape in network.inputs.items():
        values = signals.get(name, np.zeros(1, dtype=np.int64))
        low, high = int(values.min()), max(1, int(values.max()))
        clipped = profile.max_input_count is not None and options.max_count is None
        if clipped or options.max_count is not None:
            high = (options.max_count or profile.max_input_count or 1) << fraction
        if not -(1 << 23) <= low <= high < 1 << 23:
            raise ValueError(f"{name} must fit 24 bits in fixed point, but does not")
        inputs[name] = FixedInput(
            shape=shape,
            low=0 if clipped else min(0, low),
            high=high,
            fraction_bits=fraction,
            clips=clipped,
        )
    return inputs


def fixed_data(data: Data, options: PrecisionOptions) -> Mapping[str, Array]:
    """The data in integers.

    Raises
    ------
    ValueError
        If one is none, and the options give inputs no fraction bits.
    """
    return {name: _integers(name, values, options) for name, values in data.signals.items()}


def _integers(name: str, values: Array, options: PrecisionOptions) -> Array:
    if options.input_fraction == 0 and values.dtype.kind in "iu":
        return values
    scaled = np.ldexp(values.astype(np.float64), options.input_fraction)
    integers = np.rint(scaled)
    if options.input_fraction == 0 and np.any(integers != scaled):
        raise ValueError(
            f"{name} must be of integers in fixed point, not {values[integers != scaled][0]:g};"
            " a network made with --input-fraction rounds real numbers to so many fraction bits"
        )
    if np.any(np.abs(integers) >= 1 << 23):
        raise ValueError(f"{name} must fit 24 bits in fixed point, but does not")
    return integers.astype(np.int64)


def fixed_network(
    network: FloatNetwork,
    precision: Precision,
    inputs: Mapping[str, FixedInput],
    data: Data | None,
) -> FixedNetwork:
    """The network in integers, calibrated with the first samples where it is to be.

    Raises
    ------
    ValueError
        If it does not fit its words, data to calibrate with are missing, or potentials do not stay
        finite on them.
    """
    if precision.state_fraction is None and data is None:
        raise ValueError("--state-fraction must be a number where there are no data, not auto")
    part = None if data is None else data.part(slice(CALIBRATION))
    with finite_numbers(network, part):
        return quantize(
            network, precision, inputs=inputs, calibration=None if part is None else part.signals
        )
