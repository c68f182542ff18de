"""Which examples are images and which features: by shape and values, and by --layout."""

import re

import numpy as np
import pytest

from mlp_tf import UserError, data
from mlp_tf.config import Config

SIDE = 8
PIXELS = np.random.default_rng(0).integers(0, 256, (60, SIDE, SIDE)).astype(np.uint8)
COLOR = np.random.default_rng(1).integers(0, 256, (60, SIDE, SIDE, 3)).astype(np.uint8)
ROWS = PIXELS.reshape(60, -1)
LABELS = np.arange(60) % 3


@pytest.fixture
def load(tmp_path):
    """Loads examples from an .npz file, as training and test split alike: (training examples in order, notes)."""

    def load_array(examples, layout="auto", test=None):
        test = examples if test is None else test
        np.savez(tmp_path / "a.npz", x_train=examples, y_train=LABELS, x_test=test, y_test=LABELS)
        splits = data.load(str(tmp_path / "a.npz"), validation_size=0, config=Config(layout=layout))
        return splits.train.images, splits.notes

    return load_array


@pytest.mark.parametrize(
    ("examples", "expected"),
    [
        (PIXELS.astype(np.int64), PIXELS),
        (PIXELS.astype(np.float64), PIXELS),
        (PIXELS.astype(np.float32)[..., None], PIXELS),
        (PIXELS[..., None], PIXELS),
        (COLOR.astype(np.int32), COLOR),
        (COLOR, COLOR),
    ],
    ids=lambda x: f"{x.dtype}{x.ndim}",
)
def test_whole_numbers_with_height_and_width_are_images(load, examples, expected):
    images, notes = load(examples)
    assert (images.dtype, notes) == (np.uint8, ())
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize(
    ("examples", "expected"),
    [
        (PIXELS / 255, PIXELS),
        ((PIXELS / 255).astype(np.float32), PIXELS),
        (PIXELS.astype(np.float32) * np.float32(1 / 255), PIXELS),
        (np.round(PIXELS / 255, 4), PIXELS),
        (COLOR / 255, COLOR),
        (PIXELS > 127, np.where(PIXELS > 127, 255, 0)),
    ],
    ids=lambda x: f"{x.dtype}{x.ndim}",
)
def test_fractions_of_255_become_pixels_and_a_note_says_so(load, examples, expected):
    images, [note] = load(examples)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, expected)
    assert re.match("the values are from 0 to 1, and are taken as pixels: 255 .* x as uint8; --layout=features", note)


@pytest.mark.parametrize(
    ("examples", "expected"), [(PIXELS[:, None], PIXELS), (np.moveaxis(COLOR, -1, 1), COLOR)], ids=["gray", "color"]
)
def test_channels_first_are_transposed_and_a_note_says_so(load, examples, expected):
    images, [note] = load(examples)
    np.testing.assert_array_equal(images, expected)
    assert note.endswith("H, W], and are transposed")


