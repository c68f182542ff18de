"""A user's image file, prepared as the images of MNIST were: what is seen, what is refused, what it costs."""

import os

import numpy as np
import pytest
from helpers import needs_mnist, prepared_mnist
from photos import FONT_FOLDER, FONTS
from PIL import Image, ImageDraw, ImageFont

from mlp_tf import UserError, data, runs
from mlp_tf.config import Config
from mlp_tf.handwriting import images as user_images
from mlp_tf.runs.identity import InkStyle


def digit(size=28, stroke=3, dark_on_light=True, at=(0.5, 0.5)):
    """A 2 of three straight strokes."""
    image = Image.new("L", (size, size), 255 if dark_on_light else 0)
    x, y, r = at[0] * size, at[1] * size, size * 0.22
    points = [(x - r, y - 1.2 * r), (x + r, y - 1.2 * r), (x - r, y + 1.2 * r), (x + r, y + 1.2 * r)]
    ImageDraw.Draw(image).line(points, fill=0 if dark_on_light else 255, width=stroke)
    return image


def prepare(image, tmp_path, name="a.png"):
    """What the network sees of an image that was written to a file."""
    image.save(tmp_path / name, compress_level=1)  # of PNG files: less than a third of the time
    return user_images.read(tmp_path / name, 28, 28).image


@pytest.mark.parametrize("size", [40, 200, 1000])
@pytest.mark.parametrize("dark_on_light", [True, False])
@pytest.mark.parametrize("at", [(0.5, 0.5), (0.3, 0.65)])
def test_an_image_becomes_20_by_20_bright_on_dark_its_mass_in_the_middle(tmp_path, size, dark_on_light, at):
    seen = prepare(digit(size, max(2, size // 15), dark_on_light, at), tmp_path)
    assert seen.dtype == np.uint8
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 == 20
    assert seen.max() == 255
    y, x = (np.average(np.arange(28), weights=seen.sum(axis=1 - axis)) for axis in (0, 1))
    assert abs(y - 14) < 0.6  # whole pixels, and the mass is that before rounding to 256 levels
    assert abs(x - 14) < 0.6


@pytest.mark.parametrize("values", [np.uint16, np.int32, np.float32], ids=["I;16", "I", "F"])
def test_images_of_more_than_8_bits_keep_their_contrast(tmp_path, values):
    gray = np.asarray(digit(200, 15)).astype(values) * (257 if values == np.uint16 else 1)
    name = "a.png" if values == np.uint16 else "a.tif"
    np.testing.assert_array_equal(prepare(Image.fromarray(gray), tmp_path, name), prepare(digit(200, 15), tmp_path))


def test_a_thin_stroke_in_a_large_image_is_thickened(tmp_path):
    seen = [prepare(digit(size, stroke), tmp_path).astype(int) for size, stroke in ((3000, 2), (300, 20))]
    assert (seen[0] > 100).sum() > 0.4 * (seen[1] > 100).sum()


def test_where_and_how_large_a_digit_is_drawn_hardly_matters(tmp_path):
    one = prepare(digit(280, 24), tmp_path).astype(int)
    other = prepare(digit(560, 48, False, (0.4, 0.6)), tmp_path).astype(int)
    # Whole pixels: the center of mass may round to either side. Two different digits are more than 30 apart.
    shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    assert min(np.abs(one - np.roll(other, shift, (0, 1))).mean() for shift in shifts) < 8


def test_transparent_pixels_are_paper_whatever_the_ink(tmp_path):
    plain = prepare(digit(200, 15), tmp_path)
    for ink in (0, 255):
        alpha = Image.eval(digit(200, 15), lambda v: 255 - v)
        image = Image.merge("RGBA", [Image.new("L", (200, 200), ink)] * 3 + [alpha])
        np.testing.assert_array_equal(prepare(image, tmp_path), plain)


def test_an_image_of_which_a_phone_made_a_jpeg_of_two_is_read(tmp_path):
    digit(200, 15).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[digit(100)])
    assert Image.open(tmp_path / "a.jpg").format == "MPO"
    seen = user_images.read(tmp_path / "a.jpg", 28, 28).image.astype(int)
    assert np.abs(seen - prepare(digit(200, 15), tmp_path)).mean() < 4


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_an_image_that_a_phone_took_askew_is_upright(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    digit(200, 15).transpose(Image.Transpose.ROTATE_90).save(tmp_path / name, exif=exif)
    seen = user_images.read(tmp_path / name, 28, 28).image.astype(int)
    assert np.abs(seen - prepare(digit(200, 15), tmp_path)).mean() < 4


def test_a_symbolic_link_to_an_image_is_followed(tmp_path):
    seen = prepare(digit(200, 15), tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "a.png")
    np.testing.assert_array_equal(user_images.read(tmp_path / "link", 28, 28).image, seen)


@pytest.mark.parametrize("shape", [(1, 2_000_000), (2_000_000, 1)])
def test_an_image_of_one_row_or_column_is_read(tmp_path, shape):
    gray = np.zeros(2_000_000, np.uint8)
    gray[900_000:1_000_000] = 255
    assert prepare(Image.fromarray(gray.reshape(shape)), tmp_path).any()


MODES = {
    "a.png": ["L", "LA", "RGB", "P", "1"],
    "a.jpg": ["L", "RGB", "CMYK"],
    "a.bmp": ["L", "RGB", "P", "1"],
    "a.gif": ["L", "LA", "RGB", "P", "1"],
}


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name, modes in MODES.items() for mode in modes])
def test_formats_and_modes_are_read(tmp_path, name, mode):
    seen = prepare(digit(200, 15).convert(mode), tmp_path, name).astype(int)
    assert np.abs(seen - prepare(digit(200, 15), tmp_path)).mean() < 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: Image.new("L", (30, 30), 7).save(path), "all of one color"),
        (lambda path: Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(path), "all of one color"),
        (lambda path: path.write_bytes(b""), "not an image that can be read"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n torn"), "not an image that can be read"),
        (lambda path: Image.new("1", (10_000, 10_000)).save(path), "10000 x 10000 pixels; must be at most 50,000,000"),
        (lambda path: Image.new("1", (14_000, 14_000)).save(path), "too large; must be at most 50,000,000 pixels"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: None, "No such file or directory"),
        (lambda path: digit().save(path, "TIFF", compression="tiff_lzw"), "a compressed TIFF file; give a PNG"),
        (
            lambda path: digit().save(path, "TGA"),
            "not an image that can be read; give a PNG, JPEG, BMP, GIF, WebP or PGM file",
        ),
    ],
)
def test_an_image_that_shows_nothing_gets_a_clear_message(tmp_path, make, message):
    make(tmp_path / "a.png")
    with pytest.raises(UserError, match=message):
        user_images.read(tmp_path / "a.png", 28, 28)


