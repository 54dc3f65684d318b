import json
import weakref
from html.parser import HTMLParser
from itertools import pairwise

import h5py
import numpy as np
import pytest

from spikeloom.cli import simulate
from spikeloom.cli.runs import batches
from spikeloom.reference import recording_file
from spikeloom.reference.graph import IF, LI, Graph, Input, Linear, Output
from spikeloom.reference.maps import Convolution, Pool
from spikeloom.reference.network import Connection, FloatNetwork, FloatPopulation
from spikeloom.reference.neuron_float import FloatNeuron
from spikeloom.reference.nir_export import write_nir
from spikeloom.reference.profile import PROFILES
from spikeloom.reference.recording_file import load_recording

NORSE = ("--profile", "norse", "--dt", 1, "--reset", "subtract")


def _simulate(run, *arguments):
    code, output, _ = run("simulate", *arguments, "--json")
    assert code == 0
    return json.loads(output)


def _norse(x):
    """The network of the fixture ``model``, neuron by neuron, as Norse computes it."""
    weight, bias = [[0.9, -0.4, 0.3], [0.2, 0.8, -0.1]], [0.05, 0.1]
    back = [[0.0, -0.25], [0.5, 0.0]]
    spikes, membrane = [], []
    for sample in x:
        v, last = [0.0, 0.0], [0, 0]
        spikes.append([])
        membrane.append([])
        for step in sample:
            drive = [
                bias[j]
                + sum(weight[j][i] * float(step[i]) for i in range(3))
                + sum(back[j][i] * last[i] for i in range(2))
                for j in range(2)
            ]
            v = [v[j] + (4.0 * drive[j] - v[j]) / 4.0 for j in range(2)]
            last = [int(v[j] > 1.0) for j in range(2)]
            v = [v[j] - last[j] for j in range(2)]
            spikes[-1].append(last)
            membrane[-1].append(v)
    return np.array(spikes), np.array(membrane)


def test_floating_point(run, tmp_path, model, data):
    out = tmp_path / "run.npz"
    answer = _simulate(run, model, *NORSE, data, "-o", out)
    with np.load(data) as arrays:
        x, labels = arrays["x"], arrays["y"]
    spikes, membrane = _norse(x)
    assert spikes.any()
    with np.load(out) as arrays:
        assert sorted(arrays) == [
            "membrane/lif",
            "outputs/output",
            "overflows/lif",
            "spikes/lif",
        ]
        assert np.array_equal(arrays["spikes/lif"], spikes)
        assert np.array_equal(arrays["outputs/output"], spikes)
        # Both sum in double precision, in another order: a few units of 2**-52 of numbers below 8.
        np.testing.assert_allclose(arrays["membrane/lif"], membrane, rtol=0, atol=1e-13)
    assert answer["profile"] == "norse, dt=1.0, reset=subtract"
    assert (answer["samples"], answer["steps"], answer["form"]) == (6, 20, "float")
    assert answer["populations"]["lif"]["spikes"] == spikes.sum()
    assert answer["populations"]["lif"]["spikes_per_neuron_and_step"] == pytest.approx(
        spikes.mean(), rel=1e-12
    )
    assert answer["outputs"]["output"] == spikes.sum(axis=1)[:5].tolist()
    decisions = [0 if a >= b else 1 for a, b in spikes.sum(axis=1)]
    assert answer["decisions"] == decisions
    assert answer["accuracy"] == {
        "correct": sum(a == b for a, b in zip(decisions, labels, strict=True)),
        "samples": 6,
    }


