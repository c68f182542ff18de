"""The user's images in folders: read as they were written, and refused by the path of what is wrong."""

import io
import os
import re

import numpy as np
import pytest
from PIL import Image

from mlp_tf import UserError, data, evaluate
from mlp_tf.config import Config
from mlp_tf.data.image_folder import image_folder, read_pixels

GRAY = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
COLOR = np.random.default_rng(1).integers(0, 256, (6, 5, 4, 3), np.uint8)


def write(path, pixels, **options):
    """Writes an image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)


def write_classes(folder, pixels=GRAY, names=("cat", "dog")):
    """Writes some images of each class: in order, they are `pixels`."""
    for name, part in zip(names, np.split(pixels, len(names)), strict=True):
        for i, each in enumerate(part):
            write(folder / name / f"{i}.png", each)


@pytest.mark.parametrize("pixels", [GRAY, COLOR], ids=["gray", "color"])
def test_folders_of_classes_are_the_training_rows(tmp_path, pixels):
    write_classes(tmp_path, pixels)
    source = image_folder(str(tmp_path))
    images, labels, *_ = source.train
    np.testing.assert_array_equal(images, pixels)
    np.testing.assert_array_equal(labels, [0, 0, 0, 1, 1, 1])
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
    assert (source.name, source.class_names, source.is_user_data) == (str(tmp_path), ("cat", "dog"), True)
    assert (source.test, source.notes) == (None, ())


def test_train_and_test_are_read_from_a_folder_each(tmp_path):
    write_classes(tmp_path / "train", GRAY, ("cat", "dog", "eel"))
    write_classes(tmp_path / "test", GRAY[:3], ("eel",))
    source = image_folder(str(tmp_path))
    assert source.class_names == ("cat", "dog", "eel")
    for rows, pixels, labels in ((source.train, GRAY, [0, 0, 1, 1, 2, 2]), (source.test, GRAY[:3], [2, 2, 2])):
        np.testing.assert_array_equal(rows.images, pixels)
        np.testing.assert_array_equal(rows.labels, labels)


@pytest.mark.parametrize("name", ["val", "Valid", "VALIDATION", "dev"])
@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "TESTING")])
def test_the_users_own_splits_are_used_in_any_case(tmp_path, train, name, test):
    write_classes(tmp_path / train)
    write_classes(tmp_path / name, GRAY[::-1])
    write_classes(tmp_path / test, GRAY[:2], ("dog",))
    source = image_folder(str(tmp_path))
    np.testing.assert_array_equal(source.train.images, GRAY)
    np.testing.assert_array_equal(source.validation.images, GRAY[::-1])
    assert source.validation.labels.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(source.test.images, GRAY[:2])
    assert (source.test.labels.tolist(), source.class_names, source.notes) == ([1, 1], ("cat", "dog"), ())


def test_train_alone_or_with_unlabeled_test_images_is_the_training_part(tmp_path):
    write_classes(tmp_path / "train")
    source = image_folder(str(tmp_path))
    assert (source.test, source.validation, source.class_names, source.notes) == (None, None, ("cat", "dog"), ())
    write(tmp_path / "test/0.png", GRAY[0])
    source = image_folder(str(tmp_path))
    assert (source.test, len(source.train.labels)) == (None, 6)
    assert source.notes[0].startswith("left out (1): test;")


@pytest.mark.parametrize("below", ["mnist_png", "a/mnist png"])
@pytest.mark.parametrize("split", ["train", "."])
def test_images_in_an_only_folder_are_found(tmp_path, below, split):
    write_classes(tmp_path / below / split)
    write_classes(tmp_path / "__MACOSX" / below)
    (tmp_path / "readme.txt").write_text("x")
    source = image_folder(str(tmp_path))
    np.testing.assert_array_equal(source.train.images, GRAY)
    assert (source.name, source.class_names) == (str(tmp_path), ("cat", "dog"))
    assert source.notes[0].startswith("left out (1): readme.txt;")


def test_a_color_image_among_gray_ones_makes_all_color(tmp_path):
    write_classes(tmp_path / "train")
    write_classes(tmp_path / "test")
    write(tmp_path / "test/dog/1.png", COLOR[0])
    source = image_folder(str(tmp_path))
    wanted = np.repeat(GRAY[..., None], 3, axis=3)
    np.testing.assert_array_equal(source.train.images, wanted)
    wanted[4] = COLOR[0]
    np.testing.assert_array_equal(source.test.images, wanted)


def test_images_in_color_that_show_gray_alone_are_gray(tmp_path):
    write_classes(tmp_path, np.repeat(GRAY[..., None], 3, axis=3))
    np.testing.assert_array_equal(image_folder(str(tmp_path)).train.images, GRAY)


def test_few_colored_images_are_named(tmp_path):
    write_classes(tmp_path, np.repeat(GRAY, 2, axis=0))
    write(tmp_path / "dog/1.png", COLOR[0])
    note = f"all images are read in color, as {tmp_path}/dog/1.png is (1 of 12 are)"
    assert image_folder(str(tmp_path)).notes == (note,)


def test_images_of_several_sizes_are_resized(tmp_path):
    wide = Image.fromarray(np.tile(np.uint8([[0, 100, 200]]), (6, 4)))  # 6 x 12
    write_classes(tmp_path)
    write(tmp_path / "cat/1.png", wide)
    source = image_folder(str(tmp_path), "5x4")
    np.testing.assert_array_equal(source.train.images[[0, 2, 3, 4, 5]], GRAY[[0, 2, 3, 4, 5]])
    np.testing.assert_array_equal(source.train.images[1], np.asarray(wide.resize((4, 5), Image.Resampling.LANCZOS)))
    assert source.notes == ("1 of 6 images were resized to 5x4 by Pillow's LANCZOS filter",)
    assert image_folder(str(tmp_path), "9x7").train.images.shape == (6, 9, 7)


def test_a_run_reads_its_images_again_by_their_size(train, run, tmp_path):
    """Costs two trainings, as what reads the data again must resize again."""
    write_classes(tmp_path / "images", np.repeat(GRAY, 5, axis=0))
    write(tmp_path / "images/cat/1.png", GRAY[0, :, :3])
    flags = ["--hidden=4", "--batch_size=5", f"--workdir={tmp_path / 'run'}"]
    assert "--resize=5x4" in train(*flags, f"--dataset={tmp_path / 'images'}").err
    assert train(*flags, "--epochs=1", f"--dataset={tmp_path / 'images'}", "--resize=3x3").code == 0
    assert run(evaluate, f"--workdir={tmp_path / 'run'}").code == 0
    assert "2 Epochs" in train(*flags, "--epochs=2").out
    assert "--resize=4x4, but 3x3 in the run" in train(*flags, "--epochs=3", "--resize=4x4").err


def test_a_size_is_refused_where_there_is_no_folder_of_images(npz):
    with pytest.raises(UserError, match=r"^--resize=3x3: .*small\.npz is not a folder of images; leave the flag out$"):
        data.load(npz, config=Config(resize="3x3"))


FEW = Image.fromarray(GRAY[0] // 128 * 255)  # black and white, so that each mode can show it
TURNED = Image.Exif()
TURNED[0x0112] = 6  # a quarter to the right


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        *((f"a.{suffix}", FEW.convert(m), {}) for suffix in ("png", "BMP", "gif") for m in ("L", "RGB", "P", "1")),
        *(("a.png", FEW.convert(mode), {}) for mode in ("LA", "RGBA")),
        ("a.bmp", FEW.convert("RGBA"), {}),
        *((f"a.{suffix}", FEW.convert(mode), {}) for suffix in ("tif", "TIFF") for mode in ("L", "RGB", "1")),
        *(("a.webp", FEW.convert(mode), {"lossless": True}) for mode in ("L", "RGB")),
        ("a.pgm", FEW, {}),
        ("a.jpg", FEW, {"quality": 100}),
        ("a.JPEG", FEW.convert("RGB"), {"quality": 100}),
        ("a.jpg", FEW.convert("CMYK"), {"quality": 100}),
        ("a.gif", FEW, {"save_all": True, "append_images": [Image.new("L", FEW.size, 99)]}),
        ("a.png", FEW.transpose(Image.Transpose.ROTATE_90), {"exif": TURNED}),
        ("a.jpg", FEW.transpose(Image.Transpose.ROTATE_90), {"exif": TURNED, "quality": 100}),
        ("a.png", Image.fromarray(np.asarray(FEW) * np.uint16(257)), {}),
    ],
    ids=lambda value: f"{value.mode}" if isinstance(value, Image.Image) else None,
)
def test_formats_and_modes_are_read_upright(tmp_path, name, image, options):
    write_classes(tmp_path)
    write(tmp_path / "cat" / name, image, **options)
    images = image_folder(str(tmp_path)).train.images.astype(int)
    shown = np.asarray(FEW) if images.ndim == 3 else np.repeat(np.asarray(FEW)[..., None], 3, axis=2)
    assert np.abs(images[3] - shown).max() <= (20 if name.lower().startswith("a.j") else 0)  # after 0, 1 and 2.png


def test_16_bits_become_8_by_one_factor(tmp_path):
    deep = np.array([[0, 128, 129], [257, 1000, 65535]], np.uint16)
    write_classes(tmp_path, np.stack([deep, deep // 2]))
    images = image_folder(str(tmp_path)).train.images
    np.testing.assert_array_equal(images, [[[0, 0, 1], [1, 4, 255]], [[0, 0, 0], [0, 2, 127]]])


def progressive(path, more):
    """Writes a progressive JPEG file with a thumbnail, `more` copies of its last scan, and bytes after its end."""
    thumbnail, buffer = io.BytesIO(), io.BytesIO()
    Image.fromarray(GRAY[0]).save(thumbnail, "JPEG")
    exif = b"Exif\0\0" + 200 * b"\xff\xda" + thumbnail.getvalue()
    Image.new("L", (1000, 1000), 80).save(buffer, "JPEG", progressive=True, exif=exif)
    content = buffer.getvalue()
    last, end = content.rindex(b"\xff\xda"), content.rindex(b"\xff\xd9")
    path.write_bytes(content[:end] + more * content[last:end] + content[end:] + 200 * b"\xff\xda")


def test_a_jpeg_of_very_many_scans_is_refused(tmp_path):
    progressive(tmp_path / "usual.jpg", 0)
    assert (read_pixels(tmp_path / "usual.jpg") == 80).all()
    progressive(tmp_path / "hostile.jpg", 20_000)  # decoding it takes 7 s
    with pytest.raises(UserError, match=r"hostile\.jpg: a JPEG file of more than 100 scans; save it as a baseline"):
        read_pixels(tmp_path / "hostile.jpg")
    content = (tmp_path / "usual.jpg").read_bytes()
    (tmp_path / "hostile.jpg").write_bytes(content[:2] + 20_000 * b"\xff\xfe\x00\x02" + content[2:])
    with pytest.raises(UserError, match=r"hostile\.jpg: a JPEG file of more than 10,000 segments; save it as PNG"):
        read_pixels(tmp_path / "hostile.jpg")


def test_the_order_of_rows_is_that_of_the_names(tmp_path):
    places = [(name, i) for name in ("b", "a", "B") for i in (10, 9, 2)]
    for value, (name, i) in enumerate(places):
        write(tmp_path / name / f"{i}.png", np.full((2, 2), value, np.uint8))
    source = image_folder(str(tmp_path))
    assert source.class_names == ("B", "a", "b")
    assert source.train.images[:, 0, 0].tolist() == [6, 8, 7, 3, 5, 4, 0, 2, 1]  # "10" < "2" < "9"


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["10", "9", "0", "-1"], ["-1", "0", "9", "10"]),
        (["07", "8", "7"], ["07", "7", "8"]),
        (["10", "9", "x"], ["10", "9", "x"]),
    ],
)
def test_classes_are_sorted_as_numbers_if_all_are(tmp_path, names, wanted):
    write_classes(tmp_path, GRAY[: len(names)], names)
    source = image_folder(str(tmp_path))
    assert list(source.class_names) == wanted
    np.testing.assert_array_equal(source.train.images, [GRAY[names.index(name)] for name in wanted])


def test_what_is_left_out_is_counted_and_named(tmp_path):
    write_classes(tmp_path)
    for name in ("cat/notes.txt", "dog/a.heic", "cat/.hidden.png", ".DS_Store"):
        (tmp_path / name).write_text("x")
    write(tmp_path / "dog/more.png/a.png", GRAY[0])
    write(tmp_path / ".cache/a.png", GRAY[0])
    source = image_folder(str(tmp_path))
    assert source.train.images.shape == GRAY.shape
    [note] = source.notes
    assert note == (
        "left out (3): cat/notes.txt, dog/a.heic, dog/more.png; only .png, .jpg, .jpeg, .bmp, .gif, .tif, .tiff, .webp "
        "or .pgm files in the folders of classes are read"
    )


def test_a_folder_beside_train_and_test_is_left_out_and_noted(tmp_path):
    for name in ("train", "test", "masks"):
        write_classes(tmp_path / name)
    (tmp_path / "train/list.csv").write_text("x")
    source = image_folder(str(tmp_path))
    assert source.train.images.shape == source.test.images.shape == GRAY.shape
    assert source.notes[0].startswith("left out (2): masks, train/list.csv;")


def test_links_are_followed_and_strange_names_stay(tmp_path):
    names = (os.fsdecode(b"caf\xe9"), "a b\n$")
    write_classes(tmp_path / "real", names=names)
    (tmp_path / "linked").mkdir()
    for name in names:
        (tmp_path / "linked" / name).symlink_to(tmp_path / "real" / name)
    write(tmp_path / "far", GRAY[0], format="PNG")
    (tmp_path / "real" / names[0] / "9.png").symlink_to(tmp_path / "far")
    source = image_folder(str(tmp_path / "linked"))
    assert source.class_names == names[::-1]
    np.testing.assert_array_equal(source.train.images, [*GRAY[3:], *GRAY[:3], GRAY[0]])


def torn(path):
    """Cuts a PNG file short within its pixels."""
    path.write_bytes(path.read_bytes()[:50])


def keyed(mode, transparent):
    """An image with one transparent value."""
    image = FEW.convert(mode) if mode != "I;16" else Image.fromarray(np.asarray(FEW).astype(np.uint16))
    return lambda folder: write(folder / "cat/1.png", image, transparency=transparent)


def one_clear_pixel():
    """An image with one pixel that is not fully opaque."""
    image = Image.fromarray(COLOR[0]).convert("RGBA")
    image.putpixel((1, 1), (9, 9, 9, 254))
    return image


TRANSPARENT = "cat/1.png: has transparent pixels; flatten it onto a background"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: torn(folder / "cat/1.png"), "cat/1.png: not an image that can be read; give a PNG"),
        (lambda folder: (folder / "dog/a.jpg").write_bytes(b""), "dog/a.jpg: not an image that can be read"),
        (lambda folder: write(folder / "dog/a.png", Image.new("1", (9000, 6000))), "dog/a.png: 9000 x 6000 pixels; "),
        (lambda folder: os.mkfifo(folder / "dog/a.png"), "dog/a.png: is not a regular file; give a PNG"),
        (lambda folder: (folder / "dog/a.png").symlink_to("a.png"), "dog/a.png: Too many levels of symbolic links"),
        (lambda folder: (folder / "dog/a.png").symlink_to("nowhere"), "dog/a.png: No such file or directory"),
        (lambda folder: write(folder / "cat/1.png", one_clear_pixel()), TRANSPARENT),
        *((keyed(mode, 255), TRANSPARENT) for mode in ("L", "1", "I;16")),
        (keyed("RGB", (255, 255, 255)), TRANSPARENT),
        (keyed("P", 255), TRANSPARENT),
        (
            lambda folder: write(folder / "cat/1.png", GRAY[0].astype(np.float32), format="TIFF"),
            "cat/1.png: has 32 bits a pixel; save it with 8",
        ),
        (
            lambda folder: write(folder / "cat/1.png", GRAY[0].astype(np.int32), format="TIFF"),
            "cat/1.png: has 32 bits a pixel; save it with 8",
        ),
        (
            lambda folder: write(folder / "dog/a.png", np.zeros((4, 5), np.uint8)),
            "dog/a.png: 5 x 4 pixels, but {0}/cat/0.png has 4 x 5; make all images one size, such as by --resize=5x4",
        ),
    ],
)
def test_a_wrong_image_among_good_ones_is_refused_by_path(tmp_path, spoil, message):
    write_classes(tmp_path)
    spoil(tmp_path)
    with pytest.raises(UserError, match="^" + re.escape(f"{tmp_path}/" + message.format(tmp_path))):
        image_folder(str(tmp_path))


@pytest.mark.parametrize(("mode", "key"), [("L", 7), ("I;16", 7), ("P", 7), ("RGB", (0, 7, 0))])
def test_a_transparent_color_that_no_pixel_has_is_no_matter(tmp_path, mode, key):
    write_classes(tmp_path)
    keyed(mode, key)(tmp_path)
    assert len(image_folder(str(tmp_path)).train.images) == 6


LAYOUTS = (
    "put the images (.png, .jpg, .jpeg, .bmp, .gif, .tif, .tiff, .webp or .pgm) in FOLDER/train/CLASS/ and "
    "FOLDER/test/CLASS/, or all in FOLDER/CLASS/"
)
NO_CLASSES = f"no folders of classes in train; a folder with the name of a split is not a class; {LAYOUTS}"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], f": has no folders of classes; {LAYOUTS}"),
        (["0.png", "1.png"], f": has no folders of classes; {LAYOUTS}"),
        (["train/0.png", "test/0.png"], f": has test, train, but {NO_CLASSES}"),
        (["Train/cat.0.png", "val/dog.0.png", "other/0.png"], f": has Train, val, but {NO_CLASSES}"),
        (["test/a/0.png", "a/0.png", "b/0.png"], f": has test, but {NO_CLASSES}"),
        (["a/0.png", "b/0.png", "valid/0.png"], f": has valid, but {NO_CLASSES}"),
        (["train/a/0.png", "val/a/0.png", "dev/a/0.png"], ": both dev and val name a validation split; keep"),
        (
            ["images/0.png", "masks/0.png"],
            ": holds images, masks, which are parts of the images, not classes of them; s",
        ),
        (["train/images/0.png", "train/labels/0.png"], "/train: holds images, labels, which are parts of the images"),
        (["a/0.png", "a/1.png"], f": has only one class, a; there must be two or more; {LAYOUTS}"),
        (["train/a/0.png", "test/a/0.png"], ": has only one class, a; there must be"),
        (["a/0.png", "b/0.txt"], f"/b: has no images; {LAYOUTS}"),
        (["a/0.png", "b/.0.png"], "/b: has no images; put"),
        (["training/a/0.png", "testing/a/0.png"], ": has only one class, a; there must be"),
        (
            ["Train/a/0.png", "Train/b/0.png", "valid/c/0.png"],
            "/valid/c: a class that train does not have; remove it, or put images of it in {0}/Train/c",
        ),
        (
            ["train/a/0.png", "train/b/0.png", "test/a/0.png", "test/c/0.png"],
            "/test/c: a class that train does not have; remove it, or put images of it in {0}/train/c",
        ),
    ],
)
def test_another_layout_is_refused_with_the_two_that_are_read(tmp_path, files, message):
    for name in files:
        write(tmp_path / name, GRAY[0], format="PNG")
    with pytest.raises(UserError, match="^" + re.escape(f"{tmp_path}{message.format(tmp_path)}")):
        image_folder(str(tmp_path))


def test_what_is_no_folder_is_refused(tmp_path):
    write_classes(tmp_path)
    for name, reason in (("none", "No such file or directory"), ("cat/0.png", "Not a directory")):
        with pytest.raises(UserError, match=f"^{tmp_path}/{name}: {reason}; give a folder that can be read$"):
            image_folder(str(tmp_path / name))


def test_more_pixels_than_the_memory_there_is_are_refused(tmp_path, monkeypatch):
    write_classes(tmp_path)
    monkeypatch.setattr("mlp_tf.base.machine.memory", lambda: GRAY.size)
    image_folder(str(tmp_path))
    write(tmp_path / "dog/1.png", COLOR[0])
    with pytest.raises(UserError, match=r"its 6 images need 0\.0 GiB, and this machine has 0\.0; give fewer or"):
        image_folder(str(tmp_path))
    monkeypatch.setattr("mlp_tf.base.machine.memory", lambda: GRAY.size - 1)
    with pytest.raises(UserError, match=f"^{tmp_path}: its 6 images need"):
        image_folder(str(tmp_path))
