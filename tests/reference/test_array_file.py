import zipfile

import numpy as np
import pytest

from spikeloom.reference.array_file import read_array, read_arrays


@pytest.mark.parametrize(("function", "name"), [(read_array, "x.npy"), (read_arrays, "x.npz")])
def test_nothing_is_unpickled(tmp_path, function, name):
    path = tmp_path / name
    (np.save if name == "x.npy" else np.savez)(path, np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="but it holds object"):
        function(path)


def test_an_array(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3))
    assert read_array(tmp_path / "x.npy").tolist() == [[0, 1, 2], [3, 4, 5]]


def test_some_of_several(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(3), b=np.array(["text"]), c=np.ones(2, bool))
    seen = read_arrays(tmp_path / "x.npz", {"a", "c", "d"})
    assert {name: values.tolist() for name, values in seen.items()} == {
        "a": [0, 1, 2],
        "c": [True, True],
    }


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_versions_of_the_format(tmp_path, version):
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array(file, np.arange(4), version=version)
    assert read_array(tmp_path / "x.npy").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be a .npy file of numbers, but"),
        (b"\x93NUMPY\x09\x00", "it is of an unknown version"),
        (b"\x93NUMPY\x01\x00\x04\x00nope", "must be a .npy file of numbers, but"),
    ],
)
def test_wrong_files(tmp_path, content, message):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="must be a") as caught:
        read_array(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(ValueError, match=r"must be a \.npz file of numbers"):
        read_arrays(tmp_path / "x.npz")
