"""The user's own data from file to prediction: float arrays, a table, a folder of pictures; what is said of them."""

import json

import numpy as np
import pytest
from helpers import CLASSES, feature_probabilities, make_arrays, tensors
from PIL import Image

from mlp_tf import data, evaluate, export, plot, predict, runs, show_data, sweep
from mlp_tf import train as train_command
from mlp_tf.config import Config

FLAGS = ["--hidden=8,4", "--batch_size=10", "--epochs=20", "--learning_rate=0.01"]


def blobs(rows, seed=0):
    """Rows of three features, of which the first tells the class and the last is constant; and labels in words."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 3, rows)
    x = np.column_stack([numbers * 1000.0 + rng.normal(size=rows), rng.normal(size=rows), np.full(rows, 7.0)])
    return x, np.array(["red", "green", "blue"])[numbers]


@pytest.fixture
def float_run(train, tmp_path):
    """A run on float rows whose labels are words: 240 to train and validate, 60 to test."""
    (x, y), (x_test, y_test) = blobs(240), blobs(60, seed=1)
    np.savez(tmp_path / "blobs.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    outcome = train(f"--dataset={tmp_path / 'blobs.npz'}", *FLAGS, f"--workdir={tmp_path / 'run'}")
    assert outcome.code == 0
    assert outcome.err == "note: 24 of the 240 training rows are held out for validation; --validation_size=N sets it\n"
    return tmp_path / "run"


def test_float_rows_are_standardized_in_training_evaluation_and_export(run, float_run, tmp_path, monkeypatch):
    x, y = blobs(60, seed=1)
    splits = data.load(str(tmp_path / "blobs.npz"))
    assert splits.class_names == ("blue", "green", "red")
    expected = feature_probabilities(float_run, x, splits.train.images.astype(np.float64))
    guesses = np.array(splits.class_names)[expected.argmax(axis=1)]
    report = json.loads(run(evaluate, f"--workdir={float_run}", "--json").out)
    assert report["accuracy"] == report["test_accuracy"] == (guesses == y).mean() > 0.9
    right = [(guesses[y == name] == name).sum() for name in splits.class_names]
    assert [(each["name"], each["correct"]) for each in report["classes"]] == list(
        zip(splits.class_names, right, strict=True)
    )
    monkeypatch.setattr(export, "compare", lambda *arguments: 0.0)  # with NumPy, here
    outcome = run(export, f"--workdir={float_run}", f"--export_dir={tmp_path / 'model'}")
    assert "Compared: 60 test examples" in outcome.out
    import tensorflow as tf

    model = tf.saved_model.load(str(tmp_path / "model"))
    assert model.class_names.numpy().tolist() == [b"blue", b"green", b"red"]
    serve = model.signatures["serving_default"]
    served = serve(features=tf.constant(x, tf.float32))
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-4)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"tensor features \[60,2\] .* expected shape \[\?,3\]"):
        serve(features=tf.constant(x[:, :2], tf.float32))
    ours = runs.load(float_run).probabilities(x)  # float64, as it is
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_the_run_keeps_mean_deviation_and_class_names(float_run, tmp_path):
    config = json.loads((float_run / "config.json").read_text())
    x = data.load(str(tmp_path / "blobs.npz")).train.images.astype(np.float64)
    np.testing.assert_allclose(config["scaling"]["mean"], x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(config["scaling"]["std"], [*x.std(axis=0)[:2], 1], rtol=1e-9)
    assert config["data"]["class_names"] == ["blue", "green", "red"]


def test_a_float_run_goes_on_with_the_same_bits(train, float_run, tmp_path):
    flags = [f"--dataset={tmp_path / 'blobs.npz'}", *FLAGS, f"--workdir={tmp_path / 'other'}"]
    train(*[flag for flag in flags if "epochs" not in flag], "--epochs=7")
    assert train(f"--workdir={tmp_path / 'other'}", "--epochs=20").code == 0
    for name, value in tensors(float_run).items():
        np.testing.assert_array_equal(value, tensors(tmp_path / "other")[name], err_msg=name)


def test_what_float_rows_cannot_do_is_one_line(run, train, float_run, tmp_path):
    error = run(predict, f"--workdir={float_run}", "x.png").error
    assert "was trained on float32 of shape [3]; image files need a run that was trained on images, uint8" in error
    outcome = run(plot, f"--workdir={float_run}")
    assert (outcome.code, outcome.err) == (0, "weights: not drawn, as the examples are not images\n")
    refused = train(f"--dataset={tmp_path / 'blobs.npz'}", "--deskew", f"--workdir={tmp_path / 'new'}")
    assert "--deskew=True: needs images of height x width" in refused.err
    assert not (tmp_path / "new").exists()


@pytest.fixture
def pictures(tmp_path):
    """The small dataset as pictures in folders of classes, which are called one, three and two."""
    arrays = make_arrays()
    for kind in ("train", "test"):
        for i, (image, label) in enumerate(zip(arrays[f"x_{kind}"], arrays[f"y_{kind}"], strict=True)):
            path = tmp_path / "pictures" / kind / ("one", "two", "three")[label] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return tmp_path / "pictures"


def test_a_folder_of_pictures_is_trained_and_its_names_are_shown(run, train, pictures, tmp_path):
    outcome = train(f"--dataset={pictures}", *FLAGS, f"--workdir={tmp_path / 'run'}")
    assert outcome.code == 0
    assert "216 training, 24 validation, 61 test images of 8 x 8, 3 classes" in outcome.out
    shown = run(evaluate, f"--workdir={tmp_path / 'run'}", "--plots").out
    assert "one" in shown.splitlines()[7]
    [heads] = [line for line in shown.splitlines() if line.split() == ["one", "three", "two"]]
    assert heads.index("three") > heads.index("one")
    report = json.loads(run(evaluate, f"--workdir={tmp_path / 'run'}", "--json").out)
    own = sorted(pictures.glob("test/*/*.png"))
    answers = run(predict, f"--workdir={tmp_path / 'run'}", *own).out.splitlines()
    right = sum(line.split(": ")[1].split()[0] == path.parent.name for line, path in zip(answers, own, strict=True))
    assert right == sum(each["correct"] for each in report["classes"]) > 40  # as they are, they are the test images
    Image.fromarray(make_arrays()["x_test"][1]).resize((80, 80), 0).save(tmp_path / "a.png")
    assert run(predict, f"--workdir={tmp_path / 'run'}", tmp_path / "a.png").code == 0


def test_a_folder_of_colored_pictures_is_predicted_from_its_own(run, train, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(90):
        pixels = rng.integers(0, 100, (6, 5, 3)).astype(np.uint8)
        pixels[..., i % 3] += 100
        path = tmp_path / "colors" / ("red", "green", "blue")[i % 3] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    assert train(f"--dataset={tmp_path / 'colors'}", *FLAGS, f"--workdir={tmp_path / 'run'}").code == 0
    Image.new("RGB", (6, 5)).save(tmp_path / "wide.png")
    outcome = run(predict, f"--workdir={tmp_path / 'run'}", path, tmp_path / "wide.png")
    assert outcome.out.startswith(f"{path}: blue ")
    assert "wide.png: 6 x 5 pixels; must be 5 x 6, like the run's images" in outcome.error


def test_a_feature_that_float32_cannot_tell_apart_is_named(tmp_path):
    x, y = blobs(240)
    x[:, 1] = 1.7e9 + 20 * x[:, 1]  # seconds since 1970
    np.savez(tmp_path / "late.npz", x_train=x, y_train=y)
    [warning] = data.load(str(tmp_path / "late.npz")).suspicions
    assert warning.startswith("column 1 of x_train varies by little beside its size, and float32")
    lines = ["label,a,b,c", *(f"{label},{a!r},{b!r},{c!r}" for label, (a, b, c) in zip(y, x.tolist(), strict=True))]
    (tmp_path / "late.csv").write_text("\n".join(lines))
    assert data.load(str(tmp_path / "late.csv")).suspicions[0].startswith("column b varies by little")


def test_a_table_is_trained_and_its_test_split_is_held_out(train, tmp_path):
    x, y = blobs(240)
    lines = ["label,a,b,c", *(f"{label},{a!r},{b!r},{c!r}" for label, (a, b, c) in zip(y, x.tolist(), strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    outcome = train(f"--dataset={tmp_path / 't.csv'}", *FLAGS, f"--workdir={tmp_path / 'run'}")
    assert outcome.code == 0
    assert "Dataset: " in outcome.out
    assert "180 training, 20 validation, 40 test examples of 3, 3 classes" in outcome.out
    assert "note: there is no test split; 40 of the 240 rows are held out for it" in outcome.err
    assert json.loads((tmp_path / "run/results.json").read_text())["test_accuracy"] > 0.9


def few_steps(examples, **settings):
    """What `train` says of the number of steps."""
    return train_command._few_steps(Config(**settings), examples)


def test_too_few_steps_are_noted_with_flags_that_make_more():
    assert few_steps(113) == (
        "1 step an epoch, 15 in all, may be too few to learn from; give --batch_size=16 --epochs=60"
    )
    assert few_steps(50, batch_size=50).endswith("give --batch_size=16 --epochs=67")
    assert few_steps(200, batch_size=16).startswith("12 steps an epoch, 180 in all")
    for settings in ({"batch_size": 16, "epochs": 60}, {"batch_size": 10, "epochs": 3}):
        assert few_steps(113, **settings) == ""
    assert few_steps(4500) == few_steps(1400, epochs=15) == ""


def test_training_on_few_rows_says_so_once(train, tmp_path):
    """Costs two trainings of a second."""
    x, y = blobs(150)
    np.savez(tmp_path / "few.npz", x_train=x, y_train=y)
    flags = ["--hidden=4", f"--workdir={tmp_path / 'run'}"]
    outcome = train(f"--dataset={tmp_path / 'few.npz'}", *flags)
    assert "note: 1 step an epoch, 15 in all, may be too few to learn from; give --batch_size=16" in outcome.err
    assert "too few" not in train(*flags, "--epochs=16").err


def test_pixels_that_were_cast_to_nothing_are_warned_of(run, train, tmp_path):
    arrays = make_arrays()
    faint = {name: array // 128 if name.startswith("x") else array for name, array in arrays.items()}
    np.savez(tmp_path / "faint.npz", **faint)
    outcome = train(f"--dataset={tmp_path / 'faint.npz'}", *FLAGS, f"--workdir={tmp_path / 'run'}")
    assert (
        "WARNING: the largest pixel is 1, and pixels are divided by 255, so the inputs are almost zero" in outcome.err
    )
    report = json.loads(run(show_data, f"--dataset={tmp_path / 'faint.npz'}", "--json", f"--out={tmp_path}").out)
    assert report["warnings"][0].startswith("the largest pixel is 1")


def test_show_data_prints_one_json_object(run, npz, arrays, tmp_path):
    out = tmp_path / "new/folder"
    report = json.loads(run(show_data, f"--dataset={npz}", "--validation_size=40", "--json", f"--out={out}").out)
    assert report["dataset"] == npz
    assert report["class_names"] == ["0", "1", "2"]
    assert report["plot"] == str(out / "samples-small.npz.png")
    assert Image.open(out / "samples-small.npz.png").width == 1200
    test = report["splits"]["test"]
    assert (test["dtype"], test["shape"], test["examples"]) == ("uint8", [61, 8, 8], [21, 20, 20])
    assert test["mean"] == pytest.approx(arrays["x_test"].mean())
    assert [report["splits"][name]["shape"][0] for name in ("train", "validation")] == [200, 40]


def test_sweep_prints_one_json_object(run, small, tmp_path):
    flags = [flag for flag in small(tmp_path / "sweep", epochs=1) if not flag.startswith("--hidden")]
    report = json.loads(run(sweep, *flags, "--hidden=4", "--hidden=4,3", "--seeds=1", "--json").out)
    assert [row["hidden"] for row in report["networks"]] == ["4", "4,3"]
    assert report["networks"][0]["parameters"] == 64 * 4 + 4 + 4 * CLASSES + CLASSES
    assert (report["table"], report["plot"]) == tuple(str(tmp_path / f"sweep/sweep.{end}") for end in ("csv", "png"))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_predict_resizes_images_as_the_run_did(run, train, tmp_path, mode):
    """Costs two trainings of a second: a light half tells the class, and the images are not of the run's size."""
    for i in range(24):
        pixels = np.full((10, 6), 40 + i, np.uint8)
        pixels[:, 3 * (i % 2) : 3 * (i % 2) + 3] = 200
        path = tmp_path / "images" / "lr"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(path)
        if mode == "RGB":
            Image.merge("RGB", [Image.fromarray(pixels)] * 2 + [Image.fromarray(pixels // 2)]).save(path)
    flags = [f"--dataset={tmp_path / 'images'}", "--resize=8x8", "--hidden=8", "--batch_size=4", "--epochs=20"]
    assert train(*flags, f"--workdir={tmp_path / 'run'}").code == 0
    outcome = run(predict, f"--workdir={tmp_path / 'run'}", "--json", tmp_path / "images/l", tmp_path / "images/r")
    assert outcome.err == ""
    answers = [json.loads(line) for line in outcome.out.splitlines()]
    assert [each["name"] for each in answers] == 12 * ["l"] + 12 * ["r"]
