"""Stacks of dense spiking layers out of NIR graphs."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.graph import IF, LIF, Affine, Graph, Input, Linear, Node, Output
from spikeloom.reference.network import FloatDense, FloatNetwork
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import Decay, Profile

__all__ = ["dense_graph", "dense_network"]


def dense_network(graph: Graph, profile: Profile) -> FloatNetwork:
    """A stack of dense layers from a graph ``Input, (Affine | Linear, IF | LIF)..., Output``.

    Parameters
    ----------
    graph
        The graph; the neurons of a layer share their parameters.
    profile
        How time is discretised, which NIR leaves open.

    Raises
    ------
    ValueError
        If the graph is no such chain, or the profile's decay contradicts a node: the message names
        the node.
    """
    names = _chain(graph)
    layers = []
    for weighted, spiking in zip(names[1:-1:2], names[2:-1:2], strict=True):
        linear, node = graph.nodes[weighted], graph.nodes[spiking]
        if not isinstance(linear, Linear):
            raise ValueError(f"node {weighted!r} must be Affine or Linear, not {_kind(linear)}")
        neuron = _neuron(spiking, node, profile)
        bias = linear.bias.astype(np.float64) if isinstance(linear, Affine) else 0.0
        layers.append(FloatDense(linear.weight.T.astype(np.float64), neuron, bias))
    return FloatNetwork(tuple(layers))


def dense_graph(network: FloatNetwork) -> Graph:
    """The NIR graph of a stack of dense IF layers, the inverse of :func:`dense_network`.

    Raises
    ------
    ValueError
        If a neuron leaks, or does not start at 0: an IF node cannot say so.
    """
    nodes: dict[str, Node] = {"input": Input((network.layers[0].weight.shape[0],))}
    for k, layer in enumerate(network.layers):
        neuron = layer.neuron
        if neuron.profile.decay is not Decay.NONE or neuron.v_init != 0:
            raise ValueError(f"layer {k} must be of IF neurons that start at 0, but is not")
        size = layer.weight.shape[1]
        weight, bias = layer.weight.T.astype(np.float32), np.float32(layer.bias)
        nodes[f"affine_{k}"] = Affine(weight, np.broadcast_to(bias, (size,)))
        parameters = (neuron.r, neuron.v_th, neuron.v_reset)
        nodes[f"if_{k}"] = IF(*(np.full(size, value, np.float32) for value in parameters))
    nodes["output"] = Output((network.layers[-1].weight.shape[1],))
    names = list(nodes)
    return Graph(nodes, tuple(pairwise(names)))


def _chain(graph: Graph) -> list[str]:
    """Names of the nodes in the order of their edges."""
    inputs = [name for name, node in graph.nodes.items() if isinstance(node, Input)]
    if len(inputs) != 1:
        raise ValueError(f"graph must have one input for a stack of layers, not {len(inputs)}")
    names = inputs
    while after := [b for a, b in graph.edges if a == names[-1]]:
        if len(after) != 1 or after[0] in names:
            raise ValueError(f"node {names[-1]!r} must lead to one node that has not come before")
        names.append(after[0])
    if len(names) != len(graph.nodes) or not isinstance(graph.nodes[names[-1]], Output):
        raise ValueError("graph must be a chain from its input to its output")
    if len(names) < 4 or len(names) % 2:
        raise ValueError("graph must alternate between weights and spiking neurons")
    return names


def _neuron(name: str, node: Node, profile: Profile) -> FloatNeuron:
    match node:
        case IF() if profile.decay is Decay.NONE:
            return FloatNeuron(
                profile=profile,
                v_th=_shared(name, "v_threshold", node.v_threshold),
                r=_shared(name, "r", node.r),
                v_reset=_shared(name, "v_reset", node.v_reset),
            )
        case LIF() if profile.decay in (Decay.EULER, Decay.EXPONENTIAL, Decay.SHIFT):
            if np.any(node.v_leak != 0):
                raise ValueError(f"node {name!r}: v_leak must be 0, but is not")
            return FloatNeuron(
                profile=profile,
                v_th=_shared(name, "v_threshold", node.v_threshold),
                tau=_shared(name, "tau", node.tau),
                r=_shared(name, "r", node.r),
                v_reset=_shared(name, "v_reset", node.v_reset),
            )
        case IF() | LIF():
            raise ValueError(
                f"node {name!r} is {_kind(node)}, which decay {profile.decay.value!r} of profile"
                f" {profile.name!r} contradicts"
            )
        case _:
            raise ValueError(f"node {name!r} must be IF or LIF, not {_kind(node)}")


def _shared(name: str, parameter: str, values: NDArray[np.floating]) -> float:
    if values.size == 0 or np.any(values != values.flat[0]):
        raise ValueError(f"node {name!r}: {parameter} must be one for all neurons, but differs")
    return float(values.flat[0])


def _kind(node: Node) -> str:
    return type(node).__name__
