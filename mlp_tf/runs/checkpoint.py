"""Checkpoints, which are complete or absent. Only this module knows the names of variables on disk.

    checkpoints/step-N.S/  state.index and state.data-*: the variables; manifest.json: everything else

N is the step, S counts the saves of the run. A checkpoint is written under another name, flushed to disk, then
renamed; its manifest holds the SHA-256 of each file. So after a crash a checkpoint is complete, or is not taken for
one.
"""

import math
import os
import pathlib
import re
import shutil
from typing import NamedTuple, TypedDict

import msgspec

from mlp_tf import UserError
from mlp_tf.base import files
from mlp_tf.base.files import UNFINISHED, Count, Fingerprint, flush
from mlp_tf.runs.identity import Environment

KEEP = 3
_NAME = re.compile(r"step-([0-9]{10})\.([0-9]{3,})")
_FILE = re.compile(r"state\.(index|data-[0-9]{5}-of-[0-9]{5})")  # TensorFlow's names for the files of the variables


class Damaged(Exception):
    """A checkpoint that is not complete."""


class Row(TypedDict):
    """A line of metrics.jsonl: the measurements of one epoch."""

    epoch: Count  # from 1
    cost: float
    accuracy: float  # on the training examples, each just before the step that trains on it
    val_cost: float | None
    val_accuracy: float | None
    learning_rate: float
    seconds: float


