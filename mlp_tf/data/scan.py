"""Scans the user's rows before they are split: each row's hash, its class, and what looks wrong."""

import hashlib
from typing import NamedTuple

import numpy as np

from mlp_tf import UserError

DARKEST = 64  # images whose largest pixel is below this were hardly meant to be from 0 to 255
MOST_CLASSES = 1000


class Scan(NamedTuple):
    """What the rows of a split are."""

    hashes: np.ndarray  # uint64 [N]: equal rows have equal ones
    labels: np.ndarray  # int32 [N]
    largest: float  # of all values

    def where(self, chosen):
        """Returns the same of the rows where `chosen`, boolean `[N]`, is true; `largest` stays that of all."""
        return self._replace(hashes=self.hashes[chosen], labels=self.labels[chosen])


def scan(rows, name):
    """Returns the `Scan` of all `Rows`.

    Args:
      rows: `Rows`.
      name: of their array, for the message.

    Raises:
      UserError: a value is not finite.
    """
    hashes, labels = [], []
    largest = -np.inf
    for examples, block_labels in rows.blocks():
        _check_finite(examples, name, len(hashes))
        bits = np.ascontiguousarray(examples) + examples.dtype.type(0)  # -0.0 becomes 0.0, which it equals
        hashes += [hashlib.blake2b(row, digest_size=8).digest() for row in bits]
        labels.append(block_labels)
        largest = max(largest, examples.max())
    return Scan(np.frombuffer(b"".join(hashes), np.uint64), np.concatenate(labels), float(largest))


def _check_finite(examples, name, first):
    if examples.dtype == np.uint8 or np.isfinite(examples).all():
        return
    row, *place = np.argwhere(~np.isfinite(examples))[0]
    where = f"column {place[0]}" if len(place) == 1 else f"pixel {', '.join(map(str, place))}"
    raise UserError(
        f"{name}: row {first + row}, {where} is {examples[row, *place]} as float32; all values must be finite; fill it "
        "in, or leave the row out"
    )


def suspicions(train, test, validation, dtype):
    """Returns a line for each thing that looks wrong.

    Args:
      train: the `Scan` of the training rows, with those that are held out for validation.
      test: the `Scan` of the test rows.
      validation: boolean `[N]`, which of the rows of `train` validate.
      dtype: of the examples.
    """
    lines = []
    largest = max(train.largest, test.largest)
    if dtype == np.uint8 and largest < DARKEST:
        lines.append(
            f"the largest pixel is {largest:.0f}, and pixels are divided by 255, so the inputs are almost zero; save "
            "the values as float32, which are standardised"
        )
    classes = np.unique(train.labels)
    if len(classes) > MOST_CLASSES:
        lines.append(
            f"there are {len(classes):,} classes; are the labels numbers to predict? Only classes can be learned here"
        )
    missing = len(classes) - len(np.unique(train.labels[validation]))
    if missing and validation.any():
        lines.append(
            f"validation has no row of {missing:,} of the {len(classes):,} classes; hold out more rows, or give more"
        )
    copies = int(np.isin(test.hashes, train.hashes).sum())
    if copies:
        lines.append(
            f"{copies:,} of the {len(test.hashes):,} test rows are training rows too, so test accuracy is inflated"
        )
    return tuple(lines)
