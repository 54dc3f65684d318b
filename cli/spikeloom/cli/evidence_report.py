"""What a verification came to: as data, as JUnit and as a page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

from spikeloom.cli.markup import Html, count, decimal, duration, join, listing, tag
from spikeloom.cli.page import definitions, render_page, section, table
from spikeloom.sim.evidence import Evidence, Strength

__all__ = ["GROUPS", "Report", "junit", "render_report"]

GROUPS: Mapping[str, tuple[str, str]] = {
    "equality": (
        "The hardware against the golden model",
        "The Verilog runs in a simulator beside the golden model, a NumPy program in integers that"
        " says what must come out. Every word is compared: spikes, their order, membrane"
        " potentials. There is no tolerance.",
    ),
    "proofs": (
        "Proofs",
        "A solver looks at all inputs at once, a simulation at one after the other. What is proven"
        " holds for any number of cycles; what is proven up to a bound holds for as many"
        " as it says.",
    ),
    "reset": (
        "Power and reset",
        "Flip-flops and memories begin with anything, and a reset may come at any time: a simulator"
        " with unknown values shows whether something of that is left behind a reset.",
    ),
    "coverage": (
        "How much of the hardware was used",
        "What a test never uses it cannot test. Lines and bits of the Verilog, and the cases that"
        " matter in a neuron, are counted while the tests run. What was not reached was not tested,"
        " which does not say that it is wrong.",
    ),
    "mutants": (
        "Planted faults",
        "The tests are tested: single faults are put into the hardware, and each must be noticed.",
    ),
    "netlists": (
        "After synthesis",
        "The netlist that synthesis makes for an FPGA runs with the models of its cells.",
    ),
    "upsets": (
        "Bits that flip",
        "Radiation flips single bits. Some are flipped while the hardware runs, and what becomes of"
        " the results is counted. This says what happens, not that it should.",
    ),
}
"""Title and explanation of each group of evidence, in the order of the page."""

_WORDS = {
    Strength.INDUCTIVE: ("proven", "good"),
    Strength.BOUNDED: ("proven up to a bound", "good"),
    Strength.TESTED: ("tested", "good"),
    Strength.PARTIAL: ("tested in part", "warn"),
    Strength.OMITTED: ("not done", "warn"),
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a verification came to.

    Attributes
    ----------
    model
        What was verified, in a word or two.
    level
        How thoroughly.
    facts
        Of the design, by their names.
    command
        What repeats all of it.
    versions
        Of the tools.
    evidence
        What was found, in the order in which it came.
    figures
        Numbers with their units, by their names.
    """

    model: str
    level: str
    facts: Mapping[str, str]
    command: str
    versions: Mapping[str, str]
    evidence: tuple[Evidence, ...]
    figures: Mapping[str, tuple[str, float]]

    @property
    def failed(self) -> tuple[Evidence, ...]:
        """What does not hold."""
        return tuple(each for each in self.evidence if each.fails)

    @property
    def groups(self) -> dict[str, list[Evidence]]:
        """Evidence by group, in the order of :data:`GROUPS`."""
        order = list(GROUPS)
        ranked = sorted(self.evidence, key=lambda each: order.index(each.group))
        return {name: list(part) for name, part in groupby(ranked, lambda each: each.group)}

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "model": self.model,
            "level": self.level,
            "facts": dict(self.facts),
            "command": self.command,
            "versions": dict(self.versions),
            "holds": not self.failed,
            "evidence": [
                {**vars(each), "strength": each.strength.name.lower()} for each in self.evidence
            ],
            "figures": [
                {"name": name, "unit": unit, "value": value}
                for name, (unit, value) in self.figures.items()
            ],
        }


