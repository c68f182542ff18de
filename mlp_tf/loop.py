"""The batch loop: one compiled function that takes Adam steps, and the generator that drives it.

It knows no files and no flags: `fit` yields after each chunk of steps, where the state is whole, and
what a framework calls a callback is the body of the caller's `for`.
"""

import math
import time
from typing import NamedTuple

import tensorflow as tf

from mlp_tf.cluster import alone
from mlp_tf.data import Share, distort, epoch_order, tensor
from mlp_tf.model import init_params, normalize, perceptron, two_layer_perceptron
from mlp_tf.warp import deskew

# A Python signal handler runs only between two chunks.
CHUNK_SECONDS = 0.25
ALONE = alone()
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

    def slots(self):
        """What the optimizer keeps of each trained variable, such as Adam's m and v: {"weights/h1:0 m": variable}."""
        # Of an optimizer of several replicas, `optimizer.variables()` lists nothing.
        names = self.optimizer.get_slot_names()
        return {f"{v.name} {slot}": self.optimizer.get_slot(v, slot) for slot in names for v in self.variables()}


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


def network_input(images, upright):
    """What the network sees of raw images, uint8 `[B, ...]`, set upright or not: float32 `[B, D]`."""
    return normalize(deskew(images) if upright else images)


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


def new_state(config, sizes, total_steps, cluster=ALONE):
    """First weights, zeroed optimizer, step 0; a copy on each replica of the cluster."""
    with cluster.strategy.scope():
        return _new_state(config, sizes, total_steps)


def _new_state(config, sizes, total_steps):
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


