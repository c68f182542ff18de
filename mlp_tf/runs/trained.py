"""Reads trained runs back from their folders: parameters, data and predictions of one run or an ensemble."""

import functools

import numpy as np
import tensorflow as tf

from mlp_tf import UserError, data, loop
from mlp_tf.config import Config
from mlp_tf.data.augmentation import deskew
from mlp_tf.data.feed import block_size
from mlp_tf.data.scaling import Scaling, scale
from mlp_tf.data.scan import check_inputs, count_copies, hash_rows
from mlp_tf.model import normalize, parameter_shapes
from mlp_tf.runs import checkpoint
from mlp_tf.runs.folder import read_folder
from mlp_tf.runs.program import copy_parameters

TRUSTED = 0.9
_BATCH = 1000  # examples predicted at once, if they are small
# What the runs of an ensemble must share. The SHA-256 of data depends on how they are split.
_SHARED = ("example_shape", "dtype", "classes", "class_names", "validation", "sha256")


def load(workdir):
    """Returns the `TrainedRun` in a folder; the folder stays as it is.

    Raises:
      UserError: no run there, no complete checkpoint, or none that belongs to its results.
    """
    folder = read_folder(workdir)
    found, warnings = folder.newest_checkpoint()
    if found is None:
        raise UserError(f"--workdir={workdir}: the run has not saved anything yet; train it first")
    epochs = len(found.manifest.history)
    if folder.results is not None and folder.results.epochs != epochs:
        raise UserError(
            f"--workdir={workdir}: its results are of {folder.results.epochs} epochs, but the newest complete "
            f"checkpoint has {epochs} ({'; '.join(warnings)}); restore checkpoints/ from a copy, or train the run again"
        )
    parameters = checkpoint.read_parameters(found, best=bool(folder.description.config.patience))
    shapes = tuple({name: value.shape for name, value in group.items()} for group in parameters)
    if shapes != parameter_shapes(folder.description.sizes):
        raise UserError(f"{found.path}: holds another network than config.json describes; restore a copy")
    return TrainedRun(folder.path, folder.description, parameters, found, warnings)


