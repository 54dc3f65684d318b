"""The command against devices in Python on a pseudo-terminal."""

import json
import random
import sys
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from malicious_device import Hangup, Malice, Silence, Terminal
from model_device import board, counts, golden, image, samples, sent_potentials, signed, stack

from spikeloom.boards.device import Device
from spikeloom.boards.link_facts import LINK, WEIGHTS
from spikeloom.reference.recording_file import load_recording, save_recording
from spikeloom.reference.simulate import Recording, run_fixed
from spikeloom.rtl_gen.weights import WeightStore

PATIENCE = 20
"""Seconds for a device that answers at once."""
NEVER = 1 << 40


@pytest.fixture
def device(tmp_path):
    """A function that writes a build folder and puts its device on a terminal."""

    @contextmanager
    def make(net, *, other=None, kind=Malice, begins=NEVER, **options):
        model, facts, weights = board(net, **options)
        folder = tmp_path / "build"
        folder.mkdir(exist_ok=True)
        (folder / LINK).write_text(facts.text())
        (folder / WEIGHTS).write_bytes(weights)
        if other is not None:
            model, _, _ = board(other)
        with Terminal(kind(random.Random(0), model, begins)) as terminal:
            yield folder, ("--port", terminal.path, "--timeout", PATIENCE)

    return make


@pytest.fixture
def data(tmp_path):
    """A function that writes samples."""

    def write(raster, **arrays):
        path = tmp_path / "x.npz"
        np.savez(path, x=raster, **arrays)
        return path

    return write


def complains(code, output, complaint, expected, words):
    """One sentence on standard error, and nothing else."""
    assert (code, output) == (expected, "")
    (line,) = complaint.splitlines()
    assert line.startswith("spikeloom: ")
    assert words in line


@pytest.mark.parametrize("make", [stack, signed, image])
@pytest.mark.parametrize("suffix", [".npz", ".h5", ".csv"])
def test_spikes_equal_golden_model(run, device, data, tmp_path, make, suffix):
    net = make(random.Random(3))
    raster = samples(net, 3, 5)
    out = tmp_path / f"out{suffix}"
    with device(net) as (folder, port):
        code, output, _ = run("run", folder, data(raster), *port, "-o", out)
    assert code == 0
    assert f"written      {out}" in output
    found = load_recording(out).output
    expected = golden(net, raster)
    assert np.array_equal(found.reshape(expected.shape), expected)
    assert found.dtype == expected.dtype


def test_json(run, device, data, tmp_path):
    """Weights are loaded first; what is counted is told where there is a monitor."""
    net = stack(random.Random(3), high=15)
    raster = samples(net, 7, 4)
    expected = golden(net, raster)
    decisions = expected.sum(axis=1).argmax(axis=1)
    labels = np.where(np.arange(7) < 5, decisions, (decisions + 1) % 3)
    with device(net, monitor=True, store=WeightStore.SPRAM) as (folder, port):
        code, output, complaint = run("run", folder, data(raster, y=labels), *port, "--json")
    assert (code, complaint) == (0, "")
    answer = json.loads(output)
    assert answer.pop("seconds") > 0
    assert answer == {
        "folder": str(folder),
        "device": "test 10-6-3 weights 8 states 12",
        "samples": 7,
        "steps": 4,
        "spikes": expected.sum(),
        "sums": expected.sum(axis=1)[:5].tolist(),
        "decisions": decisions.tolist(),
        "accuracy": {"correct": 5, "samples": 7},
        "counters": {
            "events_in": 7 * 5 + np.count_nonzero(raster),
            "waits": 7,
            "events_out": 7 * 5 + np.count_nonzero(expected),
            "cycles": 70_000,
        },
    }


def test_what_is_printed(run, device, data, tmp_path):
    net = counts(random.Random(3))
    raster = samples(net, 6, 4)
    expected = golden(net, raster)[:4]
    sums = expected.sum(axis=1)
    labels = tmp_path / "labels.npy"
    np.save(labels, np.concatenate([sums.argmax(axis=1)[:3], [(sums[3].argmax() + 1) % 3, 0, 0]]))
    options = ("--labels", labels, "--limit", 4)
    with device(net, monitor=True) as (folder, port):
        code, output, _ = run("run", folder, data(raster), *port, *options)
    assert code == 0
    lines = output.splitlines()
    assert lines[0] == "test 10-6-3 weights 8 states 12: 4 samples of 4 steps"
    assert lines[1] == f"  sample 0: {' '.join(map(str, sums[0]))}; most: {sums[0].argmax()}"
    assert lines[5] == f"spikes       {expected.sum():,}"
    assert lines[6] == "accuracy     75.0 % (3 of 4)"
    assert lines[7].startswith("time         ")
    assert lines[8].startswith("line         it was waited for in 100.0 % of all cycles")


