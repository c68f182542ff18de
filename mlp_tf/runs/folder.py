"""A run's folder and its lock: the files that people read, and its checkpoints.

    config.json      settings, data, network, versions
    metrics.jsonl    one object per epoch; the newest checkpoint holds them too
    results.json     exists once the run is finished
    checkpoints/     see `checkpoint`

Nothing here imports TensorFlow until a checkpoint is written, so that a command can refuse a folder before it loads
anything.
"""

import contextlib
import datetime
import fcntl
import json
import os
import pathlib

import msgspec

from mlp_tf import UserError
from mlp_tf.base import files
from mlp_tf.base.files import UNFINISHED, Count
from mlp_tf.base.text import plural
from mlp_tf.runs import checkpoint
from mlp_tf.runs.checkpoint import Row
from mlp_tf.runs.identity import Description, differences


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What results.json says of a finished run."""

    test_cost: float  # cross-entropy in nats per example
    test_accuracy: float  # from 0 to 1
    train_accuracy: float  # this and the next two are of the parameters that were tested
    val_cost: float | None
    val_accuracy: float | None
    epochs: Count
    best_epoch: Count | None  # by --monitor; with --patience, the test figures are of this epoch
    best_val_cost: float | None
    best_val_accuracy: float | None
    stopped_early: bool  # by --patience
    train_examples: Count
    train_seconds: float
    examples_per_second: float
    dataset: str
    run: str = ""  # SHA-256 of `Description.identity`


@contextlib.contextmanager
def new_folder():
    """Yields a new folder under runs/, named by the time; runs that start in the same second get different ones.

    Raises:
      UserError: it cannot be created.
    """
    name = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    runs = pathlib.Path("runs")
    runs_existed = runs.exists()
    folder = runs / name
    count = 1
    try:
        runs.mkdir(exist_ok=True)
        while not _create(folder):
            count += 1
            folder = runs / f"{name}-{count}"
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; give another folder with --workdir=FOLDER") from None
    try:
        yield str(folder)
    finally:
        with contextlib.suppress(OSError):  # not empty: the run has started
            folder.rmdir()
            if not runs_existed:
                runs.rmdir()


def _create(folder):
    """Creates a folder; returns False if it exists, as another process may have created it just now."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def open_folder(path):
    """Opens the folder of a run to train in it, or creates it, and locks out other processes.

    Yields:
      `RunFolder`.

    Raises:
      UserError: it cannot be created, another process uses it, or what it holds is not a run.
    """
    with lock_folder(path) as lock:
        yield RunFolder(path, lock)


def read_folder(path):
    """Returns the `RunFolder` of an existing run, to read and not to change.

    Raises:
      UserError: no such folder, or no run in it.
    """
    path = pathlib.Path(path)
    if not (path / "config.json").exists():
        raise UserError(
            f"--workdir={path}: no run there (no config.json); give the folder that `train` printed as Run:"
        )
    return RunFolder(path)


def read_config(path):
    """Returns the settings of the run in a folder, or None if there is no run yet."""
    return read_folder(path).description.config if (pathlib.Path(path) / "config.json").exists() else None


