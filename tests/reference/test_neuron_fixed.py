"""The fixed-point neuron against a naive one, exhaustively where the words are short.

:func:`naive_step` is written from the documentation alone, for one neuron, in Python's integers.
"""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.reference.network import FixedDense, FixedNetwork
from spikeloom.reference.neuron_fixed import (
    DecayRule,
    FixedState,
    NeuronConfig,
    initial_state,
    step,
)
from spikeloom.reference.profile import Compared, Comparison, Order, Reset
from spikeloom.reference.simulate import run_fixed, run_neurons

WORD = QFormat(word_length=8)


def config(**options: Any) -> NeuronConfig:
    """A neuron that only integrates: what a test leaves out."""
    return NeuronConfig(**{"size": 1, "state": WORD, "current_width": 8, "threshold": 50} | options)


def naive_quotient(value: int, bits: int, rounding: Rounding) -> int:
    below, part = divmod(value, 2**bits)
    if part == 0 or rounding is Rounding.FLOOR:
        return below
    if rounding is Rounding.TOWARD_ZERO:
        return below if value > 0 else below + 1
    if 2 * part == 2**bits:
        return below if below % 2 == 0 else below + 1
    return below if 2 * part < 2**bits else below + 1


def naive_fit(value: int, word: QFormat) -> int:
    half = 2 ** (word.word_length - 1)
    if word.overflow is Overflow.SATURATE:
        return min(max(value, -half), half - 1)
    return (value + half) % (2 * half) - half


def naive_decay(v: int, decay: int, c: NeuronConfig) -> int:
    rounding = c.state.rounding
    if c.decay_rule is DecayRule.MULTIPLIER:
        return naive_quotient(v * decay, c.decay_fraction, rounding)
    if c.decay_rule is DecayRule.SHIFT:
        loss = naive_quotient(v, decay, rounding)
        if c.shift_at_least_one and v > 0 and loss == 0:
            loss = 1
        return v - loss
    return v


def naive_fire(v: int, threshold: int, c: NeuronConfig) -> tuple[int, int]:
    spikes = 0
    while spikes < c.max_spikes:
        if v < threshold or (v == threshold and c.comparison is Comparison.GT):
            break
        spikes += 1
        if c.reset is Reset.SUBTRACT:
            v -= threshold
        elif c.reset is Reset.TO_VALUE:
            v = c.v_reset
    return v, spikes


def naive_step(
    v: int, refractory: int, current: int, c: NeuronConfig, neuron: int = 0
) -> tuple[int, int, int]:
    """Potential, refractory steps and spikes after one step of one neuron."""
    if refractory > 0:
        return v, refractory - 1, 0
    threshold, decay, bias = (
        value[neuron] if isinstance(value, tuple) else value
        for value in (c.threshold, c.decay, c.bias)
    )
    spikes = 0
    if c.compared is Compared.OLD:
        v, spikes = naive_fire(v, threshold, c)
    drive = current + bias - (decay if c.decay_rule is DecayRule.CONSTANT else 0)
    if c.order is Order.DECAY_FIRST:
        v = naive_fit(naive_decay(v, decay, c) + drive, c.state)
    else:
        v = naive_decay(naive_fit(v + drive, c.state), decay, c)
    if c.compared is Compared.NEW:
        v, spikes = naive_fire(v, threshold, c)
    if c.floor is not None:
        v = max(v, c.floor)
    return v, c.refractory_steps if spikes else 0, spikes


def check_every_state(c: NeuronConfig) -> None:
    """Compare for each potential, current and refractory state of a short word."""
    half, current_half = 1 << (c.state.word_length - 1), 1 << (c.current_width - 1)
    held = [0, 1, c.refractory_steps] if c.refractory_steps else [0]
    cases = list(itertools.product(range(-half, half), held, range(-current_half, current_half)))
    v, refractory, current = np.array(cases).T[:, :, None]
    state, spikes = step(FixedState(v, refractory), current, c)
    found = zip(
        state.v[:, 0].tolist(), state.refractory[:, 0].tolist(), spikes[:, 0].tolist(), strict=True
    )
    for case, result in zip(cases, found, strict=True):
        assert result == naive_step(*case, c), f"v, refractory, current = {case} of {c}"


