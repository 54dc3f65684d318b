"""What a population is made of: memories and multipliers, known before anything is synthesised."""

import enum
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from amaranth.hdl import Shape
from amaranth.utils import bits_for

from spikeloom.reference.fixed import IntArray, signed_width
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig, SynapseConfig
from spikeloom.reference.scatter import ScatterTables
from spikeloom.rtl_gen.datapath import parameter_shapes, parameter_values
from spikeloom.rtl_gen.delay import loop_depth
from spikeloom.rtl_gen.event_population import EventPopulation
from spikeloom.rtl_gen.fixed import index_shape
from spikeloom.rtl_gen.junction import Source
from spikeloom.rtl_gen.network import Population
from spikeloom.rtl_gen.neuron import stored_layout
from spikeloom.rtl_gen.population import DensePopulation

__all__ = ["Collision", "MemoryShape", "Multiplier", "memories", "multipliers", "varying_bits"]


class Collision(enum.Enum):
    """What is read of a word in the very cycle in which it is written.

    Attributes
    ----------
    UNMET
        Nothing that is used, or nothing is ever written.
    NEW, OLD
        What it becomes, or what it was.
    """

    UNMET = enum.auto()
    NEW = enum.auto()
    OLD = enum.auto()


@dataclass(frozen=True)
class MemoryShape:
    """Words of a memory, bits of a word, whether nothing is ever written, and what is read if the
    word is."""

    depth: int
    width: int
    rom: bool = False
    collision: Collision = Collision.UNMET

    @property
    def bits(self) -> int:
        """Bits of the whole."""
        return self.depth * self.width


@dataclass(frozen=True)
class Multiplier:
    """Bits of both factors, which are signed, and of the product; the second if it is constant."""

    a: int
    b: int
    product: int
    constant: int | None = None


def memories(population: Population) -> dict[str, MemoryShape]:
    """The memories of a population in hardware, by what they hold."""
    config = population.neurons
    rows, lanes = population.rows, population.lanes
    weights = population.weights
    core = population.core
    one_by_one = isinstance(core, EventPopulation)
    found = {
        "weights": MemoryShape(
            len(weights.rows), weights.width * lanes, rom=not weights.store.loaded
        ),
        "state": MemoryShape(
            rows,
            lanes * stored_layout(config, population.protection.ecc).size,
            collision=Collision.NEW if one_by_one else Collision.UNMET,
        ),
    }
    if weights.parity:
        found["parity"] = MemoryShape(len(weights.rows), 1, rom=not weights.store.loaded)
    parameters = _bits(parameter_shapes(config).values())
    parameters += config.current_width * len(population.population.late_bias)
    if parameters:
        found["parameters"] = MemoryShape(rows, lanes * parameters, rom=True)
    for k, source in enumerate(population.sources):
        found |= {f"{name}_{k}": shape for name, shape in _connection(source).items()}
    count = Shape.cast(core.i.p.shape()["count"].shape).width
    if isinstance(core, DensePopulation):
        address = index_shape(population.inputs).width
        return found | {"events": MemoryShape(2 << address, address + count)}
    if one_by_one:
        twice = MemoryShape(population.inputs, count)
    else:
        twice = MemoryShape(rows, lanes * config.current_width, collision=Collision.NEW)
    found |= {"bank_0": twice, "bank_1": twice}
    return found | _tables(core.tables, rows, len(set(core.shifts)))


def multipliers(population: Population) -> list[Multiplier]:
    """The multipliers of a population in hardware, those of all lanes."""
    config = population.neurons
    each = []
    core = population.core
    event = core.i.p.shape() if isinstance(core, DensePopulation) else core.event
    count = Shape.cast(event["count"].shape)
    if count.width > 1 or count.signed:
        a = population.weights.width
        each.append(Multiplier(a, count.width + (not count.signed), a + count.width))
    registers: list[NeuronConfig | SynapseConfig] = [config]
    if config.synapse is not None:
        registers.append(config.synapse)
    for register in registers:
        if register.decay_rule is DecayRule.MULTIPLIER:
            decay = register.decay
            constant = decay if isinstance(decay, int) else None
            width = register.decay_fraction + 2 if constant is None else signed_width(constant)
            a = register.state.word_length
            each.append(Multiplier(a, width, a + max(1, width - 1), constant))
    return each * population.lanes


