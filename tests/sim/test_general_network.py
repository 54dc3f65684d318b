"""Networks beyond stacks in every simulator."""

import random
import re
from dataclasses import replace

import numpy as np
import pytest
from general_networks import (
    anything,
    dense,
    draw_lanes,
    draw_stimulus,
    loop_of_two,
    population,
    potentials,
    saturating,
    two_inputs,
)

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Convolution, Dense, Diagonal, Pool, Reshape
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig, SynapseConfig
from spikeloom.reference.profile import Accumulation
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.timing import predict
from spikeloom.sim.bundle import Bundle, write_bundle
from spikeloom.sim.engine import ENGINES, run_engine
from spikeloom.sim.tools import find_simulators


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


@pytest.mark.parametrize(
    ("make", "engine"),
    [
        *((two_inputs, engine) for engine in ENGINES),
        *((make, "icarus") for make in (loop_of_two, potentials, saturating, anything)),
    ],
)
def test_several_inputs_and_outputs(make, engine, tmp_path):
    """Every word of every output and every potential; without gaps, as many cycles as predicted."""
    if engine != "amaranth" and find_simulators()[engine].found is None:
        pytest.skip(f"{engine} was not found")
    rng = random.Random(f"{make.__name__} several")
    network = make(rng)
    assert len(network.inputs) + len(network.outputs) > 2
    stimulus = draw_stimulus(rng, network, 3, 5)
    scenario = Scenario.of(network, stimulus)
    assert all(each.any() for each in scenario.outputs.values())
    top = NetworkTop(network, draw_lanes(rng, network))
    for gap in (0, 90):
        run = run_engine(engine, top, scenario, tmp_path, profile="test", gap=gap)
        assert run.difference == ""
        assert list(run.outputs) == list(network.outputs)
        for name, expected in scenario.outputs.items():
            assert np.array_equal(run.outputs[name], expected)
        for seen, expected in zip(run.membrane, scenario.membrane, strict=True):
            assert np.array_equal(seen, expected)
        if engine != "amaranth":
            least = predict(top, stimulus, run_fixed(network, stimulus)).cycles
            assert run.cycles == least if gap == 0 else run.cycles > least


def unheard(rng: random.Random) -> FixedNetwork:
    """Of two that hear each other one is the output, which does not say when the other is ready."""
    network = loop_of_two(rng)
    return replace(network, outputs={"out": "a"})


@pytest.mark.parametrize("engine", ["icarus", "amaranth"])
def test_potentials_of_a_population_that_no_output_follows(engine, tmp_path):
    if engine != "amaranth" and find_simulators()[engine].found is None:
        pytest.skip(f"{engine} was not found")
    rng = random.Random(1)
    network = unheard(rng)
    scenario = Scenario.of(network, draw_stimulus(rng, network, 2, 4))
    top = NetworkTop(network, (2, 1))
    for gap in (0, 90):
        assert run_engine(engine, top, scenario, tmp_path, profile="test", gap=gap).equal


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
def test_the_folder_of_a_network_that_no_output_follows(simulator, tmp_path):
    rng = random.Random(1)
    network = unheard(rng)
    scenario = Scenario.of(network, draw_stimulus(rng, network, 1, 3))
    write_bundle(tmp_path / "out", NetworkTop(network, (2, 1)), "net", "test", scenario)
    verdict = Bundle.open(tmp_path / "out").verify(simulator)
    assert verdict.equal, verdict.failed


@pytest.mark.parametrize("engine", ["icarus", "amaranth"])
def test_outputs_that_are_taken_for_each_other(engine, tmp_path):
    """The stream is named, and what came out of it is told."""
    if engine != "amaranth" and find_simulators()[engine].found is None:
        pytest.skip(f"{engine} was not found")
    rng = random.Random(1)
    heard = tuple(dense(rng, name, 4, 5) for name in ("x", "y"))
    populations = {name: population(rng, (5,), *heard) for name in "ab"}
    inputs = {name: FixedInput(shape=(4,)) for name in ("x", "y")}
    network = FixedNetwork(inputs, populations, {"first": "a", "second": "b"}, "test")
    stimulus = draw_stimulus(rng, network, 2, 5)
    scenario = Scenario.of(network, stimulus)
    first, second = scenario.outputs.values()
    assert not np.array_equal(first, second)
    top = NetworkTop(network, 2)
    run = run_engine(engine, top, scenario, tmp_path, profile="test")
    assert run.difference == ""
    swapped = replace(scenario, outputs={"first": second, "second": first})
    run = run_engine(engine, top, swapped, tmp_path, profile="test")
    assert re.match(r"word \d+ of o_0 must be \w+, but is \w+ \(", run.difference)
    wrong = second.copy()
    wrong[1, 4, 2] ^= 1
    changed = replace(scenario, outputs={"first": first, "second": wrong})
    run = run_engine(engine, top, changed, tmp_path, profile="test")
    assert re.match(r"word \d+ of o_1 must be \w+, but is \w+ \(", run.difference)
    inputs = {"x": scenario.inputs["y"], "y": scenario.inputs["x"]}
    run = run_engine(engine, top, replace(scenario, inputs=inputs), tmp_path, profile="test")
    assert "of o_0 must be" in run.difference


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
def test_the_folder_of_several_inputs_and_outputs(simulator, tmp_path):
    rng = random.Random(2)
    network = two_inputs(rng)
    scenario = Scenario.of(network, draw_stimulus(rng, network, 1, 3))
    folder = tmp_path / "out"
    write_bundle(folder, NetworkTop(network, 2), "net", "test", scenario)
    streams = {path.stem for path in (folder / "vectors").iterdir()}
    assert streams == {"i_0", "i_1", "o_0", "o_1", "o_2", "probe_i", "probe_o"}
    verdict = Bundle.open(folder).verify(simulator)
    assert verdict.equal, verdict.failed
    assert len(verdict.passed) == 5
    one, other = (folder / "vectors" / f"o_{k}.hex" for k in (1, 2))
    words = one.read_text()
    one.write_text(other.read_text())
    other.write_text(words)
    failed = Bundle.open(folder).verify(simulator).failed
    assert any("of o_1 must be" in message for message in failed.values())
    one.unlink()
    failed = Bundle.open(folder).verify(simulator).failed
    assert any("must hold golden vectors" in message for message in failed.values())
