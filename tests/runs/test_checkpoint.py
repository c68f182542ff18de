"""Checkpoints are whole or absent: damage, saves and removals that were killed, names, variables."""

import hashlib
import os
import re
import shutil

import numpy as np
import pytest
from helpers import assert_same_run, contents, newest, saved, slow, steps, tensors

from mlp_tf import evaluate
from mlp_tf.runs import checkpoint

FILES = ["manifest.json", "state.index", "state.data-00000-of-00001"]


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(content[: len(content) * how // 100])


def unfinished(folder, *keep):
    """What a save killed before its rename leaves: the folder under its temporary name, with some of its files."""
    temporary = folder / "checkpoints/.mlp_tf-saving"
    shutil.copytree(newest(folder), temporary)
    for path in temporary.iterdir():
        if path.name not in keep:
            path.unlink()
    return temporary


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", [0, slow(50), "flipped", slow("missing")])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(live, config, stopped_run, whole_run, file, how):
    damage(newest(stopped_run) / file, how)
    [warning] = live(config, stopped_run)
    assert "step-0000000030.004 is damaged" in warning
    assert_same_run(stopped_run, whole_run)


def test_a_damaged_checkpoint_is_warned_of_once_and_kept_aside(live, config, stopped_run, whole_run):
    damage(newest(stopped_run) / "state.index", 50)
    assert len(live(config, stopped_run, step=25)) == 1
    assert (stopped_run / "checkpoints/damaged-step-0000000030.004").is_dir()
    assert live(config, stopped_run) == []
    assert_same_run(stopped_run, whole_run)


@pytest.mark.parametrize("how", [0, slow(50), "flipped", slow("missing")])
def test_with_no_whole_checkpoint_left_a_run_is_never_begun_anew(refused, small, finished_run, how):
    for name in saved(finished_run):
        damage(finished_run / "checkpoints" / name / "state.data-00000-of-00001", how)
    error = refused(finished_run, *small(epochs=5))
    assert "no complete checkpoint is left" in error


def test_checkpoints_that_vanished_are_not_taken_for_a_new_run(train, small, finished_run):
    shutil.rmtree(finished_run / "checkpoints")
    assert "no complete checkpoint is left" in train(*small(epochs=5)).error


def test_a_copy_of_the_json_files_alone_is_not_taken_for_a_new_run(train, small, finished_run):
    """As after cp RUN/*.json."""
    shutil.rmtree(finished_run / "checkpoints")
    (finished_run / "metrics.jsonl").unlink()
    before = contents(finished_run)
    assert "no complete checkpoint is left" in train(*small(epochs=5)).error
    assert contents(finished_run) == before


@pytest.mark.parametrize("keep", [[], FILES[2:], FILES[1:], FILES], ids=["empty", "data", "variables", "all"])
def test_a_save_killed_before_its_rename_leaves_nothing_that_counts(live, config, stopped_run, whole_run, keep):
    unfinished(stopped_run, *keep)
    shutil.rmtree(newest(stopped_run))
    assert live(config, stopped_run) == []
    assert_same_run(stopped_run, whole_run)
    assert not [name for name in os.listdir(stopped_run / "checkpoints") if name.startswith(".")]


def test_a_save_killed_with_a_torn_manifest_leaves_nothing_that_counts(live, config, stopped_run, whole_run):
    damage(unfinished(stopped_run, *FILES) / "manifest.json", 50)
    assert live(config, stopped_run) == []
    assert_same_run(stopped_run, whole_run)


def test_a_removal_that_was_killed_is_finished(live, config, stopped_run, whole_run):
    oldest = stopped_run / "checkpoints" / saved(stopped_run)[0]
    (oldest / "state.index").unlink()
    oldest.rename(stopped_run / "checkpoints/.mlp_tf-removing")
    live(config, stopped_run)
    assert_same_run(stopped_run, whole_run)
    assert not (stopped_run / "checkpoints/.mlp_tf-removing").exists()


def test_only_this_packages_own_leftovers_are_removed(live, config, stopped_run):
    for name in (".hidden", "notes.txt", "checkpoints/.mine", "checkpoints/step-1-copy"):
        (stopped_run / name).write_text("mine")
    live(config, stopped_run)
    for name in (".hidden", "notes.txt", "checkpoints/.mine", "checkpoints/step-1-copy"):
        assert (stopped_run / name).read_text() == "mine"


def test_the_last_three_checkpoints_are_kept(live, config, tmp_path):
    for step in (5, 9, 14, 33):
        live(config, tmp_path / "run", step=step)
    assert steps(tmp_path / "run") == [9, 14, 33]


def test_a_checkpoint_is_on_the_disk_before_its_name_is(live, config, tmp_path, monkeypatch):
    flushed, fsync = [], os.fsync

    def record(descriptor):
        flushed.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    live(config, tmp_path / "run", step=5)
    folder = newest(tmp_path / "run")
    *before, last = [i for i, number in enumerate(flushed) if number == folder.parent.stat().st_ino]
    assert len(before) == 1  # of the checkpoint of step 0
    assert {path.stat().st_ino for path in (folder, *folder.iterdir())} <= set(flushed[before[0] : last])


def test_a_name_tells_the_step_and_counts_the_saves_of_the_run(stopped_run):
    names = ["step-0000000010.002", "step-0000000021.003", "step-0000000030.004"]
    assert sorted(os.listdir(stopped_run / "checkpoints")) == names


def test_a_step_saved_twice_is_never_without_a_checkpoint(live, config, whole_run, tmp_path):
    live(config, tmp_path / "run", step=20)  # stopped in the evaluation: step 20, no row yet
    first = contents(tmp_path / "run/checkpoints")
    live(config, tmp_path / "run", rows=1)  # stopped after it: step 20 again, with the row
    assert saved(tmp_path / "run") == ["step-0000000000.001", "step-0000000020.002", "step-0000000020.003"]
    now = contents(tmp_path / "run/checkpoints")
    assert {name: now[name] for name in first} == first
    shutil.rmtree(tmp_path / "run/checkpoints/step-0000000020.003")  # killed before the second one's rename
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole_run)


def test_a_state_that_is_saved_already_is_not_saved_again(live, config, tmp_path):
    live(config, tmp_path / "run", step=20)
    before = contents(tmp_path / "run/checkpoints")
    live(config, tmp_path / "run", step=20)
    assert contents(tmp_path / "run/checkpoints") == before


def test_other_shapes_name_the_variable_and_both_shapes(train, refused, small, finished_run, tmp_path, change_manifest):
    train(*small(hidden="9,4", workdir=tmp_path / "other"))
    shutil.rmtree(finished_run / "checkpoints")
    shutil.copytree(tmp_path / "other/checkpoints", finished_run / "checkpoints")
    change_manifest(newest(finished_run), lambda manifest: manifest["identity"].update(hidden=[8, 4]))
    error = refused(tmp_path, *small(epochs=5))
    assert "weights/h1:0 has shape [64, 9] there, [64, 8] in this run" in error


def test_the_parameters_of_the_last_and_of_the_best_epoch_are_read(stopped_run):
    found, written = checkpoint.verify(newest(stopped_run)), tensors(stopped_run)
    for best, prefix in ((False, ""), (True, "best/")):
        weights, biases = checkpoint.read_parameters(found, best)
        assert (sorted(weights), sorted(biases)) == (["h1", "h2", "out"], ["b1", "b2", "out"])
        read = {f"weights/{name}": value for name, value in weights.items()}
        read |= {f"biases/{name}": value for name, value in biases.items()}
        for name, value in read.items():
            np.testing.assert_array_equal(value, written[f"{prefix}{name}/.ATTRIBUTES/VARIABLE_VALUE"])
    assert not np.array_equal(written["weights/h1/.ATTRIBUTES/VARIABLE_VALUE"], weights["h1"])  # 30 is past the best


def test_a_name_that_tells_another_step_than_the_manifest_is_damage(stopped_run):
    renamed = newest(stopped_run).rename(stopped_run / "checkpoints/step-0000000031.004")
    with pytest.raises(checkpoint.Damaged, match=re.escape("its manifest is of step 30")):
        checkpoint.verify(renamed)


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "state.index/../../x", "manifest.json", "state.data-1-of-1", ""])
def test_a_manifest_names_no_other_files_than_a_save_writes(stopped_run, change_manifest, tmp_path, name):
    (tmp_path / "x").write_text("mine")
    change_manifest(newest(stopped_run), lambda manifest: manifest["files"].update({name: {"bytes": 4, "sha256": ""}}))
    with pytest.raises(checkpoint.Damaged, match="is not the name of a file of the variables"):
        checkpoint.verify(newest(stopped_run))


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["progress", "step"], 21, "contradicts itself"),
        (["progress", "step"], 2**60, "Expected `int` <= 9007199254740992 - at `$.progress.step`"),
        (["progress", "steps"], 0, "contradicts itself"),
        (["progress", "epoch"], 2, "contradicts itself"),
        (["progress", "total"], 10**400, "Number out of range - at `$.progress.total`"),
        (["progress"], [], "Expected `object`, got `array` - at `$.progress`"),
        (["step"], "30", "Expected `int`, got `str` - at `$.step`"),
        (["history"], {}, "Expected `array`, got `object` - at `$.history`"),
        (["history", 0, "epoch"], 7, "contradicts itself"),
        (["history", 0, "cost"], None, "Expected `float`, got `null` - at `$.history[0].cost`"),
        (["variables", "weights/h1:0"], [8, -8], "Expected `int` >= 0 - at `$.variables[...][1]`"),
        (["environment"], None, "Expected `object`, got `null` - at `$.environment`"),
        (["files"], [], "Expected `object`, got `array`"),
        (["files", "state.index"], {"bytes": 5}, "Object missing required field `sha256` - at `$[...]`"),
        (["identity"], 3, "Expected `object`, got `int` - at `$.identity`"),
        (["files"], {}, "its files are not those that manifest.json names"),
        (["environment", "variables"], 5, "Expected `object`, got `int` - at `$.environment.variables`"),
    ],
)
def test_a_crafted_manifest_is_damage_and_told_where(stopped_run, change_manifest, keys, value, message):
    def change(manifest):
        *most, last = keys
        for key in most:
            manifest = manifest[key]
        manifest[last] = value

    change_manifest(newest(stopped_run), change)
    with pytest.raises(checkpoint.Damaged, match=re.escape(message)):
        checkpoint.verify(newest(stopped_run))


