"""The run's folder: exact resume, checkpoints that are whole or absent, and folders that are not this run's."""

import hashlib
import json
import os
import re
import shutil

import numpy as np
import pytest
from conftest import make_arrays, slow

from mlp_tf import UserError, checkpoint, data, loop, run
from mlp_tf.config import Config

FILES = ["manifest.json", "state.index", "state.data-00000-of-00001"]
DAMAGED = "is damaged"


def saved(folder):
    """Names of the checkpoints in a run's folder, oldest first."""
    return sorted(name for name in os.listdir(folder / "checkpoints") if re.fullmatch(r"step-\d{10}(\.\d{3})?", name))


def steps(folder):
    """Steps of the checkpoints in a run's folder, oldest first."""
    return [int(name[5:15]) for name in saved(folder)]


def newest(folder):
    return folder / "checkpoints" / saved(folder)[-1]


def tensors(folder):
    """Every variable of the newest checkpoint."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(newest(folder) / "state"))
    names = [name for name in reader.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    return {name: reader.get_tensor(name) for name in names}


def untimed(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def assert_same_run(one, other):
    """Parameters, optimizer state, metrics and results of two folders are equal, but for times."""
    mine, theirs = tensors(one), tensors(other)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    assert untimed(one / "metrics.jsonl") == untimed(other / "metrics.jsonl")
    results = [json.loads((folder / "results.json").read_text()) for folder in (one, other)]
    for key in ("test_cost", "test_accuracy", "epochs", "train_examples", "dataset"):
        assert results[0][key] == results[1][key]


def contents(folder):
    """SHA-256 of every file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def config(npz):
    return Config(hidden=(8, 4), batch_size=10, epochs=3, validation_size=40, dataset=npz, learning_rate=0.01)


@pytest.fixture(scope="module")
def live():
    """Starts or resumes a run and trains it until `stop(a_run)` is true; returns its warnings."""

    def until(config, path, stop=lambda a_run: False):
        with checkpoint.locked(path) as directory:
            directory.check_settings(config)
            a_run = run.start(config, directory, data.load(config.dataset, validation_size=40))
            try:
                for _ in run.train(a_run, lambda: stop(a_run)):
                    pass
            except run.Stopped:
                pass
            return a_run.warnings

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "CHUNK_SECONDS", 0.0)  # a chunk is one step
        yield until


def at(step):
    return lambda a_run: int(a_run.state.step.numpy()) >= step


def rows_written(count):
    return lambda a_run: len((a_run.directory.path / "metrics.jsonl").read_text().splitlines()) >= count


@pytest.fixture(scope="module")
def stopped_once(live, config, tmp_path_factory):
    path = tmp_path_factory.mktemp("stopped") / "run"
    for step in (10, 21, 30):
        live(config, path, at(step))
    assert steps(path) == [10, 21, 30]
    return path


@pytest.fixture
def stopped(stopped_once, tmp_path):
    """A run of 60 steps that was stopped, and saved, after 10, 21 and 30."""
    return shutil.copytree(stopped_once, tmp_path / "run")


@pytest.fixture(scope="module")
def whole(live, config, tmp_path_factory):
    """The same run, never stopped."""
    path = tmp_path_factory.mktemp("whole") / "run"
    live(config, path)
    return path


STOPS = {
    "step 1": at(1),
    "mid-epoch": at(27),
    "before the last step of an epoch": at(19),
    "during evaluation": at(20),
    "after evaluation": rows_written(1),
    "last step of the run": at(60),
    "after the last evaluation": rows_written(3),
}
# fmt: off
SETTINGS = {
    "adam": {},
    "rmsprop, linear": {"optimizer": "rmsprop", "schedule": "linear"},
    "sgd, patience": {"optimizer": "sgd", "patience": 2},
    "distort, elastic, deskew, linear, patience": {
        "distort": 1.0, "elastic": 0.5, "deskew": True, "schedule": "linear", "patience": 2, "label_smoothing": 0.1,
    },
}
# fmt: on


