"""Images and labels as checked arrays, and what an epoch makes of them: its order, its distortion."""

import hashlib
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mlp_tf import UserError, sources, warp

_ORDER, _AFFINE, _ELASTIC = 0, 1, 2  # purposes, which keep the streams of one seed apart
_BLOCK_PIXELS = 2**22  # distorted at once: bounds the memory that their points take


class Share(NamedTuple):
    """The rows of a split that one worker holds: `index`, `index + workers`, `index + 2 * workers`, ..."""

    index: int = 0
    workers: int = 1


ALL = Share()


class Split(NamedTuple):
    """images: uint8 `[N, H, W]`, `[N, H, W, C]` or `[N, D]`; labels: int32 `[N]` in 0..classes-1."""

    images: np.ndarray
    labels: np.ndarray
    share: Share = ALL
    total: int | None = None  # rows of all workers together; None where these are all

    @property
    def rows(self):
        """Rows of all workers together."""
        return len(self.labels) if self.total is None else self.total

    def part(self, share):
        """The rows of one worker, of a split that is whole; a split that is a share already stays."""
        if self.share.workers > 1:
            return self
        return Split(*(array[share.index :: share.workers] for array in self[:2]), share, self.rows)


class Splits(NamedTuple):
    """A dataset. Validation may have no rows; `warning` says why this is not the data hoped for, if so."""

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    sha256: str  # over all images and labels of all workers, as hexadecimal digits
    warning: str = ""

    @property
    def image_shape(self):
        """Shape of one image, such as `(28, 28)`."""
        return self.train.images.shape[1:]


def load(dataset="auto", data_dir="", validation_size=5000, share=ALL, whole_train=True):
    """Loads a dataset and checks it.

    Args:
      dataset: `auto`, `mnist_sample`, a name of tensorflow-datasets, or a path that ends in `.npz`.
      data_dir: where tensorflow-datasets keeps its data; empty for its own default.
      validation_size: how many of the last training rows are held out; at most 500 of `mnist_sample`.
      share: the rows to keep of each split; they are read in blocks, so the images of others never lie in memory
        together (but for an .npz in Fortran's order).
      whole_train: keep all rows of the training split, whatever the share.

    Returns:
      `Splits`.

    Raises:
      UserError: data that cannot be had or is not what it should be.
    """
    name, (train, test, classes), warning = _find(dataset, data_dir)
    for x, rows in (("x_train", train), ("x_test", test)):
        _check_images(name, x, rows)
    if train.shape[1:] != test.shape[1:]:
        raise UserError(f"{name}: images of {train.shape[1:]} in x_train, {test.shape[1:]} in x_test; make them one")
    if classes == 1:
        raise UserError(f"{name}: y_train holds one class only; there must be two or more")
    if name == "mnist_sample":
        validation_size = min(validation_size, sources.SAMPLE_HELD_OUT)
    if validation_size >= train.shape[0]:
        raise UserError(
            f"--validation_size={validation_size} leaves no training images of the {train.shape[0]} in {name}; "
            f"give at most {train.shape[0] - 1}"
        )
    digest = hashlib.sha256()
    sizes = [train.shape[0] - validation_size, validation_size]
    first, last = _read(train, sizes, [ALL if whole_train else share, share], digest, f"{name}: y_train", classes)
    [held_out] = _read(test, test.shape[:1], [share], digest, f"{name}: y_test", classes)
    return Splits(name, classes, first, last, held_out, digest.hexdigest(), warning)


