"""A run starts in an empty folder, or goes on where it was."""

import importlib
import json
import os
import shutil
from types import SimpleNamespace

import pytest
from helpers import assert_same_run, saved

from mlp_tf import UserError
from mlp_tf.data.tfds import Unavailable
from mlp_tf.runs import start


@pytest.mark.usefixtures("sample_read_once")
def test_auto_stays_what_it_stood_for_when_the_run_began(train, small, tmp_path, monkeypatch):
    def unavailable(*arguments):
        raise Unavailable("no network")

    flags = small(dataset="auto", batch_size=100, epochs=1)
    # By its full name, as the package's attribute is the function of that name.
    monkeypatch.setattr(importlib.import_module("mlp_tf.data.sources"), "prepared", unavailable)
    assert "NOT COMPARABLE" in train(*flags).err
    monkeypatch.undo()
    outcome = train(*small(dataset="auto", batch_size=100, epochs=2))
    assert outcome.code == 0
    assert "Dataset: mnist_sample" in outcome.out
    assert "NOT COMPARABLE" in outcome.err
    again = train(*small(dataset="auto", batch_size=100, epochs=2))
    assert "Dataset: mnist_sample" in again.out
    assert "NOT COMPARABLE" in again.err
    assert "NOT COMPARABLE" in json.loads((tmp_path / "run/config.json").read_text())["warning"]


def test_a_first_save_that_was_killed_starts_the_run_again(live, config, tmp_path, whole):
    live(config, tmp_path / "run", step=1)
    checkpoints = tmp_path / "run/checkpoints"
    first, last = saved(tmp_path / "run")
    (checkpoints / first).rename(checkpoints / ".mlp_tf-saving")
    (checkpoints / ".mlp_tf-saving/manifest.json").unlink()
    shutil.rmtree(checkpoints / last)
    (tmp_path / "run/metrics.jsonl").unlink()
    assert os.listdir(checkpoints) == [".mlp_tf-saving"]
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)
    assert not (checkpoints / ".mlp_tf-saving").exists()


def test_a_worker_writes_no_file_that_a_save_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # What a chief could send, had it not looked at its manifest itself.
    cluster = SimpleNamespace(
        workers=2,
        broadcast_json=lambda content: {"state.index": 3, "../x": 3},
        broadcast=lambda array: array,
    )
    with pytest.raises(UserError, match=r"'../x' is not the name of a file"), start._files_of_chief(None, cluster):
        pass
    assert os.listdir(tmp_path) == []
