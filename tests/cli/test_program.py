import json

import pytest

from spikeloom.cli.main import main


@pytest.fixture
def run(capfd):
    """As everywhere, but with what a tool prints."""

    def call(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A build for the ULX3S, and no tool on PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    path = tmp_path / "the build"
    path.mkdir()
    (path / "build.json").write_text(json.dumps({"board": "ulx3s-12f", "file": "top.bit"}))
    (path / "top.bit").touch()
    return path


def put_tool(folder, code):
    path = folder.parent / "bin" / "openFPGALoader"
    path.write_text(f"#!/bin/sh\necho Done\nexit {code}\n")
    path.chmod(0o755)


def test_what_to_type(run, folder):
    code, output, _ = run("program", folder)
    assert code == 2
    lines = output.splitlines()
    assert lines[0] == (
        "openFPGALoader is not there; to get it, type: apt-get install openfpgaloader"
    )
    assert lines[-1] == f"openFPGALoader -b ulx3s '{folder}/top.bit'"
    _, output, _ = run("program", folder, "--flash")
    assert output.splitlines()[-1] == f"openFPGALoader -b ulx3s -f '{folder}/top.bit'"


@pytest.mark.parametrize(
    ("ends", "code", "told"), [(0, 0, "until the power goes"), (1, 1, "failed")]
)
def test_a_tool_is_run(run, folder, ends, code, told):
    put_tool(folder, ends)
    ended, output, _ = run("program", folder)
    assert ended == code
    assert output.strip().endswith(told)


def test_json(run, folder):
    code, output, _ = run("program", folder, "--json")
    facts = json.loads(output)
    assert (code, facts["exit_code"], facts["found"]) == (2, None, False)
    put_tool(folder, 0)
    code, output, complaint = run("program", folder, "--flash", "--json")
    facts = json.loads(output)
    assert complaint == "Done\n"
    assert (code, facts["exit_code"], facts["flash"]) == (0, 0, True)
    assert facts["command"] == ["openFPGALoader", "-b", "ulx3s", "-f", f"{folder}/top.bit"]


def test_wrong_folder(run, tmp_path):
    code, _, complaint = run("program", tmp_path)
    assert code == 2
    assert "must be a folder that `spikeloom build` wrote" in complaint
