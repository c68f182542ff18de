"""The model function: right in every setting in which TensorFlow code may call it."""

import numpy as np
import oracle
import pytest
import tensorflow as tf

from mlp_tf import UserError
from mlp_tf.model import init_params, normalize, perceptron, two_layer_perceptron

SIZES = (12, 7, 5, 3)


@pytest.fixture
def params():
    return init_params(SIZES, seed=3, init="normal")


@pytest.fixture
def x():
    return np.random.default_rng(1).random((9, SIZES[0]), np.float32)


@pytest.fixture
def expected(params, x):
    weights, biases = ({name: value.numpy() for name, value in group.items()} for group in params)
    return oracle.forward(x, weights, biases)[-1]


def test_forward_pass_equals_numpy_in_float64(params, x, expected):
    np.testing.assert_allclose(two_layer_perceptron(x, *params), expected, rtol=1e-5, atol=1e-5)


def test_gradients_equal_numpy_in_float64(params, x):
    labels = np.arange(len(x)) % SIZES[-1]
    with tf.GradientTape() as tape:
        tape.watch(params)
        logits = two_layer_perceptron(x, *params)
        cost = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    ours = tape.gradient(cost, params)
    theirs = oracle.gradients(x, labels, *({k: v.numpy() for k, v in group.items()} for group in params))
    for mine, exact in zip(ours, theirs, strict=True):
        assert mine.keys() == exact.keys()
        for name, value in mine.items():
            np.testing.assert_allclose(value, exact[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_works_in_a_tf_function(params, x, expected, jit_compile):
    compiled = tf.function(two_layer_perceptron, jit_compile=jit_compile)
    np.testing.assert_allclose(compiled(x, *params), expected, rtol=1e-5, atol=1e-5)


def test_works_in_a_tf1_graph_with_placeholders_and_a_session(x, expected, params):
    values = [{name: value.numpy() for name, value in group.items()} for group in params]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        pixels = tf.compat.v1.placeholder(tf.float32, [None, SIZES[0]])
        variables = [
            {k: tf.compat.v1.get_variable(f"{i}{k}", initializer=v) for k, v in values[i].items()} for i in (0, 1)
        ]
        logits = two_layer_perceptron(pixels, *variables)
        session.run(tf.compat.v1.global_variables_initializer())
        np.testing.assert_allclose(session.run(logits, {pixels: x}), expected, rtol=1e-5, atol=1e-5)


def test_works_and_trains_inside_a_keras_layer(params, x, expected):
    import keras

    class Perceptron(keras.layers.Layer):
        def build(self, shape):
            self.kernels, self.offsets = (
                {
                    k: self.add_weight(shape=v.shape, name=f"{n}_{k}", initializer=lambda s, dtype, v=v: v)
                    for k, v in g.items()
                }
                for n, g in zip("wb", params, strict=True)
            )

        def call(self, inputs):
            return two_layer_perceptron(inputs, self.kernels, self.offsets)

    model = keras.Sequential([Perceptron()])
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-5)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()[0].copy()
    model.fit(x, np.zeros(len(x)), verbose=0)
    assert not np.array_equal(before, model.get_weights()[0])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_perceptron_of_two_relu_layers_equals_the_explicit_one_in_bits(params, x, jit_compile):
    ours, general = (tf.function(f, jit_compile=jit_compile) for f in (two_layer_perceptron, perceptron))
    np.testing.assert_array_equal(ours(x, *params), general(x, *params))
    np.testing.assert_array_equal(two_layer_perceptron(x, *params), perceptron(x, *params))


def test_perceptron_walks_eleven_layers_by_index():
    weights, biases = init_params((4, *range(5, 16), 3), seed=0)  # only in their right order do the shapes fit
    x = np.random.default_rng(0).random((2, 4), np.float32)
    exact = oracle.forward(x, *({k: v.numpy() for k, v in group.items()} for group in (weights, biases)))[-1]
    np.testing.assert_allclose(perceptron(x, weights, biases), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "exact"), [(tf.nn.sigmoid, lambda z: 1 / (1 + np.exp(-z))), (tf.nn.tanh, np.tanh)]
)
def test_perceptron_applies_other_activations_to_hidden_layers_only(activation, exact):
    weights, biases = init_params((6, 4, 3), seed=1, init="normal")
    x = np.random.default_rng(0).random((5, 6), np.float32)
    hidden = exact(x @ weights["h1"].numpy() + biases["b1"].numpy())
    logits = hidden @ weights["out"].numpy() + biases["out"].numpy()
    np.testing.assert_allclose(perceptron(x, weights, biases, activation), logits, rtol=1e-5, atol=1e-5)


def test_two_layers_of_256_on_mnist_have_269322_parameters():
    weights, biases = init_params((784, 256, 256, 10))
    assert sum(int(tf.size(v)) for group in (weights, biases) for v in group.values()) == 269_322
    assert list(weights) == ["h1", "h2", "out"]
    assert list(biases) == ["b1", "b2", "out"]


@pytest.mark.parametrize("shape", [(3, 4, 2), (3, 4, 2, 1), (3, 8)])
def test_normalize_flattens_and_maps_0_to_255_onto_0_to_1(shape):
    images = np.arange(24, dtype=np.uint8).reshape(shape) * 11
    x = normalize(images)
    assert x.dtype == tf.float32
    np.testing.assert_array_equal(x, images.reshape(3, 8).astype(np.float32) / np.float32(255))
    assert normalize(np.full((1, 2, 2), 255, np.uint8)).numpy().max() == 1.0


@pytest.mark.parametrize("shape", [(3, 4, 2), (3, 4, 2, 1), (3, 8)])
@pytest.mark.parametrize("kind", [np.array, tf.constant])
def test_normalize_flattens_float32_and_leaves_its_values(shape, kind):
    examples = np.random.default_rng(0).normal(0, 300, shape).astype(np.float32)
    x = normalize(kind(examples))
    assert x.dtype == tf.float32
    assert x.numpy().tolist() == [[float(value) for value in example.ravel()] for example in examples]


def test_glorot_is_uniform_within_its_limit():
    weights, biases = init_params((300, 200, 10), init="glorot")
    limit = np.sqrt(6 / 500)
    w = weights["h1"].numpy()
    assert abs(w).max() <= limit
    assert abs(w).max() > 0.99 * limit
    assert w.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)
    assert not biases["b1"].numpy().any()


def test_he_is_normal_with_variance_two_over_fan_in():
    weights, biases = init_params((300, 200, 10), init="he")
    assert weights["h1"].numpy().std() == pytest.approx(np.sqrt(2 / 300), rel=0.01)
    assert not biases["b1"].numpy().any()


def test_normal_draws_weights_and_biases_from_n_0_1():
    weights, biases = init_params((300, 2000, 10), init="normal")
    assert weights["h1"].numpy().std() == pytest.approx(1, rel=0.01)
    assert biases["b1"].numpy().std() == pytest.approx(1, rel=0.05)
    assert not np.array_equal(biases["b1"], weights["h1"][0])


def test_a_layer_depends_on_the_seed_and_its_place_alone():
    one, other = init_params((6, 5, 4, 3), seed=1)[0], init_params((6, 5, 4, 4, 3), seed=1)[0]
    np.testing.assert_array_equal(one["h2"], other["h2"])
    assert not np.array_equal(one["h2"], init_params((6, 5, 4, 3), seed=2)[0]["h2"])


def test_an_unknown_init_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="init=xavier: must be one of glorot, he, normal"):
        init_params((3, 2), init="xavier")