@pytest.fixture
def like_mnist(tmp_path):
    """Images of a 2 with strokes of ten widths, framed as MNIST's are."""
    return np.stack([prepare(digit(200, width), tmp_path) for width in range(12, 32, 2)])


def style_of(images):
    """(is_dark, is_like_mnist, usual_warnings) of training images, or None."""
    style = user_images.measure_style(images)
    return style and tuple(style.values())


def test_how_training_images_show_ink_is_measured(like_mnist):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (50, 28, 28), np.uint8)
    two = np.tile(like_mnist, (1, 1, 2))
    assert style_of(like_mnist) == (False, True, ())
    assert style_of(255 - like_mnist) == (True, True, ())
    assert style_of(90 + like_mnist // 4) == (False, False, ())  # of another contrast
    assert style_of(like_mnist[:, 3:25, 3:25]) == (False, False, ())
    assert style_of(255 - two) == (True, False, ("several pieces of ink, like several digits",))
    assert style_of(noise) is None
    assert style_of(np.concatenate([like_mnist, 255 - like_mnist])) is None
    assert style_of(np.concatenate([like_mnist] * 10 + [255 - like_mnist[:1]])) is None
    assert style_of(np.stack([like_mnist] * 3, axis=-1)) is None
    assert style_of(like_mnist / np.float32(255)) is None


@pytest.mark.parametrize("is_dark", [True, False])
def test_only_an_image_unlike_the_training_images_is_changed(like_mnist, is_dark, tmp_path):
    images = 255 - like_mnist if is_dark else like_mnist
    mnist = InkStyle(is_dark, True, ())
    framed_otherwise = InkStyle(is_dark, False, ())
    for image in images:
        for given in (image, 255 - image):
            np.testing.assert_array_equal(user_images.fit(given, mnist).image, image)
        moved = np.roll(image, (3, -3), (0, 1))
        np.testing.assert_array_equal(user_images.fit(moved, framed_otherwise).image, moved)
        assert np.abs(np.subtract(user_images.fit(moved, mnist).image, image, dtype=int)).mean() < 5
    np.testing.assert_array_equal(user_images.fit(np.full((28, 28), 200, np.uint8), mnist).image, 200)
    light = prepare(digit(200, 15), tmp_path)
    seen = user_images.read(tmp_path / "a.png", 28, 28, mnist).image
    np.testing.assert_array_equal(seen, 255 - light if is_dark else light)


def test_a_warning_that_training_images_deserve_too_is_not_given(like_mnist):
    two = np.tile(like_mnist[0], (1, 2))
    [text] = user_images.fit(two, InkStyle(False, False, ())).warnings
    assert "several" in text
    assert user_images.fit(two, InkStyle(False, False, (text,))).warnings == ()


def accuracy(trained, images, labels):
    """The fraction of images that a run recognizes."""
    return (trained.probabilities(np.stack(images)).argmax(axis=1) == labels).mean()


@pytest.mark.slow
@needs_mnist
def test_mnists_test_images_as_files_lose_at_most_0_3_points(trained_for_handwriting, tmp_path):
    """Written to PNG, inverted, padded and enlarged, then read back."""
    trained, test = trained_for_handwriting
    images, labels = test.images[:1000], test.labels[:1000]
    seen = []
    for i, image in enumerate(images):
        padded = Image.new("L", (300, 220), 255)
        enlarged = Image.fromarray(255 - image).resize((140, 140), Image.Resampling.BICUBIC)
        padded.paste(enlarged, (7 * (i % 20), 4 * (i % 20)))
        seen.append(prepare(padded, tmp_path))
    assert accuracy(trained, seen, labels) > accuracy(trained, images, labels) - 0.003


@pytest.mark.slow
@needs_mnist
def test_digits_drawn_with_system_fonts_are_read_at_40_to_1000_pixels(trained_for_handwriting, tmp_path):
    """Dark on light and light on dark, off center; the fonts come with matplotlib, so every machine has them."""
    seen, labels = [], []
    for font in FONTS:
        for size in (40, 100, 300, 1000):
            face = ImageFont.truetype(os.path.join(FONT_FOLDER, font), int(size * 0.55))
            for digit in range(10):
                for paper in (0, 255):
                    image = Image.new("L", (size, size), paper)
                    where = (size * 0.08 * (digit % 5), size * 0.25)
                    ImageDraw.Draw(image).text(where, str(digit), font=face, fill=255 - paper)
                    seen.append(prepare(image, tmp_path))
                    labels.append(digit)
    assert accuracy(trained_for_handwriting[0], seen, np.array(labels)) > 0.9


@pytest.mark.slow
@needs_mnist
def test_a_run_on_dark_ink_reads_digits_of_any_size_as_its_own(tmp_path):
    """Trains 256,256 for 2 epochs on the inverse of MNIST: 93 of 100 as they are, 93 at 28 and 92 at 200 pixels."""
    light = data.load("mnist", prepared_mnist())
    splits = [split._replace(images=255 - split.images) for split in (light.train, light.validation, light.test)]
    light = light._replace(train=splits[0], validation=splits[1], test=splits[2])
    with runs.open_run(Config(hidden=(256, 256), epochs=2), tmp_path / "run", light) as run:
        for _ in run.train():
            pass
    trained = runs.load(tmp_path / "run")
    style = trained.description.ink_style
    assert (style.is_dark, style.is_like_mnist, style.usual_warnings) == (True, True, ())
    images, labels = splits[2].images[:100], splits[2].labels[:100]
    as_they_are = accuracy(trained, images, labels)
    seen = [user_images.fit(255 - image, style).image for image in images]
    assert accuracy(trained, seen, labels) >= as_they_are - 0.01
    seen = []
    for image in images:
        Image.fromarray(image).resize((200, 200), Image.Resampling.BICUBIC).save(tmp_path / "a.png")
        seen.append(user_images.read(tmp_path / "a.png", 28, 28, style).image)
    assert accuracy(trained, seen, labels) >= as_they_are - 0.01
