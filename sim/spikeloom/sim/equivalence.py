"""Proofs that a fault can never be noticed.

Two copies of the logic between the registers, one of them with the fault, are given the same inputs
and the same state. If in all that can be, what leaves the design and what enters each register and
memory are the same, no run ever tells the two apart. What is read from a memory may be anything,
but bits that are the same in all words of one that is never written.

Registers whose content does not matter while a flag is low (the payload of a stream that is not
valid) may hold anything then, in the copy with the fault; they must be the same again when the flag
is high. Bits from which no way leads to an output do not matter at all. Which registers belong to
which flag is guessed from their names; a wrong guess makes a proof fail, not succeed. Only such
registers are let go in which a counterexample shows a difference: what both copies share a solver
need not look at.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeloom.sim.mutants import FLAT, Mutant
from spikeloom.sim.netlist import MEMORY_PORTS, Bit, Netlist, Register, live_bits
from spikeloom.sim.playback import MODULE
from spikeloom.sim.yosys import YosysError, run_yosys

__all__ = ["Proof", "prove_equivalent"]

STEPS = 6
"""Cycles of the induction, at most."""
PATIENCE = 120
"""Seconds for the proof of one mutant."""

_FLAGS = (
    # Names of registers and of what is read from memories, and the flags of which one must be high
    # for their content to matter; ! is one that must be low. All must be there.
    (r"total_\d+", ("!begin", "o__valid")),
    (r"(.+)__payload", (r"\1__valid",)),
    (r"waiting", ("occupied",)),
    (r"found(?:\..*)?|none|flags(?:\..*)?|read__data(?:\$\d+)?", ("found_valid",)),
    (r"(?:empty|last_place|restart)_(\d+)", (r"filled_\1",)),
    (r"(?:count|first)(?:\[.*)?", ("items",)),
    (r"(?:row|base)(?:\..*)?", ("waiting",)),
    (r"row", ("fetched.adds",)),
    (r"weights\.read__data", ("read.adds",)),
    (r"weights\.data", ("weighed.adds",)),
    (r"(fetched|read|weighed|multiplied)\.(?:count|place|restart|void)", (r"\1.adds", r"\1.last")),
    (r"product_\d+", ("multiplied.adds",)),
    (r"read__data(?:\$\d+)?", ("read_valid", "probe_o__valid")),
    (r"answer_(?:initial|last)", ("probe_o__valid",)),
    (r"([a-z_]+?(?:_\d)?)_\d+_\w+", (r"\1_valid",)),
    (r"([a-z_]+?(?:_\d)?)_(?!valid)[a-z]+", (r"\1_valid",)),
)


@dataclass(frozen=True)
class Proof:
    """What became of the proof of a mutant.

    Attributes
    ----------
    equivalent
        Whether it is proven that it cannot be noticed.
    how
        How it was proven, or why not.
    """

    equivalent: bool
    how: str


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
    script = f"read_rtlil {FLAT}\ndesign -save flat\ndffunmap\nwrite_json gold.json\n"
    for mutant in mutants:
        script += (
            f"design -load flat\nmutate {mutant.options}\ndffunmap\n"
            f"write_json gate_{mutant.number}.json\n"
        )
    run_yosys(script, folder, "gates")
    gold = _read(folder / "gold.json")
    _write_cut(gold, folder / "cut_gold.json", "gold")
    proofs = {}
    for mutant in mutants:
        progress(f"proving {mutant}")
        proofs[mutant.number] = _prove(gold, mutant, folder)
    return proofs


def _read(path: Path) -> Netlist:
    return Netlist(json.loads(path.read_text())["modules"][MODULE])


def _write_cut(netlist: Netlist, path: Path, name: str) -> None:
    path.write_text(json.dumps({"creator": "", "modules": {name: netlist.cut()}}))


def _prove(gold: Netlist, mutant: Mutant, folder: Path) -> Proof:
    path = folder / f"gate_{mutant.number}.json"
    gate = _read(path)
    _write_cut(gate, folder / f"cut_{mutant.number}.json", "gate")
    live = live_bits([gold, gate])
    freed: frozenset[Key] = frozenset()
    while True:
        miter = _Miter(gold, live, False, freed)
        proven, said = _solve(miter, mutant, folder)
        more = freed if proven else freed | miter.blamed(said)
        if more == freed:
            break
        freed = more
    how = "where flags say that they matter" if freed else "whatever flags say"
    if not proven:
        proven, said = _solve(_Miter(gold, live, True, freed), mutant, folder)
        length = max(map(int, re.findall(r"\[induction step (\d+)\]", said)), default=1)
        how += f", in all states that can be, by induction over {length} cycles"
    if proven:
        return Proof(True, f"outputs and registers are equal, {how}")
    (last,) = said.strip().splitlines()[-1:]
    return Proof(False, f"no proof was found: {last}")


def _solve(miter: "_Miter", mutant: Mutant, folder: Path) -> tuple[bool, str]:
    """Whether nothing ever differs, and what yosys says."""
    name = f"miter_{mutant.number}"
    (folder / f"{name}.v").write_text(miter.verilog())
    prove = f"sat -tempinduct -maxsteps {STEPS}" if miter.held else "sat -show differences"
    script = (
        f"read_json cut_gold.json\nread_json cut_{mutant.number}.json\n"
        f"read_verilog {name}.v\nhierarchy -top miter\nproc\nflatten\nopt_clean\n"
        "opt_expr\nopt_merge\nopt_clean\n"
        f"{prove} -timeout {PATIENCE} -verify -prove differs 0 miter\n"
    )
    try:
        return True, run_yosys(script, folder, name)
    except YosysError:
        return False, (folder / f"{name}.txt").read_text(errors="replace")


Key = tuple[str, str, int]
"""A bit of a cell: its name, its port and the number."""

Flag = tuple[bool, Bit]
"""Whether it must be low, and the bit that it is."""


@dataclass(eq=False)
class _Miter:
    """Both copies side by side.

    Parameters
    ----------
    gold
        The design without the fault.
    live
        Bits that can matter.
    held
        Whether the state is in registers, rather than free.
    freed
        Bits of registers that may differ while no flag says that they matter.
    """

    gold: Netlist
    live: set[Key]
    held: bool
    freed: frozenset[Key]

    def __post_init__(self) -> None:
        self._ports = ["input clk"]
        self._lines: list[str] = []
        self._differ: list[str] = []
        self._blame: list[tuple[Key, Sequence[Flag]]] = []
        self._wired: dict[str, list[str]] = {"gold": [], "gate": []}
        self._place: dict[Bit, str] = {}
        self._named: dict[str, list[Bit]] = {}
        for k, register in enumerate(self.gold.registers.values()):
            for n, (bit, names) in enumerate(zip(register.q, register.names, strict=True)):
                self._place[bit] = f"{k}[{n}]"
                for name, _ in names:
                    self._named.setdefault(name, []).append(bit)

    def verilog(self) -> str:
        """The module ``miter``: its output ``differs`` is high where they do."""
        for name, port in self.gold.module["ports"].items():
            self._port(name, len(port["bits"]), port["direction"])
        for k, register in enumerate(self.gold.registers.values()):
            self._register(k, register)
        for k, (cell, memory) in enumerate(self.gold.memories.items()):
            self._memory(k, cell, memory)
        copies = [f"{copy} {copy}_copy ({', '.join(each)});" for copy, each in self._wired.items()]
        body = "\n    ".join([*self._lines, *copies])
        # One expression of them all is deeper than yosys' stack.
        differences = "\n    ".join(
            f"assign differences[{n}] = {each};" for n, each in enumerate(self._differ)
        )
        ports = [*self._ports, f"output [{len(self._differ) - 1}:0] differences", "output differs"]
        return (
            f"module miter ({', '.join(ports)});\n    {body}\n    {differences}\n"
            "    assign differs = |differences;\nendmodule\n"
        )

    def blamed(self, said: str) -> set[Key]:
        """What differs in a counterexample and may be let go, and all with the same flags."""
        found = re.search(r"\\differences +\S+ +\S+ +([01x]+)", said)
        bits = reversed(found[1]) if found else ()
        flags = {tuple(self._blame[n][1]) for n, bit in enumerate(bits) if bit == "1"}
        return {key for key, own in self._blame if own and tuple(own) in flags}

    def _must_not(self, differ: str, key: Key = ("", "", 0), flags: Sequence[Flag] = ()) -> None:
        """Add what must not be, and the bit, with its flags, that may be let go instead."""
        self._differ.append(differ)
        self._blame.append((key, flags))

    def _input(self, name: str, width: int) -> None:
        self._ports.append(f"input [{width - 1}:0] {name}")

    def _output(self, name: str, width: int) -> None:
        """Something that both copies have."""
        for copy, wired in self._wired.items():
            self._lines.append(f"wire [{width - 1}:0] {copy}_{name};")
            wired.append(f".{name}({copy}_{name})")

    def _port(self, name: str, width: int, direction: str) -> None:
        if direction == "input":
            if name != "clk":
                self._input(name, width)
            for wired in self._wired.values():
                wired.append(f".{name}({name})")
            return
        self._output(name, width)
        stream, _, part = name.rpartition("__")
        # Neither is looked at, by who keeps to the handshake, while nothing is offered.
        mask = {"payload": f"gold_{stream}__valid && ", "ready": f"{stream}__valid && "}
        self._must_not(f"{mask.get(part, '')}gold_{name} != gate_{name}")

    def _register(self, k: int, register: Register) -> None:
        width = len(register.q)
        self._output(f"d{k}", width)
        if self.held:
            start = "" if "x" in register.init else f" = {width}'b{register.init}"
            self._lines.append(f"reg [{width - 1}:0] s{k}{start};")
            self._lines.append(f"always @(posedge clk) s{k} <= gold_d{k};")
        else:
            self._input(f"s{k}", width)
        keys = [(register.cell, "Q", n) for n in range(width)]
        _, then = self._state(k, f"s{k}", register.q, keys, register.names)
        for n, key in enumerate(keys):
            if key in self.live:
                flags = self._flags(register.q[n], register.names[n])
                self._must_not(f"{then[n]}gold_d{k}[{n}] != gate_d{k}[{n}]", key, flags)
        self._wired["gold"].append(f".q{k}(s{k})")
        self._wired["gate"].append(f".q{k}(t_s{k})")

    def _state(
        self,
        k: int,
        word: str,
        bits: Sequence[Bit],
        keys: Sequence[Key],
        names: Sequence[Sequence[tuple[str, int]]],
    ) -> tuple[list[str], list[str]]:
        """A word in the copy with the fault: free where it does not matter.

        Returns
        -------
        For each bit the flags of this cycle as a condition, and those of the next before an and.
        """
        self._input(f"u_{word}", len(bits))
        parts, now, then = [], [], []
        for n, (bit, key) in enumerate(zip(bits, keys, strict=True)):
            flags = self._flags(bit, names[n]) if key in self.freed else []
            now.append(" || ".join(f"{'!' * low}s{self._place[flag]}" for low, flag in flags))
            after = " || ".join(f"{'!' * low}gold_d{self._place[flag]}" for low, flag in flags)
            then.append(f"({after}) && " if after else "")
            if key not in self.live:
                parts.append(f"u_{word}[{n}]")
            elif flags:
                parts.append(f"({now[n]}) ? {word}[{n}] : u_{word}[{n}]")
            else:
                parts.append(f"{word}[{n}]")
        joined = ", ".join(reversed(parts))
        self._lines.append(f"wire [{len(bits) - 1}:0] t_{word} = {{{joined}}};")
        return now, then

    def _memory(self, k: int, cell: str, memory: dict[str, list[Bit]]) -> None:
        for name in MEMORY_PORTS[1:]:
            if memory[name]:
                self._output(f"m{k}_{name}", len(memory[name]))
        data = memory["RD_DATA"]
        word = f"m{k}_RD_DATA"
        self._input(f"any_{word}", len(data))
        known = self.gold.constants(cell)
        bits = [f"1'b{known[n]}" if n in known else f"any_{word}[{n}]" for n in range(len(data))]
        joined = ", ".join(reversed(bits))
        self._lines.append(f"wire [{len(data) - 1}:0] {word} = {{{joined}}};")
        keys = [(cell, "RD_DATA", n) for n in range(len(data))]
        names = [self.gold.names.get(bit, ()) for bit in data]
        now, then = self._state(k, word, data, keys, names)
        self._wired["gold"].append(f".{word}({word})")
        self._wired["gate"].append(f".{word}(t_{word})")
        gold, gate = f"gold_m{k}_", f"gate_m{k}_"
        for n, key in enumerate(keys):
            if key not in self.live:
                continue
            kept = f" || !{gold}RD_EN && !({now[n]})" if now[n] else ""
            self._must_not(
                f"{then[n]}({gold}RD_EN != {gate}RD_EN"
                f" || {gold}RD_EN && {gold}RD_ADDR != {gate}RD_ADDR{kept})",
                key,
                self._flags(data[n], names[n]),
            )
            if memory["WR_EN"]:
                enabled = f"{gold}WR_EN[{n}]"
                self._must_not(f"{enabled} != {gate}WR_EN[{n}]")
                self._must_not(f"{enabled} && {gold}WR_ADDR != {gate}WR_ADDR")
                self._must_not(f"{enabled} && {gold}WR_DATA[{n}] != {gate}WR_DATA[{n}]")

    def _flags(self, bit: Bit, names: Sequence[tuple[str, int]]) -> list[Flag]:
        """Flags of which one must be as it says for a bit to matter; none if it always does."""
        splits = [split for name, _ in names for split in _splits(name)]
        for pattern, templates in _FLAGS:
            for prefix, word in splits:
                if not (found := re.fullmatch(pattern, word)):
                    continue
                flags = [
                    (each.startswith("!"), self._named.get(prefix + flag, []))
                    for each in templates
                    for flag in [found.expand(each.lstrip("!"))]
                ]
                if all(bits for _, bits in flags):
                    return [(low, other) for low, bits in flags for other in bits]
        return []


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """A name taken apart into modules and register; fields of structures have points too."""
    parts = name.split(".")
    for k in (len(parts) - 1, len(parts) - 2):
        if k >= 0:
            yield "".join(f"{part}." for part in parts[:k]), ".".join(parts[k:])
