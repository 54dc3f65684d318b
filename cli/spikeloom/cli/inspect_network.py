"""What becomes of a graph under a profile, in words and numbers."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spikeloom.reference.doubts import doubts
from spikeloom.reference.graph import Graph
from spikeloom.reference.maps import Convolution, Dense, Diagonal, Map, Pool, Weighted, apply_maps
from spikeloom.reference.network import Connection, FloatNetwork, FloatPopulation
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.profile import Profile

__all__ = ["Becoming", "ConnectionFacts", "PopulationFacts", "describe"]


@dataclass(frozen=True, kw_only=True)
class ConnectionFacts:
    """A connection.

    Attributes
    ----------
    source
        Input or population that it comes from.
    maps
        Its linear maps in words.
    delay
        Steps, or the range of steps.
    loop
        Whether its target leads back to its source.
    weights
        Weights, each shared one counted once.
    synapses
        Ways from a source through a weight to a neuron: shared weights count each time.
    """

    source: str
    maps: str
    delay: str
    loop: bool
    weights: int
    synapses: int


@dataclass(frozen=True, kw_only=True)
class PopulationFacts:
    """A population, its neurons and the words of state that these have."""

    name: str
    neurons: int
    states: int
    connections: tuple[ConnectionFacts, ...]

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Becoming:
    """A network, and what makes one doubt its profile."""

    inputs: tuple[str, ...]
    outputs: Mapping[str, str]
    populations: tuple[PopulationFacts, ...]
    doubts: tuple[str, ...]

    @property
    def weights(self) -> int:
        """All weights, each shared one counted once."""
        return sum(c.weights for p in self.populations for c in p.connections)

    @property
    def synapses(self) -> int:
        """All synaptic connections."""
        return sum(c.synapses for p in self.populations for c in p.connections)

    @property
    def states(self) -> int:
        """All words of state."""
        return sum(each.states for each in self.populations)

    def role(self, name: str, kind: str) -> str:
        """What a node of the graph becomes."""
        if name in self.inputs:
            return "input"
        if name in self.outputs:
            source = self.outputs[name]
            return "output and its weighted sum" if source == name else f"output of {source}"
        if any(name == each.name for each in self.populations):
            return "population"
        if kind == "NIRGraph":
            return "its nodes"
        if kind in ("Input", "Output"):
            return "joint, left out"
        return "delay of a connection" if kind == "Delay" else "map of a connection"


def describe(graph: Graph, profile: Profile) -> Becoming:
    """What becomes of a graph.

    Raises
    ------
    ValueError
        If the profile contradicts a node.
    """
    network = network_of(graph, profile)
    leads = _leads(network)
    return Becoming(
        inputs=tuple(network.inputs),
        outputs=network.outputs,
        populations=tuple(
            PopulationFacts(
                name=name,
                neurons=math.prod(population.shape),
                states=_states(population),
                connections=tuple(
                    _connection(each, population, loop=each.source in leads[name])
                    for each in population.connections
                ),
            )
            for name, population in network.populations.items()
        ),
        doubts=tuple(doubts(network, graph)),
    )


def _states(population: FloatPopulation) -> int:
    """Words that must be kept from one step to the next."""
    neuron = population.neuron
    words = int(bool(np.any(neuron.alpha))) + int(neuron.tau_syn is not None)
    return words * math.prod(population.shape)


def _leads(network: FloatNetwork) -> dict[str, set[str]]:
    """For each population those that it leads to, itself included only over a loop."""
    after: dict[str, set[str]] = {name: set() for name in network.populations}
    for name, population in network.populations.items():
        for each in population.connections:
            if each.source in after:
                after[each.source].add(name)
    found = {}
    for name in after:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            fresh = after[waiting.pop()] - seen
            seen |= fresh
            waiting += fresh
        found[name] = seen
    return found


def _connection(
    connection: Connection, population: FloatPopulation, *, loop: bool
) -> ConnectionFacts:
    low, high = int(np.min(connection.delay)), int(np.max(connection.delay))
    maps = connection.maps
    ways = math.prod(population.shape)
    if maps:
        ones = [
            each.with_weight(np.ones(each.weight.shape)) if isinstance(each, Weighted) else each
            for each in maps
        ]
        ways = round(float(apply_maps(ones, np.ones((1, *maps[0].input_shape))).sum()))
    return ConnectionFacts(
        source=connection.source,
        maps=", ".join(map(_words, maps)) or "one to one",
        delay=str(low) if low == high else f"{low} to {high}",
        loop=loop,
        weights=connection.synapses,
        synapses=ways,
    )


def _words(each: Map) -> str:
    begin, end = ("x".join(map(str, shape)) for shape in (each.input_shape, each.output_shape))
    if isinstance(each, Dense):
        return f"dense {begin}>{end}"
    if isinstance(each, Diagonal):
        return f"diagonal {begin}"
    if isinstance(each, Convolution):
        kernel = "x".join(map(str, each.weight.shape[2:]))
        return f"convolution {kernel} {begin}>{end}"
    if isinstance(each, Pool):
        return f"pool {'x'.join(map(str, each.kernel))} {begin}>{end}"
    return f"reshape {begin}>{end}"
