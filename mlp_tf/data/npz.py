"""The user's own arrays in an .npz file, in the layout of Keras' mnist.npz, read block by block."""

import contextlib
import io
import math
import warnings
import zipfile
from typing import NamedTuple

import numpy as np

from mlp_tf import UserError, machine
from mlp_tf.data.splits import Rows
from mlp_tf.regular import open_regular

_BLOCK = 1000  # rows read at once
_NAMES = ("x_train", "y_train", "x_test", "y_test")
_LONGEST_HEADER = 2**16  # bytes; NumPy itself reads no more than 10,000


class _Array(NamedTuple):
    """An array in an .npz file, by its header."""

    member: str
    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    start: int  # of its data, in bytes from the beginning of the member

    @property
    def size(self):
        """Bytes of its data."""
        return math.prod(self.shape) * self.dtype.itemsize


def npz(path, workers=1):
    """(train rows, test rows, classes); the classes are 0 to the largest label.

    All that the headers tell is checked before any data are read.

    Args:
      path: of a regular file, or of a link to one.
      workers: that share the images.

    Raises:
      UserError: no such file, not an .npz, an array that is missing or holds Python objects, a class
        without an image, images and labels that are not as many, more than the memory of this machine.
    """
    with _archive(path) as archive:
        arrays = {name: _find(path, archive, name) for name in _NAMES}
        for x, y in (("x_train", "y_train"), ("x_test", "y_test")):
            _check_pair(path, arrays, x, y)
        _check_memory(path, arrays, workers)
        train_labels, test_labels = (_read_labels(archive, arrays[y]) for y in ("y_train", "y_test"))
    train = _rows(path, arrays["x_train"], train_labels)
    return train, _rows(path, arrays["x_test"], test_labels), _count_classes(path, train_labels)


@contextlib.contextmanager
def _archive(path):
    """The .npz file, open; what a wrong one raises in the block becomes a `UserError`."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except UserError:
        raise
    except Exception as error:  # NumPy and zipfile fail in any way on a torn or malicious file
        if reason := getattr(error, "strerror", None):
            raise UserError(f"--dataset={path}: {reason}; give an .npz file that can be read") from None
        raise UserError(
            f"{path}: not an .npz file of plain arrays ({type(error).__name__}); write it with numpy.savez(FILE, "
            "x_train=..., y_train=..., x_test=..., y_test=...), without Python objects in it"
        ) from None


def _find(path, archive, name):
    member = f"{name}.npy"
    if member not in archive.namelist():
        raise UserError(
            f"{path}: {name} is not a file in the archive; it must hold the arrays x_train, y_train, x_test, y_test"
        )
    with archive.open(member) as file:
        header = io.BytesIO(file.read(_LONGEST_HEADER))
    version = np.lib.format.read_magic(header)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings(action="ignore"):  # that Python 2 wrote it
        array = _Array(member, *read(header), header.tell())
    if array.dtype.hasobject or not all(type(side) is int and side >= 0 for side in array.shape):
        raise ValueError("Python objects, or an impossible shape")
    if array.start + array.size != archive.getinfo(member).file_size:
        raise ValueError("not as many bytes as the header says")
    return array


def _check_pair(path, arrays, x, y):
    images, labels = arrays[x], arrays[y]
    if labels.dtype.kind not in "iu" or len(labels.shape) != 1:
        raise UserError(f"{path}: {y} is {labels.dtype} of shape {labels.shape}; labels must be integers of shape [N]")
    if images.shape and images.shape[0] != labels.shape[0]:
        raise UserError(
            f"{path}: {images.shape[0]} images in {x} but {labels.shape[0]} labels in {y}; they must be as many"
        )


def _check_memory(path, arrays, workers):
    shares = {name: 1 if name[0] == "y" or array.fortran_order else workers for name, array in arrays.items()}
    needed, there = sum(array.size // shares[name] for name, array in arrays.items()), machine.memory()
    if needed > there:
        raise UserError(
            f"{path}: its arrays need {needed / 2**30:,.1f} GiB, and this machine has {there / 2**30:,.1f}; give fewer "
            "or smaller images"
        )


def _read_labels(archive, array):
    with archive.open(array.member) as file:
        file.read(array.start)
        return np.frombuffer(file.read(array.size), array.dtype).reshape(array.shape)


def _rows(path, images, labels):
    def blocks():
        with _archive(path) as archive, archive.open(images.member) as file:
            if images.fortran_order:  # its rows do not follow one another
                yield np.lib.format.read_array(file, allow_pickle=False), labels
                return
            file.read(images.start)
            for first in range(0, len(labels), _BLOCK):
                part = labels[first : first + _BLOCK]
                shape = (len(part), *images.shape[1:])
                content = file.read(math.prod(shape) * images.dtype.itemsize)
                yield np.frombuffer(content, images.dtype).reshape(shape), part

    return Rows(images.shape, images.dtype, blocks)


def _count_classes(path, labels):
    if not labels.size or labels.min() < 0:
        return 0  # `load` says what is wrong with them
    present = np.unique(labels)
    # One stray label would otherwise add outputs by the thousand.
    if len(present) <= present[-1]:
        missing = np.argmax(present != np.arange(len(present)))
        raise UserError(
            f"{path}: y_train goes up to {present[-1]} but has no label {missing}; labels must be 0 to classes-1, "
            "each with at least one image"
        )
    return len(present)
