"""Photos of handwriting: each kind is read, and what is not a digit gets a warning or is refused."""

import os
import string

import drawings
import numpy as np
import photos
import pytest
from helpers import needs_mnist
from PIL import Image, ImageDraw, ImageFont

from mlp_tf import UserError, data, predict
from mlp_tf.handwriting import images as user_images
from mlp_tf.runs.identity import InkStyle

# Letters that nobody takes for a digit.
LETTERS = [letter for letter in string.ascii_letters if letter not in "ABCDGIJLOPQSTUYZbcdgijloqsuyz"]


def prepare(image, tmp_path):
    """The image as the network sees it."""
    image.save(tmp_path / "a.png", compress_level=1)
    return user_images.read(tmp_path / "a.png", 28, 28)


@pytest.mark.slow
@needs_mnist
@pytest.mark.parametrize("kind", photos.KINDS)
def test_a_digit_is_read_in_a_photo_of_each_kind(trained_for_handwriting, tmp_path, kind):
    trained, test = trained_for_handwriting
    rng, labels = np.random.default_rng(1), test.labels[:100]
    made = [photos.KINDS[kind](photos.ink_of(rng, image), rng) for image in test.images[:100]]
    images = np.stack([prepare(each, tmp_path).image for each in made])
    as_they_are = (trained.probabilities(test.images[:100]).argmax(axis=1) == labels).mean()
    assert (trained.probabilities(images).argmax(axis=1) == labels).mean() >= as_they_are - 0.03


def doubted(trained, made, tmp_path):
    """(fraction of images that are refused or carry a warning, the class of each, of those the warned ones)."""
    prepared = []
    for image in made:
        try:
            prepared.append(prepare(image, tmp_path))
        except UserError:
            prepared.append(user_images.Prepared(np.zeros((28, 28), np.uint8), ("refused",)))
    probabilities = trained.probabilities(np.stack([image for image, _ in prepared]))
    warned = [
        bool(predict.list_warnings(trained, each, row)) for each, row in zip(prepared, probabilities, strict=True)
    ]
    return np.array(warned), probabilities.argmax(axis=1)


def letter(i):
    """A letter of a font."""
    image = Image.new("L", (photos.WIDTH, photos.HEIGHT), 230)
    face = ImageFont.truetype(os.path.join(photos.FONT_FOLDER, photos.FONTS[i % len(photos.FONTS)]), 120)
    ImageDraw.Draw(image).text((100, 40), LETTERS[i % len(LETTERS)], font=face, fill=40)
    return image


def scribble(rng):
    """A line through random points."""
    image = Image.new("L", (photos.WIDTH, photos.HEIGHT), 230)
    points = rng.uniform([80, 40], [240, 200], (rng.integers(5, 14), 2))
    ImageDraw.Draw(image).line(
        [tuple(point) for point in points], fill=40, width=int(rng.integers(6, 14)), joint="curve"
    )
    return image


def blank(i, rng):
    """Paper without ink: even, in falling light, or with noise."""
    even = np.full((photos.HEIGHT, photos.WIDTH), rng.uniform(0.1, 0.9))
    noise = rng.normal(0, rng.uniform(0.01, 0.15), even.shape)
    return photos.seen([even, even * (1 - rng.uniform(0.1, 0.9) * photos.ramp(rng)), even + noise][i % 3])


@pytest.fixture(scope="module")
def digits():
    """600 digits of MNIST in a fixed random order."""
    images = data.load("mnist_sample").train.images
    return images[np.random.default_rng(0).permutation(len(images))[:600]]


ARRANGEMENTS = {
    "beside": [[0, 1]],
    "above": [[0], [1]],
    "diagonal": [[0, None], [None, 1]],
    "2 by 2": [[0, 1], [2, 3]],
    "3 by 3": [[0, 1, 2], [3, 4, 5], [6, 7, 8]],
}


