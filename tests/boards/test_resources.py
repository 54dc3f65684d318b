"""What a network is said to take, against what yosys makes of it."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from spikeloom.boards.board import BOARDS, Board
from spikeloom.boards.flow import READ_DESIGN
from spikeloom.boards.resources import link_resources, population_resources
from spikeloom.boards.tools import find_flow_tools
from spikeloom.boards.top import BoardTop
from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Convolution, Dense, Pool, Reshape
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.reference.profile import Reset
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore

CELLS = {
    "SB_RAM40_4K": "block RAMs",
    "DP16KD": "block RAMs",
    "SB_SPRAM256KA": "SPRAMs",
    "SB_MAC16": "DSPs",
    "$__MUL16X16": "DSPs",
    "MULT18X18D": "DSPs",
    "TRELLIS_DPR16X4": "distributed RAMs",
    "RAM16SDP4": "distributed RAMs",
    **dict.fromkeys(("DPB", "DPX9B", "SDPB", "SDPX9B", "SP", "SPX9"), "block RAMs"),
    **dict.fromkeys(("MULT18X18", "MULT9X9"), "DSPs"),
}

# One worker runs them all, beside the other builds.
pytestmark = pytest.mark.xdist_group("flow")


def neurons(size: int, **options) -> NeuronConfig:
    state = QFormat(word_length=16)
    return NeuronConfig(size=size, state=state, **{"current_width": 8, "threshold": 100} | options)


def stack() -> FixedNetwork:
    """A leaky layer whose counts are multiplied, one that multiplies its many spikes."""
    rng = np.random.default_rng(1)
    leaky = {"decay_rule": DecayRule.MULTIPLIER, "decay": 200, "reset": Reset.SUBTRACT}
    layers = [
        FixedDense(
            weight=rng.integers(-128, 128, (100, 40)),
            weight_width=8,
            neurons=neurons(40, max_spikes=7, **leaky),
        ),
        FixedDense(
            weight=rng.integers(-128, 128, (40, 10)),
            weight_width=8,
            neurons=neurons(10, threshold=tuple(range(100, 110)), bias=tuple(range(10))),
            max_count=7,
        ),
    ]
    return fixed_stack(layers, "test")


def convolutional() -> FixedNetwork:
    """A convolution, a pool and a dense layer."""
    rng = np.random.default_rng(2)
    ones, twos = (1, 1), (2, 2)
    kernel = rng.integers(-100, 100, (8, 2, 3, 3))
    pool = Pool((8, 16, 16), twos, twos, (0, 0))
    dense = Dense(rng.integers(-100, 100, (512, 10)))
    conv = Convolution(kernel, (2, 16, 16), ones, ones, ones)
    maps = (pool, Reshape(pool.output_shape, (512,)), dense)
    populations = {
        "conv": FixedPopulation(
            shape=(8, 16, 16),
            neurons=neurons(2048),
            connections=(Connection(source="input", maps=(conv,)),),
        ),
        "out": FixedPopulation(
            shape=(10,), neurons=neurons(10), connections=(Connection(source="conv", maps=maps),)
        ),
    }
    inputs = {"input": FixedInput(shape=(2, 16, 16))}
    return FixedNetwork(inputs, populations, {"output": "out"}, "test")


def planned(top: NetworkTop, board: Board) -> dict[str, int]:
    usage = Counter(link_resources(board.family))
    for each in top.populations:
        resources = population_resources(each, board.family)
        usage += Counter(resources.usage)
        for memory in resources.memories.values():
            if memory.cell is not None and memory.cell.name == "distributed RAM":
                usage["distributed RAMs"] += memory.count
    del usage["logic cells"]
    return {name: count for name, count in usage.items() if count}


def synthesised(top: NetworkTop, board: Board, folder: Path) -> dict[str, int]:
    """Cells behind the mapping of memories; what is logic is left as it is."""
    files = board.create_platform().prepare(BoardTop(top, board), "top", emit_src=False).files
    (folder / "top.il").write_text(files["top.il"])
    synthesis = board.family.synthesis.replace("-json top.json", "-run begin:map_ffram")
    script = f"{READ_DESIGN}\n{synthesis}\ntee -q -o stat.json stat -json -top top\n"
    (folder / "top.ys").write_text(script)
    yosys = find_flow_tools(board.family.tools)["yosys"].command
    subprocess.run([*yosys, "-q", "-s", "top.ys"], cwd=folder, check=True, capture_output=True)
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    usage: Counter[str] = Counter()
    for name, count in cells.items():
        if name in CELLS:
            usage[CELLS[name]] += count
    return dict(usage)


@pytest.mark.parametrize(
    ("board", "network", "lanes", "stores"),
    [
        ("icebreaker", stack, (7, 1), WeightStore.SPRAM),
        ("icebreaker", convolutional, (8, 2), WeightStore.AUTO),
        ("tang-nano-9k", stack, (7, 1), WeightStore.AUTO),
        ("ulx3s-45f", stack, (16, 3), WeightStore.AUTO),
        ("ulx3s-45f", convolutional, (4, 1), WeightStore.AUTO),
    ],
)
def test_equals_synthesis(board: str, network, lanes, stores, tmp_path: Path) -> None:
    pytest.importorskip("amaranth_boards")
    top = NetworkTop(network(), lanes, stores)
    assert planned(top, BOARDS[board]) == synthesised(top, BOARDS[board], tmp_path)


@pytest.mark.parametrize(
    ("board", "network", "lanes", "stores", "counted"),
    [
        ("icebreaker", stack, (7, 1), WeightStore.SPRAM, 2852),
        ("icebreaker", convolutional, (8, 2), WeightStore.AUTO, 3827),
        ("hx8k", convolutional, (4, 1), WeightStore.AUTO, 2470),
        ("tang-nano-9k", stack, (7, 1), WeightStore.AUTO, 3155),
        ("tang-nano-9k", convolutional, (8, 2), WeightStore.AUTO, 4492),
        ("ulx3s-45f", stack, (16, 3), WeightStore.AUTO, 5338),
        ("ulx3s-45f", convolutional, (8, 2), WeightStore.AUTO, 3881),
    ],
)
def test_logic_cells(board: str, network, lanes, stores, counted: int) -> None:
    """Against what nextpnr 0.11.1 counts when it packs what yosys 0.70 makes; the model is fitted
    to the convolutional network, and not to the other."""
    family = BOARDS[board].family
    estimate = Counter(link_resources(family))
    for each in NetworkTop(network(), lanes, stores).populations:
        estimate += Counter(population_resources(each, family).usage)
    assert estimate["logic cells"] == pytest.approx(counted, rel=0.1)
