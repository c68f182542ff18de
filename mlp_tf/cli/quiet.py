"""What a command shows on a terminal besides its results: a progress bar, and nothing of TensorFlow's."""

import gc
import os
import sys

from absl import logging

from mlp_tf.cli import signals

_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Keeps `import tensorflow` from importing Keras, which nothing here uses: 1.5 s less.
    "TF_USE_LEGACY_KERAS": "1",
    # An allocator that keeps its memory. The C library gives large blocks back, and each call of the loop then waits
    # for the system to clear them again. Its bound in MB, of its own 65,536, is none here.
    "TF_CPU_ALLOCATOR_USE_BFC": "true",
    "TF_CPU_BFC_MEM_LIMIT_IN_MB": str(2**30),
}


def import_tensorflow():
    """Imports TensorFlow without its start-up chatter, with the settings of `_ENVIRONMENT` where there are no others.

    Some of its C++ lines are written before its logging reads any setting, so file descriptor 2 leads
    nowhere during the import; a failed import raises, and what it raises is shown.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    first = "tensorflow" not in sys.modules
    gc.disable()  # it would look again and again through what the import makes, which all stays: 0.4 s
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
        if first:
            gc.freeze()
        gc.enable()
    # tensorflow-datasets warns of what the commands say themselves; TensorFlow, of a loop compiled for each run.
    logging.set_verbosity(logging.ERROR)
    tensorflow.get_logger().setLevel("ERROR")


def progress_bar(total, done, shown=True, unit="steps"):
    """A tqdm bar over the steps of a run, or other units, on stderr if that is a terminal and it is to be shown."""
    from tqdm import tqdm

    return tqdm(total=total, initial=done, unit=f" {unit}", disable=not (shown and sys.stderr.isatty()), leave=False)
