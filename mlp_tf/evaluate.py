"""Evaluates a trained run, or an ensemble: cost, accuracy, precision and recall of each class, confusion matrix.

    python -m mlp_tf.evaluate RUN
    python -m mlp_tf.evaluate RUN --split=validation --plots
    python -m mlp_tf.evaluate RUN --json
    python -m mlp_tf.evaluate RUN1 RUN2 RUN3
    python -m mlp_tf.evaluate RUN --show=7
    python -m mlp_tf.evaluate RUN --on=more.csv

RUN is a run's folder; --workdir=RUN works too. Several runs are an ensemble, whose answer is the mean of their
probabilities; they must share their data. The cost is the cross-entropy loss.

The precision of a class is correct / predicted, the fraction of the predictions of this class that are right. Its
recall is correct / examples, the fraction of its examples that are predicted correctly. F1 is the harmonic mean of
both, 2 correct / (examples + predicted). A fraction 0 / 0 is printed as "-" and left out of the macro average, the mean
over the classes. (scikit-learn counts it as 0.)

--plots writes confusion.png and mistakes.png, the most confidently wrong images with their numbers, into the run's
folder or --out. --json prints one object: run (its folder's name), dataset, split, examples, cost (nats per example),
accuracy, train_accuracy, test_accuracy, classes (for each: name, examples, predicted, correct, precision, recall, f1;
null for 0 / 0), macro (precision, recall, f1), confusion (rows true, columns predicted), plots (paths). For an ensemble
it has runs (for each: run, its path; cost; accuracy) instead of run, train_accuracy and test_accuracy.

--show=7 prints only example 7 of the split, counted from 0: its cost and the probability of every class. It draws the
example to example-7.png in the same folder; an image is drawn as the network sees it, upright if the run has --deskew.
With --json, the object has run, dataset, split, example (its number), true and predicted (for each: class, its number;
name; probability), cost, classes (the same for every class, the most probable first), features (of an example that is
not an image) and plots. For an ensemble it has runs (for each: run, predicted, cost) instead of run.

--on=DATA evaluates all examples of other data: a table with labels, an .npz file with x_test and y_test or x and y,
or whatever --dataset takes. If they have a test split, only this is evaluated. Columns and classes are matched by name.
If the run is on your files, a note says how many of the examples it was trained on.
The plots are named after the data, such as confusion-more.png. With --json, split is null, and there is no
train_accuracy or test_accuracy.
"""

import json
import os
import pathlib
import shutil
import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.base.text import columns, plural, printable, short_names, shorten
from mlp_tf.cli import command, flags, quiet

MISTAKES = 49  # seven full rows of digits
SCORES = ("precision", "recall", "f1")
MOST_CLASSES = 10_000  # a larger confusion matrix may not fit into memory
_IN_A_FILE = 200  # columns of text if stdout is not a terminal
_SHORTEST_NAME = 10  # columns; a class's name cut further says nothing
_LONGEST_NAME = 24  # in a caption
_BAR = 20  # characters, of the probability 1


def define_flags(values):
    """Defines the flags of this command."""
    flags.define_runs(values, "A run's folder. Several runs on the same data are an ensemble.")
    flags.define_data_dir(values)
    splits = ["test", "validation", "train"]
    absl_flags.DEFINE_enum("split", "test", splits, "Which examples.", values, module_name="data")
    text = "Other data with labels to evaluate, such as a FILE.csv."
    absl_flags.DEFINE_string("on", "", text, values, module_name="data")
    absl_flags.DEFINE_boolean("plots", False, "Write confusion.png and mistakes.png.", flag_values=values)
    absl_flags.DEFINE_integer("show", None, "Print and draw only the example with this number.", flag_values=values)
    absl_flags.DEFINE_boolean("json", False, "Print one JSON object instead of words.", flag_values=values)
    text = "The folder for the plots; empty: the run's folder. An ensemble needs one."
    absl_flags.DEFINE_string("out", "", text, flag_values=values)
    flags.define_plots(values)


