"""Networks that other tools trained, from their files to Verilog: equal in every engine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig, SynapseConfig
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.profile import PROFILES, Accumulation, Order, Reset
from spikeloom.reference.quantize import quantize
from spikeloom.reference.scenario import Scenario
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.timing import predict
from spikeloom.sim.engine import run_engine


@pytest.mark.parametrize("simulator", ["verilator"], indirect=True)
def test_recurrent_braille(simulator: str, shared: Path, tmp_path: Path) -> None:
    """Eight samples of 256 steps through 12-40-7 neurons with synapses."""
    raster = np.load(shared / "data" / "braille7_unique_samples.npz")["x"][:64].astype(np.int64)
    graph = read_nir(shared / "nir" / "braille" / "braille_noDelay_noBias_subtract.nir").graph
    network = network_of(graph, replace(PROFILES["norse"], reset=Reset.SUBTRACT))
    words = Precision(scale=Scale.NEURON, state_fraction=None, decay_fraction=12)
    fixed = quantize(network, words, calibration=raster)
    scenario = Scenario.of(fixed, raster[:8])
    assert scenario.spikes.sum() > 1000
    top = NetworkTop(fixed, (8, 2))
    run = run_engine(simulator, top, scenario, tmp_path, profile="norse")
    assert run.difference == ""
    assert predict(top, raster[:8], run_fixed(fixed, raster[:8])).cycles == run.cycles


@pytest.mark.parametrize("simulator", ["verilator"], indirect=True)
def test_convolutions_of_sinabs(simulator: str, shared: Path, tmp_path: Path) -> None:
    """The N-MNIST digit through three convolutions, two pools and two dense layers."""
    digit = np.load(shared / "nir" / "cnn" / "nmnist_zero_10bins.npy")[None].astype(np.int64)
    graph = read_nir(shared / "nir" / "cnn" / "cnn_sinabs.nir").graph
    network = network_of(graph, PROFILES["sinabs"])
    inputs = {"input": FixedInput(shape=(2, 34, 34), high=int(digit.max()))}
    words = Precision(scale=Scale.NEURON, state_fraction=None, state_width=20)
    fixed = quantize(network, words, inputs=inputs, calibration=digit)
    scenario = Scenario.of(fixed, digit)
    assert scenario.spikes.sum() > 1000
    top = NetworkTop(fixed, (16, 16, 8, 8, 2))
    run = run_engine(simulator, top, scenario, tmp_path, profile="sinabs")
    assert run.difference == ""
    golden = run_fixed(fixed, digit)
    timing = predict(top, digit, golden)
    assert timing.cycles == run.cycles
    # The third convolution lies behind a pool of two by two: a source reaches three places along
    # each side, two at the border of its eight, and eight channels in one row of eight lanes.
    third = timing.populations["6"]
    assert third.rows_added == max(each.rows_added for each in timing.populations.values())
    sources = np.argwhere(golden.spikes["3"].reshape(-1, 16, 16, 16))[:, 2:] // 2
    rows = np.where((sources == 0) | (sources == 7), 2, 3).prod(axis=1).sum()
    assert third.rows_added == rows
    # It adds in four of five cycles, and in nearly all in which it knows what to add.
    assert rows < timing.cycles < rows / 0.8
    assert third.utilisation > 0.98


def xylo_neurons(recording: Any, kind: str, max_spikes: int) -> NeuronConfig:
    word = QFormat(word_length=16)
    decay: dict[str, Any] = {"decay_rule": DecayRule.SHIFT, "shift_at_least_one": True}
    return NeuronConfig(
        size=len(recording[f"th{kind}"]),
        state=word,
        current_width=16,
        threshold=recording[f"th{kind}"].tolist(),
        decay=recording[f"dm{kind}"].tolist(),
        bias=recording[f"b{kind}"].tolist(),
        max_spikes=max_spikes,
        accumulation=Accumulation.EVENT,
        staged_overflow=True,
        synapse=SynapseConfig(
            state=word, decay=recording[f"ds{kind}"].tolist(), order=Order.INPUT_FIRST, **decay
        ),
        **decay,
    )


@pytest.mark.parametrize("simulator", ["verilator"], indirect=True)
def test_recurrent_xylo(simulator: str, shared: Path, tmp_path: Path) -> None:
    """All 400 steps that XyloSim recorded, in which currents saturate event by event."""
    recording = np.load(shared / "nir" / "xylo" / "xylosim_0.1.3_random_net.npz")
    populations = {
        "hidden": FixedPopulation(
            shape=(40,),
            neurons=xylo_neurons(recording, "", 31),
            connections=(
                Connection(source="in", maps=(Dense(recording["Win"]),)),
                Connection(source="hidden", maps=(Dense(recording["Wr"]),), delay=1),
            ),
        ),
        "out": FixedPopulation(
            shape=(7,),
            neurons=xylo_neurons(recording, "o", 1),
            connections=(Connection(source="hidden", maps=(Dense(recording["Wo"]),), delay=1),),
        ),
    }
    inputs = {"in": FixedInput(shape=(12,), high=15)}
    fixed = FixedNetwork(inputs, populations, {"out": "out"}, "xylo")
    stimulus = recording["X"][None].clip(0, 15)
    top = NetworkTop(fixed, (8, 2))
    run = run_engine(simulator, top, Scenario.of(fixed, stimulus), tmp_path, profile="xylo")
    assert run.difference == ""
    assert predict(top, stimulus, run_fixed(fixed, stimulus)).cycles == run.cycles
    assert run.spikes is not None
    assert np.array_equal(run.spikes[0], recording["out"])
    assert np.array_equal(run.membrane[0][0], recording["v_mem"])
