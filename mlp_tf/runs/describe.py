"""What the files of a run say of it: settings, data, network, versions, machine, results.

TensorFlow is imported only to tell its version, so that a command can refuse a folder before it loads anything.
"""

import importlib
import itertools
import math
import os
import pathlib
import platform
from typing import NamedTuple

import mlp_tf
from mlp_tf.config import Config


class Data(NamedTuple):
    """The dataset of a run, and how its rows are shared out."""

    name: str
    train: int
    validation: int
    test: int
    image_shape: tuple[int, ...]
    classes: int
    sha256: str
    shards: int  # 1 where every worker holds all training rows


class Description(NamedTuple):
    """What config.json says."""

    config: Config
    data: Data
    warning: str  # why this is not the data hoped for, if so
    environment: dict  # versions, processor, threads, replicas, workers, by name

    @property
    def sizes(self):
        """Units of each layer, input and output included."""
        return (math.prod(self.data.image_shape), *self.config.hidden, self.data.classes)

    @property
    def parameters(self):
        """How many weights and biases the network has."""
        return sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(self.sizes))

    @property
    def steps(self):
        """Steps of an epoch."""
        return self.data.train // self.config.batch_size

    def to_json(self):
        """The description as config.json has it."""
        data = self.data._asdict()
        shards = data.pop("shards")
        return {
            "settings": self.config.to_json(),
            "data": {**data, "image_shape": list(self.data.image_shape), "shares": shards},  # the name of version 0.2.0
            "warning": self.warning,
            "model": {
                "sizes": list(self.sizes),
                "parameters": self.parameters,
                "steps_per_epoch": self.steps,
            },
            "environment": self.environment,
        }

    @classmethod
    def from_json(cls, content):
        """The description that `to_json` gave; what is not of its form raises KeyError, TypeError or UserError."""
        data = {"shares": 1, **content["data"]}
        data |= {"shards": data.pop("shares"), "image_shape": tuple(data["image_shape"])}
        warning, environment = content.get("warning", ""), content["environment"]
        return cls(Config.from_json(content["settings"]), Data(**data), warning, environment)


class Results(NamedTuple):
    """What results.json says of a finished run."""

    test_cost: float  # cross-entropy in nats per example
    test_accuracy: float  # from 0 to 1
    epochs: int
    train_examples: int
    train_seconds: float
    examples_per_second: float
    dataset: str


def describe(config, splits, cluster):
    """The `Description` of a run that begins now, in this process."""
    data = Data(
        name=splits.name,
        train=splits.train.global_rows,
        validation=splits.validation.global_rows,
        test=splits.test.global_rows,
        image_shape=splits.image_shape,
        classes=splits.classes,
        sha256=splits.sha256,
        shards=splits.train.shard.workers,
    )
    return Description(config, data, splits.warning, _environment(cluster))


def _environment(cluster):
    return {
        "mlp_tf": mlp_tf.__version__,
        "python": platform.python_version(),
        "tensorflow": importlib.import_module("tensorflow").__version__,
        "numpy": importlib.import_module("numpy").__version__,
        "processor": _processor(),
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS") or _cores(),
        "replicas": cluster.replicas,
        "workers": cluster.workers,
    }


def _processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(": ")[2] for line in lines if "model name" in line]
    return f"{platform.machine()}, {names[0] if names else platform.processor()}"


def _cores():
    # Not every system can tell the cores that this very process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
