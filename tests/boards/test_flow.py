"""Real builds of small networks, and the ways in which there is no bitstream."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from spikeloom.boards import flow
from spikeloom.boards.board import BOARDS
from spikeloom.boards.flow import (
    STAGES,
    BoardTooSmallError,
    BuildResult,
    FlowError,
    TimingError,
    build,
)
from spikeloom.boards.link_facts import WEIGHTS
from spikeloom.boards.tools import find_flow_tools
from spikeloom.boards.top import HostLink
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import FixedInput
from spikeloom.reference.neuron_fixed import DecayRule
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore

BOARD = BOARDS["icebreaker"]

# How a bitstream begins: comment, which names the chip where the family does, and preamble.
HEADS = {
    "icebreaker": rb"\xff\x00.*\x00\xff\x7e\xaa\x99\x7e",
    "ulx3s-45f": rb"\xff\x00Part: LFE5U-45F-6CABGA381\x00\xff\xff\xff\xbd\xb3",
    # Text: a bit a character, at the start 1s and the preamble A5C3.
    "tang-nano-9k": rb"1+\n1+\n1010010111000011\n",
}
"""One board of each set of tools."""

# One worker runs them all, so that the network is built once.
pytestmark = pytest.mark.xdist_group("flow")


@pytest.fixture(scope="module")
def network(dense_network) -> NetworkTop:
    return NetworkTop(dense_network(4, 3), 1)


@pytest.fixture(scope="module")
def build_on(network, tmp_path_factory):
    """A function that builds the network for a board, once, and tells the stages."""

    @cache
    def on(name: str) -> tuple[BuildResult, list[str]]:
        stages: list[str] = []
        folder = tmp_path_factory.mktemp("flow") / "out"
        return build(network, BOARDS[name], folder, progress=stages.append), stages

    return on


@pytest.fixture(params=HEADS)
def built(request, build_on):
    return build_on(request.param)


@pytest.fixture(params=[name for name in HEADS if name != "tang-nano-9k"])
def built_quickly(request, build_on):
    """Of all but the Gowin's, whose tools take their time."""
    return build_on(request.param)


