"""Networks as NIR graphs, which become the same networks again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.reference.dense import FloatDense, float_stack
from spikeloom.reference.graph import IF, ChargedIF, Output, SumPool2d
from spikeloom.reference.maps import Convolution, Dense, Diagonal, Pool, Reshape
from spikeloom.reference.network import Connection, FloatNetwork, FloatPopulation
from spikeloom.reference.network_graph import network_graph
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.nir_export import write_nir
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.profile import IAF, TEXTBOOK_LIF
from spikeloom.reference.simulate import run_float


def neuron(**options: Any) -> FloatNeuron:
    return FloatNeuron(**({"profile": IAF, "v_th": 1.0, "tau": None} | options))


def test_dense_stack() -> None:
    """Numbers that single precision holds; names of populations stay."""
    weight = np.array([[0.5, -0.25], [1.0, 2.0]])
    layers = [
        FloatDense(weight, neuron(), np.array([0.5, 0.25])),
        FloatDense(weight, neuron(v_th=0.5, v_init=0.25, max_spikes=3), 0.0),
    ]
    graph = network_graph(float_stack(layers))
    assert type(graph.nodes["layer_0"]) is IF
    assert isinstance(graph.nodes["layer_1"], ChargedIF)
    again = network_of(graph, IAF)
    assert list(again.populations) == ["layer_0", "layer_1"]
    raster = np.random.default_rng(0).integers(0, 2, (4, 20, 2))
    runs = [run_float(each, raster) for each in (float_stack(layers), again)]
    assert runs[0].spikes["layer_1"].max() > 1
    for name, spikes in runs[0].spikes.items():
        assert np.array_equal(spikes, runs[1].spikes[name])


def convolutional(bias: Any) -> FloatNetwork:
    rng = np.random.default_rng(1)
    first = Convolution(rng.integers(-4, 5, (2, 1, 3, 3)) / 4, (1, 4, 4), (1, 1), (1, 1), (1, 1))
    pool = Pool((2, 4, 4), (2, 2), (2, 2), (0, 0))
    flat = Reshape((2, 2, 2), (8,))
    connection = Connection
    return FloatNetwork(
        {"in": (1, 4, 4)},
        {
            "a": FloatPopulation(
                shape=(2, 2, 2),
                neuron=neuron(bias=bias),
                connections=(
                    connection(source="in", maps=(first, pool)),
                    connection(source="in", maps=(replace(first, stride=(2, 2)),)),
                ),
            ),
            "b": FloatPopulation(
                shape=(2, 2, 2),
                neuron=neuron(v_init=0.5),
                connections=(connection(source="a", maps=(Diagonal(np.full((2, 2, 2), 0.75)),)),),
            ),
            "out": FloatPopulation(
                shape=(3,),
                neuron=neuron(v_th=None),
                connections=(
                    connection(source="b", maps=(flat, Dense(rng.integers(-4, 5, (8, 3)) / 4))),
                ),
            ),
        },
        {"output": "out"},
    )


def test_convolutions_and_pools() -> None:
    """The bias of a channel behind a pool of four is a quarter before it."""
    network = convolutional(np.repeat([0.5, -0.25], 4).reshape(2, 2, 2))
    graph = network_graph(network)
    pools = [each for each in graph.nodes.values() if isinstance(each, SumPool2d)]
    assert len(pools) == 1
    assert isinstance(graph.nodes["output"], Output)
    raster = np.random.default_rng(2).integers(0, 2, (3, 10, 1, 4, 4))
    runs = [run_float(each, raster) for each in (network, network_of(graph, IAF))]
    assert runs[0].output.any()
    assert np.array_equal(runs[0].output, runs[1].output)


def test_bias_of_each_place(tmp_path: Path) -> None:
    """A convolution has one bias a channel; another is the neurons' own, and comes back."""
    bias = np.arange(8).reshape(2, 2, 2) / 8
    graph = network_graph(convolutional(bias))
    assert isinstance(graph.nodes["a"], ChargedIF)
    write_nir(graph, tmp_path / "a.nir")
    network = network_of(read_nir(tmp_path / "a.nir").graph, IAF)
    assert np.array_equal(network.populations["a"].neuron.bias, bias)


def test_wrong_bias() -> None:
    """What sends its sum has no neurons that could have it."""
    network = convolutional(np.arange(8).reshape(2, 2, 2) / 8)
    silent = FloatNeuron(
        profile=IAF, v_th=None, tau=None, bias=network.populations["a"].neuron.bias
    )
    populations = {**network.populations}
    populations["a"] = replace(populations["a"], neuron=silent)
    network = replace(network, populations=populations)
    with pytest.raises(ValueError, match=r"^population 'a': its bias must go with the weights of"):
        network_graph(network)


def test_wrong_neurons() -> None:
    leaky = FloatNeuron(profile=TEXTBOOK_LIF, v_th=1.0, tau=5.0)
    network = float_stack([FloatDense(np.eye(2), leaky, 0.0)])
    with pytest.raises(ValueError, match=r"^population 'layer_0': its neurons must be IF"):
        network_graph(network)


def test_wrong_delay() -> None:
    network = convolutional(0.0)
    population = network.populations["b"]
    late = replace(population, connections=(replace(population.connections[0], delay=1),))
    network = FloatNetwork(network.inputs, {**network.populations, "b": late}, network.outputs)
    with pytest.raises(ValueError, match=r"^population 'b': the connection from 'a' must have no"):
        network_graph(network)
