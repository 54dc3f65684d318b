"""Graphs: shapes against naive loops, flattening, and what no graph is."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.graph import (
    IF,
    LI,
    LIF,
    NODE_TYPES,
    Affine,
    AvgPool2d,
    Conv1d,
    Conv2d,
    CubaLI,
    CubaLIF,
    Delay,
    Flatten,
    Graph,
    I,
    Input,
    Linear,
    Node,
    Output,
    Scale,
    Shape,
    SumPool2d,
    Threshold,
    check_graph,
    flat_graph,
    input_shapes,
    spread_shapes,
)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape)


def chain(*nodes: tuple[str, Node]) -> Graph:
    names = [name for name, _ in nodes]
    return Graph(dict(nodes), tuple(pairwise(names)))


def inner(shape: Shape = (3,), *more: tuple[str, Node]) -> Graph:
    return chain(("in", Input(shape)), *more, ("out", Output(shape)))


def places(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How often a window fits, by trying every place."""
    padded = size + 2 * padding
    return sum(
        1
        for start in range(0, padded, stride)
        if all(start + k * dilation < padded for k in range(kernel))
    )


def test_all_19_types() -> None:
    assert len(NODE_TYPES) == 19
    assert all(
        name in ("NIRGraph", kind.__name__) and issubclass(kind, Node)
        for name, kind in NODE_TYPES.items()
    )


