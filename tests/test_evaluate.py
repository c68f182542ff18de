"""The evaluate command: its numbers against NumPy, its pictures, and the data that it takes or refuses."""

import numpy as np
import pytest
from helpers import logits, make_arrays, read_results
from PIL import Image

from mlp_tf import data, evaluate


def test_evaluate_equals_numpy_in_float64(run, run_folder, npz, arrays):
    outcome = run(evaluate, f"--workdir={run_folder}")
    assert (outcome.code, outcome.err) == (0, "")
    guesses, labels = logits(run_folder, arrays["x_test"]).argmax(axis=1), arrays["y_test"]
    lines = outcome.out.splitlines()
    assert f"Accuracy: {(guesses == labels).mean():.4f}" in lines
    assert f"Cost: {read_results(run_folder)['test_cost']:.4f}" in lines
    table = [[int(word) for word in line.split()] for line in lines[-3:]]
    for c in range(3):
        assert table[c] == [c, *(int(((labels == c) & (guesses == p)).sum()) for p in range(3))]
    train_split = data.load(npz, validation_size=40).train
    train = (logits(run_folder, train_split.images).argmax(axis=1) == train_split.labels).mean()
    test = (guesses == labels).mean()
    assert f"Gap: {train - test:.4f} (training {train:.4f} - test {test:.4f})" in lines


@pytest.mark.parametrize(("split", "count"), [("train", 200), ("validation", 40)])
def test_evaluate_takes_other_splits(run, run_folder, split, count):
    assert f"Split: {split}, {count} examples" in run(evaluate, f"--workdir={run_folder}", f"--split={split}").out


def test_a_split_that_was_not_held_out_is_refused(run, train, small, tmp_path):
    train(*small(validation_size=0, epochs=1))
    outcome = run(evaluate, f"--workdir={tmp_path / 'run'}", "--split=validation")
    assert "held no rows out" in outcome.error


def test_evaluate_draws_confusion_and_mistakes(run, train, small, tmp_path):
    train(*small(epochs=1))
    outcome = run(evaluate, f"--workdir={tmp_path / 'run'}", "--plots")
    for name in ("confusion.png", "mistakes.png"):
        assert f"Picture: {tmp_path / 'run' / name}" in outcome.out
        assert Image.open(tmp_path / "run" / name).width == 1200


def test_data_that_changed_is_refused(run, train, small, tmp_path):
    np.savez(tmp_path / "a.npz", **make_arrays(seed=0))
    train(*small(dataset=tmp_path / "a.npz", epochs=1))
    np.savez(tmp_path / "a.npz", **make_arrays(seed=1))
    assert "is not the data that the run was trained on" in run(evaluate, f"--workdir={tmp_path / 'run'}").error


def test_a_run_is_evaluated_from_any_folder(run, train, small, tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", **make_arrays())
    monkeypatch.chdir(tmp_path)
    assert train(*small(dataset="a.npz", epochs=1)).code == 0
    monkeypatch.chdir("/")
    assert run(evaluate, f"--workdir={tmp_path / 'run'}").code == 0
    (tmp_path / "moved").mkdir()
    (tmp_path / "a.npz").rename(tmp_path / "moved/a.npz")
    assert run(evaluate, f"--workdir={tmp_path / 'run'}", f"--data_dir={tmp_path / 'moved'}").code == 0


def test_under_patience_the_cost_is_that_of_the_best_epoch(run, train, small, tmp_path):
    arrays = make_arrays()
    arrays["y_train"] = np.random.default_rng(0).integers(0, 3, 240)
    np.savez(tmp_path / "noise.npz", **arrays)
    train(*small(dataset=tmp_path / "noise.npz", patience=3, epochs=100, hidden="64,64"))
    cost = read_results(tmp_path / "run")["test_cost"]
    assert f"Cost: {cost:.4f}" in run(evaluate, f"--workdir={tmp_path / 'run'}").out
