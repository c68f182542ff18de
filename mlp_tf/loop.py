"""The training loop: one step, the compiled loop over the steps of an epoch, and a generator over the epochs.

The body of the caller's `for` over `fit`, which yields after each chunk of steps, replaces a framework's callbacks.

A TF2 `GradientTape` feeds a TF1 optimizer: `tf.compat.v1.train.AdamOptimizer` needs no Keras, becomes plain operations
in a compiled loop, and takes the steps of the classic tutorials.
"""

import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from mlp_tf import UserError, regularization
from mlp_tf.config import Config
from mlp_tf.model import (
    Parameters,
    check_labels,
    cross_entropy,
    init_params,
    normalize,
    parameter_shapes,
    perceptron,
    two_layer_perceptron,
)

CHUNK_SECONDS = 0.5  # a Python signal handler runs only between two chunks
ACTIVATIONS = {
    "relu": tf.nn.relu,
    "sigmoid": tf.nn.sigmoid,
    "tanh": tf.nn.tanh,
    "elu": tf.nn.elu,
    "gelu": tf.nn.gelu,
    "leaky_relu": tf.nn.leaky_relu,
}


class Diverged(ArithmeticError):
    """The cost, a parameter or the optimizer's state is not finite."""


class Feed(Protocol):
    """What the loop needs of the training data; `data.Feed` is this package's implementation.

    An epoch is a tuple (images, labels, order) on the device of each replica: uint8 or float32 `[N, ...]`; int32 `[N]`;
    and int32 `[steps, B / replicas]`, the rows of this replica's part of each batch.
    """

    steps: int  # of an epoch
    inputs: int  # values of an example
    classes: int
    strategy: tf.distribute.Strategy  # the default strategy for one device
    scale: Callable[[tf.Tensor], tf.Tensor]  # standardizes a batch of examples, if they are not pixels

    def epoch(self, number: int) -> tuple:
        """Returns the epoch with this number, from 0."""

    def empty_epoch(self) -> tuple:
        """Returns an epoch of the same shapes to compile for; it is not trained on."""

    def agree(self, seconds: float) -> float:
        """Returns the longest time that any worker took, so that all cut an epoch into the same chunks."""


class State(NamedTuple):
    """What training changes, as variables; and two constants of the run that its steps depend on."""

    weights: dict[str, tf.Variable]
    biases: dict[str, tf.Variable]
    optimizer: tf.compat.v1.train.Optimizer  # its slots exist once a step is compiled or taken
    step: tf.Variable  # int64: steps taken since the start of the run
    seed: tf.Variable  # int64: of the dropout masks; a variable, so that a compiled loop serves every seed
    total_steps: int  # at which a linear or cosine schedule ends

    def variables(self) -> list[tf.Variable]:
        """Returns the trained variables: every weight, then every bias."""
        return [*self.weights.values(), *self.biases.values()]

    def slots(self) -> list[tf.Variable]:
        """Returns what the optimizer keeps for each trained variable, such as Adam's m and v."""
        names = self.optimizer.get_slot_names()  # with several replicas, `optimizer.variables()` is empty
        return [self.optimizer.get_slot(variable, name) for name in names for variable in self.variables()]


class Progress(NamedTuple):
    """Position in a run: `step` of the `steps` steps of epoch `epoch` (from 0) are done."""

    epoch: int
    step: int
    steps: int
    total: float = 0.0  # loss, summed over the examples of the epoch so far
    correct: float = 0.0  # of them, predicted correctly before their step; NaN if the step does not count them
    seconds: float = 0.0  # training time of the epoch so far


class Sums(NamedTuple):
    """Sums over the examples of an evaluation."""

    cost_sum: float  # cross-entropy, in nats
    correct: int
    count: int

    @property
    def cost(self) -> float:
        """Mean cross-entropy, in nats per example."""
        return self.cost_sum / self.count

    @property
    def accuracy(self) -> float:
        """Fraction of examples whose most probable class is the true one, from 0 to 1."""
        return self.correct / self.count