def test_fixed_point(run, tmp_path, integrators, data):
    """Weights that fill the word are not scaled: plain integers."""
    out = tmp_path / "run.npz"
    answer = _simulate(run, integrators, "--profile", "sinabs", data, "--fixed", "-o", out)
    with np.load(data) as arrays:
        x = arrays["x"]
    weight = [[127, -30, 5], [64, 90, -127]]
    with np.load(out) as arrays:
        spikes, membrane = arrays["spikes/if"], arrays["membrane/if"]
    assert membrane.dtype.kind == "i"
    for k, sample in enumerate(x):
        v = [0, 0]
        for t, step in enumerate(sample):
            for j in range(2):
                v[j] += sum(weight[j][i] * int(step[i]) for i in range(3))
                n = max(0, v[j] // 100)
                v[j] = max(-100, v[j] - 100 * n)
                assert (spikes[k, t, j], membrane[k, t, j]) == (n, v[j])
    assert answer["populations"]["if"]["spikes"] == spikes.sum() > 0
    assert answer["populations"]["if"]["overflows"] == 0


def test_what_is_printed(run, model, data):
    code, output, _ = run("simulate", model, *NORSE, data)
    assert code == 0
    with np.load(data) as arrays:
        spikes, _ = _norse(arrays["x"])
    lines = output.splitlines()
    assert lines[0].endswith("floating point: 6 samples of 20 steps")
    assert lines[2].split() == ["lif", "2", str(spikes.sum()), f"{spikes.mean():.4f}"]
    a, b = spikes[0].sum(axis=0)
    assert lines[4].startswith(f"  sample 0: {a} {b}; most: ")
    assert lines[-1].startswith("accuracy ")


def _write(path, x):
    if path.suffix == ".npz":
        np.savez(path, x=x)
    elif path.suffix == ".npy":
        np.save(path, x)
    elif path.suffix == ".csv":
        rows = [f"{k},{t},{i},{x[k, t, i]}" for k, t, i in zip(*np.nonzero(x), strict=True)]
        title = f"# output input: {len(x)} samples, {x.shape[1]} steps, shape {x.shape[2]}"
        path.write_text("\n".join([title, "sample,step,address,count", *rows]) + "\n")
    else:
        with h5py.File(path, "w") as file:
            group = file.create_group("nodes/input/observables/spikes")
            group["data"], group["dt"] = x.astype(bool), 1.0


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.csv", "x.h5"])
def test_data_in_every_format(run, tmp_path, model, data, name):
    with np.load(data) as arrays:
        x = arrays["x"]
    _write(tmp_path / name, x)
    answer = _simulate(run, model, *NORSE, tmp_path / name)
    assert answer["outputs"]["output"] == _norse(x)[0].sum(axis=1)[:5].tolist()
    assert (answer["samples"], answer["steps"]) == (6, 20)
    assert "accuracy" not in answer


def test_other_arrays_of_an_archive_are_left_alone(run, tmp_path, model, data):
    with np.load(data) as arrays:
        x = arrays["x"]
    names = np.array(["a", "b"])
    np.savez(tmp_path / "named.npz", x=x, names=names, pickled=np.array([{}], dtype=object))
    assert _simulate(run, model, *NORSE, tmp_path / "named.npz")["samples"] == 6


def test_one_sample_and_labels_apart(run, tmp_path, model, data):
    with np.load(data) as arrays:
        x = arrays["x"]
    np.save(tmp_path / "one.npy", x[2])
    np.save(tmp_path / "labels.npy", np.array([1]))
    answer = _simulate(
        run, model, *NORSE, tmp_path / "one.npy", "--labels", tmp_path / "labels.npy"
    )
    assert answer["samples"] == 1
    assert answer["outputs"]["output"] == _norse(x[2:3])[0].sum(axis=1).tolist()
    assert answer["accuracy"]["samples"] == 1


def test_a_limit(run, model, data):
    answer = _simulate(run, model, *NORSE, data, "--limit", 2)
    assert answer["samples"] == answer["accuracy"]["samples"] == 2


def test_several_inputs(run, tmp_path):
    one, zero = np.ones(2), np.zeros(2)
    nodes = {"a": Input((2,)), "b": Input((2,)), "if": IF(one, one, zero), "output": Output((2,))}
    graph = Graph(nodes, (("a", "if"), ("b", "if"), ("if", "output")))
    write_nir(graph, tmp_path / "two.nir")
    np.savez(tmp_path / "x.npz", a=np.ones((1, 3, 2), int), b=np.array([[[1, 0]] * 3]))
    answer = _simulate(run, tmp_path / "two.nir", "--profile", "sinabs", tmp_path / "x.npz")
    assert answer["outputs"]["output"] == [[6, 3]]
    np.savez(tmp_path / "x.npz", a=np.ones((1, 3, 2), int))
    code, _, complaint = run(
        "simulate", tmp_path / "two.nir", "--profile", "sinabs", tmp_path / "x.npz"
    )
    assert code == 2
    assert "must hold an array 'b', but does not" in complaint


@pytest.mark.parametrize(
    ("options", "code", "high"),
    [([], 0, None), (["--max-count", 9], 0, None), (["--max-count", 3], 2, "0 to 3")],
)
def test_counts_above_one(run, tmp_path, integrators, options, code, high):
    np.save(tmp_path / "x.npy", np.array([[9, 0, 0], [0, 1, 2]]))
    seen, output, complaint = run(
        *("simulate", integrators, "--profile", "sinabs", tmp_path / "x.npy", "--fixed", "--json"),
        *options,
    )
    assert seen == code
    if code:
        assert f"counts must be {high}, not 0 to 9" in complaint
    else:
        # 9 * 127 is 11 thresholds and 43; 9 * 64 is 5 and 76.
        assert json.loads(output)["outputs"]["output"] == [[11, 5]]


def test_real_numbers_in_fixed_point(run, tmp_path, integrators):
    np.save(tmp_path / "x.npy", np.array([[0.5, 0.0, 0.0]] * 4))
    command = ("simulate", integrators, "--profile", "sinabs", tmp_path / "x.npy", "--fixed")
    code, _, complaint = run(*command)
    assert code == 2
    assert (
        "input must be of integers in fixed point, not 0.5; a network made with --input-fraction"
        in complaint
    )
    answer = _simulate(run, *command[1:], "--input-fraction", 1)
    # 4 * 127 / 2 is two thresholds and 54, 4 * 64 / 2 one and 28.
    assert answer["outputs"]["output"] == [[2, 1]]


def test_potentials(run, tmp_path, potentials):
    np.save(tmp_path / "x.npy", np.array([[1.0, 0.0], [0.0, 2.0]]))
    out = tmp_path / "run.npz"
    options = ("--profile", "norse", "--dt", 1)
    answer = _simulate(run, potentials, *options, tmp_path / "x.npy", "-o", out)
    assert answer["populations"]["li"]["spikes"] is None
    # A quarter of the input comes in, three quarters of the potential stay.
    with np.load(out) as arrays:
        assert arrays["outputs/output"].tolist() == [[[0.25, 0.0], [0.1875, 0.5]]]
    assert answer["outputs"]["output"] == [[0.4375, 0.5]]
    events = tmp_path / "run.csv"
    code, _, complaint = run("simulate", potentials, *options, tmp_path / "x.npy", "-o", events)
    assert code == 2
    assert "events are of one output that sends spikes" in complaint
    assert not events.exists()


@pytest.fixture
def diverging(tmp_path):
    """A NIR file of neurons that spike, and of ones behind them that do not stay finite."""
    one, zero = np.ones(1), np.zeros(1)
    nodes = {
        "input": Input((1,)),
        "a": IF(one, one / 2, zero),
        "fc": Linear(np.array([[-1e308]])),
        "b": IF(one, np.full(1, 1e308), zero),
        "output": Output((1,)),
    }
    write_nir(Graph(nodes, tuple(pairwise(nodes))), tmp_path / "diverging.nir")
    np.save(tmp_path / "x.npy", np.ones((9, 1), np.uint8))
    return tmp_path / "diverging.nir"


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("simulate", []),
        ("simulate", ["--json"]),
        ("simulate", ["--fixed", "--state-fraction", "auto"]),
        ("quantize", ["--json"]),
        ("quantize", ["--state-fraction", "auto"]),
    ],
)
def test_potentials_that_do_not_stay_finite(run, tmp_path, diverging, command, options):
    code, output, complaint = run(
        command, diverging, "--profile", "norse", "--dt", 1, tmp_path / "x.npy", *options
    )
    assert (code, output) == (2, "")
    # -1e308 in the first step, and again in the second: beyond the -1.8e308 of double precision.
    assert complaint.splitlines()[-1] == (
        "spikeloom: the potential of 'b' must stay finite, but does not from step 1 on"
    )


