"""CPU seconds to open a run whose loop is compiled, and to open later runs that use this loop again."""

import statistics
import tempfile
import time

SETTINGS = {
    "adam": {},
    "rmsprop, linear": {"optimizer": "rmsprop", "schedule": "linear"},
    "label smoothing": {"label_smoothing": 0.1},
    "dropout": {"dropout": 0.3, "input_dropout": 0.1},
}


def measure(runs):
    """{settings: CPU seconds to open each of this many runs on the sample, which differ in their seed}."""
    from mlp_tf.cli import quiet

    quiet.import_tensorflow()
    from mlp_tf import data
    from mlp_tf.config import Config
    from mlp_tf.runs import open_run

    splits = data.load("mnist_sample")
    seconds = {name: [] for name in SETTINGS}
    for name, settings in SETTINGS.items():
        for seed in range(runs):
            begin = time.process_time()
            config = Config(epochs=1, dataset="mnist_sample", seed=seed, **settings)
            with tempfile.TemporaryDirectory() as path, open_run(config, f"{path}/run", splits) as run:
                seconds[name].append(time.process_time() - begin)
                for _ in run.train():
                    pass
    return seconds


def report(figures):
    """Prints a table: the first run of some settings, and the median of the later ones."""
    print("\n| CPU seconds to open a run, its first checkpoint included | first | later |\n|---|---|---|")
    for name, seconds in figures.items():
        print(f"| {name} | {seconds[0]:.3f} | {statistics.median(seconds[1:]):.3f} |", flush=True)
