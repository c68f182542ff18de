"""This process's task among the workers that TF_CONFIG names."""

import contextlib
import os
import re
import socket
from typing import NamedTuple

import msgspec

from mlp_tf import UserError
from mlp_tf.base.text import shorten

_EXAMPLE = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'
_ADDRESS = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?:[1-9][0-9]{0,4}", re.ASCII)


class _Cluster(msgspec.Struct, forbid_unknown_fields=True):
    chief: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()


class _Position(msgspec.Struct):
    type: str
    index: int


class _TfConfig(msgspec.Struct):
    cluster: _Cluster
    task: _Position


class Task(NamedTuple):
    """A worker's number among those that TF_CONFIG names, and the address (host:port) of each."""

    index: int = 0
    addresses: tuple[str, ...] = ("",)
    chief_jobs: int = 0  # 1 where TF_CONFIG calls the first of them chief and not worker

    @property
    def chief(self):
        """Whether this is worker 0."""
        return self.index == 0

    @property
    def single(self):
        """Whether there is no other worker."""
        return len(self.addresses) == 1

    def address(self, worker):
        """Returns (host, port) of a worker."""
        host, _, port = self.addresses[worker].rpartition(":")
        return host, int(port)

    @property
    def others(self):
        """The numbers of the other workers."""
        return [i for i in range(len(self.addresses)) if i != self.index]

    def names(self, workers):
        """Returns the numbers and addresses of these workers, as text."""
        return ", ".join(f"worker {i} ({self.addresses[i]})" for i in workers)


def task(config):
    """Returns this process's task: read from TF_CONFIG with --strategy=multi_worker, else that of a single worker.

    Raises:
      UserError: TF_CONFIG is missing or wrong, or this worker's port cannot be used.
    """
    if config.strategy != "multi_worker":
        return Task()
    words = os.environ.get("TF_CONFIG", "")
    try:
        found = _parse(words)
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(
            f"TF_CONFIG={shorten(words, 300)}: {what}; --strategy=multi_worker needs the addresses of all workers (in "
            f"cluster, as worker and at most one chief) and the type and index of this one, such as {_EXAMPLE}"
        ) from None
    _, port = found.address(found.index)
    with usable(port):
        socket.create_server(("", port)).close()
    return found


def unused_note(strategy):
    """Returns a note if TF_CONFIG names several workers and this strategy ignores it, else None."""
    if strategy == "multi_worker":
        return None
    try:
        count = len(_parse(os.environ.get("TF_CONFIG", "")).addresses)
    except (ValueError, RecursionError):  # meant for another program
        return None
    if count == 1:
        return None
    return f"TF_CONFIG names {count} workers, but --strategy={strategy} trains alone; --strategy=multi_worker uses all"


@contextlib.contextmanager
def usable(port):
    """Turns an OSError of the body, which listens at a port of this worker, into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"TF_CONFIG: port {port} of this worker cannot be used ({os.strerror(error.errno)}); give a free one, in "
            "the TF_CONFIG of every worker"
        ) from None


def _parse(words):
    if not words:
        raise ValueError("it is missing or empty")
    given = msgspec.json.decode(words, type=_TfConfig)
    jobs = {"chief": given.cluster.chief, "worker": given.cluster.worker}
    kind = given.task.type
    index = given.task.index
    if len(jobs["chief"]) > 1:
        raise ValueError(f"cluster has {len(jobs['chief'])} chiefs, but may have one")
    if kind not in jobs:
        raise ValueError(f"task type is {shorten(kind, 100)}, but must be chief or worker")
    if not jobs[kind]:
        raise ValueError(f"task type is {kind}, but cluster has none")
    if not 0 <= index < len(jobs[kind]):
        last = len(jobs[kind]) - 1
        raise ValueError(f"task index is {shorten(str(index), 100)}, but must be from 0 to {last} ({kind})")
    addresses = jobs["chief"] + jobs["worker"]
    for address in addresses:
        if not _ADDRESS.fullmatch(address) or int(address.rpartition(":")[2]) > 65_535:
            raise ValueError(f"address {shorten(address, 100)} is not host:port")
    if len(set(addresses)) < len(addresses):
        raise ValueError("two workers have the same address")
    return Task(index + (len(jobs["chief"]) if kind == "worker" else 0), addresses, len(jobs["chief"]))
