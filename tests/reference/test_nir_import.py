"""NIR files: there and back, as other tools write and read them, repaired, refused, hostile."""

import json
import os
import re
import subprocess
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.reference import nir_file
from spikeloom.reference.graph import (
    IF,
    LI,
    LIF,
    NODE_TYPES,
    Affine,
    AvgPool2d,
    ChargedIF,
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
)
from spikeloom.reference.nir_export import write_nir
from spikeloom.reference.nir_import import NIRError, NIRFile, read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.profile import PROFILES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import nir

CHECKOUT = Path(__file__).resolve().parents[2]
Edit = Callable[[h5py.File], None]


def real(*shape: int, dtype: str = "f8") -> np.ndarray:
    return np.random.default_rng(7).uniform(0.5, 2, shape).astype(dtype)


def around(node: Node, shape: Shape) -> Graph:
    """Input, node, output."""
    nodes = {"input": Input(shape), "n": node, "output": Output(node.output_shape(shape))}
    return Graph(nodes, (("input", "n"), ("n", "output")))


def recurrent(size: int = 3) -> Graph:
    """A graph that can be within another."""
    return Graph(
        {
            "input": Input((size,)),
            "lif": CubaLIF(*(real(size) for _ in range(7))),
            "w_rec": Affine(real(size, size), real(size)),
            "output": Output((size,)),
        },
        (("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")),
    )


# All types but Input and Output, which are around each: a node and the shape of its input.
NODES: dict[str, tuple[Node, Shape]] = {
    "Affine": (Affine(real(2, 3), real(2)), (3,)),
    "Linear": (Linear(real(2, 3, dtype="f4")), (3,)),
    "Scale": (Scale(real(2, 3)), (2, 3)),
    "Conv1d": (Conv1d(real(4, 1, 3), real(4), (2,), (1,), (2,), 2, (9,)), (2, 9)),
    "Conv2d": (
        Conv2d(real(3, 2, 3, 2), real(3), (2, 1), (1, 0), (1, 2), 1, (5, 7)),
        (2, 5, 7),
    ),
    "SumPool2d": (SumPool2d((2, 3), (1, 2), (0, 1)), (2, 5, 6)),
    "AvgPool2d": (AvgPool2d((3, 2), (2, 1), (1, 0)), (2, 5, 6)),
    "Flatten": (Flatten(1, -1), (2, 3, 4)),
    "Delay": (Delay(real(3)), (3,)),
    "Threshold": (Threshold(real(3)), (3,)),
    "I": (I(real(3)), (3,)),
    "IF": (IF(*(real(2, 3) for _ in range(3))), (2, 3)),
    "LI": (LI(*(real(3) for _ in range(3))), (3,)),
    "LIF": (LIF(*(real(3) for _ in range(5))), (3,)),
    "CubaLI": (CubaLI(*(real(3) for _ in range(5))), (3,)),
    "CubaLIF": (CubaLIF(*(real(3) for _ in range(7))), (3,)),
    "NIRGraph": (recurrent(), (3,)),
}


def assert_equal(a: Node, b: Node) -> None:
    assert type(a) is type(b)
    for each in fields(a):
        left, right = getattr(a, each.name), getattr(b, each.name)
        if each.name == "nodes":
            assert {*left} == {*right}
            for name in left:
                assert_equal(left[name], right[name])
        elif each.name == "edges":
            assert {*left} == {*right}
        elif isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            assert np.array_equal(left, right)
        else:
            assert left == right


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.nir"


def edited(path: Path, edit: Edit, graph: Graph | None = None) -> Path:
    """A sound file, then edited."""
    write_nir(graph or around(NODES["LIF"][0], (3,)), path)
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def put(name: str, value: Any) -> Edit:
    """Edit that replaces a parameter of node ``n``, or removes it."""

    def edit(file: h5py.File) -> None:
        group = file["node/nodes/n"]
        if name in group:
            del group[name]
        if value is not None:
            group[name] = value

    return edit


def refusal(path: Path) -> str:
    """What the refusal says: one sentence, behind the file's name."""
    with pytest.raises(NIRError) as caught:
        read_nir(path)
    text = str(caught.value)
    assert text.startswith(f"{str(path)!r}: ")
    assert "\n" not in text
    return text.removeprefix(f"{str(path)!r}: ")


# There and back.


@pytest.mark.parametrize("kind", NODES)
def test_round_trip(path: Path, kind: str) -> None:
    graph = around(*NODES[kind])
    write_nir(graph, path)
    file = read_nir(path)
    assert_equal(file.graph, graph)
    assert file == NIRFile(file.graph, "1.0.8", ())


def test_round_trip_has_all_types() -> None:
    assert {*NODES} | {"Input", "Output"} == {*NODE_TYPES}


def test_round_trip_of_a_deep_graph(path: Path) -> None:
    graph = recurrent()
    for _ in range(nir_file.MAX_DEPTH):
        graph = around(graph, (3,))
    write_nir(graph, path)
    assert_equal(read_nir(path).graph, graph)
    with pytest.raises(ValueError, match=r"^graphs must be at most 16 deep within each other$"):
        write_nir(around(graph, (3,)), path)


