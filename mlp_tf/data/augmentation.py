"""Data augmentation: sets images upright, and distorts them by random affine and elastic maps.

All functions are pure; the maps of an epoch are drawn from (seed, epoch).
"""

import math

import numpy as np
import tensorflow as tf

from mlp_tf import UserError
from mlp_tf.data.splits import ALL_ROWS

_AFFINE = 1  # the purpose of a random stream, which keeps it apart from others of the same seed; feed.py has 0
_ELASTIC = 2
_BLOCK_PIXELS = 2**22  # distorted at once: bounds the memory that their points take
KNOTS = 5  # of an elastic displacement, along each side


def deskew(images):
    """Sets slanted images upright: shears each about its center of mass until its pixels lean to no side.

    The shear is the covariance of a pixel's column and row, weighted by brightness, over the variance of its row
    (deslanting, as in LeCun et al. 1998).

    Args:
      images: uint8 `[N, H, W]` or `[N, H, W, C]`; all but N static.

    Returns:
      uint8 tensor, shaped as `images`; points from outside an image are 0.
    """
    height, width = images.shape[1:3]
    light = tf.cast(images, tf.int64)
    if len(images.shape) == 4:
        light = tf.reduce_sum(light, axis=3)  # [N, H, W]
    rows = tf.range(height, dtype=tf.int64)
    columns = tf.range(width, dtype=tf.int64)
    # Sums of integers are the same in any order of addition: here, in an exported graph, in JavaScript.
    of_row = tf.reduce_sum(light, axis=2)  # [N, H]
    columns_of_row = tf.reduce_sum(light * columns, axis=2)  # [N, H]
    total = tf.maximum(_sum(of_row), 1.0)
    row = _sum(rows * of_row) / total
    column = _sum(columns_of_row) / total
    covariance = _sum(rows * columns_of_row) / total - row * column
    variance = _sum(rows * rows * of_row) / total - row * row
    shear = covariance / (variance + 1e-6)  # [N, 1, 1]
    x = tf.range(width, dtype=tf.float32)
    y = tf.range(height, dtype=tf.float32)[:, None]
    return _shift_rows(images, x + shear * y - shear * row)


def _sum(values):
    """Returns the sums of integers `[N, H]` as float32 `[N, 1, 1]`."""
    return tf.cast(tf.reduce_sum(values, axis=1), tf.float32)[:, None, None]