DECAYS = [
    *((DecayRule.MULTIPLIER, False, rounding) for rounding in Rounding),
    *((DecayRule.SHIFT, False, rounding) for rounding in Rounding),
    *((DecayRule.SHIFT, True, rounding) for rounding in Rounding),
    (DecayRule.CONSTANT, False, Rounding.FLOOR),
    (DecayRule.NONE, False, Rounding.FLOOR),
]

RESETS = [
    (Reset.TO_VALUE, 1),
    (Reset.NONE, 1),
    (Reset.SUBTRACT, 1),
    (Reset.SUBTRACT, 3),
    (Reset.SUBTRACT, 7),
]


@pytest.mark.parametrize(("rule", "at_least_one", "rounding"), DECAYS)
def test_every_state_of_every_combination(
    rule: DecayRule, at_least_one: bool, rounding: Rounding
) -> None:
    """All legal combinations of options; their numbers are drawn with seed 1."""
    rng = random.Random(1)
    for overflow, order, comparison, compared, (
        reset,
        max_spikes,
    ), floor, refractory in itertools.product(
        Overflow, Order, Comparison, Compared, RESETS, (None, -3), (0, 2)
    ):
        word_length = 4
        half = 1 << (word_length - 1)
        decay = {
            DecayRule.MULTIPLIER: rng.randint(0, 8),
            DecayRule.SHIFT: rng.randint(0, 5),
            DecayRule.CONSTANT: rng.randint(-half, half - 1),
            DecayRule.NONE: 0,
        }
        check_every_state(
            config(
                state=QFormat(word_length=word_length, rounding=rounding, overflow=overflow),
                current_width=4,
                threshold=rng.randint(1 if reset is Reset.SUBTRACT else -half, half - 1),
                decay_rule=rule,
                decay=decay[rule],
                decay_fraction=3,
                shift_at_least_one=at_least_one,
                bias=rng.randint(-8, 7),
                order=order,
                comparison=comparison,
                compared=compared,
                reset=reset,
                v_reset=rng.randint(-half, half - 1),
                max_spikes=max_spikes,
                floor=floor,
                refractory_steps=refractory,
            )
        )


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("fraction", [1, 3])
def test_every_multiplier(fraction: int, rounding: Rounding) -> None:
    word = QFormat(word_length=5, rounding=rounding)
    for decay in range((1 << fraction) + 1):
        check_every_state(
            config(
                state=word,
                current_width=2,
                threshold=9,
                decay_rule=DecayRule.MULTIPLIER,
                decay=decay,
                decay_fraction=fraction,
            )
        )


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("at_least_one", [False, True])
def test_every_shift(at_least_one: bool, rounding: Rounding) -> None:
    word = QFormat(word_length=5, rounding=rounding)
    for decay in (*range(8), 31):
        check_every_state(
            config(
                state=word,
                current_width=2,
                threshold=9,
                decay_rule=DecayRule.SHIFT,
                decay=decay,
                shift_at_least_one=at_least_one,
            )
        )


def per_neuron(draw: st.DrawFn, lowest: int, highest: int, size: int) -> int | tuple[int, ...]:
    one = st.integers(lowest, highest)
    many = st.lists(one, min_size=size, max_size=size).map(tuple)
    return draw(st.one_of(one, many))


