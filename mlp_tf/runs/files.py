"""Files that survive a crash: written at once or not at all, flushed to disk, recognised by their SHA-256."""

import contextlib
import hashlib
import json
import os
import shutil

from mlp_tf import UserError

FORMAT = 1  # of the JSON files; a reader refuses what a newer version of this package wrote
UNFINISHED = ".mlp_tf-"  # how the names begin of what a killed process may leave half-written


class NewerFormat(UserError):
    """A file that a newer version of this package wrote."""


def to_json(content):
    """JSON text; a value that is not finite raises ValueError, as it must never reach a file."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def read_json(path):
    """The object in a JSON file of this package.

    Raises:
      OSError: no such file, or no access.
      ValueError: not a JSON object.
      NewerFormat: a newer version of this package wrote it.
    """
    content = json.loads(path.read_text())
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object")
    if content.get("format", FORMAT) != FORMAT:
        raise NewerFormat(f"{path}: format {content['format']}, but this version reads {FORMAT}; update mlp_tf")
    return content


def write(path, text):
    """Replaces a file at once or not at all.

    Raises:
      UserError: it cannot be written.
    """
    unfinished = path.with_name(f"{UNFINISHED}{path.name}")
    with _needing(path, text):
        unfinished.write_text(text)
        flush(unfinished)
        unfinished.rename(path)
        flush(path.parent)


def append(path, text):
    """Adds text to the end of a file.

    Raises:
      UserError: it cannot be written.
    """
    with _needing(path, text), open(path, "a") as file:
        file.write(text)


@contextlib.contextmanager
def _needing(path, text):
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; it needs {len(text):,} bytes") from None


def flush(path):
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(content):
    """SHA-256 of what `to_json` makes of an object."""
    return hashlib.sha256(to_json(content).encode()).hexdigest()


def describe(path):
    """Size and SHA-256 of a file: two files with one description hold the same bytes."""
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def remove(path):
    """Removes a file or a folder, if it is there; a folder is never seen half-removed under its own name."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    if not path.name.startswith(UNFINISHED):
        removing = path.with_name(f"{UNFINISHED}removing")
        shutil.rmtree(removing, ignore_errors=True)
        path = path.rename(removing)
    shutil.rmtree(path)


def remove_unfinished(folder):
    """Removes what killed processes left in a folder, known by this package's own names."""
    if folder.exists():
        for entry in folder.iterdir():
            if entry.name.startswith(UNFINISHED):
                remove(entry)
