"""Every setting of a training run, defined once: its range, default, topic and help text."""

# ruff: noqa: RUF009 (`_setting` makes a field)

import dataclasses
import os
import sys
import typing
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mlp_tf import UserError
from mlp_tf.base.text import shorten

_LARGEST_INT = 2**31 - 1
_LARGEST_FLOAT = sys.float_info.max  # as a bound, it refuses infinity; every bound refuses NaN

# The range of each type holds for flags, JSON and calls. Its description is for flags.
Layers = Annotated[
    tuple[Annotated[int, Meta(ge=1, le=100_000)], ...],
    Meta(description="integers from 1 to 100000 separated by commas, such as 256,256, or empty"),
]
PositiveInt = Annotated[int, Meta(ge=1, le=_LARGEST_INT, description="an integer of 1 or more, below 2**31")]
# Each epoch has a row in every checkpoint, whose JSON file is limited.
Epochs = Annotated[int, Meta(ge=1, le=100_000, description="an integer from 1 to 100000")]
NonNegativeInt = Annotated[int, Meta(ge=0, le=_LARGEST_INT, description="an integer of 0 or more, below 2**31")]
AutoOrInt = Annotated[NonNegativeInt | None, Meta(description="auto, or an integer of 0 or more, below 2**31")]
Cpus = Annotated[int, Meta(ge=0, le=1024, description="an integer from 0 to 1024")]
PositiveFloat = Annotated[float, Meta(gt=0, le=_LARGEST_FLOAT, description="a number above 0")]
NonNegativeFloat = Annotated[float, Meta(ge=0, le=_LARGEST_FLOAT, description="a number of 0 or more")]
Fraction = Annotated[float, Meta(ge=0, lt=1, description="a number from 0 to below 1")]
Size = Annotated[
    str,
    Meta(pattern=r"^([1-9]\d{0,3}x[1-9]\d{0,3})?\Z", description="HEIGHTxWIDTH in pixels, such as 28x28, or empty"),
]
Strength = Annotated[float, Meta(ge=0, le=10, description="a number from 0 to 10")]

# What a call may give, where a flag may not.
_IN_PROGRAM = {
    "hidden": "a tuple of integers from 1 to 100000, such as (256, 256), or ()",
    "validation_size": "None, or an integer of 0 or more, below 2**31",
}
_FUNCTIONS = {
    "activation": "a function of a tensor",
    "optimizer": "a function of the learning rate that makes an optimizer",
}
_NEEDS = (  # a setting, and the value that another one must have for it to do anything
    ("momentum", "optimizer", "momentum"),
    ("logical_cpus", "strategy", "mirrored"),
    ("replicate_data", "strategy", "multi_worker"),
)


def _setting(default: Any, topic: str, text: str) -> Any:
    """Returns a field of `Config` with this default, heading in `--help`, and help text."""
    return dataclasses.field(default=default, metadata={"topic": topic, "text": text})


