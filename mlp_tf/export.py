"""Exports a trained run as a SavedModel: raw examples in, classes and probabilities out.

    python -m mlp_tf.export RUN --export_dir=DIR

RUN is a run's folder; --workdir=RUN names it too. The signature is serving_default(images: uint8 or float32 [N, ...],
as the run's data are) -> classes int32 [N], probabilities float32 [N, classes]; the input of a run on rows of numbers
[N, D] is called features. class_names of the loaded model are the names of the classes. Before the command reports
success, a fresh process loads the model and predicts the whole test split: the classes must be equal to the run's, and
the probabilities within 1e-6.
"""

import contextlib
import pathlib
import subprocess
import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.base import files
from mlp_tf.base.text import plural
from mlp_tf.cli import command, flags, quiet

TOLERANCE = 1e-6
# Needs only TensorFlow, as a machine that serves the model may have nothing else.
_RELOAD = """
import sys
import numpy as np, tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
examples, batch = np.load(sys.argv[2]), int(sys.argv[4])
[name] = serve.structured_input_signature[1]
answers = [serve(**{name: tf.constant(examples[i : i + batch])}) for i in range(0, len(examples), batch)]
np.savez(sys.argv[3], **{name: np.concatenate([a[name] for a in answers]) for name in answers[0]})
"""


def define_flags(values):
    """Defines the flags of this command."""
    flags.define_runs(values)
    flags.define_data_dir(values)
    absl_flags.DEFINE_string("export_dir", None, "Folder for the SavedModel; must not exist yet.", flag_values=values)


def main(values, words):
    """Exports the run that the command line names; returns the exit code."""
    [workdir] = flags.run_folders(values, words, most=1)
    export_dir = pathlib.Path(flags.required(values, "export_dir"))
    if export_dir.exists():
        raise UserError(f"--export_dir={export_dir}: already exists; give a new folder")
    quiet.import_tensorflow()
    import tensorflow as tf

    from mlp_tf.runs.trained import load

    run = load(workdir)
    command.warn(*run.warnings)
    test = run.splits(flags.path(values, "data_dir")).test
    with contextlib.ExitStack() as stack:
        try:
            export_dir.parent.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(files.temporary_folder(export_dir.parent))
        except OSError as error:
            raise UserError(f"--export_dir={export_dir}: {error.strerror}; give a folder that can be written") from None
        plain = stack.enter_context(files.plain_path(folder))
        stack.enter_context(files.temporary_files_removed())
        tf.saved_model.save(run.module, str(plain / "model"), signatures={"serving_default": run.module.serve})
        difference = compare(plain / "model", test.images, run.probabilities(test.images))
        (folder / "model").rename(export_dir)
    print(f"Compared: {plural(len(test.labels), 'test example')}, equal classes, probabilities within {difference:.1e}")
    print(f"SavedModel: {export_dir}")
    return 0


def compare(path, images, probabilities):
    """Loads a SavedModel in a fresh process, predicts, and returns the largest difference in a probability.

    Raises:
      UserError: it cannot be loaded, or its predictions differ.
    """
    import numpy as np

    from mlp_tf.runs.trained import prediction_batch

    with files.temporary_folder() as folder:
        given = folder / "images.npy"
        got = folder / "answers.npz"
        np.save(given, images)
        words = [sys.executable, "-c", _RELOAD, str(path), str(given), str(got), str(prediction_batch(images))]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise UserError(f"{path}: the SavedModel cannot be used by a fresh process: {last}")
        with np.load(got) as answers:
            difference = float(np.abs(answers["probabilities"] - probabilities).max())
            differing = int((answers["classes"] != probabilities.argmax(axis=1)).sum())
    if differing or not difference <= TOLERANCE:
        raise UserError(
            f"{path}: {differing} predictions of the SavedModel differ, and probabilities by up to {difference:.1e}; "
            f"must be 0 and {TOLERANCE}; nothing was exported"
        )
    return difference


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags, takes_words=True))