def _shift_rows(images, x):
    """Moves each point of the images to column `x`, `[N, H, W]`, of its row, and returns what is there, interpolated.

    Uses plain operations, as this is part of exported graphs: TensorFlow Lite and ONNX have no projective transform.
    """
    height, width = images.shape[1:3]
    pixels = tf.reshape(tf.cast(images, tf.float32), [-1, *images.shape[3:]])
    row_starts = tf.reshape(width * tf.range(tf.size(x) // width), [-1, height, 1])
    left = tf.floor(x)

    def at(column):
        """Returns the pixels at a column of each point's row; 0 outside the image."""
        inside = (column >= 0) & (column < width)
        found = tf.gather(pixels, row_starts + tf.cast(tf.where(inside, column, 0.0), tf.int32))
        return tf.where(_for_channels(inside, images), found, 0.0)

    value = _for_channels(left + 1 - x, images) * at(left) + _for_channels(x - left, images) * at(left + 1)
    return tf.cast(value, tf.uint8)


def _for_channels(weights, images):
    """Returns weights `[N, H, W]` in a shape that multiplies images of that shape, or of `[N, H, W, C]`."""
    return weights if len(images.shape) == 3 else weights[..., None]


def affine_maps(draws, height, width):
    """Returns random affine maps about the center of an image, each from a point of the result back into the image.

    Args:
      draws: float32 `[5, N]`, -1 to 1 at strength 1: rotation by up to 10 degrees, scaling and shear by up to 0.1,
        translation to the right and down by up to 1.5 pixels.
      height, width: of an image, in pixels.

    Returns:
      float32 `[N, 6]`: a, b, right, c, d, down. The point (x, y) of the result shows the point
      (a x + b y + right, c x + d y + down) of the image.
    """
    turn, scale, shear, right, down = tf.unstack(draws * tf.constant([[math.pi / 18], [0.1], [0.1], [1.5], [1.5]]))
    # [[a, b], [c, d]] = (1 + scale) * rotation * [[1, shear], [0, 1]]
    a = (1 + scale) * tf.cos(turn)
    c = (1 + scale) * tf.sin(turn)
    b = a * shear - c
    d = c * shear + a
    x = (width - 1) / 2
    y = (height - 1) / 2
    return tf.stack([a, b, x + right - a * x - b * y, c, d, y + down - c * x - d * y], axis=1)


@tf.function(autograph=False, jit_compile=True)
def resample(images, maps, displacements):
    """Moves each point of the images by its displacement, then by its image's map, and returns what is there.

    Values between pixels are bilinear. XLA makes one loop of it, which is faster than TensorFlow's
    ImageProjectiveTransformV3.

    Args:
      images: uint8 `[N, H, W]` or `[N, H, W, C]`, all static.
      maps: float32 `[N, 6]`, from `affine_maps`.
      displacements: float32 `[N, 2 * KNOTS**2]`, in pixels: of each knot in x, then of each in y, row by row; a knot is
        the center of one of KNOTS x KNOTS equal parts of the image, and points between follow smoothly. Or `[N, 0]`.

    Returns:
      uint8, shaped as `images`; points from outside an image are 0.
    """
    n, height, width = images.shape[:3]
    x = tf.range(width, dtype=tf.float32)
    y = tf.range(height, dtype=tf.float32)[:, None]
    if displacements.shape[1]:
        field = tf.reshape(displacements, [2 * n, -1]) @ _knot_weights(height, width)
        field = tf.reshape(field, [n, 2, height, width])
        x = x + field[:, 0]
        y = y + field[:, 1]
    a, b, right, c, d, down = (column[:, None, None] for column in tf.unstack(maps, axis=1))
    from_x = a * x + b * y + right  # [N, H, W]
    from_y = c * x + d * y + down
    if len(images.shape) == 3:
        return _sample(images, from_x, from_y)
    return tf.stack([_sample(channel, from_x, from_y) for channel in tf.unstack(images, axis=3)], axis=3)


def _knot_weights(height, width):
    """Returns how far each point follows each knot, by bicubic interpolation: float32 `[KNOTS**2, H * W]`."""
    with tf.init_scope():  # XLA has no bicubic interpolation
        knots = tf.reshape(tf.eye(KNOTS**2), [-1, KNOTS, KNOTS, 1])
        return tf.reshape(tf.image.resize(knots, [height, width], method="bicubic"), [KNOTS**2, -1])


def _sample(image, x, y):
    """Returns images, uint8 `[N, H, W]`, at the points x, y, float32 of that shape."""
    n, height, width = image.shape
    pixels = tf.reshape(image, [n, -1])
    x = tf.reshape(x, [n, -1])
    y = tf.reshape(y, [n, -1])
    left = tf.floor(x)
    top = tf.floor(y)
    value = 0.0
    for row, row_weight in ((top, top + 1 - y), (top + 1, y - top)):
        for column, column_weight in ((left, left + 1 - x), (left + 1, x - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = tf.cast(row, tf.int32) * width + tf.cast(column, tf.int32)
            pixel = tf.cast(tf.gather(pixels, tf.where(inside, place, 0), axis=1, batch_dims=1), tf.float32)
            value += tf.where(inside, row_weight * column_weight * pixel, 0.0)
    return tf.reshape(tf.cast(value + 0.5, tf.uint8), [n, height, width])


def distort(images, config, epoch, split=None, look=lambda: None):
    """Distorts each image by its own random map, affine and elastic: a pure function of its arguments.

    A map belongs to a row of the whole split, so it does not depend on the number of workers.

    Args:
      images: uint8 `[N, H, W]` or `[N, H, W, C]`.
      config: `seed`, from which, with `epoch`, the maps are drawn; `distort`: strength of the `affine_maps`, which are
        uniform; `elastic`: standard deviation, in pixels, of the displacements of 5 x 5 knots, normal and independent
        in x and y; points between follow smoothly (Simard, Steinkraus and Platt 2003 smooth all points by a Gaussian).
      epoch: from 0.
      split: the `Split` that begins with these rows, and may hold a shard; by default they are all rows.
      look: called after each block of images, equally often in every worker; an exception from it ends the work.

    Returns:
      uint8 tensor, shaped as `images`; points from outside an image are 0.

    Raises:
      UserError: images that do not have two dimensions.
    """
    shape = images.shape
    if len(shape) not in (3, 4):
        raise UserError(f"distortion needs images of height x width; these have shape {tuple(shape[1:])}")
    n, height, width = shape[:3]
    shard = split.shard if split else ALL_ROWS
    rows = split.global_rows if split else n
    draws = tf.random.stateless_uniform([5, rows], _key(config.seed, _AFFINE, epoch), -1.0, 1.0)
    maps = affine_maps(config.distort * draws[:, shard.index :: shard.workers], height, width)
    displacements = _displacements(config, epoch, rows)[shard.index :: shard.workers]
    distorted = np.empty(tuple(shape), np.uint8)
    # Workers differ by at most one row; counting blocks by the most rows of any makes all call `look` equally often.
    blocks = max(1, min(n + 1, math.ceil(rows / shard.workers)) * height * width // _BLOCK_PIXELS)
    size = math.ceil(n / blocks)
    for i in range(blocks):
        first = min(i * size, n - size)  # XLA would compile again for a shorter last block
        block = slice(first, first + size)
        distorted[block] = resample(images[block], maps[block], displacements[block])
        look()
    return tf.constant(distorted)


def _displacements(config, epoch, rows):
    """Returns the displacements of the knots of each row, as `resample` takes them."""
    if not config.elastic:
        return tf.zeros([rows, 0])
    return config.elastic * tf.random.stateless_normal([rows, 2 * KNOTS**2], _key(config.seed, _ELASTIC, epoch))


def _key(seed, purpose, epoch):
    """Returns the key of a random stream."""
    return tf.random.experimental.stateless_fold_in(tf.constant([seed, purpose], tf.int64), epoch)
