"""Dense layers, and stacks of them: the plainest of networks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import IntArray, exact_integer, signed_width
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
    FloatNetwork,
    FloatPopulation,
    check_weight,
)
from spikeloom.reference.neuron_fixed import Emission, NeuronConfig
from spikeloom.reference.neuron_float import FloatArray, FloatNeuron
from spikeloom.reference.profile import Accumulation

__all__ = ["FixedDense", "FloatDense", "dense_layers", "fixed_stack", "float_stack"]


@dataclass(frozen=True, eq=False)
class FloatDense:
    """A dense layer of a stack.

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


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedDense:
    """A dense layer of a stack, in integers.

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
        Places between a weight's last and the state's last place, 0 to 24: one number, or one for
        each input.
    max_count, least_count
        The most and the least that one input brings in one step, of at most 32 bits; the least is
        0 for spikes.

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
    weight_shift: int | tuple[int, ...] = 0
    max_count: int = 1
    least_count: int = 0

    def __post_init__(self) -> None:
        for each in self.shifts:
            if not 0 <= exact_integer("weight_shift", each) <= 24:
                raise ValueError(f"weight_shift must be 0 to 24, not {each!r}")
        for name, lowest, highest in (
            ("weight_width", 2, 16),
            ("max_count", 1, (1 << 31) - 1),
            ("least_count", -(1 << 31), 0),
        ):
            value = exact_integer(name, getattr(self, name))
            if not lowest <= value <= highest:
                raise ValueError(f"{name} must be {lowest} to {highest}, not {value!r}")
            object.__setattr__(self, name, value)
        given = np.asarray(self.weight)
        check_weight(given, self.weight_width)
        weight = _matrix("weight", given, np.int64)
        object.__setattr__(self, "weight", weight)
        if weight.shape[1] != self.neurons.size:
            raise ValueError(
                f"weight must have a column for each of {self.neurons.size} neurons,"
                f" not {weight.shape[1]}"
            )
        width = max(self.neurons.current_width, self.accumulator_width + min(self.shifts))
        if width > 48:
            raise ValueError(f"the input current must fit 48 bits, but can need {width}")
        object.__setattr__(self, "neurons", replace(self.neurons, current_width=width))

    @property
    def shifts(self) -> tuple[int, ...]:
        """The shift of each input, or one for all."""
        return self.weight_shift if isinstance(self.weight_shift, tuple) else (self.weight_shift,)

    @property
    def accumulator_width(self) -> int:
        """Bits that hold every sum that can occur, in units of the least shift's places.

        A running sum in any order fits too: it lies between the sum of what is negative and that
        of what is positive.
        """
        finer = np.array(self.shifts) - min(self.shifts)
        weight = self.weight << finer.reshape(-1, 1)
        rise = np.maximum(weight, 0).sum(axis=0), np.minimum(weight, 0).sum(axis=0)
        most = int((rise[0] * self.max_count + rise[1] * self.least_count).max())
        least = int((rise[1] * self.max_count + rise[0] * self.least_count).min())
        return max(2, signed_width(least), signed_width(most))


def float_stack(layers: Sequence[FloatDense]) -> FloatNetwork:
    """Dense layers one after the other: ``input``, ``layer_0``, …; output ``output``.

    Raises
    ------
    ValueError
        If there is no layer, or one's inputs are not the neurons of the one before.
    """
    _check_chain([layer.weight.shape for layer in layers])
    populations = {}
    source = "input"
    for k, layer in enumerate(layers):
        name = f"layer_{k}"
        populations[name] = FloatPopulation(
            shape=layer.weight.shape[1:],
            neuron=replace(layer.neuron, bias=layer.neuron.bias + layer.bias),
            connections=(Connection(source=source, maps=(Dense(layer.weight),)),),
        )
        source = name
    return FloatNetwork({"input": layers[0].weight.shape[:1]}, populations, {"output": source})


def fixed_stack(layers: Sequence[FixedDense], profile: str) -> FixedNetwork:
    """Dense layers one after the other: ``input``, ``layer_0``, …; output ``output``.

    Raises
    ------
    ValueError
        If there is no layer, one's inputs are not the neurons of the one before, or one's
        ``max_count`` is not the ``max_spikes`` of the one before.
    """
    _check_chain([layer.weight.shape for layer in layers])
    populations: dict[str, FixedPopulation] = {}
    source, most = "input", layers[0].max_count
    for k, layer in enumerate(layers):
        if layer.max_count != most:
            raise ValueError(
                f"max_count of layer {k} must be {most}, the max_spikes of the layer before,"
                f" not {layer.max_count}"
            )
        if isinstance(layer.weight_shift, tuple):
            raise ValueError(f"weight_shift of layer {k} must be one for all inputs, but differs")
        connection = Connection(
            source=source, maps=(Dense(layer.weight),), shift=layer.weight_shift
        )
        source, most = f"layer_{k}", layer.neurons.max_spikes
        populations[source] = FixedPopulation(
            shape=layer.weight.shape[1:],
            neurons=layer.neurons,
            connections=(connection,),
            weight_width=layer.weight_width,
        )
    first = layers[0]
    inputs = {"input": FixedInput(shape=first.weight.shape[:1], high=first.max_count)}
    return FixedNetwork(inputs, populations, {"output": source}, profile)


def dense_layers(network: FixedNetwork) -> tuple[FixedDense, ...]:
    """The dense layers of a stack in order.

    Raises
    ------
    ValueError
        If the network is more than a stack of dense layers without delays.
    """
    layers = []
    if len(network.inputs) != 1:
        raise ValueError(f"a stack must have one input, not {len(network.inputs)}")
    ((source, entry),) = network.inputs.items()
    if entry.low or entry.clips:
        raise ValueError(f"input {source!r} of a stack must be of spike counts, but is not")
    for name, population in network.populations.items():
        one = population.connections[0] if len(population.connections) == 1 else None
        if (
            one is None
            or one.source != source
            or len(one.maps) != 1
            or not isinstance(one.maps[0], Dense)
            or np.any(one.delay)
            or population.late_bias
        ):
            raise ValueError(
                f"population {name!r} of a stack must have one dense connection, without"
                f" delay, from {source!r}"
            )
        neurons = population.neurons
        if neurons.emission is Emission.POTENTIAL or neurons.accumulation is not Accumulation.STEP:
            raise ValueError(
                f"population {name!r} of a stack must send spikes and sum step by step"
            )
        layers.append(
            FixedDense(
                weight=one.maps[0].weight,
                weight_width=population.weight_width,
                neurons=neurons,
                weight_shift=one.shift,
                max_count=network.sent(source)[1],
            )
        )
        source = name
    if list(network.outputs.values()) != [source]:
        raise ValueError(f"the one output of a stack must be {source!r}")
    return tuple(layers)


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
