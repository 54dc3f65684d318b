"""The networks of ``golden.py`` and ``conversion.py`` in layers of sinabs and of snnTorch."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from figures import CHECKOUT
from onnx import numpy_helper
from sinabs.activation import SingleSpike
from sinabs.from_torch import from_model
from sinabs.layers import IAF
from sinabs.utils import normalize_weights, reset_states
from torch import nn
from torch.fx.experimental.optimization import fuse

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
    from snntorch import Leaky

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


def converted_by_sinabs(
    path: Path, calibration: Array, images: Array, labels: Array, steps: int
) -> dict[str, Array]:
    """The share of images that sinabs' conversions decide rightly, after each step.

    Returns
    -------
    For ``plain``, which is ``from_model`` alone, and where layers follow each other in a row for
    ``normalised``, which is ``normalize_weights`` before it, an array of shape (steps,).
    """
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = trained_module(path)
    sample = torch.from_numpy(calibration)
    found = {"plain": _shares(model, images, labels, steps)}
    if isinstance(model, nn.Sequential):
        names = [name for name, _ in model.named_children()]
        relus = [k for k, each in enumerate(model) if isinstance(each, nn.ReLU)]
        normalize_weights(
            model,
            sample,
            output_layers=[names[k] for k in relus],
            param_layers=[names[k - 1] for k in relus],
        )
        found["normalised"] = _shares(model, images, labels, steps)
    return found


def trained_module(path: Path) -> nn.Module:
    """The module that an ONNX file of ``examples/trained`` was written from.

    Layers in a row, if that is what it is.
    """
    sys.path.append(str(CHECKOUT / "examples"))
    from networks import NETWORKS

    model = NETWORKS[path.stem.partition("-")[0]]().eval()
    row = isinstance(model, nn.Sequential)
    model = fuse(model)
    weights = {
        each.name.removesuffix(".half"): torch.from_numpy(numpy_helper.to_array(each).copy())
        for each in onnx.load(path).graph.initializer
    }
    state = model.state_dict()
    model.load_state_dict({name: weights[name].float() for name in state})
    if not row:
        return model
    return nn.Sequential(*(each for each in model.children() if not isinstance(each, nn.Identity)))


@torch.inference_mode()
def _shares(model: nn.Module, images: Array, labels: Array, steps: int) -> Array:
    batch = 50
    spiking = from_model(model, num_timesteps=steps).spiking_model.eval()
    right = np.zeros(steps)
    for k in range(0, len(images), batch):
        some = torch.from_numpy(images[k : k + batch])
        reset_states(spiking)
        sent = spiking(some.repeat_interleave(steps, dim=0))
        sums = sent.reshape(len(some), steps, -1).cumsum(1)
        right += (sums.argmax(2).numpy() == labels[k : k + batch, None]).sum(axis=0)
    return right / len(images)
