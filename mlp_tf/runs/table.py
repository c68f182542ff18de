"""The runs in a folder as a table: a row for each network and way of training, over its seeds."""

import dataclasses
import pathlib
import statistics
from typing import NamedTuple, NotRequired, TypedDict

from mlp_tf import UserError
from mlp_tf.base import strict_json
from mlp_tf.base.text import printable, shorten
from mlp_tf.config import Config, words_of
from mlp_tf.runs import files
from mlp_tf.runs.describe import OUTSIDE, Results
from mlp_tf.runs.folder import read_run

# Settings that change no result, of which the data say more, or that tell the runs of a row apart.
_NOT_COMPARED = {*OUTSIDE, "dataset", "validation_size", "seed"}
_OF_DATA = {"dataset": str, "validation_rows": int, "sha256": str, "train_rows": int, "workers": int}
COMPARED = {field.name: field for field in dataclasses.fields(Config) if field.name not in _NOT_COMPARED}
# A choice is a string here, as `strict_json` knows no Literal.
_FORMS = {name: str if isinstance(field.default, str) else field.type for name, field in COMPARED.items()}
_Settings = TypedDict("_Settings", {name: NotRequired[form] for name, form in _FORMS.items()} | _OF_DATA)
_NAMES = [*COMPARED, *_OF_DATA]
_FAILURES = "failures.json"
_ACCURACIES = ("val_accuracy", "train_accuracy", "test_accuracy")
_MEASURED = [f"{name}{end}" for name in _ACCURACIES for end in ("", "_std")]
COLUMNS = [*_NAMES, "parameters", "units", "seeds", "epochs_trained", *_MEASURED, "seconds", "best", "note"]


class Entry(NamedTuple):
    """A run in the table."""

    path: pathlib.Path
    settings: dict  # from `settings`
    seed: int
    parameters: int
    results: Results | None = None  # of a finished run
    val_accuracy: float | None = None  # of the epoch that the results are of
    note: str = ""  # why there are no results


class _Failure(NamedTuple):
    """A run that failed, as failures.json has it: its own folder cannot tell why, and may not be there."""

    path: str  # within the folder of the table
    settings: _Settings
    seed: int
    parameters: int
    note: str


def entry(path, description, note=""):
    """The `Entry` of a run that has no results."""
    return Entry(path, settings(description), description.config.seed, description.parameters, note=note)


def find(folder):
    """The runs in a folder and in the folders in it, by path; and what is wrong with those that cannot be read.

    Returns:
      ({path: `Entry`}, [texts]).
    """
    folder, entries, texts = pathlib.Path(folder), {}, []
    for file in (file for depth in ("*", "*/*") for file in sorted(folder.glob(f"{depth}/config.json"))):
        try:
            entries[file.parent] = read(file.parent)
        except UserError as error:
            texts.append(f"left out: {error}")
    try:
        failures = strict_json.conform(files.read_json(folder / _FAILURES).get("failures"), list[_Failure])
    except FileNotFoundError:
        failures = []
    except (OSError, ValueError) as error:
        failures, texts = [], [*texts, f"left out: {folder / _FAILURES}: {error}"]
    for path, own, *rest, note in failures:
        path = folder / path
        own = {name: field.default for name, field in COMPARED.items()} | own  # a version before may have had fewer
        if folder in path.parents and ".." not in path.parts and not (path in entries and entries[path].results):
            entries[path] = Entry(path, own, *rest, note=note)
    return entries, texts


def write_failures(folder, entries):
    """Keeps why runs failed, for later starts; without any, the file is removed."""
    failed = [entry for entry in entries if entry.note.startswith("failed: ")]
    kept = [_Failure(str(e.path.relative_to(folder)), e.settings, e.seed, e.parameters, e.note) for e in failed]
    if kept:
        content = {"format": files.FORMAT, "failures": [failure._asdict() for failure in kept]}
        files.write(folder / _FAILURES, files.to_json(content))
    else:
        (folder / _FAILURES).unlink(missing_ok=True)


def read(path):
    """A run as its folder has it.

    Raises:
      UserError: it cannot be read.
    """
    run = read_run(path)
    rows, config = run.read_metrics(), run.description.config
    if run.results is None:
        return entry(run.path, run.description, f"not finished, {len(rows)} of {config.epochs} epochs")
    epoch = run.results.best_epoch if config.patience else run.results.epochs
    of_epoch = [row["val_accuracy"] for row in rows if row["epoch"] == epoch]
    return entry(run.path, run.description)._replace(results=run.results, val_accuracy=(of_epoch or [None])[0])


def settings(description):
    """What two runs of a row have in common, {name: value}: all that the network and its training depend on.

    The seed is not among them, which tells the runs of a row apart.
    """
    config, data = description.config, description.data
    compared = {name: getattr(config, name) for name in COMPARED}
    of_data = (data.name, data.validation, data.sha256, data.train, data.shards)
    return {**compared, **dict(zip(_OF_DATA, of_data, strict=True))}