def junit(report: Report) -> str:
    """The report as JUnit XML: a suite for each group; skipped is what was not done, or in part."""
    root = ElementTree.Element("testsuites", name=f"spikeloom verify {report.level}")
    for name, part in report.groups.items():
        failures = sum(each in report.failed for each in part)
        skipped = sum(each.open for each in part)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=name,
            tests=str(len(part)),
            failures=str(failures),
            skipped=str(skipped),
            time=f"{sum(each.seconds for each in part):.3f}",
        )
        for each in part:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=f"spikeloom.{name}",
                name=_xml(each.name),
                time=f"{each.seconds:.3f}",
            )
            if each.open:
                ElementTree.SubElement(case, "skipped", message=_xml(each.detail))
            elif not each.passed:
                ElementTree.SubElement(case, "failure", message=_xml(each.detail))
            ElementTree.SubElement(case, "system-out").text = _xml(
                f"{each.strength.value}; {each.detail}; repeat: {each.repeat}"
            )
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Without characters that XML has none of."""
    return "".join(each if each.isprintable() or each in "\n\t" else "?" for each in text)


def render_report(report: Report) -> str:
    """The page. The same report gives the same text on any machine."""
    title = f"Can {report.model} be trusted?"
    return render_page(
        title,
        tag(
            "header",
            tag("p", f"spikeloom verify, level {report.level}", class_="eyebrow"),
            tag("h1", title),
            tag(
                "p",
                "A spiking network as hardware for an FPGA, against the program that defines it."
                " What was proven, what was tested, and what was not.",
                class_="lead",
            ),
            _headline(report),
            definitions(report.facts),
        ),
        _tiles(report.evidence),
        *(_group(name, part) for name, part in report.groups.items()),
        _figures(report.figures),
        section(
            "Repeat it",
            "Everything is deterministic: the same command gives the same result.",
            tag("p", tag("code", report.command), class_="command"),
            definitions(report.versions),
        ),
    )


def _headline(report: Report) -> Html:
    failed = report.failed
    omitted = [each for each in report.evidence if each.strength is Strength.OMITTED]
    partial = [each for each in report.evidence if each.strength is Strength.PARTIAL]
    looked_at = len(report.evidence) - len(omitted) - len(partial)
    if failed:
        kind, mark = "bad", "\N{MULTIPLICATION SIGN}"
        words = f"{count(len(failed))} of {count(looked_at)} statements were not shown to hold"
        rest = listing([each.name for each in failed[:3]])
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        text = f"These were not: {rest}{more}."
    else:
        kind, mark = "warn" if partial else "good", "\N{CHECK MARK}"
        words = f"All {count(looked_at)} statements hold"
        text = "Nothing was found in which the hardware is not what the golden model says."
    if partial:
        names = listing([each.name for each in partial])
        text += f" The tests do not show this: {names}. Below it says what they did not reach."
    if omitted:
        were = "was" if len(omitted) == 1 else "were"
        text += f" {count(len(omitted))} {were} not looked at; below it says which and why."
    return tag(
        "div",
        tag("div", mark, class_="mark"),
        tag("div", tag("h2", words), tag("p", text)),
        class_=f"headline {kind}",
    )


def _tiles(evidence: Sequence[Evidence]) -> Html:
    found = Counter("failed" if each.fails else each.strength.value for each in evidence)
    counts = {words: found[words] for words in (*(each.value for each in Strength), "failed")}
    tiles = (
        tag("li", tag("span", words), tag("strong", count(number)))
        for words, number in counts.items()
    )
    return tag("section", tag("ul", *tiles, class_="tiles"))


def _group(name: str, part: list[Evidence]) -> Html:
    title, sentence = GROUPS[name]
    rows = [
        [_verdict(each), each.name, duration(each.seconds) if each.seconds else ""] for each in part
    ]
    notes = [_note(each) for each in part]
    return section(
        title,
        sentence,
        table(["", "statement", "took"], rows, numeric=2, notes=notes),
    )


def _verdict(each: Evidence) -> Html:
    words, kind = _WORDS[each.strength]
    if each.open:
        mark = "\N{EN DASH}"
    elif each.passed:
        mark = "\N{CHECK MARK}"
    else:
        mark, kind = "\N{MULTIPLICATION SIGN}", "bad"
        words = "fails" if each.strength is Strength.TESTED else "not proven"
    return tag("b", f"{mark} {words}", class_=kind)


def _note(each: Evidence) -> str:
    parts = [each.detail] if each.detail else []
    if each.repeat:
        parts.append(f"repeat: {each.repeat}")
    return "; ".join(parts)


def _figures(figures: Mapping[str, tuple[str, float]]) -> Html | None:
    if not figures:
        return None
    rows = [[name, decimal(value, 4), unit] for name, (unit, value) in figures.items()]
    return section(
        "Figures",
        "The same numbers are in the JSON file.",
        join([table(["figure", "value", "unit"], rows, numeric=1)]),
    )
