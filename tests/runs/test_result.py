"""A finished run read back: which parameters are its result, and on which data it may be judged."""

import shutil

import numpy as np
import pytest
from helpers import contents, make_arrays, newest, read_results

from mlp_tf import UserError


def test_a_run_read_back_has_the_results_that_its_file_says(run_folder):
    from mlp_tf.runs import result

    before, results = contents(run_folder), read_results(run_folder)
    trained = result.load(run_folder)
    assert (trained.epochs, trained.warnings) == (20, [])
    cost, accuracy = result.evaluate(trained, result.splits(trained).test)
    assert (cost, accuracy) == (pytest.approx(results["test_cost"], rel=1e-6), results["test_accuracy"])
    assert contents(run_folder) == before


def test_the_result_under_patience_is_the_best_epoch(train, small, tmp_path):
    from mlp_tf.runs import result

    # Noise for labels: nothing to generalise, so val_cost soon rises.
    arrays = make_arrays()
    arrays["y_train"] = np.random.default_rng(0).integers(0, 3, 240)
    np.savez(tmp_path / "noise.npz", **arrays)
    train(*small(dataset=tmp_path / "noise.npz", patience=3, epochs=100, hidden="64,64"))
    trained, results = result.load(tmp_path / "run"), read_results(tmp_path / "run")
    cost, accuracy = result.evaluate(trained, result.splits(trained).test)
    assert (cost, accuracy) == (pytest.approx(results["test_cost"], rel=1e-6), results["test_accuracy"])


def test_a_finished_run_is_not_read_from_an_older_checkpoint(run_folder, tmp_path):
    from mlp_tf.runs import result

    folder = shutil.copytree(run_folder, tmp_path / "run")
    (newest(folder) / "state.index").write_bytes(b"damaged")
    with pytest.raises(UserError, match="its results are of 20 epochs, but the newest whole checkpoint has 0"):
        result.load(folder)
