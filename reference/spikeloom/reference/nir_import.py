"""Graphs out of NIR files, as ``nir`` 1.0.4 to 1.0.8 and older ones write them.

Nothing is guessed. What a file leaves open but only one reading fits is repaired, and each repair
is a sentence of :attr:`NIRFile.repairs`; everything else that is not a whole and sound network is
refused with a :class:`~spikeloom.reference.nir_file.NIRError`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.graph import (
    IF,
    NODE_TYPES,
    Affine,
    ChargedIF,
    Conv1d,
    Conv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    Node,
    Output,
    Shape,
    SumPool2d,
    check_graph,
    spread_shapes,
)
from spikeloom.reference.nir_file import MAX_EDGES, MAX_ELEMENTS, NIRError, Tree, read_tree

__all__ = ["NIRError", "NIRFile", "read_nir"]

Values: TypeAlias = NDArray[Any]
DEFAULTS = {"v_reset": 0, "w_in": 1}
"""Parameters that not every version of NIR knows or demands."""
LARGEST = 1 << 31
"""Where no integer of a file, such as a stride, lies beyond."""


@dataclass(frozen=True)
class NIRFile:
    """What a NIR file says.

    Parameters
    ----------
    graph
        The network; graphs within graphs stay so.
    version
        Version of ``nir`` that the file gives, empty if it gives none.
    repairs
        What was repaired, a sentence each.
    """

    graph: Graph
    version: str
    repairs: tuple[str, ...] = ()


def read_nir(path: Path | str) -> NIRFile:
    """Read a NIR file that anyone may have written.

    Parameters of neurons are given the shape of what arrives, integers become real numbers, and a
    convolution learns its input's shape, so that each node says all there is to say.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    NIRError
        If it is no file, is damaged, or is not a whole and sound network; nothing else, whatever
        its bytes. The message is one sentence with the file, the node and what is wrong.
    """
    path = Path(path)
    try:
        tree = read_tree(path)
        node = tree.get("node")
        if not isinstance(node, dict):
            raise NIRError("it is HDF5, but no NIR file: it has no group 'node'")
        repairs: list[str] = []
        version = tree.get("version")
        if not isinstance(version, str):
            version = ""
            repairs.append("the file gives no version of NIR")
        graph = _Builder(repairs).graph(node, "", None)
        check_graph(graph)
    except ValueError as error:
        raise NIRError(f"{str(path)!r}: {error}") from None
    return NIRFile(graph, version, tuple(repairs))


class _Builder:
    """Makes nodes of trees, from the inputs on, and notes what it repaired.

    Each method raises ValueError without the node's name; who calls it for a node adds that.
    """

    def __init__(self, repairs: list[str]) -> None:
        self.repairs = repairs
        self.elements = 0

    def graph(self, tree: Tree, where: str, shape: Shape | None) -> Graph:
        """A graph that gets input of a shape, which its own inputs say if it is the outermost.

        Parameters
        ----------
        where
            Names of the graphs around, each with ``/`` behind it; for the repairs.
        """
        kind = _kind(tree)
        if kind != "NIRGraph":
            raise ValueError(f"type must be 'NIRGraph', not {kind!r}")
        trees = _nodes(tree)
        edges = self.edges(tree, trees, where)
        start = self.starts(trees, where, shape)
        nodes: dict[str, Node] = {}

        def through(name: str, shape: Shape) -> Shape:
            nodes[name] = self.node(trees[name], f"{where}{name}", shape)
            shape = nodes[name].output_shape(shape)
            if math.prod(shape) > MAX_ELEMENTS:
                raise ValueError(f"its output must not be as large as {shape}")
            return shape

        spread_shapes(edges, start, through)
        for name in trees:
            if name not in nodes:
                raise ValueError(f"node {name!r}: an Input must lead to it, but none does")
        self.unknown(tree, where, {"nodes", "edges", "input_type", "output_type"})
        return Graph({name: nodes[name] for name in trees}, edges)

    def starts(
        self, trees: Mapping[str, Tree], where: str, shape: Shape | None
    ) -> dict[str, Shape]:
        """Shapes of what the graph's inputs get."""
        start = {}
        for name, tree in trees.items():
            try:
                if _kind(tree) == "Input":
                    start[name] = _declared_shape(tree) if shape is None else shape
            except ValueError as error:
                raise ValueError(f"node {name!r}: {error}") from None
        if shape is not None and len(start) != 1:
            raise ValueError(f"an inner graph must have one input, not {len(start)}")
        if not start:
            raise ValueError("the graph must have an Input, but has none")
        return start

    def edges(
        self, tree: Tree, trees: Mapping[str, Tree], where: str
    ) -> tuple[tuple[str, str], ...]:
        """The edges, with names that do not match set right."""
        value = tree.get("edges")
        if isinstance(value, np.ndarray) and value.size == 0:
            return ()
        if not isinstance(value, list) or not all(
            isinstance(edge, list) and len(edge) == 2 and all(isinstance(n, str) for n in edge)
            for edge in value
        ):
            raise ValueError("edges must be pairs of names, but are not")
        if len(value) > MAX_EDGES:
            raise ValueError(f"there must be at most {MAX_EDGES} edges, not {len(value)}")
        edges = []
        names: dict[tuple[str, str], str] = {}
        for pair in value:
            ends = []
            for end, kind in zip(pair, ("Output", "Input"), strict=True):
                if (end, kind) not in names:
                    names[end, kind] = _match(end, kind, trees, where)
                name = names[end, kind]
                if name != end:
                    self.repairs.append(
                        f"{_place(where)} edge {pair[0]!r} -> {pair[1]!r}: there is no node"
                        f" {end!r}; {name!r} was taken"
                    )
                ends.append(name)
            edges.append((ends[0], ends[1]))
        return tuple(edges)

    def node(self, tree: Tree, place: str, shape: Shape) -> Node:
        """The node, given the shape of what arrives at it."""
        kind = _kind(tree)
        node_type = NODE_TYPES[kind]
        if node_type is Graph:
            return self.graph(tree, f"{place}/", shape)
        known = {each.name for each in fields(node_type)}
        node: Node
        if issubclass(node_type, Input | Output):
            known |= {"input_type", "output_type"}
            node = node_type(self.end_shape(tree, place, shape))
        elif issubclass(node_type, Conv1d | Conv2d):
            node = self.convolution(node_type, tree, place, shape)
        elif issubclass(node_type, Affine):
            weight = _real(tree, "weight")
            node = node_type(weight, self.bias(tree, place, weight))
        elif issubclass(node_type, Linear):
            node = node_type(_real(tree, "weight"))
        elif issubclass(node_type, SumPool2d):
            node = node_type(
                *(_integers(tree, name, 2) for name in ("kernel_size", "stride", "padding"))
            )
        elif node_type is Flatten:
            known |= {"input_type"}
            node = self.flatten(tree, place, shape)
        else:
            node = self.elementwise(node_type, tree, place, shape)
        self.unknown(tree, place, known)
        return node

    def end_shape(self, tree: Tree, place: str, shape: Shape) -> Shape:
        """Shape of an input or output, which may say dimensions of 1 too many or too few."""
        declared = _declared_shape(tree)
        if declared != shape and _without_ones(declared) == _without_ones(shape):
            self.repair(place, f"shape is {declared}, but {shape} arrives; {shape} was taken")
            return shape
        return declared

    def convolution(
        self, node_type: type[Conv1d | Conv2d], tree: Tree, place: str, shape: Shape
    ) -> Node:
        n = node_type.dimensions
        weight = _real(tree, "weight")
        if weight.ndim != 2 + n:
            raise ValueError(f"weight must have {2 + n} dimensions, not shape {weight.shape}")
        dilation = _integers(tree, "dilation", n)
        stride = _integers(tree, "stride", n)
        sizes = None if tree.get("input_shape") is None else _integers(tree, "input_shape", n)
        return node_type(
            weight=weight,
            bias=self.bias(tree, place, weight),
            stride=stride,
            padding=_padding(tree, weight.shape[2:], stride, dilation),
            dilation=dilation,
            groups=_integers(tree, "groups", 1)[0],
            input_shape=shape[1:] if sizes is None else sizes,
        )

    def bias(self, tree: Tree, place: str, weight: Values) -> Values:
        """The bias; some tools leave it out, or write False, where there is none."""
        value = tree.get("bias")
        text = "is missing"
        if isinstance(value, np.ndarray) and value.dtype == bool and not value.any():
            value, text = None, "is the truth value False"
        if value is None:
            self.repair(place, f"bias {text}; 0 was taken")
            return np.zeros(weight.shape[:1], weight.dtype)
        bias, shape = _real(tree, "bias"), weight.shape[:1]
        if bias.size == 1 and bias.shape != shape:
            self.repair(place, f"bias: shape {bias.shape} was broadcast to shape {shape}")
            return np.full(shape, bias)
        return bias

    def flatten(self, tree: Tree, place: str, shape: Shape) -> Node:
        """Its dimensions may count a batch, if the shape it expects begins with one."""
        start, end = (_integers(tree, name, 1)[0] for name in ("start_dim", "end_dim"))
        value = tree.get("input_type")
        if value is None:
            return Flatten(start, end)
        expected = _shape(value, "input_type")
        if expected[1:] == shape and expected != shape and start != 0:
            self.repair(
                place, f"input_type {expected} counts a batch; its dimensions were taken without it"
            )
            return Flatten(start - (start > 0), end - (end > 0))
        if expected != shape:
            raise ValueError(f"its input must be of shape {expected}, not {shape}")
        return Flatten(start, end)

    def elementwise(self, node_type: type[Node], tree: Tree, place: str, shape: Shape) -> Node:
        """A node whose parameters have the shape of what arrives, or are broadcast to it."""
        values: dict[str, Values] = {}
        metadata = tree.get("metadata")
        charged = node_type is IF and isinstance(metadata, dict)
        spread: dict[str, list[str]] = {}
        for each in fields(node_type):
            name = each.name
            if name not in tree and name in DEFAULTS:
                if not charged:  # which only we write, and without a v_reset
                    self.repair(place, f"{name} is missing; {DEFAULTS[name]} was taken")
                values[name] = np.full(shape, DEFAULTS[name], np.result_type(*values.values()))
            else:
                value = _real(tree, name)
                values[name], how = _fitted(value, name, shape)
                if how:
                    spread.setdefault(how, []).append(name)
            self.elements += values[name].size
            if self.elements > MAX_ELEMENTS:
                raise ValueError(
                    f"the parameters of all neurons must be at most {MAX_ELEMENTS} numbers"
                )
        for how, names in spread.items():
            self.repair(place, f"{', '.join(names)}: {how} shape {shape}")
        if charged and isinstance(metadata, dict):
            return _charged(values, metadata, shape)
        return node_type(**values)

    def repair(self, place: str, text: str) -> None:
        self.repairs.append(f"node {place!r}: {text}")

    def unknown(self, tree: Tree, place: str, known: set[str]) -> None:
        for name in tree:
            if name not in known | {"type", "metadata"}:
                self.repairs.append(f"{_place(place)} has no parameter {name!r}; it was left out")


