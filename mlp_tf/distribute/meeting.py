"""The workers meet before TensorFlow connects them.

TensorFlow would wait for the last worker without a limit, and would not answer signals meanwhile.

The chief sends each connection a word. A worker answers with that word, its number and its addresses, so fixed bytes
never pass for a worker. When all workers are connected, the chief stops listening and tells them to go. A message is a
line of JSON. The meeting withstands programs that connect by mistake, not those that imitate a worker.
"""

import contextlib
import secrets
import socket
import socketserver
import time
from typing import Annotated

import msgspec

from mlp_tf import UserError
from mlp_tf.base.text import printable
from mlp_tf.distribute import tf_config

TIMEOUT_SECONDS = 300  # for all workers to meet
REPORT_SECONDS = 5  # until a worker reports which workers are missing
REFUSAL_SECONDS = 10  # for a refused chief to tell the other workers
PROOF_SECONDS = 5  # for either side of a connection to prove that it is ours
POLL_SECONDS = 0.2  # of each wait in the main thread, which alone runs signal handlers
STRANGERS = 64  # connections, with a thread each, that may not be workers'; the oldest makes room
LINE_BYTES = 65_536
REASON_LENGTH = 5_000  # so that a refusal fits in a line
AGAIN = "start every worker again with the same command: the run resumes from its last checkpoint"


class _Message(msgspec.Struct, forbid_unknown_fields=True, tag=True, tag_field="mlp_tf meeting 2"):
    pass


class Challenge(_Message):
    """The chief's first message: a new random word."""

    word: str


class Hello(_Message):
    """A worker's only message: the chief's word, and this worker's task."""

    word: str
    index: Annotated[int, msgspec.Meta(ge=0)]
    addresses: tuple[str, ...]


class Answer(_Message):
    """The chief's last message: go, or the reason why there is no training."""

    refusal: str = ""


def meet(task, report):
    """Waits until all workers are there; returns at about the same time in each.

    Args:
      task: from `tf_config.task`.
      report: called with a text: which workers are missing, if that takes long; and once, that a stranger is ignored.

    Raises:
      UserError: a worker does not connect in time, has other addresses, or has another worker's index; the chief's port
        is in use, or its host name unknown; or, in another worker, the chief was refused.
    """
    if task.single:
        return
    if task.chief:
        _host(task, report)
    else:
        _join(task, report)


@contextlib.contextmanager
def refusal(task):
    """If the body fails on the chief, tells the other workers why, so that they need not wait.

    This takes up to REFUSAL_SECONDS.

    Args:
      task: from `tf_config.task`.

    Raises:
      UserError, OSError: from the body.
    """
    try:
        yield
    except (UserError, OSError) as error:
        if task.chief and not task.single:
            with contextlib.suppress(UserError):  # the port is in use
                _tell(task, f"{task.names([0])} was refused: {error}")
        raise


def _tell(task, reason):
    begin = time.monotonic()
    untold = set(task.others)
    with _Server(task) as server:
        while untold and time.monotonic() - begin < REFUSAL_SECONDS:
            server.handle_request()
            untold -= server.answer(reason)


def _host(task, report):
    check_time = _timer(task, report)
    reported = False
    with _Server(task) as server:
        try:
            while missing := _missing(task, server.peers.copy().values()):
                check_time(missing)
                server.handle_request()
                if server.stranger and not reported:
                    reported = True
                    report(f"ignored a connection from {server.stranger} that is not one of the workers")
        except UserError as error:
            server.answer(str(error))
            raise
        server.socket.close()  # before any worker connects to TensorFlow at this port
        server.answer()


def _missing(task, hellos):
    """Returns the numbers of the workers that are not there.

    Raises:
      UserError: a worker that is there contradicts the chief's TF_CONFIG.
    """
    missing = task.others
    for hello in filter(None, hellos):
        if hello.addresses != task.addresses:
            raise UserError(
                f"TF_CONFIG names {', '.join(hello.addresses)} in worker {hello.index}, {', '.join(task.addresses)} in "
                "worker 0; give every worker the same addresses"
            )
        if hello.index not in missing:
            raise UserError(f"TF_CONFIG gives two workers the index {hello.index}; give each a different one")
        missing.remove(hello.index)
    return missing


