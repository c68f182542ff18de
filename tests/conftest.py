"""What the tests share: a small dataset, and the commands, in this process or in one of their own."""

import os
import pathlib
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLASSES, SIDE = 3, 8


def slow(*values):
    """A parameter whose test is left out of the fast suite."""
    return pytest.param(*values, marks=pytest.mark.slow)


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self):
        """The one line on stderr."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


def make_arrays(train=240, test=61, seed=0):
    """Noisy images of 8 x 8 whose bright row tells the class, in the layout of an .npz dataset."""
    rng = np.random.default_rng(seed)

    def split(n):
        labels = np.arange(n) % CLASSES
        images = rng.integers(0, 160, (n, SIDE, SIDE))
        images[np.arange(n), 2 * labels + 1] += 60
        return images.astype(np.uint8), labels.astype(np.int32)

    (x_train, y_train), (x_test, y_test) = split(train), split(test)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


@pytest.fixture(scope="session")
def arrays():
    return make_arrays()


@pytest.fixture(scope="session")
def npz(arrays, tmp_path_factory):
    """Path of the small dataset."""
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, **arrays)
    return str(path)


def small_flags(npz, workdir, **changes):
    """Flags of a run of about a second: 64-8-4-3, 20 steps an epoch."""
    flags = {"dataset": npz, "validation_size": 40, "hidden": "8,4", "batch_size": 10, "epochs": 3}
    flags |= {"workdir": workdir, "learning_rate": 0.01}
    return [f"--{name}={value}" for name, value in {**flags, **changes}.items() if value is not None]


@pytest.fixture
def small(npz, tmp_path):
    """Makes the flags of a small run in a folder of the test's own, with what the test changes."""
    return lambda workdir=tmp_path / "run", **changes: small_flags(npz, workdir, **changes)


@pytest.fixture
def train(capfd):
    """Runs the train command in this process."""

    def run(*flags):
        from mlp_tf import config, door, train

        capfd.readouterr()
        code = door.enter(train.main, train.__doc__, config.define_flags, ["train", *map(str, flags)])
        return Outcome(code, *capfd.readouterr())

    return run


def start(*words, **options):
    """Starts a command of the package in a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", *map(str, words)], **{**pipes, **options})


def command(*words, timeout=120, **options):
    """Runs a command of the package in a process of its own, to its end."""
    process = start(*words, **options)
    out, err = process.communicate(timeout=timeout)
    return Outcome(process.returncode, out, err)


def prepared_mnist():
    """Folder where full MNIST is prepared, or None."""
    folder = os.environ.get("TFDS_DATA_DIR", "")
    return folder if (pathlib.Path(folder) / "mnist").is_dir() and folder else None


needs_mnist = pytest.mark.skipif(not prepared_mnist(), reason="full MNIST is not prepared in TFDS_DATA_DIR")
