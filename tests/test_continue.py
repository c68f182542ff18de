"""A run describes itself: --workdir alone goes on with it, wherever its data lie now; what is given must agree."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from helpers import assert_same_run, contents, make_arrays, read_results
from PIL import Image

from mlp_tf import data, evaluate, plot, show_data


@pytest.fixture
def own_npz(tmp_path):
    """A copy of the small dataset that a test may move."""
    np.savez(tmp_path / "a.npz", **make_arrays())
    return tmp_path / "a.npz"


@pytest.fixture
def begun_run(train, small, own_npz, tmp_path):
    """A run of 2 epochs with settings that are not the defaults; its data may be moved."""
    assert train(*small(dataset=own_npz, epochs=2, activation="tanh", label_smoothing=0.1, seed=7)).code == 0
    return tmp_path / "run"


def test_workdir_alone_goes_on_with_every_setting(train, small, begun_run, own_npz, tmp_path):
    outcome = train(f"--workdir={begun_run}", "--epochs=3")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Resuming: epoch 3 of 3, step 0 of 20\n" in outcome.out
    whole = tmp_path / "whole"
    train(*small(whole, dataset=own_npz, epochs=3, activation="tanh", label_smoothing=0.1, seed=7))
    assert_same_run(begun_run, whole)
    assert re.search("Accuracy: .*", train(f"--workdir={begun_run}").out)[0] in outcome.out


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("--hidden=9", "--hidden=9, but 8,4 in the run"),
        ("--activation=relu", "--activation=relu, but tanh in the run"),  # the default, but given
        ("--validation_size=41", "--validation_size=41, but 40 in the run"),
        ("--patience=3", "--patience=3, but 0 in the run"),
    ],
)
def test_a_flag_that_disagrees_is_refused_with_the_ready_command(train, begun_run, flag, reason):
    before = contents(begun_run)
    outcome = train(f"--workdir={begun_run}", "--epochs=3", flag)
    assert outcome.code == 1
    assert reason in outcome.err
    assert f"resume that run: python -m mlp_tf.train --workdir={begun_run}\n" in outcome.err
    assert contents(begun_run) == before


def test_another_dataset_is_refused_with_what_to_do(train, begun_run):
    error = train(f"--workdir={begun_run}", "--epochs=3", "--dataset=mnist_sample").error
    assert "data: train 4460, but 200 in the run" in error
    assert "restore its data, or say where they are now with --data_dir=PATH" in error


def test_moved_and_renamed_data_are_found_by_their_bytes(run, train, begun_run, own_npz, tmp_path):
    moved = own_npz.rename(tmp_path / "b.npz")
    for error in (run(evaluate, f"--workdir={begun_run}").error, train(f"--workdir={begun_run}", "--epochs=3").error):
        assert f"{own_npz}: the data of this run are no longer there" in error
        assert "--data_dir=" in error
    assert run(evaluate, f"--workdir={begun_run}", f"--data_dir={moved}").code == 0
    assert train(f"--workdir={begun_run}", "--epochs=3", f"--dataset={moved}").code == 0
    assert run(evaluate, f"--workdir={begun_run}").code == 0  # it has learned where they are
    (tmp_path / "d").mkdir()
    moved.rename(tmp_path / "d/b.npz")
    assert train(f"--workdir={begun_run}", "--epochs=4", f"--data_dir={tmp_path / 'd'}").code == 0


def test_other_bytes_at_the_same_place_are_refused(run, train, begun_run, own_npz):
    np.savez(own_npz, **make_arrays(seed=1))
    before = contents(begun_run)
    assert "data: sha256" in train(f"--workdir={begun_run}", "--epochs=3").error
    assert "is not the data that the run was trained on" in run(evaluate, f"--workdir={begun_run}").error
    assert contents(begun_run) == before


def test_changed_class_names_are_refused(run, train, begun_run):
    config = json.loads((begun_run / "config.json").read_text())
    config["data"]["class_names"] = ["1", "0", "2"]
    (begun_run / "config.json").write_text(json.dumps(config))
    for outcome in (run(evaluate, f"--workdir={begun_run}"), train(f"--workdir={begun_run}", "--epochs=3")):
        assert "data class_names" in outcome.error


def test_the_scaling_of_a_run_is_kept_in_whatever_order_it_is_summed(train, tmp_path):
    x = np.random.default_rng(0).lognormal(size=(3000, 4)).astype(np.float32)
    arrays = {"x_train": x, "y_train": np.arange(3000) % 2, "x_test": x[:30], "y_test": np.arange(30) % 2}
    np.savez(tmp_path / "a.npz", **arrays)
    flags = [f"--workdir={tmp_path / 'run'}", f"--dataset={tmp_path / 'a.npz'}", "--hidden=4"]
    assert train(*flags, "--epochs=1").code == 0
    before = json.loads((tmp_path / "run/config.json").read_text())["scaling"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlp_tf.data.scaling._BLOCK", 7)
        assert data.load(str(tmp_path / "a.npz")).train.scaling.to_json() != before
        assert train(f"--workdir={tmp_path / 'run'}", "--epochs=2").code == 0
    assert json.loads((tmp_path / "run/config.json").read_text())["scaling"] == before


def test_another_folder_of_the_same_relative_name_is_other_data(train, tmp_path, monkeypatch):
    for i, place in enumerate(("one", "two")):
        for row in range(12):
            path = tmp_path / place / "pictures" / "ab"[row % 2] / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4), 20 * row + i, np.uint8)).save(path)
    flags = ["--dataset=pictures", "--hidden=4", "--batch_size=4", f"--workdir={tmp_path / 'run'}"]
    monkeypatch.chdir(tmp_path / "one")
    assert train(*flags, "--epochs=1", f"--data_dir={tmp_path}").code == 0
    assert train(f"--workdir={tmp_path / 'run'}", "--epochs=2").code == 0  # whatever --data_dir was
    monkeypatch.chdir(tmp_path / "two")
    assert "data: sha256" in train(*flags, "--epochs=3").err


def test_a_stop_by_patience_is_told_and_patience_may_be_raised(train, small, noisy_npz, tmp_path):
    flags = small(dataset=noisy_npz, patience=2, epochs=30, hidden="64,64")
    outcome, folder = train(*flags), tmp_path / "run"
    assert outcome.code == 0
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    best = min(rows, key=lambda row: row["val_cost"])
    results = read_results(folder)
    assert (results["stopped_early"], results["best_epoch"]) == (True, best["epoch"])
    assert results["best_val_cost"] == best["val_cost"]
    said = f"Stopped early: the lowest val_cost, {best['val_cost']:.4f}, was that of epoch {best['epoch']}"
    assert said in outcome.out
    assert said in train(f"--workdir={folder}").out
    assert "--patience=1, but 2 in the run" in train(f"--workdir={folder}", "--patience=1").err
    assert train(f"--workdir={folder}", "--patience=4").code == 0
    whole = tmp_path / "whole"
    train(*small(whole, dataset=noisy_npz, patience=4, epochs=30, hidden="64,64"))
    assert_same_run(folder, whole)
    assert read_results(folder)["epochs"] > results["epochs"]


def test_a_run_that_was_not_stopped_early_says_so(begun_run):
    results = read_results(begun_run)
    assert (results["stopped_early"], results["best_epoch"]) == (False, 2)


def test_a_tilde_is_the_home_folder_in_every_path_flag(run, train, small, npz, tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    shutil.copy(npz, home / "a.npz")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)
    assert train(*small("~/run", dataset="~/a.npz", epochs=1)).code == 0
    assert run(plot, "--workdir=~/run", "--noweights", "--out=~/new/pictures").code == 0
    assert run(show_data, "--dataset=~/a.npz", "--data_dir=~/none", "--out=~/new").code == 0
    assert os.listdir(elsewhere) == []
    assert {"a.npz", "new", "run"} <= set(os.listdir(home))
    assert "~" not in json.loads((home / "run/config.json").read_text())["settings"]["workdir"]
    assert sorted(os.listdir(home / "new/pictures")) == ["curves.png"]
