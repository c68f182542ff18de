"""A run's folder: its settings, its metrics, and checkpoints that are whole or absent.

    config.json          settings, dataset, network, versions
    metrics.jsonl        one object an epoch; the newest checkpoint knows them too
    results.json         exists once the run is finished
    checkpoints/step-N/  state.index and state.data-*: the variables; manifest.json: everything else

A checkpoint is written under another name, flushed to disk, then renamed, and its manifest holds the
SHA-256 of each file: a crash leaves a whole one, or one that is not taken for any. TensorFlow is
imported only to write and restore one, so that a command can refuse a folder before it loads anything.
"""

import contextlib
import fcntl
import json
import math
import os
import pathlib
import re
import shutil

from mlp_tf import UserError, files
from mlp_tf.config import Config, differences

KEEP = 3


class Damaged(Exception):
    """A checkpoint that is not whole."""


@contextlib.contextmanager
def held(path):
    """Makes a folder, if need be, and keeps other processes out of it.

    The lock is on the folder itself: it needs no file, and ends with its process however that ends.
    A folder that was created here, and nothing was put into, is removed again.

    Raises:
      UserError: it cannot be made, or another process is using it.
    """
    path = pathlib.Path(path)
    new = not path.exists()
    if path.exists() and not path.is_dir():
        raise UserError(f"--workdir={path}: is not a folder; give one, or a name that is not there yet")
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UserError(
            f"--workdir={path}: {error.strerror}; give a folder that can be written, or whose parent can"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"--workdir={path}: another process is using this folder; wait for its end, or give another one"
            ) from None
        yield
    finally:
        if new:
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        os.close(descriptor)


@contextlib.contextmanager
def locked(path, chief=True):
    """Opens a run's folder, or creates it, and keeps other processes out.

    Yields:
      `RunDirectory`; None to workers other than the chief, which leave the folder alone.

    Raises:
      UserError: it cannot be made, another process is using it, or what it holds is no run.
    """
    if not chief:
        yield None
        return
    with held(path):
        yield RunDirectory(path)


def existing(path):
    """The folder of a run that is there, to be read and not changed.

    Raises:
      UserError: no folder, or no run in it.
    """
    path = pathlib.Path(path)
    if not (path / "config.json").exists():
        raise UserError(
            f"--workdir={path}: no run there (no config.json); give the folder that `train` printed as Run:"
        )
    return RunDirectory(path)


