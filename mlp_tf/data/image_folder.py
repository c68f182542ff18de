"""Reads the user's images from a folder that has a folder for each class, named like it."""

import contextlib
import logging
import math
import mmap
import os
import re
import warnings

import numpy as np
from PIL import Image, ImageOps

from mlp_tf import UserError
from mlp_tf.base import machine
from mlp_tf.base.files import open_regular
from mlp_tf.base.text import shorten
from mlp_tf.data.splits import PURPOSES, Source, Split, find_splits

# Pillow starts no other program for these, as it would for PostScript. Of TIFF this package accepts only what Pillow
# reads without libtiff, which writes to stderr.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
MOST_PIXELS = 50_000_000
_MOST_SCANS = 100  # of a JPEG file; a progressive one has about 10, each of which is decoded over the whole image
_MOST_SEGMENTS = 10_000  # of a JPEG file
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")  # of a segment, or of the end; ITU-T T.81, table B.1
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm")
_KINDS = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
_ANNOTATIONS = {"masks", "labels", "annotations"}  # folders beside one of images, which are not classes
_DEEPEST = 2  # how many folders deeper the images may be
_LAYOUTS = f"put the images ({_KINDS}) in FOLDER/train/CLASS/ and FOLDER/test/CLASS/, or all in FOLDER/CLASS/"

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what it logs about a wrong file, it also raises


def image_folder(path, resize=""):
    """Reads the images of a folder: `train/CLASS/*` and other splits if it has train, else `CLASS/*`.

    The classes are the folders of the training part, sorted, as numbers if all are. Hidden names are ignored.

    Args:
      path: of the folder, or of one that holds nothing else.
      resize: HEIGHTxWIDTH, to which the images are stretched; or empty.

    Returns:
      `Source`; its images are uint8, `[N, H, W]` if all are gray, else `[N, H, W, 3]`.

    Raises:
      UserError: another layout, fewer than two classes, a class without images or that train does not have, an image
        that cannot be read, is transparent or of another size, more than the memory of this machine.
    """
    parts, left_out = _list_parts(path)
    names = _sort(parts["train"])
    if len(names) == 1:
        raise UserError(f"{path}: has only one class, {names[0]}; there must be two or more; {_LAYOUTS}")
    images, notes = _read(
        path, [file for part in parts.values() for name in names for file in part.get(name, [])], resize
    )
    splits = {}
    first = 0
    for split, part in parts.items():
        labels = np.repeat(np.arange(len(names), dtype=np.int32), [len(part.get(name, [])) for name in names])
        splits[split] = Split(images[first : first + len(labels)], labels)
        first += len(labels)
    if left_out:
        listed = shorten(", ".join(os.path.relpath(name, path) for name in left_out), 400)
        notes.append(f"left out ({len(left_out):,}): {listed}; only {_KINDS} files in the folders of classes are read")
    train, test, validation = (splits.get(name) for name in ("train", "test", "validation"))
    return Source(path, train, test, names, validation, is_user_data=True, notes=tuple(notes), kind="folder of images")


