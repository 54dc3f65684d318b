"""Networks of every profile, drawn by chance: the Verilog equals the golden model.

``--cases`` asks for more of them in each simulator; ``benchmarks/signoff.py`` does.
"""

from collections import Counter
from pathlib import Path

import pytest
from random_cases import STIMULI, draw_case

from spikeloom.reference.profile import PROFILES
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.engine import run_engine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As many networks as hold the cases asked for; fewer in Verilator, which compiles each."""
    if "engine" in metafunc.fixturenames:
        asked = metafunc.config.getoption("cases")
        counts = {"icarus": asked or 60, "verilator": asked or 2 * STIMULI}
        cases = [(name, seed) for name, n in counts.items() for seed in range(-(-n // STIMULI))]
        metafunc.parametrize(("simulator", "seed"), cases, indirect=["simulator"])


@pytest.fixture
def engine(simulator: str) -> str:
    return simulator


def test_verilog_equals_golden_model(engine: str, seed: int, tmp_path: Path) -> None:
    case = draw_case(seed)
    top = NetworkTop(case.network, case.lanes)
    print(f"seed {seed}, profile {case.profile}")
    for scenario, gap in zip(case.scenarios, case.gaps, strict=True):
        run = run_engine(engine, top, scenario, tmp_path, profile=case.profile, gap=gap)
        assert run.difference == ""


def test_all_profiles_are_drawn() -> None:
    drawn = Counter(draw_case(seed).profile for seed in range(2 * len(PROFILES)))
    assert drawn == dict.fromkeys(PROFILES, 2)