class RunDirectory:
    """The folder of one run; `config` and `results` are what its files say, or None.

    Raises:
      UserError: files but no config.json, a config.json that is none, or one of a newer format.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.checkpoints = self.path / "checkpoints"
        if not (self.path / "config.json").exists() and any(
            not name.startswith(files.UNFINISHED) for name in os.listdir(self.path)
        ):
            raise UserError(
                f"--workdir={path}: holds files but no config.json, so no run; give an empty or a new folder"
            )
        self.config = self._read("config.json", {"settings", "data", "model", "environment"})
        self.results = self._read("results.json", {"test_cost", "test_accuracy", "epochs"})

    def _read(self, name, keys):
        try:
            content = files.read_json(self.path / name)
            if not keys <= content.keys():
                raise ValueError(f"it lacks {', '.join(sorted(keys - content.keys()))}")
            return content
        except FileNotFoundError:
            return None
        except UserError:
            raise
        except ValueError as error:
            raise UserError(
                f"{self.path / name}: not a file of a run ({error}); restore it from a copy, or give another --workdir"
            ) from None

    def settings(self):
        """The run's own `Config`.

        Raises:
          UserError: config.json does not hold one.
        """
        try:
            return Config.from_json(self.config["settings"])
        except (KeyError, TypeError, UserError) as error:
            raise UserError(
                f"{self.path / 'config.json'} holds no settings ({error}); restore it from a copy"
            ) from None

    def dataset(self, config):
        """What to load: --dataset, but what `auto` stood for when the run began stays."""
        return self.config["data"]["name"] if self.config and config.dataset == "auto" else config.dataset

    def finished(self, config):
        """Whether the run is done, with no more epochs asked for than it was."""
        return self.results is not None and self.settings().epochs == config.epochs

    def check_settings(self, config):
        """Refuses to continue the run with other settings than its own, naming each."""
        if self.config is None:
            return
        own = self.settings()
        differing = [f"--{name}={given}, but {mine} in the run" for name, given, mine in differences(config, own)]
        if config.epochs != own.epochs and own.schedule == "linear":
            differing.append(
                f"--epochs={config.epochs}, but {own.epochs} in the run (under --schedule=linear each learning rate "
                "depends on the total)"
            )
        self._refuse(differing)

    def check_data(self, data):
        """Refuses to continue the run on other data than its own, naming what differs."""
        own = {"shares": 1, **self.config["data"]}
        if data["shares"] != own["shares"]:
            raise UserError(
                f"--workdir={self.path}: {own['shares']} workers share the images of this run, and {data['shares']} "
                "were started; start as many, with or without --replicate_data as before"
            )
        keys = [key for key in data if data[key] != own.get(key)]
        self._refuse([f"data: {key} {data[key]}, but {own.get(key)} in the run" for key in keys])

    def _refuse(self, differing):
        if differing:
            raise UserError(
                f"--workdir={self.path} holds another run: {'; '.join(differing)}; give its own, or another folder"
            )

    def write_config(self, config):
        """Writes config.json, and takes back results.json, which says that this very run is finished."""
        if self.results is not None:
            (self.path / "results.json").unlink()
        self.config, self.results = {"format": files.FORMAT, **config}, None
        files.write(self.path / "config.json", files.to_json(self.config))

    def write_results(self, results):
        """Writes results.json: the run is finished."""
        self.results = results
        files.write(self.path / "results.json", files.to_json(results))

    def write_metrics(self, rows):
        """Makes metrics.jsonl these rows, whatever was in it."""
        files.write(self.path / "metrics.jsonl", "".join(_line(row) for row in rows))

    def read_metrics(self):
        """The rows of metrics.jsonl; a last line that was not written wholly is left out."""
        try:
            lines = (self.path / "metrics.jsonl").read_text().splitlines(keepends=True)
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.path / 'metrics.jsonl'}: cannot be read ({error}); resume the run to mend it"
            ) from None

    def append_metrics(self, row):
        """Adds the row of one epoch to metrics.jsonl."""
        files.append(self.path / "metrics.jsonl", _line(row))

    def save(self, checkpoint, manifest):
        """Writes a checkpoint, then removes all but the newest `KEEP`.

        Args:
          checkpoint: the `tf.train.Checkpoint` of the variables.
          manifest: the rest of the state, of JSON's types; `step` names the checkpoint, `variables` are
            the names and shapes.

        Raises:
          UserError: it cannot be written; the checkpoints before it are as they were.
        """
        import tensorflow as tf

        final = self._free_name(manifest)
        if final is None:
            return
        unfinished = self.checkpoints / f"{files.UNFINISHED}saving"
        try:
            unfinished.mkdir(parents=True)
            checkpoint.write(str(unfinished / "state"))
            described = {file.name: files.describe(file) for file in sorted(unfinished.iterdir())}
            content = {"format": files.FORMAT, **manifest, "files": described}
            (unfinished / "manifest.json").write_text(files.to_json({**content, "sha256": files.digest(content)}))
            for path in (*unfinished.iterdir(), unfinished):
                files.flush(path)
            unfinished.rename(final)
            files.flush(self.checkpoints)
        except (OSError, tf.errors.OpError) as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            size = sum(4 * math.prod(shape) for shape in manifest["variables"].values())
            raise UserError(
                f"{final} cannot be saved: {error}; it needs {size:,} bytes; make room or access, and run the same "
                "command with this --workdir again"
            ) from None
        for old in self._saved()[KEEP:]:
            files.remove(old)

    def _free_name(self, manifest):
        """The folder for a checkpoint, or None if it is there already.

        A step may be saved twice, before and after its epoch's evaluation: the second save gets a name of
        its own, since to replace the first would leave a moment without either.
        """
        name, count = f"step-{manifest['step']:010d}", 0
        final = self.checkpoints / name
        while final.exists():
            with contextlib.suppress(Damaged):
                there = read_manifest(final)
                if all(there[key] == value for key, value in manifest.items()):
                    return None
            count += 1
            final = self.checkpoints / f"{name}.{count:03d}"
        return final

    def newest(self):
        """The newest checkpoint that is whole; those newer, which are damaged, are told in warnings.

        Returns:
          (folder, manifest, warnings); (None, None, []) where the run has not saved anything yet.

        Raises:
          UserError: there should be one, but none is whole; or a newer version of this package wrote it.
        """
        warnings = []
        for folder in self._saved():
            try:
                manifest = read_manifest(folder)
                return folder, manifest, [f"{warning}; using {folder.name} instead" for warning in warnings]
            except Damaged as error:
                warnings.append(f"{folder} is damaged ({error})")
        if warnings or (self.path / "metrics.jsonl").exists():
            reason = "; ".join(warnings) or f"{self.checkpoints} is empty"
            raise UserError(
                f"--workdir={self.path}: no whole checkpoint is left ({reason}); restore a copy, or give a new folder"
            )
        return None, None, []

    def tidy(self, newest):
        """Removes what killed processes left half-written, and renames damaged checkpoints, newer than `newest`."""
        files.remove_unfinished(self.path)
        files.remove_unfinished(self.checkpoints)
        for folder in self._saved():
            if newest is not None and folder > newest:
                files.remove(folder.with_name(f"damaged-{folder.name}"))
                folder.rename(folder.with_name(f"damaged-{folder.name}"))

    def _saved(self):
        """Folders of checkpoints, newest first."""
        names = os.listdir(self.checkpoints) if self.checkpoints.exists() else []
        return [
            self.checkpoints / name
            for name in sorted(names, reverse=True)
            if re.fullmatch(r"step-\d{10}(\.\d{3})?", name)
        ]


def read_manifest(folder):
    """The manifest of a checkpoint, after every file was compared with it.

    Raises:
      Damaged: a file is missing, torn or changed.
      UserError: a newer version of this package wrote it.
    """
    try:
        manifest = files.read_json(folder / "manifest.json")
        if manifest.pop("sha256") != files.digest(manifest):
            raise Damaged("manifest.json is not what was written")
        for name, described in manifest["files"].items():
            if files.describe(folder / name) != described:
                raise Damaged(f"{name} is not what was written")
        if not folder.name.startswith(f"step-{manifest['step']:010d}"):
            raise Damaged(f"its manifest is of step {manifest['step']}")
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from None
    return manifest


def restore(folder, manifest, checkpoint, variables):
    """Reads a verified checkpoint into variables.

    Args:
      folder, manifest: from `RunDirectory.newest`.
      checkpoint: the `tf.train.Checkpoint` of the variables, as it was saved.
      variables: {name: shape} of them.

    Raises:
      UserError: it holds other variables, or other shapes.
    """
    saved = manifest["variables"]
    for name in [*variables, *saved]:
        if saved.get(name) != variables.get(name):
            raise UserError(
                f"{folder}: {name} has shape {saved.get(name, 'none')} there, {variables.get(name, 'none')} in this "
                "run; it is not this run's checkpoint"
            )
    checkpoint.read(str(folder / "state")).assert_consumed()


def _line(row):
    return json.dumps(row, allow_nan=False) + "\n"
