"""The user's own pictures in a folder: those of each class in a folder of its own, named as the class is."""

import contextlib
import logging
import math
import os
import warnings

import numpy as np
from PIL import Image, ImageOps

from mlp_tf import UserError
from mlp_tf.base import machine
from mlp_tf.base.files import open_regular
from mlp_tf.data.splits import Source, rows_in_memory

# None of them lets Pillow start another program, as PostScript would, and of TIFF only what it reads without libtiff,
# which writes to stderr.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF")
MOST_PIXELS = 50_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_KINDS = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
_LAYOUTS = f"put the pictures ({_KINDS}) in FOLDER/train/CLASS/ and FOLDER/test/CLASS/, or all in FOLDER/CLASS/"

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what it logs of a wrong file, it raises too


def image_folder(path):
    """Reads the pictures of a folder: `train/CLASS/*` and `test/CLASS/*` if it has both, else `CLASS/*`.

    The classes are the folders of the training part, sorted, as numbers if all are. Hidden names are ignored.

    Args:
      path: of the folder.

    Returns:
      `Source`; its images are uint8, `[N, H, W]` if all are grey, else `[N, H, W, 3]`.

    Raises:
      UserError: another layout, fewer than two classes, a class without pictures or only in the test part, a picture
        that cannot be read, is transparent or of another size, more than the memory of this machine.
    """
    parts, left_out = _list_parts(path)
    _check_classes(path, *parts)
    names = _sort(parts[0])
    listed = [(file, label) for part in parts for label, name in enumerate(names) for file in part.get(name, ())]
    files, labels = zip(*listed, strict=True)
    images, labels = _read(path, files), np.array(labels, np.int32)
    rows = sum(map(len, parts[0].values()))
    return Source(
        path,
        train=rows_in_memory(images[:rows], labels[:rows]),
        test=rows_in_memory(images[rows:], labels[rows:]) if len(parts) == 2 else None,
        class_names=names,
        own=True,
        notes=_note(path, left_out),
    )


def _list_parts(path):
    """([{class: its files}] of the training part and of the test part, if there is one; what is left out)."""
    folders, others = _list(path)
    if not folders:
        raise UserError(f"{path}: has no folders of classes; {_LAYOUTS}")
    halves = {name: name in folders and bool(_list(os.path.join(path, name))[0]) for name in ("train", "test")}
    if not any(halves.values()):
        part, left_out = _list_classes(path)
        return [part], left_out
    if not all(halves.values()):
        there, missing = ("train", "test") if halves["train"] else ("test", "train")
        raise UserError(f"{path}: has folders in {there} but none in {missing}; {_LAYOUTS}")
    left_out = [os.path.join(path, name) for name in (*folders, *others) if name not in halves]
    (train, more), (test, yet_more) = (_list_classes(os.path.join(path, name)) for name in halves)
    return [train, test], [*left_out, *more, *yet_more]


def _list_classes(path):
    """({class: its files in order}, what is left out) of a folder that has folders of classes."""
    names, others = _list(path)
    part, left_out = {}, [os.path.join(path, name) for name in others]
    for name in names:
        folder = os.path.join(path, name)
        inner, files = _list(folder)
        pictures = [file for file in files if file.lower().endswith(SUFFIXES)]
        if not pictures:
            raise UserError(f"{folder}: has no pictures; {_LAYOUTS}")
        part[name] = [os.path.join(folder, file) for file in pictures]
        left_out += [os.path.join(folder, each) for each in sorted({*inner, *files} - {*pictures})]
    return part, left_out


def _list(path):
    """(names of the folders in a folder, names of all else), each sorted, without hidden ones."""
    try:
        names = sorted(name for name in os.listdir(path) if not name.startswith("."))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a folder that can be read") from None
    folders = {name for name in names if os.path.isdir(os.path.join(path, name))}
    return [name for name in names if name in folders], [name for name in names if name not in folders]


def _check_classes(path, train, test=()):
    if unknown := sorted(set(test) - set(train)):
        raise UserError(
            f"{os.path.join(path, 'test', unknown[0])}: a class that train does not have; remove it, or put pictures "
            f"of it in {os.path.join(path, 'train', unknown[0])}"
        )
    if len(train) == 1:
        raise UserError(f"{path}: has one class only, {next(iter(train))}; there must be two or more; {_LAYOUTS}")


