"""Proofs that a fault can never be noticed.

Two copies of the logic between the registers, one of them with the fault, are given the same inputs
and the same state: that behind a reset, in which registers take the values that they have at
power-up, or any other for which the proven invariants hold (:mod:`~spikeloom.sim.invariants`). If
in all of them what leaves the design and what enters each register and memory are the same, no run
that begins with a reset ever tells the two apart. What is read from a memory may be anything, but
of one that is never written it is taken to be one of its words, and bits that are the same in all
of them are known.

The states of the two copies need not be the same:

- Bits from which no way leads to an output do not matter at all.
- Registers whose content does not matter while a flag is low (the payload of a stream that is not
  valid) may hold anything then, in the copy with the fault; they must be the same again when the
  flag is high. Which registers belong to which flag is guessed from their names; a wrong guess
  makes a proof fail, not succeed.
- A small register may hold other numbers, as that of a counter that counts in another order: the
  pairs of numbers that there are in the two copies are collected until no step leads to another.

Only such registers are let go in which a counterexample shows a difference.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, product
from pathlib import Path
from typing import TypeAlias

from bitwuzla import Kind, Result, Term

from spikeloom.sim.invariants import find_invariants, solver
from spikeloom.sim.mutants import FLAT, Mutant, Proof
from spikeloom.sim.netlist import Bit, Netlist, live_bits
from spikeloom.sim.playback import MODULE
from spikeloom.sim.terms import TAKE_APART, Terms, Words
from spikeloom.sim.yosys import run_yosys

__all__ = ["prove_equivalent"]

PATIENCE = 120
"""Seconds for the proof of one mutant."""
SEARCH = 600
"""Seconds for the search for invariants."""
MANY = 1000
"""Pairs of numbers, at most."""
SMALL = 8
"""Bits of a register whose pairs of numbers are collected, at most."""

_UNCOMPARED = ("RD_DATA", "RD_CLK", "WR_CLK")
"""Ports of memories: what comes out, and where no faults are."""
_ACCESS = ("RD_ADDR", "RD_EN", "WR_ADDR", "WR_DATA", "WR_EN")
"""Those that are compared as far as they matter; others altogether."""
_FLAGS = (
    # Names of registers and of what is read from memories, and the flags of which one must be high
    # for their content to matter; ! is one that must be low, & joins such that must hold at once.
    # All must be there.
    (r"total_\d+", ("!begin", "o__valid")),
    (r"(.+)__payload\.(?:address|count)(?:\..*)?", (r"\1__valid & !\1__payload.kind",)),
    # Of an active source; there is a last one of each step, and no other says more of it.
    (
        r"o__payload\.(?:final|restart)",
        (
            r"o__valid & o__payload.last & o__payload.final",
            r"o__valid & o__payload.last & !o__payload.final",
        ),
    ),
    (r"flags\.(?:final|restart)", (r"found_valid & flags.last",)),
    (r"(.+)__payload", (r"\1__valid",)),
    (r"waiting", ("occupied",)),
    (r"found(?:\..*)?|none|flags(?:\..*)?|read__data(?:\$\d+)?", ("found_valid",)),
    (r"last_place_(\d+)", (r"filled_\1 & !empty_\1",)),
    (r"(?:empty|restart)_(\d+)", (r"filled_\1",)),
    (r"(?:count|first)(?:\[.*)?", ("items",)),
    (r"(?:row|base)(?:\..*)?", ("waiting",)),
    (r"row", ("fetched.adds",)),
    (r"weights\.read__data", ("read.adds",)),
    (r"weights\.data", ("weighed.adds",)),
    (r"(fetched|read|weighed|multiplied)\.(?:count|place)", (r"\1.adds",)),
    (r"(fetched|read|weighed|multiplied)\.(?:restart|void)", (r"\1.last",)),
    (r"product_\d+", ("multiplied.adds",)),
    (r"read__data(?:\$\d+)?", ("read_valid", "probe_o__valid")),
    (r"answer_(?:initial|last)", ("probe_o__valid",)),
    (r"([a-z_]+?(?:_\d)?)_\d+_\w+", (r"\1_valid",)),
    (r"([a-z_]+?(?:_\d)?)_(?!valid)[a-z]+", (r"\1_valid",)),
)


def prove_equivalent(
    mutants: Sequence[Mutant],
    folder: Path,
    progress: Callable[[str], None] = lambda words: None,
) -> dict[int, Proof]:
    """Try to prove for each mutant that no input ever makes a difference.

    Parameters
    ----------
    mutants
        The mutants.
    folder
        Where :func:`~spikeloom.sim.mutants.write_flat` has written.
    progress
        Is called with words on what is going on.

    Returns
    -------
    For the number of each mutant what became of it.
    """
    if not mutants:
        return {}
    script = f"read_rtlil {FLAT}\ndesign -save flat\n{TAKE_APART}write_json gold.json\n"
    for mutant in mutants:
        script += (
            f"design -load flat\nmutate {mutant.options}\n{TAKE_APART}"
            f"write_json gate_{mutant.number}.json\n"
        )
    run_yosys(script, folder, "gates")
    progress("looking for what always holds")
    gold = _Gold(_read(folder / "gold.json"))
    if not gold.invariants:
        progress("found nothing that always holds")
    proofs = {}
    for mutant in mutants:
        progress(f"proving {mutant}")
        proofs[mutant.number] = _Relation(
            gold, _read(folder / f"gate_{mutant.number}.json")
        ).prove()
    return proofs


def _read(path: Path) -> Netlist:
    return Netlist(json.loads(path.read_text())["modules"][MODULE])


Key: TypeAlias = tuple[str, str, int]
"""A bit of a cell: its name, its port and the number."""

Flags: TypeAlias = tuple[tuple[tuple[bool, Bit], ...], ...]
"""When a bit matters: where all of one of the groups hold, of bits that must be low (or high)."""


class _Gold(Words):
    """The design without a fault: its words, what it does in a step, and what always holds."""

    def __init__(self, netlist: Netlist) -> None:
        super().__init__()
        self.netlist = netlist
        ports = netlist.module["ports"]
        self.inputs = {
            name: self.free(len(port["bits"]))
            for name, port in ports.items()
            if port["direction"] == "input"
        }
        self.now = {cell: self.free(len(each.q)) for cell, each in netlist.registers.items()}
        self.read = {cell: self._read(cell) for cell in netlist.memories}
        given = [(ports[name]["bits"], term) for name, term in self.inputs.items()]
        given += [(netlist.registers[cell].q, term) for cell, term in self.now.items()]
        given += [(netlist.memories[cell]["RD_DATA"], term) for cell, term in self.read.items()]
        self.terms = Terms(self, netlist, given)
        self.then = {cell: self.terms.word(r.d) for cell, r in netlist.registers.items()}
        self._place: dict[Bit, tuple[str, int]] = {}
        self._named: dict[str, list[Bit]] = {}
        for cell, register in netlist.registers.items():
            for n, (bit, names) in enumerate(zip(register.q, register.names, strict=True)):
                self._place[bit] = cell, n
                for name, _ in names:
                    self._named.setdefault(name, []).append(bit)
        self.flags = dict(self._all_flags())
        _, self.invariants = find_invariants(self, netlist.registers, self.now, self.then, SEARCH)

    def matters(self, flags: Flags, words: Mapping[str, Term]) -> Term:
        """Whether flags, of the state in the given words, say that a bit matters."""
        groups = []
        for group in flags:
            each = [
                self.is_set(self.bit(words[cell], n), int(not low))
                for low, bit in group
                for cell, n in [self._place[bit]]
            ]
            groups.append(self.joined(Kind.AND, each))
        return self.joined(Kind.OR, groups)

    def _read(self, cell: str) -> Term:
        parameters = self.netlist.module["cells"][cell]["parameters"]
        ports = int(parameters["RD_PORTS"], 2), int(parameters["WR_PORTS"], 2)
        if ports not in ((1, 0), (1, 1)) or "1" not in parameters["RD_CLK_ENABLE"]:
            raise ValueError(
                f"a memory must have a clocked port that reads, and one that writes at most, but"
                f" {cell} has {ports[0]} and {ports[1]}"
            )
        constants = self.netlist.constants(cell)
        width = len(self.netlist.memories[cell]["RD_DATA"])
        return self.word(
            [
                self.value(1, int(constants[n])) if n in constants else self.free(1)
                for n in range(width)
            ]
        )

    def _all_flags(self) -> Iterator[tuple[Key, Flags]]:
        for cell, register in self.netlist.registers.items():
            for n, names in enumerate(register.names):
                yield (cell, "Q", n), self._flags(names)
        for cell, memory in self.netlist.memories.items():
            for n, bit in enumerate(memory["RD_DATA"]):
                yield (cell, "RD_DATA", n), self._flags(self.netlist.names.get(bit, ()))

    def _flags(self, names: Sequence[tuple[str, int]]) -> Flags:
        splits = [split for name, _ in names for split in _splits(name)]
        for pattern, templates in _FLAGS:
            for prefix, word in splits:
                if not (found := re.fullmatch(pattern, word)):
                    continue
                groups = [self._groups(prefix, found.expand(each)) for each in templates]
                if all(groups):
                    return tuple(chain.from_iterable(groups))
        return ()

    def _groups(self, prefix: str, template: str) -> list[tuple[tuple[bool, Bit], ...]]:
        """Groups of bits of which each says that the template holds; none if a name is unknown."""
        low: list[tuple[bool, Bit]] = []
        high: list[list[tuple[bool, Bit]]] = []
        for part in template.split(" & "):
            bits = self._named.get(prefix + part.lstrip("!"), [])
            if not bits:
                return []
            if part.startswith("!"):
                low += [(True, bit) for bit in bits]
            else:
                high.append([(False, bit) for bit in bits])
        return [(*low, *each) for each in product(*high)]


class _Relation:
    """How the state of the copy with a fault goes together with that of the one without.

    It begins as equality, and is widened until it holds behind each step that it holds before.
    """

    def __init__(self, gold: _Gold, gate: Netlist) -> None:
        self._gold = gold
        self._gate = gate
        self._live = live_bits([gold.netlist, gate])
        self._freed: set[Key] = set()
        self._pairs: dict[str, set[tuple[int, int]]] = {}

    def prove(self) -> Proof:
        """Whether there is such a relation in which nothing that leaves the design differs."""
        gold = self._gold
        decide = solver(gold, PATIENCE)
        decide.assert_formula(*gold.invariants)
        step = _Step(gold, self._gate, self._live, self._freed, list(self._pairs))
        while True:
            held = [self._paired(cell, gold.now[cell], step.now[cell]) for cell in self._pairs]
            left = {
                cell: gold.term(Kind.NOT, self._paired(cell, gold.then[cell], step.then[cell]))
                for cell in self._pairs
            }
            wrong = [*step.fatal, *step.differs.values(), *left.values()]
            if not wrong:
                return self._proven()
            answer = decide.check_sat(*held, gold.joined(Kind.OR, wrong))
            if answer == Result.UNSAT:
                return self._proven()
            if answer != Result.SAT:
                return Proof(False, f"no proof was found in {PATIENCE} seconds")
            model = {
                term: decide.get_value(term).value()
                for term in [*wrong, *gold.then.values(), *step.then.values()]
            }
            blamed = {key for key, term in step.differs.items() if model[term]}
            if blamed & self._freed or any(model[term] for term in step.fatal):
                return Proof(False, "no proof was found: there may be a difference")
            for cell in left:
                if model[left[cell]]:
                    pair = model[gold.then[cell]], model[step.then[cell]]
                    self._pairs[cell].add((int(pair[0], 2), int(pair[1], 2)))
            if not blamed:
                if sum(map(len, self._pairs.values())) > MANY:
                    return Proof(False, f"no proof was found with {MANY} pairs of numbers")
                continue
            self._let_go(blamed)
            step = _Step(gold, self._gate, self._live, self._freed, list(self._pairs))

    def _proven(self) -> Proof:
        words = "outputs and registers are equal"
        if self._freed:
            words += " where flags say that they matter"
        for cell, pairs in self._pairs.items():
            names = sorted(name for name, _ in self._gold.netlist.registers[cell].names[0])
            words += f", but for {len(pairs)} pairs of numbers in {(names or [cell])[0]}"
        return Proof(True, words)

    def _let_go(self, blamed: set[Key]) -> None:
        """Free what differs: with all that has the same flags, or else the whole register."""
        for key in blamed:
            if flags := self._gold.flags[key]:
                self._freed |= {other for other, each in self._gold.flags.items() if each == flags}
            else:
                start = int(self._gold.netlist.registers[key[0]].init, 2)
                self._pairs[key[0]] = {(start, start)}

    def _paired(self, cell: str, gold: Term, gate: Term) -> Term:
        width = gold.sort().bv_size()
        word = self._gold.term(Kind.BV_CONCAT, gold, gate)
        pairs = [
            self._gold.term(Kind.EQUAL, word, self._gold.value(2 * width, a << width | b))
            for a, b in sorted(self._pairs[cell])
        ]
        return self._gold.joined(Kind.OR, pairs)


class _Step:
    """What differs behind a step of both copies.

    Parameters
    ----------
    gold, gate
        The two copies.
    live
        Bits that can matter.
    freed
        Bits that may differ while no flag says that they matter.
    paired
        Registers that may hold other numbers.

    Attributes
    ----------
    now, then
        By their cells what the registers of the copy with the fault hold.
    fatal
        What must not differ.
    differs
        What must not either, unless it is let go.
    """

    def __init__(
        self,
        gold: _Gold,
        gate: Netlist,
        live: set[Key],
        freed: set[Key],
        paired: Sequence[str],
    ) -> None:
        self._gold, self._gate, self._live, self._freed = gold, gate, live, freed
        self._paired = paired
        self.fatal: list[Term] = []
        self.differs: dict[Key, Term] = {}
        self.now = {
            cell: gold.free(word.sort().bv_size())
            if cell in paired
            else self._copied(cell, "Q", word)
            for cell, word in gold.now.items()
        }
        read = {cell: self._copied(cell, "RD_DATA", word) for cell, word in gold.read.items()}
        ports = gate.module["ports"]
        given = [(ports[name]["bits"], term) for name, term in gold.inputs.items()]
        given += [(gate.registers[cell].q, term) for cell, term in self.now.items()]
        given += [(gate.memories[cell]["RD_DATA"], term) for cell, term in read.items()]
        self._terms = Terms(gold, gate, given)
        self.then = {cell: self._terms.word(r.d) for cell, r in gate.registers.items()}
        for name, port in ports.items():
            if port["direction"] == "output":
                self._leaves(name)
        for cell in gold.now:
            self._enters(cell)
        for cell in gold.read:
            self._memory(cell)

    def _copied(self, cell: str, port: str, word: Term) -> Term:
        """A word as it may be in the copy with the fault."""
        keys = [(cell, port, n) for n in range(word.sort().bv_size())]
        if all(key in self._live and key not in self._freed for key in keys):
            return word
        bits = []
        for n, key in enumerate(keys):
            bit = self._gold.bit(word, n)
            if key not in self._live:
                bit = self._gold.free(1)
            elif key in self._freed:
                matters = self._gold.matters(self._gold.flags[key], self._gold.now)
                bit = self._gold.term(Kind.ITE, matters, bit, self._gold.free(1))
            bits.append(bit)
        return self._gold.word(bits)

    def _leaves(self, name: str) -> None:
        """What leaves through a port."""
        gold = self._gold
        a = gold.terms.word(gold.netlist.module["ports"][name]["bits"])
        b = self._terms.word(self._gate.module["ports"][name]["bits"])
        if a == b:
            return
        differs = [gold.term(Kind.DISTINCT, a, b)]
        # Neither is looked at, by who keeps to the handshake, while nothing is offered.
        stream, _, part = name.rpartition("__")
        if part == "payload":
            valid = gold.netlist.module["ports"][f"{stream}__valid"]["bits"]
            differs.append(gold.is_set(gold.terms.word(valid)))
        elif part == "ready":
            differs.append(gold.is_set(gold.inputs[f"{stream}__valid"]))
        self.fatal.append(gold.joined(Kind.AND, differs))

    def _enters(self, cell: str) -> None:
        """What enters a register."""
        if cell in self._paired or self._gold.then[cell] == self.then[cell]:
            return
        register = self._gold.netlist.registers[cell]
        small = len(register.q) <= SMALL and "x" not in register.init
        for n in range(len(register.q)):
            key = (cell, "Q", n)
            if key not in self._live:
                continue
            differs = self._differ(self._gold.then[cell], self.then[cell], n)
            if small or self._gold.flags[key]:
                self.differs[key] = self._where_it_matters(key, differs)
            else:
                self.fatal.append(differs)

    def _memory(self, cell: str) -> None:
        """What enters a memory, and what is read of it."""
        gold = self._gold
        ports, others = gold.netlist.memories[cell], self._gate.memories[cell]
        names = [name for name in ports if name not in _UNCOMPARED]
        a = {name: gold.terms.word(ports[name]) for name in names}
        b = {name: self._terms.word(others[name]) for name in names}
        distinct = {name: gold.term(Kind.DISTINCT, a[name], b[name]) for name in names}
        for name in names:
            if name not in _ACCESS and ports[name] != others[name]:
                self.fatal.append(distinct[name])
        asked = gold.is_set(a["RD_EN"])
        other = [distinct["RD_EN"], gold.term(Kind.AND, asked, distinct["RD_ADDR"])]
        for n in range(gold.read[cell].sort().bv_size()):
            key = (cell, "RD_DATA", n)
            if key not in self._live:
                continue
            unlike = list(other)
            if key in self._freed:
                # What is not read anew stays as it is.
                kept = gold.term(Kind.NOT, gold.matters(gold.flags[key], gold.now))
                unlike.append(gold.term(Kind.AND, gold.term(Kind.NOT, asked), kept))
            differs = self._where_it_matters(key, gold.joined(Kind.OR, unlike))
            if gold.flags[key]:
                self.differs[key] = differs
            else:
                self.fatal.append(differs)
            if ports["WR_EN"]:
                enabled = gold.is_set(gold.bit(a["WR_EN"], n))
                written = [distinct["WR_ADDR"], self._differ(a["WR_DATA"], b["WR_DATA"], n)]
                self.fatal.append(self._differ(a["WR_EN"], b["WR_EN"], n))
                self.fatal.append(gold.term(Kind.AND, enabled, gold.joined(Kind.OR, written)))

    def _differ(self, a: Term, b: Term, n: int) -> Term:
        return self._gold.term(Kind.DISTINCT, self._gold.bit(a, n), self._gold.bit(b, n))

    def _where_it_matters(self, key: Key, differs: Term) -> Term:
        if key not in self._freed:
            return differs
        matters = self._gold.matters(self._gold.flags[key], self._gold.then)
        return self._gold.term(Kind.AND, matters, differs)


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """A name taken apart into modules and register; fields of structures have points too."""
    parts = name.split(".")
    for k in (len(parts) - 1, len(parts) - 2):
        if k >= 0:
            yield "".join(f"{part}." for part in parts[:k]), ".".join(parts[k:])
