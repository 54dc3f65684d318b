"""Recordings that other tools made, whole: no spike may differ.

Each is one that this project did not make; ``shared/nir/README.md`` says where it comes from.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.doubts import doubts
from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import (
    Connection,
    FixedInput,
    FixedNetwork,
    FixedPopulation,
    FloatNetwork,
)
from spikeloom.reference.neuron_fixed import DecayRule, NeuronConfig, SynapseConfig
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.profile import PROFILES, Accumulation, Comparison, Order, Profile, Reset
from spikeloom.reference.simulate import Recording, count_outputs, run_fixed, run_float


def network(path: Path, profile: Profile) -> FloatNetwork:
    found = network_of(read_nir(path).graph, profile)
    assert doubts(found) == []
    return found


@pytest.mark.parametrize(
    ("tool", "options", "factor", "unit"),
    [
        # What the input is multiplied by, and what the tool's potential is divided by.
        ("norse", {}, 1.0, 1.0),
        ("snntorch", {}, 1.0, 1.0),
        ("spinnaker2", {}, 1.0, 1.0),
        ("nengo", {}, 1.0, 10.0),
        # The file's time constant is in seconds; sinabs itself counts steps.
        ("sinabs", {"dt": 1e-4}, 1.0, 1.0),
        ("rockpool", {}, 1.0, 1.0),
        ("spyx", {}, 1.0, None),
    ],
)
def test_one_lif_neuron(
    shared: Path, tool: str, options: dict[str, Any], factor: float, unit: float | None
) -> None:
    """The NIR paper's neuron, 1000 steps: spikes equal, potentials to the digits recorded."""
    recording = np.loadtxt(shared / "nir" / "lif" / f"lif_{tool}.csv", delimiter=",")
    profile = replace(PROFILES[tool], **options)
    lif = network(shared / "nir" / "lif" / "lif_norse.nir", profile)
    found = run_float(lif, (recording[:, 0] * factor)[None, :, None])
    assert found.output.ravel().tolist() == recording[:, 2].astype(int).tolist()
    assert found.output.sum() == 4
    if unit is not None:
        (membrane,) = found.membrane.values()
        silent = recording[:, 2] == 0
        theirs = recording[silent, 1] / unit
        assert membrane.ravel()[silent] == pytest.approx(theirs, rel=1e-3, abs=1e-6)


def loihi_neurons(size: int, **options: int) -> NeuronConfig:
    """``du`` is 4096, so that no synaptic current is left from the step before."""
    word = QFormat(word_length=24, rounding=Rounding.TOWARD_ZERO)
    return NeuronConfig(
        size=size,
        state=word,
        current_width=2,
        decay_rule=DecayRule.MULTIPLIER,
        decay_fraction=12,
        synapse=SynapseConfig(
            state=replace(word, overflow=Overflow.WRAP),
            decay_rule=DecayRule.MULTIPLIER,
            decay=0,
            decay_fraction=12,
        ),
        comparison=Comparison.GT,
        reset=Reset.TO_VALUE,
        **options,
    )


def one_layer(weight: NDArray[np.integer], neurons: NeuronConfig, delay: int) -> FixedNetwork:
    connection = Connection(source="in", maps=(Dense(weight),), delay=delay, shift=6)
    layer = FixedPopulation(
        shape=weight.shape[1:], neurons=neurons, connections=(connection,), weight_width=9
    )
    inputs = {"in": FixedInput(shape=weight.shape[:1])}
    return FixedNetwork(inputs, {"layer": layer}, {"out": "layer"}, "loihi")


@pytest.mark.parametrize("tool", ["lava_cpu_fixed", "lava_loihi_fixed"])
def test_one_lif_neuron_of_loihi(shared: Path, tool: str) -> None:
    """dv 163, weight 10, vth 25; the chip's v reads 128 at a spike."""
    path = shared / "nir" / "lif" / f"lif_{tool}.csv"
    inputs, v, spikes = np.loadtxt(path, delimiter=",").astype(int).T
    neurons = loihi_neurons(1, threshold=25 << 6, decay=4096 - 163)
    found = run_fixed(one_layer(np.array([[10]]), neurons, 1), inputs[None, :, None])
    assert found.output.ravel().tolist() == spikes.tolist()
    assert found.output.sum() == 4
    assert found.membrane["layer"].ravel()[spikes == 0].tolist() == v[spikes == 0].tolist()


def test_a_layer_of_loihi(shared: Path) -> None:
    """512,000 spike bits of lava-dl: dv 415, vth 6, input one step late."""
    recording = np.load(shared / "nir" / "loihi" / "oxford_dense_recording.npz")
    neurons = loihi_neurons(256, threshold=6 << 6, decay=4096 - 415)
    found = run_fixed(one_layer(recording["weight"].T, neurons, 1), recording["spikes_in"].T[None])
    assert found.output.size == 512_000
    assert np.array_equal(found.output[0], recording["spikes_out"].T)
    assert found.output.sum() == 1826