@pytest.mark.parametrize("content", ["[" * 100_000, "NaN", '{"a": ' * 900 + "1" + "}" * 900, "\0", "null"])
def test_a_manifest_that_is_no_manifest_is_damage(live, config, stopped_run, content):
    (newest(stopped_run) / "manifest.json").write_text(content)
    with pytest.raises(checkpoint.Damaged):
        checkpoint.verify(newest(stopped_run))


def test_a_file_that_no_manifest_names_is_damage(stopped_run):
    (newest(stopped_run) / "state.data-00001-of-00002").symlink_to("/etc/passwd")
    with pytest.raises(checkpoint.Damaged, match=r"its files are not those that manifest\.json names"):
        checkpoint.verify(newest(stopped_run))


def test_a_history_without_validation_is_not_the_runs_own(train, run, small, stopped_run, change_manifest):
    change_manifest(newest(stopped_run), lambda manifest: manifest["history"][0].update(val_cost=None))
    for outcome in (train(*small()), run(evaluate, f"--workdir={stopped_run}")):
        assert outcome.code == 1
        assert "its row of epoch 1 contradicts config.json in val_cost, val_accuracy" in outcome.error


@pytest.mark.parametrize("name", ["step-0000000030.004", "manifest.json", "state.data-00000-of-00001"])
def test_a_link_in_a_checkpoint_is_damage(stopped_run, tmp_path, name):
    folder = newest(stopped_run)
    path = folder if folder.name == name else folder / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(checkpoint.Damaged, match="is a symbolic link"):
        checkpoint.verify(folder)


