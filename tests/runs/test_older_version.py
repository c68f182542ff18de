"""A run that version 0.2.0 left in mid-epoch is read, and goes on.

tests/fixtures/from_0_2_0/half is that run, stopped at step 123 of 320; end.npz, end.jsonl and end.json are the
variables, metrics.jsonl and results.json of the same run, trained to its end by version 0.2.0.
"""

import contextlib
import json
import pathlib
import re
import shutil

import numpy as np
import pytest
from helpers import ROOT, contents, newest, read_lines, read_results, saved, tensors, untimed

from mlp_tf import evaluate
from mlp_tf.runs import checkpoint, training
from mlp_tf.runs.folder import open_run
from mlp_tf.runs.start import load, start

pytestmark = pytest.mark.usefixtures("sample_read_once")

FIXTURE = ROOT / "tests/fixtures/from_0_2_0"
FLAGS = ["--dataset=mnist_sample", "--hidden=8,4", "--batch_size=50", "--epochs=4", "--learning_rate=0.003"]
FLAGS += ["--schedule=linear", "--label_smoothing=0.1", "--distort=1", "--elastic=0.5", "--deskew", "--patience=3"]
FLAGS += ["--seed=7"]
WROTE_IT = {"cpu family": "25", "model": "17"}  # of the fixture's processor: several kinds have its name, AMD EPYC


@pytest.fixture
def half(tmp_path):
    """The run as 0.2.0 left it, to be changed."""
    return shutil.copytree(FIXTURE / "half", tmp_path / "half")


@pytest.fixture
def saved_twice(half, change_manifest):
    """The same, if 0.2.0 had saved step 123 twice; the second save says that the epoch has taken 99 s so far."""
    second = shutil.copytree(newest(half), half / "checkpoints/step-0000000123.001")
    change_manifest(second, lambda manifest: manifest["progress"].update(seconds=99.0))
    return half


@contextlib.contextmanager
def resumed(path):
    """The run in a folder, ready to go on, before it takes a step."""
    with open_run(path) as folder:
        config = folder.description.config
        yield start(config, folder, load(config, folder))


def manifest(folder):
    """What the manifest of the newest checkpoint says."""
    return json.loads((newest(folder) / "manifest.json").read_text())


def processor_kind():
    """Family and model of this machine's processor, where Linux tells."""
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in lines if ":" in line)
    return {key: pairs.get(key) for key in WROTE_IT}


def assert_equal(mine, theirs, exactly):
    """The values of two objects are equal, or, on another machine than the fixture's, close."""
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        if exactly or np.asarray(value).dtype.kind != "f":
            assert np.array_equal(value, theirs[key]), key
        else:  # another machine rounds otherwise; an accuracy may move by an image or two of 500
            atol = 2 / 500 if key.endswith("accuracy") else 1e-4
            np.testing.assert_allclose(value, theirs[key], rtol=1e-3, atol=atol, err_msg=key)


def test_it_goes_on_to_the_end_that_0_2_0_reached(train, half):
    then = manifest(half)["environment"]
    outcome = train(*FLAGS, f"--workdir={half}")
    assert outcome.code == 0
    now = manifest(half)["environment"]
    differing = {key for key in then if now[key] != then[key]} - {"mlp_tf"}
    if differing:
        assert "WARNING: resuming, but not bit for bit: " in outcome.error
    else:
        assert outcome.err == ""
    exactly = not differing & {"processor", "tensorflow", "numpy", "threads"} and processor_kind() == WROTE_IT
    with np.load(FIXTURE / "end.npz") as end:
        assert_equal(tensors(half), {key.replace("|", "/"): end[key] for key in end}, exactly)
    for mine, theirs in zip(untimed(half / "metrics.jsonl"), untimed(FIXTURE / "end.jsonl"), strict=True):
        assert_equal(mine, theirs, exactly)
    timed = {"train_seconds", "examples_per_second"}
    results = read_results(half), json.loads((FIXTURE / "end.json").read_text())
    assert_equal(*({key: each[key] for key in results[1].keys() - timed} for each in results), exactly)


def test_what_is_restored_is_what_was_saved_bit_for_bit(half, tmp_path):
    again = tmp_path / "again/checkpoints/step-0000000123.001"
    then = manifest(half)
    with resumed(half) as run:
        run.variables().tracked.write(str(again / "state"))
        assert (run.progress._asdict(), run.history) == (then["progress"], then["history"])
    mine, theirs = tensors(tmp_path / "again"), tensors(FIXTURE / "half")
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert value.dtype == theirs[name].dtype
        assert value.tobytes() == theirs[name].tobytes(), name
    assert read_lines(half / "metrics.jsonl") == read_lines(FIXTURE / "half/metrics.jsonl")


def test_it_can_be_evaluated_and_its_files_stay_as_they_are(run, half):
    before = contents(half)
    outcome = run(evaluate, f"--workdir={half}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "1 of 4 epochs" in outcome.out
    assert contents(half) == before


def test_of_two_checkpoints_of_a_step_the_newer_is_taken(saved_twice):
    assert checkpoint.newest(saved_twice / "checkpoints")[0].path.name == "step-0000000123.001"
    with resumed(saved_twice) as run:
        assert run.progress.seconds == 99


def test_the_next_save_sorts_after_both_checkpoints_of_a_step(saved_twice):
    with resumed(saved_twice) as run:
        training.save(run)
    assert saved(saved_twice) == ["step-0000000123", "step-0000000123.001", "step-0000000123.002"]
    assert checkpoint.newest(saved_twice / "checkpoints")[0].path.name == "step-0000000123.002"
    with resumed(saved_twice) as run, pytest.raises(training.Stopped):
        next(training.train(run, lambda: 15 * (int(run.state.step.numpy()) > 123)))
    assert saved(saved_twice) == ["step-0000000123.001", "step-0000000123.002", "step-0000000124.003"]
