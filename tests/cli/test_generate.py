import json

import numpy as np
import pytest

from spikeloom.reference.scenario import Scenario


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
        (["--neurons", 0], "size must be 1 to 1048576, not 0"),
        (["--state-width", 33], "state must be a signed word of 4 to 32 bits"),
        (["--state-width", 3], "state must be a signed word of 4 to 32 bits"),
        (["--current-width", 49], "current_width must be 2 to 48, not 49"),
        (["--decay-fraction", 17], "decay_fraction must be 1 to 16, not 17"),
        (["--decay", "cubic"], "argument --decay: invalid choice: 'cubic'"),
        (["--tau", "nan"], "tau must be finite, not nan"),
        (["--v-th", "inf"], "v_th must be finite, not inf"),
        (["--tau", -1], "tau must be positive, not -1.0"),
        (["--dt", "nan"], "dt must be positive and finite, not nan"),
        (["--scale", "inf"], "must be finite"),
        (["--max-spikes", 2], "max_spikes must be 1, 3, 7, 15, 31, 63, 127 or 255, not 2"),
        (["--max-spikes", 3], "max_spikes must be 1 where the reset is not by subtraction"),
        (["--refractory-steps", 999], "refractory_steps must be 0 to 255, not 999"),
        (["--scale", 1e9], "threshold must be"),
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
        ({"fixed": "state_width = 4"}, "layer 0 does not fit: threshold must be 1 to 7"),
        ({"neuron": "v_th = ["}, "must be a TOML file, but"),
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
