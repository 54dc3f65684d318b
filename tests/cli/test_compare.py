import json

import numpy as np
import pytest

from spikeloom.reference.recording_file import save_recording
from spikeloom.reference.simulate import Recording


def _recording(*, real=True, changes=(), add=1.0):
    """Two samples of three steps of two layers; changes are part, layer, sample, step, neuron."""
    rng = np.random.default_rng(8)
    parts = {"spikes": {}, "membrane": {}, "synapse": {}, "outputs": {}}
    for name, shape in (("first", (2, 2)), ("second", (3,))):
        parts["spikes"][name] = rng.integers(0, 2, (2, 3, *shape)).astype(np.uint8)
        parts["membrane"][name] = rng.normal(size=(2, 3, *shape))
        if not real:
            parts["membrane"][name] = np.rint(100 * parts["membrane"][name]).astype(np.int32)
    parts["outputs"]["output"] = parts["spikes"]["second"].copy()
    for part, name, *place in changes:
        values = parts[part][name]
        values.reshape(2, 3, -1)[tuple(place)] += np.asarray(add).astype(values.dtype)
    return Recording(**parts)


@pytest.fixture
def files(tmp_path):
    """A function that saves two recordings and gives their paths."""

    def save(a, b, suffixes=(".npz", ".npz")):
        paths = [tmp_path / f"{name}{suffix}" for name, suffix in zip("ab", suffixes, strict=True)]
        for path, recording in zip(paths, (a, b), strict=True):
            save_recording(recording, path)
        return paths

    return save


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("suffixes", [(".npz", ".npz"), (".npz", ".h5"), (".h5", ".h5")])
def test_equal_recordings(run, files, suffixes, real):
    paths = files(_recording(real=real), _recording(real=real), suffixes)
    code, output, _ = run("compare", *paths, "--json")
    answer = json.loads(output)
    assert (code, answer["equal"], answer["first"]) == (0, True, None)
    # Spikes and potentials of 4 + 3 neurons, and the output's three again, in 6 steps in all.
    assert sum(part["compared"] for part in answer["parts"]) == 6 * (2 * 7 + 3)
    assert run("compare", *paths)[1].endswith("\nequal\n")


def test_the_first_difference(run, files):
    changes = [
        ("membrane", "second", 1, 0, 2),
        ("membrane", "first", 1, 1, 3),
        ("spikes", "second", 0, 2, 1),
        ("membrane", "second", 0, 1, 0),
        ("spikes", "second", 1, 2, 0),
    ]
    paths = files(_recording(real=False), _recording(real=False, changes=changes, add=5))
    code, output, _ = run("compare", *paths, "--json")
    answer = json.loads(output)
    assert (code, answer["equal"]) == (1, False)
    # Sample 0 comes before sample 1, and in it step 1 before step 2.
    first = answer["first"]
    assert (first["name"], first["sample"], first["step"], first["neuron"]) == (
        *("membrane/second", 0, 1, 0),
    )
    assert first["b"] - first["a"] == 5
    different = {part["name"]: part["different"] for part in answer["parts"]}
    assert different == {
        "spikes/first": 0,
        "membrane/first": 1,
        "spikes/second": 2,
        "membrane/second": 2,
        "outputs/output": 0,
    }
    lines = run("compare", *paths)[1].splitlines()
    assert lines[-1].startswith("DIFFERENT, first in membrane/second: sample 0, step 1, neuron 0:")


def test_of_the_same_step_the_first_layer(run, files):
    changes = [("spikes", "second", 1, 1, 0), ("spikes", "first", 1, 1, 3)]
    paths = files(_recording(), _recording(changes=changes))
    answer = json.loads(run("compare", *paths, "--json")[1])
    assert answer["first"]["name"] == "spikes/first"


@pytest.mark.parametrize(
    ("tolerance", "code"), [([], 1), (["--tolerance", 0.2], 1), (["--tolerance", 0.3], 0)]
)
def test_a_tolerance(run, files, tolerance, code):
    changes = [("membrane", "first", 1, 1, 0)]
    paths = files(_recording(), _recording(changes=changes, add=0.25))
    assert run("compare", *paths, *tolerance)[0] == code


