"""Evaluates a trained run, or an ensemble: cost, accuracy, precision and recall of each class, confusion matrix.

    python -m mlp_tf.evaluate RUN
    python -m mlp_tf.evaluate RUN --split=validation --plots
    python -m mlp_tf.evaluate RUN --json
    python -m mlp_tf.evaluate RUN1 RUN2 RUN3

RUN is a run's folder; --workdir=RUN names it too. Several runs are an ensemble, whose answer is the mean of their
probabilities; they must share their data. The cost is the cross-entropy loss.

The precision of a class is the fraction of the examples predicted as it that are correct, the recall the fraction of
its examples that are. F1 is their harmonic mean, 2 correct / (examples + predicted). A fraction of nothing is printed
as "-" and left out of the macro average, the mean over the classes: the precision of a class that is never predicted,
the recall of a class without examples, the F1 of a class that is both. (scikit-learn counts them as 0.)

--plots writes confusion.png and mistakes.png, the most confidently wrong images, into the run's folder or --out. --json
prints one object: run (its folder's name), dataset, split, examples, cost (nats per example), accuracy, train_accuracy,
test_accuracy, classes (for each: name, examples, predicted, correct, precision, recall, f1, where null is a fraction of
nothing), macro (precision, recall, f1), confusion (rows true, columns predicted), plots (paths). For an ensemble it has
runs (for each: run, its path; cost; accuracy) instead of run, train_accuracy and test_accuracy.
"""

import json
import shutil
import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.base.text import columns, plural, printable, short_names, shorten
from mlp_tf.cli import command, flags, quiet

MISTAKES = 49  # whole lines of digits
SCORES = ("precision", "recall", "f1")
MOST_CLASSES = 10_000  # whose confusion matrix fits into memory
_IN_A_FILE = 200  # columns of text that is not printed on a terminal
_SHORTEST_NAME = 10  # columns of a class's name that still says something
_LONGEST_NAME = 24  # in a caption


def define_flags(values):
    """Defines the flags of this command."""
    flags.define_runs(values, "A run's folder. Several runs on the same data are an ensemble.")
    flags.define_data_dir(values)
    splits = ["test", "validation", "train"]
    absl_flags.DEFINE_enum("split", "test", splits, "Which examples.", values, module_name="data")
    absl_flags.DEFINE_boolean("plots", False, "Write confusion.png and mistakes.png.", flag_values=values)
    absl_flags.DEFINE_boolean("json", False, "Print one JSON object instead of words.", flag_values=values)
    text = "With --plots, the folder for the plots; empty: the run's own. An ensemble needs one."
    absl_flags.DEFINE_string("out", "", text, flag_values=values)
    flags.define_plots(values)


def main(values, words):
    """Prints the evaluation of the runs that the command line names; returns the exit code."""
    workdirs = flags.run_folders(values, words)
    out = flags.path(values, "out")
    name = values["split"].value
    as_json = values["json"].value
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
    probabilities = ensemble.probabilities(split.images)
    report = _report(ensemble, splits, name, probabilities.argmax(axis=1))
    if not as_json:
        _print(ensemble.title, report)
    plots = []
    if values["plots"].value:
        from mlp_tf import figures

        folder = flags.make_folder("out", out or workdirs[0])
        for stem, figure in _draw(ensemble, report, split, probabilities).items():
            plots.append(str(figures.save(figure, folder / stem, **flags.plot_options(values))))
    if as_json:
        print(json.dumps({**report, "plots": plots}))
        return 0
    for path in plots:
        print(f"Plot: {path}")
    return 0


def _report(ensemble, splits, name, predicted):
    """Returns what is printed, of JSON's types."""
    import numpy as np

    split = getattr(splits, name)
    sums = ensemble.evaluate(split)
    counts = np.bincount(split.labels.astype(np.int64) * splits.classes + predicted, minlength=splits.classes**2)
    counts = counts.reshape(splits.classes, splits.classes)  # rows are true classes, columns predicted ones
    report = {"dataset": splits.name, "split": name, "examples": len(split.labels)}
    if len(ensemble.members) == 1:
        report["run"] = ensemble.members[0].path.resolve().name
        for other in ("train", "test"):
            of_other = sums if other == name else ensemble.evaluate(getattr(splits, other))
            report[f"{other}_accuracy"] = of_other.accuracy
    else:
        report["runs"] = []
        for run in ensemble.members:
            each = run.evaluate(split)
            report["runs"].append({"run": str(run.path), "cost": each.cost, "accuracy": each.accuracy})
    classes, macro = score_classes(ensemble.class_names, counts)
    scores = {"cost": sums.cost, "accuracy": sums.accuracy, "classes": classes, "macro": macro}
    return {**report, **scores, "confusion": counts.tolist()}