def test_v_reset_of_zero_is_left_out(path: Path) -> None:
    """So that ``nir`` 1.0.4 and 1.0.5 can read the file; every later one takes 0."""
    graph = around(LIF(real(3), real(3), real(3), real(3), np.zeros(3)), (3,))
    write_nir(graph, path)
    with h5py.File(path) as file:
        assert "v_reset" not in file["node/nodes/n"]
    assert_equal(read_nir(path).graph, graph)


@settings(max_examples=15)
@given(st.data())
def test_round_trip_of_random_graphs(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Chains of nodes that keep shape (3,), with edges that lead past and back to a state."""
    kinds = ["Scale", "Delay", "Threshold", "I", "LI", "LIF", "CubaLI", "CubaLIF", "NIRGraph"]
    chosen = data.draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5))
    text = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=9)
    names = data.draw(
        st.lists(text.filter(lambda t: t != "."), min_size=7, max_size=7, unique=True)
    )
    nodes: dict[str, Node] = {names[0]: Input((3,))}
    for name, kind in zip(names[1:], chosen, strict=False):
        nodes[name] = Scale(real(3)) if kind == "Scale" else NODES[kind][0]
    used = list(nodes)
    nodes["end"] = Output((3,))
    edges = [*pairwise([*used, "end"])]
    if len(used) > 2:
        edges += [(used[0], used[2])]
    graph = Graph(nodes, tuple(edges))
    path = tmp_path_factory.mktemp("nir") / "random.nir"
    write_nir(graph, path)
    assert_equal(read_nir(path).graph, graph)


# Others' reader and writer.


def test_others_read_what_we_write(path: Path) -> None:
    """Each parameter, as ``nir`` names it."""
    for kind, (node, shape) in NODES.items():
        if kind == "NIRGraph":
            continue
        write_nir(around(node, shape), path)
        # It takes a kernel's height for its width, and knows no groups, when it checks shapes.
        theirs = nir.read(path, type_check=kind not in ("Conv1d", "Conv2d"))
        assert {*map(tuple, theirs.edges)} == {("input", "n"), ("n", "output")}
        assert tuple(theirs.nodes["input"].input_type["input"]) == shape
        assert tuple(theirs.nodes["output"].output_type["output"]) == node.output_shape(shape)
        read = theirs.nodes["n"]
        assert type(read).__name__ == kind
        for each in fields(node):
            expected = getattr(node, each.name)
            assert np.array_equal(np.ravel(getattr(read, each.name)), np.ravel(expected))


def test_others_read_a_graph_within_a_graph(path: Path) -> None:
    write_nir(around(recurrent(), (3,)), path)
    theirs = nir.read(path).nodes["n"]
    assert {*map(tuple, theirs.edges)} == {*recurrent().edges}
    assert np.array_equal(theirs.nodes["w_rec"].weight, real(3, 3))


def test_we_read_what_others_write(path: Path) -> None:
    """Parameters the long way round: ours from ``nir``'s objects, not from our own files."""
    v = real(2, 3)
    others = {
        "Affine": nir.Affine(real(2, 3), real(2)),
        "Linear": nir.Linear(real(2, 3, dtype="f4")),
        "Scale": nir.Scale(v),
        "Conv1d": nir.Conv1d(9, real(4, 1, 3), 2, 1, 2, 2, real(4)),
        "Conv2d": nir.Conv2d((5, 7), real(3, 2, 3, 2), (2, 1), (1, 0), (1, 2), 1, real(3)),
        "SumPool2d": nir.SumPool2d(np.array([2, 3]), np.array([1, 2]), np.array([0, 1])),
        "AvgPool2d": nir.AvgPool2d(np.array([3, 2]), np.array([2, 1]), np.array([1, 0])),
        "Flatten": nir.Flatten({"input": np.array([2, 3, 4])}, 1, -1),
        "Delay": nir.Delay(real(3)),
        "Threshold": nir.Threshold(real(3)),
        "I": nir.I(real(3)),
        "IF": nir.IF(v, v, v),
        "LI": nir.LI(real(3), real(3), real(3)),
        "LIF": nir.LIF(real(3), real(3), real(3), real(3), real(3)),
        "CubaLI": nir.CubaLI(real(3), real(3), real(3), real(3), real(3)),
        "CubaLIF": nir.CubaLIF(*(real(3) for _ in range(7))),
    }
    for kind, other in others.items():
        node, shape = NODES[kind]
        graph = nir.NIRGraph(
            {
                "input": nir.Input({"input": np.array(shape)}),
                "n": other,
                "output": nir.Output({"output": np.array(node.output_shape(shape))}),
            },
            [("input", "n"), ("n", "output")],
            metadata={"by": "hand", "number": 3.5},
            type_check=False,
        )
        for compression in ("gzip", None):
            if compression and kind in ("AvgPool2d", "SumPool2d", "Flatten"):
                continue
            nir.write(path, graph, compression=compression)
            file = read_nir(path)
            assert_equal(file.graph, around(node, shape))
            assert file.repairs == ()


def test_shared_files(shared: Path) -> None:
    """Networks that Norse, Rockpool, sinabs and snnTorch wrote."""
    no_reset = "node {!r}: v_reset is missing; 0 was taken"
    for name, version, count, repairs in (
        ("lif/lif_norse.nir", "0.1.1", 4, [no_reset.format("1")]),
        (
            "lif/lif_rockpool.nir",
            "0.2.0",
            4,
            [
                no_reset.format("1_LIFNeuronTorch"),
                "node 'output': shape is (1, 1, 1), but (1,) arrives; (1,) was taken",
            ],
        ),
        (
            "braille/braille_noDelay_noBias_subtract.nir",
            "0.2.0",
            7,
            [no_reset.format("lif1.lif"), no_reset.format("lif2")],
        ),
        (
            "cnn/cnn_sinabs.nir",
            "0.2.0",
            15,
            [no_reset.format(n) for n in ("1", "3", "6", "10", "12")],
        ),
    ):
        file = read_nir(shared / "nir" / name)
        assert (file.version, len(file.graph.nodes)) == (version, count)
        assert list(file.repairs) == repairs
        with h5py.File(shared / "nir" / name) as raw:
            for node, group in raw["node/nodes"].items():
                for each in fields(file.graph.nodes[node]):
                    if each.name in group and each.name != "shape":
                        value = getattr(file.graph.nodes[node], each.name)
                        assert np.array_equal(np.ravel(value), np.ravel(group[each.name][()]))


def test_shared_broken_files(shared: Path) -> None:
    folder = shared / "nir" / "broken"
    assert re.match(
        r"node 'cu1': tau_syn must be positive, but one is -1\.27",
        refusal(folder / "negative_tau.nir"),
    )
    assert refusal(folder / "truncated_no_type.nir") == "type is missing"


# Repairs.


@pytest.mark.parametrize(
    ("edit", "name", "expected", "repair"),
    [
        (put("v_reset", None), "v_reset", [0, 0, 0], "v_reset is missing; 0 was taken"),
        (put("tau", 2.5), "tau", [2.5] * 3, "tau: shape () was broadcast to shape (3,)"),
        (put("r", [[4]]), "r", [4] * 3, "r: shape (1, 1) was broadcast to shape (3,)"),
        (put("r", [[4], [5], [6]]), "r", [4, 5, 6], "r: shape (3, 1) was taken as shape (3,)"),
        (put("more", 1.0), "r", real(3), None),
    ],
)
def test_repair_of_parameters(
    path: Path, edit: Edit, name: str, expected: Any, repair: str | None
) -> None:
    file = read_nir(edited(path, edit))
    value = getattr(file.graph.nodes["n"], name)
    assert value.shape == (3,)
    assert np.array_equal(value, expected)
    text = f"node 'n': {repair}" if repair else "node 'n' has no parameter 'more'; it was left out"
    assert file.repairs == (text,)


def test_repair_of_several_parameters(path: Path) -> None:
    def edit(file: h5py.File) -> None:
        for name in ("tau", "r", "v_leak"):
            put(name, np.float32(2))(file)
        put("v_threshold", [1.0])(file)

    file = read_nir(edited(path, edit))
    assert file.repairs == (
        "node 'n': tau, r, v_leak: shape () was broadcast to shape (3,)",
        "node 'n': v_threshold: shape (1,) was broadcast to shape (3,)",
    )
    assert file.graph.nodes["n"].tau.dtype == np.float32  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", [(2,), (2, 1, 1)])
def test_repair_for_each_channel(path: Path, shape: Shape) -> None:
    graph = around(Threshold(real(2, 3, 4)), (2, 3, 4))
    file = read_nir(edited(path, put("threshold", real(2).reshape(shape)), graph))
    threshold = file.graph.nodes["n"].threshold  # type: ignore[attr-defined]
    assert all(threshold[at] == real(2)[at[0]] for at in np.ndindex(2, 3, 4))
    assert file.repairs == (
        f"node 'n': threshold: shape {shape}, one for each channel, was broadcast to"
        " shape (2, 3, 4)",
    )


def test_no_repair_that_could_be_another(path: Path) -> None:
    """(3,) may stand for the channels or for the columns of (3, 4, 3)."""
    graph = around(Threshold(real(3, 4, 3)), (3, 4, 3))
    message = r"node 'n': threshold must be of shape \(3, 4, 3\), that of its input, not \(3,\)"
    assert re.fullmatch(message, refusal(edited(path, put("threshold", real(3)), graph)))


@pytest.mark.parametrize("kind", ["Affine", "Conv2d"])
@pytest.mark.parametrize(
    ("bias", "expected", "repair"),
    [
        (None, 0, "bias is missing; 0 was taken"),
        (False, 0, "bias is the truth value False; 0 was taken"),
        (2.5, 2.5, "bias: shape () was broadcast to shape"),
    ],
)
def test_repair_of_bias(
    path: Path, kind: str, bias: float | None, expected: float, repair: str
) -> None:
    file = read_nir(edited(path, put("bias", bias), around(*NODES[kind])))
    node: Any = file.graph.nodes["n"]
    assert node.bias.tolist() == [expected] * len(node.weight)
    assert len(file.repairs) == 1
    assert file.repairs[0].startswith(f"node 'n': {repair}")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("padding", "valid", (0, 0)),
        ("padding", "same", (2, 1)),
        ("padding", 1, (1, 1)),
        ("stride", [1], (1, 1)),
        ("dilation", np.uint8(1), (1, 1)),
        ("input_shape", None, (5, 7)),
    ],
)
def test_convolution_in_other_words(
    path: Path, name: str, value: Any, expected: tuple[int, int]
) -> None:
    """Integers for pairs, words for padding, no shape: all that ``nir`` allows."""
    conv = Conv2d(real(3, 2, 3, 3), real(3), (1, 1), (2, 1), (2, 1), 1, (5, 7))
    graph = around(conv, (2, 5, 7))

    def edit(file: h5py.File) -> None:
        put(name, value)(file)
        del file["node/nodes/output/shape"]
        changed = {name: expected}
        options = {each.name: getattr(conv, each.name) for each in fields(conv)} | changed
        file["node/nodes/output/shape"] = Conv2d(**options).output_shape((2, 5, 7))

    file = read_nir(edited(path, edit, graph))
    assert getattr(file.graph.nodes["n"], name) == expected
    assert file.repairs == ()


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(1, -1, (0, -1)), (1, 2, (0, 1)), (2, 3, (1, 2)), (-2, -1, (-2, -1))],
)
def test_repair_of_flatten(path: Path, start: int, end: int, expected: tuple[int, int]) -> None:
    """PyTorch's dimensions count a batch; the shape in the file tells."""
    graph = around(Flatten(*expected), (2, 3, 4))

    def edit(file: h5py.File) -> None:
        for name, value in (("start_dim", start), ("end_dim", end), ("input_type", [9, 2, 3, 4])):
            put(name, value)(file)

    file = read_nir(edited(path, edit, graph))
    assert_equal(file.graph, graph)
    assert file.repairs == (
        "node 'n': input_type (9, 2, 3, 4) counts a batch; its dimensions were taken without it",
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("S9", "<f4"), ("S9", ">f8"), ("S9", "i1"), (h5py.string_dtype("ascii"), ">f4")),
        *((h5py.string_dtype("utf-8", 9), "<f2"), (h5py.string_dtype("utf-8", 9), ">u8")),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_other_encodings(path: Path, text: Any, number: str, packed: bool) -> None:
    """All that HDF5 has for texts and numbers; NIR's own writer uses one of each."""
    write_nir(around(LIF(*(np.full(3, n + 1.0) for n in range(5))), (3,)), path)
    options = {"compression": "gzip", "shuffle": True, "chunks": (2,)} if packed else {}
    with h5py.File(path, "r+") as file:
        for group in (file["node"], *file["node/nodes"].values()):
            for name, member in list(group.items()):
                if not isinstance(member, h5py.Dataset):
                    continue
                value = member[()]
                del group[name]
                if name in ("type", "edges"):
                    value = np.array(value, text) if np.dtype(text).itemsize == 9 else value
                    group.create_dataset(name, data=value, dtype=text)
                elif name == "shape":
                    group.create_dataset(name, data=value, dtype=">i2")
                else:
                    group.create_dataset(name, data=value, dtype=number, **options)
    file = read_nir(path)
    node: Any = file.graph.nodes["n"]
    values = [getattr(node, each.name) for each in fields(node)]
    single = number in ("<f4", ">f4", "<f2")
    assert all(value.dtype == (np.float32 if single else np.float64) for value in values)
    assert [value.tolist() for value in values] == [[n] * 3 for n in (1, 2, 3, 4, 5)]
    assert file.repairs == ()


