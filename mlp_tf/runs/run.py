"""Opens a run in its folder, trains it, saves it, stops it, and writes its results.

With several workers, the chief opens the folder, loads its data, and broadcasts a plan. The others load their data by
the plan, and all agree to start. TensorFlow is imported after the folder is checked, so a refusal comes at once.
"""

import contextlib
import dataclasses
import math
import pathlib
import tempfile
import time
from typing import Any, NamedTuple

import msgspec

from mlp_tf import UserError
from mlp_tf.base.files import open_regular
from mlp_tf.base.text import tensorflow_reason
from mlp_tf.cli import command, quiet
from mlp_tf.config import Config
from mlp_tf.distribute import meeting, tf_config
from mlp_tf.runs import checkpoint, events, identity
from mlp_tf.runs.checkpoint import Checkpoint, Manifest
from mlp_tf.runs.folder import Results, open_folder, read_config
from mlp_tf.runs.identity import Description

# The next save waits this many times as long as the last one took: less than 1 % of the time, first and last apart.
SAVE_EVERY = 150
FIRST_SAVE = 0.03  # seconds that a save is assumed to take before the first is timed


class Stopped(Exception):
    """The run was asked to stop, and its state is saved. `number` is the number of the signal."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


class Plan(msgspec.Struct):
    """What the chief broadcasts."""

    refusal: str = ""  # why there is no run; then nothing else counts
    is_finished: bool = False
    description: dict = {}  # `Description.to_json`, with split sizes and scaling (msgspec copies the default)
    manifest: Manifest | None = None  # of the checkpoint that the run resumes from
    sizes: dict[str, int] = {}  # {name of a file of that checkpoint: its bytes}


class Start(NamedTuple):
    """What a worker starts with."""

    description: Description
    splits: Any = None  # `data.Splits`; None if the run is finished
    found: Checkpoint | None = None  # the checkpoint that the run resumes from
    warnings: tuple = ()


@contextlib.contextmanager
def open_run(config=None, workdir=None, splits=None, stop=None, **changes):
    """Opens a run in its folder, a new run or the existing one, and locks the folder until the end.

    Args:
      config: `Config`; by default the settings of the existing run or, for a new one, the default settings.
      workdir: the folder; by default `config.workdir`.
      splits: `data.Splits`, if the data are loaded already; by default what `config.dataset` names.
      stop: an object such as `signals.StopRequest`: number() is the number of the signal that asked the run to stop, or
        0; listen() is called when TensorFlow's server has replaced the signal handlers.
      changes: settings that replace those of `config`, such as `epochs=30` for an existing run.

    Yields:
      `Run`. If it trained, it is saved at the end.

    Raises:
      UserError: no such data, settings that do not fit them, or a folder of another run, which stays unchanged.
    """
    workdir = workdir or (config.workdir if config else "")
    if not workdir:
        raise UserError("workdir is missing: give the folder of the run, such as runs/mine")
    given = config or Config(strategy=changes.get("strategy", "default"))
    with meeting.refusal(tf_config.task(given)):  # the run's settings may be what is refused
        config = config or read_config(workdir) or Config()
        config = dataclasses.replace(config, **changes, workdir=str(workdir))
    task = tf_config.task(config)
    with contextlib.ExitStack() as stack:
        with meeting.refusal(task):
            folder = stack.enter_context(open_folder(workdir)) if task.chief else None
            if folder:
                identity.check_settings(config, folder)
        if task.single and folder.is_finished(config):
            warnings = () if splits else (folder.description.warning,)  # whoever loaded them has been warned
            yield Run(Start(folder.description, warnings=warnings), folder)
            return
        quiet.import_tensorflow()
        from mlp_tf.distribute.cluster import connect

        cluster = connect(config, task, stop.listen if stop else lambda: None, command.warn)
        stack.enter_context(cluster.watched())
        start = _decide_and_tell(config, folder, cluster, splits) if folder else _follow(config, cluster)
        run = Run(start, folder, cluster, stop)
        if start.splits:
            run.prepare(stack)
        with contextlib.closing(run):
            yield run


def _decide_and_tell(config, folder, cluster, splits):
    """Returns the `Start` of the chief, and sends it, or the reason for a refusal, to the other workers."""
    try:
        start = _decide(config, folder, cluster, splits)
        description = {} if cluster.task.single else start.description.to_json()
    except (ValueError, OSError) as error:  # a UserError is a ValueError
        cluster.broadcast_struct(Plan(refusal=f"{cluster.task.names([0])} was refused: {error}"), Plan)
        raise
    found = (start.found.manifest, start.found.sizes) if start.found else ()
    cluster.broadcast_struct(Plan("", start.splits is None, description, *found), Plan)
    with cluster.all_or_none():
        return start


def _decide(config, folder, cluster, splits):
    """Checks data, settings and checkpoint of the run in a folder against each other, and returns its `Start`.

    Raises:
      UserError: they do not fit; the folder is unchanged.
    """
    from mlp_tf.handwriting.images import measure_style

    in_folder = folder.description
    if folder.is_finished(config):
        return Start(in_folder, warnings=(in_folder.warning,))
    if config.tensorboard:
        events.check_installed()
    warnings = []
    if splits is None:
        splits = _load(config, in_folder, cluster)
        warnings += [splits.warning or (in_folder.warning if in_folder else ""), *splits.suspicions]
    description = identity.describe(config, splits, cluster)
    identity.check_data(description.data, folder)
    found, damaged = folder.newest_checkpoint()
    warnings += damaged
    if found:
        identity.check_progress(config, folder, found.manifest)
        warnings += identity.environment_warnings(description.environment, found.manifest.environment)
    identity.check_memory(description)
    if in_folder:
        # Mean and standard deviation are sums, whose last bits depend on how the examples were read.
        description = description._replace(
            scaling=in_folder.scaling,
            ink_style=in_folder.ink_style,
            warning=splits.warning or in_folder.warning,
        )
    elif style := measure_style(splits.train.images):
        description = description._replace(ink_style=identity.InkStyle(**style))
    identity.check_size(description)
    return Start(description, splits, found, tuple(warnings))


def _follow(config, cluster):
    """Returns the `Start` of a worker that is not the chief."""
    plan = cluster.broadcast_struct(None, Plan)
    if plan.refusal:
        raise UserError(plan.refusal)
    with cluster.all_or_none():
        description = Description.from_json(plan.description)
        if plan.is_finished:
            return Start(description)
        splits = _load(config, description, cluster)
        identity.check_same_run(identity.describe(config, splits, cluster), description)
        found = plan.manifest and Checkpoint(None, plan.manifest, plan.sizes)
        return Start(description, splits, found, tuple(splits.suspicions))


def _load(config, description, cluster):
    """Loads the data of a run: a worker's shard, or everything.

    Args:
      config: the settings given to this worker.
      description: of the existing run, or of the chief's run; None for a new one.
      cluster: the workers.
    """
    from mlp_tf import data
    from mlp_tf.data.feed import worker_shard

    shard = worker_shard(cluster)._replace(whole_train=config.replicate_data)
    if description is None:
        return data.load(config.dataset, config.data_dir, config.validation_size, shard, config)
    is_same = config.dataset == "auto" or description.is_of(config.dataset)
    name = data.located(description.data.name if is_same else config.dataset, config.data_dir)
    return data.load(name, config.data_dir, description.data.validation, shard, config)


@contextlib.contextmanager
def _memory_errors():
    """Turns what TensorFlow or Python raises in the body when memory runs out into a `UserError`."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise UserError(
            f"out of memory ({tensorflow_reason(error) or 'Python'}); give fewer units, a smaller --batch_size or "
            "fewer examples; a saved run resumes from its last checkpoint"
        ) from None


