"""The export command: a SavedModel that predicts what the run predicts, or none at all."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import logits

from mlp_tf import evaluate, export


def answers(model, images):
    """What an exported model says of images."""
    import tensorflow as tf

    return tf.saved_model.load(str(model)).signatures["serving_default"](images=images)


def test_an_export_is_compared_in_a_fresh_process_and_never_overwrites(run, run_folder, arrays, tmp_path):
    flags = [run_folder, f"--export_dir={tmp_path / 'new/model'}"]
    outcome = run(export, *flags)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Compared: 61 test examples, equal classes" in outcome.out
    assert os.listdir(tmp_path / "new") == ["model"]
    served, exact = answers(tmp_path / "new/model", arrays["x_test"]), logits(run_folder, arrays["x_test"])
    np.testing.assert_array_equal(served["classes"], exact.argmax(axis=1))
    softmax = np.exp(exact) / np.exp(exact).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(served["probabilities"], softmax, atol=1e-5)
    assert "already exists; give a new folder" in run(export, *flags).error


@pytest.mark.slow
def test_a_deskewed_run_takes_raw_images_in_evaluation_and_export(run, train, small, arrays, tmp_path, monkeypatch):
    from mlp_tf.data import augmentation

    assert train(*small(), "--deskew").code == 0
    monkeypatch.setattr(export, "compare", lambda *arguments: 0.0)  # with NumPy, here
    assert run(export, f"--workdir={tmp_path / 'run'}", f"--export_dir={tmp_path / 'model'}").code == 0
    exact = logits(tmp_path / "run", augmentation.deskew(arrays["x_test"]).numpy())
    assert not np.allclose(exact, logits(tmp_path / "run", arrays["x_test"]), atol=1e-3)
    np.testing.assert_array_equal(answers(tmp_path / "model", arrays["x_test"])["classes"], exact.argmax(axis=1))
    accuracy = (exact.argmax(axis=1) == arrays["y_test"]).mean()
    assert f"Accuracy: {accuracy:.4f}" in run(evaluate, f"--workdir={tmp_path / 'run'}").out


@pytest.mark.parametrize(("other", "difference"), [(0, 1e-5), (61, 0.0)])
def test_an_export_that_predicts_something_else_is_not_made(
    run, run_folder, arrays, tmp_path, monkeypatch, other, difference
):
    exact = logits(run_folder, arrays["x_test"])

    def answer(words, **options):
        """Takes the place of the fresh process."""
        probabilities = np.exp(exact) / np.exp(exact).sum(axis=1, keepdims=True)
        classes = (exact.argmax(axis=1) + bool(other)) % 3
        np.savez(words[5], classes=classes, probabilities=probabilities + difference)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", answer)
    outcome = run(export, f"--workdir={run_folder}", f"--export_dir={tmp_path / 'new/model'}")
    assert outcome.code == 1
    assert f": {other} predictions of the SavedModel differ, and probabilities by up to " in outcome.error
    assert "nothing was exported" in outcome.error
    assert os.listdir(tmp_path / "new") == []


@pytest.mark.slow
def test_saved_model_cli_runs_the_export(run, run_folder, arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "compare", lambda *arguments: 0.0)  # here, another process loads the model anyway
    run(export, f"--workdir={run_folder}", f"--export_dir={tmp_path / 'model'}")
    np.save(tmp_path / "images.npy", arrays["x_test"][:4])
    words = ["run", "--dir", tmp_path / "model", "--tag_set", "serve", "--signature_def", "serving_default"]
    cli = [os.path.join(os.path.dirname(sys.executable), "saved_model_cli"), *words]
    done = subprocess.run([*cli, "--inputs", f"images={tmp_path / 'images.npy'}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Result for output key classes" in done.stdout