@st.composite
def wide_configs(draw: st.DrawFn) -> NeuronConfig:
    """Any legal configuration of up to 4 neurons with words up to the widest."""
    size = draw(st.integers(1, 4))
    state = QFormat(
        word_length=draw(st.sampled_from([4, 16, 24, 32])),
        rounding=draw(st.sampled_from(Rounding)),
        overflow=draw(st.sampled_from(Overflow)),
    )
    low, high = state.min, state.max
    current_width = draw(st.sampled_from([2, 16, 48]))
    rule = draw(st.sampled_from(DecayRule))
    fraction = draw(st.sampled_from([1, 8, 12, 16]))
    reset = draw(st.sampled_from(Reset))
    decays = {
        DecayRule.MULTIPLIER: (0, 1 << fraction),
        DecayRule.SHIFT: (0, 31),
        DecayRule.CONSTANT: (low, high),
        DecayRule.NONE: (0, 0),
    }
    half = 1 << (current_width - 1)
    # Small thresholds too: only they make many spikes.
    highest = draw(st.sampled_from([7, high]))
    return NeuronConfig(
        size=size,
        state=state,
        current_width=current_width,
        threshold=per_neuron(draw, 1 if reset is Reset.SUBTRACT else low, highest, size),
        decay_rule=rule,
        decay=per_neuron(draw, *decays[rule], size),
        decay_fraction=fraction,
        shift_at_least_one=rule is DecayRule.SHIFT and draw(st.booleans()),
        bias=per_neuron(draw, -half, half - 1, size),
        order=draw(st.sampled_from(Order)),
        comparison=draw(st.sampled_from(Comparison)),
        compared=draw(st.sampled_from(Compared)),
        reset=reset,
        v_reset=draw(st.integers(low, high)),
        v_init=draw(st.integers(low, high)),
        max_spikes=draw(st.sampled_from([1, 3, 255])) if reset is Reset.SUBTRACT else 1,
        floor=draw(st.one_of(st.none(), st.integers(low, 0))),
        refractory_steps=draw(st.sampled_from([0, 1, 255])),
    )


@given(wide_configs(), st.data())
def test_trajectories_at_all_widths(c: NeuronConfig, data: st.DataObject) -> None:
    """Several steps from the initial state, neuron by neuron."""
    half = 1 << (c.current_width - 1)
    row = st.lists(st.integers(-half, half - 1), min_size=c.size, max_size=c.size)
    currents = data.draw(st.lists(row, min_size=1, max_size=6))
    state = initial_state(c)
    naive = [(c.v_init, 0, 0)] * c.size
    for current in currents:
        state, spikes = step(state, current, c)
        naive = [
            naive_step(v, refractory, current[n], c, n)
            for n, (v, refractory, _) in enumerate(naive)
        ]
        assert (
            list(zip(state.v.tolist(), state.refractory.tolist(), spikes.tolist(), strict=True))
            == naive
        )


def trajectory(c: NeuronConfig, currents: Sequence[int]) -> tuple[list[int], list[int]]:
    spikes, v = run_neurons(c, np.array(currents).reshape(1, -1, 1))
    return v.ravel().tolist(), spikes.ravel().tolist()


@pytest.mark.parametrize(
    ("options", "potentials", "spikes"),
    [
        # 20 a step, threshold 50
        ({}, [20, 40, 10, 30, 0], [0, 0, 1, 0, 1]),
        ({"threshold": 40}, [20, 0, 20, 0, 20], [0, 1, 0, 1, 0]),
        ({"threshold": 40, "comparison": Comparison.GT}, [20, 40, 20, 40, 20], [0, 0, 1, 0, 1]),
        ({"reset": Reset.TO_VALUE, "v_reset": -7}, [20, 40, -7, 13, 33], [0, 0, 1, 0, 0]),
        ({"reset": Reset.NONE}, [20, 40, 60, 80, 100, 120, 127], [0, 0, 1, 1, 1, 1, 1]),
        ({"compared": Compared.OLD}, [20, 40, 60, 30, 50, 20], [0, 0, 0, 1, 0, 1]),
        ({"bias": -15, "v_init": 45}, [0, 5], [1, 0]),
        ({"threshold": 7, "max_spikes": 3}, [6, 5, 4, 3], [2, 3, 3, 3]),
        ({"refractory_steps": 2}, [20, 40, 10, 10, 10, 30, 0], [0, 0, 1, 0, 0, 0, 1]),
        ({"decay_rule": DecayRule.CONSTANT, "decay": 5}, [15, 30, 45, 10], [0, 0, 0, 1]),
        # 3/4, cut off: 20, 35, 26 + 20 = 46, 34 + 20 = 54
        (
            {"decay_rule": DecayRule.MULTIPLIER, "decay": 3, "decay_fraction": 2},
            [20, 35, 46, 4],
            [0, 0, 0, 1],
        ),
        # less a quarter, cut off: 20, 15 + 20, 27 + 20, 36 + 20
        ({"decay_rule": DecayRule.SHIFT, "decay": 2}, [20, 35, 47, 6], [0, 0, 0, 1]),
        (
            {"decay_rule": DecayRule.SHIFT, "decay": 2, "order": Order.INPUT_FIRST},
            [15, 27, 36, 42, 47, 1],
            [0, 0, 0, 0, 0, 1],
        ),
    ],
)
def test_options_by_hand(options: dict[str, Any], potentials: list[int], spikes: list[int]) -> None:
    found = trajectory(config(**options), [20] * len(spikes))
    # A multi-spike neuron at 7: 20 = 2*7 + 6, 26 -> 5, 25 -> 4, 24 -> 3.
    assert found == (potentials, spikes)


