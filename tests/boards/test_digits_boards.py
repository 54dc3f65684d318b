"""The digits network on every board, as far as it goes without synthesis."""

import pytest

from spikeloom.boards.board import BOARDS
from spikeloom.boards.top import BoardTop
from spikeloom.cli.digits import DIGITS_LANES, load_digits_demo
from spikeloom.reference.quantize import quantize
from spikeloom.rtl_gen.network import NetworkTop

pytest.importorskip("amaranth_boards")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def network():
    return quantize(load_digits_demo().network)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_elaborates(network, board) -> None:
    """Design and constraints are written, and each pin of the design has a place."""
    top = BoardTop(NetworkTop(network, DIGITS_LANES), board)
    files = board.create_platform().prepare(top, "top", emit_src=False).files
    assert "population_1" in files[board.family.source]
    pins = ["uart_0__rx__io", "uart_0__tx__io"]
    for pin in (board.button, board.spike_lamp, board.error_lamp):
        if pin is not None:
            name, number = pin
            pins.append(f"{name}_{number}__io")
    for pin in pins:
        assert pin in files[board.family.constraints]
