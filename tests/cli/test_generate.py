import json
import shutil

import numpy as np
import pytest

from spikeloom.reference.graph import IF, Flatten, Graph, Input, Linear, Output
from spikeloom.reference.nir_export import write_nir
from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.output import MARKER, mark


def test_an_array_from_options(run, tmp_path):
    out = tmp_path / "out"
    code, output, _ = run(
        "generate",
        "--neurons",
        12,
        "--lanes",
        4,
        "--tau",
        8,
        "--decay",
        "shift",
        "--v-th",
        2.5,
        "--module",
        "my_lif",
        "--name",
        "mine",
        "--json",
        "-o",
        out,
    )
    assert code == 0
    answer = json.loads(output)
    assert answer["module"] == "my_lif"
    assert {"my_lif.v", "my_lif.json", "test_my_lif.py", "scenario.npz"} <= set(answer["files"])
    sidecar = json.loads((out / "my_lif.json").read_text())
    neurons = sidecar["populations"][0]["neurons"]
    assert sidecar["profile"] == "mine"
    assert (neurons["size"], neurons["decay_rule"], neurons["decay"]) == (12, "shift", 3)
    # A quarter of the range of 16 bits.
    assert neurons["threshold"] == 8192
    scenario = Scenario.load(out / "scenario.npz")
    assert scenario.stimulus.shape == (4, 16, 12)
    assert scenario.spikes.any()


def _write_network(folder, **changes):
    rng = np.random.default_rng(2)
    np.save(folder / "w0.npy", rng.normal(size=(6, 5)))
    np.savetxt(folder / "w1.csv", rng.normal(size=(5, 3)), delimiter=",")
    np.savetxt(folder / "b1.csv", rng.normal(size=3) * 0.1, delimiter=",")
    tables = {
        "profile": 'name = "iaf"\ndecay = "none"\ninput_gain = "one"\nreset = "subtract"',
        "neuron": "v_th = 1\nv_init = 0.5",
        "design": "lanes = 2",
        "fixed": "weight_width = 6",
        "vectors": "samples = 2\nsteps = 10",
    } | changes
    text = "\n".join(f"[{name}]\n{body}" for name, body in tables.items() if body is not None)
    text += (
        '\n[[layer]]\nweight = "w0.npy"\n[[layer]]\nweight = "w1.csv"\nbias = "b1.csv"\nlanes = 1\n'
    )
    path = folder / "net.toml"
    path.write_text(text)
    return path


