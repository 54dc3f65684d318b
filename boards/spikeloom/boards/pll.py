"""Dividers of the iCE40's phase-locked loop."""

from dataclasses import dataclass

__all__ = ["PLLSettings", "pll_settings"]


@dataclass(frozen=True)
class PLLSettings:
    """Parameters of an ``SB_PLL40`` cell with simple feedback.

    Attributes
    ----------
    divr, divf, divq
        The output is ``reference * (divf + 1) / (divr + 1) / 2**divq``.
    filter_range
        Setting of the loop filter.
    frequency
        The output's frequency in Hz.
    """

    divr: int
    divf: int
    divq: int
    filter_range: int
    frequency: float


# Range of the loop filter by the phase detector's frequency, in Hz; as Project IceStorm's icepll.
_FILTER_RANGES = ((17e6, 1), (26e6, 2), (44e6, 3), (66e6, 4), (101e6, 5), (133e6, 6))


def pll_settings(reference: float, frequency: float) -> PLLSettings:
    """Dividers that bring a loop nearest to a frequency.

    The bounds are those of the iCE40 LP/HX/UltraPlus data sheets: reference 10 to 133 MHz, phase
    detector 10 to 133 MHz, oscillator 533 to 1066 MHz, output 16 to 275 MHz. ``divf`` goes to 127:
    the usage guide's 63 holds for the other kinds of feedback (Project IceStorm's icepll).

    Parameters
    ----------
    reference, frequency
        Input and wanted output, in Hz.

    Raises
    ------
    TypeError
        If a frequency is not a number.
    ValueError
        If a frequency is out of bounds, or the nearest is more than 1 % off.
    """
    for name, value, lowest, highest in (
        ("reference", reference, 10e6, 133e6),
        ("frequency", frequency, 16e6, 275e6),
    ):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise TypeError(f"{name} must be a number of Hz, not {value!r}")
        if not lowest <= value <= highest:
            raise ValueError(
                f"{name} must be {lowest / 1e6:g} to {highest / 1e6:g} MHz, not {value / 1e6:g} MHz"
            )
    candidates = []
    for divr in range(int(reference / 10e6)):
        detector = reference / (divr + 1)
        filter_range = next(setting for highest, setting in _FILTER_RANGES if detector <= highest)
        for divf in range(128):
            oscillator = detector * (divf + 1)
            if 533e6 <= oscillator <= 1066e6:
                candidates += [
                    PLLSettings(divr, divf, divq, filter_range, oscillator / 2**divq)
                    for divq in range(1, 7)
                ]
    best = min(candidates, key=lambda settings: abs(settings.frequency - frequency))
    if abs(best.frequency / frequency - 1) > 0.01:
        raise ValueError(
            f"frequency must be within 1 % of what the loop can make of {reference / 1e6:g} MHz,"
            f" not {frequency / 1e6:g} MHz: the nearest is {best.frequency / 1e6:g} MHz"
        )
    return best
