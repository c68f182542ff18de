"""Images and labels as checked arrays, the order in which an epoch visits them, and their distortion."""

import hashlib
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mlp_tf import UserError, sources

_ORDER, _DISTORTION = 0, 1  # purposes, which keep the streams of one seed apart


class Split(NamedTuple):
    """images: uint8 `[N, H, W]`, `[N, H, W, C]` or `[N, D]`; labels: int32 `[N]` in 0..classes-1."""

    images: np.ndarray
    labels: np.ndarray


class Splits(NamedTuple):
    """A dataset. Validation may have no rows; `warning` says why this is not the data hoped for, if so."""

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    warning: str = ""

    @property
    def image_shape(self):
        """Shape of one image, such as `(28, 28)`."""
        return self.train.images.shape[1:]

    def fingerprint(self):
        """SHA-256 over all images and labels, as hexadecimal digits."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for array in split:
                digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()


def load(dataset="auto", data_dir="", validation_size=5000):
    """Loads a dataset and checks it.

    Args:
      dataset: `auto`, `mnist_sample`, a name of tensorflow-datasets, or a path that ends in `.npz`.
      data_dir: where tensorflow-datasets keeps its data; empty for its own default.
      validation_size: how many of the last training rows are held out; at most 500 of `mnist_sample`.

    Returns:
      `Splits`.

    Raises:
      UserError: data that cannot be had or is not what it should be.
    """
    name, (train, test, classes), warning = _find(dataset, data_dir)
    _check(name, "x_train", "y_train", *train, classes)
    _check(name, "x_test", "y_test", *test, classes)
    if train[0].shape[1:] != test[0].shape[1:]:
        raise UserError(
            f"{name}: images of {train[0].shape[1:]} in x_train, {test[0].shape[1:]} in x_test; make them one"
        )
    if name == "mnist_sample":
        validation_size = min(validation_size, sources.SAMPLE_HELD_OUT)
    rows = len(train[0]) - validation_size
    if rows < 1:
        raise UserError(
            f"--validation_size={validation_size} leaves no training images of the {len(train[0])} in {name}; "
            f"give at most {len(train[0]) - 1}"
        )
    splits = [Split(x, y.astype(np.int32)) for x, y in (train, test)]
    first, last = (Split(*(array[part] for array in splits[0])) for part in (slice(rows), slice(rows, None)))
    return Splits(name, classes, first, last, splits[1], warning)


def _find(dataset, data_dir):
    """(name, arrays, warning) of a dataset; `auto` falls back to the sample, and says so."""
    if dataset == "mnist_sample":
        return dataset, sources.mnist_sample(), ""
    if dataset.endswith(".npz"):
        return dataset, sources.npz(dataset), ""
    try:
        name = "mnist" if dataset == "auto" else dataset
        return name, sources.prepared(name, data_dir), ""
    except sources.Unavailable as error:
        if dataset != "auto":
            raise
        warning = (
            "full MNIST is not here, so this run uses mnist_sample, 5,000 real MNIST images: ITS ACCURACY IS NOT "
            f"COMPARABLE WITH FULL MNIST. Why, and how to get it: {error}"
        )
        return "mnist_sample", sources.mnist_sample(), warning


def _check(name, x, y, images, labels, classes):
    if images.dtype != np.uint8:
        raise UserError(f"{name}: {x} is {images.dtype}; images must be uint8, 0 to 255")
    if images.ndim not in (2, 3, 4) or not images.size:
        raise UserError(
            f"{name}: {x} has shape {images.shape}; must be [N, H, W], [N, H, W, C] or [N, D], none of them 0"
        )
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise UserError(f"{name}: {y} is {labels.dtype} of shape {labels.shape}; labels must be integers of shape [N]")
    if len(images) != len(labels):
        raise UserError(f"{name}: {len(images)} images in {x} but {len(labels)} labels in {y}; they must be as many")
    outside = (labels < 0) | (labels >= classes) if classes else labels < 0
    if outside.any():
        row = int(np.argmax(outside))
        raise UserError(
            f"{name}: {y}[{row}] is {labels[row]}; labels must be 0 to {classes - 1 if classes else 'classes-1'}"
        )
    if classes < 2:
        raise UserError(f"{name}: {y} holds one class only; there must be two or more")


def epoch_order(n, batch_size, seed, epoch):
    """Row numbers of each step of an epoch: a pure function of its arguments.

    Returns:
      int32 `[n // batch_size, batch_size]`; the `n % batch_size` rows left over differ from epoch to epoch.
    """
    steps = n // batch_size
    order = np.random.default_rng((seed, _ORDER, epoch)).permutation(n)[: steps * batch_size]
    return order.reshape(steps, batch_size).astype(np.int32)


def distort(images, seed, epoch, strength):
    """Maps each image by a random affine map of its own: a pure function of its arguments.

    Args:
      images: uint8 `[N, H, W]` or `[N, H, W, C]`.
      seed, epoch: what the maps are drawn from.
      strength: 1 is rotation up to 10 degrees, scaling up to 10 %, shear up to 0.1 and translation up
        to 1.5 pixels, each uniform and to both sides; others in proportion.

    Returns:
      uint8 tensor, shaped as `images`; what comes from outside an image is 0.

    Raises:
      UserError: images that do not have two dimensions.
    """
    shape = images.shape
    if len(shape) not in (3, 4):
        raise UserError(f"--distort={strength}: needs images of height x width; these have shape {tuple(shape[1:])}")
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.reshape(images, [*shape[:3], -1]),
        transforms=_affine_maps(*shape[:3], seed, epoch, strength),
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.reshape(moved, shape)


def _affine_maps(n, height, width, seed, epoch, strength):
    """float32 `[n, 8]`: the input point of each output point (x, y), both about the image's centre."""
    key = tf.random.experimental.stateless_fold_in(tf.constant([seed, _DISTORTION], tf.int64), epoch)
    draws = strength * tf.random.stateless_uniform([5, n], key, -1.0, 1.0)
    turn, scale, shear, right, down = tf.unstack(draws * tf.constant([[math.pi / 18], [0.1], [0.1], [1.5], [1.5]]))
    # [[a, b], [c, d]] = (1 + scale) * rotation * [[1, shear], [0, 1]]
    a, c = (1 + scale) * tf.cos(turn), (1 + scale) * tf.sin(turn)
    b, d = a * shear - c, c * shear + a
    x, y = (width - 1) / 2, (height - 1) / 2
    nothing = tf.zeros([n])
    return tf.stack([a, b, x + right - a * x - b * y, c, d, y + down - c * x - d * y, nothing, nothing], axis=1)
