"""Fixtures of the tests of a run's folder: a small run, trained in this process, that is stopped at any step."""

import contextlib
import math
import shutil

import pytest
from helpers import contents, steps

from mlp_tf import loop
from mlp_tf.config import Config
from mlp_tf.runs import compatible, training
from mlp_tf.runs.folder import open_run
from mlp_tf.runs.start import load, start


@pytest.fixture(scope="session")
def config(npz):
    """The settings that `small_flags` gives: 3 epochs of 20 steps."""
    return Config(hidden=(8, 4), batch_size=10, epochs=3, validation_size=40, dataset=npz, learning_rate=0.01)


@pytest.fixture(scope="session")
def live():
    """Starts or resumes a run, and trains it to so many steps or rows, or to its end; returns its warnings."""

    def train_until(config, path, step=math.inf, rows=math.inf):
        def stop_requested():
            enough = int(run.state.step.numpy()) >= step
            return int(enough or len((path / "metrics.jsonl").read_text().splitlines()) >= rows)

        with pytest.MonkeyPatch.context() as patch, open_run(path) as folder:
            patch.setattr(loop, "CHUNK_SECONDS", 0.0)  # a chunk is one step
            compatible.check_settings(config, folder)
            run = start(config, folder, load(config, folder))
            with contextlib.suppress(training.Stopped):
                for _ in training.train(run, stop_requested):
                    pass
            return run.warnings

    return train_until


@pytest.fixture(scope="session")
def whole(live, config, tmp_path_factory):
    """The run of `config`, never stopped; not to be changed."""
    path = tmp_path_factory.mktemp("whole") / "run"
    live(config, path)
    return path


@pytest.fixture
def finished(whole, tmp_path):
    """The same, to be changed: where `small()` trains."""
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture(scope="session")
def stopped_once(live, config, tmp_path_factory):
    """What `stopped` copies."""
    path = tmp_path_factory.mktemp("stopped") / "run"
    for step in (10, 21, 30):
        live(config, path, step=step)
    assert steps(path) == [10, 21, 30]
    return path


@pytest.fixture
def stopped(stopped_once, tmp_path):
    """A run of 60 steps that was stopped, and saved, after 10, 21 and 30; where `small()` trains."""
    return shutil.copytree(stopped_once, tmp_path / "run")


@pytest.fixture
def refused(train):
    """Trains with flags that end in exit 1, and leave a folder as it was; returns the one line."""

    def train_in_vain(folder, *flags):
        before = contents(folder)
        outcome = train(*flags)
        assert outcome.code == 1
        assert contents(folder) == before
        return outcome.error

    return train_in_vain
