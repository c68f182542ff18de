"""Standardised examples: (x - mean) / deviation of each feature, as the training rows have them."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Scaling(NamedTuple):
    """Mean and standard deviation of each feature; the latter is 1 for a constant feature."""

    mean: np.ndarray  # float64, shaped as one example
    std: np.ndarray

    def to_json(self):
        """Returns the two as lists, in C's order: {"mean": [...], "std": [...]}."""
        return {name: array.ravel().tolist() for name, array in self._asdict().items()}

    @classmethod
    def from_json(cls, lists, shape):
        """Returns the `Scaling` of examples of this shape, from the lists of `to_json`; None for None."""
        return lists and cls(*(np.reshape(lists[name], shape) for name in cls._fields))


def scale(examples, scaling, config):
    """Returns (x - mean) / standard deviation, eagerly or as part of a graph.

    Args:
      examples: float32 `[B, ...]`; anything, if `scaling` is None.
      scaling: a `Scaling`, or None to leave the examples as they are, which `normalize` divides if they are pixels.
      config: of which `scaling` counts: with none, the values stay as they are, and become float32.

    Returns:
      float32 or `examples`, shaped as these.
    """
    if config.scaling == "none":
        return tf.cast(examples, tf.float32)
    if scaling is None:
        return examples
    return (examples - tf.constant(scaling.mean, tf.float32)) / tf.constant(scaling.std, tf.float32)


def coarse(values, name_of):
    """Returns a line about the first column that varies by so few steps of float32 that they are lost, or none.

    Args:
      values: `[B, D]`.
      name_of: called with the number of the column; returns what to call it.
    """
    with np.errstate(invalid="ignore"):  # of infinity, which is refused later
        spread = np.ptp(values, axis=0)
        largest = np.abs(values).max(axis=0)
    close = (spread > 0) & (spread < largest * 2.0**-14)  # a step is 2**-24 to 2**-23 of the largest
    if not close.any():
        return ()
    name = name_of(int(close.argmax()))
    return (
        f"{name} varies by little beside its size, and float32, with 7 digits, can hardly tell its values apart; "
        "subtract a constant from it first",
    )


class Moments:
    """Mean and deviation of each feature over blocks of rows, in float64.

    Each block's own are merged into those before (Chan, Golub and LeVeque 1983, eq. 2.1), so that nothing is lost
    where a mean is large beside its deviation.
    """

    def __init__(self):
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0

    def add(self, rows):
        """Takes a block of rows, `[B, ...]`."""
        if not len(rows):
            return
        values = rows.astype(np.float64)
        count = self._count + len(rows)
        mean = values.mean(axis=0)
        difference = mean - self._mean
        self._squares += ((values - mean) ** 2).sum(axis=0) + difference**2 * self._count * len(rows) / count
        self._mean = self._mean + difference * len(rows) / count
        self._count = count

    def scaling(self):
        """Returns the `Scaling` of all rows so far."""
        deviation = np.sqrt(self._squares / self._count)  # of a constant float32 exactly 0, as no sum of it is rounded
        return Scaling(self._mean, np.where(deviation < np.finfo(np.float32).tiny, 1.0, deviation))