def _charged(values: Mapping[str, Values], metadata: Tree, shape: Shape) -> Node:
    """An IF with what its metadata add to it."""
    zeros = np.zeros(shape, values["v_threshold"].dtype)
    name = "spikeloom_v_init"
    v_init = _fitted(_real(metadata, name), name, shape)[0] if name in metadata else zeros
    name = "spikeloom_max_spikes"
    most = _integers(metadata, name, 1)[0] if name in metadata else 1
    name = "spikeloom_bias"
    bias = _fitted(_real(metadata, name), name, shape)[0] if name in metadata else None
    return ChargedIF(**values, v_init=v_init, max_spikes=most, bias=bias)


def _place(where: str) -> str:
    return f"node {where.removesuffix('/')!r}" if where else "the graph"


def _kind(tree: Tree) -> str:
    kind = tree.get("type")
    if kind is None:
        raise ValueError("type is missing")
    if not isinstance(kind, str):
        raise ValueError("type must be a text, but is not")
    if kind not in NODE_TYPES:
        raise ValueError(f"type must be one of NIR's {len(NODE_TYPES)}, not {kind!r}")
    return kind


def _nodes(tree: Tree) -> dict[str, Tree]:
    """The trees of a graph's nodes."""
    nodes = tree.get("nodes")
    if not isinstance(nodes, dict):
        raise ValueError("nodes must be a group, but is not")
    trees = {}
    for name, node in nodes.items():
        if not isinstance(node, dict):
            raise ValueError(f"node {name!r} must be a group, but is not")
        trees[name] = node
    return trees


