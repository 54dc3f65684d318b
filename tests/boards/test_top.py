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
import sys
import numpy as np
from spikeloom.boards.board import BOARDS
from spikeloom.boards.top import BoardTop
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.rtl_gen.network import NetworkTop
board = BOARDS[sys.argv[1]]
neurons = NeuronConfig(size=3, state=QFormat(word_length=12), current_width=8, threshold=100)
weight = np.random.default_rng(0).integers(-40, 100, (4, 3))
network = fixed_stack((FixedDense(weight=weight, weight_width=8, neurons=neurons),), "test")
plan = board.create_platform().prepare(BoardTop(NetworkTop(network, 1), board), emit_src=False)
text = plan.files["top.il"] + plan.files[board.family.constraints]
print(hashlib.sha256(text.encode()).hexdigest())
"""


@pytest.fixture
def network(dense_network) -> NetworkTop:
    return NetworkTop(dense_network(4, 3), 1)


@boards
def test_init(network: NetworkTop, board) -> None:
    assert BoardTop(network, board).frequency == board.clock
    assert BoardTop(network, board, 60e6).frequency == 60e6


@boards
def test_wrong_frequency(network: NetworkTop, board) -> None:
    with pytest.raises(ValueError, match=r"^frequency must be [\d.]+ to \d+ MHz, not 2 MHz$"):
        BoardTop(network, board, 2e6)


def prepare(network: NetworkTop, board) -> dict[str, str]:
    """The text that the tools read."""
    files = board.create_platform().prepare(BoardTop(network, board), emit_src=False).files
    return {name: files[name] for name in ("top.il", board.family.constraints)}


@boards
def test_elaborates(network: NetworkTop, board) -> None:
    cell = {"iCE40": "SB_PLL40_PAD", "ECP5": "EHXPLLL"}[board.family.name]
    assert prepare(network, board)["top.il"].count(f"cell \\{cell} ") == 1


@boards
@pytest.mark.parametrize("frequency", [None, 60e6])
def test_glow(network: NetworkTop, board, frequency: float | None) -> None:
    """A lamp glows for 40 to 80 ms after a spike: the counter's last bit ends it."""
    clock = board.clock if frequency is None else frequency
    plan = board.create_platform().prepare(BoardTop(network, board, frequency), emit_src=False)
    (width,) = re.findall(r"^  wire width (\d+) \\glow$", plan.files["top.il"], re.MULTILINE)
    assert 0.04 <= (1 << (int(width) - 1)) / clock <= 0.08


def test_icebreaker_pins(network: NetworkTop) -> None:
    """As on the board's schematic: FTDI RXD 9 and TXD 6, lamps 11 and 37, button 10, clock 35."""
    pcf = prepare(network, BOARDS["icebreaker"])["top.pcf"]
    pins = dict(re.findall(r"^set_io (\S+) (\d+)$", pcf, re.MULTILINE))
    assert pins == {
        "clk12_0__io": "35",
        "uart_0__rx__io": "6",
        "uart_0__tx__io": "9",
        "led_r_0__io": "11",
        "led_g_0__io": "37",
        "button_0__io": "10",
    }
    assert re.findall(r"^set_frequency (.*)$", pcf, re.MULTILINE) == ["clk12_0__io 12.0"]


@pytest.mark.parametrize("name", ["ulx3s-45f", "ulx3s-85f"])
def test_ulx3s_pins(network: NetworkTop, name: str) -> None:
    """As in the board's own constraints: FTDI TXD M1 and RXD L4, lamps D0 B2 and D7 H3, button
    FIRE1 R1, which pulls up, clock G2."""
    lpf = prepare(network, BOARDS[name])["top.lpf"]
    pins = dict(re.findall(r'^LOCATE COMP "(\S+)" SITE "(\w+)";$', lpf, re.MULTILINE))
    assert pins == {
        "clk25_0__io": "G2",
        "uart_0__rx__io": "M1",
        "uart_0__tx__io": "L4",
        "led_0__io": "B2",
        "led_7__io": "H3",
        "button_fire_0__io": "R1",
    }
    assert 'IOBUF PORT "button_fire_0__io" IO_TYPE=LVCMOS33 PULLMODE=DOWN;' in lpf
    assert re.findall("^FREQUENCY (.*)$", lpf, re.MULTILINE) == [
        'PORT "clk25_0__io" 25000000.0 HZ;'
    ]


@boards
def test_same_bytes_everywhere(network: NetworkTop, board, tmp_path: Path) -> None:
    """Neither folder nor hash seed nor path of the sources shows in the text."""
    text = "".join(prepare(network, board).values())
    assert str(Path(__file__).parents[2]) not in text
    seen = {hashlib.sha256(text.encode()).hexdigest()}
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST, board.name],
            cwd=tmp_path,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(done.stdout.strip())
    assert len(seen) == 1
