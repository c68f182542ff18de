"""Reads the user's tables from .csv files: a column of labels, and numbers in all others."""

import math
import os
import re
import shlex

import numpy as np
import pandas

from mlp_tf import UserError
from mlp_tf.base.text import plural, shorten
from mlp_tf.config import DEFAULTS
from mlp_tf.data.csv_file import opened, read, read_columns, read_first_line
from mlp_tf.data.labels import LONGEST, number
from mlp_tf.data.scaling import coarse
from mlp_tf.data.scan import numbers_rows
from mlp_tf.data.splits import PURPOSES, Source, Split, find_splits

_LARGEST = np.finfo(np.float32).max
_BOOLEANS = {"true": "1", "True": "1", "TRUE": "1", "false": "0", "False": "0", "FALSE": "0"}
_ID = re.compile(r"id|.*(Id|ID|_id)", re.DOTALL)  # columns that name the rows, if they are not features
_FIRST_FIELDS = 2**22  # read to find the column that may hold the labels
_FEW = 10  # distinct whole numbers that may be labels even in a few rows
_LABELS = ("label", "labels", "class", "target", "species", "category", "y")  # likely names of that column
_IMAGE_FILE = re.compile(r"\.(png|jpe?g|bmp|gif|tiff?|webp)\W*$", re.IGNORECASE)


class _WithoutLabel(UserError):
    """A table that has no column of labels."""


def csv(path, label=DEFAULTS.label):
    """Reads a table: float32 `[N, D]`, in the order of all columns except the labels; `[N, H, H]` if they are pixels.

    Pixels are called pixel0, pixel1, ..., or 0x0, 0x1, ... by row and column, from 0 or from 1, in this order; their
    number is a square.

    Args:
      path: of a regular file, or of a link to one: text in UTF-8, with the names of the columns in its first line.
        Without names, the labels are the first or last column, whichever holds words or few distinct whole numbers.
      label: the column of the labels.

    Returns:
      `Source` without test rows. The classes are the labels: as whole numbers if all are, else as words.

    Raises:
      UserError: no such file, not a table, no such column, a field that is empty or not a number, more data than the
        memory of this machine holds.
    """
    return _to_source(path, {"train": path}, [], label)


def csv_folder(path, label=DEFAULTS.label):
    """Reads train.csv in a folder, and test.csv and val.csv if they are there; a prefix is allowed: mnist_train.csv.

    Returns:
      `Source`; None if no table in the folder is called train, or a folder in it has the name of a split.

    Raises:
      UserError: as `csv`; two tables of the same split; columns that differ from those of train.
    """
    names = sorted(name for name in os.listdir(path) if not name.startswith("."))
    if any(name.lower() in PURPOSES for name in names):
        return None
    tables = [name for name in names if name.lower().endswith(".csv")]
    found = find_splits(path, {name: re.split("[-_. ]", name)[-2] for name in tables})
    if "train" not in found:
        return None
    unused = [name for name in names if name not in found.values()]
    order = sorted(found, key=lambda split: split != "train")
    return _to_source(path, {split: os.path.join(path, found[split]) for split in order}, unused, label)


def csv_rows(path, in_run, label, needs_labels):
    """Reads the rows of a table for a trained run.

    Args:
      path: as `csv` takes it.
      in_run: `Data` of the run. The table may hold the run's columns in any order. If the run has no column names, all
        columns except the label and the id are features, in order. If it is on pixels and the table has none of its
        names, columns are taken in order.
      label: the column of the labels.
      needs_labels: whether each row must have a label.

    Returns:
      (features, float32 `[N, D]`, in the run's order; their names; a data frame of all other columns, as text; the name
      of the id's column, such as Id or PassengerId, or None; a note or "").

    Raises:
      UserError: as `csv`; a column that the run needs is missing.
    """
    columns = in_run.columns
    with opened(path) as file:
        fields = read_first_line(path, file)
        are_names = not _are_numbers(fields, in_run.class_names) or (columns and {*columns} <= {*fields})
        has_names = label in fields or (are_names and not needs_labels)
        names = fields if has_names else _name_new_columns(path, file, fields, in_run, label, needs_labels)
        note = "" if has_names else "the first line holds no names, so it is read as a row"
        if columns and len(in_run.example_shape) > 1 and not {*columns} & {*names}:
            columns = ()
            note = "the columns have other names than the run's pixels, and are taken in their order"
        ids = [name for name in names if _ID.fullmatch(name) and name not in columns]
        besides = {label, *ids[:1]}
        features = [*columns] or [name for name in names if name not in besides]
        _check_features(path, features, names, label, math.prod(in_run.example_shape))
        known = {*features}
        others = [name for name in names if name not in known]
        frame = read_columns(path, file, names, has_names, others)
    if needs_labels:
        frame[label] = frame[label].str.strip()
        _check_labels(path, frame[label])
    elif not has_names and label in frame and not {*frame[label].str.strip()} <= {*in_run.class_names}:
        raise UserError(f"{path}: {_without_names(fields, in_run)}")
    values = np.empty((len(frame), len(features)), np.float32)
    for i, name in enumerate(features):
        values[:, i] = _to_numbers(path, frame[name])
    return values, features, frame[others], ids[0] if ids else None, note


