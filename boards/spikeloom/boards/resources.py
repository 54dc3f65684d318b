"""What a network takes of an FPGA, before anything is synthesised."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from spikeloom.boards.cells import RAMCell, choose_ram
from spikeloom.boards.family import Family
from spikeloom.rtl_gen.datapath import state_shapes
from spikeloom.rtl_gen.inventory import (
    MemoryShape,
    Multiplier,
    memories,
    multipliers,
    varying_bits,
)
from spikeloom.rtl_gen.link.linked import QUEUE_BYTES
from spikeloom.rtl_gen.network import Population
from spikeloom.rtl_gen.protection import check_width

__all__ = ["Memory", "PopulationResources", "link_resources", "population_resources"]


@dataclass(frozen=True)
class Memory:
    """A memory, and what it becomes.

    Attributes
    ----------
    shape
        Its words, without the bits that never change.
    cell
        Cells that it is made of; ``None`` is logic.
    count
        How many of them.
    """

    shape: MemoryShape
    cell: RAMCell | None
    count: int


@dataclass(frozen=True)
class PopulationResources:
    """What a population takes.

    Attributes
    ----------
    memories
        Its memories by what they hold.
    usage
        How much it takes of each resource, by the names that a family gives them.
    """

    memories: Mapping[str, Memory]
    usage: Mapping[str, int]


def population_resources(population: Population, family: Family) -> PopulationResources:
    """What a population takes of an FPGA.

    Memories and DSPs follow yosys' rules, and are compared with what it makes for dense and
    convolutional networks whose events are summed. Logic cells are an estimate; see
    :class:`~spikeloom.boards.cells.LogicModel`.

    Raises
    ------
    ValueError
        If the family has no memory of the weight store's style.
    """
    found = dict(_memories(population, family))
    cell = family.multiplier
    dsps = sum(cell.needed(each) for each in multipliers(population)) if cell else 0
    logic = _logic(population, family, found.values())
    usage = _usage(found.values()) + Counter({"DSPs": dsps, "logic cells": logic})
    return PopulationResources(found, usage)


def link_resources(family: Family) -> Mapping[str, int]:
    """What the serial line, clock and lamps take."""
    queue = _placed(MemoryShape(QUEUE_BYTES, 8), family)
    # What the device says of itself; that of any but a very deep network is no longer.
    text = _placed(MemoryShape(QUEUE_BYTES, 8, rom=True), family, "block")
    return _usage([queue, text]) + Counter({"logic cells": family.logic.link})


def _memories(population: Population, family: Family) -> Iterator[tuple[str, Memory]]:
    varying = varying_bits(population)
    store = population.weights.store
    for name, shape in memories(population).items():
        shape = replace(shape, width=varying.get(name, shape.width))
        if name == "weights":
            parts = population.lanes if store.loaded else 1
            yield name, _placed(shape, family, store.style, parts)
        else:
            yield name, _placed(shape, family)


def _placed(shape: MemoryShape, family: Family, style: str = "", parts: int = 1) -> Memory:
    return Memory(shape, *choose_ram(family.rams, shape, style, parts))


def _usage(found: Iterable[Memory]) -> Counter[str]:
    usage: Counter[str] = Counter()
    for each in found:
        if each.cell is not None:
            usage[each.cell.resource] += each.count * each.cell.takes
    return usage


def _logic(population: Population, family: Family, found: Iterable[Memory]) -> int:
    """Logic cells of a population but those that memories are made of, about."""
    model, config = family.logic, population.neurons
    state = sum(each.width for each in state_shapes(config).values())
    lane = model.pipeline * state * population.core.array.latency
    lane += model.comparison * state * config.count_width
    lane += model.sum * config.current_width
    if population.protection.ecc:
        lane += _code_cells(state)
    cells = model.population + (0 if population.gathers else model.scatter)
    cells += lane * population.lanes
    if population.protection.parity:
        cells += _parity_cells(population.weights.width * population.lanes + 1)
    for each in found:
        if each.cell is None:
            cells += each.shape.bits * (model.constant if each.shape.rom else model.written)
    if family.multiplier is None:
        cells += model.product * sum(_added(each) for each in multipliers(population))
    return round(cells)


def _parity_cells(bits: int) -> float:
    """Logic cells that sum up so many bits modulo 2: each takes four and leaves one."""
    return (bits - 1) / 3


def _code_cells(bits: int) -> float:
    """Logic cells that write the code of a word of so many bits and read it, about."""
    checks = check_width(bits)
    # About half of the bits are in each check, when it is written and when it is read; then each
    # bit is compared with what the checks say is wrong.
    sums = 2 * checks * _parity_cells(bits // 2) + _parity_cells(bits + checks)
    return sums + 2 * bits


def _added(factors: Multiplier) -> int:
    """Bits that are added up where a product is logic: a word for each bit of the narrower factor,
    or each 1 of a constant, but the first."""
    if factors.constant is not None:
        return max(0, abs(factors.constant).bit_count() - 1) * factors.a
    return (min(factors.a, factors.b) - 1) * max(factors.a, factors.b)
