"""Runs of whole networks: the float yardstick and the golden model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.fixed import IntArray, exact_integers
from spikeloom.reference.network import FixedNetwork, FloatNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig, initial_state, step

__all__ = ["Recording", "run_fixed", "run_float", "run_neurons"]


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
        counts = np.empty(current.shape, dtype=np.uint8)
        v = np.empty(current.shape)
        for t in range(current.shape[1]):
            state, counts[:, t] = layer.neuron.step(state, current[:, t])
            v[:, t] = state.v
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
        counts, v = run_neurons(layer.neurons, layer.current(counts))
        spikes.append(counts)
        membrane.append(v)
    return Recording(tuple(spikes), tuple(membrane))


def run_neurons(config: NeuronConfig, current: ArrayLike) -> tuple[NDArray[np.uint8], IntArray]:
    """Run fixed-point neurons on input currents, exactly.

    Parameters
    ----------
    config
        The neurons.
    current
        Integers of shape (samples, steps, neurons).

    Returns
    -------
    spikes, membrane
        Spike counts and membrane potentials after each step, of the same shape.

    Raises
    ------
    TypeError
        If a current is not an integer.
    ValueError
        If a current does not fit its width.
    """
    current = exact_integers("current", current)
    state = initial_state(config, current.shape[:1])
    spikes = np.empty(current.shape, dtype=np.uint8)
    membrane = np.empty(current.shape, dtype=np.int64)
    for t in range(current.shape[1]):
        state, spikes[:, t] = step(state, current[:, t], config)
        membrane[:, t] = state.v
    return spikes, membrane


def _checked(raster: ArrayLike, inputs: int) -> NDArray[Any]:
    raster = np.asarray(raster)
    if raster.ndim != 3 or raster.shape[2] != inputs:
        raise ValueError(f"raster must be of shape (samples, steps, {inputs}), not {raster.shape}")
    return raster
