"""What holds of the registers of a design in all states that can be, found and proven.

Guesses hold in the state at power-up. Together they are proven to hold behind any step that they
hold before; what a counterexample refutes is dropped, or widened, and the rest tried again. So
what is left is an inductive invariant (Flanagan and Leino, Houdini, FME 2001).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from time import monotonic

from bitwuzla import Bitwuzla, Kind, Option, Options, Result, Term

from spikeloom.sim.netlist import Register
from spikeloom.sim.terms import Words

__all__ = ["Invariants", "find_invariants", "solver"]

COUNTER = 10
"""Bits of a register that may count or choose, at most."""


def solver(words: Words, seconds: float) -> Bitwuzla:
    """A solver that gives models, and gives up when its time is over."""
    options = Options()
    options.set(Option.PRODUCE_MODELS, True)
    found = Bitwuzla(words.manager, options)
    end = monotonic() + seconds
    found.configure_terminator(lambda: monotonic() > end)
    return found


@dataclass(frozen=True)
class Invariants:
    """What is proven of registers.

    Attributes
    ----------
    constant
        Bits of registers that never change: by cell and number.
    most
        For registers the largest number that they hold.
    equal
        Pairs of registers that always hold the same.
    """

    constant: Mapping[tuple[str, int], int]
    most: Mapping[str, int]
    equal: tuple[tuple[str, str], ...]


def find_invariants(
    make: Words,
    registers: Mapping[str, Register],
    now: Mapping[str, Term],
    then: Mapping[str, Term],
    seconds: float,
) -> tuple[Invariants, list[Term]]:
    """Guess, and drop what is refuted.

    Parameters
    ----------
    make
        Makes the terms.
    registers
        The registers. Of wide ones, and of those whose bits at power-up are not all known,
        nothing is said.
    now, then
        By their cells the words that they hold, and that they hold a step later.
    seconds
        For the search; when they are over nothing is left.

    Returns
    -------
    What is proven, and its terms.
    """
    start = {
        k: int(r.init, 2) for k, r in registers.items() if len(r.q) <= COUNTER and "x" not in r.init
    }
    widths = {k: len(registers[k].q) for k in start}
    constant = {(k, n): value >> n & 1 for k, value in start.items() for n in range(widths[k])}
    most = {k: value for k, value in start.items() if widths[k] > 1}
    equal = {
        (a, b) for a, b in combinations(most, 2) if widths[a] == widths[b] and start[a] == start[b]
    }

    def terms(words: Mapping[str, Term]) -> list[Term]:
        bits = [make.is_set(make.bit(words[k], n), value) for (k, n), value in constant.items()]
        bounds = [
            make.term(Kind.BV_ULE, words[k], make.value(widths[k], value))
            for k, value in most.items()
        ]
        pairs = [make.term(Kind.EQUAL, words[a], words[b]) for a, b in sorted(equal)]
        return [*bits, *bounds, *pairs]

    decide = solver(make, seconds)
    while True:
        claims = terms(then)
        if not claims:
            break
        refuted = make.term(Kind.NOT, make.joined(Kind.AND, claims))
        answer = decide.check_sat(*terms(now), refuted)
        if answer == Result.UNSAT:
            break
        if answer != Result.SAT:
            return Invariants({}, {}, ()), []
        found = {k: int(decide.get_value(then[k]).value(10)) for k in start}
        constant = {
            (k, n): value for (k, n), value in constant.items() if found[k] >> n & 1 == value
        }
        most = {k: max(value, found[k]) for k, value in most.items()}
        most = {k: value for k, value in most.items() if value + 1 < 1 << widths[k]}
        equal = {(a, b) for a, b in equal if found[a] == found[b]}
    return Invariants(constant, most, tuple(sorted(equal))), terms(now)
