"""The tables and the page of flipped bits are those of the data."""

import shutil
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / "docs"
RESULTS = CHECKOUT / "benchmarks" / "results" / "faults.json"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch):
    """The generator, and the figures in the results."""
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    import boards_tables
    import faults_tables
    import figures

    return boards_tables, faults_tables, figures.read_figures(RESULTS)


def test_docs_are_the_data(made, tmp_path: Path) -> None:
    boards_tables, faults_tables, figures = made
    docs = tmp_path / "faults.md"
    shutil.copy(DOCS / "faults.md", docs)
    boards_tables.put_tables(faults_tables.tables(figures), docs)
    assert docs.read_text() == (DOCS / "faults.md").read_text()
    assert faults_tables.page(figures) == (DOCS / "faults.html").read_text()


def test_a_changed_figure_changes_the_docs(made, tmp_path: Path) -> None:
    boards_tables, faults_tables, figures = made
    docs = tmp_path / "faults.md"
    shutil.copy(DOCS / "faults.md", docs)
    changed = figures | {"upsets.off.control.hang": ("%", 12.34)}
    boards_tables.put_tables(faults_tables.tables(changed), docs)
    (line,) = [line for line in docs.read_text().splitlines() if "12.3 %" in line]
    assert line.startswith("| control registers | ")


def test_what_guards_promise(made) -> None:
    """No weight goes wrong unnoticed, and no state goes wrong."""
    *_, figures = made
    assert figures["upsets.both.weights.wrong_unnoticed"][1] == 0
    assert figures["upsets.both.weights.noticed"][1] > 0
    assert figures["upsets.both.state.masked"] == ("%", 100)
    assert figures["cost.parity.cycles"] == figures["cost.off.cycles"]
