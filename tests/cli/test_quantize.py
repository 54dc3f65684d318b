import json

import numpy as np
import pytest

from spikeloom.cli import quantize
from spikeloom.rtl_gen.output import MARKER

NORSE = ("--profile", "norse", "--dt", 1, "--reset", "subtract")


def _quantize(run, *arguments):
    code, output, _ = run("quantize", *arguments, "--json")
    assert code == 0
    return json.loads(output)


def test_weights_alone(run, integrators):
    answer = _quantize(run, integrators, "--profile", "sinabs")
    assert answer["samples"] == 0
    (layer,) = answer["layers"]
    # The weights fill the word as they are.
    assert layer == {
        "name": "if",
        "neurons": 2,
        "weights": 6,
        "weight_width": 8,
        "weight_low": -127,
        "weight_high": 127,
        "weights_lost": 0,
        "weights_at_ends": 2,
        "state_width": 16,
    }
    assert "fixed_correct" not in answer


def test_weights_in_few_bits(run, integrators):
    (layer,) = _quantize(run, integrators, "--profile", "sinabs", "--weight-width", 2)["layers"]
    # 127, -30, 5, 64, 90, -127 by 1/127, to the nearest: 1, 0, 0, 1, 1, -1.
    assert (layer["weight_low"], layer["weight_high"], layer["weights_lost"]) == (-1, 1, 2)


def test_what_it_costs_on_data(run, integrators, data):
    answer = _quantize(run, integrators, "--profile", "sinabs", data)
    (layer,) = answer["layers"]
    with np.load(data) as arrays:
        x, labels = arrays["x"], arrays["y"]
    counts, lowest, highest = [], 0, 0
    for sample in x:
        v, sums = np.zeros(2, int), np.zeros(2, int)
        for step in sample:
            v = v + np.array([[127, -30, 5], [64, 90, -127]]) @ step
            n = np.maximum(0, v // 100)
            v = np.maximum(v - 100 * n, -100)
            sums += n
            lowest, highest = min(lowest, v.min()), max(highest, v.max())
        counts.append(sums)
    right = sum(int(np.argmax(sums)) == label for sums, label in zip(counts, labels, strict=True))
    assert layer["float_spikes"] == layer["fixed_spikes"] == np.sum(counts)
    assert (layer["state_low"], layer["state_high"]) == (lowest, highest)
    assert (layer["counts_changed"], layer["overflows"]) == (0, 0)
    assert answer["float_correct"] == answer["fixed_correct"] == right
    assert answer["decisions_changed"] == 0


def test_what_is_printed(run, integrators, data):
    code, output, _ = run("quantize", integrators, "--profile", "sinabs", data)
    assert code == 0
    lines = output.splitlines()
    assert lines[0].endswith("weights  8 bits, states 16 bits, decays  8 bits")
    assert lines[3].startswith("if           2        6  -127 to 127     0          2")
    assert lines[-1].endswith("in fixed: +0.00")


def test_data_stand_before_or_behind_options(run, integrators, data):
    behind = _quantize(run, integrators, "--profile", "sinabs", data)
    assert behind == _quantize(run, integrators, data, "--profile", "sinabs")
    assert behind["samples"] == 6


def test_many_samples_in_groups(run, monkeypatch, model, data):
    command = (model, *NORSE, data, "--state-fraction", 3, "--weight-width", 3)
    whole = _quantize(run, *command)
    assert whole["layers"][0]["counts_changed"] > 0
    monkeypatch.setattr(quantize, "batches", lambda *_: [slice(0, 4), slice(4, 5), slice(5, 6)])
    assert _quantize(run, *command) == whole


def test_a_search(run, model, data):
    # Half of the labels are arbitrary: what the widest words reach is what can be kept.
    reached = _quantize(
        *(run, model, *NORSE, data, "--weight-width", 16, "--state-width", 32),
        *("--decay-fraction", 16),
    )
    keep = 100 * reached["fixed_correct"] / 6
    answer = _quantize(run, model, *NORSE, data, "--search", "--keep", keep)
    trials = answer["trials"]
    assert answer["keep_percent"] == keep
    widest = trials[0]["precision"]
    assert [widest[n] for n in ("weight_width", "state_width", "decay_fraction")] == [16, 32, 16]
    kept = [trial["precision"] for trial in trials if 100 * trial["accuracy"] >= keep]
    assert answer["precision"] == kept[-1]
    assert 100 * answer["fixed_correct"] / 6 >= keep
    assert answer["precision"]["weight_width"] < 16
    # Narrower weights were tried, and did not keep it, unless there are none.
    best = answer["precision"]["weight_width"]
    narrower = [t for t in trials if t["precision"]["weight_width"] == best - 1]
    assert best == 2 or (narrower and all(100 * t["accuracy"] < keep for t in narrower))
    output = run("quantize", model, *NORSE, data, "--search", "--keep", keep)[1]
    assert output.count("tried weights") == len(trials)


def test_decays_are_searched_only_where_one_is_multiplied(run, model, integrators, data):
    words = ("weight_width", "state_width", "decay_fraction")
    for file, options, decays in (
        (model, NORSE, True),
        (model, (*NORSE, "--decay", "shift"), False),
        (integrators, ("--profile", "sinabs"), False),
    ):
        trials = _quantize(
            run, file, *options, data, "--search", "--keep", 0, "--decay-fraction", 9
        )["trials"]
        tried = [{trial["precision"][name] for trial in trials} for name in words]
        assert min(map(len, tried[:2])) > 1
        assert tried[2] == ({16, 10, 7, 5, 4} if decays else {9})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--search"], "--search and --keep must be given together, or neither"),
        (["--keep", 90], "--search and --keep must be given together, or neither"),
        (["--search", "--keep", 101], "--keep must be 0 to 100 percent, not 101.0"),
        (["--search", "--keep", "nan"], "--keep must be 0 to 100 percent, not nan"),
        (["--search", "--keep", 50], "--search must go with data"),
        (["--limit", 3], "--limit must go with data"),
        (["--state-fraction", "auto"], "--state-fraction must be a number where there are no data"),
        (["--weight-width", 17], "weight_width must be 2 to 16, not 17"),
        (["--scale", "all"], "argument --scale: invalid choice: 'all'"),
        (["--state-width", 4], "does not fit"),
    ],
)
def test_wrong_options(run, tmp_path, model, options, message):
    before = sorted(tmp_path.iterdir())
    code, output, complaint = run("quantize", model, *NORSE, *options, "-o", tmp_path / "out")
    assert (code, output) == (2, "")
    assert message in complaint
    assert sorted(tmp_path.iterdir()) == before


