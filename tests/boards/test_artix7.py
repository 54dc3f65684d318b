"""Dividers of the Artix-7's phase-locked loop, by hand and against all others."""

from fractions import Fraction

import pytest

from spikeloom.boards.artix7 import Artix7PLL, artix7_pll


@pytest.mark.parametrize("reference", [19, 25, 100, 450, 800])
@pytest.mark.parametrize("frequency", [7, 27, 60, 75, 100, 150, 333, 750])
def test_nearest_in_bounds(reference: int, frequency: int) -> None:
    """In exact arithmetic, MHz: no settings come nearer."""
    reachable = {
        oscillator / out
        for divide in range(1, 57)
        if 19 <= Fraction(reference, divide) <= 450
        for multiply in range(2, 65)
        if 800 <= (oscillator := Fraction(reference * multiply, divide)) <= 1600
        for out in range(1, 129)
    }
    nearest = min(abs(each - frequency) for each in reachable)
    if nearest > Fraction(frequency, 100):
        with pytest.raises(ValueError, match=r"^frequency must be within 1 % of what the loop"):
            artix7_pll(reference * 1e6, frequency * 1e6)
        return
    pll = artix7_pll(reference * 1e6, frequency * 1e6)
    oscillator = Fraction(reference * pll.clkfbout_mult, pll.divclk_divide)
    assert abs(oscillator / pll.clkout0_divide - frequency) == nearest
    assert pll.frequency == pytest.approx(float(oscillator / pll.clkout0_divide) * 1e6, rel=1e-12)
    assert 19 <= Fraction(reference, pll.divclk_divide) <= 450
    assert 800 <= oscillator <= 1600
    assert 1 <= pll.divclk_divide <= 56
    assert 2 <= pll.clkfbout_mult <= 64
    assert 1 <= pll.clkout0_divide <= 128


@pytest.mark.parametrize(
    ("frequency", "multiply", "divide"),
    [
        (100e6, 16, 16),  # 100 MHz * 16 = 1.6 GHz
        (60e6, 15, 25),  # 1.5 GHz; 1.56 GHz would need 15.6
        (75e6, 15, 20),
    ],
)
def test_by_hand(frequency: float, multiply: int, divide: int) -> None:
    assert artix7_pll(100e6, frequency) == Artix7PLL(100e6, 1, multiply, divide, frequency)


def test_wrong_reference() -> None:
    with pytest.raises(ValueError, match=r"^reference must be 19 to 800 MHz, not 12 MHz$"):
        artix7_pll(12e6, 100e6)
    with pytest.raises(TypeError, match=r"^reference must be a number of Hz, not '100e6'$"):
        artix7_pll("100e6", 100e6)


@pytest.mark.parametrize(("frequency", "text"), [(6e6, "6"), (801e6, "801"), (float("nan"), "nan")])
def test_wrong_frequency(frequency: float, text: str) -> None:
    with pytest.raises(ValueError, match=f"^frequency must be 6.25 to 800 MHz, not {text} MHz$"):
        artix7_pll(100e6, frequency)


def test_frequency_out_of_reach() -> None:
    with pytest.raises(ValueError, match=r"of 19 MHz, not 690 MHz: the nearest is 608 MHz$"):
        artix7_pll(19e6, 690e6)
