"""What holds of every command: help without TensorFlow, one line for a missing run, and a process of its own."""

import csv
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT, bar, command, newest

from mlp_tf import by_hand, draw, evaluate, export, layers, plot, predict, show_data, sweep, train

COMMANDS = [by_hand, draw, evaluate, export, layers, plot, predict, show_data, sweep, train]
SAID = {  # on the small dataset
    by_hand: "Largest difference of a parameter: ",
    draw: "draw.html",
    evaluate: "Confusion matrix",
    export: "Compared: 61 test examples",
    layers: "layers.png",
    plot: "curves.png",
    predict: "a.png: ",
    show_data: "samples-small.npz.png",
    sweep: "sweep.csv",
    train: "Accuracy: ",
}
NEEDS = {export: ["--export_dir=new"], predict: ["x.png"]}  # besides a run
HEAVY = {"tensorflow", "numpy", "matplotlib", "PIL", "tqdm", "mlxtend", "tensorflow_datasets"}
USED = {by_hand: {"numpy"}}  # of these, by a module that is there to be read


def name_of(module):
    return module.__name__


@pytest.mark.parametrize("module", COMMANDS, ids=name_of)
def test_help_is_answered_without_tensorflow(module):
    words = [sys.executable, "-X", "importtime", "-m", module.__name__, "--help"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0
    assert f"python -m {module.__name__}" in done.stdout
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert imported & HEAVY == USED.get(module, set())


@pytest.mark.parametrize("module", [draw, evaluate, export, layers, plot, predict], ids=name_of)
@pytest.mark.parametrize("given", [[], ["--workdir=nosuch"]])
def test_a_missing_run_is_one_line(run, module, given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run(module, *given, *NEEDS.get(module, []))
    assert outcome.code == 1
    assert "--workdir" in outcome.error
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("module", [draw, export, layers], ids=name_of)
def test_a_command_for_one_run_refuses_several(run, module, run_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run(module, run_folder, "--workdir=other", *NEEDS.get(module, []))
    assert outcome.code == 1
    assert outcome.error == f"error: {run_folder}, other: 2 runs; this command takes 1 at a time"
    assert os.listdir(tmp_path) == []


def test_no_command_takes_a_finished_run_from_an_older_checkpoint(run, run_folder, arrays, tmp_path):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    (newest(folder) / "state.index").write_bytes(b"damaged")
    picture, model = tmp_path / "a.png", tmp_path / "model"
    bar(8, 8).save(picture)
    for module, more in ((draw, []), (evaluate, []), (export, [f"--export_dir={model}"]), (predict, [picture])):
        outcome = run(module, f"--workdir={folder}", *more)
        assert outcome.code == 1
        assert "its results are of 20 epochs, but the newest complete checkpoint has 0" in outcome.error


CLEAR = "\x1b[2J\x9b2J\a\b"  # what a terminal obeys
ODD = "".join(chr(code) for code in range(32, 127) if chr(code) != "/") + "\n é😀" + os.fsdecode(b"\xff") + CLEAR


def test_every_command_takes_a_folder_and_classes_of_any_name(run, small, arrays, tmp_path, monkeypatch):
    folder, pictures = tmp_path / ODD / "run", tmp_path / ODD / "$x_{$.png"
    folder.parent.mkdir()
    dataset = folder.parent / f"={CLEAR}.npz"
    names = np.array([f"={CLEAR}", "a\tb", "\r"])
    np.savez(dataset, **{key: names[array] if key.startswith("y") else array for key, array in arrays.items()})
    monkeypatch.chdir(folder.parent)
    flags = small(folder, dataset=dataset, epochs=1)
    outcomes = [run(train, *flags, "--tensorboard"), run(train, *flags, "--epochs=2"), run(show_data, *flags[:2])]
    bar(8, 8).save(pictures)
    given = f"--workdir={folder}"
    outcomes += [run(evaluate, given, "--plots"), run(plot, given), run(plot, given, given, f"--out={folder.parent}")]
    outcomes += [run(predict, given, "--show", pictures), run(export, given, f"--export_dir={folder.parent / 'model'}")]
    sweep_flags = small(folder.parent / "sweep", dataset=dataset, epochs=1, hidden="4")
    monkeypatch.setattr("mlp_tf.base.machine.memory", lambda: 10**9)  # too little for the larger network
    outcomes += [run(sweep, *sweep_flags, "--hidden=100000,100000", "--seeds=1") for _ in range(2)]
    assert [outcome.code for outcome in outcomes] == [*8 * [0], 1, 1], outcomes
    for outcome in outcomes:
        assert {char for char in outcome.out + outcome.err if not char.isprintable()} == {"\n"}
    with open(folder.parent / "sweep/sweep.csv") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert sum(r"/=\x1b[2J" in cell for cell in cells) == 2  # the dataset, in two rows
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))] == []  # a spreadsheet's formulas
    written = {"curves.png", "weights.png", "confusion.png", "results.json", "tensorboard"}
    assert written <= set(os.listdir(folder))
    assert {"predictions.png", "model", "sweep", "curves.png"} <= set(os.listdir(folder.parent))
    assert list((folder / "tensorboard/train").glob("events*"))
    assert {path.name for path in tmp_path.iterdir()} == {ODD}


