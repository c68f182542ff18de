"""The commands that start from a dataset or a finished run: what they print, write and refuse."""

import csv
import json
import os
import re
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from conftest import command, make_arrays, needs_mnist, prepared_mnist, start
from PIL import Image, ImageDraw, ImageFont

from mlp_tf import UserError, evaluate, export, figures, pictures, plot, predict, show_data, sweep

DOORS = [evaluate, export, plot, predict, show_data, sweep]


@pytest.fixture(scope="module")
def run_folder(npz, tmp_path_factory):
    """A finished run on the small dataset, trained in a process of its own."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    flags = {"dataset": npz, "validation_size": 40, "hidden": "8,4", "batch_size": 10, "epochs": 20}
    flags |= {"learning_rate": 0.01, "workdir": folder}
    assert command("mlp_tf.train", *(f"--{k}={v}" for k, v in flags.items())).code == 0
    return folder


@pytest.fixture
def door(capfd):
    """Runs a command in this process."""
    from conftest import Outcome

    from mlp_tf import door

    def run(module, *words):
        capfd.readouterr()
        options = {"takes_words": True} if module is predict else {}
        name = module.__name__.removeprefix("mlp_tf.")
        code = door.enter(module.main, module.__doc__, module.define_flags, [name, *map(str, words)], **options)
        return Outcome(code, *capfd.readouterr())

    return run


def logits(folder, images):
    """What the newest checkpoint of a run of 64-8-4-3 predicts, in NumPy and float64."""
    import oracle
    import tensorflow as tf

    newest = max((folder / "checkpoints").iterdir())
    reader = tf.train.load_checkpoint(str(newest / "state"))

    def read(kind, names):
        return {name: reader.get_tensor(f"{kind}/{name}/.ATTRIBUTES/VARIABLE_VALUE") for name in names}

    weights, biases = read("weights", ("h1", "h2", "out")), read("biases", ("b1", "b2", "out"))
    return oracle.forward(images.reshape(len(images), -1) / 255.0, weights, biases)[-1]


@pytest.mark.parametrize("module", DOORS, ids=lambda module: module.__name__)
def test_help_is_answered_without_tensorflow(module):
    words = [sys.executable, "-X", "importtime", "-m", module.__name__, "--help"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0
    assert f"python -m {module.__name__}" in done.stdout
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert not imported & {"tensorflow", "numpy", "matplotlib", "PIL"}


@pytest.mark.parametrize("module", [evaluate, plot, predict], ids=lambda module: module.__name__)
@pytest.mark.parametrize("given", [[], ["--workdir=nosuch"]])
def test_a_missing_run_is_one_line(door, module, given):
    outcome = door(module, *given, *(["x.png"] if module is predict else []))
    assert outcome.code == 1
    assert "--workdir" in outcome.error


def test_evaluate_equals_numpy_in_float64(door, run_folder, arrays):
    outcome = door(evaluate, f"--workdir={run_folder}")
    assert (outcome.code, outcome.err) == (0, "")
    guesses, labels = logits(run_folder, arrays["x_test"]).argmax(axis=1), arrays["y_test"]
    lines = outcome.out.splitlines()
    assert f"Accuracy: {(guesses == labels).mean():.4f}" in lines
    results = json.loads((run_folder / "results.json").read_text())
    assert f"Cost: {results['test_cost']:.4f}" in lines
    table = [[int(word) for word in line.split()] for line in lines[-3:]]
    for c in range(3):
        assert table[c] == [c, *(int(((labels == c) & (guesses == p)).sum()) for p in range(3))]
    train = (logits(run_folder, arrays["x_train"][:200]).argmax(axis=1) == arrays["y_train"][:200]).mean()
    test = (guesses == labels).mean()
    assert f"Gap: {train - test:.4f} (training {train:.4f} - test {test:.4f})" in lines


@pytest.mark.parametrize(("split", "count"), [("train", 200), ("validation", 40)])
def test_evaluate_takes_other_splits(door, run_folder, split, count):
    assert f"Split: {split}, {count} images" in door(evaluate, f"--workdir={run_folder}", f"--split={split}").out


def test_evaluate_of_a_split_that_was_not_held_out_is_refused(door, train, small, tmp_path):
    train(*small(validation_size=0))
    outcome = door(evaluate, f"--workdir={tmp_path / 'run'}", "--split=validation")
    assert "held no images out" in outcome.error


def test_evaluate_draws_confusion_and_mistakes(door, train, small, tmp_path):
    train(*small(epochs=1))
    outcome = door(evaluate, f"--workdir={tmp_path / 'run'}", "--plots")
    for name in ("confusion.png", "mistakes.png"):
        assert f"Picture: {tmp_path / 'run' / name}" in outcome.out
        assert Image.open(tmp_path / "run" / name).width == 800


def test_evaluate_of_data_that_changed_is_refused(door, train, small, tmp_path):
    np.savez(tmp_path / "a.npz", **make_arrays(seed=0))
    train(*small(dataset=tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", **make_arrays(seed=1))
    assert "is not the data that the run was trained on" in door(evaluate, f"--workdir={tmp_path / 'run'}").error


def test_a_finished_run_whose_last_checkpoint_is_damaged_is_not_evaluated_from_an_older_one(
    door, train, small, tmp_path
):
    train(*small())
    newest = max((tmp_path / "run/checkpoints").iterdir())
    (newest / "state.index").write_bytes(b"damaged")
    for module in (evaluate, export, predict):
        more = {export: [f"--export_dir={tmp_path / 'model'}"], predict: [tmp_path / "a.png"]}.get(module, [])
        digit(40, 4).save(tmp_path / "a.png")
        outcome = door(module, f"--workdir={tmp_path / 'run'}", *more)
        assert outcome.code == 1
        assert "its results are of 3 epochs, but the newest whole checkpoint has 0" in outcome.error


def test_a_run_is_evaluated_from_any_folder(door, train, small, tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", **make_arrays())
    monkeypatch.chdir(tmp_path)
    assert train(*small(dataset="a.npz")).code == 0
    monkeypatch.chdir("/")
    assert door(evaluate, f"--workdir={tmp_path / 'run'}").code == 0
    (tmp_path / "moved").mkdir()
    (tmp_path / "a.npz").rename(tmp_path / "moved/a.npz")
    assert door(evaluate, f"--workdir={tmp_path / 'run'}", f"--data_dir={tmp_path / 'moved'}").code == 0


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_images_of_any_number_of_channels_are_drawn(door, tmp_path, channels):
    arrays = {k: np.stack([v] * channels, -1) if k.startswith("x") else v for k, v in make_arrays().items()}
    np.savez(tmp_path / "a.npz", **arrays)
    outcome = door(show_data, f"--dataset={tmp_path / 'a.npz'}", "--validation_size=40", f"--out={tmp_path}")
    assert (outcome.code, outcome.err) == (0, "")


def test_the_result_under_patience_is_the_best_epoch(door, train, small, tmp_path):
    arrays = make_arrays()
    arrays["y_train"] = np.random.default_rng(0).integers(0, 3, 240)
    np.savez(tmp_path / "noise.npz", **arrays)
    train(*small(dataset=tmp_path / "noise.npz", patience=3, epochs=100, hidden="64,64"))
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert f"Cost: {results['test_cost']:.4f}" in door(evaluate, f"--workdir={tmp_path / 'run'}").out


def test_show_data_prints_counts_and_ranges_and_draws_samples(door, npz, arrays, tmp_path):
    outcome = door(show_data, f"--dataset={npz}", "--validation_size=40", f"--out={tmp_path}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "train: images uint8 [200, 8, 8], labels int32 [200]" in outcome.out
    assert (
        f"pixels {arrays['x_test'].min()} to {arrays['x_test'].max()}, mean {arrays['x_test'].mean():.1f}"
        in outcome.out
    )
    assert "images of each class: 0: 21, 1: 20, 2: 20" in outcome.out
    assert Image.open(tmp_path / "samples.png").width == 800


def test_show_data_draws_the_images_as_the_first_epoch_sees_them(door, npz, arrays, tmp_path, monkeypatch):
    from mlp_tf import data, warp

    shown, draw = [], figures.image_grid
    monkeypatch.setattr(figures, "image_grid", lambda images, *more: draw(shown.append(images) or images, *more))
    flags = "--deskew", "--distort=1", "--elastic=0.5", "--seed=3"
    assert door(show_data, f"--dataset={npz}", "--validation_size=40", f"--out={tmp_path}", *flags).code == 0
    expected = data.distort(warp.deskew(arrays["x_train"][:200]), 3, 0, 1.0, 0.5)
    np.testing.assert_array_equal(shown, [expected[:50]])


def test_plot_draws_curves_of_several_runs_and_the_first_layer(door, run_folder, train, small, tmp_path):
    train(*small())
    outcome = door(plot, f"--workdir={run_folder}", f"--workdir={tmp_path / 'run'}", f"--out={tmp_path}")
    assert (outcome.code, outcome.err) == (0, "")
    for name in ("curves.png", "weights.png"):
        assert Image.open(tmp_path / name).width == 800


def test_plot_takes_a_run_named_twice_and_asks_where_several_go(door, run_folder, train, small, tmp_path):
    train(*small())
    assert door(plot, f"--workdir={run_folder}", f"--workdir={run_folder}", "--weights=false").code == 0
    outcome = door(plot, f"--workdir={run_folder}", f"--workdir={tmp_path / 'run'}")
    assert "--out=FOLDER" in outcome.error


def test_plot_of_curves_never_imports_tensorflow(run_folder, tmp_path):
    words = [sys.executable, "-X", "importtime", "-m", "mlp_tf.plot", f"--workdir={run_folder}", f"--out={tmp_path}"]
    done = subprocess.run([*words, "--weights=false"], capture_output=True, text=True)
    assert done.returncode == 0
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "matplotlib.figure" in imported
    assert not imported & {"tensorflow", "matplotlib.pyplot"}


def test_curves_mark_the_best_epoch():
    rows = [{"epoch": e, "cost": 1 / e, "val_cost": abs(e - 3) + 0.5, "val_accuracy": e / 10} for e in range(1, 6)]
    costs, accuracies = figures.curves({"run": rows}).axes
    [mark] = [line for line in costs.lines if line.get_marker() == "o"]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([3], [0.5])
    assert [line.get_ydata()[-1] for line in accuracies.lines] == [50, 30]


def test_weights_share_one_scale_that_is_symmetric_about_0():
    weights = np.linspace(-0.5, 2.0, 4 * 6).reshape(4, 6)
    figure = figures.first_layer(weights, (2, 2), "title")
    limits = {image.get_clim() for axis in figure.axes[:6] for image in axis.get_images()}
    assert limits == {(-2.0, 2.0)}


def test_a_confusion_matrix_is_coloured_by_the_share_of_its_row():
    axis = figures.confusion(np.array([[8, 2], [0, 0]]), "title").axes[0]
    np.testing.assert_array_equal(axis.get_images()[0].get_array(), [[0.8, 0.2], [0, 0]])
    assert [text.get_text() for text in axis.texts] == ["8", "2", "0", "0"]


def digit(size=28, stroke=3, dark_on_light=True, at=(0.5, 0.5)):
    """A 2 of three straight strokes."""
    picture = Image.new("L", (size, size), 255 if dark_on_light else 0)
    x, y, r = at[0] * size, at[1] * size, size * 0.22
    points = [(x - r, y - 1.2 * r), (x + r, y - 1.2 * r), (x - r, y + 1.2 * r), (x + r, y + 1.2 * r)]
    ImageDraw.Draw(picture).line(points, fill=0 if dark_on_light else 255, width=stroke)
    return picture


def prepare(picture, tmp_path, name="a.png"):
    picture.save(tmp_path / name)
    return pictures.read(tmp_path / name, 28, 28)


@pytest.mark.parametrize("size", [40, 200, 1000])
@pytest.mark.parametrize("dark_on_light", [True, False])
@pytest.mark.parametrize("at", [(0.5, 0.5), (0.3, 0.65)])
def test_a_picture_is_fitted_into_20_by_20_bright_on_dark_with_its_mass_in_the_middle(
    tmp_path, size, dark_on_light, at
):
    seen = prepare(digit(size, max(2, size // 15), dark_on_light, at), tmp_path)
    assert seen.dtype == np.uint8
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 == 20
    assert seen.max() == 255
    y, x = (np.average(np.arange(28), weights=seen.sum(axis=1 - axis)) for axis in (0, 1))
    assert abs(y - 14) < 0.6  # whole pixels, and the mass is that before rounding to 256 levels
    assert abs(x - 14) < 0.6


@pytest.mark.parametrize("values", [np.uint16, np.int32, np.float32], ids=["I;16", "I", "F"])
def test_pictures_of_more_than_8_bits_keep_their_contrast(tmp_path, values):
    grey = np.asarray(digit(200, 15)).astype(values) * (257 if values == np.uint16 else 1)
    name = "a.png" if values == np.uint16 else "a.tif"
    np.testing.assert_array_equal(prepare(Image.fromarray(grey), tmp_path, name), prepare(digit(200, 15), tmp_path))


def test_a_thin_stroke_in_a_large_picture_is_thickened(tmp_path):
    seen = [prepare(digit(size, stroke), tmp_path).astype(int) for size, stroke in ((3000, 2), (300, 20))]
    assert (seen[0] > 100).sum() > 0.4 * (seen[1] > 100).sum()


def test_where_and_how_large_a_digit_is_drawn_hardly_matters(tmp_path):
    one = prepare(digit(280, 24), tmp_path).astype(int)
    other = prepare(digit(560, 48, False, (0.4, 0.6)), tmp_path).astype(int)
    # Whole pixels: the centre of mass may round to either side. Two different digits are more than 30 apart.
    shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    assert min(np.abs(one - np.roll(other, shift, (0, 1))).mean() for shift in shifts) < 8


def test_transparent_pixels_are_paper_whatever_the_ink(tmp_path):
    plain = prepare(digit(200, 15), tmp_path)
    for ink in (0, 255):
        alpha = Image.eval(digit(200, 15), lambda v: 255 - v)
        picture = Image.merge("RGBA", [Image.new("L", (200, 200), ink)] * 3 + [alpha])
        np.testing.assert_array_equal(prepare(picture, tmp_path), plain)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "P", "1", "CMYK"])
def test_formats_and_modes_are_read(tmp_path, name, mode):
    if mode in {"a.jpg": ("P", "1", "LA"), "a.bmp": ("LA", "CMYK"), "a.png": ("CMYK",), "a.gif": ("CMYK",)}[name]:
        pytest.skip(f"{name} has no such mode")
    seen = prepare(digit(200, 15).convert(mode), tmp_path, name).astype(int)
    assert np.abs(seen - prepare(digit(200, 15), tmp_path)).mean() < 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: Image.new("L", (30, 30), 7).save(path), "all of one colour"),
        (lambda path: Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(path), "all of one colour"),
        (lambda path: path.write_bytes(b""), "not a picture that can be read"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n torn"), "not a picture that can be read"),
        (lambda path: Image.new("1", (10_000, 10_000)).save(path), "10000 x 10000 pixels; must be at most 50,000,000"),
        (lambda path: Image.new("1", (30_000, 30_000)).save(path), "too large; must be at most 50,000,000 pixels"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: None, "No such file or directory"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_that_shows_nothing_gets_a_clear_message(tmp_path, make, message):
    make(tmp_path / "a.png")
    with pytest.raises(UserError, match=message):
        pictures.read(tmp_path / "a.png", 28, 28)


def test_predict_goes_on_after_a_bad_file_and_ends_with_1(door, run_folder, arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(arrays["x_test"][0]).resize((80, 80), 0).save("good.png")
    (tmp_path / "bad.png").write_text("no picture")
    outcome = door(predict, f"--workdir={run_folder}", "--show", "good.png", "bad.png", "good.png")
    assert outcome.code == 1
    assert outcome.err.count("bad.png: not a picture") == 1
    [first, second] = outcome.out.splitlines()
    assert first == second
    assert re.fullmatch(r"good\.png: (\d)   \1: [01]\.\d{4}  \d: [01]\.\d{4}  \d: [01]\.\d{4}", first)
    assert Image.open("predictions.png").width == 800


def test_predict_prints_json(door, run_folder, arrays, tmp_path):
    Image.fromarray(arrays["x_test"][0]).resize((80, 80), 0).save(tmp_path / "a.png")
    answer = json.loads(door(predict, f"--workdir={run_folder}", "--json", tmp_path / "a.png").out)
    assert answer["file"] == str(tmp_path / "a.png")
    assert [answer["class"], answer["probability"]] == list(answer["top"][0].values())
    assert sum(top["probability"] for top in answer["top"]) == pytest.approx(1, abs=1e-6)


def test_predict_without_pictures_says_so(door, run_folder):
    assert "no picture given" in door(predict, f"--workdir={run_folder}").error


def test_export_is_compared_in_a_fresh_process_and_never_overwrites(door, run_folder, arrays, tmp_path):
    flags = [f"--workdir={run_folder}", f"--export_dir={tmp_path / 'new/model'}"]
    outcome = door(export, *flags)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Compared: 61 test images, equal classes" in outcome.out
    assert os.listdir(tmp_path / "new") == ["model"]
    import tensorflow as tf

    answers = tf.saved_model.load(str(tmp_path / "new/model")).signatures["serving_default"](images=arrays["x_test"])
    exact = logits(run_folder, arrays["x_test"])
    np.testing.assert_array_equal(answers["classes"], exact.argmax(axis=1))
    softmax = np.exp(exact) / np.exp(exact).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answers["probabilities"], softmax, atol=1e-5)
    assert "is there already; give a new folder" in door(export, *flags).error


@pytest.mark.slow
def test_a_deskewed_run_takes_raw_images_in_evaluation_and_export(door, small, arrays, tmp_path):
    import tensorflow as tf

    from mlp_tf import config, train, warp
    from mlp_tf import door as doors

    flags = small(workdir=tmp_path / "run")
    assert doors.enter(train.main, train.__doc__, config.define_flags, ["train", *map(str, flags), "--deskew"]) == 0
    assert door(export, f"--workdir={tmp_path / 'run'}", f"--export_dir={tmp_path / 'model'}").code == 0
    exact = logits(tmp_path / "run", warp.deskew(arrays["x_test"]).numpy())
    assert not np.allclose(exact, logits(tmp_path / "run", arrays["x_test"]), atol=1e-3)
    answers = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"](images=arrays["x_test"])
    np.testing.assert_array_equal(answers["classes"], exact.argmax(axis=1))
    accuracy = (exact.argmax(axis=1) == arrays["y_test"]).mean()
    assert f"Accuracy: {accuracy:.4f}" in door(evaluate, f"--workdir={tmp_path / 'run'}").out


def test_an_export_that_predicts_something_else_is_not_made(door, run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    outcome = door(export, f"--workdir={run_folder}", f"--export_dir={tmp_path / 'new/model'}")
    assert outcome.code == 1
    assert "nothing was exported" in outcome.error
    assert os.listdir(tmp_path / "new") == []


@pytest.mark.slow
def test_each_command_works_on_the_sample_in_a_process_of_its_own(tmp_path):
    data, where = ["--dataset=mnist_sample", "--epochs=2"], f"--workdir={tmp_path / 'run'}"
    digit(60, 5).save(tmp_path / "a.png")
    for words, said in [
        (["mlp_tf.train", "--hidden=32,16", *data, where], "Accuracy: "),
        (["mlp_tf.evaluate", where, "--plots"], "Confusion matrix"),
        (["mlp_tf.predict", where, tmp_path / "a.png"], "a.png: "),
        (["mlp_tf.export", where, f"--export_dir={tmp_path / 'model'}"], "Compared: 500 test images"),
        (["mlp_tf.plot", where], "curves.png"),
        (["mlp_tf.show_data", "--dataset=mnist_sample", f"--out={tmp_path}"], "0: 400, 1: 400"),
        (["mlp_tf.sweep", "--hidden=4", "--seeds=1", *data, f"--workdir={tmp_path / 'sweep'}"], "sweep.csv"),
    ]:
        outcome = command(*words)
        assert (outcome.code, outcome.err) == (0, ""), words
        assert said in outcome.out


@pytest.mark.slow
def test_a_sweep_that_is_stopped_goes_on(npz, tmp_path):
    import signal
    import time

    flags = sweep_flags(npz, tmp_path / "sweep", "--epochs=2000")
    process = start("mlp_tf.sweep", *flags)
    while not (tmp_path / "sweep/4/seed-1/checkpoints").exists():
        time.sleep(0.05)
        assert process.poll() is None
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "to go on: the same command again" in err
    kept = (tmp_path / "sweep/4/seed-0/results.json").stat().st_mtime_ns
    outcome = command("mlp_tf.sweep", *flags)
    assert (outcome.code, outcome.err) == (0, "")
    assert (tmp_path / "sweep/4/seed-0/results.json").stat().st_mtime_ns == kept


@pytest.mark.slow
def test_saved_model_cli_runs_the_export(door, run_folder, arrays, tmp_path):
    door(export, f"--workdir={run_folder}", f"--export_dir={tmp_path / 'model'}")
    np.save(tmp_path / "images.npy", arrays["x_test"][:4])
    words = ["run", "--dir", tmp_path / "model", "--tag_set", "serve", "--signature_def", "serving_default"]
    cli = [os.path.join(os.path.dirname(sys.executable), "saved_model_cli"), *words]
    done = subprocess.run([*cli, "--inputs", f"images={tmp_path / 'images.npy'}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Result for output key classes" in done.stdout


def sweep_flags(npz, folder, *more):
    flags = [f"--dataset={npz}", "--validation_size=40", "--batch_size=10", "--epochs=2", f"--workdir={folder}"]
    return [*flags, "--hidden=4", "--hidden=8,4", "--seeds=2", *more]


def test_sweep_prints_a_row_a_network_and_writes_csv_and_picture(door, npz, tmp_path):
    outcome = door(sweep, *sweep_flags(npz, tmp_path / "sweep"))
    assert (outcome.code, outcome.err) == (0, "")
    assert len(outcome.out.splitlines()) == 1 + 2 + 2
    rows = list(csv.DictReader((tmp_path / "sweep/sweep.csv").open()))
    assert [(row["hidden"], row["parameters"], row["units"], row["seeds"]) for row in rows] == [
        ("4", "275", "4", "2"),
        ("8-4", "571", "12", "2"),
    ]
    results = [json.loads((tmp_path / f"sweep/8-4/seed-{s}/results.json").read_text()) for s in (0, 1)]
    accuracies = [result["test_accuracy"] for result in results]
    assert float(rows[1]["test_accuracy"]) == pytest.approx(np.mean(accuracies))
    assert float(rows[1]["test_std"]) == pytest.approx(np.std(accuracies, ddof=1))
    assert Image.open(tmp_path / "sweep/sweep.png").width == 800


@pytest.mark.slow
def test_a_sweep_started_again_trains_only_what_is_missing(door, npz, tmp_path):
    flags = sweep_flags(npz, tmp_path / "sweep")
    first = door(sweep, *flags).out
    kept, missing = (tmp_path / f"sweep/4/seed-{s}/results.json" for s in (0, 1))
    before = kept.stat().st_mtime_ns
    missing.unlink()
    again = door(sweep, *flags)
    assert [line.split()[:-1] for line in again.out.splitlines()] == [line.split()[:-1] for line in first.splitlines()]
    assert kept.stat().st_mtime_ns == before
    assert missing.exists()


def test_a_failing_network_becomes_a_row_that_says_so(door, npz, tmp_path):
    outcome = door(sweep, *sweep_flags(npz, tmp_path / "sweep", "--optimizer=sgd", "--learning_rate=1e30"))
    assert outcome.code == 1
    assert outcome.out.count("failed: cost is not finite in epoch 1") == 2
    rows = list(csv.DictReader((tmp_path / "sweep/sweep.csv").open()))
    assert all("not finite" in row["note"] for row in rows)


def test_the_published_sweep_is_a_recipe():
    from absl import flags
    from conftest import ROOT

    values = flags.FlagValues()
    sweep.define_flags(values)
    values(["sweep", f"--flagfile={ROOT / 'mlp_tf/recipes/sweep_sigmoid.flags'}"])
    assert values["hidden"].value == ["10", "25", "50", "100", "150", "200"]
    assert (values["epochs"].value, values["batch_size"].value, values["activation"].value) == (20, 128, "sigmoid")


@pytest.mark.parametrize("words", [["--hidden=4,x"], ["--hidden=4", "--hidden=0"], []])
def test_sweep_refuses_a_network_that_is_none(door, npz, tmp_path, words):
    outcome = door(sweep, f"--dataset={npz}", f"--workdir={tmp_path / 'sweep'}", *words)
    assert outcome.code == 1
    assert "--hidden" in outcome.error
    assert not (tmp_path / "sweep").exists()


def test_tensorboard_reads_cost_and_accuracy_of_train_and_validation(train, small, tmp_path):
    import tensorflow as tf
    from tensorboard.backend.event_processing import event_accumulator

    train(*small(epochs=2), "--tensorboard")
    train(*small(epochs=3), "--tensorboard")  # goes on, and shows each epoch once
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    for split, cost, accuracy in (("train", "cost", "train_accuracy"), ("validation", "val_cost", "val_accuracy")):
        events = event_accumulator.EventAccumulator(str(tmp_path / "run/tensorboard" / split)).Reload()
        for tag, key in (("cost", cost), ("accuracy", accuracy)):
            seen = [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]
            assert seen == [(row["epoch"], pytest.approx(row[key], rel=1e-6)) for row in rows]


def test_without_tensorboard_the_flag_names_the_extra_before_training(train, small, tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "tensorboard" else find(name, *a))
    outcome = train(*small(), "--tensorboard")
    assert outcome.code == 1
    assert "[tensorboard]" in outcome.error
    assert not (tmp_path / "run").exists()


FONT_FOLDER = os.path.join(matplotlib.get_data_path(), "fonts/ttf")
FONTS = ["DejaVuSans.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Italic.ttf", "DejaVuSansMono.ttf"]


@pytest.fixture(scope="module")
def trained_on_mnist(tmp_path_factory):
    """(a run on full MNIST, its test split)."""
    from mlp_tf import checkpoint, data, run, trained
    from mlp_tf.config import Config

    path, splits = tmp_path_factory.mktemp("mnist") / "run", data.load("mnist", prepared_mnist())
    with checkpoint.locked(path) as directory:
        for _ in run.train(run.start(Config(epochs=8), directory, splits), lambda: False):
            pass
    return trained.load(path), splits.test


def accuracy(result, images, labels):
    from mlp_tf import trained

    return (trained.probabilities(result, np.stack(images)).argmax(axis=1) == labels).mean()


@pytest.mark.slow
@needs_mnist
def test_mnists_own_test_images_as_pictures_lose_at_most_a_point(trained_on_mnist, tmp_path):
    """Written to PNG, inverted, padded and enlarged, then read back."""
    result, test = trained_on_mnist
    images, labels = test.images[:3000], test.labels[:3000]
    seen = []
    for i, image in enumerate(images):
        padded = Image.new("L", (300, 220), 255)
        enlarged = Image.fromarray(255 - image).resize((140, 140), Image.Resampling.BICUBIC)
        padded.paste(enlarged, (7 * (i % 20), 4 * (i % 20)))
        seen.append(prepare(padded, tmp_path))
    assert accuracy(result, seen, labels) > accuracy(result, images, labels) - 0.01


@pytest.mark.slow
@needs_mnist
def test_digits_drawn_with_system_fonts_are_read_at_40_to_1000_pixels(trained_on_mnist, tmp_path):
    """Dark on light and light on dark, off centre; the fonts come with matplotlib, so every machine has them."""
    seen, labels = [], []
    for font in FONTS:
        for size in (40, 100, 300, 1000):
            face = ImageFont.truetype(os.path.join(FONT_FOLDER, font), int(size * 0.55))
            for digit in range(10):
                for paper in (0, 255):
                    picture = Image.new("L", (size, size), paper)
                    where = (size * 0.08 * (digit % 5), size * 0.25)
                    ImageDraw.Draw(picture).text(where, str(digit), font=face, fill=255 - paper)
                    seen.append(prepare(picture, tmp_path))
                    labels.append(digit)
    assert accuracy(trained_on_mnist[0], seen, np.array(labels)) > 0.9
