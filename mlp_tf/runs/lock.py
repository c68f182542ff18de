"""One process for a folder, and one folder for the process: it may be moved, and another one put in its place."""

import contextlib
import fcntl
import os
import pathlib
from typing import NamedTuple

from mlp_tf import UserError


class Lock(NamedTuple):
    """A folder that this process has locked."""

    path: pathlib.Path
    descriptor: int

    def check(self):
        """Raises UserError if the path does not lead to the locked folder any more."""
        if not self.holds():
            raise UserError(
                f"--workdir={self.path}: the folder was moved, removed or replaced while this process used it, and "
                "nothing more was written; move it back and run the same command again"
            )

    def holds(self):
        """Whether the path leads to the locked folder."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.descriptor))
        except OSError:  # it, or a folder above it, is gone or something else
            return False


@contextlib.contextmanager
def lock_folder(path, made=False):
    """Makes a folder, if need be, and keeps other processes out of it.

    The lock is on the folder itself: it needs no file, and ends with its process however that ends.
    A folder that was made here, or just before (`made`), and nothing was put into, is removed again.

    Yields:
      `Lock`.

    Raises:
      UserError: it cannot be made, or another process is using it.
    """
    path = pathlib.Path(path)
    made = made or not path.exists()
    lock = _locked(path)
    try:
        yield lock
    finally:
        if made and lock.holds():
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        os.close(lock.descriptor)


def _locked(path):
    while True:
        lock = Lock(path, _make_and_open(path))
        try:
            fcntl.flock(lock.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock.descriptor)
            raise UserError(
                f"--workdir={path}: another process is using this folder; wait for its end, or give another one"
            ) from None
        if lock.holds():
            return lock
        os.close(lock.descriptor)  # it was removed or replaced since it was opened


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
