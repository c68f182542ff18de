"""Scans the user's rows: the hash of each, and what looks wrong."""

import hashlib

import numpy as np

from mlp_tf import UserError
from mlp_tf.base.text import shorten
from mlp_tf.data.scaling import measure

DARKEST = 64  # if the largest pixel is below this, images were hardly meant to range from 0 to 255
MOST_CLASSES = 1000
_BLOCK = 1000  # rows hashed at once
_FLAT = 20  # ratio of a feature's standard deviation to the range of its middle half, above which outliers are noted
_SAMPLE = 10_000  # rows, at least, from which that range is taken
_LARGEST_INPUT = 1e18  # of the network: gradients grow with inputs, and an optimizer squares them, in float32
_FEWEST_ROWS = 10  # fewer are never taken for row numbers


def hash_rows(examples, name):
    """Returns a hash of each row, uint64 `[N]`: equal rows have equal hashes.

    Args:
      examples: uint8 or float32 `[N, ...]`, in C's order.
      name: of the array, for the message.

    Raises:
      UserError: a value is not finite.
    """
    hashes = []
    for first in range(0, len(examples), _BLOCK):
        block = examples[first : first + _BLOCK]
        _check_finite(block, name, first)
        block = block + block.dtype.type(0)  # -0.0 becomes 0.0, which it equals
        hashes += [hashlib.blake2b(row, digest_size=8).digest() for row in block]
    return np.frombuffer(b"".join(hashes), np.uint64)


def _check_finite(examples, name, first):
    if examples.dtype == np.uint8 or np.isfinite(examples).all():
        return
    row, *place = np.argwhere(~np.isfinite(examples))[0]
    where = f"column {place[0]}" if len(place) == 1 else f"pixel {', '.join(map(str, place))}"
    raise UserError(
        f"{name}: row {first + row}, {where} is {examples[row, *place]} as float32; all values must be finite; fill it "
        "in, or leave the row out"
    )


def count_copies(hashes, train_hashes):
    """Returns how many hashes of rows, uint64 `[N]`, are among those of the training rows, `[M]`, M above 0."""
    ordered = np.sort(train_hashes)  # np.isin would take 8 s for 8 million rows
    return int((ordered[np.searchsorted(ordered, hashes, side="right") - 1] == hashes).sum())


def check_inputs(examples, scaling, config, name, columns=(), names_row=False):
    """Raises UserError if a value is too large for float32 in the network: standardized, or raw with --scaling=none.

    Args:
      examples: float32 `[N, ...]`, N above 0; others are not checked.
      scaling: `Scaling` of the training rows.
      config: only its `scaling` is used.
      name: of the examples, for the message.
      columns: names of the values of an example, if they have any.
      names_row: whether the message has the number of the row, from 1.
    """
    if examples.dtype != np.float32:
        return
    mean, std = (0.0, 1.0) if config.scaling == "none" else scaling
    # x - mean must be finite in float32, too.
    most = np.minimum(_LARGEST_INPUT * np.asarray(std, np.float64), np.finfo(np.float32).max)
    extremes = np.stack([examples.min(axis=0), examples.max(axis=0)])
    fits = np.abs(extremes - mean) <= most
    if fits.all():
        return
    which, *place = np.argwhere(~fits)[0].tolist()
    value = extremes[which, *place]
    where = columns[np.ravel_multi_index(place, examples.shape[1:])] if columns else ", ".join(map(str, place))
    row = f"row {(examples[:, *place] == value).argmax() + 1}, " if names_row else ""
    low, high = (np.broadcast_to(mean + sign * most, examples.shape[1:])[*place] for sign in (-1, 1))
    kind = "column" if examples.ndim == 2 else "pixel"
    raise UserError(
        f"{name}: {row}{kind} {shorten(where, 60)} holds {value:g}; must be from {low:.3g} to {high:.3g}, or float32 "
        "overflows in the network: correct the value, or leave its row out"
    )


def numbers_rows(values):
    """Checks whether values `[N]` number the rows: by a constant step, up or down; or by 1, in any order."""
    beginning = values[:_FEWEST_ROWS]
    if len(np.unique(beginning)) < _FEWEST_ROWS or not np.isfinite(values).all():
        return False
    ordered = np.sort(values)
    with np.errstate(over="ignore"):
        step = (ordered[-1] - ordered[0]) / (len(values) - 1)
    if not np.isfinite(step):
        return False
    if (np.abs(ordered[0] + step * np.arange(len(values)) - ordered) > step / 1000).any():
        return False
    return step == 1 or (values == ordered).all() or (values == ordered[::-1]).all()


def dark_pixels(source):
    """Returns a line if no pixel is bright, or none."""
    largest = max(split.images.max(initial=0) for split in source.splits.values())
    if source.train.images.dtype != np.uint8 or largest >= DARKEST:
        return ()
    return (
        f"the largest pixel is {largest}, and pixels are divided by 255, so the inputs are almost zero; give "
        "--layout=features, which standardizes them, or scale them up to 255",
    )


def outliers(source):
    """Returns a line about the first feature with a few values far from all others, or none."""
    examples = source.train.images
    if examples.dtype == np.uint8 or examples.ndim != 2:
        return ()
    with np.errstate(all="ignore"):  # values that are not finite are refused later
        sample = examples[:: max(1, len(examples) // _SAMPLE)]
        low, middle, high = np.percentile(sample, (25, 50, 75), axis=0)
        # If most values are equal, such as 0, the others are not outliers.
        flat = (low < middle) & (middle < high) & (measure(examples).std > _FLAT * (high - low))
    if not flat.any():
        return ()
    column = int(flat.argmax())
    values = examples[:, column].astype(np.float64)
    row = np.abs(values - low[column]).argmax()
    place = f"row {row} of x_train, column {column}"
    if source.columns:
        place = f"row {row + 1}, column {shorten(source.columns[column], 60)}"
    return (
        f"{place}: {values[row]:g} is far from the others, half of which are from {low[column]:g} to {high[column]:g}; "
        "standardized, these are almost equal; correct such values, or leave their rows out",
    )


def suspicions(source, copies):
    """Returns a line for each thing that looks wrong.

    Args:
      source: `Source` with its three splits.
      copies: {split: how many of its rows are training rows too}.
    """
    lines = []
    classes = len(source.class_names)
    if classes > MOST_CLASSES:
        lines.append(
            f"there are {classes:,} classes; are the labels numbers to predict? Only classes can be learned here"
        )
    missing = classes - len(np.unique(source.validation.labels))
    if missing and len(source.validation.labels):
        lines.append(
            f"validation has no row of {missing:,} of the {classes:,} classes; hold out more rows, or give more"
        )
    for name, count in copies.items():
        if count:
            lines.append(
                f"{count:,} of the {len(source.splits[name].labels):,} {name} rows are training rows too, so {name} "
                "accuracy is inflated"
            )
    return tuple(lines)
