"""Every setting once: its default, its range, its words on a command line, its JSON."""

import dataclasses
import math

from mlp_tf import UserError
from mlp_tf.base import strict_json


def _setting(default, allowed, read, accepts, text):
    """A field with its range: `read` turns words into a value, `accepts` says whether it is allowed."""
    metadata = {"allowed": allowed, "read": read, "accepts": accepts, "text": text}
    return dataclasses.field(default=default, metadata=metadata)


def _integer(default, low, high, text):
    allowed = f"an integer from {low} to {high}" if high else f"an integer of {low} or more, below 2**31"
    return _setting(default, allowed, int, lambda v: low <= v <= (high or 2**31 - 1), text)


def _real(default, allowed, accepts, text):
    return _setting(default, allowed, float, lambda v: math.isfinite(v) and accepts(v), text)


def _strength(text):
    return _real(0.0, "a number from 0 to 10", lambda v: 0 <= v <= 10, text)


def _share(text):
    return _real(0.0, "a number from 0 to below 1", lambda v: 0 <= v < 1, text)


def _amount(text):
    return _real(0.0, "a number of 0 or more", lambda v: v >= 0, text)


def _choice(default, choices, text, or_function=False):
    def accepts(value):
        return value in choices or (or_function and callable(value))

    return _setting(default, "one of " + ", ".join(choices), str, accepts, text)


def _text(default, allowed, text):
    return _setting(default, allowed, str, lambda v: True, text)


def _switch(text):
    return _setting(False, "true or false", None, lambda v: isinstance(v, bool), text)


def _auto_or_integer(words):
    return None if words == "auto" else int(words)


def _widths(words):
    return tuple(int(word) for word in words.split(","))


