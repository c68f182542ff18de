"""What defines a run: settings, data, network and machine. Checks whether it may start or resume; refuses it if not.

TensorFlow is imported only to report its version, so that a command can refuse a folder before it loads anything.
"""

import dataclasses
import importlib
import itertools
import math
import os
import platform
import shlex
from typing import Annotated, Literal, NamedTuple

import msgspec

import mlp_tf
from mlp_tf import UserError
from mlp_tf.base import machine
from mlp_tf.base.files import LARGEST_TEXT, Count, digest, to_json
from mlp_tf.base.text import shorten
from mlp_tf.config import Config, is_path, words_of

# Settings that may change within a run: where files are, what else is written, and which devices train. (Whether the
# workers hold shards is compared with the data.)
OUTSIDE = ("data_dir", "workdir", "tensorboard", "strategy", "logical_cpus", "replicate_data")
FREE = ("epochs", *OUTSIDE)
# Environment variables that may change the bits of a run, besides TF_NUM_INTRAOP_THREADS.
_VARIABLES = (
    "XLA_FLAGS", "TF_XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE", "OMP_NUM_THREADS", "TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC",
    "TF_ENABLE_CUBLAS_TENSOR_OP_MATH_FP32", "NVIDIA_TF32_OVERRIDE",
)  # fmt: skip
_LONGEST_VALUE = 80  # characters of a value in a message
_EVALUATED = 5000  # examples evaluated at once, by `data.batches`

_Positive = Annotated[int, msgspec.Meta(ge=1, le=2**30)]


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The versions, machine and devices that a process trains with."""

    mlp_tf: str
    python: str
    tensorflow: str
    numpy: str
    processor: str
    threads: Count
    variables: dict[str, str]  # those of `_VARIABLES` that are set
    replicas: _Positive
    workers: _Positive


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The dataset of a run."""

    name: str  # of a set, or the absolute path of a file or folder
    train: _Positive  # examples of all workers
    validation: Count
    test: _Positive
    example_shape: Annotated[tuple[_Positive, ...], msgspec.Meta(min_length=1, max_length=3)]
    dtype: Literal["uint8", "float32"]
    classes: Annotated[int, msgspec.Meta(ge=2, lt=2**30)]
    class_names: tuple[str, ...]
    sha256: str
    shards: _Positive  # 1 if every worker holds all training examples
    columns: tuple[str, ...] = ()  # the names of the features of a table, in their order
    factor: Literal[1, 255] = 1  # 255 if the user's values were from 0 to 1, and became pixels

    @property
    def is_user_data(self):
        """Whether these are the user's files, and not a set by name."""
        return os.path.isabs(self.name)


class InkStyle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the training images show ink on paper, in gray."""

    is_dark: bool  # dark ink on bright paper
    is_like_mnist: bool  # cut out, scaled and centered as MNIST's, so every image is prepared
    usual_warnings: tuple[str, ...]  # about ink, which apply to more than a tenth of the training images


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The form of config.json."""

    settings: dict
    data: Data
    ink_style: InkStyle | None
    warning: str
    model: dict
    environment: Environment
    scaling: dict[Literal["mean", "std"], list[float]] | None