FEATURES = [
    (
        PIXELS + 1.0,
        "the values, 1 to 256, are taken as features; pixels are numbers from 0 to 255, or from 0 to 1",
        "256",
    ),
    (
        PIXELS - 1.0,
        "the values, -1 to 254, are taken as features; pixels are numbers from 0 to 255, or from 0 to 1",
        "-1",
    ),
    (PIXELS * 0.5, "the values, 0 to 127.5, are taken as features; --layout=images takes them as pixels", "halves"),
    (PIXELS // 16 / 1, "the values, 0 to 15, are taken as features; --layout=images takes them as pixels", "dark"),
    (PIXELS / 300, "the values, 0 to 0.85, are taken as features; --layout=images takes them as pixels", "no 255ths"),
    (ROWS / 1, "the rows are not taken as images; --layout=images makes images of 8 x 8 of them", "rows"),
    (ROWS[:, :49] / 1, "", "rows of 7 x 7"),
    (ROWS[:, :63] / 1, "", "63 columns"),
]


@pytest.mark.parametrize(("examples", "note"), [each[:2] for each in FEATURES], ids=[each[2] for each in FEATURES])
def test_all_else_are_features_and_a_note_names_the_flag(load, examples, note):
    examples = examples.astype(np.float64)
    found, notes = load(examples)
    np.testing.assert_array_equal(found, examples.astype(np.float32))
    assert notes == ((note,) if note else ())


def test_one_value_in_another_split_makes_all_features(load):
    test = PIXELS.astype(np.int64)
    test[59, 7, 7] = 256
    assert load(PIXELS.astype(np.int64), test=test)[0].dtype == np.float32


@pytest.mark.parametrize(
    ("examples", "expected", "notes"),
    [
        (ROWS, PIXELS, 0),
        (ROWS.astype(np.int64), PIXELS, 0),
        (ROWS / 255, PIXELS, 1),
        (PIXELS // 16 / 1, PIXELS // 16, 0),
        (np.round(PIXELS / 300, 3), np.rint(np.round(PIXELS / 300, 3) * 255), 1),
        (np.minimum(PIXELS, 254) + 0.25, np.minimum(PIXELS, 254), 1),
    ],
    ids=["uint8", "int64", "fractions", "dark", "rounded fractions", "rounded"],
)
def test_layout_images_makes_pixels_of_what_can_be(load, examples, expected, notes):
    images, said = load(examples, "images")
    assert (images.dtype, len(said)) == (np.uint8, notes)
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (ROWS[:, :63], "a.npz has 63 values in a row; must be a square number"),
        (PIXELS - 1.0, "a.npz holds values from -1 to 254; pixels are numbers from 0 to 255, or from 0 to 1"),
    ],
)
def test_layout_images_of_what_cannot_be_is_refused(load, examples, message):
    with pytest.raises(UserError, match=f"^--layout=images: .*{message}$"):
        load(examples, "images")


def test_layout_features_makes_rows_of_anything(load):
    for examples in (PIXELS, PIXELS / 255, ROWS):
        rows, notes = load(examples, "features")
        np.testing.assert_array_equal(rows, examples.reshape(60, -1).astype(np.float32))
        assert notes == ()


def test_a_layout_for_a_set_by_name_is_refused():
    with pytest.raises(UserError, match=r"^--layout=features: mnist_sample is a set of images; leave the flag out$"):
        data.load("mnist_sample", config=Config(layout="features"))


@pytest.mark.parametrize("first", ["label,pixel0", "label,1x1"])
def test_a_table_of_pixels_is_trained_as_images(train, run, tmp_path, first):
    """Costs two trainings, as what reads the data again must read images again."""
    from mlp_tf import evaluate

    names = [f"{i // 8 + 1}x{i % 8 + 1}" if "x1" in first else f"pixel{i}" for i in range(64)]
    lines = [",".join(["label", *names]), *(f"{y},{','.join(map(str, x))}" for x, y in zip(ROWS, LABELS, strict=True))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    flags = ["--hidden=4", "--batch_size=10", f"--dataset={tmp_path / 'a.csv'}", f"--workdir={tmp_path / 'run'}"]
    outcome = train(*flags, "--epochs=1")
    assert "images of 8 x 8, 3 classes" in outcome.out
    assert run(evaluate, f"--workdir={tmp_path / 'run'}").code == 0
    refused = train(*flags, "--epochs=2", "--layout=features")
    assert "--layout=features, but auto in the run" in refused.err


def test_a_run_reads_its_data_again_by_its_layout(train, run, tmp_path):
    from mlp_tf import evaluate

    np.savez(tmp_path / "a.npz", x_train=ROWS / 1, y_train=LABELS)
    flags = ["--hidden=4", "--batch_size=10", f"--workdir={tmp_path / 'run'}"]
    assert train(*flags, "--epochs=1", f"--dataset={tmp_path / 'a.npz'}", "--layout=images").code == 0
    assert run(evaluate, f"--workdir={tmp_path / 'run'}").code == 0
    assert "2 Epochs" in train(*flags, "--epochs=2").out
