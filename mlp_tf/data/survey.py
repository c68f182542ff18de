"""The user's own rows, looked at before they are split: each row's hash, its class, and what is suspicious."""

import hashlib
from typing import NamedTuple

import numpy as np

from mlp_tf import UserError

DARKEST = 64  # images whose largest pixel is below this were hardly meant to be from 0 to 255
MOST_CLASSES = 1000


class Survey(NamedTuple):
    """What the rows of a split are."""

    hashes: np.ndarray  # uint64 [N]: equal rows have equal ones
    labels: np.ndarray  # int32 [N]
    largest: float  # of all values

    def where(self, chosen):
        """The same of the rows where `chosen`, boolean `[N]`, is true; `largest` stays that of all."""
        return self._replace(hashes=self.hashes[chosen], labels=self.labels[chosen])


def survey(rows, name):
    """Looks at each of the `Rows`, which `name` calls for the message.

    Raises:
      UserError: a value that is not finite.
    """
    hashes, labels, largest = [], [], -np.inf
    for examples, its_labels in rows.blocks():
        _check_finite(examples, name, len(hashes))
        bits = np.ascontiguousarray(examples) + examples.dtype.type(0)  # -0.0 becomes 0.0, which it equals
        hashes += [hashlib.blake2b(row, digest_size=8).digest() for row in bits]
        labels.append(its_labels)
        largest = max(largest, examples.max())
    return Survey(np.frombuffer(b"".join(hashes), np.uint64), np.concatenate(labels), float(largest))


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
    """A line for each thing that looks wrong.

    Args:
      train, test: the `Survey` of each, train with the rows that are held out for validation.
      validation: boolean `[N]`, which of the rows of `train` these are.
      dtype: of the examples.
    """
    found = [
        _dark(max(train.largest, test.largest), dtype),
        _many_classes(int(train.labels.max()) + 1),
        _missing(train.labels, validation),
        _duplicates(train.hashes, test.hashes),
    ]
    return tuple(filter(None, found))


def _dark(largest, dtype):
    if dtype == np.uint8 and largest < DARKEST:
        return (
            f"the largest pixel is {largest:.0f}, and the network sees pixels divided by 255, so next to nothing; save "
            "the values as float32, which are standardised"
        )
    return ""


def _many_classes(classes):
    if classes > MOST_CLASSES:
        return f"there are {classes:,} classes; are the labels numbers to predict? Only classes can be learned here"
    return ""


def _missing(labels, validation):
    if not validation.any():
        return ""
    classes = np.unique(labels)
    missing = len(np.setdiff1d(classes, labels[validation]))
    return (
        f"validation has no row of {missing:,} of the {len(classes):,} classes; hold out more rows, or give more"
        if missing
        else ""
    )


def _duplicates(train, test):
    count = int(np.isin(test, train).sum())
    return (
        f"{count:,} of the {len(test):,} test rows are training rows too, so the accuracy is flattered" if count else ""
    )