class Description(NamedTuple):
    """The content of config.json."""

    config: Config
    data: Data
    environment: Environment
    warning: str = ""  # why this is not the data hoped for, if so
    scaling: dict | None = None  # `Scaling.to_json`, which standardizes float32 examples
    ink_style: InkStyle | None = None  # None: color, features, or images of anything but ink

    @property
    def sizes(self):
        """Units of each layer, input and output included."""
        return (math.prod(self.data.example_shape), *self.config.hidden, self.data.classes)

    @property
    def parameters(self):
        """Number of weights and biases."""
        return sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(self.sizes))

    @property
    def steps(self):
        """Steps of an epoch."""
        return self.data.train // self.config.batch_size

    def title(self, path, epochs):
        """Returns a short text for the run in a folder that has trained this many epochs."""
        sizes = "-".join(map(str, self.sizes))
        name = os.path.basename(self.data.name)
        return f"{path.resolve().name}: {sizes}, {name}, {epochs} of {self.config.epochs} epochs"

    def identity(self):
        """Returns what identifies the run, {name: value}: its data, and the settings that cannot change.

        The path of the data is left out, as their SHA-256 is here; digests replace long lists.
        """
        settings = self.config.to_json()
        for name in (*FREE, "dataset"):
            settings.pop(name)
        if self.config.schedule != "constant":  # each learning rate depends on the total
            settings["epochs"] = self.config.epochs
        data = msgspec.to_builtins(self.data)
        del data["name"]
        data["example_shape"] = list(data["example_shape"])  # as JSON has it
        data["class_names"] = digest(data["class_names"])
        data["columns"] = digest(data["columns"])
        data["scaling"] = digest(self.scaling)
        return settings | {f"data {name}": value for name, value in data.items()}

    def is_of(self, dataset):
        """Checks whether --dataset names the run's data; a different path may still lead to the same data."""
        return dataset in (self.config.dataset, self.data.name)

    def to_json(self):
        """Returns the content of config.json."""
        return {
            "settings": self.config.to_json(),
            "data": msgspec.to_builtins(self.data),
            "ink_style": msgspec.to_builtins(self.ink_style),
            "warning": self.warning,
            "model": self._model(),
            "environment": msgspec.to_builtins(self.environment),
            "scaling": self.scaling,
        }

    def _model(self):
        return {"sizes": list(self.sizes), "parameters": self.parameters, "steps_per_epoch": self.steps}

    @classmethod
    def from_json(cls, content, is_whole=True):
        """Returns the description from the content that `to_json` returned; raises ValueError for any other form.

        Args:
          content: a dictionary.
          is_whole: whether the scaling of features must be there.
        """
        file = msgspec.convert(content, _File)
        config = Config.from_json(file.settings)
        description = cls(config, file.data, file.environment, file.warning, file.scaling, file.ink_style)
        values = math.prod(file.data.example_shape)
        scaling = file.scaling or {}
        lengths = {name: len(numbers) for name, numbers in scaling.items()}
        fits = (
            values < 2**30
            and len(file.data.class_names) == file.data.classes
            and len(file.data.columns) in (0, values)
            and file.model == description._model()
            and (lengths == ({"mean": values, "std": values} if file.data.dtype == "float32" else {}) or not is_whole)
            and min(scaling.get("std", [1.0])) > 0
        )
        if not fits:
            raise ValueError("its data, settings, scaling and model contradict each other")
        return description


