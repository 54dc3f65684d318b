"""Scenarios: the golden model's answer, on disk and back."""

import random
from pathlib import Path

import numpy as np
import pytest

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.reference.scenario import Scenario


def integrators(size: int) -> NeuronConfig:
    return NeuronConfig(size=size, state=QFormat(word_length=8), current_width=4, threshold=4)


@pytest.fixture
def scenario() -> Scenario:
    """Three samples of three steps through 2 and then 1 integrating neurons."""
    first = FixedDense(weight=np.array([[3, 1], [0, 2]]), weight_width=4, neurons=integrators(2))
    second = FixedDense(weight=np.array([[2], [3]]), weight_width=4, neurons=integrators(1))
    stimulus = [
        [[1, 0], [1, 1], [0, 0]],
        [[0, 0], [0, 0], [0, 0]],
        [[0, 1], [0, 1], [1, 1]],
    ]
    return Scenario.of(fixed_stack((first, second), "if"), stimulus)


def equal(a: Scenario, b: Scenario) -> bool:
    return [*a.inputs, *a.outputs] == [*b.inputs, *b.outputs] and all(
        x.dtype == y.dtype and np.array_equal(x, y)
        for x, y in zip(
            (*a.inputs.values(), *a.outputs.values(), *a.membrane),
            (*b.inputs.values(), *b.outputs.values(), *b.membrane),
            strict=True,
        )
    )


def test_of(scenario: Scenario) -> None:
    """By hand: weights (3, 1) and (0, 2), threshold 4; then 2 and 3, threshold 4."""
    assert scenario.stimulus.dtype == np.uint8
    first, second = scenario.membrane
    assert first.tolist() == [
        [[3, 1], [2, 0], [2, 0]],
        [[0, 0], [0, 0], [0, 0]],
        [[0, 2], [0, 0], [3, 3]],
    ]
    assert second.tolist() == [[[0], [1], [1]], [[0], [0], [0]], [[0], [3], [3]]]
    assert scenario.spikes.tolist() == [
        [[0], [1], [0]],
        [[0], [0], [0]],
        [[0], [0], [0]],
    ]


def test_of_wrong_stimulus() -> None:
    layer = FixedDense(weight=np.array([[3]]), weight_width=4, neurons=integrators(1))
    network = fixed_stack((layer,), "if")
    with pytest.raises(ValueError, match=r"^counts must be 0 to 1, not 0 to 2$"):
        Scenario.of(network, [[[0], [2]]])
    with pytest.raises(ValueError, match=r"^raster must be of shape \(samples, steps, 1\), not"):
        Scenario.of(network, [[[0, 1]]])


def test_of_neurons() -> None:
    scenario = Scenario.of_neurons(integrators(2), [[[3, -8], [3, 7]]])
    assert scenario.stimulus.tolist() == [[[3, -8], [3, 7]]]
    assert scenario.spikes.tolist() == [[[0, 0], [1, 0]]]
    assert [v.tolist() for v in scenario.membrane] == [[[[3, -8], [2, -1]]]]


@pytest.mark.parametrize("shape", [(2,), (3, 2), (1, 3, 3), (1, 1, 1, 2)])
def test_of_neurons_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^current must be of shape \(samples, steps, 2\), not "):
        Scenario.of_neurons(integrators(2), np.zeros(shape, dtype=int))


def test_of_neurons_wrong_current() -> None:
    with pytest.raises(ValueError, match=r"^current must fit into 4 bits, but one does not$"):
        Scenario.of_neurons(integrators(1), [[[8]]])


def test_of_neurons_wrong_kind_of_current() -> None:
    with pytest.raises(TypeError, match=r"^current must hold integers, not float64$"):
        Scenario.of_neurons(integrators(1), [[[0.5]]])


def test_head(scenario: Scenario) -> None:
    head = scenario.head(2)
    assert head.stimulus.tolist() == scenario.stimulus.tolist()[:2]
    assert head.spikes.tolist() == scenario.spikes.tolist()[:2]
    assert [v.tolist() for v in head.membrane] == [v.tolist()[:2] for v in scenario.membrane]


def test_save_and_load(scenario: Scenario, tmp_path: Path) -> None:
    scenario.save(tmp_path / "scenario.npz")
    assert equal(Scenario.load(tmp_path / "scenario.npz"), scenario)


def test_save_and_load_eleven_layers(tmp_path: Path) -> None:
    """Membranes come back in the order of the layers, not of their names."""
    spikes = np.zeros((1, 1, 1), dtype=np.uint8)
    membrane = tuple(np.full((1, 1, 1), k) for k in range(11))
    scenario = Scenario({"in": spikes}, {"out": spikes}, membrane)
    scenario.save(tmp_path / "scenario.npz")
    assert equal(Scenario.load(tmp_path / "scenario.npz"), scenario)


def test_save_and_load_several_inputs_and_outputs(tmp_path: Path) -> None:
    """Names come back in their order, whatever they are."""
    inputs = {name: np.full((2, 3, k + 1), k) for k, name in enumerate(["z/1", "a b", "\u03b1"])}
    outputs = {"o": np.zeros((2, 3, 1, 2, 2)), "i": np.ones((2, 3, 4))}
    scenario = Scenario(inputs, outputs, ())
    scenario.save(tmp_path / "scenario.npz")
    found = Scenario.load(tmp_path / "scenario.npz")
    assert equal(found, scenario)
    assert np.array_equal(found.stimulus, inputs["z/1"])
    assert np.array_equal(found.spikes, outputs["o"])


