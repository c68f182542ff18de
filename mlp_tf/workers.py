"""The worker processes that train together: which one this is, by TF_CONFIG, and their meeting before they begin.

They meet by themselves before TensorFlow connects them, as it would wait for the last one without an end
and without answering signals.
"""

import contextlib
import json
import os
import re
import socket
import time
from typing import NamedTuple

from mlp_tf import UserError

PATIENCE = 300  # seconds that the workers have to come together
AGAIN = "start every worker again with the same command: the run goes on from its last checkpoint"

_EXAMPLE = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'


class Seat(NamedTuple):
    """A worker's place among those that TF_CONFIG names: its number and the address (host:port) of each."""

    index: int = 0
    addresses: tuple[str, ...] = ("",)
    chiefs: int = 0  # how many of them, the first, TF_CONFIG calls chief and not worker

    @property
    def chief(self):
        """Whether this is worker 0."""
        return self.index == 0

    @property
    def alone(self):
        """Whether there is no other worker."""
        return len(self.addresses) == 1

    def address(self, worker):
        """(host, port) of a worker."""
        host, _, port = self.addresses[worker].rpartition(":")
        return host, int(port)

    @property
    def others(self):
        """The numbers of the other workers."""
        return [i for i in range(len(self.addresses)) if i != self.index]

    def names(self, workers):
        """These workers, by number and address."""
        return ", ".join(f"worker {i} ({self.addresses[i]})" for i in workers)


def seat(config):
    """The place of this process: alone, but for --strategy=multi_worker, where TF_CONFIG says it.

    Raises:
      UserError: a TF_CONFIG that is missing or wrong, or a port that another process is using.
    """
    if config.strategy != "multi_worker":
        return Seat()
    words = os.environ.get("TF_CONFIG", "")
    try:
        found = _parse(json.loads(words))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UserError(
            f"TF_CONFIG={words}: {what}; --strategy=multi_worker needs the addresses of all workers and the number of "
            f"this one, such as {_EXAMPLE}"
        ) from None
    _, port = found.address(found.index)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("", port))
        except OSError as error:
            raise UserError(
                f"TF_CONFIG: port {port} of this worker cannot be used ({error.strerror}); give a free one, in the "
                "TF_CONFIG of every worker"
            ) from None
    return found


def _parse(given):
    if not isinstance(given, dict):
        raise TypeError("must be an object with cluster and task")
    cluster, task = given["cluster"], given["task"]
    jobs = {name: tuple(cluster.get(name, ())) for name in ("chief", "worker")}
    if unknown := sorted(cluster.keys() - jobs.keys()):
        raise ValueError(f"cluster has {', '.join(unknown)}, but may have chief and worker only")
    if len(jobs["chief"]) > 1:
        raise ValueError(f"cluster has {len(jobs['chief'])} chiefs, but may have one")
    kind, index = task["type"], task["index"]
    if kind not in jobs:
        raise ValueError(f"task type is {kind}, but must be chief or worker")
    if not isinstance(index, int):
        raise TypeError(f"task index is {index}, but must be an integer")
    if not 0 <= index < len(jobs[kind]):
        raise ValueError(f"task index is {index}, but must be from 0 to {len(jobs[kind]) - 1} ({kind})")
    addresses = jobs["chief"] + jobs["worker"]
    for address in addresses:
        if not re.fullmatch(r"[^:/\s]+:\d{1,5}", address) or int(address.rpartition(":")[2]) > 65_535:
            raise ValueError(f"address {address} is not host:port")
    if len(set(addresses)) < len(addresses):
        raise ValueError("two workers have one address")
    return Seat(index + (len(jobs["chief"]) if kind == "worker" else 0), addresses, len(jobs["chief"]))


def meet(seat, say):
    """Returns once all workers are there, at about the same time in each.

    Args:
      seat: from `seat`.
      say: called with a text that tells whom this worker waits for, if it takes long.

    Raises:
      UserError: workers that do not come, or were given another list of addresses.
    """
    if not seat.alone:
        (_host if seat.chief else _visit)(seat, say)


def _host(seat, say):
    come = {}  # number of a worker: its connection
    try:
        with socket.create_server(("", seat.address(0)[1])) as server:
            server.settimeout(0.2)
            for _ in _waiting(lambda: [worker for worker in seat.others if worker not in come], seat, say):
                with contextlib.suppress(TimeoutError):
                    _welcome(server.accept()[0], seat, come)
                for worker in [worker for worker, connection in come.items() if not _is_open(connection)]:
                    del come[worker]  # it has ended while it waited
                if len(come) == len(seat.others):
                    break
        _tell(come, "go")
    except UserError as error:
        _tell(come, str(error))
        raise


def _tell(come, words):
    for connection in come.values():
        with contextlib.suppress(OSError):  # lost in this very moment: TensorFlow will tell
            connection.sendall(f"{words}\n".encode())
        connection.close()


def _welcome(connection, seat, come):
    """Adds the connection of a worker that has come, under its number, to those that are there."""
    connection.settimeout(5)
    try:
        theirs = json.loads(connection.makefile().readline())
        index, addresses = int(theirs["index"]), tuple(theirs["addresses"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # not one of ours
    twice = index not in seat.others or (index in come and _is_open(come[index]))
    come[-1 if twice else index] = connection  # to be told too
    if addresses != seat.addresses:
        raise UserError(
            f"TF_CONFIG names {', '.join(addresses)} in worker {index}, {', '.join(seat.addresses)} in worker 0; give "
            "every worker the same addresses"
        )
    if twice:
        raise UserError(f"TF_CONFIG gives two workers the index {index}; give each one of its own")


def _is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.settimeout(5)


def _visit(seat, say):
    connection = None  # to worker 0, which waits for the others with us

    def missing():
        return [0] if connection is None else [worker for worker in seat.others if worker] or [0]

    for _ in _waiting(missing, seat, say):
        try:
            if connection is None:
                connection = socket.create_connection(seat.address(0), timeout=1)
                connection.sendall(json.dumps({"index": seat.index, "addresses": seat.addresses}).encode() + b"\n")
            answer = connection.recv(10_000).decode().strip()
        except TimeoutError:
            continue
        except OSError:
            answer = ""
        if answer == "go":
            return connection.close()
        if answer:
            raise UserError(answer)
        connection = None  # it is not there yet, or not there any more
        time.sleep(0.2)


def _waiting(missing, seat, say):
    """Yields for each attempt, until the patience is over."""
    begin, said = time.monotonic(), False
    while time.monotonic() - begin < PATIENCE:
        yield
        if time.monotonic() - begin > 5 and not said:
            said = True
            say(f"waiting for {seat.names(missing())}, at most {PATIENCE} s")
    raise UserError(f"{seat.names(missing())} did not come within {PATIENCE} s; {AGAIN}")