def test_input_in_other_words(path: Path) -> None:
    for edit in (
        lambda group: group.create_dataset("input_type/input", data=[3]),
        lambda group: group.create_dataset("input_type", data=[3]),
        lambda group: group.create_dataset("shape", data=3),
    ):

        def change(file: h5py.File, edit: Callable[[h5py.Group], None] = edit) -> None:
            del file["node/nodes/input/shape"]
            edit(file["node/nodes/input"])

        file = read_nir(edited(path, change))
        assert file.graph.nodes["input"].shape == (3,)  # type: ignore[attr-defined]
        assert file.repairs == ()


def test_repair_of_version(path: Path) -> None:
    def edit(file: h5py.File) -> None:
        del file["version"]

    file = read_nir(edited(path, edit))
    assert (file.version, file.repairs) == ("", ("the file gives no version of NIR",))


@pytest.mark.parametrize(
    ("place", "edges", "ends"),
    [
        # Inside, the names of the outside.
        (
            "n/",
            [("n.input", "n.lif"), ("n.lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
            ["n.input", "n.lif", "n.lif"],
        ),
        # Outside, the names of the inside.
        ("", [("input", "n.input"), ("n.output", "output")], ["n.input", "n.output"]),
    ],
)
def test_repair_of_edges(
    path: Path, place: str, edges: list[tuple[str, str]], ends: list[str]
) -> None:
    graph = around(recurrent(), (3,))

    def edit(file: h5py.File) -> None:
        group = file["node/nodes/n" if place else "node"]
        del group["edges"]
        group.create_dataset("edges", data=edges, dtype=h5py.string_dtype())

    file = read_nir(edited(path, edit, graph))
    assert_equal(file.graph, graph)
    assert len(file.repairs) == len(ends)
    for repair, end in zip(file.repairs, ends, strict=True):
        name = end.partition(".")[2] if place else "n"
        assert repair.startswith("node 'n' edge " if place else "the graph edge ")
        assert repair.endswith(f": there is no node {end!r}; {name!r} was taken")


@pytest.mark.parametrize("end", ["n.lif", "n.output", "n.", "n.n.input", "lif.n", ".n"])
def test_no_repair_of_other_edges(path: Path, end: str) -> None:
    """Only an input takes what comes from outside; the rest of the names fit nothing."""

    def edit(file: h5py.File) -> None:
        del file["node/edges"]
        file["node/edges"] = [("input", end), ("n", "output")]

    found = refusal(edited(path, edit, around(recurrent(), (3,))))
    assert found == f"edges must join nodes, but {end!r} is none"


def test_repair_of_inner_names(path: Path) -> None:
    """Nodes with the graph's name before their own, which the edges lack."""
    graph = around(recurrent(), (3,))

    def edit(file: h5py.File) -> None:
        nodes = file["node/nodes/n/nodes"]
        for name in list(nodes):
            nodes.move(name, f"n.{name}")

    file = read_nir(edited(path, edit, graph))
    assert {*file.graph.nodes["n"].nodes} == {f"n.{n}" for n in recurrent().nodes}  # type: ignore[attr-defined]
    assert len(file.repairs) == 8
    assert file.repairs[0].endswith("; 'n.input' was taken")


# Refusals.


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tau", [1, -2, 3.0], "tau must be positive, but one is -2"),
        ("tau", [1, 0, 3.0], "tau must be positive, but one is 0"),
        ("r", [1, np.nan, 3.0], "r must be finite, but holds NaN or infinity"),
        ("v_leak", [1, -np.inf, 3.0], "v_leak must be finite, but holds NaN or infinity"),
        ("r", [1.0, 2], r"r must be of shape \(3,\), that of its input, not \(2,\)"),
        ("r", None, "r is missing"),
        ("r", True, "r must hold real numbers, not bool"),
        ("r", "one", "r must hold real numbers, not str"),
        ("r", [2**53 + 1, 2, 3], "r must hold integers of at most 53 bits"),
        ("type", None, "type is missing"),
        ("type", "ALIF", "type must be one of NIR's 19, not 'ALIF'"),
        ("type", "Identity\n", r"type must be one of NIR's 19, not 'Identity\\n'"),
        ("type", [[1], [2]], "type must be a text, but is not"),
        ("type", "CubaLIF", "tau_syn is missing"),
        ("type", "NIRGraph", "nodes must be a group, but is not"),
        ("type", "Input", "shape is missing"),
    ],
)
def test_wrong_parameter(path: Path, name: str, value: Any, message: str) -> None:
    found = refusal(edited(path, put(name, value)))
    if value != "Input":
        assert re.fullmatch(f"node 'n': {message}", found)


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        ("Affine", "bias", True, "bias must hold real numbers, not bool"),
        ("Affine", "bias", real(3), r"bias must be of shape \(2,\), not \(3,\)"),
        ("Linear", "weight", real(2, 4), r"its input must be of shape \(4,\), not \(3,\)"),
        ("Linear", "weight", 1.0, r"weight must be of shape \(outputs, inputs\), not \(\)"),
        ("Conv2d", "weight", real(3), r"weight must have 4 dimensions, not shape \(3,\)"),
        ("Conv2d", "stride", [1, 2, 3], r"stride must be of shape \(2,\), not \(3,\)"),
        ("Conv2d", "stride", [1.0, 2.0], "stride must hold integers, not float64"),
        ("Conv2d", "stride", [-1, 2], "stride must be 2 integers of at least 1, not .*"),
        ("Conv2d", "padding", "full", "padding must hold integers, not str"),
        (
            "Conv2d",
            "padding",
            "same",
            "padding must not be 'same' where the stride is not 1, or the kernel is even",
        ),
        ("Conv2d", "dilation", [2**40] * 2, "dilation must not be as large as .*"),
        ("Conv2d", "groups", None, "groups is missing"),
        ("Conv2d", "groups", 2, "groups must divide the 3 output channels, not 2"),
        ("Conv2d", "input_shape", [5, 6], r"its input must be of shape \(5, 6\), not \(5, 7\)"),
        ("SumPool2d", "kernel_size", [9, 9], "its input must be larger than its window .*"),
        ("Flatten", "start_dim", 7, "start_dim and end_dim must be dimensions of its input .*"),
        ("Flatten", "input_type", [5, 5], r"its input must be of shape \(5, 5\), not \(2, 3, 4\)"),
        ("Delay", "delay", [-1.0, 1, 1], "delay must not be negative, but one is -1"),
    ],
)
def test_wrong_parameter_of(path: Path, kind: str, name: str, value: Any, message: str) -> None:
    found = refusal(edited(path, put(name, value), around(*NODES[kind])))
    assert re.fullmatch(f"node 'n': {message}", found)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (None, "shape is missing"),
        ([1.5], "shape must be a list of integers, but is not"),
        ([[3]], "shape must be a list of integers, but is not"),
        ("three", "shape must be a list of integers, but is not"),
        ([0], r"shape must hold positive numbers, their product at most 33554432, not \(0,\)"),
        ([-3], r"shape must hold positive numbers, .*, not \(-3,\)"),
        ([2**40], r"shape must hold positive numbers, .*, not \(1099511627776,\)"),
        ([2**32, 2**32], r"shape must hold positive numbers, .*"),
        ([1] * 9, "shape must have 1 to 8 dimensions, not 9"),
        (np.zeros(0, int), "shape must have 1 to 8 dimensions, not 0"),
    ],
)
def test_wrong_shape(path: Path, shape: Any, message: str) -> None:
    def edit(file: h5py.File) -> None:
        del file["node/nodes/input/shape"]
        if shape is not None:
            file["node/nodes/input/shape"] = shape

    assert re.fullmatch(f"node 'input': {message}", refusal(edited(path, edit)))


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([("input", "x")], "edges must join nodes, but 'x' is none"),
        (
            [("input", "n"), ("n", "output")] * 2,
            "edge 'input' -> 'n' must be there once, not twice",
        ),
        (
            [("input", "n"), ("n", "output"), ("n", "input")],
            "edge 'n' -> 'input' must not lead into an Input or out of an Output",
        ),
        ([("input", "n")], "node 'output': an Input must lead to it, but none does"),
        ([("input", "output")], "node 'n': an Input must lead to it, but none does"),
        (
            [("input", "n"), ("input", "output")],
            "node 'n': it must lead to an Output, but does not",
        ),
        ([("input", "n", "output")], "edges must be pairs of names, but are not"),
        (["input", "output"], "edges must be pairs of names, but are not"),
        ([[1, 2]], "edges must be pairs of names, but are not"),
        ([("input", "n")] * 40_000, "'node/edges' must hold at most 32768 pairs of texts .*"),
        (None, "edges must be pairs of names, but are not"),
    ],
)
def test_wrong_edges(path: Path, edges: Any, message: str) -> None:
    def edit(file: h5py.File) -> None:
        del file["node/edges"]
        if edges:
            file["node/edges"] = edges

    assert re.fullmatch(message, refusal(edited(path, edit)))


