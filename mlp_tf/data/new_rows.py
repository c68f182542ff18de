"""New rows for a trained run: to predict or, with labels, to evaluate it on."""

import math
import os
from typing import NamedTuple

import numpy as np

from mlp_tf import UserError
from mlp_tf.base.text import shorten
from mlp_tf.config import DEFAULTS
from mlp_tf.data.labels import match
from mlp_tf.data.layout import EXACT, channels_last
from mlp_tf.data.npz import npz_rows
from mlp_tf.data.sources import resolve
from mlp_tf.data.splits import Split


class NewRows(NamedTuple):
    """Examples without labels, and what to call them."""

    examples: np.ndarray  # as the run takes them: uint8 or float32, `[N, *example_shape]`
    id_name: str | None  # of the column that tells the rows apart, if there is one
    ids: list[str] | None  # what it holds, `[N]`
    notes: tuple[str, ...]  # for the user


def new_rows(path, in_run, config=DEFAULTS):
    """Reads rows to predict.

    Args:
      path: of a .csv file, whose columns are matched by name with those of the run; or of an .npz file, see `npz_rows`.
      in_run: `Data` of the run.
      config: its settings; only `label` and `layout` count.

    Returns:
      `NewRows`.

    Raises:
      UserError: as `csv_rows` and `npz_rows`; examples of another shape; a value that the run does not take.
    """
    if path.lower().endswith(".npz"):
        values, _, name, _ = npz_rows(path, needs_labels=False)
        return NewRows(_to_examples(f"{path}: {name}", values, in_run, config), None, None, ())
    examples, others, id_name, notes = _read_table(path, in_run, config, needs_labels=False)
    ids = others[id_name].fillna("").tolist() if id_name else None
    return NewRows(examples, id_name, ids, notes)


def labelled_rows(dataset, in_run, data_dir="", config=DEFAULTS):
    """Reads data other than a run's, to evaluate it on all their rows: no split is held out.

    Args:
      dataset: as `load` takes it. If there is a test split, only this is read. An .npz file need not have training
        rows, see `npz_rows`. The columns of a .csv file are matched by name.
      in_run: `Data` of the run. Classes are matched by name.
      data_dir: as `load` takes it.
      config: settings of the run; only `label`, `layout` and `resize` count.

    Returns:
      (name of the data, `Split`, notes for the user).

    Raises:
      UserError: as `load` and `new_rows`; a label that is not a class of the run.
    """
    path = os.path.abspath(os.path.expanduser(dataset))
    if path.lower().endswith(".csv"):
        examples, others, _, notes = _read_table(path, in_run, config, needs_labels=True)
        name = f"{path}: column {shorten(config.label, 60)}"
        labels = match(np.array(others[config.label].tolist()), in_run.class_names, name)
        return path, Split(examples, labels, in_run.classes), notes
    if path.lower().endswith(".npz"):
        values, words, x, y = npz_rows(path, needs_labels=True)
        examples = _to_examples(f"{path}: {x}", values, in_run, config)
        labels = match(words, in_run.class_names, f"{path}: {y}")
        return path, Split(examples, labels, in_run.classes), (f"the examples are {x}, their labels {y}",)
    try:
        source = resolve(dataset, data_dir, config)
    except UserError as error:
        raise UserError(str(error).replace("--dataset=", "--on=", 1)) from None
    if source.kind == "table":
        raise UserError(f"--on={dataset}: a folder of tables; give one of them, such as its test.csv")
    parts = [source.test] if source.test else [*source.splits.values()]
    examples = _to_examples(source.name, np.concatenate([part.images for part in parts]), in_run, config)
    words = np.array(source.class_names)[np.concatenate([part.labels for part in parts])]
    labels = match(words, in_run.class_names, source.name)
    notes = (*source.notes, source.warning, "only the test split is evaluated" if source.test else "")
    return source.name, Split(examples, labels, in_run.classes), notes


def _read_table(path, in_run, config, needs_labels):
    """Returns (examples, data frame of the other columns, name of the id or None, notes)."""
    from mlp_tf.data.tables import csv_rows  # and pandas, which takes 0.4 s

    values, columns, others, id_name, note = csv_rows(path, in_run, config.label, needs_labels)
    examples = _to_examples(path, values.reshape(-1, *in_run.example_shape), in_run, config, columns)
    notes = [note] if note else []
    if not in_run.columns:
        notes.append("the run does not know the names of its columns; those of the table are taken in their order")
    if unused := [name or "a column without a name" for name in others if name not in (config.label, id_name)]:
        notes.append(f"not used: {shorten(', '.join(unused), 400)}")
    return examples, others, id_name, tuple(notes)


def _to_examples(name, values, in_run, config, columns=None):
    """Returns values as the run takes them: uint8 or float32 `[N, *example_shape]`.

    Args:
      name: of the values, for the message.
      values: any real numbers. Of a run on pixels they are pixels too: uint8, or numbers as those that it was trained
        on, whole or multiples of 1 / 255.
      in_run: `Data` of the run.
      config: settings of the run; only `layout` counts, as in `arrange`.
      columns: names of the values of an example, if they have any.

    Raises:
      UserError: another shape, a value that is not finite, or one that is not a pixel though the run takes pixels.
    """
    shape = in_run.example_shape
    found = values.shape
    if config.layout != "features":
        values = channels_last(values)
    if config.layout != "auto" and values.size and math.prod(values.shape[1:]) == math.prod(shape):
        values = values.reshape(-1, *shape)
    if values.shape[1:] != shape or not values.size:
        raise UserError(f"{name} has shape {found}; the run takes (N, {', '.join(map(str, shape))}), N above 0")
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is refused
        if in_run.dtype == "float32":
            examples = values.astype(np.float32)
            fits = np.isfinite(examples)
            allowed = "a finite number in float32"
        else:
            exact = values.astype(np.float32)
            are_fractions = values.max() <= 1 and (exact != np.rint(exact)).any()
            are_pixels = values.dtype == np.uint8 and values.max() > 1
            factor = 255 if are_fractions else 1 if are_pixels else in_run.factor
            exact *= factor
            rounded = np.rint(exact)
            examples = rounded.astype(np.uint8)
            tolerance = 0.5 if config.layout == "images" else EXACT * (factor > 1)
            fits = (rounded == examples) & (np.abs(exact - rounded) <= tolerance)
            allowed = "a pixel: a whole number from 0 to 255" if factor == 1 else "a pixel: a multiple of 1 / 255"
    if not fits.all():
        row, *place = np.argwhere(~fits)[0].tolist()
        where = columns[np.ravel_multi_index(place, shape)] if columns else ", ".join(map(str, place))
        raise UserError(
            f"{name}: row {row + 1}, column {shorten(where, 60)}: {values[row, *place]}; must be {allowed}, as in the "
            "run's data: fix it, or leave the row out"
        )
    return np.ascontiguousarray(examples)
