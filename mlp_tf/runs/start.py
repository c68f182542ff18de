"""Starts a run in its folder, or resumes the one that is there."""

import contextlib
import pathlib
import tempfile
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mlp_tf import data, loop
from mlp_tf.base.files import open_regular
from mlp_tf.data.feed import SINGLE_DEVICE, worker_shard
from mlp_tf.data.scaling import Scaling
from mlp_tf.distribute.cluster import Cluster
from mlp_tf.runs import checkpoint, compatible, tensorboard
from mlp_tf.runs.describe import Description, describe
from mlp_tf.runs.folder import NoFolder, RunFolder, Wanted
from mlp_tf.runs.manifest import Manifest, check_names


class Run(NamedTuple):
    """A run that is ready to train, with its folder open."""

    description: Description
    folder: RunFolder | NoFolder
    splits: data.Splits
    feed: data.Feed
    state: loop.State
    best: dict  # weights and biases of the epoch with the lowest val_cost, as variables
    train_steps: tf.types.experimental.PolymorphicFunction
    progress: loop.Progress
    history: list  # the rows of the epochs so far, as in metrics.jsonl
    warnings: list
    cluster: Cluster

    @property
    def config(self):
        """The settings."""
        return self.description.config

    def parameters(self):
        """What makes predictions, {"weights": {...}, "biases": {...}}: the state without its optimizer."""
        return {"weights": self.state.weights, "biases": self.state.biases}

    def variables(self):
        """All that a checkpoint holds."""
        return checkpoint.variables(self.state, self.best)


def load(config, folder, cluster=SINGLE_DEVICE):
    """Loads what a run trains on: a worker's shard, or all of it; --dataset=auto as the chief takes it."""
    wanted = Wanted(*cluster.broadcast_json(folder.data(config)))
    name = wanted.name if config.dataset == "auto" or cluster.task.chief else config.dataset
    if wanted.resumes:
        name = data.located(name, config.data_dir)
    size = wanted.validation_size if config.validation_size is None else config.validation_size
    shard = worker_shard(cluster)._replace(whole_train=config.replicate_data)
    return data.load(name, config.data_dir, size, shard)


def start(config, folder, splits, cluster=SINGLE_DEVICE):
    """Compiles the loop, and starts a run in its folder or resumes the one that is there.

    Args:
      config: the run's settings, which `compatible.check_settings` has accepted.
      folder: from `folder.open_run`.
      splits: the data, from `load`.
      cluster: whose workers all call this.

    Returns:
      `Run`; the folder holds config.json and at least one checkpoint.

    Raises:
      UserError: settings that do not fit the data, or a folder that holds another run; it is unchanged.
    """
    if config.tensorboard:
        tensorboard.check_installed()
    description = describe(config, splits, cluster)
    compatible.check_workers(description, cluster)
    found, warnings = _find_checkpoint(description, folder)
    compatible.check_memory(description)
    description = _with_own(description, folder, cluster)
    splits = splits.scaled(Scaling.from_json(description.scaling, splits.image_shape))
    run = _restored(_new_run(description, folder, splits, cluster), found)
    _write_beginning(run, found)
    return run._replace(warnings=warnings)


def _find_checkpoint(description, folder):
    """(the checkpoint that the run goes on from, or None; warnings)."""
    compatible.check_data(description.data, folder)
    found, warnings = folder.newest_checkpoint()
    if found is None:
        return None, warnings
    compatible.check_progress(description.config, folder, found.manifest)
    return found, warnings + compatible.environment_warnings(description.environment, found.manifest)


def _with_own(description, folder, cluster):
    """The description with what the run began with, which another version or another form of the data may not repeat.

    Mean and deviation are sums, whose last bits depend on how the rows were read.
    """
    if folder.description is not None:
        own = folder.description
        description = description._replace(data=own.data._replace(name=description.data.name), scaling=own.scaling)
    return description._replace(scaling=cluster.broadcast_json(description.scaling))


def _new_run(description, folder, splits, cluster):
    config = description.config
    feed = data.Feed(splits.train, config, cluster)
    with cluster.strategy.scope():
        state = loop.new_state(config, description.sizes, config.epochs * feed.steps)
    train_steps = loop.compile_steps(state, config, feed)
    beginning = loop.Progress(0, 0, feed.steps)
    return Run(description, folder, splits, feed, state, parameters_of(state), train_steps, beginning, [], [], cluster)


def parameters_of(state):
    """A copy of a state's weights and biases, as variables: {"weights": {...}, "biases": {...}}."""
    groups = {"weights": state.weights, "biases": state.biases}
    return {kind: {name: tf.Variable(value) for name, value in group.items()} for kind, group in groups.items()}


def _restored(run, found):
    """The run as the chief's checkpoint has it, in every worker; none but the chief needs to see its disk."""
    manifest = run.cluster.broadcast_json(found and found.manifest._asdict())
    if manifest is None:
        return run
    with _files_of_chief(found, run.cluster) as path:
        checkpoint.restore(path, manifest["variables"], run.variables())
    return run._replace(history=manifest["history"], progress=loop.Progress(**manifest["progress"]))


@contextlib.contextmanager
def _files_of_chief(found, cluster):
    """Yields a folder with the files of the chief's checkpoint: its own, or a temporary one to the other workers."""
    sizes = cluster.broadcast_json(found and found.sizes)
    check_names(sizes)
    with tempfile.TemporaryDirectory() if found is None else contextlib.nullcontext(found.path) as path:
        for name, size in sizes.items() if cluster.workers > 1 else ():
            file = pathlib.Path(path) / name
            content = cluster.broadcast(np.frombuffer(_read(file) if found else bytes(size), np.uint8))
            if not found:
                file.write_bytes(content)
        yield pathlib.Path(path)


def _read(path):
    with open_regular(path, follow=False) as file:
        return file.read()


def _write_beginning(run, found):
    """Makes the folder say where the run begins."""
    folder, before = run.folder, run.folder.description
    folder.remove_unfinished(found)
    if before is None:
        folder.write_description(run.description)
    elif (before.config, before.data.name) != (run.config, run.description.data.name):
        folder.write_description(run.description._replace(warning=before.warning))
    if found is None:
        save(run)
    folder.write_metrics(run.history)


def save(run):
    """Writes a checkpoint, from which `start` resumes the run bit for bit."""
    variables = run.variables()
    manifest = Manifest(
        step=int(run.state.step.numpy()),
        progress=run.progress._asdict(),
        history=run.history,
        variables=variables.shapes,
        environment=run.description.environment,
        run=run.description.identity(),
    )
    run.folder.save(variables.tracked, manifest)