@given(*(st.integers(*limits) for limits in ((1, 12), (1, 4), (1, 3), (0, 2), (1, 3))))
def test_conv1d_shape(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    conv = Conv1d(ones(4, 1, kernel), ones(4), (stride,), (padding,), (dilation,), 2)
    count = places(size, kernel, stride, padding, dilation)
    if count:
        assert conv.output_shape((2, size)) == (4, count)
    else:
        with pytest.raises(ValueError, match="must be larger than its window"):
            conv.output_shape((2, size))


@pytest.mark.parametrize("kind", [Conv2d, SumPool2d, AvgPool2d])
def test_shape_of_two_dimensions(kind: type[Node]) -> None:
    """Height and width have nothing to do with each other."""
    for kernel, stride, padding in product(
        product((1, 2, 3), repeat=2), ((1, 3), (2, 1)), ((0, 1),)
    ):
        node = (
            Conv2d(ones(5, 3, *kernel), ones(5), stride, padding, (1, 1), 1)
            if kind is Conv2d
            else kind(kernel, stride, padding)  # type: ignore[call-arg]
        )
        channels = 5 if kind is Conv2d else 3
        expected = tuple(
            places(*each, 1) for each in zip((7, 6), kernel, stride, padding, strict=True)
        )
        assert node.output_shape((3, 7, 6)) == (channels, *expected)


@pytest.mark.parametrize(
    ("start", "end", "shape"),
    [
        (0, -1, (120,)),
        (1, -1, (2, 60)),
        (1, 2, (2, 12, 5)),
        (-2, -1, (2, 3, 20)),
        (0, 0, (2, 3, 4, 5)),
        (0, 2, (24, 5)),
    ],
)
def test_flatten_shape(start: int, end: int, shape: Shape) -> None:
    assert Flatten(start, end).output_shape((2, 3, 4, 5)) == shape


def test_flatten_of_more_than_64_bits() -> None:
    assert Flatten(0, 1).output_shape((1 << 40, 1 << 40)) == (1 << 80,)


@pytest.mark.parametrize(("start", "end"), [(4, -1), (0, 4), (-5, 0), (2, 1)])
def test_wrong_flatten(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="start_dim"):
        Flatten(start, end).output_shape((2, 3, 4, 5))


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        *((Scale, 1), (Delay, 1), (Threshold, 1), (I, 1), (IF, 3), (LI, 3)),
        *((LIF, 5), (CubaLI, 5), (CubaLIF, 7)),
    ],
)
def test_elementwise(kind: type[Node], count: int) -> None:
    node = kind(*(ones(2, 3) for _ in range(count)))
    assert node.output_shape((2, 3)) == (2, 3)
    with pytest.raises(ValueError, match=r"^its input must be of shape \(2, 3\), not \(3, 2\)$"):
        node.output_shape((3, 2))
    for n in range(count * (count > 1)):
        shapes = [(2, 3)] * count
        shapes[n] = (3,)
        with pytest.raises(ValueError, match=r"^parameters must be of one shape, but are: "):
            kind(*(ones(*shape) for shape in shapes))
    for number in (np.nan, np.inf):
        with pytest.raises(ValueError, match="must be finite, but holds NaN or infinity"):
            kind(*(np.full((2,), number) for _ in range(count)))


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (Linear(ones(2, 3)), (2,)),
        (Affine(ones(2, 3), ones(2)), (2,)),
        (Input((3,)), (3,)),
        (Output((3,)), (3,)),
    ],
)
def test_dense(node: Node, shape: Shape) -> None:
    assert node.output_shape((3,)) == shape
    for wrong in ((2,), (3, 1), (1, 3), ()):
        with pytest.raises(ValueError, match=r"^its input must be of shape \(3,\), not "):
            node.output_shape(wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(ones(3)), r"weight must be of shape \(outputs, inputs\), not \(3,\)"),
        (lambda: Linear(ones(0, 3)), r"weight must be of shape \(outputs, inputs\), not \(0, 3\)"),
        (lambda: Affine(ones(2, 3), ones(3)), r"bias must be of shape \(2,\), not \(3,\)"),
        (lambda: Linear(np.ones((2, 3), int)), "weight must hold real numbers, not int64"),
        (lambda: Delay(-ones(1)), "delay must not be negative, but one is -1"),
        (
            lambda: LI(np.array([1.0, 0.0]), ones(2), ones(2)),
            "tau must be positive, but one is 0",
        ),
        (
            lambda: Conv1d(ones(3, 1, 2), ones(3), (1,), (0,), (1,), 2),
            "groups must divide the 3 output channels, not 2",
        ),
        (
            lambda: Conv1d(ones(3, 1, 2), ones(3), (0,), (0,), (1,), 1),
            r"stride must be 1 integers of at least 1, not \(0,\)",
        ),
        (
            lambda: Conv2d(ones(3, 1, 2), ones(3), (1, 1), (0, 0), (1, 1), 1),
            r"weight must have 4 dimensions, not shape \(3, 1, 2\)",
        ),
        (
            lambda: Conv2d(ones(3, 1, 2, 2), ones(3), (1, 1), (0, -1), (1, 1), 1),
            r"padding must be 2 integers of at least 0, not \(0, -1\)",
        ),
        (
            lambda: SumPool2d((2,), (1, 1), (0, 0)),
            r"kernel_size must be 2 integers of at least 1, not \(2,\)",
        ),
    ],
)
def test_wrong_parameter(make: "object", message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()  # type: ignore[operator]


def test_wrong_input_of_windows() -> None:
    conv = Conv2d(ones(4, 1, 2, 2), ones(4), (1, 1), (0, 0), (1, 1), 2, (5, 5))
    with pytest.raises(ValueError, match="must be of 2 channels in 2 dimensions, not of shape"):
        conv.output_shape((3, 5, 5))
    with pytest.raises(ValueError, match=r"must be of shape \(5, 5\), not \(5, 6\)"):
        conv.output_shape((2, 5, 6))
    with pytest.raises(ValueError, match=r"must be of shape \(channels, height, width\), not \(5"):
        AvgPool2d((1, 1), (1, 1), (0, 0)).output_shape((5, 5))


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([("input", "x")], "edge 'input' -> 'x' must join nodes, not 'x'"),
        ([("x", "output")], "edge 'x' -> 'output' must join nodes, not 'x'"),
        ([("a", "input")], "edge 'a' -> 'input' must not lead into an Input or out of an Output"),
        ([("output", "a")], "edge 'output' -> 'a' must not lead into an Input or out of an Output"),
        ([("a", "output")] * 2, "edge 'a' -> 'output' must be there once, not twice"),
    ],
)
def test_wrong_edges(edges: list[tuple[str, str]], message: str) -> None:
    nodes = {"input": Input((3,)), "a": I(ones(3)), "output": Output((3,))}
    with pytest.raises(ValueError, match=f"^{message}$"):
        Graph(nodes, tuple(edges))


