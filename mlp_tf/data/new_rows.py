"""Rows that come after training, from a table or arrays, as a trained run takes them."""

from typing import NamedTuple

import numpy as np

from mlp_tf import UserError
from mlp_tf.base.text import shorten
from mlp_tf.data.npz import npz_rows


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