def test_sums_that_do_not_stay_finite(run, tmp_path, potentials):
    np.save(tmp_path / "x.npy", np.full((9, 2), 1e308))
    code, output, complaint = run(
        "simulate", potentials, "--profile", "norse", "--dt", 1, tmp_path / "x.npy", "--json"
    )
    assert (code, output) == (2, "")
    assert complaint == "spikeloom: the sums of output 'output' must be finite, but one is not\n"


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (1 << 63, [], "input in {} must be below 2**63, but holds 9223372036854775808"),
        (1 << 63, ["--fixed"], "input in {} must be below 2**63, but holds 9223372036854775808"),
        (1 << 40, ["--fixed"], "input must fit 24 bits in fixed point, but does not"),
    ],
)
def test_counts_that_are_too_large(run, tmp_path, integrators, count, options, message):
    path = tmp_path / "x.npy"
    np.save(path, np.array([[1, 0, count]], dtype=np.uint64))
    code, output, complaint = run("simulate", integrators, "--profile", "sinabs", path, *options)
    assert (code, output) == (2, "")
    assert complaint.splitlines()[-1] == f"spikeloom: {message.format(path)}"


def test_every_profile_is_named_where_there_is_none(run, model, data):
    code, output, complaint = run("simulate", model, data)
    assert (code, output) == (2, "")
    assert complaint == (
        "spikeloom: --profile must say how time is discretised, which a NIR file leaves open: one"
        f" of {', '.join(PROFILES)}\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weight-width", 4], "--weight-width has no effect on a run in floating point"),
        (["--fixed", "--weight-width", 1], "weight_width must be 2 to 16, not 1"),
        (["--fixed", "--state-fraction", "some"], "invalid int value: 'some'"),
        (["--fixed", "--percentile", 0], "percentile must be above 0 and up to 100, not 0.0"),
        (["--fixed", "--max-count", 0], "max_count must be positive, not 0"),
        (["--fixed", "--input-fraction", 17], "input_fraction must be 0 to 16, not 17"),
        (["--fixed", "--state-width", 4], "does not fit"),
        (["--floor", "low"], "argument --floor: invalid float value: 'low'"),
        (["--limit", 0], "--limit must be positive, not 0"),
        (["--sample", 1], "--sample has no effect without --plot; leave it out"),
        (["--plot", "x.html", "--sample", 6], "--sample must be 0 to 5, not 6"),
        (["-o", "run.txt"], "run.txt must end with .npz, .h5 or .csv"),
        (["-o", "nowhere/run.npz"], "nowhere/run.npz must be a file in a folder that exists"),
        (["--plot", "nowhere/x.html"], "nowhere/x.html must be a file in a folder that exists"),
        (["--labels", "missing.npy"], "missing.npy must be a .npy file of numbers, but No such"),
    ],
)
def test_wrong_options(run, tmp_path, monkeypatch, model, data, options, message):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, output, complaint = run("simulate", model, *NORSE, data, *options)
    assert (code, output) == (2, "")
    assert message in complaint
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("x.npz", {"z": np.ones(3)}, "must hold an array 'input' or 'x', but does not"),
        ("x.npz", {"x": np.ones((2, 5, 4))}, "must be of shape (samples, steps, 3) or (steps, 3)"),
        ("x.npz", {"x": np.ones((0, 5, 3))}, "must have samples and steps"),
        ("x.npz", {"x": np.full((1, 1, 3), np.nan)}, "must be finite, but holds NaN"),
        ("x.npz", {"x": np.ones((1, 1, 3), complex)}, "but it holds complex128"),
        ("x.npz", {"x": np.ones((2, 1, 3)), "y": np.ones(2)}, "must be 2 integers, one a sample"),
        ("x.npz", {"x": np.ones((2, 1, 3)), "y": np.ones(3, int)}, "must be 2 integers"),
        ("x.txt", {"x": np.ones(3)}, "x.txt must end with .npz, .npy, .csv or .h5"),
        ("x.npy", {"x": np.ones(3)}, "must be a .npy file of numbers, but"),
        ("x.h5", {"x": np.ones(3)}, "must be an HDF5 file of NIR data"),
        ("x.csv", {"x": np.ones(3)}, "must be a .csv file of events, but"),
    ],
)
def test_wrong_data(run, tmp_path, model, name, arrays, message):
    with (tmp_path / name).open("wb") as file:
        np.savez(file, **arrays)
    code, output, complaint = run("simulate", model, *NORSE, tmp_path / name)
    assert (code, output) == (2, "")
    assert message in complaint


