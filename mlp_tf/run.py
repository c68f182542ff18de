"""A run's life: start or resume it in its folder, train, save, stop when asked to, write the results."""

import contextlib
import itertools
import math
import os
import pathlib
import platform
import tempfile
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import mlp_tf
from mlp_tf import UserError, checkpoint, data, events, loop
from mlp_tf.cluster import Cluster
from mlp_tf.config import Config

# The next save waits this many times as long as the last one took: less than 1 % of the time, first and last apart.
SAVE_EVERY = 150
FIRST_SAVE = 0.03  # seconds that a save is taken for until one was timed


class Stopped(Exception):
    """The run was asked to stop; its state is saved. `number` is what asked: that of a signal."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


class Run(NamedTuple):
    """A run that is ready to train, with its folder open."""

    config: Config
    directory: checkpoint.RunDirectory | None  # the chief alone has it
    splits: data.Splits
    state: loop.State
    best: dict  # weights and biases of the epoch with the lowest val_cost
    history: list  # the rows of the epochs so far, as in metrics.jsonl
    progress: loop.Progress
    train_steps: tf.types.experimental.PolymorphicFunction
    environment: dict  # versions and machine of this process
    warnings: list
    cluster: Cluster


def load(config, dataset, cluster=loop.ALONE):
    """Loads what a run trains on: a worker's share, or all of it.

    `dataset` is what the chief takes --dataset=auto for: what it stood for when the run began.
    """
    auto, share = cluster.told(dataset), data.Share(cluster.seat.index, cluster.workers)
    name = auto if config.dataset == "auto" else config.dataset
    return data.load(name, config.data_dir, config.validation_size, share, config.replicate_data)


def start(config, directory, splits, cluster=loop.ALONE):
    """Compiles the loop, and starts a run in its folder or resumes the one that is there.

    Args:
      config: the run's settings, which `directory.check_settings` has accepted.
      directory: from `checkpoint.locked`; of the chief alone, others give None.
      splits: the data, from `load`.
      cluster: whose workers all call this.

    Returns:
      `Run`; the folder holds config.json and at least one checkpoint.

    Raises:
      UserError: settings that do not fit the data, or a folder that holds another run; it is unchanged.
    """
    _check_fits(config, splits, cluster)
    described = describe(config, splits, cluster)
    check_agreed({**config.to_json(), **described["data"]}, cluster)
    folder, manifest, warnings = None, None, []
    if directory and directory.config is not None:
        directory.check_data(described["data"])
        described["warning"] = directory.config.get("warning", "")  # of the run's beginning: it is the same data
        folder, manifest, damaged = directory.newest()
        warnings = damaged + _check_resumable(config, directory, manifest, described)

    _check_memory(config, described["model"]["parameters"])
    sizes, steps = described["model"]["sizes"], splits.train.rows // config.batch_size
    state = loop.new_state(config, sizes, config.epochs * steps, cluster)
    best = tf.nest.map_structure(lambda v: tf.Variable(v, name=f"best/{v.name[:-2]}"), parameters(state))
    train_steps = loop.build_train_steps(state, config, splits.train, cluster)
    beginning, environment = loop.Progress(0, 0, steps), described["environment"]
    run = Run(config, directory, splits, state, best, [], beginning, train_steps, environment, warnings, cluster)
    run = _restore(run, folder, manifest)
    if directory:
        directory.tidy(folder)
        if directory.config is None or directory.config["settings"]["epochs"] != config.epochs:
            directory.write_config(described)
        if manifest is None:
            save(run)
        directory.write_metrics(run.history)
    return run


def _restore(run, folder, manifest):
    """The run as the chief's checkpoint has it, in every worker; none but the chief needs to see its disk."""
    manifest = run.cluster.told(manifest)
    if manifest is None:
        return run
    with contextlib.ExitStack() as stack:
        if not run.directory:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, described in manifest["files"].items() if run.cluster.workers > 1 else ():
            content = (folder / name).read_bytes() if run.directory else bytes(described["bytes"])
            [content] = run.cluster.chiefs([np.frombuffer(content, np.uint8)])
            if not run.directory:
                (folder / name).write_bytes(content)
        checkpoint.restore(folder, manifest, *_variables(run))
    return run._replace(history=manifest["history"], progress=loop.Progress(**manifest["progress"]))


