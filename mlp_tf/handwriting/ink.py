"""Where ink is on paper, in a picture that is lit unevenly, on paper that may be printed; and what looks odd about it.

Paper is flattened locally: a morphological closing (Serra 1982), in a window that no stroke fills, shows the paper
under the ink, and follows falling light and the edge of a shadow. How much light ink takes away, as a share of what the
paper there sends back, does not depend on the light.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

_FAINTEST = 0.04  # of the paper's light: what is fainter is no ink
_INK = 0.2  # of the contrast of the darkest ink: what is fainter than this is paper
_SMOOTH = 1 / 600  # of the longer side: deviation of the Gaussian that takes a camera's noise away
_WINDOW = 1 / 4  # of the longer side: wider than any stroke
_EVENLY = 0.06  # of full light: how far nine tenths of the border are from a plane at most, if light falls off evenly
_LINE = (0.95, 1 / 40)  # a printed line is as long, of the side that it runs along, and at most as thick
_SPECK = 0.02  # of the ink of the largest piece: what has less is dirt


class Ink(NamedTuple):
    """The ink of a picture."""

    values: np.ndarray  # float64 [H, W] from 0, paper, to 1
    warnings: tuple  # texts


class NoInk(ValueError):
    """There is none, or it cannot be told from the noise."""


def find(light):
    """Finds the ink in a picture.

    Args:
      light: float `[H, W, C]` from 0 to 1, grey or of any colours; dark on light or light on dark.

    Returns:
      `Ink`.

    Raises:
      NoInk: its message says why.
    """
    ink = np.sqrt(np.mean([_contrast(channel) ** 2 for channel in np.moveaxis(light, -1, 0)], axis=0))
    ink = _without_lines(ink)
    if ink.max() < _FAINTEST:
        raise NoInk("all of one colour; there is nothing to recognise")
    dark = ink > ink.max() / 2
    if dark.all():
        raise NoInk("ink all over; there is nothing to recognise")
    paper, darkness = np.median(ink[~dark]), np.median(ink[dark])
    noise = 1.4826 * np.median(np.abs(ink[~dark] - paper))  # its standard deviation, if it is normal
    if darkness - paper < max(_FAINTEST, 5 * noise):
        raise NoInk("nothing that can be told from the paper and the noise; there is nothing to recognise")
    ink = np.clip((ink - paper) / (darkness - paper), 0, 1)
    ink[ink < max(_INK, 3 * noise / (darkness - paper))] = 0
    return _whole_pieces(ink, faint=darkness - paper < 0.1)


def _contrast(channel):
    """How much less light each point sends back than the paper there, as a share; or more, of light ink on dark."""
    side = max(channel.shape)
    smooth = ndimage.gaussian_filter(channel, _SMOOTH * side)
    around = ndimage.uniform_filter(smooth, side // 2 | 1, mode="nearest")
    if ((smooth - around) ** 3).sum() > 0:  # what stands out is bright
        smooth = 1 - smooth
    even = smooth / np.maximum(_plane(smooth), 0.05)
    paper = ndimage.grey_closing(even, max(3, int(_WINDOW * side) | 1), mode="reflect")
    return (paper - even) / np.maximum(paper, 0.05)


def _plane(values):
    """A plane through the border, if that shows one: light that falls off evenly, which no closing can follow there."""
    y, x = np.indices(values.shape)
    points = np.stack([np.ones(values.shape), y / len(values), x / values.shape[1]], axis=-1)
    border = np.ones(values.shape, bool)
    border[1:-1, 1:-1] = False
    weights = np.ones(border.sum())
    for _ in range(5):  # towards the least absolute deviations, to which ink at the border does not count
        slopes, *_ = np.linalg.lstsq(points[border] * weights[:, None], values[border] * weights, rcond=None)
        deviations = np.abs(points[border] @ slopes - values[border])
        weights = np.maximum(deviations, 0.003) ** -0.5
    return points @ slopes if np.percentile(deviations, 90) < _EVENLY else np.ones(values.shape)


def _without_lines(ink):
    """Takes away straight lines from border to border, but for the strokes that cross them."""
    lines, thickness = np.zeros_like(ink), int(_LINE[1] * max(ink.shape))
    for axis in (0, 1) if thickness > 1 else ():
        along, across = [1, 1], [thickness, thickness]
        along[axis], across[axis] = int(_LINE[0] * ink.shape[axis]), 1
        straight = ndimage.grey_opening(ink, along)
        lines = np.maximum(lines, straight - ndimage.grey_opening(straight, across))
    return ink - lines


def _whole_pieces(ink, faint):
    """The ink without dirt, and without what comes in from the border beside the digit, such as the end of a shadow."""
    labels, count = ndimage.label(ink, np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    amounts = ndimage.sum_labels(ink, labels, numbers)
    dark = ndimage.maximum(ink, labels, numbers) > 0.5  # the darkest ink is 1, so at least one piece is
    kept = dark & (amounts >= _SPECK * amounts[dark].max())
    at_border = np.isin(numbers, np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    inside = kept & ~at_border
    if inside.any() and amounts[inside].max() > 0.05 * amounts[dark].max():
        kept = inside & (amounts >= _SPECK * amounts[inside].max())
    boxes = [box for box, keep in zip(ndimage.find_objects(labels), kept, strict=True) if keep]
    ink = np.where(np.isin(labels, numbers[kept]), ink, 0)
    warnings = [text for text, holds in _oddities(ink, boxes, faint) if holds]
    return Ink(ink, tuple(warnings))


def _oddities(ink, boxes, faint):
    """(a warning, whether it is right) of all that there are."""
    tops, bottoms, lefts, rights = np.transpose([(y.start, y.stop, x.start, x.stop) for y, x in boxes])
    height, width = bottoms.max() - tops.min(), rights.max() - lefts.min()
    tall = np.sort(np.transpose([lefts, rights])[bottoms - tops > 0.5 * height], axis=0)
    beside = any(tall[i + 1, 0] > tall[i, 1] - 0.25 * (tall[i, 1] - tall[i, 0]) for i in range(len(tall) - 1))
    yield "several pieces of ink beside each other, as of several digits", beside
    yield "wider than a digit is", not beside and width > 1.6 * height
    borders = [ink[0], ink[-1], ink[:, 0], ink[:, -1]]
    yield "ink at the border, as of a frame, or of a digit that is cut off", any(each.any() for each in borders)
    yield "ink all over the picture", (ink > 0.5).mean() > 0.5
    yield "hardly any ink: a dot", max(height, width) < 0.04 * max(ink.shape)
    yield "hardly any contrast between ink and paper", faint
