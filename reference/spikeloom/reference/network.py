"""Dense layers and feed-forward networks of them, in floating and in fixed point.

:class:`FixedNetwork` is the contract of the whole project: it alone fixes every spike and every
state bit of golden model, hardware and netlist.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import IntArray, exact_integer, exact_integers, signed_width
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.neuron_float import FloatArray, FloatNeuron

__all__ = ["FixedDense", "FixedNetwork", "FloatDense", "FloatNetwork"]


@dataclass(frozen=True, eq=False)
class FloatDense:
    """A dense layer of textbook neurons.

    Parameters
    ----------
    weight
        Finite weights of shape (inputs, neurons).
    neuron
        The neuron that all of the layer's have in common.
    bias
        One current a neuron, added to the weighted sum of every step; shape (neurons,).

    Raises
    ------
    ValueError
        If the shapes do not agree or a number is not finite.
    """

    weight: FloatArray
    neuron: FloatNeuron
    bias: FloatArray | float = 0.0

    def __post_init__(self) -> None:
        weight = _matrix("weight", self.weight, np.float64)
        bias = np.broadcast_to(np.asarray(self.bias, dtype=np.float64), weight.shape[1:])
        for name, values in (("weight", weight), ("bias", bias)):
            if not np.all(np.isfinite(values)):
                raise ValueError(f"{name} must be finite, but holds NaN or infinity")
            object.__setattr__(self, name, values)


@dataclass(frozen=True)
class FloatNetwork:
    """A stack of dense layers: the yardstick for the fixed-point network.

    Raises
    ------
    ValueError
        If there is no layer, or one's inputs are not the neurons of the one before.
    """

    layers: tuple[FloatDense, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        _check_chain([layer.weight.shape for layer in self.layers])


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedDense:
    """A dense layer in integers.

    The input current of neuron ``j`` in a step is ``sum(count[i] * weight[i, j]) <<
    weight_shift``, formed exactly.

    Parameters
    ----------
    weight
        Integer weights of shape (inputs, neurons).
    weight_width
        Bits of a signed weight, 2 to 16.
    neurons
        The neurons. Their ``current_width`` is widened to hold every sum that can occur.
    weight_shift
        Places between a weight's last and the state's last place, 0 to 24.
    max_count
        Most spikes that one input brings in one step, 1 to 255.

    Raises
    ------
    TypeError
        If the weights are not integers.
    ValueError
        If a parameter is outside its range, a weight does not fit ``weight_width``, or the
        numbers of neurons do not agree.
    """

    weight: IntArray
    weight_width: int
    neurons: NeuronConfig
    weight_shift: int = 0
    max_count: int = 1

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("weight_width", 2, 16),
            ("weight_shift", 0, 24),
            ("max_count", 1, 255),
        ):
            value = exact_integer(name, getattr(self, name))
            if not lowest <= value <= highest:
                raise ValueError(f"{name} must be {lowest} to {highest}, not {value!r}")
            object.__setattr__(self, name, value)
        half = 1 << (self.weight_width - 1)
        given = np.asarray(self.weight)
        if not np.issubdtype(given.dtype, np.integer):
            raise TypeError(f"weight must hold integers, not {given.dtype}")
        if given.size and not -half <= int(given.min()) <= int(given.max()) < half:
            raise ValueError(
                f"weight must fit {self.weight_width} bits, {-half} to {half - 1}, but ranges"
                f" from {given.min()} to {given.max()}"
            )
        weight = _matrix("weight", given, np.int64)
        object.__setattr__(self, "weight", weight)
        if weight.shape[1] != self.neurons.size:
            raise ValueError(
                f"weight must have a column for each of {self.neurons.size} neurons,"
                f" not {weight.shape[1]}"
            )
        width = max(self.neurons.current_width, self.accumulator_width + self.weight_shift)
        if width > 48:
            raise ValueError(f"the input current must fit 48 bits, but can need {width}")
        object.__setattr__(self, "neurons", replace(self.neurons, current_width=width))

    @property
    def accumulator_width(self) -> int:
        """Bits that hold every sum of ``max_count`` times the weights that can occur.

        A running sum in any order fits too: it lies between the sum of a column's negative
        weights and that of its positive ones.
        """
        most = int(np.maximum(self.weight, 0).sum(axis=0).max()) * self.max_count
        least = int(np.minimum(self.weight, 0).sum(axis=0).min()) * self.max_count
        return max(2, signed_width(least), signed_width(most))

    def current(self, counts: ArrayLike) -> IntArray:
        """Input currents of shape (..., neurons) for spike counts of shape (..., inputs).

        Exact: the product runs in floating point only where every sum that can occur has an
        exact representation there.

        Raises
        ------
        TypeError
            If a count is not an integer.
        ValueError
            If a count is negative or above ``max_count``.
        """
        counts = exact_integers("counts", counts)
        if counts.size and not (counts.min() >= 0 and counts.max() <= self.max_count):
            raise ValueError(
                f"counts must be 0 to {self.max_count}, not {counts.min()} to {counts.max()}"
            )
        kind: type[np.float32 | np.float64]
        kind = np.float32 if self.accumulator_width <= 24 else np.float64
        product = counts.astype(kind) @ self.weight.astype(kind)
        return product.astype(np.int64) << self.weight_shift


@dataclass(frozen=True)
class FixedNetwork:
    """A stack of dense layers in integers, and the name of the profile that it realises.

    Raises
    ------
    ValueError
        If there is no layer, one's inputs are not the neurons of the one before, or one's
        ``max_count`` is not the ``max_spikes`` of the one before.
    """

    layers: tuple[FixedDense, ...]
    profile: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        _check_chain([layer.weight.shape for layer in self.layers])
        for k, (before, after) in enumerate(pairwise(self.layers), 1):
            if after.max_count != before.neurons.max_spikes:
                raise ValueError(
                    f"max_count of layer {k} must be {before.neurons.max_spikes}, the max_spikes"
                    f" of the layer before, not {after.max_count}"
                )

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.layers[0].weight.shape[0])

    @property
    def outputs(self) -> int:
        """Number of output neurons."""
        return self.layers[-1].neurons.size


def _matrix(name: str, values: ArrayLike, kind: type) -> NDArray[Any]:
    matrix: NDArray[Any] = np.array(values, dtype=kind)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"{name} must be of shape (inputs, neurons), not {matrix.shape}")
    matrix.flags.writeable = False
    return matrix


def _check_chain(shapes: Sequence[tuple[int, ...]]) -> None:
    if not shapes:
        raise ValueError("a network must have at least one layer")
    for k, (before, after) in enumerate(pairwise(shapes), 1):
        if after[0] != before[1]:
            raise ValueError(
                f"layer {k} must have {before[1]} inputs, the neurons of the layer before,"
                f" not {after[0]}"
            )
