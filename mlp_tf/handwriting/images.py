"""A user's picture file, opened safely, and prepared as the images of MNIST were.

LeCun, Bottou, Bengio and Haffner (1998), section III.A: the digit's bounding box is fitted into 20 x 20
pixels, keeping its proportions, and its centre of mass is moved to the middle of 28 x 28 pixels.
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from mlp_tf import UserError
from mlp_tf.data.image_folder import open_picture
from mlp_tf.handwriting import ink

LONGEST = 250  # pixels a side that ink is looked for at
BOX_SHARE = 20 / 28
THINNEST = 0.09  # of the box: thinner strokes are thickened to it; MNIST's are 0.1 to 0.15


class Prepared(NamedTuple):
    """A picture as the network sees it."""

    image: np.ndarray  # uint8 [height, width], bright on black
    warnings: tuple = ()  # texts: why the picture may be none of a digit


def read(path, height, width):
    """Reads a picture of any size and kind: dark on light or light on dark, grey, colour, with alpha, a photo.

    Args:
      path: PNG, JPEG, BMP, GIF or uncompressed TIFF, whatever its name; a regular file, or a link to one.
      height, width: of the images that the network was trained on.

    Returns:
      `Prepared`.

    Raises:
      UserError: a file that cannot be opened, is no such picture, has more than `MOST_PIXELS`, or shows nothing.
    """
    try:
        found = ink.find(_light(path))
    except ink.NoInk as error:
        raise UserError(f"{path}: {error}") from None
    return Prepared(_place(_thicken(_crop(found.values)), height, width), found.warnings)


def _light(path):
    """Float `[H, W, C]` from 0 to 1, C being 1 or 3; what is transparent has the opposite brightness of what is not."""
    picture = _decode(path)
    factor = math.ceil(max(picture.size) / LONGEST)
    pixels = np.asarray(picture.reduce((min(factor, picture.width), min(factor, picture.height)))) / 255
    colours, alpha = pixels[..., :3], pixels[..., 3:]
    if alpha.min() < 1:
        dark = (colours.mean(axis=2) * alpha[..., 0]).sum() < 0.5 * alpha.sum()
        colours = colours * alpha + (1 - alpha) * (1.0 if dark else 0.0)
    return colours[..., :1] if (colours == colours[..., :1]).all() else colours


def _decode(path):
    """The picture upright, in RGBA."""
    with open_picture(path) as picture:
        if picture.mode.startswith(("I", "F")):  # more than 8 bits, which Pillow would cut off
            values = np.asarray(picture, np.float64)
            picture = Image.fromarray(np.uint8(255 * np.clip(values / max(values.max(), 1e-9), 0, 1)))
        return picture.convert("RGBA")


def _crop(values):
    rows, columns = np.flatnonzero(values.any(axis=1)), np.flatnonzero(values.any(axis=0))
    return values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _thicken(values):
    """Widens thin strokes, which would fade when a large picture is scaled down."""
    solid = np.pad(values > 0.5, 1)
    inner = solid[1:-1, 1:-1] & solid[:-2, 1:-1] & solid[2:, 1:-1] & solid[1:-1, :-2] & solid[1:-1, 2:]
    stroke = 2 * solid.sum() / max(solid.sum() - inner.sum(), 1)  # a stroke's area over half its outline
    grow = math.floor((THINNEST * max(values.shape) - stroke) / 2)
    if grow < 1:
        return values
    return ndimage.grey_dilation(np.pad(values, grow), 2 * grow + 1)


def _place(values, height, width):
    """Fits ink into the box, and puts its centre of mass into the middle."""
    scale = BOX_SHARE * min(height / values.shape[0], width / values.shape[1])
    size = [max(1, round(scale * side)) for side in values.shape[::-1]]
    small = np.asarray(Image.fromarray(np.uint8(255 * values)).resize(size, Image.Resampling.BOX), np.float32)
    small *= 255 / small.max()
    y, x = (np.average(np.arange(n), weights=small.sum(axis=1 - axis)) for axis, n in enumerate(small.shape))
    top, left = (
        int(np.clip(round(side / 2 - centre), 0, side - n))  # in MNIST it lies at 14, not at 13.5
        for side, centre, n in zip((height, width), (y, x), small.shape, strict=True)
    )
    placed = np.zeros((height, width), np.uint8)
    placed[top : top + small.shape[0], left : left + small.shape[1]] = small.round()
    return placed