def test_loop_without_a_state(path: Path) -> None:
    """Nothing says what a step of it is."""
    graph = around(Scale(real(3)), (3,))

    def edit(file: h5py.File) -> None:
        del file["node/edges"]
        file["node/edges"] = [("input", "n"), ("n", "n"), ("n", "output")]

    message = "node 'n': it must not be in a loop in which no node has a state or a delay"
    assert refusal(edited(path, edit, graph)) == message


def test_wrong_node_deep_inside(path: Path) -> None:
    def edit(file: h5py.File) -> None:
        del file["node/nodes/n/nodes/lif/tau_mem"]
        file["node/nodes/n/nodes/lif/tau_mem"] = [1.0, 2.0, -3.0]

    found = refusal(edited(path, edit, around(recurrent(), (3,))))
    assert found == "node 'n': node 'lif': tau_mem must be positive, but one is -3"


def test_parameters_too_many_once_broadcast(path: Path) -> None:
    """Five scalars and a large shape: a kilobyte that asks for gigabytes."""

    def edit(file: h5py.File) -> None:
        for name in ("input", "output"):
            del file[f"node/nodes/{name}/shape"]
            file[f"node/nodes/{name}/shape"] = [2**23]
        for name in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
            put(name, 1.0)(file)

    message = "node 'n': the parameters of all neurons must be at most 33554432 numbers"
    assert refusal(edited(path, edit)) == message


