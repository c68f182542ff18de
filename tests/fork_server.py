"""Processes that are forked from one that has imported TensorFlow, and has computed nothing: 1.5 s less for each.

`python fork_server.py PATH` serves: each connection to the socket at PATH asks for one process. The client sends a JSON
object and three file descriptors (stdin, stdout, stderr), and gets two lines: the process's number, and, when it has
ended, its exit code as of `subprocess.Popen`. The server ends when its stdin is closed.
"""

import contextlib
import json
import os
import pathlib
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

_MOST_BYTES = 1 << 20  # of a request


class ForkedProcess:
    """A process of the server's, used like a `subprocess.Popen` with `text=True`."""

    def __init__(self, connection, pipes):
        self._connection = connection
        self._lines = connection.makefile("r")
        self.stdin, self.stdout, self.stderr = pipes
        self.returncode = None
        self.pid = int(self._lines.readline())
        self._readers = [_Reader(pipe) for pipe in (self.stdout, self.stderr)]

    def wait(self, timeout=None):
        """Waits for the end; returns the exit code, the negative number of the signal that ended the process if any."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            self.returncode = int(self._lines.readline())
            self._lines.close()
            self._connection.close()
        return self.returncode

    def poll(self):
        """Returns the exit code, or None as long as the process runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def communicate(self, timeout=None):
        """Waits for the end; returns what stdout and stderr said since they were read last, None without a pipe."""
        end = None if timeout is None else time.monotonic() + timeout
        for reader in self._readers:
            if not reader.has_read(end):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        self.wait(None if end is None else max(0, end - time.monotonic()))
        return tuple(reader.text for reader in self._readers)

    def send_signal(self, number):
        """Sends a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        """Sends SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Reader:
    """Reads a pipe to its end, in a thread that outlives a wait that was given up."""

    def __init__(self, pipe):
        self.text = None
        self._pipe = pipe
        self._thread = None

    def has_read(self, end):
        """Waits until the pipe is read, at most to this time; returns whether it is."""
        if self._pipe is None:
            return True
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()
        self._thread.join(None if end is None else max(0, end - time.monotonic()))
        return not self._thread.is_alive()

    def _read(self):
        text = self._pipe.read()
        self._pipe.close()
        self.text = text


class ForkServer:
    """The server, in a process of its own; `close` ends it."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory()
        self._path = os.path.join(self._folder.name, "socket")
        words = [sys.executable, __file__, self._path]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._process.stdout.readline() != b"serving\n":
            raise RuntimeError("the fork server did not start")

    def start(self, words, cwd=None, env=None, file_bytes=None, stdin=None, stdout=None, stderr=None):
        """Starts a process that does what `python WORDS` does, with words from -m or -c on; returns a `ForkedProcess`.

        Args:
          words: -m and a module, or -c and code, and what the process finds in sys.argv[1:].
          cwd: its folder, this process's if None.
          env: its environment, this process's if None.
          file_bytes: its limit to the size of a file, none if None.
          stdin, stdout, stderr: as of `subprocess.Popen`.
        """
        request = {"words": words, "cwd": str(cwd or os.getcwd()), "file_bytes": file_bytes}
        request["env"] = dict(os.environ if env is None else env)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._path)
        with contextlib.ExitStack() as theirs:
            descriptors = []
            pipes = []
            for number, wanted in enumerate((stdin, stdout, stderr)):
                descriptor, pipe = _open(number, wanted, theirs)
                descriptors.append(descriptor)
                pipes.append(pipe)
            content = json.dumps(request).encode()
            socket.send_fds(connection, [len(content).to_bytes(4)], descriptors)
            connection.sendall(content)
            return ForkedProcess(connection, pipes)

    def close(self):
        """Ends the server, and waits for it."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


def _open(number, wanted, theirs):
    """Returns the descriptor that a process gets as this number, and this end of its pipe or None."""
    if wanted == subprocess.PIPE:
        reading, writing = os.pipe()
        their, our, mode = (reading, writing, "w") if number == 0 else (writing, reading, "r")
        theirs.callback(os.close, their)
        return their, open(our, mode)
    if wanted == subprocess.DEVNULL:
        their = os.open(os.devnull, os.O_RDWR)
        theirs.callback(os.close, their)
        return their, None
    if wanted is None:
        return number, None
    return wanted if isinstance(wanted, int) else wanted.fileno(), None


def _serve(path):
    """Forks a process for each connection, until stdin ends."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    print("serving", flush=True)
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if sys.stdin in ready:
            return
        connection, _ = listening.accept()
        if not os.fork():
            listening.close()
            _keep(connection)
        connection.close()


def _keep(connection):
    """Forks the process that a connection asks for, and reports its number and its end."""
    prefix, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    with connection.makefile("rb") as stream:
        request = json.loads(stream.read(int.from_bytes(prefix)))
    number = os.fork()
    if not number:
        connection.close()
        _become(request, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    # A client that has gone wants to know nothing.
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(b"%d\n" % number)
    _, status = os.waitpid(number, 0)
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(request, descriptors):
    """Makes this process what was asked for, as Python would start it, and ends it."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, errors="backslashreplace", buffering=1)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    if request["file_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"], request["file_bytes"]))
    code = _run(*request["words"])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def _run(kind, what, *words):
    """Does what `python -m MODULE WORDS` or `python -c CODE WORDS` does; returns the exit code."""
    sys.argv = [kind, *words]
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(what, {"__name__": "__main__"})
    except SystemExit as error:
        return error.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)
    from mlp_tf.cli import quiet

    quiet.import_tensorflow()
    # What the commands import besides, but not the commands: each is imported as __main__.
    import mlp_tf.data.loading
    import mlp_tf.runs.trained  # noqa: F401

    _serve(sys.argv[1])