def _match(end: str, kind: str, trees: Mapping[str, Tree], where: str) -> str:
    """Name of the node that an edge's end means.

    Tools that make a graph of a part of another mix up the names inside and outside: the end may
    have the graph's own name before it, or lack it, or be an inner graph's input or output.
    """
    if end in trees:
        return end
    found = set()
    if where:
        own = where.removesuffix("/").rpartition("/")[2] + "."
        found = {name for name in (own + end, end.removeprefix(own)) if name in trees}
    for name in (end[:n] for n, c in enumerate(end) if c == "."):
        nodes = trees.get(name, {}).get("nodes")
        inner = nodes.get(end[len(name) + 1 :]) if isinstance(nodes, dict) else None
        if isinstance(inner, dict) and _kind(inner) == kind:
            found.add(name)
    if len(found) != 1:
        raise ValueError(f"edges must join nodes, but {end!r} is none")
    return found.pop()


def _real(tree: Tree, name: str) -> Values:
    """Real numbers in double or single precision, exactly those in the file."""
    value = tree.get(name)
    if value is None:
        raise ValueError(f"{name} is missing")
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"{name} must hold real numbers, not {kind}")
    single = value.dtype.kind == "f" and value.dtype.itemsize <= 4
    real = value.astype(np.float32 if single else np.float64, copy=False)
    if value.dtype.kind in "iu" and value.size and max(-int(value.min()), int(value.max())) > 2**53:
        raise ValueError(f"{name} must hold integers of at most 53 bits")
    return real


