"""Reads the user's IDX files, the format in which MNIST, Fashion-MNIST, KMNIST and EMNIST are published."""

import contextlib
import glob
import gzip
import math
import os
import re
import struct
import zlib

import numpy as np

from mlp_tf import UserError
from mlp_tf.base import machine
from mlp_tf.base.files import open_regular
from mlp_tf.base.text import shorten
from mlp_tf.data.labels import number
from mlp_tf.data.splits import Source, Split

_NAME = re.compile(r"(.*?)(train|t10k|test)[-._](images|labels)[-._]idx\d[-._]\w+?(\.gz)?", re.IGNORECASE | re.DOTALL)
_DEEPEST = 2  # folders below the given one
_DIMENSIONS = {"images": 3, "labels": 1}
_GZIP = b"\x1f\x8b"  # how such a file begins


def idx_folder(path):
    """Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and the two of `t10k` or `test` if they are there.

    Their names may share a prefix, and have `.` for the `-` before idx. They may be packed by gzip, or lie up to two
    folders deeper. Images whose prefix begins with emnist are stored transposed, so they are transposed back.

    Args:
      path: of the folder.

    Returns:
      `Source`; None if there are no IDX files.

    Raises:
      UserError: several sets, a set without labels or images, a file that is not an IDX file of bytes or not of the
        size in its header, not one label for each image, more than the memory of this machine.
    """
    sets = _find(path)
    if not sets:
        return None
    if len(sets) > 1:
        listed = ", ".join(os.path.relpath(min(files.values()), path) for files in sets.values())
        raise UserError(
            f"{path}: holds {len(sets)} sets of IDX files, those of {shorten(listed, 400)}; give the "
            "folder of one, or move the files of one into a separate folder"
        )
    [((folder, prefix), files)] = sets.items()
    shapes = _read_shapes(folder, prefix, files)
    needed = 2 * sum(map(math.prod, shapes.values()))  # once more while they are unpacked, transposed or split
    machine.check_memory(needed, f"{path}: its IDX files need", "give fewer or smaller images")
    arrays = {key: _read(files[key], key[1]) for key in shapes}
    notes = ()
    if prefix.lower().startswith("emnist"):
        notes = ("the images are transposed, as EMNIST stores them so",)
        arrays |= {key: np.ascontiguousarray(arrays[key].transpose(0, 2, 1)) for key in arrays if key[1] == "images"}
    labels = {part: array for (part, what), array in arrays.items() if what == "labels"}
    labels, class_names = number(labels, {part: f"{path}: {part}-labels" for part in labels})
    splits = {part: Split(arrays[part, "images"], labels[part]) for part in labels}
    return Source(path, splits["train"], splits.get("test"), class_names, is_user_data=True, notes=notes)


def _find(path):
    """Returns the sets of IDX files in a folder, else in those one folder deeper, and so on.

    Returns:
      {(folder, prefix of the names): {(train or test, images or labels): path}}; an unpacked file takes precedence over
      a packed one.
    """
    sets = {}
    for depth in range(_DEEPEST + 1):
        paths = glob.glob(os.path.join(glob.escape(path), *["*"] * depth, "*"))
        for file in sorted(paths, key=lambda each: (not each.lower().endswith(".gz"), each)):
            folder, name = os.path.split(file)
            match = _NAME.fullmatch(name)
            if match and not os.path.isdir(file):
                prefix, part, what, _ = match.groups()
                part = "train" if part.lower() == "train" else "test"
                sets.setdefault((folder, prefix), {})[part, what.lower()] = file
        if sets:
            break
    return sets


@contextlib.contextmanager
def _opened(path):
    """Yields the bytes of a file, unpacked if they are gzip's; turns what a wrong file raises into a `UserError`."""
    try:
        with open_regular(path) as file, gzip.open(file) if file.peek(2)[:2] == _GZIP else file as stream:
            yield stream
    except (OSError, EOFError, zlib.error) as error:
        if reason := getattr(error, "strerror", None):
            raise UserError(f"{path}: {reason}; give a file that can be read") from None
        raise UserError(f"{path}: cannot be unpacked ({error}); download it again") from None


def _read_shapes(folder, prefix, files):
    """Returns {(train or test, images or labels): shape} of complete parts, with one label for each image."""
    shapes = {}
    for part in ("train", "test") if any(part == "test" for part, _ in files) else ("train",):
        for what, dimensions in _DIMENSIONS.items():
            file = files.get((part, what))
            if file is None:
                raise UserError(
                    f"{folder}: has no {prefix}{part}-{what}-idx{dimensions}-ubyte beside "
                    f"{os.path.basename(min(files.values()))}; put it there, or give another folder"
                )
            with _opened(file) as stream:
                shapes[part, what] = _read_shape(file, what, stream)
        images, labels = (shapes[part, what][0] for what in _DIMENSIONS)
        if images != labels:
            raise UserError(
                f"{files[part, 'labels']}: {labels:,} labels, but {images:,} images in "
                f"{os.path.basename(files[part, 'images'])}; give one label for each image"
            )
    return shapes


def _read_shape(path, what, stream):
    """Returns the shape of the array in an IDX file, and leaves the stream at its first value."""
    dimensions = _DIMENSIONS[what]
    magic = bytes([0, 0, 8, dimensions])
    beginning = stream.read(4)
    if beginning != magic:
        page = " (a web page?)" if beginning.strip().startswith(b"<") else ""
        raise UserError(
            f"{path}: begins with {beginning!r}{page}, but IDX {what} with {magic!r} (unsigned bytes, "
            f"{dimensions}-dimensional, big endian); download it again, or save its arrays as an .npz file"
        )
    sides = stream.read(4 * dimensions)
    if len(sides) < 4 * dimensions:
        raise UserError(f"{path}: ends within its header; download it again")
    shape = struct.unpack(f">{dimensions}I", sides)
    if 0 in shape:
        raise UserError(f"{path}: its header says {what} of shape {list(shape)}; none of these may be 0")
    return shape


def _read(path, what):
    """Returns the values in an IDX file, uint8."""
    with _opened(path) as stream:
        values = np.empty(_read_shape(path, what, stream), np.uint8)
        count = stream.readinto(values)
        found = "more" if stream.read(1) else f"{count:,}"
    if found != f"{values.size:,}":
        raise UserError(
            f"{path}: holds {found} bytes of {what}, but its header says {values.size:,}; download it again"
        )
    return values
