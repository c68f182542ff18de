"""A dataset in memory: its splits, and the shard of each that one worker holds."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Shard(NamedTuple):
    """The rows of a split that one worker holds: `index`, `index + workers`, `index + 2 * workers`, ..."""

    index: int = 0
    workers: int = 1

    def size(self, rows):
        """How many of so many rows are in the shard."""
        return len(range(self.index, rows, self.workers))

    def of(self, array, first_row=0):
        """The rows in the shard, of an array whose first one has the number `first_row` in the split."""
        return array[(self.index - first_row) % self.workers :: self.workers]


ALL_ROWS = Shard()


class Split(NamedTuple):
    """Images and labels of one purpose; by default all that there are of it."""

    images: np.ndarray  # uint8 [N, H, W], [N, H, W, C] or [N, D]
    labels: np.ndarray  # int32 [N], from 0 to classes - 1
    classes: int | None = None  # None: one more than the largest label
    shard: Shard = ALL_ROWS
    rows_of_all: int | None = None  # rows of all workers together; None: N

    @property
    def global_rows(self):
        """Rows of all workers together."""
        return len(self.labels) if self.rows_of_all is None else self.rows_of_all

    def sharded(self, shard):
        """The rows of one worker, of a split that is whole; one that is a shard already stays."""
        if self.shard.workers > 1:
            return self
        images, labels = shard.of(self.images), shard.of(self.labels)
        return Split(images, labels, self.classes, shard, self.global_rows)


class Splits(NamedTuple):
    """A dataset; validation may have no rows."""

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    sha256: str  # over all images and labels of all workers, as hexadecimal digits
    warning: str = ""  # why this is not the data hoped for, if so

    @property
    def image_shape(self):
        """Shape of one image, such as `(28, 28)`."""
        return self.train.images.shape[1:]


class Rows(NamedTuple):
    """The images and labels of a source's split, before they are read."""

    shape: tuple[int, ...]  # of all images: [N, ...]
    dtype: np.dtype  # of the images
    blocks: Callable  # () -> iterator of (images, labels), which together are all rows in order


def rows_in_memory(images, labels):
    """`Rows` of arrays that are in memory already."""
    return Rows(images.shape, images.dtype, lambda: iter([(images, labels)]))
