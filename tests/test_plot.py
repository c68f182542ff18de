"""The plot command: curves of one run or several, the first layer, and no more imports than it needs."""

import shutil
import subprocess
import sys

import pytest
from PIL import Image

from mlp_tf import plot


@pytest.fixture(scope="module")
def shorter(run_folder, tmp_path_factory):
    """A run whose curves are other ones: the first 3 epochs of `run_folder`."""
    folder = shutil.copytree(run_folder, tmp_path_factory.mktemp("plot") / "shorter")
    rows = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(rows[:3]))
    return folder


def test_plot_draws_curves_of_several_runs_and_the_first_layer(run, run_folder, shorter, tmp_path):
    outcome = run(plot, f"--workdir={run_folder}", f"--workdir={shorter}", f"--out={tmp_path}")
    assert (outcome.code, outcome.err) == (0, "")
    for name in ("curves.png", "weights.png"):
        assert Image.open(tmp_path / name).width == 800


def test_plot_takes_a_run_named_twice_and_asks_where_several_go(run, shorter, run_folder):
    assert run(plot, f"--workdir={shorter}", f"--workdir={shorter}", "--weights=false").code == 0
    outcome = run(plot, f"--workdir={run_folder}", f"--workdir={shorter}")
    assert "--out=FOLDER" in outcome.error


def test_plot_of_curves_never_imports_tensorflow(run_folder, tmp_path):
    words = [sys.executable, "-X", "importtime", "-m", "mlp_tf.plot", f"--workdir={run_folder}", f"--out={tmp_path}"]
    done = subprocess.run([*words, "--weights=false"], capture_output=True, text=True)
    assert done.returncode == 0
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "matplotlib.figure" in imported
    assert not imported & {"tensorflow", "matplotlib.pyplot"}