@pytest.mark.parametrize("stop", [slow(stop) if stop.startswith(("before", "last step")) else stop for stop in STOPS])
def test_a_run_stopped_anywhere_ends_as_if_never_stopped(live, config, whole, tmp_path, stop):
    live(config, tmp_path / "run", STOPS[stop])
    assert not (tmp_path / "run/results.json").exists()
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.parametrize("settings", [name if "distort" in name else slow(name) for name in SETTINGS])
def test_a_run_stopped_at_every_eleventh_step_ends_as_if_never_stopped(live, config, npz, tmp_path, settings):
    config = Config(**{**config.to_json(), "hidden": (8, 4), **SETTINGS[settings]})
    live(config, tmp_path / "whole")
    for step in range(11, 60, 11):
        live(config, tmp_path / "run", at(step))
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_early_stopping_and_the_best_epoch_resume(live, config, tmp_path):
    arrays = make_arrays()
    arrays["y_train"] = np.random.default_rng(0).integers(0, 3, 240)  # noise: val_cost soon rises
    np.savez(tmp_path / "noise.npz", **arrays)
    changed = {"hidden": (64, 64), "dataset": str(tmp_path / "noise.npz"), "patience": 4, "epochs": 50}
    config = Config(**{**config.to_json(), **changed})
    live(config, tmp_path / "whole")
    rows = untimed(tmp_path / "whole/metrics.jsonl")
    best = min(rows, key=lambda row: row["val_cost"])["epoch"]
    assert len(rows) == best + 4
    for count in (best, best + 2):  # right at the best epoch, and while it is being waited for
        live(config, tmp_path / "run", rows_written(count))
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_raising_epochs_continues_a_finished_run(live, config, whole, tmp_path):
    live(Config(**{**config.to_json(), "hidden": (8, 4), "epochs": 2}), tmp_path / "run")
    assert json.loads((tmp_path / "run/results.json").read_text())["epochs"] == 2
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)
    assert json.loads((tmp_path / "run/config.json").read_text())["settings"]["epochs"] == 3


def test_epochs_below_what_is_trained_are_refused(train, small, tmp_path):
    train(*small())
    before = contents(tmp_path)
    assert "--epochs=2: the run in" in train(*small(epochs=2)).error
    assert contents(tmp_path) == before


def test_the_total_cannot_change_where_the_schedule_depends_on_it(train, small, tmp_path):
    train(*small(schedule="linear"))
    before = contents(tmp_path)
    outcome = train(*small(schedule="linear", epochs=5))
    assert outcome.code == 1
    assert (
        "--epochs=5, but 3 in the run (under --schedule=linear each learning rate depends on the total)"
        in outcome.error
    )
    assert contents(tmp_path) == before


