"""load(name): a dataset from its source, checked and fingerprinted."""

import hashlib
import itertools
import math

import numpy as np

from mlp_tf import UserError
from mlp_tf.data.memory import aligned
from mlp_tf.data.npz import npz
from mlp_tf.data.sample import HELD_OUT, mnist_sample
from mlp_tf.data.splits import ALL_ROWS, Split, Splits
from mlp_tf.data.tfds import Unavailable, prepared


def load(dataset="auto", data_dir="", validation_size=5000, shard=ALL_ROWS, whole_train=True):
    """Loads a dataset and checks it.

    Args:
      dataset: `auto`, `mnist_sample`, a name of tensorflow-datasets, or a path that ends in `.npz`.
      data_dir: where tensorflow-datasets keeps its data; empty for its own default.
      validation_size: how many of the last training rows are held out; at most 500 of `mnist_sample`.
      shard: the rows of each split to keep. Rows are read in blocks, so those of others never lie in memory
        together (but for an .npz in Fortran's order).
      whole_train: keep all rows of the training split, whatever the shard.

    Returns:
      `Splits`.

    Raises:
      UserError: data that cannot be had or is not what it should be.
    """
    name, (train, test, classes), warning = _find(dataset, data_dir, 1 if whole_train else shard.workers)
    _check_shapes(name, train, test)
    if classes == 1:
        raise UserError(f"{name}: y_train holds one class only; there must be two or more")
    if name == "mnist_sample":
        validation_size = min(validation_size, HELD_OUT)
    train_size = train.shape[0] - validation_size
    if train_size < 1:
        raise UserError(
            f"--validation_size={validation_size} leaves no training images of the {train.shape[0]} in {name}; "
            f"give at most {train.shape[0] - 1}"
        )
    digest, train_shard = hashlib.sha256(), ALL_ROWS if whole_train else shard
    blocks = _cut(_checked(train, f"{name}: y_train", classes), train_size)
    test_blocks = _checked(test, f"{name}: y_test", classes)
    train_split = _read(blocks, (train_size, *train.shape[1:]), train_shard, digest)
    validation_split = _read(blocks, (validation_size, *train.shape[1:]), shard, digest)
    test_split = _read(test_blocks, test.shape, shard, digest)
    for _ in itertools.chain(blocks, test_blocks):
        pass  # so that each source can tell that no rows are left
    splits = [split._replace(classes=classes) for split in (train_split, validation_split, test_split)]
    return Splits(name, classes, *splits, digest.hexdigest(), warning)


def _find(dataset, data_dir, workers):
    """(name, (train rows, test rows, classes), warning); `auto` falls back to the sample, and says so."""
    if dataset == "mnist_sample":
        return dataset, mnist_sample(), ""
    if dataset.endswith(".npz"):
        return dataset, npz(dataset, workers), ""
    try:
        name = "mnist" if dataset == "auto" else dataset
        return name, prepared(name, data_dir), ""
    except Unavailable as error:
        if dataset != "auto":
            raise
        warning = (
            "full MNIST is not here, so this run uses mnist_sample, 5,000 real MNIST images: ITS ACCURACY IS NOT "
            f"COMPARABLE WITH FULL MNIST. Why, and how to get it: {error}"
        )
        return "mnist_sample", mnist_sample(), warning


def _check_shapes(name, train, test):
    for x, rows in (("x_train", train), ("x_test", test)):
        if rows.dtype != np.uint8:
            raise UserError(f"{name}: {x} is {rows.dtype}; images must be uint8, 0 to 255")
        if len(rows.shape) not in (2, 3, 4) or not math.prod(rows.shape):
            raise UserError(
                f"{name}: {x} has shape {rows.shape}; must be [N, H, W], [N, H, W, C] or [N, D], none of them 0"
            )
    if train.shape[1:] != test.shape[1:]:
        raise UserError(f"{name}: images of {train.shape[1:]} in x_train, {test.shape[1:]} in x_test; make them one")


def _checked(rows, name, classes):
    """The blocks of (images, labels) of a source, once their labels were looked at."""
    first = 0
    for images, labels in rows.blocks():
        outside = (labels < 0) | (labels >= classes) if classes else labels < 0
        if outside.any():
            wrong, last = int(np.argmax(outside)), classes - 1 if classes else "classes-1"
            raise UserError(f"{name}[{first + wrong}] is {labels[wrong]}; labels must be 0 to {last}")
        first += len(labels)
        yield images, labels


def _cut(blocks, row):
    """The same blocks, but for the one that holds rows on both sides of `row`: it is cut in two there."""
    first = 0
    for images, labels in blocks:
        within = [row - first] if first < row < first + len(labels) else []
        for begin, end in itertools.pairwise([0, *within, len(labels)]):
            yield images[begin:end], labels[begin:end]
        first += len(labels)


def _read(blocks, shape, shard, digest):
    """Reads the next rows into a split of that shape: each block is hashed, and what the shard has of it is kept.

    The digest takes all images, then all labels, whatever the shard.
    """
    rows, first = shape[0], 0
    kept, all_labels = aligned((shard.size(rows), *shape[1:])), np.empty(rows, np.int32)
    while first < rows:
        images, labels = next(blocks)
        digest.update(np.ascontiguousarray(images))
        all_labels[first : first + len(labels)] = labels
        own, begin = shard.of(images, first), shard.size(first)
        kept[begin : begin + len(own)] = own
        first += len(labels)
    digest.update(all_labels)
    return Split(kept, shard.of(all_labels).copy(), shard=shard, rows_of_all=rows)
