"""A cluster: one device, the devices of one machine, or the workers of several machines; and its collectives.

Replicas are the copies of the network that take each step together, one on each device of each worker. Worker 0 is the
chief: it alone writes a run's folder and prints. Workers need not share a disk, as the chief broadcasts what they need.
"""

import concurrent.futures
import contextlib
import faulthandler
import json
import math
import re
from typing import NamedTuple

import msgspec
import numpy as np
import tensorflow as tf

from mlp_tf import UserError
from mlp_tf.base.files import parse
from mlp_tf.distribute.meeting import AGAIN, meet
from mlp_tf.distribute.tf_config import Task

# What TensorFlow's collectives raise when another worker is gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
_REASON_BYTES = 4000  # of the reason why a worker is refused
JOIN_SECONDS = 60  # from the meeting until TensorFlow has connected the workers


class Cluster(NamedTuple):
    """The workers that train together, as one of them sees it."""

    strategy: tf.distribute.Strategy
    task: Task = Task()

    @property
    def workers(self):
        """Number of workers."""
        return len(self.task.addresses)

    @property
    def replicas(self):
        """Number of replicas on all workers."""
        return self.strategy.num_replicas_in_sync

    def place(self, parts):
        """Returns a tensor on the device of each replica of this worker; replica i has part i % len(parts)."""
        if self.replicas == 1:
            return parts[0]
        devices = self.strategy.extended.worker_devices

        def part_of(context):
            replica = context.replica_id_in_sync_group
            with tf.device(devices[replica % len(devices)]):
                return tf.identity(parts[replica % len(parts)])

        return self.strategy.experimental_distribute_values_from_function(part_of)

    def all_reduce_sum(self, array):
        """Returns the sum of the workers' arrays, the same bits on each; all must call it, in the same order."""
        if self.workers == 1:
            return np.asarray(array)
        # In another thread, as no signal handler runs while the main thread waits for the other workers.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(self._reduce, np.asarray(array)).result()

    def _reduce(self, array):
        return self.strategy.reduce("SUM", tf.constant(array), axis=None).numpy()

    def all_reduce_max(self, number):
        """Returns the highest of the workers' numbers."""
        numbers = [float(number) if i == self.task.index else 0.0 for i in range(self.workers)]
        return self.all_reduce_sum(numbers).max().item()

    def broadcast(self, content):
        """Returns the chief's bytes; every worker passes bytes of the same length."""
        if self.workers == 1:
            return content
        padded = np.zeros(4 * math.ceil(len(content) / 4), np.uint8)
        if self.task.chief:
            padded[: len(content)] = np.frombuffer(content, np.uint8)
        return self.all_reduce_sum(padded.view(np.int32)).tobytes()[: len(content)]

    def broadcast_struct(self, content, form):
        """Returns the chief's `content`, a msgspec struct of type `form`; that of the other workers is ignored."""
        if self.workers == 1:
            return content
        text = json.dumps(msgspec.to_builtins(content)).encode() if self.task.chief else b""
        size = int(self.all_reduce_sum([len(text)])[0])
        return parse(self.broadcast(text.ljust(size)), form)

    @contextlib.contextmanager
    def all_or_none(self):
        """If the block fails in any worker, raises a `UserError` that says why in every worker; all must call it."""
        if self.workers == 1:
            yield
            return
        reason = ""
        try:
            yield
        except (ValueError, OSError) as error:  # a UserError is a ValueError
            reason = str(error)
        encoded = np.frombuffer(reason.encode(errors="backslashreplace")[:_REASON_BYTES], np.uint8)
        texts = np.zeros([self.workers, _REASON_BYTES], np.int32)
        texts[self.task.index, : len(encoded)] = encoded
        refused = []
        for worker, row in enumerate(self.all_reduce_sum(texts)):
            text = row[row > 0].astype(np.uint8).tobytes().decode(errors="replace")
            if text:
                refused.append(f"{self.task.names([worker])} was refused: {text}")
        if refused:
            raise UserError("; ".join(refused)) from None

    @contextlib.contextmanager
    def watched(self):
        """Turns the loss of another worker into a `UserError` that names it; other exceptions pass through."""
        try:
            yield
        except _LOST as error:
            tasks = re.findall(r"/job:(chief|worker)/(?:replica:\d+/)?task:(\d+)", str(error))
            named = {int(task) + (self.task.chief_jobs if job == "worker" else 0) for job, task in tasks}
            lost = sorted(named - {self.task.index})
            if not (lost or self.task.chief) and "CoordinationService" in str(error):  # the service runs in worker 0
                lost = [0]
            if self.task.single or not (lost or isinstance(error, tf.errors.UnavailableError)):
                raise
            names = self.task.names(lost or self.task.others)
            raise UserError(f"{names} ended or cannot be reached any more; {AGAIN}") from error


def single_device():
    """Returns the cluster of this process and its default device."""
    return Cluster(tf.distribute.get_strategy())


def connect(config, task, listen, report):
    """Connects the devices, or the workers, that the settings ask for.

    Args:
      config: strategy, logical_cpus.
      task: from `tf_config.task`.
      listen: called once connected, as TensorFlow's server replaces the handler of SIGTERM.
      report: called with a text that says which workers are missing, if the meeting takes long.

    Returns:
      `Cluster`.

    Raises:
      UserError: there are no such devices, a server does not start, or a worker does not connect.
    """
    if config.strategy == "default":
        return single_device()
    if config.strategy == "mirrored":
        return Cluster(_mirrored(config.logical_cpus))
    return Cluster(_multi_worker(task, listen, report), task)


def _mirrored(logical_cpus):
    if not logical_cpus:
        if not tf.config.list_physical_devices("GPU"):
            raise UserError(
                "--strategy=mirrored: TensorFlow sees no GPU here; give --strategy=default, or --logical_cpus=N to "
                "split the CPU into N devices"
            )
        return tf.distribute.MirroredStrategy()
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * logical_cpus)
    except RuntimeError:  # the calling program has already used TensorFlow
        if len(tf.config.list_logical_devices("CPU")) != logical_cpus:
            raise UserError(
                f"--logical_cpus={logical_cpus}: TensorFlow has {len(tf.config.list_logical_devices('CPU'))} already; "
                "start in a new process"
            ) from None
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(logical_cpus)])


def _multi_worker(task, listen, report):
    meet(task, report)
    # TensorFlow keeps Python from running while it connects: if a worker is lost then, only this ends the process.
    faulthandler.dump_traceback_later(JOIN_SECONDS, exit=True)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"TF_CONFIG: the workers cannot be connected ({reason}); {AGAIN}") from None
    finally:
        faulthandler.cancel_dump_traceback_later()
        listen()
