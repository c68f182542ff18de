"""Fixtures of the tests of a run's folder: a small run, trained in this process, that is stopped at any step."""

import contextlib
import math
import shutil

import pytest
from helpers import contents, steps

from mlp_tf.config import Config
from mlp_tf.runs.run import Stopped, open_run


@pytest.fixture(scope="session")
def config(npz):
    """The settings that `small_flags` gives: 3 epochs of 20 steps."""
    return Config(hidden=(8, 4), batch_size=10, epochs=3, validation_size=40, dataset=npz, learning_rate=0.01)


@pytest.fixture(scope="session")
def live():
    """Starts or resumes a run, and trains it to this step or row, or to its end; returns its warnings."""

    class Stop:
        """Asks a run to stop at a step, or when metrics.jsonl has this many rows."""

        def __init__(self, step, rows):
            self.step = step
            self.rows = rows
            self.run = None

        def number(self):
            is_at_step = int(self.run.state.step.numpy()) >= self.step
            written = (self.run.folder.path / "metrics.jsonl").read_text().splitlines()
            return int(is_at_step or len(written) >= self.rows)

        def listen(self):
            pass

    def train_until(config, path, step=math.inf, rows=math.inf):
        stop = Stop(step, rows)
        with pytest.MonkeyPatch.context() as patch, open_run(config, path, stop=stop) as run:
            patch.setattr("mlp_tf.loop.CHUNK_SECONDS", 0.0)  # a chunk is one step
            stop.run = run
            with contextlib.suppress(Stopped):
                for _ in run.train():
                    pass
            return run.warnings

    return train_until


@pytest.fixture(scope="session")
def whole_run(live, config, tmp_path_factory):
    """The run of `config`, never stopped; not to be changed."""
    path = tmp_path_factory.mktemp("whole") / "run"
    live(config, path)
    return path


@pytest.fixture
def finished_run(whole_run, tmp_path):
    """The same, to be changed: where `small()` trains."""
    return shutil.copytree(whole_run, tmp_path / "run")


@pytest.fixture(scope="session")
def stopped_run_once(live, config, tmp_path_factory):
    """What `stopped_run` copies."""
    path = tmp_path_factory.mktemp("stopped") / "run"
    for step in (10, 21, 30):
        live(config, path, step=step)
    assert steps(path) == [10, 21, 30]
    return path


@pytest.fixture
def stopped_run(stopped_run_once, tmp_path):
    """A run of 60 steps that was stopped, and saved, after 10, 21 and 30; where `small()` trains."""
    return shutil.copytree(stopped_run_once, tmp_path / "run")


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