@pytest.mark.parametrize("name", ["state.index", "manifest.json"])
def test_a_fifo_in_a_checkpoint_is_damage_and_not_waited_for(stopped_run, name):
    (newest(stopped_run) / name).unlink()
    os.mkfifo(newest(stopped_run) / name)
    with pytest.raises(checkpoint.Damaged, match=f"{name}: is not a regular file"):
        checkpoint.verify(newest(stopped_run))


def test_a_save_does_not_write_through_a_link(live, config, stopped_run, whole_run, tmp_path):
    (tmp_path / "outside").mkdir()
    (stopped_run / "checkpoints/.mlp_tf-saving").symlink_to(tmp_path / "outside")
    live(config, stopped_run)
    assert_same_run(stopped_run, whole_run)
    assert os.listdir(tmp_path / "outside") == []


def test_files_that_are_not_what_a_manifest_says_are_one_line(train, run, small, stopped_run, change_manifest):
    def change(manifest):
        described = manifest["files"]["state.index"]
        content = b"x" * described["bytes"]
        (newest(stopped_run) / "state.index").write_bytes(content)
        described["sha256"] = hashlib.sha256(content).hexdigest()

    change_manifest(newest(stopped_run), change)
    for outcome in (train(*small()), run(evaluate, f"--workdir={stopped_run}")):
        assert outcome.code == 1
        assert "its files do not hold what its manifest says" in outcome.error
