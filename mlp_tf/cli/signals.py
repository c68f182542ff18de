"""SIGINT and SIGTERM as a request to stop gracefully: save first, then say how to resume."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from mlp_tf.base import files
from mlp_tf.base.text import printable

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WAIT = 0.5  # seconds that the main thread has to answer a signal before another thread does
_ending = threading.RLock()  # held by the thread that ends the process


@contextlib.contextmanager
def end_process() -> Iterator[None]:
    """Makes SIGINT and SIGTERM end the process, unless a `graceful_stop` handles them; nothing half-written is left."""
    stderr = os.dup(2)  # as 2 itself leads nowhere while TensorFlow is imported

    def end(number, frame):
        _end(stderr, "stopped", number)

    try:
        with _handled_by(end), _watched():
            yield
    finally:
        os.close(stderr)


def _end(stderr, text, number):
    """Ends the process; not by an exception, which a library might swallow."""
    with _ending:
        files.remove_temporary()
        with contextlib.suppress(OSError):
            os.write(stderr, f"{printable(text)}\n".encode())
        os._exit(128 + number)


def _is_main_thread():
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _watched():
    """Calls a signal's handler in another thread if the main thread, perhaps inside a C function, does not.

    Python calls handlers in the main thread alone, and only between two instructions of Python. The other thread can
    run if the C function releases Python's lock, as NumPy's sort and the reader of pandas do.
    """
    if not _is_main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)  # gets the number of each signal at once
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(reading, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        signal.set_wakeup_fd(before)
        os.close(writing)
        thread.join()
        os.close(reading)


def _watch(reading, done):
    """Calls the handler of each signal whose number can be read, if the main thread has not done so in time."""
    while numbers := {*os.read(reading, 64)}:
        handlers = {number: signal.getsignal(number) for number in numbers.intersection(_SIGNALS)}
        if done.wait(_WAIT):
            return
        for number, handler in handlers.items():
            # A handler that the main thread has called has ended the process, or has replaced itself.
            if callable(handler) and signal.getsignal(number) == handler:
                handler(number, None)


@contextlib.contextmanager
def _handled_by(handler):
    if not _is_main_thread():  # where Python allows no handler
        yield
        return
    before = {each: signal.signal(each, handler) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, old in before.items():
            signal.signal(each, old)


class StopRequest:
    """A request to stop, made by SIGINT or SIGTERM; a second one ends the process at once."""

    def __init__(self, advice: str) -> None:
        self.advice = advice  # what the user may do after the stop
        self.saves = False  # whether the command saves before it stops; if not, a signal ends it at once
        self._number = 0
        self._stderr = os.dup(2)  # as 2 itself leads nowhere while TensorFlow is imported

    def number(self) -> int:
        """Returns the number of the signal that came, or 0."""
        return self._number

    def listen(self) -> None:
        """Handles SIGINT and SIGTERM from now on, even if a library has taken them over."""
        if not self._number:
            for each in _SIGNALS:
                signal.signal(each, self.handle)

    def close(self) -> None:
        """Closes the copy of stderr."""
        os.close(self._stderr)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handles both signals."""
        if not self.saves:
            _end(self._stderr, f"stopped with nothing new to save; {self.advice}", number)
        if _is_main_thread():  # only it may change handlers; it calls this too, if later than the other thread
            for each in _SIGNALS:
                signal.signal(each, signal.SIG_DFL)
            self._number = number


@contextlib.contextmanager
def graceful_stop(advice: str) -> Iterator[StopRequest]:
    """Yields a `StopRequest` that SIGINT and SIGTERM go to; `advice` is what the user may do after the stop."""
    with contextlib.closing(StopRequest(advice)) as stop, _handled_by(stop.handle):
        yield stop


def report_stopped(stop: StopRequest, number: int) -> int:
    """Prints that the command was stopped by a signal and has saved, and returns the exit code."""
    print(printable(f"stopped and saved; {stop.advice}"), file=sys.stderr, flush=True)
    return 128 + number
