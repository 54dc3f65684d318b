"""``spikeloom convert``: what is lost, and that every other command takes the result."""

import argparse
import json

import numpy as np
import pytest

from spikeloom.cli import convert as convert_module
from spikeloom.cli.generate import add_design_arguments, read_design
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.simulate import trace_outputs
from spikeloom.sim.tools import find_simulators

onnx = pytest.importorskip("onnx", reason="ONNX is not installed: the extra onnx has it")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402


@pytest.fixture
def trained(tmp_path):
    """An ONNX file: three inputs, six units, two scores; the larger of x0 + x1 and 2 x2 + 1/10."""
    w = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, -1, 0]], np.float32)
    v = np.array([[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 1, 0]], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w"], ["a"], transB=1),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Gemm", ["b", "v", "c"], ["y"], transB=1),
        ],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 2))],
        [
            numpy_helper.from_array(array, name)
            for name, array in (("w", w), ("v", v), ("c", np.float32([0, 0.1])))
        ],
    )
    path = tmp_path / "trained.onnx"
    onnx.save(helper.make_model(graph), path)
    return path


@pytest.fixture
def samples(tmp_path):
    """Samples, those left out whose scores are within a tenth of each other."""
    x = np.random.default_rng(0).random((400, 3)).astype(np.float32)
    lead = x[:, 0] + x[:, 1] - 2 * x[:, 2] - 0.1
    x, lead = x[np.abs(lead) > 0.1], lead[np.abs(lead) > 0.1]
    path = tmp_path / "samples.npz"
    np.savez(path, x=x, y=(lead < 0).astype(np.int64))
    return path


def _convert(run, trained, samples, tmp_path, *options):
    code, output, complaint = run(
        "convert", trained, "--data", samples, "-o", tmp_path / "m.nir", "--json", *options
    )
    assert (code, complaint) == (0, "")
    return json.loads(output)


def test_loss_by_step(run, trained, samples, tmp_path):
    """The labels are those of the network, which is right about all; many steps are, too."""
    answer = _convert(run, trained, samples, tmp_path, "--calibration", 50)
    with np.load(samples) as arrays:
        assert answer["samples"] == len(arrays["x"]) - 50
    assert answer["ann_correct"] == answer["samples"]
    assert len(answer["correct"]) == len(answer["synaptic_operations"]) == 32
    assert answer["correct"][-1] >= 0.99 * answer["samples"]
    # Three inputs to six units and those that are active, of six, to two scores, in each step.
    assert 0 < answer["synaptic_operations"][0] <= 3 * 6 + 6 * 2
    assert read_nir(tmp_path / "m.nir").repairs == ()


@pytest.mark.parametrize("coding", ["constant", "rate"])
def test_other_commands_take_the_result(run, trained, samples, tmp_path, coding):
    """The same samples decided rightly as in simulate; inspect, quantize and generate go on."""
    stimulus = tmp_path / "steps.npz"
    options = ("--stimulus", stimulus, "--until", 8, "--coding", coding, "--calibration", 1000)
    answer = _convert(run, trained, samples, tmp_path, *options)
    words = ["--profile", "iaf", "--scale", "neuron", "--state-fraction", "auto"]
    words += ["--state-width", 20]
    words += ["--input-fraction", 8] if coding == "constant" else []
    code, output, complaint = run(
        "simulate", tmp_path / "m.nir", stimulus, "--fixed", "--json", *words
    )
    assert (code, complaint) == (0, "")
    found = json.loads(output)
    assert found["steps"] == 8
    assert found["accuracy"]["correct"] == answer["correct"][7]
    assert run("inspect", tmp_path / "m.nir", "--profile", "iaf")[0] == 0
    assert run("quantize", tmp_path / "m.nir", stimulus, *words)[0] == 0


def test_hardware_of_the_result(run, trained, samples, tmp_path):
    """The network that was measured, with a read-out, in Verilog: equal in Icarus."""
    if find_simulators()["icarus"].found is None:
        pytest.skip("icarus is not installed")
    stimulus, folder = tmp_path / "steps.npz", tmp_path / "hardware"
    _convert(run, trained, samples, tmp_path, "--stimulus", stimulus, "--until", 8)
    words = ["--calibration", stimulus, "--profile", "iaf", "--scale", "neuron"]
    words += ["--state-fraction", "auto", "--input-fraction", 8, "--state-width", 20]
    words += ["--decide-within", 4, "--margin", 30, "--steps", 5]
    assert run("generate", tmp_path / "m.nir", *words, "-o", folder)[0] == 0
    sidecar = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    assert "decision__payload" in [each["name"] for each in sidecar["ports"]]
    assert (folder / "vectors" / "decision.hex").read_text(encoding="ascii").count("\n") == 4
    assert run("verify", folder, "--simulator", "icarus")[0] == 0


