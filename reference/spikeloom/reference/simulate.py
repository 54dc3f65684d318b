"""Runs of whole networks: the float yardstick and the golden model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference import neuron_fixed
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.network import FixedNetwork, FloatNetwork

__all__ = ["Recording", "run_fixed", "run_float"]


@dataclass(frozen=True, eq=False)
class Recording:
    """What a run left behind.

    Attributes
    ----------
    spikes
        For each layer the spike counts, shape (samples, steps, neurons), uint8.
    membrane
        For each layer the membrane potential after each step, same shape: real numbers from
        :func:`run_float`, integers from :func:`run_fixed`.
    """

    spikes: tuple[NDArray[np.uint8], ...]
    membrane: tuple[NDArray[Any], ...]

    @property
    def counts(self) -> IntArray:
        """Spikes of each output neuron over all steps, shape (samples, outputs)."""
        return self.spikes[-1].sum(axis=1, dtype=np.int64)

    @property
    def decision(self) -> IntArray:
        """The output neuron with the most spikes, the first of equals; shape (samples,)."""
        return np.argmax(self.counts, axis=1)


def run_float(network: FloatNetwork, raster: ArrayLike) -> Recording:
    """Run the float network from its initial state.

    Parameters
    ----------
    raster
        Spike counts of shape (samples, steps, inputs).

    Raises
    ------
    ValueError
        If the raster's shape does not fit the network.
    """
    counts = _checked(raster, network.layers[0].weight.shape[0])
    spikes, membrane = [], []
    for layer in network.layers:
        current = counts.astype(np.float64) @ layer.weight + layer.bias
        state = layer.neuron.initial((len(counts), current.shape[2]))
        v, counts = _over_time(layer.neuron.step, state, current)
        spikes.append(counts)
        membrane.append(v)
    return Recording(tuple(spikes), tuple(membrane))


def run_fixed(network: FixedNetwork, raster: ArrayLike) -> Recording:
    """Run the golden model from its initial state, exactly.

    Parameters
    ----------
    raster
        Spike counts of shape (samples, steps, inputs), from 0 to the first layer's ``max_count``.

    Raises
    ------
    ValueError
        If the raster's shape or counts do not fit the network.
    """
    counts = _checked(raster, network.inputs)
    spikes, membrane = [], []
    for layer in network.layers:
        config = layer.neurons
        state = neuron_fixed.initial_state(config, counts.shape[:1])

        def step(state, current, config=config):  # type: ignore[no-untyped-def]
            return neuron_fixed.step(state, current, config)

        v, counts = _over_time(step, state, layer.current(counts))
        spikes.append(counts)
        membrane.append(v)
    return Recording(tuple(spikes), tuple(membrane))


def _checked(raster: ArrayLike, inputs: int) -> NDArray[np.integer]:
    raster = np.asarray(raster)
    if raster.ndim != 3 or raster.shape[2] != inputs:
        raise ValueError(f"raster must be of shape (samples, steps, {inputs}), not {raster.shape}")
    return raster


def _over_time(step: Callable, state, current):  # type: ignore[no-untyped-def,type-arg]
    v = np.empty(current.shape, dtype=state.v.dtype)
    spikes = np.empty(current.shape, dtype=np.uint8)
    for t in range(current.shape[1]):
        state, spikes[:, t] = step(state, current[:, t])
        v[:, t] = state.v
    return v, spikes
