"""What goes onto a board, up to the text that the tools read."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spikeloom.boards.board import BOARDS
from spikeloom.boards.top import BoardTop
from spikeloom.rtl_gen.network import NetworkTop

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)

PRINT_DIGEST = """
import hashlib
import numpy as np
from spikeloom.boards.board import BOARDS
from spikeloom.boards.top import BoardTop
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.rtl_gen.network import NetworkTop
board = BOARDS["icebreaker"]
neurons = NeuronConfig(size=3, state=QFormat(word_length=12), current_width=8, threshold=100)
weight = np.random.default_rng(0).integers(-40, 100, (4, 3))
network = fixed_stack((FixedDense(weight=weight, weight_width=8, neurons=neurons),), "test")
plan = board.create_platform().prepare(BoardTop(NetworkTop(network, 1), board), emit_src=False)
print(hashlib.sha256((plan.files["top.il"] + plan.files["top.pcf"]).encode()).hexdigest())
"""


@pytest.fixture
def network(dense_network) -> NetworkTop:
    return NetworkTop(dense_network(4, 3), 1)


@boards
def test_init(network: NetworkTop, board) -> None:
    assert BoardTop(network, board).frequency == board.clock
    assert BoardTop(network, board, 48e6).frequency == 48e6


@boards
def test_wrong_frequency(network: NetworkTop, board) -> None:
    with pytest.raises(ValueError, match=r"^frequency must be 16 to 275 MHz, not 2 MHz$"):
        BoardTop(network, board, 2e6)


@boards
def test_elaborates(network: NetworkTop, board) -> None:
    plan = board.create_platform().prepare(BoardTop(network, board), emit_src=False)
    assert "SB_PLL40_PAD" in plan.files["top.il"]


def test_icebreaker_pins(network: NetworkTop) -> None:
    """As on the board's schematic: FTDI RXD 9 and TXD 6, lamps 11 and 37, button 10, clock 35."""
    board = BOARDS["icebreaker"]
    plan = board.create_platform().prepare(BoardTop(network, board), emit_src=False)
    pins = dict(re.findall(r"^set_io (\S+) (\d+)$", plan.files["top.pcf"], re.MULTILINE))
    assert pins == {
        "clk12_0__io": "35",
        "uart_0__rx__io": "6",
        "uart_0__tx__io": "9",
        "led_r_0__io": "11",
        "led_g_0__io": "37",
        "button_0__io": "10",
    }
    assert re.findall(r"^set_frequency (.*)$", plan.files["top.pcf"], re.MULTILINE) == [
        "clk12_0__io 12.0"
    ]


def test_same_bytes_everywhere(network: NetworkTop, tmp_path: Path) -> None:
    """Neither folder nor hash seed nor path of the sources shows in the text."""
    board = BOARDS["icebreaker"]
    plan = board.create_platform().prepare(BoardTop(network, board), emit_src=False)
    text = plan.files["top.il"] + plan.files["top.pcf"]
    assert str(Path(__file__).parents[2]) not in text
    seen = {hashlib.sha256(text.encode()).hexdigest()}
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            cwd=tmp_path,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(done.stdout.strip())
    assert len(seen) == 1
