"""A network beyond stacks in every simulator."""

import numpy as np
import pytest

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Convolution, Dense, Diagonal, Pool, Reshape
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig, SynapseConfig
from spikeloom.reference.profile import Accumulation
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.engine import run_engine


def _network(rng: np.random.Generator) -> FixedNetwork:
    def neurons(size: int, **options: object) -> NeuronConfig:
        common = {"state": QFormat(word_length=12), "current_width": 4, "threshold": 20}
        decay = {"decay_rule": DecayRule.SHIFT, "decay": 3}
        return NeuronConfig(**{"size": size} | common | decay | options)

    conv = Convolution(rng.integers(-8, 14, (3, 2, 3, 3)), (2, 5, 4), (1, 1), (1, 1), (1, 1))
    pool = Pool((3, 5, 4), (2, 2), (2, 2), (0, 0))
    flat = (pool, Reshape((3, 2, 2), (12,)), Dense(rng.integers(-12, 20, (12, 6))))
    populations = {
        "conv": FixedPopulation(
            shape=(3, 5, 4),
            neurons=neurons(60, max_spikes=3),
            connections=(
                Connection(source="in", maps=(conv,)),
                Connection(
                    source="conv", maps=(Diagonal(rng.integers(-6, 6, (3, 5, 4))),), delay=1
                ),
            ),
        ),
        "out": FixedPopulation(
            shape=(6,),
            neurons=neurons(6, v_init=tuple(range(6))),
            connections=(
                Connection(source="conv", maps=flat, delay=rng.integers(0, 3, (3, 5, 4))),
                Connection(source="out", maps=(Dense(rng.integers(-9, 9, (6, 6))),), delay=2),
            ),
        ),
    }
    inputs = {"in": FixedInput(shape=(2, 5, 4), high=2)}
    return FixedNetwork(inputs, populations, {"out": "out"}, "general")


@pytest.mark.parametrize("simulator", ["icarus", "verilator"], indirect=True)
def test_convolution_and_recurrence(simulator, tmp_path):
    rng = np.random.default_rng(3)
    network = _network(rng)
    shape = (4, 6, 2, 5, 4)
    scenario = Scenario.of(network, rng.integers(0, 3, shape) * (rng.random(shape) < 0.3))
    assert scenario.spikes.any()
    top = NetworkTop(network, (2, 4))
    for gap in (0, 90):
        run = run_engine(simulator, top, scenario, tmp_path, profile="test", gap=gap)
        assert run.difference == ""
        assert np.array_equal(run.spikes, scenario.spikes)
        for seen, expected in zip(run.membrane, scenario.membrane, strict=True):
            assert np.array_equal(seen, expected)


def _one_by_one(rng: np.random.Generator) -> FixedNetwork:
    """Events that spike one by one, then such as saturate one by one; in short words."""
    conv = Convolution(rng.integers(-8, 14, (3, 2, 3, 3)), (2, 5, 4), (1, 1), (1, 1), (1, 1))
    flat = (Reshape((3, 5, 4), (60,)), Dense(rng.integers(-12, 20, (60, 6))))
    populations = {
        "spiking": FixedPopulation(
            shape=(3, 5, 4),
            neurons=NeuronConfig(
                size=60,
                state=QFormat(word_length=6),
                current_width=8,
                threshold=20,
                floor=-20,
                bias=-3,
                max_spikes=3,
                accumulation=Accumulation.SPIKING_EVENT,
            ),
            connections=(
                Connection(
                    source="spiking", maps=(Diagonal(rng.integers(-9, 9, (3, 5, 4))),), delay=1
                ),
                Connection(source="in", maps=(conv,), shift=1),
            ),
        ),
        "out": FixedPopulation(
            shape=(6,),
            neurons=NeuronConfig(
                size=6,
                state=QFormat(word_length=8),
                current_width=8,
                threshold=tuple(range(10, 16)),
                max_spikes=3,
                synapse=SynapseConfig(
                    state=QFormat(word_length=7), decay_rule=DecayRule.SHIFT, decay=1
                ),
                accumulation=Accumulation.EVENT,
            ),
            connections=(Connection(source="spiking", maps=flat),),
        ),
    }
    inputs = {"in": FixedInput(shape=(2, 5, 4), high=2)}
    return FixedNetwork(inputs, populations, {"out": "out"}, "one by one")


@pytest.mark.parametrize("simulator", ["icarus", "verilator"], indirect=True)
def test_events_one_by_one(simulator, tmp_path):
    rng = np.random.default_rng(4)
    network = _one_by_one(rng)
    shape = (3, 5, 2, 5, 4)
    stimulus = rng.integers(0, 3, shape) * (rng.random(shape) < 0.3)
    assert all(number > 0 for number in run_fixed(network, stimulus).overflows.values())
    scenario = Scenario.of(network, stimulus)
    assert scenario.spikes.any()
    top = NetworkTop(network, (2, 4))
    for gap in (0, 90):
        run = run_engine(simulator, top, scenario, tmp_path, profile="test", gap=gap)
        assert run.difference == ""
        for seen, expected in zip(run.membrane, scenario.membrane, strict=True):
            assert np.array_equal(seen, expected)