@pytest.fixture
def icebreaker(build_on) -> BuildResult:
    return build_on("icebreaker")[0]


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be run."""

    def refuse(*arguments: object) -> int:
        raise AssertionError("a tool was run")

    monkeypatch.setattr(flow, "_run", refuse)


@pytest.fixture
def replace_tool(monkeypatch: pytest.MonkeyPatch):
    """A function that puts a Python program in the place of a tool."""

    replaced: dict[str, tuple[str, ...]] = {}

    def find(sources):
        tools = find_flow_tools(sources)
        for name, command in replaced.items():
            tools[name] = replace(tools[name], command=command)
        return tools

    def put(name: str, program: str) -> None:
        replaced[name] = sys.executable, "-c", program
        monkeypatch.setattr(flow, "find_flow_tools", find)

    return put


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_build(built) -> None:
    result, stages = built
    board = BOARDS[result.board]
    assert stages == list(STAGES)
    assert list(result.seconds) == list(STAGES)
    assert not result.cached
    assert (result.seed, result.frequency) == (1, board.clock)
    assert result.fmax >= board.clock
    assert re.match(HEADS[board.name], result.bitstream.read_bytes(), re.DOTALL)
    name, *tools = {
        "iCE40": ("top.bin", "nextpnr-ice40", "icepack"),
        "ECP5": ("top.bit", "nextpnr-ecp5", "ecppack"),
        "Gowin": ("top.fs", "nextpnr-himbaechel", "gowin_pack"),
    }[board.family.name]
    assert result.bitstream.name == name
    assert list(result.tools) == ["yosys", *tools]
    assert result.baud == board.baud
    for log in (*result.tools, "tools"):
        assert (result.folder / f"{log}.log").is_file()
    assert os.listdir(result.folder.parent) == ["out"]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        (
            "icebreaker",
            {
                "logic cells": "ICESTORM_LC",
                "block RAMs": "ICESTORM_RAM",
                "DSPs": "ICESTORM_DSP",
                "SPRAMs": "ICESTORM_SPRAM",
            },
        ),
        (
            "ulx3s-45f",
            {
                "logic cells": "TRELLIS_COMB",
                "flip-flops": "TRELLIS_FF",
                "block RAMs": "DP16KD",
                "DSPs": "MULT18X18D",
            },
        ),
        (
            "tang-nano-9k",
            {
                "logic cells": "LUT4",
                "flip-flops": "DFF",
                "distributed RAMs": "RAM16SDP4",
                "block RAMs": "BSRAM",
                "DSPs": "MULT18X18",
                "half DSPs": "MULT9X9",
            },
        ),
    ],
)
def test_usage(build_on, name: str, cells: dict[str, str]) -> None:
    """What nextpnr counts, and what it says the chip has, is what the board's facts say."""
    result, _ = build_on(name)
    board = BOARDS[name]
    has = {
        "logic cells": board.logic_cells,
        # Gowin, GW1NR data sheet (DS117), table 1-1.
        "flip-flops": 6480 if name == "tang-nano-9k" else board.logic_cells,
        "distributed RAMs": 17280 // 64,
        "block RAMs": board.block_rams,
        "DSPs": board.dsps,
        "half DSPs": 2 * board.dsps,
        "SPRAMs": board.sprams,
    }
    assert list(result.usage) == list(cells)
    log = (result.folder / f"{board.family.placer.name}.log").read_text(encoding="utf-8")
    for resource, cell in cells.items():
        used = result.usage[resource].used
        assert result.usage[resource].available == has[resource]
        (counted,) = re.findall(rf"\s{cell}:\s+(\d+)/\s*{has[resource]} ", log)
        if name == "tang-nano-9k" and resource in ("logic cells", "flip-flops"):
            # While it places, nextpnr holds the tiles of distributed RAMs for taken.
            assert used < int(counted)
        else:
            assert used == int(counted)
    assert result.usage["logic cells"].used > 300
    # The queue of 512 bytes, at least.
    assert result.usage["block RAMs"].used >= 1
    assert result.usage["DSPs"].used == 0


def test_timing(built) -> None:
    """The clock that the loop makes is the one that nextpnr worked for; the path adds up."""
    result = built[0]
    board = BOARDS[result.board]
    report = json.loads((result.folder / "report.json").read_text(encoding="utf-8"))
    (clock,) = report["fmax"].values()
    assert clock["constraint"] == pytest.approx(board.clock / 1e6, rel=1e-3)
    assert result.fmax == clock["achieved"] * 1e6
    assert sum(step.delay for step in result.critical_path) == pytest.approx(
        1e9 / result.fmax, abs=0.02
    )
    assert result.critical_path[0].kind == "clk-to-q"
    assert result.critical_path[-1].kind == "setup"
    assert any(step.name.startswith("line.") for step in result.critical_path)
    log = (result.folder / f"{board.family.placer.name}.log").read_text(encoding="utf-8")
    assert "ignoring clock constraint" not in log


def test_build_json(built) -> None:
    result = built[0]
    facts = json.loads((result.folder / "build.json").read_text(encoding="utf-8"))
    assert facts["usage"]["logic cells"] == vars(result.usage["logic cells"])
    assert (facts["fmax"], facts["inputs"]) == (result.fmax, result.inputs)
    assert not {"folder", "cached"} & set(facts)


@pytest.mark.usefixtures("no_tools")
def test_cached(built, network) -> None:
    result = built[0]
    before = snapshot(result.folder)
    stages: list[str] = []
    again = build(network, BOARDS[result.board], result.folder, progress=stages.append)
    assert again == replace(result, cached=True)
    assert stages == ["elaborate"]
    assert snapshot(result.folder) == before


