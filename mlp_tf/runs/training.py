"""A run's life: train, save, stop when asked to, write the results."""

import contextlib
import math
import time

from mlp_tf import data, loop
from mlp_tf.runs import events
from mlp_tf.runs.describe import Results
from mlp_tf.runs.start import save

# The next save waits this many times as long as the last one took: less than 1 % of the time, first and last apart.
SAVE_EVERY = 150
FIRST_SAVE = 0.03  # seconds that a save is taken for until one was timed


class Stopped(Exception):
    """The run was asked to stop; its state is saved. `number` is what asked: that of a signal."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def train(run, stop_requested):
    """Trains a run to its end, saving on the way, and writes the results.

    Args:
      run: from `start`.
      stop_requested: called often; returns the number of the signal that asked the run to stop, or 0.

    Yields:
      (progress, row): after each chunk of steps, with the metrics row of an epoch that ended, or None.

    Raises:
      Stopped: the state is saved, and `start` goes on from there.
      loop.Diverged: the last good checkpoint is kept.
      UserError: a save failed; the checkpoint before it is kept.
    """
    run.feed.look = lambda: _stop_if_requested(run, stop_requested)
    chunks = loop.fit(run.train_steps, run.state, run.config, run.feed, run.progress)
    save_at = time.monotonic() + SAVE_EVERY * FIRST_SAVE
    try:
        with _event_log(run) as log:
            for progress in () if _out_of_patience(run) else chunks:
                run, row = run._replace(progress=progress), None
                if progress.step == progress.steps:
                    run, row = _end_epoch(run, stop_requested)
                    log(row)
                _stop_if_requested(run, stop_requested)
                if time.monotonic() >= save_at:
                    save_at = _save_and_plan_the_next(run)
                yield progress, row
                if row and _out_of_patience(run):
                    break
        save(run)
        results = _results(run, stop_requested)
    except (Stopped, GeneratorExit):
        save(run)
        raise
    run.folder.write_results(results)
    _stop_if_requested(run, stop_requested)  # with several workers, none ends well before the results are written


def _save_and_plan_the_next(run):
    begin = time.monotonic()
    save(run)
    saved = time.monotonic()
    return saved + SAVE_EVERY * (saved - begin)


def _event_log(run):
    """A context that yields write(row), for TensorBoard if it is wanted."""
    if run.config.tensorboard and run.cluster.task.chief:
        run.folder.check_place()
        return events.writing(run.folder.path / "tensorboard", run.history)
    return contextlib.nullcontext(lambda row: None)


def _stop_if_requested(run, stop_requested):
    """Stops every worker, if one of them was asked to."""
    if number := int(run.cluster.all_reduce_max(stop_requested())):
        raise Stopped(number)


def _out_of_patience(run):
    """Whether the last `patience` epochs all lacked a lower val_cost than the best before them."""
    costs = [row["val_cost"] for row in run.history]
    return bool(run.config.patience) and bool(costs) and len(costs) - 1 - costs.index(min(costs)) >= run.config.patience


def _end_epoch(run, stop_requested):
    """Evaluates the epoch that ended: the run after it, and its row."""
    progress, config, val_cost, val_accuracy = run.progress, run.config, None, None
    if run.splits.validation.global_rows:
        val_cost, val_accuracy = _evaluate(run, run.parameters(), "validation", stop_requested)
        if all(val_cost < row["val_cost"] for row in run.history):
            _keep_as_best(run)
    step = int(run.state.step.numpy())
    row = {
        "epoch": progress.epoch + 1,
        "cost": progress.total / (progress.steps * config.batch_size),
        "val_cost": val_cost,
        "val_accuracy": val_accuracy,
        "learning_rate": loop.learning_rate(config, step - 1, config.epochs * progress.steps),
        "seconds": progress.seconds,
    }
    if config.tensorboard:
        row["train_accuracy"] = _evaluate(run, run.parameters(), "train", stop_requested)[1]
    run.folder.append_metrics(row)
    next_epoch = loop.Progress(progress.epoch + 1, 0, progress.steps)
    return run._replace(history=[*run.history, row], progress=next_epoch), row


def _keep_as_best(run):
    for kind, group in run.parameters().items():
        for name, variable in group.items():
            run.best[kind][name].assign(variable)


def _evaluate(run, parameters, name, stop_requested):
    """(cost, accuracy) of weights and biases on a split: summed over all examples of all workers, divided once.

    Raises:
      loop.Diverged: the cost is not finite, though that of training may have been.
    """

    def batches():
        for batch in data.batches(getattr(run.splits, name), run.config, run.cluster):
            _stop_if_requested(run, stop_requested)
            yield batch

    sums = loop.evaluate(parameters["weights"], parameters["biases"], run.config, batches())
    cost_sum, correct, count = map(float, run.cluster.all_reduce_sum([float(each) for each in sums]))
    if not math.isfinite(cost_sum):
        raise loop.Diverged(
            f"{name} cost is not finite after epoch {len(run.history) + (run.progress.step > 0)}, at step "
            f"{int(run.state.step.numpy())} of the run, with learning rate {run.config.learning_rate:g}; try a lower "
            "--learning_rate"
        )
    return cost_sum / count, correct / count


def _results(run, stop_requested):
    parameters = run.best if run.config.patience else run.parameters()
    test_cost, test_accuracy = _evaluate(run, parameters, "test", stop_requested)
    _, train_accuracy = _evaluate(run, parameters, "train", stop_requested)
    seconds = sum(row["seconds"] for row in run.history)
    validated = [row for row in run.history if row["val_cost"] is not None]
    best = min(validated, key=lambda row: row["val_cost"], default=None)
    examples = len(run.history) * run.progress.steps * run.config.batch_size
    return Results(
        test_cost=test_cost,
        test_accuracy=test_accuracy,
        epochs=len(run.history),
        train_examples=examples,
        train_seconds=seconds,
        examples_per_second=examples / max(seconds, 1e-9),  # a clock may stand still
        dataset=run.splits.name,
        best_epoch=best and best["epoch"],
        best_val_cost=best and best["val_cost"],
        stopped_early=_out_of_patience(run) and len(run.history) < run.config.epochs,
        train_accuracy=train_accuracy,
    )
