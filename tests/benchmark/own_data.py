"""The user's own data: accuracy on scikit-learn's sets, beside its MLPClassifier, memory, and MNIST in other files.

scikit-learn comes with mlxtend. Each training is a process of its own; its seconds are those of the whole command.
"""

import json
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np
from commands import time_command
from common import show, spread

TRAIN = [sys.executable, "-m", "mlp_tf.train"]
SMALL = ["--batch_size=32"]
DIGITS = [*SMALL, "--epochs=60", "--learning_rate=0.003", "--schedule=linear", "--label_smoothing=0.1"]
DIGITS += ["--validation_size=0"]
# Those of both mlp_tf and MLPClassifier, which otherwise keep their own: Adam, rate 0.001.
ROWS, EPOCHS, BATCH, HIDDEN = 200_000, 5, 100, (256, 256)


def measure(seeds):
    """{part: its figures}."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        return {
            "sets": _measure_sets(folder, seeds),
            "beside MLPClassifier": _measure_classifier(folder, max(2, seeds // 2)),
            "large": _measure_large(folder),
            "mnist": _measure_mnist(folder),
        }


def _train(dataset, *flags):
    """(what results.json says, `Cost` of the whole command)."""
    with tempfile.TemporaryDirectory() as folder:
        cost = time_command([*TRAIN, f"--dataset={dataset}", f"--workdir={folder}/run", *flags])
        return json.loads(pathlib.Path(folder, "run/results.json").read_text()), cost


def _measure_sets(folder, seeds):
    """{set: {test accuracy of each seed}}: each splits the rows anew, 80 to 20, and trains with its own seed."""
    from sklearn import datasets, model_selection

    digits, accuracies = datasets.load_digits(), {}
    variants = [
        ("breast_cancer", datasets.load_breast_cancer(), float, SMALL),
        ("digits, float", digits, float, DIGITS),
        ("digits, uint8", digits, np.uint8, DIGITS),
    ]
    for name, given, dtype, flags in variants:
        accuracies[name] = []
        for seed in range(seeds):
            x, x_test, y, y_test = model_selection.train_test_split(
                given.data.astype(dtype), given.target, test_size=0.2, random_state=seed, stratify=given.target
            )
            np.savez(folder / "set.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
            accuracies[name].append(_train(folder / "set.npz", *flags, f"--seed={seed}")[0]["test_accuracy"])
    return accuracies


def _measure_classifier(folder, rounds):
    """{program: [(test accuracy, seconds of training)]}, in turn."""
    from sklearn import datasets, neural_network, preprocessing

    x, y = datasets.make_classification(ROWS, 54, n_informative=20, n_classes=7, random_state=0)
    cut = ROWS * 4 // 5
    np.savez(folder / "cover.npz", x_train=x[:cut], y_train=y[:cut], x_test=x[cut:], y_test=y[cut:])
    scaler = preprocessing.StandardScaler().fit(x[:cut])
    train, test = scaler.transform(x[:cut]), scaler.transform(x[cut:])
    flags = [f"--hidden={','.join(map(str, HIDDEN))}", f"--epochs={EPOCHS}", f"--batch_size={BATCH}"]
    figures = {"mlp_tf": [], "mlp_tf, whole command": [], "MLPClassifier": []}
    for seed in range(rounds):
        results, cost = _train(folder / "cover.npz", *flags, "--validation_size=0", f"--seed={seed}")
        figures["mlp_tf"].append((results["test_accuracy"], results["train_seconds"]))
        figures["mlp_tf, whole command"].append((results["test_accuracy"], cost.seconds))
        peer = neural_network.MLPClassifier(HIDDEN, batch_size=BATCH, max_iter=EPOCHS, random_state=seed, tol=0)
        begin = time.perf_counter()
        peer.fit(train, y[:cut])
        figures["MLPClassifier"].append((peer.score(test, y[cut:]), time.perf_counter() - begin))
    return figures


def _measure_large(folder):
    """Peak memory in MB, and that of the float32 array, of 1,000,000 rows of 54 features as float64."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1_000_000, 54)), rng.integers(0, 7, 1_000_000)
    np.savez(folder / "large.npz", x_train=x[:900_000], y_train=y[:900_000], x_test=x[900_000:], y_test=y[900_000:])
    _, cost = _train(folder / "large.npz", "--epochs=1", "--batch_size=1000")
    return {"peak_mb": cost.peak_mb, "array_mb": x.size * 4 / 2**20, "seconds": cost.seconds}


def _measure_mnist(folder):
    """{form: (test accuracy, seconds, those until training)} of full MNIST as it is, as PNG files, as Kaggle's CSV."""
    from PIL import Image

    from mlp_tf import data

    splits = data.load("mnist", validation_size=0)
    for name in ("train", "test"):
        split = getattr(splits, name)
        for i, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
            path = folder / "mnist" / name / str(label) / f"{i:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    pixels = [np.column_stack([s.labels, s.images.reshape(-1, 784)]) for s in (splits.train, splits.test)]
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    np.savetxt(folder / "mnist.csv", np.concatenate(pixels), "%d", ",", header=header, comments="")
    figures = {}
    for form, dataset in (("mnist", "mnist"), ("folder", folder / "mnist"), ("csv", folder / "mnist.csv")):
        results, cost = _train(dataset)
        figures[form] = (results["test_accuracy"], cost.seconds, cost.seconds_until_training)
    return figures


def report(figures):
    """Prints it all."""
    for name, accuracies in figures["sets"].items():
        mean, deviation = statistics.mean(accuracies), statistics.stdev(accuracies)
        print(f"{name}: test accuracy {mean:.4f} +- {deviation:.4f}, n = {len(accuracies)}")
    for name, runs in figures["beside MLPClassifier"].items():
        accuracies, seconds = zip(*runs, strict=True)
        print(f"{name}: test accuracy {show(spread(accuracies), '.4f')}, seconds {show(spread(seconds), '.1f')}")
    large = figures["large"]
    print(f"1,000,000 x 54 as float64: peak {large['peak_mb']} MB, the array as float32 {large['array_mb']:.0f} MB")
    for form, (accuracy, seconds, until) in figures["mnist"].items():
        print(f"MNIST as {form}: test accuracy {accuracy:.4f}, {seconds:.1f} s, of which {until:.1f} until training")
