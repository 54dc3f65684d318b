"""Cells that memories and products become, chosen as yosys chooses them.

``memory_libmap`` gives each kind of cell a cost and takes the cheapest for a memory, or logic at
1 a bit, or a sixteenth where nothing is ever written. ``mul2dsp`` takes a product apart into those
that a multiplier can form. The rules are those of yosys 0.70.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spikeloom.rtl_gen.inventory import Collision, MemoryShape, Multiplier

__all__ = ["LogicModel", "MultiplierCell", "RAMCell", "choose_ram"]

_LOGIC_ROM = 1 / 16
"""Cost of a bit that is not written, in logic."""
_EMULATION = 2
"""Cost of a point of what is emulated around a memory."""
_SELECTION = 0.5
"""Cost of a bit that is selected by an address: to be read, or an enable to be written."""


@dataclass(frozen=True, kw_only=True)
class RAMCell:
    """A kind of memory cell.

    Parameters
    ----------
    name
        What it is called in text.
    resource
        What it takes, as :class:`~spikeloom.boards.family.Resource` calls it, or ``logic cells``.
    takes
        How much of that a cell takes.
    style
        What a memory's ``ram_style`` calls it.
    cost
        What a cell costs.
    modes
        Depth and width of each, from the deepest to the widest.
    enabled
        Bits that are written together at least, 0 where it is a word.
    points
        Points of what is emulated where the old word is read of one that is being written.
    rom
        Whether it may be taken for a memory that is never written.
    shared
        Whether a cell of which a part is used costs but that part.
    asked
        Whether it is taken only for a memory whose style asks for it.
    """

    name: str
    resource: str
    takes: int = 1
    style: str
    cost: int
    modes: tuple[tuple[int, int], ...]
    enabled: int
    points: int
    rom: bool = True
    shared: bool = False
    asked: bool = False

    def needed(self, memory: MemoryShape, parts: int = 1) -> tuple[int, float]:
        """How many cells a memory needs, and what they cost.

        Parameters
        ----------
        memory
            The memory.
        parts
            Parts of a word, all of one width, that are written one by one.
        """
        best: tuple[int, float] | None = None
        for depth, width in self.modes:
            together = 1 if memory.rom else min(self.enabled or width, width)
            part = -(-memory.width // parts // together) * together
            segments = -(-memory.depth // depth)
            count = -(-segments * parts * part // width)
            used = segments * memory.width / width if self.shared else count
            cost = used * self.cost + _EMULATION * self._emulated(memory)
            cost += _SELECTION * (segments - 1) * memory.width
            if segments > 1 and not memory.rom:
                cost += _SELECTION * segments * parts
            # A mode is better by a whole point, or it is not.
            if best is None or cost < int(best[1]):
                best = count, cost
        if best is None:
            raise ValueError(f"{self.name} must have a mode")
        return best

    def _emulated(self, memory: MemoryShape) -> int:
        """Points of what is emulated; a port of its own to read at has one."""
        points = {Collision.UNMET: 1, Collision.NEW: 4, Collision.OLD: self.points}
        return points[memory.collision]


def choose_ram(
    cells: Iterable[RAMCell], memory: MemoryShape, style: str = "", parts: int = 1
) -> tuple[RAMCell | None, int]:
    """The kind of cell that a memory is made of, ``None`` for logic, and how many there are.

    Parameters
    ----------
    cells
        The kinds that there are, in the order in which yosys looks at them.
    memory, parts
        As :meth:`RAMCell.needed`'s.
    style
        The memory's ``ram_style``; empty where the choice is free.

    Raises
    ------
    ValueError
        If a style is asked for that there is not.
    """
    chosen: tuple[RAMCell | None, int] | None = None if style else (None, 0)
    least = int(memory.bits * (_LOGIC_ROM if memory.rom else 1))
    for cell in cells:
        if (cell.style != style) if style else cell.asked or (memory.rom and not cell.rom):
            continue
        count, cost = cell.needed(memory, parts)
        if chosen is None or cost < least:
            chosen, least = (cell, count), int(cost)
    if chosen is None:
        raise ValueError(f"there is no memory of style {style!r}")
    return chosen


@dataclass(frozen=True, kw_only=True)
class MultiplierCell:
    """A multiplier of two words of so many bits.

    Parameters
    ----------
    width
        Bits of a factor.
    least_product
        Bits of the narrowest product that is formed in it; narrower ones are logic.
    least_factor
        The same of factors.
    """

    width: int
    least_product: int
    least_factor: int = 2

    def needed(self, factors: Multiplier) -> int:
        """How many a product needs; none with 0 or a power of two, which is no product."""
        constant = factors.constant
        if constant is not None and constant & (constant - 1) == 0:
            return 0
        wide, narrow = max(factors.a, factors.b), min(factors.a, factors.b)
        return self._needed(wide, narrow, factors.product)

    def _needed(self, a: int, b: int, product: int) -> int:
        if min(a, b) < self.least_factor or product < self.least_product:
            return 0
        slices, rest = divmod(a - 1, self.width)
        if slices:
            part = self._needed(self.width, b, min(product, b + self.width))
            return slices * part + self._needed(rest + 1, b, b + rest + 1)
        slices, rest = divmod(b - 1, self.width)
        if slices:
            part = self._needed(a, self.width, min(product, a + self.width))
            return slices * part + self._needed(a, rest + 1, a + rest + 1)
        return 1


@dataclass(frozen=True, kw_only=True)
class LogicModel:
    """How many logic cells a network takes, about.

    Linear, and fitted by least squares to builds of dense, recurrent and convolutional networks and
    of the serial line alone: 13 on iCE40 UltraPlus, 489 to 5,771 cells, 16 on ECP5, 502 to 42,630.
    Of what nextpnr counts it is at most 8 % off on the first, half of them less than 3 %, and at
    most 11 % on the second, half of them less than 5 %. A build unlike all that are fitted to may
    be further off. The other families say themselves what theirs is fitted to.

    Parameters
    ----------
    link
        Of the serial line, clock and lamps.
    population, scatter
        Of what steers a population, and of looking up where events lead to.
    pipeline
        Of a bit of a neuron's state in each stage of each lane.
    comparison
        The same in each comparison with a threshold.
    sum
        Of a bit of a current in each lane: it is summed up.
    written, constant
        Of a bit of memories that are logic, whether something is written or never.
    product
        Of a bit that is added up in a product, where products are logic.
    """

    link: int
    population: float
    scatter: float
    pipeline: float
    comparison: float
    sum: float
    written: float
    constant: float
    product: float = 0.0
