"""Trains a perceptron with explicit weights and biases, in a compiled batch loop.

    python -m mlp_tf.train --hidden=256,256 --epochs=15
    python -m mlp_tf.train --hidden=256,256 --epochs=30 --workdir=RUN     (goes on with a run)

Results go to stdout; progress and warnings go to stderr. Exit codes: 0 done, 1 a mistake that the one
line on stderr explains, 3 diverged, 130 or 143 stopped by SIGINT or SIGTERM and saved.
"""

import contextlib
import dataclasses
import datetime
import pathlib
import shlex
import sys

from mlp_tf import UserError, checkpoint, config, door, workers


def main(values):
    """Trains, or goes on with, the run that the flags describe; returns the exit code."""
    settings = config.from_flags(values)
    if settings.strategy == "multi_worker" and not settings.workdir:
        raise UserError(
            "--strategy=multi_worker: --workdir is missing; give it, so that all can be started again with it"
        )
    settings = dataclasses.replace(settings, workdir=settings.workdir or _new_folder())
    seat = workers.seat(settings)
    where = "" if seat.alone else ", in every worker"
    advice = f"to go on{where}: " + shlex.join(["python", "-m", "mlp_tf.train", *settings.as_flags()])
    with door.stopping(advice) as stop, checkpoint.locked(settings.workdir, seat.chief) as directory:
        if directory:
            directory.check_settings(settings)
        if seat.alone and directory.finished(settings):
            return _print_finished(directory)
        door.import_tensorflow()
        from mlp_tf import cluster

        together = cluster.connect(settings, seat, stop.listen, door.warn)
        with together.watched():
            return _train(settings, directory, together, stop)


def _train(settings, directory, together, stop):
    from mlp_tf import loop, run

    if together.told(directory and directory.finished(settings)):
        return _print_finished(directory)
    splits = run.load(settings, directory and directory.dataset(settings), together)
    door.warn(splits.warning or ((directory and directory.config) or {}).get("warning"))
    a_run = run.start(settings, directory, splits, together)
    door.warn(*a_run.warnings)
    if directory:
        _print_description(directory.config)
    stop.saves = True
    steps, done = settings.epochs * a_run.progress.steps, int(a_run.state.step.numpy())
    try:
        with (
            door.progress_bar(steps, done, together.seat.chief) as bar,
            contextlib.closing(run.train(a_run, stop.asked)) as chunks,  # closed, it saves
        ):
            for progress, row in chunks:
                bar.update(progress.epoch * progress.steps + progress.step - bar.n)
                if row and directory:
                    bar.write(_epoch_line(row), file=sys.stdout)
                    sys.stdout.flush()
    except loop.Diverged as error:
        kept = f"in {directory.path}" if directory else "with worker 0"
        return door.fail(f"diverged: {error}; the last good checkpoint is {kept}", code=3)
    except run.Stopped as stopped:
        return door.stopped(stop, stopped.number)
    if directory:
        _print_results(directory)
    return 0


def _print_finished(directory):
    """What a run that is done already printed; the chief alone has its folder."""
    if directory:
        door.warn(directory.config.get("warning"))
        _print_description(directory.config)
        _print_results(directory)
    return 0


def _new_folder():
    """A name under runs/ that is not there yet."""
    name = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder, count = pathlib.Path("runs") / name, 1
    while folder.exists():
        count += 1
        folder = folder.with_name(f"{name}-{count}")
    return str(folder)


def _print_description(described):
    data, model = described["data"], described["model"]
    kinds = [
        f"{data[kind]:,} {name}"
        for kind, name in (("train", "training"), ("validation", "validation"), ("test", "test"))
    ]
    shape = " x ".join(map(str, data["image_shape"]))
    print(f"Dataset: {data['name']}, {', '.join(kinds)} images of {shape}, {data['classes']} classes")
    sizes = "-".join(map(str, model["sizes"]))
    steps, batch_size = model["steps_per_epoch"], described["settings"]["batch_size"]
    print(f"Model: {sizes}, {model['parameters']:,} parameters; {steps} steps of {batch_size} an epoch", flush=True)


def _epoch_line(row):
    shown = [
        ("cost", "cost", 4),
        ("val_cost", "val_cost", 4),
        ("val_accuracy", "val_accuracy", 4),
        ("seconds", "seconds", 2),
    ]
    words = [f"{label}={row[key]:.{digits}f}" for label, key, digits in shown if row[key] is not None]
    return " ".join([f"Epoch: {row['epoch']}", *words])


def _print_results(directory):
    results = directory.results
    print(f"Model has completed {results['epochs']} Epochs of Training")
    print(f"Test cost: {results['test_cost']:.4f}")
    print(f"Accuracy: {results['test_accuracy']:.4f}")
    print(f"Run: {directory.path}", flush=True)


if __name__ == "__main__":
    sys.exit(door.enter(main, __doc__, config.define_flags))