def describe(config, splits, cluster=loop.ALONE):
    """What config.json says of a run: settings, dataset, network, versions, threads."""
    sizes = [math.prod(splits.image_shape), *config.hidden, splits.classes]
    return {
        "settings": config.to_json(),
        "data": {
            "name": splits.name,
            "train": splits.train.rows,
            "validation": splits.validation.rows,
            "test": splits.test.rows,
            "image_shape": list(splits.image_shape),
            "classes": splits.classes,
            "sha256": splits.sha256,
            "shares": splits.train.share.workers,
        },
        "warning": splits.warning,
        "model": {
            "sizes": sizes,
            "parameters": sum((a + 1) * b for a, b in itertools.pairwise(sizes)),
            "steps_per_epoch": splits.train.rows // config.batch_size,
        },
        "environment": {
            "mlp_tf": mlp_tf.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "processor": _processor(),
            "threads": os.environ.get("TF_NUM_INTRAOP_THREADS") or _cores(),
            "replicas": cluster.replicas,
            "workers": cluster.workers,
        },
    }


def _processor():
    try:
        [model, *_] = [line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
        return f"{platform.machine()}, {model.partition(': ')[2]}"
    except (OSError, ValueError):
        return f"{platform.machine()}, {platform.processor()}"


def _cores():
    # Not every system can tell the cores that this very process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def train(run, asked_to_stop):
    """Trains a run to its end, saving on the way, and writes the results.

    Args:
      run: from `start`.
      asked_to_stop: called often; returns the number of the signal that asked the run to stop, or 0.

    Yields:
      (progress, row): after each chunk of steps, with the metrics row of an epoch that ended, or None.

    Raises:
      Stopped: the state is saved, and `start` goes on from there.
      loop.Diverged: the last good checkpoint is kept.
      UserError: a save failed; the checkpoint before it is kept.
    """
    log = contextlib.nullcontext(lambda row: None)
    if run.config.tensorboard and run.directory:
        log = events.writing(run.directory.path / "tensorboard", run.history)
    chunks = loop.fit(run.state, run.config, run.splits.train, run.progress, run.train_steps, run.cluster)
    saved_at, took = time.monotonic(), FIRST_SAVE
    try:
        with log as write:
            for progress in () if _stopped_early(run) else chunks:
                run, row = run._replace(progress=progress), None
                if progress.step == progress.steps:
                    run, row = _end_epoch(run, asked_to_stop)
                    write(row)
                _stop_if_asked(run, asked_to_stop)
                if time.monotonic() - saved_at >= SAVE_EVERY * took:
                    begin = time.monotonic()
                    save(run)
                    saved_at = time.monotonic()
                    took = saved_at - begin
                yield progress, row
                if row and _stopped_early(run):
                    break
        save(run)
        results = _results(run, asked_to_stop)
    except (Stopped, GeneratorExit):
        save(run)
        raise
    if run.directory:
        run.directory.write_results(results)
    _stop_if_asked(run, asked_to_stop)  # with several workers, none ends well before the results are written


def check_agreed(own, cluster):
    """Refuses a worker whose settings or data differ from the chief's, naming each.

    Args:
      own: this worker's, by name, of JSON's types.
      cluster: whose workers all call this.
    """
    elsewhere = ("name", "dataset", "data_dir", "workdir")  # which each machine may call in its own way
    chiefs = cluster.told(own)
    differing = [
        f"{key} {own.get(key)}, but {value} in worker 0"
        for key, value in chiefs.items()
        if own.get(key) != value and key not in elsewhere
    ]
    if differing:
        raise UserError(
            f"worker {cluster.seat.index} has {'; '.join(differing)}; start all workers with the same flags and data"
        )


def parameters(state):
    """What makes predictions: weights and biases, without the optimizer."""
    return {"weights": state.weights, "biases": state.biases}


def save(run):
    """Writes a checkpoint of a run, from which `start` resumes it bit for bit; the chief's alone."""
    if not run.directory:
        return
    saved, variables = _variables(run)
    manifest = {
        "step": int(run.state.step.numpy()),
        "progress": run.progress._asdict(),
        "history": run.history,
        "variables": variables,
        "environment": run.environment,
    }
    run.directory.save(saved, manifest)


def _check_fits(config, splits, cluster):
    if config.tensorboard:
        events.check_installed()
    rows = splits.train.rows
    if config.batch_size % cluster.replicas:
        raise UserError(
            f"--batch_size={config.batch_size}: must be a multiple of the {cluster.replicas} replicas, each of which "
            "takes an equal part of every batch"
        )
    if config.batch_size > rows:
        raise UserError(
            f"--batch_size={config.batch_size}: must be at most the {rows} training images of {splits.name}"
        )
    for name in ("distort", "elastic", "deskew"):
        if getattr(config, name) and len(splits.image_shape) < 2:
            raise UserError(
                f"--{name}={getattr(config, name)}: needs images of height x width, and those of {splits.name} have "
                f"shape {splits.image_shape}; leave it out"
            )


def _check_memory(config, parameters):
    # Parameters, gradients, Adam's two slots and the best epoch, in float32.
    needed, there = 5 * 4 * parameters, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UserError(
            f"--hidden={','.join(map(str, config.hidden))}: {parameters:,} parameters need {needed / 2**30:,.0f} GiB, "
            f"and this machine has {there / 2**30:,.0f}; give fewer units"
        )


def _check_resumable(config, directory, manifest, described):
    """Refuses an --epochs that the run is past; warns where bit-equality cannot be promised."""
    if manifest is None:
        return []
    done, step = len(manifest["history"]), manifest["progress"]["step"]
    if config.epochs < done + (done == manifest["progress"]["epoch"] and step > 0):
        raise UserError(
            f"--epochs={config.epochs}: the run in {directory.path} has trained {done} epochs and {step} steps; give a "
            "total that is not below that"
        )
    then, now = {"replicas": 1, "workers": 1, **manifest["environment"]}, described["environment"]
    differing = [f"{key} was {then.get(key)}, is {now[key]}" for key in now if now[key] != then.get(key)]
    return [f"resuming, but not bit for bit: {'; '.join(differing)}"] if differing else []


def _end_epoch(run, asked_to_stop):
    """Evaluates the epoch that ended: the run after it, and its row."""
    progress, config = run.progress, run.config

    val_cost = val_accuracy = None
    if run.splits.validation.rows:
        val_cost, val_accuracy = _measure(run, parameters(run.state), "validation", asked_to_stop)
        if all(val_cost < row["val_cost"] for row in run.history):
            tf.nest.map_structure(lambda best, now: best.assign(now), run.best, parameters(run.state))
    taken = int(run.state.step.numpy())
    row = {
        "epoch": progress.epoch + 1,
        "cost": progress.total / (progress.steps * config.batch_size),
        "val_cost": val_cost,
        "val_accuracy": val_accuracy,
        "learning_rate": loop.learning_rate(config, taken - 1, config.epochs * progress.steps),
        "seconds": progress.seconds,
    }
    if config.tensorboard:
        row["train_accuracy"] = _measure(run, parameters(run.state), "train", asked_to_stop)[1]
    if run.directory:
        run.directory.append_metrics(row)
    return run._replace(history=[*run.history, row], progress=loop.Progress(progress.epoch + 1, 0, progress.steps)), row


def _measure(run, result, split, asked_to_stop):
    """(cost, accuracy) of weights and biases on a split.

    Raises:
      loop.Diverged: the cost is not finite, though that of training may have been.
    """
    cost, accuracy = loop.evaluate(
        *result.values(),
        run.config,
        getattr(run.splits, split),
        before_batch=lambda: _stop_if_asked(run, asked_to_stop),
        cluster=run.cluster,
    )
    if not math.isfinite(cost):
        raise loop.Diverged(
            f"{split} cost is not finite after epoch {run.progress.epoch + (split != 'test')}, at step "
            f"{int(run.state.step.numpy())} of the run, with learning rate {run.config.learning_rate:g}; try a lower "
            "--learning_rate"
        )
    return cost, accuracy


def _stopped_early(run):
    """Whether the last `patience` epochs all lacked a lower val_cost than the best before them."""
    costs = [row["val_cost"] for row in run.history]
    return bool(run.config.patience) and bool(costs) and len(costs) - 1 - costs.index(min(costs)) >= run.config.patience


def _results(run, asked_to_stop):
    result = run.best if run.config.patience else parameters(run.state)
    test_cost, test_accuracy = _measure(run, result, "test", asked_to_stop)
    seconds = sum(row["seconds"] for row in run.history)
    examples = len(run.history) * run.progress.steps * run.config.batch_size
    return {
        "test_cost": test_cost,
        "test_accuracy": test_accuracy,
        "epochs": len(run.history),
        "train_examples": examples,
        "train_seconds": seconds,
        "examples_per_second": examples / seconds,
        "dataset": run.splits.name,
    }


def _stop_if_asked(run, asked_to_stop):
    """Stops every worker, if one of them was asked to."""
    if number := int(run.cluster.highest(asked_to_stop())):
        raise Stopped(number)


def _variables(run):
    """(`tf.train.Checkpoint` of all that a run changes, {name: shape})."""
    saved = tf.train.Checkpoint(**run.state._asdict(), best=run.best)
    named = {variable.name: variable for variable in [*run.state.variables(), *tf.nest.flatten(run.best)]}
    # By slot: the names of the slots themselves differ when a process trains several runs.
    return saved, {name: list(variable.shape) for name, variable in (named | run.state.slots()).items()}