def test_flat_graph() -> None:
    """Recurrent inside, two levels, summed with an edge that leads past."""
    cell = Graph(
        {"in": Input((3,)), "lif": I(ones(3)), "w": Linear(ones(3, 3)), "out": Output((3,))},
        (("in", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "out")),
    )
    middle = inner((3,), ("cell", cell), ("scale", Scale(ones(3))))
    graph = Graph(
        {"input": Input((3,)), "m": middle, "pass": inner(), "output": Output((3,))},
        (("input", "m"), ("m", "pass"), ("pass", "output"), ("input", "output")),
    )
    flat = flat_graph(graph)
    assert {*flat.nodes} == {"input", "m.cell.lif", "m.cell.w", "m.scale", "output"}
    assert {*flat.edges} == {
        ("input", "m.cell.lif"),
        ("m.cell.lif", "m.cell.w"),
        ("m.cell.w", "m.cell.lif"),
        ("m.cell.lif", "m.scale"),
        ("m.scale", "output"),
        ("input", "output"),
    }
    assert flat.nodes["m.cell.lif"] is cell.nodes["lif"]
    assert input_shapes(graph) == dict.fromkeys(graph.nodes, (3,))
    check_graph(graph)


def test_flat_graph_of_a_plain_one() -> None:
    graph = inner((3,), ("a.b", I(ones(3))))
    assert dict(flat_graph(graph).nodes) == dict(graph.nodes)
    assert {*flat_graph(graph).edges} == {*graph.edges}


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        (
            {"a": inner((3,), ("b", I(ones(3)))), "a.b": I(ones(3))},
            [],
            r"two nodes must not both be called 'a\.b' in the flat graph",
        ),
        (
            {"a": Graph({"in": Input((3,))})},
            [],
            "node 'a': an inner graph must have one input and one output, not 1 and 0",
        ),
        (
            {"a": inner()},
            [("input", "a"), ("a", "output"), ("input", "output")],
            "'input' and 'output' must be joined in one way, not in two",
        ),
        (
            {"a": inner(), "b": inner()},
            [("input", "a"), ("a", "b"), ("b", "a"), ("b", "output")],
            r"a loop must not lead through '[ab]\.(in|out)' and joints alone",
        ),
    ],
)
def test_wrong_flat_graph(
    nodes: dict[str, Node], edges: list[tuple[str, str]], message: str
) -> None:
    ends: dict[str, Node] = {"input": Input((3,)), "output": Output((3,))}
    with pytest.raises(ValueError, match=f"^{message}$"):
        flat_graph(Graph(ends | nodes, tuple(edges)))


def test_flat_graph_too_large() -> None:
    """1,100 nodes before a joint and 300 behind make 330,000 edges of 1,400."""
    before = {f"a{n}": I(ones(1)) for n in range(1100)}
    after = {f"b{n}": I(ones(1)) for n in range(300)}
    edges = [(name, "j") for name in before] + [("j", name) for name in after]
    graph = Graph({**before, "j": inner((1,)), **after}, tuple(edges))
    with pytest.raises(ValueError, match=r"^the flat graph must have at most 262144 edges$"):
        flat_graph(graph)


def test_spread_shapes() -> None:
    edges = [("i", "a"), ("a", "b"), ("b", "a"), ("b", "c"), ("x", "y")]
    calls = []

    def through(name: str, shape: Shape) -> Shape:
        calls.append(name)
        return (2,) if name == "i" else shape

    assert spread_shapes(edges, {"i": (1,)}, through) == {
        "i": (1,),
        "a": (2,),
        "b": (2,),
        "c": (2,),
    }
    assert sorted(calls) == ["a", "b", "c", "i"]


