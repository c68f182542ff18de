"""The result of a run, read back: its settings, its parameters, its data, and what it predicts."""

import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mlp_tf import UserError, data, loop
from mlp_tf.data.augmentation import deskew
from mlp_tf.data.feed import rows_at_once
from mlp_tf.data.scaling import Scaling, standardize
from mlp_tf.model import init_params, normalize
from mlp_tf.runs import checkpoint
from mlp_tf.runs.describe import Description
from mlp_tf.runs.folder import read_run
from mlp_tf.runs.start import parameters_of

TRUSTED = 0.9
BATCH = 1000  # images predicted at once, if they are small


class Result(NamedTuple):
    """A run's parameters, as arrays: those of its best epoch under --patience, else of its last."""

    weights: dict
    biases: dict
    description: Description
    epochs: int  # trained so far
    path: pathlib.Path
    warnings: list
    checkpoint: checkpoint.Checkpoint  # that all this was read from

    @property
    def config(self):
        """The settings."""
        return self.description.config

    @property
    def title(self):
        """The run in a few words."""
        return self.description.title(self.path, self.epochs)


def load(workdir):
    """Reads the result of a run from its folder; the folder stays as it is.

    Raises:
      UserError: no run there, none of its checkpoints is whole, or not the one that its results are of.
    """
    folder = read_run(workdir)
    found, warnings = folder.newest_checkpoint()
    if found is None:
        raise UserError(f"--workdir={workdir}: the run has not saved anything yet; train it first")
    epochs = len(found.manifest.history)
    if folder.results is not None and folder.results.epochs != epochs:
        raise UserError(
            f"--workdir={workdir}: its results are of {folder.results.epochs} epochs, but the newest whole "
            f"checkpoint has {epochs} ({'; '.join(warnings)}); restore checkpoints/ from a copy, or train the run again"
        )
    weights, biases = checkpoint.read_parameters(found, best=bool(folder.description.config.patience))
    if _shapes((weights, biases)) != _own_shapes(folder.description.sizes):
        raise UserError(f"{found.path}: holds another network than config.json describes; restore a copy")
    return Result(weights, biases, folder.description, epochs, folder.path, warnings, found)


def _own_shapes(sizes):
    # Traced, and never computed.
    drawn = tf.function(lambda: init_params(sizes), autograph=False).get_concrete_function()
    return _shapes(drawn.structured_outputs)


def _shapes(parameters):
    return tf.nest.map_structure(lambda each: list(each.shape), parameters)


def splits(result, data_dir=""):
    """The data that the run was trained on.

    Raises:
      UserError: it cannot be had, or is not the same any more.
    """
    own, data_dir = result.description.data, data_dir or result.config.data_dir
    name = data.located(own.name, data_dir)
    loaded = data.load(name, data_dir, own.validation)
    if loaded.sha256 != own.sha256:
        raise UserError(
            f"--workdir={result.path}: {loaded.name} is not the data that the run was trained on (its SHA-256 "
            "differs); restore it, or point --data_dir at a copy"
        )
    if own.class_names not in ((), loaded.class_names):  # version 0.4.0 did not keep them
        raise UserError(
            f"--workdir={result.path}: the classes of {loaded.name} have other names than in its config.json; restore "
            "what was changed"
        )
    return loaded.scaled(Scaling.from_json(result.description.scaling, own.image_shape))


def evaluate(result, split):
    """(cost in nats per example, accuracy from 0 to 1) of the run's parameters on a split."""
    sums = loop.evaluate(result.weights, result.biases, result.config, data.batches(split, result.config))
    return sums.cost_sum / sums.count, sums.correct / sums.count


def state(result):
    """The `loop.State` that the run's checkpoint holds, its optimizer included."""
    description, config, found = result.description, result.config, result.checkpoint
    own = loop.new_state(config, description.sizes, config.epochs * description.steps)
    raw = np.zeros((1, *description.data.image_shape), description.data.dtype)
    loop.train_step(own, config, raw, np.zeros(1, np.int32))  # which makes the optimizer's slots; all is restored
    checkpoint.restore(found.path, found.manifest.variables, checkpoint.variables(own, parameters_of(own)))
    return own


def servable(result):
    """A `tf.Module` whose `serve(images)` is what the run predicts, here and wherever it is exported to.

    Returns:
      serve: `[N, *image_shape]`, of the type of the run's data, -> {"classes": int32 `[N]`, "probabilities": float32
        `[N, classes]`}.
    """
    module, model = tf.Module(), loop.model_function(result.config)
    module.weights = {name: tf.Variable(value) for name, value in result.weights.items()}
    module.biases = {name: tf.Variable(value) for name, value in result.biases.items()}
    raw, scaling = (
        result.description.data,
        Scaling.from_json(result.description.scaling, result.description.data.image_shape),
    )
    images = tf.TensorSpec([None, *raw.image_shape], raw.dtype, name="images")

    @tf.function(autograph=False, input_signature=[images])
    def serve(images):
        x = normalize(standardize(deskew(images) if result.config.deskew else images, scaling))
        probabilities = tf.nn.softmax(model(x, module.weights, module.biases))
        return {"classes": tf.argmax(probabilities, axis=1, output_type=tf.int32), "probabilities": probabilities}

    module.serve = serve
    return module


def trusted(result):
    """The smallest probability of an answer to trust: 0.9 of what label smoothing lets a right one have."""
    smoothing = result.config.label_smoothing
    return TRUSTED * (1 - smoothing + smoothing / result.description.data.classes)


def rows_predicted_at_once(images):
    """How many images of this shape."""
    return min(BATCH, rows_at_once(images))


def probabilities(result, images):
    """Probability of each class, float32 `[N, classes]`, for raw examples as the run's own are.

    Args:
      images: uint8 `[N, *image_shape]`; of a run on features any real numbers.

    Raises:
      UserError: no examples, or of another shape or type.
    """
    images, own = np.asarray(images), result.description.data
    right = images.dtype.kind in "biuf" if own.dtype == "float32" else images.dtype == np.uint8
    if not (right and len(images) and images.shape[1:] == own.image_shape):
        raise UserError(
            f"{images.dtype} of shape {images.shape}: the run takes {own.dtype} of shape (N, "
            f"{', '.join(map(str, own.image_shape))}), N above 0"
        )
    images = images.astype(own.dtype, copy=False)
    serve, batch = servable(result).serve, rows_predicted_at_once(images)
    parts = [images[start : start + batch] for start in range(0, len(images), batch)]
    return np.concatenate([serve(tf.constant(part))["probabilities"] for part in parts])