@dataclasses.dataclass(frozen=True)
class Config:
    """Every setting of a training run.

    From a program, `activation` may be a function of a tensor, and `optimizer` one that makes a
    `tf.compat.v1.train.Optimizer` from a learning rate; such a run cannot be kept in a folder.

    Raises:
      UserError: a value out of its range, or two values that exclude each other.
    """

    hidden: tuple[int, ...] = _setting(
        (256, 256),
        "integers from 1 to 100000 separated by commas, such as 256,256",
        _widths,
        lambda v: len(v) > 0 and all(1 <= units <= 100_000 for units in v),
        "Units of each hidden layer.",
    )
    epochs: int = _integer(15, 1, None, "Total number of passes over the training images.")
    batch_size: int = _integer(100, 1, None, "Images in one step.")
    learning_rate: float = _real(0.001, "a number above 0", lambda v: v > 0, "Step size of the optimizer.")
    optimizer: str = _choice("adam", ("adam", "rmsprop", "sgd"), "Update rule.", or_function=True)
    activation: str = _choice("relu", ("relu", "sigmoid", "tanh"), "Activation of the hidden layers.", or_function=True)
    init: str = _choice(
        "glorot",
        ("glorot", "he", "normal"),
        "First weights: glorot (uniform), he (normal), or normal (N(0, 1), for the biases too).",
    )
    schedule: str = _choice(
        "constant", ("constant", "linear"), "Learning rate over the run: constant, or linear down to 0 at its end."
    )
    label_smoothing: float = _share("Share of each label spread over all classes.")
    dropout: float = _share("Share of the hidden units that each example loses in each step of training.")
    input_dropout: float = _share("Share of the values of each example that it loses in each step of training.")
    weight_decay: float = _amount(
        "Share of each weight, times the learning rate, that each step takes off (decoupled, as in AdamW); 0 is off."
    )
    max_norm: float = _amount("Largest norm of the weights into a unit, kept after each step; 0 is off.")
    distort: float = _strength(
        "Strength of a random affine distortion of each image in each epoch; 0 is off, 1 is rotation up to "
        "10 degrees, scaling up to 10 %, shear up to 0.1, translation up to 1.5 pixels.",
    )
    elastic: float = _strength(
        "Strength of a random elastic distortion of each image in each epoch: how many pixels the knots of a 5 x 5 "
        "grid move (standard deviation), all other pixels following smoothly; 0 is off.",
    )
    deskew: bool = _switch("Set slanted images upright before the network sees them, in training and ever after.")
    validation_size: int | None = _setting(
        None,
        "auto, or an integer of 0 or more, below 2**31",
        _auto_or_integer,
        lambda v: v is None or 0 <= v <= 2**31 - 1,
        "Training rows held out for validation: of your own data by class, else the last ones. auto is 5,000, at most "
        "a tenth of them (mnist_sample: 500 at most).",
    )
    patience: int = _integer(
        0, 0, None, "Stop after this many epochs without a lower val_cost, with the best epoch as the result; 0 is off."
    )
    seed: int = _integer(0, 0, 2**31 - 1, "Seed of the first weights, the order of images, distortion and dropout.")
    dataset: str = _text(
        "auto",
        "auto, mnist_sample, the name of an image-classification set of tensorflow-datasets, a FILE.npz, a FILE.csv, "
        "or a FOLDER of images",
        "What to train on; auto is mnist where it is prepared or can be downloaded, else mnist_sample.",
    )
    data_dir: str = _text(
        "",
        "a folder",
        "Where tensorflow-datasets keeps its data; empty: TFDS_DATA_DIR or ~/tensorflow_datasets. Of a run whose file "
        "or folder of data was moved: where it is now.",
    )
    workdir: str = _text(
        "", "a folder", "The run's folder; one that holds a run is continued. Empty: a new one under runs/."
    )

    strategy: str = _choice(
        "default",
        ("default", "mirrored", "multi_worker"),
        "What trains together: one device; all GPUs of this machine; or the workers that TF_CONFIG names, each with "
        "this same command. Each takes its part of every batch.",
    )
    logical_cpus: int = _integer(
        0, 0, 1024, "With --strategy=mirrored: split the CPU in as many devices, to try it without GPUs; 0 is off."
    )
    replicate_data: bool = _switch(
        "With --strategy=multi_worker: every worker holds all training images and the order of images is that of one "
        "process, instead of a shard and an order of its own."
    )
    tensorboard: bool = _switch("Write events for TensorBoard into the run's folder.")

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            try:
                accepted = field.metadata["accepts"](value)
            except TypeError:  # "256" where (256,) is meant
                accepted = False
            if not accepted:
                raise UserError(f"--{field.name}={words_of(value)}: must be {field.metadata['allowed']}")
        object.__setattr__(self, "hidden", tuple(self.hidden))  # a list is the same network
        if self.patience and self.validation_size == 0:
            raise UserError(
                f"--patience={self.patience} with --validation_size=0: patience watches the validation cost; "
                "give --validation_size=N above 0, or --patience=0"
            )
        for name in ("weight_decay", "max_norm"):
            if getattr(self, name) and callable(self.optimizer):
                raise UserError(
                    f"{name}={getattr(self, name)} with an optimizer of your own: leave it out, and let that one do it"
                )
        for name, needs in (("logical_cpus", "mirrored"), ("replicate_data", "multi_worker")):
            if getattr(self, name) and self.strategy != needs:
                raise UserError(
                    f"--{name}={words_of(getattr(self, name))} with --strategy={self.strategy}: it does nothing there; "
                    f"give --strategy={needs}, or leave it out"
                )

    def to_json(self):
        """The settings as a dictionary of JSON's types.

        Raises:
          UserError: a function is among them.
        """
        for name in ("optimizer", "activation"):
            if callable(getattr(self, name)):
                raise UserError(f"{name} is a function, which a run's folder cannot keep; train with `loop.fit`")
        return {**dataclasses.asdict(self), "hidden": list(self.hidden)}

    @classmethod
    def from_json(cls, settings):
        """The settings that `to_json` gave; one that a version before this did not have has its default.

        Raises:
          UserError: a name that is no setting, a value of another type or out of its range.
        """
        types = {field.name: field.type for field in dataclasses.fields(cls)}
        try:
            if unknown := sorted(settings.keys() - types.keys()):
                raise ValueError(f"{unknown[0]} is not a setting")
            if "hidden" not in settings:
                raise ValueError("hidden is missing")
            return cls(**{name: strict_json.conform(value, types[name], name) for name, value in settings.items()})
        except ValueError as error:
            raise UserError(f"these are not the settings of a run: {error}") from None


def read(name, words):
    """The value of one setting, from words as they stand on a command line.

    Raises:
      UserError: not in its range.
    """
    [field] = [field for field in dataclasses.fields(Config) if field.name == name]
    try:
        value = field.metadata["read"](words)
        if field.metadata["accepts"](value):
            return value
    except ValueError:
        pass
    raise UserError(f"--{name}={words}: must be {field.metadata['allowed']}")


def words_of(value):
    """A value as it stands on a command line."""
    if value is None:
        return "auto"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def is_path(dataset):
    """Whether a --dataset can only be a path: by its ending, or as it begins like one."""
    return is_file(dataset) or dataset.startswith(("/", ".", "~"))


def is_file(dataset):
    """Whether a --dataset is a file, by its ending."""
    return dataset.lower().endswith((".npz", ".csv"))
