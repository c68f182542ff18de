"""Dropout, weight decay and max-norm, against NumPy in float64."""

import numpy as np
import oracle
import pytest
import tensorflow as tf

from mlp_tf import UserError, data, loop, regularization
from mlp_tf.config import Config
from mlp_tf.model import two_layer_perceptron

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (20, 6, 4), np.uint8), np.arange(20, dtype=np.int32) % 3
SIZES = (24, 8, 5, 3)


def settings(**more):
    """Of a small network; its batch are all rows."""
    return Config(hidden=(8, 5), batch_size=20, **more)


def arrays(state):
    """(weights, biases) of a state, as arrays."""
    return tuple({name: each.numpy() for name, each in group.items()} for group in (state.weights, state.biases))


def mixed(key, number):
    """MurmurHash3's `fmix32` of a Weyl sequence, in Python's integers."""
    bits = (key + number * 0x9E3779B9) % 2**32
    bits = (bits ^ bits >> 16) * 0x85EBCA6B % 2**32
    bits = (bits ^ bits >> 13) * 0xC2B2AE35 % 2**32
    return bits ^ bits >> 16


def thinned_gradients(masks, weights, biases, activate):
    """Cost and gradients of the weights under given masks, in float64, by differences of the cost."""
    x = IMAGES.reshape(20, -1) / 255.0

    def cost(weights):
        layer = x * masks[0]
        for i in range(1, len(weights)):
            layer = activate(layer @ weights[f"h{i}"] + biases[f"b{i}"]) * masks[i]
        return oracle.costs(layer @ weights["out"] + biases["out"], LABELS).mean()

    found = {}
    for name, weight in weights.items():
        found[name] = np.zeros(weight.shape)
        for place in np.ndindex(weight.shape):
            moved = weight.astype(np.float64)
            moved[place] += 1e-6
            found[name][place] = (cost({**weights, name: moved}) - cost(weights)) / 1e-6
    return cost(weights), found


@pytest.mark.parametrize(
    ("hidden", "activation", "activate"),
    [((8, 5), "relu", lambda z: np.maximum(z, 0)), ((6,), "tanh", np.tanh), ((5, 4, 3), "relu", lambda z: z * (z > 0))],
)
def test_a_step_under_dropout_has_the_cost_and_gradients_of_its_masks(hidden, activation, activate):
    config = Config(hidden=hidden, activation=activation, batch_size=20, dropout=0.4, input_dropout=0.2, seed=5)
    state = loop.new_state(config, (24, *hidden, 3), 10)
    weights, biases = arrays(state)
    masks = [
        np.asarray(mask, np.float64) for mask in regularization.draw_masks(config, (24, *hidden), 5, state.step, 20)
    ]
    cost_sum, _, gradients = loop.compute_gradients(state, config, IMAGES, LABELS)
    cost, expected = thinned_gradients(masks, weights, biases, activate)
    assert float(cost_sum) / 20 == pytest.approx(cost, rel=1e-5)
    for name, gradient in zip(weights, gradients, strict=False):
        np.testing.assert_allclose(gradient, expected[name], atol=2e-5)


def test_masks_are_hashes_of_seed_step_layer_row_and_unit():
    config = Config(dropout=0.5, input_dropout=0.25)
    masks = regularization.draw_masks(config, (5, 3), 2**31 - 1, tf.constant(7_000_000_000, tf.int64), 4)
    for layer, (mask, drop) in enumerate(zip(masks, (0.25, 0.5), strict=True)):
        key = mixed(mixed(mixed(0, 2**31 - 1), 7_000_000_000 % 2**32), layer)
        kept = [[mixed(mixed(key, row), unit) >= drop * 2**32 for unit in range(mask.shape[1])] for row in range(4)]
        np.testing.assert_array_equal(mask, np.array(kept, np.float32) / np.float32(1 - drop))


