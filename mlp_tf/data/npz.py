"""The user's own arrays in an .npz file, in the layout of Keras' mnist.npz, read block by block."""

import contextlib
import math
import zipfile
import zlib

import numpy as np

from mlp_tf import UserError
from mlp_tf.data.splits import Rows

_BLOCK = 1000  # rows read at once


def npz(path):
    """(train rows, test rows, classes); the classes are 0 to the largest label.

    Raises:
      UserError: no such file, not an .npz, an array that is missing or holds Python objects, a class
        without an image, images and labels that are not as many.
    """
    with _reading(path):
        train, test = (_npz_rows(path, f"x_{kind}", f"y_{kind}") for kind in ("train", "test"))
        with np.load(path, allow_pickle=False) as file:
            return train, test, _count_classes(path, file["y_train"])


@contextlib.contextmanager
def _reading(path):
    """Turns what a wrong .npz file raises into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise UserError(f"--dataset={path}: {error.strerror}; give an .npz file that can be read") from None
    except KeyError as error:
        raise UserError(f"{path}: {error.args[0]}; it must hold the arrays x_train, y_train, x_test, y_test") from None
    except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path}: not an .npz file of plain arrays ({type(error).__name__}); write it with numpy.savez(FILE, "
            "x_train=..., y_train=..., x_test=..., y_test=...), without Python objects in it"
        ) from None


def _npz_rows(path, x, y):
    with np.load(path, allow_pickle=False) as file:
        labels = file[y]
        with file.zip.open(f"{x}.npy" if x in file.files else x) as member:
            shape, fortran_order, dtype = _npy_header(member)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise UserError(f"{path}: {y} is {labels.dtype} of shape {labels.shape}; labels must be integers of shape [N]")
    if shape and shape[0] != len(labels):
        raise UserError(f"{path}: {shape[0]} images in {x} but {len(labels)} labels in {y}; they must be as many")

    def blocks():
        with _reading(path), np.load(path, allow_pickle=False) as file:
            if fortran_order:  # its rows do not follow one another
                yield file[x], labels
                return
            with file.zip.open(f"{x}.npy") as member:
                _npy_header(member)
                for start in range(0, shape[0], _BLOCK):
                    part = labels[start : start + _BLOCK]
                    size = math.prod(shape[1:]) * len(part) * dtype.itemsize
                    yield np.frombuffer(member.read(size), dtype).reshape(len(part), *shape[1:]), part

    return Rows(shape, dtype, blocks)


def _npy_header(member):
    """(shape, whether in Fortran's order, dtype) of an array in an .npz file, which is read up to its data."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(member)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return shape, fortran_order, dtype


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
