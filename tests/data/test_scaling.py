"""Standardized examples, against NumPy in float64 over all rows at once."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import make_arrays

from mlp_tf import data
from mlp_tf.config import Config
from mlp_tf.data.scaling import Scaling, measure, scale


@pytest.mark.parametrize(("offset", "deviation"), [(0, 1), (1e6, 0.25), (-1e6, 0.25), (1e-20, 1e-20)])
@pytest.mark.parametrize("shape", [(5,), (3, 2)])
def test_mean_and_deviation_are_those_of_numpy_in_float64(shape, offset, deviation):
    draws = np.random.default_rng(0).normal(size=(2345, *shape))
    rows = (offset + deviation * draws).astype(np.float32)
    mean, found = measure(rows)
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-12, atol=1e-12 * deviation)
    np.testing.assert_allclose(found, exact.std(axis=0), rtol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6, 3e38])
def test_a_constant_feature_has_deviation_1_and_becomes_0(value):
    rows = np.random.default_rng(0).random((1003, 3), np.float32)
    rows[:, 1] = value
    scaling = measure(rows)
    assert scaling.std[1] == 1.0
    np.testing.assert_allclose(scaling.std[[0, 2]], rows[:, [0, 2]].astype(np.float64).std(axis=0), rtol=1e-12)
    assert not scale(tf.constant(rows), scaling, Config()).numpy()[:, 1].any()


def test_a_single_row_is_constant_in_each_feature():
    mean, deviation = measure(np.array([[3.0, -2.0]], np.float32))
    assert (mean.tolist(), deviation.tolist()) == ([3.0, -2.0], [1.0, 1.0])


def test_pixels_are_left_as_they_are():
    images = tf.constant([[0, 7, 255]], tf.uint8)
    assert scale(images, None, Config()) is images


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_without_scaling_values_stay_as_they_are_in_float32(dtype):
    examples = np.array([[0, 7, 255]], dtype)
    got = scale(tf.constant(examples), Scaling(np.ones(3), np.full(3, 2.0)), Config(scaling="none"))
    assert (got.dtype, got.numpy().tolist()) == (tf.float32, [[0, 7, 255]])


@pytest.mark.parametrize("shape", [(5,), (3, 2)])
def test_a_compiled_graph_standardizes_as_numpy_does(shape):
    rng = np.random.default_rng(1)
    examples = rng.normal(3, 2, (20, *shape)).astype(np.float32)
    scaling = Scaling(rng.normal(3, 1, shape), rng.random(shape) + 0.5)
    compiled = tf.function(lambda x: scale(x, scaling, Config()), jit_compile=True)
    expected = (examples.astype(np.float64) - scaling.mean) / scaling.std
    for found in (compiled(tf.constant(examples)), scale(tf.constant(examples), scaling, Config())):
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shard", [data.Shard(), data.Shard(1, 3), data.Shard(1, 3, whole_train=True)])
def test_all_splits_are_scaled_as_the_training_rows_of_all_workers_are(tmp_path, shard):
    arrays = make_arrays(train=2400)
    arrays |= {name: arrays[name] / 8 for name in ("x_train", "x_test")}
    np.savez(tmp_path / "a.npz", **arrays)
    rows = data.load(str(tmp_path / "a.npz"), validation_size=1100).train.images.astype(np.float64)
    splits = data.load(str(tmp_path / "a.npz"), validation_size=1100, shard=shard)
    for split in (splits.train, splits.validation, splits.test):
        np.testing.assert_allclose(split.scaling.mean, rows.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(split.scaling.std, rows.std(axis=0), rtol=1e-9)


def test_images_of_uint8_have_no_scaling(npz):
    assert data.load(npz).train.scaling is None
