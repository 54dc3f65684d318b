"""What all tests share: how random they are, and where the large data sets lie."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

CHECKOUT = Path(__file__).resolve().parents[1]

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("SPIKELOOM_HYPOTHESIS", "ci"))


def pytest_report_header() -> str:
    profile = settings.get_current_profile_name()
    examples = "new random examples" if profile == "explore" else "the same examples every time"
    return f"seeds: fixed in each test; hypothesis profile {profile!r}: {examples}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cases", type=int, help="random cases of networks in each simulator (default: a few)"
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the large data sets: ``SPIKELOOM_SHARED``, else ``shared`` beside the checkout."""
    named = os.environ.get("SPIKELOOM_SHARED")
    folder = Path(named) if named else CHECKOUT.parent / "shared"
    if not folder.is_dir():
        if named:
            pytest.fail(f"SPIKELOOM_SHARED must name a folder, not {named!r}", pytrace=False)
        pytest.skip("no folder 'shared' beside the checkout, and SPIKELOOM_SHARED is not set")
    return folder


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """What imports a module out of the folder ``examples``."""
    monkeypatch.syspath_prepend(str(CHECKOUT / "examples"))
    return importlib.import_module
