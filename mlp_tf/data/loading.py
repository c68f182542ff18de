"""load(name): a dataset from its source, checked, split and fingerprinted."""

import hashlib
import math

import numpy as np

from mlp_tf import UserError
from mlp_tf.data.held_out import hold_out_test, hold_out_validation
from mlp_tf.data.sample import HELD_OUT
from mlp_tf.data.scaling import Moments
from mlp_tf.data.sources import resolve
from mlp_tf.data.splits import ALL_ROWS, Split, Splits

VALIDATION_SIZE = 5000  # by default, and at most a tenth of the training rows


def load(dataset="auto", data_dir="", validation_size=None, shard=ALL_ROWS):
    """Loads a dataset and checks it.

    Args:
      dataset: `auto`, `mnist_sample`, a name of tensorflow-datasets, or the path of an .npz file, of a .csv file, or of
        a folder of images.
      data_dir: where tensorflow-datasets keeps its data; empty for its default folder.
      validation_size: how many training rows to hold out: from each class of the user's data its part, else the last
        rows. None: 5,000, at most a tenth of the rows. At most 500 of `mnist_sample`.
      shard: the rows of each split to keep.

    Returns:
      `Splits`.

    Raises:
      UserError: the data cannot be found or read, or are wrong.
    """
    source = resolve(dataset, data_dir)
    _check_shapes(source)
    user_data = source.is_user_data
    if user_data:
        source, train_scan, test_scan = hold_out_test(source)
    size = _validation_size(source, validation_size)
    if user_data:
        source = hold_out_validation(source, train_scan, test_scan, size)
    notes = source.notes
    if validation_size is None and size < VALIDATION_SIZE and source.name != "mnist_sample":
        rows = source.train.shape[0]
        note = f"{size:,} of the {rows:,} training rows are held out for validation; --validation_size=N sets it"
        notes = (*notes, note)
    splits, digest = _read_splits(source, size, shard)
    return Splits(source.name, source.class_names, *splits, digest, source.warning, notes, source.suspicions)


def _check_shapes(source):
    name, train, test = source.name, source.train, source.test
    for array, rows in {"x_train": train, "x_test": test}.items():
        if rows and (len(rows.shape) not in (2, 3, 4) or not math.prod(rows.shape)):
            raise UserError(
                f"{name}: {array} has shape {rows.shape}; must be [N, H, W], [N, H, W, C] or [N, D], none of them 0"
            )
    if test and (train.shape[1:], train.dtype) != (test.shape[1:], test.dtype):
        raise UserError(
            f"{name}: {train.dtype} of {train.shape[1:]} in x_train, {test.dtype} of {test.shape[1:]} in x_test; "
            "make them equal"
        )


def _validation_size(source, asked):
    """Returns how many training rows validate; raises UserError if `asked` is too many."""
    rows = source.train.shape[0]
    if source.name == "mnist_sample":
        asked = HELD_OUT if asked is None else min(asked, HELD_OUT)
    most = rows - (len(source.class_names) if source.is_user_data else 1)
    if asked is None:
        return max(0, min(VALIDATION_SIZE, rows // 10, most))
    if asked > most:
        reason = ", so that each class keeps one" if source.is_user_data else ""
        raise UserError(
            f"--validation_size={asked} leaves no training rows of the {rows} in {source.name}; give at most {most}"
            f"{reason}"
        )
    return asked


def _read_splits(source, validation_size, shard):
    """Reads all rows; returns ([the training, validation and test `Split`], the SHA-256 of all rows)."""
    classes = len(source.class_names)
    train_rows = source.train.shape[0] - validation_size
    digest = hashlib.sha256()
    moments = Moments() if source.train.dtype == np.float32 else None
    train = _SplitReader(source.train, train_rows, ALL_ROWS if shard.whole_train else shard, digest)
    validation = _SplitReader(source.train, validation_size, shard, digest)
    test = _SplitReader(source.test, source.test.shape[0], shard, digest)
    for first, examples, labels in _checked_blocks(source.train, f"{source.name}: y_train", classes):
        cut = max(0, train_rows - first)  # rows of this block that are before the validation rows
        if moments:
            moments.add(examples[:cut])
        train.add(examples[:cut], labels[:cut])
        validation.add(examples[cut:], labels[cut:])
    for _, examples, labels in _checked_blocks(source.test, f"{source.name}: y_test", classes):
        test.add(examples, labels)
    scaling = moments and moments.scaling()
    splits = [reader.split()._replace(classes=classes, scaling=scaling) for reader in (train, validation, test)]
    return splits, digest.hexdigest()


def _checked_blocks(rows, name, classes):
    """Yields (number of the first row, examples, labels) of each block; raises UserError for a label of no class."""
    first = 0
    for examples, labels in rows.blocks():
        outside = (labels < 0) | (labels >= classes)
        if outside.any():
            wrong = int(outside.argmax())
            raise UserError(f"{name}[{first + wrong}] is {labels[wrong]}; labels must be 0 to {classes - 1}")
        yield first, examples, labels
        first += len(labels)


class _SplitReader:
    """Collects the rows of one split as they are read, and keeps those of one worker's shard.

    The digest gets all examples, then all labels of the split, whatever the shard.
    """

    def __init__(self, rows, count, shard, digest):
        """Makes room for `count` rows like those of `rows`."""
        self._examples = np.empty((shard.size(count), *rows.shape[1:]), rows.dtype)
        self._labels = np.empty(count, np.int32)  # of all workers
        self._shard = shard
        self._digest = digest
        self._done = 0  # rows read so far

    def add(self, examples, labels):
        """Takes the next rows of the split, possibly none."""
        if not len(labels):
            return
        end = self._done + len(labels)
        self._labels[self._done : end] = labels
        kept = slice(self._shard.size(self._done), self._shard.size(end))
        self._examples[kept] = self._shard.of(examples, self._done)
        self._done = end
        self._digest.update(np.ascontiguousarray(examples))
        if end == len(self._labels):
            self._digest.update(self._labels)

    def split(self):
        """Returns the `Split`, once all rows were added."""
        labels = self._shard.of(self._labels).copy()
        return Split(self._examples, labels, shard=self._shard, rows_of_all=len(self._labels))
