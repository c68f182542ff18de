"""Rows that come after training, as a trained run takes them: to predict, or with labels to evaluate it on."""

import os
from typing import NamedTuple

import numpy as np

from mlp_tf import UserError
from mlp_tf.base.text import shorten
from mlp_tf.data.labels import match
from mlp_tf.data.npz import npz_rows
from mlp_tf.data.sources import resolve
from mlp_tf.data.splits import Split


class NewRows(NamedTuple):
    """Examples without labels, and what to call them."""

    examples: np.ndarray  # as the run takes them: uint8 or float32, `[N, *example_shape]`
    id_name: str | None  # of the column that tells the rows apart, if there is one
    ids: list[str] | None  # what it holds, `[N]`
    notes: tuple[str, ...]  # for the user


def new_rows(path, in_run):
    """Reads rows to predict.

    Args:
      path: of a .csv file, whose columns are matched by their names with those that the run was trained on; or of an
        .npz file, see `npz_rows`.
      in_run: `Data` of the run.

    Returns:
      `NewRows`.

    Raises:
      UserError: as of `csv_rows` and `npz_rows`; examples of another shape; a value that the run does not take.
    """
    if path.lower().endswith(".npz"):
        values, _, name, _ = npz_rows(path, needs_labels=False)
        return NewRows(_to_examples(f"{path}: {name}", values, in_run), None, None, ())
    examples, others, id_name, notes = _read_table(path, in_run, needs_label=False)
    ids = others[id_name].fillna("").tolist() if id_name else None
    return NewRows(examples, id_name, ids, notes)


def labelled_rows(dataset, in_run, data_dir=""):
    """Reads all rows of other data than a run's to evaluate it on: no split is held out.

    Args:
      dataset: as `load` takes it. Of data with a test split, only this is read. An .npz file need not have training
        rows, see `npz_rows`. The columns of a .csv file are matched by their names.
      in_run: `Data` of the run. Classes are matched by their names.
      data_dir: as `load` takes it.

    Returns:
      (name of the data, `Split`, notes for the user).

    Raises:
      UserError: as of `load` and `new_rows`; a label that is no class of the run.
    """
    path = os.path.abspath(os.path.expanduser(dataset))
    if path.lower().endswith(".csv"):
        examples, others, _, notes = _read_table(path, in_run, needs_label=True)
        labels = match(np.array(others["label"].tolist()), in_run.class_names, f"{path}: column label")
        return path, Split(examples, labels, in_run.classes), notes
    if path.lower().endswith(".npz"):
        values, words, x, y = npz_rows(path, needs_labels=True)
        examples = _to_examples(f"{path}: {x}", values, in_run)
        labels = match(words, in_run.class_names, f"{path}: {y}")
        return path, Split(examples, labels, in_run.classes), (f"the examples are {x}, their labels {y}",)
    try:
        source = resolve(dataset, data_dir)
    except UserError as error:
        raise UserError(str(error).replace("--dataset=", "--on=", 1)) from None
    if source.feature_names:
        raise UserError(f"--on={dataset}: a folder of tables; give one of them, such as its test.csv")
    part = source.test or source.train
    examples = _to_examples(source.name, part.images, in_run)
    labels = match(np.array(source.class_names)[part.labels], in_run.class_names, source.name)
    notes = (*source.notes, source.warning, "only the test split is evaluated" if source.test else "")
    return source.name, Split(examples, labels, in_run.classes), notes


def _read_table(path, in_run, needs_label):
    """Returns (examples, data frame of the other columns, name of the id or None, notes)."""
    from mlp_tf.data.tables import csv_rows  # and pandas, which takes 0.4 s

    width = int(np.prod(in_run.example_shape))
    values, columns, others, id_name = csv_rows(path, in_run.feature_names, width, needs_label)
    examples = _to_examples(path, values.reshape(-1, *in_run.example_shape), in_run, columns)
    notes = []
    if not in_run.feature_names:
        notes.append("the run does not know the names of its columns; those of the table are taken in their order")
    if unused := [name for name in others.columns if name not in ("label", id_name)]:
        notes.append(f"not used: {shorten(', '.join(unused), 400)}")
    return examples, others, id_name, tuple(notes)


def _to_examples(name, values, in_run, columns=None):
    """Returns values as the run takes them: uint8 or float32 `[N, *example_shape]`.

    Args:
      name: of the values, for the message.
      values: any real numbers.
      in_run: `Data` of the run.
      columns: names of the values of an example, if they have any.

    Raises:
      UserError: another shape, or a value that is not finite, or not a pixel though the run takes pixels.
    """
    shape = in_run.example_shape
    if values.shape[1:] != shape or not values.size:
        raise UserError(f"{name} has shape {values.shape}; the run takes (N, {', '.join(map(str, shape))}), N above 0")
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is refused
        examples = np.ascontiguousarray(values.astype(in_run.dtype, copy=False))
    fits = np.isfinite(examples) if in_run.dtype == "float32" else examples == values
    if not fits.all():
        row, *place = np.argwhere(~fits)[0].tolist()
        where = columns[np.ravel_multi_index(place, shape)] if columns else ", ".join(map(str, place))
        allowed = "a finite number in float32" if in_run.dtype == "float32" else "a whole number from 0 to 255"
        raise UserError(
            f"{name}: row {row + 1}, column {shorten(where, 60)}: {values[row, *place]}; must be {allowed}, as the run "
            "was trained on: fix it, or leave the row out"
        )
    return examples
