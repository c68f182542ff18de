"""stdout and stderr that never end a command: if they cannot be written, that is reported when it is done."""

import errno
import os
import sys
from typing import Any, TextIO

from mlp_tf.base.text import printable

CLOSED_PIPE = 141  # what a shell reports for a command that SIGPIPE ended


class Stream:
    """A text stream that drops what it cannot write; `error` is the first OSError, or None.

    Args:
      stream: the stream to write to.
      escapes: whether to escape what a terminal would obey, such as the control characters of a class's name.
    """

    def __init__(self, stream: TextIO, escapes: bool = False) -> None:
        self._stream = stream
        self._escapes = escapes
        self.error: OSError | None = None
        if hasattr(stream, "reconfigure"):  # a file name that is not UTF-8, or a terminal that shows only ASCII
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Writes text."""
        self._attempt(self._stream.write, printable(text, keep="\n") if self._escapes else text)
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered."""
        self._attempt(self._stream.flush)

    def _attempt(self, method, *arguments):
        try:
            method(*arguments)
        except OSError as error:
            self.error = self.error or error
            # Discard what is still buffered and all that follows; otherwise Python would complain when it exits.
            with open(os.devnull, "wb") as devnull:
                os.dup2(devnull.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def open_closed() -> None:
    """Opens whichever of stdin, stdout and stderr are closed, so that no other file gets their numbers."""
    # stdin and stdout are opened the wrong way round, so that using them fails: a closed stdout is reported.
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDWR)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest number that is free: this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def exit_code(code: int, stdout: Stream) -> tuple[int, str]:
    """Returns the exit code of a command that returned `code`, and why stdout could not be written, if so."""
    stdout.flush()
    if stdout.error is None or code:
        return code, ""
    if stdout.error.errno == errno.EPIPE:  # its reader has seen enough
        return CLOSED_PIPE, ""
    return 1, f"stdout: {stdout.error.strerror}; the output was lost; everything else is done"
