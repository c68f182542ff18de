"""Files that survive a crash, and the JSON files of a run.

A file is written completely or not at all, and is flushed to disk. Only regular files are read: a FIFO would block.
Symbolic links inside a run's folder are not followed.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import stat
import tempfile
from typing import Annotated

import msgspec

from mlp_tf import UserError

FORMAT = 2  # of a run's folder
LARGEST_TEXT = 2**25  # bytes of a JSON file, whose content takes up to 30 times as much memory
UNFINISHED = ".mlp_tf-"  # prefix of the files and folders that a killed process may leave half-written

_temporary = []  # what `remove_temporary` removes

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # a whole number in a JSON file


class OtherFormat(UserError):
    """A file that another version of this package wrote."""


class Fingerprint(msgspec.Struct, frozen=True):
    """Size and SHA-256 of a file: files with equal fingerprints hold the same bytes."""

    bytes: Count
    sha256: str


def open_regular(path, follow=True):
    """Opens a file to read its bytes.

    Args:
      path: of the file.
      follow: whether it may be a symbolic link.

    Raises:
      OSError: it cannot be opened, or is a folder, a FIFO, a socket, a device, or a link; `strerror` says so.
    """
    if not follow and os.path.islink(path):  # O_NOFOLLOW refuses it too, but its message is obscure
        raise OSError(errno.ELOOP, "is a symbolic link, and must be a regular file", str(path))
    more = os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    file = open(path, "rb", opener=lambda path, flags: os.open(path, flags | more))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return file


def read_text(path):
    """Returns the bytes of a text file of a run.

    Raises:
      OSError: no such file, no access, or not a regular file.
      ValueError: more than `LARGEST_TEXT` bytes.
    """
    with open_regular(path, follow=False) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_TEXT:
            raise ValueError(f"it has {size:,} bytes, but may have {LARGEST_TEXT:,}")
        return file.read()


def read_json(path):
    """Returns the object in a JSON file of a run, as a dictionary that was not checked further.

    Raises:
      OSError: no such file, no access, or not a regular file.
      ValueError: not a JSON object.
      OtherFormat: another version of this package wrote it.
    """
    content = parse(read_text(path), dict)
    version = content.pop("format", None)
    if isinstance(version, int) and version > FORMAT:
        raise OtherFormat(f"{path}: format {version}, but this version reads {FORMAT}; update mlp_tf")
    if version == 1:
        raise OtherFormat(f"{path}: written by mlp_tf 0.x, which this version does not read; train the run again")
    if version != FORMAT:
        raise ValueError(f"format is {json.dumps(version)[:60]}, but must be {FORMAT}")
    return content


def parse(text, form):
    """Returns the content of a JSON text as `form`, a type that msgspec knows.

    The text is read by `json`, as a path in it may not be UTF-8, and msgspec rejects its escapes (`\\udcff`).

    Raises:
      ValueError: not JSON, NaN, a number out of range, or not of this form; says where.
    """
    try:
        content = json.loads(text, parse_constant=_parse_number, parse_float=_parse_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return msgspec.convert(content, form)


def _parse_number(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def to_json(content):
    """Returns JSON text, with the format in it; raises ValueError for NaN and infinity, which must not reach a file."""
    return json.dumps({"format": FORMAT, **content}, indent=1, allow_nan=False) + "\n"


def digest(content):
    """Returns the SHA-256 of an object's JSON text, as hexadecimal digits; ValueError if it is nested too deeply."""
    try:
        return hashlib.sha256(json.dumps(content, allow_nan=False).encode()).hexdigest()
    except RecursionError:
        raise ValueError("nested too deeply") from None


def fingerprint(path):
    """Returns the `Fingerprint` of a regular file; raises as `open_regular` does."""
    with open_regular(path, follow=False) as file:
        return Fingerprint(os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest())


def write(path, text):
    """Writes a text file atomically.

    Raises:
      UserError: it cannot be written.
    """
    with _write_errors(path, text), replaced(path) as file:
        file.write(text.encode(errors="backslashreplace"))  # a path in it may not be UTF-8


def append(path, text):
    """Appends text to a file.

    Raises:
      UserError: it cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    with _write_errors(path, text), open(os.open(path, flags, 0o666), "ab") as file:
        file.write(text.encode())


@contextlib.contextmanager
def _write_errors(path, text):
    try:
        yield
    except OSError as error:
        advice = f"; it needs {len(text):,} bytes" if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT) else ""
        raise UserError(f"{path} cannot be written: {error.strerror}{advice}") from None


@contextlib.contextmanager
def replaced(path):
    """Yields a file to write bytes to. On success it replaces the one at `path`; on an error nothing changes.

    Raises:
      OSError: it cannot be written.
    """
    unfinished = path.with_name(f"{UNFINISHED}{path.name}")
    unfinished.unlink(missing_ok=True)  # a killed process left it, or it is a link
    _temporary.append(unfinished)
    try:
        with open(unfinished, "xb") as file:
            yield file
        flush(unfinished)
        unfinished.rename(path)
        flush(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)
        _temporary.remove(unfinished)


@contextlib.contextmanager
def temporary_folder(parent=None):
    """Yields the path of a new folder, below the one for temporary files by default; it is removed at the end."""
    folder = tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=parent)
    path = pathlib.Path(folder.name)
    _temporary.append(path)
    try:
        with folder:
            yield path
    finally:
        _temporary.remove(path)


def remove_temporary():
    """Removes unfinished files and temporary folders: for a signal handler that ends the process."""
    for path in _temporary:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # the process ends in any case
                path.unlink(missing_ok=True)


def flush(path):
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path):
    """Removes a file, a link or a folder, if it exists; a folder is never half-removed under its name."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    if not path.name.startswith(UNFINISHED):
        removing = path.with_name(f"{UNFINISHED}removing")
        remove(removing)
        path = path.rename(removing)
    shutil.rmtree(path)


def remove_unfinished(folder):
    """Removes what killed processes left in a folder, known by this package's prefix."""
    if folder.exists():
        for entry in folder.iterdir():
            if entry.name.startswith(UNFINISHED):
                remove(entry)


@contextlib.contextmanager
def plain_path(folder):
    """Yields a path to a folder that TensorFlow can read: it takes `a[1]` for a pattern, and needs UTF-8.

    If the folder's path is not plain, the yielded path is a symbolic link in a temporary folder.
    """
    path = os.path.abspath(folder)
    if _is_plain(path):
        yield pathlib.Path(path)
        return
    with temporary_folder(None if _is_plain(tempfile.gettempdir()) else "/tmp") as holder:
        link = holder / "link"
        link.symlink_to(path)
        yield link


@contextlib.contextmanager
def temporary_files_removed():
    """Removes the temporary files that a library makes in the body and leaves behind."""
    before = tempfile.tempdir
    with temporary_folder() as folder:
        tempfile.tempdir = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before


def _is_plain(path):
    return re.fullmatch(r"[\w/.,:+=@%~ -]*", path, re.ASCII) is not None
