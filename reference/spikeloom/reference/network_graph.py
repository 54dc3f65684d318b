"""NIR graphs out of networks: the way back from :mod:`~spikeloom.reference.nir_network`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.graph import (
    IF,
    Affine,
    ChargedIF,
    Conv1d,
    Conv2d,
    Flatten,
    Graph,
    I,
    Input,
    Linear,
    Node,
    Output,
    Scale,
    SumPool2d,
)
from spikeloom.reference.maps import (
    Convolution,
    Dense,
    Diagonal,
    Map,
    Pool,
    Reshape,
    Weighted,
    apply_maps,
)
from spikeloom.reference.network import Connection, FloatNetwork, FloatPopulation

__all__ = ["network_graph"]

Array = NDArray[Any]


def network_graph(network: FloatNetwork) -> Graph:
    """The NIR graph of a network of IF neurons, in single precision.

    A population becomes a node of its name, one that sends its input as it comes the output of its
    name. The maps of a connection become nodes of names that begin with the population's.

    Raises
    ------
    ValueError
        If a neuron leaks, a connection has a delay, or a map or bias cannot be said; the message
        names the population.
    """
    nodes: dict[str, Node] = {name: Input(shape) for name, shape in network.inputs.items()}
    edges: list[tuple[str, str]] = []
    for name, population in network.populations.items():
        try:
            _add(name, population, nodes, edges)
        except ValueError as error:
            raise ValueError(f"population {name!r}: {error}") from None
    for name, source in network.outputs.items():
        if name != source:
            nodes[name] = Output(network.populations[source].shape)
            edges.append((source, name))
    return Graph(nodes, tuple(edges))


def _add(
    name: str,
    population: FloatPopulation,
    nodes: dict[str, Node],
    edges: list[tuple[str, str]],
) -> None:
    """Add a population and what leads to it."""
    bias: Array | None = np.broadcast_to(np.asarray(population.neuron.bias), population.shape)
    if not np.any(bias):
        bias = None
    if population.late_bias:
        raise ValueError("a bias must act from the first step on")
    for k, connection in enumerate(population.connections):
        if np.any(connection.delay):
            raise ValueError(f"the connection from {connection.source!r} must have no delay")
        before = connection.source
        prefix = name if len(population.connections) == 1 else f"{name}.{k}"
        links, taken = _links(connection, bias)
        if taken:
            bias = None
        for word, link in links:
            inner = f"{prefix}.{word}"
            nodes[inner] = link
            edges.append((before, inner))
            before = inner
        edges.append((before, name))
    nodes[name] = _neuron_node(population, bias)


def _neuron_node(population: FloatPopulation, bias: Array | None) -> Node:
    """The node of neurons, with the bias that no weights can bring."""
    neuron, shape = population.neuron, population.shape

    def spread(value: Any) -> Array:
        return np.broadcast_to(np.float32(value), shape).copy()

    if bias is not None and neuron.v_th is None:
        raise ValueError(
            "its bias must go with the weights of a connection, but differs within a channel, or"
            " none has weights"
        )
    if neuron.relay and neuron.v_th is None:
        return Output(shape)
    if np.any(neuron.alpha != 1) or np.any(neuron.leak) or neuron.tau_syn is not None:
        raise ValueError("its neurons must be IF, without leak and synapse, but are not")
    if neuron.v_th is None:
        return I(spread(neuron.r))
    parameters = (spread(neuron.r), spread(neuron.v_th), spread(neuron.v_reset))
    if not np.any(neuron.v_init) and neuron.max_spikes is None and bias is None:
        return IF(*parameters)
    own = None if bias is None else bias.astype(np.float32)
    return ChargedIF(*parameters, spread(neuron.v_init), neuron.most_spikes, own)


def _links(connection: Connection, bias: Array | None) -> tuple[list[tuple[str, Node]], bool]:
    """Nodes of the maps with words for their names, and whether one has taken the bias."""
    links: list[tuple[str, Node]] = []
    taken = False
    for k, each in enumerate(connection.maps):
        own = None
        if isinstance(each, Weighted) and bias is not None:
            own = _own_bias(each, connection.maps[k + 1 :], bias)
        taken |= own is not None
        links.append(_link(each, own))
    words = [word for word, _ in links]
    for k, (word, node) in enumerate(links):
        if words.count(word) > 1:
            links[k] = f"{word}_{k}", node
    return links, taken


def _own_bias(each: Weighted, after: tuple[Map, ...], bias: Array) -> Array | None:
    """The bias that weights must have to bring one to neurons behind other maps, if there is."""
    if not isinstance(each, Dense | Convolution):
        return None
    ones = np.ones((1, *each.output_shape))
    through = apply_maps(after, ones)[0]
    if not np.all(through == through.flat[0]) or through.flat[0] == 0:
        return None
    share = bias / through.flat[0]
    if isinstance(each, Dense):
        return share.reshape(-1) if share.size == each.output_shape[0] else None
    channels = share.reshape(len(share), -1)
    if len(channels) != each.output_shape[0] or np.any(channels != channels[:, :1]):
        return None
    return channels[:, 0]


def _link(each: Map, bias: Array | None) -> tuple[str, Node]:
    if isinstance(each, Dense):
        weight = each.weight.T.astype(np.float32)
        if bias is None:
            return "weight", Linear(weight)
        return "weight", Affine(weight, bias.astype(np.float32))
    if isinstance(each, Convolution):
        weight = each.weight.astype(np.float32)
        if bias is None:
            bias = np.zeros(len(weight))
        kinds: dict[int, Any] = {3: Conv1d, 4: Conv2d}
        if weight.ndim not in kinds:
            raise ValueError(f"a convolution must have 1 or 2 dimensions, not {weight.ndim - 2}")
        options = (each.stride, each.padding, each.dilation, each.groups, each.shape[1:])
        return "conv", kinds[weight.ndim](weight, bias.astype(np.float32), *options)
    if isinstance(each, Diagonal):
        return "scale", Scale(each.weight.astype(np.float32))
    if isinstance(each, Pool) and len(each.kernel) == 2:
        return "pool", SumPool2d(each.kernel, each.stride, each.padding)
    if isinstance(each, Reshape):
        for start in range(len(each.shape)):
            for end in range(start, len(each.shape)):
                if Flatten(start, end).output_shape(each.shape) == each.to:
                    return "flatten", Flatten(start, end)
    raise ValueError(f"{type(each).__name__} must be a layer of NIR, but is none")
