"""The 784-128-10 network on MNIST that the benchmarks run.

It needs the folder of data sets ``shared`` beside the checkout, or where ``SPIKELOOM_SHARED`` says.
"""

from dataclasses import dataclass, replace

import numpy as np
from figures import Array, data_set

from spikeloom.reference.dense import FloatDense, float_stack
from spikeloom.reference.network import FloatNetwork
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.profile import IAF, Decay, InputGain, Order


def mnist(part: str) -> tuple[Array, Array]:
    """Images from 0 to 1, shape (images, 784), and labels."""
    images, labels = data_set("mnist", part)
    return images.reshape(-1, 784).astype(np.float32) / 255, labels


@dataclass(frozen=True)
class MLP:
    """A trained network: ``act(x @ w + b) @ v + c``.

    Attributes
    ----------
    weights, biases
        Of both layers.
    ceiling
        Where the activation is clipped; infinite for a ReLU.
    """

    weights: tuple[Array, Array]
    biases: tuple[Array, Array]
    ceiling: float

    def __call__(self, images: Array) -> Array:
        """Scores of images, the staircase of the activation left out; shape (images, 10)."""
        (w, v), (b, c) = self.weights, self.biases
        return np.clip(images @ w + b, 0, self.ceiling) @ v + c


def train(
    images: Array, labels: Array, epochs: int = 6, *, levels: int = 0, jitter: int = 0
) -> MLP:
    """Train by gradient descent with momentum, seed 0.

    Parameters
    ----------
    images, labels
        The training set.
    epochs
        How often it is seen.
    levels
        Steps of a clipped staircase instead of the ReLU: what a neuron can say in so many time
        steps. The ceiling is trained, the staircase's slope is taken for 1 (Bu et al., "Optimal
        ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural networks", ICLR
        2022). 0 is the ReLU.
    jitter
        The most pixels that a batch of images is moved by.
    """
    rng = np.random.default_rng(0)
    shapes = ((784, 128), (128, 10))
    w, v = (rng.normal(0, np.sqrt(2 / s[0]), s).astype(np.float32) for s in shapes)
    b, c = (np.zeros(s[1], np.float32) for s in shapes)
    ceiling = np.full(1, 4 if levels else np.inf, np.float32)
    parameters = (w, v, b, c, ceiling)
    momenta = [np.zeros_like(each) for each in parameters]
    target = np.eye(10, dtype=np.float32)[labels]
    batches = [k for _ in range(epochs) for k in np.split(rng.permutation(len(images)), 600)]
    for n, batch in enumerate(batches):
        x = images[batch]
        if jitter:
            move = tuple(rng.integers(-jitter, jitter + 1, 2))
            x = np.roll(x.reshape(-1, 28, 28), move, (1, 2)).reshape(len(batch), 784)
        z = x @ w + b
        hidden = np.maximum(z, 0)
        if levels:
            hidden = np.clip(np.rint(z / ceiling * levels) / levels, 0, 1) * ceiling
        odds = np.exp(hidden @ v + c)
        error = (odds / odds.sum(axis=1, keepdims=True) - target[batch]) / len(batch)
        spread = error @ v.T
        back = spread * ((z > 0) & (z < ceiling))
        # Of a staircase times its ceiling: its own height, less what a higher ceiling flattens it.
        rise = np.where(z < ceiling, hidden - np.clip(z, 0, None), hidden) / ceiling
        slopes = (
            *(x.T @ back + 1e-4 * w, hidden.T @ error + 1e-4 * v),
            *(back.sum(0), error.sum(0)),
            0.1 * np.sum(spread * rise, keepdims=True).ravel() if levels else np.zeros(1),
        )
        for parameter, momentum, slope in zip(parameters, momenta, slopes, strict=True):
            momentum *= 0.9
            momentum -= 0.1 * (1 - n / len(batches)) * slope
            parameter += momentum
    return MLP((w, v), (b, c), float(ceiling[0]))


def rate_network(trained: MLP, rate: float) -> FloatNetwork:
    """The network for images whose white is so many spikes a step.

    Its neurons spike as the staircase rounds.
    A hidden neuron adds up its input and spikes at the ceiling, half of which it begins with; an
    output neuron adds up all it hears and sends the sum.
    """
    hidden = FloatNeuron(profile=IAF, v_th=trained.ceiling, v_init=trained.ceiling / 2, tau=None)
    return _stack(trained, rate, hidden, trained.biases[0])


def current_network(trained: MLP, levels: int) -> FloatNetwork:
    """The network for images that come once, in the first step, as numbers from 0 to ``levels``.

    The synapses of the hidden neurons hold what they have got, so that the image acts as a constant
    current in every step.
    """
    profile = replace(
        IAF,
        decay=Decay.CONSTANT,
        synapse_gain=InputGain.ONE,
        synapse_order=Order.INPUT_FIRST,
    )
    hidden = FloatNeuron(
        profile=profile,
        v_th=trained.ceiling,
        v_init=trained.ceiling / 2,
        tau_syn=1.0,
        v_leak=-trained.biases[0].astype(np.float64),
    )
    return _stack(trained, levels, hidden, 0.0)


def _stack(trained: MLP, unit: float, hidden: FloatNeuron, bias: Array | float) -> FloatNetwork:
    w, v = (each.astype(np.float64) for each in trained.weights)
    integrator = FloatNeuron(profile=IAF, v_th=None, tau=None)
    return float_stack(
        [
            FloatDense(w / unit, hidden, bias),
            FloatDense(v * trained.ceiling, integrator, trained.biases[1].astype(np.float64)),
        ]
    )