class TrainedRun:
    """A run's parameters, of its best epoch under --patience, else of its last, and what they predict.

    Attributes:
      path: of its folder.
      description: `Description`, the content of config.json.
      weights, biases: dictionaries of arrays, as the model function takes them.
      epochs: trained so far.
      warnings: texts for the user.
    """

    def __init__(self, path, description, parameters, found=None, warnings=()):
        self.path = path
        self.description = description
        self.weights, self.biases = parameters
        self.epochs = len(found.manifest.history) if found else 0
        self.warnings = warnings
        self._found = found  # the `Checkpoint` that this was read from

    @property
    def config(self):
        """The settings."""
        return self.description.config

    @property
    def class_names(self):
        """The names of the classes, a tuple."""
        return self.description.data.class_names

    @property
    def title(self):
        """A short text for the run."""
        return self.description.title(self.path, self.epochs)

    @property
    def trusted(self):
        """The smallest probability of a trusted answer: 0.9 of what label smoothing aims at for a right one."""
        smoothing = self.config.label_smoothing
        return TRUSTED * (1 - smoothing + smoothing / self.description.data.classes)

    def splits(self, data_dir=""):
        """Returns the `data.Splits` that the run was trained on.

        Args:
          data_dir: where they are now, if they were moved.

        Raises:
          UserError: they cannot be loaded, or are no longer the same.
        """
        in_run = self.description.data
        data_dir = data_dir or self.config.data_dir
        loaded = data.load(data.located(in_run.name, data_dir), data_dir, in_run.validation, config=self.config)
        if loaded.sha256 != in_run.sha256:
            raise UserError(
                f"--workdir={self.path}: {loaded.name} is not the data that the run was trained on (its SHA-256 "
                "differs); restore it, or point --data_dir at a copy"
            )
        if loaded.class_names != in_run.class_names:
            raise UserError(
                f"--workdir={self.path}: the classes of {loaded.name} have other names than in its config.json; "
                "restore what was changed"
            )
        return loaded.scaled(self._scaling)

    def labelled(self, dataset, data_dir=""):
        """Returns (name, `data.Split`, notes) of other data than the run's, for `evaluate`; see `labelled_rows`."""
        name, split, notes = data.labelled_rows(dataset, self.description.data, data_dir, self.config)
        if copies := self._count_training_examples(split.images, data_dir):
            notes += (
                f"{copies:,} of the {len(split.images):,} examples are training examples of the run, so the accuracy "
                "is inflated; without --on, --split=test evaluates those that were held out",
            )
        return name, split._replace(scaling=self._scaling), notes

    def _count_training_examples(self, examples, data_dir):
        """Returns how many of these raw examples the run was trained on; 0 if its data cannot be loaded any more.

        It is 0 too for data that are not the user's files: loading them might download them.
        """
        if not self.description.data.is_user_data:
            return 0
        try:
            train = self.splits(data_dir).train.images
        except UserError:
            return 0
        return count_copies(hash_rows(examples, "examples"), hash_rows(train, "training examples"))

    @functools.cached_property
    def _scaling(self):
        return Scaling.from_json(self.description.scaling, self.description.data.example_shape)

    def evaluate(self, split):
        """Returns the `loop.Sums` of the run on a split, from `splits` or `labelled`."""
        return loop.evaluate(self._predict, data.batches(split, self.config))

    @functools.cached_property
    def _predict(self):
        return loop.predictor(self.config, self.module.weights, self.module.biases)

    @functools.cached_property
    def module(self):
        """A `tf.Module` whose `serve` computes the run's predictions, here and in an exported model.

        serve: examples `[N, *example_shape]`, of the type of the run's data -> {"classes": int32 `[N]`,
        "probabilities": float32 `[N, classes]`}. Other shapes raise an error, even in a signature, which does not check
        them itself. class_names: a variable, strings `[classes]` in UTF-8.
        """
        module = tf.Module()
        names = [name.encode(errors="backslashreplace") for name in self.class_names]
        module.class_names = tf.Variable(names, trainable=False, name="class_names")
        module.weights = {name: tf.Variable(value) for name, value in self.weights.items()}
        module.biases = {name: tf.Variable(value) for name, value in self.biases.items()}
        module.logits = self._logits_function(module)

        signature = self._signature()

        def serve(examples):
            probabilities = tf.nn.softmax(module.logits(tf.ensure_shape(examples, signature.shape)))
            return {"classes": tf.argmax(probabilities, axis=1, output_type=tf.int32), "probabilities": probabilities}

        module.serve = tf.function(serve, autograph=False, input_signature=[signature])
        return module

    def _signature(self):
        in_run = self.description.data
        name = "features" if len(in_run.example_shape) == 1 else "images"
        return tf.TensorSpec([None, *in_run.example_shape], in_run.dtype, name)

    def _logits_function(self, module):
        model = loop.model_function(self.config)

        def logits(images):
            if self.config.deskew:
                images = deskew(images)
            return model(normalize(scale(images, self._scaling, self.config)), module.weights, module.biases)

        return tf.function(logits, autograph=False, input_signature=[self._signature()])

    def logits(self, examples):
        """Returns logits `[N, classes]` of a batch of raw examples, as `probabilities` takes them."""
        return self.module.logits(tf.constant(examples))

    def probabilities(self, examples):
        """Returns the probability of each class, float32 `[N, classes]`.

        Args:
          examples: raw, like the run's data: uint8 `[N, *example_shape]`; for a run on features, any real numbers.

        Raises:
          UserError: no examples, another shape or type, or a value too large for float32 once it is standardized.
        """
        return _in_batches(lambda batch: self.module.serve(tf.constant(batch))["probabilities"], self.checked(examples))

    def checked(self, examples):
        """Checks raw examples and returns them as an array of the type of the run's data; see `probabilities`."""
        examples = np.asarray(examples)
        in_run = self.description.data
        fits = examples.dtype.kind in "biuf" if in_run.dtype == "float32" else examples.dtype == np.uint8
        if not (fits and len(examples) and examples.shape[1:] == in_run.example_shape):
            raise UserError(
                f"{examples.dtype} of shape {examples.shape}: the run takes {in_run.dtype} of shape (N, "
                f"{', '.join(map(str, in_run.example_shape))}), N above 0"
            )
        examples = examples.astype(in_run.dtype, copy=False)
        check_inputs(examples, self._scaling, self.config, "examples", in_run.columns, names_row=True)
        return examples

    def state(self):
        """Returns the `loop.State` in the run's checkpoint, optimizer included."""
        description = self.description
        state = loop.new_state(self.config, description.sizes, self.config.epochs * description.steps)
        blank = np.zeros((1, *description.data.example_shape), description.data.dtype)
        loop.train_step(state, self.config, blank, np.zeros(1, np.int32))  # makes the slots; all is restored
        target = checkpoint.variables(state, copy_parameters(state))
        checkpoint.restore(self._found.path, self._found.manifest.variables, target)
        return state