def _name_new_columns(path, file, fields, in_run, label, needs_labels):
    """Returns names for the columns of a table without names: those of the run, if their number fits."""
    columns = in_run.columns
    width = math.prod(in_run.example_shape)
    if len(fields) == width and not needs_labels:
        return [*columns] or [str(i) for i in range(width)]
    try:
        names = _name_columns(path, file, fields, label)
    except _WithoutLabel:
        text = f"no column {shorten(label, 60)}, but {_listed(fields)}; rename the one that holds the classes"
        raise UserError(f"{path}: {text if needs_labels else _without_names(fields, in_run)}") from None
    place = names.index(label)
    return [*columns[:place], label, *columns[place:]] if columns and len(names) == width + 1 else names


def _without_names(fields, in_run):
    return (
        f"the first line holds numbers, not names, in {len(fields):,} columns; the run takes "
        f"{math.prod(in_run.example_shape):,}: put a line of names above it"
    )


def _are_numbers(fields, class_names):
    """Checks whether a first line holds numbers or classes, and not the names 0, 1, 2, ... that pandas gives."""
    is_number = pandas.to_numeric(pandas.Series(fields), errors="coerce").notna().tolist()
    are_values = any(is_number) and all(is_number[i] or field in ("", *class_names) for i, field in enumerate(fields))
    return are_values and fields != [str(i) for i in range(len(fields))]


def _check_features(path, features, names, label, width):
    """Raises UserError if a table lacks columns of a run or, for a run without names, has another number of them."""
    there = {*names}
    if missing := [name for name in features if name not in there]:
        known = {*features, label}
        unknown = [name for name in names if name not in known]
        besides = f"; the run does not know {_listed(unknown)}" if unknown else ""
        raise UserError(
            f"{path}: lacks {len(missing):,} of the {width:,} columns that the run was trained on, "
            f"{_listed(missing)}{besides}; add the missing columns, or rename others to match"
        )
    if len(features) != width:
        raise UserError(
            f"{path}: {plural(len(features), 'column')} besides {label} and id, but the run takes {width:,}, in its "
            "order; leave the others out"
        )


def _listed(names):
    """Returns the first names of columns as text."""
    listed = [repr(shorten(name, 60)) for name in names[:10]]
    return ", ".join([*listed, "..."] if len(names) > 10 else listed)


def _to_source(path, files, unused, label):
    """Returns the `Source` of the tables {split: path}, train first; `unused` names the other files there."""
    notes = []
    columns = None
    examples = {}
    labels = {}
    suspicions = ()
    for split, file in files.items():
        try:
            frame, note = _read_table(file, label)
        except _WithoutLabel:
            if split == "train":
                raise
            unused = [*unused, f"{os.path.basename(file)} (it has no column {shorten(label, 60)})"]
            continue
        notes += [note] if note else []
        labels[split] = frame.pop(label).str.strip()
        _check_labels(file, labels[split])
        if columns is None:
            row_numbers = _find_row_numbers(file, frame)
            columns = frame.columns.drop(row_numbers)
            suspicions = tuple(
                f"the column {shorten(name, 60) or 'without a name'} numbers the rows, which says nothing about new "
                "ones; it is left out"
                for name in row_numbers
            )
        frame = frame.drop(columns=row_numbers, errors="ignore")
        if different := {*columns} ^ {*frame.columns}:
            raise UserError(
                f"{file}: it and {os.path.basename(files['train'])} do not both have the column "
                f"{shorten(min(different), 60) or 'without a name'}; give them the same columns"
            )
        examples[split], found = _to_examples(file, frame, columns)
        suspicions += found
    numbers, class_names = _number(path, files, labels)
    splits = {split: Split(examples[split], numbers[split]) for split in examples}
    if unused:
        notes.append(f"not used: {shorten(', '.join(unused), 400)}")
    train, test, validation = (splits.get(name) for name in ("train", "test", "validation"))
    return Source(
        path,
        train,
        test,
        class_names,
        validation,
        is_user_data=True,
        notes=tuple(notes),
        suspicions=suspicions,
        kind="table",
        columns=tuple(columns),
    )


