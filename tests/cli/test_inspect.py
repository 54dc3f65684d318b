import json
from itertools import pairwise

import numpy as np
import pytest

from spikeloom.reference.graph import (
    IF,
    LIF,
    Affine,
    Conv2d,
    Delay,
    Flatten,
    Graph,
    Input,
    Linear,
    Output,
    SumPool2d,
)
from spikeloom.reference.nir_export import write_nir
from spikeloom.reference.profile import PROFILES


def _inspect(run, *arguments):
    code, output, complaint = run("inspect", *arguments, "--json")
    assert (code, complaint) == (0, "")
    return json.loads(output)


def test_a_graph_without_a_profile(run, model):
    code, output, _ = run("inspect", model)
    assert code == 0
    lines = output.splitlines()
    assert lines[0] == f"{model}: NIR 1.0.8, 5 nodes, 5 edges"
    assert "input   Input   3" in lines
    assert "fc      Affine  3 -> 2  weight -0.4 to 0.9, bias 0.05 to 0.1" in lines
    assert "  lif -> back" in lines
    assert lines[-1] == f"next: --profile with one of {', '.join(PROFILES)}"


def test_a_graph_without_a_profile_as_json(run, model):
    answer = _inspect(run, model)
    nodes = {node["name"]: node for node in answer["nodes"]}
    assert [node["name"] for node in answer["nodes"]] == ["input", "fc", "lif", "back", "output"]
    assert (nodes["fc"]["input_shape"], nodes["fc"]["output_shape"]) == ([3], [2])
    assert nodes["lif"]["parameters"]["tau"] == {"shape": [2], "min": 4.0, "max": 4.0}
    assert ["back", "lif"] in answer["graphs"][0]["edges"]
    assert answer["profiles"] == list(PROFILES)
    assert "populations" not in answer


def test_what_it_becomes(run, model):
    answer = _inspect(run, model, "--profile", "norse", "--dt", 1)
    assert answer["profile"]["name"] == "norse, dt=1.0"
    assert answer["profile"]["comparison"] == ">"
    becomes = {node["name"]: node["becomes"] for node in answer["nodes"]}
    assert becomes == {
        "input": "input",
        "fc": "map of a connection",
        "lif": "population",
        "back": "map of a connection",
        "output": "output of lif",
    }
    (population,) = answer["populations"]
    connections = {each["source"]: each for each in population["connections"]}
    assert connections["input"] == {
        "source": "input",
        "maps": "dense 3>2",
        "delay": "0",
        "loop": False,
        "weights": 6,
        "synapses": 6,
    }
    assert (connections["lif"]["delay"], connections["lif"]["loop"]) == ("1", True)
    assert (answer["weights"], answer["synapses"]) == (10, 10)
    # Ten weights of 8 bits, two potentials of 16.
    assert answer["memory_bits"] == {"weights": 80, "state": 32, "total": 112}


def test_what_the_line_of_memory_counts(run, model):
    output = run("inspect", model, "--profile", "norse", "--dt", 1)[1]
    assert (
        "weights and states 112 bits: 10 weights of 8 bits and 2 states of 16 bits; biases,"
        " thresholds, decays and counters of refractory steps are not counted\n"
    ) in output


def test_words_of_other_widths(run, model):
    options = ("--profile", "norse", "--weight-width", 4, "--state-width", 12)
    assert _inspect(run, model, *options)["memory_bits"]["total"] == 10 * 4 + 2 * 12


def test_doubts_about_a_profile(run, model):
    code, output, _ = run("inspect", model, "--profile", "norse", "--dt", 5)
    assert code == 0
    assert "doubt: node 'lif' has a time constant of 4, shorter than dt=5" in output


def _convolution(path):
    rng = np.random.default_rng(0)
    nodes = {
        "input": Input((1, 4, 4)),
        "pool": SumPool2d((2, 2), (2, 2), (0, 0)),
        "conv": Conv2d(rng.normal(size=(3, 1, 2, 2)), np.zeros(3), (1, 1), (1, 1), (1, 1), 1),
        "if": IF(*(np.full((3, 3, 3), v) for v in (1.0, 1.0, 0.0))),
        "flat": Flatten(0, -1),
        "delay": Delay(np.full(27, 2.0)),
        "fc": Linear(rng.normal(size=(2, 27))),
        "out": IF(*(np.full(2, v) for v in (1.0, 1.0, 0.0))),
        "output": Output((2,)),
    }
    names = list(nodes)
    write_nir(Graph(nodes, tuple(pairwise(names))), path)


