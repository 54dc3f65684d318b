"""Networks of rectified-linear units: the neutral description that every front door makes.

A network is a :class:`~spikeloom.reference.graph.Graph` of NIR's linear nodes and of two that NIR
does not have, :class:`ReLU` and :class:`Norm`. What several edges bring to a node is summed, so a
residual addition is no node of its own.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeloom.reference.graph import (
    IF,
    Affine,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    Node,
    Output,
    Scale,
    Shape,
    SumPool2d,
    check_graph,
    input_shapes,
)
from spikeloom.reference.maps import apply_maps
from spikeloom.reference.network import FloatNetwork, schedule
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.profile import IAF

__all__ = [
    "Norm",
    "ReLU",
    "ReLUNetwork",
    "activations",
    "dense_ann",
    "global_pool",
    "in_single_precision",
    "relu_network",
]

Array = NDArray[Any]

_LINEAR = (Linear, Conv1d, Conv2d, SumPool2d, Flatten, Scale)


@dataclass(frozen=True, eq=False)
class ReLU(Node):
    """``min(max(x, 0), ceiling)``; without a ceiling where it is infinite."""

    ceiling: float = math.inf

    def __post_init__(self) -> None:
        if not self.ceiling > 0:
            raise ValueError(f"ceiling must be positive, not {self.ceiling!r}")

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


@dataclass(frozen=True, eq=False)
class Norm(Node):
    """``(x - mean) * scale + shift``, a number a channel: batch normalisation after training.

    Into weights it goes in their own precision and in this order, as PyTorch folds it, so that
    both ways of it into a network give the same numbers.
    """

    scale: Array
    shift: Array
    mean: Any = 0.0

    positive: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale.ndim != 1 or self.scale.shape != self.shift.shape:
            raise ValueError(
                "scale and shift must be of one shape (channels,), not"
                f" {self.scale.shape} and {self.shift.shape}"
            )

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) > 3 or input_shape[:1] != self.scale.shape:
            raise ValueError(f"its input must be of {len(self.scale)} channels, not {input_shape}")
        return input_shape


@dataclass(frozen=True, eq=False)
class ReLUNetwork:
    """A network of rectified-linear units, made ready to be run and converted.

    Attributes
    ----------
    network
        Its linear maps: populations stand for the units by name, their biases included; what its
        neurons are is not said.
    ceilings
        The ceiling of each population of units. The others send their weighted sum.
    """

    network: FloatNetwork
    ceilings: Mapping[str, float]


def dense_ann(weights: Sequence[ArrayLike], biases: Sequence[ArrayLike]) -> Graph:
    """Dense layers, each with rectified-linear units ``layer_0``, ``layer_1`` and so on.

    Parameters
    ----------
    weights, biases
        Layers in order; shapes (inputs, neurons) and (neurons,).
    """
    arrays = [np.asarray(each, dtype=np.float64) for each in weights]
    nodes: dict[str, Node] = {"input": Input(arrays[0].shape[:1])}
    for k, (weight, bias) in enumerate(zip(arrays, biases, strict=True)):
        nodes[f"dense_{k}"] = Affine(weight.T, np.asarray(bias, dtype=np.float64))
        nodes[f"layer_{k}"] = ReLU()
    nodes["output"] = Output(arrays[-1].shape[1:])
    return Graph(nodes, tuple(pairwise(nodes)))


def global_pool(shape: Shape) -> AvgPool2d:
    """The mean over all places of an input of shape (channels, height, width)."""
    return AvgPool2d(shape[1:], (1, 1), (0, 0))


def relu_network(ann: Graph) -> ReLUNetwork:
    """The linear maps between the units of a network, its normalisations folded into them.

    Raises
    ------
    ValueError
        If it has a node of another kind, more than one input or output, or a loop; the message
        names the node.
    """
    _check(ann)
    ann = _without_norms(ann)
    shapes = input_shapes(ann)
    ceilings: dict[str, float] = {}
    nodes: dict[str, Node] = {}
    for name, node in ann.nodes.items():
        if isinstance(node, ReLU):
            one = np.ones(shapes[name])
            ceilings[name] = node.ceiling
            nodes[name] = IF(one, one, 0 * one)
        else:
            nodes[name] = node
    network = network_of(Graph(nodes, ann.edges), IAF)
    return ReLUNetwork(network, ceilings)


def activations(ann: ReLUNetwork, samples: ArrayLike) -> dict[str, Array]:
    """What the units of each population send, in single precision.

    Parameters
    ----------
    samples
        Inputs of shape (samples, \\*shape).
    """
    network = ann.network
    ((source, shape),) = network.inputs.items()
    sent = {source: np.asarray(samples, dtype=np.float32)}
    if sent[source].shape[1:] != tuple(shape):
        inner = ", ".join(map(str, shape))
        raise ValueError(f"samples must be of shape (samples, {inner}), not {sent[source].shape}")
    for (name,) in schedule(network.populations):
        population = network.populations[name]
        total = np.zeros((len(sent[source]), *population.shape), dtype=np.float32)
        total += np.asarray(population.neuron.bias, dtype=np.float32)
        for each in population.connections:
            total += apply_maps(in_single_precision(each.maps), sent[each.source])
        if name in ann.ceilings:
            np.clip(total, 0, ann.ceilings[name], out=total)
        sent[name] = total
    return sent


def in_single_precision(maps: Sequence[Any]) -> list[Any]:
    """Maps in single precision."""
    return [
        each.with_weight(each.weight.astype(np.float32)) if hasattr(each, "weight") else each
        for each in maps
    ]


def _check(ann: Graph) -> None:
    kinds = (Input, Output, ReLU, Norm, *_LINEAR)
    for name, node in ann.nodes.items():
        if not isinstance(node, kinds):
            raise ValueError(
                f"node {name!r} must be linear or a ReLU, not of type {type(node).__name__}"
            )
    for kind in (Input, Output):
        count = sum(isinstance(each, kind) for each in ann.nodes.values())
        if count != 1:
            raise ValueError(f"the network must have one {kind.__name__}, not {count}")
    check_graph(ann)


def _without_norms(ann: Graph) -> Graph:
    """The network with each normalisation in the weights before it, or as weights of its own."""
    nodes, edges = dict(ann.nodes), list(ann.edges)
    shapes = input_shapes(ann)
    for name, norm in ann.nodes.items():
        if not isinstance(norm, Norm):
            continue
        before = [a for a, b in edges if b == name]
        if not all(_takes(nodes[each], each, edges) for each in before):
            nodes[name] = _depthwise(norm, shapes[name])
            continue
        own = norm
        for each in before:
            nodes[each] = _scaled(cast(Any, nodes[each]), own)
            # What several bring is summed, and shifted once.
            own = Norm(norm.scale, np.zeros_like(norm.shift))
        after = [b for a, b in edges if a == name]
        edges = [
            pair
            for edge in edges
            for pair in (
                [(edge[0], each) for each in after]
                if edge[1] == name
                else []
                if edge[0] == name
                else [edge]
            )
        ]
        del nodes[name]
    return Graph(nodes, tuple(edges))


def _takes(node: Node, name: str, edges: Iterable[tuple[str, str]]) -> bool:
    """Whether a node has weights and leads to one other only."""
    return isinstance(node, Linear | Conv1d | Conv2d) and sum(a == name for a, _ in edges) == 1


def _scaled(node: Any, norm: Norm) -> Node:
    ones = (1,) * (node.weight.ndim - 1)
    weight = node.weight * norm.scale.reshape(-1, *ones)
    has = isinstance(node, Conv1d | Conv2d | Affine)
    bias = ((node.bias if has else 0 * norm.shift) - norm.mean) * norm.scale + norm.shift
    if isinstance(node, Conv1d | Conv2d):
        return replace(node, weight=weight, bias=bias)
    return Affine(weight, bias)


def _depthwise(norm: Norm, shape: Shape) -> Node:
    scale, shift = norm.scale, norm.shift - norm.mean * norm.scale
    rank = len(shape) - 1
    if rank == 0:
        return Affine(np.diag(scale), shift)
    one, zero = (1,) * rank, (0,) * rank
    kind = Conv1d if rank == 1 else Conv2d
    weight = scale.reshape(-1, 1, *one)
    return kind(weight, shift, one, zero, one, len(scale))