def build_train_steps(state, config, train, cluster=ALONE):
    """Compiles the loop for one run, and creates the optimizer's slots.

    Args:
      state: from `new_state`; the function returned changes it in place.
      config: batch size, activation, label smoothing.
      train: the `Split` whose shapes the function is compiled for.
      cluster: who trains together.

    Returns:
      train_steps(images, labels, order, start, stop, total) -> total: takes the steps start to stop - 1
      of an epoch whose rows are `order` (int32 `[steps, B]`) and adds the objective of each example to
      `total` (float64). It leaves early once `total` is not finite. Of several replicas, each has its
      own images, labels and `order`, of its part of every batch.
    """
    model, variables, strategy = model_function(config), state.variables(), cluster.strategy
    nowhere = tf.zeros([train.rows // config.batch_size, config.batch_size // cluster.replicas], tf.int32)
    data = [cluster.on_replicas([each]) for each in (*map(tensor, train[:2]), nowhere)]
    scalars = [tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float64)]

    @tf.function(
        autograph=False,  # it writes a file to convert a function, which a full disk would end
        jit_compile=cluster.replicas == 1,  # XLA compiles for one device
        input_signature=[*map(tf.type_spec_from_value, data), *scalars],
    )
    def train_steps(images, labels, order, start, stop, total):
        def replica_step(images, labels, order, i):
            rows = tf.gather(order, i)  # [B / replicas]; a slice of `order` would have a dynamic shape
            x = normalize(tf.gather(images, rows))  # [B / replicas, D]
            with tf.GradientTape() as tape:
                logits = model(x, state.weights, state.biases)  # [B / replicas, classes]
                costs = cross_entropy(logits, tf.gather(labels, rows), config.label_smoothing)
                # By the global batch, since gradients are summed over the replicas.
                cost = tf.reduce_sum(costs) / config.batch_size
            gradients = tape.gradient(cost, variables)
            state.optimizer.apply_gradients(zip(gradients, variables, strict=True), global_step=state.step)
            return tf.cast(tf.reduce_sum(costs), tf.float64)

        def train_step(i, total):
            costs = strategy.run(replica_step, (images, labels, order, i))
            return i + 1, total + strategy.reduce("SUM", costs, axis=None)

        def more(i, total):
            return tf.logical_and(i < stop, tf.math.is_finite(total))

        # A `for` over `tf.range(start, stop)` XLA would compile anew for each start and stop.
        return tf.while_loop(more, train_step, [start, total])[1]

    train_steps(*data, 0, 0, 0.0)
    return train_steps


def fit(state, config, train, progress, train_steps, cluster=ALONE):
    """Trains from `progress` to the end of the last epoch.

    Args:
      state: changed in place.
      config: epochs, batch size, seed, distortion.
      train: the training `Split`.
      progress: where the state is; `Progress(0, 0, steps)` at the start of a run.
      train_steps: from `build_train_steps`.
      cluster: who trains together; every worker calls this, and takes the same steps in the same chunks.

    Yields:
      `Progress` after each chunk of steps; an epoch is over where `step == steps`. A state that was at
      the end of an epoch already yields that once more.

    Raises:
      Diverged: as soon as a chunk has ended with something that is not finite.
    """
    labels = cluster.on_replicas([tensor(train.labels)])
    seen = _upright(train.images) if config.deskew else tensor(train.images)
    strengths = config.distort, config.elastic
    images = None if any(strengths) else cluster.on_replicas([seen])
    first_epoch, step, steps, total, seconds = progress
    chunk = 1
    for epoch in range(first_epoch, config.epochs):
        begin = time.perf_counter()
        order = _place_order(config, train, epoch, cluster)
        if any(strengths):
            images = None  # so that those of the epoch before do not lie in memory beside the new ones
            images = cluster.on_replicas([distort(seen, config.seed, epoch, *strengths, train.share, train.rows)])
        while True:
            stop = min(step + chunk, steps)
            if step < stop:
                total = float(train_steps(images, labels, order, step, stop, total))
                elapsed = cluster.highest(time.perf_counter() - begin)
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


def _upright(images, block=5000):
    # In blocks, as deskewing takes floats of all that it is given.
    return tf.concat([deskew(images[start : start + block]) for start in range(0, len(images), block)], axis=0)


def _place_order(config, train, epoch, cluster):
    """The rows of each step, each replica's on its device."""
    order = epoch_order(
        len(train.labels), config.batch_size // train.share.workers, config.seed, epoch, train.share.index
    )[: train.rows // config.batch_size]
    part = config.batch_size // cluster.replicas
    # A worker's order covers the replicas of all workers, or, if it holds a share, its own.
    return cluster.on_replicas(tf.split(tf.constant(order), order.shape[1] // part, axis=1))


def _check_finite(state, config, epoch, total, steps):
    if math.isfinite(total) and _all_finite([*state.variables(), *state.slots().values()]):
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


def evaluate(weights, biases, config, split, batch_size=5000, before_batch=lambda: None, cluster=ALONE):
    """Mean cross-entropy and accuracy over every example of a split; each worker evaluates its share.

    Args:
      weights, biases: as `model_function(config)` takes them.
      config: tells the model function.
      split: at least one example.
      batch_size: examples at once; the last batch may be smaller.
      before_batch: called before each batch; what it raises ends the evaluation.
      cluster: whose workers all call this.

    Returns:
      (cost in nats per example, accuracy from 0 to 1): summed over the examples, then divided once.
    """
    own = split.part(Share(cluster.seat.index, cluster.workers))
    cost, correct, largest_share = 0.0, 0, -(-split.rows // cluster.workers)
    for start in range(0, largest_share, batch_size):
        before_batch()  # by all workers as often, also by one whose share has no rows here
        images, labels = (tf.constant(array[start : start + batch_size]) for array in own[:2])
        batch_cost, batch_correct = _evaluate_batch(images, labels, weights, biases, config.activation, config.deskew)
        cost, correct = cost + float(batch_cost), correct + int(batch_correct)
    cost, correct = cluster.total([cost, float(correct)])
    return float(cost) / split.rows, float(correct) / split.rows


@tf.function(autograph=False)
def _evaluate_batch(images, labels, weights, biases, activation, upright):
    model = _model(len(weights) - 1, activation)
    logits = model(network_input(images, upright), weights, biases)  # [B, classes]
    cost = tf.reduce_sum(tf.cast(cross_entropy(logits, labels), tf.float64))
    hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
    return cost, tf.math.count_nonzero(hits)