@pytest.mark.parametrize(
    ("error", "code"), [(OSError(28, "No space left on device"), 1), (KeyboardInterrupt(), 130)]
)
def test_an_output_is_written_whole_or_not_at_all(
    run, tmp_path, monkeypatch, model, data, error, code
):
    def fail(file, **arrays):
        file.write(b"half")
        raise error

    monkeypatch.setattr(recording_file.np, "savez_compressed", fail)
    before = sorted(tmp_path.iterdir())
    assert run("simulate", model, *NORSE, data, "-o", tmp_path / "run.npz")[0] == code
    assert sorted(tmp_path.iterdir()) == before


def test_many_samples_in_groups(run, monkeypatch, tmp_path, model, data):
    """The same, however many samples are run at a time."""
    command = (model, *NORSE, data, "-o")
    run("simulate", *command, tmp_path / "whole.npz")
    monkeypatch.setattr(simulate, "batches", lambda *_: [slice(0, 4), slice(4, 5), slice(5, 6)])
    run("simulate", *command, tmp_path / "groups.npz")
    assert (tmp_path / "whole.npz").read_bytes() == (tmp_path / "groups.npz").read_bytes()


def test_groups_are_smaller_where_a_convolution_is_unfolded():
    shape = (2, 64, 64)
    convolution = Convolution(
        np.ones((1, 2, 9, 9)), shape, stride=(1, 1), padding=(4, 4), dilation=(1, 1)
    )
    pool = Pool((1, 64, 64), kernel=(64, 64), stride=(64, 64), padding=(0, 0))
    neuron = FloatNeuron(profile=PROFILES["sinabs"], v_th=1.0)
    population = FloatPopulation(
        shape=(1, 1, 1),
        neuron=neuron,
        connections=(Connection(source="in", maps=(convolution, pool)),),
    )
    network = FloatNetwork({"in": shape}, {"a": population}, {"out": "a"})
    # In each step of each sample 64 x 64 windows of 2 x 9 x 9; 8 bytes each, at most 64 MiB.
    steps = 3
    size = (64 << 20) // (8 * steps * 64 * 64 * 2 * 9 * 9)
    groups = batches(network, 50, steps)
    assert size == 4
    assert [each.stop - each.start for each in groups] == [4] * 12 + [2]
    assert [each.start for each in groups] == list(range(0, 50, 4))


