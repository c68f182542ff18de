"""The runs in a folder as a table: a row for each network and its training settings, over the seeds."""

import dataclasses
import pathlib
from typing import NamedTuple

import msgspec

from mlp_tf import UserError
from mlp_tf.base import files
from mlp_tf.base.text import printable, shorten
from mlp_tf.config import Config, words_of
from mlp_tf.runs.folder import Results, read_folder
from mlp_tf.runs.identity import OUTSIDE, Description

# Settings that change no result, that the data say better, or that distinguish the runs of a row.
_NOT_COMPARED = {*OUTSIDE, "dataset", "validation_size", "label", "layout", "resize", "seed"}
COMPARED = tuple(field.name for field in dataclasses.fields(Config) if field.name not in _NOT_COMPARED)
_OF_DATA = ("dataset", "validation_rows", "sha256", "train_rows", "workers")
_NAMES = [*COMPARED, *_OF_DATA]
_KEY = [name for name in _NAMES if name != "dataset"]  # the data by their SHA-256, not their path
_FAILURES = "failures.json"
_ACCURACIES = ("val_accuracy", "train_accuracy", "test_accuracy")
_AVERAGED = ("epochs_trained", "seconds", *_ACCURACIES)
_MEASURED = [f"{name}{end}" for name in _ACCURACIES for end in ("", "_std")]
COLUMNS = [*_NAMES, "parameters", "units", "seeds", "epochs_trained", *_MEASURED, "seconds", "best", "note"]


class Entry(NamedTuple):
    """A run in the table."""

    path: pathlib.Path
    description: Description
    results: Results | None = None  # of a finished run
    note: str = ""  # why there are no results

    @property
    def settings(self):
        """What the network and its training depend on, except the seed: {name: value}."""
        data = self.description.data
        of_data = (data.name, data.validation, data.sha256, data.train, data.shards)
        compared = {name: getattr(self.description.config, name) for name in COMPARED}
        return compared | dict(zip(_OF_DATA, of_data, strict=True))

    @property
    def key(self):
        """What distinguishes the rows of a table."""
        return tuple(self.settings[name] for name in _KEY)

    @property
    def seed(self):
        """The seed of the run."""
        return self.description.config.seed


class _Failure(msgspec.Struct):
    """A failed run, in failures.json: its folder does not say why it failed, and may not exist."""

    path: str  # within the folder of the table
    description: dict
    note: str


def scan(folder):
    """Returns the runs one or two levels below a folder, and what is wrong with those that cannot be read.

    Returns:
      ({path: `Entry`}, [texts]).
    """
    folder = pathlib.Path(folder)
    entries = {}
    texts = []
    for config_file in [*sorted(folder.glob("*/config.json")), *sorted(folder.glob("*/*/config.json"))]:
        try:
            entries[config_file.parent] = read(config_file.parent)
        except UserError as error:
            texts.append(f"left out: {error}")
    try:
        for failure in _read_failures(folder / _FAILURES):
            path = folder / failure.path
            is_inside = folder in path.parents and ".." not in path.parts
            if is_inside and not (path in entries and entries[path].results):
                description = Description.from_json(failure.description, is_whole=False)
                entries[path] = Entry(path, description, note=failure.note)
    except (OSError, ValueError) as error:
        texts.append(f"left out: {folder / _FAILURES}: {error}")
    return entries, texts


def _read_failures(path):
    if not path.exists():
        return []
    return msgspec.convert(files.read_json(path).get("failures"), list[_Failure])


def write_failures(folder, entries):
    """Keeps the reasons of failed runs for later starts; removes the file if there are none."""
    failures = [
        _Failure(str(entry.path.relative_to(folder)), _without_columns(entry.description).to_json(), entry.note)
        for entry in entries
        if entry.note.startswith("failed: ")
    ]
    if failures:
        files.write(folder / _FAILURES, files.to_json({"failures": msgspec.to_builtins(failures)}))
    else:
        (folder / _FAILURES).unlink(missing_ok=True)


def _without_columns(description):
    """Returns a `Description` without its values for each feature: the file of failures holds many descriptions."""
    return description._replace(scaling=None, data=msgspec.structs.replace(description.data, columns=()))


def read(path):
    """Returns the `Entry` of a run in its folder.

    Raises:
      UserError: it cannot be read.
    """
    folder = read_folder(path)
    if folder.results is not None:
        return Entry(folder.path, folder.description, folder.results)
    epochs = f"{len(folder.read_metrics())} of {folder.description.config.epochs} epochs"
    return Entry(folder.path, folder.description, note=f"not finished, {epochs}")


def differing(several):
    """Returns the names of what differs among dictionaries of settings; of the data, only as many as needed."""
    names = [name for name in several[0] if name not in _OF_DATA and _count_distinct(several, [name]) > 1]
    of_data = []
    for name in _OF_DATA:
        if _count_distinct(several, [*of_data, name]) > _count_distinct(several, of_data):
            of_data.append(name)
    return names + of_data


