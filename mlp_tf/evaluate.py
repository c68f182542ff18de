"""Evaluates a trained run, or an ensemble: cost, accuracy, accuracy of each class, confusion matrix.

    python -m mlp_tf.evaluate --workdir=RUN
    python -m mlp_tf.evaluate --workdir=RUN --split=validation --plots
    python -m mlp_tf.evaluate --workdir=RUN --json
    python -m mlp_tf.evaluate --workdir=RUN1 --workdir=RUN2 --workdir=RUN3

Several runs are an ensemble: the mean of their probabilities answers. They must share their data.
--plots writes confusion.png and mistakes.png, the most confidently wrong images, into the run's folder or --out.
--json prints one object: run (its folder's name), dataset, split, examples, cost (nats per example), accuracy,
train_accuracy, test_accuracy, classes (for each: name, examples, correct), confusion (rows true, columns predicted),
pictures (paths). Of an ensemble it has runs (for each: run, its path; cost; accuracy) in the place of run,
train_accuracy and test_accuracy.
"""

import json
import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.base.text import printable, shorten
from mlp_tf.cli import command, flags, quiet

MISTAKES = 48  # whole lines of digits
MOST_CLASSES = 10_000  # whose confusion matrix fits into memory
_MOST_COLUMNS = 50  # of a confusion matrix in words
_LONGEST_NAME, _LONGEST_HEAD = 24, 7  # characters of a class's name that are shown in a line, and over a column


def define_flags(values):
    """Defines the flags of this command."""
    flags.define_ensemble(values)
    flags.define_data_dir(values)
    splits = ["test", "validation", "train"]
    absl_flags.DEFINE_enum("split", "test", splits, "Which examples.", values, module_name="data")
    absl_flags.DEFINE_boolean("plots", False, "Write confusion.png and mistakes.png.", flag_values=values)
    absl_flags.DEFINE_boolean("json", False, "Print one JSON object instead of words.", flag_values=values)
    text = "With --plots, the folder for the pictures; empty: the run's own. An ensemble needs one."
    absl_flags.DEFINE_string("out", "", text, flag_values=values)
    flags.define_plots(values)


def main(values):
    """Prints the evaluation of the runs that the flags name; returns the exit code."""
    workdirs = flags.required(values, "workdir")
    out = flags.path(values, "out")
    name = values["split"].value
    if values["plots"].value and len(workdirs) > 1 and not out:
        raise UserError("an ensemble has no folder: say where its plots go with --out=FOLDER")
    quiet.import_tensorflow()
    from mlp_tf.runs.trained import load_ensemble

    ensemble = load_ensemble(workdirs)
    command.warn(*ensemble.warnings)
    splits = ensemble.splits(flags.path(values, "data_dir"))
    split = getattr(splits, name)
    if splits.classes > MOST_CLASSES:
        raise UserError(
            f"--workdir={workdirs[0]}: has {splits.classes:,} classes; at most {MOST_CLASSES:,} can be shown"
        )
    if not len(split.labels):
        raise UserError(f"--split={name}: the run has no validation examples; give --split=test or train")
    predicted = ensemble.probabilities(split.images)
    report = _report(ensemble, splits, name, predicted.argmax(axis=1))
    if not values["json"].value:
        _print(ensemble.title, report)
    plots = []
    if values["plots"].value:
        from mlp_tf import figures

        folder = flags.make_folder("out", out or workdirs[0])
        for stem, figure in _draw(ensemble, name, split, predicted).items():
            plots.append(figures.save(figure, folder / stem, **flags.plot_options(values)))
    if values["json"].value:
        print(json.dumps({**report, "pictures": list(map(str, plots))}))
        return 0
    for path in plots:
        print(f"Picture: {path}")
    return 0


