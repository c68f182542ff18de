"""Fixtures of the tests of several workers: addresses that they can meet at."""

import contextlib
import socket

import pytest


@pytest.fixture(scope="session")
def free_addresses():
    """Makes addresses of this machine, on ports that nothing uses now."""

    def addresses(count):
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)

    return addresses
