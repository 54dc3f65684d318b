"""The logic of a flat netlist as terms of Bitwuzla, about which a solver decides."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bitwuzla import Kind, Term, TermManager

from spikeloom.sim.netlist import Bit, Netlist

__all__ = ["SUPPORTED", "TAKE_APART", "Terms", "Words"]

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


class Words:
    """Makes words, bits and claims of them: terms of one manager."""

    def __init__(self) -> None:
        self.manager = TermManager()

    def free(self, width: int) -> Term:
        """A word that may be anything."""
        return self.manager.mk_const(self.manager.mk_bv_sort(width))

    def value(self, width: int, value: int) -> Term:
        """A known word."""
        return self.manager.mk_bv_value(self.manager.mk_bv_sort(width), value)

    def term(self, kind: Kind, *terms: Term) -> Term:
        return self.manager.mk_term(kind, list(terms))

    def part(self, word: Term, first: int, width: int) -> Term:
        """Bits of a word from one on."""
        if width == word.sort().bv_size():
            return word
        return self.manager.mk_term(Kind.BV_EXTRACT, [word], [first + width - 1, first])

    def bit(self, word: Term, n: int) -> Term:
        return self.part(word, n, 1)

    def word(self, parts: Sequence[Term]) -> Term:
        """Parts of a word, the lowest first, put together."""
        return self.joined(Kind.BV_CONCAT, parts[::-1])

    def joined(self, kind: Kind, terms: Sequence[Term]) -> Term:
        """All of one or more terms."""
        return terms[0] if len(terms) == 1 else self.term(kind, *terms)

    def extended(self, word: Term, width: int, *, signed: bool) -> Term:
        """A word brought to a width."""
        own = word.sort().bv_size()
        if own >= width:
            return self.part(word, 0, width)
        kind = Kind.BV_SIGN_EXTEND if signed else Kind.BV_ZERO_EXTEND
        return self.manager.mk_term(kind, [word], [width - own])

    def is_set(self, bit: Term, value: int = 1) -> Term:
        """That a bit is 1, or 0."""
        return self.term(Kind.EQUAL, bit, self.value(1, value))

    def decides(self, claim: Term) -> Term:
        """A bit that says whether a claim holds."""
        return self.term(Kind.ITE, claim, self.value(1, 1), self.value(1, 0))


class Terms:
    """Terms of the nets of a netlist, given those that come out of registers and from without.

    Equal logic of equal inputs is the same term. The first of several choices holds, as in the
    Verilog that yosys writes; a bit that is ``x`` may be anything.

    Parameters
    ----------
    words
        Makes the terms.
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
        self, words: Words, netlist: Netlist, given: Iterable[tuple[Sequence[Bit], Term]]
    ) -> None:
        self._words = words
        self._place: dict[Bit, tuple[Term, int]] = {}
        for bits, term in given:
            self._put(bits, term)
        for cell in _ordered(netlist.module["cells"], self._place):
            output = cell["connections"]["Y"]
            self._put(output, self._cell(cell, len(output)))

    def word(self, bits: Sequence[Bit]) -> Term:
        """The term of some bits, the lowest first; that of none is 0."""
        parts = []
        k = 0
        while k < len(bits):
            end = k + 1
            if isinstance(bits[k], str):
                parts.append(self._constant(str(bits[k])))
            else:
                term, first = self._place[bits[k]]
                while end < len(bits) and self._place.get(bits[end]) == (term, first + end - k):
                    end += 1
                parts.append(self._words.part(term, first, end - k))
            k = end
        return self._words.word(parts) if parts else self._words.value(1, 0)

    def _put(self, bits: Sequence[Bit], term: Term) -> None:
        for k, bit in enumerate(bits):
            self._place[bit] = term, k

    def _constant(self, bit: str) -> Term:
        return self._words.value(1, int(bit)) if bit in "01" else self._words.free(1)

    def _cell(self, cell: Mapping[str, Any], width: int) -> Term:
        make = self._words
        kind, ports, parameters = cell["type"], cell["connections"], cell.get("parameters", {})
        if kind in _CHOICES:
            return self._choice(ports, width)
        words = [self.word(ports[name]) for name in ("A", "B") if name in ports]
        signed = all(parameters.get(f"{k}_SIGNED", "0")[-1] == "1" for k in "AB"[: len(words)])
        if kind in _WORDS:
            words = [make.extended(word, width, signed=signed) for word in words]
            return make.term(_WORDS[kind], *words)
        if kind in _COMPARISONS:
            wider = max(word.sort().bv_size() for word in words)
            words = [make.extended(word, wider, signed=signed) for word in words]
            found = make.decides(make.term(_COMPARISONS[kind][signed], *words))
        elif kind in _REDUCTIONS:
            found = make.term(_REDUCTIONS[kind], *words)
        else:
            truths = [make.term(Kind.BV_REDOR, word) for word in words]
            found = make.term(_TRUTHS.get(kind, Kind.BV_NOT), *truths)
        return make.extended(found, width, signed=False)

    def _choice(self, ports: Mapping[str, Sequence[Bit]], width: int) -> Term:
        chosen = self.word(ports["A"])
        for k in reversed(range(len(ports["S"]))):
            other = self.word(ports["B"][k * width : (k + 1) * width])
            choice = self._words.is_set(self.word(ports["S"][k : k + 1]))
            chosen = self._words.term(Kind.ITE, choice, other, chosen)
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