def test_no_profile(run, model):
    code, output, complaint = run("quantize", model)
    assert (code, output) == (2, "")
    assert "--profile must say how time is discretised" in complaint


def test_a_search_without_labels(run, tmp_path, model):
    np.save(tmp_path / "x.npy", np.ones((4, 3), int))
    code, _, complaint = run(
        "quantize", model, *NORSE, tmp_path / "x.npy", "--search", "--keep", 50
    )
    assert code == 2
    assert "--search must go with labels: y in the data's .npz, or --labels" in complaint


def test_more_than_can_be_kept(run, model, data):
    code, _, complaint = run("quantize", model, *NORSE, data, "--search", "--keep", 100)
    assert code == 2
    assert "% of the widest words, not 100" in complaint


def test_a_report(run, tmp_path, model, data):
    out = tmp_path / "report"
    options = ("--search", "--keep", 10, "-o", out)
    answer = _quantize(run, model, *NORSE, data, *options)
    assert sorted(path.name for path in out.iterdir()) == [MARKER, "report.html", "report.json"]
    assert json.loads((out / "report.json").read_text()) == answer
    page = (out / "report.html").read_text()
    assert "default-src &#x27;none&#x27;" in page
    assert "<script" not in page
    for title in ("Accuracy", "Layers", "Ranges", "Spikes", "Search"):
        assert f"<h2>{title}</h2>" in page
    assert "model.nir in fixed point" in page
    first = page
    _quantize(run, model, *NORSE, data, *options)
    assert (out / "report.html").read_text() == first


def test_a_report_without_data(run, tmp_path, model):
    assert run("quantize", model, *NORSE, "-o", tmp_path / "report")[0] == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<h2>Ranges</h2>" in page
    assert "<h2>Spikes</h2>" not in page
    assert "<h2>Accuracy</h2>" not in page


def test_a_folder_that_is_not_ours_is_left_alone(run, tmp_path, model):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    code, _, complaint = run("quantize", model, *NORSE, "-o", folder)
    assert code == 2
    assert "exists and was not written by spikeloom" in complaint
    assert [path.name for path in folder.iterdir()] == ["precious"]


@pytest.mark.parametrize(("error", "code"), [(OSError(28, "full"), 1), (KeyboardInterrupt(), 130)])
def test_a_report_is_written_whole_or_not_at_all(run, tmp_path, monkeypatch, model, error, code):
    def fail(_):
        raise error

    monkeypatch.setattr(quantize, "render_loss", fail)
    before = sorted(tmp_path.iterdir())
    assert run("quantize", model, *NORSE, "-o", tmp_path / "report")[0] == code
    assert sorted(tmp_path.iterdir()) == before


def test_braille_in_eight_bits(run, shared):
    answer = _quantize(
        *(run, shared / "nir" / "braille" / "braille_noDelay_noBias_subtract.nir"),
        *("--profile", "norse", "--reset", "subtract", "--state-fraction", "auto"),
        shared / "data" / "braille7_unique_samples.npz",
    )
    # 97.3 % in floating point; quantised by others, 8 bits and a scale a layer: 97.1 %.
    assert round(100 * answer["float_correct"] / 1158, 1) == 97.3
    assert 100 * answer["fixed_correct"] / 1158 > 97.0
