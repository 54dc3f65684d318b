import json
from pathlib import Path

import pytest

from spikeloom.rtl_gen.output import MARKER, check_output, mark, whole_folder, write_whole


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_with_its_marker(tmp_path):
    with whole_folder(tmp_path / "deep" / "out", "test") as part:
        (part / "file").write_text("x")
        assert not (tmp_path / "deep" / "out").exists()
    assert _names(tmp_path / "deep") == ["out"]
    assert _names(tmp_path / "deep" / "out") == [MARKER, "file"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_exception_leaves_the_earlier_folder(tmp_path, error):
    with whole_folder(tmp_path / "out", "test") as part:
        (part / "old").touch()

    def fail() -> None:
        with whole_folder(tmp_path / "out", "test") as part:
            (part / "new").touch()
            raise error

    with pytest.raises(error):
        fail()
    assert _names(tmp_path) == ["out"]
    assert _names(tmp_path / "out") == [MARKER, "old"]


def test_a_new_folder_replaces_all_of_the_earlier(tmp_path):
    for name in ("old", "new"):
        with whole_folder(tmp_path / "out", "test") as part:
            (part / name).touch()
    assert _names(tmp_path) == ["out"]
    assert _names(tmp_path / "out") == [MARKER, "new"]


def test_an_empty_folder_may_be_used(tmp_path):
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out", "test"):
        pass
    assert _names(tmp_path / "out") == [MARKER]


def test_what_is_not_ours_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "file", tmp_path / "link"):
        with pytest.raises(ValueError, match="exists and was not written by spikeloom"):
            check_output(path)
        with pytest.raises(ValueError, match="exists and was not written by spikeloom"):
            with whole_folder(path, "test"):
                pytest.fail("the block must not be entered")
    assert _names(tmp_path) == ["file", "link"]


@pytest.fixture
def ours(tmp_path):
    """A folder of ours, with what `spikeloom verify` leaves there."""
    path = tmp_path / "ours"
    with whole_folder(path, "test") as part:
        (part / "sub").mkdir()
        (part / "sub" / "file").write_text("x")
    for name in ("sim/log.txt", "results.xml", "__pycache__/a.pyc", "sub/__pycache__/a.pyc"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("left behind")
    return path


def _refused(path, message, **options):
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match=message):
        with whole_folder(path, "test", **options):
            pytest.fail("the block must not be entered")
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    assert _names(path.parent) == [path.name]


def test_what_verify_leaves_does_not_count(ours):
    check_output(ours, "test")
    with whole_folder(ours, "test"):
        pass
    assert _names(ours) == [MARKER]


@pytest.mark.parametrize("name", ["mine.v", "sub/mine", "sub/sim"])
def test_an_added_file_is_kept(ours, name):
    (ours / name).write_text("mine")
    _refused(ours, f"^{name} was added to .*ours after spikeloom wrote it; choose another folder")


def test_an_added_link_is_kept(ours):
    (ours / "link").symlink_to(ours.parent)
    with pytest.raises(ValueError, match=r"^link was added to"):
        check_output(ours)


def test_a_changed_file_is_kept(ours):
    (ours / "sub" / "file").write_text("y")
    _refused(ours, "^sub/file was changed in .*ours after spikeloom wrote it; choose another")


def test_a_removed_file_is_no_work(ours):
    (ours / "sub" / "file").unlink()
    check_output(ours, "test")


def test_work_that_is_added_meanwhile_is_kept(ours):
    def add() -> None:
        with whole_folder(ours, "test"):
            (ours / "mine").touch()

    with pytest.raises(ValueError, match=r"^mine was added to"):
        add()
    assert (ours / "mine").is_file()
    assert _names(ours.parent) == ["ours"]


def test_what_is_not_editable_is_replaced_though_changed(tmp_path):
    for text in ("old", "new"):
        with whole_folder(tmp_path / "out", "test", editable=False) as part:
            (part / "file").write_text(text)
        (tmp_path / "out" / "file").write_text("damaged")
    (tmp_path / "out" / "mine").touch()
    _refused(tmp_path / "out", "^mine was added to", editable=False)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kind": "demo"}', '{"files": {}}'])
def test_the_folder_of_another_command_is_kept(tmp_path, text):
    out = tmp_path / "out"
    out.mkdir()
    (out / MARKER).write_text(text)
    _refused(out, "^.*out was written by another command than `spikeloom test`; choose another")


def test_a_marked_folder_may_be_filled(tmp_path):
    mark(tmp_path, "demo")
    (tmp_path / "file").touch()
    check_output(tmp_path, "demo")
    check_output(tmp_path)
    assert json.loads((tmp_path / MARKER).read_text()) == {"kind": "demo"}


@pytest.mark.parametrize(("moment", "left"), [(0, "file"), (1, "file"), (2, "new")])
def test_an_interrupt_while_folders_are_exchanged(tmp_path, monkeypatch, moment, left):
    """Before the earlier one is put aside, before and after the new one takes its place."""
    out = tmp_path / "out"
    with whole_folder(out, "test") as part:
        (part / "file").touch()
    rename = Path.rename
    done = []

    def interrupted(path, target):
        done.append(target)
        if moment == 0:
            raise KeyboardInterrupt
        rename(path, target)
        if len(done) == moment:
            raise KeyboardInterrupt

    def exchange() -> None:
        with whole_folder(out, "test") as part:
            (part / "new").touch()

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        exchange()
    assert _names(tmp_path) == ["out"]
    assert _names(out) == [MARKER, left]


def test_a_file_appears_whole(tmp_path):
    for text in ("old\n", "new µ\n"):
        write_whole(tmp_path / "file", text)
        assert (tmp_path / "file").read_bytes() == text.encode()
    assert _names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_the_earlier_file(tmp_path, monkeypatch, error):
    write_whole(tmp_path / "file", "old")

    def fail(*_):
        raise error

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(type(error)):
        write_whole(tmp_path / "file", "new")
    assert _names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"