# Hostile files.


def test_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "x.nir") == "the file cannot be opened: No such file or directory"
    assert refusal(Path("a\0b")) == "the file cannot be opened: embedded null byte"
    assert refusal(tmp_path) == "it must be a file"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "it must be a file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_no_permission(path: Path) -> None:
    path.touch(mode=0)
    assert refusal(path) == "the file cannot be opened: Permission denied"


@pytest.mark.parametrize("data", [b"", b"\x89HDF\r\n\x1a\n", b"node,tau\n1,2\n" * 100])
def test_no_hdf5(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert refusal(path) == "it is no HDF5 file, or a damaged one (OSError)"


def test_no_nir(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = 1
    assert refusal(path) == "it is HDF5, but no NIR file: it has no group 'node'"


def test_truncated(path: Path) -> None:
    write_nir(around(*NODES["Conv2d"]), path)
    data = path.read_bytes()
    for size in range(0, len(data), len(data) // 12):
        path.write_bytes(data[:size])
        assert refusal(path)


def _link(target: Any) -> Edit:
    def edit(file: h5py.File) -> None:
        del file["node/nodes/n/tau"]
        file["node/nodes/n/tau"] = target(file) if callable(target) else target

    return edit


def _external(file: h5py.File) -> None:
    del file["node/nodes/n/tau"]
    file.create_dataset("node/nodes/n/tau", (3,), "f8", external=[("/etc/passwd", 0, 24)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (3,))
    del file["node/nodes/n/tau"]
    file.create_virtual_dataset("node/nodes/n/tau", layout)


def _deep(file: h5py.File) -> None:
    group = file["node/nodes/n"]
    for _ in range(40):
        group = group.create_group("nodes").create_group("n")


def _create(*args: Any, **options: Any) -> Edit:
    def edit(file: h5py.File) -> None:
        del file["node/nodes/n/tau"]
        file.create_dataset("node/nodes/n/tau", *args, **options)

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_link(h5py.SoftLink("/node/nodes/n/r")), "'{}' must not be a soft link"),
        (_link(h5py.SoftLink("/node/nodes/n/tau")), "'{}' must not be a soft link"),
        (_link(h5py.ExternalLink("x.h5", "/x")), "'{}' must not be an external link"),
        (_link(lambda f: f["node"]), "'{}' must not be a second link to the same object"),
        (_link(lambda f: f["/"]), "'{}' must not be a second link to the same object"),
        (_link(h5py.Empty("f8")), "'{}' must hold a value, but is empty"),
        (_link(np.dtype("f8")), "'{}' must be a group or a data set, but is neither"),
        (_external, "'{}' must not lie in another file"),
        (_virtual, "'{}' must not be a virtual data set"),
        (_deep, "graphs must be at most 16 deep within each other"),
        (_create((3,), "c8"), "'{}' must hold numbers or texts, not complex64"),
        (_create((3,), "g"), "'{}' must hold numbers or texts, not float128"),
        (_create((3,), "V9"), r"'{}' must hold numbers or texts, not \|V9"),
        (_create((3,), h5py.vlen_dtype(float)), "'{}' must hold numbers or texts, not object"),
        (_create((3,), h5py.ref_dtype), "'{}' must hold numbers or texts, not object"),
        (_create((3,), "S999"), "'{}' must hold at most 32768 pairs of texts .*"),
        (_create(data="x" * 999), "'{}' must hold texts of at most 256 characters"),
        (_create(data=b"\xff"), "'{}' must hold texts in UTF-8 that are not empty"),
        (_create((3,), "f4", compression="lzf"), "'{}' must be compressed by gzip or not at all"),
        (_create((3,), "f4", fletcher32=True), "'{}' must be compressed by gzip or not at all"),
        (_create((2**50,), "f8", chunks=(8,)), "it must hold at most 33554432 numbers, but .*"),
        (_create((2**62,) * 4, "f8", chunks=(8,) * 4), "it must hold at most 33554432 .*"),
        (_create((2**24,), "f4", chunks=(1,)), "'{}' must not be in 16777216 chunks of .*"),
        (
            _create((3,), "f4", chunks=(2**28,), maxshape=(None,)),
            "'{}' must not be in 1 chunks of shape .*",
        ),
    ],
)
def test_hostile(path: Path, edit: Edit, message: str) -> None:
    found = refusal(edited(path, edit))
    assert re.fullmatch(message.format("node/nodes/n/tau"), found)


def test_too_many_nodes(path: Path) -> None:
    def edit(file: h5py.File) -> None:
        for n in range(2048):
            file.create_group(f"node/nodes/{n}")

    assert refusal(edited(path, edit)) == "it must have at most 2048 nodes"


def test_metadata_is_not_looked_at(path: Path) -> None:
    def edit(file: h5py.File) -> None:
        file["node/nodes/n/metadata/x"] = h5py.ExternalLink("x.h5", "/x")
        file["node/metadata"] = h5py.SoftLink("/node/metadata")

    assert read_nir(edited(path, edit)).repairs == ()


def test_node_called_metadata(path: Path) -> None:
    graph = Graph(
        {"nodes": Input((3,)), "metadata": I(real(3)), "type": Output((3,))},
        (("nodes", "metadata"), ("metadata", "type")),
    )
    write_nir(graph, path)
    assert_equal(read_nir(path).graph, graph)


def test_bomb(path: Path) -> None:
    """Half a gigabyte of zeros in a chunk that says it is 32 bytes."""
    bomb = zlib.compress(bytes(1 << 29), 9)

    def edit(file: h5py.File) -> None:
        _create((4,), "f8", chunks=(4,), compression="gzip")(file)
        file["node/nodes/n/tau"].id.write_direct_chunk((0,), bomb)

    start = time.monotonic()
    edited(path, edit)
    assert refusal(path)
    assert time.monotonic() - start < 30


def test_endless_loop_inside_hdf5(path: Path) -> None:
    """An object of no size in the heap of texts, on which HDF5 2.0 goes on for ever."""
    write_nir(around(*NODES["LIF"]), path)
    data = bytearray(path.read_bytes())
    first = data.index(b"GCOL") + 16
    second = first + 16 + -(-int.from_bytes(data[first + 8 : first + 16], "little") // 8) * 8
    data[second : second + 16] = bytes(16)
    path.write_bytes(data)
    start = time.process_time()
    message = "reading it crashed, or took more than 4 s of processor time or 1 GiB of memory"
    assert refusal(path) == message
    assert time.process_time() - start < 2


def test_process_that_hangs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second watch: wall time, for a process that sleeps."""
    path.write_bytes(b"")
    sleeper = path.with_name("sleeper.py")
    sleeper.write_text("import time\ntime.sleep(100)\n")
    monkeypatch.setattr(nir_file, "__file__", str(sleeper))
    monkeypatch.setattr(nir_file, "WALL_SECONDS", 0.5)
    assert refusal(path).startswith("reading it crashed, or took more than")


def test_largest_that_is_allowed(path: Path) -> None:
    """A quarter of a gigabyte that the file does not even hold: read, within the limits."""
    with h5py.File(path, "w") as file:
        file.create_dataset("node/x", (1 << 25,), "f8", chunks=(1 << 20,), fillvalue=2.5)
    tree = nir_file.read_tree(path)
    value = tree["node"]["x"]  # type: ignore[call-overload, index]
    assert value.shape == (1 << 25,)
    assert value[0] == value[-1] == 2.5


# Writing.


def test_write_is_reproducible(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_nir(around(recurrent(), (3,)), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_write_is_whole_or_not_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"old")

    def fail(*args: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(h5py.File, "create_group", fail)
        with pytest.raises(OSError, match="no space left"):
            write_nir(recurrent(), path)
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == ["model.nir"]
    write_nir(recurrent(), path)
    assert_equal(read_nir(path).graph, recurrent())
    assert [each.name for each in path.parent.iterdir()] == ["model.nir"]


@pytest.mark.parametrize("name", ["", ".", "a/b", "x" * 257, "a\0b"])
def test_wrong_name(path: Path, name: str) -> None:
    graph = Graph(
        {"i": Input((3,)), name: I(real(3)), "o": Output((3,))}, (("i", name), (name, "o"))
    )
    with pytest.raises(ValueError, match=r"^names must have 1 to 256 characters"):
        write_nir(graph, path)
    assert not path.exists()


def test_wrong_graph(path: Path) -> None:
    with pytest.raises(ValueError, match=r"^the graph must have an Output, but has none$"):
        write_nir(Graph({"i": Input((3,))}), path)
    with pytest.raises(ValueError, match=r"^the graph must have at most 33554432 numbers, not"):
        write_nir(around(Linear(np.zeros((1 << 13, 4097), np.float32)), (4097,)), path)
    assert not path.exists()


def test_fuzz(tmp_path: Path) -> None:
    """A slice of the benchmark; files 900,000 on are not among the benchmark's own."""
    output = tmp_path / "fuzz.json"
    subprocess.run(
        [
            *(sys.executable, str(CHECKOUT / "benchmarks" / "fuzz_nir.py"), "--processes", "1"),
            *("--files", "300", "--first", "900000", "--output", str(output)),
        ],
        check=True,
        timeout=300,
    )
    figures = {each["name"]: each["value"] for each in json.loads(output.read_text())}
    assert figures["fuzz.files"] == 300
    assert figures["fuzz.failures"] == 0
    assert 100 < figures["fuzz.refused"] < 300
    assert figures["fuzz.slowest_seconds"] < 5


def test_charged_if(path: Path) -> None:
    """The potential at the first step and spikes a step are in the metadata, and come back."""
    bias = np.array([1.0, -2.0, 0.5])
    node = ChargedIF(real(3), real(3), np.zeros(3), np.array([0.0, 0.25, 0.5]), 7, bias)
    write_nir(around(node, (3,)), path)
    with h5py.File(path) as file:
        assert file["node/nodes/n/type"][()] == b"IF"
        assert set(file["node/nodes/n"]) == {"type", "r", "v_threshold", "metadata"}
    file = read_nir(path)
    assert file.repairs == ()
    found = file.graph.nodes["n"]
    assert isinstance(found, ChargedIF)
    assert (found.v_init.tolist(), found.max_spikes) == ([0.0, 0.25, 0.5], 7)
    assert np.array_equal(found.bias, bias)
    (population,) = network_of(file.graph, PROFILES["iaf"]).populations.values()
    assert np.array_equal(population.neuron.bias, bias)


def test_charged_if_is_an_if_elsewhere(path: Path) -> None:
    """``nir`` reads it as an IF, and keeps the metadata when it writes it again."""
    node = ChargedIF(real(3), real(3), np.zeros(3), np.full(3, 0.5), 3)
    write_nir(around(node, (3,)), path)
    other = nir.read(path)
    assert type(other.nodes["n"]) is nir.IF
    nir.write(path, other)
    found = read_nir(path).graph.nodes["n"]
    assert isinstance(found, ChargedIF)
    assert (found.v_init.tolist(), found.max_spikes) == ([0.5, 0.5, 0.5], 3)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("spikeloom_max_spikes", 4, "max_spikes must be 2**n - 1, 1 to 1023, not 4"),
        ("spikeloom_max_spikes", 0.5, "spikeloom_max_spikes must hold integers, not float64"),
        ("spikeloom_v_init", [0.5] * 2, "spikeloom_v_init must be of shape (3,)"),
        ("spikeloom_v_init", [np.nan] * 3, "v_init must be finite, but holds NaN or infinity"),
    ],
)
def test_wrong_metadata(path: Path, name: str, value: Any, message: str) -> None:
    write_nir(around(IF(real(3), real(3), np.zeros(3)), (3,)), path)
    with h5py.File(path, "a") as file:
        file.create_group("node/nodes/n/metadata")[name] = value
    with pytest.raises(NIRError, match=re.escape(message)):
        read_nir(path)


def test_wrong_link_in_metadata(path: Path) -> None:
    write_nir(around(IF(real(3), real(3), np.zeros(3)), (3,)), path)
    with h5py.File(path, "a") as file:
        metadata = file.create_group("node/nodes/n/metadata")
        metadata["spikeloom_v_init"] = h5py.SoftLink("/node/nodes/n/r")
    with pytest.raises(NIRError, match="must not be a soft link"):
        read_nir(path)
