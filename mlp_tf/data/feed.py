"""What each replica sees: the images of an epoch, in their order, on its device; and the batches of an evaluation."""

import math

import numpy as np
import tensorflow as tf

from mlp_tf import UserError
from mlp_tf.data.augmentation import deskew, distort
from mlp_tf.data.scaling import standardize
from mlp_tf.data.splits import Shard
from mlp_tf.distribute.cluster import single_device

SINGLE_DEVICE = single_device()
_ORDER = 0  # the purpose of the random stream that shuffles; augmentation.py has 1 and 2
_BLOCK = 5000  # images evaluated at once
_BLOCK_VALUES = 2**24  # pixels, in all channels, set upright at once


class Feed:
    """The training images as the loop takes them; the only thing that knows both data and devices.

    An epoch is (images, labels, order) on each replica's device: uint8 or float32 `[N, ...]`, int32 `[N]`, and the
    rows of its part of each batch, int32 `[steps, B / replicas]`.
    """

    def __init__(self, split, config, cluster=SINGLE_DEVICE):
        """Takes the training `Split`, and of the settings batch_size, seed, deskew, distort and elastic.

        Raises:
          UserError: a batch_size that the replicas do not divide, or of more images than there are; what is not uint8
            `[N, H, W(, C)]`, and is to be moved on its grid.
        """
        _check_batch_size(config.batch_size, split.global_rows, cluster.replicas)
        check_images(config, split.images)
        self._split, self._config, self._cluster = split, config, cluster
        self.look = lambda: None  # called often while an epoch is made; what it raises ends that
        self.steps = split.global_rows // config.batch_size
        self.pixels = math.prod(split.images.shape[1:])
        self.classes = split.classes or int(split.labels.max()) + 1
        self.one_device = cluster.replicas == 1  # XLA compiles for one
        self._distorts = bool(config.distort or config.elastic)
        self._images = _upright(split.images) if config.deskew else tf.constant(split.images)
        if not self._distorts:  # every epoch sees the same
            self._images = cluster.place([self._images])
        self._labels = cluster.place([tf.constant(split.labels)])

    def empty_epoch(self):
        """An epoch of the right shapes, to compile for; no step may be taken of it."""
        images = self._cluster.place([self._images]) if self._distorts else self._images
        order = tf.zeros([self.steps, self._config.batch_size // self._cluster.replicas], tf.int32)
        return images, self._labels, self._cluster.place([order])

    def signature(self, epoch):
        """What `tf.function` compiles train_steps(epoch, start, stop, total) for."""
        number, real = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float64)
        return [tuple(tf.type_spec_from_value(value) for value in epoch), number, number, real]

    def epoch(self, number):
        """The epoch with this number, from 0: a pure function of it."""
        order, images = self._place_order(number), self._images
        if self._distorts:
            images = self._cluster.place([distort(images, self._config, number, self._split, self.look)])
        return images, self._labels, order

    def _place_order(self, number):
        """The rows of each step, each replica's on its device."""
        split, config = self._split, self._config
        shard, batch_size = split.shard, config.batch_size // split.shard.workers
        order = epoch_order(len(split.labels), batch_size, config.seed, number, shard.index)[: self.steps]
        # A worker's order covers the replicas of all workers, or, if it holds a shard, its own.
        parts = order.shape[1] // (config.batch_size // self._cluster.replicas)
        return self._cluster.place(tf.split(tf.constant(order), parts, axis=1))

    def apply(self, step, epoch, i):
        """Calls step(images, labels) -> cost, with the batch of step `i`, on each replica; returns the sum."""

        def step_of_replica(images, labels, order, i):
            rows = tf.gather(order, i)  # [B / replicas]; a slice of `order` would have a dynamic shape
            return step(standardize(tf.gather(images, rows), self._split.scaling), tf.gather(labels, rows))

        costs = self._cluster.strategy.run(step_of_replica, (*epoch, i))
        return self._cluster.strategy.reduce("SUM", costs, axis=None)

    def agree(self, seconds):
        """The longest time that any worker took, the same in each, so that all cut an epoch in the same chunks."""
        return self._cluster.all_reduce_max(seconds)

    def check_network(self, inputs, outputs):
        """Raises UserError if a network of so many inputs and outputs does not fit the images and classes."""
        if (inputs, outputs) != (self.pixels, self.classes):
            raise UserError(
                f"sizes=({inputs}, ..., {outputs}): the data have {self.pixels} values an image and {self.classes} "
                f"classes; give sizes=({self.pixels}, ..., {self.classes})"
            )


def epoch_order(n, batch_size, seed, epoch, index=0):
    """Row numbers of each step of an epoch: a pure function of its arguments.

    Args:
      n: rows; of a worker that holds a shard, those of its shard.
      batch_size: rows in a step, of this worker.
      seed, epoch, index: what the order is drawn from; workers that hold shards give their own index.

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
        raise UserError(f"--batch_size={batch_size}: must be at most the {rows} training images")


def check_images(config, images):
    """Raises UserError if what cannot be moved on a grid, as it is no uint8 `[N, H, W(, C)]`, is to be moved."""
    for name in ("distort", "elastic", "deskew"):
        if getattr(config, name) and (images.ndim < 3 or images.dtype != "uint8"):
            raise UserError(
                f"--{name}={getattr(config, name)}: needs images of height x width, of uint8, and these have shape "
                f"{images.shape[1:]}, of {images.dtype}; leave it out"
            )


def rows_at_once(images):
    """How many images of this shape are moved at once: few enough for the memory, and for a signal soon after."""
    return max(1, min(_BLOCK, _BLOCK_VALUES // math.prod(images.shape[1:])))


def _upright(images):
    block = rows_at_once(images)
    return tf.concat([deskew(images[start : start + block]) for start in range(0, max(1, len(images)), block)], axis=0)


def worker_shard(cluster):
    """The shard of this worker among those of its cluster."""
    return Shard(cluster.task.index, cluster.workers)


def batches(split, config, cluster=SINGLE_DEVICE, size=_BLOCK):
    """Yields (images, labels) of this worker's rows, as the network sees them: none is distorted, and none left out.

    Every worker yields equally many batches, also one whose shard has no rows for the last.
    """
    shard = split.sharded(worker_shard(cluster))
    for start in range(0, math.ceil(split.global_rows / cluster.workers), size):
        images, labels = (tf.constant(array[start : start + size]) for array in (shard.images, shard.labels))
        images = _upright(images) if config.deskew else images
        yield standardize(images, shard.scaling), labels
