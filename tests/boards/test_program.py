"""What is typed to load a build, and what is run where a tool is there."""

import json
from pathlib import Path

import pytest

from spikeloom.boards.board import BOARDS
from spikeloom.boards.flow import FLASH
from spikeloom.boards.program import PROGRAMMERS, choose, commands, program

boards = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that puts programs on PATH, where there is nothing else; each writes down its
    arguments and ends with a code."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(*names: str, code: int = 0) -> None:
        for name in names:
            path = folder / name
            path.write_text(f'#!/bin/sh\necho "{name} $@" >> {tmp_path}/ran\nexit {code}\n')
            path.chmod(0o755)

    return put


@pytest.fixture
def folder(tmp_path: Path):
    """A function that makes a build's folder."""

    def make(board: str, file: str = "top.bin") -> Path:
        path = tmp_path / "out"
        path.mkdir()
        (path / "build.json").write_text(json.dumps({"board": board, "file": file}))
        (path / file).touch()
        return path

    return make


def words(board: str, *, flash: bool) -> list[str]:
    found = commands(BOARDS[board], Path("top.bin"), flash=flash)
    return [" ".join(each.words) for each in found]


def test_each_board_has_a_tool() -> None:
    assert set(PROGRAMMERS) == set(BOARDS)


@boards
@pytest.mark.parametrize("flash", [False, True])
def test_something_to_type(board, flash: bool) -> None:
    found = commands(board, Path("some/top.bin"), flash=flash)
    assert found
    for each in found:
        assert each.words[-1] == "some/top.bin"
        assert each.flash or not flash
        assert each.install.startswith("apt-get install ")


@pytest.mark.parametrize(
    ("board", "sram", "flash"),
    [
        ("ulx3s-85f", ["openFPGALoader -b ulx3s top.bin"], ["openFPGALoader -b ulx3s -f top.bin"]),
        (
            "tang-nano-9k",
            ["openFPGALoader -b tangnano9k top.bin"],
            ["openFPGALoader -b tangnano9k -f top.bin"],
        ),
        ("upduino", ["iceprog top.bin"], ["iceprog top.bin"]),
        (
            "orangecrab",
            ["dfu-util -d 1209:5af0 -a 0 -D top.bin", "openFPGALoader -b orangeCrab top.bin"],
            ["dfu-util -d 1209:5af0 -a 0 -D top.bin", "openFPGALoader -b orangeCrab top.bin"],
        ),
    ],
)
def test_commands(board: str, sram: list[str], flash: list[str]) -> None:
    assert words(board, flash=False) == sram
    assert words(board, flash=True) == flash


def test_a_tool_that_is_there_is_preferred(tools) -> None:
    tools("iceprog")
    found = commands(BOARDS["icebreaker"], Path("top.bin"))
    assert [each.found for each in found] == [False, True]
    assert choose(found).words[0] == "iceprog"
    tools("openFPGALoader")
    assert choose(commands(BOARDS["icebreaker"], Path("top.bin"))).words[0] == "openFPGALoader"


@pytest.mark.usefixtures("tools")
def test_nothing_is_run_without_a_tool(folder) -> None:
    command, code = program(folder("icebreaker"))
    assert code is None
    assert command.words[0] == "openFPGALoader"


@pytest.mark.parametrize("code", [0, 3])
def test_program(tools, folder, tmp_path: Path, code: int) -> None:
    tools("openFPGALoader", code=code)
    out = folder("ulx3s-45f", "image.bit")
    command, ended = program(out, flash=True)
    assert (ended, command.flash) == (code, True)
    assert (tmp_path / "ran").read_text() == f"openFPGALoader -b ulx3s -f {out}/image.bit\n"


@pytest.mark.parametrize("flash", [False, True])
def test_weights_go_to_flash(tools, folder, tmp_path: Path, flash: bool) -> None:
    """Bitstream and weights are one file, which goes to flash, asked for or not."""
    tools("iceprog")
    out = folder("upduino")
    (out / FLASH).touch()
    command, ended = program(out, flash=flash)
    assert (ended, command.flash) == (0, True)
    assert (tmp_path / "ran").read_text() == f"iceprog {out}/flash.bin\n"


def test_weights_go_to_flash_of_a_board_that_could_do_without(tools, folder, tmp_path) -> None:
    tools("openFPGALoader")
    out = folder("ulx3s-45f", "top.bit")
    (out / FLASH).touch()
    assert program(out)[0].flash
    assert (tmp_path / "ran").read_text() == f"openFPGALoader -b ulx3s -f {out}/flash.bin\n"


def test_flash_without_its_bitstream(tools, folder) -> None:
    """A folder without a bitstream is no whole build, whatever else it holds."""
    tools("iceprog")
    out = folder("upduino")
    (out / FLASH).touch()
    (out / "top.bin").unlink()
    with pytest.raises(ValueError, match=r"must hold the bitstream top.bin, but does not$"):
        program(out)


@pytest.mark.parametrize("facts", ["", "[]", '{"board": "none", "file": "x"}', '{"board": "hx8k"}'])
def test_wrong_folder(tmp_path: Path, facts: str) -> None:
    if facts:
        (tmp_path / "build.json").write_text(facts)
    with pytest.raises(ValueError, match=r"must be a folder that `spikeloom build` wrote$"):
        program(tmp_path)


def test_no_bitstream(folder) -> None:
    out = folder("hx8k")
    (out / "top.bin").unlink()
    with pytest.raises(ValueError, match=r"must hold the bitstream top.bin, but does not$"):
        program(out)


def test_no_bitstream_from_vivado_yet(folder) -> None:
    out = folder("arty-a7-35t", "top.bit")
    (out / "top.bit").unlink()
    with pytest.raises(ValueError, match=r"type: vivado -mode batch -source top\.tcl$"):
        program(out)