def test_the_last_three_checkpoints_are_kept(live, config, tmp_path):
    for step in (5, 9, 14, 33):
        live(config, tmp_path / "run", at(step))
    assert steps(tmp_path / "run") == [9, 14, 33]


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(content[: len(content) * how // 100])


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", [0, slow(1), slow(50), slow(99), "flipped", slow("missing")])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(live, config, stopped, whole, file, how):
    damage(newest(stopped) / file, how)
    [warning] = live(config, stopped)
    assert "step-0000000030 is damaged" in warning
    assert_same_run(stopped, whole)


def test_a_damaged_checkpoint_is_warned_of_once_and_kept_aside(live, config, stopped, whole):
    damage(newest(stopped) / "state.index", 50)
    assert len(live(config, stopped, at(25))) == 1
    assert (stopped / "checkpoints/damaged-step-0000000030").is_dir()
    assert live(config, stopped) == []
    assert_same_run(stopped, whole)


@pytest.mark.parametrize("how", [0, slow(50), "flipped", slow("missing")])
def test_with_no_whole_checkpoint_left_the_run_is_refused_never_begun_anew(train, small, tmp_path, how):
    train(*small())
    for step in steps(tmp_path / "run"):
        damage(tmp_path / f"run/checkpoints/step-{step:010d}/state.data-00000-of-00001", how)
    before = contents(tmp_path)
    outcome = train(*small(epochs=5))
    assert outcome.code == 1
    assert "no whole checkpoint is left" in outcome.error
    assert contents(tmp_path) == before


def test_checkpoints_that_vanished_are_not_taken_for_a_new_run(train, small, tmp_path):
    train(*small())
    shutil.rmtree(tmp_path / "run/checkpoints")
    assert "no whole checkpoint is left" in train(*small(epochs=5)).error


def unfinished(folder, *keep):
    """What a save killed before its rename leaves: the folder under its temporary name, with some of its files."""
    temporary = folder / "checkpoints/.mlp_tf-saving"
    shutil.copytree(newest(folder), temporary)
    for path in temporary.iterdir():
        if path.name not in keep:
            path.unlink()
    return temporary


@pytest.mark.parametrize("keep", [[], FILES[2:], FILES[1:], FILES], ids=["empty", "data", "variables", "all"])
def test_a_save_killed_before_its_rename_leaves_nothing_that_counts(live, config, stopped, whole, keep):
    unfinished(stopped, *keep)
    shutil.rmtree(newest(stopped))
    assert live(config, stopped) == []
    assert_same_run(stopped, whole)
    assert not [name for name in os.listdir(stopped / "checkpoints") if name.startswith(".")]


def test_a_save_killed_with_a_torn_manifest_leaves_nothing_that_counts(live, config, stopped, whole):
    damage(unfinished(stopped, *FILES) / "manifest.json", 50)
    assert live(config, stopped) == []
    assert_same_run(stopped, whole)


def test_a_first_save_that_was_killed_starts_the_run_again(live, config, tmp_path, whole):
    live(config, tmp_path / "run", at(1))
    temporary = unfinished(tmp_path / "run", *FILES[1:])
    for step in steps(tmp_path / "run"):
        shutil.rmtree(tmp_path / f"run/checkpoints/step-{step:010d}")
    (tmp_path / "run/metrics.jsonl").unlink()
    assert temporary.exists()
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_removal_that_was_killed_is_finished(live, config, stopped, whole):
    oldest = stopped / f"checkpoints/step-{steps(stopped)[0]:010d}"
    (oldest / "state.index").unlink()
    oldest.rename(stopped / "checkpoints/.mlp_tf-removing")
    live(config, stopped)
    assert_same_run(stopped, whole)
    assert not (stopped / "checkpoints/.mlp_tf-removing").exists()


def test_only_this_packages_own_leftovers_are_removed(live, config, stopped):
    for name in (".hidden", "notes.txt", "checkpoints/.mine", "checkpoints/step-1-copy"):
        (stopped / name).write_text("mine")
    live(config, stopped)
    for name in (".hidden", "notes.txt", "checkpoints/.mine", "checkpoints/step-1-copy"):
        assert (stopped / name).read_text() == "mine"


def test_a_step_saved_twice_is_never_without_a_checkpoint(live, config, whole, tmp_path):
    live(config, tmp_path / "run", at(20))  # stopped in the evaluation: step 20, no row yet
    first = contents(tmp_path / "run/checkpoints")
    live(config, tmp_path / "run", rows_written(1))  # stopped after it: step 20 again, with the row
    assert saved(tmp_path / "run") == ["step-0000000000", "step-0000000020", "step-0000000020.001"]
    now = contents(tmp_path / "run/checkpoints")
    assert {name: now[name] for name in first} == first
    shutil.rmtree(tmp_path / "run/checkpoints/step-0000000020.001")  # killed before the second one's rename
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_state_that_is_saved_already_is_not_saved_again(live, config, tmp_path):
    live(config, tmp_path / "run", at(20))
    before = contents(tmp_path / "run/checkpoints")
    live(config, tmp_path / "run", at(20))
    assert contents(tmp_path / "run/checkpoints") == before


def test_the_manifest_tells_the_machine_that_saved_it_not_the_one_that_began(live, config, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    live(config, tmp_path / "run", at(5))
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    [warning] = live(config, tmp_path / "run", at(9))
    assert "threads was 1, is" in warning
    assert live(config, tmp_path / "run", at(12)) == []


def test_auto_stays_what_it_stood_for_when_the_run_began(train, small, tmp_path, monkeypatch):
    from mlp_tf import sources

    flags = small(dataset="auto", batch_size=100, epochs=1)
    monkeypatch.setattr(
        sources, "prepared", lambda *arguments: (_ for _ in ()).throw(sources.Unavailable("no network"))
    )
    assert "NOT COMPARABLE" in train(*flags).err
    monkeypatch.undo()
    outcome = train(*small(dataset="auto", batch_size=100, epochs=2))
    assert outcome.code == 0
    assert "Dataset: mnist_sample" in outcome.out
    assert "NOT COMPARABLE" in outcome.err
    again = train(*small(dataset="auto", batch_size=100, epochs=2))
    assert "Dataset: mnist_sample" in again.out
    assert "NOT COMPARABLE" in again.err


@pytest.mark.parametrize("torn", ["", '{"epoch": 2, "co', "garbage\n", '{"epoch": 2}\n{"epoch": 3}\n{"epo'])
def test_metrics_are_mended_from_the_checkpoint_at_resume(live, config, stopped, whole, torn):
    with open(stopped / "metrics.jsonl", "a") as file:
        file.write(torn)
    live(config, stopped)
    assert_same_run(stopped, whole)


def test_other_settings_are_named_with_both_values_and_change_nothing(train, small, tmp_path):
    train(*small())
    before = contents(tmp_path)
    outcome = train(*small(hidden="9,9", seed=4))
    assert outcome.code == 1
    assert "--hidden=9,9, but 8,4 in the run; --seed=4, but 0 in the run" in outcome.error
    assert contents(tmp_path) == before


def test_other_data_is_refused_and_changes_nothing(train, small, tmp_path):
    np.savez(tmp_path / "a.npz", **make_arrays(seed=0))
    train(*small(dataset=tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", **make_arrays(seed=1))
    before = contents(tmp_path)
    assert "data: sha256" in train(*small(dataset=tmp_path / "a.npz", epochs=5)).error
    assert contents(tmp_path) == before


def test_other_shapes_name_the_variable_and_both_shapes(train, small, tmp_path):
    train(*small())
    train(*small(hidden="9,4", workdir=tmp_path / "other"))
    shutil.rmtree(tmp_path / "run/checkpoints")
    shutil.copytree(tmp_path / "other/checkpoints", tmp_path / "run/checkpoints")
    before = contents(tmp_path)
    outcome = train(*small(epochs=5))
    assert outcome.code == 1
    assert "weights/h1:0 has shape [64, 9] there, [64, 8] in this run" in outcome.error
    assert contents(tmp_path) == before


@pytest.mark.parametrize("file", ["config.json", "manifest.json"])
def test_a_newer_format_is_refused(train, small, tmp_path, file):
    train(*small())
    for path in (tmp_path / "run").rglob(file):
        path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    before = contents(tmp_path)
    outcome = train(*small(epochs=5))
    assert outcome.code == 1
    assert "format 2, but this version reads 1; update mlp_tf" in outcome.error
    assert contents(tmp_path) == before


@pytest.mark.parametrize("garbage", ["", "{", "[]", "\0\1", "{}", '{"format": 1}', '{"settings": {"hidden": 3}}'])
def test_a_garbage_config_is_refused(train, small, tmp_path, garbage):
    train(*small())
    (tmp_path / "run/config.json").write_text(garbage)
    before = contents(tmp_path)
    outcome = train(*small())
    assert outcome.code == 1
    assert "config.json" in outcome.error
    assert contents(tmp_path) == before


def test_a_folder_with_other_things_in_it_is_refused(train, small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.tex").write_text("mine")
    outcome = train(*small())
    assert outcome.code == 1
    assert "holds files but no config.json" in outcome.error
    assert os.listdir(tmp_path / "run") == ["thesis.tex"]


def test_another_environment_is_warned_of(live, config, stopped):
    path = newest(stopped) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["environment"]["threads"] = 64
    del manifest["sha256"]
    text = json.dumps(manifest, indent=1) + "\n"
    manifest["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(manifest, indent=1) + "\n")
    [warning] = live(config, stopped)
    assert re.search(r"not bit for bit: threads was 64, is \d+", warning)


@pytest.mark.parametrize("file", ["config.json", "results.json"])
def test_a_file_without_its_keys_is_named_with_them(train, small, tmp_path, file):
    train(*small())
    content = json.loads((tmp_path / "run" / file).read_text())
    gone = "data" if file == "config.json" else "epochs"
    del content[gone]
    (tmp_path / "run" / file).write_text(json.dumps(content))
    outcome = train(*small())
    assert outcome.code == 1
    assert f"{file}: not a file of a run (it lacks {gone})" in outcome.error


@pytest.mark.parametrize("validation_size", [0, 40])
def test_a_cost_that_only_evaluation_finds_not_finite_is_divergence_too(train, small, tmp_path, validation_size):
    """One step of SGD with an enormous rate: finite parameters, whose logits overflow."""
    outcome = train(
        *small(optimizer="sgd", learning_rate=1e20, epochs=1, batch_size=200, validation_size=validation_size)
    )
    assert outcome.code == 3
    assert re.search(r"(validation|test) cost is not finite after epoch 1", outcome.error)
    rows = (tmp_path / "run/metrics.jsonl").read_text()
    assert "NaN" not in rows
    assert "Infinity" not in rows
    assert not (tmp_path / "run/results.json").exists()


def test_no_checkpoint_is_written_of_a_state_that_is_not_finite(live, config, tmp_path):
    config = Config(**{**config.to_json(), "hidden": (8, 4), "optimizer": "sgd", "learning_rate": 1e30})
    with pytest.raises(loop.Diverged):
        live(config, tmp_path / "run")
    for value in tensors(tmp_path / "run").values():
        assert np.isfinite(value).all()


def test_a_caller_that_leaves_the_loop_finds_its_state_saved(live, config, whole, tmp_path):
    with checkpoint.locked(tmp_path / "run") as directory:
        chunks = run.train(run.start(config, directory, data.load(config.dataset, validation_size=40)), lambda: False)
        for _, (_, row) in zip(range(100), chunks, strict=False):
            if row:
                break
        chunks.close()
    assert steps(tmp_path / "run")[-1] == 20
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_a_second_process_is_kept_out(tmp_path):
    with checkpoint.locked(tmp_path / "run"):
        with (
            pytest.raises(UserError, match="another process is using this folder"),
            checkpoint.locked(tmp_path / "run"),
        ):
            pass
        assert (tmp_path / "run").exists()
    assert not (tmp_path / "run").exists()  # made here, and left empty
