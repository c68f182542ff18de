"""Checkpoints that are whole or absent; the one place that knows how variables are named on disk.

    checkpoints/step-N.S/  state.index and state.data-*: the variables; manifest.json: everything else

N is the step, S counts the saves of the run. A checkpoint is written under another name, flushed to disk, then
renamed, and its manifest holds the SHA-256 of each file: a crash leaves a whole one, or one that is not taken for any.
"""

import contextlib
import math
import os
import pathlib
import re
import shutil
from typing import NamedTuple

from mlp_tf import UserError
from mlp_tf.base.files import UNFINISHED, flush
from mlp_tf.runs import files
from mlp_tf.runs.manifest import Manifest, read_manifest, to_json

KEEP = 3
_NAME = re.compile(r"step-([0-9]{10})(?:\.([0-9]{3,}))?")  # version 0.2.0 counted only where a step was saved twice


class Damaged(Exception):
    """A checkpoint that is not whole."""


class Checkpoint(NamedTuple):
    """A checkpoint that was found whole."""

    path: pathlib.Path
    manifest: Manifest
    sizes: dict[str, int]  # {name of a file of the variables: its bytes}


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
    final, unfinished = folder / f"step-{manifest.step:010d}.{count:03d}", folder / f"{UNFINISHED}saving"
    size = sum(4 * math.prod(shape) for shape in manifest.variables.values())
    try:
        folder.mkdir(exist_ok=True)
        unfinished.mkdir()
        with _removed_on_failure(unfinished):
            _write(unfinished, tracked, manifest)
            unfinished.rename(final)
        flush(folder)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"{final} cannot be saved: {error}; it needs {size:,} bytes; make room or access, and run the same "
            "command with this --workdir again"
        ) from None
    for *_, old in _found(folder)[KEEP:]:
        files.remove(old)


@contextlib.contextmanager
def _removed_on_failure(folder):
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write(folder, tracked, manifest):
    """Writes the files of a checkpoint, and waits until they are on the disk."""
    with files.plain_path(folder) as plain:
        tracked.write(str(plain / "state"))
    described = {file.name: files.describe(file) for file in sorted(folder.iterdir())}
    (folder / "manifest.json").write_text(to_json(manifest, described))
    for path in (*folder.iterdir(), folder):
        flush(path)


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
      Damaged: a file is missing, torn or changed, or is not of the form that `save` writes.
      UserError: it may not be read, or a newer version of this package wrote it.
    """
    try:
        if path.is_symlink():
            raise Damaged("it is a symbolic link")
        manifest, described = read_manifest(path / "manifest.json")
        if int(_NAME.fullmatch(path.name)[1]) != manifest.step:
            raise Damaged(f"its manifest is of step {manifest.step}")
        present = {name for name in os.listdir(path) if name.startswith("state.")}
        if present != described.keys() or "state.index" not in present:
            raise Damaged("its files are not those that manifest.json names")
        for name, each in described.items():
            if files.describe(path / name) != each:
                raise Damaged(f"{name} is not what was written")
        return Checkpoint(path, manifest, {name: each["bytes"] for name, each in described.items()})
    except PermissionError as error:
        raise UserError(f"{error.filename}: {error.strerror}; make it readable to you, and try again") from None
    except files.NewerFormat:
        raise
    except (OSError, ValueError) as error:
        where = f"{pathlib.Path(error.filename).name}: " if getattr(error, "filename", None) else ""
        raise Damaged(f"{where}{getattr(error, 'strerror', None) or error}") from None


def restore(path, saved, own):
    """Reads the variables of a verified checkpoint.

    Args:
      path: its folder.
      saved: {name: shape} that its manifest tells.
      own: the `Variables` to read it into.

    Raises:
      UserError: it holds other variables, or other shapes.
    """
    import tensorflow as tf

    for name in [*own.shapes, *saved]:
        if saved.get(name) != own.shapes.get(name):
            raise UserError(
                f"{path}: {name} has shape {saved.get(name, 'none')} there, {own.shapes.get(name, 'none')} in this "
                "run; it is not this run's checkpoint"
            )
    try:
        with files.plain_path(path) as plain:
            own.tracked.read(str(plain / "state")).assert_consumed()
    except (tf.errors.OpError, AssertionError, ValueError, RuntimeError):
        raise UserError(f"{path}: its files do not hold what its manifest says; restore a copy") from None


def read_parameters(checkpoint, best):
    """(weights, biases) of a verified checkpoint, as arrays: those of its best epoch, or of its last.

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
