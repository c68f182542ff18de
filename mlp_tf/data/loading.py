"""load(name): a dataset from its source, checked, split and fingerprinted."""

import hashlib

import numpy as np

from mlp_tf import UserError
from mlp_tf.config import DEFAULTS
from mlp_tf.data.held_out import hold_out_test, hold_out_validation
from mlp_tf.data.layout import arrange
from mlp_tf.data.sample import HELD_OUT
from mlp_tf.data.scaling import measure
from mlp_tf.data.scan import check_inputs, dark_pixels, outliers
from mlp_tf.data.sources import resolve
from mlp_tf.data.splits import ALL_ROWS, Splits

_MOST_NUMBERS = 20  # distinct labels of features that may be any whole numbers
VALIDATION_SIZE = 5000  # by default, and at most a tenth of the training rows


def load(dataset="auto", data_dir="", validation_size=None, shard=ALL_ROWS, config=DEFAULTS):
    """Loads a dataset and checks it.

    Args:
      dataset: `auto`, `mnist_sample`, a name of tensorflow-datasets, or the path of an .npz file, of a .csv file, or of
        a folder of images, tables or IDX files.
      data_dir: where tensorflow-datasets keeps its data; empty for its default folder.
      validation_size: how many training rows to hold out: from each class of the user's data its part, else the last
        rows. None: 5,000, at most a tenth of the rows. At most 500 of `mnist_sample`. If the data have a validation
        split, its size is the only one allowed.
      shard: the rows of each split to keep.
      config: the settings; `layout`, `label`, `resize` and `scaling` say how the user's files are used.

    Returns:
      `Splits`.

    Raises:
      UserError: the data cannot be found or read, or are wrong.
    """
    source = resolve(dataset, data_dir, config)
    _check_settings(source, config)
    _check_shapes(source)
    if source.is_user_data:
        source = arrange(source, config.layout)
        _check_classes(source)
        if config.scaling == "auto":
            source = source._replace(suspicions=(*source.suspicions, *dark_pixels(source), *outliers(source)))
    source, hashes = hold_out_test(source)
    size = _validation_size(source, validation_size)
    notes = source.notes
    if source.validation is not None:
        notes = (*notes, f"the data have a validation split, of {size:,} rows")
    elif validation_size is None and size < VALIDATION_SIZE and source.name != "mnist_sample":
        rows = len(source.train.labels)
        note = f"{size:,} of the {rows:,} training rows are held out for validation; --validation_size=N sets it"
        notes = (*notes, note)
    source = hold_out_validation(source, size, hashes)
    digest = hashlib.sha256()
    for split in source.splits.values():
        digest.update(split.images)
        digest.update(split.labels)
    scaling = measure(source.train.images) if source.train.images.dtype == np.float32 else None
    for name, split in source.splits.items():
        if len(split.images):
            check_inputs(split.images, scaling, config, f"{source.name}: {name} rows", source.columns)
    shards = (ALL_ROWS if shard.whole_train else shard, shard, shard)
    splits = [
        _take(split, rows)._replace(classes=len(source.class_names), scaling=scaling)
        for split, rows in zip(source.splits.values(), shards, strict=True)
    ]
    about = (source.warning, notes, source.suspicions, source.columns, source.factor)
    return Splits(source.name, source.class_names, *splits, digest.hexdigest(), *about)


def _check_settings(source, config):
    """Raises UserError for a setting that does nothing for such data."""
    if config.layout != "auto" and not source.is_user_data:
        raise UserError(f"--layout={config.layout}: {source.name} is a set of images; leave the flag out")
    if config.label != DEFAULTS.label and source.kind != "table":
        raise UserError(f"--label={config.label}: {source.name} is not a table; leave the flag out")
    if config.resize and source.kind != "folder of images":
        raise UserError(f"--resize={config.resize}: {source.name} is not a folder of images; leave the flag out")


def _check_shapes(source):
    train = source.train.images
    for name, (images, *_) in source.splits.items():
        if images.ndim not in (2, 3, 4) or not images.size:
            raise UserError(
                f"{source.name}: x_{name} has shape {images.shape}; must be [N, H, W], [N, H, W, C] or [N, D], none of "
                "them 0"
            )
        if (train.shape[1:], train.dtype) != (images.shape[1:], images.dtype):
            raise UserError(
                f"{source.name}: {train.dtype} of {train.shape[1:]} in x_train, {images.dtype} of {images.shape[1:]} "
                f"in x_{name}; make them equal"
            )


def _check_classes(source):
    """Raises UserError for labels that look like a regression: many different ones, not counted from 0 or 1."""
    names = source.class_names
    rows = len(source.train.labels)
    is_table = source.train.images.ndim == 2 and all(name.removeprefix("-").isdecimal() for name in names)
    if not is_table or len(names) <= max(_MOST_NUMBERS, rows // 10):
        return
    if [*map(int, names)] not in ([*range(len(names))], [*range(1, len(names) + 1)]):
        raise UserError(
            f"{source.name}: {len(names):,} different numbers are the labels of {rows:,} rows; regression is not "
            "supported: give classes, such as pandas.qcut(labels, 3, labels=False) makes"
        )


def _validation_size(source, asked):
    """Returns how many rows validate; raises UserError if `asked` is impossible."""
    if source.validation is not None:
        size = len(source.validation.labels)
        if asked not in (None, size):
            raise UserError(
                f"--validation_size={asked}: {source.name} has a validation split, of {size} rows; leave the flag out"
            )
        return size
    rows = len(source.train.labels)
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


def _take(split, shard):
    """Returns the rows of one worker; with several workers they are copied, so that all other rows are freed."""
    if shard.workers == 1:
        return split
    part = split.sharded(shard)
    return part._replace(images=part.images.copy(), labels=part.labels.copy())