@pytest.mark.parametrize(
    ("overflow", "potentials"),
    [(Overflow.SATURATE, [-100, -128, -28]), (Overflow.WRAP, [-100, 56, -100])],
)
def test_overflow_by_hand(overflow: Overflow, potentials: list[int]) -> None:
    """-200 is 56 in eight bits, and 156 is -100."""
    c = config(state=QFormat(word_length=8, overflow=overflow), threshold=127)
    assert trajectory(c, [-100, -100, 100])[0] == potentials


def test_overflow_is_applied_once() -> None:
    """Current and bias leave the word together, but their sum with the potential does not."""
    c = config(current_width=10, bias=-400, threshold=100)
    assert trajectory(c, [420, 450]) == ([20, 70], [0, 0])


def test_floor_by_hand() -> None:
    c = config(floor=-30)
    assert trajectory(c, [-20, -20, -128, 127, 5]) == ([-20, -30, -30, 47, 2], [0, 0, 0, 1, 1])


@pytest.mark.parametrize("k", [0, 1, 163, 2048, 4095, 4096])
def test_loihi_decay(k: int) -> None:
    """``dec(x, k) = sign(x) * ((|x| * (4096 - k)) >> 12)``."""
    v = np.arange(-5000, 5001)
    c = config(
        size=len(v),
        state=QFormat(word_length=24, rounding=Rounding.TOWARD_ZERO),
        threshold=2**23 - 1,
        decay_rule=DecayRule.MULTIPLIER,
        decay=4096 - k,
        decay_fraction=12,
    )
    state, _ = step(FixedState(v, np.zeros_like(v)), 0, c)
    sign = [-1 if x < 0 else 1 for x in v.tolist()]
    expected = [s * ((abs(x) * (4096 - k)) >> 12) for s, x in zip(sign, v.tolist(), strict=True)]
    assert state.v.tolist() == expected


@pytest.mark.parametrize("k", [0, 1, 3, 7, 15])
def test_xylo_decay(k: int) -> None:
    """``v - d(v, k)``, ``d(x, k) = x >> k``, but 1 where that is 0 and x > 0."""
    v = np.arange(-(2**15), 2**15)
    c = config(
        size=len(v),
        state=QFormat(word_length=16),
        threshold=2**15 - 1,
        decay_rule=DecayRule.SHIFT,
        decay=k,
        shift_at_least_one=True,
    )
    state, _ = step(FixedState(v, np.zeros_like(v)), 0, c)
    dashes = [1 if x > 0 and x >> k == 0 else x >> k for x in v.tolist()]
    assert state.v.tolist() == [x - dash for x, dash in zip(v.tolist(), dashes, strict=True)]


@pytest.mark.parametrize("name", ["lava_cpu_fixed", "lava_loihi_fixed"])
def test_recording_of_lava(shared: Path, name: str) -> None:
    """dv 163, weight 10 << 6, vth 25 << 6, input one step late; the chip's v reads 128 at a spike.

    ``du`` is 4096, so that no synaptic current is left from the step before.
    """
    inputs, v, spikes = np.loadtxt(shared / "nir" / "lif" / f"lif_{name}.csv", delimiter=",").T
    c = config(
        state=QFormat(word_length=24, rounding=Rounding.TOWARD_ZERO),
        current_width=24,
        threshold=25 << 6,
        decay_rule=DecayRule.MULTIPLIER,
        decay=4096 - 163,
        decay_fraction=12,
        comparison=Comparison.GT,
        reset=Reset.TO_VALUE,
    )
    currents = [0, *(640 * inputs[:-1]).astype(int).tolist()]
    potentials, emitted = trajectory(c, currents)
    assert emitted == spikes.astype(int).tolist()
    assert sum(emitted) == 4
    assert np.array_equal(np.array(potentials)[spikes == 0], v[spikes == 0])


