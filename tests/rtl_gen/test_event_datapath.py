"""The combinational update event by event against the golden step."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal, Value, signed
from amaranth.sim import Simulator

from spikeloom.reference.fixed import Overflow, QFormat
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig
from spikeloom.reference.neurons import FixedState, Neurons
from spikeloom.reference.profile import Accumulation, Compared, Comparison, Reset
from spikeloom.rtl_gen.datapath import shared_parameters, state_shapes
from spikeloom.rtl_gen.event_datapath import add_event, step_stages
from spikeloom.rtl_gen.fixed import shape_of

Case = tuple[int, list[list[int]]]
"""The first potential, and for each step what its events add."""

STEPS = (3, 1, 2)
"""Events of each step."""


def golden(config: NeuronConfig, case: Case) -> tuple[list[tuple[int, ...]], int]:
    """Potential and spikes after each step, and how many sums did not fit."""
    first, steps = case
    neurons = Neurons(config)
    start = neurons.initial()
    state = FixedState(np.full_like(start.v, first), start.refractory, start.i_syn)
    results = []
    for events in steps:
        arrays = [np.array([each], dtype=neurons.kind) for each in events]
        state, spikes = neurons.step_events(state, arrays)
        results.append((int(state.v[0]), int(np.asarray(spikes)[0])))
    return results, neurons.overflows


def hardware(config: NeuronConfig, cases: list[Case]) -> list[list[tuple[int, ...]]]:
    """All events and stages of three steps in one go, without registers."""

    def named(lane: dict[str, Value]) -> dict[str, Value]:
        """A signal for each value, so that no expression holds the one before several times."""
        signals: dict[str, Value] = {}
        for name, value in lane.items():
            signals[name] = Signal(value.shape(), name=name)
            m.d.comb += signals[name].eq(value)
        return signals

    v = Signal(shape_of(config.state))
    events = [
        [Signal(signed(config.current_width), name=f"event_{t}_{k}") for k in range(count)]
        for t, count in enumerate(STEPS)
    ]
    m = Module()
    stored: dict[str, Value] = {name: Const(0) for name in state_shapes(config)} | {"v": v}
    outputs = []
    for t, arriving in enumerate(events):
        lane = shared_parameters(config) | stored
        for event in arriving:
            lane = named(add_event(config, lane, event))
        for _, stage in step_stages(config):
            lane = named(stage(lane))
        stored = {}
        for name, shape in state_shapes(config).items():
            stored[name] = Signal(shape, name=f"{name}_{t}")
            m.d.comb += stored[name].eq(lane[name])
        spikes = Signal(config.count_width, name=f"spikes_{t}")
        m.d.comb += spikes.eq(lane.get("spikes", Const(0)))
        outputs.append((stored["v"], spikes))
    found = []

    async def script(ctx: Any) -> None:
        for first, steps in cases:
            ctx.set(v, first)
            for signals, values in zip(events, steps, strict=True):
                for signal, value in zip(signals, values, strict=True):
                    ctx.set(signal, value)
            found.append([tuple(ctx.get(each) for each in pair) for pair in outputs])

    simulator = Simulator(m)
    simulator.add_testbench(script)
    simulator.run()
    return found


def check(config: NeuronConfig, seed: int) -> int:
    """Compare random sequences; how many sums did not fit in them."""
    rng = random.Random(seed)
    half = 1 << (config.current_width - 1)
    pool = [-half, half - 1, 0, *range(-half, half)]
    cases: list[Case] = [
        (
            rng.randint(config.state.min, config.state.max),
            [[rng.choice(pool) for _ in range(count)] for count in STEPS],
        )
        for _ in range(150)
    ]
    overflows = 0
    for case, found in zip(cases, hardware(config, cases), strict=True):
        expected, missed = golden(config, case)
        assert found == expected, f"seed {seed}, {case} of {config}"
        overflows += missed
    return overflows


@pytest.mark.parametrize("with_synapse", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_events_overflow_one_by_one(
    seed: int, with_synapse: bool, config_of: Callable[..., NeuronConfig]
) -> None:
    rng = random.Random(seed)
    config = config_of(rng, 1, word_length=4, current_width=4, synapse=with_synapse)
    synapse = config.synapse
    if synapse is not None:
        synapse = replace(synapse, state=replace(synapse.state, word_length=4))
        if synapse.decay_rule is DecayRule.CONSTANT:
            synapse = replace(synapse, decay_rule=DecayRule.NONE, decay=0)
    config = replace(config, synapse=synapse, accumulation=Accumulation.EVENT)
    assert check(config, seed) > 0


@pytest.mark.parametrize("seed", range(25))
def test_events_spike_one_by_one(seed: int, config_of: Callable[..., NeuronConfig]) -> None:
    rng = random.Random(seed)
    config = config_of(
        rng,
        1,
        word_length=4,
        current_width=4,
        synapse=False,
        decay_rule=DecayRule.NONE,
        compared=Compared.NEW,
        refractory_steps=0,
    )
    assert check(replace(config, accumulation=Accumulation.SPIKING_EVENT), seed) > 0


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_an_event_of_many_spikes(overflow: Overflow, count: int) -> None:
    """Every sum and every weight of four bits: as many spikes one by one come to the same."""
    word = QFormat(word_length=4, overflow=overflow)
    config = NeuronConfig(
        size=1,
        state=word,
        current_width=8,
        threshold=1,
        accumulation=Accumulation.EVENT,
        comparison=Comparison.GT,
        reset=Reset.NONE,
    )
    total, weight = Signal(signed(4)), Signal(signed(4))
    m, result = Module(), Signal(signed(4))
    m.d.comb += result.eq(add_event(config, {"total": total}, weight * count)["total"])

    async def script(ctx: Any) -> None:
        for before in range(-8, 8):
            for each in range(-8, 8):
                ctx.set(total, before)
                ctx.set(weight, each)
                expected = before
                for _ in range(count):
                    expected = int(word.fit(np.array(expected + each)))
                assert ctx.get(result) == expected

    simulator = Simulator(m)
    simulator.add_testbench(script)
    simulator.run()
