"""What each replica sees in an epoch, and the batches of an evaluation."""

import numpy as np
import pytest
import tensorflow as tf

from mlp_tf import UserError, loop
from mlp_tf.config import Config
from mlp_tf.data import Feed, Split, augmentation, batches
from mlp_tf.data.augmentation import deskew, distort
from mlp_tf.data.feed import block_size, epoch_order
from mlp_tf.data.scaling import Scaling


@pytest.fixture(scope="module")
def split(arrays):
    """The 240 training images of the small dataset."""
    return Split(arrays["x_train"], arrays["y_train"])


def test_an_epoch_visits_rows_once_and_leaves_over_others_each_time():
    orders = [epoch_order(23, 5, seed=1, epoch=e) for e in range(2)]
    for order in orders:
        assert order.shape == (4, 5)
        assert order.dtype == np.int32
        assert len(set(order.ravel())) == 20
        assert order.min() >= 0
        assert order.max() < 23
    assert set(orders[0].ravel()) != set(orders[1].ravel())
    np.testing.assert_array_equal(orders[0], epoch_order(23, 5, seed=1, epoch=0))
    assert not np.array_equal(orders[0], epoch_order(23, 5, seed=2, epoch=0))


def test_worker_0_has_the_order_of_a_single_process_worker_1_another():
    np.testing.assert_array_equal(epoch_order(23, 5, 1, 2, index=0), epoch_order(23, 5, 1, 2))
    assert not np.array_equal(epoch_order(23, 5, 1, 2, index=1), epoch_order(23, 5, 1, 2))
    # The order that every run has had so far: (seed, purpose, epoch) alone.
    alone = np.random.default_rng((1, 0, 2)).permutation(23)[:20].reshape(4, 5)
    np.testing.assert_array_equal(epoch_order(23, 5, 1, 2), alone)


def test_an_epoch_is_all_images_as_they_are_in_the_order_of_its_number(split):
    feed = Feed(split, Config(batch_size=50, seed=2))
    for number in (0, 7):
        images, labels, order = feed.epoch(number)
        np.testing.assert_array_equal(images, split.images)
        np.testing.assert_array_equal(labels, split.labels)
        np.testing.assert_array_equal(order, epoch_order(240, 50, seed=2, epoch=number))
    assert (feed.steps, feed.inputs, feed.classes) == (4, 64, 3)


def test_an_epoch_is_distorted_by_its_number_after_images_are_upright(split):
    config = Config(batch_size=50, seed=3, deskew=True, distort=1.0, elastic=0.5)
    feed = Feed(split, config)
    for number in (0, 4):
        expected = distort(deskew(split.images).numpy(), config, number)
        np.testing.assert_array_equal(feed.epoch(number)[0], expected)


def test_batches_leave_no_image_out_and_are_upright_but_not_distorted(split):
    config = Config(deskew=True, distort=1.0, elastic=0.5)
    seen = list(batches(split, config, size=100))
    assert [len(labels) for _, labels in seen] == [100, 100, 40]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in seen]), deskew(split.images))
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in seen]), split.labels)


def test_a_batch_of_more_images_than_there_are_is_refused(split):
    assert Feed(split, Config(batch_size=240)).steps == 1
    with pytest.raises(UserError, match="--batch_size=241: must be at most the 240 training examples"):
        Feed(split, Config(batch_size=241))


@pytest.mark.parametrize("moved", [{"distort": 1.0}, {"elastic": 1.0}, {"deskew": True}])
def test_flat_images_cannot_be_moved_on_their_grid(split, moved):
    flat = Split(split.images.reshape(240, -1), split.labels)
    with pytest.raises(UserError, match=r"needs images of height x width, of uint8, and these have shape \(64,\)"):
        Feed(flat, Config(**moved))


@pytest.fixture(scope="module")
def real():
    """240 examples of three features that are far from 0, and their scaling."""
    examples = np.random.default_rng(0).normal([100, -5, 0], [20, 1, 0.01], (240, 3)).astype(np.float32)
    exact = examples.astype(np.float64)
    return Split(examples, np.arange(240, dtype=np.int32) % 3, scaling=Scaling(exact.mean(axis=0), exact.std(axis=0)))


def standardized(split):
    """The examples as the network sees them, in float64."""
    exact = split.images.astype(np.float64)
    return (exact - exact.mean(axis=0)) / exact.std(axis=0)


def test_a_step_sees_the_standardized_rows_of_its_batch(real):
    config = Config(hidden=(4,), batch_size=50, seed=2)
    feed = Feed(real, config)
    seen = []

    def step(state, config, examples, labels):
        tf.numpy_function(lambda *batch: seen.append(batch), [examples, labels], [])
        state.step.assign_add(1)
        return tf.constant(1.0)

    state = loop.new_state(config, (3, 4, 3), 4)
    epoch = feed.epoch(3)
    np.testing.assert_array_equal(epoch[0], real.images)
    loop.compile_steps(state, config, feed, step, jit=False)(epoch, 0, 4, [0.0, 0.0])
    for (examples, labels), rows in zip(seen, epoch_order(240, 50, seed=2, epoch=3), strict=True):
        assert examples.dtype == np.float32
        np.testing.assert_allclose(examples, standardized(real)[rows], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(labels, real.labels[rows])


def test_batches_are_standardized(real):
    seen = list(batches(real, Config(), size=100))
    examples = np.concatenate([examples for examples, _ in seen])
    assert (examples.dtype, [len(labels) for _, labels in seen]) == (np.float32, [100, 100, 40])
    np.testing.assert_allclose(examples, standardized(real), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("moved", [{"distort": 1.0}, {"elastic": 1.0}, {"deskew": True}])
def test_images_of_float32_cannot_be_moved_on_their_grid(split, moved):
    [(name, value)] = moved.items()
    message = rf"--{name}={value}: needs .* of uint8, and these have shape \(8, 8\), of float32; leave it out"
    with pytest.raises(UserError, match=message):
        Feed(split._replace(images=split.images.astype(np.float32)), Config(**moved))


def test_making_an_epoch_looks_after_each_block_and_may_be_ended(split, monkeypatch):
    monkeypatch.setattr(augmentation, "_BLOCK_PIXELS", 30 * 64)
    feed, looks = Feed(split, Config(batch_size=50, distort=1.0)), []
    feed.check_stop = lambda: looks.append(1)
    feed.epoch(0)
    assert len(looks) == 8  # 240 images, 30 in a block

    def look():
        raise KeyboardInterrupt

    feed.check_stop = look
    with pytest.raises(KeyboardInterrupt):
        feed.epoch(1)


@pytest.mark.parametrize(
    ("shape", "rows"), [((28, 28), 5000), ((32, 32, 3), 5000), ((224, 224, 3), 111), ((10**9,), 1)]
)
def test_large_images_are_worked_on_few_at_once(shape, rows):
    assert block_size(np.broadcast_to(np.uint8(0), (10_000, *shape))) == rows
