"""A project for Vivado, which is not here to read it: what its files say."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from spikeloom.boards.board import BOARDS
from spikeloom.boards.flow import build
from spikeloom.boards.link_facts import LINK, WEIGHTS, LinkFacts
from spikeloom.boards.top import HostLink
from spikeloom.boards.vivado import write_project
from spikeloom.reference.network import FixedInput
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.weights import WeightStore

ARTY = BOARDS["arty-a7-35t"]


@pytest.fixture
def network(dense_network) -> NetworkTop:
    return NetworkTop(dense_network(4, 3), 1)


def test_project(network, tmp_path: Path) -> None:
    project = write_project(
        network, ARTY, tmp_path / "out", frequency=75e6, link=HostLink(baud=3_000_000)
    )
    assert (project.frequency, project.baud) == (75e6, 3_000_000)
    files = {"top.v", "top.xdc", "top.tcl", "build.json", "link.json", ".spikeloom"}
    assert set(os.listdir(project.folder)) == files
    verilog = (project.folder / "top.v").read_text()
    ports = re.search(r"^module top\((.*)\);$", verilog, re.MULTILINE)[1].split(", ")
    constrained = re.findall(
        r'^set_property LOC \w+ \[get_ports "(\S+)"\]$',
        (project.folder / "top.xdc").read_text(),
        re.MULTILINE,
    )
    assert sorted(ports) == sorted(constrained)
    assert ".CLKFBOUT_MULT(32'd15)" in verilog
    assert ".CLKOUT0_DIVIDE(32'd20)" in verilog
    facts = json.loads((project.folder / "build.json").read_text())
    expected = {"board": "arty-a7-35t", "frequency": 75e6, "baud": 3_000_000, "file": "top.bit"}
    assert facts == expected


def test_host_knows_the_network(dense_network, tmp_path: Path) -> None:
    """The driver would know the board, and has the weights that it loads."""
    wide = replace(dense_network(4, 3), inputs={"input": FixedInput(shape=(4,), high=63)})
    top = NetworkTop(wide, 1, WeightStore.LOADED_BLOCK)
    link = HostLink(baud=2_000_000, monitor=True)
    folder = write_project(top, ARTY, tmp_path / "out", link=link).folder
    facts = LinkFacts.load(folder / LINK)
    assert (facts.baud, facts.monitor, facts.loads) == (2_000_000, True, True)
    # A weight's event of 2 + 2 + 6 bits has two bytes.
    assert len((folder / WEIGHTS).read_bytes()) == 2 * 4 * 3


def test_slack_is_looked_at_before_the_bitstream(network, tmp_path: Path) -> None:
    script = (write_project(network, ARTY, tmp_path / "out").folder / "top.tcl").read_text()
    assert script.count("write_bitstream") == 1
    steps = [
        "create_project",
        "add_files top.v",
        "read_xdc top.xdc",
        "synth_design",
        "route_design",
    ]
    steps += ["get_property SLACK", "error ", "write_bitstream"]
    places = [script.index(step) for step in steps]
    assert places == sorted(places)
    assert script.count("{") == script.count("}")


def test_another_project_replaces_it(network, tmp_path: Path) -> None:
    for baud in (1_000_000, 2_000_000):
        project = write_project(network, ARTY, tmp_path / "out", link=HostLink(baud=baud))
    assert json.loads((project.folder / "build.json").read_text())["baud"] == 2_000_000


def test_wrong_board(network, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^board must be one that is not built here, not iCEBr"):
        write_project(network, BOARDS["icebreaker"], tmp_path / "out")
    with pytest.raises(ValueError, match=r"^board must be one that is built here, not Arty A7-35T"):
        build(network, ARTY, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_wrong_folder(network, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ValueError, match=r"exists and was not written by spikeloom"):
        write_project(network, ARTY, tmp_path)
