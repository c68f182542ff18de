"""SIGINT and SIGTERM as a request to stop gracefully: save first, then say how to resume."""

import contextlib
import os
import signal
import sys

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """What SIGINT and SIGTERM ask for; a second one ends the process at once."""

    def __init__(self, advice):
        self.advice = advice  # what the user may do then
        self.saves = False  # whether the command saves when asked to; until then, a signal ends it at once
        self._number = 0
        self._stderr = os.dup(2)  # also while TensorFlow is imported

    def number(self):
        """The number of the signal that came, or 0."""
        return self._number

    def listen(self):
        """Takes SIGINT and SIGTERM, also from whoever took them since."""
        if not self._number:
            for each in _SIGNALS:
                signal.signal(each, self._handle)

    def close(self):
        """Gives the copy of stderr back."""
        os.close(self._stderr)

    def _handle(self, number, frame):
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        self._number = number
        if not self.saves:
            os.write(self._stderr, f"stopped with nothing new to save; {self.advice}\n".encode())
            os._exit(128 + number)  # not an exception: a library that is being imported might swallow it


@contextlib.contextmanager
def graceful_stop(advice):
    """Yields a `StopRequest` that SIGINT and SIGTERM go to; `advice` is what the user may do then."""
    stop = StopRequest(advice)
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    stop.listen()
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        stop.close()


def report_stopped(stop, number):
    """Says that the command was stopped by a signal and has saved, and returns the exit code."""
    print(f"stopped and saved; {stop.advice}", file=sys.stderr, flush=True)
    return 128 + number