def _list_parts(path, deepest=_DEEPEST):
    """Returns ({split: {class: its files}}, train first; what is left out).

    If the folder holds a single folder, which has folders too, these are the classes or splits.
    """
    folders, files = _list(path)
    if len(folders) == 1 and folders[0].lower() not in PURPOSES and deepest:
        inner = os.path.join(path, folders[0])
        if _list(inner)[0]:
            parts, left_out = _list_parts(inner, deepest - 1)
            return parts, [*(os.path.join(path, name) for name in files), *left_out]
    if not folders:
        raise UserError(f"{path}: has no folders of classes; {_LAYOUTS}")
    found = find_splits(path, {name: name for name in folders})
    if not found:
        train, left_out = _list_classes(path)
        return {"train": train}, left_out
    found = {split: name for split, name in found.items() if _list(os.path.join(path, name))[0]}
    if "train" not in found:
        called = ", ".join(name for name in folders if name.lower() in PURPOSES)
        raise UserError(
            f"{path}: has {called}, but no folders of classes in train; a folder with the name of a split is not "
            f"a class; {_LAYOUTS}"
        )
    left_out = [os.path.join(path, name) for name in (*folders, *files) if name not in found.values()]
    parts = {}
    for split in sorted(found, key=lambda split: split != "train"):
        folder = os.path.join(path, found[split])
        parts[split], left_out_of_split = _list_classes(folder)
        left_out += left_out_of_split
        if unknown := sorted(parts[split].keys() - parts["train"].keys()):
            raise UserError(
                f"{os.path.join(folder, unknown[0])}: a class that train does not have; remove it, or put images of it "
                f"in {os.path.join(path, found['train'], unknown[0])}"
            )
    return parts, left_out


def _list_classes(path):
    """Returns ({class: its files in order}, what is left out) of a folder that has folders of classes."""
    names, files = _list(path)
    if "images" in names and _ANNOTATIONS & {*names}:
        raise UserError(
            f"{path}: holds {', '.join(names)}, which are parts of the images, not classes of them; segmentation and "
            f"detection are not supported; {_LAYOUTS}"
        )
    part = {}
    left_out = [os.path.join(path, name) for name in files]
    for name in names:
        folder = os.path.join(path, name)
        inner, files = _list(folder)
        images = [file for file in files if file.lower().endswith(SUFFIXES)]
        if not images:
            raise UserError(f"{folder}: has no images; {_LAYOUTS}")
        part[name] = [os.path.join(folder, file) for file in images]
        left_out += [os.path.join(folder, each) for each in sorted({*inner, *files} - {*images})]
    return part, left_out


