import json
import shutil
from xml.etree import ElementTree

import pytest

from spikeloom.cli import verify

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="icarus was not found")


@pytest.fixture
def folder(run, tmp_path):
    out = tmp_path / "out"
    arguments = ["--neurons", 5, "--lanes", 2, "--samples", 2, "--steps", 8]
    assert run("generate", *arguments, "-o", out)[0] == 0
    return out


def test_an_equal_design(run, folder):
    code, output, _ = run("verify", folder, "--simulator", "icarus", "--json")
    assert code == 0
    (verdict,) = json.loads(output)
    assert verdict["simulator"] == "icarus"
    assert verdict["equal"] is True
    assert len(verdict["passed"]) == 5
    (suite,) = ElementTree.parse(folder / "results.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("5", "0")
    assert len(suite.findall("testcase")) == 5


def test_an_unequal_design(run, folder):
    path = folder / "vectors" / "probe_o.hex"
    lines = path.read_text().splitlines()
    lines[-1] = f"{int(lines[-1], 16) ^ 1:x}"
    path.write_text("\n".join(lines) + "\n")
    code, output, _ = run("verify", folder, "--simulator", "icarus")
    assert code == 1
    assert "NOT EQUAL" in output
    assert "of probe_o must be" in output
    (suite,) = ElementTree.parse(folder / "results.xml").getroot()
    assert suite.get("failures") == "5"


def test_a_folder_that_is_none(run, tmp_path):
    code, _, complaint = run("verify", tmp_path / "nowhere")
    assert code == 2
    assert "must be a folder that `spikeloom generate` wrote" in complaint


def test_no_cocotb(run, folder, monkeypatch):
    monkeypatch.setattr(verify, "find_spec", lambda name: None)
    code, _, complaint = run("verify", folder)
    assert code == 1
    assert complaint == (
        "spikeloom: cocotb is not there; to get it, type: pip install 'spikeloom[sim]'\n"
    )


def test_what_verify_leaves_is_no_hindrance(run, folder):
    assert run("verify", folder, "--simulator", "icarus")[0] == 0
    assert run("generate", "--neurons", 2, "-o", folder)[0] == 0


def test_no_simulator(run, folder, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code, _, complaint = run("verify", folder)
    assert code == 1
    assert "no simulator was found; to get one: apt-get install" in complaint
