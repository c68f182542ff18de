"""Event files for TensorBoard: `cost` and `accuracy`, in `train` and `validation`, so that the curves overlay."""

import contextlib
import importlib.util

from mlp_tf import UserError
from mlp_tf.base import files
from mlp_tf.base.text import tensorflow_reason

# (folder, tag, key of a row of metrics.jsonl)
_SCALARS = [
    ("train", "cost", "cost"),
    ("train", "accuracy", "accuracy"),
    ("validation", "cost", "val_cost"),
    ("validation", "accuracy", "val_accuracy"),
]


def check_installed():
    """Raises UserError if the extra is missing: TensorFlow itself does not install TensorBoard."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError(
            "--tensorboard: TensorBoard is not installed; install the extra, pip install 'mlp_tf[tensorboard]' (in a "
            "clone '.[tensorboard]'), or leave the flag out"
        )


@contextlib.contextmanager
def writing(folder, rows):
    """Writes rows to new event files in a folder, in place of what it held.

    Yields:
      write(row), for each further row.

    Raises:
      UserError: they cannot be written.
    """
    import tensorflow as tf

    writers = {}

    def write(row):
        with _errors(folder):
            for name, tag, key in _SCALARS:
                if row.get(key) is not None:
                    with writers[name].as_default():
                        tf.summary.scalar(tag, row[key], step=row["epoch"])
            for writer in writers.values():
                writer.flush()

    with files.plain_path(folder.parent) as parent, contextlib.ExitStack() as closing:
        with _errors(folder):
            files.remove(folder)
            for name in ("train", "validation"):
                writers[name] = tf.summary.create_file_writer(str(parent / folder.name / name))
                closing.callback(writers[name].close)
        for row in rows:
            write(row)
        yield write


@contextlib.contextmanager
def _errors(folder):
    """Turns what TensorFlow raises when it cannot write into a `UserError`."""
    import tensorflow as tf

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"{folder} cannot be written: {tensorflow_reason(error)}; make room or access, or leave --tensorboard out"
        ) from None
