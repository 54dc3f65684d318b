"""Facts of the boards."""

import pytest

from spikeloom.boards.board import BOARDS

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


@boards
def test_platform_agrees(board) -> None:
    """Amaranth's own description of the board says the same."""
    platform = board.create_platform()
    assert platform.device == board.chip
    assert platform.package == board.package
    assert platform.default_clk_frequency == board.oscillator


@boards
def test_platform_is_new_each_time(board) -> None:
    assert board.create_platform() is not board.create_platform()


def test_names() -> None:
    assert all(name == board.name for name, board in BOARDS.items())
