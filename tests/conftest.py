"""Fixtures: the small dataset, and commands run in this process."""

import os

import numpy as np
import pytest
from helpers import Outcome, command, make_arrays, small_flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def arrays():
    """The small dataset."""
    return make_arrays()


@pytest.fixture(scope="session")
def npz(arrays, tmp_path_factory):
    """Path of the small dataset."""
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture
def small(npz, tmp_path):
    """Makes the flags of a small run in a folder of the test's own, with what the test changes."""
    return lambda workdir=tmp_path / "run", **changes: small_flags(npz, workdir, **changes)


@pytest.fixture
def run(capfd):
    """Runs a command's module in this process."""

    def run_module(module, *words):
        from mlp_tf.cli import app, flags

        capfd.readouterr()
        name = module.__name__.removeprefix("mlp_tf.")
        define_flags = getattr(module, "define_flags", flags.define)
        code = app.run(module.main, module.__doc__, define_flags, [name, *map(str, words)], name == "predict")
        return Outcome(code, *capfd.readouterr())

    return run_module


@pytest.fixture
def train(run):
    """Runs the train command in this process."""
    from mlp_tf import train

    return lambda *flags: run(train, *flags)


@pytest.fixture(scope="session")
def run_folder(npz, tmp_path_factory):
    """A finished run on the small dataset, 20 epochs, trained in a process of its own; not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert command("mlp_tf.train", *small_flags(npz, folder, epochs=20)).code == 0
    return folder