def prediction_batch(examples):
    """Returns how many examples of this shape are predicted at once."""
    return min(_BATCH, block_size(examples))


def _in_batches(function, examples):
    size = prediction_batch(examples)
    return np.concatenate([function(examples[start : start + size]) for start in range(0, len(examples), size)])


class Ensemble:
    """Runs that answer together, by the mean of their probabilities (Meier et al. 2011); there may be only one.

    Args:
      members: list of `TrainedRun`.

    Raises:
      UserError: they were not all trained on the same data with the same splits.
    """

    def __init__(self, members):
        self.members = members
        first = members[0]
        for other in members[1:]:
            one, two = first.description.data, other.description.data
            differing = [name for name in _SHARED if getattr(one, name) != getattr(two, name)]
            if differing:
                raise UserError(
                    f"--workdir={other.path}: its data differ from those of {first.path} in {', '.join(differing)}; an "
                    "ensemble needs runs on the same data, with the same --validation_size"
                )

    @property
    def class_names(self):
        """The names of the classes, a tuple."""
        return self.members[0].class_names

    @property
    def title(self):
        """A short text for the members."""
        return self.members[0].title if len(self.members) == 1 else f"an ensemble of {len(self.members)} runs"

    @property
    def trusted(self):
        """The smallest probability of a trusted answer."""
        return float(np.mean([run.trusted for run in self.members]))

    @property
    def warnings(self):
        """Texts for the user."""
        return [warning for run in self.members for warning in run.warnings]

    def splits(self, data_dir=""):
        """Returns the `data.Splits` that all were trained on; see `TrainedRun.splits`."""
        return self.members[0].splits(data_dir)

    def labelled(self, dataset, data_dir=""):
        """Returns (name, `data.Split`, notes) of other data; see `TrainedRun.labelled`."""
        return self.members[0].labelled(dataset, data_dir)

    def evaluate(self, split):
        """Returns the `loop.Sums` of the ensemble on a split, from `splits` or `labelled`."""
        if len(self.members) == 1:
            return self.members[0].evaluate(split)
        raw = split._replace(scaling=None)  # each member prepares the examples itself
        batches = data.batches(raw, Config(), size=prediction_batch(split.images))
        return loop.evaluate(self._log_probabilities, batches)

    def _log_probabilities(self, examples):
        """Returns the logarithm of the mean probability, `[N, classes]`; as logits, its softmax is that mean."""
        logs = tf.stack([tf.nn.log_softmax(run.logits(examples)) for run in self.members])
        return tf.reduce_logsumexp(logs, axis=0) - np.log(len(self.members))

    def probabilities(self, examples):
        """Returns the mean of the members' probabilities, float32 `[N, classes]`; see `TrainedRun.probabilities`."""
        return np.mean([run.probabilities(examples) for run in self.members], axis=0)


def load_ensemble(workdirs):
    """Returns the `Ensemble` of the runs in these folders.

    Raises:
      UserError: as `load` and `Ensemble`.
    """
    return Ensemble([load(workdir) for workdir in workdirs])
