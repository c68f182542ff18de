"""Who trains together: one device, the devices of one machine, or the worker processes of several.

Replicas are the copies of the network that take each step together, one on each device of each worker.
Worker 0 is the chief, which alone writes a run's folder and prints. Workers need not share a disk: what
the others have to know of the folder, the chief tells them.
"""

import concurrent.futures
import contextlib
import faulthandler
import json
import re
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mlp_tf import UserError
from mlp_tf.workers import AGAIN, Seat, meet

# What TensorFlow's collectives raise when another worker is gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
JOIN_SECONDS = 60  # from the meeting until TensorFlow has connected the workers


class Cluster(NamedTuple):
    """The workers that train together, as one of them sees it."""

    strategy: tf.distribute.Strategy
    seat: Seat = Seat()

    @property
    def workers(self):
        """How many there are."""
        return len(self.seat.addresses)

    @property
    def replicas(self):
        """Replicas of all workers together."""
        return self.strategy.num_replicas_in_sync

    def on_replicas(self, parts):
        """A tensor on the device of each replica of this worker: the parts in turn, counted over all replicas."""
        if self.replicas == 1:
            return parts[0]
        devices = self.strategy.extended.worker_devices

        def place(context):
            replica = context.replica_id_in_sync_group
            with tf.device(devices[replica % len(devices)]):
                return tf.identity(parts[replica % len(parts)])

        return self.strategy.experimental_distribute_values_from_function(place)

    def total(self, array):
        """The sum of every worker's array, the same bits on each; all must call it, in the same order."""
        if self.workers == 1:
            return np.asarray(array)
        # In a thread, since a Python signal handler would not run while this one waits for the others.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(self._total, np.asarray(array)).result()

    def _total(self, array):
        return self.strategy.reduce("SUM", tf.constant(array), axis=None).numpy()

    def highest(self, number):
        """The highest of every worker's number."""
        return self.total([float(number) if i == self.seat.index else 0.0 for i in range(self.workers)]).max().item()

    def chiefs(self, arrays):
        """The chief's arrays, bit for bit; every worker gives arrays of the same shapes and types."""
        if self.workers == 1:
            return arrays
        return [self._chiefs(np.asarray(array)) for array in arrays]

    def _chiefs(self, array):
        # As integers: a sum with zeros would turn -0.0 into 0.0.
        padded = np.zeros(-(-array.nbytes // 4) * 4, np.uint8)
        if self.seat.chief:
            padded[: array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
        return self.total(padded.view(np.int32)).view(np.uint8)[: array.nbytes].view(array.dtype).reshape(array.shape)

    def told(self, content):
        """What the chief gives, of JSON's types; what the others give is not used."""
        if self.workers == 1:
            return content
        text = json.dumps(content).encode() if self.seat.chief else b""
        size = int(self.total([len(text)])[0])
        [text] = self.chiefs([np.frombuffer(text.ljust(size), np.uint8)])
        return json.loads(text.tobytes())

    @contextlib.contextmanager
    def watched(self):
        """Turns the loss of another worker into a `UserError` that says which; what else goes wrong stays as it is."""
        try:
            yield
        except _LOST as error:
            tasks = re.findall(r"/job:(chief|worker)/(?:replica:\d+/)?task:(\d+)", str(error))
            named = {int(task) + (self.seat.chiefs if job == "worker" else 0) for job, task in tasks}
            lost = sorted(named - {self.seat.index})
            if self.seat.alone or not (lost or isinstance(error, tf.errors.UnavailableError)):
                raise
            names = self.seat.names(lost or self.seat.others)
            raise UserError(f"{names} ended or cannot be reached any more; {AGAIN}") from error


def alone():
    """This process and its default device."""
    return Cluster(tf.distribute.get_strategy())


def connect(config, seat, listen, say):
    """Joins the devices, or the workers, that the settings ask for.

    Args:
      config: strategy, logical_cpus.
      seat: from `seat`.
      listen: called once connected, as TensorFlow's server takes SIGTERM away from the handler it had.
      say: called with a text that tells whom it waits for, if it takes long.

    Returns:
      `Cluster`.

    Raises:
      UserError: no such devices, a server that does not start, workers that do not come.
    """
    if config.strategy == "default":
        return alone()
    if config.strategy == "mirrored":
        return Cluster(_mirrored(config.logical_cpus))
    return Cluster(_multi_worker(seat, listen, say), seat)


def _mirrored(logical_cpus):
    if not logical_cpus:
        if not tf.config.list_physical_devices("GPU"):
            raise UserError(
                "--strategy=mirrored: TensorFlow sees no GPU here; give --strategy=default, or --logical_cpus=N to "
                "split the CPU in N devices"
            )
        return tf.distribute.MirroredStrategy()
    [cpu, *_] = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * logical_cpus)
    except RuntimeError:  # TensorFlow has begun to compute, in a program that calls this
        if len(tf.config.list_logical_devices("CPU")) != logical_cpus:
            raise UserError(
                f"--logical_cpus={logical_cpus}: TensorFlow has {len(tf.config.list_logical_devices('CPU'))} already; "
                "begin in a process of its own"
            ) from None
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(logical_cpus)])


def _multi_worker(seat, listen, say):
    meet(seat, say)
    # Connecting, TensorFlow keeps Python from running: only this can end it, if a worker is lost at that moment.
    faulthandler.dump_traceback_later(JOIN_SECONDS, exit=True)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"TF_CONFIG: the workers cannot be connected ({reason}); {AGAIN}") from None
    finally:
        faulthandler.cancel_dump_traceback_later()
        listen()
