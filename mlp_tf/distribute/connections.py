"""Who is connected to the chief: the workers, and the strangers, each of whom may become one."""

import contextlib
import secrets
import selectors
import time

from mlp_tf.distribute import messages
from mlp_tf.distribute.messages import Challenge, Channel, Echo, Hello

STRANGERS = 256  # at once; the oldest makes room


class Connections:
    """The connections to a server; none of them can keep it busy or waiting.

    Args:
      server: a listening socket.
      report: called with a text when the first connection is closed that cannot have been a worker's.
    """

    def __init__(self, server, report):
        server.setblocking(False)
        self.workers, self._strangers = [], []  # `_Connection` each; the oldest first
        self._server, self._report, self._reported = server, report, False
        self._selector = selectors.DefaultSelector()
        self._selector.register(server, selectors.EVENT_READ)

    def poll(self):
        """Takes in who comes or leaves, and what they say; waits for 0.2 s at most, as signals are to be answered."""
        for key, _ in self._selector.select(0.2):
            if key.fileobj is not self._server:
                self._receive(key.data)
        self._accept()
        for stranger in [each for each in self._strangers if time.monotonic() - each.begin > messages.PROOF_SECONDS]:
            self._drop(stranger)

    def answer(self, message):
        """Sends the workers that are there their last message."""
        for worker in self.workers.copy():
            with contextlib.suppress(OSError):  # lost in this very moment: TensorFlow will tell
                worker.connection.settimeout(1)
                worker.send(message)
            self._drop(worker)

    def close(self):
        """Closes every connection."""
        for peer in self.workers + self._strangers:
            peer.connection.close()
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
        peer = _Connection(connection, host)
        self._strangers.append(peer)
        self._selector.register(connection, selectors.EVENT_READ, peer)

    def _make_room(self):
        if self._strangers:
            self._drop(self._strangers[0])
        else:
            time.sleep(0.2)

    def _receive(self, peer):
        try:
            proven = peer.receive_proof()
        except OSError:
            self._drop(peer)
            return
        if proven:
            self._strangers.remove(peer)
            self.workers.append(peer)

    def _drop(self, peer):
        self._selector.unregister(peer.connection)
        peer.connection.close()
        (self.workers if peer in self.workers else self._strangers).remove(peer)
        if not peer.hello and not self._reported:
            self._reported = True
            self._report(f"ignored a connection from {peer.host} that is not one of the workers")


class _Connection(Channel):
    """A connection to the chief, and what it has said."""

    def __init__(self, connection, host):
        super().__init__(connection, timeout=0)
        self.host, self.begin = host, time.monotonic()
        self.hello, self._word = None, secrets.token_hex(16)

    def receive_proof(self):
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
