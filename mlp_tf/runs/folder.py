"""A run's folder: one process at a time, and the files that people read.

    config.json      settings, data, network, versions
    metrics.jsonl    one object an epoch; the newest checkpoint knows them too
    results.json     exists once the run is finished
    checkpoints/     see `checkpoint`

Nothing here imports TensorFlow until a checkpoint is written, so that a command can refuse a folder before it loads
anything.
"""

import contextlib
import fcntl
import json
import os
import pathlib

from mlp_tf import UserError
from mlp_tf.runs import checkpoint, files
from mlp_tf.runs.describe import Description, Results


@contextlib.contextmanager
def lock_folder(path):
    """Makes a folder, if need be, and keeps other processes out of it.

    The lock is on the folder itself: it needs no file, and ends with its process however that ends.
    A folder that was created here, and nothing was put into, is removed again.

    Raises:
      UserError: it cannot be made, or another process is using it.
    """
    path = pathlib.Path(path)
    new = not path.exists()
    descriptor = _make_and_open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(
            f"--workdir={path}: another process is using this folder; wait for its end, or give another one"
        ) from None
    try:
        yield
    finally:
        if new:
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        os.close(descriptor)


def _make_and_open(path):
    if path.exists() and not path.is_dir():
        raise UserError(f"--workdir={path}: is not a folder; give one, or a name that is not there yet")
    try:
        path.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UserError(
            f"--workdir={path}: {error.strerror}; give a folder that can be written, or whose parent can"
        ) from None


@contextlib.contextmanager
def open_run(path, chief=True):
    """Opens a run's folder to train in it, or creates it, and keeps other processes out.

    Yields:
      `RunFolder`; `NoFolder` to workers other than the chief, which leave the folder alone.

    Raises:
      UserError: it cannot be made, another process is using it, or what it holds is no run.
    """
    if not chief:
        yield NoFolder()
        return
    with lock_folder(path):
        yield RunFolder(path)


def read_run(path):
    """The folder of a run that is there, to be read and not changed.

    Raises:
      UserError: no folder, or no run in it.
    """
    path = pathlib.Path(path)
    if not (path / "config.json").exists():
        raise UserError(
            f"--workdir={path}: no run there (no config.json); give the folder that `train` printed as Run:"
        )
    return RunFolder(path)


class RunFolder:
    """The folder of one run; `description` and `results` are what its files say, or None.

    Raises:
      UserError: files but no config.json, a config.json that is none, or one of a newer format.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self._checkpoints = self.path / "checkpoints"
        self._saved = None  # manifest of the last save
        if not (self.path / "config.json").exists() and any(
            not name.startswith(files.UNFINISHED) for name in os.listdir(self.path)
        ):
            raise UserError(
                f"--workdir={path}: holds files but no config.json, so no run; give an empty or a new folder"
            )
        self.description = self._read("config.json", Description.from_json)
        self.results = self._read("results.json", lambda content: Results(*(content[key] for key in Results._fields)))

    def _read(self, name, parse):
        path = self.path / name
        try:
            return parse(files.read_json(path))
        except FileNotFoundError:
            return None
        except files.NewerFormat:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = f"it lacks {error.args[0]}" if isinstance(error, KeyError) else error
            raise UserError(
                f"{path}: not a file of a run ({reason}); restore it from a copy, or give another --workdir"
            ) from None

    def finished(self, config):
        """Whether the run is done, for exactly this total of epochs."""
        return self.results is not None and self.description.config.epochs == config.epochs

    def dataset(self, config):
        """What to load: --dataset, but what `auto` stood for when the run began stays."""
        return self.description.data.name if self.description and config.dataset == "auto" else config.dataset

    def newest_checkpoint(self):
        """(the newest checkpoint that is whole, or None where the run has not saved yet; warnings of damaged ones).

        Raises:
          UserError: there should be one, but none is whole; or a newer version of this package wrote it.
        """
        found, damaged = checkpoint.newest(self._checkpoints)
        if found:
            self._saved = found.manifest
            return found, [f"{text}; using {found.path.name} instead" for text in damaged]
        if damaged or (self.path / "metrics.jsonl").exists():
            reason = "; ".join(damaged) or f"{self._checkpoints} is empty"
            raise UserError(
                f"--workdir={self.path}: no whole checkpoint is left ({reason}); restore a copy, or give a new folder"
            )
        return None, []

    def save(self, tracked, manifest):
        """Writes a checkpoint, unless the newest one holds the same state.

        Raises:
          UserError: it cannot be written; the checkpoints before it are as they were.
        """
        if manifest != self._saved:
            checkpoint.save(self._checkpoints, tracked, manifest)
            self._saved = manifest

    def remove_unfinished(self, newest):
        """Removes what killed processes left half-written, and sets damaged checkpoints aside."""
        files.remove_unfinished(self.path)
        checkpoint.remove_unfinished(self._checkpoints, newest)

    def write_description(self, description):
        """Writes config.json, and takes back results.json, which says that this very run is finished."""
        if self.results is not None:
            (self.path / "results.json").unlink()
        self.description, self.results = description, None
        files.write(self.path / "config.json", files.to_json({"format": files.FORMAT, **description.to_json()}))

    def write_results(self, results):
        """Writes results.json: the run is finished."""
        self.results = results
        files.write(self.path / "results.json", files.to_json(results._asdict()))

    def write_metrics(self, rows):
        """Makes metrics.jsonl these rows, whatever was in it."""
        files.write(self.path / "metrics.jsonl", "".join(_line(row) for row in rows))

    def append_metrics(self, row):
        """Adds the row of one epoch to metrics.jsonl."""
        files.append(self.path / "metrics.jsonl", _line(row))

    def read_metrics(self):
        """The rows of metrics.jsonl; a last line that was not written wholly is left out."""
        try:
            lines = (self.path / "metrics.jsonl").read_text().splitlines(keepends=True)
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.path / 'metrics.jsonl'}: cannot be read ({error}); resume the run to mend it"
            ) from None


class NoFolder:
    """What a worker that is not the chief has of the run's folder: nothing there, and nothing is written."""

    description = results = None

    def finished(self, config):
        """The chief alone can tell."""
        return False

    def dataset(self, config):
        """The chief alone can tell what `auto` stood for."""
        return config.dataset

    def newest_checkpoint(self):
        """The chief alone has one."""
        return None, []

    def save(self, tracked, manifest):
        """Nothing."""

    def remove_unfinished(self, newest):
        """Nothing."""

    def write_description(self, description):
        """Nothing."""

    def write_results(self, results):
        """Nothing."""

    def write_metrics(self, rows):
        """Nothing."""

    def append_metrics(self, row):
        """Nothing."""


def _line(row):
    return json.dumps(row, allow_nan=False) + "\n"