def describe(config, splits, cluster):
    """Returns the `Description` of a run that starts now in this process.

    Args:
      config: the settings.
      splits: `data.Splits`.
      cluster: the devices and workers.
    """
    if config.validation_size is None:
        config = dataclasses.replace(config, validation_size=splits.validation.global_rows)
    if os.path.isabs(splits.name):  # a path needs no folder of tensorflow-datasets
        config = dataclasses.replace(config, dataset=splits.name, data_dir="")
    data = Data(
        name=splits.name,
        train=splits.train.global_rows,
        validation=splits.validation.global_rows,
        test=splits.test.global_rows,
        example_shape=tuple(splits.example_shape),
        dtype=str(splits.train.images.dtype),
        classes=splits.classes,
        class_names=splits.class_names,
        sha256=splits.sha256,
        shards=splits.train.shard.workers,
        columns=splits.columns,
        factor=splits.factor,
    )
    environment = Environment(
        mlp_tf=mlp_tf.__version__,
        python=platform.python_version(),
        tensorflow=importlib.import_module("tensorflow").__version__,
        numpy=importlib.import_module("numpy").__version__,
        processor=machine.processor(),
        threads=machine.threads(),
        variables={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        replicas=cluster.replicas,
        workers=cluster.workers,
    )
    scaling = splits.train.scaling and splits.train.scaling.to_json()
    return Description(config, data, environment, splits.warning, scaling)


def resume_command(workdir):
    """Returns the command that resumes a run."""
    return shlex.join(["python", "-m", "mlp_tf.train", f"--workdir={workdir}"])


def check_settings(config, folder):
    """Checks that settings agree with those of the run in a folder, if there is one.

    `check_data` finds out whether another path leads to the same data.

    Raises:
      UserError: names each setting that differs, with both values.
    """
    if folder.description is None:
        return
    run_config = folder.description.config
    differing = []
    for field in dataclasses.fields(Config):
        if not _agrees(field.name, config, folder.description):
            given, in_run = (words_of(getattr(each, field.name)) for each in (config, run_config))
            differing.append(f"--{field.name}={given}, but {in_run} in the run")
    if config.epochs != run_config.epochs and run_config.schedule != "constant":
        differing.append(
            f"--epochs={config.epochs}, but {run_config.epochs} in the run (with --schedule={run_config.schedule} the "
            "learning rates depend on the total)"
        )
    _refuse(folder, differing, f"resume that run: {resume_command(folder.path)}")


def _agrees(name, config, description):
    """Checks whether the run may resume with this setting."""
    value = getattr(config, name)
    in_run = getattr(description.config, name)
    if name == "dataset":
        return description.is_of(value) or is_path(value) or is_path(description.data.name)
    if name == "patience" and in_run:
        return value >= in_run
    return name in FREE or value == in_run or (name == "validation_size" and value is None)


def check_data(data, folder):
    """Checks that data are those of the run in a folder, if there is one.

    Raises:
      UserError: names what differs.
    """
    if folder.description is None:
        return
    in_run = folder.description.data
    if data.shards != in_run.shards:
        raise UserError(
            f"--workdir={folder.path}: {in_run.shards} workers share the examples of this run, and {data.shards} "
            f"were started; start {in_run.shards}, with or without --replicate_data as before"
        )
    now, then = (msgspec.to_builtins(each) for each in (data, in_run))
    differing = [f"data: {text} in the run" for text in differences(now, then, ignored={"name"})]
    _refuse(folder, differing, "restore its data, or say where they are now with --data_dir=PATH")


def _refuse(folder, differing, advice):
    if differing:
        raise UserError(
            f"--workdir={folder.path} holds another run: {'; '.join(differing)}; give another folder, or {advice}"
        )


def differences(now, then, ignored=()):
    """Returns a text for each name whose values differ in two dictionaries; one of them may lack it."""
    texts = []
    for name in {**then, **now}:
        values = [shorten(str(each.get(name, "unset")), _LONGEST_VALUE) for each in (now, then)]
        if now.get(name) != then.get(name) and name not in ignored:
            texts.append(f"{name} {values[0]}, but {values[1]}")
    return texts


def check_same_run(description, chief):
    """Checks that a worker has the settings and data of the chief.

    Args:
      description: `Description` of the worker.
      chief: that of the chief.

    Raises:
      UserError: names what differs.
    """
    # These may differ between machines, or the data say more.
    ignored = {"name", "dataset", "data_dir", "workdir", "validation_size"}
    mine, theirs = ({**each.config.to_json(), **msgspec.to_builtins(each.data)} for each in (description, chief))
    differing = [f"{text} in worker 0" for text in differences(mine, theirs, ignored)]
    if differing:
        raise UserError(f"it has {'; '.join(differing)}; start all workers with the same flags and data")


def check_progress(config, folder, manifest):
    """Checks that --epochs is not below what the run has trained.

    Raises:
      UserError: it is below.
    """
    done = len(manifest.history)
    step = manifest.progress["step"]
    is_inside_epoch = done == manifest.progress["epoch"] and step > 0
    if config.epochs < done + is_inside_epoch:
        raise UserError(
            f"--epochs={config.epochs}: the run in {folder.path} has trained {done} epochs and {step} steps; give a "
            "total that is not below that"
        )


def check_memory(description):
    """Checks that this machine's memory can hold the network and what it computes at once.

    Raises:
      UserError: it cannot.
    """
    config = description.config
    # In float32: parameters, gradients, Adam's two slots and the best epoch; of each layer its inputs and outputs, and
    # in training their gradients.
    of_parameters = 5 * 4 * description.parameters
    evaluated = min(_EVALUATED, max(description.data.train, description.data.test))
    of_examples = 2 * 4 * sum(description.sizes) * max(2 * config.batch_size, evaluated)
    subject = (
        f"--hidden={words_of(config.hidden)}, --batch_size={config.batch_size}: {description.parameters:,} parameters "
        "and the outputs of all layers need"
    )
    advice = "give fewer units, or a smaller batch_size"
    machine.check_memory(of_parameters + of_examples, subject, advice, digits=0)


def check_size(description):
    """Checks that config.json can be read again.

    Raises:
      UserError: it would be too large.
    """
    size = len(to_json(description.to_json()))
    if size > LARGEST_TEXT:
        raise UserError(
            f"config.json would take {size:,} bytes, for {math.prod(description.data.example_shape):,} features and "
            f"{description.data.classes:,} classes; must be at most {LARGEST_TEXT:,}: give fewer features or "
            "classes, or shorter names"
        )


def environment_warnings(now, then):
    """Returns a warning if a run that was saved in one `Environment` may not resume bit for bit in another."""
    before, after = (msgspec.to_builtins(each) for each in (then, now))
    before |= before.pop("variables")
    after |= after.pop("variables")
    differing = [f"{text} before" for text in differences(after, before)]
    return [f"resuming, but not bit for bit: {'; '.join(differing)}"] if differing else []
