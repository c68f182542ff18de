"""Augmentation: against TensorFlow's transform and moments in float64; distortion by (seed, epoch), in its bounds."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import needs_mnist, prepared_mnist

from mlp_tf import UserError
from mlp_tf.config import Config
from mlp_tf.data import Shard, Split, augmentation, tfds
from mlp_tf.data.augmentation import distort

AFFINE, ELASTIC, BOTH = Config(distort=1.0), Config(elastic=1.0), Config(distort=1.0, elastic=0.5)


@pytest.fixture
def images(arrays):
    """The 240 training images of the small dataset."""
    return arrays["x_train"]


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
    images = test.images[:200]
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


def test_distortion_is_a_function_of_seed_and_epoch(images):
    first = distort(images, AFFINE, epoch=0).numpy()
    np.testing.assert_array_equal(first, distort(images, AFFINE, epoch=0))
    assert not np.array_equal(first, distort(images, AFFINE, epoch=1))
    assert not np.array_equal(first, distort(images, Config(distort=1.0, seed=1), epoch=0))
    assert first.shape == images.shape
    assert first.dtype == np.uint8


def test_a_shards_distortion_is_that_of_its_rows_in_the_whole(images):
    config = Config(seed=3, distort=1.0, elastic=0.5)
    whole = distort(images, config, epoch=4).numpy()
    shard = Split(images, np.zeros(len(images), np.int32)).sharded(Shard(1, 3))
    part = distort(shard.images, config, 4, shard)
    np.testing.assert_array_equal(part, whole[1::3])


def test_distortion_of_strength_0_changes_nothing(images):
    np.testing.assert_array_equal(distort(images, Config(distort=0.0), epoch=0), images)


def test_distortion_is_the_same_in_blocks_and_in_each_channel(images, monkeypatch):
    whole = distort(images, BOTH, epoch=0).numpy()
    for channel in (0, 1):
        channels = np.stack([images[::-1], images][:: 1 if channel else -1], axis=3)
        np.testing.assert_array_equal(distort(channels, BOTH, epoch=0).numpy()[..., channel], whole)
    monkeypatch.setattr(augmentation, "_BLOCK_PIXELS", 33 * 64)  # 7 blocks of 35 rows for 240
    np.testing.assert_array_equal(distort(images, BOTH, epoch=0), whole)


def test_elastic_distortion_moves_knots_by_its_pixels_neighbors_together():
    # Dots, the first on a knot, the others 2 and 16 pixels beside it, show how far their surroundings move.
    def moves(column):
        images = np.zeros((4000, 45, 45), np.uint8)
        images[:, 21:24, column - 1 : column + 2] = 255
        moved = distort(images, ELASTIC, epoch=0).numpy().astype(float)
        mass, grid = moved.sum((1, 2)), np.arange(45)
        return (moved.sum(1) * grid).sum(1) / mass - column, (moved.sum(2) * grid).sum(1) / mass - 22

    here, near, far = moves(22), moves(24), moves(38)
    for at_knot, beside, apart in zip(here, near, far, strict=True):
        assert abs(at_knot.mean()) < 0.1
        assert 0.8 < at_knot.std() < 1.1  # a dot of 3 pixels smooths the field a little
        assert np.corrcoef(at_knot, beside)[0, 1] > 0.8
        assert abs(np.corrcoef(at_knot, apart)[0, 1]) < 0.2
    assert abs(np.corrcoef(*here)[0, 1]) < 0.1


def test_an_elastic_field_of_a_large_image_is_compiled():
    images = np.full((1, 330, 330), 200, np.uint8)
    moved = distort(images, Config(elastic=2.0), epoch=0).numpy()
    assert (moved[0, 20:-20, 20:-20] == 200).all()


def test_distortion_stays_within_its_bounds_and_has_no_side():
    # A dot 8 pixels right of the center: its centroid shows how far an image's map moves it.
    images = np.zeros((2000, 29, 29), np.uint8)
    images[:, 13:16, 21:24] = 255
    moved = distort(images, AFFINE, epoch=0).numpy().astype(float)
    mass, grid = moved.sum((1, 2)), np.arange(29)
    x, y = (moved.sum(1) * grid).sum(1) / mass - 14, (moved.sum(2) * grid).sum(1) / mass - 14
    # 1.5 of translation, 8 / 0.9 of scaling, then 8 * tan(10 degrees) / 0.9 of rotation, and shear.
    assert (np.abs(x - 8) < 8 / 0.9 - 8 + 1.5 / 0.9 + 0.6).all()
    assert (np.abs(y) < 8 * np.tan(np.pi / 18) / 0.9 + 1.5 / 0.9 + 0.6).all()
    assert np.abs(y).max() > 2
    assert abs(x.mean() - 8) < 0.2
    assert abs(y.mean()) < 0.1


def test_images_of_one_dimension_cannot_be_distorted():
    with pytest.raises(UserError, match="needs images of height x width"):
        distort(np.zeros((5, 64), np.uint8), AFFINE, epoch=0)
