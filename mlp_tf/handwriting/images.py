"""A user's image file, opened safely, and prepared as the images of MNIST were.

LeCun, Bottou, Bengio and Haffner (1998), section III.A: the digit's bounding box is fitted into 20 x 20
pixels, keeping its proportions, and its center of mass is moved to the middle of 28 x 28 pixels.
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from mlp_tf import UserError
from mlp_tf.data.image_folder import open_image
from mlp_tf.handwriting.ink import NoInk, find_ink

LONGEST = 250  # pixels of the longer side; larger images are reduced before the search for ink
BOX_FRACTION = 20 / 28
THINNEST = 0.09  # of the box: thinner strokes are thickened to it; MNIST's are 0.1 to 0.15


class Prepared(NamedTuple):
    """An image as the network sees it."""

    image: np.ndarray  # uint8 [height, width], bright on black
    warnings: tuple = ()  # texts: why it may not show a digit


def read(path, height, width):
    """Reads an image of any size and kind: dark on light or light on dark, gray or color, with alpha, a photo.

    Args:
      path: PNG, JPEG, BMP, GIF or uncompressed TIFF, whatever its name; a regular file, or a link to one.
      height, width: of the images that the network was trained on.

    Returns:
      `Prepared`.

    Raises:
      UserError: a file that cannot be opened, is not such an image, has more than `MOST_PIXELS`, or shows nothing.
    """
    try:
        ink = find_ink(_light(_decode(path)))
    except NoInk as error:
        raise UserError(f"{path}: {error}") from None
    rows = np.flatnonzero(ink.values.any(axis=1))
    columns = np.flatnonzero(ink.values.any(axis=0))
    cropped = ink.values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Prepared(_place(_thicken(cropped), height, width), ink.warnings)


def _decode(path):
    """Returns the image upright, in RGBA."""
    with open_image(path) as image:
        if image.mode.startswith(("I", "F")):  # more than 8 bits, which Pillow would cut off
            values = np.asarray(image, np.float64)
            image = Image.fromarray(np.uint8(255 * np.clip(values / max(values.max(), 1e-9), 0, 1)))
        return image.convert("RGBA")


def _light(image):
    """Returns the brightness of an image in RGBA, reduced to at most `LONGEST` pixels a side.

    Returns:
      float `[H, W, C]` from 0 to 1, C being 1 or 3. Transparent parts get the opposite brightness of the others.
    """
    factor = math.ceil(max(image.size) / LONGEST)
    pixels = np.asarray(image.reduce((min(factor, image.width), min(factor, image.height)))) / 255
    colors = pixels[..., :3]
    alpha = pixels[..., 3:]
    if alpha.min() < 1:
        is_dark = (colors.mean(axis=2) * alpha[..., 0]).sum() < 0.5 * alpha.sum()
        colors = colors * alpha + (1 - alpha) * (1.0 if is_dark else 0.0)
    gray = colors[..., :1]
    return gray if (colors == gray).all() else colors


def _thicken(values):
    """Widens thin strokes, which would fade when a large image is scaled down."""
    solid = np.pad(values > 0.5, 1)
    inner = solid[1:-1, 1:-1] & solid[:-2, 1:-1] & solid[2:, 1:-1] & solid[1:-1, :-2] & solid[1:-1, 2:]
    stroke = 2 * solid.sum() / max(solid.sum() - inner.sum(), 1)  # a stroke's area over half its outline
    grow = math.floor((THINNEST * max(values.shape) - stroke) / 2)
    if grow < 1:
        return values
    return ndimage.grey_dilation(np.pad(values, grow), 2 * grow + 1)


def _place(values, height, width):
    """Fits ink into the box, and moves its center of mass to the middle of an image of this size."""
    scale = BOX_FRACTION * min(height / values.shape[0], width / values.shape[1])
    size = [max(1, round(scale * side)) for side in values.shape[::-1]]
    small = np.asarray(Image.fromarray(np.uint8(255 * values)).resize(size, Image.Resampling.BOX), np.float32)
    small *= 255 / small.max()
    rows, columns = small.shape
    top = _margin(small.sum(axis=1), height)
    left = _margin(small.sum(axis=0), width)
    placed = np.zeros((height, width), np.uint8)
    placed[top : top + rows, left : left + columns] = small.round()
    return placed


def _margin(weights, side):
    """Returns the pixels before `weights` that put their center of mass into the middle of a side, or close to it."""
    center = np.average(np.arange(len(weights)), weights=weights)
    return int(np.clip(round(side / 2 - center), 0, side - len(weights)))  # in MNIST the middle is 14, not 13.5