def main(values, words):
    """Prints the evaluation of the runs that the command line names; returns the exit code."""
    workdirs = flags.run_folders(values, words)
    out = flags.path(values, "out")
    number = values["show"].value
    as_json = values["json"].value
    if number is not None and values["plots"].value:
        raise UserError(f"--show={number}: draws only this example; leave out --plots or --show")
    if values["on"].value and values["split"].present:
        raise UserError(f"--split={values['split'].value}: is a split of the run's data; leave out --split or --on")
    has_plots = values["plots"].value or number is not None
    if has_plots and len(workdirs) > 1 and not out:
        raise UserError("an ensemble has no folder: say where its plots go with --out=FOLDER")
    quiet.import_tensorflow()
    from mlp_tf.runs.trained import load_ensemble

    ensemble = load_ensemble(workdirs)
    command.warn(*ensemble.warnings)
    classes = len(ensemble.class_names)
    if classes > MOST_CLASSES:
        raise UserError(f"--workdir={workdirs[0]}: has {classes:,} classes; at most {MOST_CLASSES:,} can be shown")
    about, split, others = _read_data(ensemble, values)
    if number is None:
        probabilities = ensemble.probabilities(split.images)
        report = about | _report(ensemble, split, others, probabilities.argmax(axis=1))
    else:
        report = about | _report_example(ensemble, about, split, number)
    if not as_json:
        print(f"Run: {ensemble.title}")
        if number is None:
            _print(report)
        else:
            _print_example(report, len(split.labels))
    plots = []
    if has_plots:
        from mlp_tf import figures

        folder = flags.make_folder("out", out or workdirs[0])
        if number is None:
            drawn = _draw(ensemble, report, split, probabilities)
        else:
            drawn = {f"example-{number}": _draw_example(ensemble, report, split)}
        suffix = "" if report["split"] else f"-{pathlib.Path(report['dataset']).stem}"
        for stem, figure in drawn.items():
            plots.append(str(figures.save(figure, folder / f"{stem}{suffix}", **flags.plot_options(values))))
    if as_json:
        print(json.dumps({**report, "plots": plots}))
        return 0
    for path in plots:
        print(f"Plot: {path}")
    return 0


def _read_data(ensemble, values):
    """Returns the data to evaluate.

    Returns:
      {"dataset": its name, "split": the name of the run's split, or None for the data of --on}; the `data.Split`; the
      run's training and test splits, {"train": ..., "test": ...}, or {} with --on.
    """
    data_dir = flags.path(values, "data_dir")
    if values["on"].value:
        dataset, split, notes = ensemble.labelled(flags.path(values, "on"), data_dir)
        command.note(*notes)
        return {"dataset": dataset, "split": None}, split, {}
    name = values["split"].value
    splits = ensemble.splits(data_dir)
    split = getattr(splits, name)
    if not len(split.labels):
        raise UserError(f"--split={name}: the run has no validation examples; give --split=test or train")
    return {"dataset": splits.name, "split": name}, split, {"train": splits.train, "test": splits.test}


def _report(ensemble, split, others, predicted):
    """Returns the report on a split, of JSON's types; `others` as `_read_data` returns them."""
    import numpy as np

    sums = ensemble.evaluate(split)
    number = len(ensemble.class_names)
    counts = np.bincount(split.labels.astype(np.int64) * number + predicted, minlength=number**2)
    counts = counts.reshape(number, number)  # rows are true classes, columns predicted ones
    report = {"examples": len(split.labels)}
    if len(ensemble.members) == 1:
        report["run"] = ensemble.members[0].path.resolve().name
        for name, other in others.items():
            of_other = sums if other is split else ensemble.evaluate(other)
            report[f"{name}_accuracy"] = of_other.accuracy
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


def _print(report):
    """Prints the report as text."""
    for each in report.get("runs", ()):
        print(f"  accuracy {each['accuracy']:.4f}, cost {each['cost']:.4f}: {printable(each['run'])}")
    name = f"Split: {report['split']}" if report["split"] else f"Data: {printable(report['dataset'])}"
    print(f"{name}, {plural(report['examples'], 'example')}")
    print(f"Cost: {report['cost']:.4f}")
    print(f"Accuracy: {report['accuracy']:.4f}")
    if "train_accuracy" in report:
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
    """Returns text right-aligned in this many columns of a terminal, shortened if it does not fit."""
    text = shorten(text, width)
    return " " * (width - columns(text)) + text


def _draw(ensemble, report, split, probabilities):
    """Returns {name of a file: figure}."""
    import numpy as np

    from mlp_tf import figures

    predicted = probabilities.argmax(axis=1)
    title = _title(ensemble)
    accuracy = f"accuracy {report['accuracy']:.4f} on {_count(report, len(predicted), 'example')}"
    counts = np.array(report["confusion"])
    figure = figures.plot_confusion(counts, ensemble.class_names, f"{title}\nconfusion matrix, {accuracy}")
    drawn = {"confusion": figure}
    wrong = (predicted != split.labels).nonzero()[0]
    most = probabilities.max(axis=1)
    worst = wrong[most[wrong].argsort(kind="stable")[::-1]][:MISTAKES]
    if split.images.ndim < 3:
        print("mistakes: not drawn, as the examples are not images", file=sys.stderr)
    elif not len(worst):
        print("mistakes: not drawn, as every prediction was right", file=sys.stderr)
    else:
        names = [shorten(name, _LONGEST_NAME) for name in ensemble.class_names]
        captions = [
            f"#{i}\ntrue {names[split.labels[i]]}\npredicted {names[predicted[i]]}\n{100 * most[i]:.1f} %"
            for i in worst
        ]
        mistakes = plural(len(wrong), "mistake")
        which = f"the {len(worst)} most confident of {mistakes}" if len(worst) < len(wrong) else mistakes
        title = f"{title}\n{which} in {_count(report, len(predicted), 'image')}"
        drawn["mistakes"] = figures.plot_images(split.images[worst], captions, title)
    return drawn


