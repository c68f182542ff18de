"""What the files of a run say of it: settings, data, network, versions, machine, results.

TensorFlow is imported only to tell its version, so that a command can refuse a folder before it loads anything.
"""

import dataclasses
import importlib
import itertools
import math
import os
import platform
from typing import NamedTuple, TypedDict

import mlp_tf
from mlp_tf.base import machine, strict_json
from mlp_tf.config import Config
from mlp_tf.runs import files

# Settings that may change within a run: the total of epochs, where things lie, what is written besides, and what
# trains (whether the workers hold shards is compared with the data).
OUTSIDE = ("data_dir", "workdir", "tensorboard", "strategy", "logical_cpus", "replicate_data")  # no part of the network
FREE = ("epochs", *OUTSIDE)
# Environment variables that may change the bits of a run, besides TF_NUM_INTRAOP_THREADS.
_VARIABLES = (
    "XLA_FLAGS", "TF_XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE", "OMP_NUM_THREADS", "TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC",
    "TF_ENABLE_CUBLAS_TENSOR_OP_MATH_FP32", "NVIDIA_TF32_OVERRIDE",
)  # fmt: skip


class Environment(TypedDict, total=False):
    """What a process trains with; a version before this one may have recorded less."""

    mlp_tf: str
    python: str
    tensorflow: str
    numpy: str
    processor: str
    threads: int | str  # a string by version 0.3.0, where TF_NUM_INTRAOP_THREADS was set
    variables: dict[str, str]  # those of `_VARIABLES` that are set
    replicas: int
    workers: int


class Data(NamedTuple):
    """The dataset of a run, and how its rows are shared out; version 0.4.0 did not record all of it."""

    name: str  # of a set, or an absolute path
    train: int
    validation: int
    test: int
    image_shape: tuple[int, ...]
    classes: int
    sha256: str
    shards: int  # 1 where every worker holds all training rows
    dtype: str = "uint8"  # or float32
    class_names: tuple[str, ...] = ()

    @property
    def own(self):
        """Whether they are files of the user's own, and no set by name."""
        return os.path.isabs(self.name)

    def names(self):
        """What the classes are called."""
        return self.class_names or tuple(map(str, range(self.classes)))


class Scaling(TypedDict):
    """Mean and deviation of each feature of float32 examples, which the network sees as (x - mean) / deviation."""

    mean: list[float]  # of the values of an example, in C's order
    deviation: list[float]


class _File(NamedTuple):
    """The form of config.json."""

    settings: dict
    data: dict
    environment: Environment
    warning: str = ""
    model: dict | None = None
    scaling: Scaling | None = None


class Description(NamedTuple):
    """What config.json says."""

    config: Config
    data: Data
    warning: str  # why this is not the data hoped for, if so
    environment: Environment  # versions, processor, threads, variables that are set, replicas, workers
    scaling: Scaling | None = None  # None: of uint8 examples, which are divided by 255

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

    def title(self, path, epochs):
        """The run in a folder in a few words, with the epochs that it has trained."""
        sizes, name = "-".join(map(str, self.sizes)), os.path.basename(self.data.name)
        return f"{path.resolve().name}: {sizes}, {name}, {epochs} of {self.config.epochs} epochs"

    def identity(self):
        """What makes this run and no other, {name: value}: the data, and the settings that cannot change.

        A setting that is its default is left out, so that one that a later version adds makes no other run of it.
        Where the data lie is left out too, as their SHA-256 is here; of long lists there is a digest.
        """
        names = {"class_names": files.digest(list(self.data.class_names))} if self.data.class_names else {}
        default = {**Config().to_json(), "validation_size": 5000}  # as it was before version 0.5.0
        settings = {name: value for name, value in self.config.to_json().items() if value != default[name]}
        for name in (*FREE, "dataset"):
            settings.pop(name, None)
        if self.config.schedule == "linear":  # each learning rate depends on the total
            settings["epochs"] = self.config.epochs
        data = {**self.data._asdict(), "image_shape": list(self.data.image_shape), **names}
        data |= {"scaling": files.digest(self.scaling)} if self.scaling else {}
        unset = {**Data._field_defaults, "name": data["name"]}
        return settings | {f"data {name}": value for name, value in data.items() if unset.get(name) != value}

    def is_of(self, dataset):
        """Whether a --dataset is what this run was begun with; another path may lead to the same data yet."""
        return dataset in (self.config.dataset, self.data.name)

    def to_json(self):
        """The description as config.json has it."""
        data = self.data._asdict()
        data["shares"] = data.pop("shards")  # the name of version 0.2.0
        lists = {"image_shape": list(self.data.image_shape), "class_names": list(self.data.class_names)}
        return {
            "settings": self.config.to_json(),
            "data": {**data, **lists},
            "warning": self.warning,
            "model": self._model(),
            "environment": self.environment,
            "scaling": self.scaling,
        }

    def _model(self):
        return {"sizes": list(self.sizes), "parameters": self.parameters, "steps_per_epoch": self.steps}

    @classmethod
    def from_json(cls, content):
        """The description that `to_json` gave; what is not of its form raises ValueError."""
        file = strict_json.conform(content, _File)
        data = {**file.data, "shards": file.data.get("shares", 1)}
        config, data = Config.from_json(file.settings), strict_json.conform(data, Data, "data")
        found = cls(config, data, file.warning, file.environment, file.scaling)
        if not _possible(found) or file.model not in (None, found._model()):
            raise ValueError("its data, settings and model do not fit one another")
        return found


