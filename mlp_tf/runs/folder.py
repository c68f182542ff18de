"""A run's folder: the files that people read, and its checkpoints.

    config.json      settings, data, network, versions
    metrics.jsonl    one object an epoch; the newest checkpoint knows them too
    results.json     exists once the run is finished
    checkpoints/     see `checkpoint`

Nothing here imports TensorFlow until a checkpoint is written, so that a command can refuse a folder before it loads
anything.
"""

import contextlib
import json
import os
import pathlib
from typing import NamedTuple

from mlp_tf import UserError
from mlp_tf.base import strict_json
from mlp_tf.base.files import UNFINISHED
from mlp_tf.config import Config
from mlp_tf.runs import checkpoint, files
from mlp_tf.runs.describe import Description, Results
from mlp_tf.runs.lock import lock_folder
from mlp_tf.runs.manifest import Row


class Wanted(NamedTuple):
    """What a run loads."""

    name: str
    validation_size: int | None
    resumes: bool  # whether it has loaded it before


@contextlib.contextmanager
def open_run(path, chief=True, made=False):
    """Opens a run's folder to train in it, or creates it, and keeps other processes out.

    Yields:
      `RunFolder`; `NoFolder` to workers other than the chief, which leave the folder alone.

    Raises:
      UserError: it cannot be made, another process is using it, or what it holds is no run.
    """
    if not chief:
        yield NoFolder()
        return
    with lock_folder(path, made) as lock:
        yield RunFolder(path, lock)


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

    Args:
      path: of the folder.
      lock: its `Lock`; without one the folder is only read.

    Raises:
      UserError: files but no config.json, a file that is not what a run writes, or one of a newer format.
    """

    def __init__(self, path, lock=None):
        self.path, self._lock = pathlib.Path(path), lock
        self._checkpoints = self.path / "checkpoints"
        self._saved = None  # manifest of the last save
        if not (self.path / "config.json").exists() and any(
            not name.startswith(UNFINISHED) for name in os.listdir(self.path)
        ):
            raise UserError(
                f"--workdir={path}: holds files but no config.json, so no run; give an empty or a new folder"
            )
        if self._checkpoints.is_symlink():
            raise UserError(
                f"{self._checkpoints} is a symbolic link, which is not followed; put the folder itself there"
            )
        self.description = self._read(
            "config.json", Description.from_json, "restore it from a copy, or give another --workdir"
        )
        self.results = self._read(
            "results.json", _parse_results, "delete it and run the same command again, which writes it anew"
        )
        self._check_results()

    def _read(self, name, parse, advice):
        path = self.path / name
        try:
            return parse(files.read_json(path))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise UserError(f"{path}: {error.strerror}; make it readable to you, and try again") from None
        except files.NewerFormat:
            raise
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{path}: not a file of a run ({reason}); {advice}") from None

    def _check_results(self):
        if self.results is None or not self.results.run:  # version 0.3.0 did not write it
            return
        if self.description is None or self.results.run != files.digest(self.description.identity()):
            self.newest_checkpoint()  # which names the setting, if config.json was changed
            raise UserError(
                f"{self.path / 'results.json'}: not of the run that config.json describes; delete it and run the same "
                "command again, which writes it anew"
            )

    def finished(self, config):
        """Whether the run is done, for exactly these epochs and this patience, with its data where they were."""
        if self.results is None:
            return False
        own = self.description.config
        as_before = [getattr(own, name) == getattr(config, name) for name in ("epochs", "patience", "data_dir")]
        return all(as_before) and self.description.is_of(config.dataset)

    def data(self, config):
        """`Wanted`, what to load: what the settings say, or the run's own."""
        if self.description is None:
            return Wanted(config.dataset, config.validation_size, False)
        own = self.description.data
        name = own.name if self.description.is_of(config.dataset) else config.dataset
        return Wanted(name, own.validation, True)

    def newest_checkpoint(self):
        """(the newest checkpoint that is whole, or None where the run has not saved yet; warnings of damaged ones).

        Raises:
          UserError: there should be one, but none is whole; it is of another run; or a newer version of this package
            wrote it.
        """
        found, damaged = checkpoint.newest(self._checkpoints)
        if found:
            self._check_own(found)
            self._saved = found.manifest
            return found, [f"{text}; using {found.path.name} instead" for text in damaged]
        if damaged or (self.path / "metrics.jsonl").exists():
            reason = "; ".join(damaged) or f"{self._checkpoints} is empty"
            raise UserError(
                f"--workdir={self.path}: no whole checkpoint is left ({reason}); restore a copy, or give a new folder"
            )
        return None, []

    def _check_own(self, found):
        """Refuses a checkpoint that is not of the run that config.json describes, naming what differs."""
        default, identity, manifest = Config().to_json(), self.description.identity(), found.manifest
        of_run = identity if manifest.run is None else manifest.run  # version 0.3.0 did not write it
        own = {**default, **identity, "steps of an epoch": self.description.steps}
        saved = {**default, **of_run, "steps of an epoch": manifest.progress["steps"]}
        names = [name for name in {**own, **saved} if own.get(name) != saved.get(name)]
        if "patience" in names and own["patience"] > saved["patience"] > 0:  # which may be raised
            names.remove("patience")
        differing = [f"{name} {own.get(name)}, but {saved.get(name)}" for name in names]
        if differing:
            raise UserError(
                f"--workdir={self.path}: config.json has {'; '.join(differing)} in {found.path.name}: they are not of "
                "one run; restore the one that was changed"
            )
        try:
            self._check_rows(manifest.history)
        except ValueError as error:
            raise UserError(f"--workdir={self.path}: {found.path.name}: {error}; restore a copy") from None

    def _check_rows(self, rows):
        """Refuses rows that have no validation where the run has one, or the other way round."""
        for row in rows:
            if {row["val_cost"] is None, row["val_accuracy"] is None} != {not self.description.data.validation}:
                raise ValueError(f"its row of epoch {row['epoch']} contradicts config.json in val_cost, val_accuracy")

    def check_place(self):
        """Raises UserError if this folder does not stand where it was locked any more."""
        self._lock.check()

    def save(self, tracked, manifest):
        """Writes a checkpoint, unless the newest one holds the same state.

        Raises:
          UserError: it cannot be written; the checkpoints before it are as they were.
        """
        self.check_place()
        if manifest == self._saved:
            return
        try:
            checkpoint.save(self._checkpoints, tracked, manifest)
        except UserError:
            self.check_place()  # the better reason
            raise
        self._saved = manifest

    def remove_unfinished(self, newest):
        """Removes what killed processes left half-written, and sets damaged checkpoints aside."""
        self.check_place()
        files.remove_unfinished(self.path)
        checkpoint.remove_unfinished(self._checkpoints, newest)

    def write_description(self, description):
        """Writes config.json, and takes back results.json, which says that this very run is finished."""
        self.check_place()
        if self.results is not None:
            (self.path / "results.json").unlink()
        self.description, self.results = description, None
        files.write(self.path / "config.json", files.to_json({"format": files.FORMAT, **description.to_json()}))

    def write_results(self, results):
        """Writes results.json: the run is finished."""
        self.check_place()
        self.results = results._replace(run=files.digest(self.description.identity()))
        content = self.results._asdict()
        files.write(self.path / "results.json", files.to_json({**content, "sha256": files.digest(content)}))

    def write_metrics(self, rows):
        """Makes metrics.jsonl these rows, whatever was in it."""
        self.check_place()
        files.write(self.path / "metrics.jsonl", "".join(_line(row) for row in rows))

    def append_metrics(self, row):
        """Adds the row of one epoch to metrics.jsonl."""
        self.check_place()
        files.append(self.path / "metrics.jsonl", _line(row))

    def read_metrics(self):
        """The rows of metrics.jsonl; a last line that was not written wholly is left out."""
        try:
            lines = files.read_text(self.path / "metrics.jsonl").splitlines(keepends=True)
            whole = [strict_json.parse(line) for line in lines if line.endswith("\n")]
            rows = strict_json.conform(whole, list[Row], "line")
            self._check_rows(rows)
            return rows
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

    def data(self, config):
        """The chief alone can tell more."""
        return Wanted(config.dataset, config.validation_size, False)

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


def _parse_results(content):
    written = content.pop("sha256", None)  # version 0.3.0 did not write it, nor `run`
    results = strict_json.conform(content, Results)
    if written != files.digest(content) and (written or results.run):
        raise ValueError("it is not what was written")
    return results


def _line(row):
    return json.dumps(row, allow_nan=False) + "\n"
