"""The user's own arrays in an .npz file, in the layout of Keras' mnist.npz, read block by block."""

import contextlib
import io
import math
import warnings
import zipfile
from typing import NamedTuple

import numpy as np

from mlp_tf import UserError
from mlp_tf.base import machine
from mlp_tf.base.files import open_regular
from mlp_tf.data.labels import check_type, number
from mlp_tf.data.scaling import coarse
from mlp_tf.data.splits import Rows, Source

_BLOCK = 1000  # rows read at once
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
    """The `Source` of the arrays x_train, y_train, and x_test, y_test if they are there.

    All that the headers tell is checked before any data are read. Examples of uint8 stay as they are, other numbers
    become float32.

    Args:
      path: of a regular file, or of a link to one.
      workers: that share the examples.

    Raises:
      UserError: no such file, not an .npz, an array that is missing or of a wrong type, examples and labels that are
        not as many, a test label that is none of the training labels, more than the memory of this machine.
    """
    with _archive(path) as archive:
        pairs = [("x_train", "y_train"), ("x_test", "y_test")]
        if not {"x_test.npy", "y_test.npy"} & set(archive.namelist()):
            del pairs[1]
        arrays = {name: _find(path, archive, name) for pair in pairs for name in pair}
        for x, y in pairs:
            _check_pair(path, arrays, x, y)
        _check_memory(path, arrays, workers)
        given = {y: _read_labels(archive, arrays[y]) for _, y in pairs}
    train, test, names = number(given["y_train"], given.get("y_test"), f"{path}: y_train", f"{path}: y_test")
    test_rows = None if test is None else _rows(path, arrays["x_test"], test)
    suspicions = _suspicions(path, arrays["x_train"])
    return Source(path, _rows(path, arrays["x_train"], train), test_rows, names, own=True, suspicions=suspicions)


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
            f"{path}: {name} is not a file in the archive; it must hold the arrays x_train and y_train, and may hold "
            "both x_test and y_test"
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
    examples, its_labels = arrays[x], arrays[y]
    if examples.dtype.kind not in "biuf" or examples.dtype.itemsize > 8:
        raise UserError(
            f"{path}: {x} is {examples.dtype}; it must be uint8 (pixels from 0 to 255) or other real numbers"
        )
    check_type(f"{path}: {y}", its_labels.dtype, its_labels.shape)
    if examples.shape and examples.shape[0] != its_labels.shape[0]:
        raise UserError(
            f"{path}: {examples.shape[0]} rows in {x} but {its_labels.shape[0]} labels in {y}; they must be as many"
        )


def _check_memory(path, arrays, workers):
    needed = sum(_needed(name, array, workers) for name, array in arrays.items())
    machine.check_memory(needed, f"{path}: its arrays need", "give fewer or smaller images")


def _needed(name, array, workers):
    """Bytes that an array takes here: labels as they are, and of the examples this worker's as uint8 or float32."""
    if name.startswith("y"):
        return array.size
    kept = math.prod(array.shape) * (1 if array.dtype == np.uint8 else 4)
    return kept // workers + (array.size if array.fortran_order else 0)


def _read_labels(archive, array):
    with archive.open(array.member) as file:
        file.read(array.start)
        return np.frombuffer(file.read(array.size), array.dtype).reshape(array.shape)


def _rows(path, examples, labels):
    dtype = np.dtype(np.uint8 if examples.dtype == np.uint8 else np.float32)

    def blocks():
        first = 0
        for block in _blocks(path, examples):
            with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
                block = block.astype(dtype, copy=False)
            yield block, labels[first : first + len(block)]
            first += len(block)

    return Rows(examples.shape, dtype, blocks)


def _blocks(path, examples):
    """The rows of an array as they are, some at a time."""
    with _archive(path) as archive, archive.open(examples.member) as file:
        if examples.fortran_order:  # its rows do not follow one another
            whole = np.lib.format.read_array(file, allow_pickle=False)
            for first in range(0, len(whole), _BLOCK):
                yield whole[first : first + _BLOCK]
            return
        file.read(examples.start)
        for first in range(0, examples.shape[0], _BLOCK):
            shape = (min(_BLOCK, examples.shape[0] - first), *examples.shape[1:])
            content = file.read(math.prod(shape) * examples.dtype.itemsize)
            yield np.frombuffer(content, examples.dtype).reshape(shape)


def _suspicions(path, examples):
    """Whether float32 will do, by the first rows of features that have more digits."""
    if examples.dtype.itemsize < 4 or len(examples.shape) != 2 or not math.prod(examples.shape):
        return ()
    return coarse(next(_blocks(path, examples)).astype(np.float64), "column {} of x_train".format)
