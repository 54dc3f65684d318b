"""The network of ``golden.py`` in the layers of sinabs and of snnTorch."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from sinabs.activation import SingleSpike
from sinabs.layers import IAF
from snntorch import Leaky

from spikeloom.reference.network import FloatNetwork

Array = np.ndarray[Any, Any]
Run = Callable[[int], Array]
"""A run in batches of a size, which gives the counts of the outputs, shape (images, classes)."""


def linear_layers(network: FloatNetwork) -> Iterator[Any]:
    """The connections of a stack as layers of PyTorch."""
    for population in network.populations.values():
        (dense,) = population.connections[0].maps
        layer = torch.nn.Linear(*dense.weight.shape)
        layer.weight.data = torch.tensor(dense.weight.T, dtype=torch.float32)
        layer.bias.data = torch.tensor(population.neuron.bias, dtype=torch.float32)
        yield layer


def batches_of(raster: Array, forward: Callable[[Any], Any]) -> Run:
    """A run of a PyTorch model in batches of a size."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    whole = torch.from_numpy(raster)

    @torch.inference_mode()
    def run(batch: int) -> Array:
        return torch.cat([forward(each.float()) for each in whole.split(batch)]).numpy()

    return run


def of_sinabs(network: FloatNetwork, raster: Array) -> Run:
    """The same network of sinabs' layers."""
    linear = list(linear_layers(network))
    neurons = [IAF(spike_fn=SingleSpike) for _ in linear]

    def forward(x: Any) -> Any:
        for layer, iaf in zip(linear, neurons, strict=True):
            iaf.v_mem = torch.full((len(x), layer.out_features), 0.5)
            x = iaf(layer(x))
        return x.sum(1)

    return batches_of(raster, forward)


def of_snntorch(network: FloatNetwork, raster: Array) -> Run:
    """The same network of snnTorch's layers."""
    linear = list(linear_layers(network))
    neurons = [Leaky(beta=1.0, reset_mechanism="subtract") for _ in linear]

    def forward(x: Any) -> Any:
        for layer, leaky in zip(linear, neurons, strict=True):
            current = layer(x)
            potential = torch.full((len(x), layer.out_features), 0.5)
            spikes = []
            for t in range(raster.shape[1]):
                spike, potential = leaky(current[:, t], potential)
                spikes.append(spike)
            x = torch.stack(spikes, dim=1)
        return x.sum(1)

    return batches_of(raster, forward)