@pytest.mark.parametrize("options", [[], ["--fixed"]])
def test_recordings_are_kept_only_where_they_are_written(
    run, monkeypatch, tmp_path, model, data, options
):
    alive, most = [], []

    def watch(recording):
        alive.append(weakref.ref(recording.membrane["lif"]))
        most.append(sum(each() is not None for each in alive))
        return recording

    for name in ("run_finite", "run_fixed"):
        original = getattr(simulate, name)
        monkeypatch.setattr(simulate, name, lambda *a, original=original: watch(original(*a)))
    monkeypatch.setattr(simulate, "batches", lambda *_: [slice(k, k + 1) for k in range(6)])
    plot = ("--plot", tmp_path / "x.html")
    assert run("simulate", model, *NORSE, data, *options)[0] == 0
    # The one that is being made, and the one that is being counted.
    assert (len(most), max(most)) == (6, 2)
    assert run("simulate", model, *NORSE, data, *options, *plot)[0] == 0
    assert max(most) <= 3


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            assert name not in ("src", "href"), value
            assert not name.startswith("on"), value

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("fixed", [[], ["--fixed", "--state-fraction", 4]])
def test_a_plot_needs_nothing_else(run, tmp_path, model, data, fixed):
    plot = tmp_path / "run.html"
    run("simulate", model, *NORSE, data, *fixed, "--plot", plot, "--sample", 3)
    text = plot.read_text()
    page = _Page()
    page.feed(text)
    assert "default-src &#x27;none&#x27;" in text
    assert "script" not in page.tags
    with np.load(data) as arrays:
        spikes = _norse(arrays["x"][3:4])[0]
    assert "model.nir, sample 3" in page.text
    assert f"lif, floating point: 2 neurons, {spikes.sum()} spikes" in page.text
    assert ("lif, fixed point: 2 neurons" in page.text) == bool(fixed)
    assert "prefers-color-scheme: dark" in text


