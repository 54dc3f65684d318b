"""Neurons in floating point: the yardstick for the fixed-point ones."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.profile import (
    Accumulation,
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
Real = float | NDArray[Any]
"""One number for all neurons, or an array of one for each."""

_NAMES = (
    *("v_th", "tau", "r", "v_reset", "v_init", "v_leak", "bias", "v_min"),
    *("tau_syn", "w_in"),
)


class FloatState(NamedTuple):
    """Membrane potentials, remaining refractory steps and synaptic currents, (..., neurons)."""

    v: NDArray[Any]
    refractory: NDArray[np.int64]
    i_syn: NDArray[Any] | None = None
    """``None`` where the neurons have no synapse."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatNeuron:
    """Neurons as a modeller writes them down, with the profile that discretises them.

    The continuous neuron is ``tau dv/dt = v_leak - v + r I`` (LIF), ``dv/dt = r I`` where ``tau``
    is ``None`` (IF), or, where the profile's decay is constant, ``tau dv/dt = -v_leak + r I``
    (IAF); Gerstner & Kistler, "Spiking Neuron Models" (2002), section 4.1. Behind a synapse with
    the time constant ``tau_syn``, ``I`` is its current: ``tau_syn dI/dt = -I + w_in x``; Pedersen
    et al., "Neuromorphic intermediate representation", Nature Communications 15:8122, 2024.

    Parameters
    ----------
    profile
        The rule of discretisation.
    v_th
        Threshold, or ``None`` for neurons that never spike and send their potential.
    tau
        Membrane time constant, in the unit of the profile's ``dt``, or ``None``.
    r
        Membrane resistance.
    v_reset, v_init
        Potential after a spike (where the reset is to a value) and at the first step.
    v_leak
        Where the potential decays to; the leak of the IAF neuron.
    bias
        Current added to the input of every step.
    v_min
        Floor of the potential, or ``None``.
    tau_syn, w_in
        Time constant and input weight of the synapse; ``None`` where there is none.
    max_spikes
        The most spikes in a step; the profile's if ``None``.
    relay
        Whether they are none of the modeller's neurons, but pass on the input of each step.

    Each number is one for all neurons, or an array of the neurons' shape.

    Raises
    ------
    ValueError
        If a parameter is NaN or infinite, a time constant is not positive, the threshold is not
        positive where the reset subtracts it, the gain is 0 where the threshold is divided by it,
        or neurons with a synapse or a decay are to spike event by event.
    """

    profile: Profile
    v_th: Real | None
    tau: Real | None = 1.0
    r: Real = 1.0
    v_reset: Real = 0.0
    v_init: Real = 0.0
    v_leak: Real = 0.0
    bias: Real = 0.0
    v_min: Real | None = None
    tau_syn: Real | None = None
    w_in: Real = 1.0
    max_spikes: int | None = None
    relay: bool = False

    def __post_init__(self) -> None:
        for name in _NAMES:
            value = getattr(self, name)
            if value is None:
                continue
            if not np.all(np.isfinite(value)):
                raise ValueError(f"{name} must be finite, not {_worst(value, np.isfinite(value))}")
            object.__setattr__(self, name, _plain(value))
        for name in ("tau", "tau_syn"):
            value = getattr(self, name)
            if value is not None and np.any(value <= 0):
                raise ValueError(f"{name} must be positive, not {_worst(value, value > 0)}")
        subtracts = self.profile.reset is Reset.SUBTRACT and self.v_th is not None
        if subtracts and np.any(np.asarray(self.v_th) <= 0):
            raise ValueError(
                "v_th must be positive where the reset subtracts it, not"
                f" {_worst(self.v_th, np.asarray(self.v_th) > 0)}"
            )
        if np.any(np.asarray(self._unit) == 0):
            raise ValueError("r must not be 0 where the threshold is divided by it, but one is")
        if self.profile.accumulation is Accumulation.SPIKING_EVENT and (
            self.tau_syn is not None or np.any(np.asarray(self.alpha) != 1) or np.any(self.leak)
        ):
            raise ValueError(
                "accumulation 'spiking-event' must go with neurons without synapse and decay"
            )

    @property
    def decay_shift(self) -> Any:
        """The ``k`` of the membrane's shift decay ``1 - 2**-k``."""
        return self._shift(1.0 if self.tau is None else self.tau)

    @property
    def synapse_shift(self) -> Any:
        """The same of the synapse."""
        return self._shift(1.0 if self.tau_syn is None else self.tau_syn)

    def _shift(self, tau: Real) -> Any:
        shift = np.maximum(0, np.rint(np.log2(np.asarray(tau) / self.profile.dt))).astype(np.int64)
        return int(shift) if shift.ndim == 0 else shift

    @property
    def alpha(self) -> Real:
        """The part of the potential that is left after one step."""
        return 1.0 if self.tau is None else self._alpha(self.tau)

    @property
    def alpha_syn(self) -> Real:
        """The part of the synaptic current that is left after one step."""
        return 0.0 if self.tau_syn is None else self._alpha(self.tau_syn)

    def _alpha(self, tau: Real) -> Real:
        match self.profile.decay:
            case Decay.EULER:
                return 1.0 - self.profile.dt / tau
            case Decay.EXPONENTIAL:
                return _plain(np.exp(-self.profile.dt / np.asarray(tau)))
            case Decay.SHIFT:
                return _plain(1.0 - 2.0 ** -np.asarray(self._shift(tau), dtype=np.float64))
            case Decay.CONSTANT | Decay.NONE:
                return 1.0

    @property
    def gain(self) -> Real:
        """The factor between an input current and what it adds to the potential."""
        return 1.0 if self._into_threshold else self._voltage_gain

    @property
    def _into_threshold(self) -> bool:
        """Whether threshold, reset and leak are divided by the gain: what never spikes has none."""
        into = self.profile.input_gain is InputGain.INTO_THRESHOLD
        return into and self.tau is not None and self.v_th is not None

    @property
    def _voltage_gain(self) -> Real:
        """The same in the unit of the threshold as it is given."""
        if self.tau is None:
            return self.r * (
                self.profile.dt if self.profile.integrator_gain is InputGain.DT else 1.0
            )
        return self.r * self._gain(self.profile.input_gain, self.tau, self.alpha)

    @property
    def synapse_gain(self) -> Real:
        """The factor between the input and what it adds to the synaptic current."""
        if self.tau_syn is None:
            return 1.0
        return self.w_in * self._gain(self.profile.synapse_gain, self.tau_syn, self.alpha_syn)

    def _gain(self, gain: InputGain, tau: Real, alpha: Real) -> Real:
        match gain:
            case InputGain.DT_OVER_TAU | InputGain.INTO_THRESHOLD:
                return self.profile.dt / tau
            case InputGain.ONE_MINUS_ALPHA:
                return 1.0 - alpha
            case InputGain.ONE | InputGain.DT:
                return 1.0

    @property
    def _unit(self) -> Real:
        """What the potential's numbers are divided by."""
        return self._voltage_gain if self._into_threshold else 1.0

    @property
    def threshold(self) -> Real | None:
        """The threshold in the unit of the potential."""
        return None if self.v_th is None else self.v_th / self._unit

    @property
    def reset_value(self) -> Real:
        """The potential after a reset to a value, in the unit of the potential."""
        return self.v_reset / self._unit

    @property
    def initial_value(self) -> Real:
        """The potential at the first step, in the unit of the potential."""
        return self.v_init / self._unit

    @property
    def floor(self) -> Real | None:
        """The floor in the unit of the potential."""
        return None if self.v_min is None else self.v_min / self._unit

    @property
    def leak(self) -> Real:
        """What the constant leak takes from the potential in one step."""
        if self.profile.decay is not Decay.CONSTANT or self.tau is None:
            return 0.0
        return self.v_leak * self.profile.dt / self.tau / self._unit

    @property
    def rest(self) -> Real:
        """What the decay toward ``v_leak`` adds to the potential in one step."""
        if self.tau is None or self.profile.decay is Decay.CONSTANT:
            return 0.0
        return (1.0 - self.alpha) * self.v_leak / self._unit

    @property
    def most_spikes(self) -> int:
        """The most spikes in one step."""
        if self.v_th is None:
            return 0
        return self.profile.max_spikes if self.max_spikes is None else self.max_spikes

    def initial(self, shape: tuple[int, ...], dtype: Any = np.float64) -> FloatState:
        """The state before the first step, for an array of the given shape."""
        v = np.broadcast_to(np.asarray(self.initial_value, dtype=dtype), shape).copy()
        i_syn = None if self.tau_syn is None else np.zeros_like(v)
        return FloatState(v, np.zeros(shape, dtype=np.int64), i_syn)

    def step(self, state: FloatState, current: ArrayLike) -> tuple[FloatState, NDArray[np.int64]]:
        """Advance by one step, in the precision of the state.

        Parameters
        ----------
        state
            Arrays of shape (..., neurons).
        current
            Input of this step, broadcastable to the same shape.

        Returns
        -------
        state, spikes
            The new state, and the number of spikes of each neuron.
        """
        held = state.refractory > 0
        kind = state.v.dtype
        drive = np.asarray(current, dtype=kind) + _as(kind, self.bias)
        i_syn = state.i_syn
        if i_syn is not None:
            drive = i_syn = self._synapse(i_syn, drive)
        v = state.v
        spikes = np.zeros(v.shape, dtype=np.int64)
        if self.profile.compared is Compared.OLD:
            v, spikes = self._fire(v)
        v = self._integrate(v, drive)
        if self.profile.compared is Compared.NEW:
            v, spikes = self._fire(v)
        if self.floor is not None:
            v = np.maximum(v, _as(kind, self.floor))
        spikes = np.where(held, 0, spikes)
        refractory = np.where(spikes > 0, self.profile.refractory_steps, state.refractory - held)
        return FloatState(np.where(held, state.v, v), refractory, i_syn), spikes

    def step_events(
        self, state: FloatState, events: Iterable[NDArray[Any]]
    ) -> tuple[FloatState, NDArray[np.int64]]:
        """Advance by one step on events each of which may make neurons spike once.

        As :meth:`spikeloom.reference.neurons.Neurons.step_events`, in real numbers.
        """
        kind = state.v.dtype
        v, total = state.v, np.zeros(state.v.shape, dtype=np.int64)
        for event in (*events, _as(kind, self.bias)):
            after = v + _as(kind, self.gain) * event
            if self.floor is not None:
                after = np.maximum(after, _as(kind, self.floor))
            after, spikes = self._fire(after, most=1)
            reached = np.asarray(event) != 0
            v = np.where(reached, after, v)
            total += np.where(reached, spikes, 0)
        return FloatState(v, state.refractory), np.minimum(total, self.most_spikes)

    def _synapse(self, i_syn: NDArray[Any], current: NDArray[Any]) -> NDArray[Any]:
        """The new synaptic current."""
        kind = i_syn.dtype
        alpha, drive = _as(kind, self.alpha_syn), _as(kind, self.synapse_gain) * current
        if self.profile.synapse_order is Order.INPUT_FIRST:
            return alpha * (i_syn + drive)
        return alpha * i_syn + drive

    def _integrate(self, v: NDArray[Any], current: NDArray[Any]) -> NDArray[Any]:
        kind = v.dtype
        drive = _as(kind, self.gain) * current
        if np.any(offset := self.rest - self.leak):
            drive = drive + _as(kind, offset)
        if self.profile.order is Order.INPUT_FIRST:
            return _as(kind, self.alpha) * (v + drive)
        return _as(kind, self.alpha) * v + drive

    def _fire(
        self, v: NDArray[Any], most: int | None = None
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        if self.threshold is None:
            return v, np.zeros(v.shape, dtype=np.int64)
        profile = self.profile
        threshold = _as(v.dtype, self.threshold)
        most = self.most_spikes if most is None else most
        if most > 1:
            if profile.comparison is Comparison.GE:
                count = np.floor(v / threshold)
            else:
                count = np.ceil(v / threshold) - 1
            spikes = np.clip(count, 0, most).astype(np.int64)
        elif profile.comparison is Comparison.GE:
            spikes = (v >= threshold).astype(np.int64)
        else:
            spikes = (v > threshold).astype(np.int64)
        match profile.reset:
            case Reset.SUBTRACT:
                return v - spikes.astype(v.dtype) * threshold, spikes
            case Reset.TO_VALUE:
                return np.where(spikes > 0, _as(v.dtype, self.reset_value), v), spikes
            case Reset.NONE:
                return v, spikes


def _as(kind: Any, value: Real) -> NDArray[Any]:
    return np.asarray(value, dtype=kind)


def _plain(value: Any) -> Any:
    """A number where all are one; else an array in double precision that cannot be changed."""
    if isinstance(value, float):
        return value
    array = np.array(value, dtype=np.float64)
    if array.size and np.all(array == array.flat[0]):
        return float(array.flat[0])
    array.flags.writeable = False
    return array


def _worst(value: Any, good: Any) -> str:
    return repr(float(np.asarray(value)[~np.asarray(good)].flat[0]))
