"""Graphs of layers as NIR, the Neuromorphic Intermediate Representation, states them.

The node types and their continuous-time meaning are those of Pedersen et al., "Neuromorphic
intermediate representation: A unified instruction set for interoperable brain-inspired computing",
Nature Communications 15:8122, 2024. What a node computes in a time step is not NIR's to say; that
is a :class:`~spikeloom.reference.profile.Profile`'s.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "IF",
    "LI",
    "LIF",
    "NODE_TYPES",
    "Affine",
    "AvgPool2d",
    "ChargedIF",
    "Conv1d",
    "Conv2d",
    "CubaLI",
    "CubaLIF",
    "Delay",
    "Flatten",
    "Graph",
    "I",
    "Input",
    "Linear",
    "Node",
    "Output",
    "Scale",
    "Shape",
    "SumPool2d",
    "Threshold",
    "check_graph",
    "flat_graph",
    "input_shapes",
    "spread_shapes",
]

Shape = tuple[int, ...]
Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Node:
    """A node of a graph.

    Raises
    ------
    ValueError
        If a parameter is not finite, not positive where it must be, or of a wrong shape.
    """

    positive: ClassVar[tuple[str, ...]] = ()
    stateful: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, np.ndarray):
                if not np.issubdtype(value.dtype, np.floating):
                    raise ValueError(f"{each.name} must hold real numbers, not {value.dtype}")
                if not np.all(np.isfinite(value)):
                    raise ValueError(f"{each.name} must be finite, but holds NaN or infinity")
                if each.name in self.positive and not np.all(value > 0):
                    raise ValueError(f"{each.name} must be positive, but one is {value.min():g}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Shape of the output for an input of the given shape.

        Raises
        ------
        ValueError
            If the node does not take such an input.
        """
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Input(Node):
    """Where data come in, of the given shape in each step."""

    shape: Shape

    def output_shape(self, input_shape: Shape) -> Shape:
        return _same(input_shape, self.shape)


@dataclass(frozen=True, eq=False)
class Output(Node):
    """Where data go out."""

    shape: Shape

    def output_shape(self, input_shape: Shape) -> Shape:
        return _same(input_shape, self.shape)


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """``weight @ x``; weight of shape (outputs, inputs)."""

    weight: Array

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight.ndim != 2 or 0 in self.weight.shape:
            raise ValueError(f"weight must be of shape (outputs, inputs), not {self.weight.shape}")

    def output_shape(self, input_shape: Shape) -> Shape:
        _same(input_shape, (self.weight.shape[1],))
        return (self.weight.shape[0],)


@dataclass(frozen=True, eq=False)
class Affine(Linear):
    """``weight @ x + bias``; bias of shape (outputs,)."""

    bias: Array

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_shape("bias", self.bias, (self.weight.shape[0],))


@dataclass(frozen=True, eq=False)
class Scale(Node):
    """``scale * x``, element by element."""

    scale: Array

    def output_shape(self, input_shape: Shape) -> Shape:
        return _same(input_shape, self.scale.shape)


@dataclass(frozen=True, eq=False)
class _Conv(Node):
    """A convolution; weight of shape (outputs, inputs / groups, \\*kernel), bias (outputs,)."""

    dimensions: ClassVar[int]

    weight: Array
    bias: Array
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int
    input_shape: Shape | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight.ndim != 2 + self.dimensions or 0 in self.weight.shape:
            raise ValueError(
                f"weight must have {2 + self.dimensions} dimensions, not shape {self.weight.shape}"
            )
        _require_shape("bias", self.bias, self.weight.shape[:1])
        for name, least in (("stride", 1), ("padding", 0), ("dilation", 1)):
            _require_steps(name, getattr(self, name), self.dimensions, least)
        if self.groups < 1 or self.weight.shape[0] % self.groups:
            raise ValueError(
                f"groups must divide the {self.weight.shape[0]} output channels,"
                f" not {self.groups!r}"
            )

    def output_shape(self, input_shape: Shape) -> Shape:
        channels = self.weight.shape[1] * self.groups
        if len(input_shape) != 1 + self.dimensions or input_shape[0] != channels:
            raise ValueError(
                f"its input must be of {channels} channels in {self.dimensions} dimensions,"
                f" not of shape {input_shape}"
            )
        if self.input_shape is not None:
            _same(input_shape[1:], self.input_shape)
        spans = tuple(
            d * (k - 1) + 1 for d, k in zip(self.dilation, self.weight.shape[2:], strict=True)
        )
        return (
            self.weight.shape[0],
            *_slide(input_shape[1:], spans, self.stride, self.padding),
        )