@pytest.mark.parametrize("module", COMMANDS, ids=name_of)
def test_what_tensorflow_says_while_it_is_imported_is_not_shown(module, small, run_folder, tmp_path):
    """A stand-in for TensorFlow writes to stderr, as its C++ code does, and ends the process."""
    (tmp_path / "tensorflow.py").write_text("import os; os.write(2, b'words'); os._exit(7)")
    bar(8, 8).save(tmp_path / "a.png")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    words = words_of(module, small, run_folder, tmp_path)
    outcome = command(module.__name__, *words, cwd=tmp_path, env=environment, cold=True)
    assert (outcome.code, outcome.err) == (7, "")


def words_of(module, small, run_folder, tmp_path):
    """What makes each command do its work on the small dataset; it writes to this folder alone."""
    run, out = f"--workdir={run_folder}", f"--out={tmp_path}"
    words = {
        train: small(epochs=1),
        show_data: [*small()[:2], out],
        by_hand: ["--steps=3"],
        sweep: [*small(hidden="4", epochs=1), "--seeds=1"],
        draw: [run, f"--out={tmp_path / 'draw.html'}"],
        evaluate: [run, "--plots", out],
        predict: [run, tmp_path / "a.png"],
        export: [run, f"--export_dir={tmp_path / 'model'}"],
        layers: [run, out],
        plot: [run, out],
    }
    return words[module]


@pytest.mark.slow
@pytest.mark.parametrize("module", COMMANDS, ids=name_of)
def test_a_command_works_in_a_process_of_its_own_and_warns_of_nothing(module, small, run_folder, tmp_path):
    """In this process, it would find imported what another test needs; there, TensorFlow alone is."""
    bar(8, 8).save(tmp_path / "a.png")
    outcome = command(module.__name__, *words_of(module, small, run_folder, tmp_path), cwd=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")
    assert SAID[module] in outcome.out


@pytest.mark.slow
def test_the_wheel_holds_all_files_and_works_from_another_folder(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    for name in ("pyproject.toml", "setup.cfg", "README.md"):  # a copy, as building writes into its folder
        source.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "mlp_tf", source / "mlp_tf", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    # It makes a wheel, and installs that.
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-compile", "--target", site, source], check=True)

    def files(package, pattern):
        return {str(path.relative_to(package)) for path in package.rglob(pattern)}

    for pattern in ("*.py", "*.flags", "*.ipynb", "*.md", "*.js", "*.html"):
        assert files(site / "mlp_tf", pattern) == files(ROOT / "mlp_tf", pattern)
    for wing in ("recipes", "data", "runs", "distribute", "cli", "figures", "handwriting/page"):
        assert any((site / "mlp_tf" / wing).iterdir())
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = [sys.executable, "-c", "import mlp_tf; print(mlp_tf.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert pathlib.Path(found.stdout.strip()).is_relative_to(tmp_path)
    flags = ["--recipe=sigmoid_10", "--dataset=mnist_sample", "--epochs=1"]
    outcome = command("mlp_tf.train", *flags, cwd=tmp_path, env=environment, cold=True)  # a warm one has this package
    assert "Model: 784-10-10" in outcome.out
