"""Checkpoints that are whole or absent; the one place that knows how variables are named on disk.

    checkpoints/step-N.S/  state.index and state.data-*: the variables; manifest.json: everything else

N is the step, S counts the saves of the run. A checkpoint is written under another name, flushed to disk, then
renamed, and its manifest holds the SHA-256 of each file: a crash leaves a whole one, or one that is not taken for any.
"""

import math
import os
import pathlib
import re
import shutil
from typing import NamedTuple

from mlp_tf import UserError
from mlp_tf.runs import files

KEEP = 3
_NAME = re.compile(r"step-(\d{10})(?:\.(\d{3,}))?")  # version 0.2.0 counted only where a step was saved twice


class Damaged(Exception):
    """A checkpoint that is not whole."""


class Manifest(NamedTuple):
    """The state of a run but for its variables, of JSON's types."""

    step: int
    progress: dict  # the fields of `loop.Progress`
    history: list  # the rows of metrics.jsonl
    variables: dict  # {name: shape}
    environment: dict  # of the process that saved it


class Checkpoint(NamedTuple):
    """A checkpoint that was found whole."""

    path: pathlib.Path
    manifest: Manifest
    sizes: dict  # {name of a file of the variables: its bytes}


class Variables(NamedTuple):
    """All variables that a run changes."""

    tracked: object  # tf.train.Checkpoint
    shapes: dict  # {name: shape}


def variables(state, best):
    """`Variables` of a state, and of the parameters of the best epoch, {"weights": {...}, "biases": {...}}."""
    import tensorflow as tf

    shapes = {}
    for kind in ("weights", "biases"):
        for name, variable in getattr(state, kind).items():
            shape = variable.shape.as_list()
            shapes[f"{kind}/{name}:0"] = shapes[f"best/{kind}/{name}:0"] = shape
            # By slot: the names of the slots themselves differ when a process trains several runs.
            shapes |= {f"{kind}/{name}:0 {slot}": shape for slot in state.optimizer.get_slot_names()}
    return Variables(tf.train.Checkpoint(**state._asdict(), best=best), shapes)


def save(folder, tracked, manifest):
    """Writes a checkpoint into the folder of a run's checkpoints, then removes all but the newest `KEEP`.

    Raises:
      UserError: it cannot be written; the checkpoints before it are as they were.
    """
    import tensorflow as tf

    count = 1 + max((count for _, count, _ in _found(folder)), default=0)
    final, unfinished = folder / f"step-{manifest.step:010d}.{count:03d}", folder / f"{files.UNFINISHED}saving"
    try:
        unfinished.mkdir(parents=True)
        tracked.write(str(unfinished / "state"))
        described = {file.name: files.describe(file) for file in sorted(unfinished.iterdir())}
        content = {"format": files.FORMAT, **manifest._asdict(), "files": described}
        (unfinished / "manifest.json").write_text(files.to_json({**content, "sha256": files.digest(content)}))
        for path in (*unfinished.iterdir(), unfinished):
            files.flush(path)
        unfinished.rename(final)
        files.flush(folder)
    except (OSError, tf.errors.OpError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        size = sum(4 * math.prod(shape) for shape in manifest.variables.values())
        raise UserError(
            f"{final} cannot be saved: {error}; it needs {size:,} bytes; make room or access, and run the same "
            "command with this --workdir again"
        ) from None
    for *_, old in _found(folder)[KEEP:]:
        files.remove(old)


def newest(folder):
    """(the newest checkpoint that is whole, or None; a text for each newer one, which is damaged).

    Raises:
      UserError: a newer version of this package wrote one.
    """
    damaged = []
    for *_, path in _found(folder):
        try:
            return verify(path), damaged
        except Damaged as error:
            damaged.append(f"{path} is damaged ({error})")
    return None, damaged


def verify(path):
    """The checkpoint in a folder, after every file was compared with its manifest.

    Raises:
      Damaged: a file is missing, torn or changed.
      UserError: a newer version of this package wrote it.
    """
    try:
        content = files.read_json(path / "manifest.json")
        if content.pop("sha256") != files.digest(content):
            raise Damaged("manifest.json is not what was written")
        for name, described in content["files"].items():
            if files.describe(path / name) != described:
                raise Damaged(f"{name} is not what was written")
        manifest = Manifest(*(content[name] for name in Manifest._fields))
        if int(_NAME.fullmatch(path.name)[1]) != manifest.step:
            raise Damaged(f"its manifest is of step {manifest.step}")
        return Checkpoint(path, manifest, {name: each["bytes"] for name, each in content["files"].items()})
    except files.NewerFormat:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from None


def restore(path, saved, own):
    """Reads the variables of a verified checkpoint.

    Args:
      path: its folder.
      saved: {name: shape} that its manifest tells.
      own: the `Variables` to read it into.

    Raises:
      UserError: it holds other variables, or other shapes.
    """
    for name in [*own.shapes, *saved]:
        if saved.get(name) != own.shapes.get(name):
            raise UserError(
                f"{path}: {name} has shape {saved.get(name, 'none')} there, {own.shapes.get(name, 'none')} in this "
                "run; it is not this run's checkpoint"
            )
    own.tracked.read(str(path / "state")).assert_consumed()


def read_parameters(checkpoint, best):
    """(weights, biases) of a verified checkpoint, as arrays: those of its best epoch, or of its last."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(checkpoint.path / "state"))

    def read(kind):
        # "weights/h1:0 m" is a slot of the optimizer.
        pattern = re.compile(rf"{'best/' if best else ''}{kind}/(\w+):0")
        found = [match for match in map(pattern.fullmatch, checkpoint.manifest.variables) if match]
        keys = {match[1]: f"{match[0].removesuffix(':0')}/.ATTRIBUTES/VARIABLE_VALUE" for match in found}
        return {name: reader.get_tensor(key) for name, key in keys.items()}

    return read("weights"), read("biases")


def remove_unfinished(folder, newest):
    """Removes what killed processes left half-written, and renames the damaged ones among those after `newest`."""
    files.remove_unfinished(folder)
    for *_, path in _found(folder):
        if newest is None or path == newest.path:
            break
        files.remove(path.with_name(f"damaged-{path.name}"))
        path.rename(path.with_name(f"damaged-{path.name}"))


def _found(folder):
    """(step, count, path) of each folder of a checkpoint, newest first."""
    names = [_NAME.fullmatch(name) for name in (os.listdir(folder) if folder.exists() else [])]
    found = [(int(name[1]), int(name[2] or 0), folder / name[0]) for name in names if name]
    return sorted(found, reverse=True)
