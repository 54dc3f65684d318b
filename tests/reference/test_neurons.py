"""The fixed-point neuron against a naive one, exhaustively where the words are short.

:func:`naive_step` is written from the documentation alone, for one neuron, in Python's integers.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig, SynapseConfig
from spikeloom.reference.neurons import FixedState, Neurons, initial_state, step
from spikeloom.reference.profile import Accumulation, Compared, Comparison, Order, Reset
from spikeloom.reference.simulate import run_neurons

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


def of(value: Any, neuron: int) -> Any:
    """The value of one neuron."""
    return value[neuron] if isinstance(value, tuple) else value


def naive_decay(v: int, decay: int, c: NeuronConfig | SynapseConfig) -> int:
    rounding = c.state.rounding
    if c.decay_rule is DecayRule.MULTIPLIER:
        return naive_quotient(v * decay, c.decay_fraction, rounding)
    if c.decay_rule is DecayRule.SHIFT:
        loss = naive_quotient(v, decay, rounding)
        if c.shift_at_least_one and v > 0 and loss == 0:
            loss = 1
        return v - loss
    return v


def naive_fire(v: int, c: NeuronConfig, neuron: int, most: int) -> tuple[int, int]:
    if c.emission is Emission.POTENTIAL:
        return v, 0
    threshold = of(c.threshold, neuron)
    spikes = 0
    while spikes < most:
        if v < threshold or (v == threshold and c.comparison is Comparison.GT):
            break
        spikes += 1
        if c.reset is Reset.SUBTRACT:
            v -= threshold
        elif c.reset is Reset.TO_VALUE:
            v = of(c.v_reset, neuron)
    return v, spikes


def naive_register(value: int, drive: int, decay: int, c: NeuronConfig | SynapseConfig) -> int:
    if c.decay_rule is DecayRule.CONSTANT:
        drive -= decay
    if c.order is Order.DECAY_FIRST:
        return naive_fit(naive_decay(value, decay, c) + drive, c.state)
    return naive_decay(naive_fit(value + drive, c.state), decay, c)


def naive_staged(v: int, current: int, c: NeuronConfig, neuron: int) -> int:
    decay = of(c.decay, neuron)
    loss = decay if c.decay_rule is DecayRule.CONSTANT else v - naive_decay(v, decay, c)
    change = naive_fit(current - loss, c.state)
    change = naive_fit(change + of(c.bias, neuron), c.state)
    return naive_fit(v + change, c.state)


def naive_step(
    v: int, refractory: int, current: int, c: NeuronConfig, neuron: int = 0
) -> tuple[int, int, int]:
    """Potential, refractory steps and spikes after one step of one neuron."""
    if refractory > 0:
        return v, refractory - 1, 0
    spikes = 0
    if c.compared is Compared.OLD:
        v, spikes = naive_fire(v, c, neuron, c.max_spikes)
    if c.staged_overflow:
        v = naive_staged(v, current, c, neuron)
    else:
        v = naive_register(v, current + of(c.bias, neuron), of(c.decay, neuron), c)
    if c.compared is Compared.NEW:
        v, spikes = naive_fire(v, c, neuron, c.max_spikes)
    if c.floor is not None:
        v = max(v, of(c.floor, neuron))
    return v, c.refractory_steps if spikes else 0, spikes


def naive_synapse(i_syn: int, current: int, c: NeuronConfig, neuron: int) -> int:
    """The synaptic current after one step; the input itself where there is no synapse."""
    if c.synapse is None:
        return current
    return naive_register(i_syn, current, of(c.synapse.decay, neuron), c.synapse)


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


@pytest.mark.parametrize(("rule", "at_least_one", "rounding"), DECAYS)
def test_every_state_of_staged_overflow(
    rule: DecayRule, at_least_one: bool, rounding: Rounding
) -> None:
    """Bias and current leave the word by themselves; the numbers are drawn with seed 2."""
    rng = random.Random(2)
    for overflow, compared, (reset, max_spikes), emission in itertools.product(
        Overflow, Compared, RESETS, Emission
    ):
        decay = {
            DecayRule.MULTIPLIER: rng.randint(0, 8),
            DecayRule.SHIFT: rng.randint(0, 5),
            DecayRule.CONSTANT: rng.randint(-8, 7),
            DecayRule.NONE: 0,
        }
        check_every_state(
            config(
                state=QFormat(word_length=4, rounding=rounding, overflow=overflow),
                current_width=5,
                threshold=rng.randint(1, 7),
                decay_rule=rule,
                decay=decay[rule],
                decay_fraction=3,
                shift_at_least_one=at_least_one,
                bias=rng.randint(-16, 15),
                compared=compared,
                reset=reset,
                max_spikes=max_spikes,
                staged_overflow=True,
                emission=emission,
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
def registers(draw: st.DrawFn, size: int) -> dict[str, Any]:
    """A word and its decay, up to the widest."""
    state = QFormat(
        word_length=draw(st.sampled_from([4, 16, 20, 24, 32])),
        rounding=draw(st.sampled_from(Rounding)),
        overflow=draw(st.sampled_from(Overflow)),
    )
    rule = draw(st.sampled_from(DecayRule))
    fraction = draw(st.sampled_from([1, 8, 12, 16]))
    decays = {
        DecayRule.MULTIPLIER: (0, 1 << fraction),
        DecayRule.SHIFT: (0, 31),
        DecayRule.CONSTANT: (state.min, state.max),
        DecayRule.NONE: (0, 0),
    }
    return {
        "state": state,
        "decay_rule": rule,
        "decay": per_neuron(draw, *decays[rule], size),
        "decay_fraction": fraction,
        "shift_at_least_one": rule is DecayRule.SHIFT and draw(st.booleans()),
        "order": draw(st.sampled_from(Order)),
    }


@st.composite
def wide_configs(draw: st.DrawFn) -> NeuronConfig:
    """Any legal configuration of up to 4 neurons that sums step by step."""
    size = draw(st.integers(1, 4))
    register = draw(registers(size))
    low, high = register["state"].min, register["state"].max
    current_width = draw(st.sampled_from([2, 16, 26, 48]))
    reset = draw(st.sampled_from(Reset))
    half = 1 << (current_width - 1)
    # Small thresholds too: only they make many spikes.
    highest = draw(st.sampled_from([7, high]))
    floor = draw(st.booleans())
    return NeuronConfig(
        **register,
        size=size,
        current_width=current_width,
        threshold=per_neuron(draw, 1 if reset is Reset.SUBTRACT else low, highest, size),
        bias=per_neuron(draw, -half, half - 1, size),
        synapse=draw(st.one_of(st.none(), registers(size).map(lambda r: SynapseConfig(**r)))),
        staged_overflow=register["order"] is Order.DECAY_FIRST and draw(st.booleans()),
        emission=draw(st.sampled_from([*Emission, Emission.SPIKES, Emission.SPIKES])),
        comparison=draw(st.sampled_from(Comparison)),
        compared=draw(st.sampled_from(Compared)),
        reset=reset,
        v_reset=per_neuron(draw, low, high, size),
        v_init=per_neuron(draw, low, high, size),
        max_spikes=draw(st.sampled_from([1, 3, 255, 1023])) if reset is Reset.SUBTRACT else 1,
        floor=per_neuron(draw, low, 0, size) if floor else None,
        refractory_steps=draw(st.sampled_from([0, 1, 255])),
    )


def rows(c: NeuronConfig, least: int, most: int) -> st.SearchStrategy[list[list[int]]]:
    ends = st.integers(least, most)
    row = st.lists(ends, min_size=c.size, max_size=c.size)
    return st.lists(row, min_size=1, max_size=6)


@given(wide_configs(), st.data())
def test_trajectories_at_all_widths(c: NeuronConfig, data: st.DataObject) -> None:
    """Several steps from the initial state, neuron by neuron, in long and in short integers."""
    half = 1 << (c.current_width - 1)
    currents = data.draw(rows(c, -half, half - 1))
    neurons = Neurons(c)
    state, short = initial_state(c), neurons.initial()
    naive = [(of(c.v_init, n), 0, 0) for n in range(c.size)]
    synapse = [0] * c.size
    for current in currents:
        state, spikes = step(state, current, c)
        short, same = neurons.step(short, np.array(current).astype(neurons.kind))
        synapse = [naive_synapse(synapse[n], current[n], c, n) for n in range(c.size)]
        naive = [
            naive_step(v, refractory, synapse[n], c, n)
            for n, (v, refractory, _) in enumerate(naive)
        ]
        for found, sent in ((state, spikes), (short, same)):
            columns = (found.v.tolist(), found.refractory.tolist(), sent.tolist())
            assert list(zip(*columns, strict=True)) == naive
            assert (found.i_syn is None) == (c.synapse is None)
            assert found.i_syn is None or found.i_syn.tolist() == synapse


def test_short_integers_are_chosen_where_they_hold_every_result() -> None:
    assert Neurons(config()).kind is np.int32
    assert Neurons(config(current_width=28)).kind is np.int32
    assert Neurons(config(current_width=29)).kind is np.int64
    multiplier = {"decay_rule": DecayRule.MULTIPLIER, "decay": 1}
    word = {"state": QFormat(word_length=16)}
    assert Neurons(config(**multiplier, **word, decay_fraction=13)).kind is np.int32
    assert Neurons(config(**multiplier, **word, decay_fraction=14)).kind is np.int64
    assert Neurons(config(synapse=SynapseConfig(state=QFormat(word_length=30)))).kind is np.int64


@st.composite
def event_configs(draw: st.DrawFn) -> NeuronConfig:
    """Any legal configuration that sums event by event; not a synapse with a constant leak."""
    c = draw(wide_configs())
    if c.synapse is not None and c.synapse.decay_rule is DecayRule.CONSTANT:
        synapse = replace(c.synapse, decay_rule=DecayRule.NONE, decay=0)
        c = replace(c, synapse=synapse)
    return replace(c, accumulation=Accumulation.EVENT)


@given(event_configs(), st.data())
def test_events_overflow_one_by_one(c: NeuronConfig, data: st.DataObject) -> None:
    half = 1 << (c.current_width - 1)
    neurons = Neurons(c)
    state = neurons.initial()
    naive = [(of(c.v_init, n), 0, 0) for n in range(c.size)]
    synapse = [0] * c.size
    for events in data.draw(st.lists(rows(c, -half, half - 1), min_size=1, max_size=4)):
        state, spikes = neurons.step_events(
            state, (np.array(event).astype(neurons.kind) for event in events)
        )
        for n in range(c.size):
            word = c.state if c.synapse is None else c.synapse.state
            total = 0 if c.synapse is None else synapse[n]
            if c.synapse is not None and c.synapse.order is Order.DECAY_FIRST:
                total = naive_decay(total, of(c.synapse.decay, n), c.synapse)
            for event in events:
                total = naive_fit(total + event[n], word)
            if c.synapse is not None and c.synapse.order is Order.INPUT_FIRST:
                total = naive_decay(total, of(c.synapse.decay, n), c.synapse)
            synapse[n] = total
            v, refractory, _ = naive[n]
            naive[n] = naive_step(v, refractory, total, c, n)
        columns = (state.v.tolist(), state.refractory.tolist(), spikes.tolist())
        assert list(zip(*columns, strict=True)) == naive
        assert state.i_syn is None or state.i_syn.tolist() == synapse


@given(wide_configs(), st.data())
def test_events_spike_one_by_one(c: NeuronConfig, data: st.DataObject) -> None:
    """An event of 0 does not reach a neuron, though its potential may be above the threshold."""
    reset = Reset.SUBTRACT if c.reset is Reset.NONE else c.reset
    threshold = 3 if reset is not c.reset else c.threshold
    plain = {"decay_rule": DecayRule.NONE, "decay": 0, "shift_at_least_one": False}
    c = replace(
        c,
        **plain,
        synapse=None,
        compared=Compared.NEW,
        reset=reset,
        threshold=threshold,
        refractory_steps=0,
        emission=Emission.SPIKES,
        accumulation=Accumulation.SPIKING_EVENT,
    )
    neurons = Neurons(c)
    state = neurons.initial()
    potentials = [of(c.v_init, n) for n in range(c.size)]
    small = min(20, (1 << (c.current_width - 1)) - 1)
    for events in data.draw(st.lists(rows(c, -small, small), min_size=1, max_size=4)):
        state, spikes = neurons.step_events(
            state, (np.array(event).astype(neurons.kind) for event in events)
        )
        sent = []
        for n in range(c.size):
            v, count = potentials[n], 0
            for event in (*(event[n] for event in events), of(c.bias, n)):
                if event == 0:
                    continue
                v = naive_fit(v + event, c.state)
                if c.floor is not None:
                    v = max(v, of(c.floor, n))
                v, spike = naive_fire(v, c, n, 1)
                count += spike
            potentials[n] = v
            sent.append(min(count, c.max_spikes))
        assert state.v.tolist() == potentials
        assert spikes.tolist() == sent


def test_overflows_are_counted() -> None:
    """In eight bits 100 + 100 does not fit; neither does the same of one of two events."""
    neurons = Neurons(config(size=2, threshold=127, current_width=9))
    state, _ = neurons.step(neurons.initial((3,)), np.array([100, 20], dtype=np.int32))
    assert neurons.overflows == 0
    neurons.step(state, np.array([100, 100], dtype=np.int32))
    assert neurons.overflows == 3
    neurons = Neurons(config(threshold=127, accumulation=Accumulation.EVENT))
    hundred = np.array([100], dtype=np.int32)
    state, _ = neurons.step_events(neurons.initial(), [hundred, hundred, -hundred])
    assert (state.v.item(), neurons.overflows) == (27, 1)


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


@pytest.mark.parametrize("current", [128, -129])
def test_step_wrong_current(current: int) -> None:
    with pytest.raises(ValueError, match=r"^current must fit into 8 bits, but one does not$"):
        step(initial_state(config()), [current], config())


def test_step_wrong_kind_of_current() -> None:
    with pytest.raises(TypeError, match=r"^current must hold integers, not float64$"):
        step(initial_state(config()), [1.7], config())
