"""Facts of the boards."""

import re

import pytest
from amaranth.hdl import Elaboratable, Module

from spikeloom.boards.board import BOARDS, FAMILIES
from spikeloom.boards.gowin import GOWIN

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


class Nothing(Elaboratable):
    def elaborate(self, platform: object) -> Module:
        return Module()


@boards
def test_platform_agrees(board) -> None:
    """Amaranth's own description of the board says the same."""
    platform = board.create_platform()
    if board.family is GOWIN:
        assert platform.part.startswith(board.chip + board.package)
    else:
        assert platform.device == board.chip
        assert platform.package == board.package
    assert platform.default_clk_frequency == board.oscillator


@boards
def test_place_agrees(board) -> None:
    """As Amaranth itself names the chip to nextpnr, or to Vivado."""
    platform = board.create_platform()
    files = platform.prepare(Nothing(), emit_src=False).files
    if not board.built:
        assert f" -part {board.chip}{board.package}-1L\n" in files["top.tcl"]
        return
    (command,) = re.findall(r'^"\$NEXTPNR_\w+" (.*)$', files["build_top.sh"], re.MULTILINE)
    place = " ".join(board.place).replace("--vopt family=", "--family ")
    assert place in command


@boards
def test_serial_rates(board) -> None:
    """The clock can be divided to both, and a bit has at least eight cycles."""
    assert board.baud == 1_000_000 <= board.fastest_baud
    for baud in (board.baud, board.fastest_baud):
        cycles = round(board.clock / baud)
        assert cycles >= 8
        assert abs(cycles * baud / board.clock - 1) <= 0.01


def test_what_is_built() -> None:
    assert [board.name for board in BOARDS.values() if not board.built] == ["arty-a7-35t"]


@boards
def test_wires_where_there_is_no_bridge(board) -> None:
    """Amaranth's boards have a serial line where there is one."""
    has_bridge = ("uart", 0) not in [(each.name, each.number) for each in board.resources]
    assert has_bridge == (board.wires is None)


@boards
def test_platform_is_new_each_time(board) -> None:
    assert board.create_platform() is not board.create_platform()


def test_names() -> None:
    assert all(name == board.name for name, board in BOARDS.items())


def test_families() -> None:
    names = ["iCE40", "iCE40 HX", "Gowin", "ECP5", "Artix-7"]
    assert [family.name for family in FAMILIES] == names
