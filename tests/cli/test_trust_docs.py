"""The table of what shows trust is that of the data."""

import re
import shutil
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / "docs" / "trust.md"
RESULTS = CHECKOUT / "benchmarks" / "results" / "signoff.json"
SURVIVORS = RESULTS.with_suffix("") / "survivors.txt"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch):
    """What makes the table, and the figures in the results."""
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    import boards_tables
    import figures
    import signoff_tables

    return boards_tables.put_tables, signoff_tables.tables, figures.read_figures(RESULTS)


def test_docs_are_the_data(made, tmp_path: Path) -> None:
    put_tables, tables, figures = made
    docs = tmp_path / "trust.md"
    shutil.copy(DOCS, docs)
    put_tables(tables(figures), docs)
    assert docs.read_text() == DOCS.read_text()


def test_a_changed_figure_changes_the_docs(made, tmp_path: Path) -> None:
    put_tables, tables, figures = made
    docs = tmp_path / "trust.md"
    shutil.copy(DOCS, docs)
    put_tables(tables(figures | {"planted_bugs_caught": ("bugs", 7)}), docs)
    assert "| 9 of 9 | 7 of 9 |" in docs.read_text()


def test_what_must_not_fail_has_not(made) -> None:
    *_, figures = made
    must = {"proofs.failed", "equivalence.mismatches", "verilog.different"} & figures.keys()
    assert {figures[name][1] for name in must} == {0}
    planted = {"planted_bugs", "proofs.planted_bugs"} & figures.keys()
    assert planted
    assert all(figures[f"{name}_caught"][1] == figures[name][1] for name in planted)


def test_the_docs_explain_each_fault_that_nothing_noticed() -> None:
    explained = re.findall(r"^\| ([\d, ]+) \|", DOCS.read_text(), re.M)
    missed = re.findall(r"^(\d+)\. .*\n.*\n    NOT KILLED", SURVIVORS.read_text(), re.M)
    assert missed
    assert sorted(int(k) for each in explained for k in each.split(", ")) == list(map(int, missed))