def _integers(tree: Tree, name: str, count: int) -> Shape:
    """So many integers, or one for all."""
    value = tree.get(name)
    if value is None:
        raise ValueError(f"{name} is missing")
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"{name} must hold integers, not {kind}")
    if value.ndim > 1 or value.size not in (1, count):
        raise ValueError(f"{name} must be of shape ({count},), not {value.shape}")
    numbers = tuple(int(each) for each in value.reshape(-1))
    if any(abs(number) > LARGEST for number in numbers):
        raise ValueError(f"{name} must not be as large as {numbers}")
    return numbers if len(numbers) == count else numbers * count


def _padding(tree: Tree, kernel: Shape, stride: Shape, dilation: Shape) -> Shape:
    """Zeros at both ends of each dimension; 'valid' is none, 'same' keeps the size."""
    value = tree.get("padding")
    if isinstance(value, str) and value == "valid":
        return (0,) * len(kernel)
    if isinstance(value, str) and value == "same":
        pads = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if max(stride) > 1 or any(pad % 2 for pad in pads):
            raise ValueError(
                "padding must not be 'same' where the stride is not 1, or the kernel is even"
            )
        return tuple(pad // 2 for pad in pads)
    return _integers(tree, "padding", len(kernel))


def _declared_shape(tree: Tree) -> Shape:
    """Shape that an input or output declares, in whichever place its version of NIR puts it."""
    value: Any = tree.get("shape")
    for name, inner in (("input_type", "input"), ("output_type", "output")):
        if value is None:
            value = tree.get(name)
            value = value.get(inner) if isinstance(value, dict) else value
    return _shape(value, "shape")


def _shape(value: Any, name: str) -> Shape:
    if value is None:
        raise ValueError(f"{name} is missing")
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or value.ndim > 1:
        raise ValueError(f"{name} must be a list of integers, but is not")
    if not 1 <= value.size <= 8:
        raise ValueError(f"{name} must have 1 to 8 dimensions, not {value.size}")
    shape = tuple(int(each) for each in value.reshape(-1))
    if min(shape) < 1 or math.prod(shape) > MAX_ELEMENTS:
        raise ValueError(
            f"{name} must hold positive numbers, their product at most {MAX_ELEMENTS}, not {shape}"
        )
    return shape


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _fitted(value: Values, name: str, shape: Shape) -> tuple[Values, str]:
    """The parameter in the shape of what arrives, and how it was brought there."""
    if value.shape == shape:
        return value, ""
    if value.size == 1:
        return np.full(shape, value), f"shape {value.shape} was broadcast to"
    if value.size == math.prod(shape) and _without_ones(value.shape) == _without_ones(shape):
        return value.reshape(shape), f"shape {value.shape} was taken as"
    # A number for each channel: (channels,) or (channels, 1, ..., 1).
    channels = shape[0]
    rest = (1,) * (len(shape) - 1)
    plain = value.shape == (channels,) and channels not in shape[1:]
    if rest and (plain or value.shape == (channels, *rest)):
        spread = np.broadcast_to(value.reshape(channels, *rest), shape)
        return spread.copy(), f"shape {value.shape}, one for each channel, was broadcast to"
    raise ValueError(f"{name} must be of shape {shape}, that of its input, not {value.shape}")
