"""Trains a perceptron with explicit weights and biases, in a compiled batch loop.

    python -m mlp_tf.train --hidden=256,256 --epochs=15
    python -m mlp_tf.train --workdir=RUN              (resumes a run)
    python -m mlp_tf.train --workdir=RUN --epochs=30  (up to 30 epochs in all)

Results go to stdout; progress and warnings go to stderr. Exit codes: 0 done, 1 an error that one line on
stderr explains, 3 diverged, 130 or 143 stopped by SIGINT or SIGTERM and saved.
"""

import contextlib
import math
import shlex
import sys

from mlp_tf import UserError
from mlp_tf.base.text import plural
from mlp_tf.cli import command, flags, quiet, signals
from mlp_tf.config import Config
from mlp_tf.distribute import tf_config
from mlp_tf.runs import identity
from mlp_tf.runs.folder import new_folder
from mlp_tf.runs.run import Stopped, open_run

_SMALL_BATCH = 16  # examples; smaller batches are not advised


def define_flags(values):
    """Defines the flags of this command: every setting, and --recipe."""
    flags.define(values)
    flags.define_recipe(values)


def main(values):
    """Trains, or resumes, the run that the flags describe; returns the exit code."""
    given = flags.given(values)
    several = given.get("strategy") == "multi_worker"
    if several and not given.get("workdir"):
        raise UserError("--strategy=multi_worker: --workdir is missing; give it, so that all workers can resume")
    with contextlib.ExitStack() as stack:
        given["workdir"] = given.get("workdir") or stack.enter_context(new_folder())
        same_command = shlex.join(["python", "-m", "mlp_tf.train", *flags.to_words(given)])
        stop = stack.enter_context(signals.graceful_stop(f"to resume{', in every worker' * several}: {same_command}"))
        run = stack.enter_context(open_run(stop=stop, **given))
        command.warn(*run.warnings)
        command.note(*run.notes, tf_config.unused_note(run.config.strategy))
        if run.folder:
            _print_description(run)
            command.note("" if run.resumes else _few_steps(run.config, run.description.data.train))
        if run.splits:
            stop.saves = True
            if run.config.strategy != "multi_worker":
                stop.advice = f"to resume: {identity.resume_command(run.config.workdir)}"
        try:
            _train(run)
        except Stopped as stopped:
            return signals.report_stopped(stop, stopped.number)
        except ArithmeticError as error:  # loop.Diverged
            kept = f"in {run.config.workdir}" if run.folder else "with worker 0"
            return command.fail(f"diverged: {error}, in another folder; the last good checkpoint is {kept}", code=3)
        if run.folder:
            _print_results(run)
        return 0


def _train(run):
    """Trains a run to its end, with a progress bar and a line for each epoch on the chief."""
    steps = run.config.epochs * run.description.steps
    done = int(run.state.step.numpy()) if run.state else steps
    with quiet.progress_bar(steps, done, bool(run.folder)) as bar:
        for progress, row in run.train():
            bar.update(progress.epoch * progress.steps + progress.step - bar.n)
            if row and run.folder:
                bar.write(_epoch_line(row), file=sys.stdout)
                sys.stdout.flush()
                command.warn(_learning_warning(run.history, run.description.data.classes))


def _learning_warning(history, classes):
    """Returns a warning about the epochs so far, or ""; a cost that is not finite ends the run.

    A high cost alone says little: from N(0, 1) weights it begins at 162, with 0.73 of MNIST predicted correctly.
    """
    guessing = math.log(classes)
    costs = [row["cost"] for row in history]
    are_guesses = [
        0.97 < row["cost"] / guessing < 1.3 and row["accuracy"] < 0.5 * (1 + 1 / classes) for row in history[-3:]
    ]
    if costs[-1] > 1000 * guessing >= max(costs[:-1], default=0.0):
        return f"cost={costs[-1]:.3g} is far above that of guessing, {guessing:.2f}; try a lower --learning_rate"
    if are_guesses in ([True, True], [False, True, True]):  # not again in the third such epoch
        return (
            f"cost={costs[-1]:.4f} is no better than guessing ({guessing:.2f}) two epochs in a row: nothing is "
            "learned; try another --learning_rate or --init, or look at the data with python -m mlp_tf.show_data"
        )
    return ""


def _few_steps(config, examples):
    """Returns a note about a run of too few steps, with flags that give more; or ""."""
    steps = examples // config.batch_size
    is_short = steps * config.epochs < 200 and config.epochs >= Config.epochs
    if not is_short and (steps >= 10 or config.batch_size <= _SMALL_BATCH):
        return ""
    batch_size = min(config.batch_size, _SMALL_BATCH)
    epochs = max(config.epochs, 60, math.ceil(200 / (examples // batch_size)))
    return (
        f"{plural(steps, 'step')} an epoch, {steps * config.epochs:,} in all, may be too few to learn from; give "
        f"--batch_size={batch_size} --epochs={epochs}"
    )


def _print_description(run):
    data = run.description.data
    examples = f"{data.train:,} training, {data.validation:,} validation, {data.test:,} test"
    shape = " x ".join(map(str, data.example_shape))
    kind = "images" if len(data.example_shape) > 1 else "examples"
    print(f"Dataset: {data.name}, {examples} {kind} of {shape}, {data.classes} classes")
    sizes = "-".join(map(str, run.description.sizes))
    steps = f"{plural(run.description.steps, 'step')} of {run.config.batch_size} an epoch"
    print(f"Model: {sizes}, {run.description.parameters:,} parameters; {steps}", flush=True)
    if run.resumes and run.progress and run.progress.epoch < run.config.epochs and not run.out_of_patience():
        epoch = f"epoch {run.progress.epoch + 1} of {run.config.epochs}"
        print(f"Resuming: {epoch}, step {run.progress.step} of {run.progress.steps}", flush=True)
    if run.resumes and run.progress and run.out_of_patience():
        command.note(f"--patience={run.config.patience} has stopped this run; raise --patience to train on")


def _epoch_line(row):
    digits = {"cost": 4, "accuracy": 4, "val_cost": 4, "val_accuracy": 4, "seconds": 2}
    words = [f"{key}={row[key]:.{count}f}" for key, count in digits.items() if row[key] is not None]
    return " ".join([f"Epoch: {row['epoch']}", *words])


def _print_results(run):
    results = run.results
    if results.stopped_early:
        best = {
            "val_cost": f"lowest val_cost, {results.best_val_cost:.4f}",
            "val_accuracy": f"highest val_accuracy, {results.best_val_accuracy:.4f}",
        }
        print(
            f"Stopped early: the {best[run.config.monitor]}, was that of epoch {results.best_epoch}, whose parameters "
            f"are kept (--patience={run.config.patience})"
        )
    print(f"Model has completed {results.epochs} Epochs of Training")
    print(f"Test cost: {results.test_cost:.4f}")
    print(f"Accuracy: {results.test_accuracy:.4f}")
    print(f"Run: {run.folder.path}", flush=True)


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags))
