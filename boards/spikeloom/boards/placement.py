"""What a network with so many lanes takes of a board, and where its weights lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from spikeloom.boards.board import Board
from spikeloom.boards.family import Family
from spikeloom.boards.flow import Usage
from spikeloom.boards.resources import (
    PopulationResources,
    link_resources,
    population_resources,
)
from spikeloom.reference.network import FixedNetwork
from spikeloom.rtl_gen.network import Population, sources_of
from spikeloom.rtl_gen.protection import UNGUARDED, Protection
from spikeloom.rtl_gen.weights import WeightStore

__all__ = ["Placement", "Placer"]


@dataclass(frozen=True)
class Placement:
    """A network on a board.

    Attributes
    ----------
    lanes, stores, parts
        Of each population its lanes, its weight store and what it takes.
    usage
        What all takes of the board, the serial line included.
    """

    lanes: tuple[int, ...]
    stores: tuple[WeightStore, ...]
    parts: tuple[PopulationResources, ...]
    usage: Mapping[str, Usage]

    def lacks(self, logic: float) -> dict[str, Usage]:
        """What there is too little of.

        Parameters
        ----------
        logic
            The share of the logic cells, which are an estimate, that may be taken.
        """
        return {
            name: each
            for name, each in self.usage.items()
            if each.used > each.available * (logic if name == "logic cells" else 1)
        }


class Placer:
    """Places a network on boards.

    Parameters
    ----------
    network
        The network.
    protection
        What of its memories is guarded.
    """

    def __init__(self, network: FixedNetwork, protection: Protection = UNGUARDED) -> None:
        self._network = network
        self._protection = protection
        self._names = tuple(network.populations)
        self.population = cache(self._population)
        self._resources = cache(self._resources_of)

    def _population(self, k: int, lanes: int, store: WeightStore) -> Population:
        """The hardware of a population, by its number."""
        name = self._names[k]
        sources = sources_of(self._network, name)
        population = self._network.populations[name]
        return Population(population, sources, lanes, store, self._protection)

    def _resources_of(
        self, k: int, lanes: int, store: WeightStore, family: Family
    ) -> PopulationResources:
        return population_resources(self.population(k, lanes, store), family)

    def place(self, board: Board, lanes: Sequence[int]) -> Placement:
        """Place the network: weights in the bitstream, or, where block RAM is not enough, in SPRAM.

        The most block RAMs of weights that SPRAM can take give way first.
        """
        stores = [WeightStore.AUTO] * len(lanes)
        while True:
            placement = self._placement(board, lanes, stores)
            if placement.usage["block RAMs"].used <= board.block_rams:
                return placement
            saved = {
                k: _weight_blocks(placement.parts[k])
                for k, store in enumerate(stores)
                if store is WeightStore.AUTO and self._takes(board, lanes, stores, k)
            }
            if not any(saved.values()):
                return placement
            stores[max(saved, key=saved.__getitem__)] = WeightStore.SPRAM

    def _takes(
        self, board: Board, lanes: Sequence[int], stores: Sequence[WeightStore], k: int
    ) -> bool:
        """Whether the SPRAMs that are left take the weights of a population."""
        if not board.sprams:
            return False
        moved = [WeightStore.SPRAM if j == k else store for j, store in enumerate(stores)]
        return self._placement(board, lanes, moved).usage["SPRAMs"].used <= board.sprams

    def _placement(
        self, board: Board, lanes: Sequence[int], stores: Sequence[WeightStore]
    ) -> Placement:
        family = board.family
        parts = [
            self._resources(k, each, store, family)
            for k, (each, store) in enumerate(zip(lanes, stores, strict=True))
        ]
        link = link_resources(family)
        usage = {
            name: Usage(sum(part.get(name, 0) for part in (link, *(p.usage for p in parts))), most)
            for name, most in board.has.items()
            if most
        }
        return Placement(tuple(lanes), tuple(stores), tuple(parts), usage)


def _weight_blocks(part: PopulationResources) -> int:
    """Block RAMs that a population's weights take."""
    weights = part.memories["weights"]
    block = weights.cell is not None and weights.cell.resource == "block RAMs"
    return weights.count if block else 0
