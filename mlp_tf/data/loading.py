"""load(name): a dataset from its source, checked, split and fingerprinted."""

import functools
import hashlib
import itertools
import math

import numpy as np

from mlp_tf import UserError
from mlp_tf.data.held_out import stratify
from mlp_tf.data.sample import HELD_OUT
from mlp_tf.data.scaling import Moments
from mlp_tf.data.sources import find
from mlp_tf.data.splits import ALL_ROWS, Split, Splits

VALIDATION_SIZE = 5000  # unless one is asked for, and at most a tenth of the training rows


def load(dataset="auto", data_dir="", validation_size=None, shard=ALL_ROWS, stratified=True):
    """Loads a dataset and checks it.

    Args:
      dataset: `auto`, `mnist_sample`, a name of tensorflow-datasets, or the path of an .npz file, of a .csv file, or of
        a folder of images.
      data_dir: where tensorflow-datasets keeps its data; empty for its own default.
      validation_size: how many training rows are held out: of the user's own data by class, else the last ones. None:
        5,000, at most a tenth of them. Of `mnist_sample` at most 500.
      shard: the rows of each split to keep. Rows of tensorflow-datasets and of an .npz (but for Fortran's order) are
        read in blocks, so those of others never lie in memory together.
      stratified: False holds out the last rows of the user's own data too, as version 0.4.0 did.

    Returns:
      `Splits`.

    Raises:
      UserError: data that cannot be had or is not what it should be.
    """
    source = find(dataset, data_dir, 1 if shard.whole_train else shard.workers)
    _check_shapes(source)
    stratified = source.own and (stratified or source.test is None)
    if stratified:
        source = stratify(source, functools.partial(_validation_size, source, validation_size))
    rows = source.train.shape[0]
    size = _validation_size(source, validation_size, rows)
    if validation_size is None and size < VALIDATION_SIZE and source.name != "mnist_sample":
        note = f"{size:,} of the {rows:,} training rows are held out for validation; --validation_size=N sets it"
        source = source._replace(notes=(*source.notes, note))
    splits, digest = _read_splits(source, size, shard)
    return Splits(
        source.name, source.class_names, *splits, digest, source.warning, source.notes, source.suspicions, stratified
    )


def _check_shapes(source):
    name, train, test = source.name, source.train, source.test
    for x, rows in (("x_train", train), *((("x_test", test),) if test else ())):
        if len(rows.shape) not in (2, 3, 4) or not math.prod(rows.shape):
            raise UserError(
                f"{name}: {x} has shape {rows.shape}; must be [N, H, W], [N, H, W, C] or [N, D], none of them 0"
            )
    if test and (train.shape[1:], train.dtype) != (test.shape[1:], test.dtype):
        raise UserError(
            f"{name}: {train.dtype} of {train.shape[1:]} in x_train, {test.dtype} of {test.shape[1:]} in x_test; "
            "make them one"
        )


def _validation_size(source, asked, rows):
    """How many of so many training rows validate."""
    if source.name == "mnist_sample":
        asked = HELD_OUT if asked is None else min(asked, HELD_OUT)
    most = rows - (len(source.class_names) if source.own else 1)
    if asked is None:
        return max(0, min(VALIDATION_SIZE, rows // 10, most))
    if asked > most:
        each = ", so that each class keeps one" if source.own else ""
        raise UserError(
            f"--validation_size={asked} leaves no training rows of the {rows} in {source.name}; give at most {most}"
            f"{each}"
        )
    return asked


def _read_splits(source, validation_size, shard):
    """([the `Split` for training, for validation, for the test], digest of all rows)."""
    rows, train_shard = source.train.shape[0] - validation_size, ALL_ROWS if shard.whole_train else shard
    blocks = _cut(_checked(source.train, f"{source.name}: y_train", len(source.class_names)), rows)
    test_blocks = _checked(source.test, f"{source.name}: y_test", len(source.class_names))
    digest, moments = hashlib.sha256(), Moments() if source.train.dtype == np.float32 else None
    train = _read(blocks, _resized(source.train, rows), train_shard, digest, moments)
    validation = _read(blocks, _resized(source.train, validation_size), shard, digest)
    test = _read(test_blocks, source.test, shard, digest)
    for _ in itertools.chain(blocks, test_blocks):
        pass  # so that each source can tell that no rows are left
    of_all = {"classes": len(source.class_names), "scaling": moments and moments.scaling()}
    return [split._replace(**of_all) for split in (train, validation, test)], digest.hexdigest()


def _resized(rows, count):
    return rows._replace(shape=(count, *rows.shape[1:]))


def _checked(rows, name, classes):
    """The blocks of (examples, labels) of a source, once their labels were looked at."""
    first = 0
    for examples, labels in rows.blocks():
        outside = (labels < 0) | (labels >= classes)
        if outside.any():
            wrong = int(np.argmax(outside))
            raise UserError(f"{name}[{first + wrong}] is {labels[wrong]}; labels must be 0 to {classes - 1}")
        first += len(labels)
        yield examples, labels


def _cut(blocks, row):
    """The same blocks, but for the one that holds rows on both sides of `row`: it is cut in two there."""
    first = 0
    for examples, labels in blocks:
        within = [row - first] if first < row < first + len(labels) else []
        for begin, end in itertools.pairwise([0, *within, len(labels)]):
            yield examples[begin:end], labels[begin:end]
        first += len(labels)


def _read(blocks, rows, shard, digest, moments=None):
    """Reads the next blocks into a split as large as `rows`: what the shard has of each is kept.

    The digest takes all examples, then all labels, whatever the shard; `moments` takes all examples.
    """
    count, first = rows.shape[0], 0
    kept, all_labels = np.empty((shard.size(count), *rows.shape[1:]), rows.dtype), np.empty(count, np.int32)
    while first < count:
        examples, labels = next(blocks)
        digest.update(np.ascontiguousarray(examples))
        if moments:
            moments.add(examples)
        all_labels[first : first + len(labels)] = labels
        own, begin = shard.of(examples, first), shard.size(first)
        kept[begin : begin + len(own)] = own
        first += len(labels)
    digest.update(all_labels)
    return Split(kept, shard.of(all_labels).copy(), shard=shard, rows_of_all=count)
