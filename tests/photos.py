"""Photos of handwriting, made by code: a digit of MNIST as ink on paper, under light, with a camera's noise."""

import os

import matplotlib
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 240, 320  # pixels
# The fonts come with matplotlib, so every machine has them.
FONT_FOLDER = os.path.join(matplotlib.get_data_path(), "fonts/ttf")
FONTS = ["DejaVuSans.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Italic.ttf", "DejaVuSansMono.ttf"]
PAPER, INK = 0.9, 0.15  # the share of the light that they send back


def ink_of(rng, *digits):
    """How much of each point of the paper ink covers, float `[HEIGHT, WIDTH]` from 0 to 1: digits beside each other."""
    covered = np.zeros((HEIGHT, WIDTH))
    side = int(rng.integers(100, 150)) if len(digits) == 1 else int(rng.integers(90, 120))
    top, left = rng.integers(0, HEIGHT - side), rng.integers(0, WIDTH - len(digits) * side + 1)
    for i, digit in enumerate(digits):
        enlarged = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)) / 255
        place = covered[top : top + side, left + i * side : left + (i + 1) * side]
        np.maximum(place, enlarged, out=place)
    return covered


def _on_paper(covered, ink=INK, paper=PAPER):
    return covered * ink + (1 - covered) * paper


def ramp(rng):
    """A plane over the picture, in a random direction, from 0 to 1."""
    y, x = np.indices((HEIGHT, WIDTH))
    angle = rng.uniform(0, 2 * np.pi)
    plane = x * np.cos(angle) + y * np.sin(angle)
    return (plane - plane.min()) / np.ptp(plane)


def seen(light):
    """What a camera writes: a picture of 8 bits."""
    return Image.fromarray(np.uint8(np.rint(255 * np.clip(light, 0, 1))))


def _noisy(light, rng, deviation):
    return light + rng.normal(0, deviation, light.shape)


def plain(covered, rng):
    """On even paper."""
    return seen(_on_paper(covered))


def fall_off(share):
    """The light falls off by this share from one side to the other."""
    return lambda covered, rng: seen(_on_paper(covered) * (1 - share * ramp(rng)))


def shadow(covered, rng):
    """The shadow of something with a straight edge lies over a part of the paper, and of the digit."""
    edge = np.clip((ramp(rng) - rng.uniform(0.35, 0.65)) * rng.uniform(20, 80), 0, 1)
    return seen(_on_paper(covered) * (1 - rng.uniform(0.3, 0.5) * edge))


def _lines(rng, across):
    """Where printed lines are."""
    space, width = rng.integers(24, 44), rng.integers(1, 3)
    lines = (np.arange(HEIGHT) + rng.integers(space)) % space < width
    found = np.repeat(lines[:, None], WIDTH, axis=1)
    return found | ((np.arange(WIDTH) + rng.integers(space)) % space < width) if across else found


def ruled(covered, rng, across=False):
    """On paper with printed lines, fainter than the ink."""
    paper = np.where(_lines(rng, across), rng.uniform(0.55, 0.75), PAPER)
    return seen(_on_paper(covered, paper=paper))


def squared(covered, rng):
    """On paper with printed squares."""
    return ruled(covered, rng, across=True)


def noise(covered, rng):
    """By a camera in little light."""
    return seen(_noisy(_on_paper(covered), rng, rng.uniform(0.04, 0.1)))


def pencil(covered, rng):
    """In pencil, which covers paper in grains."""
    grains = np.clip(rng.normal(0.8, 0.2, covered.shape), 0, 1)
    return seen(_noisy(_on_paper(covered * grains, ink=rng.uniform(0.5, 0.65)), rng, 0.015))


def colored(covered, rng):
    """In ink of another color than the paper's, and of equal luminance."""
    ink, paper = (
        ((0.85, 0.35, 0.35), (0.35, 0.60, 0.359)) if rng.random() < 0.5 else ((0.2, 0.55, 0.9), (0.75, 0.42, 0.145))
    )
    light = _on_paper(covered[..., None], np.array(ink), np.array(paper))
    return seen(_noisy(light, rng, 0.01))


def everything(covered, rng):
    """On ruled paper, in falling light, with noise."""
    paper = np.where(_lines(rng, False), 0.7, PAPER)
    return seen(_noisy(_on_paper(covered, ink=0.3, paper=paper) * (1 - 0.5 * ramp(rng)), rng, 0.03))


KINDS = {
    "plain": plain, "fall-off 10 %": fall_off(0.1), "fall-off 40 %": fall_off(0.4), "fall-off 70 %": fall_off(0.7),
    "shadow": shadow, "ruled": ruled, "squared": squared, "noise": noise, "pencil": pencil, "colored": colored,
    "everything": everything,
}  # fmt: skip
