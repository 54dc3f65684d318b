import numpy as np
import pytest

from spikeloom.cli.main import main
from spikeloom.reference.graph import IF, LI, LIF, Affine, Graph, Input, Linear, Output
from spikeloom.reference.nir_export import write_nir


@pytest.fixture
def run(capsys):
    """A function that runs the command and gives exit code, output and complaint."""

    def call(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def model(tmp_path):
    """A NIR file: three inputs, two LIF neurons that also hear each other."""
    weight = np.array([[0.9, -0.4, 0.3], [0.2, 0.8, -0.1]])
    back = np.array([[0.0, -0.25], [0.5, 0.0]])
    tau, one, zero = np.full(2, 4.0), np.ones(2), np.zeros(2)
    nodes = {
        "input": Input((3,)),
        "fc": Affine(weight, np.array([0.05, 0.1])),
        "lif": LIF(tau, 4 * one, zero, one, zero),
        "back": Linear(back),
        "output": Output((2,)),
    }
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "output")]
    path = tmp_path / "model.nir"
    write_nir(Graph(nodes, tuple(edges)), path)
    return path


@pytest.fixture
def integrators(tmp_path):
    """A NIR file of two IF neurons, whose weights fill eight bits as they are."""
    weight = np.array([[127.0, -30.0, 5.0], [64.0, 90.0, -127.0]])
    nodes = {
        "input": Input((3,)),
        "fc": Linear(weight),
        "if": IF(np.ones(2), np.full(2, 100.0), np.zeros(2)),
        "output": Output((2,)),
    }
    edges = (("input", "fc"), ("fc", "if"), ("if", "output"))
    path = tmp_path / "integrators.nir"
    write_nir(Graph(nodes, edges), path)
    return path


@pytest.fixture
def potentials(tmp_path):
    """A NIR file of two leaky integrators that never spike."""
    node = LI(np.full(2, 4.0), np.ones(2), np.zeros(2))
    graph = Graph(
        {"input": Input((2,)), "li": node, "output": Output((2,))},
        (("input", "li"), ("li", "output")),
    )
    path = tmp_path / "potentials.nir"
    write_nir(graph, path)
    return path


@pytest.fixture
def data(tmp_path):
    """Spikes for three inputs in an archive, with labels."""
    x = (np.random.default_rng(3).random((6, 20, 3)) < 0.4).astype(np.uint8)
    path = tmp_path / "data.npz"
    np.savez(path, x=x, y=np.array([0, 1, 0, 1, 1, 0]))
    return path
