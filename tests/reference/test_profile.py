"""Discretisation profiles: what is said and what is refused."""

import dataclasses
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.fixed import Overflow, Rounding
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import (
    PROFILES,
    TEXTBOOK_IAF,
    TEXTBOOK_LIF,
    Accumulation,
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
        "decay_at_least_one": False,
        "input_gain": InputGain.DT_OVER_TAU,
        "integrator_gain": InputGain.ONE,
        "synapse_gain": InputGain.DT_OVER_TAU,
        "order": Order.DECAY_FIRST,
        "synapse_order": Order.DECAY_FIRST,
        "comparison": Comparison.GE,
        "compared": Compared.NEW,
        "reset": Reset.TO_VALUE,
        "max_spikes": 1,
        "max_output_spikes": None,
        "max_input_count": None,
        "refractory_steps": 0,
        "floor": None,
        "integrator_floor": None,
        "input_delay": 0,
        "layer_delay": 0,
        "recurrent_delay": 1,
        "recurrent_bias_at_start": True,
        "accumulation": Accumulation.STEP,
        "rounding": Rounding.FLOOR,
        "overflow": Overflow.SATURATE,
        "synapse_overflow": Overflow.SATURATE,
        "staged_overflow": False,
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


@pytest.mark.parametrize("max_spikes", [-1, 0, 2, 4, 8, 254, 256, 510, 512, 2047])
def test_wrong_max_spikes(max_spikes: int) -> None:
    rule = "1, 3, 7, 15, 31, 63, 127, 255, 511 or 1023"
    message = rf"^max_spikes must be {rule}, not {max_spikes}$"
    with pytest.raises(ValueError, match=message):
        Profile(name="wrong", reset=Reset.SUBTRACT, max_spikes=max_spikes)
    with pytest.raises(ValueError, match=message):
        Profile(name="wrong", reset=Reset.SUBTRACT, max_output_spikes=max_spikes)


@pytest.mark.parametrize("reset", [Reset.TO_VALUE, Reset.NONE])
def test_wrong_reset(reset: Reset) -> None:
    message = r"^max_spikes must be 1 where the reset is not by subtraction, not 3$"
    with pytest.raises(ValueError, match=message):
        Profile(name="wrong", reset=reset, max_spikes=3)


@pytest.mark.parametrize("steps", [-1, 256])
def test_wrong_refractory_steps(steps: int) -> None:
    with pytest.raises(ValueError, match=rf"^refractory_steps must be 0 to 255, not {steps}$"):
        Profile(name="wrong", refractory_steps=steps)


@pytest.mark.parametrize("max_spikes", [1, 3, 7, 15, 31, 63, 127, 255, 511, 1023])
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
@pytest.mark.parametrize(
    "name",
    ["max_spikes", "refractory_steps", "input_delay", "layer_delay", "recurrent_delay"],
)
def test_wrong_kind_of_integer(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must be an integer, not {value!r}$"):
        Profile(**{"name": "wrong", name: value})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("decay", "Decay"),
        ("input_gain", "InputGain"),
        ("integrator_gain", "InputGain"),
        ("synapse_gain", "InputGain"),
        ("synapse_order", "Order"),
        ("accumulation", "Accumulation"),
        ("synapse_overflow", "Overflow"),
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


@pytest.mark.parametrize("value", [1.0, "1", True])
@pytest.mark.parametrize("name", ["max_output_spikes", "max_input_count"])
def test_wrong_kind_of_optional_integer(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must be an integer, not {value!r}$"):
        Profile(**{"name": "wrong", name: value})


@pytest.mark.parametrize("count", [0, -1, 256])
def test_wrong_max_input_count(count: int) -> None:
    with pytest.raises(ValueError, match=rf"^max_input_count must be 1 to 255, not {count}$"):
        Profile(name="wrong", max_input_count=count)
    assert Profile(name="good", max_input_count=255).max_input_count == 255


@pytest.mark.parametrize("value", [0.5, math.nan, -math.inf])
@pytest.mark.parametrize("name", ["floor", "integrator_floor"])
def test_wrong_floor(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be at most 0, or None, not {value!r}$"):
        Profile(**{"name": "wrong", name: value})
    assert getattr(Profile(**{"name": "good", name: 0.0}), name) == 0.0


@pytest.mark.parametrize(
    ("name", "least"), [("input_delay", 0), ("layer_delay", 0), ("recurrent_delay", 1)]
)
def test_wrong_delay(name: str, least: int) -> None:
    for value in (least - 1, 256):
        with pytest.raises(ValueError, match=rf"^{name} must be {least} to 255, not {value}$"):
            Profile(**{"name": "wrong", name: value})
    for value in (least, 255):
        assert getattr(Profile(**{"name": "good", name: value}), name) == value


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (
            {"integrator_gain": InputGain.DT_OVER_TAU},
            "integrator_gain must be 'one' or 'dt', not 'dt/tau'",
        ),
        ({"input_gain": InputGain.DT}, "input_gain must be 'dt/tau', '1-alpha' or 'one', not 'dt'"),
        (
            {"synapse_gain": InputGain.INTO_THRESHOLD},
            "synapse_gain must be 'dt/tau', '1-alpha' or 'one', not 'into-threshold'",
        ),
        (
            {"decay_at_least_one": True},
            "decay_at_least_one must go with a shift decay, not 'euler'",
        ),
        (
            {"accumulation": Accumulation.SPIKING_EVENT, "reset": Reset.NONE},
            "accumulation 'spiking-event' must go with the new potential compared, a reset and no"
            " refractory steps",
        ),
    ],
)
def test_wrong_agreement(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        Profile(**{"name": "wrong"} | options)


@pytest.mark.parametrize("options", [{"refractory_steps": 1}, {"compared": Compared.OLD}])
def test_wrong_accumulation(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^accumulation 'spiking-event' must go with "):
        Profile(name="wrong", accumulation=Accumulation.SPIKING_EVENT, **options)


def run(
    name: str, values: list[float], *, tau: float | None = 4.0, dt: float | None = None
) -> tuple[list[float], list[int]]:
    """One neuron with threshold 1 under a preset, in units of its threshold."""
    profile = PROFILES[name] if dt is None else replace(PROFILES[name], dt=dt)
    scale = profile.dt if tau is not None else 1.0
    tau = None if tau is None else tau * scale
    spiking = {"v_min": -1.0} if profile.integrator_floor == -1 and tau is None else {}
    neuron = FloatNeuron(profile=profile, v_th=1.0, tau=tau, **spiking)
    state, potentials, spikes = neuron.initial((1,)), [], []
    for value in values:
        if profile.accumulation is Accumulation.SPIKING_EVENT:
            state, sent = neuron.step_events(state, [np.array([value])])
        else:
            state, sent = neuron.step(state, [value])
        potentials.append(state.v.item() / neuron.threshold)
        spikes.append(sent.item())
    return potentials, spikes


def test_presets_have_their_names() -> None:
    assert all(name == profile.name for name, profile in PROFILES.items())
    assert {*PROFILES} >= {
        *("textbook", "textbook-iaf", "norse", "snntorch", "spinnaker2", "nengo", "sinabs"),
        *("rockpool", "spyx", "lava", "loihi", "xylo", "speck"),
    }


@pytest.mark.parametrize(
    ("name", "potentials", "spikes"),
    [
        # v' = 3/4 v + x/4 with x = 2: 0.5, 0.875, 1.15625; the old one is compared first.
        ("textbook", [0.5, 0.875, 1.15625, 0.5, 0.875], [0, 0, 0, 1, 0]),
        ("norse", [0.5, 0.875, 0.0, 0.5, 0.875], [0, 0, 1, 0, 0]),
        ("snntorch", [0.5, 0.875, 0.0, 0.5, 0.875], [0, 0, 1, 0, 0]),
        ("spinnaker2", [0.5, 0.875, 0.0, 0.5, 0.875], [0, 0, 1, 0, 0]),
        # The old potential, less the threshold: 3/4 * 0.15625 + 0.5.
        ("spyx", [0.5, 0.875, 1.15625, 0.6171875, 0.962890625], [0, 0, 0, 1, 0]),
        ("lava", [0.5, 0.875, 0.0, 0.5, 0.875], [0, 0, 1, 0, 0]),
        ("loihi", [0.5, 0.875, 0.0, 0.5, 0.875], [0, 0, 1, 0, 0]),
        # The whole input: two spikes a step, and nothing left that decays.
        ("xylo", [0.0] * 5, [2] * 5),
        ("sinabs", [0.0] * 5, [2] * 5),
        # tau dv/dt = I: 0.5 a step.
        ("textbook-iaf", [0.5, 0.0, 0.5, 0.0, 0.5], [0, 1, 0, 1, 0]),
    ],
)
def test_presets_by_hand(name: str, potentials: list[float], spikes: list[int]) -> None:
    """Exact but for the rounding of 0.0001 and of what it is divided by."""
    found = run(name, [2.0] * 5)
    assert found[1] == spikes
    assert found[0] == pytest.approx(potentials, rel=1e-12, abs=1e-12)


def test_presets_that_decay_exponentially() -> None:
    """The part exp(-1/4) is left of a step; nengo takes 1 - exp(-1/4) of the input."""
    keeps = math.exp(-0.25)
    nengo = [1 - keeps, 1 - keeps**2, 1 - keeps**3]
    assert run("nengo", [1.0] * 3)[0] == pytest.approx(nengo, rel=1e-12)
    sinabs = [0.5, 0.5 * keeps + 0.5, 0.5 * keeps**2 + 0.5 * keeps + 0.5 - 1]
    # Rockpool's input is divided by the time constant of four steps.
    for name, value in (("sinabs", 0.5), ("rockpool", 2.0)):
        potentials, spikes = run(name, [value] * 3)
        assert potentials == pytest.approx(sinabs, rel=1e-12)
        assert spikes == [0, 0, 1]


def test_presets_of_integrators() -> None:
    """IF neurons of sinabs and DYNAP-CNN stop at minus the threshold; others go on."""
    values = [-0.75, -0.75, 2.5, 0.5]
    assert run("sinabs", values, tau=None) == ([-0.75, -1.0, 0.5, 0.0], [0, 0, 1, 1])
    assert run("rockpool", values, tau=None) == ([-0.75, -1.5, 0.0, 0.5], [0, 0, 1, 0])
    # One spike an event at most, so that more than the threshold stays.
    assert run("speck", values, tau=None) == ([-0.75, -1.0, 0.5, 0.0], [0, 0, 1, 1])
    assert run("speck", [2.5, 0.0, 0.25], tau=None) == ([1.5, 1.5, 0.75], [1, 0, 1])


def test_thresholds_that_are_just_reached() -> None:
    """Strictly above or not, in IF neurons of 0.5 a step."""
    for name, first in {
        **dict.fromkeys(("norse", "snntorch", "spinnaker2", "nengo", "lava", "loihi"), 2),
        **dict.fromkeys(("sinabs", "rockpool", "xylo", "speck", "textbook-iaf"), 1),
        # One step later, as the old potential is compared.
        "textbook": 2,
        "spyx": 3,
    }.items():
        assert run(name, [0.5] * 5, tau=None)[1].index(1) == first, name


def test_delays_of_presets() -> None:
    """Of input, layer and recurrent connections."""
    for name, profile in PROFILES.items():
        delays = (profile.input_delay, profile.layer_delay, profile.recurrent_delay)
        expected = {"lava": (1, 1, 1), "loihi": (1, 1, 1), "xylo": (0, 1, 1)}
        assert delays == expected.get(name, (0, 0, 1)), name


def test_biases_of_recurrent_connections() -> None:
    """Norse's recurrent cells have no state in the first step; so have those made alike."""
    late = {name for name, each in PROFILES.items() if not each.recurrent_bias_at_start}
    assert late == {"norse", "snntorch", "spinnaker2", "nengo", "spyx"}


def test_limits_of_xylo() -> None:
    xylo = PROFILES["xylo"]
    assert (xylo.max_spikes, xylo.max_output_spikes, xylo.max_input_count) == (31, 1, 15)
    assert xylo.decay_at_least_one
    assert xylo.staged_overflow
    assert run("xylo", [100.0])[1] == [31]


@given(st.sampled_from(Reset), st.integers(-3, 1100), st.integers(-3, 300))
def test_spike_rule(reset: Reset, most: int, steps: int) -> None:
    """All ones in binary, up to ten of them, and more than one only where they are subtracted."""
    legal = 1 <= most <= 1023 and set(f"{most:b}") == {"1"} and 0 <= steps <= 255
    if legal and (most == 1 or reset is Reset.SUBTRACT):
        check_spike_rule(reset, most, steps)
    else:
        with pytest.raises(ValueError, match=r"^(max_spikes|refractory_steps) must be "):
            check_spike_rule(reset, most, steps)
