"""This process's task among the workers that TF_CONFIG names."""

import contextlib
import os
import re
import socket
from typing import NamedTuple

from mlp_tf import UserError
from mlp_tf.base import strict_json

_EXAMPLE = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'
_ADDRESS = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?:[1-9][0-9]{0,4}", re.ASCII)


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


def task(config):
    """The task of this process: the single one, but for --strategy=multi_worker, where TF_CONFIG says it.

    Raises:
      UserError: a TF_CONFIG that is missing or wrong, or a port that another process is using.
    """
    if config.strategy != "multi_worker":
        return Task()
    words = os.environ.get("TF_CONFIG", "")
    try:
        found = _parse(words)
    except (ValueError, KeyError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UserError(
            f"TF_CONFIG={_shortened(words)}: {what}; --strategy=multi_worker needs the addresses of all workers and "
            f"the number of this one, such as {_EXAMPLE}"
        ) from None
    _, port = found.address(found.index)
    with usable(port):
        socket.create_server(("", port)).close()
    return found


@contextlib.contextmanager
def usable(port):
    """Turns the error of a body that cannot listen at a port of this worker into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"TF_CONFIG: port {port} of this worker cannot be used ({os.strerror(error.errno)}); give a free one, in "
            "the TF_CONFIG of every worker"
        ) from None


def _parse(words):
    given = strict_json.parse(words)
    if not isinstance(given, dict):
        raise ValueError("must be an object with cluster and task")
    jobs = _jobs(strict_json.conform(given["cluster"], dict, "cluster"))
    own = strict_json.conform(given["task"], dict, "task")
    kind, index = strict_json.conform(own["type"], str, "task type"), own["index"]
    if kind not in jobs:
        raise ValueError(f"task type is {_shortened(kind)}, but must be chief or worker")
    if not jobs[kind]:
        raise ValueError(f"task type is {kind}, but cluster has none")
    if type(index) is not int:
        raise ValueError(f"task index is {_shortened(index)}, but must be an integer")
    if not 0 <= index < len(jobs[kind]):
        raise ValueError(f"task index is {_shortened(index)}, but must be from 0 to {len(jobs[kind]) - 1} ({kind})")
    addresses = jobs["chief"] + jobs["worker"]
    for address in addresses:
        if not _ADDRESS.fullmatch(address) or int(address.rpartition(":")[2]) > 65_535:
            raise ValueError(f"address {_shortened(address)} is not host:port")
    if len(set(addresses)) < len(addresses):
        raise ValueError("two workers have one address")
    return Task(index + (len(jobs["chief"]) if kind == "worker" else 0), addresses, len(jobs["chief"]))


def _jobs(cluster):
    jobs = {
        name: strict_json.conform(cluster.get(name, []), tuple[str, ...], f"cluster {name}")
        for name in ("chief", "worker")
    }
    if unknown := sorted(cluster.keys() - jobs.keys()):
        raise ValueError(f"cluster has {_shortened(', '.join(unknown))}, but may have chief and worker only")
    if len(jobs["chief"]) > 1:
        raise ValueError(f"cluster has {len(jobs['chief'])} chiefs, but may have one")
    return jobs


def _shortened(content):
    return f"{content}"[:300]
