"""Trains a perceptron with explicit weights and biases, in a compiled batch loop.

    python -m mlp_tf.train --hidden=256,256 --epochs=15
    python -m mlp_tf.train --workdir=RUN                 (goes on with a run)
    python -m mlp_tf.train --workdir=RUN --epochs=30     (and trains it to 30 epochs in all)

Results go to stdout; progress and warnings go to stderr. Exit codes: 0 done, 1 a mistake that the one
line on stderr explains, 3 diverged, 130 or 143 stopped by SIGINT or SIGTERM and saved.
"""

import contextlib
import dataclasses
import datetime
import pathlib
import shlex
import sys

from mlp_tf import UserError
from mlp_tf.cli import command, flags, quiet, signals
from mlp_tf.distribute import meeting, tf_config
from mlp_tf.runs import compatible
from mlp_tf.runs.folder import open_run, read_run


def main(values):
    """Trains, or goes on with, the run that the flags describe; returns the exit code."""
    workdir = flags.path(values, "workdir")
    with meeting.refusal(tf_config.task(flags.to_config(values))):  # the run's own settings may be what is refused
        config = flags.to_config(values, own=_settings_of(workdir))
    if config.strategy == "multi_worker" and not workdir:
        raise UserError(
            "--strategy=multi_worker: --workdir is missing; give it, so that all can be started again with it"
        )
    with contextlib.ExitStack() as stack:
        config = dataclasses.replace(config, workdir=workdir or stack.enter_context(_new_folder()))
        task = tf_config.task(config)
        where = "" if task.single else ", in every worker"
        advice = f"to go on{where}: " + shlex.join(["python", "-m", "mlp_tf.train", *flags.from_config(config)])
        stop = stack.enter_context(signals.graceful_stop(advice))
        with meeting.refusal(task):
            folder = stack.enter_context(open_run(config.workdir, task.chief, made=not workdir))
            compatible.check_settings(config, folder)
        if task.single and folder.finished(config):
            return _print_finished(folder)
        quiet.import_tensorflow()
        from mlp_tf.distribute.cluster import connect

        cluster = connect(config, task, stop.listen, command.warn)
        with cluster.watched():
            if not cluster.broadcast_json(folder.finished(config)):
                return _train(config, folder, cluster, stop)
            return _print_finished(folder) if task.chief else 0


def _settings_of(workdir):
    """The settings of the run in a folder, or None where there is none yet."""
    begun = workdir and (pathlib.Path(workdir) / "config.json").exists()
    return read_run(workdir).description.config if begun else None


@contextlib.contextmanager
def _new_folder():
    """Yields a new folder under runs/; runs that begin in the same second get one each."""
    name, count = datetime.datetime.now().strftime("%Y%m%d-%H%M%S"), 1
    runs = pathlib.Path("runs")
    folder, made = runs / name, not runs.exists()
    try:
        runs.mkdir(exist_ok=True)
        while not _made(folder):
            count += 1
            folder = folder.with_name(f"{name}-{count}")
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; give a folder that can be made, --workdir=FOLDER") from None
    try:
        yield str(folder)
    finally:
        if made:
            with contextlib.suppress(OSError):  # not empty: the run has begun
                runs.rmdir()


def _made(folder):
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        return True
    return False


def _train(config, folder, cluster, stop):
    from mlp_tf import loop
    from mlp_tf.runs import start, training

    chief = cluster.task.chief  # it alone prints results
    splits, resumes = start.load(config, folder, cluster), folder.description is not None
    command.warn(splits.warning or (folder.description and folder.description.warning), *splits.suspicions)
    command.note(*splits.notes)
    run = start.start(config, folder, splits, cluster)
    command.warn(*run.warnings)
    if chief:
        _print_description(run.description)
        if resumes:
            _print_position(run)
    stop.saves = True
    if cluster.task.single:
        stop.advice = f"to go on: {compatible.continuing(config.workdir)}"
    try:
        _train_to_the_end(run, stop, chief)
    except loop.Diverged as error:
        kept = f"in {config.workdir}" if chief else "with worker 0"
        return command.fail(f"diverged: {error}; the last good checkpoint is {kept}", code=3)
    except training.Stopped as stopped:
        return signals.report_stopped(stop, stopped.number)
    if chief:
        _print_results(folder)
    return 0


def _train_to_the_end(run, stop, chief):
    from mlp_tf.runs import training

    steps, done = run.config.epochs * run.progress.steps, int(run.state.step.numpy())
    with (
        quiet.progress_bar(steps, done, chief) as bar,
        contextlib.closing(training.train(run, stop.number)) as chunks,  # closed, it saves
    ):
        for progress, row in chunks:
            bar.update(progress.epoch * progress.steps + progress.step - bar.n)
            if row and chief:
                bar.write(_epoch_line(row), file=sys.stdout)
                sys.stdout.flush()


def _print_finished(folder):
    """Prints again what a run that is done already printed."""
    command.warn(folder.description.warning)
    _print_description(folder.description)
    _print_results(folder)
    return 0


def _print_description(description):
    data, sizes = description.data, "-".join(map(str, description.sizes))
    rows = f"{data.train:,} training, {data.validation:,} validation, {data.test:,} test"
    shape = " x ".join(map(str, data.image_shape))
    what = "images" if len(data.image_shape) > 1 else "rows"
    print(f"Dataset: {data.name}, {rows} {what} of {shape}, {data.classes} classes")
    steps, batch_size = description.steps, description.config.batch_size
    print(f"Model: {sizes}, {description.parameters:,} parameters; {steps} steps of {batch_size} an epoch", flush=True)


def _print_position(run):
    epoch, step, steps = run.progress.epoch, run.progress.step, run.progress.steps
    if epoch < run.config.epochs:
        print(f"Resuming: epoch {epoch + 1} of {run.config.epochs}, step {step} of {steps}", flush=True)


def _epoch_line(row):
    shown = [("cost", 4), ("val_cost", 4), ("val_accuracy", 4), ("seconds", 2)]
    words = [f"{key}={row[key]:.{digits}f}" for key, digits in shown if row[key] is not None]
    return " ".join([f"Epoch: {row['epoch']}", *words])


def _print_results(folder):
    results = folder.results
    if results.stopped_early:
        print(
            f"Stopped early: the lowest val_cost, {results.best_val_cost:.4f}, was that of epoch {results.best_epoch}, "
            f"whose parameters are kept (--patience={folder.description.config.patience})"
        )
    print(f"Model has completed {results.epochs} Epochs of Training")
    print(f"Test cost: {results.test_cost:.4f}")
    print(f"Accuracy: {results.test_accuracy:.4f}")
    print(f"Run: {folder.path}", flush=True)


if __name__ == "__main__":
    command.end(command.run(main, __doc__, flags.define))