def test_a_layer_of_loihi_without_a_synapse(shared: Path) -> None:
    """The same by a stack and a stimulus one step late."""
    recording = np.load(shared / "nir" / "loihi" / "oxford_dense_recording.npz")
    late = np.roll(recording["spikes_in"].T, 1, axis=0)
    late[0] = 0
    neurons = replace(loihi_neurons(256, threshold=6 << 6, decay=4096 - 415), synapse=None)
    layer = FixedDense(
        weight=recording["weight"].T, weight_width=9, weight_shift=6, neurons=neurons
    )
    found = run_fixed(fixed_stack([layer], "loihi"), late[None])
    assert np.array_equal(found.spikes["layer_0"][0], recording["spikes_out"].T)


def xylo_neurons(recording: Any, kind: str, max_spikes: int) -> NeuronConfig:
    word = QFormat(word_length=16)
    threshold = recording[f"th{kind}"].tolist()
    return NeuronConfig(
        size=len(threshold),
        state=word,
        current_width=16,
        threshold=threshold,
        decay_rule=DecayRule.SHIFT,
        decay=recording[f"dm{kind}"].tolist(),
        shift_at_least_one=True,
        bias=recording[f"b{kind}"].tolist(),
        max_spikes=max_spikes,
        accumulation=Accumulation.EVENT,
        staged_overflow=True,
        synapse=SynapseConfig(
            state=word,
            decay_rule=DecayRule.SHIFT,
            decay=recording[f"ds{kind}"].tolist(),
            shift_at_least_one=True,
            order=Order.INPUT_FIRST,
        ),
    )


def xylo_network(recording: Any) -> FixedNetwork:
    """Delays and limits as the preset states them."""
    xylo = PROFILES["xylo"]
    assert xylo.max_output_spikes is not None
    assert xylo.max_input_count is not None
    hidden = FixedPopulation(
        shape=(40,),
        neurons=xylo_neurons(recording, "", xylo.max_spikes),
        connections=(
            Connection(source="in", maps=(Dense(recording["Win"]),), delay=xylo.input_delay),
            Connection(source="hidden", maps=(Dense(recording["Wr"]),), delay=xylo.recurrent_delay),
        ),
    )
    out = FixedPopulation(
        shape=(7,),
        neurons=xylo_neurons(recording, "o", xylo.max_output_spikes),
        connections=(
            Connection(source="hidden", maps=(Dense(recording["Wo"]),), delay=xylo.layer_delay),
        ),
    )
    inputs = {"in": FixedInput(shape=(12,), high=xylo.max_input_count, clips=True)}
    return FixedNetwork(inputs, {"hidden": hidden, "out": out}, {"out": "out"}, "xylo")


def test_a_recurrent_network_of_xylo(shared: Path) -> None:
    """All that XyloSim shows of 400 steps, saturation included."""
    recording = np.load(shared / "nir" / "xylo" / "xylosim_0.1.3_random_net.npz")
    xylo = xylo_network(recording)
    found = run_fixed(xylo, recording["X"][None])
    assert np.array_equal(found.spikes["hidden"][0], recording["hidden"])
    assert np.array_equal(found.membrane["hidden"][0], recording["v_mem"])
    assert np.array_equal(found.synapse["hidden"][0], recording["i_syn"])
    assert np.array_equal(found.output[0], recording["out"])
    assert found.overflows["hidden"] > 0
    assert recording["X"].max() > 15
    (counts,) = count_outputs(xylo, [recording["X"][None, :50]])
    assert np.array_equal(counts[0], recording["out"][:50].sum(axis=0))


def by_layer(found: Recording) -> list[NDArray[Any]]:
    return [each[0] for each in found.spikes.values()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_convolutional_network_of_sinabs(shared: Path, dtype: type[np.floating]) -> None:
    """Spike counts of all five layers on a digit of N-MNIST, in every step."""
    folder = shared / "nir" / "cnn"
    cnn = network(folder / "cnn_sinabs.nir", PROFILES["sinabs"])
    digit = np.load(folder / "nmnist_zero_10bins.npy")
    theirs = np.load(folder / "sinabs_3.1.3_layers_on_nmnist_zero.npz")
    assert np.array_equal(theirs["input"], digit)
    found = run_float(cnn, digit[None], dtype=dtype)
    layers = ("1", "3", "6", "10", "12")
    assert tuple(found.spikes) == layers
    for name, spikes in zip(layers, by_layer(found), strict=True):
        assert np.array_equal(spikes, theirs[f"layer_{name}"]), name
    assert sum(int(spikes.sum(dtype=int)) for spikes in by_layer(found)) == 69_746
    assert found.decision.tolist() == [0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_recurrent_network_of_norse(shared: Path, dtype: type[np.floating]) -> None:
    """Every output spike of 1,158 Braille samples; the file's name says that a reset subtracts."""
    path = shared / "nir" / "braille" / "braille_noDelay_noBias_subtract.nir"
    braille = network(path, replace(PROFILES["norse"], reset=Reset.SUBTRACT))
    samples = np.load(shared / "data" / "braille7_unique_samples.npz")
    theirs = np.load(shared / "nir" / "braille" / "norse_1.1.0_outspikes.npz")
    found = run_float(braille, samples["x"], dtype=dtype)
    assert found.counts.shape == (1158, 7)
    assert np.array_equal(found.counts, theirs["counts"])
    assert np.array_equal(found.output, np.unpackbits(theirs["out"], axis=1))
    # 97.3 %, as published for this network.
    assert np.count_nonzero(found.decision == samples["y"]) == 1127