@dataclass(frozen=True, eq=False)
class Conv1d(_Conv):
    """Convolution over one dimension: input of shape (channels, length)."""

    dimensions = 1


@dataclass(frozen=True, eq=False)
class Conv2d(_Conv):
    """Convolution over two dimensions: input of shape (channels, height, width)."""

    dimensions = 2


@dataclass(frozen=True, eq=False)
class SumPool2d(Node):
    """Sum over windows of an input of shape (channels, height, width)."""

    kernel_size: Shape
    stride: Shape
    padding: Shape

    def __post_init__(self) -> None:
        for name, least in (("kernel_size", 1), ("stride", 1), ("padding", 0)):
            _require_steps(name, getattr(self, name), 2, least)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 3:
            raise ValueError(
                f"its input must be of shape (channels, height, width), not {input_shape}"
            )
        return (
            input_shape[0],
            *_slide(input_shape[1:], self.kernel_size, self.stride, self.padding),
        )


@dataclass(frozen=True, eq=False)
class AvgPool2d(SumPool2d):
    """Mean over windows, padding included, of an input of shape (channels, height, width)."""


@dataclass(frozen=True, eq=False)
class Flatten(Node):
    """Joins the dimensions from ``start_dim`` to ``end_dim``, both included."""

    start_dim: int
    end_dim: int

    def output_shape(self, input_shape: Shape) -> Shape:
        rank = len(input_shape)
        if not (-rank <= self.start_dim < rank and -rank <= self.end_dim < rank):
            raise ValueError(
                f"start_dim and end_dim must be dimensions of its input of shape {input_shape},"
                f" not {self.start_dim} and {self.end_dim}"
            )
        start, end = self.start_dim % rank, self.end_dim % rank
        if start > end:
            raise ValueError(f"start_dim must not be behind end_dim, but is: {start} > {end}")
        joined = math.prod(input_shape[start : end + 1])
        return (*input_shape[:start], joined, *input_shape[end + 1 :])


@dataclass(frozen=True, eq=False)
class _Elementwise(Node):
    """A node whose parameters all have the shape of its input."""

    def __post_init__(self) -> None:
        super().__post_init__()
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        shapes = {name: v.shape for name, v in values.items() if isinstance(v, np.ndarray)}
        if len(set(shapes.values())) != 1:
            text = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise ValueError(f"parameters must be of one shape, but are: {text}")

    @property
    def shape(self) -> Shape:
        """Shape of input and output."""
        shape: Shape = getattr(self, fields(self)[0].name).shape
        return shape

    def output_shape(self, input_shape: Shape) -> Shape:
        return _same(input_shape, self.shape)


@dataclass(frozen=True, eq=False)
class Delay(_Elementwise):
    """``x(t - delay)``; delay in the unit of the profile's ``dt``, not negative."""

    delay: Array

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.any(self.delay < 0):
            raise ValueError(f"delay must not be negative, but one is {self.delay.min():g}")


@dataclass(frozen=True, eq=False)
class Threshold(_Elementwise):
    """1 where ``x`` exceeds the threshold, else 0."""

    threshold: Array


@dataclass(frozen=True, eq=False)
class I(_Elementwise):  # noqa: E742 - its name in NIR
    """Integrator: ``dv/dt = r x``; sends v."""

    stateful = True

    r: Array


