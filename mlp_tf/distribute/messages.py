"""What the workers say to each other when they meet: a line of JSON for each message.

A worker says Hello, the chief answers with a Challenge, and the worker with its Echo: who only sends, whatever that is,
is never taken for a worker. The chief's last message is Go, or Refused.
"""

import json
from typing import NamedTuple

from mlp_tf.base import strict_json

PROOF_SECONDS = 5  # that each side has to show that it is one of ours
LINE_BYTES = 65_536
REASON_LENGTH = 5_000  # of up to 12 bytes each in JSON: so it fits a line
_PROTOCOL = "mlp_tf meeting 1"


class Hello(NamedTuple):
    """A worker's number, and the addresses of all that it was given."""

    index: int
    addresses: tuple[str, ...]


class Challenge(NamedTuple):
    """A word that the worker could not know before."""

    challenge: str


class Echo(NamedTuple):
    """The same word."""

    echo: str


class Go(NamedTuple):
    """All are there."""

    workers: int


class Refused(NamedTuple):
    """There will be no training."""

    reason: str


class _Tagged(NamedTuple):
    """A message, and that it is one of ours."""

    protocol: str
    message: Hello | Challenge | Echo | Go | Refused


class Channel:
    """A connection on which both sides send messages in turn."""

    def __init__(self, connection, timeout):
        connection.settimeout(timeout)
        self.connection, self._received = connection, bytearray()

    def send(self, message):
        """Sends a message.

        Raises:
          OSError: the connection is lost.
        """
        content = {"protocol": _PROTOCOL, "message": message._asdict()}
        self.connection.sendall(f"{json.dumps(content)}\n".encode())

    def receive(self):
        """The next message, or None while it has not come, or not wholly.

        Raises:
          OSError: the connection is lost, or what came is not one of our messages.
        """
        try:
            received = self.connection.recv(LINE_BYTES)
        except (BlockingIOError, TimeoutError):
            return None
        self._received += received
        if not received or len(self._received) > LINE_BYTES:
            raise ConnectionError("closed, or too long a line")
        if not received.endswith(b"\n"):
            return None
        line, self._received = bytes(self._received), bytearray()
        return _message(line)


def _message(line):
    try:
        tagged = strict_json.conform(strict_json.parse(line), _Tagged, "line")
    except ValueError:
        raise ConnectionError("not a message") from None
    if tagged.protocol != _PROTOCOL:
        raise ConnectionError("not one of our messages")
    return tagged.message