@dataclasses.dataclass(frozen=True)
class Config:
    """Every setting of a training run.

    In a program, `activation` may be a function of a tensor, and `optimizer` a function that makes a
    `tf.compat.v1.train.Optimizer` from a learning rate. A run with such a function cannot be kept in a folder.

    Raises:
      UserError: a value has another type or is out of its range, or two values exclude each other.
    """

    hidden: Layers = _setting(
        (256, 256), "network", "Units of each hidden layer; --hidden= has none, which is softmax regression."
    )
    epochs: Epochs = _setting(15, "training", "Passes over the training examples, in all.")
    batch_size: PositiveInt = _setting(100, "training", "Examples in one training step.")
    learning_rate: PositiveFloat = _setting(0.001, "training", "Step size of the optimizer.")
    optimizer: Literal["adam", "rmsprop", "sgd", "momentum"] = _setting("adam", "training", "Update rule.")
    momentum: Fraction = _setting(
        0.9, "training", "With --optimizer=momentum: fraction of the last update that each update adds."
    )
    activation: Literal["relu", "sigmoid", "tanh", "elu", "gelu", "leaky_relu"] = _setting(
        "relu", "network", "Activation function of the hidden layers; leaky_relu has slope 0.2 below 0."
    )
    init: Literal["glorot", "he", "normal"] = _setting(
        "glorot", "network", "Weight initialization: glorot (uniform), he (normal), or normal (N(0, 1), biases too)."
    )
    schedule: Literal["constant", "linear", "cosine"] = _setting(
        "constant", "training", "Learning-rate schedule: constant; linear or cosine: down to 0 at the end of the run."
    )
    label_smoothing: Fraction = _setting(
        0.0, "regularization", "Label smoothing: fraction of each label that is spread evenly over all classes."
    )
    dropout: Fraction = _setting(
        0.0, "regularization", "Dropout: fraction of the hidden units that a training step drops for each example."
    )
    input_dropout: Fraction = _setting(
        0.0, "regularization", "Dropout of the input: fraction of its values that a training step drops."
    )
    weight_decay: NonNegativeFloat = _setting(
        0.0, "regularization", "Decoupled weight decay (AdamW): a step subtracts rate * decay * weight; 0 is off."
    )
    max_norm: NonNegativeFloat = _setting(
        0.0, "regularization", "Max-norm constraint: largest norm of the weights into a unit; 0 is off."
    )
    distort: Strength = _setting(
        0.0,
        "augmentation",
        "Data augmentation: strength of a random affine distortion of each image in each epoch; 0 is off, 1 is "
        "rotation up to 10 degrees, scaling up to 10 %, shear up to 0.1, translation up to 1.5 pixels.",
    )
    elastic: Strength = _setting(
        0.0,
        "augmentation",
        "Data augmentation: strength of a random elastic distortion of each image in each epoch: standard deviation, "
        "in pixels, of the moves of 5 x 5 knots; all other pixels follow smoothly. 0 is off.",
    )
    deskew: bool = _setting(False, "augmentation", "Set slanted images upright, in training and in every later use.")
    validation_size: AutoOrInt = _setting(
        None,
        "data",
        "Training examples held out for validation: stratified by class in your own data, otherwise the last ones. "
        "auto is 5,000, but at most a tenth of the training examples (mnist_sample: at most 500).",
    )
    label: str = _setting("label", "data", "The column of a table that holds the labels.")
    layout: Literal["auto", "images", "features"] = _setting(
        "auto",
        "data",
        "Whether your own examples are images or features: auto decides by their shape, their values, and the names of "
        "a table's columns; images takes numbers from 0 to 255, or from 0 to 1, as pixels, and rows as square images; "
        "features takes everything as rows of features.",
    )
    resize: Size = _setting("", "data", "Size to which the images in a folder are resized; empty: they have one size.")
    scaling: Literal["auto", "none"] = _setting(
        "auto",
        "data",
        "auto divides pixels by 255 and standardizes features; none gives the network the values as they are.",
    )
    patience: NonNegativeInt = _setting(
        0,
        "training",
        "Early stopping: stop after this many epochs without a better --monitor, and keep the parameters of the best "
        "epoch; 0 is off.",
    )
    monitor: Literal["val_cost", "val_accuracy"] = _setting(
        "val_cost",
        "training",
        "What makes an epoch the best: the lowest val_cost (the cross-entropy loss on the validation examples), or the "
        "highest val_accuracy.",
    )
    seed: NonNegativeInt = _setting(
        0, "training", "Seed of weight initialization, order of the examples, data augmentation and dropout."
    )
    dataset: str = _setting(
        "auto",
        "data",
        "Training data: mnist_sample, the name of an image-classification set of tensorflow-datasets, a FILE.npz, a "
        "FILE.csv, a FOLDER of images, tables or IDX files, or auto, which is mnist if it is prepared or can be "
        "downloaded, otherwise Keras' copy of it, or mnist_sample.",
    )
    data_dir: str = _setting(
        "",
        "data",
        "Where tensorflow-datasets keeps its data; empty: TFDS_DATA_DIR or ~/tensorflow_datasets. For a run whose data "
        "file or folder was moved: where it is now.",
    )
    workdir: str = _setting(
        "", "output", "The run's folder; a run that it holds is resumed. Empty: a new folder under runs/."
    )
    strategy: Literal["default", "mirrored", "multi_worker"] = _setting(
        "default",
        "devices",
        "Devices that train: default (one), mirrored (all GPUs of this machine), or multi_worker (the workers that "
        "TF_CONFIG names, each started with this same command). Each takes its part of every batch.",
    )
    logical_cpus: Cpus = _setting(
        0,
        "devices",
        "With --strategy=mirrored: split the CPU into this many devices, to try without GPUs; 0 is off.",
    )
    replicate_data: bool = _setting(
        False,
        "devices",
        "With --strategy=multi_worker: each worker holds all training examples, in the order of a single process, "
        "instead of a shard in another order.",
    )
    tensorboard: bool = _setting(False, "output", "Write events for TensorBoard into the run's folder.")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _converted(field, getattr(self, field.name)))
        if self.patience and self.validation_size == 0:
            raise UserError(
                f"--patience={self.patience} with --validation_size=0: patience watches the validation examples; "
                "give --validation_size=N above 0, or --patience=0"
            )
        for name in ("weight_decay", "max_norm"):
            if getattr(self, name) and callable(self.optimizer):
                raise UserError(
                    f"{name}={getattr(self, name)} with your own optimizer: leave it out, and let the optimizer do it"
                )
        for name, setting, needed in _NEEDS:
            value = getattr(self, name)
            if value != getattr(Config, name) and getattr(self, setting) != needed:
                raise UserError(
                    f"--{name}={words_of(value)} with --{setting}={getattr(self, setting)}: it does nothing there; "
                    f"give --{setting}={needed}, or leave it out"
                )

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as a dictionary of JSON's types.

        Raises:
          UserError: one is a function.
        """
        for name in _FUNCTIONS:
            if callable(getattr(self, name)):
                raise UserError(f"{name} is a function, which a run's folder cannot keep; train with `loop.fit`")
        return {**dataclasses.asdict(self), "hidden": list(self.hidden)}

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> "Config":
        """Returns the settings from the dictionary that `to_json` returned.

        Raises:
          UserError: a setting is missing, unknown, of another type, or out of its range.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        problems = [f"{name} is missing" for name in names if name not in settings]
        problems += [f"{name} is not a setting" for name in settings if name not in names]
        if problems:
            raise UserError(f"these are not the settings of a run: {problems[0]}")
        try:
            return cls(**settings)
        except UserError as error:
            raise UserError(f"these are not the settings of a run: {error}") from None


