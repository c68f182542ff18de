"""The step in NumPy: its gradients against finite differences, and all of it against TensorFlow."""

import re

import numpy as np
import pytest
import tensorflow as tf

from mlp_tf import by_hand, model

SIZES = {0: (6, 3), 1: (6, 5, 3), 2: (6, 5, 4, 3), 3: (6, 5, 4, 4, 3)}  # by the number of hidden layers
LABELS = np.array([2, 0, 2, 1, 2, 0, 0])


def draw(sizes, seed):
    """(x, weights, biases) in float64, of a batch for LABELS."""
    rng = np.random.default_rng(seed)
    weights, biases = (
        {name: rng.normal(size=shape) for name, shape in group.items()} for group in model.parameter_shapes(sizes)
    )
    return rng.normal(size=(len(LABELS), sizes[0])), weights, biases


def gradients(x, weights, biases, labels=LABELS):
    logits, layers = by_hand.perceptron(x, weights, biases)
    return by_hand.compute_gradients(logits, labels, layers, weights)


def cost(x, weights, biases):
    logits, _ = by_hand.perceptron(x, weights, biases)
    return by_hand.cross_entropy(logits, LABELS).mean()


def finite_differences(x, weights, biases, h=1e-6):
    """Central differences of the mean cost by every parameter, in the layout of `gradients`; their error is of h**2."""
    groups = ({}, {})
    for group, parameters in zip(groups, (weights, biases), strict=True):
        for name, values in parameters.items():
            group[name] = np.zeros_like(values)
            for index in np.ndindex(values.shape):
                value = values[index]
                values[index] = value + h
                above = cost(x, weights, biases)
                values[index] = value - h
                group[name][index] = (above - cost(x, weights, biases)) / (2 * h)
                values[index] = value
    return groups


def assert_close(found, expected, **tolerance):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            np.testing.assert_allclose(value, theirs[name], err_msg=name, **tolerance)


