"""Training seconds until the validation accuracy first reaches each of three targets, on MNIST.

mlp_tf at its default settings and by the recipe record_256_256, and Keras at its default settings, in turn, each in a
process of its own, with several seeds. Evaluation does not count. Run as a script, this file is the process of Keras.
"""

import argparse
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from common import environment, read_metrics
from peers import keras_model

RECIPES = pathlib.Path(__file__).resolve().parents[2] / "mlp_tf/recipes"
TARGETS = (0.98, 0.985, 0.99)


# {variant: the command that trains it}; it leaves a metrics.jsonl in the folder that it gets as --workdir.
TRAIN = [sys.executable, "-m", "mlp_tf.train"]
MNIST = ["--dataset=mnist", "--validation_size=5000"]
VARIANTS = {
    "mlp_tf (default settings), 40 epochs": [*TRAIN, *MNIST, "--epochs=40"],
    "mlp_tf (record_256_256)": [*TRAIN, f"--flagfile={RECIPES}/record_256_256.flags", *MNIST],
    "keras (default settings), 20 epochs": [sys.executable, __file__, "--epochs=20"],
}


def measure(seeds):
    """{variant: for each seed, when it reached each target, and how it ended}."""
    figures = {variant: [] for variant in VARIANTS}
    for seed in range(seeds):
        for variant, command in VARIANTS.items():
            with tempfile.TemporaryDirectory() as folder:
                words = [*command, f"--seed={seed}", f"--workdir={folder}/run"]
                subprocess.run(words, env=environment(), stdout=subprocess.DEVNULL, check=True)
                figures[variant].append(summarize(read_metrics(f"{folder}/run")))
    return figures


def summarize(rows):
    """Training seconds until each target, None where it was not reached; and seconds and accuracy of the whole run."""
    seconds = list(itertools.accumulate(row["seconds"] for row in rows))
    accuracies = [row["val_accuracy"] for row in rows]
    reached = {}
    for target in TARGETS:
        after = (s for s, accuracy in zip(seconds, accuracies, strict=True) if accuracy >= target)
        reached[target] = next(after, None)
    return {"to": reached, "seconds": seconds[-1], "accuracy": accuracies[-1]}


def report(figures):
    """Prints a table of the targets."""
    print(f"\n| variant | {' | '.join(f'to {target}' for target in TARGETS)} | at the end |\n|---|---|---|---|---|")
    for variant, runs in figures.items():
        cells = [_cell([run["to"][target] for run in runs]) for target in TARGETS]
        accuracy, seconds = (statistics.mean(run[key] for run in runs) for key in ("accuracy", "seconds"))
        print(f"| {variant} | {' | '.join(cells)} | {accuracy:.4f} in {seconds:.1f} s |", flush=True)


def _cell(times):
    reached = [seconds for seconds in times if seconds is not None]
    if not reached:
        return "never"
    cell = f"{statistics.median(reached):.1f} s ({min(reached):.1f} - {max(reached):.1f})"
    return cell if len(reached) == len(times) else f"{cell}, {len(reached)} of {len(times)} runs"


def train_keras(epochs, seed, workdir):
    """Trains Keras on the same images as mlp_tf, and writes a metrics.jsonl like that of a run."""
    import keras

    from mlp_tf import data

    keras.utils.set_random_seed(seed)
    splits = data.load("mnist")
    train, validation = (
        (split.images.reshape(-1, 784).astype("float32") / 255, split.labels)
        for split in (splits.train, splits.validation)
    )
    model = keras_model((256, 256), metrics=["accuracy"])
    rows = []
    for _ in range(epochs):
        begin = time.perf_counter()
        model.fit(*train, batch_size=100, epochs=1, verbose=0)
        seconds = time.perf_counter() - begin
        rows.append({"seconds": seconds, "val_accuracy": model.evaluate(*validation, verbose=0)[1]})
    pathlib.Path(workdir).mkdir()
    pathlib.Path(workdir, "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--workdir")
    train_keras(**vars(parser.parse_args()))