@pytest.mark.parametrize("arrangement", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_several_digits_in_any_arrangement_are_doubted(digits, arrangement, tmp_path):
    for first in range(0, 90, 9):
        enlarged = [np.asarray(Image.fromarray(digit).resize((112, 112))) for digit in digits[first : first + 9]]
        ink = np.block(
            [[np.zeros((112, 112), np.uint8) if i is None else enlarged[i] for i in row] for row in arrangement]
        )
        paper = Image.fromarray(255 - np.pad(ink, 20))
        assert "several pieces of ink, like several digits" in prepare(paper, tmp_path).warnings


def drawing(strokes, width=24):
    """Strokes, lists of points (x, y), as the pen of the page draws them."""
    image = Image.new("L", (drawings.SIDE, drawings.SIDE), 255)
    pen = ImageDraw.Draw(image)
    for points in strokes:
        pen.line([tuple(point) for point in points], fill=0, width=width, joint="curve")
        for x, y in points:
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=0)
    return image


@pytest.mark.parametrize(
    ("image", "warning"),
    [
        pytest.param(drawing([[(160, 160)]], 12), "hardly any ink", id="speck"),
        pytest.param(drawing([[(160, 160)]], 50), "like a scribble or a blot", id="dot"),
        pytest.param(drawing([[(x, y) for x in range(130, 190, 15) for y in (130, 190)]]), "a blot", id="square"),
        pytest.param(drawing([drawings.random_line(30)], 12), "like a scribble", id="random-line"),
        pytest.param(drawing([drawings.spiral(3)], 12), "like a scribble", id="spiral"),
        pytest.param(drawing([[(40, 160), (280, 170)]]), "wider than a digit", id="dash"),
        pytest.param(drawing([drawings.FIVE, [(150, 60), (230, 55)]]), "", id="5-with-a-loose-bar"),
        pytest.param(drawing([[(160, 60), (160, 260)]]), "", id="1"),
    ],
)
def test_ink_that_is_unlike_one_digit_is_doubted_and_no_other(image, warning, tmp_path):
    warnings = prepare(image, tmp_path).warnings
    assert [warning in each for each in warnings] == [True] * bool(warning)


@pytest.mark.slow
def test_at_most_1_in_100_digits_is_doubted_for_its_ink(digits, tmp_path):
    """Measured on 1,000 test images of MNIST: 3 at 28 pixels, 4 if they are enlarged, 1 in photos."""
    rng = np.random.default_rng(0)
    style = InkStyle(is_dark=False, is_like_mnist=True, usual_warnings=())
    assert sum(bool(user_images.fit(digit, style).warnings) for digit in digits) <= 6
    enlarged = [Image.fromarray(drawings.enlarge(rng, digit)) for digit in digits[:300]]
    photographed = [photos.plain(photos.ink_of(rng, digit), rng) for digit in digits[300:]]
    assert sum(bool(prepare(image, tmp_path).warnings) for image in enlarged + photographed) <= 6


@pytest.mark.slow
@needs_mnist
def test_what_is_no_digit_is_doubted_or_refused_and_right_digits_are_not(trained_for_handwriting, tmp_path):
    trained, test = trained_for_handwriting
    rng = np.random.default_rng(5)
    two = [photos.plain(photos.ink_of(rng, *test.images[i : i + 2]), rng) for i in range(0, 400, 2)]
    others = [letter(i) for i in range(50)] + [scribble(rng) for _ in range(50)]
    blanks = [blank(i, rng) for i in range(100)]
    shares = [doubted(trained, made, tmp_path)[0].mean() for made in (two, others, blanks)]
    assert shares[0] >= 0.95
    assert shares[1] >= 0.6
    assert shares[2] == 1
    assert np.average(shares, weights=[200, 100, 100]) >= 0.9
    digits = [photos.plain(photos.ink_of(rng, image), rng) for image in test.images[:300]]
    warned, guesses = doubted(trained, digits, tmp_path)
    # A third of the recipe's epochs leaves a run less sure; of the recipe's own 0.025 are doubted (BUILD_NOTES.md).
    assert warned[guesses == test.labels[:300]].mean() <= 0.08
