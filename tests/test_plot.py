"""The plot command: curves of one run or several, the first layer, and no more imports than it needs."""

import os
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from mlp_tf import figures, plot


@pytest.fixture(scope="module")
def shorter_run(run_folder, tmp_path_factory):
    """A run whose curves are other ones: the first 3 epochs of `run_folder`."""
    folder = shutil.copytree(run_folder, tmp_path_factory.mktemp("plot") / "shorter")
    rows = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(rows[:3]))
    (folder / "results.json").unlink()  # which are of 20 epochs
    return folder


def test_plot_draws_curves_of_several_runs_and_the_first_layer(run, run_folder, shorter_run, tmp_path):
    outcome = run(plot, run_folder, shorter_run, f"--out={tmp_path}")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        f"Plot: {tmp_path}/{n}.png" for n in ("curves", "weights-run", "weights-shorter")
    ]
    assert sorted(os.listdir(tmp_path)) == ["curves.png", "weights-run.png", "weights-shorter.png"]
    for name in os.listdir(tmp_path):
        assert Image.open(tmp_path / name).width == 1200


def drawn_curves(monkeypatch):
    """What `figures.plot_curves` is called with, once it was."""
    drawn, draw = [], figures.plot_curves
    monkeypatch.setattr(figures, "plot_curves", lambda *given, **named: drawn.append(given) or draw(*given, **named))
    return drawn


def test_runs_are_named_by_folder_and_by_what_differs_between_them(run, train, small, tmp_path, monkeypatch):
    drawn = drawn_curves(monkeypatch)
    for name, more in {"a": [], "b": ["--activation=tanh"], "c": ["--seed=3"], "d/a": []}.items():
        assert train(*small(tmp_path / name, epochs=1), *more).code == 0
    for names in ("abc", ["a", "d/a"], ["a", "b", "d/a"]):
        folders = [tmp_path / name for name in names]
        assert run(plot, *folders, f"--out={tmp_path}", "--weights=false").code == 0
    assert [list(runs) for runs, _ in drawn] == [
        ["a: activation=relu, seed=0", "b: activation=tanh, seed=0", "c: activation=relu, seed=3"],
        ["a", "d/a"],
        ["a: activation=relu", "b: activation=tanh", "d/a: activation=relu"],
    ]


def test_one_run_is_named_in_the_title_and_says_when_patience_stopped_it(run, train, small, tmp_path, monkeypatch):
    drawn = drawn_curves(monkeypatch)
    flags = [*small(epochs=50, learning_rate=0.05), "--patience=2"]
    assert "Stopped early" in train(*flags).out
    assert run(plot, f"--workdir={tmp_path / 'run'}", "--weights=false", "--dpi=75", "--format=pdf").code == 0
    [(_, title, stopped, _)] = drawn
    assert title.startswith("Training of run: 64-8-4-3, small.npz, ")
    assert stopped == "stopped by --patience=2"
    assert (tmp_path / "run/curves.pdf").exists()


def test_plot_takes_a_run_named_twice_and_asks_where_several_go(run, shorter_run, run_folder):
    assert run(plot, f"--workdir={shorter_run}", f"--workdir={shorter_run}", "--weights=false").code == 0
    assert run(plot, shorter_run, f"--workdir={shorter_run}/", "--weights=false").code == 0
    outcome = run(plot, run_folder, shorter_run)
    assert "--out=FOLDER" in outcome.error


def test_plot_of_curves_never_imports_tensorflow(run_folder, tmp_path):
    words = [sys.executable, "-X", "importtime", "-m", "mlp_tf.plot", f"--workdir={run_folder}", f"--out={tmp_path}"]
    done = subprocess.run([*words, "--weights=false"], capture_output=True, text=True)
    assert done.returncode == 0
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "matplotlib.figure" in imported
    assert not imported & {"tensorflow", "matplotlib.pyplot"}