class _Server(socketserver.ThreadingTCPServer):
    """The chief's connections. `handle_request` accepts one, or waits for POLL_SECONDS."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, task):
        # {connection: its Hello, or None before that}, oldest first. Threads change it, so iterate over a copy.
        self.peers = {}
        self.stranger = None  # host of a connection that ended without a Hello
        self._most = len(task.others) + STRANGERS
        _, port = task.address(0)
        with tf_config.usable(port):
            super().__init__(("", port), _Connection)
        self.socket.settimeout(POLL_SECONDS)

    def answer(self, refusal=""):
        """Sends the chief's last message to the connected workers, and returns their numbers."""
        told = set()
        for connection, hello in self.peers.copy().items():
            if hello:
                told.add(hello.index)
                with contextlib.suppress(OSError):  # lost at this moment: TensorFlow reports it
                    _send(connection, Answer(printable(refusal)[:REASON_LENGTH]))
        return told

    def get_request(self):
        """Accepts a connection; if there are too many, or too many open files, ends the oldest stranger's."""
        try:
            if len(self.peers) >= self._most:
                raise OSError("too many connections")
            connection, address = super().get_request()
        except OSError:
            strangers = [peer for peer, hello in self.peers.copy().items() if not hello]
            _end(strangers[:1])
            time.sleep(0.01)  # for its thread to close it
            raise
        self.peers[connection] = None
        return connection, address

    def handle_error(self, request, client_address):
        """Notes a stranger; prints nothing."""
        if not self.peers[request]:
            self.stranger = client_address[0]

    def shutdown_request(self, request):
        """Closes a connection."""
        self.peers.pop(request, None)
        super().shutdown_request(request)

    def server_close(self):
        """Closes all connections."""
        super().server_close()
        _end(self.peers.copy())


class _Connection(socketserver.BaseRequestHandler):
    """A connection to the chief, in a thread."""

    def handle(self):
        """Counts the connection as a worker's, from its Hello to its end.

        Raises:
          OSError: it is not a worker's, or is lost before the Hello.
        """
        word = secrets.token_hex(16)
        _send(self.request, Challenge(word))
        hello = _receive(self.request, Hello, PROOF_SECONDS)
        if hello.word != word:
            raise ConnectionError("the word of another connection")
        self.request.settimeout(None)
        self.server.peers[self.request] = hello
        self.request.recv(1)  # until either side ends the connection; a worker sends no more


def _end(connections):
    for connection in connections:
        with contextlib.suppress(OSError):  # closed meanwhile
            connection.shutdown(socket.SHUT_RDWR)


def _join(task, report):
    try:
        socket.getaddrinfo(*task.address(0))
    except OSError as error:
        raise UserError(
            f"TF_CONFIG: the host of {task.names([0])} is unknown to this machine ({error.strerror}); correct its "
            "address in the TF_CONFIG of every worker, or make the name known here"
        ) from None
    check_time = _timer(task, report)
    others = [worker for worker in task.others if worker] or [0]
    answer = None
    while not answer:
        check_time([0])
        try:
            with socket.create_connection(task.address(0), timeout=1) as connection:
                word = _receive(connection, Challenge, PROOF_SECONDS, lambda: check_time([0])).word
                _send(connection, Hello(word, task.index, task.addresses))
                answer = _receive(connection, Answer, TIMEOUT_SECONDS, lambda: check_time(others))
        except OSError:  # the chief is not there yet, or has left; its TensorFlow or another program may be listening
            time.sleep(POLL_SECONDS)
    if answer.refusal:
        raise UserError(answer.refusal)


def _send(connection, message):
    connection.settimeout(1)
    connection.sendall(msgspec.json.encode(message) + b"\n")


def _receive(connection, kind, seconds, check_time=lambda: None):
    """Returns the next message.

    Raises:
      OSError: it is not of this kind, or does not come in time, or the connection is lost.
    """
    begin = time.monotonic()
    connection.settimeout(POLL_SECONDS)
    line = b""
    while not line.endswith(b"\n"):
        check_time()
        if time.monotonic() - begin > seconds:
            raise TimeoutError
        with contextlib.suppress(TimeoutError):
            received = connection.recv(LINE_BYTES)
            line += received
            if not received or len(line) > LINE_BYTES:
                raise ConnectionError("closed, or too long a line")
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, RecursionError):
        raise ConnectionError("not a message of this kind") from None


def _timer(task, report):
    begin = time.monotonic()
    reported = False

    def check_time(missing):
        """Reports once which workers are missing; raises `UserError` when the time is up."""
        nonlocal reported
        seconds = time.monotonic() - begin
        if seconds > TIMEOUT_SECONDS:
            raise UserError(f"{task.names(missing)} did not connect within {TIMEOUT_SECONDS} s; {AGAIN}")
        if seconds > REPORT_SECONDS and not reported:
            reported = True
            report(f"waiting for {task.names(missing)}, at most {TIMEOUT_SECONDS} s")

    return check_time
