"""Finds ink on paper that may be unevenly lit or printed with lines, and says what looks odd about it.

Paper is flattened locally: a morphological closing (Serra 1982), in a window that no stroke fills, shows the paper
under the ink, and follows falling light and the edge of a shadow. Ink takes away a fraction of the paper's light, which
does not depend on how much light there is.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

_FAINTEST = 0.04  # of the paper's light: anything fainter is not ink
_INK = 0.2  # of the contrast of the darkest ink: anything fainter is paper
_SMOOTH = 1 / 600  # of the longer side: standard deviation of the Gaussian that removes a camera's noise
_WINDOW = 1 / 4  # of the longer side: wider than any stroke
_EVENLY = 0.06  # of full light: if light falls off evenly, nine tenths of the border are this close to a plane
_LINE_LENGTH = 0.95  # of the side parallel to it: a printed line is at least this long
_LINE_THICKNESS = 1 / 40  # of the longer side: a printed line is at most this thick
_SPECK = 0.02  # of the ink of the largest piece: a piece with less is dirt
_SHAPE_SIDE = 40  # pixels of the longer side when strokes and loops are counted: too few to show grains of pencil


class Ink(NamedTuple):
    """The ink of an image."""

    values: np.ndarray  # float64 [H, W] from 0, paper, to 1
    warnings: tuple  # texts


class NoInk(ValueError):
    """There is no ink, or it cannot be distinguished from noise."""


def find_ink(light):
    """Finds the ink in an image.

    Args:
      light: float `[H, W, C]` from 0 to 1, gray or in color; dark on light or light on dark.

    Returns:
      `Ink`.

    Raises:
      NoInk: its message says why.
    """
    ink = np.sqrt(np.mean([_contrast(channel) ** 2 for channel in np.moveaxis(light, -1, 0)], axis=0))
    ink = _without_lines(ink)
    if ink.max() < _FAINTEST:
        raise NoInk("all of one color; there is nothing to recognize")
    is_dark = ink > ink.max() / 2
    if is_dark.all():
        raise NoInk("ink all over; there is nothing to recognize")
    paper = np.median(ink[~is_dark])
    contrast = np.median(ink[is_dark]) - paper
    noise = 1.4826 * np.median(np.abs(ink[~is_dark] - paper))  # its standard deviation, if it is normal
    if contrast < max(_FAINTEST, 5 * noise):
        raise NoInk("no ink that differs from the paper and its noise; there is nothing to recognize")
    ink = np.clip((ink - paper) / contrast, 0, 1)
    ink[ink < max(_INK, 3 * noise / contrast)] = 0
    return _whole_pieces(ink, faint=contrast < 0.1)


def _contrast(channel):
    """Returns the fraction by which each point is darker than the paper there; or brighter, for light ink on dark."""
    side = max(channel.shape)
    smooth = ndimage.gaussian_filter(channel, _SMOOTH * side)
    around = ndimage.uniform_filter(smooth, side // 2 | 1, mode="nearest")
    if ((smooth - around) ** 3).sum() > 0:  # what stands out is bright
        smooth = 1 - smooth
    even = smooth / np.maximum(_plane(smooth), 0.05)
    paper = ndimage.grey_closing(even, max(3, int(_WINDOW * side) | 1), mode="reflect")
    return (paper - even) / np.maximum(paper, 0.05)


def _plane(values):
    """Returns a plane through the border if light falls off evenly there, which no closing can follow; else ones."""
    y, x = np.indices(values.shape)
    points = np.stack([np.ones(values.shape), y / len(values), x / values.shape[1]], axis=-1)
    border = np.ones(values.shape, bool)
    border[1:-1, 1:-1] = False
    weights = np.ones(border.sum())
    for _ in range(5):  # toward the least absolute deviations, which ink at the border hardly affects
        slopes, *_ = np.linalg.lstsq(points[border] * weights[:, None], values[border] * weights, rcond=None)
        deviations = np.abs(points[border] @ slopes - values[border])
        weights = np.maximum(deviations, 0.003) ** -0.5
    return points @ slopes if np.percentile(deviations, 90) < _EVENLY else np.ones(values.shape)


def _without_lines(ink):
    """Removes straight lines from border to border, except for the strokes that cross them."""
    thickness = int(_LINE_THICKNESS * max(ink.shape))
    if thickness < 2:
        return ink
    lines = np.zeros_like(ink)
    for axis in (0, 1):
        along = [1, 1]
        along[axis] = int(_LINE_LENGTH * ink.shape[axis])
        across = [thickness, thickness]
        across[axis] = 1
        straight = ndimage.grey_opening(ink, along)
        lines = np.maximum(lines, straight - ndimage.grey_opening(straight, across))
    return ink - lines


def _whole_pieces(ink, faint):
    """Returns the `Ink` without dirt and, if there is a digit, without pieces at the border, such as a shadow's end."""
    labels, count = ndimage.label(ink, np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    amounts = ndimage.sum_labels(ink, labels, numbers)
    is_dark = ndimage.maximum(ink, labels, numbers) > 0.5  # the darkest ink is 1, so at least one piece is
    kept = is_dark & (amounts >= _SPECK * amounts[is_dark].max())
    at_border = np.isin(numbers, np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    inside = kept & ~at_border
    if inside.any() and amounts[inside].max() > 0.05 * amounts[is_dark].max():
        kept = inside & (amounts >= _SPECK * amounts[inside].max())
    boxes = [box for box, keep in zip(ndimage.find_objects(labels), kept, strict=True) if keep]
    ink = np.where(np.isin(labels, numbers[kept]), ink, 0)
    warnings = _warnings(ink, boxes)
    if faint:
        warnings.append("hardly any contrast between ink and paper")
    return Ink(ink, tuple(warnings))


def _warnings(ink, boxes):
    """Returns what is unlike one digit in ink; `boxes` are pairs of slices around its pieces.

    The limits let 99 of 100 digits of MNIST pass (tests/handwriting/test_photos.py); page/ink.js has the same.
    """
    tops, bottoms, lefts, rights = np.transpose([(y.start, y.stop, x.start, x.stop) for y, x in boxes])
    height = bottoms.max() - tops.min()
    width = rights.max() - lefts.min()
    heights = np.sort(bottoms - tops)
    warnings = []
    if (heights[:-1] > 0.55 * heights[-1]).any():  # a loose bar of a 5 is lower
        warnings.append("several pieces of ink, like several digits")
    elif width > 1.75 * height:
        warnings.append("wider than a digit")
    if max(height, width) < 0.05 * max(ink.shape):
        warnings.append("hardly any ink")
    elif _is_tangled(ink[tops.min() : bottoms.max(), lefts.min() : rights.max()]):
        warnings.append("more ink than in a digit, like a scribble or a blot")
    if any(edge.any() for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1])):
        warnings.append("ink at the border, like a frame or a digit that is cut off")
    return warnings


def _is_tangled(ink):
    """Checks whether cut-out ink has more strokes or loops than a digit, or fills its box."""
    longer = max(ink.shape)
    size = [max(1, round(_SHAPE_SIDE * side / longer)) for side in ink.shape[::-1]]
    solid = np.pad(np.asarray(Image.fromarray(np.uint8(255 * ink)).resize(size, Image.Resampling.BOX)) > 127, 1)
    begins = (solid[1:] & ~solid[:-1]).sum() + (solid[:, 1:] & ~solid[:, :-1]).sum()
    strokes = begins / _SHAPE_SIDE  # that a row and a column meet on average
    loops = ndimage.label(~solid)[1] - 1
    return bool(strokes > 4 or loops > 3 or solid.sum() > 0.6 * _SHAPE_SIDE**2)
