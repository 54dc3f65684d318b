"""The demonstration's network: handwritten digits, trained in seconds and made to spike."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.reference.coding import rate_code
from spikeloom.reference.convert import IAF, relu_to_iaf
from spikeloom.reference.network import FloatNetwork

__all__ = ["DIGITS_LANES", "Digits", "train_digits", "write_design"]

STEPS = 16
"""Time steps of an image: a pixel's 16 grey levels are 0 to 16 spikes."""

TEST_IMAGES = 360
HIDDEN = 64
SEED = 0

DIGITS_LANES = (8, 2)
"""Lanes of the two layers, so that both take about as long."""

PROFILE = replace(IAF, name="iaf")


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
        How many of them the network recognised before it was made to spike.
    """

    network: FloatNetwork
    images: NDArray[np.float64]
    labels: NDArray[np.int64]
    stimulus: NDArray[np.uint8]
    ann_correct: int


def train_digits() -> Digits:
    """Train a ReLU network 64-64-10 on scikit-learn's 1,797 digits and convert it.

    1,437 images, each also shifted by a pixel in four directions, are for training and
    calibration, 360 for the test. Takes about two seconds.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    pixels, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        pixels / 16, labels, test_size=TEST_IMAGES, stratify=labels, random_state=SEED
    )
    # A fixed number of epochs, not a tolerance, decides when training ends.
    model = MLPClassifier(
        (HIDDEN,),
        alpha=0.1,
        learning_rate_init=3e-3,
        max_iter=60,
        n_iter_no_change=60,
        random_state=SEED,
    )
    _fit(model, _with_shifts(train), np.tile(train_labels, 5))
    return Digits(
        network=relu_to_iaf(
            model.coefs_, model.intercepts_, train, profile=PROFILE, percentile=99.0
        ),
        images=test.reshape(-1, 8, 8),
        labels=test_labels,
        stimulus=rate_code(test, STEPS),
        ann_correct=int(np.sum(model.predict(test) == test_labels)),
    )


def _fit(model: Any, images: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(images, labels)


def _with_shifts(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """The images, and the same shifted by one pixel in each direction."""
    padded = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    corners = ((1, 1), (1, 2), (1, 0), (2, 1), (0, 1))
    return np.concatenate([padded[:, y : y + 8, x : x + 8].reshape(-1, 64) for y, x in corners])


def write_design(network: FloatNetwork, folder: Path) -> Path:
    """Write the network as a design file that ``spikeloom generate`` and ``build`` read."""
    neuron = network.layers[0].neuron
    profile = neuron.profile
    lines = [
        "# Handwritten digits, 8 x 8 pixels: try `spikeloom generate` or `spikeloom build` on it.",
        "[profile]",
        f'name = "{profile.name}"',
        f'decay = "{profile.decay.value}"',
        f'input_gain = "{profile.input_gain.value}"',
        f'reset = "{profile.reset.value}"',
        "",
        "[neuron]",
        f"v_th = {neuron.v_th}",
        f"v_init = {neuron.v_init}",
    ]
    for k, (layer, lanes) in enumerate(zip(network.layers, DIGITS_LANES, strict=True)):
        np.save(folder / f"weight_{k}.npy", layer.weight)
        np.save(folder / f"bias_{k}.npy", layer.bias)
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