def test_a_tolerance_is_not_for_spikes(run, files):
    paths = files(_recording(), _recording(changes=[("spikes", "first", 0, 0, 0)]))
    assert run("compare", *paths, "--tolerance", 5)[0] == 1


def test_the_smallest_difference_of_real_numbers(run, files):
    other = _recording()
    other.membrane["first"][1, 2, 0, 0] = np.nextafter(other.membrane["first"][1, 2, 0, 0], 9)
    code, output, _ = run("compare", *files(_recording(), other), "--json")
    assert (code, json.loads(output)["first"]["step"]) == (1, 2)


def test_float_against_fixed(run, files):
    paths = files(_recording(), _recording(real=False))
    code, output, _ = run("compare", *paths)
    assert code == 0
    assert output.splitlines()[-1] == (
        "equal, save for what was not compared: membrane/first, membrane/second"
    )
    assert "real numbers in A, integers in B" in output


def test_events_are_compared_with_outputs(run, files):
    paths = files(_recording(), _recording(real=False), (".csv", ".npz"))
    code, output, _ = run("compare", *paths, "--json")
    assert code == 0
    (part,) = json.loads(output)["parts"]
    assert (part["name"], part["compared"]) == ("outputs/output", 18)
    changes = [("outputs", "output", 1, 2, 1)]
    paths = files(_recording(changes=changes), _recording(), (".csv", ".h5"))
    code, output, _ = run("compare", *paths, "--json")
    first = json.loads(output)["first"]
    assert (code, first["sample"], first["step"], first["neuron"]) == (1, 1, 2, 1)


def test_a_layer_that_one_lacks(run, files):
    other = _recording()
    for part in (other.spikes, other.membrane):
        del part["first"]
    code, output, _ = run("compare", *files(_recording(), other))
    assert code == 1
    assert "only in A" in output
    assert "DIFFERENT, first in spikes/first" in output


def _without(recording, *parts):
    """The same recording, as of a tool that does not tell some parts."""
    names = ("spikes", "membrane", "synapse", "outputs")
    return Recording(*({} if part in parts else getattr(recording, part) for part in names))


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_spikes_without_potentials(run, files, suffix):
    """Of another tool, in both orders: what it does not tell is skipped, what it tells counts."""
    changed = _recording(changes=[("spikes", "first", 1, 2, 3)])
    for other, expected in ((_recording(), 0), (changed, 1)):
        for lacking in (("membrane",), ("membrane", "outputs")):
            theirs = _without(other, *lacking)
            for pair in ((_recording(), theirs), (theirs, _recording()), (theirs, theirs)):
                paths = files(*pair, (suffix, suffix))
                code, output, _ = run("compare", *paths, "--json")
                answer = json.loads(output)
                same = pair[0] is pair[1]
                assert (code, answer["equal"]) == ((0, True) if same else (expected, not expected))
                if not same and expected:
                    first = answer["first"]
                    place = tuple(first[each] for each in ("name", "sample", "step", "neuron"))
                    assert place == ("spikes/first", 1, 2, 3)
                assert {p["name"]: p["different"] for p in answer["parts"]}["spikes/second"] == 0
    text = run("compare", *files(_recording(), _without(_recording(), "membrane")))[1]
    assert "only in A" in text
    assert text.splitlines()[-1] == (
        "equal, save for what was not compared: membrane/first, membrane/second"
    )


def test_spikes_of_another_type(run, files):
    theirs = _without(_recording(), "membrane", "outputs")
    theirs.spikes["first"] = theirs.spikes["first"].astype(np.float32)
    assert run("compare", *files(_recording(), theirs))[0] == 0
    theirs.spikes["first"][1, 1, 0, 0] += 1
    code, output, _ = run("compare", *files(_recording(), theirs), "--json")
    first = json.loads(output)["first"]
    assert (code, first["name"], first["sample"], first["step"]) == (1, "spikes/first", 1, 1)


@pytest.mark.parametrize("part", ["spikes", "synapse"])
def test_a_layer_without_potentials_that_one_lacks(run, files, part):
    a, b = _without(_recording(), "membrane"), _without(_recording(), "membrane")
    getattr(a, part)["third"] = np.zeros((2, 3, 1), np.uint8)
    code, output, _ = run("compare", *files(a, b), "--json")
    answer = json.loads(output)
    assert (code, answer["first"]["name"]) == (1, f"{part}/third")
    assert answer["first"]["skipped"] == "only in A"