def confusion(labels, predicted, classes):
    """Returns counts `[classes, classes]`: rows are true classes, columns predicted ones."""
    import numpy as np

    return np.bincount(labels.astype(np.int64) * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _report(ensemble, splits, name, predicted):
    """Returns what is printed, of JSON's types."""
    split = getattr(splits, name)
    sums = ensemble.evaluate(split)
    counts = confusion(split.labels, predicted, splits.classes)
    report = {"dataset": splits.name, "split": name, "examples": len(split.labels)}
    if len(ensemble.members) == 1:
        accuracy = {other: ensemble.evaluate(getattr(splits, other)).accuracy for other in ("train", "test")}
        report["run"] = ensemble.members[0].path.resolve().name
        report |= {"train_accuracy": accuracy["train"], "test_accuracy": accuracy["test"]}
    else:
        report["runs"] = []
        for run in ensemble.members:
            each = run.evaluate(split)
            report["runs"].append({"run": str(run.path), "cost": each.cost, "accuracy": each.accuracy})
    classes = zip(ensemble.class_names, counts.sum(axis=1).tolist(), counts.diagonal().tolist(), strict=True)
    return {
        **report,
        "cost": sums.cost,
        "accuracy": sums.accuracy,
        "classes": [{"name": name, "examples": total, "correct": right} for name, total, right in classes],
        "confusion": counts.tolist(),
    }


def _print(title, report):
    """The report in words."""
    print(f"Run: {title}")
    for each in report.get("runs", ()):
        print(f"  accuracy {each['accuracy']:.4f}, cost {each['cost']:.4f}: {printable(each['run'])}")
    print(f"Split: {report['split']}, {report['examples']:,} examples")
    print(f"Cost: {report['cost']:.4f}")
    print(f"Accuracy: {report['accuracy']:.4f}")
    if "run" in report:
        train, test = report["train_accuracy"], report["test_accuracy"]
        print(f"Gap: {train - test:.4f} (training {train:.4f} - test {test:.4f})")
    _print_classes([printable(each["name"]) for each in report["classes"]], report["classes"], report["confusion"])


def _print_classes(names, classes, counts):
    left = max(5, *(min(len(name), _LONGEST_NAME) + 2 for name in names))
    widest = max(len(str(max(map(max, counts)))), min(_LONGEST_HEAD, max(map(len, names))), 3) + 2
    print("Accuracy of each class:")
    for name, each in zip(names, classes, strict=True):
        accuracy = f"{each['correct'] / each['examples']:.4f}" if each["examples"] else "-"
        print(f"{shorten(name, _LONGEST_NAME):>{left}}  {accuracy:>6}  {each['correct']:,} of {each['examples']:,}")
    if len(names) > _MOST_COLUMNS:
        print(f"Confusion matrix: of {len(names):,} classes, left out; --json has it", flush=True)
        return
    print("Confusion matrix (rows true, columns predicted):")
    print(" " * left + "".join(f"{shorten(name, _LONGEST_HEAD):>{widest}}" for name in names))
    for name, row in zip(names, counts, strict=True):
        print(f"{shorten(name, _LONGEST_NAME):>{left}}" + "".join(f"{count:>{widest}}" for count in row), flush=True)


def _draw(ensemble, name, split, predicted):
    """Returns {name of a file: figure}."""
    from mlp_tf import figures

    guesses = predicted.argmax(axis=1)
    names = ensemble.class_names
    title = f"Confusion: the {len(guesses):,} {name} examples\nof {ensemble.title}"
    drawn = {"confusion": figures.confusion(confusion(split.labels, guesses, len(names)), names, title)}
    wrong = (guesses != split.labels).nonzero()[0]
    worst = wrong[predicted[wrong].max(axis=1).argsort(kind="stable")[::-1]][:MISTAKES]
    if not len(worst):
        print("mistakes: not drawn, as every prediction was right", file=sys.stderr)
    elif split.images.ndim < 3:
        print("mistakes: not drawn, as the examples are not images", file=sys.stderr)
    else:
        names = [shorten(name, _LONGEST_NAME) for name in names]
        captions = [
            f"true {names[split.labels[i]]}\nread as {names[guesses[i]]}\n{100 * predicted[i].max():.1f} %"
            for i in worst
        ]
        which = f"the {len(worst)} most confident of {len(wrong):,} wrong in {len(guesses):,} {name} images"
        drawn["mistakes"] = figures.image_grid(split.images[worst], captions, f"Mistakes: {which}\nof {ensemble.title}")
    return drawn


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags))