def key(settings):
    """What tells the rows of a table apart; the data by their SHA-256, wherever they lie."""
    return tuple(value for name, value in settings.items() if name != "dataset")


def differing(several):
    """The names of what differs among several dictionaries of settings; of the data just what tells them apart."""
    names = [name for name in several[0] if name not in _OF_DATA and _distinct(several, [name]) > 1]
    of_data = []
    for name in _OF_DATA:
        if _distinct(several, [*of_data, name]) > _distinct(several, of_data):
            of_data.append(name)
    return names + of_data


def _distinct(several, names):
    return len({tuple(each[name] for name in names) for each in several})


def shown(name, value):
    """A setting as a table and a picture show it: a number, or a short text."""
    if name == "dataset":
        return shorten(printable(pathlib.Path(value).name), 20)
    if name == "sha256":
        return value[:8]
    return value if isinstance(value, int | float) and not isinstance(value, bool) else words_of(value)


def labels(descriptions):
    """A text for each run that says how it differs from the others; empty for those that do not."""
    several = [{**settings(each), "seed": each.config.seed} for each in descriptions]
    names = differing(several)
    return [", ".join(f"{name}={shown(name, each[name])}" for name in names) for each in several]


def rows(entries):
    """The table: a dictionary with all `COLUMNS` for each network and way of training, small networks first.

    Accuracies are means and standard deviations over the seeds, None where they are not known; `best` is true in the
    row of the highest mean validation accuracy among those of the same data.
    """
    of_row = {}
    for entry in entries:
        of_row.setdefault(key(entry.settings), []).append(entry)
    table = [_summary(each) for each in of_row.values()]
    table.sort(key=lambda row: [row["parameters"], *(row[name] for name in _NAMES)])
    of_data = {}
    for row in table:
        if row["val_accuracy"] is not None:
            of_data.setdefault((row["sha256"], row["validation_rows"]), []).append(row)
    for comparable in of_data.values():
        max(comparable, key=lambda row: row["val_accuracy"])["best"] = True
    return table


def varied(rows):
    """The names of the settings that differ between the rows; of rows that are all alike, `hidden`."""
    return differing([{name: row[name] for name in _NAMES} for row in rows]) or ["hidden"]


def lines(rows):
    """The table in words: what differs, epochs, parameters, accuracies, seconds; `*` marks the best row."""
    names = ["hidden", *(name for name in varied(rows) if name not in ("hidden", "epochs"))]
    names += ["seeds"] if len({row["seeds"] for row in rows}) > 1 else []
    heads = [*names, "epochs", "parameters", "val", "train", "test accuracy", "seconds"]
    cells = [[str(shown(name, row[name])) for name in names] + _measured(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    marks = [" ", *("*" if row["best"] else " " for row in rows)]
    notes = [[], *([f"    {note}" for note in row["note"].splitlines()] for row in rows)]
    found = []
    for mark, texts, more in zip(marks, [heads, *cells], notes, strict=True):
        found += [" ".join(map(str.rjust, [mark, *texts], [1, *widths])), *more]
    return [*found, "(*: the highest val accuracy; +- standard deviation over seeds)"] if "*" in marks else found


def _measured(row):
    epochs, test, deviation = row["epochs_trained"], row["test_accuracy"], row["test_accuracy_std"]
    accuracies = [f"{row[name]:.4f}" if row[name] is not None else "-" for name in ("val_accuracy", "train_accuracy")]
    if not row["seeds"]:
        return [str(row["epochs"]), f"{row['parameters']:,}", *accuracies, "-", "-"]
    return [
        f"{epochs:g}", f"{row['parameters']:,}", *accuracies,
        f"{test:.4f} +- {deviation:.4f}" if row["seeds"] > 1 else f"{test:.4f}", f"{row['seconds']:.1f}",
    ]  # fmt: skip


def _summary(entries):
    """The row of runs that differ in their seed alone, each seed counted once."""
    own = entries[0].settings
    row = {**own, "hidden": words_of(own["hidden"]), "parameters": entries[0].parameters}
    finished = {entry.seed: entry for entry in entries if entry.results}.values()
    row |= {"units": sum(own["hidden"]), "seeds": len(finished), "best": False}
    row["epochs_trained"] = _mean([entry.results.epochs for entry in finished])
    accuracies = [(entry.val_accuracy, entry.results.train_accuracy, entry.results.test_accuracy) for entry in finished]
    for name, values in zip(_ACCURACIES, zip(*accuracies, strict=True) if accuracies else [()] * 3, strict=True):
        row |= {name: _mean(values), f"{name}_std": _deviation(values)}
    row["seconds"] = _mean([entry.results.train_seconds for entry in finished])
    row["note"] = "\n".join(f"seed {each.seed}: {each.note}" for each in entries if each.note)
    return row


def _mean(values):
    return statistics.mean(values) if values and None not in values else None


def _deviation(values):
    if _mean(values) is None:
        return None
    return statistics.stdev(values) if len(values) > 1 else 0.0