@dataclass(frozen=True, eq=False)
class IF(_Elementwise):
    """Integrate and fire: ``dv/dt = r x``."""

    stateful = True

    r: Array
    v_threshold: Array
    v_reset: Array


@dataclass(frozen=True, eq=False)
class ChargedIF(IF):
    """An IF that says more than NIR can.

    That is the potential at the first step, the most spikes of a step, and, where no weights can
    bring it, what is added to the input in each step. In a file it is an IF with
    ``spikeloom_v_init``, ``spikeloom_max_spikes`` and ``spikeloom_bias`` in its metadata, which
    other tools keep and do not look at.
    """

    v_init: Array
    max_spikes: int
    bias: Array | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_spikes not in {2**n - 1 for n in range(1, 11)}:
            raise ValueError(f"max_spikes must be 2**n - 1, 1 to 1023, not {self.max_spikes!r}")


@dataclass(frozen=True, eq=False)
class LI(_Elementwise):
    """Leaky integrator: ``tau dv/dt = v_leak - v + r x``; sends v."""

    stateful = True
    positive = ("tau",)

    tau: Array
    r: Array
    v_leak: Array


@dataclass(frozen=True, eq=False)
class LIF(_Elementwise):
    """Leaky integrate and fire: ``tau dv/dt = v_leak - v + r x``."""

    stateful = True
    positive = ("tau",)

    tau: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    v_reset: Array


@dataclass(frozen=True, eq=False)
class CubaLI(_Elementwise):
    """Leaky integrator behind a leaky synapse: ``tau_syn di/dt = -i + w_in x``; sends v."""

    stateful = True
    positive = ("tau_syn", "tau_mem")

    tau_syn: Array
    tau_mem: Array
    r: Array
    v_leak: Array
    w_in: Array


@dataclass(frozen=True, eq=False)
class CubaLIF(_Elementwise):
    """Leaky integrate and fire behind a leaky synapse: ``tau_syn di/dt = -i + w_in x``."""

    stateful = True
    positive = ("tau_syn", "tau_mem")

    tau_syn: Array
    tau_mem: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    v_reset: Array
    w_in: Array


@dataclass(frozen=True, eq=False)
class Graph(Node):
    """A graph of nodes, which may be a node of another graph.

    Parameters
    ----------
    nodes
        Nodes by name; names may hold any character but ``/``.
    edges
        Pairs of names: from, to. What several edges bring to a node is summed.

    Raises
    ------
    ValueError
        If an edge leads from or to a node that does not exist, into an input, out of an output, or
        is there twice.
    """

    nodes: Mapping[str, Node] = field(default_factory=dict)
    edges: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        seen = set()
        for edge in self.edges:
            text = f"edge {edge[0]!r} -> {edge[1]!r}"
            for name in edge:
                if name not in self.nodes:
                    raise ValueError(f"{text} must join nodes, not {name!r}")
            if isinstance(self.nodes[edge[1]], Input) or isinstance(self.nodes[edge[0]], Output):
                raise ValueError(f"{text} must not lead into an Input or out of an Output")
            if edge in seen:
                raise ValueError(f"{text} must be there once, not twice")
            seen.add(edge)

    def output_shape(self, input_shape: Shape) -> Shape:
        source, sink = _joints(self)
        self.nodes[source].output_shape(input_shape)
        shapes = input_shapes(self)
        if sink not in shapes:
            raise ValueError(f"its input must lead to its output {sink!r}, but does not")
        return shapes[sink]


NODE_TYPES: dict[str, type[Node]] = {
    kind.__name__: kind
    for kind in (
        *(Input, Output, Affine, Linear, Scale, Conv1d, Conv2d, SumPool2d, AvgPool2d, Flatten),
        *(Delay, Threshold, I, IF, LI, LIF, CubaLI, CubaLIF),
    )
} | {"NIRGraph": Graph}
"""The node types by their name in NIR: all 19."""


MAX_EDGES = 1 << 18
"""Edges that a flat graph may have: where an inner input joins many edges, each pair makes one."""


