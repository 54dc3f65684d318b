"""What the command says of wrong input; tests/boards/test_virtual.py has it run."""

import pytest

from spikeloom.boards import virtual
from spikeloom.boards.virtual import MissingToolError


def test_no_build(run, tmp_path):
    code, output, complaint = run("virtual", tmp_path)
    assert (code, output) == (2, "")
    assert "must be a folder that `spikeloom build` wrote, but" in complaint
    assert "Traceback" not in complaint


def test_wrong_waveforms(run, tmp_path):
    code, _, complaint = run("virtual", tmp_path, "--trace", "x.png")
    assert code == 2
    assert complaint.endswith("spikeloom: waveforms must go to a .vcd file, not x.png\n")


def test_missing_tool_is_wrong_input(run, tmp_path, monkeypatch):
    pytest.importorskip("amaranth_boards")

    def missing():
        raise MissingToolError("verilator is not there; to get it, type: apt-get install g++")

    monkeypatch.setattr(virtual, "_tools", missing)
    (tmp_path / "build.json").write_text(
        '{"board": "icebreaker", "frequency": 24e6, "baud": 1000000}'
    )
    (tmp_path / "top.il").write_text(
        "module \\top\n  wire width 1 input 1  \\uart_0__rx__io\nend\n"
    )
    code, _, complaint = run("virtual", tmp_path)
    assert code == 2
    assert "verilator is not there; to get it, type: apt-get install g++" in complaint
    assert list(tmp_path.rglob("sim")) == []
