"""The user's own rows, split by class: what is held out is chosen by hash, so neither by the order nor by a seed."""

import numpy as np

from mlp_tf import UserError
from mlp_tf.data.splits import Rows
from mlp_tf.data.survey import survey, suspicions

TEST_PART = 6  # one row of so many is held out where there is no test split


def stratify(source, size_of):
    """Splits the user's own data: holds out a test split where there is none, and puts the validation rows last.

    Args:
      source: `Source`.
      size_of: called with the number of training rows; returns how many of them are to validate.

    Returns:
      The `Source` with a test split, the rows that are to validate after all others, and what is suspicious.

    Raises:
      UserError: a value that is not finite, or too few rows to hold any out.
    """
    train, notes = survey(source.train, f"{source.name}: x_train"), source.notes
    if source.test is None:
        chosen = _choose_test(source.name, train)
        notes = (*notes, f"there is no test split; {chosen.sum():,} of the {len(chosen):,} rows are held out for it")
        source = source._replace(train=select(source.train, ~chosen), test=select(source.train, chosen))
        train, test = train.where(~chosen), train.where(chosen)
    else:
        test = survey(source.test, f"{source.name}: x_test")
    validation = choose(train.hashes, train.labels, size_of(len(train.labels)))
    return source._replace(
        train=put_last(source.train, validation),
        notes=notes,
        suspicions=(*source.suspicions, *suspicions(train, test, validation, source.train.dtype)),
    )


def _choose_test(name, rows):
    size = min(len(rows.labels) // TEST_PART, spare(rows.labels))
    if not size:
        raise UserError(
            f"{name}: {len(rows.labels)} rows of {len(np.unique(rows.labels))} classes; at least {TEST_PART}, and more "
            "rows than classes, are needed to hold some out for the test split"
        )
    return choose(rows.hashes, rows.labels, size)


def spare(labels):
    """How many rows can be held out so that each class keeps one."""
    return len(labels) - len(np.unique(labels))


def choose(hashes, labels, size):
    """Chooses rows, of each class its part of them (by largest remainders): those of the lowest hashes.

    Args:
      hashes: uint64 `[N]`.
      labels: integers from 0, `[N]`.
      size: how many, at most `spare(labels)`: a class keeps at least one row.

    Returns:
      boolean `[N]`.
    """
    counts = np.bincount(labels)
    parts = counts * (size / len(labels))
    taken, most = np.floor(parts).astype(int), np.maximum(counts - 1, 0)
    by_remainder = np.argsort(taken - parts, kind="stable")
    unfilled = by_remainder[taken[by_remainder] < most[by_remainder]]
    taken[unfilled[: size - taken.sum()]] += 1
    by_room = np.argsort(taken - most, kind="stable")  # what small classes could not give, large ones do
    room = (most - taken)[by_room]
    taken[by_room] += np.clip(size - taken.sum() - (np.cumsum(room) - room), 0, room)
    ranked, rank = np.lexsort((hashes, labels)), np.empty(len(labels), int)
    rank[ranked] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)  # within its class
    return rank < taken[labels]


def select(rows, chosen):
    """The `Rows` where `chosen`, boolean `[N]`, is true."""

    def blocks():
        first = 0
        for examples, labels in rows.blocks():
            part = chosen[first : first + len(labels)]
            yield examples[part], labels[part]
            first += len(labels)

    return Rows((int(chosen.sum()), *rows.shape[1:]), rows.dtype, blocks)


def put_last(rows, chosen):
    """The same `Rows`, the chosen ones after all others."""

    def blocks():
        yield from select(rows, ~chosen).blocks()
        yield from select(rows, chosen).blocks()

    return rows._replace(blocks=blocks)
