"""The rules of the house: who imports whom, what a module declares, what the wheel holds."""

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

# From left to right: each portion may import those before it.
PORTIONS = ("reference", "rtl_gen", "sim", "boards", "cli")

# The golden model stays free of hardware: outside the standard library it has only these.
REFERENCE_MAY_IMPORT = {"h5py", "numpy", "threadpoolctl"}

# The front doors of the converter, which only who uses them imports.
DOORS = {"onnx_ann.py": "onnx", "torch_ann.py": "torch"}


def modules(checkout: Path, portion: str) -> list[Path]:
    return sorted((checkout / portion / "spikeloom").rglob("*.py"))


def imported(path: Path, root: Path) -> Iterator[str]:
    """Dotted names the module at ``path`` imports, relative ones made absolute."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join((*start, *filter(None, [node.module])))
            yield from (f"{source}.{alias.name}" for alias in node.names)


def forbidden_imports(checkout: Path) -> list[str]:
    """Every import that breaks the direction, as ``file: name``."""
    found = []
    for rank, portion in enumerate(PORTIONS):
        allowed = PORTIONS[: rank + 1]
        for path in modules(checkout, portion):
            for name in imported(path, checkout / portion):
                first, second = [*name.split("."), ""][:2]
                if first == "spikeloom":
                    good = second in allowed
                else:
                    good = portion != "reference" or (
                        first in sys.stdlib_module_names
                        or first in REFERENCE_MAY_IMPORT
                        or first == DOORS.get(path.name)
                    )
                if not good:
                    found.append(f"{path.relative_to(checkout).as_posix()}: {name}")
    return found


@pytest.mark.parametrize("portion", PORTIONS)
def test_portion_is_there(portion: str) -> None:
    names = {path.name for path in (CHECKOUT / portion / "spikeloom" / portion).iterdir()}
    assert {"__init__.py", "py.typed"} <= names


def test_import_direction() -> None:
    assert forbidden_imports(CHECKOUT) == []


@pytest.mark.parametrize(
    ("portion", "source", "name"),
    [
        ("reference", "import amaranth", "amaranth"),
        ("reference", "from amaranth.lib import wiring", "amaranth.lib.wiring"),
        ("reference", "from spikeloom.rtl_gen.emit import x", "spikeloom.rtl_gen.emit.x"),
        ("reference", "from spikeloom import rtl_gen", "spikeloom.rtl_gen"),
        ("reference", "from .. import sim", "spikeloom.sim"),
        ("reference", "from ..cli.main import x", "spikeloom.cli.main.x"),
        ("reference", "def f():\n    import spikeloom.boards", "spikeloom.boards"),
        ("rtl_gen", "import spikeloom.sim.runner as r", "spikeloom.sim.runner"),
        ("rtl_gen", "import numpy, spikeloom", "spikeloom"),
        ("sim", "if True:\n    from spikeloom.boards import x", "spikeloom.boards.x"),
        ("boards", "from spikeloom.cli import main", "spikeloom.cli.main"),
    ],
)
def test_import_direction_catches(tmp_path: Path, portion: str, source: str, name: str) -> None:
    planted = tmp_path / portion / "spikeloom" / portion / "planted.py"
    planted.parent.mkdir(parents=True)
    planted.write_text(source, encoding="utf-8")
    place = planted.relative_to(tmp_path).as_posix()
    assert forbidden_imports(tmp_path) == [f"{place}: {name}"]


@pytest.mark.parametrize(
    ("portion", "source"),
    [
        ("reference", "import enum\nimport numpy as np\nfrom .fixed import x\nfrom . import fixed"),
        ("rtl_gen", "from amaranth import Module\nfrom spikeloom.reference.fixed import x"),
        ("sim", "import cocotb\nfrom spikeloom import reference, rtl_gen"),
        ("boards", "from ..sim import runner"),
        ("cli", "from spikeloom import boards, reference, rtl_gen, sim\nfrom . import main"),
    ],
)
def test_import_direction_lets_pass(tmp_path: Path, portion: str, source: str) -> None:
    good = tmp_path / portion / "spikeloom" / portion / "good.py"
    good.parent.mkdir(parents=True)
    good.write_text(source, encoding="utf-8")
    assert forbidden_imports(tmp_path) == []


@pytest.mark.parametrize("portion", PORTIONS)
def test_root_holds_its_portion_only(portion: str) -> None:
    """A ``spikeloom/__init__.py`` would hide the portions of all other roots."""
    namespace = CHECKOUT / portion / "spikeloom"
    assert [path.name for path in namespace.iterdir()] == [portion]


@pytest.mark.parametrize("portion", PORTIONS)
def test_modules_declare_all(portion: str) -> None:
    without = []
    for path in modules(CHECKOUT, portion):
        if path.parent.name == portion and path.name == "__init__.py":
            continue
        targets: list[ast.expr] = []
        for node in ast.parse(path.read_text(encoding="utf-8"), str(path)).body:
            if isinstance(node, ast.Assign):
                targets += node.targets
            elif isinstance(node, ast.AnnAssign):
                targets.append(node.target)
        if not any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            without.append(path.relative_to(CHECKOUT).as_posix())
    assert without == []


def test_wheel_holds_the_package_only(tmp_path: Path) -> None:
    expected = {
        path.relative_to(CHECKOUT / portion).as_posix()
        for portion in PORTIONS
        for path in (CHECKOUT / portion / "spikeloom").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names))
    dist_info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    metadata = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert set(names) == expected | {f"{dist_info}/{name}" for name in metadata}


def nameless_signals(root: Path) -> list[str]:
    """Where signals are bound several at once."""
    found = []
    for portion in PORTIONS:
        for path in modules(root, portion):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
                if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)):
                    continue
                made = [each.func for each in node.value.elts if isinstance(each, ast.Call)]
                if any(ast.unparse(each).partition(".")[0] == "Signal" for each in made):
                    found.append(f"{path.relative_to(root).as_posix()}:{node.lineno}")
    return found


def test_signals_have_names() -> None:
    """Amaranth finds a signal's name where it alone is bound.

    Of several bound at once it finds the names of some, and of others in another Python, so that
    the Verilog is not the same everywhere.
    """
    assert nameless_signals(CHECKOUT) == []


def test_signals_have_names_catches(tmp_path: Path) -> None:
    planted = tmp_path / "rtl_gen" / "spikeloom" / "rtl_gen" / "planted.py"
    planted.parent.mkdir(parents=True)
    planted.write_text("a = Signal()\nb, c = Signal(3), Signal.like(a)\nd, e = f(), g()\n")
    assert nameless_signals(tmp_path) == ["rtl_gen/spikeloom/rtl_gen/planted.py:2"]
