"""Evaluates a trained run: cost, accuracy, accuracy of each class, confusion matrix.

    python -m mlp_tf.evaluate --workdir=RUN
    python -m mlp_tf.evaluate --workdir=RUN --split=validation --plots

--plots writes confusion.png and mistakes.png, the most confidently wrong images, into the run's folder.
"""

import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.cli import app, flags, quiet

MISTAKES = 50


def define_flags(values):
    """Defines the flags of this command."""
    absl_flags.DEFINE_string("workdir", None, "The run's folder.", flag_values=values)
    absl_flags.DEFINE_enum("split", "test", ["test", "validation", "train"], "Which images.", flag_values=values)
    absl_flags.DEFINE_string("data_dir", "", "Where the data, or the .npz file, lies now.", flag_values=values)
    absl_flags.DEFINE_boolean("plots", False, "Write confusion.png and mistakes.png.", flag_values=values)


def main(values):
    """Prints the evaluation of the run that the flags name; returns the exit code."""
    workdir = flags.required(values, "workdir")
    quiet.import_tensorflow()
    from mlp_tf.runs import result

    run = result.load(workdir)
    app.warn(*run.warnings)
    splits = result.splits(run, values["data_dir"].value)
    split = getattr(splits, values["split"].value)
    if not len(split.labels):
        raise UserError(f"--split={values['split'].value}: the run held no images out; give --split=test or train")
    predicted = result.probabilities(run, split.images)
    counts = confusion(split.labels, predicted.argmax(axis=1), splits.classes)
    print(f"Run: {run.title}")
    _print_totals(run, splits, values["split"].value)
    _print_classes(counts)
    if values["plots"].value:
        for path in _draw(run, values["split"].value, split, predicted, counts):
            print(f"Picture: {path}")
    return 0


def confusion(labels, predicted, classes):
    """Counts `[classes, classes]`: rows are true classes, columns predicted ones."""
    import numpy as np

    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _print_totals(run, splits, name):
    from mlp_tf.runs import result

    cost, accuracy = result.evaluate(run, getattr(splits, name))
    print(f"Split: {name}, {len(getattr(splits, name).labels):,} images")
    print(f"Cost: {cost:.4f}")
    print(f"Accuracy: {accuracy:.4f}")
    train = accuracy if name == "train" else result.evaluate(run, splits.train)[1]
    test = accuracy if name == "test" else result.evaluate(run, splits.test)[1]
    print(f"Gap: {train - test:.4f} (training {train:.4f} - test {test:.4f})")


def _print_classes(counts):
    width = max(len(str(counts.max())), 3) + 2
    classes = range(len(counts))
    print("Accuracy of each class:")
    for c in classes:
        total = counts[c].sum()
        accuracy = f"{counts[c, c] / total:.4f}" if total else "-"
        print(f"{c:>{width}}  {accuracy:>6}  {counts[c, c]:,} of {total:,}")
    print("Confusion matrix (rows true, columns predicted):")
    print(" " * width + "".join(f"{c:>{width}}" for c in classes))
    for c in classes:
        print(f"{c:>{width}}" + "".join(f"{count:>{width}}" for count in counts[c]), flush=True)


def _draw(run, name, split, predicted, counts):
    from mlp_tf import figures

    yield figures.save(figures.confusion(counts, f"{run.title}: {name} images"), run.path / "confusion.png")
    guesses = predicted.argmax(axis=1)
    wrong = (guesses != split.labels).nonzero()[0]
    worst = wrong[predicted[wrong].max(axis=1).argsort(kind="stable")[::-1]][:MISTAKES]
    if not len(worst):
        print("mistakes.png: not written, as every image was right", file=sys.stderr)
        return
    if split.images.ndim < 3:
        print("mistakes.png: not written, as the images have one dimension", file=sys.stderr)
        return
    captions = [f"{split.labels[i]}, not {guesses[i]}\n{100 * predicted[i].max():.1f} %" for i in worst]
    title = f"{len(wrong):,} of {len(split.labels):,} {name} images are wrong; the {len(worst)} most confident\n"
    picture = figures.image_grid(
        split.images[worst], captions, title + "true class, not predicted class, its probability"
    )
    yield figures.save(picture, run.path / "mistakes.png")


if __name__ == "__main__":
    app.end(app.run(main, __doc__, define_flags))