def best_row(history, monitor):
    """Returns the metrics row of the best epoch, the first if several are; None without validation examples.

    Args:
      history: rows of metrics.jsonl.
      monitor: val_cost, of which the lowest is the best, or val_accuracy, of which the highest is.
    """
    validated = [row for row in history if row[monitor] is not None]
    best = min if monitor == "val_cost" else max
    return best(validated, key=lambda row: row[monitor], default=None)


class Run:
    """An open run: `train` it, then read `results`.

    Attributes:
      description: `Description`, the content of config.json.
      folder: `RunFolder`; None on workers other than the chief.
      splits: `data.Splits`; None if the run was finished when it was opened.
      progress: `loop.Progress`, its position.
      results: `Results`; None until it is finished.
      warnings, notes: texts for the user.
      resumes: whether the folder already held the run.
    """

    def __init__(self, start, folder, cluster=None, stop=None):
        self.description = start.description
        self.folder = folder
        self.splits = start.splits
        self.progress = None
        self._history = []
        self.results = folder and folder.results
        self.warnings = [text for text in start.warnings if text]
        self.notes = list(start.splits.notes) if start.splits else []
        self.resumes = bool(folder and folder.description)
        self._start = start
        self._cluster = cluster
        self._stop_requested = stop.number if stop else lambda: 0
        self._feed = None
        self._program = None
        self._chunks = None  # the generator that `train` returned

    @property
    def config(self):
        """The settings."""
        return self.description.config

    @property
    def history(self):
        """The rows of metrics.jsonl so far."""
        return self.folder.read_metrics() if self.folder and self.splits is None else self._history

    @property
    def state(self):
        """Parameters, optimizer and step: `loop.State`; None if the run is closed, or was finished when opened."""
        return self._program and self._program.state

    @_memory_errors()
    def prepare(self, stack):
        """Compiles the loop, restores the checkpoint, and prepares the folder.

        Args:
          stack: `contextlib.ExitStack`; when it closes, another run may use the compiled loop.
        """
        from mlp_tf import data, loop
        from mlp_tf.data.scaling import Scaling
        from mlp_tf.runs.program import open_program

        self.results = None  # those in the folder are of fewer epochs, or of less patience
        scaling = Scaling.from_json(self.description.scaling, self.splits.example_shape)
        self.splits = self.splits.scaled(scaling)
        self._feed = data.Feed(self.splits.train, self.config, self._cluster)
        self._feed.check_stop = self._check_stop
        self._program = stack.enter_context(open_program(self.config, self.description.sizes, self._feed))
        self.progress = loop.Progress(0, 0, self._feed.steps)
        found = self._start.found
        if found:
            self._restore(found)
            self._history = list(found.manifest.history)
            self.progress = loop.Progress(**found.manifest.progress)
        if self.folder:
            self.folder.begin(self.description, found)
            if not found:
                self.save()
            self.folder.write_metrics(self.history)

    def _restore(self, found):
        """Reads the variables from the chief's checkpoint; its files are sent to the other workers."""
        sizes = found.sizes if self._cluster.workers > 1 else {}
        checkpoint.check_names(sizes)
        with contextlib.nullcontext(found.path) if self.folder else tempfile.TemporaryDirectory() as path:
            for name, size in sizes.items():
                file = pathlib.Path(path) / name
                content = bytes(size)
                if self.folder:
                    with open_regular(file, follow=False) as opened:
                        content = opened.read()
                content = self._cluster.broadcast(content)
                if not self.folder:
                    file.write_bytes(content)
            checkpoint.restore(pathlib.Path(path), found.manifest.variables, self._variables())

    def _variables(self):
        return checkpoint.variables(self.state, self._program.best)

    def save(self):
        """Writes a checkpoint, from which the run resumes bit for bit; workers other than the chief do nothing.

        Raises:
          UserError: it cannot be written; the checkpoint before it is kept.
        """
        if self.folder is None:
            return
        self._check_whole()
        variables = self._variables()
        manifest = Manifest(
            step=int(self.state.step.numpy()),
            progress=self.progress._asdict(),
            history=list(self.history),
            variables=variables.shapes,
            environment=self.description.environment,
            identity=self.description.identity(),
        )
        warning = self.folder.save(variables.tracked, manifest)
        if warning and warning not in self.warnings:  # once
            self.warnings.append(warning)
            command.warn(warning)

    def _check_whole(self):
        """Raises UserError if an exception interrupted a step, and the caller caught it."""
        done = self.progress.epoch * self.progress.steps + self.progress.step
        if int(self.state.step.numpy()) != done:
            raise UserError(
                f"the run in {self.config.workdir} was interrupted inside a chunk of steps; open it again, which "
                "resumes it from its last checkpoint"
            )

    def train(self):
        """Trains to the end of the last epoch, saving on the way, and writes the results.

        Yields:
          (progress, row): after each chunk of steps; `row` is the metrics row of an epoch that ended, or None. Nothing
          if the run is finished. If the caller leaves the loop, closing the run saves the state.

        Raises:
          Stopped: the run was asked to stop; the state is saved.
          loop.Diverged: the last good checkpoint is kept.
          UserError: a save failed; the checkpoint before it is kept.
        """
        self._chunks = self._train() if self._program else iter(())
        return self._chunks

    def close(self):
        """Saves what training has not saved yet, and releases the variables, which a later run may use."""
        if hasattr(self._chunks, "close"):
            self._chunks.close()
        self._program = None
        self._feed = None

    def _train(self):
        from mlp_tf import loop

        self._check_whole()
        chunks = loop.fit(self._program.train_steps, self.state, self.config, self._feed, self.progress)
        save_at = time.monotonic() + SAVE_EVERY * FIRST_SAVE
        try:
            with _memory_errors(), self._event_log() as log:
                for progress in () if self.out_of_patience() else chunks:
                    self.progress = progress
                    row = self._end_epoch() if progress.step == progress.steps else None
                    if row:
                        log(row)
                    self._check_stop()
                    if time.monotonic() >= save_at:
                        begin = time.monotonic()
                        self.save()
                        save_at = time.monotonic() + SAVE_EVERY * (time.monotonic() - begin)
                    yield progress, row
                    if row and self.out_of_patience():
                        break
            self.save()
            results = self._measure()
        except (Stopped, GeneratorExit):
            self.save()
            raise
        if self.folder:
            self.folder.write_results(results)
        self.results = results
        self._check_stop()  # no worker ends well before the results are written

    def _event_log(self):
        """Returns a context that yields write(row); with --tensorboard it writes events."""
        if self.config.tensorboard and self.folder:
            self.folder.check_place()
            return events.writing(self.folder.path / "tensorboard", self.history)
        return contextlib.nullcontext(lambda row: None)

    def _check_stop(self):
        """Raises Stopped on every worker if one of them was asked to stop."""
        number = int(self._cluster.all_reduce_max(self._stop_requested()))
        if number:
            raise Stopped(number)

    def out_of_patience(self):
        """Checks whether the best epoch is `patience` epochs ago."""
        best = best_row(self.history, self.config.monitor)
        return bool(self.config.patience and best) and len(self.history) - best["epoch"] >= self.config.patience

    def _end_epoch(self):
        """Evaluates after an epoch, keeps its parameters if it is the best, and returns its row."""
        from mlp_tf import loop

        validation = None
        if self.splits.validation.global_rows:
            validation = self._evaluate("validation", self._program.predict)
        steps = self.progress.steps
        examples = steps * self.config.batch_size
        row = {
            "epoch": self.progress.epoch + 1,
            "cost": self.progress.total / examples,
            "accuracy": self.progress.correct / examples,
            "val_cost": validation and validation.cost,
            "val_accuracy": validation and validation.accuracy,
            "learning_rate": loop.learning_rate(
                self.config, int(self.state.step.numpy()) - 1, self.config.epochs * steps
            ),
            "seconds": self.progress.seconds,
        }
        self._history.append(row)
        if best_row(self.history, self.config.monitor) is row:
            self._program.keep_best()
        if self.folder:
            self.folder.append_metrics(row)
        self.progress = loop.Progress(self.progress.epoch + 1, 0, steps)
        return row

    def _evaluate(self, name, predict):
        """Returns the `loop.Sums` of a split over all workers.

        Raises:
          loop.Diverged: the cost is not finite, though the training cost may be.
        """
        from mlp_tf import data, loop

        def batches():
            for batch in data.batches(getattr(self.splits, name), self.config, self._cluster):
                self._check_stop()
                yield batch

        sums = loop.evaluate(predict, batches())
        cost_sum, correct, count = self._cluster.all_reduce_sum([float(each) for each in sums])
        if not math.isfinite(cost_sum):
            raise loop.Diverged(
                f"{name} cost is not finite after epoch {len(self.history) + (self.progress.step > 0)}, at step "
                f"{int(self.state.step.numpy())} of the run, with learning rate {self.config.learning_rate:g}; try a "
                "lower --learning_rate"
            )
        return loop.Sums(float(cost_sum), int(correct), int(count))

    @_memory_errors()
    def _measure(self):
        """Returns the `Results`, of the best epoch's parameters under --patience, else of the last."""
        predict = self._program.predict_best if self.config.patience else self._program.predict
        test = self._evaluate("test", predict)
        train = self._evaluate("train", predict)
        seconds = sum(row["seconds"] for row in self.history)
        best = best_row(self.history, self.config.monitor)
        row = best if self.config.patience and best else self.history[-1]
        examples = len(self.history) * self.progress.steps * self.config.batch_size
        return Results(
            test_cost=test.cost,
            test_accuracy=test.accuracy,
            train_accuracy=train.accuracy,
            val_cost=row["val_cost"],
            val_accuracy=row["val_accuracy"],
            epochs=len(self.history),
            best_epoch=best and best["epoch"],
            best_val_cost=best and best["val_cost"],
            best_val_accuracy=best and best["val_accuracy"],
            stopped_early=self.out_of_patience() and len(self.history) < self.config.epochs,
            train_examples=examples,
            train_seconds=seconds,
            examples_per_second=examples / max(seconds, 1e-9),  # a clock may stand still
            dataset=self.splits.name,
        )
