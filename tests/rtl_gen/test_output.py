import pytest

from spikeloom.rtl_gen.output import MARKER, check_output, whole_folder


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_with_its_marker(tmp_path):
    with whole_folder(tmp_path / "deep" / "out") as part:
        (part / "file").write_text("x")
        assert not (tmp_path / "deep" / "out").exists()
    assert _names(tmp_path / "deep") == ["out"]
    assert _names(tmp_path / "deep" / "out") == [MARKER, "file"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_exception_leaves_the_earlier_folder(tmp_path, error):
    with whole_folder(tmp_path / "out") as part:
        (part / "old").touch()

    def fail() -> None:
        with whole_folder(tmp_path / "out") as part:
            (part / "new").touch()
            raise error

    with pytest.raises(error):
        fail()
    assert _names(tmp_path) == ["out"]
    assert _names(tmp_path / "out") == [MARKER, "old"]


def test_a_new_folder_replaces_all_of_the_earlier(tmp_path):
    for name in ("old", "new"):
        with whole_folder(tmp_path / "out") as part:
            (part / name).touch()
    assert _names(tmp_path) == ["out"]
    assert _names(tmp_path / "out") == [MARKER, "new"]


def test_an_empty_folder_may_be_used(tmp_path):
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out"):
        pass
    assert _names(tmp_path / "out") == [MARKER]


def test_what_is_not_ours_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "file", tmp_path / "link"):
        with pytest.raises(ValueError, match="exists and was not written by spikeloom"):
            check_output(path)
        with pytest.raises(ValueError, match="exists and was not written by spikeloom"):
            with whole_folder(path):
                pytest.fail("the block must not be entered")
    assert _names(tmp_path) == ["file", "link"]
