"""The logic of a flat netlist as terms of Bitwuzla, about which a solver decides."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bitwuzla import Kind, Term, TermManager

from spikeloom.sim.netlist import Bit, Netlist

__all__ = ["SUPPORTED", "TAKE_APART", "Terms"]

# Of words that are brought to the width of the result first, and of those brought to the wider one.
_WORDS = {
    "$add": Kind.BV_ADD,
    "$sub": Kind.BV_SUB,
    "$mul": Kind.BV_MUL,
    "$and": Kind.BV_AND,
    "$or": Kind.BV_OR,
    "$xor": Kind.BV_XOR,
    "$xnor": Kind.BV_XNOR,
    "$not": Kind.BV_NOT,
    "$neg": Kind.BV_NEG,
    "$_AND_": Kind.BV_AND,
    "$_OR_": Kind.BV_OR,
    "$_XOR_": Kind.BV_XOR,
    "$_XNOR_": Kind.BV_XNOR,
    "$_NOT_": Kind.BV_NOT,
}
_COMPARISONS = {
    "$eq": (Kind.EQUAL, Kind.EQUAL),
    "$ne": (Kind.DISTINCT, Kind.DISTINCT),
    "$lt": (Kind.BV_ULT, Kind.BV_SLT),
    "$le": (Kind.BV_ULE, Kind.BV_SLE),
    "$gt": (Kind.BV_UGT, Kind.BV_SGT),
    "$ge": (Kind.BV_UGE, Kind.BV_SGE),
}
_REDUCTIONS = {
    "$reduce_and": Kind.BV_REDAND,
    "$reduce_or": Kind.BV_REDOR,
    "$reduce_bool": Kind.BV_REDOR,
    "$reduce_xor": Kind.BV_REDXOR,
}
_TRUTHS = {"$logic_and": Kind.BV_AND, "$logic_or": Kind.BV_OR}
_CHOICES = ("$mux", "$pmux", "$_MUX_")

SUPPORTED = (*_WORDS, *_COMPARISONS, *_REDUCTIONS, *_TRUTHS, "$logic_not", *_CHOICES)
"""Kinds of cells that become terms."""

_NO_LOGIC = ("$dff", "$mem_v2", "$scopeinfo")

_KEPT = "".join(f" t:{kind} %u" for kind in (*SUPPORTED, *_NO_LOGIC))
TAKE_APART = f"dffunmap\ntechmap =none{_KEPT} %n\n"
"""Commands with which yosys makes what is supported of all other cells."""


class Terms:
    """Terms of the nets of a netlist, given those that come out of registers and from without.

    Equal logic of equal inputs is the same term. The first of several choices holds, as in the
    Verilog that yosys writes; a bit that is ``x`` may be anything.

    Parameters
    ----------
    manager
        Of the terms.
    netlist
        The netlist, of cells that are :data:`SUPPORTED`.
    given
        Words whose terms are known: bits, the lowest first, and the term.

    Raises
    ------
    ValueError
        If there is another cell, or logic goes round in a circle.
    """

    def __init__(
        self, manager: TermManager, netlist: Netlist, given: Iterable[tuple[Sequence[Bit], Term]]
    ) -> None:
        self._manager = manager
        self._place: dict[Bit, tuple[Term, int]] = {}
        for bits, term in given:
            self._put(bits, term)
        for cell in _ordered(netlist.module["cells"], self._place):
            output = cell["connections"]["Y"]
            self._put(output, self._cell(cell, len(output)))

    def word(self, bits: Sequence[Bit]) -> Term:
        """The term of some bits, the lowest first."""
        joined: Term | None = None
        k = 0
        while k < len(bits):
            end = k + 1
            if isinstance(bits[k], str):
                part = self._constant(str(bits[k]))
            else:
                term, first = self._place[bits[k]]
                while end < len(bits) and self._place.get(bits[end]) == (term, first + end - k):
                    end += 1
                part = self._slice(term, first, end - k)
            joined = part if joined is None else self._term(Kind.BV_CONCAT, part, joined)
            k = end
        assert joined is not None
        return joined

    def _put(self, bits: Sequence[Bit], term: Term) -> None:
        for k, bit in enumerate(bits):
            self._place[bit] = term, k

    def _term(self, kind: Kind, *terms: Term) -> Term:
        return self._manager.mk_term(kind, list(terms))

    def _constant(self, bit: str) -> Term:
        sort = self._manager.mk_bv_sort(1)
        return (
            self._manager.mk_bv_value(sort, int(bit))
            if bit in "01"
            else (self._manager.mk_const(sort))
        )

    def _slice(self, term: Term, first: int, width: int) -> Term:
        if width == term.sort().bv_size():
            return term
        return self._manager.mk_term(Kind.BV_EXTRACT, [term], [first + width - 1, first])

    def _extended(self, term: Term, width: int, signed: bool) -> Term:
        """A word brought to a width."""
        own = term.sort().bv_size()
        if own >= width:
            return self._slice(term, 0, width)
        kind = Kind.BV_SIGN_EXTEND if signed else Kind.BV_ZERO_EXTEND
        return self._manager.mk_term(kind, [term], [width - own])

    def _bit(self, truth: Term) -> Term:
        return self._term(Kind.ITE, truth, self._constant("1"), self._constant("0"))

    def _is_set(self, bit: Term) -> Term:
        return self._term(Kind.EQUAL, bit, self._constant("1"))

    def _cell(self, cell: Mapping[str, Any], width: int) -> Term:
        kind, ports, parameters = cell["type"], cell["connections"], cell.get("parameters", {})
        if kind in _CHOICES:
            return self._choice(ports, width)
        words = [self.word(ports[name]) for name in ("A", "B") if name in ports]
        signed = all(parameters.get(f"{k}_SIGNED", "0")[-1] == "1" for k in "AB"[: len(words)])
        if kind in _WORDS:
            words = [self._extended(word, width, signed) for word in words]
            return self._term(_WORDS[kind], *words)
        if kind in _COMPARISONS:
            wider = max(word.sort().bv_size() for word in words)
            words = [self._extended(word, wider, signed) for word in words]
            found = self._bit(self._term(_COMPARISONS[kind][signed], *words))
        elif kind in _REDUCTIONS:
            found = self._term(_REDUCTIONS[kind], *words)
        else:
            truths = [self._term(Kind.BV_REDOR, word) for word in words]
            found = self._term(_TRUTHS.get(kind, Kind.BV_NOT), *truths)
        return self._extended(found, width, signed=False)

    def _choice(self, ports: Mapping[str, Sequence[Bit]], width: int) -> Term:
        chosen = self.word(ports["A"])
        for k in reversed(range(len(ports["S"]))):
            other = self.word(ports["B"][k * width : (k + 1) * width])
            chosen = self._term(
                Kind.ITE, self._is_set(self.word(ports["S"][k : k + 1])), other, chosen
            )
        return chosen


def _ordered(cells: Mapping[str, Any], known: Mapping[Bit, object]) -> Iterator[Mapping[str, Any]]:
    """Logic, each cell behind those that it needs."""
    makers: dict[Bit, str] = {}
    for name, cell in cells.items():
        if cell["type"] in _NO_LOGIC:
            continue
        if cell["type"] not in SUPPORTED:
            raise ValueError(f"cells must be supported ones, not {cell['type']}")
        makers |= dict.fromkeys(cell["connections"]["Y"], name)
    done: dict[str, bool] = {}
    for root in dict.fromkeys(makers.values()):
        stack = [root]
        while stack:
            name = stack[-1]
            if done.get(name):
                stack.pop()
                continue
            needed = [
                makers[bit]
                for port, bits in cells[name]["connections"].items()
                if port != "Y"
                for bit in bits
                if bit in makers and bit not in known and not done.get(makers[bit])
            ]
            if needed:
                if name in done:
                    raise ValueError(f"logic must not go round in a circle, as it does at {name}")
                done[name] = False
                stack += dict.fromkeys(needed)
                continue
            done[name] = True
            stack.pop()
            yield cells[name]
