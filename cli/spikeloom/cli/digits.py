"""The demonstration's network: handwritten digits, trained before and shipped as a NIR file."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.coding import rate_code
from spikeloom.reference.maps import Dense
from spikeloom.reference.network import FloatNetwork
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.profile import IAF

__all__ = ["DIGITS_LANES", "STEPS", "Digits", "load_digits_demo", "split_digits", "write_design"]

STEPS = 16
"""Time steps of an image: a pixel's 16 grey levels are 0 to 16 spikes."""

TEST_IMAGES = 360
SEED = 0

DIGITS_LANES = (8, 2)
"""Lanes of the two layers, so that both take about as long."""


@dataclass(frozen=True, eq=False)
class Digits:
    """The trained network and the images that it has not seen.

    Attributes
    ----------
    network
        The spiking network, in floating point.
    images
        Test images of shape (images, 8, 8), from 0 to 1.
    labels
        Their digits.
    stimulus
        Their spikes, shape (images, steps, 64).
    ann_correct
        How many of them the network recognises with rectified-linear units in place of neurons.
    """

    network: FloatNetwork
    images: NDArray[np.float64]
    labels: NDArray[np.int64]
    stimulus: NDArray[np.uint8]
    ann_correct: int


def load_digits_demo() -> Digits:
    """The network that ``examples/train_digits.py`` made, with scikit-learn's test digits."""
    _, _, test, labels = split_digits()
    with resources.as_file(resources.files(__package__) / "digits.nir") as path:
        network = network_of(read_nir(path).graph, IAF)
    activation = test
    for weight, bias in _layers(network):
        # The bias holds half a spike over all steps, for rounding; a ReLU unit does not round.
        activation = np.maximum(activation @ weight + bias - 0.5 / STEPS, 0)
    return Digits(
        network=network,
        images=test.reshape(-1, 8, 8),
        labels=labels,
        stimulus=rate_code(test, STEPS),
        ann_correct=int(np.sum(activation.argmax(axis=1) == labels)),
    )


def _layers(network: FloatNetwork) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Weights and biases of a stack of dense layers, in units of the threshold."""
    layers = []
    for population in network.populations.values():
        (connection,) = population.connections
        (dense,) = connection.maps
        if not isinstance(dense, Dense):
            raise ValueError("all layers must be dense")
        v_th = np.asarray(population.neuron.v_th, dtype=np.float64)
        layers.append((dense.weight / v_th, population.neuron.bias / v_th))
    return layers


def split_digits() -> tuple[
    NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]
]:
    """Images (from 0 to 1, 64 pixels) and labels: for training, then for the test, 360 of them."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        pixels / 16, labels, test_size=TEST_IMAGES, stratify=labels, random_state=SEED
    )
    return train, train_labels, test, test_labels


def write_design(digits: Digits, folder: Path) -> Path:
    """Write the network as a design file that ``generate`` and ``build`` read, and the test images
    beside it as data for ``run``."""
    network = digits.network
    np.savez(folder / "test.npz", x=digits.stimulus, y=digits.labels)
    profile = next(iter(network.populations.values())).neuron.profile
    lines = [
        "# Handwritten digits, 8 x 8 pixels: try `spikeloom generate` or `spikeloom build` on it.",
        "[profile]",
        f'name = "{profile.name}"',
        f'decay = "{profile.decay.value}"',
        f'input_gain = "{profile.input_gain.value}"',
        f'reset = "{profile.reset.value}"',
        "",
        "[neuron]",
        "v_th = 1.0  # weights and biases are in units of the threshold",
    ]
    for k, ((weight, bias), lanes) in enumerate(zip(_layers(network), DIGITS_LANES, strict=True)):
        np.save(folder / f"weight_{k}.npy", weight)
        np.save(folder / f"bias_{k}.npy", bias)
        lines += [
            "",
            "[[layer]]",
            f'weight = "weight_{k}.npy"',
            f'bias = "bias_{k}.npy"',
            f"lanes = {lanes}",
        ]
    path = folder / "digits.toml"
    path.write_text("\n".join(lines) + "\n")
    return path