def _count_distinct(several, names):
    return len({tuple(each[name] for name in names) for each in several})


def cell(name, value):
    """Returns a setting as tables and plots show it: a number or a short text."""
    if name == "dataset":
        return shorten(printable(pathlib.Path(value).name), 20)
    if name == "sha256":
        return value[:8]
    if name == "hidden":
        return words_of(value) or "none"
    return value if isinstance(value, int | float) and not isinstance(value, bool) else words_of(value)


def labels(descriptions):
    """Returns a text for each run that says how it differs from the others; empty if it does not."""
    entries = [Entry(None, description) for description in descriptions]
    several = [{**entry.settings, "seed": entry.seed} for entry in entries]
    names = differing(several)
    return [", ".join(f"{name}={cell(name, each[name])}" for name in names) for each in several]


def rows(entries):
    """Returns the rows of the table, dictionaries with all `COLUMNS`, small networks first.

    Accuracies are means and standard deviations over the seeds, each seed counted once, or None if unknown; `best` is
    true in the row with the highest mean validation accuracy of those on the same data.
    """
    import pandas  # which takes 0.4 s

    finished_first = sorted(entries, key=lambda entry: not entry.results)
    runs = pandas.DataFrame(map(_record, finished_first)).astype(dict.fromkeys(_AVERAGED, float))
    notes = runs.groupby(_KEY, sort=False)["note"].agg(lambda texts: "\n".join(filter(None, texts)))
    groups = runs.drop_duplicates([*_KEY, "seed"]).groupby(_KEY, sort=False)
    columns = {name: (name, "first") for name in ("dataset", "parameters", "units")}
    columns |= {"seeds": ("is_finished", "sum")}
    columns |= {name: (name, "mean") for name in _AVERAGED}
    columns |= {f"{name}_std": (name, "std") for name in _ACCURACIES}
    table = groups.agg(**columns).join(notes).reset_index().sort_values(["parameters", *_NAMES])
    best = table.dropna(subset="val_accuracy").groupby(["sha256", "validation_rows"])["val_accuracy"].idxmax()
    table["best"] = table.index.isin(best)
    return table[COLUMNS].astype(object).where(table.notna(), None).to_dict("records")


def _record(entry):
    """Returns what the table needs of a run, {column: value}."""
    record = {**entry.settings, "seed": entry.seed, "is_finished": bool(entry.results)}
    record["dataset"] = printable(record["dataset"])  # pandas takes only UTF-8
    record["hidden"] = words_of(entry.settings["hidden"])
    record["parameters"] = entry.description.parameters
    record["units"] = sum(entry.settings["hidden"])
    record["epochs_trained"] = entry.results and entry.results.epochs
    record["seconds"] = entry.results and entry.results.train_seconds
    for name in _ACCURACIES:
        record[name] = entry.results and getattr(entry.results, name)
    record["note"] = entry.note and printable(f"seed {entry.seed}: {entry.note}")
    return record


def varied(rows):
    """Returns the names of the settings that differ between the rows, or `hidden` if none do."""
    return differing([{name: row[name] for name in _NAMES} for row in rows]) or ["hidden"]


def lines(rows):
    """Returns the table as text: what differs, epochs, parameters, accuracies, seconds; `*` marks the best row."""
    import pandas

    names = ["hidden", *(name for name in varied(rows) if name not in ("hidden", "epochs"))]
    if len({row["seeds"] for row in rows}) > 1:
        names.append("seeds")
    cells = [{name: str(cell(name, row[name])) for name in names} | _measured(row) for row in rows]
    with pandas.option_context("display.unicode.east_asian_width", True):
        head, *lines = pandas.DataFrame(cells).to_string(index=False).splitlines()
    texts = [f"  {head}"]
    for row, line in zip(rows, lines, strict=True):
        texts.append(f"{'*' if row['best'] else ' '} {line}")
        texts += [f"    {note}" for note in row["note"].splitlines()]
    if any(row["best"] for row in rows):
        texts.append("(*: the highest val accuracy; +- standard deviation over seeds)")
    return texts


def _measured(row):
    """Returns the cells with measurements, {heading: text}."""
    test = f"{row['test_accuracy']:.4f}" if row["seeds"] else "-"
    if row["seeds"] > 1:
        test += f" +- {row['test_accuracy_std']:.4f}"
    val, train = (f"{row[name]:.4f}" if row[name] is not None else "-" for name in ("val_accuracy", "train_accuracy"))
    return {
        "epochs": f"{row['epochs_trained'] if row['seeds'] else row['epochs']:g}",
        "parameters": f"{row['parameters']:,}",
        "val": val,
        "train": train,
        "test accuracy": test,
        "seconds": f"{row['seconds']:.1f}" if row["seeds"] else "-",
    }
