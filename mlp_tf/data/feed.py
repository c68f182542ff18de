"""What each replica sees: the ordered examples of an epoch, on its device; and the batches of an evaluation."""

import functools
import math

import numpy as np
import tensorflow as tf

from mlp_tf import UserError
from mlp_tf.data.augmentation import deskew, distort
from mlp_tf.data.scaling import scale
from mlp_tf.data.splits import Shard, Split
from mlp_tf.distribute.cluster import single_device

SINGLE_DEVICE = single_device()
_ORDER = 0  # the purpose of the random stream that shuffles; augmentation.py has 1 and 2
_ALIGNMENT = 64  # bytes, of memory that TensorFlow did not allocate
_BLOCK = 5000  # examples evaluated at once
_BLOCK_VALUES = 2**24  # pixels, in all channels, set upright at once


class Feed:
    """Supplies the epochs of training; the only class that knows both data and devices. See `loop.Feed`.

    Args:
      split: the training `Split`, or (images, labels).
      config: batch_size, seed, scaling, deskew, distort and elastic.
      cluster: the devices and workers.

    Raises:
      UserError: a batch_size that the replicas do not divide, or larger than the split; labels outside the classes;
        examples that are not images, if the settings distort or deskew them.
    """

    def __init__(self, split, config, cluster=SINGLE_DEVICE):
        split = Split(*split)
        _check_batch_size(config.batch_size, split.global_rows, cluster.replicas)
        check_images(config, split.images)
        self.classes = split.classes or _count_classes(split.labels)
        self.inputs = math.prod(split.images.shape[1:])
        self.steps = split.global_rows // config.batch_size
        self.strategy = cluster.strategy
        self.scale = functools.partial(scale, scaling=split.scaling, config=config)
        self.check_stop = lambda: None  # called often while an epoch is made, which an exception ends
        self._split = split
        self._config = config
        self._cluster = cluster
        self._distorts = bool(config.distort or config.elastic)
        self._images = _upright(split.images) if config.deskew else _tensor(split.images)
        if not self._distorts:  # every epoch has the same images
            self._images = cluster.place([self._images])
        self._labels = cluster.place([_checked_labels(split.labels, self.classes)])

    def empty_epoch(self):
        """Returns an epoch of the right shapes to compile for; no step may be taken on it."""
        images = self._cluster.place([self._images]) if self._distorts else self._images
        order = tf.zeros([self.steps, self._config.batch_size // self._cluster.replicas], tf.int32)
        return images, self._labels, self._cluster.place([order])

    def epoch(self, number):
        """Returns the epoch with this number, from 0: a pure function of it."""
        images = self._images
        if self._distorts:
            distorted = distort(images, self._config, number, self._split, self.check_stop)
            images = self._cluster.place([distorted])
        return images, self._labels, self._place_order(number)

    def _place_order(self, number):
        """Returns the rows of each step, each replica's on its device."""
        shard = self._split.shard
        batch_size = self._config.batch_size // shard.workers
        order = epoch_order(len(self._split.labels), batch_size, self._config.seed, number, shard.index)[: self.steps]
        # The order covers the replicas of all workers or, if this worker holds a shard, only its replicas.
        parts = order.shape[1] // (self._config.batch_size // self._cluster.replicas)
        return self._cluster.place(tf.split(tf.constant(order), parts, axis=1))

    def agree(self, seconds):
        """Returns the longest time that any worker took, so that all cut an epoch into the same chunks."""
        return self._cluster.all_reduce_max(seconds)


def _tensor(array):
    """Returns a copy of an array as a tensor; on the CPU, NumPy allocates its memory.

    NumPy asks for huge pages, TensorFlow does not: an epoch of 256,256 takes 0.98 of the time, as a step gathers rows
    from all over the images.
    """
    if tf.config.list_physical_devices("GPU"):
        return tf.constant(array)
    memory = np.empty(array.nbytes + _ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    copy = memory[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return tf.experimental.dlpack.from_dlpack(copy.__dlpack__()) if array.size else tf.constant(array)


def _count_classes(labels):
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError(
            f"labels are {labels.dtype} of shape {labels.shape}; must be integers of shape [N]; if they are one-hot, "
            "give labels.argmax(axis=1)"
        )
    return int(labels.max()) + 1


def _checked_labels(labels, classes):
    """Returns labels as a tensor, integers as int32 after a check that they are from 0 to classes - 1."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":  # such as the targets of a regression, which takes a step of the user's
        return tf.constant(labels)
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        raise UserError(f"labels[{outside.argmax()}] is {labels[outside][0]}; must be from 0 to {classes - 1}")
    return tf.constant(labels, tf.int32)


def epoch_order(n, batch_size, seed, epoch, index=0):
    """Returns the row numbers of each step of an epoch: a pure function of its arguments.

    Args:
      n: rows; for a worker that holds a shard, those of its shard.
      batch_size: rows of this worker in a step.
      seed, epoch, index: what the order is drawn from; a worker that holds a shard gives its index.

    Returns:
      int32 `[n // batch_size, batch_size]`; the `n % batch_size` rows left over differ from epoch to epoch.
    """
    steps = n // batch_size
    order = np.random.default_rng((seed, _ORDER, epoch, index)).permutation(n)[: steps * batch_size]
    return order.reshape(steps, batch_size).astype(np.int32)


def _check_batch_size(batch_size, rows, replicas):
    if batch_size % replicas:
        raise UserError(
            f"--batch_size={batch_size}: must be a multiple of the {replicas} replicas, each of which takes an equal "
            "part of every batch"
        )
    if batch_size > rows:
        raise UserError(f"--batch_size={batch_size}: must be at most the {rows} training examples")


def check_images(config, examples):
    """Checks that the examples are images, if the settings distort or deskew them.

    Raises:
      UserError: the examples are not uint8 `[N, H, W]` or `[N, H, W, C]`.
    """
    for name in ("distort", "elastic", "deskew"):
        if getattr(config, name) and (examples.ndim < 3 or examples.dtype != "uint8"):
            raise UserError(
                f"--{name}={getattr(config, name)}: needs images of height x width, of uint8, and these have shape "
                f"{examples.shape[1:]}, of {examples.dtype}; leave it out"
            )


def block_size(examples):
    """Returns how many examples of this shape to process at once: few enough for memory and a prompt stop."""
    return max(1, min(_BLOCK, _BLOCK_VALUES // math.prod(examples.shape[1:])))


def _upright(images):
    block = block_size(images)
    return tf.concat([deskew(images[start : start + block]) for start in range(0, max(1, len(images)), block)], axis=0)


def worker_shard(cluster):
    """Returns the shard of this worker among those of its cluster."""
    return Shard(cluster.task.index, cluster.workers)


def batches(split, config, cluster=SINGLE_DEVICE, size=_BLOCK):
    """Yields (examples, labels) of this worker as the network takes them: none distorted, none left out.

    Every worker yields equally many batches, even if its shard has no rows for the last one.

    Args:
      split: a `Split`, or (examples, labels).
      config: only `deskew` and `scaling` count.
      cluster: the workers that share the rows.
      size: examples in a batch.
    """
    shard = Split(*split).sharded(worker_shard(cluster))
    for start in range(0, math.ceil(shard.global_rows / cluster.workers), size):
        examples = tf.constant(shard.images[start : start + size])
        labels = tf.constant(shard.labels[start : start + size])
        if config.deskew:
            examples = _upright(examples)
        yield scale(examples, shard.scaling, config), labels
