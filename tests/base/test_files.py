"""Files of a run: of any path, never through a link, and written at once or not at all."""

import json
import os
import pathlib
import string
import tempfile

import pytest
import tensorflow as tf

from mlp_tf import UserError
from mlp_tf.base import files
from mlp_tf.base.files import UNFINISHED

NAMES = [f"a{each}b" for each in string.printable if each not in "/"]
NAMES += ["a[1]b", "{1,2}", "~", " ", " x ", "é", "😀", os.fsdecode(b"\xff"), "%2f", "gs:", "-rf"]


def test_tensorflow_saves_and_reads_in_a_folder_of_any_name(tmp_path):
    for i, name in enumerate(NAMES):
        folder = tmp_path / name
        folder.mkdir()
        with files.plain_path(folder) as plain:
            tf.train.Checkpoint(v=tf.Variable(float(i))).write(str(plain / "state"))
        assert sorted(os.listdir(folder)) == ["state.data-00000-of-00001", "state.index"]
        read = tf.Variable(-1.0)
        with files.plain_path(folder) as plain:
            tf.train.Checkpoint(v=read).read(str(plain / "state")).assert_consumed()
            assert tf.train.load_checkpoint(str(plain / "state")).get_tensor("v/.ATTRIBUTES/VARIABLE_VALUE") == i
        assert read.numpy() == i, name
    assert sorted(os.listdir(tmp_path)) == sorted(set(NAMES))


def test_a_temporary_folder_of_an_odd_name_is_not_used(tmp_path, monkeypatch):
    odd = tmp_path / "t[m]p"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    with files.plain_path(odd) as plain:
        assert plain.samefile(odd)
        assert "[" not in str(plain)
    assert not plain.exists()


@pytest.fixture
def victim(tmp_path):
    """A folder outside, with a file in it, which nothing may touch."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "file").write_text("mine")
    yield folder
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"file": "mine"}


def test_a_link_named_as_our_leftover_is_replaced_not_followed(tmp_path, victim):
    (tmp_path / f"{UNFINISHED}x.json").symlink_to(victim / "file")
    files.write(tmp_path / "x.json", "new")
    assert (tmp_path / "x.json").read_text() == "new"
    assert not (tmp_path / "x.json").is_symlink()


@pytest.mark.parametrize("name", ["removing", "saving"])
def test_links_named_as_our_leftovers_are_removed_alone(tmp_path, victim, name):
    folder = tmp_path / "run"
    (folder / "old").mkdir(parents=True)
    (folder / f"{UNFINISHED}{name}").symlink_to(victim)
    files.remove(folder / "old")
    files.remove_unfinished(folder)
    assert os.listdir(folder) == []


def test_a_file_that_is_a_link_is_neither_read_nor_appended_to(tmp_path, victim):
    (tmp_path / "x.json").symlink_to(victim / "file")
    with pytest.raises(OSError, match="is a symbolic link"):
        files.read_text(tmp_path / "x.json")
    with pytest.raises(UserError, match="cannot be written"):
        files.append(tmp_path / "x.json", "more")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, message in ((tmp_path / "fifo", "is not a regular file"), (tmp_path, "Is a directory")):
        with pytest.raises(OSError, match=message):
            files.fingerprint(path)


@pytest.mark.parametrize("size", [2**25 + 1, 10 * 2**30])
def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path, size):
    with open(tmp_path / "x.json", "wb") as file:
        file.truncate(size)  # which takes no room on the disk
    with pytest.raises(ValueError, match=f"{size:,} bytes, but may have 33,554,432"):
        files.read_text(tmp_path / "x.json")


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", "[1e999]", '{"format": 1}' + "\0", "1" * 5000, '"\\ud800'])
def test_json_that_is_no_object_of_its_form_is_a_value_error(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError):  # noqa: PT011  (each in its own words)
        files.read_json(tmp_path / "x.json")


def test_a_text_that_is_no_utf_8_can_be_written(tmp_path):
    files.write(tmp_path / "x.csv", json.loads('"\\udcff"'))
    assert (tmp_path / "x.csv").read_text() == "\\udcff"


def test_what_a_library_leaves_in_the_temporary_folder_is_removed():
    before = tempfile.gettempdir()
    with files.temporary_files_removed():
        left = pathlib.Path(tempfile.mkdtemp())
        (left / "a").write_text("x")
        assert left.parent != pathlib.Path(before)
    assert not left.exists()
    assert tempfile.gettempdir() == before


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_after(tmp_path, monkeypatch):
    path, flushed, fsync = tmp_path / "a.json", [], os.fsync

    def record(descriptor):
        flushed.append((os.fstat(descriptor).st_ino, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    files.write(path, "text")
    assert flushed == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_a_signal_handler_removes_unfinished_files_and_folders(tmp_path, monkeypatch):
    with files.temporary_folder(tmp_path) as folder, files.replaced(tmp_path / "a") as file:
        file.write(b"half")
        (folder / "b").write_text("x")
        monkeypatch.setattr(pathlib.Path, "unlink", lambda path, missing_ok: os.unlink(tmp_path / "nosuch"))
        files.remove_temporary()  # what cannot be removed is left
        assert [path.name for path in tmp_path.iterdir()] == [".mlp_tf-a"]
        monkeypatch.undo()
        files.remove_temporary()
        assert list(tmp_path.iterdir()) == []
        (tmp_path / ".mlp_tf-a").write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"
