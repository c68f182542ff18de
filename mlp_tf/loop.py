"""The training loop: a step, the compiled loop over the steps of an epoch, and the epochs, as a generator.

What a framework calls a callback is the body of the caller's `for` over `fit`, which yields where the state is whole.
"""

import functools
import math
import time
from typing import NamedTuple

import tensorflow as tf

from mlp_tf import UserError, regularization
from mlp_tf.model import cross_entropy, init_params, normalize, perceptron, two_layer_perceptron

CHUNK_SECONDS = 0.5  # a Python signal handler runs only between two chunks
ACTIVATIONS = {"relu": tf.nn.relu, "sigmoid": tf.nn.sigmoid, "tanh": tf.nn.tanh}
OPTIMIZERS = {
    "adam": tf.compat.v1.train.AdamOptimizer,
    "rmsprop": tf.compat.v1.train.RMSPropOptimizer,
    "sgd": tf.compat.v1.train.GradientDescentOptimizer,
}


class Diverged(ArithmeticError):
    """The cost, a parameter or the optimizer's state is not finite."""


class State(NamedTuple):
    """All that training changes: variables, nothing else."""

    weights: dict[str, tf.Variable]
    biases: dict[str, tf.Variable]
    optimizer: tf.compat.v1.train.Optimizer  # its slots exist once a step was compiled or taken
    step: tf.Variable  # int64: steps taken since the start of the run

    def variables(self):
        """The trained variables: every weight, then every bias."""
        return [*self.weights.values(), *self.biases.values()]

    def slots(self):
        """What the optimizer keeps of each trained variable, such as Adam's m and v."""
        names = self.optimizer.get_slot_names()  # with several replicas, `optimizer.variables()` is empty
        return [self.optimizer.get_slot(variable, name) for name in names for variable in self.variables()]


class Progress(NamedTuple):
    """Where a run is: `epoch` (from 0) has taken `step` of its `steps` steps."""

    epoch: int
    step: int
    steps: int
    total: float = 0.0  # the objective, summed over the examples of the epoch so far
    seconds: float = 0.0  # training time of the epoch so far


class Sums(NamedTuple):
    """What an evaluation adds up; a mean is a sum over `count`."""

    cost_sum: float  # cross-entropy, in nats
    correct: int
    count: int


def model_function(config, step=None):
    """The function (x, weights, biases) -> logits that the settings describe; with dropout for a `step` of training."""
    activation = ACTIVATIONS.get(config.activation, config.activation)
    if step is not None and (config.dropout or config.input_dropout):
        return regularization.with_dropout(activation, config, step)
    two_layers = len(config.hidden) == 2 and config.activation == "relu"
    return two_layer_perceptron if two_layers else functools.partial(perceptron, activation=activation)


def learning_rate(config, step, total_steps):
    """Learning rate of the step with number `step` (from 0) of `total_steps`; both float or float tensor."""
    return config.learning_rate * (1.0 - step / total_steps if config.schedule == "linear" else 1.0)


def new_state(config, sizes, total_steps):
    """Initial parameters, an optimizer without slots, step 0.

    Args:
      sizes: units of each layer: the values of an image, `config.hidden` (else UserError), the classes.
      total_steps: of the whole run, for the schedule.
    """
    if tuple(sizes[1:-1]) != tuple(config.hidden):
        raise UserError(f"sizes={tuple(sizes)}: must have config.hidden={config.hidden} between input and output")
    weights, biases = init_params(sizes, config.seed, config.init)
    step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")

    def rate():  # a number would be frozen when the step is traced
        return learning_rate(config, tf.cast(step, tf.float32), total_steps)

    return State(
        {name: tf.Variable(value, name=f"weights/{name}") for name, value in weights.items()},
        {name: tf.Variable(value, name=f"biases/{name}") for name, value in biases.items()},
        regularization.optimizer(OPTIMIZERS.get(config.optimizer, config.optimizer), config, rate),
        step,
    )


def compute_gradients(state, config, images, labels):
    """The objective summed over images, as `normalize` takes them, with int32 labels `[B]`, and the mean's gradients.

    The mean is over `config.batch_size` examples; the gradients are in the order of `state.variables()`.
    """
    with tf.GradientTape() as tape:
        logits = model_function(config, state.step)(normalize(images), state.weights, state.biases)  # [B, classes]
        cost_sum = tf.reduce_sum(cross_entropy(logits, labels, config.label_smoothing))
        mean = cost_sum / config.batch_size  # the global batch's, since gradients are summed over replicas
    return cost_sum, tape.gradient(mean, state.variables())


