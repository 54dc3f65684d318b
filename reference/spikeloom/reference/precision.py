"""The words of a fixed-point network."""

import enum
from dataclasses import dataclass

from spikeloom.reference.fixed import exact_integer

__all__ = ["DEFAULT", "Precision", "Scale"]


class Scale(enum.Enum):
    """Whose weights share a scale."""

    NETWORK = "network"
    LAYER = "layer"
    NEURON = "neuron"
    """Those of a neuron, or of an output channel of a convolution."""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The words of a fixed-point network.

    Parameters
    ----------
    weight_width
        Bits of a weight, 2 to 16.
    state_width
        Bits of potentials and synaptic currents, 4 to 32.
    state_fraction
        Places that the state has behind the weights' last place, 0 to 24; ``None`` has each
        population take as many as its potentials on calibration data leave, up to 8.
    decay_fraction
        Fraction bits of decay multipliers, 1 to 16.
    scale
        Whose weights share a scale.
    percentile
        The percentile of the magnitudes of the weights that fills the weight word; those above it
        are clipped. Above 0, up to 100.

    Raises
    ------
    TypeError
        If a number is not an integer or the scale not a :class:`Scale`.
    ValueError
        If a number is outside its range.
    """

    weight_width: int = 8
    state_width: int = 16
    state_fraction: int | None = 0
    decay_fraction: int = 8
    scale: Scale = Scale.LAYER
    percentile: float = 100.0

    def __post_init__(self) -> None:
        if not isinstance(self.scale, Scale):
            raise TypeError(f"scale must be a Scale, not {self.scale!r}")
        ranges = {
            "weight_width": (2, 16),
            "state_width": (4, 32),
            "state_fraction": (0, 24),
            "decay_fraction": (1, 16),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if value is None and name == "state_fraction":
                continue
            object.__setattr__(self, name, exact_integer(name, value))
            if not least <= value <= most:
                raise ValueError(f"{name} must be {least} to {most}, not {value!r}")
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile must be above 0 and up to 100, not {self.percentile!r}")


DEFAULT = Precision()
"""Weights of 8 bits, states of 16, a scale for each layer."""