@pytest.mark.parametrize("hidden_layers", SIZES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_gradient_is_that_of_finite_differences(hidden_layers, seed):
    drawn = draw(SIZES[hidden_layers], seed)
    assert_close(gradients(*drawn), finite_differences(*drawn), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("wrong", [lambda d: 1.001 * d, lambda d: d.T if d.shape == (4, 4) else d])
def test_finite_differences_tell_a_gradient_that_is_slightly_wrong(wrong):
    drawn = draw(SIZES[3], seed=0)
    changed = [{name: wrong(gradient) for name, gradient in group.items()} for group in gradients(*drawn)]
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_close(changed, finite_differences(*drawn), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("sizes", [*SIZES.values(), (6, *range(3, 14), 3)])  # sorted by name, h10 is before h2
def test_logits_costs_and_gradients_are_those_of_tensorflow(sizes):
    x, weights, biases = draw(sizes, seed=3)
    weights, biases = ({name: tf.constant(v) for name, v in group.items()} for group in (weights, biases))
    with tf.GradientTape() as tape:
        tape.watch((weights, biases))
        their_logits = model.perceptron(x, weights, biases)
        their_costs = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, their_logits)
        mean = tf.reduce_mean(their_costs)
    theirs = tape.gradient(mean, (weights, biases))
    arrays = [{name: value.numpy() for name, value in group.items()} for group in (weights, biases)]
    logits, layers = by_hand.perceptron(x, *arrays)
    np.testing.assert_allclose(logits, their_logits, rtol=1e-12)
    np.testing.assert_allclose(by_hand.cross_entropy(logits, LABELS), their_costs, rtol=1e-12)
    np.testing.assert_allclose(
        by_hand.cross_entropy(logits, LABELS),
        model.cross_entropy(tf.cast(their_logits, tf.float32), LABELS),
        rtol=1e-5,
        atol=1e-6,
    )
    assert_close(by_hand.compute_gradients(logits, LABELS, layers, arrays[0]), theirs, rtol=1e-11, atol=1e-15)


def test_large_logits_overflow_nothing():
    logits = np.array([[1e4, 0.0, -1e4], [1e4, 0.0, -1e4], [1e4, 1e4, 0.0]])
    labels = np.array([0, 2, 1])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_allclose(by_hand.cross_entropy(logits, labels), [0.0, 2e4, np.log(2)])
        d_weights, d_biases = by_hand.compute_gradients(logits, labels, [np.eye(3)], {"out": np.zeros((3, 3))})
    np.testing.assert_allclose(d_weights["out"], np.array([[0, 0, 0], [1, 0, -1], [0.5, -0.5, 0]]) / 3)
    np.testing.assert_allclose(d_biases["out"], np.array([1.5, -0.5, -1]) / 3)


def test_equal_logits_are_equally_probable():
    assert by_hand.cross_entropy(np.full((1, 10), 7.0), np.array([3])) == pytest.approx([np.log(10)])


def test_a_relu_whose_input_is_exactly_zero_passes_no_gradient_on():
    """As in TensorFlow. There is no derivative at 0: finite differences would give a half."""
    x = np.array([[1.0, -1.0]])
    weights = {"h1": np.array([[2.0], [2.0]]), "out": np.array([[1.0, -1.0]])}
    biases = {"b1": np.zeros(1), "out": np.zeros(2)}
    d_weights, d_biases = gradients(x, weights, biases, labels=np.array([0]))
    assert not d_weights["h1"].any()
    assert not d_biases["b1"].any()
    np.testing.assert_array_equal(d_biases["out"], [-0.5, 0.5])


@pytest.mark.parametrize(
    ("gradients", "expected"),  # computed to 40 digits
    [
        ([0.5, -0.25, 1.0], [0.9000000632455132, 0.8733663743517926, 0.8075552324958424]),
        # So small that epsilon counts: Algorithm 1 of the paper gives 0.909, 0.956, 0.993.
        ([1e-7, -3e-7, 0.0], [0.9759746926647957, 1.0006835665614697, 1.0197788201814269]),
    ],
)
def test_adam_follows_the_form_with_epsilon_hat(gradients, expected):
    parameters = {"out": np.array([1.0])}
    moments = {}
    for step, (gradient, value) in enumerate(zip(gradients, expected, strict=True), start=1):
        by_hand.adam_step(parameters, {"out": np.array([gradient])}, moments, step, learning_rate=0.1)
        np.testing.assert_allclose(parameters["out"], [value], rtol=1e-14)


def test_adam_is_that_of_tensorflow():
    rng = np.random.default_rng(0)
    variable = tf.Variable(np.zeros((4, 50), np.float32))
    optimizer = tf.compat.v1.train.AdamOptimizer(0.01)
    parameters = {"h1": variable.numpy().astype(np.float64)}
    moments = {}
    scales = 10.0 ** -np.arange(10, step=0.2)  # of the columns, so that epsilon counts in some
    for step in range(1, 31):
        gradient = (rng.normal(size=(4, 50)) * scales).astype(np.float32)
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
        by_hand.adam_step(parameters, {"h1": gradient.astype(np.float64)}, moments, step, learning_rate=0.01)
    # float32 cancels digits in 1 - beta2**step.
    np.testing.assert_allclose(parameters["h1"], variable, rtol=1e-4, atol=1e-6)


def read_table(outcome):
    """(costs by hand, costs of train_step) that the command printed."""
    assert (outcome.code, outcome.err) == (0, "")
    rows = re.findall(r"^ *\d+ +(\d\.\d{6}) +(\d\.\d{6})$", outcome.out, re.MULTILINE)
    return np.array(rows, np.float64).T


def test_the_command_prints_equal_costs(run, sample_read_once):
    outcome = run(by_hand, "--steps=21")
    assert re.findall(r"^ *(\d+) +\d", outcome.out, re.MULTILINE) == ["1", "10", "20", "21"]
    ours, theirs = read_table(outcome)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert theirs[-1] < theirs[0] - 0.1  # it learns
    found = dict(re.findall(r"^Largest (difference|change) of a parameter.*: (\S+)$", outcome.out, re.MULTILINE))
    assert float(found["difference"]) < 1e-4
    assert 1e-3 < float(found["change"]) < 1e-1


def test_the_command_shows_a_wrong_gradient(run, sample_read_once, monkeypatch):
    right = by_hand.compute_gradients

    def without_relu(logits, labels, layers, weights):
        return right(logits, labels, [np.maximum(layer, 1e-9) for layer in layers], weights)

    monkeypatch.setattr(by_hand, "compute_gradients", without_relu)
    ours, theirs = read_table(run(by_hand, "--steps=21"))
    assert abs(ours[0] - theirs[0]) < 2e-5  # before the first step
    assert abs(ours[-1] - theirs[-1]) > 1e-3


def test_the_command_steps_on_whole_batches_of_the_sample(sample_read_once):
    from mlp_tf import data

    assert len(data.load("mnist_sample").train.labels) % 50 == 0