def _sort(names):
    """The names in order, as a tuple."""
    if all(name.removeprefix("-").isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _read(path, files):
    """uint8 `[N, H, W]` if all are grey, else `[N, H, W, 3]`."""
    images = _allocate(path, (len(files), *read_pixels(files[0]).shape))
    for row, file in enumerate(files):
        pixels = read_pixels(file)
        _check_size(file, pixels, files[0], images[0])
        if pixels.ndim == 3 and images.ndim == 3:
            images = _in_colour(path, images, row)
        images[row] = pixels if pixels.ndim == images.ndim - 1 else pixels[..., None]
    return images


def _check_size(file, pixels, first_file, first_pixels):
    (height, width), (first_height, first_width) = pixels.shape[:2], first_pixels.shape[:2]
    if (height, width) != (first_height, first_width):
        raise UserError(
            f"{file}: {width} x {height} pixels, but {first_file} has {first_width} x {first_height}; make all "
            "pictures one size"
        )


def _in_colour(path, images, rows):
    """`[N, H, W, 3]` that has the first rows of grey images `[N, H, W]`."""
    coloured = _allocate(path, (*images.shape, 3))
    coloured[:rows] = images[:rows, ..., None]
    return coloured


def _allocate(path, shape):
    subject = f"{path}: its {shape[0]:,} pictures need"
    machine.check_memory(math.prod(shape), subject, "give fewer or smaller ones")
    return np.empty(shape, np.uint8)


def read_pixels(path):
    """uint8 `[H, W]` of a picture that is grey, else `[H, W, 3]`."""
    with open_picture(path) as picture:
        if not _is_opaque(picture):
            raise UserError(f"{path}: has transparent pixels; flatten it onto a background")
        if picture.mode == "L":
            return np.asarray(picture)
        if picture.mode.startswith("I;16"):
            return np.rint(np.asarray(picture) / 257).astype(np.uint8)  # 65535 becomes 255
        if picture.mode in ("I", "F"):
            raise UserError(f"{path}: has 32 bits a pixel; save it with 8")
        colours = np.asarray(picture.convert("RGB"))
    grey = colours[..., :1]
    return grey[..., 0] if (colours == grey).all() else colours


def _is_opaque(picture):
    if not picture.has_transparency_data:
        return True
    if picture.mode.startswith("I"):  # which Pillow cannot give an alpha channel
        return picture.info["transparency"] not in np.asarray(picture)
    return picture.convert("RGBA").getchannel("A").getextrema()[0] == 255


def _note(path, left_out):
    """What is left out, in a line, if anything."""
    if not left_out:
        return ()
    return (
        f"left out: {os.path.relpath(left_out[0], path)} ({len(left_out):,} in all); only {_KINDS} files in the "
        "folders of classes are read",
    )


@contextlib.contextmanager
def open_picture(path):
    """Yields the picture in a file, decoded and upright, as Pillow's image.

    What Pillow raises in the block too becomes a `UserError`, so the block should only convert the picture.

    Args:
      path: PNG, JPEG, BMP, GIF or uncompressed TIFF, whatever its name; a regular file, or a link to one.

    Raises:
      UserError: a file that cannot be opened, is no such picture, or has more than `MOST_PIXELS`.
    """
    try:
        # Pillow warns of what is wrong with a file besides raising.
        with (
            warnings.catch_warnings(action="ignore"),
            open_regular(path) as file,
            Image.open(file, formats=FORMATS) as picture,
        ):
            _check(path, picture)
            ImageOps.exif_transpose(picture, in_place=True)
            yield picture
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(f"{path}: too large; must be at most {MOST_PIXELS:,} pixels in all; scale it down") from None
    except Exception as error:  # a torn or malicious file makes a decoder fail in any way
        reason = getattr(error, "strerror", None) or "not a picture that can be read"
        raise UserError(f"{path}: {reason}; give a PNG, JPEG, BMP or GIF file") from None


def _check(path, picture):
    if picture.width * picture.height > MOST_PIXELS:
        raise UserError(
            f"{path}: {picture.width} x {picture.height} pixels; must be at most {MOST_PIXELS:,} in all; scale it down"
        )
    if picture.format == "TIFF" and picture.info["compression"] != "raw":
        raise UserError(f"{path}: a compressed TIFF file; give a PNG, JPEG, BMP or GIF file")