def test_of_several_inputs_and_outputs() -> None:
    """By hand: x and twice y, threshold 4."""
    heard = (("x", 1), ("y", 2))
    population = FixedPopulation(
        shape=(1,),
        neurons=integrators(1),
        connections=tuple(
            Connection(source=name, maps=(Dense(np.array([[weight]])),)) for name, weight in heard
        ),
    )
    inputs = {"x": FixedInput(shape=(1,), high=2), "y": FixedInput(shape=(1,))}
    network = FixedNetwork(inputs, {"p": population}, {"p": "p", "again": "y"}, "two")
    x, y = [[[2], [0]]], [[[1], [1]]]
    scenario = Scenario.of(network, {"y": y, "x": x})
    assert {name: v.tolist() for name, v in scenario.inputs.items()} == {"x": x, "y": y}
    assert {name: v.tolist() for name, v in scenario.outputs.items()} == {
        "p": [[[1], [0]]],
        "again": y,
    }
    assert scenario.membrane[0].tolist() == [[[0], [2]]]
    with pytest.raises(ValueError, match="stimulus must be for the inputs x, y, not x"):
        Scenario.of(network, {"x": x})


def test_wrong_shapes() -> None:
    one, other = np.zeros((1, 2, 3), int), np.zeros((1, 3, 3), int)
    with pytest.raises(ValueError, match="must be of the same samples and steps"):
        Scenario({"in": one}, {"out": other}, ())
    with pytest.raises(ValueError, match="must be of the same samples and steps"):
        Scenario({"in": one}, {"out": one}, (one, other))
    with pytest.raises(ValueError, match="must have inputs and outputs"):
        Scenario({"in": one}, {}, ())


@pytest.mark.parametrize("names", [[1], [["in"]], "in", ["in", "in"]])
def test_load_wrong_names(scenario: Scenario, tmp_path: Path, names: object) -> None:
    scenario.save(tmp_path / "whole.npz")
    with np.load(tmp_path / "whole.npz") as whole:
        np.savez(tmp_path / "scenario.npz", **dict(whole) | {"inputs": names})
    with pytest.raises(ValueError, match=r"scenario\.npz must be a scenario file, but "):
        Scenario.load(tmp_path / "scenario.npz")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x93NUMPY", b"\x80\x04."])
def test_load_wrong_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scenario.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"scenario\.npz must be a scenario file, but "):
        Scenario.load(path)


def test_load_wrong_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.npz must be a scenario file, but "):
        Scenario.load(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="must be a scenario file, but "):
        Scenario.load(tmp_path)


def test_load_wrong_kind_of_array_file(tmp_path: Path) -> None:
    """One array alone is a NumPy file too, but no scenario."""
    path = tmp_path / "array.npy"
    np.save(path, np.arange(3))
    with pytest.raises(ValueError, match=r"array\.npy must be a scenario file, but "):
        Scenario.load(path)


@pytest.mark.parametrize("byte", [b"\x01", b"\x20", b"\x40"])
def test_load_encrypted(scenario: Scenario, tmp_path: Path, byte: bytes) -> None:
    """Damage to the flags of a member makes it look encrypted, or patched."""
    path = tmp_path / "scenario.npz"
    scenario.save(path)
    whole = path.read_bytes()
    place = whole.index(b"PK\x01\x02") + 8  # of the first entry in the central directory
    path.write_bytes(whole[:place] + byte + whole[place + 1 :])
    with pytest.raises(ValueError, match=r"scenario\.npz must be a scenario file, but "):
        Scenario.load(path)


@pytest.mark.parametrize(
    "missing", ["inputs", "outputs", "layers", "input_0", "output_0", "membrane_1"]
)
def test_load_missing_array(scenario: Scenario, tmp_path: Path, missing: str) -> None:
    scenario.save(tmp_path / "whole.npz")
    with np.load(tmp_path / "whole.npz") as whole:
        arrays = dict(whole)
    del arrays[missing]
    np.savez(tmp_path / "scenario.npz", **arrays)
    with pytest.raises(ValueError, match=r"scenario\.npz must be a scenario file, but "):
        Scenario.load(tmp_path / "scenario.npz")


def damaged(whole: bytes) -> list[bytes]:
    """Files cut short anywhere, and files with 400 damaged bytes, drawn with seed 1."""
    rng = random.Random(1)
    files = [whole[:length] for length in range(0, len(whole), 7)]
    for _ in range(400):
        place = rng.randrange(len(whole))
        other = whole[place] ^ rng.randrange(1, 256)
        files.append(whole[:place] + bytes([other]) + whole[place + 1 :])
    return files


def test_load_damaged(scenario: Scenario, tmp_path: Path) -> None:
    """A damaged file is refused, or its damage is where nothing is said."""
    path = tmp_path / "scenario.npz"
    scenario.save(path)
    refused = 0
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        try:
            found = Scenario.load(path)
        except ValueError:
            refused += 1
        else:
            assert equal(found, scenario)
    assert refused > 200


def test_signed_words_are_kept() -> None:
    neurons = NeuronConfig(size=1, state=QFormat(word_length=16), current_width=16, threshold=32767)
    population = FixedPopulation(
        shape=(1,),
        neurons=neurons,
        connections=(Connection(source="in", maps=(Dense(np.array([[1]])),)),),
    )
    inputs = {"in": FixedInput(shape=(1,), low=-300, high=40)}
    network = FixedNetwork(inputs, {"a": population}, {"out": "a"}, "signed")
    scenario = Scenario.of(network, np.array([[[-300], [40], [-1]]]))
    assert scenario.stimulus.ravel().tolist() == [-300, 40, -1]
    assert scenario.membrane[0].ravel().tolist() == [-300, -260, -261]