def test_a_network_from_a_file(run, tmp_path):
    config = _write_network(tmp_path)
    code, _, _ = run("generate", config, "--state-width", 20, "-o", tmp_path / "out")
    assert code == 0
    sidecar = json.loads((tmp_path / "out" / "network.json").read_text())
    assert [p["lanes"] for p in sidecar["populations"]] == [2, 1]
    assert [p["inputs"] for p in sidecar["populations"]] == [6, 5]
    assert [p["weight_width"] for p in sidecar["populations"]] == [6, 6]
    assert sidecar["populations"][0]["neurons"]["state"]["word_length"] == 20
    assert Scenario.load(tmp_path / "out" / "scenario.npz").stimulus.shape == (2, 10, 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lanes", 0], "lanes must be 1 to 256, not 0"),
        (["--lanes", 257], "lanes must be 1 to 256, not 257"),
        (["--lanes", "x"], "argument --lanes: invalid int value: 'x'"),
        (["--neurons", 0], "neurons must be 1 to 1048576, not 0"),
        (["--state-width", 33], "state must be a signed word of 4 to 32 bits"),
        (["--state-width", 3], "state must be a signed word of 4 to 32 bits"),
        (["--current-width", 49], "current_width must be 2 to 48, not 49"),
        (["--decay-fraction", 17], "decay_fraction must be 1 to 16, not 17"),
        (["--decay", "cubic"], "argument --decay: invalid choice: 'cubic'"),
        (["--tau", "nan"], "tau must be finite, not nan"),
        (["--v-th", "inf"], "v_th must be finite, not inf"),
        (["--tau", -1], "tau must be positive, not -1.0"),
        (["--dt", "nan"], "dt must be positive and finite, not nan"),
        (["--tau", 0.05], "tau must be at least dt=1 where the decay is 'euler', not 0.05"),
        (["--v-min", 0.5], "v_min must be at most 0, not 0.5"),
        (["--unit", "inf"], "unit must be positive and finite, not inf"),
        (["--unit", "nan"], "unit must be positive and finite, not nan"),
        (["--unit", 0], "unit must be positive and finite, not 0.0"),
        (["--name", "a\nb"], "name must be printable and not empty, not 'a\\nb'"),
        (["--weight-width", 8], "--weight-width has no effect on a neuron array; leave it out"),
        (["--state-fraction", 0], "--state-fraction has no effect on a neuron array; leave it out"),
        (["--max-count", 1], "--max-count has no effect on a neuron array; leave it out"),
        (
            ["--max-spikes", 2],
            "max_spikes must be 1, 3, 7, 15, 31, 63, 127, 255, 511 or 1023, not 2",
        ),
        (["--max-spikes", 3], "max_spikes must be 1 where the reset is not by subtraction"),
        (["--refractory-steps", 999], "refractory_steps must be 0 to 255, not 999"),
        (["--unit", 1e9], "threshold must be"),
        (["--module", "1x"], "module must be a Verilog identifier, not '1x'"),
        (["--module", "always"], "module must be a Verilog identifier"),
        (["--samples", 0], "samples and steps must be positive, not 0 and 16"),
        (["--steps", 10**9], "samples * steps * inputs must be at most"),
        (["--seed", -1], "seed must not be negative"),
        (["missing.toml"], "missing.toml must be a TOML file, but"),
    ],
)
def test_wrong_options(run, tmp_path, options, message):
    code, output, complaint = run("generate", *options, "-o", tmp_path / "out")
    assert code == 2
    assert output == ""
    assert message in complaint
    assert complaint.startswith("spikeloom: ")
    assert complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neuron": "v_th = true"}, "v_th in [neuron] must be of type float, not True"),
        ({"neuron": 'v_th = "1"'}, "v_th in [neuron] must be of type float, not '1'"),
        ({"neuron": "v_th = nan"}, "v_th must be finite, not nan"),
        ({"neuron": "threshold = 1"}, "'threshold' in [neuron] is unknown; it must be one of v_th"),
        ({"profile": 'reset = "zero"'}, "reset in [profile] must be one of 'to-value', 'subtract'"),
        ({"surprise": ""}, "[surprise] in"),
        ({"fixed": "weight_width = 17"}, "weight_width must be 2 to 16, not 17"),
        ({"fixed": "state_width = 4"}, "layer_0 does not fit: threshold must be 1 to 7"),
        ({"neuron": "v_th = ["}, "must be a TOML file, but"),
        ({"profile": 'name = "a\\u001b"'}, "name must be printable and not empty, not 'a\\x1b'"),
        ({"design": "neurons = 4"}, "neurons in [design] has no effect on a network; leave it out"),
        ({"fixed": "unit = 2"}, "unit in [fixed] has no effect on a network; leave it out"),
        ({"fixed": "current_width = 8"}, "current_width in [fixed] has no effect on a network"),
    ],
)
def test_wrong_files(run, tmp_path, changes, message):
    config = _write_network(tmp_path, **changes)
    before = sorted(tmp_path.iterdir())
    code, _, complaint = run("generate", config, "-o", tmp_path / "out")
    assert code == 2
    assert message in complaint
    assert complaint.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("option", ["neurons", "unit", "current-width"])
def test_options_that_a_network_has_not(run, tmp_path, option):
    config = _write_network(tmp_path)
    code, _, complaint = run("generate", config, f"--{option}", 4, "-o", tmp_path / "out")
    assert code == 2
    assert f"--{option} has no effect on a network; leave it out" in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer = 3", "must be [[layer]] tables, one a layer, in two brackets"),
        ('[layer]\nweight = "w.npy"', "must be [[layer]] tables, one a layer, in two brackets"),
        ("layer = [3]", "layer 0 must be a table, not 3"),
        ("design = 3", "[design] must be a table, not 3"),
    ],
)
def test_what_is_no_table(run, tmp_path, text, message):
    (tmp_path / "net.toml").write_text(text)
    code, _, complaint = run("generate", tmp_path / "net.toml", "-o", tmp_path / "out")
    assert code == 2
    assert message in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(("rows", "columns"), [(4, 1), (1, 3), (1, 1)])
def test_a_single_column_or_row(run, tmp_path, rows, columns):
    np.savetxt(tmp_path / "w.csv", np.ones((rows, columns)), delimiter=",")
    np.savetxt(tmp_path / "b.csv", np.zeros(columns))
    (tmp_path / "net.toml").write_text('[[layer]]\nweight = "w.csv"\nbias = "b.csv"\n')
    code, _, _ = run("generate", tmp_path / "net.toml", "-o", tmp_path / "out")
    assert code == 0
    (population,) = json.loads((tmp_path / "out" / "network.json").read_text())["populations"]
    assert (population["inputs"], population["neurons"]["size"]) == (rows, columns)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_biases_of_a_wrong_number(run, tmp_path, size):
    config = _write_network(tmp_path)
    np.savetxt(tmp_path / "b1.csv", np.zeros(size))
    code, _, complaint = run("generate", config, "-o", tmp_path / "out")
    assert code == 2
    assert f"layer 1 must have 3 biases, one a neuron, but b1.csv holds {size}" in complaint
    assert complaint.count("\n") == 1


