"""What a command shows on a terminal besides its results: a progress bar, and nothing of TensorFlow's."""

import os
import sys

from absl import logging

from mlp_tf.cli import signals


def import_tensorflow():
    """Imports TensorFlow without its start-up chatter.

    Some of its C++ lines are written before its logging reads any setting, so file descriptor 2 leads
    nowhere during the import; a failed import raises, and what it raises is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Keeps `import tensorflow` from importing Keras, which nothing here uses: 1.5 s less.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    sys.stderr.flush()
    stderr, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        with signals.at_once():
            os.dup2(devnull, 2)
            import tensorflow
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)
    # tensorflow-datasets warns of what the commands say themselves; TensorFlow, of a loop compiled for each run.
    logging.set_verbosity(logging.ERROR)
    tensorflow.get_logger().setLevel("ERROR")


def progress_bar(total, done, shown=True, unit="steps"):
    """A tqdm bar over the steps of a run, or other units, on stderr if that is a terminal and it is to be shown."""
    from tqdm import tqdm

    return tqdm(total=total, initial=done, unit=f" {unit}", disable=not (shown and sys.stderr.isatty()), leave=False)
