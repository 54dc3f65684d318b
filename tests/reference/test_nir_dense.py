from itertools import pairwise

import numpy as np
import pytest

from spikeloom.reference.convert import IAF
from spikeloom.reference.graph import IF, LIF, Affine, Graph, Input, Linear, Output, Threshold
from spikeloom.reference.nir_dense import dense_graph, dense_network
from spikeloom.reference.nir_export import write_nir
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.profile import TEXTBOOK_LIF
from spikeloom.reference.simulate import run_float


def _if(size, v_threshold=1.5, r=1.0):
    return IF(*(np.full(size, value) for value in (r, v_threshold, 0.0)))


def _lif(size, v_leak=0.0):
    return LIF(*(np.full(size, value) for value in (20.0, 1.0, v_leak, 10.0, -1.0)))


def _chain(*nodes):
    named = {f"n{k}": node for k, node in enumerate(nodes)}
    return Graph(named, tuple(pairwise(named)))


def _two_layers():
    rng = np.random.default_rng(4)
    return _chain(
        Input((3,)),
        Affine(rng.normal(size=(4, 3)), rng.normal(size=4)),
        _if(4),
        Linear(rng.normal(size=(2, 4))),
        _if(2, 0.5, 2.0),
        Output((2,)),
    )


def test_a_chain_of_if_layers():
    graph = _two_layers()
    network = dense_network(graph, IAF)
    first, second = network.layers
    # NIR's weights are (outputs, inputs), ours (inputs, neurons).
    assert np.array_equal(first.weight, graph.nodes["n1"].weight.T)
    assert np.array_equal(first.bias, graph.nodes["n1"].bias)
    assert np.array_equal(second.bias, [0, 0])
    assert (first.neuron.v_th, second.neuron.v_th, second.neuron.r) == (1.5, 0.5, 2.0)


def test_a_lif_layer_spikes_as_published():
    """tau 20, threshold 10, constant input 11: spikes at 47 and 94 (the textbook loop)."""
    graph = _chain(
        Input((1,)),
        Linear(np.ones((1, 1))),
        LIF(*np.array([[20], [1], [0], [10], [0.0]])),
        Output((1,)),
    )
    run = run_float(dense_network(graph, TEXTBOOK_LIF), np.full((1, 100, 1), 11))
    assert np.flatnonzero(run.spikes[0]).tolist() == [47, 94]


def test_a_network_survives_a_file(tmp_path):
    network = dense_network(_two_layers(), IAF)
    write_nir(dense_graph(network), tmp_path / "net.nir")
    again = dense_network(read_nir(tmp_path / "net.nir").graph, IAF)
    for before, after in zip(network.layers, again.layers, strict=True):
        assert np.array_equal(after.weight, before.weight.astype(np.float32))
        assert np.array_equal(after.bias, before.bias.astype(np.float32))
        assert after.neuron == before.neuron


@pytest.mark.parametrize(
    ("graph", "profile", "message"),
    [
        (Graph({"a": Output((1,))}), IAF, "must have one input"),
        (_chain(Input((1,)), Output((1,))), IAF, "must alternate"),
        (_chain(Input((1,)), _if(1), Linear(np.ones((1, 1))), Output((1,))), IAF, "Affine or Line"),
        (
            _chain(Input((1,)), Linear(np.ones((1, 1))), Threshold(np.ones(1)), Output((1,))),
            IAF,
            "node 'n2' must be IF or LIF, not Threshold",
        ),
        (
            _chain(Input((1,)), Linear(np.ones((1, 1))), _lif(1), Output((1,))),
            IAF,
            "node 'n2' is LIF, which decay 'none' of profile 'iaf' contradicts",
        ),
        (
            _chain(Input((1,)), Linear(np.ones((1, 1))), _if(1), Output((1,))),
            TEXTBOOK_LIF,
            "node 'n2' is IF, which decay 'euler' of profile 'textbook' contradicts",
        ),
        (
            _chain(Input((1,)), Linear(np.ones((1, 1))), _lif(1, 0.5), Output((1,))),
            TEXTBOOK_LIF,
            "node 'n2': v_leak must be 0",
        ),
        (
            _chain(Input((1,)), Linear(np.ones((2, 1))), _if(2, [1.0, 2.0]), Output((2,))),
            IAF,
            "node 'n2': v_threshold must be one for all neurons",
        ),
        (
            Graph(
                {"i": Input((1,)), "a": _if(1), "o": Output((1,))},
                (("i", "a"), ("a", "o"), ("a", "a")),
            ),
            IAF,
            "node 'a' must lead to one node that has not come before",
        ),
        (
            Graph({"i": Input((1,)), "o": Output((1,)), "x": _if(1)}, (("i", "o"),)),
            IAF,
            "must be a chain from its input to its output",
        ),
    ],
)
def test_wrong_graphs(graph, profile, message):
    with pytest.raises(ValueError, match=message):
        dense_network(graph, profile)


def test_what_an_if_node_cannot_say():
    graph = _chain(Input((1,)), Linear(np.ones((1, 1))), _lif(1), Output((1,)))
    with pytest.raises(ValueError, match="layer 0 must be of IF neurons that start at 0"):
        dense_graph(dense_network(graph, TEXTBOOK_LIF))