def train_step(state, config, images, labels):
    """One optimizer step on a batch, or on one replica's part of it: the objective summed, float64."""
    cost_sum, gradients = compute_gradients(state, config, images, labels)
    state.optimizer.apply_gradients(zip(gradients, state.variables(), strict=True), global_step=state.step)
    return tf.cast(cost_sum, tf.float64)


def compile_steps(state, config, feed, step=train_step):
    """Compiles the loop over the steps of an epoch, and creates the optimizer's slots.

    Args:
      feed: tells what an epoch is made of, applies a step to it, and refuses a network that does not fit (UserError).
      step: `train_step`, or a function of your own in its place.

    Returns:
      train_steps(epoch, start, stop, total) -> total: takes the steps start to stop - 1, and adds the objective of
      each example to `total`, float64. It leaves early once `total` is not finite.
    """
    feed.check_network(inputs=state.variables()[0].shape[0], outputs=state.biases["out"].shape[0])
    one_step, empty = functools.partial(step, state, config), feed.empty_epoch()

    # AutoGraph would write a file to convert the function, which a full disk ends.
    @tf.function(autograph=False, jit_compile=feed.one_device, input_signature=feed.signature(empty))
    def train_steps(epoch, start, stop, total):
        def take(i, total):
            return i + 1, total + feed.apply(one_step, epoch, i)

        def unfinished(i, total):
            return tf.logical_and(i < stop, tf.math.is_finite(total))

        # XLA would compile a `for` over `tf.range(start, stop)` anew for each start and stop.
        return tf.while_loop(unfinished, take, [start, total])[1]

    train_steps(empty, 0, 0, 0.0)
    return train_steps


def fit(train_steps, state, config, feed, progress):
    """Trains from `progress` to the end of the last epoch.

    Args:
      train_steps, feed: from `compile_steps`, and what it was compiled for.
      progress: where the state is; `Progress(0, 0, feed.steps)` at the start of a run.

    Yields:
      `Progress` after each chunk of steps, and once more where the state was at the end of an epoch. A chunk that
      ends with something that is not finite raises Diverged.
    """
    chunk = 1
    while progress.epoch < config.epochs:
        begin = time.perf_counter()
        epoch = None  # drops its images before the next ones are made
        epoch = feed.epoch(progress.epoch)
        while True:
            stop = min(progress.step + chunk, progress.steps)
            if stop > progress.step:
                total = float(train_steps(epoch, progress.step, stop, progress.total))
                seconds, taken = feed.agree(time.perf_counter() - begin), stop - progress.step
                chunk = max(1, min(4 * taken, int(taken * CHUNK_SECONDS / max(seconds, 1e-9))))
                progress = progress._replace(step=stop, total=total, seconds=progress.seconds + seconds)
                check_finite(state, config, progress)
            yield progress
            if progress.step == progress.steps:
                break
            begin = time.perf_counter()
        progress = Progress(progress.epoch + 1, 0, progress.steps)


def check_finite(state, config, progress):
    """Raises Diverged, which names epoch, step and rate, if the cost or a variable is not finite."""
    finite_cost, step = math.isfinite(progress.total), int(state.step.numpy())
    if finite_cost and _all_finite([*state.variables(), *state.slots()]):
        return
    raise Diverged(
        f"{'a parameter' if finite_cost else 'cost'} is not finite in epoch {progress.epoch + 1}, at step "
        f"{step - progress.epoch * progress.steps} of {progress.steps}, with learning rate "
        f"{learning_rate(config, step - 1, config.epochs * progress.steps):g}; try a lower --learning_rate"
    )


@tf.function(autograph=False)
def _all_finite(variables):
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in variables])


def evaluate(weights, biases, config, batches):
    """`Sums` over batches of (images `[B, ...]`, as `normalize` takes them, labels int32 `[B]`)."""
    cost_sum, correct, count = 0.0, 0, 0
    for images, labels in batches:
        batch_cost, batch_correct = _evaluate_batch(config.activation, weights, biases, images, labels)
        cost_sum, correct, count = cost_sum + float(batch_cost), correct + int(batch_correct), count + len(labels)
    return Sums(cost_sum, correct, count)


@tf.function(autograph=False)
def _evaluate_batch(activation, weights, biases, images, labels):
    logits = perceptron(normalize(images), weights, biases, ACTIVATIONS.get(activation, activation))  # [B, classes]
    cost_sum = tf.reduce_sum(tf.cast(cross_entropy(logits, labels), tf.float64))
    hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)  # [B]
    return cost_sum, tf.math.count_nonzero(hits)
