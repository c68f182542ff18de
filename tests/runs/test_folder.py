"""A run's folder: one process at a time, and files that are not a run's, or not whole."""

import json
import os

import pytest
from helpers import assert_same_run, contents

from mlp_tf import UserError
from mlp_tf.runs.folder import open_run


def test_a_second_process_is_kept_out(tmp_path):
    with open_run(tmp_path / "run"):
        with pytest.raises(UserError, match="another process is using this folder"), open_run(tmp_path / "run"):
            pass
        assert (tmp_path / "run").exists()
    assert not (tmp_path / "run").exists()  # made here, and left empty


@pytest.mark.parametrize("garbage", ["", "{", "[]", "\0\1", "{}", '{"format": 1}', '{"settings": {"hidden": 3}}'])
def test_a_garbage_config_is_refused(train, small, finished, garbage):
    (finished / "config.json").write_text(garbage)
    before = contents(finished)
    outcome = train(*small())
    assert outcome.code == 1
    assert "config.json" in outcome.error
    assert contents(finished) == before


@pytest.mark.parametrize("file", ["config.json", "manifest.json"])
def test_a_newer_format_is_refused(train, small, finished, file):
    for path in finished.rglob(file):
        path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    before = contents(finished)
    outcome = train(*small(epochs=5))
    assert outcome.code == 1
    assert "format 2, but this version reads 1; update mlp_tf" in outcome.error
    assert contents(finished) == before


def test_a_folder_with_other_things_in_it_is_refused(train, small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("mine")
    outcome = train(*small())
    assert outcome.code == 1
    assert "holds files but no config.json" in outcome.error
    assert os.listdir(tmp_path / "run") == ["thesis.tex"]


@pytest.mark.parametrize(("file", "gone"), [("config.json", "data"), ("results.json", "epochs")])
def test_a_file_without_its_keys_is_named_with_them(train, small, finished, file, gone):
    content = json.loads((finished / file).read_text())
    del content[gone]
    (finished / file).write_text(json.dumps(content))
    outcome = train(*small())
    assert outcome.code == 1
    assert f"{file}: not a file of a run (it lacks {gone})" in outcome.error


@pytest.mark.parametrize("torn", ["", '{"epoch": 2, "co', "garbage\n", '{"epoch": 2}\n{"epoch": 3}\n{"epo'])
def test_metrics_are_mended_from_the_checkpoint_at_resume(live, config, stopped, whole, torn):
    with open(stopped / "metrics.jsonl", "a") as file:
        file.write(torn)
    live(config, stopped)
    assert_same_run(stopped, whole)
