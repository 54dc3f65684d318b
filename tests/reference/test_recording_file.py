import contextlib
import os
import subprocess
import sys
import zipfile

import h5py
import nir
import numpy as np
import pytest
from nir.data_ir import EventData, NIRGraphData, NIRNodeData, TimeGriddedData

from spikeloom.reference import recording_file
from spikeloom.reference.nir_data import read_nir_data, write_nir_data
from spikeloom.reference.recording_file import (
    load_recording,
    read_events,
    save_recording,
)
from spikeloom.reference.simulate import Recording


def _recording(*, real=True, most=3):
    rng = np.random.default_rng(4)
    spikes = rng.integers(0, most + 1, (2, 5, 3, 2)).astype(np.uint8 if most < 256 else np.uint16)
    membrane = rng.normal(size=(2, 5, 3, 2))
    current = rng.normal(size=(2, 5, 3, 2))
    if not real:
        membrane, current = (np.rint(1000 * v).astype(np.int32) for v in (membrane, current))
    return Recording(
        spikes={"a.b": spikes},
        membrane={"a.b": membrane, "sum": membrane[..., 0]},
        synapse={"a.b": current},
        outputs={"output": spikes},
        overflows={} if real else {"a.b": 7, "sum": 0},
    )


def _assert_same(seen, expected, *, events=False):
    for part in ("outputs",) if events else ("spikes", "membrane", "synapse", "outputs"):
        a, b = getattr(seen, part), getattr(expected, part)
        assert a.keys() == b.keys()
        for name, values in b.items():
            assert a[name].dtype == values.dtype
            assert np.array_equal(a[name], values)


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("most", [1, 3, 300])
@pytest.mark.parametrize("suffix", [".npz", ".h5", ".csv"])
def test_what_is_saved_is_loaded(tmp_path, suffix, most, real):
    recording = _recording(real=real, most=most)
    path = tmp_path / f"run{suffix}"
    save_recording(recording, path, dt=0.25)
    seen = load_recording(path)
    _assert_same(seen, recording, events=suffix == ".csv")
    if suffix == ".npz":
        assert seen.overflows == recording.overflows
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".csv"])
def test_the_same_recording_gives_the_same_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        save_recording(_recording(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_rows_of_events(tmp_path):
    output = np.zeros((2, 3, 2, 2), dtype=np.uint8)
    output[0, 1, 1, 0] = 5
    output[1, 2, 0, 1] = 1
    path = tmp_path / "run.csv"
    save_recording(Recording({}, {}, {}, {"out 1": output}), path)
    assert path.read_text() == (
        "# output out 1: 2 samples, 3 steps, shape 2x2\n"
        "sample,step,address,count\n"
        "0,1,2,5\n"
        "1,2,1,1\n"
    )


def test_events_of_others(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("sample,step,address,count\n1,2,0,1\n0,0,3,2\n1,2,0,2\n")
    name, raster = read_events(path, (2, 2))
    expected = np.zeros((2, 3, 2, 2), dtype=np.uint8)
    expected[1, 2, 0, 0] = 3
    expected[0, 0, 1, 1] = 2
    assert name == ""
    assert np.array_equal(raster, expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no line 'sample,step,address,count'"),
        ("1,2,3,4\n", "has no line 'sample,step,address,count'"),
        ("sample,step,address,count\n0,0,4,1\n", "4 address numbers, but an event has 4"),
        ("sample,step,address,count\n0,0,-1,1\n", "a number is negative"),
        ("sample,step,address,count\n0,0,0,0\n", "a count is not 1 to 16777216"),
        ("sample,step,address,count\n0,0,0\n", "must be a .csv file of events, but"),
        ("sample,step,address,count\n" + "0,0,0\n" * 4, "a row has 3 numbers"),
        ("sample,step,address,count\n0,0,0,x\n", "must be a .csv file of events, but"),
        ("sample,step,address,count\n0,0,0,0.5\n", "must be a .csv file of events, but"),
        (f"sample,step,address,count\n0,{1 << 40},0,1\n", "would take too much memory"),
        ("# output o: 1 samples, 1 steps, shape 2\nsample,step,address,count\n", "of shape (2,)"),
        (
            "# output o: 1 samples, 1 steps, shape 4\nsample,step,address,count\n0,1,0,1\n",
            "1 step numbers, but an event has 1",
        ),
        ("\xff", "must be a .csv file of events, but"),
    ],
)
def test_wrong_events(tmp_path, text, message):
    path = tmp_path / "events.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"must be a \.csv file of events") as caught:
        read_events(path, (4,))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_output_that_is_no_event(tmp_path):
    two = Recording({}, {}, {}, {name: np.zeros((1, 1, 1), np.uint8) for name in "ab"})
    real = Recording({}, {}, {}, {"a": np.zeros((1, 1, 1))})
    for recording, message in ((two, "must be of one output"), (real, "must be of spikes")):
        with pytest.raises(ValueError, match=message):
            save_recording(recording, tmp_path / "run.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("function", [load_recording, lambda path: save_recording(None, path)])
def test_wrong_suffix(tmp_path, function):
    with pytest.raises(ValueError, match=r"must end with \.npz, \.h5 or \.csv"):
        function(tmp_path / "run.txt")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch, error):
    path = tmp_path / "run.npz"
    path.write_text("earlier")

    def fail(file, **arrays):
        file.write(b"half")
        raise error

    monkeypatch.setattr(recording_file.np, "savez_compressed", fail)
    with pytest.raises(type(error)):
        save_recording(_recording(), path)
    assert [each.name for each in tmp_path.iterdir()] == ["run.npz"]
    assert path.read_text() == "earlier"


# A file of at most so many bytes, as on a disk that is almost full.
_ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from spikeloom.reference.recording_file import save_recording
from spikeloom.reference.simulate import Recording

potentials = {"a": np.random.default_rng(1).normal(size=(4, 50, 100))}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, 1 << 14))
try:
    save_recording(Recording({}, potentials, {}, potentials), Path(sys.argv[1]))