def test_an_empty_file(run, tmp_path):
    config = _write_network(tmp_path)
    (tmp_path / "w1.csv").write_text("")
    code, _, complaint = run("generate", config, "-o", tmp_path / "out")
    assert code == 2
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.full((6, 5), np.nan), "layer 0 is wrong: weight must be finite"),
        (np.zeros((6, 4)), "layer 1 must have 4 inputs"),
        (np.zeros(6), "layer 0 is wrong: weight must be of shape (inputs, neurons)"),
        (np.array([["a"]]), "must be a .npy or .csv file of numbers"),
        (np.array([[None]], dtype=object), "must be a .npy or .csv file of numbers"),
    ],
)
def test_wrong_weights(run, tmp_path, weight, message):
    config = _write_network(tmp_path)
    np.save(tmp_path / "w0.npy", weight)
    code, _, complaint = run("generate", config, "-o", tmp_path / "out")
    assert code == 2
    assert message in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_ours_is_left_alone(run, tmp_path):
    (tmp_path / "precious").write_text("mine")
    code, _, complaint = run("generate", "-o", tmp_path)
    assert code == 2
    assert "exists and was not written by spikeloom" in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_folder_of_ours_is_replaced_whole(run, tmp_path):
    out = tmp_path / "out"
    assert run("generate", "--neurons", 2, "--module", "first", "-o", out)[0] == 0
    assert run("generate", "--neurons", 2, "--module", "second", "-o", out)[0] == 0
    assert (out / "second.v").is_file()
    assert not (out / "first.v").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_work_of_a_user_is_not_replaced(run, tmp_path):
    out = tmp_path / "out"
    assert run("generate", "--neurons", 2, "-o", out)[0] == 0
    testbench = out / "test_neuron_array.py"
    testbench.write_text(testbench.read_text() + "# mine\n")
    code, _, complaint = run("generate", "--neurons", 2, "-o", out)
    assert code == 2
    assert f"test_neuron_array.py was changed in {out} after spikeloom wrote it" in complaint
    assert testbench.read_text().endswith("# mine\n")


def test_the_folder_of_another_command_is_not_replaced(run, tmp_path):
    mark(tmp_path, "demo")
    code, _, complaint = run("generate", "-o", tmp_path)
    assert code == 2
    assert "was written by another command than `spikeloom generate`" in complaint
    assert [path.name for path in tmp_path.iterdir()] == [MARKER]


@pytest.mark.parametrize("how", ["options", "tables"])
def test_guarded_memories(run, tmp_path, how):
    """Ports, memories and header say so; without, nothing of it is there."""
    options, changes = ["--parity", "--ecc"], {}
    if how == "tables":
        options, changes = [], {"design": "lanes = 2\nparity = true\necc = true"}
    config = _write_network(tmp_path, **changes)
    assert run("generate", config, *options, "-o", tmp_path / "on")[0] == 0
    assert run("generate", _write_network(tmp_path), "-o", tmp_path / "off")[0] == 0
    found = {}
    for name in ("on", "off"):
        sidecar = json.loads((tmp_path / name / "network.json").read_text())
        ports = {port["name"] for port in sidecar["ports"]}
        verilog = (tmp_path / name / "network.v").read_text()
        there = {"weight_error", "state_error"} & ports
        assert len(there) == (2 if name == "on" else 0)
        assert ("guarded by a parity bit" in verilog) == (name == "on")
        assert ("parity" in verilog) == (name == "on")
        found[name] = sidecar["populations"][0]["memories"]
    assert found["on"].pop("parity")["width"] == 1
    assert found["on"]["weights"] == found["off"]["weights"]
    # Two lanes of 16 bits, and six of the code each.
    widths = [found[name]["state"]["width"] for name in ("on", "off")]
    assert widths == [44, 32]


@pytest.mark.parametrize("option", ["--parity", "--ecc"])
def test_an_array_is_not_guarded(run, tmp_path, option):
    code, _, error = run("generate", option, "-o", tmp_path / "out")
    assert code == 2
    assert f"{option} has no effect on a neuron array" in error


