"""Real numbers as spike trains."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import exact_integer

__all__ = ["rate_code"]


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
    if steps < 1:
        raise ValueError(f"steps must be positive, not {steps!r}")
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError("values must be 0 to 1, but one is not")
    spikes = np.rint(values * steps).astype(np.int64)[:, None, :]
    time = np.arange(steps + 1)[None, :, None]
    passed = (spikes * time + steps // 2) // steps
    return np.diff(passed, axis=1).astype(np.uint8)