def _read(rows, sizes, shares, digest, name, classes):
    """Reads rows once, into splits of the given sizes, each of which keeps its share; the digest takes all rows."""
    blocks, splits, images, labels = _checked(rows.blocks(), name, classes), [], (), ()
    for size, share in zip(sizes, shares, strict=True):
        kept, begin = len(range(share.index, size, share.workers)), 0
        held, all_labels = _aligned((kept, *rows.shape[1:])), np.empty(size, np.int32)
        while begin < size:
            if not len(labels):
                images, labels = next(blocks)
            taken = min(len(labels), size - begin)  # a block may reach into the next split
            digest.update(np.ascontiguousarray(images[:taken]))
            first = begin + (share.index - begin) % share.workers
            part = images[first - begin : taken : share.workers]
            held[first // share.workers :][: len(part)] = part
            all_labels[begin : begin + taken] = labels[:taken]
            images, labels, begin = images[taken:], labels[taken:], begin + taken
        digest.update(all_labels)
        splits.append(Split(held, all_labels[share.index :: share.workers].copy(), share, size))
    for _ in blocks:
        pass  # so that the source can tell that there are no more
    return splits


def _checked(blocks, name, classes):
    """The same blocks, once their labels were looked at."""
    row = 0
    for images, labels in blocks:
        outside = (labels < 0) | (labels >= classes) if classes else labels < 0
        if outside.any():
            wrong, last = int(np.argmax(outside)), classes - 1 if classes else "classes-1"
            raise UserError(f"{name}[{row + wrong}] is {labels[wrong]}; labels must be 0 to {last}")
        row += len(labels)
        yield images, labels


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


def _check_images(name, x, rows):
    if rows.dtype != np.uint8:
        raise UserError(f"{name}: {x} is {rows.dtype}; images must be uint8, 0 to 255")
    if len(rows.shape) not in (2, 3, 4) or not math.prod(rows.shape):
        raise UserError(
            f"{name}: {x} has shape {rows.shape}; must be [N, H, W], [N, H, W, C] or [N, D], none of them 0"
        )


def _aligned(shape):
    """uint8 memory that begins where TensorFlow can take it as a tensor's, without a copy."""
    size = math.prod(shape)
    memory = np.empty(size + 63, np.uint8)
    first = -memory.ctypes.data % 64
    return memory[first : first + size].reshape(shape)


def tensor(array):
    """The array as a tensor: on the GPU, if there is one, else in the array's own memory where that can be."""
    if tf.config.list_physical_devices("GPU"):
        return tf.constant(array)
    if array.size and array.flags.c_contiguous and array.flags.writeable and array.ctypes.data % 64 == 0:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.constant(array)


def epoch_order(n, batch_size, seed, epoch, index=0):
    """Row numbers of each step of an epoch: a pure function of its arguments.

    Args:
      n: rows; of a worker that holds a share, those of its share.
      batch_size: rows in a step, of this worker.
      seed, epoch, index: what the order is drawn from; workers that hold shares give their own index.

    Returns:
      int32 `[n // batch_size, batch_size]`; the `n % batch_size` rows left over differ from epoch to epoch.
    """
    steps = n // batch_size
    order = np.random.default_rng((seed, _ORDER, epoch, index)).permutation(n)[: steps * batch_size]
    return order.reshape(steps, batch_size).astype(np.int32)


def distort(images, seed, epoch, strength, elastic=0.0, share=ALL, total=None):
    """Maps each image by a random map of its own, affine and elastic: a pure function of its arguments.

    The map belongs to the row of the whole split, so it is the same however many workers share the rows.

    Args:
      images: uint8 `[N, H, W]` or `[N, H, W, C]`.
      seed, epoch: what the maps are drawn from.
      strength: 1 is rotation up to 10 degrees, scaling up to 10 %, shear up to 0.1 and translation up
        to 1.5 pixels, each uniform and to both sides; others in proportion.
      elastic: standard deviation, in pixels, of the displacements of 5 x 5 knots, normal and independent, in x and
        in y; points between follow smoothly (Simard, Steinkraus and Platt 2003 smooth every point's by a Gaussian).
      share, total: which rows these are, of how many; by default all.

    Returns:
      uint8 tensor, shaped as `images`; what comes from outside an image is 0.

    Raises:
      UserError: images that do not have two dimensions.
    """
    shape = images.shape
    if len(shape) not in (3, 4):
        raise UserError(f"distortion needs images of height x width; these have shape {tuple(shape[1:])}")
    n, height, width = shape[:3]
    own = slice(share.index, None, share.workers)
    draws = tf.random.stateless_uniform([5, total or n], _key(seed, _AFFINE, epoch), -1.0, 1.0)
    maps = warp.affine_maps(strength * draws[:, own], height, width)
    displacements = tf.zeros([n, 0])
    if elastic:
        draws = tf.random.stateless_normal([total or n, 2 * warp.KNOTS**2], _key(seed, _ELASTIC, epoch))
        displacements = elastic * draws[own]
    moved = _aligned(tuple(shape))
    blocks = max(1, n * height * width // _BLOCK_PIXELS)
    block = -(-n // blocks)
    for start in range(0, n, max(1, block)):
        first = min(start, n - block)  # since XLA would compile a shorter last block anew
        rows = slice(first, first + block)
        moved[rows] = warp.resample(images[rows], maps[rows], displacements[rows])
    return tensor(moved)


def _key(seed, purpose, epoch):
    return tf.random.experimental.stateless_fold_in(tf.constant([seed, purpose], tf.int64), epoch)
