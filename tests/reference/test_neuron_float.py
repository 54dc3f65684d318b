"""Textbook neurons against trajectories by hand, closed forms and other tools' recordings.

The numbers by hand use ``tau = 4``, so that every potential is a short binary fraction and the
comparison with it is exact.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import (
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
)

# Integrates its input as it is: what is left of a step is the option under test.
PLAIN: dict[str, Any] = {"name": "plain", "decay": Decay.NONE, "input_gain": InputGain.ONE}


def run(neuron: FloatNeuron, currents: Sequence[float]) -> tuple[list[float], list[int]]:
    """Potentials and spikes of one neuron, step by step."""
    state = neuron.initial((1,))
    potentials, spikes = [], []
    for current in currents:
        state, emitted = neuron.step(state, [current])
        potentials.append(state.v.item())
        spikes.append(emitted.item())
    return potentials, spikes


def spike_times(neuron: FloatNeuron, currents: Sequence[float]) -> list[int]:
    return [t for t, count in enumerate(run(neuron, currents)[1]) if count]


def test_init() -> None:
    neuron = FloatNeuron(profile=TEXTBOOK_LIF, v_th=10.0, v_init=2.5)
    state = neuron.initial((2, 3))
    assert state.v.tolist() == [[2.5] * 3] * 2
    assert state.refractory.tolist() == [[0] * 3] * 2
    assert (neuron.tau, neuron.r, neuron.v_min) == (1.0, 1.0, None)


def test_textbook_lif_spikes_at_47_and_94() -> None:
    neuron = FloatNeuron(profile=TEXTBOOK_LIF, tau=20.0, v_th=10.0, v_reset=0.0)
    assert spike_times(neuron, [11.0] * 100) == [47, 94]


def test_textbook_lif_follows_the_textbook_loop() -> None:
    """The loop of the textbook, word for word, and between two spikes its closed form."""
    tau, v_th, v_reset, drive = 20.0, 10.0, 0.0, 11.0
    neuron = FloatNeuron(profile=TEXTBOOK_LIF, tau=tau, v_th=v_th, v_reset=v_reset)
    potentials, spikes = run(neuron, [drive] * 100)
    v, expected, expected_spikes = 0.0, [], []
    for _ in range(100):
        expected_spikes.append(int(v >= v_th))
        if v >= v_th:
            v = v_reset
        v = v + (1 / tau) * (-v + drive)
        expected.append(v)
    assert spikes == expected_spikes
    assert potentials == pytest.approx(expected, rel=1e-12)
    closed_form = [drive * (1 - 0.95 ** (t + 1)) for t in range(47)]
    assert potentials[:47] == pytest.approx(closed_form, rel=1e-12)


def test_textbook_iaf_spikes_twice() -> None:
    neuron = FloatNeuron(profile=TEXTBOOK_IAF, v_th=1.0)
    assert sum(run(neuron, [0.025] * 100)[1]) == 2


def test_textbook_iaf_transfer_curve_is_rectified_linear() -> None:
    """An input of ``I`` a step brings ``max(0, 100 I)`` spikes in 100 steps."""
    neuron = FloatNeuron(profile=TEXTBOOK_IAF, v_th=1.0)
    inputs = np.arange(-25, 26) * 0.2
    state = neuron.initial(inputs.shape)
    total = np.zeros(len(inputs), dtype=np.int64)
    for _ in range(100):
        state, spikes = neuron.step(state, inputs)
        total += spikes
    rectified = [max(0, 20 * k) for k in range(-25, 26)]
    assert np.abs(total - rectified).max() <= 1
    assert total[:26].tolist() == [0] * 26
    # No spike is lost: what was not emitted is still in the potential.
    np.testing.assert_allclose(total + state.v, 100 * inputs, atol=1e-9)


BASE: dict[str, Any] = {"v_th": 4.0, "v_reset": 1.0, "tau": 4.0}


@pytest.mark.parametrize(
    ("options", "potentials", "spikes"),
    [
        # v' = 0.75 v + 2: 0, 2, 3.5, 4.625
        ({}, [2, 3.5, 1, 2.75, 1], [0, 0, 1, 0, 1]),
        (
            {"compared": Compared.OLD},
            [2, 3.5, 4.625, 2.75, 4.0625, 2.75],
            [0, 0, 0, 1, 0, 1],
        ),
        ({"reset": Reset.SUBTRACT}, [2, 3.5, 0.625, 2.46875, 3.8515625], [0, 0, 1, 0, 0]),
        ({"reset": Reset.NONE}, [2, 3.5, 4.625, 5.46875], [0, 0, 1, 1]),
        (
            {"reset": Reset.SUBTRACT, "compared": Compared.OLD},
            [2, 3.5, 4.625, 0.46875 + 2, 3.8515625],
            [0, 0, 0, 1, 0],
        ),
        # The input of 2 decays with the potential: v' = 0.75 (v + 2)
        (
            {"order": Order.INPUT_FIRST},
            [1.5, 2.625, 3.46875, 1, 2.25],
            [0, 0, 0, 1, 0],
        ),
        # k = log2(4) = 2: the same factor 0.75
        ({"decay": Decay.SHIFT}, [2, 3.5, 1, 2.75, 1], [0, 0, 1, 0, 1]),
        ({"decay": Decay.NONE}, [2, 1, 3, 1, 3], [0, 1, 0, 1, 0]),
        # A whole r * I = 8 a step
        ({"input_gain": InputGain.ONE}, [1, 1, 1], [1, 1, 1]),
        ({"input_gain": InputGain.ONE_MINUS_ALPHA}, [2, 3.5, 1, 2.75, 1], [0, 0, 1, 0, 1]),
        # dt doubled: v' = 0.5 v + 4
        ({"dt": 2.0, "comparison": Comparison.GT}, [4, 1, 1, 1], [0, 1, 1, 1]),
        ({"dt": 2.0, "comparison": Comparison.GE}, [1, 1, 1], [1, 1, 1]),
    ],
)
def test_options_by_hand(
    options: dict[str, Any], potentials: list[float], spikes: list[int]
) -> None:
    neuron = FloatNeuron(profile=Profile(**{"name": "hand"} | options), **BASE)
    assert run(neuron, [8.0] * len(spikes)) == (potentials, spikes)


@pytest.mark.parametrize(
    ("comparison", "potentials", "spikes"),
    [
        (Comparison.GE, [2, 0, 2, 0], [0, 1, 0, 1]),
        (Comparison.GT, [2, 4, 0, 2], [0, 0, 1, 0]),
    ],
)
def test_comparison_at_equality(
    comparison: Comparison, potentials: list[float], spikes: list[int]
) -> None:
    neuron = FloatNeuron(profile=Profile(**PLAIN, comparison=comparison), v_th=4.0)
    assert run(neuron, [2.0] * 4) == (potentials, spikes)


@pytest.mark.parametrize(
    ("comparison", "currents", "potentials", "spikes"),
    [
        # Two thresholds exactly: both are reached, but only one is passed.
        (Comparison.GE, [2, 0, 0.5], [0, 0, 0.5], [2, 0, 0]),
        (Comparison.GT, [2, 0, 0.5], [1, 1, 0.5], [1, 0, 1]),
        # At most three; the rest waits, and negative potentials give none.
        (Comparison.GE, [9, 0, 0, -5], [6, 3, 0, -5], [3, 3, 3, 0]),
        (Comparison.GT, [9, 0, 0, -5], [6, 3, 1, -4], [3, 3, 2, 0]),
        (Comparison.GE, [2.5, 0.5], [0.5, 0], [2, 1]),
    ],
)
def test_many_spikes(
    comparison: Comparison, currents: list[float], potentials: list[float], spikes: list[int]
) -> None:
    profile = Profile(**PLAIN, comparison=comparison, reset=Reset.SUBTRACT, max_spikes=3)
    assert run(FloatNeuron(profile=profile, v_th=1.0), currents) == (potentials, spikes)


def test_refractory_steps_hold_the_potential() -> None:
    neuron = FloatNeuron(profile=Profile(**PLAIN, refractory_steps=2), v_th=4.0, v_reset=1.0)
    # 2, 4 -> spike, held twice at 1, 3, 5 -> spike, held twice at 1
    assert run(neuron, [2.0] * 8) == ([2, 1, 1, 1, 3, 1, 1, 1], [0, 1, 0, 0, 0, 1, 0, 0])
    # Input that would bring a spike in each step is ignored as well.
    assert run(neuron, [5.0] * 7) == ([1] * 7, [1, 0, 0, 1, 0, 0, 1])


def test_refractory_steps_with_the_old_potential() -> None:
    profile = Profile(**PLAIN, refractory_steps=1, compared=Compared.OLD)
    neuron = FloatNeuron(profile=profile, v_th=4.0, v_reset=1.0)
    # 2, 4, spike and 1 + 2, held at 3, 5, spike and 1 + 2, held at 3
    assert run(neuron, [2.0] * 7) == ([2, 4, 3, 3, 5, 3, 3], [0, 0, 1, 0, 0, 1, 0])
    # 5, spike and 1 + 5, held at 6 though that is above the threshold, spike
    assert run(neuron, [5.0] * 6) == ([5, 6, 6, 6, 6, 6], [0, 1, 0, 1, 0, 1])


def test_floor() -> None:
    neuron = FloatNeuron(profile=Profile(**PLAIN), v_th=4.0, v_min=-4.0)
    assert run(neuron, [-3.0, -3.0, -3.0, 1.0]) == ([-3, -4, -4, -3], [0, 0, 0, 0])


def test_floor_acts_after_the_reset() -> None:
    neuron = FloatNeuron(profile=Profile(**PLAIN), v_th=4.0, v_reset=-6.0, v_min=-4.0)
    assert run(neuron, [5.0, 0.0]) == ([-4, -4], [1, 0])


def test_bias_is_a_current() -> None:
    """It passes through gain and order as the input does."""
    profile = Profile(name="bias", order=Order.INPUT_FIRST)
    neuron = FloatNeuron(profile=profile, v_th=100.0, tau=4.0, r=2.0, bias=6.0)
    # gain 0.5: drive (2 + 6) / 2 = 4, then 0.75 (v + 4)
    assert run(neuron, [2.0] * 3)[0] == [3.0, 5.25, 6.9375]


def test_constant_leak() -> None:
    profile = Profile(name="leak", dt=0.5, decay=Decay.CONSTANT)
    neuron = FloatNeuron(profile=profile, v_th=100.0, tau=4.0, v_leak=2.0)
    # gain and leak have the factor 1/8: 8/8 - 2/8
    assert neuron.leak == 0.25
    assert run(neuron, [8.0, 8.0, 0.0])[0] == [0.75, 1.5, 1.25]


@pytest.mark.parametrize("decay", [Decay.EULER, Decay.EXPONENTIAL, Decay.SHIFT, Decay.NONE])
def test_no_leak_without_constant_decay(decay: Decay) -> None:
    profile = Profile(name="none", decay=decay)
    assert FloatNeuron(profile=profile, v_th=1.0, v_leak=2.0).leak == 0.0


def test_exponential_decay_is_the_analytic_solution() -> None:
    """``tau dv/dt = -v + I`` from 0 gives ``I (1 - exp(-t / tau))``; without input, decay."""
    profile = Profile(
        name="exact", dt=0.1, decay=Decay.EXPONENTIAL, input_gain=InputGain.ONE_MINUS_ALPHA
    )
    neuron = FloatNeuron(profile=profile, v_th=100.0, tau=3.0, r=2.0)
    potentials, _ = run(neuron, [5.0] * 60 + [0.0] * 60)
    charged = [10 * (1 - math.exp(-0.1 * (t + 1) / 3)) for t in range(60)]
    decayed = [charged[-1] * math.exp(-0.1 * (t + 1) / 3) for t in range(60)]
    assert potentials == pytest.approx(charged + decayed, rel=1e-12)


@pytest.mark.parametrize(
    ("tau", "dt", "shift", "alpha"),
    [
        (4.0, 1.0, 2, 0.75),
        (4.0, 0.5, 3, 0.875),
        (5.0, 1.0, 2, 0.75),  # log2(5) = 2.32
        (6.0, 1.0, 3, 0.875),  # log2(6) = 2.58
        (1.0, 1.0, 0, 0.0),
        (0.1, 1.0, 0, 0.0),
    ],
)
def test_decay_shift(tau: float, dt: float, shift: int, alpha: float) -> None:
    neuron = FloatNeuron(profile=Profile(name="s", dt=dt, decay=Decay.SHIFT), v_th=1.0, tau=tau)
    assert (neuron.decay_shift, neuron.alpha) == (shift, alpha)


@pytest.mark.parametrize(
    ("decay", "gain", "expected"),
    [
        (Decay.EULER, InputGain.DT_OVER_TAU, 3 / 8),
        (Decay.EULER, InputGain.ONE_MINUS_ALPHA, 3 / 8),
        (Decay.EULER, InputGain.ONE, 3.0),
        (Decay.EXPONENTIAL, InputGain.DT_OVER_TAU, 3 / 8),
        (Decay.EXPONENTIAL, InputGain.ONE_MINUS_ALPHA, 3 * (1 - math.exp(-1 / 8))),
        (Decay.EXPONENTIAL, InputGain.ONE, 3.0),
        (Decay.NONE, InputGain.DT_OVER_TAU, 3 / 8),
        (Decay.NONE, InputGain.ONE_MINUS_ALPHA, 0.0),
    ],
)
def test_gain(decay: Decay, gain: InputGain, expected: float) -> None:
    profile = Profile(name="gain", dt=0.5, decay=decay, input_gain=gain)
    assert FloatNeuron(profile=profile, v_th=1.0, tau=4.0, r=3.0).gain == pytest.approx(expected)


def test_neurons_do_not_touch_each_other() -> None:
    neuron = FloatNeuron(profile=Profile(**PLAIN), v_th=4.0)
    state, spikes = neuron.step(neuron.initial((2, 3)), [[1.0, 5.0, 3.0], [4.0, 0.0, -1.0]])
    assert spikes.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert state.v.tolist() == [[1, 0, 3], [0, 0, -1]]


EULER: dict[str, Any] = {"name": "euler", "dt": 1e-4, "comparison": Comparison.GT}
EXPONENTIAL: dict[str, Any] = {"name": "exp", "dt": 1e-4, "decay": Decay.EXPONENTIAL}
SINABS = EXPONENTIAL | {
    "input_gain": InputGain.ONE,
    "reset": Reset.SUBTRACT,
    "max_spikes": 255,
}


@pytest.mark.parametrize(
    ("name", "options", "input_factor", "v_factor"),
    [
        # The file's own unit of v, and whether its v can be compared at all.
        ("norse", EULER, 1.0, 1.0),
        ("snntorch", EULER, 1.0, 25.0),
        ("spinnaker2", EULER, 1.0, 25.0),
        (
            "nengo",
            EXPONENTIAL | {"input_gain": InputGain.ONE_MINUS_ALPHA, "comparison": Comparison.GT},
            1.0,
            10.0,
        ),
        ("sinabs", SINABS, 1.0, 1.0),
        ("rockpool", SINABS, 0.04, 1.0),
        (
            "spyx",
            EULER
            | {
                "input_gain": InputGain.ONE,
                "compared": Compared.OLD,
                "reset": Reset.SUBTRACT,
            },
            0.04,
            None,
        ),
    ],
)
def test_recordings_of_other_tools(
    shared: Path, name: str, options: dict[str, Any], input_factor: float, v_factor: float | None
) -> None:
    """One LIF neuron, tau 2.5 ms, v_th 0.1, as ten tools ran it; the NIR paper's first figure."""
    recording = np.loadtxt(shared / "nir" / "lif" / f"lif_{name}.csv", delimiter=",")
    neuron = FloatNeuron(profile=Profile(**options), tau=0.0025, v_th=0.1)
    potentials, spikes = run(neuron, recording[:, 0] * input_factor)
    assert spikes == recording[:, 2].astype(int).tolist()
    if v_factor is not None:
        silent = recording[:, 2] == 0
        theirs = recording[silent, 1] / v_factor
        assert np.array(potentials)[silent] == pytest.approx(theirs, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "name",
    [
        *("v_th", "tau", "r", "v_reset", "v_init", "v_leak", "bias", "v_min"),
        *("tau_syn", "w_in"),
    ],
)
def test_wrong_value_that_is_not_finite(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be finite, not {value!r}$"):
        FloatNeuron(**{"profile": TEXTBOOK_LIF, "v_th": 1.0} | {name: value})


@pytest.mark.parametrize("profile_options", [{}, {"reset": Reset.SUBTRACT, "max_spikes": 3}])
def test_arrays_are_one_neuron_each(profile_options: dict[str, Any]) -> None:
    """Three neurons with parameters of their own, and the same three one by one."""
    profile = Profile(name="many", **profile_options)
    each: dict[str, list[float]] = {
        "v_th": [1.0, 2.0, 0.5],
        "tau": [4.0, 2.0, 8.0],
        "r": [1.0, 4.0, 2.0],
        "v_reset": [0.25, -0.5, 0.0],
        "v_init": [0.5, 0.0, 0.25],
        "v_leak": [0.0, 1.0, -1.0],
        "bias": [0.0, 0.5, -0.5],
        "v_min": [-1.0, -0.25, -0.125],
        "tau_syn": [2.0, 4.0, 2.0],
        "w_in": [1.0, 2.0, 4.0],
    }
    currents = [3.0, -2.0, 5.0, 4.0, -6.0, 7.0]
    together = FloatNeuron(profile=profile, **{n: np.array(v) for n, v in each.items()})
    state = together.initial((3,))
    alone = [
        FloatNeuron(profile=profile, **{name: values[k] for name, values in each.items()})
        for k in range(3)
    ]
    states = [neuron.initial((1,)) for neuron in alone]
    for current in currents:
        state, spikes = together.step(state, current)
        for k in range(3):
            states[k], emitted = alone[k].step(states[k], [current])
            assert states[k].v.item() == state.v[k]
            assert states[k].i_syn is not None
            assert state.i_syn is not None
            assert states[k].i_syn.item() == state.i_syn[k]
            assert emitted.item() == spikes[k]


def test_equal_numbers_of_an_array_are_one() -> None:
    neuron = FloatNeuron(profile=TEXTBOOK_LIF, v_th=np.array([2, 2]), tau=np.array([4.0, 5.0]))
    assert neuron.v_th == 2.0
    assert isinstance(neuron.tau, np.ndarray)
    with pytest.raises(ValueError, match="read-only"):
        neuron.tau[0] = 1.0


@pytest.mark.parametrize(
    ("options", "synapse", "potentials"),
    [
        # i' = i/2 + 8/2 for an input of 8, then 0; v' = 3/4 v + i/4
        ({}, [4.0, 2.0, 1.0], [1.0, 1.25, 1.1875]),
        ({"synapse_order": Order.INPUT_FIRST}, [2.0, 1.0, 0.5], [0.5, 0.625, 0.59375]),
        ({"synapse_gain": InputGain.ONE}, [8.0, 4.0, 2.0], [2.0, 2.5, 2.375]),
    ],
)
def test_synapse_by_hand(
    options: dict[str, Any], synapse: list[float], potentials: list[float]
) -> None:
    profile = Profile(**{"name": "synapse"} | options)
    neuron = FloatNeuron(profile=profile, v_th=100.0, tau=4.0, tau_syn=2.0)
    state = neuron.initial((1,))
    found = []
    for current in (8.0, 0.0, 0.0):
        state, _ = neuron.step(state, [current])
        assert state.i_syn is not None
        found.append((state.i_syn.item(), state.v.item()))
    assert found == list(zip(synapse, potentials, strict=True))
    weighted = FloatNeuron(profile=profile, v_th=100.0, tau=4.0, tau_syn=2.0, w_in=4.0)
    assert run(weighted, [2.0, 0.0, 0.0])[0] == potentials


def test_bias_passes_the_synapse() -> None:
    neuron = FloatNeuron(profile=Profile(name="s"), v_th=9.0, tau=4.0, tau_syn=2.0, bias=8.0)
    assert run(neuron, [0.0, -8.0])[0] == [1.0, 1.25]


@pytest.mark.parametrize("decay", Decay)
def test_without_a_time_constant_nothing_decays(decay: Decay) -> None:
    """NIR's ``dv/dt = r I``, in steps or in the unit of dt; ``v_leak`` means nothing."""
    for gain, factor in ((InputGain.ONE, 1.0), (InputGain.DT, 0.5)):
        profile = Profile(name="if", dt=0.5, decay=decay, integrator_gain=gain)
        neuron = FloatNeuron(profile=profile, v_th=100.0, tau=None, r=2.0, v_leak=3.0)
        assert run(neuron, [1.0, 2.0, 0.0])[0] == [2 * factor, 6 * factor, 6 * factor]


def test_gain_of_the_threshold() -> None:
    """Potentials are 8 / (r dt) = 4 times as large, with all that they are compared with."""
    profile = Profile(name="into", input_gain=InputGain.INTO_THRESHOLD)
    options: dict[str, Any] = {"tau": 8.0, "r": 2.0, "v_th": 1.0, "v_reset": -0.25, "v_init": 0.5}
    options |= {"v_leak": 0.125, "v_min": -0.5}
    neuron = FloatNeuron(profile=profile, **options)
    assert (neuron.threshold, neuron.reset_value, neuron.initial_value) == (4.0, -1.0, 2.0)
    assert (neuron.gain, neuron.floor, neuron.rest) == (1.0, -2.0, 0.0625)
    plain = FloatNeuron(profile=Profile(name="plain"), **options)
    currents = [2.0, 1.0, 3.0, -9.0, 0.0, 9.0, 1.0]
    scaled, spikes = run(neuron, currents)
    assert run(plain, currents) == ([v / 4 for v in scaled], spikes)
    assert sum(spikes) == 2


@pytest.mark.parametrize("synapse", [{}, {"tau_syn": 4.0, "w_in": 3.0}])
def test_gain_of_the_threshold_where_there_is_none(synapse: dict[str, Any]) -> None:
    """What neurons send that never spike does not depend on the unit of others' thresholds."""
    options: dict[str, Any] = {"tau": 8.0, "r": 2.0, "v_th": None, "v_leak": 0.5, "v_init": 0.25}
    into = FloatNeuron(
        profile=Profile(name="into", input_gain=InputGain.INTO_THRESHOLD), **options, **synapse
    )
    plain = FloatNeuron(profile=Profile(name="plain"), **options, **synapse)
    currents = [2.0, 1.0, -3.0, 0.0]
    assert run(into, currents) == run(plain, currents)
    # 7/8 of 1/4, 1/8 of the leak 1/2 and of twice 2.
    if not synapse:
        assert run(into, currents)[0][0] == 7 / 32 + 1 / 16 + 1 / 2


@pytest.mark.parametrize("r", [0.0, np.array([1.0, 0.0])])
def test_wrong_r(r: Any) -> None:
    profile = Profile(name="into", input_gain=InputGain.INTO_THRESHOLD)
    message = r"^r must not be 0 where the threshold is divided by it, but one is$"
    with pytest.raises(ValueError, match=message):
        FloatNeuron(profile=profile, v_th=1.0, r=r)
    assert FloatNeuron(profile=profile, v_th=1.0, r=r, tau=None).gain is not None


def test_potential_decays_toward_the_leak() -> None:
    """3/4 of the way from 8 is left after a step: 2, 3.5, 4.625."""
    neuron = FloatNeuron(profile=Profile(name="rest"), v_th=100.0, tau=4.0, v_leak=8.0)
    assert run(neuron, [0.0] * 3)[0] == [2.0, 3.5, 4.625]


def test_neurons_that_never_spike() -> None:
    neuron = FloatNeuron(profile=Profile(**PLAIN, reset=Reset.SUBTRACT, max_spikes=3), v_th=None)
    assert run(neuron, [2.0] * 3) == ([2, 4, 6], [0, 0, 0])
    assert (neuron.threshold, neuron.most_spikes) == (None, 0)


def test_most_spikes_of_its_own() -> None:
    profile = Profile(**PLAIN, reset=Reset.SUBTRACT, max_spikes=7)
    assert run(FloatNeuron(profile=profile, v_th=1.0, max_spikes=1), [3.0, 0.0]) == ([2, 1], [1, 1])
    assert FloatNeuron(profile=profile, v_th=1.0).most_spikes == 7


def test_precision_is_that_of_the_state() -> None:
    neuron = FloatNeuron(profile=Profile(name="single"), v_th=9.0, tau=3.0, tau_syn=7.0, bias=0.1)
    state = neuron.initial((2,), np.float32)
    for _ in range(3):
        state, _ = neuron.step(state, [0.1, 0.7])
    assert state.i_syn is not None
    assert (state.v.dtype, state.i_syn.dtype) == (np.float32, np.float32)


def test_events_by_hand() -> None:
    """Each makes one spike at most, none goes below the floor, and 0 reaches nobody."""
    profile = Profile(
        **PLAIN, reset=Reset.SUBTRACT, max_spikes=3, accumulation=Accumulation.SPIKING_EVENT
    )
    neuron = FloatNeuron(profile=profile, v_th=1.0, v_min=-1.0, v_init=1.5)
    state = neuron.initial((2,))
    events = [np.array(event) for event in ([0.0, 0.5], [-3.0, 0.5], [1.5, 0.0], [0.5, 2.0])]
    state, spikes = neuron.step_events(state, events)
    # 1.5, -1 (the floor), 0.5, 1 -> 0; and 2 -> 1, 1.5 -> 0.5, 0.5, 2.5 -> 1.5
    assert state.v.tolist() == [0.0, 1.5]
    assert spikes.tolist() == [1, 3]
    state, spikes = neuron.step_events(state, [np.array([0.0, 1.0])] * 5)
    assert spikes.tolist() == [0, 3]
    biased = FloatNeuron(profile=profile, v_th=1.0, bias=0.75)
    assert biased.step_events(biased.initial((1,)), [np.array([0.5])])[1].tolist() == [1]


@pytest.mark.parametrize(
    ("decay", "options"),
    [(Decay.EULER, {}), (Decay.CONSTANT, {"v_leak": 1.0}), (Decay.NONE, {"tau_syn": 2.0})],
)
def test_wrong_accumulation(decay: Decay, options: dict[str, Any]) -> None:
    """What cannot be done event by event is not left out silently."""
    profile = Profile(name="events", decay=decay, accumulation=Accumulation.SPIKING_EVENT)
    message = r"^accumulation 'spiking-event' must go with neurons without synapse and decay$"
    with pytest.raises(ValueError, match=message):
        FloatNeuron(profile=profile, v_th=1.0, tau=4.0, **options)
    assert FloatNeuron(profile=profile, v_th=1.0, tau=None).alpha == 1.0


@pytest.mark.parametrize("tau", [0.0, -1.0])
def test_wrong_tau_syn(tau: float) -> None:
    with pytest.raises(ValueError, match=rf"^tau_syn must be positive, not {tau!r}$"):
        FloatNeuron(profile=TEXTBOOK_LIF, v_th=1.0, tau_syn=tau)


def test_wrong_number_among_many() -> None:
    with pytest.raises(ValueError, match=r"^tau must be positive, not -2\.0$"):
        FloatNeuron(profile=TEXTBOOK_LIF, v_th=1.0, tau=np.array([1.0, -2.0]))
    with pytest.raises(ValueError, match=r"^bias must be finite, not nan$"):
        FloatNeuron(profile=TEXTBOOK_LIF, v_th=1.0, bias=np.array([1.0, math.nan]))


@pytest.mark.parametrize("tau", [0.0, -1.0])
def test_wrong_tau(tau: float) -> None:
    with pytest.raises(ValueError, match=rf"^tau must be positive, not {tau!r}$"):
        FloatNeuron(profile=TEXTBOOK_LIF, v_th=1.0, tau=tau)


@pytest.mark.parametrize("v_th", [0.0, -1.0])
def test_wrong_v_th(v_th: float) -> None:
    message = rf"^v_th must be positive where the reset subtracts it, not {v_th!r}$"
    with pytest.raises(ValueError, match=message):
        FloatNeuron(profile=TEXTBOOK_IAF, v_th=v_th)
    assert FloatNeuron(profile=TEXTBOOK_LIF, v_th=v_th).v_th == v_th
