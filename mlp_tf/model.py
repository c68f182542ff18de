"""The perceptron as pure functions: no variables, no files, no state.

Every function works eagerly, in `tf.function` (with or without `jit_compile=True`), in a
`tf.compat.v1` graph with placeholders, and inside a Keras layer: `weights` and `biases` may hold
tensors or variables of any of these.
"""

import itertools
import math

import tensorflow as tf

from mlp_tf import UserError


def normalize(images):
    """Raw examples to the network's input: flat, float32; pixels become 0 to 1, other numbers stay as they are.

    Args:
      images: uint8 or float32 `[B, H, W]`, `[B, H, W, C]` or `[B, D]`; all but B static.

    Returns:
      float32 `[B, D]`, D = H * W * C.
    """
    x = tf.reshape(tf.cast(images, tf.float32), [-1, math.prod(images.shape[1:])])
    return x / 255.0 if images.dtype == tf.uint8 else x


def two_layer_perceptron(x, weights, biases):
    """Logits of a perceptron with two hidden ReLU layers.

    Args:
      x: float32 `[B, D]`.
      weights: `h1` `[D, H1]`, `h2` `[H1, H2]`, `out` `[H2, classes]`.
      biases: `b1` `[H1]`, `b2` `[H2]`, `out` `[classes]`.

    Returns:
      Logits `[B, classes]`; the softmax belongs to the loss.
    """
    layer_1 = tf.nn.relu(tf.matmul(x, weights["h1"]) + biases["b1"])  # [B, H1]
    layer_2 = tf.nn.relu(tf.matmul(layer_1, weights["h2"]) + biases["b2"])  # [B, H2]
    return tf.matmul(layer_2, weights["out"]) + biases["out"]  # [B, classes]


def perceptron(x, weights, biases, activation=tf.nn.relu):
    """Logits of a perceptron of any depth; with two ReLU layers, `two_layer_perceptron` bit for bit.

    Args:
      x: float32 `[B, D]`.
      weights: `h1`, `h2`, ... `[fan_in, fan_out]` each, and `out`.
      biases: `b1`, `b2`, ... `[fan_out]` each, and `out`.
      activation: applied to every layer but the last.

    Returns:
      Logits `[B, classes]`.
    """
    layer = x
    # By index: sorted by name, h10 would come before h2.
    for i in range(1, len(weights)):
        layer = activation(tf.matmul(layer, weights[f"h{i}"]) + biases[f"b{i}"])
    return tf.matmul(layer, weights["out"]) + biases["out"]


def cross_entropy(logits, labels, label_smoothing=0.0):
    """Softmax cross-entropy of each example, in nats.

    Args:
      logits: float32 `[B, classes]`.
      labels: int32 `[B]`.
      label_smoothing: part s of each target spread evenly (Szegedy et al. 2016, section 7): 1 - s + s / classes for
        the true class, s / classes for the others.

    Returns:
      float32 `[B]`.
    """
    off = label_smoothing / logits.shape[-1]
    targets = tf.one_hot(labels, logits.shape[-1], on_value=1.0 - label_smoothing + off, off_value=off)  # [B, classes]
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def init_params(sizes, seed=0, init="glorot"):
    """Draws weights and biases; each tensor depends on (seed, its layer) alone.

    Args:
      sizes: units of each layer, input and output included: `(784, 256, 256, 10)`.
      seed: integer of 0 or more.
      init: `glorot`, uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16);
        `he`, normal with variance 2 / fan_in (He et al. 2015, eq. 10); both with zero biases;
        `normal`, N(0, 1) for weights and biases, as the classic TensorFlow 1 tutorial has it.

    Returns:
      (weights, biases): dictionaries of float32 tensors, as `perceptron` takes them.

    Raises:
      UserError: fewer than two sizes, or an unknown `init`.
    """
    if len(sizes) < 2:
        raise UserError(f"sizes={sizes}: give at least the input's and the output's units")
    weights, biases = {}, {}
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), start=1):
        w, b = ("out", "out") if layer == len(sizes) - 1 else (f"h{layer}", f"b{layer}")
        weights[w], biases[b] = _init_layer(fan_in, fan_out, seed, layer, init)
    return weights, biases


def _init_layer(fan_in, fan_out, seed, layer, init):
    of_weights, of_biases = (tf.constant([seed, 2 * layer + purpose], tf.int64) for purpose in (0, 1))
    if init == "glorot":
        limit = math.sqrt(6.0 / (fan_in + fan_out))
        return tf.random.stateless_uniform([fan_in, fan_out], of_weights, -limit, limit), tf.zeros([fan_out])
    if init == "he":
        stddev = math.sqrt(2.0 / fan_in)
        return tf.random.stateless_normal([fan_in, fan_out], of_weights, 0.0, stddev), tf.zeros([fan_out])
    if init == "normal":
        weights = tf.random.stateless_normal([fan_in, fan_out], of_weights)
        return weights, tf.random.stateless_normal([fan_out], of_biases)
    raise UserError(f"init={init}: must be one of glorot, he, normal")
