"""May a run begin, or go on, with these settings, this data, these workers, this machine? All such messages."""

import dataclasses
import json
import shlex

from mlp_tf import UserError
from mlp_tf.base import machine
from mlp_tf.config import Config, is_path, words_of
from mlp_tf.runs.describe import FREE

# Versions of this package between which a run goes on bit for bit.
_SAME_BITS = {"0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0"}
# Which workers may call in their own way, or which the data say better.
_OF_EACH_MACHINE = ("name", "dataset", "data_dir", "workdir", "validation_size")


def check_settings(config, folder):
    """Refuses to continue the run in a folder with other settings than its own, naming each.

    Whether a path leads to the run's own data, `check_data` tells.
    """
    if folder.description is None:
        return
    own = folder.description.config
    names = [field.name for field in dataclasses.fields(Config) if not _agrees(field.name, config, folder.description)]
    pairs = [(name, words_of(getattr(config, name)), words_of(getattr(own, name))) for name in names]
    differing = [f"--{name}={given}, but {mine} in the run" for name, given, mine in pairs]
    if config.epochs != own.epochs and own.schedule == "linear":
        differing.append(
            f"--epochs={config.epochs}, but {own.epochs} in the run (under --schedule=linear each learning rate "
            "depends on the total)"
        )
    _refuse(folder, differing, f"go on with that run: {continuing(folder.path)}")


def _agrees(name, config, description):
    """Whether a setting may continue the run."""
    value, own = getattr(config, name), getattr(description.config, name)
    if name == "dataset":
        return description.is_of(value) or is_path(value) or is_path(description.data.name)
    if name == "patience" and own:
        return value >= own
    return name in FREE or value == own or (name == "validation_size" and value is None)


def check_data(data, folder):
    """Refuses to continue the run in a folder on other data than its own, naming what differs."""
    if folder.description is None:
        return
    own = folder.description.data
    if data.shards != own.shards:
        raise UserError(
            f"--workdir={folder.path}: {own.shards} workers share the images of this run, and {data.shards} "
            "were started; start as many, with or without --replicate_data as before"
        )
    if not own.class_names:  # version 0.4.0 did not write them
        data = data._replace(class_names=())
    fields = [(field, getattr(data, field), getattr(own, field)) for field in data._fields if field != "name"]
    _refuse(
        folder,
        [f"data: {field} {_short(now)}, but {_short(then)} in the run" for field, now, then in fields if now != then],
        "restore its data, or say where they are now with --data_dir=PATH",
    )


def _refuse(folder, differing, advice):
    if differing:
        raise UserError(
            f"--workdir={folder.path} holds another run: {'; '.join(differing)}; give another folder, or {advice}"
        )


def _short(value):
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def continuing(workdir):
    """The command that goes on with a run."""
    return shlex.join(["python", "-m", "mlp_tf.train", f"--workdir={workdir}"])


def check_progress(config, folder, manifest):
    """Refuses an --epochs that the run is past."""
    done, step = len(manifest.history), manifest.progress["step"]
    if config.epochs < done + (done == manifest.progress["epoch"] and step > 0):
        raise UserError(
            f"--epochs={config.epochs}: the run in {folder.path} has trained {done} epochs and {step} steps; give a "
            "total that is not below that"
        )


def environment_warnings(now, manifest):
    """Warns where a resumed run cannot be promised to go on bit for bit."""
    # What a version before this one did not record is taken for what it is now.
    then = {**now, "replicas": 1, "workers": 1, **manifest.environment}
    if str(then["threads"]) == str(now["threads"]):  # version 0.3.0 kept a string
        then["threads"] = now["threads"]
    if {then.get("mlp_tf"), now["mlp_tf"]} <= _SAME_BITS:
        then["mlp_tf"] = now["mlp_tf"]
    before, after = ({**each, **each["variables"]} for each in (then, now))
    names = [name for name in {**before, **after} if name != "variables"]
    differing = [
        f"{name} was {before.get(name, 'not set')}, is {after.get(name, 'not set')}"
        for name in names
        if before.get(name) != after.get(name)
    ]
    return [f"resuming, but not bit for bit: {'; '.join(differing)}"] if differing else []


def check_workers(description, cluster):
    """Refuses a worker whose settings or data differ from the chief's, naming each; all workers call it."""
    own = json.loads(json.dumps({**description.config.to_json(), **description.data._asdict()}))
    of_chief = cluster.broadcast_json(own)
    differing = [
        f"{key} {_short(own.get(key))}, but {_short(value)} in worker 0"
        for key, value in of_chief.items()
        if own.get(key) != value and key not in _OF_EACH_MACHINE
    ]
    if differing:
        raise UserError(
            f"worker {cluster.task.index} has {'; '.join(differing)}; start all workers with the same flags and data"
        )


def check_memory(description):
    """Refuses a network that this machine cannot hold."""
    # Parameters, gradients, Adam's two slots and the best epoch, in float32.
    needed, hidden = 5 * 4 * description.parameters, words_of(description.config.hidden)
    subject = f"--hidden={hidden}: {description.parameters:,} parameters need"
    machine.check_memory(needed, subject, "give fewer units", digits=0)