except OSError as error:
    print("refused:", error.strerror)
"""


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, suffix):
    """In a process of its own, which HDF5 might end."""
    path = tmp_path / f"run{suffix}"
    path.write_text("earlier")
    answer = subprocess.run(
        [sys.executable, "-c", _ON_A_FULL_DISK, path], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout) == (0, "refused: File too large\n"), answer.stderr
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "earlier"


def test_an_interrupt_while_nir_data_are_written():
    class Interrupted:
        def write(self, data):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_nir_data({"n": {"spikes": np.ones((1, 2, 3), np.uint8)}}, Interrupted(), dt=1.0)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_layers_keep_their_order(tmp_path, suffix):
    """Neither that of the alphabet nor spiking layers first."""
    zeros = np.zeros((1, 2, 3))
    spikes = {name: zeros.astype(np.uint8) for name in ("z", "10", "9")}
    membrane = {name: zeros for name in ("z", "sum", "10", "9", "a")}
    outputs = {name: zeros for name in ("y", "x")}
    path = tmp_path / f"run{suffix}"
    save_recording(Recording(spikes, membrane, {"10": zeros}, outputs), path)
    seen = load_recording(path)
    assert [list(each) for each in (seen.spikes, seen.membrane, seen.outputs)] == [
        ["z", "10", "9"],
        ["z", "sum", "10", "9", "a"],
        ["y", "x"],
    ]


def test_nir_reads_what_is_written(tmp_path):
    """The file as nir's own dataclasses, and back through their events."""
    spikes = (np.random.default_rng(5).random((2, 6, 2, 3)) < 0.4).astype(np.uint8)
    membrane = np.random.default_rng(6).normal(size=(2, 6, 2, 3))
    path = tmp_path / "run.h5"
    write_nir_data({"lif": {"spikes": spikes, "membrane": membrane}}, path, dt=0.5)
    with h5py.File(path) as file:
        nodes = {
            name: NIRNodeData(
                {
                    each: TimeGriddedData(group["data"][()], float(group["dt"][()]))
                    for each, group in node["observables"].items()
                }
            )
            for name, node in file["nodes"].items()
        }
    data = NIRGraphData(nodes).nodes["lif"].observables
    assert data["spikes"].data.dtype == bool
    assert data["spikes"].shape == (2, 6, 6)
    assert np.array_equal(data["spikes"].data, spikes.reshape(2, 6, 6))
    assert data["spikes"].dt == 0.5
    assert np.array_equal(data["membrane"].data, membrane.reshape(2, 6, 6))

    events = data["spikes"].to_event(50, time_shift=0.25)
    assert isinstance(events, EventData)
    other = tmp_path / "events.h5"
    with h5py.File(other, "w") as file:
        group = file.create_group("nodes/lif/observables/spikes")
        for name in ("idx", "time", "n_neurons", "t_max"):
            group[name] = getattr(events, name)
    seen = read_nir_data(other, dt=0.5)["lif"]["spikes"]
    assert np.array_equal(seen, events.to_time_gridded(0.5).data)
    assert np.array_equal(seen, spikes.reshape(2, 6, 6))


def test_a_graph_of_nir_accepts_the_nodes(tmp_path):
    graph = nir.NIRGraph(
        nodes={"input": nir.Input(np.array([3])), "output": nir.Output(np.array([3]))},
        edges=[("input", "output")],
    )
    path = tmp_path / "run.h5"
    write_nir_data({"input": {"spikes": np.ones((1, 2, 3), np.uint8)}}, path, dt=1.0)
    with h5py.File(path) as file:
        group = file["nodes/input/observables/spikes"]
        node = NIRNodeData({"spikes": TimeGriddedData(group["data"][()], group["dt"][()])})
    NIRGraphData({"input": node}).check_nodes(graph)


