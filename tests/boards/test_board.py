"""Facts of the boards."""

import re

import pytest
from amaranth.hdl import Elaboratable, Module

from spikeloom.boards.board import BOARDS, FAMILIES

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


class Nothing(Elaboratable):
    def elaborate(self, platform: object) -> Module:
        return Module()


@boards
def test_platform_agrees(board) -> None:
    """Amaranth's own description of the board says the same."""
    platform = board.create_platform()
    assert platform.device == board.chip
    assert platform.package == board.package
    assert platform.default_clk_frequency == board.oscillator


@boards
def test_place_agrees(board) -> None:
    """As Amaranth itself names the chip to nextpnr."""
    platform = board.create_platform()
    plan = platform.prepare(Nothing(), emit_src=False)
    (command,) = re.findall(r'^"\$NEXTPNR_\w+" (.*)$', plan.files["build_top.sh"], re.MULTILINE)
    assert " ".join(board.place) in command


@boards
def test_platform_is_new_each_time(board) -> None:
    assert board.create_platform() is not board.create_platform()


def test_names() -> None:
    assert all(name == board.name for name, board in BOARDS.items())


def test_families() -> None:
    assert [family.name for family in FAMILIES] == ["iCE40", "ECP5"]