def test_a_plot_of_potentials_and_of_names_with_markup(run, tmp_path):
    name = "<b>&"
    nodes = {
        "input": Input((700,)),
        name: LI(np.full(700, 4.0), np.ones(700), np.zeros(700)),
        "output": Output((700,)),
    }
    write_nir(Graph(nodes, (("input", name), (name, "output"))), tmp_path / "li.nir")
    x = (np.random.default_rng(1).random((5, 700)) < 0.2).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    plot = tmp_path / "run.html"
    options = ("--profile", "norse", "--dt", 1, "--fixed", "--plot", plot)
    assert run("simulate", tmp_path / "li.nir", *options, tmp_path / "x.npy")[0] == 0
    page = _Page()
    page.feed(plot.read_text())
    assert name in page.text
    assert "b" not in page.tags
    assert f"input: 700 neurons, {x.sum()} spikes, of which one in 2 is drawn" in page.text


def test_braille_as_norse_computes_it(run, shared, tmp_path):
    nir = shared / "nir" / "braille"
    out = tmp_path / "run.csv"
    answer = _simulate(
        *(run, nir / "braille_noDelay_noBias_subtract.nir", "--profile", "norse"),
        *("--reset", "subtract", shared / "data" / "braille7_unique_samples.npz", "-o", out),
    )
    counts = load_recording(out).counts
    with np.load(nir / "norse_1.1.0_outspikes.npz") as recorded:
        assert np.array_equal(counts, recorded["counts"])
    # 97.3 % is what the network's authors and Norse have.
    assert answer["accuracy"]["samples"] == 1158
    assert round(100 * answer["accuracy"]["correct"] / 1158, 1) == 97.3


def test_layers_as_sinabs_computes_them(run, shared, tmp_path):
    cnn = shared / "nir" / "cnn"
    out = tmp_path / "run.npz"
    _simulate(
        run,
        cnn / "cnn_sinabs.nir",
        "--profile",
        "sinabs",
        cnn / "nmnist_zero_10bins.npy",
        "-o",
        out,
    )
    with np.load(out) as arrays, np.load(cnn / "sinabs_3.1.3_layers_on_nmnist_zero.npz") as sinabs:
        for name in ("1", "3", "6", "10", "12"):
            assert np.array_equal(arrays[f"spikes/{name}"][0], sinabs[f"layer_{name}"])