def test_events_that_come_twice_count_twice(tmp_path):
    path = tmp_path / "events.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("nodes/in/observables/spikes")
        group["idx"] = np.array([[1, 1, 0, -1]])
        # Three steps of 0.1 are a little more than 0.3 in floating point.
        group["time"] = np.array([[0.1, 0.1, 0.3, np.inf]])
        group["n_neurons"], group["t_max"] = 2, 0.4
    assert read_nir_data(path, dt=0.1)["in"]["spikes"].tolist() == [
        [[0, 0], [0, 2], [0, 0], [1, 0]]
    ]
    with pytest.raises(ValueError, match="which no step length was given for"):
        read_nir_data(path)


def _h5(change):
    def write(path):
        write_nir_data({"n": {"spikes": np.ones((1, 2, 3), np.uint8)}}, path, dt=1.0)
        with h5py.File(path, "a") as file:
            change(file)

    return write


def _replace(name, value):
    def change(file):
        group = file["nodes/n/observables/spikes"]
        del group[name]
        if value is not None:
            group[name] = value

    return change


def _shape(file):
    file["nodes/n/observables/spikes"].attrs["shape"] = [2, 2]


def _huge(file):
    del file["nodes/n/observables/spikes/data"]
    file["nodes/n/observables/spikes"].create_dataset(
        "data", (1 << 20, 1 << 20, 8), chunks=(1, 1 << 10, 8), dtype="u1"
    )


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"\x89HDF nothing"), "it is damaged or none"),
        (lambda path: None, "it is damaged or none"),
        (_h5(lambda file: file.pop("nodes")), "'/nodes' is missing or a link"),
        (_h5(_replace("dt", None)), "has neither data and dt nor the four of events"),
        (_h5(_replace("data", np.ones((2, 3)))), "is not of numbers in 3 dimensions"),
        (_h5(_replace("data", [[["a"]]])), "is not of numbers in 3 dimensions"),
        (_h5(_replace("data", h5py.SoftLink("/nodes"))), "is missing or a link"),
        (_h5(_replace("data", h5py.ExternalLink("/etc/passwd", "/"))), "is missing or a link"),
        (_h5(_shape), "has 3 neurons, but says shape"),
        (_h5(_huge), "take more than 4 GiB"),
    ],
)
def test_wrong_nir_data(tmp_path, write, message):
    path = tmp_path / "run.h5"
    write(path)
    with pytest.raises(ValueError, match="must be an HDF5 file of NIR data") as caught:
        load_recording(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def _npz(**arrays):
    return lambda path: np.savez(path, **arrays)


def _bomb(path):
    header = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("outputs/o.npy", header + text.ljust(117).encode() + b"\n")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"PK\x03\x04"), "must be a .npz file of numbers, but"),
        (lambda path: None, "No such file or directory"),
        (lambda path: os.mkdir(path), "Is a directory"),
        (_bomb, "take more than 4 GiB"),
        (_npz(**{"outputs/o": np.array([None])}), "it holds object"),
        (_npz(**{"outputs/o": np.array(["a"])}), "it holds <U1"),
        (_npz(x=np.zeros((1, 1, 1))), "must be a recording, but holds 'x'"),
        (_npz(**{"outputs/": np.zeros((1, 1, 1))}), "must be a recording, but holds 'outputs/'"),
        (_npz(**{"outputs/o": np.zeros((1, 1))}), "outputs/o is not of numbers of shape"),
        (_npz(**{"overflows/o": 3}), "has neither layers nor outputs"),
        (
            _npz(**{"outputs/o": np.zeros((1, 2, 1)), "outputs/p": np.zeros((1, 1, 1))}),
            "must be of one number of samples and steps",
        ),
        (
            _npz(**{"outputs/o": np.zeros((1, 2, 1)), "overflows/p": np.zeros(2)}),
            "its overflows are no numbers",
        ),
    ],
)
def test_wrong_archives(tmp_path, write, message):
    path = tmp_path / "run.npz"
    write(path)
    with pytest.raises(ValueError, match=r"run\.npz must be") as caught:
        load_recording(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_byte_is_a_sentence(tmp_path):
    """Whichever byte of a file is wrong, it is read or refused."""
    rng = np.random.default_rng(7)
    for suffix in (".npz", ".h5"):
        path = tmp_path / f"run{suffix}"
        save_recording(_recording(), path)
        whole = path.read_bytes()
        for place in rng.integers(0, len(whole), 150):
            damaged = bytearray(whole)
            damaged[place] ^= int(rng.integers(1, 256))
            path.write_bytes(damaged)
            with contextlib.suppress(ValueError):
                load_recording(path)