def test_the_first_layer_is_the_same_in_every_format(run, files):
    """Layers go in the order of the network, not of the alphabet."""

    def recording(add):
        parts = {
            part: {name: np.full((1, 2, 3), add, kind) for name in ("z", "10", "9")}
            for part, kind in (("spikes", np.uint8), ("membrane", float))
        }
        return Recording(**parts, synapse={}, outputs={"output": parts["spikes"]["9"]})

    for suffixes in ((".npz", ".npz"), (".npz", ".h5"), (".h5", ".npz"), (".h5", ".h5")):
        output = run("compare", *files(recording(0), recording(1), suffixes), "--json")[1]
        answer = json.loads(output)
        assert answer["first"]["name"] == "spikes/z"
        assert [each["name"] for each in answer["parts"]] == [
            *("spikes/z", "membrane/z", "spikes/10", "membrane/10", "spikes/9", "membrane/9"),
            "outputs/output",
        ]


def test_numbers_that_are_none_in_json(run, files):
    other = _recording()
    other.membrane["first"][0, 0, 0, 0] = np.nan
    output = run("compare", *files(_recording(), other), "--json")[1]
    assert json.loads(output, parse_constant=pytest.fail)["first"]["b"] == "nan"
    other.membrane["first"][0, 0, 0, 0] = -np.inf
    assert "and -inf\n" in run("compare", *files(_recording(), other))[1]


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_recordings_without_samples_or_steps(run, files, shape):
    parts = {"outputs": {"o": np.zeros((*shape, 4), np.uint8)}}
    empty = Recording(spikes={}, membrane={}, synapse={}, **parts)
    code, output, complaint = run("compare", *files(empty, empty))
    assert (code, output) == (2, "")
    assert complaint.endswith("a.npz must have samples and steps, but has none\n")


def test_recordings_of_other_lengths(run, files):
    other = _recording()
    short = Recording(
        *(
            {n: v[:1] for n, v in getattr(other, part).items()}
            for part in ("spikes", "membrane", "synapse", "outputs")
        )
    )
    code, output, _ = run("compare", *files(other, short))
    assert code == 1
    assert "shapes (2, 3, 3) and (1, 3, 3)" in output


@pytest.mark.parametrize("tolerance", [-1, "nan", "inf"])
def test_wrong_tolerance(run, files, tolerance):
    code, output, complaint = run(
        "compare", *files(_recording(), _recording()), "--tolerance", tolerance
    )
    assert (code, output) == (2, "")
    assert "--tolerance must be at least 0 and finite" in complaint


def test_a_tolerance_for_integers(run, files):
    paths = files(_recording(real=False), _recording(real=False))
    code, output, complaint = run("compare", *paths, "--tolerance", 1)
    assert (code, output) == (2, "")
    assert "--tolerance must be left out for recordings in integers" in complaint


def test_nothing_in_common(run, files):
    a, b = _recording(), _recording()
    a.outputs["other"] = a.outputs.pop("output")
    code, _, complaint = run("compare", *files(a, b, (".csv", ".csv")))
    assert code == 2
    assert "must have something in common" in complaint


def test_what_is_no_recording(run, tmp_path):
    path = tmp_path / "a.npz"
    path.write_text("nothing")
    for arguments in ((path, path), (tmp_path / "b.npz", path), (tmp_path / "b.txt", path)):
        code, output, complaint = run("compare", *arguments)
        assert (code, output) == (2, "")
        assert complaint.splitlines()[-1].startswith("spikeloom: ")
        assert "Traceback" not in complaint


def test_what_simulate_writes(run, tmp_path, model, data):
    command = ("simulate", model, "--profile", "norse", "--dt", 1, data, "-o")
    for name in ("a.npz", "b.h5", "c.csv"):
        assert run(*command, tmp_path / name)[0] == 0
    assert run("compare", tmp_path / "a.npz", tmp_path / "b.h5")[0] == 0
    assert run("compare", tmp_path / "a.npz", tmp_path / "c.csv")[0] == 0
    run(*command, tmp_path / "d.npz", "--comparison", ">=", "--reset", "subtract")
    assert run("compare", tmp_path / "a.npz", tmp_path / "d.npz")[0] == 1