def test_wrong_shapes() -> None:
    graph = Graph(
        {"i": Input((3,)), "w": Linear(ones(2, 3)), "s": I(ones(3)), "o": Output((3,))},
        (("i", "w"), ("i", "s"), ("w", "s"), ("s", "o")),
    )
    message = r"^node 's': its inputs must be of one shape, not \(3,\) and \(2,\) \(from 'w'\)$"
    with pytest.raises(ValueError, match=message):
        input_shapes(graph)
    outer = chain(("i", Input((3,))), ("g", inner((4,))), ("o", Output((4,))))
    with pytest.raises(ValueError, match=r"^node 'g': its input must be of shape \(4,\), not"):
        input_shapes(outer)
    broken = Graph({"i": Input((3,)), "o": Output((3,))})
    with pytest.raises(ValueError, match=r"^its input must lead to its output 'o', but does not$"):
        broken.output_shape((3,))


def loop(*nodes: tuple[str, Node]) -> Graph:
    """Input and output joined to a loop of the nodes."""
    names = [name for name, _ in nodes]
    ring = tuple(zip(names, names[1:] + names[:1], strict=True))
    ends = (("input", names[0]), (names[-1], "output"))
    return Graph({"input": Input((3,)), **dict(nodes), "output": Output((3,))}, ring + ends)


@pytest.mark.parametrize(
    "nodes",
    [
        [("a", Linear(ones(3, 3)))],
        [("a", Linear(ones(3, 3))), ("b", Threshold(ones(3)))],
        [("a", Linear(ones(3, 3))), ("b", Delay(np.array([1.0, 0.0, 1.0])))],
        [("a", inner((3,), ("n", Scale(ones(3))))), ("b", Linear(ones(3, 3)))],
    ],
)
def test_loop_at_once(nodes: list[tuple[str, Node]]) -> None:
    message = r"^node 'a(\.n)?': it must not be in a loop in which no node has a state or a delay$"
    with pytest.raises(ValueError, match=message):
        check_graph(loop(*nodes))


@pytest.mark.parametrize(
    "node",
    [
        *(I(ones(3)), IF(*[ones(3)] * 3), LI(*[ones(3)] * 3), LIF(*[ones(3)] * 5)),
        *(CubaLI(*[ones(3)] * 5), CubaLIF(*[ones(3)] * 7), Delay(ones(3) / 8)),
    ],
)
def test_loop_with_a_state(node: Node) -> None:
    check_graph(loop(("a", Linear(ones(3, 3))), ("b", node)))


def test_two_loops_name_the_bad_one() -> None:
    """The node between the loops is in neither."""
    graph = Graph(
        {
            "input": Input((3,)),
            **{name: Scale(ones(3)) for name in ("a", "b", "c")},
            "i": I(ones(3)),
            "output": Output((3,)),
        },
        (
            *(("input", "i"), ("i", "i"), ("i", "a"), ("a", "b"), ("b", "c")),
            *(("c", "c"), ("c", "output")),
        ),
    )
    with pytest.raises(ValueError, match=r"^node 'c': it must not be in a loop"):
        check_graph(graph)


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ({}, [], "the graph must have an Input, but has none"),
        ({"i": Input((3,))}, [], "the graph must have an Output, but has none"),
        (
            {"i": Input((3,)), "o": Output((3,))},
            [],
            "node 'o': an Input must lead to it, but none does",
        ),
        (
            {"i": Input((3,)), "a": I(ones(3)), "o": Output((3,))},
            [("i", "o"), ("i", "a")],
            "node 'a': it must lead to an Output, but does not",
        ),
        (
            {"i": Input((3,)), "a": I(ones(3)), "o": Output((3,))},
            [("i", "o"), ("a", "o")],
            "node 'a': an Input must lead to it, but none does",
        ),
        (
            {"i": Input((3,)), "o": Output((4,))},
            [("i", "o")],
            r"node 'o': its input must be of shape \(4,\), not \(3,\)",
        ),
    ],
)
def test_wrong_graph(nodes: dict[str, Node], edges: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_graph(Graph(nodes, tuple(edges)))
