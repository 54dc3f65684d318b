"""Cells of memories and products, counted by hand."""

import pytest

from spikeloom.boards.cells import choose_ram
from spikeloom.boards.ecp5 import ECP5
from spikeloom.boards.gowin import GOWIN
from spikeloom.boards.ice40 import ICE40, ICE40_HX
from spikeloom.rtl_gen.inventory import Collision, MemoryShape, Multiplier


def chosen(family, *shape, style="", parts=1, **options):
    cell, count = choose_ram(family.rams, MemoryShape(*shape, **options), style, parts)
    return (None if cell is None else cell.name), count


@pytest.mark.parametrize(
    ("shape", "rom", "expected"),
    [
        ((512, 8), False, ("block RAM", 1)),
        # As eight of 512 x 8; of 256 x 16 they would be as many, with a multiplexer.
        ((512, 64), True, ("block RAM", 8)),
        # A memory of eight words wastes most of each, but 1024 flip-flops are worth 16 of them.
        ((8, 128), False, ("block RAM", 8)),
        # Ten cost 640, and a port to read at, 2: more than 640 flip-flops.
        ((4, 160), False, (None, 0)),
        # 768 bits are 48 in logic.
        ((8, 96), True, (None, 0)),
        # Five times 256 words lie side by side in one of 256 x 16.
        ((1100, 3), False, ("block RAM", 1)),
        ((2049, 2), False, ("block RAM", 2)),
    ],
)
def test_ice40(shape, rom, expected) -> None:
    assert chosen(ICE40, *shape, rom=rom) == expected


@pytest.mark.parametrize(
    ("shape", "collision", "count"),
    [
        # A block RAM costs 64; what is emulated 2, 8 or 14.
        ((6, 11), Collision.UNMET, 0),
        ((6, 12), Collision.UNMET, 1),
        ((6, 12), Collision.NEW, 0),
        ((5, 15), Collision.NEW, 1),
        ((5, 15), Collision.OLD, 0),
        ((5, 16), Collision.OLD, 1),
    ],
)
def test_what_is_emulated(shape, collision, count) -> None:
    """As yosys 0.70 chooses for a memory of these."""
    assert chosen(ICE40, *shape, collision=collision)[1] == count


@pytest.mark.parametrize(
    ("shape", "rom", "expected"),
    [
        ((512, 8), False, ("block RAM", 1)),
        ((512, 64), True, ("block RAM", 2)),
        # Eight times 16 words, two times four bits.
        ((128, 7), False, ("distributed RAM", 16)),
        ((8, 128), False, ("distributed RAM", 32)),
        # Nothing can be written into logic that is meant to be read only.
        ((8, 96), True, (None, 0)),
        # 1024 x 18.
        ((1024, 17), True, ("block RAM", 1)),
        ((1024, 19), True, ("block RAM", 2)),
    ],
)
def test_ecp5(shape, rom, expected) -> None:
    assert chosen(ECP5, *shape, rom=rom) == expected


def test_gowin_takes_a_part_for_a_part() -> None:
    """Nine bits of 128 words are 18 distributed RAMs in cost, 72, with 37.5 around them; as 24
    cells, which they take, they would cost more than the 130 of a block RAM."""
    assert chosen(GOWIN, 128, 9) == ("distributed RAM", 24)
    assert chosen(ECP5, 128, 9) == ("block RAM", 1)


@pytest.mark.parametrize(
    ("shape", "parts", "count"),
    [
        ((12544, 64), 8, 4),
        # Each weight has enables of its own, which go for four bits: five bits need eight.
        ((12544, 40), 8, 4),
        ((16385, 16), 2, 2),
    ],
)
def test_spram(shape, parts, count) -> None:
    assert chosen(ICE40, *shape, style="huge", parts=parts) == ("SPRAM", count)


def test_no_spram() -> None:
    with pytest.raises(ValueError, match=r"^there is no memory of style 'huge'$"):
        chosen(ICE40_HX, 16384, 16, style="huge")
    assert chosen(ICE40_HX, 512, 8) == ("block RAM", 1)


def test_spram_must_be_asked_for() -> None:
    assert chosen(ICE40, 16384, 64)[0] == "block RAM"


def test_wrong_style() -> None:
    with pytest.raises(ValueError, match=r"^there is no memory of style 'huge'$"):
        chosen(ECP5, 16, 16, style="huge")


@pytest.mark.parametrize(
    ("factors", "ice40", "ecp5"),
    [
        (Multiplier(16, 9, 24), 1, 1),
        # Ten bits are logic on the one, the other takes whatever is no single bit.
        (Multiplier(8, 3, 10), 0, 1),
        (Multiplier(32, 1, 32), 0, 0),
        (Multiplier(16, 9, 24, 200), 1, 1),
        (Multiplier(16, 9, 24, 128), 0, 0),
        (Multiplier(32, 9, 40), 2, 2),
        # 16 and 4 bits on both sides: the product of four and four is logic.
        (Multiplier(20, 20, 39), 3, 4),
        (Multiplier(9, 24, 32), 2, 2),
    ],
)
def test_multipliers(factors, ice40, ecp5) -> None:
    assert ICE40.multiplier.needed(factors) == ice40
    assert ECP5.multiplier.needed(factors) == ecp5


@pytest.mark.parametrize(
    ("factors", "count"),
    [
        (Multiplier(16, 9, 24), 1),
        # Gowin's take no factor of three bits.
        (Multiplier(8, 3, 10), 0),
        (Multiplier(8, 4, 11), 1),
    ],
)
def test_multipliers_of_gowin(factors, count) -> None:
    assert GOWIN.multiplier.needed(factors) == count