def _possible(description):
    data, config = description.data, description.config
    shape = data.image_shape
    sizes = len(shape) in (1, 2, 3) and min(shape) > 0 and math.prod(shape) < 2**30 and 1 < data.classes < 2**30
    names = len(data.class_names) in (0, data.classes)
    rows = data.test > 0 and data.shards > 0 and data.train >= config.batch_size
    return sizes and names and rows and _scales(description)


def _scales(description):
    """Whether a run of float32 examples, and no other, says how each value of an example is scaled."""
    scaling, values = description.scaling, math.prod(description.data.image_shape)
    if scaling is None or description.data.dtype != "float32":
        return scaling is None and description.data.dtype == "uint8"
    return values == len(scaling["mean"]) == len(scaling["deviation"]) and min(scaling["deviation"]) > 0


class Results(NamedTuple):
    """What results.json says of a finished run."""

    test_cost: float  # cross-entropy in nats per example
    test_accuracy: float  # from 0 to 1
    epochs: int
    train_examples: int
    train_seconds: float
    examples_per_second: float
    dataset: str
    best_epoch: int | None = None  # that of the lowest val_cost; under --patience, what the test figures are of
    best_val_cost: float | None = None
    stopped_early: bool = False  # by --patience
    train_accuracy: float | None = None  # of the same parameters as the test figures
    run: str = ""  # SHA-256 of `Description.identity`; version 0.3.0 did not write it


def describe(config, splits, cluster):
    """The `Description` of a run that begins now, in this process."""
    if config.validation_size is None:
        config = dataclasses.replace(config, validation_size=splits.validation.global_rows)
    if os.path.isabs(splits.name):  # which says it all
        config = dataclasses.replace(config, dataset=splits.name, data_dir="")
    data = Data(
        name=splits.name,
        train=splits.train.global_rows,
        validation=splits.validation.global_rows,
        test=splits.test.global_rows,
        image_shape=splits.image_shape,
        classes=splits.classes,
        sha256=splits.sha256,
        shards=splits.train.shard.workers,
        dtype=str(splits.train.images.dtype),
        class_names=splits.class_names,
    )
    scaling = splits.train.scaling and {
        name: each.ravel().tolist() for name, each in splits.train.scaling._asdict().items()
    }
    return Description(config, data, splits.warning, _environment(cluster), scaling)


def _environment(cluster):
    return {
        "mlp_tf": mlp_tf.__version__,
        "python": platform.python_version(),
        "tensorflow": importlib.import_module("tensorflow").__version__,
        "numpy": importlib.import_module("numpy").__version__,
        "processor": machine.processor(),
        "threads": machine.threads(),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "replicas": cluster.replicas,
        "workers": cluster.workers,
    }
