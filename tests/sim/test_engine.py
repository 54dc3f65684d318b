"""Equality of golden model and RTL, and that inequality is seen."""

import dataclasses

import numpy as np
import pytest

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.neuron import NeuronArray
from spikeloom.rtl_gen.weights import WeightStore
from spikeloom.sim import engine as engine_module
from spikeloom.sim.engine import run_engine
from spikeloom.sim.vectors import Vectors, vectors

icarus = pytest.mark.parametrize("simulator", ["icarus"], indirect=True)


def _run(engine, top, scenario, folder, gap=0):
    return run_engine(engine, top, scenario, folder, profile="test", gap=gap)


def _assert_all_equal(run, scenario):
    assert run.difference == ""
    assert np.array_equal(run.spikes, scenario.spikes)
    for seen, expected in zip(run.membrane, scenario.membrane, strict=True):
        assert np.array_equal(seen, expected)


@icarus
@pytest.mark.parametrize("seed", range(12))
def test_random_networks_in_icarus(simulator, random_network, tmp_path, seed):
    network, lanes, stimulus = random_network(seed)
    scenario = Scenario.of(network, stimulus)
    run = _run(simulator, NetworkTop(network, lanes), scenario, tmp_path, gap=20 * seed)
    _assert_all_equal(run, scenario)


@pytest.mark.parametrize("simulator", ["verilator"], indirect=True)
@pytest.mark.parametrize("seed", [100, 101])
def test_random_networks_in_verilator(simulator, random_network, tmp_path, seed):
    network, lanes, stimulus = random_network(seed)
    scenario = Scenario.of(network, stimulus)
    run = _run(simulator, NetworkTop(network, lanes), scenario, tmp_path, gap=90)
    _assert_all_equal(run, scenario)
    # The same design again is not built again, but it runs again.
    built = (tmp_path / "built").stat().st_mtime_ns
    again = _run(simulator, NetworkTop(network, lanes), scenario, tmp_path, gap=0)
    _assert_all_equal(again, scenario)
    assert again.cycles < run.cycles
    assert (tmp_path / "built").stat().st_mtime_ns == built


@pytest.mark.parametrize("seed", [200, 201])
def test_random_networks_in_amaranth(random_network, tmp_path, seed):
    network, lanes, stimulus = random_network(seed)
    scenario = Scenario.of(network, stimulus)
    _assert_all_equal(_run("amaranth", NetworkTop(network, lanes), scenario, tmp_path), scenario)


@pytest.mark.parametrize("engine", ["icarus", "amaranth"])
@pytest.mark.parametrize("seed", [300, 301])
def test_loaded_weights(engine, random_network, tmp_path, seed):
    if engine == "icarus" and engine_module.find_simulators()[engine].found is None:
        pytest.skip("icarus was not found")
    network, lanes, stimulus = random_network(seed)
    scenario = Scenario.of(network, stimulus)
    kinds = [WeightStore.SPRAM, WeightStore.AUTO, WeightStore.LOADED_BLOCK]
    stores = [kinds[k % 3] for k in range(len(network.populations))]
    loaded = _run(engine, NetworkTop(network, lanes, stores), scenario, tmp_path / "loaded", gap=50)
    _assert_all_equal(loaded, scenario)
    if engine == "icarus":
        streams = {"loaded": NetworkTop(network, lanes, stores), "rom": NetworkTop(network, lanes)}
        cycles = {
            name: _run(engine, top, scenario, tmp_path / name).cycles
            for name, top in streams.items()
        }
        assert cycles["loaded"] == cycles["rom"]


@icarus
def test_cycles_do_not_depend_on_the_simulator_but_on_the_gaps(simulator, random_network, tmp_path):
    network, lanes, stimulus = random_network(3)
    scenario = Scenario.of(network, stimulus)
    top = NetworkTop(network, lanes)
    cycles = [_run(simulator, top, scenario, tmp_path, gap).cycles for gap in (0, 0, 128)]
    assert cycles[0] == cycles[1]
    assert cycles[2] > cycles[0]


def _array() -> NeuronArray:
    config = NeuronConfig(
        size=5, state=QFormat(word_length=12), current_width=8, threshold=40, max_spikes=3
    )
    return NeuronArray(config, 2)


def _array_scenario(top: NeuronArray) -> Scenario:
    rng = np.random.default_rng(7)
    return Scenario.of_neurons(top.config, rng.integers(-60, 128, (2, 9, 5)))


