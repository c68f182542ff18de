"""Opens a user's image file safely, and prepares the image as MNIST's were.

LeCun, Bottou, Bengio and Haffner (1998), section III.A: the digit's bounding box is fitted into 20 x 20
pixels, keeping its proportions, and its center of mass is moved to the middle of 28 x 28 pixels.
"""

import collections
import math
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from mlp_tf import UserError
from mlp_tf.data.image_folder import open_image
from mlp_tf.handwriting.ink import NoInk, find_ink

LONGEST = 250  # pixels of the longer side; larger images are reduced before ink is searched
BOX_FRACTION = 20 / 28
THINNEST = 0.09  # of the box: thinner strokes are thickened to it; MNIST's are 0.1 to 0.15
_LIGHT, _DARK = 0.75, 0.25  # of an image's range: dark on light has its border above, light on dark below
_ALIKE = 5  # gray levels: the largest mean difference of an image and its prepared form; MNIST's differ by 1


class Prepared(NamedTuple):
    """An image as the network sees it."""

    image: np.ndarray  # uint8 [height, width]
    warnings: tuple = ()  # texts: why it may not show a digit


def read(path, height, width, style=None):
    """Reads an image of any size and kind: dark on light or light on dark, gray or color, with alpha, a photo.

    Args:
      path: as `data.image_folder.open_image` takes it.
      height, width: of the images that the network was trained on.
      style: their `runs.identity.InkStyle`; None: bright on black.

    Returns:
      `Prepared`.

    Raises:
      UserError: a file that cannot be opened, is not such an image, has more than `MOST_PIXELS`, or shows nothing.
    """
    try:
        return _styled(_prepare(_decode(path), height, width), style)
    except NoInk as error:
        raise UserError(f"{path}: {error}") from None


def fit(pixels, style):
    """Returns the `Prepared` of an image that has the size of the training images.

    It is inverted if its border is inverted, and prepared if they are framed like MNIST's and it is not.

    Args:
      pixels: uint8 `[H, W]`.
      style: of the training images, `runs.identity.InkStyle`.
    """
    [level] = _border_levels(pixels[None])
    if level < _DARK if style.is_dark else level > _LIGHT:
        pixels = 255 - pixels
    try:
        prepared = _styled(_prepare_pixels(pixels), style)
    except NoInk as error:
        return Prepared(pixels, (str(error),))
    if style.is_like_mnist and not _are_alike(prepared.image, pixels):
        return prepared
    return prepared._replace(image=pixels)


def measure_style(images):
    """Measures how training images show ink on paper.

    Args:
      images: `[N, H, W]`, uint8, or any other examples.

    Returns:
      The fields of `runs.identity.InkStyle`, as a dictionary; None if most do not show gray ink on even paper.
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        return None
    levels = _border_levels(_sample(images, 1000))
    light = (levels > _LIGHT).mean()
    dark = (levels < _DARK).mean()
    if max(light, dark) < 0.9 or min(light, dark) > 0.002:  # `fit` would invert some training images
        return None
    is_dark = light > dark
    sample = _sample(images, 20)
    counts = collections.Counter()
    alike = 0
    for image in sample:
        try:
            prepared, warnings = _prepare_pixels(image)
        except NoInk:
            continue
        counts.update(warnings)
        alike += _are_alike(prepared, 255 - image if is_dark else image)
    return {
        "is_dark": bool(is_dark),
        "is_like_mnist": bool(alike > 0.8 * len(sample)),
        "usual_warnings": tuple(text for text, count in counts.items() if count > len(sample) / 10),
    }


def _are_alike(image, other):
    """Checks whether two images are the same, up to a shift by one pixel, as the middle of a digit is rounded."""
    shifted = [np.roll(other, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return min(np.abs(np.subtract(image, each, dtype=int)).mean() for each in shifted) < _ALIKE


def _sample(images, most):
    return images[:: math.ceil(len(images) / most)]


def _border_medians(images):
    """Returns the median of the border of each image, `[N, H, W]`: float64 `[N]`."""
    return np.median(np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1), axis=1)


def _border_levels(images):
    """Returns `_border_medians` as levels from 0, the image's darkest pixel, to 1, its brightest; 0.5 if blank."""
    darkest = images.min(axis=(1, 2)).astype(float)
    span = images.max(axis=(1, 2)) - darkest
    return np.where(span > 0, (_border_medians(images) - darkest) / np.maximum(span, 1), 0.5)


def _styled(prepared, style):
    """Returns a `Prepared` in the style of the training images, without the warnings that apply to them too."""
    if style is None:
        return prepared
    image = 255 - prepared.image if style.is_dark else prepared.image
    return Prepared(image, tuple(text for text in prepared.warnings if text not in style.usual_warnings))


def _prepare(image, height, width):
    """Returns an image in RGBA as `Prepared`, bright on black; raises NoInk."""
    ink = find_ink(_light(image))
    rows = np.flatnonzero(ink.values.any(axis=1))
    columns = np.flatnonzero(ink.values.any(axis=0))
    cropped = ink.values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Prepared(_place(_thicken(cropped), height, width), ink.warnings)


def _prepare_pixels(pixels):
    """Prepares an image, uint8 `[H, W]`, as `_prepare` does, and keeps its size.

    It first gets a margin of paper, as a stroke in a small image may fill the window where `find_ink` looks for paper.
    """
    [paper] = _border_medians(pixels[None])
    padded = np.pad(pixels, max(pixels.shape) // 2, constant_values=int(paper))
    return _prepare(Image.fromarray(padded).convert("RGBA"), *pixels.shape)


def _decode(path):
    """Returns the image upright, in RGBA."""
    with open_image(path) as image:
        if image.mode.startswith(("I", "F")):  # more than 8 bits, which Pillow would clip
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
