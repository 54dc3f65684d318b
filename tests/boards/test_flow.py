"""Real builds of small networks, and the ways in which there is no bitstream."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from spikeloom.boards import flow
from spikeloom.boards.board import BOARDS
from spikeloom.boards.flow import STAGES, BoardTooSmallError, FlowError, build
from spikeloom.boards.tools import find_flow_tools
from spikeloom.reference.neuron_fixed import DecayRule
from spikeloom.rtl_gen.network import NetworkTop

BOARD = BOARDS["icebreaker"]

# One worker runs them all, so that the network is built once.
pytestmark = pytest.mark.xdist_group("flow")


@pytest.fixture(scope="module")
def network(dense_network) -> NetworkTop:
    return NetworkTop(dense_network(4, 3), 1)


@pytest.fixture(scope="module")
def built(network, tmp_path_factory):
    stages: list[str] = []
    folder = tmp_path_factory.mktemp("flow") / "out"
    return build(network, BOARD, folder, progress=stages.append), stages


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be run."""

    def refuse(*arguments: object) -> int:
        raise AssertionError("a tool was run")

    monkeypatch.setattr(flow, "_run", refuse)


@pytest.fixture
def replace_tool(monkeypatch: pytest.MonkeyPatch):
    """A function that puts a Python program in the place of a tool."""

    def put(name: str, program: str) -> None:
        tools = find_flow_tools()
        tools[name] = replace(tools[name], command=(sys.executable, "-c", program))
        monkeypatch.setattr(flow, "find_flow_tools", lambda: tools)

    return put


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_build(built) -> None:
    result, stages = built
    assert stages == list(STAGES)
    assert list(result.seconds) == list(STAGES)
    assert not result.cached
    assert (result.board, result.seed, result.frequency) == ("icebreaker", 1, 24e6)
    assert result.fmax >= 24e6
    # Preamble and synchronisation word of an iCE40 bitstream, after its comment.
    assert b"\x7e\xaa\x99\x7e" in result.bitstream.read_bytes()[:200]
    assert set(result.tools) == {"yosys", "nextpnr-ice40", "icepack"}
    for log in ("yosys.log", "nextpnr-ice40.log", "icepack.log", "tools.log"):
        assert (result.folder / log).is_file()
    assert os.listdir(result.folder.parent) == ["out"]


def test_usage(built) -> None:
    """What nextpnr counts, and what it says the chip has, is what the board's facts say."""
    usage = built[0].usage
    assert {name: each.available for name, each in usage.items()} == {
        "logic cells": BOARD.logic_cells,
        "block RAMs": BOARD.block_rams,
        "DSPs": BOARD.dsps,
        "SPRAMs": BOARD.sprams,
    }
    log = (built[0].folder / "nextpnr-ice40.log").read_text(encoding="utf-8")
    assert re.search(rf"ICESTORM_LC:\s+{usage['logic cells'].used}/", log)
    assert re.search(rf"ICESTORM_RAM:\s+{usage['block RAMs'].used}/", log)
    # The queue of 512 bytes, the weights and the event list.
    assert usage["block RAMs"].used >= 1
    assert usage["DSPs"].used == usage["SPRAMs"].used == 0


def test_timing(built) -> None:
    """The clock that the loop makes is the one that nextpnr worked for; the path adds up."""
    result = built[0]
    report = json.loads((result.folder / "report.json").read_text(encoding="utf-8"))
    (clock,) = report["fmax"].values()
    assert clock["constraint"] == pytest.approx(24, rel=1e-3)
    assert result.fmax == clock["achieved"] * 1e6
    assert sum(step.delay for step in result.critical_path) == pytest.approx(
        1e9 / result.fmax, abs=0.02
    )
    assert result.critical_path[0].kind == "clk-to-q"
    assert result.critical_path[-1].kind == "setup"
    assert any(step.name.startswith("serial.") for step in result.critical_path)
    log = (result.folder / "nextpnr-ice40.log").read_text(encoding="utf-8")
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
    again = build(network, BOARD, result.folder, progress=stages.append)
    assert again == replace(result, cached=True)
    assert stages == ["elaborate"]
    assert snapshot(result.folder) == before


@pytest.mark.usefixtures("no_tools")
@pytest.mark.parametrize("options", [{"seed": 2}, {"frequency": 30e6}])
def test_not_cached(built, network, options) -> None:
    before = snapshot(built[0].folder)
    with pytest.raises(AssertionError, match=r"^a tool was run$"):
        build(network, BOARD, built[0].folder, **options)
    assert snapshot(built[0].folder) == before


def test_damaged_build_is_built_again(built, network, tmp_path: Path) -> None:
    """And the second build is the first's equal, bit for bit."""
    result = built[0]
    folder = tmp_path / "out"
    folder.mkdir()
    for name, data in snapshot(result.folder).items():
        (folder / name).write_bytes(data)
    (folder / "top.bin").write_bytes(b"damaged")
    again = build(network, BOARD, folder)
    assert not again.cached
    assert again.bitstream.read_bytes() == result.bitstream.read_bytes()


@pytest.mark.parametrize("facts", ["[]", "3", "{", "{}", '{"usage": 3}'])
def test_damaged_facts_are_none(built, tmp_path: Path, facts: str) -> None:
    (tmp_path / "top.bin").write_bytes(built[0].bitstream.read_bytes())
    (tmp_path / "build.json").write_text(facts)
    assert flow._load(tmp_path, built[0].inputs) is None


def test_too_fast(built, network) -> None:
    """Timing missed: the earlier build stays, and there is no other."""
    folder = built[0].folder
    before = snapshot(folder)
    with pytest.raises(FlowError) as caught:
        build(network, BOARD, folder, frequency=270e6)
    assert re.fullmatch(
        r"the design reaches \d+\.\d\d MHz on iCEBreaker where 270 MHz are asked for; its slowest"
        r" path leads from serial\.[\w.]+ to serial\.[\w.]+",
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
    tools = find_flow_tools()
    tools["yosys"] = replace(tools["yosys"], found=None, remedy="pip install it")
    monkeypatch.setattr(flow, "find_flow_tools", lambda: tools)
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
