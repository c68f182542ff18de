"""Files that survive a crash: written at once or not at all, flushed to disk, recognised by their SHA-256.

Of what lies in a run's folder only regular files are opened, and no symbolic link is followed.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import tempfile

from mlp_tf import UserError
from mlp_tf.base import strict_json
from mlp_tf.base.files import UNFINISHED, open_regular, replaced

FORMAT = 1  # of the JSON files; a reader refuses what a newer version of this package wrote
LARGEST_TEXT = 2**28  # bytes of a JSON file


class NewerFormat(UserError):
    """A file that a newer version of this package wrote."""


def to_json(content):
    """JSON text; a value that is not finite raises ValueError, as it must never reach a file."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def read_text(path):
    """The text of a file of this package.

    Raises:
      OSError: no such file, no access, or not a regular file.
      ValueError: more than `LARGEST_TEXT` bytes, or not UTF-8.
    """
    with open_regular(path, follow=False) as file:
        if (size := os.fstat(file.fileno()).st_size) > LARGEST_TEXT:
            raise ValueError(f"it has {size:,} bytes, but may have {LARGEST_TEXT:,}")
        return file.read().decode()


def read_json(path):
    """The object in a JSON file of this package.

    Raises:
      OSError: no such file, no access, or not a regular file.
      ValueError: not a JSON object.
      NewerFormat: a newer version of this package wrote it.
    """
    content = strict_json.conform(strict_json.parse(read_text(path)), dict)
    version = content.get("format", FORMAT)
    if type(version) is int and version > FORMAT:
        raise NewerFormat(f"{path}: format {version}, but this version reads {FORMAT}; update mlp_tf")
    return content


def describe(path):
    """Size and SHA-256 of a file: two files with one description hold the same bytes; raises as `read_text` does."""
    with open_regular(path, follow=False) as file:
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def write(path, text):
    """Replaces a file at once or not at all.

    Raises:
      UserError: it cannot be written.
    """
    with _needing(path, text), replaced(path) as file:
        file.write(_encoded(text))


def append(path, text):
    """Adds text to the end of a file.

    Raises:
      UserError: it cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    with _needing(path, text), open(os.open(path, flags, 0o666), "ab") as file:
        file.write(_encoded(text))


def _encoded(text):
    return text.encode(errors="backslashreplace")  # a path in it may be no UTF-8


@contextlib.contextmanager
def _needing(path, text):
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; it needs {len(text):,} bytes") from None


def digest(content):
    """SHA-256 of what `to_json` makes of an object; one that is nested too deeply raises ValueError."""
    try:
        return hashlib.sha256(to_json(content).encode()).hexdigest()
    except RecursionError:
        raise ValueError("nested too deeply") from None


def remove(path):
    """Removes a file, a link or a folder, if it is there; a folder is never half-removed under its own name."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    if not path.name.startswith(UNFINISHED):
        removing = path.with_name(f"{UNFINISHED}removing")
        remove(removing)
        path = path.rename(removing)
    shutil.rmtree(path)


def remove_unfinished(folder):
    """Removes what killed processes left in a folder, known by this package's own names."""
    if folder.exists():
        for entry in folder.iterdir():
            if entry.name.startswith(UNFINISHED):
                remove(entry)


@contextlib.contextmanager
def plain_path(folder):
    """Yields a path to a folder that TensorFlow does not misread: it takes `a[1]` for a pattern, and wants UTF-8.

    Where the folder's own path will not do, it is a symbolic link in a temporary folder.
    """
    path = os.path.abspath(folder)
    if _is_plain(path):
        yield pathlib.Path(path)
        return
    with tempfile.TemporaryDirectory(dir=None if _is_plain(tempfile.gettempdir()) else "/tmp") as holder:
        link = pathlib.Path(holder) / "link"
        link.symlink_to(path)
        yield link


def _is_plain(path):
    return re.fullmatch(r"[\w/.,:+=@%~ -]*", path, re.ASCII) is not None
