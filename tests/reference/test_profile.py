"""Discretisation profiles: what is said and what is refused."""

import dataclasses
import math

import pytest

from spikeloom.reference.fixed import Overflow, Rounding
from spikeloom.reference.profile import (
    TEXTBOOK_IAF,
    TEXTBOOK_LIF,
    Compared,
    Comparison,
    Decay,
    InputGain,
    Order,
    Profile,
    Reset,
    check_spike_rule,
)


def test_init() -> None:
    profile = Profile(name="plain")
    assert dataclasses.asdict(profile) == {
        "name": "plain",
        "dt": 1.0,
        "decay": Decay.EULER,
        "input_gain": InputGain.DT_OVER_TAU,
        "order": Order.DECAY_FIRST,
        "comparison": Comparison.GE,
        "compared": Compared.NEW,
        "reset": Reset.TO_VALUE,
        "max_spikes": 1,
        "refractory_steps": 0,
        "rounding": Rounding.FLOOR,
        "overflow": Overflow.SATURATE,
    }


def test_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TEXTBOOK_LIF.dt = 2.0  # type: ignore[misc]


def test_textbook_lif() -> None:
    """``if v >= v_th`` comes first, then forward Euler, reset to a value."""
    assert TEXTBOOK_LIF.decay is Decay.EULER
    assert TEXTBOOK_LIF.input_gain is InputGain.DT_OVER_TAU
    assert TEXTBOOK_LIF.compared is Compared.OLD
    assert TEXTBOOK_LIF.comparison is Comparison.GE
    assert TEXTBOOK_LIF.reset is Reset.TO_VALUE
    assert TEXTBOOK_LIF.max_spikes == 1


def test_textbook_iaf() -> None:
    assert TEXTBOOK_IAF.decay is Decay.CONSTANT
    assert TEXTBOOK_IAF.reset is Reset.SUBTRACT
    assert TEXTBOOK_IAF.max_spikes == 255


@pytest.mark.parametrize("dt", [0.0, -1.0, math.nan, math.inf])
def test_wrong_dt(dt: float) -> None:
    with pytest.raises(ValueError, match=rf"^dt must be positive and finite, not {dt!r}$"):
        Profile(name="wrong", dt=dt)


@pytest.mark.parametrize("max_spikes", [-1, 0, 2, 4, 8, 254, 256, 511])
def test_wrong_max_spikes(max_spikes: int) -> None:
    message = rf"^max_spikes must be 1, 3, 7, 15, 31, 63, 127 or 255, not {max_spikes}$"
    with pytest.raises(ValueError, match=message):
        Profile(name="wrong", reset=Reset.SUBTRACT, max_spikes=max_spikes)


@pytest.mark.parametrize("reset", [Reset.TO_VALUE, Reset.NONE])
def test_wrong_reset(reset: Reset) -> None:
    message = r"^max_spikes must be 1 where the reset is not by subtraction, not 3$"
    with pytest.raises(ValueError, match=message):
        Profile(name="wrong", reset=reset, max_spikes=3)


@pytest.mark.parametrize("steps", [-1, 256])
def test_wrong_refractory_steps(steps: int) -> None:
    with pytest.raises(ValueError, match=rf"^refractory_steps must be 0 to 255, not {steps}$"):
        Profile(name="wrong", refractory_steps=steps)


@pytest.mark.parametrize("max_spikes", [1, 3, 7, 15, 31, 63, 127, 255])
@pytest.mark.parametrize("steps", [0, 1, 255])
def test_every_legal_spike_rule(max_spikes: int, steps: int) -> None:
    profile = Profile(
        name="good", reset=Reset.SUBTRACT, max_spikes=max_spikes, refractory_steps=steps
    )
    assert (profile.max_spikes, profile.refractory_steps) == (max_spikes, steps)
    check_spike_rule(Reset.SUBTRACT, max_spikes, steps)


@pytest.mark.parametrize("name", ["", "two\nlines", "bell\a", "tab\t"])
def test_wrong_name(name: str) -> None:
    """It stands in a comment of the Verilog, which ends with its line."""
    with pytest.raises(ValueError, match=r"^name must be printable and not empty, not "):
        Profile(name=name)


@pytest.mark.parametrize("value", [1.0, "1", True, None])
@pytest.mark.parametrize("name", ["max_spikes", "refractory_steps"])
def test_wrong_kind_of_integer(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must be an integer, not {value!r}$"):
        Profile(**{"name": "wrong", name: value})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("decay", "Decay"),
        ("input_gain", "InputGain"),
        ("order", "Order"),
        ("comparison", "Comparison"),
        ("compared", "Compared"),
        ("reset", "Reset"),
        ("rounding", "Rounding"),
        ("overflow", "Overflow"),
    ],
)
def test_wrong_kind_of_option(name: str, kind: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must be an? {kind}, not 'none'$"):
        Profile(**{"name": "wrong", name: "none"})
