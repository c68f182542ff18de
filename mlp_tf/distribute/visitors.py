"""Who is connected to the chief: the workers, and the strangers, each of whom may become one."""

import contextlib
import secrets
import selectors
import time

from mlp_tf.distribute import messages
from mlp_tf.distribute.messages import Challenge, Channel, Echo, Hello

STRANGERS = 256  # at once; the oldest makes room


class Visitors:
    """The connections to a server; none of them can keep it busy or waiting.

    Args:
      server: a listening socket.
      report: called with a text when the first connection is closed that cannot have been a worker's.
    """

    def __init__(self, server, report):
        server.setblocking(False)
        self.workers, self._strangers = [], []  # `_Visitor` each; the oldest first
        self._server, self._report, self._reported = server, report, False
        self._selector = selectors.DefaultSelector()
        self._selector.register(server, selectors.EVENT_READ)

    def attend(self):
        """Takes in who comes or leaves, and what they say; waits for 0.2 s at most, as signals are to be answered."""
        for key, _ in self._selector.select(0.2):
            if key.fileobj is not self._server:
                self._hear(key.data)
        self._accept()
        for stranger in [each for each in self._strangers if time.monotonic() - each.begin > messages.PROOF_SECONDS]:
            self._drop(stranger)

    def dismiss(self, message):
        """Sends the workers that are there their last message."""
        for worker in self.workers.copy():
            with contextlib.suppress(OSError):  # lost in this very moment: TensorFlow will tell
                worker.connection.settimeout(1)
                worker.send(message)
            self._drop(worker)

    def close(self):
        """Closes every connection."""
        for visitor in self.workers + self._strangers:
            visitor.connection.close()
        self._selector.close()

    def _accept(self):
        try:
            connection, (host, _) = self._server.accept()
        except (BlockingIOError, ConnectionError):  # there is none, or none any more
            return
        except OSError:  # no more files can be open
            self._make_room()
            return
        if len(self._strangers) >= STRANGERS:
            self._make_room()
        visitor = _Visitor(connection, host)
        self._strangers.append(visitor)
        self._selector.register(connection, selectors.EVENT_READ, visitor)

    def _make_room(self):
        if self._strangers:
            self._drop(self._strangers[0])
        else:
            time.sleep(0.2)

    def _hear(self, visitor):
        try:
            proven = visitor.hear()
        except OSError:
            self._drop(visitor)
            return
        if proven:
            self._strangers.remove(visitor)
            self.workers.append(visitor)

    def _drop(self, visitor):
        self._selector.unregister(visitor.connection)
        visitor.connection.close()
        (self.workers if visitor in self.workers else self._strangers).remove(visitor)
        if not visitor.hello and not self._reported:
            self._reported = True
            self._report(f"ignored a connection from {visitor.host} that is not one of the workers")


class _Visitor(Channel):
    """A connection to the chief, and what it has said."""

    def __init__(self, connection, host):
        super().__init__(connection, timeout=0)
        self.host, self.begin = host, time.monotonic()
        self.hello, self._word = None, secrets.token_hex(16)

    def hear(self):
        """Takes in what came, and answers; returns whether it proves a worker.

        Raises:
          OSError: the connection is lost, or what came is not what a worker says.
        """
        message = self.receive()
        if isinstance(message, Hello) and not self.hello:
            self.hello = message
            self.send(Challenge(self._word))
            return False
        if isinstance(message, Echo) and message.echo == self._word:
            self._word = None  # once
            return True
        if message:
            raise ConnectionError("not what a worker says")
        return False