def test_recording_of_a_loihi_layer(shared: Path) -> None:
    """512,000 spike bits of lava-dl: dv 415, vth 6, weights << 6, input one step late."""
    recording = np.load(shared / "nir" / "loihi" / "oxford_dense_recording.npz")
    late = np.roll(recording["spikes_in"].T, 1, axis=0)
    late[0] = 0
    neurons = NeuronConfig(
        size=256,
        state=QFormat(word_length=24, rounding=Rounding.TOWARD_ZERO),
        current_width=24,
        threshold=6 << 6,
        decay_rule=DecayRule.MULTIPLIER,
        decay=4096 - 415,
        decay_fraction=12,
        comparison=Comparison.GT,
        reset=Reset.TO_VALUE,
    )
    layer = FixedDense(
        weight=recording["weight"].T, weight_width=9, weight_shift=6, neurons=neurons
    )
    spikes = run_fixed(FixedNetwork((layer,), "loihi"), late[None]).spikes[0][0]
    assert np.array_equal(spikes, recording["spikes_out"].T)
    assert spikes.sum() == 1826


def test_recording_of_xylo(shared: Path) -> None:
    """The hidden neurons of XyloSim from its own synaptic currents: 16,000 potentials."""
    recording = np.load(shared / "nir" / "xylo" / "xylosim_0.1.3_random_net.npz")
    neurons = NeuronConfig(
        size=40,
        state=QFormat(word_length=16),
        current_width=16,
        threshold=recording["th"].tolist(),
        decay_rule=DecayRule.SHIFT,
        decay=recording["dm"].tolist(),
        shift_at_least_one=True,
        bias=recording["b"].tolist(),
        max_spikes=31,
    )
    spikes, v = run_neurons(neurons, recording["i_syn"][None].astype(np.int64))
    assert np.array_equal(spikes[0], recording["hidden"])
    assert np.array_equal(v[0], recording["v_mem"])


def test_init() -> None:
    c = config(size=3, v_init=-5, threshold=(7, 8, 9), decay=(0, 0, 0), bias=np.array([1, 1, 1]))
    assert (c.threshold, c.decay, c.bias) == ((7, 8, 9), 0, 1)
    state = initial_state(c, (2,))
    assert state.v.tolist() == [[-5] * 3] * 2
    assert state.refractory.tolist() == [[0] * 3] * 2


@pytest.mark.parametrize(
    ("max_spikes", "width"), [(1, 1), (3, 2), (7, 3), (15, 4), (127, 7), (255, 8)]
)
def test_count_width(max_spikes: int, width: int) -> None:
    assert config(max_spikes=max_spikes).count_width == width


def test_current_format() -> None:
    c = config(state=QFormat(word_length=8, fraction_bits=3), current_width=11)
    assert c.current == QFormat(word_length=11, fraction_bits=3)


def test_integers_of_numpy_are_integers() -> None:
    """Whatever is accepted as an integer must work as one."""
    c = config(
        size=np.int64(1), current_width=np.int64(8), max_spikes=np.int64(3), v_init=np.int64(1)
    )
    assert trajectory(c, [49, 0]) == ([0, 0], [1, 0])
    assert c.count_width == 2


@pytest.mark.parametrize("current", [128, -129])
def test_step_wrong_current(current: int) -> None:
    with pytest.raises(ValueError, match=r"^current must fit into 8 bits, but one does not$"):
        step(initial_state(config()), [current], config())


def test_step_wrong_kind_of_current() -> None:
    with pytest.raises(TypeError, match=r"^current must hold integers, not float64$"):
        step(initial_state(config()), [1.7], config())


