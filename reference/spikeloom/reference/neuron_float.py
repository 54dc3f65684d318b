"""Textbook neurons in floating point: the yardstick for the fixed-point ones."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.profile import (
    Compared,
    Comparison,
    Decay,
    InputGain,
    Order,
    Profile,
    Reset,
)

__all__ = ["FloatArray", "FloatNeuron", "FloatState"]

FloatArray = NDArray[np.float64]


class FloatState(NamedTuple):
    """Membrane potentials and remaining refractory steps, both of shape (..., neurons)."""

    v: FloatArray
    refractory: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class FloatNeuron:
    """A neuron as a modeller writes it down, with the profile that discretises it.

    The continuous neuron is ``tau dv/dt = -v + r I`` (LIF) or, where the profile's decay is
    constant, ``tau dv/dt = -v_leak + r I`` (IAF); Gerstner & Kistler, "Spiking Neuron Models"
    (2002), section 4.1.

    Parameters
    ----------
    profile
        The rule of discretisation.
    v_th
        Threshold.
    tau
        Membrane time constant, in the unit of the profile's ``dt``.
    r
        Membrane resistance.
    v_reset, v_init
        Potential after a spike (where the reset is to a value) and at the first step.
    v_leak
        Leak of the IAF neuron.
    bias
        Current added to the input of every step.
    v_min
        Floor of the potential, or ``None``.

    Raises
    ------
    ValueError
        If a parameter is NaN or infinite, ``tau`` is not positive, or the threshold is not
        positive where the reset subtracts it.
    """

    profile: Profile
    v_th: float
    tau: float = 1.0
    r: float = 1.0
    v_reset: float = 0.0
    v_init: float = 0.0
    v_leak: float = 0.0
    bias: float = 0.0
    v_min: float | None = None

    def __post_init__(self) -> None:
        for name in ("v_th", "tau", "r", "v_reset", "v_init", "v_leak", "bias", "v_min"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} must be finite, not {value!r}")
        if self.tau <= 0:
            raise ValueError(f"tau must be positive, not {self.tau!r}")
        if self.profile.reset is Reset.SUBTRACT and self.v_th <= 0:
            raise ValueError(
                f"v_th must be positive where the reset subtracts it, not {self.v_th!r}"
            )

    @property
    def decay_shift(self) -> int:
        """The ``k`` of the shift decay ``1 - 2**-k``."""
        return max(0, round(math.log2(self.tau / self.profile.dt)))

    @property
    def alpha(self) -> float:
        """The part of the potential that is left after one step."""
        steps = self.profile.dt / self.tau
        match self.profile.decay:
            case Decay.EULER:
                return 1.0 - steps
            case Decay.EXPONENTIAL:
                return math.exp(-steps)
            case Decay.SHIFT:
                return 1.0 - 2.0**-self.decay_shift
            case Decay.CONSTANT | Decay.NONE:
                return 1.0

    @property
    def gain(self) -> float:
        """The factor between an input current and what it adds to the potential."""
        match self.profile.input_gain:
            case InputGain.DT_OVER_TAU:
                return self.r * self.profile.dt / self.tau
            case InputGain.ONE_MINUS_ALPHA:
                return self.r * (1.0 - self.alpha)
            case InputGain.ONE:
                return self.r

    @property
    def leak(self) -> float:
        """What the constant leak takes from the potential in one step."""
        if self.profile.decay is not Decay.CONSTANT:
            return 0.0
        return self.v_leak * self.profile.dt / self.tau

    def initial(self, shape: tuple[int, ...]) -> FloatState:
        """The state before the first step, for an array of the given shape."""
        return FloatState(np.full(shape, self.v_init), np.zeros(shape, dtype=np.int64))

    def step(self, state: FloatState, current: ArrayLike) -> tuple[FloatState, NDArray[np.int64]]:
        """Advance by one step.

        Parameters
        ----------
        state
            Arrays of shape (..., neurons).
        current
            Input current of this step, broadcastable to the same shape.

        Returns
        -------
        state, spikes
            The new state, and the number of spikes of each neuron.
        """
        held = state.refractory > 0
        v = state.v
        spikes = np.zeros(v.shape, dtype=np.int64)
        if self.profile.compared is Compared.OLD:
            v, spikes = self._fire(v)
        v = self._integrate(v, np.asarray(current, dtype=np.float64))
        if self.profile.compared is Compared.NEW:
            v, spikes = self._fire(v)
        if self.v_min is not None:
            v = np.maximum(v, self.v_min)
        spikes = np.where(held, 0, spikes)
        refractory = np.where(spikes > 0, self.profile.refractory_steps, state.refractory - held)
        return FloatState(np.where(held, state.v, v), refractory), spikes

    def _integrate(self, v: FloatArray, current: FloatArray) -> FloatArray:
        drive = self.gain * (current + self.bias) - self.leak
        if self.profile.order is Order.INPUT_FIRST:
            return self.alpha * (v + drive)
        return self.alpha * v + drive

    def _fire(self, v: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
        profile = self.profile
        if profile.max_spikes > 1:
            if profile.comparison is Comparison.GE:
                count = np.floor(v / self.v_th)
            else:
                count = np.ceil(v / self.v_th) - 1
            spikes = np.clip(count, 0, profile.max_spikes).astype(np.int64)
        elif profile.comparison is Comparison.GE:
            spikes = (v >= self.v_th).astype(np.int64)
        else:
            spikes = (v > self.v_th).astype(np.int64)
        match profile.reset:
            case Reset.SUBTRACT:
                return v - spikes * self.v_th, spikes
            case Reset.TO_VALUE:
                return np.where(spikes > 0, self.v_reset, v), spikes
            case Reset.NONE:
                return v, spikes