def test_expected(run, device, data, tmp_path):
    """Of more samples, too; each spike that is another counts."""
    net = stack(random.Random(3))
    raster = samples(net, 3, 5)
    right, wrong = tmp_path / "right.npz", tmp_path / "wrong.npz"
    recording = run_fixed(net, samples(net, 4, 5))
    assert np.array_equal(recording.output[:3], golden(net, raster))
    save_recording(recording, right)
    changed = recording.output.copy()
    changed[1, 2, 0] ^= 1
    changed[2, 4, 1] += 2
    # A sample that does not run.
    changed[3] += 1
    save_recording(replace(recording, outputs={"out out": changed}), wrong)
    with device(net) as (folder, port):
        given = ("run", folder, data(raster), *port, "--expect")
        code, output, _ = run(*given, right)
        assert (code, output.splitlines()[-1]) == (0, "expected     all equal")
        code, output, _ = run(*given, wrong)
        assert (code, output.splitlines()[-1]) == (1, "expected     2 are different")
        code, output, _ = run(*given, wrong, "--json")
        assert (code, json.loads(output)["different"]) == (1, 2)


class Page(HTMLParser):
    """The texts of a page and how many shapes it draws."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.paths, self.open = [], 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.paths += tag == "path"

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_page(run, device, data, tmp_path):
    net = stack(random.Random(3))
    raster = samples(net, 2, 5)
    expected = golden(net, raster)
    page = tmp_path / "page.html"
    with device(net) as (folder, port):
        given = ("run", folder, data(raster, y=np.array([2, 1])), *port, "--plot", page)
        assert run(*given)[0] == 0
        text = page.read_text()
        assert run(*given)[0] == 0
    assert page.read_text() == text
    found = Page(text)
    assert "build, sample 0" in found.texts
    assert "test 10-6-3 weights 8 states 12" in found.texts
    assert f"input: 10 neurons, {raster[0].sum()} spikes" in found.texts
    assert f"output: 3 neurons, {expected[0].sum()} spikes" in found.texts
    assert found.paths >= 2


def test_page_of_the_folder_that_one_is_in(run, device, data, tmp_path, monkeypatch):
    net = stack(random.Random(3))
    page = tmp_path / "page.html"
    with device(net) as (folder, port):
        monkeypatch.chdir(folder)
        assert run("run", ".", data(samples(net, 1, 5)), *port, "--plot", page)[0] == 0
    assert "build, sample 0" in Page(page.read_text()).texts


def test_potentials(run, device, data, tmp_path):
    """They are no spikes, and not drawn as if they were."""
    net = sent_potentials(random.Random(3))
    raster = samples(net, 2, 5)
    expected = golden(net, raster)
    assert expected.min() < 0 < expected.max()
    out, page = tmp_path / "out.npz", tmp_path / "page.html"
    with device(net) as (folder, port):
        given = ("run", folder, data(raster), *port)
        code, output, _ = run(*given, "-o", out, "--plot", page, "--json")
        answer = json.loads(output)
        assert (code, answer["spikes"]) == (0, None)
        code, output, _ = run(*given)
        assert (code, "spikes" in output) == (0, False)
        complains(*run(*given, "-o", tmp_path / "out.csv"), 2, "must end with .npz or .h5: events")
    found = load_recording(out).output
    assert np.array_equal(found, expected)
    assert answer["sums"] == expected.sum(axis=1).reshape(2, -1).tolist()
    texts = Page(page.read_text()).texts
    assert f"output {answer['decisions'][0]}, the one with the most" in texts
    assert not [text for text in texts if text.startswith("output:")]


def test_another_network(run, device, data):
    net = stack(random.Random(3))
    with device(net, other=stack(random.Random(4))) as (folder, port):
        answer = run("run", folder, data(samples(net, 2, 3)), *port, "--json")
    complains(*answer, 1, "the device must be network ")
    assert "program it with this build" in answer[2]


@pytest.mark.parametrize(
    ("kind", "begins", "words"),
    [
        (Silence, 0, "the device did not answer within 0.02 s, 5 times"),
        (Silence, 100, "the device did not answer within 0.02 s, 5 times"),
        (Hangup, 100, "the line to the device failed: "),
    ],
)
def test_device_that_ends(run, device, data, kind, begins, words):
    net = stack(random.Random(3))
    raster = samples(net, 30, 5)
    with device(net, kind=kind, begins=begins) as (folder, port):
        answer = run("run", folder, data(raster), *port[:2], "--timeout", 0.02, "--json")
    complains(*answer, 1, words)


def test_port_that_another_host_has(run, device, data):
    net = stack(random.Random(3))
    with device(net) as (folder, port):
        with Device.open(port[1], folder, timeout=PATIENCE):
            answer = run("run", folder, data(samples(net, 2, 3)), *port, "--json")
    complains(*answer, 1, f"{port[1]} cannot be opened: ")


@pytest.fixture
def folder(tmp_path):
    """A build of inputs 0 to 1, and no board."""
    _, facts, _ = board(stack(random.Random(3)))
    (tmp_path / LINK).write_text(facts.text())
    return tmp_path


def test_no_such_port(run, folder, data):
    given = ("run", folder, data(np.zeros((2, 3, 10), int)), "--port", folder / "nowhere")
    code, output, complaint = run(*given)
    assert (code, output) == (1, "")
    assert f"spikeloom: {folder}/nowhere cannot be opened: " in complaint
    assert "Traceback" not in complaint
    complains(*run(*given, "--json"), 1, "nowhere cannot be opened: ")


def test_no_pyserial(run, folder, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    given = ("run", folder, data(np.zeros((2, 3, 10), int)), "--port", folder / "nowhere", "--json")
    complains(*run(*given), 1, "to get it, type: pip install 'spikeloom[boards]'")


def test_no_build(run, tmp_path, data):
    x = data(np.zeros((2, 3, 10), int))
    for folder in (tmp_path, tmp_path / "none", x):
        complains(
            *run("run", folder, x, "--port", "nowhere"),
            *(2, f"{folder} must be a folder that `spikeloom build` wrote, but "),
        )


@pytest.mark.parametrize("where", [("--port", "nowhere"), ("--virtual",)])
def test_build_with_spi(run, folder, data, where):
    _, facts, _ = board(stack(random.Random(3)))
    (folder / LINK).write_text(replace(facts, spi=True).text())
    answer = run("run", folder, data(np.zeros((2, 3, 10), int)), *where)
    complains(*answer, 2, "must have a serial line, but has SPI")


@pytest.mark.parametrize(
    ("raster", "words"),
    [
        (np.zeros((2, 3, 9), int), "(samples, steps, 10) or (steps, 10), not (2, 3, 9)"),
        (np.zeros((0, 3, 10), int), "must have samples and steps"),
        (np.full((2, 3, 10), 0.5), "must be of integers in fixed point, not 0.5"),
    ],
)
def test_wrong_data(run, folder, data, raster, words):
    complains(*run("run", folder, data(raster), "--port", "nowhere", "--json"), 2, words)


def test_data_out_of_range(run, device, data):
    net = stack(random.Random(3))
    raster = samples(net, 2, 3)
    raster[1, 1, 1] = 2
    with device(net) as (folder, port):
        answer = run("run", folder, data(raster), *port, "--json")
    complains(*answer, 2, "raster must be of 0 to 1, but has 2")


def test_data_that_are_clipped(run, device, data, tmp_path):
    """As the golden model does it, where the input is of a profile that clips."""
    net = stack(random.Random(3))
    (name, entry), *_ = net.inputs.items()
    net = replace(net, inputs={name: replace(entry, clips=True)})
    raster = 3 * samples(net, 3, 4) - np.arange(10) % 2
    assert (raster.min(), raster.max()) == (-1, 3)
    out = tmp_path / "out.npz"
    with device(net) as (folder, port):
        assert run("run", folder, data(raster), *port, "-o", out)[0] == 0
    assert np.array_equal(load_recording(out).output, golden(net, np.clip(raster, 0, 1)))


def test_many_outputs(run, device, data):
    """Sums of the first are printed, and how many more there are."""
    net = stack(random.Random(3), outputs=40)
    raster = samples(net, 2, 4)
    with device(net) as (folder, port):
        _, output, _ = run("run", folder, data(raster), *port)
    sums = golden(net, raster)[1].sum(axis=0)
    numbers = " ".join(map(str, sums[:32]))
    assert output.splitlines()[2] == f"  sample 1: {numbers} and 8 more; most: {sums.argmax()}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "one of the arguments --port --virtual is required"),
        (("--port", "x", "--virtual"), "argument --virtual: not allowed with argument --port"),
        (("--port", "x", "--timeout", 0), "--timeout must be positive and finite, not 0"),
        (("--port", "x", "--timeout", -1), "--timeout must be positive and finite, not -1"),
        (("--port", "x", "--timeout", "nan"), "--timeout must be positive and finite, not nan"),
        (("--port", "x", "--timeout", "inf"), "--timeout must be positive and finite, not inf"),
        (("--port", "x", "--limit", 0), "--limit must be positive, not 0"),
        (("--port", "x", "-o", "out.txt"), "out.txt must end with .npz, .h5 or .csv"),
        (("--port", "x", "-o", "no/out.npz"), "must be a file in a folder that exists"),
        (("--port", "x", "--plot", "no/out.html"), "must be a file in a folder that exists"),
        (("--port", "x", "--expect", "no.npz"), "no.npz must be"),
    ],
)
def test_wrong_options(run, folder, data, options, words):
    complains(*run("run", folder, data(np.zeros((2, 3, 10), int)), *options), 2, words)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("out", (2, 3, 3), "must hold output 'out out', not out"),
        ("out out", (2, 4, 3), "must hold an output of shape (2, 3, 3), not (2, 4, 3)"),
        ("out out", (1, 3, 3), "must hold an output of shape (2, 3, 3), not (1, 3, 3)"),
    ],
)
def test_wrong_expectation(run, folder, data, name, shape, words):
    path = folder / "expected.npz"
    save_recording(Recording({}, {}, {}, {name: np.zeros(shape, np.uint8)}), path)
    given = ("run", folder, data(np.zeros((2, 3, 10), int)), "--port", "x", "--expect", path)
    complains(*run(*given), 2, words)