class Lock:
    """An exclusive lock on a folder, which also notices if the folder is moved or replaced.

    The lock is on the folder itself: it needs no file, and ends with its process in any case.
    """

    def __init__(self, path, descriptor):
        self.path = path
        self.descriptor = descriptor

    def check(self):
        """Raises UserError if the path no longer leads to the locked folder."""
        if not self.holds():
            raise UserError(
                f"--workdir={self.path}: the folder was moved, removed or replaced while this process used it, and "
                "nothing more was written; move it back and run the same command again"
            )

    def holds(self):
        """Checks whether the path leads to the locked folder."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.descriptor))
        except OSError:  # it, or a folder above it, is gone or replaced
            return False


@contextlib.contextmanager
def lock_folder(path):
    """Creates a folder if needed, and locks other processes out; a folder created here and left empty is removed.

    Yields:
      `Lock`.

    Raises:
      UserError: it cannot be created, or another process uses it.
    """
    path = pathlib.Path(path)
    is_new = not path.exists()
    lock = None
    while lock is None:
        lock = _try_lock(path)
    try:
        yield lock
    finally:
        if is_new and lock.holds():
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        os.close(lock.descriptor)


def _try_lock(path):
    """Returns a `Lock`, or None if the folder was removed or replaced meanwhile."""
    if path.exists() and not path.is_dir():
        raise UserError(f"--workdir={path}: is not a folder; give one, or a name that does not exist yet")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = Lock(path, os.open(path, os.O_RDONLY))
    except OSError as error:
        raise UserError(
            f"--workdir={path}: {error.strerror}; give a folder that can be written, or whose parent can"
        ) from None
    try:
        fcntl.flock(lock.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock.descriptor)
        raise UserError(
            f"--workdir={path}: another process is using this folder; wait for its end, or give another one"
        ) from None
    if lock.holds():
        return lock
    os.close(lock.descriptor)
    return None


class RunFolder:
    """The folder of one run; `description` and `results` are what its files say, or None.

    Args:
      path: of the folder.
      lock: its `Lock`; without one the folder is only read.

    Raises:
      UserError: files but no config.json, or a file that this version does not write.
    """

    def __init__(self, path, lock=None):
        self.path = pathlib.Path(path)
        self._lock = lock
        self._checkpoints = self.path / "checkpoints"
        self._saved = None  # manifest of the last save
        names = [] if (self.path / "config.json").exists() else os.listdir(self.path)
        if any(not name.startswith(UNFINISHED) for name in names):
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
        advice = "delete it and run the same command again, which writes a new one"
        self.results = self._read("results.json", _parse_results, advice)
        if self.results and (self.description is None or self.results.run != self._run_digest()):
            self.newest_checkpoint()  # which names the setting, if config.json was changed
            raise UserError(f"{self.path / 'results.json'}: not of the run that config.json describes; {advice}")

    def _read(self, name, parse, advice):
        path = self.path / name
        try:
            return parse(files.read_json(path))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise UserError(f"{path}: {error.strerror}; make it readable to you, and try again") from None
        except files.OtherFormat:
            raise
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{path}: not a file of a run ({reason}); {advice}") from None

    def _run_digest(self):
        return files.digest(self.description.identity())

    def is_finished(self, config):
        """Checks whether the run has finished with these settings, and its data have not moved."""
        if self.results is None:
            return False
        in_run = self.description.config
        unchanged = all(getattr(in_run, name) == getattr(config, name) for name in ("epochs", "patience", "data_dir"))
        return unchanged and self.description.is_of(config.dataset)

    def newest_checkpoint(self):
        """Returns (the newest complete checkpoint, or None before the first save; warnings of damaged ones).

        Raises:
          UserError: a checkpoint is missing, none is complete, it is of another run, or another version wrote it.
        """
        found, damaged = checkpoint.newest(self._checkpoints)
        if found:
            self._check_same_run(found)
            self._saved = found.manifest
            return found, [f"{text}; using {found.path.name} instead" for text in damaged]
        if damaged or self.results or (self.path / "metrics.jsonl").exists():
            reason = "; ".join(damaged) or f"{self._checkpoints} is empty"
            raise UserError(
                f"--workdir={self.path}: no complete checkpoint is left ({reason}); restore a copy, or give a new "
                "folder"
            )
        return None, []

    def _check_same_run(self, found):
        """Raises UserError if a checkpoint is not of the run in config.json; names what differs."""
        in_config = {**self.description.identity(), "steps of an epoch": self.description.steps}
        in_checkpoint = {**found.manifest.identity, "steps of an epoch": found.manifest.progress["steps"]}
        was_raised = in_config["patience"] > in_checkpoint.get("patience", 0) > 0  # which it may be
        differing = differences(in_config, in_checkpoint, ignored={"patience"} if was_raised else ())
        if differing:
            raise UserError(
                f"--workdir={self.path}: config.json has {'; '.join(differing)} in {found.path.name}: they belong "
                "to different runs; restore the one that was changed"
            )
        try:
            self._check_rows(found.manifest.history)
        except ValueError as error:
            raise UserError(f"--workdir={self.path}: {found.path.name}: {error}; restore a copy") from None

    def _check_rows(self, rows):
        """Raises ValueError for a row with validation figures where the run has none, or the other way round."""
        for row in rows:
            if {row["val_cost"] is None, row["val_accuracy"] is None} != {not self.description.data.validation}:
                raise ValueError(f"its row of epoch {row['epoch']} contradicts config.json in val_cost, val_accuracy")

    def check_place(self):
        """Raises UserError if the path no longer leads to the locked folder."""
        self._lock.check()

    def save(self, tracked, manifest):
        """Writes a checkpoint, unless the newest one holds the same state.

        Returns:
          A warning if an old checkpoint cannot be removed, else "".

        Raises:
          UserError: it cannot be written; the checkpoints before it are unchanged.
        """
        self.check_place()
        if manifest == self._saved:
            return ""
        try:
            warning = checkpoint.save(self._checkpoints, tracked, manifest)
        except UserError:
            self.check_place()  # a moved folder is the better reason
            raise
        self._saved = manifest
        return warning

    def begin(self, description, found):
        """Prepares the folder for a run that starts or resumes.

        Removes what killed processes left half-written, sets damaged checkpoints aside, and writes config.json if it
        changed.

        Args:
          description: of the run.
          found: the `Checkpoint` that it resumes from, or None.
        """
        self.check_place()
        files.remove_unfinished(self.path)
        checkpoint.remove_unfinished(self._checkpoints, found)
        before = self.description
        if before is None or (before.config, before.data.name) != (description.config, description.data.name):
            if self.results is not None:  # they are of other settings
                (self.path / "results.json").unlink()
            self.description = description
            self.results = None
            files.write(self.path / "config.json", files.to_json(description.to_json()))

    def write_results(self, results):
        """Writes results.json: the run is finished."""
        self.check_place()
        self.results = msgspec.structs.replace(results, run=self._run_digest())
        content = msgspec.to_builtins(self.results)
        files.write(self.path / "results.json", files.to_json({**content, "sha256": files.digest(content)}))

    def write_metrics(self, rows):
        """Replaces metrics.jsonl by these rows."""
        self.check_place()
        files.write(self.path / "metrics.jsonl", "".join(_line(row) for row in rows))

    def append_metrics(self, row):
        """Adds the row of one epoch to metrics.jsonl."""
        self.check_place()
        files.append(self.path / "metrics.jsonl", _line(row))

    def read_metrics(self):
        """Returns the rows of metrics.jsonl, without an incomplete last line.

        Raises:
          UserError: it cannot be read, or a finished run has another number of rows.
        """
        try:
            lines = files.read_text(self.path / "metrics.jsonl").splitlines(keepends=True)
            rows = [files.parse(line, Row) for line in lines if line.endswith(b"\n")]
            self._check_rows(rows)
            if self.results and len(rows) != self.results.epochs:
                raise ValueError(
                    f"it has {plural(len(rows), 'row')}, but results.json is of {self.results.epochs} epochs"
                )
            return rows
        except (OSError, ValueError) as error:
            first = "delete results.json, and " if self.results else ""
            raise UserError(
                f"{self.path / 'metrics.jsonl'}: cannot be read ({getattr(error, 'strerror', None) or error}); {first}"
                "resume the run, which writes it again"
            ) from None


def _parse_results(content):
    written = content.pop("sha256", None)
    results = msgspec.convert(content, Results)
    if written != files.digest(content):
        raise ValueError("it is not what was written")
    return results


def _line(row):
    return json.dumps(row, allow_nan=False) + "\n"
