"""Drawings for the page: digits of MNIST, enlarged or as strokes along their middle; scribbles and other shapes."""

import numpy as np
from PIL import Image
from scipy import ndimage

SIDE = 320  # pixels of the drawing area
PEN = 24  # its width
FIVE = [(120, 90), (115, 150), (170, 140), (200, 180), (190, 230), (140, 250), (100, 235)]  # a stroke, without its bar
EIGHT = np.ones((3, 3))  # neighbors, also at corners


def enlarge(rng, digit):
    """Returns a digit in black on white, uint8 `[SIDE, SIDE]`: 90 to 290 pixels long, anywhere."""
    rows, columns = np.nonzero(digit > 40)
    box = np.pad(digit[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1], 1)
    scale = rng.integers(90, 291) / max(box.shape)
    height, width = (round(scale * side) for side in box.shape)
    light = np.asarray(Image.fromarray(box).resize((width, height), Image.Resampling.BICUBIC)) / 255
    ink = np.clip(3 * (light - 0.5) + 0.5, 0, 1)  # with edges as sharp as a pen's
    top, left = rng.integers(0, SIDE - height + 1), rng.integers(0, SIDE - width + 1)
    drawing = np.full((SIDE, SIDE), 255, np.uint8)
    drawing[top : top + height, left : left + width] = np.round(255 - 255 * ink)
    return drawing


def trace(rng, digit):
    """Returns strokes, lists of points (x, y) in the drawing area, along the middle of a digit's lines, anywhere."""
    strokes = _walk(_thin(digit))
    points = np.concatenate(strokes)
    start = points.min(axis=0)
    extent = points.max(axis=0) - start
    scale = rng.integers(80, 281 - PEN) / max(extent.max(), 1)
    room = SIDE - PEN - scale * extent
    offset = PEN / 2 + rng.uniform(0.02, 0.98, 2) * room
    return [(offset + scale * (np.array(stroke) - start)).tolist() for stroke in strokes]


def _thin(digit):
    """Returns the pixels in the middle of a digit's lines, bool: removes the others, darkest first.

    A pixel goes if it has paper beside it, is not the end of a line, and if what is around it stays connected.
    """
    light = ndimage.gaussian_filter(np.pad(digit, 2).astype(float), 0.7)
    ink = light > 90
    for y, x in sorted(np.argwhere(ink).tolist(), key=lambda pixel: light[tuple(pixel)]):
        around = ink[y - 1 : y + 2, x - 1 : x + 2].copy()
        around[1, 1] = False
        is_inside = around[[0, 1, 1, 2], [1, 0, 2, 1]].all()
        if not is_inside and around.sum() > 1 and ndimage.label(around, EIGHT)[1] == 1:
            ink[y, x] = False
    return ink


def _walk(ink):
    """Returns a stroke of points (x, y) for each connected piece; it returns from the end of a branch."""
    left = {(x, y) for y, x in np.argwhere(ink).tolist()}
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)]

    def visit(x, y, stroke):
        left.remove((x, y))
        stroke.append((x, y))
        for dx, dy in steps:
            if (x + dx, y + dy) in left:
                visit(x + dx, y + dy, stroke)
                stroke.append((x, y))

    strokes = []
    while left:
        strokes.append([])
        visit(*min(left), strokes[-1])
    return strokes


def spiral(turns):
    """Returns a stroke around the center of the drawing area."""
    t = np.linspace(0, 1, 50)
    angle = 2 * np.pi * turns * t
    return np.stack([160 + 120 * t * np.cos(angle), 160 + 120 * t * np.sin(angle)], axis=1).tolist()


def random_line(count):
    """Returns a stroke through random points."""
    return np.random.default_rng(0).uniform(40, 280, (count, 2)).tolist()


def seven(x, y, size):
    """Returns a stroke in the form of a 7, at most `size` pixels long, with its top left corner at (x, y)."""
    return [[x, y], [x + 0.6 * size, y], [x + 0.2 * size, y + size]]
