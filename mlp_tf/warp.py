"""Images moved on their grid: slanted ones set upright for good, all of them distorted anew in every epoch."""

import math

import tensorflow as tf

from mlp_tf import UserError
from mlp_tf.data import AFFINE, ALL, ELASTIC, aligned, tensor

KNOTS = 5  # of an elastic displacement, along each side
_BLOCK_PIXELS = 2**22  # distorted at once: bounds the memory that their points take


def deskew(images):
    """Sets slanted images upright: shears each about its centre of mass until its pixels do not lean to a side.

    The shear is the covariance of a pixel's column and row, weighted by brightness, over the variance of its
    row (deslanting, as in LeCun et al. 1998).

    Args:
      images: uint8 `[N, H, W]` or `[N, H, W, C]`; all but N static.

    Returns:
      uint8 tensor, shaped as `images`; what comes from outside an image is 0.
    """
    height, width = images.shape[1:3]
    light = tf.cast(images, tf.float32)
    light = light if len(images.shape) == 3 else tf.reduce_mean(light, axis=3)  # [N, H, W]
    rows, columns = tf.range(height, dtype=tf.float32)[:, None], tf.range(width, dtype=tf.float32)

    def mean(values):
        return tf.reduce_sum(light * values, axis=[1, 2]) / (tf.reduce_sum(light, axis=[1, 2]) + 1e-6)  # [N]

    row, column = mean(rows), mean(columns)
    covariance, variance = mean(rows * columns) - row * column, mean(rows * rows) - row * row
    shear = covariance / (variance + 1e-6)
    one, zero = tf.ones_like(shear), tf.zeros_like(shear)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.reshape(images, [-1, height, width, math.prod(images.shape[3:])]),
        transforms=tf.stack([one, shear, -shear * row, zero, one, zero, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.reshape(moved, [-1, *images.shape[1:]])


def distort(images, seed, epoch, strength, elastic=0.0, share=ALL, total=None):
    """Maps each image by a random map of its own, affine and elastic: a pure function of its arguments.

    The map belongs to the row of the whole split, so it is the same however many workers share the rows.

    Args:
      images: uint8 `[N, H, W]` or `[N, H, W, C]`.
      seed, epoch: what the maps are drawn from.
      strength: 1 is rotation up to 10 degrees, scaling up to 10 %, shear up to 0.1 and translation up
        to 1.5 pixels, each uniform and to both sides; others in proportion.
      elastic: standard deviation, in pixels, of the displacements of 5 x 5 knots, both ways and independent;
        every pixel between them follows smoothly (as Simard, Steinkraus and Platt 2003, who smooth by a Gaussian).
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
    maps = _affine_maps(total or n, height, width, _key(seed, AFFINE, epoch), strength)[own]
    pushes = None
    if elastic:
        draws = tf.random.stateless_normal([total or n, 2, KNOTS * KNOTS], _key(seed, ELASTIC, epoch))
        pushes = elastic * draws[own]
    moved = aligned(tuple(shape))
    block = max(1, min(n, _BLOCK_PIXELS // (height * width)))
    for start in range(0, n, block):
        first = min(start, n - block)  # since XLA would compile a shorter last block anew
        rows = slice(first, first + block)
        moved[rows] = _warp(images[rows], maps[rows], None if pushes is None else pushes[rows])
    return tensor(moved)


def _key(seed, purpose, epoch):
    return tf.random.experimental.stateless_fold_in(tf.constant([seed, purpose], tf.int64), epoch)


def _affine_maps(n, height, width, key, strength):
    """float32 `[n, 6]`: a, b, right, c, d, down of the input point (a x + b y + right, c x + d y + down) of (x, y)."""
    draws = strength * tf.random.stateless_uniform([5, n], key, -1.0, 1.0)
    turn, scale, shear, right, down = tf.unstack(draws * tf.constant([[math.pi / 18], [0.1], [0.1], [1.5], [1.5]]))
    # [[a, b], [c, d]] = (1 + scale) * rotation * [[1, shear], [0, 1]], about the image's centre (x, y)
    a, c = (1 + scale) * tf.cos(turn), (1 + scale) * tf.sin(turn)
    b, d = a * shear - c, c * shear + a
    x, y = (width - 1) / 2, (height - 1) / 2
    return tf.stack([a, b, x + right - a * x - b * y, c, d, y + down - c * x - d * y], axis=1)


@tf.function(autograph=False, jit_compile=True)
def _warp(images, maps, pushes):
    """Each image by its map, bilinear. XLA makes one loop of it, faster than TensorFlow's ImageProjectiveTransformV3.

    Args:
      images: uint8 `[N, H, W]` or `[N, H, W, C]`, all static.
      maps: float32 `[N, 6]`, from `_affine_maps`.
      pushes: float32 `[N, 2, KNOTS * KNOTS]`, displacements of the knots in x and y, or None.
    """
    n, height, width = images.shape[:3]
    x, y = tf.range(width, dtype=tf.float32), tf.range(height, dtype=tf.float32)[:, None]
    if pushes is not None:
        moves = tf.reshape(pushes @ _knot_shares(height, width), [n, 2, height, width])
        x, y = x + moves[:, 0], y + moves[:, 1]
    a, b, right, c, d, down = (column[:, None, None] for column in tf.unstack(maps, axis=1))
    x, y = a * x + b * y + right, c * x + d * y + down  # [N, H, W]
    if len(images.shape) == 3:
        return _sample(images, x, y)
    return tf.stack([_sample(channel, x, y) for channel in tf.unstack(images, axis=3)], axis=3)


def _knot_shares(height, width):
    """float32 `[KNOTS * KNOTS, H * W]`: how far each pixel follows each knot, by bicubic interpolation."""
    knots = tf.reshape(tf.eye(KNOTS * KNOTS), [-1, KNOTS, KNOTS, 1])
    return tf.reshape(tf.image.resize(knots, [height, width], method="bicubic"), [KNOTS * KNOTS, -1])


def _sample(image, x, y):
    """uint8 `[N, H, W]`: images of that shape and type at the points x, y, float32 `[N, H, W]`."""
    n, height, width = image.shape
    x, y, pixels = (tf.reshape(each, [n, -1]) for each in (x, y, image))
    left, top = tf.floor(x), tf.floor(y)
    value = 0.0
    for row, row_share in ((top, top + 1 - y), (top + 1, y - top)):
        for column, column_share in ((left, left + 1 - x), (left + 1, x - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = tf.cast(tf.where(inside, row * width + column, 0.0), tf.int32)
            pixel = tf.cast(tf.gather(pixels, place, axis=1, batch_dims=1), tf.float32)
            value += tf.where(inside, row_share * column_share * pixel, 0.0)
    return tf.reshape(tf.cast(value + 0.5, tf.uint8), [n, height, width])
