"""What training adds and inference leaves out: dropout, and an optimizer with weight decay and max-norm."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from mlp_tf import UserError
from mlp_tf.config import Config
from mlp_tf.model import perceptron

OPTIMIZERS = {
    "adam": tf.compat.v1.train.AdamOptimizer,
    "rmsprop": tf.compat.v1.train.RMSPropOptimizer,
    "sgd": tf.compat.v1.train.GradientDescentOptimizer,
    "momentum": tf.compat.v1.train.MomentumOptimizer,
}


def with_dropout(activation: Callable, config: Config, seed: tf.Tensor, step: tf.Tensor) -> Callable:
    """Returns the model function of a training step with inverted dropout (Srivastava et al. 2014).

    Args:
      activation: of the hidden layers.
      config: `dropout` and `input_dropout`, the probability that a hidden unit, or a value of the input, is dropped.
      seed, step: integer scalars from which the masks are drawn; `step` counts the steps taken so far.

    Returns:
      A function (x, weights, biases) -> logits.
    """

    def dropout_perceptron(x, weights, biases):
        widths = [weight.shape[0] for weight in weights.values()]
        masks = iter(draw_masks(config, widths, seed, step, examples=tf.shape(x)[0]))
        return perceptron(x * next(masks), weights, biases, lambda inputs: activation(inputs) * next(masks))

    return dropout_perceptron


def draw_masks(config: Config, widths: Sequence[int], seed: tf.Tensor, step: tf.Tensor, examples: tf.Tensor) -> list:
    """Draws masks of inverted dropout: 0 with probability P, else 1 / (1 - P), which keeps the mean of a unit.

    Each value depends only on (seed, step, layer, row of the batch, unit), so the masks of a batch do not depend on the
    number of replicas.

    Args:
      config: `input_dropout` and `dropout`, the P of the input and of the hidden layers.
      widths: of the input and of each hidden layer.
      seed, step: integer scalars; `step` counts the steps taken so far.
      examples: how many rows of the batch this replica has, int or int32.

    Returns:
      For each of the widths float32 `[examples, width]`; 1.0 where P is 0.
    """
    key = _mix(_mix(tf.zeros([], tf.uint32), seed), step)
    probabilities = [config.input_dropout, *[config.dropout] * (len(widths) - 1)]
    masks = []
    for layer, (width, probability) in enumerate(zip(widths, probabilities, strict=True)):
        masks.append(_mask(_mix(key, layer), examples, width, probability) if probability else 1.0)
    return masks


def _mask(key, examples, width, probability):
    first = tf.distribute.get_replica_context().replica_id_in_sync_group * examples
    bits = _mix(_mix(key, first + tf.range(examples)[:, tf.newaxis]), tf.range(width))  # [examples, width]
    keep = bits >= tf.constant(int(probability * 2**32), tf.uint32)
    return tf.cast(keep, tf.float32) / (1.0 - probability)


def _mix(key, number):
    """Returns 32 bits, uint32, that look random in each pair of key and number.

    These are MurmurHash3's last steps (`fmix32`, Appleby 2011) on a Weyl sequence. TensorFlow's stateless random
    functions draw other numbers from the same seed under XLA (one device) than in the kernels (several replicas).
    """
    bits = key + tf.cast(number, tf.uint32) * tf.constant(0x9E3779B9, tf.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = (bits ^ tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint32))) * tf.constant(factor, tf.uint32)
    return bits ^ tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32))


def make_optimizer(config: Config, rate: Callable[[], tf.Tensor]) -> tf.compat.v1.train.Optimizer:
    """Creates the optimizer of a run.

    Args:
      config: `optimizer`, a name or a function of the learning rate; `momentum`, `weight_decay` and `max_norm`.
      rate: returns the learning rate of the step.

    Raises:
      UserError: a function that fails, or makes something other than a `tf.compat.v1.train.Optimizer`.
    """
    kind = OPTIMIZERS.get(config.optimizer, config.optimizer)
    if config.weight_decay or config.max_norm:
        kind = _regularized(kind, config, rate)
    options = [config.momentum] if config.optimizer == "momentum" else []
    try:
        optimizer = kind(rate, *options)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"optimizer={kind}: {type(error).__name__}: {error}; its argument is a function that returns the learning "
            "rate of the step: for half of it, pass lambda: 0.5 * rate()"
        ) from error
    if not isinstance(optimizer, tf.compat.v1.train.Optimizer):
        raise UserError(
            f"optimizer={kind}: made a {type(optimizer).__name__}; must make a tf.compat.v1.train.Optimizer, such as "
            "tf.compat.v1.train.MomentumOptimizer(rate, 0.9)"
        )
    return optimizer


def _regularized(kind, config, rate):
    """Returns a subclass of an optimizer's class that decays weights and bounds their norms, but not those of biases.

    `weight_decay`: besides the gradient's update, each step subtracts this fraction of a weight, times the learning
    rate (decoupled, Loshchilov and Hutter 2019; times the whole rate, as AdamW in PyTorch).
    `max_norm`: if the weights into a unit have a larger norm after the step, they are scaled down to it (Srivastava et
    al. 2014, section 5.1).
    """

    class Regularized(kind):
        # TensorFlow calls this for each variable, on each replica's copy: under a strategy, a step may not assign to
        # mirrored variables anywhere else.
        def _resource_apply_dense(self, grad, handle):
            if handle.shape.rank < 2:  # a bias
                return super()._resource_apply_dense(grad, handle)
            if config.weight_decay:
                handle.assign_sub(config.weight_decay * rate() * handle)
            update = super()._resource_apply_dense(grad, handle)
            if config.max_norm:
                # `tf.clip_by_norm` would change the last bits of weights within the bound.
                handle.assign(handle * tf.minimum(1.0, config.max_norm / tf.norm(handle, axis=0)))
            return update

    return Regularized
