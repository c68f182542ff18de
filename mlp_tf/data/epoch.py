"""An epoch as a pure function of (seed, epoch): the order of its rows, and their distortion."""

import math

import numpy as np
import tensorflow as tf

from mlp_tf import UserError
from mlp_tf.data import warp
from mlp_tf.data.memory import aligned, tensor
from mlp_tf.data.splits import ALL_ROWS

_ORDER, _AFFINE, _ELASTIC = 0, 1, 2  # purposes, which keep the streams of one seed apart
_BLOCK_PIXELS = 2**22  # distorted at once: bounds the memory that their points take


def epoch_order(n, batch_size, seed, epoch, index=0):
    """Row numbers of each step of an epoch: a pure function of its arguments.

    Args:
      n: rows; of a worker that holds a shard, those of its shard.
      batch_size: rows in a step, of this worker.
      seed, epoch, index: what the order is drawn from; workers that hold shards give their own index.

    Returns:
      int32 `[n // batch_size, batch_size]`; the `n % batch_size` rows left over differ from epoch to epoch.
    """
    steps = n // batch_size
    order = np.random.default_rng((seed, _ORDER, epoch, index)).permutation(n)[: steps * batch_size]
    return order.reshape(steps, batch_size).astype(np.int32)


def distort(images, config, epoch, split=None, look=lambda: None):
    """Maps each image by a random map of its own, affine and elastic: a pure function of its arguments.

    The map belongs to the row of the whole split, so it is the same however many workers share the rows.

    Args:
      images: uint8 `[N, H, W]` or `[N, H, W, C]`.
      config: `seed`, which with `epoch` the maps are drawn from; `distort`: 1 is rotation up to 10 degrees, scaling
        up to 10 %, shear up to 0.1 and translation up to 1.5 pixels, each uniform and to both sides, others in
        proportion; `elastic`: standard deviation, in pixels, of the displacements of 5 x 5 knots, normal and
        independent, in x and in y; points between follow smoothly (Simard, Steinkraus and Platt 2003 smooth every
        point's by a Gaussian).
      epoch: from 0.
      split: the `Split` whose first rows these are, and that may hold a shard of all; by default they are all.
      look: called after each block of images, equally often in every worker; what it raises ends this.

    Returns:
      uint8 tensor, shaped as `images`; what comes from outside an image is 0.

    Raises:
      UserError: images that do not have two dimensions.
    """
    shape = images.shape
    if len(shape) not in (3, 4):
        raise UserError(f"distortion needs images of height x width; these have shape {tuple(shape[1:])}")
    n, height, width = shape[:3]
    shard, rows = (split.shard, split.global_rows) if split else (ALL_ROWS, n)
    draws = tf.random.stateless_uniform([5, rows], _key(config.seed, _AFFINE, epoch), -1.0, 1.0)
    maps = warp.affine_maps(config.distort * draws[:, shard.index :: shard.workers], height, width)
    displacements = _displacements(config, epoch, rows)[shard.index :: shard.workers]
    distorted = aligned(tuple(shape))
    # Of the rows of a worker, which have one more or less, so that all look equally often.
    blocks = max(1, min(n + 1, math.ceil(rows / shard.workers)) * height * width // _BLOCK_PIXELS)
    block = math.ceil(n / blocks)
    for i in range(blocks):
        first = min(i * block, n - block)  # since XLA would compile a shorter last block anew
        part = slice(first, first + block)
        distorted[part] = warp.resample(images[part], maps[part], displacements[part])
        look()
    return tensor(distorted)


def _displacements(config, epoch, rows):
    """Of the knots of each row, as `warp.resample` takes them."""
    if not config.elastic:
        return tf.zeros([rows, 0])
    return config.elastic * tf.random.stateless_normal([rows, 2 * warp.KNOTS**2], _key(config.seed, _ELASTIC, epoch))


def _key(seed, purpose, epoch):
    return tf.random.experimental.stateless_fold_in(tf.constant([seed, purpose], tf.int64), epoch)
