import os
import stat

import pytest

from spikeloom.sim import tools
from spikeloom.sim.runner import Job, SimulationError, simulate


def _program(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def empty_path(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_nothing_is_found_on_an_empty_path(empty_path):
    found = tools.find_simulators()
    assert found["icarus"].found is None
    assert found["icarus"].remedy == "apt-get install iverilog"
    assert found["verilator"].found is None
    assert found["verilator"].remedy == "apt-get install g++ make perl"


def test_only_what_is_missing_is_to_be_installed(empty_path):
    _program(empty_path, "g++", "")
    _program(empty_path, "perl", "")
    assert tools.find_simulators()["verilator"].remedy == "apt-get install make"


def test_icarus_tells_its_version(empty_path):
    _program(empty_path, "vvp", "")
    _program(empty_path, "iverilog", "echo 'Icarus Verilog version 12.0 (stable) ()'")
    assert tools.find_simulators()["icarus"].found == "12.0"


def test_a_program_that_is_not_icarus(empty_path):
    _program(empty_path, "vvp", "")
    _program(empty_path, "iverilog", "echo something else")
    assert tools.find_simulators()["icarus"].found is None


def test_the_environment_has_verilator_first(monkeypatch):
    monkeypatch.setenv("PATH", "/somewhere")
    path = tools.environment()["PATH"].split(os.pathsep)
    assert path[0].endswith(os.path.join("verilator", "bin"))
    assert path[-1] == "/somewhere"


def test_a_missing_simulator_is_told_with_its_remedy(empty_path, tmp_path):
    job = Job(simulator="icarus", sources=[], top="x", module="y", folder=str(tmp_path / "sim"))
    with pytest.raises(SimulationError, match="icarus was not found; to get it: apt-get install"):
        simulate(job)
    assert not (tmp_path / "sim").exists()
