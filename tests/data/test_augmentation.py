"""Geometry: against TensorFlow's own transform, and against moments taken in float64."""

import numpy as np
import tensorflow as tf
from helpers import needs_mnist, prepared_mnist

from mlp_tf.data import augmentation, tfds


def test_an_affine_map_moves_an_image_as_tensorflows_own_transform_does():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 12, 9), dtype=np.uint8)
    maps = augmentation.affine_maps(rng.uniform(-1, 1, (5, 50)).astype(np.float32), 12, 9)
    expected = tf.raw_ops.ImageProjectiveTransformV3(
        images=images[..., None].astype(np.float32),
        transforms=tf.pad(maps, [[0, 0], [0, 2]]),
        output_shape=[12, 9],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[..., 0]
    moved = augmentation.resample(images, maps, tf.zeros([50, 0]))
    np.testing.assert_allclose(moved.numpy(), expected.numpy(), rtol=0, atol=0.51)


def slant(image):
    """Covariance of column and row over the variance of the row, weighted by brightness, in float64."""
    light = image.astype(np.float64) / image.sum()
    rows, columns = np.indices(image.shape)
    row, column = (light * rows).sum(), (light * columns).sum()
    return (light * (rows - row) * (columns - column)).sum() / (light * (rows - row) ** 2).sum()


@needs_mnist
def test_deskewed_digits_lean_no_more_and_stay_where_they_were():
    test = tfds.prepared("mnist", prepared_mnist()).test
    images = next(test.blocks())[0][:200]
    upright = augmentation.deskew(images).numpy()
    before, after = ([slant(image) for image in each] for each in (images, upright))
    assert np.mean(np.abs(before)) > 0.2
    assert np.abs(after).max() < 0.1
    mass = upright.sum((1, 2)) / images.sum((1, 2))
    assert (np.abs(mass - 1) < 0.12).all()


def test_deskewing_keeps_shape_type_and_an_upright_or_empty_image():
    images = np.zeros((3, 9, 9), np.uint8)
    images[0, 2:7, 4] = 200
    np.testing.assert_array_equal(augmentation.deskew(images), images)
    assert augmentation.deskew(images).dtype == np.uint8
    assert augmentation.deskew(images[..., None].repeat(3, axis=3)).shape == (3, 9, 9, 3)