def varying_bits(population: Population) -> dict[str, int]:
    """For each memory that is never written the bits of a word that differ from word to word.

    Synthesis leaves the others out.
    """
    found: dict[str, int] = {}
    for name, values, width in _contents(population):
        values = values.reshape(len(values), -1)
        changing = np.bitwise_or.reduce(values ^ values[0], axis=0) & ((1 << width) - 1)
        found[name] = found.get(name, 0) + sum(each.bit_count() for each in changing.tolist())
    return found


def _contents(population: Population) -> Iterator[tuple[str, IntArray, int]]:
    """Fields of the memories that are never written: the memory, its words' and their bits."""
    config, core = population.neurons, population.core
    if not population.weights.store.loaded:
        yield "weights", population.weights.rows, population.weights.width
        if population.weights.parity:
            yield "parity", population.weights.row_parity, 1
    own = parameter_values(config)
    for name, shape in parameter_shapes(config).items():
        yield "parameters", population.layout.by_row(own[name]), shape.width
    for late in population.population.late_bias:
        yield "parameters", population.layout.by_row(late.current.ravel()), config.current_width
    if isinstance(core, DensePopulation):
        return
    tables = core.tables
    weight, target = index_shape(len(tables.weights)).width, index_shape(population.rows).width
    places = sorted(set(core.shifts))
    channel = [tables.base, tables.first, tables.groups, [places.index(k) for k in core.shifts]]
    for column, width in zip(channel, (weight, target, 32, 32), strict=True):
        yield "channel", np.asarray(column), width
    for name, axis in (("y", tables.height), ("x", tables.width)):
        lengths = [len(each) for each in axis]
        yield name, np.cumsum([0, *lengths[:-1]]), 32
        yield name, np.asarray(lengths), 32
        pairs = np.asarray(list(chain.from_iterable(axis)) or [(0, 0)])
        yield f"pairs_{name}", pairs, max(weight, target)


def _bits(shapes: Iterable[Shape]) -> int:
    return sum(each.width for each in shapes)


def _connection(source: Source) -> dict[str, MemoryShape]:
    """What delays a connection's events."""
    found = {}
    delay = np.asarray(source.connection.delay)
    if source.loop:
        # A first-in first-out queue holds one word in a register.
        depth = loop_depth(math.prod(source.shape)) - 1
        found["queue"] = MemoryShape(depth, source.event.size, collision=Collision.OLD)
        delay = delay - 1
    if np.any(delay):
        place = index_shape(math.prod(source.shape)).width
        lists = int(delay.max()) + 1
        # The kind is known.
        found["delay"] = MemoryShape(lists << place, source.event.size - 2)
    return found


def _tables(tables: ScatterTables, rows: int, places: int) -> dict[str, MemoryShape]:
    """Look-up tables of the scatter engine; those of one entry are constants."""
    weight, target = index_shape(len(tables.weights)).width, index_shape(rows).width
    groups = bits_for(max(tables.groups))
    found = {
        "channel": MemoryShape(
            len(tables.base), weight + target + groups + index_shape(places).width, rom=True
        ),
    }
    for name, axis in (("y", tables.height), ("x", tables.width)):
        pairs = sum(len(each) for each in axis)
        length = bits_for(max(len(each) for each in axis))
        found[name] = MemoryShape(len(axis), index_shape(max(1, pairs)).width + length, rom=True)
        found[f"pairs_{name}"] = MemoryShape(pairs, weight + target, rom=True)
    return {name: shape for name, shape in found.items() if shape.depth > 1}