@pytest.mark.parametrize("engine", ["icarus", "amaranth"])
def test_a_neuron_array(engine, request, tmp_path):
    if engine == "icarus" and engine_module.find_simulators()[engine].found is None:
        pytest.skip("icarus was not found")
    top = _array()
    scenario = _array_scenario(top)
    run = _run(engine, top, scenario, tmp_path, gap=60)
    _assert_all_equal(run, scenario)
    assert scenario.spikes.max() == 3


@pytest.mark.parametrize("what", ["spike", "membrane"])
@icarus
def test_a_wrong_golden_model_is_noticed(simulator, tmp_path, what):
    top = _array()
    scenario = _array_scenario(top)
    spikes, membrane = scenario.spikes.copy(), scenario.membrane[0].copy()
    if what == "spike":
        spikes[1, 4, 2] ^= 1
    else:
        membrane[1, 8, 4] += 1
    wrong = Scenario(scenario.inputs, {"spikes": spikes}, (membrane,))
    run = _run(simulator, top, wrong, tmp_path)
    assert not run.equal
    assert ("of o must be" if what == "spike" else "of probe_o must be") in run.difference
    # What came out is still told, and it is what the right golden model says.
    assert np.array_equal(run.spikes, scenario.spikes)


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 41},
        {"threshold": (40, 40, 40, 40, 39)},
        {"v_init": 1},
        {"bias": -1},
        {"floor": -100},
        {"refractory_steps": 1},
    ],
)
@icarus
def test_wrong_hardware_is_noticed(simulator, tmp_path, change):
    top = _array()
    scenario = _array_scenario(top)
    wrong = NeuronArray(dataclasses.replace(top.config, **change), top.lanes)
    assert not _run(simulator, wrong, scenario, tmp_path).equal


def test_an_unknown_engine_is_refused(tmp_path):
    with pytest.raises(ValueError, match="engine must be one of verilator, icarus, amaranth"):
        _run("modelsim", _array(), _array_scenario(_array()), tmp_path)


@pytest.mark.parametrize("gap", [-1, 241])
def test_wrong_gap(tmp_path, gap):
    with pytest.raises(ValueError, match=f"gap must be 0 to 240, not {gap}"):
        _run("amaranth", _array(), _array_scenario(_array()), tmp_path, gap)


@icarus
def test_the_widest_gap(simulator, tmp_path):
    top = _array()
    scenario = _array_scenario(top)
    _assert_all_equal(_run(simulator, top, scenario, tmp_path, gap=240), scenario)
    _assert_all_equal(_run("amaranth", top, scenario, tmp_path, gap=240), scenario)


@icarus
def test_folders_with_long_names_and_spaces(simulator, tmp_path):
    folder = tmp_path / ("long " * 20) / ("longer " * 20)
    top = _array()
    scenario = _array_scenario(top)
    _assert_all_equal(_run(simulator, top, scenario, folder), scenario)


@pytest.mark.parametrize("engine", ["icarus", "amaranth"])
def test_a_design_that_stops_is_different(engine, tmp_path, monkeypatch):
    """More words are awaited than the design will ever send."""
    if engine == "icarus" and engine_module.find_simulators()[engine].found is None:
        pytest.skip("icarus was not found")
    top = _array()
    scenario = _array_scenario(top)

    def one_too_many(*arguments, **options):
        played = vectors(*arguments, **options)
        last = [*played.stimulus["i"], (10**6, 0)]
        return Vectors(played.stimulus | {"i": last}, played.outputs)

    monkeypatch.setattr(engine_module, "vectors", one_too_many)
    run = _run(engine, top, scenario, tmp_path)
    assert "but is nothing (54 words came out, 108 must)" in run.difference


@pytest.mark.parametrize("engine", ["icarus", "amaranth"])
def test_an_error_flag_is_noticed(engine, random_network, tmp_path, monkeypatch):
    """A stimulus with a count that is illegal, and that the golden model did not have."""
    if engine == "icarus" and engine_module.find_simulators()[engine].found is None:
        pytest.skip("icarus was not found")
    network, lanes, stimulus = random_network(5)
    scenario = Scenario.of(network, stimulus)

    def with_an_illegal_event(*arguments, **options):
        played = vectors(*arguments, **options)
        # Kind 3 does not exist; the guard swallows it, and nothing else changes.
        first = [(0, 3), *played.stimulus["i"]]
        return Vectors(played.stimulus | {"i": first}, played.outputs)

    monkeypatch.setattr(engine_module, "vectors", with_an_illegal_event)
    run = _run(engine, NetworkTop(network, lanes), scenario, tmp_path)
    assert "legal events for illegal ones" in run.difference
