"""Regular files: read only where they are files, as a FIFO would wait, and written at once or not at all."""

import contextlib
import errno
import os
import stat

UNFINISHED = ".mlp_tf-"  # how the names begin of what a killed process may leave half-written


def open_regular(path, follow=True):
    """Opens a file to read its bytes.

    Args:
      path: of the file.
      follow: whether it may be a symbolic link.

    Raises:
      OSError: it cannot be opened, or is a folder, a FIFO, a socket, a device, or a link; `strerror` says so.
    """
    if not follow and os.path.islink(path):  # O_NOFOLLOW refuses it too, but in words that nobody knows
        raise OSError(errno.ELOOP, "is a symbolic link, and must be a regular file", str(path))
    more = os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    file = open(path, "rb", opener=lambda path, flags: os.open(path, flags | more))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return file


@contextlib.contextmanager
def replaced(path):
    """Yields a file to write bytes to, which takes the place of another one at the end, or on an error not at all.

    By then its bytes and its name are on the disk.

    Raises:
      OSError: it cannot be written.
    """
    unfinished = path.with_name(f"{UNFINISHED}{path.name}")
    unfinished.unlink(missing_ok=True)  # a killed process left it, or it is a link to anything
    try:
        with open(unfinished, "xb") as file:
            yield file
        flush(unfinished)
        unfinished.rename(path)
        flush(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def flush(path):
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