@pytest.mark.usefixtures("no_tools")
@pytest.mark.parametrize(
    "options", [{"seed": 2}, {"frequency": 30e6}, {"link": HostLink(baud=2_000_000)}]
)
def test_not_cached(icebreaker, network, options) -> None:
    before = snapshot(icebreaker.folder)
    with pytest.raises(AssertionError, match=r"^a tool was run$"):
        build(network, BOARD, icebreaker.folder, **options)
    assert snapshot(icebreaker.folder) == before


def test_more_than_the_data_sheet_promises(
    icebreaker, network, tmp_path: Path, replace_tool
) -> None:
    """nextpnr may have more of a die than the chip's data sheet: that is not taken."""
    used = icebreaker.usage["logic cells"].used
    replace_tool("yosys", "")
    report = str(icebreaker.folder / "report.json")
    replace_tool("nextpnr-ice40", f"import shutil; shutil.copy({report!r}, 'report.json')")
    board = replace(BOARD, logic_cells=used - 1)
    complaint = (
        rf"^the network is too big for iCEBreaker: it needs {used} logic cells of {used - 1};"
    )
    with pytest.raises(BoardTooSmallError, match=complaint):
        build(network, board, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_to_be_loaded(dense_network, tmp_path: Path, request) -> None:
    """They come with the bitstream, and those of another network are not taken for them."""
    wide = {"input": FixedInput(shape=(4,), high=63)}
    network = replace(dense_network(4, 3), inputs=wide)
    top = NetworkTop(network, 1, WeightStore.SPRAM)
    result = build(top, BOARD, tmp_path / "out")
    assert result.usage["SPRAMs"].used == 1
    weights = (result.folder / WEIGHTS).read_bytes()
    # An event of 2 + 2 + 6 bits has two digits of seven bits: kind 3, and the weight's two's
    # complement in the lowest bits, all neurons of the first row, then of the others.
    (connection,) = network.populations["layer_0"].connections
    numbers = [3 << 8 | w & 255 for w in connection.maps[0].weight.T.ravel().tolist()]
    assert weights == bytes(byte for n in numbers for byte in (0x80 | n >> 7, n & 127))

    request.getfixturevalue("no_tools")
    same = NetworkTop(network, 1, WeightStore.SPRAM)
    assert build(same, BOARD, result.folder).cached
    weight = np.roll(connection.maps[0].weight, 1)
    changed = replace(connection, maps=(Dense(weight),))
    population = replace(network.populations["layer_0"], connections=(changed,))
    other = replace(network, populations={"layer_0": population})
    with pytest.raises(AssertionError, match=r"^a tool was run$"):
        build(NetworkTop(other, 1, WeightStore.SPRAM), BOARD, result.folder)


@pytest.mark.parametrize("name", ["top.il", "top.json", "link.json"])
def test_what_is_made_of_a_build_must_be_whole(icebreaker, tmp_path: Path, name: str) -> None:
    """A file that is gone or is another makes the whole build none."""
    for each, data in snapshot(icebreaker.folder).items():
        (tmp_path / each).write_bytes(data)
    assert flow._load(tmp_path, icebreaker.inputs) is not None
    (tmp_path / name).write_bytes(b"another")
    assert flow._load(tmp_path, icebreaker.inputs) is None
    (tmp_path / name).unlink()
    assert flow._load(tmp_path, icebreaker.inputs) is None


def test_damaged_build_is_built_again(built_quickly, network, tmp_path: Path) -> None:
    """And the second build is the first's equal, bit for bit."""
    result = built_quickly[0]
    folder = tmp_path / "out"
    folder.mkdir()
    for name, data in snapshot(result.folder).items():
        (folder / name).write_bytes(data)
    (folder / result.file).write_bytes(b"damaged")
    again = build(network, BOARDS[result.board], folder)
    assert not again.cached
    assert again.bitstream.read_bytes() == result.bitstream.read_bytes()


@pytest.mark.parametrize("facts", ["[]", "3", "{", "{}", '{"usage": 3}'])
def test_damaged_facts_are_none(icebreaker, tmp_path: Path, facts: str) -> None:
    (tmp_path / "top.bin").write_bytes(icebreaker.bitstream.read_bytes())
    (tmp_path / "build.json").write_text(facts)
    assert flow._load(tmp_path, icebreaker.inputs) is None


def test_slower_than_asked_for(built, network, tmp_path: Path, replace_tool) -> None:
    """What nextpnr reports is what counts, whatever its exit code, and nothing is packed."""
    result = built[0]
    board = BOARDS[result.board]
    report = json.loads((result.folder / "report.json").read_text(encoding="utf-8"))
    for clock in report["fmax"].values():
        clock["achieved"] = board.clock / 1e6 - 0.01
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    replace_tool("yosys", "")
    copy = f"import shutil; shutil.copy({str(tmp_path / 'report.json')!r}, 'report.json')"
    replace_tool(board.family.placer.name, copy)
    replace_tool(board.family.packer.name, "raise SystemExit('packed')")
    with pytest.raises(TimingError) as caught:
        build(network, board, tmp_path / "out")
    # A path ends at a signal of ours: nothing of what yosys appends, which begins upper-case.
    assert re.fullmatch(
        rf"the design reaches {board.clock / 1e6 - 0.01:.2f} MHz on {board.title} where"
        rf" {board.clock / 1e6:g} MHz are asked for; its slowest path leads from"
        r" line\.[a-z0-9_.$]+ to line\.[a-z0-9_.$]+",
        str(caught.value),
    )
    assert not (tmp_path / "out").exists()


def test_too_fast(built_quickly, network) -> None:
    """Timing missed: the earlier build stays, and there is no other."""
    folder = built_quickly[0].folder
    board = BOARDS[built_quickly[0].board]
    before = snapshot(folder)
    with pytest.raises(TimingError) as caught:
        build(network, board, folder, frequency=270e6)
    # A path ends at a signal of ours: nothing of what yosys appends, which begins upper-case.
    assert re.fullmatch(
        rf"the design reaches \d+\.\d\d MHz on {board.title} where 270 MHz are asked for; its"
        r" slowest path leads from line\.[a-z0-9_.$]+ to line\.[a-z0-9_.$]+",
        str(caught.value),
    )
    assert snapshot(folder) == before
    assert os.listdir(folder.parent) == ["out"]


@pytest.mark.usefixtures("no_tools")
def test_too_much_memory(dense_network, tmp_path: Path) -> None:
    with pytest.raises(
        BoardTooSmallError,
        match=r"^the network is too big for iCEBreaker: it needs at least 202 block RAMs of 30;"
        r" about 14903 of its 100352 weights would fit$",
    ):
        build(NetworkTop(dense_network(784, 128), 8), BOARD, tmp_path / "out")
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("no_tools")
@pytest.mark.parametrize(
    ("name", "title", "available"),
    [
        ("ulx3s-45f", "ULX3S 45F", 108),
        ("ulx3s-85f", "ULX3S 85F", 208),
    ],
)
def test_too_much_memory_for_ecp5(
    dense_network, tmp_path: Path, name: str, title: str, available: int
) -> None:
    """1280 x 512 weights of 8 bits, of which logic could hold 9 bits a cell."""
    with pytest.raises(BoardTooSmallError) as caught:
        build(NetworkTop(dense_network(1280, 512), 64), BOARDS[name], tmp_path / "out")
    found = re.fullmatch(
        rf"the network is too big for {title}: it needs at least (\d+) block RAMs of {available};"
        r" about (\d+) of its 655360 weights would fit",
        str(caught.value),
    )
    weights = 1280 * 512 * 8 - 9 * BOARDS[name].logic_cells
    assert 0 <= int(found[1]) - weights / 18432 < 12  # event list, states, queue
    assert int(found[2]) == 1280 * 512 * available // int(found[1])
    assert os.listdir(tmp_path) == []


def test_too_many_multipliers(dense_network, tmp_path: Path) -> None:
    network = NetworkTop(dense_network(4, 9, DecayRule.MULTIPLIER), 9)
    with pytest.raises(
        BoardTooSmallError,
        match=r"^the network is too big for iCEBreaker: it needs 9 DSPs of 8;"
        r" about 8 of its 9 lanes would fit$",
    ):
        build(network, BOARD, tmp_path / "out")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("seed", [1.0, "1", True])
def test_wrong_seed_type(network, tmp_path: Path, seed) -> None:
    with pytest.raises(TypeError, match=f"^seed must be an integer, not {seed!r}$"):
        build(network, BOARD, tmp_path / "out", seed=seed)


def test_wrong_seed(network, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^seed must be 0 to 2147483647, not -1$"):
        build(network, BOARD, tmp_path / "out", seed=-1)


def test_wrong_frequency(network, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^frequency must be 16 to 275 MHz, not 1 MHz$"):
        build(network, BOARD, tmp_path / "out", frequency=1e6)


@pytest.mark.usefixtures("no_tools")
def test_wrong_folder(network, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ValueError, match=r"exists and was not written by spikeloom"):
        build(network, BOARD, tmp_path)
    assert os.listdir(tmp_path) == ["mine"]


def test_missing_tool(network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = find_flow_tools(BOARD.family.tools)
    tools["yosys"] = replace(tools["yosys"], found=None, remedy="pip install it")
    monkeypatch.setattr(flow, "find_flow_tools", lambda sources: tools)
    with pytest.raises(FlowError, match=r"^yosys is not there; to get it, type: pip install it$"):
        build(network, BOARD, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_missing_platform(network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amaranth_boards.icebreaker", None)
    with pytest.raises(FlowError, match=r"^amaranth-boards is not there; to get it, type: pip"):
        build(network, BOARD, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_failing_tool(network, tmp_path: Path, replace_tool) -> None:
    replace_tool("yosys", "print('ERROR: out of sorts'); raise SystemExit(1)")
    with pytest.raises(FlowError, match=r"^yosys failed: ERROR: out of sorts$"):
        build(network, BOARD, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_silently_failing_tool(network, tmp_path: Path, replace_tool) -> None:
    replace_tool("yosys", "raise SystemExit(3)")
    with pytest.raises(FlowError, match=r"^yosys failed: exit code 3$"):
        build(network, BOARD, tmp_path / "out")


@pytest.mark.parametrize("stage", STAGES[1:3])
def test_interrupt_between_stages(network, tmp_path: Path, stage: str) -> None:
    def interrupt(now: str) -> None:
        if now == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(network, BOARD, tmp_path / "out", progress=interrupt)
    assert os.listdir(tmp_path) == []


def test_interrupt_ends_the_tools(tmp_path: Path) -> None:
    """SIGINT to a program that builds: the tool that runs ends with it, and nothing is left."""
    program = f"""
import sys
from dataclasses import replace
import numpy as np
from spikeloom.boards import flow
from spikeloom.boards.board import BOARDS
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.rtl_gen.network import NetworkTop
from pathlib import Path
neurons = NeuronConfig(size=64, state=QFormat(word_length=12), current_width=8, threshold=100)
layer = FixedDense(weight=np.ones((64, 64), dtype=np.int64), weight_width=8, neurons=neurons)
network = NetworkTop(fixed_stack((layer,), "test"), 8)
say = lambda stage: print(stage, flush=True)
flow.build(network, BOARDS["icebreaker"], Path({str(tmp_path / "out")!r}), progress=say)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while process.stdout.readline().strip() != "synthesise":
            assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert os.listdir(tmp_path) == []
