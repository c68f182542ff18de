"""The batch loop: one compiled function that takes Adam steps, and the generator that drives it.

It knows no files and no flags: `fit` yields after each chunk of steps, where the state is whole, and
what a framework calls a callback is the body of the caller's `for`.
"""

import math
import time
from typing import NamedTuple

import tensorflow as tf

from mlp_tf.data import Split, distort, epoch_order
from mlp_tf.model import init_params, normalize, perceptron, two_layer_perceptron

# A Python signal handler runs only between two chunks.
CHUNK_SECONDS = 0.25
ACTIVATIONS = {"relu": tf.nn.relu, "sigmoid": tf.nn.sigmoid, "tanh": tf.nn.tanh}


class Diverged(ArithmeticError):
    """The cost, a parameter or the optimizer's state is not finite."""


class State(NamedTuple):
    """All that training changes: variables, nothing else."""

    weights: dict[str, tf.Variable]
    biases: dict[str, tf.Variable]
    optimizer: tf.compat.v1.train.Optimizer  # its slots exist once `build_train_steps` has run
    step: tf.Variable  # int64: steps taken since the start of the run

    def variables(self):
        """The trained variables: every weight, then every bias."""
        return [*self.weights.values(), *self.biases.values()]


class Progress(NamedTuple):
    """Where a run is: `epoch` (from 0) has taken `step` of its `steps` steps."""

    epoch: int
    step: int
    steps: int
    total: float = 0.0  # objective summed over the examples of the epoch so far
    seconds: float = 0.0  # training time of the epoch so far


def model_function(config):
    """The function (x, weights, biases) -> logits that the settings describe."""
    return _model(len(config.hidden), config.activation)


def _model(hidden_layers, activation):
    if hidden_layers == 2 and activation == "relu":
        return two_layer_perceptron
    return lambda x, weights, biases: perceptron(x, weights, biases, ACTIVATIONS[activation])


def cross_entropy(logits, labels, label_smoothing=0.0):
    """Softmax cross-entropy of each example, in nats.

    Args:
      logits: float32 `[B, classes]`.
      labels: int32 `[B]`.
      label_smoothing: share s of each target spread evenly (Szegedy et al. 2016, section 7):
        1 - s + s / classes for the true class, s / classes for the others.

    Returns:
      float32 `[B]`.
    """
    classes = logits.shape[-1]
    off = label_smoothing / classes
    targets = tf.one_hot(labels, classes, on_value=1.0 - label_smoothing + off, off_value=off)
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def learning_rate(config, step, total_steps):
    """Learning rate of the step with number `step` (from 0) of `total_steps`; both float or float tensor."""
    if config.schedule == "linear":
        return config.learning_rate * (1.0 - step / total_steps)
    return config.learning_rate


def new_state(config, sizes, total_steps):
    """First weights, zeroed optimizer, step 0."""
    weights, biases = init_params(sizes, config.seed, config.init)
    step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
    # A callable, since a number would be frozen when the loop is traced.
    rate = lambda: learning_rate(config, tf.cast(step, tf.float32), total_steps)  # noqa: E731
    optimizer = {
        "adam": tf.compat.v1.train.AdamOptimizer,
        "rmsprop": tf.compat.v1.train.RMSPropOptimizer,
        "sgd": tf.compat.v1.train.GradientDescentOptimizer,
    }[config.optimizer](rate)
    return State(
        {name: tf.Variable(value, name=f"weights/{name}") for name, value in weights.items()},
        {name: tf.Variable(value, name=f"biases/{name}") for name, value in biases.items()},
        optimizer,
        step,
    )


