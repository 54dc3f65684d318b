"""Train the network that the package ships: handwritten digits, as a NIR file.

    python examples/train_digits.py cli/spikeloom/cli/digits.nir

A ReLU network 64-64-10 is trained on scikit-learn's 1,797 digits (the test split is kept away),
and its layers become IAF layers by data-based normalisation. Weights are the 8-bit integers that
the hardware uses, which also makes the file small. Half a threshold at the start rounds spike
counts to the nearest; NIR cannot say it, so it is spread over the steps as a bias.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from spikeloom.cli.digits import STEPS, split_digits
from spikeloom.reference.ann import dense_ann
from spikeloom.reference.calibrate import Conversion, Normalisation
from spikeloom.reference.convert import convert
from spikeloom.reference.dense import FloatDense, float_stack
from spikeloom.reference.network import FloatNetwork, FloatPopulation
from spikeloom.reference.network_graph import network_graph
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.nir_export import write_nir
from spikeloom.reference.profile import IAF

HIDDEN = 64
SEED = 0
WEIGHT_LEVELS = 127
CONVERSION = Conversion(
    normalisation=Normalisation.PERCENTILE,
    percentile=99.0,
    per_channel=True,
    max_spikes=1,
    bias_correction=False,
    weight_width=None,
)


def with_shifts(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """The images, and the same shifted by one pixel in each direction."""
    padded = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    corners = ((1, 1), (1, 2), (1, 0), (2, 1), (0, 1))
    return np.concatenate([padded[:, y : y + 8, x : x + 8].reshape(-1, 64) for y, x in corners])


def train() -> FloatNetwork:
    """Train and convert; takes about a second."""
    images, labels, *_ = split_digits()
    # A fixed number of epochs, not a tolerance, decides when training ends.
    model = MLPClassifier(
        (HIDDEN,),
        alpha=0.1,
        learning_rate_init=3e-3,
        max_iter=60,
        n_iter_no_change=60,
        random_state=SEED,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(with_shifts(images), np.tile(labels, 5))
    ann = dense_ann(model.coefs_, model.intercepts_)
    network = convert(ann, images, CONVERSION).network
    return float_stack([_shippable(each) for each in network.populations.values()])


def _shippable(layer: FloatPopulation) -> FloatDense:
    """The layer in units of its weights' last place, without a potential at the start."""
    weight = layer.connections[0].maps[0].weight
    unit = np.abs(weight).max() / WEIGHT_LEVELS
    bias = np.float32((layer.neuron.bias + layer.neuron.v_init / STEPS) / unit)
    v_th = float(np.float32(layer.neuron.v_th / unit))
    neuron = FloatNeuron(profile=IAF, v_th=v_th, tau=None)
    return FloatDense(np.rint(weight / unit), neuron, bias)


def main() -> None:
    path = Path(sys.argv[1])
    write_nir(network_graph(train()), path)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