def _find_row_numbers(path, frame):
    """Returns the names of the columns that number the rows; none if there are no others."""
    found = [
        name for name in frame if frame[name].dtype.kind in "iuf" and numbers_rows(frame[name].to_numpy(np.float64))
    ]
    if "" in frame and "" not in found:
        raise UserError(f"{path}: a column has no name; leave it out, as pandas does with index=False, or name it")
    return found if len(found) < frame.shape[1] else []


def _number(path, files, labels):
    """Returns ({split: the classes of its labels, int32 `[N]`}, the names of the classes)."""
    factorized = {split: column.factorize() for split, column in labels.items()}
    words = [word for _, distinct in factorized.values() for word in distinct]
    label = shorten(labels["train"].name, 60)
    array = _to_array(path, words, label)
    values = {}
    for split, (places, distinct) in factorized.items():
        values[split], array = np.split(array, [len(distinct)])
        unknown = ~np.isin(values[split], values["train"])
        if unknown.any():
            row = (places == unknown.argmax()).argmax()
            raise UserError(
                f"{files[split]}: row {row + 1}, column {label}: {labels[split][row]!r} is not a class of "
                f"{os.path.basename(files['train'])}; leave such rows out, or add some to the training rows"
            )
    numbers, class_names = number(values, dict.fromkeys(values, f"{files['train']}: column {label}"))
    return {split: numbers[split][factorized[split][0]] for split in values}, class_names


def _read_table(path, label):
    """Returns (a table with rows and names as a data frame, its labels as words; a note or "")."""
    with opened(path) as file:
        names = read_first_line(path, file)
        has_names = label in names
        if not has_names:
            names = _name_columns(path, file, names, label)
            if label != DEFAULTS.label:
                raise UserError(
                    f"{path}: no column {shorten(label, 60)}, as the first line holds no names; put a line of names "
                    "above it, or leave --label out"
                )
        if len(names) == 1:
            raise UserError(f"{path}: no column except {label}; put the numbers of each example into other columns")
        frame = read_columns(path, file, names, has_names, [label])
    note = "the first line holds no names, so it is read as a row, and column {} as the labels"
    return frame, "" if has_names else note.format(1 + names.index(label))


