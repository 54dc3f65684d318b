"""``spikeloom inspect``: what a NIR file holds, and what becomes of it."""

import argparse
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from typing import Any

import numpy as np

from spikeloom.cli.inspect_network import Becoming, describe
from spikeloom.cli.model import add_model_arguments
from spikeloom.cli.profile_options import given_profile, option_word, required_profile
from spikeloom.cli.progress import print_json, print_table, say
from spikeloom.reference.graph import Graph, Node, Shape, input_shapes
from spikeloom.reference.nir_import import NIRFile, read_nir
from spikeloom.reference.profile import PROFILES, Profile

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "inspect",
        help="show what a NIR file holds and what becomes of it",
        description="Shows the graph of a NIR file, what was repaired in reading it, and, under a"
        " profile, which populations and connections it becomes, how much memory their weights and"
        " states take, and signs that the profile does not fit.",
    )
    add_model_arguments(parser)
    parser.add_argument(
        "--weight-width", type=int, default=8, help="bits of a weight (default 8)", metavar="INT"
    )
    parser.add_argument(
        "--state-width",
        type=int,
        default=16,
        help="bits of a potential (default 16)",
        metavar="INT",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    for name, least, most in (("weight_width", 2, 16), ("state_width", 4, 32)):
        if not least <= getattr(arguments, name) <= most:
            raise ValueError(f"{name} must be {least} to {most}, not {getattr(arguments, name)!r}")
    # Options that change a profile which was not named would have no effect.
    profile = None if given_profile(arguments) is None else required_profile(arguments)
    model = read_nir(arguments.model)
    becoming = None
    if profile is not None:
        becoming = describe(model.graph, profile)
    if arguments.json:
        print_json(_plain(arguments, model, profile, becoming))
        return 0
    nodes = _nodes(model.graph)
    say(
        f"{arguments.model}: NIR {model.version or 'of no stated version'}, {len(nodes)} nodes,"
        f" {sum(len(each['edges']) for each in _graphs(model.graph))} edges"
    )
    say()
    _print_graph(model, nodes, becoming)
    if profile is None or becoming is None:
        say("What the nodes compute in a step depends on the profile, which the file leaves open.")
        say(f"next: --profile with one of {', '.join(PROFILES)}")
    else:
        _print_becoming(profile, becoming, arguments)
    return 0


def _profile_facts(profile: Profile) -> dict[str, Any]:
    """The options of a profile as plain values."""
    values = {each.name: getattr(profile, each.name) for each in fields(profile)}
    return {name: v.value if isinstance(v, Enum) else v for name, v in values.items()}


def _nodes(graph: Graph, where: str = "") -> list[dict[str, Any]]:
    """The nodes of a graph on the way from its inputs, those of an inner graph behind it."""
    nodes = []
    shapes = input_shapes(graph)
    for name in shapes:
        node = graph.nodes[name]
        nodes.append(
            {
                "name": where + name,
                "type": "NIRGraph" if isinstance(node, Graph) else type(node).__name__,
                "input_shape": list(shapes[name]),
                "output_shape": list(node.output_shape(shapes[name])),
                "parameters": dict(_parameters(node)),
            }
        )
        if isinstance(node, Graph):
            nodes += _nodes(node, f"{where}{name}.")
    return nodes


def _graphs(graph: Graph, where: str = "") -> Iterator[dict[str, Any]]:
    """The edges of a graph and of each inner graph, on the way from the inputs."""
    order = list(input_shapes(graph))
    edges = sorted(graph.edges, key=lambda edge: tuple(map(order.index, edge)))
    yield {"graph": where.removesuffix("."), "edges": [list(edge) for edge in edges]}
    for name in order:
        node = graph.nodes[name]
        if isinstance(node, Graph):
            yield from _graphs(node, f"{where}{name}.")


def _parameters(node: Node) -> Iterator[tuple[str, Any]]:
    """Shape and range of each array, and the value of what is none."""
    if isinstance(node, Graph):
        return
    for each in fields(node):
        value = getattr(node, each.name)
        if isinstance(value, np.ndarray):
            low, high = (float(end) if value.size else 0.0 for end in (value.min(), value.max()))
            yield each.name, {"shape": list(value.shape), "min": low, "max": high}
        elif value is not None and each.name not in ("shape", "input_shape"):
            yield each.name, list(value) if isinstance(value, tuple) else value


def _print_graph(model: NIRFile, nodes: list[dict[str, Any]], becoming: Becoming | None) -> None:
    titles = ["node", "type", "shape", *(["becomes"] if becoming else []), "parameters"]
    rows = []
    for node in nodes:
        begin, end = _shape(node["input_shape"]), _shape(node["output_shape"])
        rows.append(
            [
                node["name"],
                node["type"],
                begin if begin == end else f"{begin} -> {end}",
                *([becoming.role(node["name"], node["type"])] if becoming else []),
                ", ".join(f"{name} {_value(v)}" for name, v in node["parameters"].items()),
            ]
        )
    print_table(titles, rows, words=len(titles))
    for each in _graphs(model.graph):
        say()
        say(f"edges of {each['graph']!r}" if each["graph"] else "edges")
        for a, b in each["edges"]:
            say(f"  {a} -> {b}")
    say()
    for repair in model.repairs:
        say(f"repaired: {repair}")
    if model.repairs:
        say()


def _shape(shape: list[int] | Shape) -> str:
    return " x ".join(map(str, shape))


def _value(value: Any) -> str:
    if isinstance(value, dict):
        low, high = f"{value['min']:.4g}", f"{value['max']:.4g}"
        return low if low == high else f"{low} to {high}"
    return _shape(value) if isinstance(value, list) else str(value)


def _print_becoming(profile: Profile, becoming: Becoming, arguments: argparse.Namespace) -> None:
    default = Profile(name=profile.name)
    facts = _profile_facts(profile)
    changed = [
        f"{name}={option_word(facts[name])}"
        for name, value in _profile_facts(default).items()
        if facts[name] != value or name in ("dt", "decay", "reset")
    ]
    say(f"profile {profile.name}: {', '.join(changed)}")
    say()
    titles = ["population", "neurons", "from", "maps", "delay", "on a loop", "weights", "synapses"]
    rows = []
    for population in becoming.populations:
        first = [population.name, str(population.neurons)]
        for each in population.connections or (None,):
            if each is None:
                rows.append([*first, *["-"] * 6])
                continue
            rows.append(
                [
                    *first,
                    each.source,
                    each.maps,
                    each.delay,
                    "yes" if each.loop else "no",
                    f"{each.weights:,}",
                    f"{each.synapses:,}",
                ]
            )
            first = ["", ""]
    print_table(titles, rows, words=4)
    say()
    weights, states = becoming.weights, becoming.states
    bits = weights * arguments.weight_width, states * arguments.state_width
    say(f"weights {weights:,}, synaptic connections {becoming.synapses:,}")
    say(
        f"weights and states {sum(bits):,} bits: {weights:,} weights of {arguments.weight_width}"
        f" bits and {states:,} states of {arguments.state_width} bits; biases, thresholds, decays"
        " and counters of refractory steps are not counted"
    )
    for doubt in becoming.doubts:
        say(f"doubt: {doubt}")


def _plain(
    arguments: argparse.Namespace,
    model: NIRFile,
    profile: Profile | None,
    becoming: Becoming | None,
) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "file": str(arguments.model),
        "nir_version": model.version,
        "repairs": list(model.repairs),
        "nodes": _nodes(model.graph),
        "graphs": list(_graphs(model.graph)),
    }
    if profile is None or becoming is None:
        return plain | {"profiles": list(PROFILES)}
    for node in plain["nodes"]:
        node["becomes"] = becoming.role(node["name"], node["type"])
    weight_bits = becoming.weights * arguments.weight_width
    state_bits = becoming.states * arguments.state_width
    return plain | {
        "profile": _profile_facts(profile),
        "populations": [each.plain() for each in becoming.populations],
        "weights": becoming.weights,
        "synapses": becoming.synapses,
        "memory_bits": {
            "weights": weight_bits,
            "state": state_bits,
            "total": weight_bits + state_bits,
        },
        "doubts": list(becoming.doubts),
    }
