"""The tables of ``docs/boards.md`` are those of the data and of the boards' facts."""

import json
import shutil
from pathlib import Path

import pytest

from spikeloom.boards.board import BOARDS

CHECKOUT = Path(__file__).parents[2]
RESULTS = CHECKOUT / "benchmarks" / "results" / "boards.json"


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(CHECKOUT / "benchmarks")
    import boards_tables

    return boards_tables


def figures() -> dict[str, tuple[str, float]]:
    return {each["name"]: (each["unit"], each["value"]) for each in json.loads(RESULTS.read_text())}


def test_docs_are_the_data(generator, tmp_path: Path) -> None:
    docs = tmp_path / "boards.md"
    shutil.copy(CHECKOUT / "docs" / "boards.md", docs)
    generator.write_tables(figures(), docs)
    assert docs.read_text() == (CHECKOUT / "docs" / "boards.md").read_text()


def test_a_changed_figure_changes_the_docs(generator, tmp_path: Path) -> None:
    docs = tmp_path / "boards.md"
    shutil.copy(CHECKOUT / "docs" / "boards.md", docs)
    generator.write_tables(figures() | {"hx8k.fmax": ("MHz", 1234.56)}, docs)
    (line,) = [line for line in docs.read_text().splitlines() if "1234.6 MHz" in line]
    assert line.startswith("| iCE40-HX8K Breakout Board | ")


def test_every_board_that_is_built_meets_its_clock() -> None:
    found = figures()
    for name, board in BOARDS.items():
        keys = {key for key in found if key.startswith(f"{name}.")}
        if not board.built:
            assert keys == set()
            continue
        assert keys >= {f"{name}.{key}" for key in ("logic_cells", "block_rams", "dsps")}
        assert found[f"{name}.target"] == ("MHz", board.clock / 1e6)
        assert found[f"{name}.fmax"][1] >= found[f"{name}.target"][1]
        assert 0 < found[f"{name}.logic_cells"][1] <= board.logic_cells
        assert found[f"{name}.block_rams"][1] <= board.block_rams
        assert found[f"{name}.dsps"][1] <= board.dsps
