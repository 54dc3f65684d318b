"""Graphs into NIR files."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikeloom.reference.graph import (
    IF,
    ChargedIF,
    Conv1d,
    Conv2d,
    Flatten,
    Graph,
    Node,
    Shape,
    check_graph,
    input_shapes,
)
from spikeloom.reference.nir_file import MAX_DEPTH, MAX_EDGES, MAX_ELEMENTS, MAX_NAME, MAX_NODES
from spikeloom.reference.whole_file import whole_file

__all__ = ["NIR_VERSION", "write_nir"]

NIR_VERSION = "1.0.8"
"""Version of ``nir`` that files are marked with."""


_COMPRESSED_FROM = 256
"""Size from which an array is compressed; smaller ones would grow."""


def write_nir(graph: Graph, path: Path | str) -> None:
    """Write a graph as a NIR file, whole or not at all.

    The same graph gives the same bytes. A ``v_reset`` of zeros, which is what every version takes
    where there is none, is left out: 1.0.4 and 1.0.5 know no other, and refuse to be told. The
    file can be read by ``nir`` 1.0.4 to 1.0.8 as far as these know its nodes; 1.0.4 has no CubaLI.

    Parameters
    ----------
    graph
        The graph.
    path
        The file, which is replaced if there is one.

    Raises
    ------
    ValueError
        If :func:`~spikeloom.reference.graph.check_graph` refuses the graph, a name cannot be
        written, or the graph is too large for :func:`~spikeloom.reference.nir_import.read_nir`.
    OSError
        If the file cannot be written.
    """
    check_graph(graph)
    _check_size(graph)
    # Version 1.10 of the format makes files a third smaller than the default.
    with whole_file(Path(path)) as part, h5py.File(part, "w", libver="v110") as file:
        _write(file, "version", NIR_VERSION)
        _write_node(file.create_group("node"), graph, ())


def _all_nodes(graph: Graph, depth: int = 0) -> Iterator[tuple[str, Node]]:
    if depth > MAX_DEPTH:
        raise ValueError(f"graphs must be at most {MAX_DEPTH} deep within each other")
    for name, node in graph.nodes.items():
        yield name, node
        if isinstance(node, Graph):
            yield from _all_nodes(node, depth + 1)


def _check_size(graph: Graph) -> None:
    names, nodes = zip(*_all_nodes(graph), strict=True)
    for name in names:
        if not 1 <= len(name) <= MAX_NAME or name == "." or "/" in name or "\0" in name:
            raise ValueError(
                f"names must have 1 to {MAX_NAME} characters, none of them '/', and not be '.',"
                f" but one is {name!r}"
            )
    edges = sum(len(each.edges) for each in (graph, *nodes) if isinstance(each, Graph))
    numbers = sum(array.size for node in nodes for array in _arrays(node))
    for what, most, count in (
        ("nodes", MAX_NODES, len(nodes)),
        ("edges", MAX_EDGES, edges),
        ("numbers", MAX_ELEMENTS, numbers),
    ):
        if count > most:
            raise ValueError(f"the graph must have at most {most} {what}, not {count}")


def _arrays(node: Node) -> list[np.ndarray]:
    values = [getattr(node, each.name) for each in fields(node)]
    return [value for value in values if isinstance(value, np.ndarray)]


def _write_node(group: h5py.Group, node: Node, shape: Shape) -> None:
    """Write a node, given the shape of what arrives at it."""
    _write(group, "type", _type_name(node))
    if isinstance(node, Graph):
        _write(group, "edges", [list(edge) for edge in node.edges])
        shapes = input_shapes(node)
        nodes = group.create_group("nodes")
        for name, inner in node.nodes.items():
            _write_node(nodes.create_group(name), inner, shapes[name])
        return
    if isinstance(node, ChargedIF):
        metadata = group.create_group("metadata")
        _write(metadata, "spikeloom_v_init", node.v_init)
        _write(metadata, "spikeloom_max_spikes", node.max_spikes)
        if node.bias is not None:
            _write(metadata, "spikeloom_bias", node.bias)
    for each in fields(IF if isinstance(node, ChargedIF) else node):
        value: Any = getattr(node, each.name)
        if each.name == "v_reset" and not value.any():
            continue
        if isinstance(node, Conv1d | Conv2d) and each.name == "input_shape":
            value = shape[1:]
        if isinstance(node, Conv1d) and isinstance(value, tuple):
            (value,) = value
        _write(group, each.name, value)
    if isinstance(node, Flatten):
        _write(group, "input_type", shape)


def _type_name(node: Node) -> str:
    if isinstance(node, Graph):
        return "NIRGraph"
    return "IF" if isinstance(node, ChargedIF) else type(node).__name__


def _write(group: h5py.Group, name: str, value: Any) -> None:
    texts = isinstance(value, str) or (isinstance(value, list) and value)
    if texts:
        group.create_dataset(name, data=value, dtype=h5py.string_dtype())
    elif isinstance(value, np.ndarray) and value.size > _COMPRESSED_FROM:
        group.create_dataset(name, data=value, compression="gzip", shuffle=True)
    elif isinstance(value, np.ndarray):
        group.create_dataset(name, data=value)
    else:
        group.create_dataset(name, data=np.asarray(value, dtype=np.int64))
