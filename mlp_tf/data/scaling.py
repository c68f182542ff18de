"""Standardised examples: (x - mean) / deviation of each feature, as the training rows have them."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Scaling(NamedTuple):
    """Mean and deviation of each feature; deviation is 1 where a feature is constant."""

    mean: np.ndarray  # float64, shaped as one example
    deviation: np.ndarray


def standardize(examples, scaling):
    """(x - mean) / deviation, as part of a graph or eagerly.

    Args:
      examples: float32 `[B, ...]`; with `scaling` None, anything.
      scaling: a `Scaling`, or None to leave the examples as they are.

    Returns:
      float32, shaped as `examples`.
    """
    if scaling is None:
        return examples
    mean, deviation = (tf.constant(each, tf.float32) for each in scaling)
    return (examples - mean) / deviation


class Moments:
    """Mean and deviation of each feature over blocks of rows, in float64.

    Each block's own are merged into those before (Chan, Golub and LeVeque 1983, eq. 2.1), so that nothing is lost
    where a mean is large beside its deviation.
    """

    def __init__(self):
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, rows):
        """Takes a block of rows, `[B, ...]`."""
        if not len(rows):
            return
        values, count = rows.astype(np.float64), self._count + len(rows)
        mean = values.mean(axis=0)
        difference = mean - self._mean
        self._squares += ((values - mean) ** 2).sum(axis=0) + difference**2 * self._count * len(rows) / count
        self._mean, self._count = self._mean + difference * len(rows) / count, count

    def scaling(self):
        """The `Scaling` of all rows so far."""
        deviation = np.sqrt(self._squares / self._count)  # of a constant float32 exactly 0, as no sum of it is rounded
        return Scaling(self._mean, np.where(deviation < np.finfo(np.float32).tiny, 1.0, deviation))
