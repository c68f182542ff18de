"""Holds out rows: from the user's data by class and by hash, so their order does not matter."""

import numpy as np

from mlp_tf import UserError
from mlp_tf.data.scan import count_copies, hash_rows, suspicions

TEST_PART = 6  # one row in this many is held out where there is no test split


def hold_out_test(source):
    """Scans the user's data, and holds out a test split where there is none; other data stay as they are.

    Returns:
      (the `Source` with a test split, {split: the hashes of its rows}, which is empty for other data).

    Raises:
      UserError: a value is not finite, or there are too few rows to hold any out.
    """
    if not source.is_user_data:
        return source, {}
    hashes = {name: hash_rows(split.images, f"{source.name}: x_{name}") for name, split in source.splits.items()}
    if source.test is not None:
        return source, hashes
    train = source.train
    rows = len(train.labels)
    size = min(rows // TEST_PART, spare(train.labels))
    if not size:
        raise UserError(
            f"{source.name}: {rows} rows of {len(source.class_names)} classes; at least {TEST_PART} rows, and more "
            "rows than classes, are needed to hold some out for the test split"
        )
    chosen = choose(hashes["train"], train.labels, size)
    note = f"there is no test split; {size:,} of the {rows:,} rows are held out for it"
    source = source._replace(train=train.rows(~chosen), test=train.rows(chosen), notes=(*source.notes, note))
    return source, {**hashes, "train": hashes["train"][~chosen], "test": hashes["train"][chosen]}


def hold_out_validation(source, size, hashes):
    """Returns the `Source` with a validation split and, for the user's data, with what looks wrong in them.

    Args:
      source: `Source` with a test split.
      size: training rows to hold out if there is no validation split; if the data are not the user's, the last ones.
      hashes: from `hold_out_test`.
    """
    if source.validation is None:
        last = len(source.train.labels) - size
        kept, held_out = slice(last), slice(last, None)
        if source.is_user_data and size:
            held_out = choose(hashes["train"], source.train.labels, size)
            kept = ~held_out
        source = source._replace(train=source.train.rows(kept), validation=source.train.rows(held_out))
    if not source.is_user_data:
        return source
    copies = {name: count_copies(hashes[name], hashes["train"]) for name in hashes if name != "train"}
    return source._replace(suspicions=(*source.suspicions, *suspicions(source, copies)))


def spare(labels):
    """Returns how many rows can be held out so that each class keeps one."""
    return len(labels) - len(np.unique(labels))


def choose(hashes, labels, size):
    """Chooses rows of each class in proportion to its size; within a class, those with the lowest hashes.

    Args:
      hashes: uint64 `[N]`.
      labels: integers from 0, `[N]`.
      size: how many rows, at most `spare(labels)`: each class keeps at least one.

    Returns:
      boolean `[N]`.
    """
    counts = np.bincount(labels)
    ranked = np.lexsort((hashes, labels))  # the rows of class 0 by their hashes, then those of class 1, ...
    chosen = np.zeros(len(labels), bool)
    first = 0
    for count, taken in zip(counts.tolist(), _sizes(counts, size).tolist(), strict=True):
        chosen[ranked[first : first + taken]] = True
        first += count
    return chosen


def _sizes(counts, size):
    """Divides `size` among classes of `counts` rows by the largest remainders; each class keeps at least one row."""
    exact = counts * (size / counts.sum())
    taken = np.floor(exact).astype(int)
    most = np.maximum(counts - 1, 0)
    missing = size - int(taken.sum())
    for label in np.argsort(taken - exact, kind="stable"):  # the largest remainder first
        if missing and taken[label] < most[label]:
            taken[label] += 1
            missing -= 1
    for label in np.argsort(taken - most, kind="stable"):  # large classes give what small ones cannot
        more = min(missing, most[label] - taken[label])
        taken[label] += more
        missing -= more
    return taken
