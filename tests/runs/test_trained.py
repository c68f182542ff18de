"""A finished run read back: which parameters are its result, and on which data it may be judged."""

import shutil

import msgspec
import numpy as np
import pytest
from helpers import contents, newest, read_results

from mlp_tf import UserError, runs


def test_a_run_read_back_has_the_results_that_its_file_says(run_folder):

    before, results = contents(run_folder), read_results(run_folder)
    trained = runs.load(run_folder)
    assert (trained.epochs, trained.warnings) == (20, [])
    sums = trained.evaluate(trained.splits().test)
    assert (sums.cost, sums.accuracy) == (pytest.approx(results["test_cost"], rel=1e-6), results["test_accuracy"])
    assert contents(run_folder) == before


def test_the_result_under_patience_is_the_best_epoch(early_stopped_run):
    trained, results = runs.load(early_stopped_run), read_results(early_stopped_run)
    sums = trained.evaluate(trained.splits().test)
    assert (sums.cost, sums.accuracy) == (pytest.approx(results["test_cost"], rel=1e-6), results["test_accuracy"])


def test_a_finished_run_is_not_read_from_an_older_checkpoint(run_folder, tmp_path):

    folder = shutil.copytree(run_folder, tmp_path / "run")
    (newest(folder) / "state.index").write_bytes(b"damaged")
    with pytest.raises(UserError, match="its results are of 20 epochs, but the newest complete checkpoint has 0"):
        runs.load(folder)


@pytest.mark.parametrize("gone", ["weights/h1:0", "biases/out:0"])
def test_a_checkpoint_of_another_network_is_refused(run_folder, tmp_path, change_manifest, gone):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    change_manifest(newest(folder), lambda manifest: manifest["variables"].pop(gone))
    with pytest.raises(UserError, match=r"holds another network than config\.json describes"):
        runs.load(folder)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8)), r"float64 of shape \(2, 8, 8\): the run takes uint8 of shape \(N, 8, 8\)"),
        (np.zeros((2, 64), np.uint8), r"uint8 of shape \(2, 64\): the run takes uint8 of shape \(N, 8, 8\)"),
        (np.zeros((0, 8, 8), np.uint8), r"uint8 of shape \(0, 8, 8\): .* N above 0"),
    ],
)
def test_examples_of_another_shape_or_type_are_refused(run_folder, images, message):
    with pytest.raises(UserError, match=message):
        runs.load(run_folder).probabilities(images)


def test_other_data_load_no_set_by_name_which_might_be_downloaded(run_folder, npz, monkeypatch):
    run, asked = runs.load(run_folder), []

    def load(name, *rest, **named):
        asked.append(name)
        raise UserError("no data")

    monkeypatch.setattr("mlp_tf.data.load", load)
    run.labelled(npz)
    assert asked == [npz]
    named = msgspec.structs.replace(run.description.data, name="mnist")
    run.description = run.description._replace(data=named)
    run.labelled(npz)
    assert asked == [npz]


def test_new_rows_that_overflow_once_they_are_standardized_are_refused(table_run):
    run = runs.load(table_run[0])
    assert np.isfinite(run.probabilities([[0.0, 0.0, 1e17]])).all()
    with pytest.raises(
        UserError, match=r"^examples: row 2, column age holds 1e\+30; must be from -\S+e\+19 to \S+e\+19"
    ):
        run.probabilities([[0.0, 0.0, 1.0], [0.0, 0.0, 1e30]])
