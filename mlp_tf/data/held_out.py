"""The rows that are held out: of the user's data by class and by hash, so their order does not matter."""

import numpy as np

from mlp_tf import UserError
from mlp_tf.data.scan import hash_rows, suspicions

TEST_PART = 6  # one row in this many is held out where there is no test split


def hold_out_test(source):
    """Scans the user's data, and holds out a test split where there is none; other data stay as they are.

    Returns:
      (the `Source` with a test split, the hashes of its training rows, those of its test rows); None for the hashes of
      other data.

    Raises:
      UserError: a value is not finite, or there are too few rows to hold any out.
    """
    if not source.is_user_data:
        return source, None, None
    train = source.train
    hashes = hash_rows(train.images, f"{source.name}: x_train")
    if source.test is not None:
        return source, hashes, hash_rows(source.test.images, f"{source.name}: x_test")
    rows = len(train.labels)
    size = min(rows // TEST_PART, spare(train.labels))
    if not size:
        raise UserError(
            f"{source.name}: {rows} rows of {len(source.class_names)} classes; at least {TEST_PART} rows, and more "
            "rows than classes, are needed to hold some out for the test split"
        )
    chosen = choose(hashes, train.labels, size)
    note = f"there is no test split; {size:,} of the {rows:,} rows are held out for it"
    source = source._replace(train=train.rows(~chosen), test=train.rows(chosen), notes=(*source.notes, note))
    return source, hashes[~chosen], hashes[chosen]


def hold_out_validation(source, size, hashes, test_hashes):
    """Returns the `Source` with a validation split; if it is the user's data, with what looks wrong in them.

    Args:
      source: `Source` with a test split.
      size: how many training rows validate: the last ones, if it is not the user's data.
      hashes, test_hashes: from `hold_out_test`.
    """
    train = source.train
    last = len(train.labels) - size
    kept, held_out = slice(last), slice(last, None)
    if source.is_user_data:
        chosen = choose(hashes, train.labels, size)
        copies = int(np.isin(test_hashes, hashes).sum())
        found = suspicions(train, source.test, chosen, copies)
        source = source._replace(suspicions=(*source.suspicions, *found))
        if size:
            kept, held_out = ~chosen, chosen
    return source._replace(train=train.rows(kept), validation=train.rows(held_out))


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
