"""The layers command: what it says of each layer, against NumPy in float64."""

import dataclasses

import numpy as np
import oracle
import pytest
from helpers import contents, tensors
from PIL import Image

from mlp_tf import data, layers, runs

NAMES = ["h1", "h2", "out"]


@pytest.fixture(scope="module")
def looked(run_folder):
    """(layers, weights, biases, images, labels) of the run of 64-8-4-3, on its validation rows."""
    run = runs.load(run_folder)
    [(images, labels)] = data.batches(run.splits().validation, run.config)
    found = layers.examine(run.state(), run.config, images, labels)
    x = images.numpy().reshape(len(images), -1) / 255.0
    return found, run.weights, run.biases, x, labels.numpy()


def test_activations_are_those_of_numpy(looked):
    layers, weights, biases, x, _ = looked
    assert list(layers) == NAMES
    inputs, layer = {}, x
    for name, bias in zip(NAMES, ("b1", "b2", "out"), strict=True):
        inputs[name] = layer @ weights[name].astype(np.float64) + biases[bias]
        layer = np.maximum(inputs[name], 0) if name != "out" else inputs[name]
        np.testing.assert_allclose(layers[name]["activations"], layer, atol=1e-5)
        np.testing.assert_allclose(layers[name]["on"], (inputs[name] > 0).mean(axis=0), atol=0.03)
        np.testing.assert_array_equal(layers[name]["weights"], weights[name])


def test_gradients_are_those_of_backpropagation(looked):
    layers, weights, biases, x, labels = looked
    expected, _ = oracle.gradients(x, labels, weights, biases)
    for name in NAMES:
        np.testing.assert_allclose(layers[name]["gradient"], expected[name], atol=1e-6)


def test_the_update_is_adams_with_the_runs_own_moments(looked, run_folder):
    layers, saved = looked[0], tensors(run_folder)
    powers = [saved[f"optimizer/beta{i}_power/.ATTRIBUTES/VARIABLE_VALUE"].astype(np.float64) for i in (1, 2)]
    for name in NAMES:
        gradient = layers[name]["gradient"].astype(np.float64)
        slot = f"weights/{name}/.OPTIMIZER_SLOT/optimizer/{{}}/.ATTRIBUTES/VARIABLE_VALUE"
        m = 0.9 * saved[slot.format("m")] + 0.1 * gradient
        v = 0.999 * saved[slot.format("v")].astype(np.float64) + 0.001 * gradient**2
        rate = 0.01 * np.sqrt(1 - powers[1]) / (1 - powers[0])
        np.testing.assert_allclose(layers[name]["update"], -rate * m / (np.sqrt(v) + 1e-8), rtol=1e-2, atol=1e-6)


def test_the_table_counts_dead_units_and_nothing_is_saved(run, run_folder, looked, tmp_path):
    before = contents(run_folder)
    outcome = run(layers, run_folder, f"--out={tmp_path / 'new'}")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith(f"\nPlot: {tmp_path / 'new/layers.png'}\n")
    assert contents(run_folder) == before
    assert Image.open(tmp_path / "new/layers.png").width == 1200
    rows = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines() if line.split()[0] in NAMES}
    for name, layer in looked[0].items():
        units, mean, deviation, zeros, dead, always, norm, gradient, ratio = (float(word) for word in rows[name])
        activations = layer["activations"].astype(np.float64)
        assert (units, dead, always) == (activations.shape[1], (layer["on"] == 0).sum(), (layer["on"] == 1).sum())
        assert (mean, deviation) == pytest.approx((activations.mean(), activations.std()), abs=1e-4)
        assert zeros == pytest.approx((activations == 0).mean(), abs=1e-4)
        norms = [np.sqrt((layer[key].astype(np.float64) ** 2).sum()) for key in ("weights", "gradient", "update")]
        assert (norm, gradient) == pytest.approx(norms[:2], rel=1e-3)
        assert ratio == pytest.approx(norms[2] / norms[0], rel=1e-2)


def test_a_dead_unit_is_counted_and_one_that_is_always_on(run_folder):
    run = runs.load(run_folder)
    [(images, labels)] = data.batches(run.splits().validation, run.config)
    state = run.state()
    state.biases["b1"].assign([-1e3, 1e3, 0, 0, 0, 0, 0, 0])
    layer = layers.examine(state, dataclasses.replace(run.config, label_smoothing=0.0), images, labels)["h1"]
    assert (layer["on"][0], layer["on"][1]) == (0, 1)
    assert (layer["activations"][:, 0] == 0).all()
