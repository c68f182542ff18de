"""The evaluate command: its numbers against NumPy, its pictures, and the data that it takes or refuses."""

import json

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
    assert "has no validation examples" in outcome.error


def test_evaluate_draws_confusion_and_mistakes(run, train, small, tmp_path):
    train(*small(epochs=1))
    outcome = run(evaluate, f"--workdir={tmp_path / 'run'}", "--plots")
    for name in ("confusion.png", "mistakes.png"):
        assert f"Picture: {tmp_path / 'run' / name}" in outcome.out
        assert Image.open(tmp_path / "run" / name).width == 1200


@pytest.fixture
def members(train, small, tmp_path):
    """Three runs on one file that differ in their seed, one of them in its network too."""
    folders = [tmp_path / name for name in "abc"]
    for seed, (folder, hidden) in enumerate(zip(folders, ("8,4", "8,4", "6,5"), strict=True)):
        train(*small(workdir=folder, seed=seed, hidden=hidden, epochs=1))
    return folders


def test_an_ensemble_answers_with_the_mean_of_the_probabilities(run, members, arrays):
    outcome = run(evaluate, *(f"--workdir={folder}" for folder in members), "--json")
    report, labels = json.loads(outcome.out), arrays["y_test"]
    exponentials = [np.exp(logits(folder, arrays["x_test"])) for folder in members]
    predicted = np.mean([each / each.sum(axis=1, keepdims=True) for each in exponentials], axis=0)
    assert report["accuracy"] == (predicted.argmax(axis=1) == labels).mean()
    assert report["cost"] == pytest.approx(-np.log(predicted[np.arange(len(labels)), labels]).mean(), rel=1e-5)
    assert [each["run"] for each in report["runs"]] == list(map(str, members))
    for folder, each in zip(members, report["runs"], strict=True):
        results = read_results(folder)
        assert each["accuracy"] == results["test_accuracy"]
        assert each["cost"] == pytest.approx(results["test_cost"], rel=1e-5)
    assert sum(map(sum, report["confusion"])) == len(labels)
    assert sum(report["confusion"][c][c] for c in range(3)) == round(report["accuracy"] * len(labels))


def test_an_ensemble_is_told_of_in_words(run, members):
    outcome = run(evaluate, *(f"--workdir={folder}" for folder in members))
    assert "Run: an ensemble of 3 runs" in outcome.out
    for folder in members:
        accuracy, cost = (read_results(folder)[f"test_{name}"] for name in ("accuracy", "cost"))
        assert f"  accuracy {accuracy:.4f}, cost {cost:.4f}: {folder}" in outcome.out.splitlines()
    assert "Gap:" not in outcome.out


def test_a_run_that_is_named_twice_is_no_ensemble(run, members, monkeypatch):
    monkeypatch.chdir(members[0].parent)
    once, twice = (run(evaluate, *words, "--plots") for words in (["--workdir=a"], ["--workdir=a", "--workdir=./a/"]))
    assert (twice.code, once.out) == (0, twice.out)


@pytest.mark.parametrize(
    ("changes", "differing"), [({"validation_size": 50}, "validation, sha256"), ({"dataset": "other.npz"}, "sha256")]
)
def test_an_ensemble_of_runs_on_other_data_is_refused(run, train, small, tmp_path, monkeypatch, changes, differing):
    monkeypatch.chdir(tmp_path)
    np.savez("other.npz", **make_arrays(seed=1))
    train(*small(workdir="a", epochs=1))
    train(*small(workdir="b", epochs=1, **changes))
    outcome = run(evaluate, "--workdir=a", "--workdir=b")
    assert outcome.code == 1
    assert f"--workdir=b: its data differ from those of a in {differing}; an ensemble needs" in outcome.error


def test_the_members_of_an_ensemble_take_features_as_they_come(run, train, small, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(100, 30, (300, 4)), rng.integers(0, 2, 300)
    np.savez(tmp_path / "x.npz", x_train=x[:240], y_train=y[:240], x_test=x[240:], y_test=y[240:])
    for name in "ab":
        train(*small(dataset=tmp_path / "x.npz", workdir=tmp_path / name, epochs=1, seed=ord(name)))
    words = [f"--workdir={tmp_path / name}" for name in "ab"]
    report = json.loads(run(evaluate, *words, "--json").out)
    for name, each in zip("ab", report["runs"], strict=True):
        assert each["cost"] == pytest.approx(read_results(tmp_path / name)["test_cost"], rel=1e-5)


def test_the_pictures_of_an_ensemble_need_a_folder(run, members, tmp_path):
    words = [f"--workdir={folder}" for folder in members]
    assert "say where its plots go with --out=FOLDER" in run(evaluate, *words, "--plots").error
    outcome = run(evaluate, *words, "--plots", f"--out={tmp_path / 'pictures'}")
    assert outcome.code == 0
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["confusion.png", "mistakes.png"]
    assert not (members[0] / "confusion.png").exists()


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


def test_under_patience_the_cost_is_that_of_the_best_epoch(run, early_stopped_run):
    cost = read_results(early_stopped_run)["test_cost"]
    assert f"Cost: {cost:.4f}" in run(evaluate, f"--workdir={early_stopped_run}").out