def flat_graph(graph: Graph) -> Graph:
    """The graph with the nodes of inner graphs in place of these.

    An inner node ``b`` of a graph ``a`` is called ``a.b``. Inner inputs and outputs become plain
    joints: they are left out, and edges lead past them.

    Raises
    ------
    ValueError
        If an inner graph has not exactly one input and one output, if two nodes get the same name,
        if the same two nodes are joined in two ways, if a loop consists of joints alone, or if
        there are too many edges.
    """
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    joints: list[str] = []
    ends: dict[str, tuple[str, str]] = {}
    for name, node in graph.nodes.items():
        inner = Graph({name: node})
        ends[name] = (name, name)
        if isinstance(node, Graph):
            flat = flat_graph(node)
            inner = Graph(
                {f"{name}.{n}": each for n, each in flat.nodes.items()},
                tuple((f"{name}.{a}", f"{name}.{b}") for a, b in flat.edges),
            )
            try:
                source, sink = _joints(flat)
            except ValueError as error:
                raise ValueError(f"node {name!r}: {error}") from error
            ends[name] = (f"{name}.{source}", f"{name}.{sink}")
            joints += ends[name]
        for each in inner.nodes:
            if each in nodes:
                raise ValueError(f"two nodes must not both be called {each!r} in the flat graph")
        nodes.update(inner.nodes)
        edges += inner.edges
    edges += [(ends[a][1], ends[b][0]) for a, b in graph.edges]
    edges = _without(joints, edges)
    for joint in joints:
        del nodes[joint]
    return Graph(nodes, tuple(edges))


def _joints(graph: Graph) -> tuple[str, str]:
    """Names of the one input and the one output that an inner graph has."""
    names = [
        [n for n, node in graph.nodes.items() if isinstance(node, kind)] for kind in (Input, Output)
    ]
    if [len(each) for each in names] != [1, 1]:
        raise ValueError(
            f"an inner graph must have one input and one output, not"
            f" {len(names[0])} and {len(names[1])}"
        )
    return names[0][0], names[1][0]


