"""Real numbers as spike trains, or as what else comes in step by step."""

import enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import exact_integer

__all__ = ["Coding", "encode", "rate_code"]


class Coding(enum.Enum):
    """How a number becomes steps."""

    CONSTANT = "constant"
    """The number itself in every step: nothing is lost (Rueckauer et al. 2017)."""
    RATE = "rate"
    """As many spikes as the number is steps, spread evenly, as neurons make them of a constant
    (Rueckauer et al. 2017); see :func:`rate_code`."""
    BERNOULLI = "bernoulli"
    """A spike in each step with the number as its probability (Neil et al., "Learning to be
    efficient: algorithms for training low-latency, low-compute deep spiking neural networks", SAC
    2016)."""
    FIRST_SPIKE = "first-spike"
    """One spike, the earlier the larger the number, whose effect lasts until the end (Rueckauer &
    Liu, "Conversion of analog to spiking neural networks using sparse temporal coding", ISCAS
    2018)."""


def encode(
    values: ArrayLike,
    steps: int,
    coding: Coding = Coding.CONSTANT,
    *,
    seed: int = 0,
    first: int = 0,
) -> NDArray[np.generic]:
    """Numbers as steps.

    Parameters
    ----------
    values
        Numbers of shape (samples, \\*shape); from 0 to 1, unless the coding is constant.
    steps
        Number of steps.
    coding
        How.
    seed
        Of a coding by chance.
    first
        Number of the first sample; each has a chance of its own, whichever come with it.

    Returns
    -------
    Array of shape (samples, steps, \\*shape): spikes, 0 or 1, or the numbers themselves. With
    ``FIRST_SPIKE`` a number ``x`` spikes ``round(x * steps)`` steps before the end, or never.

    Raises
    ------
    TypeError, ValueError
        As :func:`rate_code`.
    """
    values = np.asarray(values)
    flat = values.reshape(len(values), -1)
    if coding is Coding.CONSTANT:
        steps = _positive(steps)
        return np.broadcast_to(values[:, None], (len(values), steps, *values.shape[1:]))
    if coding is Coding.RATE:
        spikes = rate_code(flat, steps)
    else:
        flat, steps = _rates(flat), _positive(steps)
        if coding is Coding.BERNOULLI:
            spikes = np.empty((len(flat), steps, flat.shape[1]), np.uint8)
            for k, sample in enumerate(flat):
                chance = np.random.default_rng([seed, first + k])
                spikes[k] = chance.random(spikes[k].shape) < sample
        else:
            early = steps - np.rint(flat * steps).astype(np.int64)
            spikes = (early[:, None] == np.arange(steps)[:, None]).astype(np.uint8)
    return spikes.reshape(len(values), steps, *values.shape[1:])


def rate_code(values: ArrayLike, steps: int) -> NDArray[np.uint8]:
    """Spread the spikes of a rate evenly over the steps, without chance.

    A value ``x`` gives ``round(x * steps)`` spikes; of ``n`` spikes the ``k``-th, counted from 0,
    falls into the first step ``t`` in which ``n * (t + 1) / steps`` reaches ``k + 1/2``, as an IAF
    neuron with subtracting reset that starts at half its threshold emits them.

    Parameters
    ----------
    values
        Rates from 0 to 1, spikes a step; shape (samples, inputs).
    steps
        Number of steps.

    Returns
    -------
    Spikes, 0 or 1, of shape (samples, steps, inputs).

    Raises
    ------
    TypeError
        If ``steps`` is not an integer.
    ValueError
        If a value is outside 0 to 1 or not a number, ``values`` is not two-dimensional, or
        ``steps`` is not positive.
    """
    values = np.asarray(values, dtype=np.float64)
    steps = exact_integer("steps", steps)
    if values.ndim != 2:
        raise ValueError(f"values must be of shape (samples, inputs), not {values.shape}")
    steps = _positive(steps)
    values = _rates(values)
    spikes = np.rint(values * steps).astype(np.int64)[:, None, :]
    time = np.arange(steps + 1)[None, :, None]
    passed = (spikes * time + steps // 2) // steps
    return np.diff(passed, axis=1).astype(np.uint8)


def _positive(steps: int) -> int:
    steps = exact_integer("steps", steps)
    if steps < 1:
        raise ValueError(f"steps must be positive, not {steps!r}")
    return steps


def _rates(values: ArrayLike) -> NDArray[np.float64]:
    rates = np.asarray(values, dtype=np.float64)
    if not np.all((rates >= 0) & (rates <= 1)):
        worst = rates[~((rates >= 0) & (rates <= 1))][0]
        raise ValueError(f"values must be 0 to 1, but one is {worst:g}; a constant may be anything")
    return rates
