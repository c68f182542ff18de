"""What training adds against overfitting, and inference leaves out: dropout, weight decay, bounded norms."""

import tensorflow as tf

from mlp_tf.model import perceptron


def with_dropout(activation, config, step):
    """A perceptron as training sees it: inverted dropout of its input and of its hidden units (Srivastava et al. 2014).

    Args:
      activation: of the hidden layers.
      config: `dropout` and `input_dropout`, the probability that a hidden unit, or a value of the input, is dropped.
      step: int64, the steps taken so far, which with `config.seed` the masks are drawn from.

    Returns:
      A function (x, weights, biases) -> logits.
    """

    def thinned(x, weights, biases):
        widths = [weight.shape[0] for weight in weights.values()]
        of_input, *of_layers = draw_masks(config, widths, step, rows=tf.shape(x)[0])
        masks = iter(of_layers)
        return perceptron(x * of_input, weights, biases, lambda inputs: activation(inputs) * next(masks))

    return thinned


def draw_masks(config, widths, step, rows):
    """Masks of inverted dropout: 0 with probability P, else 1 / (1 - P), so that a unit's mean stays.

    Each value depends on (seed, step, layer, row of the batch, unit) alone: however many replicas share a batch, its
    masks are those of one.

    Args:
      config: `seed`, `input_dropout` and `dropout`, the P of the input and of the hidden layers.
      widths: of the input and of each hidden layer.
      step: int64, the steps taken so far.
      rows: how many rows of the batch this replica has, int or int32.

    Returns:
      For each of the widths float32 `[rows, width]`; 1.0 where P is 0.
    """
    key = _mix(_mix(tf.zeros([], tf.uint32), config.seed), step)
    drops = [config.input_dropout, *[config.dropout] * (len(widths) - 1)]
    layers = zip(widths, drops, strict=True)
    return [_mask(_mix(key, i), rows, width, drop) if drop else 1.0 for i, (width, drop) in enumerate(layers)]


def _mask(key, rows, width, drop):
    first = tf.distribute.get_replica_context().replica_id_in_sync_group * rows
    bits = _mix(_mix(key, first + tf.range(rows)[:, tf.newaxis]), tf.range(width))  # [rows, width]
    return tf.cast(bits >= tf.constant(int(drop * 2**32), tf.uint32), tf.float32) / (1.0 - drop)


def _mix(key, number):
    """32 bits, uint32, that look random in each pair of key and number.

    They are MurmurHash3's last steps (`fmix32`, Appleby 2011) on a Weyl sequence. From one seed TensorFlow's stateless
    random functions draw other numbers under XLA, which compiles for one device, than in the kernels of replicas.
    """
    bits = key + tf.cast(number, tf.uint32) * tf.constant(0x9E3779B9, tf.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = (bits ^ tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint32))) * tf.constant(factor, tf.uint32)
    return bits ^ tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32))


def optimizer(kind, config, rate):
    """An optimizer that in each step may also shrink the weights, and bound their norms; biases stay out of it.

    Args:
      kind: a class of `tf.compat.v1.train`, or a function of the learning rate where the settings ask for neither.
      config: `weight_decay`: this share of each weight before the step, times the learning rate, is taken off, beside
        what the gradient does (decoupled, Loshchilov and Hutter 2019; times the whole rate, as AdamW in PyTorch).
        `max_norm`: the weights into a unit whose norm is larger after the step are scaled down to it (Srivastava et
        al. 2014, section 5.1).
      rate: a function that gives the learning rate.
    """
    if not config.weight_decay and not config.max_norm:
        return kind(rate)

    class Regularized(kind):
        def _resource_apply_dense(self, grad, handle):
            if handle.shape.rank < 2:  # a bias
                return super()._resource_apply_dense(grad, handle)
            if config.weight_decay:
                handle.assign_sub(config.weight_decay * rate() * handle)
            done = super()._resource_apply_dense(grad, handle)
            if config.max_norm:
                # `tf.clip_by_norm` would move the last bits of what is within the bound.
                handle.assign(handle * tf.minimum(1.0, config.max_norm / tf.norm(handle, axis=0)))
            return done

    return Regularized(rate)