def test_masks_keep_the_mean_and_differ_by_step_layer_seed_and_row():
    config = Config(dropout=0.3)
    widths = (7, 50, 50)
    masks = regularization.draw_masks(config, widths, 1, tf.constant(3, tf.int64), 400)
    assert masks[0] == 1.0
    for mask in masks[1:]:
        assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / 0.7)}
        assert np.mean(mask) == pytest.approx(1, abs=0.02)
        assert len(np.unique(mask, axis=0)) > 390
    others = [
        masks[2],
        regularization.draw_masks(config, widths, 1, tf.constant(4, tf.int64), 400)[1],
        regularization.draw_masks(config, widths, 2, tf.constant(3, tf.int64), 400)[1],
    ]
    for other in others:
        assert np.mean(np.asarray(masks[1]) == np.asarray(other)) == pytest.approx(0.58, abs=0.03)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_weights_decay_by_the_rate_and_biases_do_not(optimizer, schedule):
    plain, decaying = (
        settings(optimizer=optimizer, learning_rate=0.1, schedule=schedule, weight_decay=decay) for decay in (0.0, 0.25)
    )
    states = [loop.new_state(config, SIZES, 4) for config in (plain, decaying)]
    before = arrays(states[0])[0]
    for state, config in zip(states, (plain, decaying), strict=True):
        loop.train_step(state, config, IMAGES, LABELS)
    (weights, biases), (decayed, its_biases) = map(arrays, states)
    for name, weight in weights.items():
        np.testing.assert_allclose(decayed[name], weight - 0.1 * 0.25 * before[name], rtol=0, atol=1e-6)
    for name, bias in biases.items():
        np.testing.assert_array_equal(its_biases[name], bias)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_the_weights_into_a_unit_are_scaled_down_to_the_largest_norm(optimizer):
    free, bounded = (settings(optimizer=optimizer, learning_rate=0.1, max_norm=bound) for bound in (0.0, 1.0))
    states = [loop.new_state(config, SIZES, 4) for config in (free, bounded)]
    for state, config in zip(states, (free, bounded), strict=True):
        loop.train_step(state, config, IMAGES, LABELS)
    (weights, biases), (scaled, its_biases) = map(arrays, states)
    for name, weight in weights.items():
        norms = np.sqrt((weight.astype(np.float64) ** 2).sum(axis=0))  # of each column, the weights into a unit
        np.testing.assert_allclose(scaled[name], weight * np.minimum(1, 1 / norms), rtol=1e-5)
        np.testing.assert_array_equal(scaled[name][:, norms < 0.999], weight[:, norms < 0.999])
    found = np.concatenate([np.linalg.norm(weight, axis=0) for weight in weights.values()])
    assert found.min() < 0.9 < 1.1 < found.max()
    for name, bias in biases.items():
        np.testing.assert_array_equal(its_biases[name], bias)


@pytest.mark.parametrize("changes", [{"weight_decay": 0.1}, {"max_norm": 2.0}])
def test_an_optimizer_of_your_own_is_left_to_decay_by_itself(changes):
    with pytest.raises(UserError, match="with your own optimizer: leave it out"):
        settings(optimizer=tf.compat.v1.train.MomentumOptimizer, **changes)


def test_with_the_flags_off_training_has_plain_model_and_optimizer():
    assert type(regularization.make_optimizer(settings(), lambda: 0.1)) is tf.compat.v1.train.AdamOptimizer
    assert loop.model_function(settings()) is two_layer_perceptron


def test_compiled_steps_are_those_taken_one_by_one():
    more = {"dropout": 0.3, "input_dropout": 0.1, "weight_decay": 0.5, "max_norm": 0.9, "learning_rate": 0.01}
    config = Config(hidden=(8, 5), batch_size=5, **more)
    feed = data.Feed(data.Split(IMAGES, LABELS), config)
    compiled, single = (loop.new_state(config, SIZES, 4) for _ in range(2))
    epoch = feed.epoch(0)
    loop.compile_steps(compiled, config, feed)(epoch, 0, 4, [0.0, 0.0])
    for rows in np.asarray(epoch[2]):
        loop.train_step(single, config, IMAGES[rows], LABELS[rows])
    for one, other in zip(compiled.variables(), single.variables(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_inference_knows_nothing_of_dropout():
    config = settings(dropout=0.5, input_dropout=0.5)
    state = loop.new_state(config, SIZES, 1)
    weights, biases = arrays(state)
    sums = loop.evaluate(loop.predictor(config, state.weights, state.biases), [(IMAGES, LABELS)])
    logits = oracle.forward(IMAGES.reshape(20, -1) / 255.0, weights, biases)[-1]
    assert sums.cost_sum == pytest.approx(oracle.costs(logits, LABELS).sum(), rel=1e-5)
