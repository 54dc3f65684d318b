"""The table of ``docs/trust.md``."""

import re

from boards_tables import table
from figures import CHECKOUT, Figures

__all__ = ["DOCS", "tables"]

DOCS = CHECKOUT / "docs" / "trust.md"
_FIELD = re.compile(r"\{([^:}]+):([^}]+)\}")
"""A figure by its name, and how it is written."""

_ROWS = (
    (
        "proofs",
        "neurons of all profiles and options at 8, 16 and 24 bits, streams, queues, probes and"
        " progress are proven",
        "none fails",
        "{proofs.inductive:,.0f} for good, {proofs.bounded:,.0f} up to a bound,"
        " {proofs.failed:,.0f} failed",
    ),
    (
        "proofs",
        "a bug planted for each proof is found",
        "all",
        "{proofs.planted_bugs_caught:,.0f} of {proofs.planted_bugs:,.0f}",
    ),
    (
        "digits",
        "single faults in the digits network's hardware are noticed, without those proven to make"
        " no difference",
        "98 % of 1,000 or more",
        "{rtl.mutation_score:.2f} % of {rtl.mutants:,.0f}: {rtl.killed:,.0f} are noticed,"
        " {rtl.equivalent:,.0f} make no difference",
    ),
    ("digits", "lines and branches of its Verilog have run", "95 %", "{coverage.line:.2f} %"),
    ("digits", "bits of it have gone up and down", "90 %", "{coverage.toggle:.2f} %"),
    ("digits", "situations that matter have occurred", "100 %", "{coverage.functional:.0f} %"),
    (
        "digits",
        "nothing else on its `signoff` level fails: equality, netlists, resets",
        "nothing",
        "{digits.failed:,.0f} of {digits.tested:,.0f} tested and {digits.proven:,.0f} proven",
    ),
    (
        "equivalence",
        "random networks of all profiles, each with four stimuli, are equal: Icarus, Verilator",
        "1,000 cases in each",
        "{equivalence.cases.icarus:,.0f}, {equivalence.cases.verilator:,.0f};"
        " {equivalence.mismatches:,.0f} unequal",
    ),
    (
        "golden",
        "mutants of the golden model are killed by its tests",
        "90 %",
        "{golden.mutation_score:.1f} % of {golden.mutants:,.0f}",
    ),
    (
        "planted",
        "bugs planted in the golden model, in the hardware and in the testbench are seen",
        "9 of 9",
        "{planted_bugs_caught:.0f} of {planted_bugs:.0f}",
    ),
    (
        "verilog",
        "the Verilog is the same bytes from all Pythons and seeds of hashing",
        "two of each",
        "{verilog.different:.0f} different; {verilog.times:.0f} by {verilog.pythons:.0f} Pythons",
    ),
)


def tables(figures: Figures) -> dict[str, str]:
    """The table by the name in its markers; those of its rows that were measured."""
    rows = []
    for part, what, asked, seen in _ROWS:
        commit = figures.get(f"{part}.commit")
        if commit is None:
            continue
        words = _FIELD.sub(lambda found: format(figures[found[1]][1], found[2]), seen)
        when = f"{figures[f'{part}.date'][1]}, {str(commit[1])[:7]}"
        rows.append((what, asked, words, when))
    return {"signoff": table(("what", "asked", "seen", "when, commit"), rows)}
