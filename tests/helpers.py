"""What several tests share: a small dataset, commands in processes of their own, and a run's folder looked at."""

import functools
import hashlib
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import oracle
import pytest
from fork_server import ForkServer
from PIL import Image, ImageDraw

from mlp_tf.config import Config

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLASSES, SIDE = 3, 8
# Settings of which each is not the default.
OTHER_CONFIG = Config(
    hidden=(7,), epochs=2, batch_size=3, learning_rate=1e-05, optimizer="momentum", momentum=0.5, activation="tanh",
    init="he", schedule="linear", label_smoothing=0.1, distort=0.5, elastic=0.2, deskew=True, validation_size=9,
    patience=4, dropout=0.3, input_dropout=0.1, weight_decay=0.01, max_norm=3.0, monitor="val_accuracy", scaling="none",
    label="class", layout="images", resize="9x8", seed=8, dataset="/x.npz", data_dir="a b", workdir="r",
    tensorboard=True,
)  # fmt: skip
# (what makes it at a path, what opening it says): a dataset must be a file.
NO_REGULAR_FILES = [
    (os.mkfifo, "is not a regular file"),
    (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    (os.mkdir, "Is a directory"),
    (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
]


def slow(*values):
    """A parameter whose test is left out of the fast suite."""
    return pytest.param(*values, marks=pytest.mark.slow)


def prepared_mnist():
    """Folder where full MNIST is prepared, or None."""
    folder = os.environ.get("TFDS_DATA_DIR", "")
    return folder if (pathlib.Path(folder) / "mnist").is_dir() and folder else None


needs_mnist = pytest.mark.skipif(not prepared_mnist(), reason="full MNIST is not prepared in TFDS_DATA_DIR")


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


def bar(width=80, height=80):
    """A picture of a bright bar on black."""
    picture = Image.new("L", (width, height))
    ImageDraw.Draw(picture).rectangle([width // 4, height // 3, 3 * width // 4, height // 2], fill=255)
    return picture


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


def small_flags(npz, workdir, **changes):
    """Flags of a run of about a second: 64-8-4-3, 20 steps an epoch."""
    flags = {"dataset": npz, "validation_size": 40, "hidden": "8,4", "batch_size": 10, "epochs": 3}
    flags |= {"workdir": workdir, "learning_rate": 0.01}
    return [f"--{name}={value}" for name, value in {**flags, **changes}.items() if value is not None]


@functools.cache
def fork_server():
    """The server that forks this process's warm commands, started when the first is; conftest.py ends it."""
    return ForkServer()


def start(*words, cold=False, file_bytes=None, **options):
    """Starts a command of the package, such as "mlp_tf.train" and its flags, or "-c" and code, in its own process.

    Args:
      *words: what follows `python -m`; or what follows `python`, if that is -c.
      cold: starts Python itself. Otherwise the process is forked from one that has imported TensorFlow, which takes
        half of the time: use that where the claim is not about how a process starts.
      file_bytes: its limit to the size of a file.
      **options: cwd, env, stdin, stdout, stderr, as of `subprocess.Popen`; the latter two are pipes by default.
    """
    words = [*([] if words[0] == "-c" else ["-m"]), *map(str, words)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    if not cold:
        return fork_server().start(words, file_bytes=file_bytes, **options)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    preexec = None if file_bytes is None else limit
    return subprocess.Popen([sys.executable, *words], text=True, preexec_fn=preexec, **options)


def command(*words, timeout=120, **options):
    """Runs what `start` starts to its end."""
    process = start(*words, **options)
    out, err = process.communicate(timeout=timeout)
    return Outcome(process.returncode, out, err)


def end_by_signal(number, seconds, start_process):
    """Ends a process, which `start_process` starts, by a signal within that time; returns its exit code and stderr.

    The promise is of a machine that is not busy, and the tests run on any. So a process that is late is tried again,
    twice: code that is too slow is late each time.
    """
    for _ in range(3):
        process = start_process()
        sent = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        if time.monotonic() - sent < seconds:
            return process.returncode, err
    raise AssertionError(f"three times later than {seconds} s")


def saved(folder):
    """Names of the checkpoints in a run's folder, oldest first."""
    return sorted(name for name in os.listdir(folder / "checkpoints") if re.fullmatch(r"step-\d{10}(\.\d{3})?", name))


def steps(folder):
    """Steps of the checkpoints in a run's folder, oldest first."""
    return [int(name[5:15]) for name in saved(folder)]


def newest(folder):
    """The newest checkpoint of a run."""
    return folder / "checkpoints" / saved(folder)[-1]


def tensors(folder):
    """Every variable of the newest checkpoint."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(newest(folder) / "state"))
    names = [name for name in reader.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    return {name: reader.get_tensor(name) for name in names}


def forward(folder, x):
    """Logits of the newest checkpoint of a run with two hidden layers, in NumPy and float64; x is scaled already."""
    saved, names = tensors(folder), {"weights": ("h1", "h2", "out"), "biases": ("b1", "b2", "out")}
    layers = [{name: saved[f"{kind}/{name}/.ATTRIBUTES/VARIABLE_VALUE"] for name in names[kind]} for kind in names]
    return oracle.forward(x, *layers)[-1]


def logits(folder, images):
    """What the newest checkpoint of a run of 64-8-4-3 predicts, in NumPy and float64."""
    return forward(folder, images.reshape(len(images), -1) / 255.0)


def feature_probabilities(folder, x, train_x):
    """What such a run on features predicts, in float64; they are standardized by the training rows."""
    deviation = train_x.std(axis=0)
    values = forward(folder, (x - train_x.mean(axis=0)) / np.where(deviation > 0, deviation, 1))
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def read_lines(path):
    """The objects of a file with one JSON object a line."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def untimed(path):
    """The rows of metrics.jsonl, without their times."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in read_lines(path)]


def read_results(folder):
    """What results.json says."""
    return json.loads((folder / "results.json").read_text())


def assert_same_run(one, other):
    """Parameters, optimizer state, metrics and results of two folders are equal, but for times."""
    mine, theirs = tensors(one), tensors(other)
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    assert untimed(one / "metrics.jsonl") == untimed(other / "metrics.jsonl")
    results = [read_results(folder) for folder in (one, other)]
    for key in ("test_cost", "test_accuracy", "epochs", "train_examples", "dataset"):
        assert results[0][key] == results[1][key]


def contents(folder):
    """SHA-256 of every file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