def model_function(config: Config) -> Callable:
    """Returns the function (x, weights, biases) -> logits of these settings; the same one for equal settings."""
    if len(config.hidden) == 2 and config.activation == "relu":
        return two_layer_perceptron
    return _perceptron_with(ACTIVATIONS.get(config.activation, config.activation))


@functools.cache
def _perceptron_with(activation):
    return functools.partial(perceptron, activation=activation)


def learning_rate(config: Config, step: float | tf.Tensor, total_steps: int) -> float | tf.Tensor:
    """Returns the learning rate of the step with number `step` (from 0).

    `cosine` is half a cosine wave (Loshchilov and Hutter 2017, eq. 5, without restarts). Past the end of the linear and
    the cosine schedule the rate is 0.
    """
    if config.schedule == "constant":
        return config.learning_rate
    maximum, cos = (tf.maximum, tf.cos) if tf.is_tensor(step) else (max, math.cos)
    remaining = maximum(1.0 - step / total_steps, 0.0)
    if config.schedule == "linear":
        return config.learning_rate * remaining
    return config.learning_rate * 0.5 * (1.0 - cos(math.pi * remaining))


def new_state(
    config: Config, sizes: Sequence[int], total_steps: int, parameters: tuple[Parameters, Parameters] | None = None
) -> State:
    """Creates the variables of a run: its parameters, an optimizer without slots, step 0.

    Args:
      config: the settings.
      sizes: units of each layer: the values of an example, `config.hidden`, the classes.
      total_steps: of the whole run, for the schedule.
      parameters: (weights, biases) to start from, tensors or arrays of any real type; by default those that
        `config.init` and `config.seed` draw.

    Raises:
      UserError: sizes that do not fit `config.hidden`, parameters of other names or shapes, or an optimizer that is not
        a `tf.compat.v1.train.Optimizer`.
    """
    if tuple(sizes[1:-1]) != tuple(config.hidden):
        raise UserError(f"sizes={tuple(sizes)}: must have config.hidden={config.hidden} between input and output")
    if parameters is None:
        parameters = init_params(sizes, config.seed, config.init)
    _check_parameters(parameters, sizes)
    weights, biases = parameters
    step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")

    def rate():  # a plain number would be frozen when the step is traced
        return learning_rate(config, tf.cast(step, tf.float32), total_steps)

    return State(
        {name: tf.Variable(tf.cast(weights[name], tf.float32), name=f"weights/{name}") for name in weights},
        {name: tf.Variable(tf.cast(biases[name], tf.float32), name=f"biases/{name}") for name in biases},
        regularization.make_optimizer(config, rate),
        step,
        tf.Variable(config.seed, dtype=tf.int64, trainable=False, name="seed"),
        total_steps,
    )


def _check_parameters(parameters, sizes):
    for kind, given, shapes in zip(("weights", "biases"), parameters, parameter_shapes(sizes), strict=True):
        found = {name: tuple(np.shape(value)) for name, value in given.items()}
        if list(found.items()) != list(shapes.items()):
            raise UserError(f"parameters: {kind} have the shapes {found}; must be {shapes}, in this order")


def compute_gradients(
    state: State, config: Config, images: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, list]:
    """Returns (loss summed over a batch, examples predicted correctly, gradients of the mean loss).

    With several replicas, each has an equal part of the batch, and the mean is over the whole batch.

    Args:
      state, config: the run.
      images: as `normalize` takes them, `[B, ...]`.
      labels: integers `[B]`.

    Returns:
      The loss is a float32 scalar, the count an int64 scalar; the gradients are in the order of `state.variables()`.
    """
    if config.dropout or config.input_dropout:
        activation = ACTIVATIONS.get(config.activation, config.activation)
        model = regularization.with_dropout(activation, config, state.seed, state.step)
    else:
        model = model_function(config)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    with tf.GradientTape() as tape:
        logits = model(normalize(images), state.weights, state.biases)  # [B, classes]
        loss_sum = tf.reduce_sum(cross_entropy(logits, labels, config.label_smoothing))
        # Over the whole batch, as the optimizer sums gradients over replicas.
        mean = loss_sum / tf.cast(tf.size(labels) * replicas, tf.float32)
    return loss_sum, count_correct(logits, labels), tape.gradient(mean, state.variables())


