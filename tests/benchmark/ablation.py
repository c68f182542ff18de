"""Accuracy with none, each, and all of what the recipe of the record adds to a plain run, and with elastic distortion.

784-256-256-10 on MNIST, batch 128, 15 epochs, several seeds: mean and standard deviation of the accuracy on 5,000
validation and on 10,000 test images, and the seconds of training.
"""

import statistics

RECORD = {"schedule": "linear", "label_smoothing": 0.1, "distort": 1.0, "deskew": True}
ALL = {**RECORD, "learning_rate": 0.003}
VARIANTS = {
    "none": {},
    **{name: {name: value} for name, value in RECORD.items()},
    "all": ALL,
    "elastic": {"elastic": 0.5},
    "all, and elastic": {**ALL, "elastic": 0.5},
}


def measure(seeds, epochs=15):
    """{variant: validation accuracy, test accuracy and training seconds of each seed}."""
    from mlp_tf.cli import quiet

    quiet.import_tensorflow()
    from mlp_tf import data
    from mlp_tf.config import Config

    splits, figures = data.load("mnist"), {}
    for variant, settings in VARIANTS.items():
        runs = [train(Config(batch_size=128, epochs=epochs, seed=seed, **settings), splits) for seed in range(seeds)]
        figures[variant] = {key: [run[key] for run in runs] for key in ("validation", "test", "seconds")}
    return figures


def train(config, splits):
    """Trains a run in memory: its accuracies, and its training seconds."""
    from mlp_tf import data, loop

    feed = data.Feed(splits.train, config)
    state = loop.new_state(config, (784, *config.hidden, 10), config.epochs * feed.steps)
    train_steps = loop.compile_steps(state, config, feed)
    chunks = loop.fit(train_steps, state, config, feed, loop.Progress(0, 0, feed.steps))
    figures = {"seconds": sum(progress.seconds for progress in chunks if progress.step == progress.steps)}
    for name in ("validation", "test"):
        batches = data.batches(getattr(splits, name), config)
        sums = loop.evaluate(loop.predictor(config, state.weights, state.biases), batches)
        figures[name] = sums.correct / sums.count
    return figures


def report(figures):
    """Prints a table of the variants."""
    print("\n| with | validation | test | seconds |\n|---|---|---|---|")
    for variant, runs in figures.items():
        validation, test = (
            f"{statistics.mean(runs[name]):.4f} +- {statistics.stdev(runs[name]):.4f}"
            for name in ("validation", "test")
        )
        print(f"| {variant} | {validation} | {test} | {statistics.mean(runs['seconds']):.1f} |", flush=True)
