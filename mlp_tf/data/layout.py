"""Takes the user's examples as images or features: by their shape and values, or by --layout."""

import math

import numpy as np

from mlp_tf import UserError
from mlp_tf.base import machine
from mlp_tf.data.scan import DARKEST

_BLOCK = 1000  # rows compared or converted at once
EXACT = 1 / 64  # how far 255 * x may be from a whole number: 4 decimals of x are enough
_PIXELS = "pixels are numbers from 0 to 255, or from 0 to 1"
_FEWEST_PIXELS = 64  # of rows that may be images


def arrange(source, layout):
    """Returns the `Source` with its examples as images, uint8 `[N, H, W]` or `[N, H, W, C]`, or as features, float32.

    `[N, C, H, W]` of 1 or 3 channels is transposed, and a last axis of 1 is removed. Then, with `auto`:
    - uint8 stays as it is.
    - Other numbers with height and width become uint8 if all are whole, from 0 to 255, or multiples of 1 / 255, from 0
      to 1, which are multiplied by 255. The largest must be 64 of 255 or more.
    - All others are features.

    Args:
      source: of the user's data; all its examples have the same dtype and shape.
      layout: the setting; `images` also takes rows of a square number of values, and rounds; `features` makes
        rows of features of any examples.

    Raises:
      UserError: --layout=images, but these cannot be images.
    """
    arrays = {name: split.images for name, split in source.splits.items()}
    if layout == "features":
        needed = 4 * sum(x.size for x in arrays.values())
        machine.check_memory(needed, f"--layout=features: {source.name} needs", "give fewer or smaller examples")
        return _replace(source, {name: x.reshape(len(x), -1).astype(np.float32) for name, x in arrays.items()})
    notes = []
    _, *shape = source.train.images.shape
    if _is_channels_first(shape):
        notes.append(f"the images have their channels first, [N, {shape[0]}, H, W], and are transposed")
    arrays = {name: channels_last(x) for name, x in arrays.items()}
    side = math.isqrt(shape[0])
    is_row = len(shape) == 1
    if is_row and layout == "images":
        if side**2 != shape[0]:
            raise UserError(f"--layout=images: {source.name} has {shape[0]} values in a row; must be a square number")
        arrays = {name: x.reshape(-1, side, side) for name, x in arrays.items()}
    low = min(x.min() for x in arrays.values())
    high = max(x.max() for x in arrays.values())
    may_be_pixels = low >= 0 and high <= 255
    factor = 255 if high <= 1 else 1
    is_exact = may_be_pixels and all(_is_exact(x, factor) for x in arrays.values())
    if layout == "images" and not may_be_pixels:
        raise UserError(f"--layout=images: {source.name} holds values from {low:g} to {high:g}; {_PIXELS}")
    if is_row and layout == "auto":
        if is_exact and side**2 == shape[0] >= _FEWEST_PIXELS:
            notes.append(f"the rows are not taken as images; --layout=images makes images of {side} x {side} of them")
    elif source.train.images.dtype == np.uint8:
        pass
    elif layout == "images" or (is_exact and factor * high >= DARKEST):
        arrays = {name: _to_uint8(x, factor) for name, x in arrays.items()}
        source = source._replace(factor=factor)
        if factor == 255 or not is_exact:
            rounded = "" if is_exact else ", rounded"
            text = f"the values are from {low:g} to {high:g}, and are taken as pixels: {factor} * x as uint8{rounded}"
            notes.append(f"{text}; --layout=features standardizes them")
    else:
        advice = "--layout=images takes them as pixels" if may_be_pixels else _PIXELS
        notes.append(f"the values, {low:g} to {high:g}, are taken as features; {advice}")
    return _replace(source, arrays, notes)


def _is_channels_first(shape):
    return len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) > 3


def channels_last(examples):
    """Returns examples `[N, C, H, W]` of 1 or 3 channels as `[N, H, W, C]`, without a last axis of 1."""
    if _is_channels_first(examples.shape[1:]):
        examples = np.moveaxis(examples, 1, -1)
    return examples[..., 0] if examples.ndim == 4 and examples.shape[3] == 1 else examples


def _is_exact(examples, factor):
    """Checks whether all values times `factor` are whole numbers."""
    if examples.dtype == np.uint8:
        return True
    tolerance = EXACT if factor > 1 else 0
    for first in range(0, len(examples), _BLOCK):
        values = factor * examples[first : first + _BLOCK]
        if (np.abs(values - np.rint(values)) > tolerance).any():
            return False
    return True


def _to_uint8(examples, factor):
    """Returns the values times `factor`, rounded."""
    pixels = np.empty(examples.shape, np.uint8)
    for first in range(0, len(examples), _BLOCK):
        pixels[first : first + _BLOCK] = np.rint(factor * examples[first : first + _BLOCK])
    return pixels


def _replace(source, arrays, notes=()):
    """Returns the `Source` with other examples, {split: array}, and more notes."""
    splits = {name: split._replace(images=np.ascontiguousarray(arrays[name])) for name, split in source.splits.items()}
    return source._replace(**splits, notes=(*source.notes, *notes))
