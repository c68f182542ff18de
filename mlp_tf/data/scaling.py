"""Standardizes examples: (x - mean) / standard deviation of each feature, both of the training rows."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

_BLOCK = 1000  # rows in float64 at once


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
      scaling: a `Scaling`, or None to leave the examples as they are; `normalize` divides pixels.
      config: only `scaling` counts: with none, the values stay as they are, and become float32.

    Returns:
      float32, or `examples`, in the same shape.
    """
    if config.scaling == "none":
        return tf.cast(examples, tf.float32)
    if scaling is None:
        return examples
    return (examples - tf.constant(scaling.mean, tf.float32)) / tf.constant(scaling.std, tf.float32)


def coarse(values, name_of):
    """Returns a line about the first column whose variation float32 loses, or none.

    Args:
      values: `[B, D]`.
      name_of: called with the number of the column; returns what to call it.
    """
    with np.errstate(invalid="ignore"):  # infinity is refused later
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


def measure(examples):
    """Returns the `Scaling` of examples, float32 `[N, ...]`, computed in float64 without a copy of all of them."""
    mean = examples.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(mean)
    for first in range(0, len(examples), _BLOCK):
        squares += ((examples[first : first + _BLOCK] - mean) ** 2).sum(axis=0)
    std = np.sqrt(squares / len(examples))  # exactly 0 for a constant float32, as no sum of it is rounded
    return Scaling(mean, np.where(std < np.finfo(np.float32).tiny, 1.0, std))
