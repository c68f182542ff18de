"""Dropout, decay and bounded norms, against NumPy in float64; other tests resume them, and share masks of replicas."""

import numpy as np
import oracle
import pytest
import tensorflow as tf

from mlp_tf import UserError, loop, regularize
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


def thinned_gradients(masks, weights, biases):
    """Cost and gradients of the weights under given masks, in float64, by differences of the cost."""
    x = IMAGES.reshape(20, -1) / 255.0

    def cost(weights):
        layer = x * masks[0]
        for i in (1, 2):
            layer = np.maximum(layer @ weights[f"h{i}"] + biases[f"b{i}"], 0) * masks[i]
        return oracle.costs(layer @ weights["out"] + biases["out"], LABELS).mean()

    found = {}
    for name, weight in weights.items():
        found[name] = np.zeros(weight.shape)
        for place in np.ndindex(weight.shape):
            moved = weight.astype(np.float64)
            moved[place] += 1e-6
            found[name][place] = (cost({**weights, name: moved}) - cost(weights)) / 1e-6
    return cost(weights), found


def test_a_step_under_dropout_has_the_cost_and_gradients_of_its_masks():
    config = settings(dropout=0.4, input_dropout=0.2, seed=5)
    state = loop.new_state(config, SIZES, 10)
    weights, biases = arrays(state)
    masks = [np.asarray(mask, np.float64) for mask in regularize.draw_masks(config, SIZES[:3], state.step, 20)]
    cost_sum, gradients = loop.compute_gradients(state, config, IMAGES, LABELS)
    cost, expected = thinned_gradients(masks, weights, biases)
    assert float(cost_sum) / 20 == pytest.approx(cost, rel=1e-5)
    for name, gradient in zip(weights, gradients, strict=False):
        np.testing.assert_allclose(gradient, expected[name], atol=2e-5)


def test_masks_keep_the_mean_and_differ_by_step_layer_seed_and_row():
    config = Config(dropout=0.3, batch_size=400, seed=1)
    widths = (7, 50, 50)
    masks = regularize.draw_masks(config, widths, tf.constant(3, tf.int64), 400)
    assert masks[0] == 1.0
    for mask in masks[1:]:
        assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / 0.7)}
        assert np.mean(mask) == pytest.approx(1, abs=0.02)
        assert len(np.unique(mask, axis=0)) > 390
    others = [
        masks[2],
        regularize.draw_masks(config, widths, tf.constant(4, tf.int64), 400)[1],
        regularize.draw_masks(Config(dropout=0.3, batch_size=400, seed=2), widths, tf.constant(3, tf.int64), 400)[1],
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
    assert any((np.linalg.norm(weight, axis=0) > 1.1).any() for weight in weights.values())
    for name, bias in biases.items():
        np.testing.assert_array_equal(its_biases[name], bias)


@pytest.mark.parametrize("changes", [{"weight_decay": 0.1}, {"max_norm": 2.0}])
def test_an_optimizer_of_your_own_is_left_to_decay_by_itself(changes):
    with pytest.raises(UserError, match="with an optimizer of your own: let that one do it"):
        settings(optimizer=tf.compat.v1.train.MomentumOptimizer, **changes)


def test_with_the_flags_off_training_has_the_model_and_the_optimizer_themselves():
    adam, model = tf.compat.v1.train.AdamOptimizer, two_layer_perceptron
    assert regularize.regularized(adam, settings(), None) is adam
    assert regularize.with_dropout(model, tf.nn.relu, settings(), None) is model


def test_inference_knows_nothing_of_dropout():
    config = settings(dropout=0.5, input_dropout=0.5)
    state = loop.new_state(config, SIZES, 1)
    weights, biases = arrays(state)
    sums = loop.evaluate(state.weights, state.biases, config, [(IMAGES, LABELS)])
    logits = oracle.forward(IMAGES.reshape(20, -1) / 255.0, weights, biases)[-1]
    assert sums.cost_sum == pytest.approx(oracle.costs(logits, LABELS).sum(), rel=1e-5)