def test_shared_weights(run, tmp_path):
    _convolution(tmp_path / "conv.nir")
    answer = _inspect(run, tmp_path / "conv.nir", "--profile", "sinabs")
    first, last = answer["populations"]
    (conv,), (dense,) = first["connections"], last["connections"]
    # 3 x 3 places of a 2 x 2 kernel over a padded 2 x 2 picture: each of its pixels lies under all
    # four weights, and is the sum of four inputs.
    assert (conv["weights"], conv["synapses"]) == (12, 3 * 4 * 4 * 4)
    assert conv["maps"] == "pool 2x2 1x4x4>1x2x2, convolution 2x2 1x2x2>3x3x3"
    assert (dense["weights"], dense["synapses"], dense["delay"]) == (54, 54, "2")
    becomes = {node["name"]: node["becomes"] for node in answer["nodes"]}
    assert (becomes["delay"], becomes["flat"]) == ("delay of a connection", "map of a connection")


def test_graphs_within_graphs(run, tmp_path):
    one, zero = np.ones(2), np.zeros(2)
    inner = Graph(
        {"in": Input((2,)), "lif": LIF(one, one, zero, one, zero), "out": Output((2,))},
        (("in", "lif"), ("lif", "out")),
    )
    fc = Affine(np.eye(2), zero)
    graph = Graph(
        {"input": Input((2,)), "fc": fc, "cell": inner, "output": Output((2,))},
        (("input", "fc"), ("fc", "cell"), ("cell", "output")),
    )
    write_nir(graph, tmp_path / "nested.nir")
    answer = _inspect(run, tmp_path / "nested.nir", "--profile", "norse")
    becomes = {node["name"]: node["becomes"] for node in answer["nodes"]}
    assert becomes["cell"] == "its nodes"
    assert becomes["cell.lif"] == "population"
    assert becomes["cell.in"] == becomes["cell.out"] == "joint, left out"
    assert [each["graph"] for each in answer["graphs"]] == ["", "cell"]
    output = run("inspect", tmp_path / "nested.nir")[1]
    assert "edges of 'cell'" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--profile", "nose"], "argument --profile: invalid choice: 'nose'"),
        (["--reset", "subtract"], "--profile must say how time is discretised"),
        (["--weight-width", 17], "weight_width must be 2 to 16, not 17"),
        (["--state-width", 3], "state_width must be 4 to 32, not 3"),
        (["--profile", "norse", "--max-spikes", 2], "max_spikes must be 1, 3, 7"),
        (["--profile", "speck"], "node 'lif': LIF has a time constant"),
        (["--profile", "norse", "--staged-overflow", "maybe"], "invalid choice: 'maybe'"),
    ],
)
def test_wrong_options(run, model, options, message):
    code, output, complaint = run("inspect", model, *options)
    assert (code, output) == (2, "")
    assert message in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("content", [None, b"", b"\x89HDF\r\n\x1a\n"])
def test_what_is_no_nir_file(run, tmp_path, content):
    path = tmp_path / "x.nir"
    if content is not None:
        path.write_bytes(content)
    code, output, complaint = run("inspect", path)
    assert (code, output) == (2, "")
    assert str(path) in complaint
    assert complaint.count("\n") == 1


def test_files_of_others(run, shared):
    path = shared / "nir" / "braille" / "braille_noDelay_noBias_subtract.nir"
    answer = _inspect(run, path, "--profile", "norse", "--reset", "subtract")
    # 12 to 40 neurons that hear each other, to 7; all have a potential and a synaptic current.
    assert answer["weights"] == 12 * 40 + 40 * 40 + 40 * 7
    assert answer["memory_bits"]["state"] == 16 * 2 * (40 + 7)
    assert answer["doubts"] == []
    assert len(answer["repairs"]) == 2
    doubts = _inspect(run, path, "--profile", "sinabs")["doubts"]
    assert any("shorter than dt=1" in doubt for doubt in doubts)
    for broken in sorted((shared / "nir" / "broken").iterdir()):
        code, _, complaint = run("inspect", broken)
        assert (code, complaint.count("\n")) == (2, 1)