def _without(joints: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Edges that lead past the joints."""
    after: dict[str, set[str]] = {}
    before: dict[str, set[str]] = {}
    total = 0

    def join(a: str, b: str) -> None:
        nonlocal total
        if b in after.setdefault(a, set()):
            raise ValueError(f"{a!r} and {b!r} must be joined in one way, not in two")
        after[a].add(b)
        before.setdefault(b, set()).add(a)
        total += 1
        if total > MAX_EDGES:
            raise ValueError(f"the flat graph must have at most {MAX_EDGES} edges")

    for edge in edges:
        join(*edge)
    for joint in joints:
        sources, sinks = before.pop(joint, set()), after.pop(joint, set())
        if joint in sinks:
            raise ValueError(f"a loop must not lead through {joint!r} and joints alone")
        for a in sources:
            after[a].remove(joint)
        for b in sinks:
            before[b].remove(joint)
        total -= len(sources) + len(sinks)
        for a in sorted(sources):
            for b in sorted(sinks):
                join(a, b)
    return [(a, b) for a, names in after.items() for b in sorted(names)]


def spread_shapes(
    edges: Iterable[tuple[str, str]],
    start: Mapping[str, Shape],
    through: Callable[[str, Shape], Shape],
) -> dict[str, Shape]:
    """Shapes of what arrives at the nodes, from the inputs along the edges.

    Parameters
    ----------
    edges
        Pairs of names: from, to.
    start
        Shape of what arrives at each input.
    through
        Gives the shape of a node's output, for its name and the shape of its input; called once
        for each node that is reached.

    Returns
    -------
    Shape for each node that is reached.

    Raises
    ------
    ValueError
        If edges bring different shapes to a node, or what ``through`` raises; both name the node.
    """
    after: dict[str, list[str]] = {}
    for a, b in edges:
        after.setdefault(a, []).append(b)
    shapes = dict(start)
    queue = deque(start)
    while queue:
        name = queue.popleft()
        try:
            shape = through(name, shapes[name])
        except ValueError as error:
            raise ValueError(f"node {name!r}: {error}") from error
        for each in after.get(name, ()):
            if each not in shapes:
                shapes[each] = shape
                queue.append(each)
            elif shapes[each] != shape:
                raise ValueError(
                    f"node {each!r}: its inputs must be of one shape, not {shapes[each]} and"
                    f" {shape} (from {name!r})"
                )
    return shapes


def input_shapes(graph: Graph) -> dict[str, Shape]:
    """Shape of what arrives at each node that an input reaches.

    Raises
    ------
    ValueError
        If a node does not take what arrives; the message names the node.
    """
    start = {name: node.shape for name, node in graph.nodes.items() if isinstance(node, Input)}
    return spread_shapes(
        graph.edges, start, lambda name, shape: graph.nodes[name].output_shape(shape)
    )


def check_graph(graph: Graph) -> None:
    """Refuse a graph that no time step can be computed of.

    Raises
    ------
    ValueError
        If it has no input or no output, or a node that no input reaches or that reaches no output,
        if a node does not take what arrives, or if a loop has no node in it whose output depends
        on its earlier inputs alone, one with a state or a delay. Also what :func:`flat_graph`
        raises.
    """
    flat = flat_graph(graph)
    back = tuple((b, a) for a, b in flat.edges)
    for kind, edges, text in (
        (Input, flat.edges, "an Input must lead to it, but none does"),
        (Output, back, "it must lead to an Output, but does not"),
    ):
        ends = {name: () for name, node in flat.nodes.items() if isinstance(node, kind)}
        if not ends:
            raise ValueError(f"the graph must have an {kind.__name__}, but has none")
        reached = spread_shapes(edges, ends, lambda name, shape: ())
        for name in flat.nodes:
            if name not in reached:
                raise ValueError(f"node {name!r}: {text}")
    input_shapes(graph)
    loop = _loop(flat)
    if loop:
        raise ValueError(
            f"node {min(loop)!r}: it must not be in a loop in which no node has a state or a delay"
        )


def _loop(flat: Graph) -> set[str]:
    """Nodes in or between loops of nodes that pass on at once what arrives."""
    at_once = {
        name
        for name, node in flat.nodes.items()
        if not (node.stateful or (isinstance(node, Delay) and np.all(node.delay > 0)))
    }
    edges = [edge for edge in flat.edges if at_once.issuperset(edge)]
    for direction in (1, -1):
        after: dict[str, list[str]] = {}
        waiting = dict.fromkeys(at_once, 0)
        for a, b in (edge[::direction] for edge in edges):
            after.setdefault(a, []).append(b)
            waiting[b] += 1
        ready = [name for name, count in waiting.items() if not count]
        for name in ready:
            for each in after.get(name, ()):
                waiting[each] -= 1
                if not waiting[each]:
                    ready.append(each)
        at_once -= {*ready}
        edges = [edge for edge in edges if at_once.issuperset(edge)]
    return at_once


def _same(seen: Shape, expected: Shape) -> Shape:
    if tuple(seen) != tuple(expected):
        raise ValueError(f"its input must be of shape {tuple(expected)}, not {tuple(seen)}")
    return tuple(expected)


def _require_shape(name: str, array: Array, shape: Shape) -> None:
    if array.shape != tuple(shape):
        raise ValueError(f"{name} must be of shape {tuple(shape)}, not {array.shape}")


def _require_steps(name: str, steps: Any, dimensions: int, least: int) -> None:
    if len(steps) != dimensions or any(step < least for step in steps):
        raise ValueError(
            f"{name} must be {dimensions} integers of at least {least}, not {tuple(steps)}"
        )


def _slide(sizes: Shape, spans: Shape, stride: Shape, padding: Shape) -> Shape:
    """Sizes of what sliding windows leave."""
    places = tuple(
        (size + 2 * pad - span) // step + 1
        for size, span, step, pad in zip(sizes, spans, stride, padding, strict=True)
    )
    if min(places) < 1:
        raise ValueError(f"its input must be larger than its window {spans}, but is {sizes}")
    return places