def _list(path):
    """Returns (names of the folders in a folder, names of all others), each sorted, without hidden ones."""
    try:
        names = sorted(name for name in os.listdir(path) if not name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a folder that can be read") from None
    folders = []
    others = []
    for name in names:
        if os.path.isdir(os.path.join(path, name)):
            folders.append(name)
        else:
            others.append(name)
    return folders, others


def _sort(names):
    """Returns the names as a tuple in order: as numbers if all are."""
    if all(name.removeprefix("-").isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _read(path, files, resize):
    """Returns (images, uint8 `[N, H, W]` if all are gray, else `[N, H, W, 3]`; a list of notes)."""
    images = _allocate(path, (len(files), *resized(read_pixels(files[0]), resize).shape))
    resized_files = 0
    in_color = []
    for row, file in enumerate(files):
        original = read_pixels(file)
        pixels = resized(original, resize)
        _check_size(file, pixels, files[0], images[0])
        resized_files += original.shape != pixels.shape
        in_color += [file] if pixels.ndim == 3 else []
        if pixels.ndim == 3 and images.ndim == 3:  # the first color image
            gray = images
            images = _allocate(path, (*gray.shape, 3))
            images[:row] = gray[:row, ..., None]
        images[row] = pixels if pixels.ndim == images.ndim - 1 else pixels[..., None]
    notes = []
    if resized_files:
        notes.append(f"{resized_files:,} of {len(files):,} images were resized to {resize} by Pillow's LANCZOS filter")
    if 0 < len(in_color) <= len(files) // 10:
        notes.append(f"all images are read in color, as {in_color[0]} is ({len(in_color):,} of {len(files):,} are)")
    return images, notes


def resized(pixels, resize):
    """Returns an image, uint8 `[H, W]` or `[H, W, 3]`, stretched to HEIGHTxWIDTH; unchanged if that is empty."""
    if not resize:
        return pixels
    height, width = map(int, resize.split("x"))
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def _check_size(file, pixels, first_file, first_pixels):
    height, width, *_ = pixels.shape
    first_height, first_width, *_ = first_pixels.shape
    if (height, width) != (first_height, first_width):
        raise UserError(
            f"{file}: {width} x {height} pixels, but {first_file} has {first_width} x {first_height}; make all images "
            f"one size, such as by --resize={first_height}x{first_width}"
        )


def _allocate(path, shape):
    subject = f"{path}: its {shape[0]:,} images need"
    machine.check_memory(math.prod(shape), subject, "give fewer or smaller ones")
    return np.empty(shape, np.uint8)


def read_pixels(path):
    """Returns the pixels of an image: uint8 `[H, W]` if it is gray, else `[H, W, 3]`.

    Raises:
      UserError: it cannot be read, has transparent pixels, or more than 16 bits a pixel.
    """
    with open_image(path) as image:
        if not _is_opaque(image):
            raise UserError(f"{path}: has transparent pixels; flatten it onto a background")
        if image.mode == "L":
            return np.asarray(image)
        if image.mode.startswith("I;16"):
            return np.rint(np.asarray(image) / 257).astype(np.uint8)  # 65535 becomes 255
        if image.mode in ("I", "F"):
            raise UserError(f"{path}: has 32 bits a pixel; save it with 8")
        colors = np.asarray(image.convert("RGB"))
    gray = colors[..., :1]
    return gray[..., 0] if (colors == gray).all() else colors


def _is_opaque(image):
    if not image.has_transparency_data:
        return True
    if image.mode.startswith("I"):  # Pillow cannot give these an alpha channel
        return image.info["transparency"] not in np.asarray(image)
    return image.convert("RGBA").getchannel("A").getextrema()[0] == 255


@contextlib.contextmanager
def open_image(path):
    """Yields the image in a file, decoded and upright, as Pillow's `Image`.

    Whatever Pillow raises in the block becomes a `UserError` too, so the block should only convert the image.

    Args:
      path: of a file in one of the `FORMATS`, whatever its name; a regular file, or a link to one.

    Raises:
      UserError: a file that cannot be opened, is not such an image, or has too many pixels, scans or segments.
    """
    try:
        # Pillow warns of what is wrong with a file, besides raising it.
        with (
            warnings.catch_warnings(action="ignore"),
            open_regular(path) as file,
            Image.open(file, formats=FORMATS) as image,
        ):
            _check(path, image)
            if image.format in ("JPEG", "MPO"):
                _check_scans(path, file)
            ImageOps.exif_transpose(image, in_place=True)
            yield image
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(f"{path}: too large; must be at most {MOST_PIXELS:,} pixels in all; scale it down") from None
    except Exception as error:  # a torn or malicious file makes a decoder fail in any way
        reason = getattr(error, "strerror", None) or "not an image that can be read"
        raise UserError(f"{path}: {reason}; give a PNG, JPEG, BMP, GIF, WebP or PGM file") from None


def _check(path, image):
    if image.width * image.height > MOST_PIXELS:
        raise UserError(
            f"{path}: {image.width} x {image.height} pixels; must be at most {MOST_PIXELS:,} in all; scale it down"
        )
    if image.format == "TIFF" and image.info["compression"] != "raw":
        raise UserError(f"{path}: a compressed TIFF file; give a PNG, JPEG, BMP, GIF, WebP or PGM file")


def _check_scans(path, file):
    """Raises UserError if a JPEG file has too many segments, or more scans than decode in seconds."""
    scans = 0
    place = 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for _ in range(_MOST_SEGMENTS):
            found = _MARKER.search(content, place)
            if not found or found[1] == b"\xd9" or scans > _MOST_SCANS:
                break
            scans += found[1] == b"\xda"
            place = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
        else:
            raise UserError(f"{path}: a JPEG file of more than {_MOST_SEGMENTS:,} segments; save it as PNG")
    if scans > _MOST_SCANS:
        raise UserError(f"{path}: a JPEG file of more than {_MOST_SCANS} scans; save it as a baseline JPEG or as PNG")
