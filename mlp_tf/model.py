"""The perceptron as pure functions: no variables, no files, no state.

Every function works eagerly, in `tf.function` (with or without `jit_compile=True`), in a
`tf.compat.v1` graph with placeholders, and inside a Keras layer: `weights` and `biases` may hold
tensors, variables or arrays.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from mlp_tf import UserError

Parameters = Mapping[str, tf.Tensor | tf.Variable]


def normalize(images: tf.Tensor) -> tf.Tensor:
    """Flattens raw examples to float32 and divides pixels by 255; other numbers stay as they are.

    Args:
      images: uint8 (pixels) or float32, `[B, H, W]`, `[B, H, W, C]` or `[B, D]`; all but B static.

    Returns:
      float32 `[B, D]`, D = H * W * C.
    """
    x = tf.reshape(tf.cast(images, tf.float32), [-1, math.prod(images.shape[1:])])
    return x / 255.0 if images.dtype == tf.uint8 else x


def two_layer_perceptron(x: tf.Tensor, weights: Parameters, biases: Parameters) -> tf.Tensor:
    """Computes the logits of a perceptron with two hidden ReLU layers.

    Args:
      x: float32 `[B, D]`.
      weights: `h1` `[D, H1]`, `h2` `[H1, H2]`, `out` `[H2, classes]`.
      biases: `b1` `[H1]`, `b2` `[H2]`, `out` `[classes]`.

    Returns:
      Logits `[B, classes]`; the softmax belongs to the loss.

    Raises:
      UserError: `weights` of another depth.
    """
    if set(weights) != {"h1", "h2", "out"}:
        raise UserError(f"weights={sorted(weights)}: must be h1, h2 and out; for another depth, call perceptron")
    layer_1 = tf.nn.relu(tf.matmul(x, weights["h1"]) + biases["b1"])  # [B, H1]
    layer_2 = tf.nn.relu(tf.matmul(layer_1, weights["h2"]) + biases["b2"])  # [B, H2]
    return tf.matmul(layer_2, weights["out"]) + biases["out"]  # [B, classes]


def perceptron(
    x: tf.Tensor, weights: Parameters, biases: Parameters, activation: Callable[[tf.Tensor], tf.Tensor] = tf.nn.relu
) -> tf.Tensor:
    """Computes the logits of a perceptron of any depth; with two ReLU layers, `two_layer_perceptron` bit for bit.

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


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor, label_smoothing: float = 0.0) -> tf.Tensor:
    """Computes the softmax cross-entropy of each example, in nats.

    Args:
      logits: float32 `[B, classes]`.
      labels: integers `[B]`, from 0 to classes - 1.
      label_smoothing: fraction s of each target spread evenly (Szegedy et al. 2016, section 7): 1 - s + s / classes for
        the true class, s / classes for the others.

    Returns:
      float32 `[B]`.

    Raises:
      UserError, tf.errors.InvalidArgumentError: what `check_labels` raises.
    """
    classes = logits.shape[-1]
    labels = check_labels(labels, classes)
    off = label_smoothing / classes
    targets = tf.one_hot(labels, classes, on_value=1.0 - label_smoothing + off, off_value=off)  # [B, classes]
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def check_labels(labels: tf.Tensor, classes: int) -> tf.Tensor:
    """Checks labels and returns them as int32 `[B]`.

    XLA checks no values: `data.Feed` checks them before the loop starts.

    Raises:
      UserError: labels that are not integers `[B]`, such as one-hot; eagerly, a label outside 0 to classes - 1.
      tf.errors.InvalidArgumentError: the same, when a `tf.function` runs.
    """
    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_integer or labels.shape.rank not in (1, None):
        raise UserError(
            f"labels are {labels.dtype.name} of shape {labels.shape}; must be integers of shape [B]; if they are "
            "one-hot, give tf.argmax(labels, axis=1)"
        )
    whole = tf.cast(labels, tf.int64)
    is_valid = (whole >= 0) & (whole < classes)
    if not tf.executing_eagerly():
        tf.debugging.Assert(tf.reduce_all(is_valid), [f"labels must be from 0 to {classes - 1}, but are", labels])
    elif not tf.reduce_all(is_valid):
        raise UserError(f"a label is {labels[~is_valid][0]}; must be from 0 to {classes - 1}, one of {classes} classes")
    return tf.cast(labels, tf.int32)


def parameter_shapes(sizes: Sequence[int]) -> tuple[dict[str, tuple], dict[str, tuple]]:
    """Returns the shapes of all weights and of all biases, by name, in the order of the layers.

    Args:
      sizes: units of each layer, input and output included: `(784, 256, 256, 10)`.

    Raises:
      UserError: fewer than two sizes.
    """
    if len(sizes) < 2:
        raise UserError(f"sizes={sizes}: give at least the units of the input and of the output")
    weights, biases = {}, {}
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), start=1):
        is_output = layer == len(sizes) - 1
        weights["out" if is_output else f"h{layer}"] = (fan_in, fan_out)
        biases["out" if is_output else f"b{layer}"] = (fan_out,)
    return weights, biases


def init_params(sizes: Sequence[int], seed: int = 0, init: str = "glorot") -> tuple[dict, dict]:
    """Draws initial weights and biases; each tensor depends on (seed, its layer) alone.

    Args:
      sizes: units of each layer, input and output included: `(784, 256, 256, 10)`.
      seed: integer of 0 or more.
      init: `glorot`, uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16);
        `he`, normal with variance 2 / fan_in (He et al. 2015, eq. 10); both with zero biases;
        `normal`, N(0, 1) for weights and biases, as in the classic TensorFlow 1 tutorial.

    Returns:
      (weights, biases): dictionaries of float32 tensors, as `perceptron` takes them.

    Raises:
      UserError: fewer than two sizes, or an unknown `init`.
    """
    if init not in ("glorot", "he", "normal"):
        raise UserError(f"init={init}: must be one of glorot, he, normal")
    weights, biases = parameter_shapes(sizes)
    for layer, name in enumerate(weights, start=1):
        fan_in, fan_out = weights[name]
        key = tf.constant([seed, 2 * layer], tf.int64)
        if init == "glorot":
            limit = math.sqrt(6.0 / (fan_in + fan_out))
            weights[name] = tf.random.stateless_uniform([fan_in, fan_out], key, -limit, limit)
        else:
            stddev = math.sqrt(2.0 / fan_in) if init == "he" else 1.0
            weights[name] = tf.random.stateless_normal([fan_in, fan_out], key, 0.0, stddev)
    for layer, (name, shape) in enumerate(biases.items(), start=1):
        key = tf.constant([seed, 2 * layer + 1], tf.int64)
        biases[name] = tf.random.stateless_normal(shape, key) if init == "normal" else tf.zeros(shape)
    return weights, biases
