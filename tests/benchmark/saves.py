"""Seconds of each save of a run at the default settings on MNIST, and their share of its training time."""

import tempfile
import time
from unittest import mock


def measure(epochs):
    """Seconds of each save, that at the start included, and their share."""
    from mlp_tf.cli import quiet

    quiet.import_tensorflow()
    from mlp_tf.config import Config
    from mlp_tf.runs import open_run
    from mlp_tf.runs.folder import RunFolder

    seconds, save = [], RunFolder.save

    def timed_save(*arguments):
        begin = time.perf_counter()
        save(*arguments)
        seconds.append(time.perf_counter() - begin)

    with (
        tempfile.TemporaryDirectory() as path,
        mock.patch.object(RunFolder, "save", timed_save),
        open_run(Config(epochs=epochs, dataset="mnist"), f"{path}/run") as run,
    ):
        for _ in run.train():
            pass
        trained = run.results.train_seconds
    return {"seconds_of_saves": seconds, "share_of_training": sum(seconds) / trained}


def report(figures):
    """Prints the saves, and their share."""
    saves = ", ".join(f"{1000 * seconds:.0f}" for seconds in figures["seconds_of_saves"])
    print(f"\nsaves of a run: {saves} ms, {figures['share_of_training']:.1%} of its training time", flush=True)