@pytest.mark.parametrize("coding", ["constant", "rate", "bernoulli"])
def test_the_file_gives_the_network_that_was_measured(
    run, trained, samples, tmp_path, monkeypatch, coding
):
    """Weights, shifts, thresholds and inputs of `generate` are those of `convert`, every one."""
    made = []

    def caught(network, *others):
        made.append(network)
        return trace_outputs(network, *others)

    monkeypatch.setattr(convert_module, "trace_outputs", caught)
    stimulus = tmp_path / "steps.npz"
    options = ("--stimulus", stimulus, "--until", 8, "--coding", coding, "--weight-width", 6)
    _convert(run, trained, samples, tmp_path, *options)
    words = [f"--calibration={stimulus}", "--profile=iaf", "--scale=neuron"]
    words += ["--state-fraction=auto", "--weight-width=6", "--state-width=18"]
    words += ["--input-fraction=8"] if coding == "constant" else []
    parser = argparse.ArgumentParser()
    add_design_arguments(parser)
    arguments = parser.parse_args([str(tmp_path / "m.nir"), *words])
    network = read_design(arguments, {}).top.network
    (measured,) = made
    assert network.inputs == measured.inputs
    for name, population in measured.populations.items():
        other = network.populations[name]
        assert other.neurons == population.neurons
        for a, b in zip(other.connections, population.connections, strict=True):
            assert a.shift == b.shift
            assert np.array_equal(a.maps[-1].weight, b.maps[-1].weight)


def test_page_and_print(run, trained, samples, tmp_path):
    page = tmp_path / "page.html"
    code, output, _ = run(
        *("convert", trained, "--data", samples, "-o", tmp_path / "m.nir", "--page", page)
    )
    assert code == 0
    assert "points lost" in output
    assert "spikeloom simulate" in output
    text = page.read_text(encoding="utf-8")
    for title in ("Accuracy", "Synaptic operations", "Early stopping"):
        assert f"<h2>{title}</h2>" in text


def test_without_labels(run, trained, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((20, 3)))
    answer = _convert(run, trained, tmp_path / "x.npy", tmp_path)
    assert answer == {"output": str(tmp_path / "m.nir")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--calibration", 0), "--calibration must be positive, not 0"),
        (("--until", 0), "--until must be positive, not 0"),
        (("--limit", 0), "--limit must be positive, not 0"),
        (("--max-spikes", 2), "max_spikes must be 1, 3, 7"),
        (("--stimulus", "a.csv"), "a.csv must end with .npz"),
        (("--page", "nowhere/a.html"), "nowhere/a.html must be a file in a folder that exists"),
    ],
)
def test_wrong_option(run, trained, samples, tmp_path, options, message):
    arguments = ("convert", trained, "--data", samples, "-o", tmp_path / "m.nir", *options)
    code, output, complaint = run(*arguments)
    assert (code, output) == (2, "")
    assert complaint.startswith(f"spikeloom: {message}")


def test_wrong_model(run, samples, tmp_path):
    code, _, complaint = run("convert", "m.pt", "--data", samples, "-o", tmp_path / "m.nir")
    assert code == 2
    assert complaint.startswith("spikeloom: m.pt must end with .onnx; a PyTorch module is")


def test_wrong_data(run, trained, tmp_path):
    np.savez(tmp_path / "z.npz", z=np.ones(3))
    code, _, complaint = run("convert", trained, "--data", tmp_path / "z.npz", "-o", "m.nir")
    assert code == 2
    assert "must hold an array 'x'" in complaint


def test_wrong_labels(run, trained, samples, tmp_path):
    np.save(tmp_path / "y.npy", np.ones(3))
    arguments = ("convert", trained, "--data", samples, "-o", tmp_path / "m.nir")
    code, _, complaint = run(*arguments, "--labels", tmp_path / "y.npy")
    assert code == 2
    assert "labels must be" in complaint


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1] * 50 + [2], "labels must be 0 to 1, one of the outputs, not 2"),
        ([-1, 1] * 50 + [0], "labels must be 0 to 1, one of the outputs, not -1"),
    ],
)
def test_labels_of_no_output(run, trained, tmp_path, labels, message):
    path = tmp_path / "samples.npz"
    np.savez(path, x=np.random.default_rng(0).random((101, 3)), y=np.array(labels))
    code, _, complaint = run("convert", trained, "--data", path, "-o", tmp_path / "m.nir")
    assert code == 2
    assert complaint.endswith(f"spikeloom: {message}\n")
    assert not (tmp_path / "m.nir").exists()


@pytest.mark.parametrize("option", ["-o", "--stimulus", "--page"])
def test_nothing_that_is_read_is_overwritten(run, trained, samples, tmp_path, option):
    before = samples.read_bytes()
    words = ["-o", tmp_path / "m.nir"] if option != "-o" else []
    code, _, complaint = run("convert", trained, "--data", samples, *words, option, samples)
    assert code == 2
    assert complaint == f"spikeloom: {samples} must be a file of its own, but is named twice\n"
    assert samples.read_bytes() == before


@pytest.mark.parametrize("value", [np.nan, 1e300])
def test_data_that_single_precision_has_not(run, trained, tmp_path, value):
    path = tmp_path / "x.npy"
    np.save(path, np.full((9, 3), value))
    code, _, complaint = run("convert", trained, "--data", path, "-o", tmp_path / "m.nir")
    assert code == 2
    assert complaint == (
        f"spikeloom: x in {path} must be finite in single precision, but is not everywhere\n"
    )
