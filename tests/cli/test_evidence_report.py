"""What a verification's report says, read back from its three forms."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

from spikeloom.cli.evidence_report import GROUPS, Report, junit, render_report
from spikeloom.sim.evidence import Evidence, Strength

EVIDENCE = (
    Evidence(
        group="proofs",
        name="the update of <hidden> equals the specification",
        strength=Strength.INDUCTIVE,
        passed=True,
        detail="8 bits & all inputs",
        seconds=2.5,
    ),
    Evidence(
        group="equality",
        name="the Verilog equals the golden model in Icarus",
        strength=Strength.TESTED,
        passed=True,
        detail="3 samples",
        repeat="seed 7",
        seconds=0.5,
    ),
    Evidence(
        group="proofs",
        name="the network never stops",
        strength=Strength.BOUNDED,
        passed=True,
        detail="40 cycles",
    ),
    Evidence(
        group="mutants",
        name="planted faults are noticed",
        strength=Strength.OMITTED,
        passed=False,
        detail="level quick leaves them out",
    ),
)
REPORT = Report(
    model="net.toml",
    level="quick",
    facts={"profile": "iaf"},
    command="spikeloom verify net.toml",
    versions={"spikeloom": "0.1.0"},
    evidence=EVIDENCE,
    figures={"rtl.mutants": ("count", 1000.0)},
)
BROKEN = replace(
    REPORT, evidence=(*EVIDENCE, replace(EVIDENCE[1], passed=False, detail="word 3 is\x01 wrong"))
)
PART = Evidence(
    group="coverage",
    name="the situations that matter have all occurred",
    strength=Strength.PARTIAL,
    passed=False,
    detail="3 of 4; not reached: a word waits",
)


class Texts(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_page() -> None:
    texts = Texts(render_report(REPORT)).texts
    assert "Can net.toml be trusted?" in texts
    assert "All 3 statements hold" in texts
    assert "the update of <hidden> equals the specification" in texts
    assert "8 bits & all inputs" in texts
    assert "3 samples; repeat: seed 7" in texts
    assert "level quick leaves them out" in texts
    # Groups in the order in which they are explained, whatever the order of the evidence.
    titles = [title for title, _ in GROUPS.values()]
    seen = [text for text in texts if text in titles]
    assert seen == [titles[k] for k in (0, 1, 4)]
    assert render_report(REPORT) == render_report(REPORT)


def test_page_of_what_fails() -> None:
    texts = Texts(render_report(BROKEN)).texts
    assert "1 of 4 statements were not shown to hold" in texts
    assert any(text.startswith("These were not: the Verilog equals") for text in texts)


def test_what_the_tests_did_not_reach_is_plain_but_no_fault() -> None:
    report = replace(REPORT, evidence=(*EVIDENCE, PART))
    assert report.plain()["holds"]
    assert report.plain()["evidence"][-1]["strength"] == "partial"
    page = render_report(report)
    assert 'class="headline warn"' in page
    texts = Texts(page).texts
    assert "All 3 statements hold" in texts
    assert any(f"do not show this: {PART.name}." in text for text in texts)
    assert any(text.endswith("tested in part") for text in texts)
    assert PART.detail in texts
    root = ElementTree.fromstring(junit(report).encode())
    (case,) = root.iterfind("testsuite[@name='coverage']/testcase")
    assert case.find("failure") is None
    assert case.find("skipped").get("message") == PART.detail
    broken = render_report(replace(BROKEN, evidence=(*BROKEN.evidence, PART)))
    texts = Texts(broken).texts
    assert "1 of 4 statements were not shown to hold" in texts
    tiles = {
        words: texts[k + 1]
        for k, words in enumerate(texts)
        if words in ("tested in part", "failed")
    }
    assert tiles == {"tested in part": "1", "failed": "1"}


def test_data() -> None:
    plain = json.loads(json.dumps(REPORT.plain()))
    assert plain["holds"]
    assert not BROKEN.plain()["holds"]
    strengths = [each["strength"] for each in plain["evidence"]]
    assert strengths == ["inductive", "tested", "bounded", "omitted"]
    assert plain["figures"] == [{"name": "rtl.mutants", "unit": "count", "value": 1000.0}]


def test_junit() -> None:
    root = ElementTree.fromstring(junit(BROKEN).encode())
    suites = {each.get("name"): each for each in root}
    assert list(suites) == ["equality", "proofs", "mutants"]
    equality = suites["equality"]
    assert (equality.get("tests"), equality.get("failures")) == ("2", "1")
    assert equality.find("testcase/failure").get("message") == "word 3 is? wrong"
    assert suites["mutants"].get("skipped") == "1"
    assert suites["mutants"].find("testcase/skipped").get("message") == EVIDENCE[3].detail
    assert suites["proofs"].get("time") == "2.500"