def count_correct(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Counts the examples whose most probable class is the true one.

    Args:
      logits: `[B, classes]`.
      labels: integers `[B]`.

    Returns:
      int64 scalar.
    """
    return tf.math.count_nonzero(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), tf.cast(labels, tf.int32)))


def train_step(state: State, config: Config, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Takes one optimizer step on a batch, or on one replica's part of it.

    Returns:
      (loss summed over the batch, examples predicted correctly before the update).
    """
    loss_sum, correct, gradients = compute_gradients(state, config, images, labels)
    state.optimizer.apply_gradients(zip(gradients, state.variables(), strict=True), global_step=state.step)
    return loss_sum, correct


def compile_steps(
    state: State, config: Config, feed: Feed, step: Callable = train_step, jit: bool = True
) -> tf.types.experimental.PolymorphicFunction:
    """Compiles the loop over the steps of an epoch, and creates the optimizer's slots.

    Args:
      state, config: the run.
      feed: supplies the epochs, and the strategy that runs a step on each replica.
      step: `train_step`, or a function like it: it advances `state.step` by one and returns (summed loss, examples
        predicted correctly), both scalars, or the loss alone.
      jit: whether XLA compiles the loop, for one replica only. Without XLA, a step may use `tf.print`.

    Returns:
      train_steps(epoch, start, stop, sums) -> sums: takes the steps start to stop - 1 and adds their results to `sums`,
      float64 `[2]`: loss and correct predictions. It ends early once the loss is not finite.

    Raises:
      UserError: a network that does not fit the data, or a step that does not return a scalar.
    """
    sizes = (state.variables()[0].shape[0], state.biases["out"].shape[0])
    if sizes != (feed.inputs, feed.classes):
        raise UserError(
            f"sizes=({sizes[0]}, ..., {sizes[1]}): the data have {feed.inputs} values per example and {feed.classes} "
            f"classes; give sizes=({feed.inputs}, ..., {feed.classes})"
        )
    strategy = feed.strategy
    scale = feed.scale

    def step_on_batch(images, labels, order, i):  # runs on each replica
        rows = tf.gather(order, i)  # [B / replicas]; slicing `order` would give a dynamic shape
        result = step(state, config, scale(tf.gather(images, rows)), tf.gather(labels, rows))
        both = result if isinstance(result, tuple | list) else (result, math.nan)
        try:
            sums = [tf.cast(each, tf.float64) for each in both]
        except (TypeError, ValueError):  # such as None
            sums = []
        if [each.shape.rank for each in sums] != [0, 0]:
            raise UserError(
                f"step={step}: returned {result}; must return (summed loss, correct predictions) of its batch, or the "
                "loss alone, as scalars"
            )
        return tf.stack(sums)

    def take_steps(epoch, start, stop, sums):
        def take_step(i, sums):
            of_replicas = strategy.run(step_on_batch, (*epoch, i))
            return i + 1, sums + strategy.reduce("SUM", of_replicas, axis=None)

        def is_unfinished(i, sums):
            return tf.logical_and(i < stop, tf.math.is_finite(sums[0]))

        # A `for` over `tf.range(start, stop)` would be compiled again for each start and stop.
        return tf.while_loop(is_unfinished, take_step, [start, sums])[1]

    epoch = feed.empty_epoch()
    number = tf.TensorSpec([], tf.int32)
    signature = [tuple(map(tf.type_spec_from_value, epoch)), number, number, tf.TensorSpec([2], tf.float64)]
    # AutoGraph would write a temporary file to convert the function, which fails on a full disk.
    train_steps = tf.function(
        take_steps,
        autograph=False,
        jit_compile=jit and strategy.num_replicas_in_sync == 1,
        input_signature=signature,
    )
    train_steps(epoch, 0, 0, [0.0, 0.0])  # takes no step, but creates Adam's slots
    return train_steps


def fit(train_steps: Callable, state: State, config: Config, feed: Feed, progress: Progress) -> Iterator[Progress]:
    """Trains from `progress` to the end of the last epoch.

    Args:
      train_steps, feed: from `compile_steps`, and the feed passed to it.
      state, config: the run.
      progress: position of the state; `Progress(0, 0, feed.steps)` at the start of a run.

    Yields:
      `Progress` after each chunk of steps, and once more if it began at the end of an epoch. The first chunk is one
      step; each further one takes about CHUNK_SECONDS.

    Raises:
      Diverged: a chunk ended with a cost, a parameter or a slot that is not finite.
      UserError: the schedule ends before the last epoch, or a step did not advance `state.step`.
    """
    if config.schedule != "constant" and state.total_steps < config.epochs * progress.steps:
        raise UserError(
            f"total_steps={state.total_steps}: the {config.schedule} schedule ends before the run, which takes "
            f"{config.epochs * progress.steps} steps; give new_state this number"
        )
    chunk = 1
    while progress.epoch < config.epochs:
        begin = time.perf_counter()
        epoch = None  # frees its images before the next ones are made
        epoch = feed.epoch(progress.epoch)
        while True:
            stop = min(progress.step + chunk, progress.steps)
            taken = stop - progress.step
            if taken:
                before = int(state.step.numpy())
                sums = train_steps(epoch, progress.step, stop, [progress.total, progress.correct]).numpy()
                seconds = feed.agree(time.perf_counter() - begin)
                chunk = max(1, min(4 * taken, int(taken * CHUNK_SECONDS / max(seconds, 1e-9))))
                total, correct = sums.tolist()
                seconds += progress.seconds
                progress = progress._replace(step=stop, total=total, correct=correct, seconds=seconds)
                check_finite(state, config, progress)
                if int(state.step.numpy()) != before + taken:
                    raise UserError(
                        f"step: state.step went from {before} to {int(state.step.numpy())} in {taken} steps; a step "
                        "must advance it by one, as apply_gradients(..., global_step=state.step) does"
                    )
            yield progress
            if progress.step == progress.steps:
                break
            begin = time.perf_counter()
        progress = Progress(progress.epoch + 1, 0, progress.steps)


def check_finite(state: State, config: Config, progress: Progress) -> None:
    """Raises Diverged, which names epoch, step and rate, if the cost or a variable is not finite."""
    is_cost_finite = math.isfinite(progress.total)
    if is_cost_finite and _all_finite([*state.variables(), *state.slots()]):
        return
    step = int(state.step.numpy())
    rate = learning_rate(config, step - 1, config.epochs * progress.steps)
    raise Diverged(
        f"{'a parameter' if is_cost_finite else 'cost'} is not finite in epoch {progress.epoch + 1}, at step "
        f"{step - progress.epoch * progress.steps} of {progress.steps}, with learning rate {rate:g}; try a lower "
        "--learning_rate"
    )


@tf.function(autograph=False)
def _all_finite(variables):
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(variable)) for variable in variables])


