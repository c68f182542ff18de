"""What a terminal shows besides a command's results: a progress bar, and none of TensorFlow's messages."""

import gc
import os
import sys

from absl import logging

_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Keeps `import tensorflow` from importing Keras, which nothing here uses; saves 1.5 s.
    "TF_USE_LEGACY_KERAS": "1",
    # An allocator that keeps its memory. The C library gives large blocks back, and each call of the loop then waits
    # for the system to clear them again. Its bound, 65,536 MB by default, is lifted.
    "TF_CPU_ALLOCATOR_USE_BFC": "true",
    "TF_CPU_BFC_MEM_LIMIT_IN_MB": str(2**30),
}


def import_tensorflow() -> None:
    """Imports TensorFlow without its start-up messages, after setting those variables of `_ENVIRONMENT` that are unset.

    TensorFlow writes some C++ lines before its logging reads any setting, so file descriptor 2 leads nowhere during
    the import. An error of the import is raised once that is undone, so it is printed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    first = "tensorflow" not in sys.modules
    gc.disable()  # it would keep scanning objects that live as long as the process: 0.4 s
    sys.stderr.flush()
    stderr = os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        import tensorflow
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)
        if first:
            gc.freeze()
        gc.enable()
    # tensorflow-datasets warns of what the commands report themselves, TensorFlow of a loop compiled for each run.
    logging.set_verbosity(logging.ERROR)
    tensorflow.get_logger().setLevel("ERROR")


def progress_bar(total: int, done: int, visible: bool = True, unit: str = "steps"):
    """Returns a tqdm bar on stderr over the `total` steps of a run, or other units, of which `done` are done.

    It is drawn only if `visible`, and if both stdout and stderr are terminals: lines that reach the terminal
    through a pipe, such as `| tee`, would break it.
    """
    from tqdm import tqdm

    disable = not (visible and sys.stdout.isatty() and sys.stderr.isatty())
    return tqdm(total=total, initial=done, unit=f" {unit}", disable=disable, leave=False)
