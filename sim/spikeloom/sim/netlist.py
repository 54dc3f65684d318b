"""A flat netlist bit by bit: its registers and memories, and which of their bits can matter."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Bit", "Netlist", "Register", "live_bits"]

Bit = int | str
"""A net's number, or ``0``, ``1`` or ``x``."""

_BITWISE = ("$and", "$or", "$xor", "$xnor", "$not", "$pos")
_CARRY = ("$add", "$sub", "$neg")


@dataclass(frozen=True)
class Register:
    """A register.

    Attributes
    ----------
    cell
        Its cell.
    d, q
        What goes in, and what comes out.
    names
        For each bit the names of the wires there, with the number of the bit in the wire.
    init
        Its bits at power-up, the highest first; ``x`` where they are unknown.
    """

    cell: str
    d: tuple[Bit, ...]
    q: tuple[Bit, ...]
    names: tuple[tuple[tuple[str, int], ...], ...]
    init: str


@dataclass(eq=False)
class Netlist:
    """A flat module as yosys' ``write_json`` gives it, with plain registers.

    Attributes
    ----------
    names
        For each bit the names of the wires there, with its number in each.
    registers
        Its registers, by their cells.
    memories
        Its memories: for each cell what is connected to its ports.
    """

    module: dict[str, Any]
    names: dict[Bit, list[tuple[str, int]]] = field(init=False)
    registers: dict[str, Register] = field(init=False)
    memories: dict[str, dict[str, list[Bit]]] = field(init=False)

    def __post_init__(self) -> None:
        names: dict[Bit, list[tuple[str, int]]] = defaultdict(list)
        init: dict[Bit, str] = {}
        for name, net in self.module["netnames"].items():
            start = net.get("attributes", {}).get("init", "")
            for k, bit in enumerate(net["bits"]):
                if not name.startswith("$"):
                    names[bit].append((name, k))
                if start and isinstance(bit, int):
                    value = start[-1 - k]
                    init[bit] = value if init.get(bit, "x") == "x" else init[bit]
        self.names, self.registers, self.memories = dict(names), {}, {}
        for cell, what in self.module["cells"].items():
            if what["type"] == "$dff":
                q = tuple(what["connections"]["Q"])
                self.registers[cell] = Register(
                    cell=cell,
                    d=tuple(what["connections"]["D"]),
                    q=q,
                    names=tuple(tuple(names[bit]) for bit in q),
                    init="".join(init.get(bit, "x") for bit in reversed(q)),
                )
            elif what["type"] == "$mem_v2":
                self.memories[cell] = what["connections"]
            elif re.match(r"\$(a|s|al)?dff|\$(d|s)latch|\$ff|\$sr", what["type"]):
                raise ValueError(f"registers must be plain, not {what['type']}")

    def state_places(self) -> dict[Bit, tuple[str, str, int]]:
        """For each bit that comes out of a register or memory its cell, port and number."""
        places: dict[Bit, tuple[str, str, int]] = {}
        for register in self.registers.values():
            for k, bit in enumerate(register.q):
                places[bit] = (register.cell, "Q", k)
        for cell, ports in self.memories.items():
            for k, bit in enumerate(ports["RD_DATA"]):
                places[bit] = (cell, "RD_DATA", k)
        return places

    def causes(self) -> dict[Bit, list[Bit]]:
        """For each bit that comes out of logic the bits that it depends on, at most."""
        causes: dict[Bit, list[Bit]] = {}
        for cell in self.module["cells"].values():
            if cell["type"] in ("$dff", "$mem_v2", "$scopeinfo"):
                continue
            ports, directions = cell["connections"], cell["port_directions"]
            ins = {name: bits for name, bits in ports.items() if directions[name] == "input"}
            for name, bits in ports.items():
                if directions[name] == "output":
                    for k, bit in enumerate(bits):
                        causes[bit] = list(_causes(cell["type"], ins, k, len(bits)))
        return causes

    def constants(self, memory: str) -> dict[int, str]:
        """Bits that are the same in all words of a memory that is never written."""
        parameters = self.module["cells"][memory]["parameters"]
        width, size = int(parameters["WIDTH"], 2), int(parameters["SIZE"], 2)
        if int(parameters["WR_PORTS"], 2) or len(self.memories[memory]["RD_DATA"]) != width:
            return {}
        columns = [parameters["INIT"][::-1][n::width][:size] for n in range(width)]
        return {n: each[0] for n, each in enumerate(columns) if set(each) in ({"0"}, {"1"})}


def _causes(kind: str, ins: dict[str, list[Bit]], k: int, width: int) -> Iterator[Bit]:
    if kind in _BITWISE:
        yield from (bits[min(k, len(bits) - 1)] for bits in ins.values())
    elif kind in _CARRY:
        for bits in ins.values():
            yield from bits[: k + 1]
    elif kind in ("$mux", "$pmux"):
        yield ins["A"][k]
        yield from ins["B"][k::width]
        yield from ins["S"]
    else:
        for bits in ins.values():
            yield from bits


def live_bits(netlists: Iterable[Netlist]) -> set[tuple[str, str, int]]:
    """Bits of registers and memories from which a way leads to an output in any of the netlists.

    They are netlists of the same registers and memories. Of a memory, what one bit of its words
    reaches is told apart from what the others reach.
    """
    views = [(each, each.causes(), each.state_places()) for each in netlists]
    live: set[tuple[str, str, int]] = set()
    waiting: list[tuple[str, str, int]] = []
    seen: list[set[Bit]] = [set() for _ in views]

    def follow(view: int, bits: Iterable[Bit]) -> None:
        _, causes, places = views[view]
        stack = list(bits)
        while stack:
            bit = stack.pop()
            if isinstance(bit, str) or bit in seen[view]:
                continue
            seen[view].add(bit)
            if bit in places:
                if places[bit] not in live:
                    live.add(places[bit])
                    waiting.append(places[bit])
            else:
                stack += causes.get(bit, ())

    for view, (netlist, _, _) in enumerate(views):
        for port in netlist.module["ports"].values():
            if port["direction"] == "output":
                follow(view, port["bits"])
    while waiting:
        cell, port, k = waiting.pop()
        for view, (netlist, _, _) in enumerate(views):
            if port == "Q":
                follow(view, [netlist.registers[cell].d[k]])
                continue
            memory = netlist.memories[cell]
            width = len(memory["RD_DATA"])
            follow(view, [*memory["RD_ADDR"], *memory["RD_EN"], *memory["WR_ADDR"]])
            follow(view, [*memory["WR_DATA"][k::width], *memory["WR_EN"][k::width]])
    return live