class Position(TypedDict):
    """The fields of `loop.Progress`."""

    epoch: Count
    step: Count
    steps: Count
    total: float
    correct: float
    seconds: float


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state of a run except for its variables."""

    step: Count
    progress: Position
    history: list[Row]
    variables: dict[str, list[Count]]  # {name: shape}
    environment: Environment  # of the process that saved it
    identity: dict  # `Description.identity`


class Checkpoint(NamedTuple):
    """A checkpoint that was found complete."""

    path: pathlib.Path | None  # None on a worker that is not the chief, which sends it the rest
    manifest: Manifest
    sizes: dict[str, int]  # {name of a file of the variables: its bytes}


class Variables(NamedTuple):
    """All variables that a run changes."""

    tracked: object  # tf.train.Checkpoint
    shapes: dict  # {name: shape}


def variables(state, best):
    """Returns the `Variables` of a run.

    Args:
      state: `loop.State`.
      best: the parameters of the best epoch, {"weights": {...}, "biases": {...}}.
    """
    import tensorflow as tf

    shapes = {}
    for kind in ("weights", "biases"):
        for name, variable in getattr(state, kind).items():
            shape = variable.shape.as_list()
            shapes[f"{kind}/{name}:0"] = shapes[f"best/{kind}/{name}:0"] = shape
            # By slot: the names of the slots themselves differ when a process trains several runs.
            shapes |= {f"{kind}/{name}:0 {slot}": shape for slot in state.optimizer.get_slot_names()}
    tracked = tf.train.Checkpoint(
        weights=state.weights, biases=state.biases, optimizer=state.optimizer, step=state.step, best=best
    )
    return Variables(tracked, shapes)


def save(folder, tracked, manifest):
    """Writes a checkpoint into the folder of a run's checkpoints, then removes all but the newest `KEEP`.

    Args:
      folder: path of `checkpoints/`.
      tracked: from `variables`.
      manifest: `Manifest`.

    Returns:
      A warning if an old checkpoint cannot be removed, else "".

    Raises:
      UserError: it cannot be written; the checkpoints before it are unchanged.
    """
    import tensorflow as tf

    count = 1 + max((count for _, count, _ in _scan(folder)), default=0)
    final = folder / f"step-{manifest.step:010d}.{count:03d}"
    unfinished = folder / f"{UNFINISHED}saving"
    try:
        folder.mkdir(exist_ok=True)
        unfinished.mkdir()
        try:
            with files.plain_path(unfinished) as plain:
                tracked.write(str(plain / "state"))
            fingerprints = {file.name: files.fingerprint(file) for file in sorted(unfinished.iterdir())}
            content = msgspec.to_builtins(manifest) | {"files": msgspec.to_builtins(fingerprints)}
            (unfinished / "manifest.json").write_text(files.to_json({**content, "sha256": files.digest(content)}))
            for path in (*unfinished.iterdir(), unfinished):
                flush(path)
            unfinished.rename(final)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        flush(folder)
    except (OSError, tf.errors.OpError) as error:
        size = sum(4 * math.prod(shape) for shape in manifest.variables.values())
        raise UserError(
            f"{final} cannot be saved: {error}; it needs {size:,} bytes; make room or access, and run the same "
            "command with this --workdir again"
        ) from None
    try:
        for *_, old in _scan(folder)[KEEP:]:
            files.remove(old)
    except OSError as error:
        return f"{error.filename}: {error.strerror}; this old checkpoint is no longer needed, but cannot be removed"
    return ""


def newest(folder):
    """Returns (the newest complete `Checkpoint`, or None; a text for each newer, damaged one).

    Raises:
      UserError: as `verify`.
    """
    damaged = []
    for *_, path in _scan(folder):
        try:
            return verify(path), damaged
        except Damaged as error:
            damaged.append(f"{path} is damaged ({error})")
    return None, damaged


def verify(path):
    """Compares every file of a checkpoint with its manifest, and returns the `Checkpoint`.

    Raises:
      Damaged: a file is missing, torn or changed, or is not of the form that `save` writes.
      UserError: a file may not be read, or another version of this package wrote it.
    """
    try:
        if path.is_symlink():
            raise Damaged("it is a symbolic link")
        manifest, fingerprints = _read_manifest(path / "manifest.json")
        if int(_NAME.fullmatch(path.name)[1]) != manifest.step:
            raise Damaged(f"its manifest is of step {manifest.step}")
        present = {name for name in os.listdir(path) if name.startswith("state.")}
        if present != fingerprints.keys() or "state.index" not in present:
            raise Damaged("its files are not those that manifest.json names")
        for name, fingerprint in fingerprints.items():
            if files.fingerprint(path / name) != fingerprint:
                raise Damaged(f"{name} is not what was written")
        return Checkpoint(path, manifest, {name: each.bytes for name, each in fingerprints.items()})
    except PermissionError as error:
        raise UserError(f"{error.filename}: {error.strerror}; make it readable to you, and try again") from None
    except files.OtherFormat:
        raise
    except (OSError, ValueError) as error:
        where = f"{pathlib.Path(error.filename).name}: " if getattr(error, "filename", None) else ""
        raise Damaged(f"{where}{getattr(error, 'strerror', None) or error}") from None


def _read_manifest(path):
    """Returns (`Manifest`, {name of a file of the variables: its `Fingerprint`}), both checked.

    Raises:
      OSError: no such file, no access, or not a regular file.
      ValueError: not what was written, not of its form, or at odds with itself.
      OtherFormat: another version of this package wrote it.
    """
    content = files.read_json(path)
    if content.pop("sha256", "") != files.digest(content):
        raise ValueError("manifest.json is not what was written")
    fingerprints = msgspec.convert(content.pop("files", None), dict[str, Fingerprint])
    check_names(fingerprints)
    manifest = msgspec.convert(content, Manifest)
    progress = manifest.progress
    epochs = [row["epoch"] for row in manifest.history]
    is_consistent = (
        0 <= progress["step"] <= progress["steps"] > 0
        and manifest.step == progress["epoch"] * progress["steps"] + progress["step"]
        and epochs == [*range(1, progress["epoch"] + 1)]
    )
    if not is_consistent:
        raise ValueError("its manifest contradicts itself in step, progress and history")
    return manifest, fingerprints


def check_names(names):
    """Raises UserError unless these are names of files that TensorFlow writes variables to."""
    for name in names:
        if not _FILE.fullmatch(name):
            raise UserError(f"{name!r} is not the name of a file of the variables")


def restore(path, saved, target):
    """Reads the variables of a verified checkpoint.

    Args:
      path: its folder.
      saved: {name: shape} in its manifest.
      target: the `Variables` to read it into.

    Raises:
      UserError: it holds other variables or shapes.
    """
    import tensorflow as tf

    for name in [*target.shapes, *saved]:
        if saved.get(name) != target.shapes.get(name):
            raise UserError(
                f"{path}: {name} has shape {saved.get(name, 'none')} there, {target.shapes.get(name, 'none')} in this "
                "run; it is not this run's checkpoint"
            )
    try:
        with files.plain_path(path) as plain:
            target.tracked.read(str(plain / "state")).assert_consumed()
    except (tf.errors.OpError, AssertionError, ValueError, RuntimeError):
        raise UserError(f"{path}: its files do not hold what its manifest says; restore a copy") from None


def read_parameters(checkpoint, best):
    """Returns (weights, biases) of a verified checkpoint, as arrays.

    Args:
      checkpoint: `Checkpoint`.
      best: whether to return those of its best epoch, instead of its last.

    Raises:
      UserError: it does not hold them.
    """
    import tensorflow as tf

    # "weights/h1:0 m" is a slot of the optimizer.
    pattern = re.compile(rf"({'best/' if best else ''}(weights|biases)/(\w+)):0")
    found = filter(None, map(pattern.fullmatch, checkpoint.manifest.variables))
    parameters = {"weights": {}, "biases": {}}
    try:
        with files.plain_path(checkpoint.path) as plain:
            reader = tf.train.load_checkpoint(str(plain / "state"))
            for key, kind, name in (match.groups() for match in found):
                parameters[kind][name] = reader.get_tensor(f"{key}/.ATTRIBUTES/VARIABLE_VALUE")
    except (tf.errors.OpError, ValueError, RuntimeError):
        raise UserError(f"{checkpoint.path}: its files do not hold what its manifest says; restore a copy") from None
    return parameters["weights"], parameters["biases"]


def remove_unfinished(folder, newest):
    """Removes what killed processes left half-written, and renames the damaged checkpoints after `newest`."""
    files.remove_unfinished(folder)
    for *_, path in _scan(folder):
        if newest is None or path == newest.path:
            break
        files.remove(path.with_name(f"damaged-{path.name}"))
        path.rename(path.with_name(f"damaged-{path.name}"))


def _scan(folder):
    """Returns (step, count, path) of each folder of a checkpoint, newest first."""
    found = []
    for name in os.listdir(folder) if folder.exists() else []:
        if match := _NAME.fullmatch(name):
            found.append((int(match[1]), int(match[2]), folder / name))
    return sorted(found, reverse=True)
