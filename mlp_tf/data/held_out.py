"""The rows of the user's data that are held out: by class, and by hash, so the order of the rows does not matter."""

import numpy as np

from mlp_tf import UserError
from mlp_tf.data.scan import scan, suspicions
from mlp_tf.data.splits import Rows

TEST_PART = 6  # one row in this many is held out where there is no test split


def hold_out_test(source):
    """Scans the user's data, and holds out a test split where there is none.

    Args:
      source: `Source`.

    Returns:
      (the `Source` with a test split, the `Scan` of its training rows, the `Scan` of its test rows).

    Raises:
      UserError: a value is not finite, or there are too few rows to hold any out.
    """
    train = scan(source.train, f"{source.name}: x_train")
    if source.test is not None:
        return source, train, scan(source.test, f"{source.name}: x_test")
    size = min(len(train.labels) // TEST_PART, spare(train.labels))
    if not size:
        raise UserError(
            f"{source.name}: {len(train.labels)} rows of {len(np.unique(train.labels))} classes; at least {TEST_PART} "
            "rows, and more rows than classes, are needed to hold some out for the test split"
        )
    chosen = choose(train.hashes, train.labels, size)
    note = f"there is no test split; {size:,} of the {len(chosen):,} rows are held out for it"
    source = source._replace(
        train=select(source.train, ~chosen), test=select(source.train, chosen), notes=(*source.notes, note)
    )
    return source, train.where(~chosen), train.where(chosen)


def hold_out_validation(source, train, test, size):
    """Returns the `Source` with the validation rows after all other training rows, and with what looks wrong.

    Args:
      source, train, test: from `hold_out_test`.
      size: how many training rows validate.
    """
    chosen = choose(train.hashes, train.labels, size)
    found = suspicions(train, test, chosen, source.train.dtype)
    return source._replace(train=put_last(source.train, chosen), suspicions=(*source.suspicions, *found))


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


def select(rows, chosen):
    """Returns the `Rows` where `chosen`, boolean `[N]`, is true."""

    def blocks():
        """Yields (examples, labels)."""
        first = 0
        for examples, labels in rows.blocks():
            part = chosen[first : first + len(labels)]
            yield examples[part], labels[part]
            first += len(labels)

    return Rows((int(chosen.sum()), *rows.shape[1:]), rows.dtype, blocks)


def put_last(rows, chosen):
    """Returns the same `Rows`, the chosen ones after all others."""

    def blocks():
        """Yields (examples, labels)."""
        yield from select(rows, ~chosen).blocks()
        yield from select(rows, chosen).blocks()

    return rows._replace(blocks=blocks)