def _converted(field: dataclasses.Field, value: Any) -> Any:
    """Returns a setting's value, from a call or JSON, as the field's type, such as an int as a float."""
    if field.name in _FUNCTIONS and callable(value):
        return value
    given = [_plain(each) for each in value] if isinstance(value, tuple | list) else _plain(value)
    try:
        return msgspec.convert(given, field.type)
    except msgspec.ValidationError:
        must = _IN_PROGRAM.get(field.name) or allowed(field)
        if field.name in _FUNCTIONS:
            must += f", or {_FUNCTIONS[field.name]}"
        raise UserError(f"{field.name}={shorten(repr(value), 80)}: must be {must}") from None


def _plain(value: Any) -> Any:
    """Returns a NumPy number or array, or a path, as Python's numbers and text; anything else as it is."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.tolist() if hasattr(value, "tolist") else value


def allowed(field: dataclasses.Field) -> str:
    """Returns what the text of a flag may be, for a field of `Config`."""
    if field.type in (bool, str):
        return "true or false" if field.type is bool else "a string"
    if typing.get_origin(field.type) is Literal:
        return "one of " + ", ".join(typing.get_args(field.type))
    return field.type.__metadata__[0].description


def read(name: str, words: str) -> Any:
    """Returns the value of a setting, from the text of its flag.

    Raises:
      UserError: it is out of its range.
    """
    [field] = [field for field in dataclasses.fields(Config) if field.name == name]
    kind = type(field.default)
    try:
        if name == "hidden":
            value = [int(word) for word in words.split(",")] if words else []
        elif name == "validation_size":
            value = None if words == "auto" else int(words)
        elif kind in (int, float):
            value = kind(words)  # it takes .5 and 1., which msgspec refuses
        else:
            value = words
        return msgspec.convert(value, field.type, strict=False)
    except ValueError:
        raise UserError(f"--{name}={words}: must be {allowed(field)}") from None


def words_of(value: Any) -> str:
    """Returns the text of a flag that gives a setting this value; the reverse of `read`."""
    if value is None:
        return "auto"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def is_path(dataset: str) -> bool:
    """Checks whether a --dataset can only be a path: it has a file's ending, or begins or ends like a path."""
    return is_file(dataset) or dataset.startswith(("/", ".", "~")) or dataset.endswith("/")


def is_file(dataset: str) -> bool:
    """Checks whether a --dataset is a file, by its ending."""
    return dataset.lower().endswith((".npz", ".csv"))


DEFAULTS = Config()
