"""SIGINT and SIGTERM as a request to stop gracefully: save first, then say how to resume."""

import contextlib
import os
import signal
import sys
import threading

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """SIGINT or SIGTERM came, as `number`, to a command that has nothing to save; it cleans up, and ends."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def raised():
    """A context in which SIGINT and SIGTERM raise `Interrupted`, where no `graceful_stop` takes them."""
    return _handled_by(_raise)


@contextlib.contextmanager
def at_once():
    """SIGINT and SIGTERM end the process where they would raise `Interrupted`, which a library might swallow."""
    if signal.getsignal(signal.SIGINT) is not _raise:
        yield
        return
    stderr = os.dup(2)  # also while it leads nowhere

    def end(number, frame):
        _end(stderr, "stopped", number)

    try:
        with _handled_by(end):
            yield
    finally:
        os.close(stderr)


def _end(stderr, words, number):
    """Ends the process; not by an exception, which a library that is being imported might swallow."""
    with contextlib.suppress(OSError):
        os.write(stderr, f"{words}\n".encode(errors="surrogateescape"))
    os._exit(128 + number)


def _raise(number, frame):
    raise Interrupted(number)


@contextlib.contextmanager
def _handled_by(handler):
    here = threading.current_thread() is threading.main_thread()  # elsewhere Python allows no handler
    before = {each: signal.signal(each, handler) for each in (_SIGNALS if here else ())}
    try:
        yield
    finally:
        for each, old in before.items():
            signal.signal(each, old)


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
                signal.signal(each, self.handle)

    def close(self):
        """Gives the copy of stderr back."""
        os.close(self._stderr)

    def handle(self, number, frame):
        """The handler of both signals."""
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        self._number = number
        if not self.saves:
            _end(self._stderr, f"stopped with nothing new to save; {self.advice}", number)


@contextlib.contextmanager
def graceful_stop(advice):
    """Yields a `StopRequest` that SIGINT and SIGTERM go to; `advice` is what the user may do then."""
    with contextlib.closing(StopRequest(advice)) as stop, _handled_by(stop.handle):
        yield stop


def report_stopped(stop, number):
    """Says that the command was stopped by a signal and has saved, and returns the exit code."""
    print(f"stopped and saved; {stop.advice}", file=sys.stderr, flush=True)
    return 128 + number
