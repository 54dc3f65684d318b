"""Work of populations, against naive counts."""

from itertools import pairwise

import numpy as np

from spikeloom.boards.work import estimated_cycles, step_work
from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import QFormat
from spikeloom.reference.maps import Convolution
from spikeloom.reference.network import Connection, FixedInput, FixedNetwork, FixedPopulation
from spikeloom.reference.neuron_fixed import NeuronConfig
from spikeloom.rtl_gen.network import NetworkTop


def neurons(size: int) -> NeuronConfig:
    return NeuronConfig(size=size, state=QFormat(word_length=8), current_width=8, threshold=9)


def stack(*sizes: int) -> FixedNetwork:
    layers = [
        FixedDense(weight=np.ones((a, b), np.int64), weight_width=4, neurons=neurons(b))
        for a, b in pairwise(sizes)
    ]
    return fixed_stack(layers, "test")


def test_gather() -> None:
    """Seven neurons on three lanes are three rows; what is sent leaves one a cycle."""
    (population,) = NetworkTop(stack(5, 7), 3).populations
    raster = np.array([[[1, 0, 1, 1, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]])
    sent = np.zeros((1, 3, 7), np.int64)
    sent[0, 2] = 1
    work = step_work(population, {"input": raster}, sent)
    assert work.tolist() == [[4 * 3, 3, 3 + 7]]


def test_scatter() -> None:
    """Each event of a convolution reaches the places whose windows it lies in."""
    conv = Convolution(np.ones((5, 2, 3, 3), np.int64), (2, 4, 4), (1, 1), (1, 1), (1, 1))
    population = FixedPopulation(
        shape=(5, 4, 4),
        neurons=neurons(80),
        connections=(Connection(source="input", maps=(conv,)),),
    )
    network = FixedNetwork(
        {"input": FixedInput(shape=(2, 4, 4))}, {"conv": population}, {"output": "conv"}, "test"
    )
    (hardware,) = NetworkTop(network, 3).populations
    raster = (np.random.default_rng(0).random((2, 3, 2, 4, 4)) < 0.9).astype(np.int64)
    expected = np.zeros((2, 3), np.int64)
    for sample, step, _, y, x in np.argwhere(raster):
        reached = [
            (v, u) for v in range(4) for u in range(4) if abs(v - y) <= 1 and abs(u - x) <= 1
        ]
        expected[sample, step] += 2 * len(reached)
    assert np.all(expected > 2 * 16)
    sent = np.zeros((2, 3, 5, 4, 4), np.int64)
    assert np.array_equal(step_work(hardware, {"input": raster}, sent), expected)


def test_steps_follow_each_other() -> None:
    """Two layers, two steps: a layer begins when the one before has ended, and so has itself."""
    work = {
        "input": np.array([[2, 2]]),
        "layer_0": np.array([[10, 1]]),
        "layer_1": np.array([[4, 5]]),
    }
    # The first layer ends its steps at 12 and 13, the second at 16 and 21.
    assert estimated_cycles(stack(2, 2, 2), work) == 21
