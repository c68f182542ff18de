"""--hidden= trains softmax regression, and every command takes such a run."""

import csv
import json
import os
import re

import numpy as np
import oracle
import pytest
from helpers import small_flags, tensors
from PIL import Image

from mlp_tf import draw, evaluate, export, layers, plot, predict, sweep


@pytest.fixture(scope="module")
def softmax_run(npz, tmp_path_factory):
    """The folder of a run of 64-3, not to be changed; no test trains another one."""
    from mlp_tf import train
    from mlp_tf.cli import command

    folder = tmp_path_factory.mktemp("softmax") / "run"
    assert command.run(train.main, "", train.define_flags, ["train", *small_flags(npz, folder, hidden="")]) == 0
    return folder


def test_evaluate_gives_the_accuracy_of_x_times_w_plus_b_in_numpy(run, softmax_run, arrays):
    saved = tensors(softmax_run)
    weights, biases = (saved[f"{kind}/out/.ATTRIBUTES/VARIABLE_VALUE"] for kind in ("weights", "biases"))
    assert weights.shape == (64, 3)
    logits = arrays["x_test"].reshape(-1, 64) / 255.0 @ weights.astype(np.float64) + biases
    report = json.loads(run(evaluate, softmax_run, "--json").out)
    assert report["accuracy"] == (logits.argmax(axis=1) == arrays["y_test"]).mean()
    assert report["cost"] == pytest.approx(oracle.costs(logits, arrays["y_test"]).mean(), rel=1e-5)


def test_every_command_takes_a_run_without_hidden_layer(run, softmax_run, arrays, tmp_path):
    Image.fromarray(arrays["x_test"][0]).save(tmp_path / "a.png")
    outcome = run(layers, softmax_run, f"--out={tmp_path}")
    assert [line.split()[:2] for line in outcome.out.splitlines()[3:-1]] == [["out", "3"]]
    assert run(plot, softmax_run, f"--out={tmp_path}").code == 0
    assert run(draw, softmax_run, f"--out={tmp_path / 'draw.html'}").code == 0
    assert '"units": []' in (tmp_path / "draw.html").read_text()
    assert run(export, softmax_run, f"--export_dir={tmp_path / 'model'}").code == 0
    assert run(predict, f"--workdir={softmax_run}", tmp_path / "a.png").code == 0
    assert {"layers.png", "curves.png", "weights.png", "draw.html", "model"} <= set(os.listdir(tmp_path))


def test_a_sweep_trains_it_once_whatever_its_activation_and_names_it_none(run, npz, tmp_path):
    flags = [f"--dataset={npz}", "--validation_size=40", "--seeds=1", "--epochs=1", f"--workdir={tmp_path / 'sweep'}"]
    varied = ["--hidden=", "--hidden=4", "--activation=relu", "--activation=tanh", "--dropout=0.1"]
    outcome = run(sweep, *flags, *varied)
    assert outcome.code == 0
    rows = list(csv.DictReader((tmp_path / "sweep/sweep.csv").open()))
    assert [(row["hidden"], row["activation"], row["parameters"]) for row in rows] == [
        ("", "relu", "195"),
        ("4", "relu", "275"),
        ("4", "tanh", "275"),
    ]
    assert re.search(r"^[ *] +none +relu ", outcome.out, re.MULTILINE)
    assert (tmp_path / "sweep/hidden=none_activation=relu/seed-0/results.json").exists()


def test_train_resumes_it_by_its_printed_command(train, small, tmp_path):
    assert train(*small(hidden="", epochs=1)).code == 0
    outcome = train(*small(hidden="", epochs=2))
    assert (outcome.code, outcome.err) == (0, "")
    assert "Model: 64-3, 195 parameters" in outcome.out
