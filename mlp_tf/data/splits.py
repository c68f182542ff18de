"""A dataset: its source, its splits, and the shard of each that one worker holds."""

from typing import NamedTuple

import numpy as np

from mlp_tf import UserError
from mlp_tf.data.scaling import Scaling


class Shard(NamedTuple):
    """The rows of a split that one worker holds: `index`, `index + workers`, `index + 2 * workers`, ..."""

    index: int = 0
    workers: int = 1
    whole_train: bool = False  # whether it holds all training rows nevertheless


ALL_ROWS = Shard()
PURPOSES = {  # {what the user calls a split: what it is for}
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class Split(NamedTuple):
    """Examples and labels for one purpose, such as training."""

    images: np.ndarray  # uint8 or float32, [N, H, W], [N, H, W, C] or [N, D]
    labels: np.ndarray  # int32 [N], from 0 to classes - 1
    classes: int | None = None  # None: one more than the largest label
    shard: Shard = ALL_ROWS
    rows_of_all: int | None = None  # rows of all workers together; None: N
    scaling: Scaling | None = None  # standardizes float32 examples; None: they stay as they are

    @property
    def global_rows(self):
        """Number of rows of all workers together."""
        return len(self.labels) if self.rows_of_all is None else self.rows_of_all

    def rows(self, index):
        """Returns the split with these of its rows alone: views for a slice, copies for a boolean array `[N]`."""
        return self._replace(images=self.images[index], labels=self.labels[index])

    def sharded(self, shard):
        """Returns the rows of one worker, as views; a split that is a shard already stays as it is."""
        if self.shard.workers > 1:
            return self
        part = self.rows(slice(shard.index, None, shard.workers))
        return part._replace(shard=shard, rows_of_all=self.global_rows)


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
    columns: tuple[str, ...] = ()  # the names of the features of a table, in their order
    factor: int = 1  # 255 if the user's values were from 0 to 1, and became pixels

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


class Source(NamedTuple):
    """A dataset after it is read, and while it is split."""

    name: str
    train: Split
    test: Split | None  # None, only in the user's data: part of the training rows is held out for it
    class_names: tuple[str, ...]
    validation: Split | None = None  # None until part of the training rows is held out for it
    is_user_data: bool = False  # if so, its rows are scanned for what looks wrong, and split by class
    warning: str = ""  # this and the next two as in `Splits`
    notes: tuple[str, ...] = ()
    suspicions: tuple[str, ...] = ()
    kind: str = ""  # of the user's data: table, folder of images, or empty
    columns: tuple[str, ...] = ()  # this and the next as in `Splits`
    factor: int = 1

    @property
    def splits(self):
        """The splits that exist, of train, validation and test in this order: {name: `Split`}."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}


def find_splits(path, words):
    """Returns {train, validation or test: the user's name for it}.

    Args:
      path: of the folder that has the names, for the message.
      words: {name: the word in it that may be one of `PURPOSES`, in any case}.

    Raises:
      UserError: two names mean the same split.
    """
    found = {}
    for name, word in words.items():
        split = PURPOSES.get(word.lower())
        if split in found:
            raise UserError(f"{path}: both {found[split]} and {name} name a {split} split; keep one")
        if split:
            found[split] = name
    return found