def test_a_nir_file(run, model, tmp_path):
    """Neurons that also hear each other: hardware and testbench, and Icarus agrees."""
    options = ["--profile", "textbook", "--lanes", 2, "--steps", 40]
    code, _, complaint = run("generate", model, *options, "-o", tmp_path / "out")
    assert code == 0, complaint
    sidecar = json.loads((tmp_path / "out" / "network.json").read_text())
    assert sidecar["profile"] == "textbook"
    assert [each["engine"] for each in sidecar["populations"]] == ["gather"]
    golden = Scenario.load(tmp_path / "out" / "scenario.npz")
    assert golden.spikes.sum() > 0
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus is not installed")
    code, output, complaint = run("verify", tmp_path / "out", "--simulator", "icarus")
    assert code == 0, output + complaint


def test_a_nir_file_with_several_inputs_and_outputs(run, tmp_path):
    """Two inputs on one population, which another hears; both are outputs, and Icarus agrees."""
    rng = np.random.default_rng(4)
    three, two = np.ones(3), np.ones(2)
    nodes = {
        "left": Input((4,)),
        "right": Input((2, 3)),
        "flat": Flatten(0, -1),
        "from left": Linear(rng.normal(size=(3, 4))),
        "from right": Linear(rng.normal(size=(3, 6))),
        "first": IF(three, three, 0 * three),
        "fc": Linear(rng.normal(size=(2, 3))),
        "second": IF(two, two, 0 * two),
        "early": Output((3,)),
        "late": Output((2,)),
    }
    edges = [("left", "from left"), ("from left", "first"), ("right", "flat")]
    edges += [("flat", "from right"), ("from right", "first"), ("first", "fc"), ("fc", "second")]
    edges += [("first", "early"), ("second", "late")]
    path = tmp_path / "several.nir"
    write_nir(Graph(nodes, tuple(edges)), path)
    options = ["--profile", "textbook", "--lanes", 2, "--samples", 2]
    code, _, complaint = run("generate", path, *options, "-o", tmp_path / "out")
    assert code == 0, complaint
    sidecar = json.loads((tmp_path / "out" / "network.json").read_text())
    assert sidecar["inputs"] == {"left": "i_0", "right": "i_1"}
    assert sidecar["outputs"] == {"early": "o_0", "late": "o_1"}
    golden = Scenario.load(tmp_path / "out" / "scenario.npz")
    shapes = {name: each.shape for name, each in golden.inputs.items()}
    assert shapes == {"left": (2, 16, 4), "right": (2, 16, 2, 3)}
    assert all(each.any() for each in golden.outputs.values())
    code, _, complaint = run(
        "build", path, *options[:4], "--board", "icebreaker", "-o", tmp_path / "board"
    )
    assert code == 2
    message = "a network on a line must have one input and one output, not 2 and 2"
    assert message in complaint
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus is not installed")
    code, output, complaint = run("verify", tmp_path / "out", "--simulator", "icarus")
    assert code == 0, output + complaint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--profile must say how time is discretised"),
        (["--profile", "textbook", "--tau", 3], "--tau has no effect on a NIR file; leave it out"),
        (["--profile", "textbook", "--neurons", 3], "--neurons has no effect on a NIR file"),
        (["--profile", "speck"], "has a time constant, which decay 'none' of profile 'speck'"),
        (["--profile", "textbook", "--weight-width", 99], "weight_width must be 2 to 16, not 99"),
    ],
)
def test_wrong_options_with_a_nir_file(run, model, tmp_path, options, message):
    code, _, complaint = run("generate", model, *options, "-o", tmp_path / "out")
    assert (code, message in complaint) == (2, True), complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--decide-within", 4), "--decide-within and --margin must be given together"),
        (("--margin", 4), "--decide-within and --margin must be given together"),
        (("--decide-within", 0, "--margin", 4), "steps must be at least 1, not 0"),
        (("--decide-within", 3, "--margin", -4), "margin must be at least 0, not -4"),
    ],
)
def test_wrong_readout(run, tmp_path, options, message):
    config = _write_network(tmp_path)
    code, output, complaint = run("generate", config, "-o", tmp_path / "out", *options)
    assert (code, output) == (2, "")
    assert complaint == f"spikeloom: {message}\n"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--decide-within", 4, "--margin", 1), "--decide-within"),
        (("--calibration", "steps.npz"), "--calibration"),
        (("--input-fraction", 2), "--input-fraction"),
    ],
)
def test_options_that_an_array_has_not(run, tmp_path, options, what):
    code, _, complaint = run("generate", "-o", tmp_path / "out", *options)
    assert code == 2
    assert complaint == f"spikeloom: {what} has no effect on a neuron array; leave it out\n"
