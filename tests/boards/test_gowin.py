"""Dividers of Gowin's phase-locked loop against Project Apicula's own calculator and by hand."""

import re
import subprocess
import sys
from fractions import Fraction

import pytest

from spikeloom.boards.gowin import GowinPLL, gowin_pll

DEVICE = "GW1NR-9 C6/I5"


def apicula(reference: int, frequency: int) -> dict[str, float]:
    """What Apicula's calculator writes: settings, and the output in MHz."""
    program = "from apycula.gowin_pll import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "-i", str(reference), "-o", str(frequency), "-d", DEVICE],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {
        name: float(re.search(rf"\.{name}\((\d+)\)", done.stdout)[1])
        for name in ("IDIV_SEL", "FBDIV_SEL", "ODIV_SEL")
    }
    return found | {"output": float(re.search(r"Achieved output.*?([\d.]+) MHz", done.stdout)[1])}


@pytest.mark.parametrize(("reference", "frequency"), [(27, 27), (27, 54), (27, 60), (24, 100)])
def test_as_apicula(reference: int, frequency: int) -> None:
    ours, theirs = gowin_pll(reference * 1e6, frequency * 1e6), apicula(reference, frequency)
    assert ours.frequency == pytest.approx(theirs["output"] * 1e6, abs=1e3)  # they print kHz
    assert ours.idiv <= theirs["IDIV_SEL"] + 1
    if ours.idiv == theirs["IDIV_SEL"] + 1:
        assert ours.fbdiv == theirs["FBDIV_SEL"] + 1


@pytest.mark.parametrize("reference", [3, 12, 27, 100, 400])
@pytest.mark.parametrize("frequency", [4, 27, 54, 66, 81, 150, 300, 599])
def test_nearest_in_bounds(reference: int, frequency: int) -> None:
    """In exact arithmetic, MHz: no feedback of any reference divider comes nearer."""
    odivs = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
    reachable = [
        output
        for idiv in range(1, 65)
        if Fraction(reference, idiv) >= 3
        for fbdiv in range(1, 65)
        if Fraction(25, 8) <= (output := Fraction(reference * fbdiv, idiv)) <= 600
        and any(400 <= output * odiv <= 1200 for odiv in odivs)
    ]
    nearest = min(abs(each - frequency) for each in reachable)
    if nearest > Fraction(frequency, 100):
        with pytest.raises(ValueError, match=r"^frequency must be within 1 % of what the loop"):
            gowin_pll(reference * 1e6, frequency * 1e6)
        return
    pll = gowin_pll(reference * 1e6, frequency * 1e6)
    output = Fraction(reference * pll.fbdiv, pll.idiv)
    assert abs(output - frequency) == nearest
    assert pll.frequency == pytest.approx(float(output * 1000000), rel=1e-12)
    assert Fraction(reference, pll.idiv) >= 3
    assert 400 <= output * pll.odiv <= 1200
    assert pll.odiv in odivs
    assert 1 <= pll.idiv <= 64
    assert 1 <= pll.fbdiv <= 64


@pytest.mark.parametrize(
    ("frequency", "idiv", "fbdiv", "odiv"),
    [
        (27e6, 1, 1, 32),  # 27 MHz * 32 = 864 MHz
        (54e6, 1, 2, 16),  # the same oscillator
        (40.5e6, 2, 3, 16),  # 27 MHz / 2 * 3; times 16 is 648 MHz, times 32 would be 1296 MHz
    ],
)
def test_by_hand(frequency: float, idiv: int, fbdiv: int, odiv: int) -> None:
    assert gowin_pll(27e6, frequency) == GowinPLL(27e6, idiv, fbdiv, odiv, frequency)


def test_wrong_reference() -> None:
    with pytest.raises(ValueError, match=r"^reference must be 3 to 400 MHz, not 2 MHz$"):
        gowin_pll(2e6, 24e6)
    with pytest.raises(TypeError, match=r"^reference must be a number of Hz, not '27e6'$"):
        gowin_pll("27e6", 24e6)


@pytest.mark.parametrize(("frequency", "text"), [(3e6, "3"), (601e6, "601"), (float("nan"), "nan")])
def test_wrong_frequency(frequency: float, text: str) -> None:
    with pytest.raises(ValueError, match=f"^frequency must be 3.125 to 600 MHz, not {text} MHz$"):
        gowin_pll(27e6, frequency)


def test_wrong_frequency_type() -> None:
    with pytest.raises(TypeError, match=r"^frequency must be a number of Hz, not True$"):
        gowin_pll(27e6, True)


def test_frequency_out_of_reach() -> None:
    with pytest.raises(ValueError, match=r"of 400 MHz, not 4 MHz: the nearest is 6.25 MHz$"):
        gowin_pll(400e6, 4e6)