def score_classes(names, counts):
    """Returns the scores of each class, and their macro averages.

    Args:
      names: of the classes.
      counts: integers `[classes, classes]`, rows true and columns predicted, not all 0.

    Returns:
      [{"name", "examples", "predicted", "correct" (counts), "precision", "recall", "f1" (0 to 1; None for 0 / 0)} of
      each class], {"precision", "recall", "f1": the mean over the classes that have it}.
    """
    classes = []
    totals = [counts.sum(axis=1).tolist(), counts.sum(axis=0).tolist(), counts.diagonal().tolist()]
    for name, examples, predicted, correct in zip(names, *totals, strict=True):
        each = {"name": name, "examples": examples, "predicted": predicted, "correct": correct}
        each["precision"] = correct / predicted if predicted else None
        each["recall"] = correct / examples if examples else None
        each["f1"] = 2 * correct / (examples + predicted) if examples + predicted else None
        classes.append(each)
    macro = {}
    for score in SCORES:
        known = [each[score] for each in classes if each[score] is not None]
        macro[score] = sum(known) / len(known)
    return classes, macro


def _print(title, report):
    """Prints the report in words."""
    print(f"Run: {title}")
    for each in report.get("runs", ()):
        print(f"  accuracy {each['accuracy']:.4f}, cost {each['cost']:.4f}: {printable(each['run'])}")
    print(f"Split: {report['split']}, {plural(report['examples'], 'example')}")
    print(f"Cost: {report['cost']:.4f}")
    print(f"Accuracy: {report['accuracy']:.4f}")
    if "run" in report:
        train = report["train_accuracy"]
        test = report["test_accuracy"]
        print(f"Generalization gap: {train - test:.4f} (training {train:.4f} - test {test:.4f})")
    width = shutil.get_terminal_size((_IN_A_FILE, 0)).columns
    names = [printable(each["name"]) for each in report["classes"]]
    _print_scores(names, report, width)
    _print_matrix(names, report["confusion"], width)


def _print_scores(names, report, width):
    """Prints precision, recall and F1 of each class, and their means, in `width` columns of text."""
    print("Precision, recall and F1 of each class (examples: correct of all):")
    rows = [["", "precision", "recall", "F1", "examples"]]
    for name, each in zip(names, report["classes"], strict=True):
        rows.append([name, *_score_texts(each), f"{each['correct']:,} of {each['examples']:,}"])
    rows.append(["macro average", *_score_texts(report["macro"]), ""])
    widths = [max(map(columns, texts)) + 2 for texts in zip(*rows, strict=True)]
    widths[0] = min(widths[0], width - sum(widths[1:]))
    for row in rows:
        print("".join(map(_right, row, widths)).rstrip())


def _score_texts(scores):
    return ["-" if scores[name] is None else f"{scores[name]:.4f}" for name in SCORES]


def _print_matrix(names, counts, width):
    """Prints the confusion matrix in `width` columns of text, if it fits."""
    digits = len(str(max(map(max, counts))))
    heads = names
    lines = names
    note = ""
    if max(map(columns, names)) + 2 + sum(max(columns(name), digits) + 2 for name in names) > width:
        heads = [str(i) for i in range(len(names))]
        lines = [f"{name} ({i})" for i, name in enumerate(names)]
        note = " by their numbers"
    widths = [max(columns(head), digits) + 2 for head in heads]
    longest = max(map(columns, lines)) + 2
    left = min(longest, width - sum(widths))
    if left < min(longest, _SHORTEST_NAME):
        print(f"Confusion matrix: {len(names):,} classes do not fit into {width} columns; see --plots or --json")
        return
    print(f"Confusion matrix (rows true, columns predicted{note}):")
    print(" " * left + "".join(map(_right, heads, widths)))
    for name, row in zip(lines, counts, strict=True):
        print(_right(name, left) + "".join(map(_right, map(str, row), widths)), flush=True)


def _right(text, width):
    """Returns text at the right of this many columns of a terminal, cut if there is no room."""
    text = shorten(text, width)
    return " " * (width - columns(text)) + text


def _draw(ensemble, report, split, probabilities):
    """Returns {name of a file: figure}."""
    import numpy as np

    from mlp_tf import figures

    predicted = probabilities.argmax(axis=1)
    name = report["split"]
    title = ensemble.title
    if len(ensemble.members) > 1:
        title += ": " + shorten(", ".join(short_names([run.path for run in ensemble.members])), 200)
    accuracy = f"accuracy {report['accuracy']:.4f} on {plural(len(predicted), f'{name} example')}"
    counts = np.array(report["confusion"])
    figure = figures.plot_confusion(counts, ensemble.class_names, f"{title}\nconfusion matrix, {accuracy}")
    drawn = {"confusion": figure}
    wrong = (predicted != split.labels).nonzero()[0]
    worst = wrong[probabilities[wrong].max(axis=1).argsort(kind="stable")[::-1]][:MISTAKES]
    if split.images.ndim < 3:
        print("mistakes: not drawn, as the examples are not images", file=sys.stderr)
    elif not len(worst):
        print("mistakes: not drawn, as every prediction was right", file=sys.stderr)
    else:
        names = [shorten(name, _LONGEST_NAME) for name in ensemble.class_names]
        captions = [
            f"true {names[split.labels[i]]}\npredicted {names[predicted[i]]}\n{100 * probabilities[i].max():.1f} %"
            for i in worst
        ]
        mistakes = plural(len(wrong), "mistake")
        which = f"the {len(worst)} most confident of {mistakes}" if len(worst) < len(wrong) else mistakes
        title = f"{title}\n{which} in {plural(len(predicted), f'{name} image')}"
        drawn["mistakes"] = figures.plot_images(split.images[worst], captions, title)
    return drawn


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags, takes_words=True))