SHIFT = {"decay_rule": DecayRule.SHIFT, "decay": 1}
MULTIPLIER = {"decay_rule": DecayRule.MULTIPLIER}
CONSTANT = {"decay_rule": DecayRule.CONSTANT}


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"size": 0}, "size must be 1 to 1048576, not 0"),
        ({"size": 2**20 + 1}, "size must be 1 to 1048576, not 1048577"),
        ({"current_width": 1}, "current_width must be 2 to 48, not 1"),
        ({"current_width": 49}, "current_width must be 2 to 48, not 49"),
        ({"decay_fraction": 0}, "decay_fraction must be 1 to 16, not 0"),
        ({"decay_fraction": 17}, "decay_fraction must be 1 to 16, not 17"),
        ({"threshold": 0}, "threshold must be 1 to 127, not 0"),
        ({"threshold": 128}, "threshold must be 1 to 127, not 128"),
        (
            {"threshold": -129, "reset": Reset.TO_VALUE},
            "threshold must be -128 to 127, not -129",
        ),
        ({"size": 2, "threshold": (3, 128)}, "threshold must be 1 to 127, not 128"),
        ({"v_reset": 128}, "v_reset must be -128 to 127, not 128"),
        ({"v_init": -129}, "v_init must be -128 to 127, not -129"),
        ({"bias": 128}, "bias must be -128 to 127, not 128"),
        ({"bias": -129}, "bias must be -128 to 127, not -129"),
        (MULTIPLIER | {"decay": 257}, "decay must be 0 to 256, not 257"),
        (MULTIPLIER | {"decay": -1}, "decay must be 0 to 256, not -1"),
        (SHIFT | {"decay": 32}, "decay must be 0 to 31, not 32"),
        (SHIFT | {"decay": -1}, "decay must be 0 to 31, not -1"),
        (CONSTANT | {"decay": 128}, "decay must be -128 to 127, not 128"),
        ({"decay": 1}, "decay must be 0 to 0, not 1"),
        ({"floor": 1}, "floor must be -128 to 0, not 1"),
        ({"floor": -129}, "floor must be -128 to 0, not -129"),
        ({"max_spikes": 2}, "max_spikes must be 1, 3, 7, 15, 31, 63, 127 or 255, not 2"),
        (
            {"max_spikes": 3, "reset": Reset.NONE},
            "max_spikes must be 1 where the reset is not by subtraction, not 3",
        ),
        ({"refractory_steps": 256}, "refractory_steps must be 0 to 255, not 256"),
        ({"refractory_steps": -1}, "refractory_steps must be 0 to 255, not -1"),
        (
            {"shift_at_least_one": True},
            "shift_at_least_one must go with a shift decay, not 'none'",
        ),
        ({"size": 2, "threshold": (3, 4, 5)}, "threshold must have 2 values, one a neuron, not 3"),
        ({"size": 2, "bias": (3,)}, "bias must have 2 values, one a neuron, not 1"),
    ],
)
def test_wrong_value(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rf"^{rule}$"):
        config(**options)


@pytest.mark.parametrize(
    "state",
    [
        QFormat(word_length=3),
        QFormat(word_length=33),
        QFormat(word_length=8, signed=False),
    ],
)
def test_wrong_state(state: QFormat) -> None:
    with pytest.raises(ValueError, match=r"^state must be a signed word of 4 to 32 bits, not a"):
        config(state=state, threshold=3)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("state", "QFormat"),
        ("decay_rule", "DecayRule"),
        ("order", "Order"),
        ("comparison", "Comparison"),
        ("compared", "Compared"),
        ("reset", "Reset"),
    ],
)
def test_wrong_kind_of_option(name: str, kind: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must be a {kind}, not 'none'$"):
        config(**{name: "none"})


@pytest.mark.parametrize("value", [1.0, "1", True, None])
@pytest.mark.parametrize(
    "name",
    [
        "size",
        "current_width",
        "decay_fraction",
        "v_reset",
        "v_init",
        "max_spikes",
        "refractory_steps",
    ],
)
def test_wrong_kind_of_integer(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must be an integer, not {value!r}$"):
        config(**{name: value})


@pytest.mark.parametrize("value", [1.0, "1", True])
def test_wrong_kind_of_floor(value: object) -> None:
    with pytest.raises(TypeError, match=rf"^floor must be an integer or None, not {value!r}$"):
        config(floor=value)


@pytest.mark.parametrize("value", [1.5, None, True, [1.5], "1", [True], [[1]]])
@pytest.mark.parametrize("name", ["threshold", "decay", "bias"])
def test_wrong_kind_of_parameter(name: str, value: object) -> None:
    message = rf"^{name} must be an integer or a sequence of integers, not "
    with pytest.raises(TypeError, match=message):
        config(**{name: value})
