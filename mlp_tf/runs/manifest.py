"""What a checkpoint's manifest.json says: all of a run but its variables, and the SHA-256 of their files."""

import re
from typing import NamedTuple, NotRequired, TypedDict

from mlp_tf import UserError
from mlp_tf.base import strict_json
from mlp_tf.runs import files
from mlp_tf.runs.describe import Environment

# The names that TensorFlow gives the files of the variables.
_FILE = re.compile(r"state\.(index|data-[0-9]{5}-of-[0-9]{5})")


class Row(TypedDict):
    """A line of metrics.jsonl."""

    epoch: int  # from 1
    cost: float
    val_cost: float | None
    val_accuracy: float | None
    learning_rate: float
    seconds: float
    train_accuracy: NotRequired[float | None]


class Position(TypedDict):
    """The fields of `loop.Progress`."""

    epoch: int
    step: int
    steps: int
    total: float
    seconds: float


class Manifest(NamedTuple):
    """The state of a run but for its variables, of JSON's types."""

    step: int
    progress: Position
    history: list[Row]
    variables: dict[str, list[int]]  # {name: shape}
    environment: Environment  # of the process that saved it
    run: dict | None = None  # `Description.identity`; version 0.3.0 did not write it


class _Bytes(TypedDict):
    """What a manifest says of a file of the variables."""

    bytes: int
    sha256: str


def to_json(manifest, described):
    """The text of manifest.json.

    Args:
      described: {name of a file of the variables: `files.describe` of it}.
    """
    content = {"format": files.FORMAT, **manifest._asdict(), "files": described}
    return files.to_json({**content, "sha256": files.digest(content)})


def read_manifest(path):
    """(`Manifest`, what `to_json` was given as `described`), checked.

    Raises:
      OSError: no such file, no access, or not a regular file.
      ValueError: not what was written, not of its form, or at odds with itself.
      NewerFormat: a newer version of this package wrote it.
    """
    content = files.read_json(path)
    if content.pop("sha256", "") != files.digest(content):
        raise ValueError("manifest.json is not what was written")
    manifest = strict_json.conform(content, Manifest, "manifest.json")
    described = strict_json.conform(content.get("files"), dict[str, _Bytes], "manifest.json.files")
    check_names(described)
    progress, epochs = manifest.progress, [row["epoch"] for row in manifest.history]
    within = progress["steps"] > 0 and progress["step"] <= progress["steps"]
    counted = manifest.step == progress["epoch"] * progress["steps"] + progress["step"]
    if not (within and counted and epochs == [*range(1, len(epochs) + 1)] and len(epochs) == progress["epoch"]):
        raise ValueError("its manifest contradicts itself in step, progress and history")
    return manifest, described


def check_names(names):
    """Raises UserError unless these are names of files that TensorFlow writes variables to, and nothing else."""
    for name in names:
        if not _FILE.fullmatch(name):
            raise UserError(f"{name!r} is not the name of a file of the variables")
