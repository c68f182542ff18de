"""The show_data command: the dataset as training sees it, in words and in a plot."""

import json

import numpy as np
import pytest
from helpers import make_arrays
from PIL import Image

from mlp_tf import figures, show_data
from mlp_tf.config import Config
from mlp_tf.data import load


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_images_of_any_number_of_channels_are_drawn(run, tmp_path, channels):
    arrays = make_arrays(train=24, test=6)
    colored = {k: np.stack([v] * channels, -1) if k.startswith("x") else v for k, v in arrays.items()}
    np.savez(tmp_path / "a.npz", **colored)
    outcome = run(show_data, f"--dataset={tmp_path / 'a.npz'}", "--validation_size=4", f"--out={tmp_path}")
    assert (outcome.code, outcome.err) == (0, "")
    assert Image.open(tmp_path / "samples-a.npz.png").width == 1200


def test_show_data_prints_counts_and_ranges_and_draws_samples(run, npz, arrays, tmp_path):
    outcome = run(show_data, f"--dataset={npz}", "--validation_size=40", f"--out={tmp_path}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "train: uint8 [200, 8, 8]" in outcome.out
    test = arrays["x_test"]
    assert f"pixels {test.min()} to {test.max()}, mean {test.mean():.4g}" in outcome.out
    assert "examples of each class: 0: 21, 1: 20, 2: 20" in outcome.out
    plot = tmp_path / "samples-small.npz.png"
    assert Image.open(plot).width == 1200
    assert outcome.out.endswith(f"\nPlot: {plot}\n")
    as_json = run(show_data, f"--dataset={npz}", "--validation_size=40", f"--out={tmp_path}", "--json").out
    assert json.loads(as_json)["plot"] == str(plot)


def test_show_data_draws_the_images_as_the_first_epoch_sees_them(run, npz, tmp_path, monkeypatch):
    from mlp_tf.data.augmentation import deskew, distort

    shown, draw = [], figures.plot_images

    def draw_first(images, captions, title):
        shown.append(images)
        return draw(images[:1], captions[:1], title)

    monkeypatch.setattr(figures, "plot_images", draw_first)
    flags = "--deskew", "--distort=1", "--elastic=0.5", "--seed=3"
    assert run(show_data, f"--dataset={npz}", "--validation_size=40", f"--out={tmp_path}", *flags).code == 0
    config = Config(seed=3, distort=1.0, elastic=0.5)
    images = load(npz, validation_size=40).train.images
    expected = distort(deskew(images).numpy(), config, epoch=0)
    rows = np.linspace(0, 199, 50).astype(int)
    np.testing.assert_array_equal(shown, [expected.numpy()[rows]])
    [plot] = tmp_path.iterdir()
    assert plot.name == "samples-small.npz_deskew_distort=1.0_elastic=0.5_seed=3.png"