def _name_columns(path, file, fields, label):
    """Returns names for the columns of a table that has none, from the fields of its first line.

    Raises:
      _WithoutLabel: the fields are names, or it is not clear which column holds the labels.
    """
    last = len(fields) - 1
    numbers = pandas.to_numeric(pandas.Series(fields), errors="coerce").notna()
    words = [place for place in range(len(fields)) if not numbers[place]]
    file.seek(0)
    rows = read(path, file, header=None, nrows=1 + _FIRST_FIELDS // len(fields))
    are_names = last < 1 or words not in ([], [0], [last]) or fields == [str(i) for i in range(len(fields))]
    # A word that occurs only once is a name.
    if are_names or (words and (rows[words[0]].astype(str).str.strip() == fields[words[0]]).sum() < 2):
        raise _WithoutLabel(f"{path}: {_without_label(fields, rows, label)}")
    places = words or [place for place in (0, last) if _may_be_labels(rows[place])]
    if len(places) != 1:
        raise _WithoutLabel(
            f"{path}: the first line holds numbers, not names; put a line of names above it, with {label} for the "
            "column that holds the classes"
        )
    others = rows.drop(columns=places).to_numpy()
    side = math.isqrt(last)
    are_pixels = others.dtype.kind in "iu" and others.min() >= 0 and others.max() <= 255 and 8 <= side == last / side
    names = [f"pixel{i}" if are_pixels else f"{i + 1 + (i >= places[0])}" for i in range(last)]
    return [*names[: places[0]], label, *names[places[0] :]]


def _may_be_labels(column):
    """Checks whether a column holds words or whole numbers, of which few are distinct."""
    numbers = pandas.to_numeric(column, errors="coerce")  # which a first line of names makes words
    is_whole = numbers.isna() | (numbers % 1 == 0)
    return is_whole.all() and 2 <= column.nunique() <= max(_FEW, len(column) // 10)


def _without_label(names, rows, label):
    """Returns what is wrong with a table that has no column of labels; `rows` include the first line."""
    for separator, words in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"), (" " * (len(names) == 1), "spaces")):
        if separator and any(separator in name for name in names):
            return f"no column {label}, and {words} in the names; save the table with commas between its columns"
    likely = [name for name in names if name.lower() in _LABELS]
    likely += [names[-1]] if _may_be_labels(rows[1:][len(names) - 1]) else []
    example = f", such as {shlex.quote(f'--label={shorten(likely[0], 60)}')}" if likely else ""
    return f"no column {label}, but {_listed(names)}; name the one that holds the classes by --label=NAME{example}"


def _check_labels(path, column):
    """Raises UserError for a label that is missing or too long."""
    if column.hasnans:
        raise UserError(f"{path}: row {column.isna().argmax() + 1} has no label; give it one, or leave the row out")
    lengths = column.str.len()
    if lengths.max() > LONGEST:
        row = lengths.gt(LONGEST).argmax()
        raise UserError(
            f"{path}: row {row + 1}, column {shorten(column.name, 60)}: {shorten(column[row], 60)!r} has "
            f"{lengths[row]:,} characters; must be at most {LONGEST}: make it shorter"
        )


def _to_array(path, words, label):
    """Returns the distinct labels: whole numbers if all are, else words."""
    numbers = pandas.to_numeric(np.array(words, object), errors="coerce")
    if numbers.dtype.kind in "iu":
        return numbers
    if not (np.abs(numbers) < 2**53).all():  # words, or beyond the whole numbers that float64 can tell apart
        return np.array(words)
    fractions = numbers != np.floor(numbers)
    if fractions.any():
        raise UserError(
            f"{path}: {words[fractions.argmax()]} in column {label}; labels must be whole numbers or words: number the "
            "classes; regression is not supported"
        )
    return numbers.astype(np.int64)


def _to_examples(path, frame, columns):
    """Returns (float32 `[N, H, H]` if the columns have the names of pixels, else `[N, D]`; what looks wrong)."""
    examples = np.empty(frame.shape, np.float32)
    suspicions = ()
    for i, name in enumerate(columns):
        values = _to_numbers(path, frame[name])
        examples[:, i] = values
        suspicions = suspicions or coarse(values[:, None], lambda _, name=name: f"column {shorten(name, 60)}")
    side = math.isqrt(len(columns))
    return (examples.reshape(-1, side, side) if _are_pixels(columns.tolist(), side) else examples), suspicions


def _are_pixels(names, side):
    """Checks whether columns have the names of the pixels of an image with this side, in order."""
    for first in (0, 1):
        places = range(first, first + side)
        by_number = [f"pixel{i}" for i in range(first, first + side**2)]
        if names in (by_number, [f"{row}x{column}" for row in places for column in places]):
            return True
    return False


def _to_numbers(path, column):
    """Returns a column as float64 `[N]`; raises UserError for a field that is not a finite float32."""
    numbers = column
    if column.dtype.kind not in "biuf":
        # It may hold both numbers and booleans, or whole numbers beyond int64: pandas takes these for text.
        numbers = pandas.to_numeric(column.astype(str).replace(_BOOLEANS), errors="coerce")
    values = numbers.to_numpy(np.float64)
    finite = np.abs(values) <= _LARGEST
    if finite.all():
        return values
    row = finite.argmin()
    field = column[row]
    seen = "empty" if pandas.isna(field) else repr(shorten(str(field), 60))
    if _IMAGE_FILE.search(seen):
        raise UserError(
            f"{path}: row {row + 1}, column {shorten(column.name, 60)}: {seen}; names of images are not read: put the "
            "images of each class into a folder of its name, and give the folder of these"
        )
    raise UserError(
        f"{path}: row {row + 1}, column {shorten(column.name, 60)}: {seen}; must be a number from {-_LARGEST:.3g} to "
        f"{_LARGEST:.3g}: fix it, or leave the row or the column out"
    )