def _title(ensemble):
    """Returns the title of a figure, which names the members of an ensemble."""
    if len(ensemble.members) == 1:
        return ensemble.title
    return f"{ensemble.title}: {shorten(', '.join(short_names([run.path for run in ensemble.members])), 200)}"


def _count(report, number, noun):
    """Returns the number of examples of a split, or of other data, as text."""
    if report["split"]:
        return plural(number, f"{report['split']} {noun}")
    return f"{plural(number, noun)} of {shorten(os.path.basename(report['dataset']), 60)}"


def _report_example(ensemble, about, split, number):
    """Returns the report on one example of a split, of JSON's types; `about` as `_read_data` returns it."""
    if not 0 <= number < len(split.labels):
        examples = f"the {about['split']} examples of this run" if about["split"] else f"those of {about['dataset']}"
        raise UserError(f"--show={number}: must be from 0 to {len(split.labels) - 1}, {examples}")
    one = split.rows(slice(number, number + 1))

    def answer(trained):
        """Returns {"class", "name", "probability"} of each class, the most probable first."""
        [probabilities] = trained.probabilities(one.images)
        order = (-probabilities).argsort(kind="stable").tolist()
        return [{"class": c, "name": ensemble.class_names[c], "probability": float(probabilities[c])} for c in order]

    report = {"example": number}
    if len(ensemble.members) == 1:
        report["run"] = ensemble.members[0].path.resolve().name
    else:
        report["runs"] = [
            {"run": str(run.path), "predicted": answer(run)[0], "cost": run.evaluate(one).cost}
            for run in ensemble.members
        ]
    if one.images.ndim == 2:
        report["features"] = one.images[0].tolist()
    classes = answer(ensemble)
    [true] = [each for each in classes if each["class"] == one.labels[0]]
    return {**report, "true": true, "predicted": classes[0], "cost": ensemble.evaluate(one).cost, "classes": classes}


def _print_example(report, examples):
    """Prints the report on one example as text."""
    for each in report.get("runs", ()):
        best = each["predicted"]
        answer = f"predicted {printable(best['name'])} ({best['probability']:.4f}), cost {each['cost']:.4f}"
        print(f"  {answer}: {printable(each['run'])}")
    print(f"Example: {report['example']} of the {printable(_count(report, examples, 'example'))}, counted from 0")
    width = shutil.get_terminal_size((_IN_A_FILE, 0)).columns
    if "features" in report:
        print(f"Features: {shorten(_features_text(report), width - 10)}")
    print(f"True class: {printable(report['true']['name'])}")
    print(f"Predicted class: {printable(report['predicted']['name'])}")
    print(f"Cost: {report['cost']:.4f} nats (-log of the probability of the true class)")
    print("Probability of each class:")
    names = [printable(each["name"]) for each in report["classes"]]
    left = min(max(map(columns, names)) + 2, width - len("  0.0000  ") - _BAR - len("  true"))
    for name, each in zip(names, report["classes"], strict=True):
        bar = "#" * round(_BAR * each["probability"])
        true = "  true" if each is report["true"] else ""
        print(f"{_right(name, left)}  {each['probability']:.4f}  {bar:<{_BAR}}{true}".rstrip())


def _features_text(report):
    return ", ".join(f"{value:g}" for value in report["features"])


def _draw_example(ensemble, report, split):
    """Returns the figure of one example."""
    import numpy as np

    from mlp_tf import figures
    from mlp_tf.data.augmentation import deskew

    number = report["example"]
    example = f"example {number}, cost {report['cost']:.4f} nats"
    of = f"{report['split']} " if report["split"] else f"{shorten(os.path.basename(report['dataset']), 60)}: "
    title = f"{_title(ensemble)}\n{of}{example}"
    image = None
    caption = ""
    if "features" in report:
        title += f"\nfeatures {shorten(_features_text(report), 140)}"
    else:
        image = split.images[number]
        # If only some members of an ensemble set images upright, the plot shows what the others see.
        if all(run.config.deskew for run in ensemble.members):
            image = deskew(image[np.newaxis]).numpy()[0]
            caption = "set upright, as the\nnetwork sees it"
    probabilities = np.zeros(len(report["classes"]))
    for each in report["classes"]:
        probabilities[each["class"]] = each["probability"]
    return figures.plot_example(image, probabilities, ensemble.class_names, report["true"]["class"], title, caption)


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags, takes_words=True))