def build_train_steps(state, config, train):
    """Compiles the loop for one run, and creates the optimizer's slots.

    Args:
      state: from `new_state`; the function returned changes it in place.
      config: batch size, activation, label smoothing.
      train: the `Split` whose shapes the function is compiled for.

    Returns:
      train_steps(images, labels, order, start, stop, total) -> total: takes the steps start to stop - 1
      of an epoch whose rows are `order` (int32 `[steps, B]`) and adds the objective of each example to
      `total` (float64). It leaves early once `total` is not finite.
    """
    model, variables = model_function(config), state.variables()
    steps = len(train.labels) // config.batch_size

    @tf.function(
        autograph=False,  # it writes a file to convert a function, which a full disk would end
        jit_compile=True,
        input_signature=[
            tf.TensorSpec(train.images.shape, tf.uint8),
            tf.TensorSpec(train.labels.shape, tf.int32),
            tf.TensorSpec([steps, config.batch_size], tf.int32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.float64),
        ],
    )
    def train_steps(images, labels, order, start, stop, total):
        def train_step(i, total):
            rows = tf.gather(order, i)  # [B]; a slice of `order` would have a dynamic shape
            x = normalize(tf.gather(images, rows))  # [B, D]
            with tf.GradientTape() as tape:
                logits = model(x, state.weights, state.biases)  # [B, classes]
                costs = cross_entropy(logits, tf.gather(labels, rows), config.label_smoothing)  # [B]
                cost = tf.reduce_sum(costs) / config.batch_size
            gradients = tape.gradient(cost, variables)
            state.optimizer.apply_gradients(zip(gradients, variables, strict=True), global_step=state.step)
            return i + 1, total + tf.cast(tf.reduce_sum(costs), tf.float64)

        def more(i, total):
            return tf.logical_and(i < stop, tf.math.is_finite(total))

        # A `for` over `tf.range(start, stop)` XLA would compile anew for each start and stop.
        return tf.while_loop(more, train_step, [start, total])[1]

    nowhere = tf.zeros([steps, config.batch_size], tf.int32)
    train_steps(train.images, train.labels, nowhere, 0, 0, 0.0)
    return train_steps


def fit(state, config, train, progress, train_steps):
    """Trains from `progress` to the end of the last epoch.

    Args:
      state: changed in place.
      config: epochs, batch size, seed, distortion.
      train: the training `Split`.
      progress: where the state is; `Progress(0, 0, steps)` at the start of a run.
      train_steps: from `build_train_steps`.

    Yields:
      `Progress` after each chunk of steps; an epoch is over where `step == steps`. A state that was at
      the end of an epoch already yields that once more.

    Raises:
      Diverged: as soon as a chunk has ended with something that is not finite.
    """
    images, labels = tf.constant(train.images), tf.constant(train.labels, tf.int32)
    first_epoch, step, steps, total, seconds = progress
    chunk = 1
    for epoch in range(first_epoch, config.epochs):
        begin = time.perf_counter()
        order = tf.constant(epoch_order(len(train.labels), config.batch_size, config.seed, epoch))
        shown = distort(images, config.seed, epoch, config.distort) if config.distort else images
        while True:
            stop = min(step + chunk, steps)
            if step < stop:
                total = float(train_steps(shown, labels, order, step, stop, total))
                elapsed = time.perf_counter() - begin
                taken = stop - step
                chunk = max(1, min(4 * taken, int(taken * CHUNK_SECONDS / elapsed)))
                seconds += elapsed
                _check_finite(state, config, epoch, total, steps)
                step = stop
            yield Progress(epoch, step, steps, total, seconds)
            if step == steps:
                break
            begin = time.perf_counter()
        step, total, seconds = 0, 0.0, 0.0


def _check_finite(state, config, epoch, total, steps):
    everything = [*state.variables(), *state.optimizer.variables()]
    if math.isfinite(total) and _all_finite(everything):
        return
    taken = int(state.step.numpy())
    rate = learning_rate(config, taken - 1, config.epochs * steps)
    what = "cost" if not math.isfinite(total) else "a parameter"
    raise Diverged(
        f"{what} is not finite in epoch {epoch + 1}, at step {taken - epoch * steps} of {steps}, "
        f"with learning rate {rate:g}; try a lower --learning_rate"
    )


@tf.function(autograph=False)
def _all_finite(variables):
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in variables])


def evaluate(weights, biases, config, split, batch_size=5000, before_batch=lambda: None):
    """Mean cross-entropy and accuracy over every example of a split.

    Args:
      weights, biases: as `model_function(config)` takes them.
      config: tells the model function.
      split: at least one example.
      batch_size: examples at once; the last batch may be smaller.
      before_batch: called before each batch; what it raises ends the evaluation.

    Returns:
      (cost in nats per example, accuracy from 0 to 1): summed over the examples, then divided once.
    """
    cost, correct = 0.0, 0
    for start in range(0, len(split.labels), batch_size):
        before_batch()
        part = Split(*(tf.constant(array[start : start + batch_size]) for array in split))
        batch_cost, batch_correct = _evaluate_batch(part, weights, biases, config.activation)
        cost, correct = cost + float(batch_cost), correct + int(batch_correct)
    return cost / len(split.labels), correct / len(split.labels)


@tf.function(autograph=False)
def _evaluate_batch(part, weights, biases, activation):
    logits = _model(len(weights) - 1, activation)(normalize(part.images), weights, biases)  # [B, classes]
    cost = tf.reduce_sum(tf.cast(cross_entropy(logits, part.labels), tf.float64))
    hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), part.labels)
    return cost, tf.math.count_nonzero(hits)
