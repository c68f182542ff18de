"""stdout and stderr that never end a command: what cannot be written is told when it is done."""

import errno
import os
import sys

CLOSED_PIPE = 141  # what a shell reports of a command that SIGPIPE ended


class Stream:
    """A text stream that goes on when it cannot be written to; `error` is the first OSError, or None."""

    def __init__(self, stream):
        self._stream, self.error = stream, None

    def write(self, text):
        """Writes text, unless that has failed before."""
        try:
            self._attempt(self._stream.write, text)
        except UnicodeEncodeError as error:  # a name that is no UTF-8, or a terminal that shows ASCII alone
            escaped = text.encode(error.encoding, "backslashreplace").decode(error.encoding)
            self._attempt(self._stream.write, escaped)
        return len(text)

    def flush(self):
        """Writes what was kept back."""
        self._attempt(self._stream.flush)

    def _attempt(self, method, *arguments):
        try:
            if self.error is None:
                method(*arguments)
        except OSError as error:
            self.error = error
            # Python writes what it has kept back when the process ends, and would complain then.
            with open(os.devnull, "wb") as devnull:
                os.dup2(devnull.fileno(), self._stream.fileno())

    def __getattr__(self, name):
        return getattr(self._stream, name)


def open_closed():
    """Opens those of stdin, stdout and stderr that were closed, so that no other file gets their numbers."""
    # Reading what is open for writing alone fails, and the other way round: so stdout's failure is seen.
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDWR)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest number that is free: this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def exit_code(code, stdout):
    """The exit code of a command that returned `code`, once stdout is written; and why that failed, or nothing."""
    stdout.flush()
    if stdout.error is None or code:
        return code, ""
    if stdout.error.errno == errno.EPIPE:  # its reader has seen enough
        return CLOSED_PIPE, ""
    return 1, f"stdout: {stdout.error.strerror}; what this command prints was lost, all else is done"
