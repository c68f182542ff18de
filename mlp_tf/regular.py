"""Regular files: opened only where they are files, as opening a FIFO would wait, and a device may have no end."""

import errno
import os
import stat


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
