"""A dataset: its source before it is read, its splits, and the shard of each that one worker holds."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mlp_tf.data.scaling import Scaling

_BLOCK = 1000  # rows of arrays in memory in one block


class Shard(NamedTuple):
    """The rows of a split that one worker holds: `index`, `index + workers`, `index + 2 * workers`, ..."""

    index: int = 0
    workers: int = 1
    whole_train: bool = False  # whether it holds all rows of the training split nevertheless

    def size(self, rows):
        """Returns how many of this number of rows are in the shard."""
        return len(range(self.index, rows, self.workers))

    def of(self, array, first_row=0):
        """Returns the rows in the shard of an array whose first row is row `first_row` of the split."""
        return array[(self.index - first_row) % self.workers :: self.workers]


ALL_ROWS = Shard()


class Split(NamedTuple):
    """Examples and labels of one purpose, such as training."""

    images: np.ndarray  # uint8 or float32, [N, H, W], [N, H, W, C] or [N, D]
    labels: np.ndarray  # int32 [N], from 0 to classes - 1
    classes: int | None = None  # None: one more than the largest label
    shard: Shard = ALL_ROWS
    rows_of_all: int | None = None  # rows of all workers together; None: N
    scaling: Scaling | None = None  # what float32 examples are standardized by; None: they stay as they are

    @property
    def global_rows(self):
        """Number of rows of all workers together."""
        return len(self.labels) if self.rows_of_all is None else self.rows_of_all

    def sharded(self, shard):
        """Returns the rows of one worker; a split that is a shard already stays as it is."""
        if self.shard.workers > 1:
            return self
        images = shard.of(self.images)
        labels = shard.of(self.labels)
        return self._replace(images=images, labels=labels, shard=shard, rows_of_all=self.global_rows)


class Splits(NamedTuple):
    """A dataset; its validation split may be empty."""

    name: str  # of a set, or the absolute path of the user's file or folder
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    sha256: str  # of all examples and labels of all workers, as hexadecimal digits
    warning: str = ""  # why this is not the data hoped for, if so
    notes: tuple[str, ...] = ()  # how they were split, for the user
    suspicions: tuple[str, ...] = ()  # what looks wrong in them

    @property
    def classes(self):
        """Number of classes."""
        return len(self.class_names)

    @property
    def example_shape(self):
        """Shape of one example, such as `(28, 28)`."""
        return self.train.images.shape[1:]

    def scaled(self, scaling):
        """Returns the same dataset, to be standardized by this `Scaling`."""
        splits = {name: getattr(self, name)._replace(scaling=scaling) for name in ("train", "validation", "test")}
        return self._replace(**splits)


class Rows(NamedTuple):
    """The examples and labels of a source's split, before they are read."""

    shape: tuple[int, ...]  # of all examples: [N, ...]
    dtype: np.dtype  # of the examples: uint8 or float32
    blocks: Callable  # () -> iterator of (examples, labels as integers), which together are all rows in order


class Source(NamedTuple):
    """A dataset before it is read."""

    name: str
    train: Rows
    test: Rows | None  # None: part of the training rows is held out for it
    class_names: tuple[str, ...]
    is_user_data: bool = False  # if so, its rows are scanned for what looks wrong, and split by class
    warning: str = ""  # this and the next two as in `Splits`
    notes: tuple[str, ...] = ()
    suspicions: tuple[str, ...] = ()


def rows_in_memory(images, labels):
    """Returns the `Rows` of arrays that are in memory."""

    def blocks():
        for first in range(0, len(labels), _BLOCK):
            yield images[first : first + _BLOCK], labels[first : first + _BLOCK]

    return Rows(images.shape, images.dtype, blocks)
