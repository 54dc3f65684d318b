"""Networks that other tools trained, from their files to Verilog: equal in every engine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeloom.reference.network import FixedInput
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.precision import Precision, Scale
from spikeloom.reference.profile import PROFILES, Reset
from spikeloom.reference.quantize import quantize
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.network import NetworkTop
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
    run = run_engine(simulator, NetworkTop(fixed, (8, 2)), scenario, tmp_path, profile="norse")
    assert run.difference == ""


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
    # 55,296 rows of weights for the busiest convolution: it adds in four of five cycles.
    assert run.cycles is not None
    assert 55296 < run.cycles < 55296 / 0.8
