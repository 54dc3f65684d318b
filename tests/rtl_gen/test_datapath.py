"""The combinational update against the golden step, for every state of short words."""

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.sim import Simulator

from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig, SynapseConfig
from spikeloom.reference.neurons import FixedState, step
from spikeloom.reference.profile import Compared, Comparison, Order, Reset
from spikeloom.rtl_gen.datapath import (
    parameter_shapes,
    shared_parameters,
    state_shapes,
    update_stages,
)
from spikeloom.rtl_gen.fixed import shape_of

Case = tuple[int, int, int, int]
"""Potential, refractory steps, current, synaptic current."""


def golden(config: NeuronConfig, cases: list[Case]) -> list[tuple[int, ...]]:
    v, refractory, current, i_syn = np.array(cases).T[:, :, None]
    before = FixedState(v, refractory, None if config.synapse is None else i_syn)
    state, spikes = step(before, current, config)
    after = np.zeros_like(v) if state.i_syn is None else state.i_syn
    columns = (state.v, spikes, state.refractory, after)
    return list(zip(*(column[:, 0].tolist() for column in columns), strict=True))


def evaluate(
    m: Module, inputs: Sequence[Signal], results: Sequence[Value], cases: Iterable[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """The combinational results for each case."""
    outputs = [Signal(result.shape()) for result in results]
    m.d.comb += [output.eq(result) for output, result in zip(outputs, results, strict=True)]
    found = []

    async def script(ctx: Any) -> None:
        for case in cases:
            for signal, value in zip(inputs, case, strict=True):
                ctx.set(signal, value)
            found.append(tuple(ctx.get(output) for output in outputs))

    simulator = Simulator(m)
    simulator.add_testbench(script)
    simulator.run()
    return found


def hardware(config: NeuronConfig, cases: list[Case]) -> list[tuple[int, ...]]:
    """All stages in one go, without registers."""
    v = Signal(shape_of(config.state))
    current = Signal(signed(config.current_width))
    refractory = Signal(unsigned(max(1, config.refractory_steps.bit_length())))
    i_syn = Signal(signed(1) if config.synapse is None else shape_of(config.synapse.state))
    stored = {"v": v, "refractory": refractory, "i_syn": i_syn}
    lane: dict[str, Value] = {"current": current, **shared_parameters(config)}
    lane |= {name: stored[name] for name in state_shapes(config)}
    for _, stage in update_stages(config):
        lane = stage(lane)
    results = [lane.get(name, Const(0)) for name in ("v", "spikes", "refractory", "i_syn")]
    return evaluate(Module(), [v, refractory, current, i_syn], results, cases)


def every_case(config: NeuronConfig) -> list[Case]:
    half, current_half = -config.state.min, 1 << (config.current_width - 1)
    held = range(config.refractory_steps + 1)
    synapse = config.synapse
    i_syn = [0] if synapse is None else range(synapse.state.min, synapse.state.max + 1)
    currents = range(-current_half, current_half)
    return list(itertools.product(range(-half, half), held, currents, i_syn))


def check(config: NeuronConfig) -> None:
    cases = every_case(config)
    expected = golden(config, cases)
    for case, found, right in zip(cases, hardware(config, cases), expected, strict=True):
        assert found == right, f"v, refractory, current, i_syn = {case} of {config}"


@pytest.mark.parametrize("seed", range(60))
def test_every_state_of_random_configurations(
    seed: int, config_of: Callable[..., NeuronConfig]
) -> None:
    rng = random.Random(seed)
    check(
        config_of(
            rng,
            1,
            word_length=4,
            current_width=4,
            synapse=False,
            decay_fraction=3,
            refractory_steps=rng.choice([0, 0, 2]),
        )
    )


@pytest.mark.parametrize("seed", range(40))
def test_every_state_of_random_synapses(seed: int, config_of: Callable[..., NeuronConfig]) -> None:
    rng = random.Random(seed)
    config = config_of(rng, 1, synapse=False, word_length=4, current_width=3, refractory_steps=0)
    rule = rng.choice(list(DecayRule))
    decay = {
        DecayRule.MULTIPLIER: rng.randint(0, 4),
        DecayRule.SHIFT: rng.randint(0, 4),
        DecayRule.CONSTANT: rng.randint(-8, 7),
        DecayRule.NONE: 0,
    }
    synapse = SynapseConfig(
        state=QFormat(
            word_length=4,
            rounding=rng.choice(list(Rounding)),
            overflow=rng.choice(list(Overflow)),
        ),
        decay_rule=rule,
        decay=decay[rule],
        decay_fraction=2,
        shift_at_least_one=rule is DecayRule.SHIFT and rng.random() < 0.5,
        order=rng.choice(list(Order)),
    )
    check(replace(config, synapse=synapse))


@pytest.mark.parametrize("seed", range(30))
def test_every_state_of_staged_overflow(seed: int, config_of: Callable[..., NeuronConfig]) -> None:
    rng = random.Random(seed)
    config = config_of(
        rng, 1, synapse=False, word_length=4, current_width=4, order=Order.DECAY_FIRST
    )
    check(replace(config, staged_overflow=True))


@pytest.mark.parametrize("seed", range(10))
def test_every_potential_that_is_sent(seed: int, config_of: Callable[..., NeuronConfig]) -> None:
    rng = random.Random(seed)
    config = config_of(rng, 1, synapse=False, word_length=4, current_width=4, refractory_steps=0)
    sending = replace(config, emission=Emission.POTENTIAL)
    check(sending)
    assert not any(name.startswith("fire") for name, _ in update_stages(sending))


PLAIN: dict[str, Any] = {
    "size": 1,
    "state": QFormat(word_length=4),
    "current_width": 4,
    "threshold": 3,
}


@pytest.mark.parametrize(
    "options",
    [
        *(
            {
                "decay_rule": DecayRule.MULTIPLIER,
                "decay": decay,
                "decay_fraction": 2,
                "state": QFormat(word_length=5, rounding=rounding),
                "order": order,
            }
            for rounding in Rounding
            for decay in (0, 3, 4)
            for order in Order
        ),
        *(
            {
                "decay_rule": DecayRule.SHIFT,
                "decay": decay,
                "shift_at_least_one": at_least_one,
                "state": QFormat(word_length=5, rounding=rounding),
            }
            for rounding in Rounding
            for decay in (0, 2, 31)
            for at_least_one in (False, True)
        ),
        *(
            {"state": QFormat(word_length=4, overflow=overflow), "bias": bias, "order": order}
            for overflow in Overflow
            for bias in (-8, 7)
            for order in Order
        ),
        *(
            {
                "max_spikes": 7,
                "threshold": threshold,
                "comparison": comparison,
                "compared": compared,
                "floor": -1,
            }
            for threshold in (1, 2, 7)
            for comparison in Comparison
            for compared in Compared
        ),
        *(
            {"reset": reset, "threshold": -3, "v_reset": -8, "floor": 0, "refractory_steps": 2}
            for reset in (Reset.TO_VALUE, Reset.NONE)
        ),
        {"decay_rule": DecayRule.CONSTANT, "decay": -8, "bias": 7},
        {"decay_rule": DecayRule.CONSTANT, "decay": 0},
        {"max_spikes": 15, "threshold": 1},
    ],
)
def test_every_state_at_the_ends(options: dict[str, Any]) -> None:
    """Parameters at the ends of their ranges, where words are one bit too short first."""
    check(NeuronConfig(**PLAIN | options))


@pytest.mark.parametrize("seed", range(12))
def test_wide_words(seed: int, config_of: Callable[..., NeuronConfig]) -> None:
    """32-bit states and 48-bit currents, at the ends of their ranges and between."""
    rng = random.Random(seed)
    word_length = rng.choice([24, 32])
    config = config_of(
        rng,
        1,
        synapse=False,
        word_length=word_length,
        current_width=48,
        refractory_steps=0,
        per_neuron=False,
    )
    low, high = config.state.min, config.state.max
    values = [low, low + 1, -1, 0, 1, high - 1, high, *(rng.randint(low, high) for _ in range(9))]
    currents = [-(2**47), 2**47 - 1, 0, low, high, *(rng.randint(low, high) for _ in range(9))]
    cases = [(v, 0, current, 0) for v in values for current in currents]
    assert hardware(config, cases) == golden(config, cases)


def test_stages_follow_the_configuration() -> None:
    def names(**options: Any) -> list[str]:
        return [name for name, _ in update_stages(NeuronConfig(**PLAIN | options))]

    nearest = QFormat(word_length=4, rounding=Rounding.NEAREST_EVEN)
    multiplier = {"decay_rule": DecayRule.MULTIPLIER}
    assert names() == ["integrate", "fire_0"]
    assert names(compared=Compared.OLD) == ["fire_0", "integrate"]
    assert names(max_spikes=7) == ["integrate", "fire_2", "fire_1", "fire_0"]
    assert names(**multiplier) == ["decay", "integrate", "fire_0"]
    assert names(**multiplier, order=Order.INPUT_FIRST) == ["integrate", "decay", "fire_0"]
    assert names(**multiplier, state=nearest) == ["decay", "round", "integrate", "fire_0"]
    assert names(decay_rule=DecayRule.SHIFT, decay=2) == ["decay", "integrate", "fire_0"]
    assert names(decay_rule=DecayRule.CONSTANT, decay=2) == ["integrate", "fire_0"]
    assert names(floor=-2) == ["integrate", "fire_0", "settle"]
    assert names(refractory_steps=1) == ["integrate", "fire_0", "settle"]


def test_parameters_that_differ_go_into_the_memory() -> None:
    config = NeuronConfig(
        **PLAIN
        | {
            "size": 2,
            "threshold": (2, 3),
            "bias": 1,
            "decay_rule": DecayRule.MULTIPLIER,
            "decay": (4, 5),
        }
    )
    assert {name: Shape.cast(shape) for name, shape in parameter_shapes(config).items()} == {
        "threshold": signed(4),
        "decay": unsigned(9),
    }
    assert set(shared_parameters(config)) == {"bias", "v_reset", "v_init"}
    alike = NeuronConfig(**PLAIN | {"size": 2, "threshold": (3, 3)})
    assert parameter_shapes(alike) == {}
    assert set(shared_parameters(alike)) == {"threshold", "decay", "bias", "v_reset", "v_init"}


@pytest.mark.parametrize("seed", range(4))
def test_parameters_from_signals(seed: int, config_of: Callable[..., NeuronConfig]) -> None:
    """Two neurons whose parameters all differ: chosen by a signal, as a memory would."""
    rng = random.Random(seed)
    # The second needs the widest word that there is for it.
    decays = {
        DecayRule.MULTIPLIER: (5, 8),
        DecayRule.SHIFT: (2, 16),
        DecayRule.CONSTANT: (7, -8),
        DecayRule.NONE: (0, 0),
    }
    for rule, decay in decays.items():
        config = config_of(
            rng,
            2,
            synapse=False,
            floor=None,
            word_length=4,
            current_width=4,
            decay_rule=rule,
            decay_fraction=3,
            threshold=(2, 7),
            bias=(-8, 5),
            decay=decay,
            refractory_steps=0,
        )
        shapes = parameter_shapes(config)
        second = Signal()
        v, current = Signal(signed(4)), Signal(signed(4))
        lane: dict[str, Value] = {"v": v, "current": current, **shared_parameters(config)}
        for name, shape in shapes.items():
            lane[name] = Signal(shape, name=name)
        m = Module()
        for name in shapes:
            first_value, second_value = getattr(config, name)
            m.d.comb += lane[name].eq(Mux(second, second_value, first_value))
        for _, stage in update_stages(config):
            lane = stage(lane)
        cases = itertools.product((0, 1), range(-8, 8), range(-8, 8))
        found = evaluate(m, [second, v, current], [lane["v"], lane["spikes"]], cases)
        potentials, currents = np.mgrid[-8:8, -8:8].reshape(2, -1, 1)
        both = [np.broadcast_to(column, (256, 2)) for column in (potentials, currents)]
        state, spikes = step(FixedState(both[0], np.zeros_like(both[0])), both[1], config)
        expected = [
            pair
            for n in range(2)
            for pair in zip(state.v[:, n].tolist(), spikes[:, n].tolist(), strict=True)
        ]
        assert found == expected, f"seed {seed}, {config}"