def predictor(config: Config, weights: Parameters, biases: Parameters) -> Callable[[tf.Tensor], tf.Tensor]:
    """Compiles the function from images, as `normalize` takes them, to logits `[B, classes]`."""
    model = model_function(config)
    return tf.function(lambda images: model(normalize(images), weights, biases), autograph=False)


def evaluate(predict: Callable[[tf.Tensor], tf.Tensor], batches: Iterable[tuple]) -> Sums:
    """Sums cost and correct predictions over batches; training, `evaluate` and ensembles all call this.

    Args:
      predict: images -> logits, from `predictor`.
      batches: of (images `[B, ...]`, labels, integers `[B]`).

    Raises:
      UserError: labels of another type, shape or range.
    """
    cost_sum = 0.0
    correct = 0
    count = 0
    for images, labels in batches:
        logits = predict(images)
        batch_cost, batch_correct = _score(logits, check_labels(labels, logits.shape[-1]))
        cost_sum += float(batch_cost)
        correct += int(batch_correct)
        count += len(labels)
    return Sums(cost_sum, correct, count)


@tf.function(autograph=False)
def _score(logits, labels):
    """Returns (cost summed, examples predicted correctly) of one batch."""
    cost_sum = tf.reduce_sum(tf.cast(cross_entropy(logits, labels), tf.float64))
    return cost_sum, count_correct(logits, labels)
