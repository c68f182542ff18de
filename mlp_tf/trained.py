"""A run read back: its settings, its parameters, its data, and what it predicts."""

import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mlp_tf import UserError, checkpoint, data, loop
from mlp_tf.config import Config

BATCH = 1000  # images predicted at once


class Trained(NamedTuple):
    """A run's result: the parameters of its best epoch under --patience, else of its last."""

    path: pathlib.Path
    config: Config
    described: dict  # config.json
    epochs: int
    weights: dict
    biases: dict
    warnings: list

    @property
    def title(self):
        """The run in a few words."""
        sizes = "-".join(map(str, self.described["model"]["sizes"]))
        name = pathlib.Path(self.described["data"]["name"]).name
        return f"{self.path.resolve().name}: {sizes}, {name}, {self.epochs} of {self.config.epochs} epochs"


def load(workdir):
    """Reads the result of a run from its folder; the folder stays as it is.

    Raises:
      UserError: no run there, none of its checkpoints is whole, or not the one that its results are of.
    """
    directory = checkpoint.existing(workdir)
    folder, manifest, warnings = directory.newest()
    if folder is None:
        raise UserError(f"--workdir={workdir}: the run has not saved anything yet; train it first")
    epochs = len(manifest["history"])
    if directory.results is not None and directory.results["epochs"] != epochs:
        raise UserError(
            f"--workdir={workdir}: its results are of {directory.results['epochs']} epochs, but the newest whole "
            f"checkpoint has {epochs} ({'; '.join(warnings)}); restore checkpoints/ from a copy, or train the run again"
        )
    config, reader = directory.settings(), tf.train.load_checkpoint(str(folder / "state"))
    prefix = "best/" if config.patience else ""

    def read(kind):
        names = [name.removesuffix(":0") for name in manifest["variables"] if name.startswith(f"{prefix}{kind}/")]
        names = [name for name in names if " " not in name]  # "weights/h1:0 m" is a slot of the optimizer
        return {name.split("/")[-1]: reader.get_tensor(f"{name}/.ATTRIBUTES/VARIABLE_VALUE") for name in names}

    described = directory.config
    return Trained(directory.path, config, described, epochs, read("weights"), read("biases"), warnings)


def splits(trained, data_dir=""):
    """The data that the run was trained on.

    Raises:
      UserError: it cannot be had, or is not the same any more.
    """
    config, name = trained.config, trained.described["data"]["name"]
    if name.endswith(".npz") and data_dir:
        name = str(pathlib.Path(data_dir) / pathlib.Path(name).name)
    loaded = data.load(name, data_dir or config.data_dir, config.validation_size)
    if loaded.sha256 != trained.described["data"]["sha256"]:
        raise UserError(
            f"--workdir={trained.path}: {loaded.name} is not the data that the run was trained on (its SHA-256 "
            "differs); restore it, or point --data_dir at a copy"
        )
    return loaded


def servable(trained):
    """A `tf.Module` whose `serve(images)` is what the run predicts, here and wherever it is exported to.

    Returns:
      serve: uint8 `[N, *image_shape]` -> {"classes": int32 `[N]`, "probabilities": float32 `[N, classes]`}.
    """
    module, model = tf.Module(), loop.model_function(trained.config)
    module.weights = {name: tf.Variable(value) for name, value in trained.weights.items()}
    module.biases = {name: tf.Variable(value) for name, value in trained.biases.items()}
    shape = [None, *trained.described["data"]["image_shape"]]

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(shape, tf.uint8, name="images")])
    def serve(images):
        probabilities = tf.nn.softmax(
            model(loop.network_input(images, trained.config.deskew), module.weights, module.biases)
        )
        return {"classes": tf.argmax(probabilities, axis=1, output_type=tf.int32), "probabilities": probabilities}

    module.serve = serve
    return module


def probabilities(trained, images):
    """Probability of each class, float32 `[N, classes]`, for uint8 images shaped as the run's own."""
    serve = servable(trained).serve
    parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    return np.concatenate([serve(tf.constant(part))["probabilities"] for part in parts])
