"""Reads the user's arrays from an .npz file in the layout of Keras' mnist.npz."""

import contextlib
import io
import math
import warnings
from typing import NamedTuple

import numpy as np

from mlp_tf import UserError
from mlp_tf.base import machine
from mlp_tf.base.files import open_regular
from mlp_tf.base.text import shorten
from mlp_tf.data.labels import check_type, number
from mlp_tf.data.scaling import coarse
from mlp_tf.data.scan import numbers_rows
from mlp_tf.data.splits import PURPOSES, Source, Split

_LAYOUTS = (("x_{}", "y_{}"), ("{}_images", "{}_labels"))  # names of examples and labels: Keras', MedMNIST's
_LONGEST_HEADER = 2**16  # bytes; NumPy itself accepts no more than 10,000
_READERS = {  # of a header, by the version of its format
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class _Header(NamedTuple):
    """The type and shape of an array that is not read yet."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def count(self):
        """Number of its values."""
        return math.prod(self.shape)

    @property
    def nbytes(self):
        """Bytes of its values."""
        return self.count * self.dtype.itemsize


def npz(path):
    """Reads the arrays x_train and y_train, and those of a test and a validation split if they are there.

    They may have MedMNIST's names too: train_images and train_labels. `PURPOSES` has the names of splits. All headers
    are checked before any values are read. Examples of uint8 stay as they are; other numbers become float32.

    Args:
      path: of a regular file, or of a link to one.

    Returns:
      `Source`.

    Raises:
      UserError: no such file, not an .npz, an array that is missing or of a wrong type, not one label for each
        example, a test label that no training row has, more than the memory of this machine.
    """
    with _opened(path) as archive:
        pairs = _find_pairs(path, archive.files)
        headers = {name: _read_header(path, archive.zip, name) for pair in pairs.values() for name in pair}
        for x, y in pairs.values():
            _check_pair(path, headers, x, y)
        needed = sum(_needed(headers[x]) + headers[y].nbytes for x, y in pairs.values())
        machine.check_memory(needed, f"{path}: its arrays need", "give fewer or smaller images")
        arrays = {name: archive[name] for name in headers}
    labels = {split: arrays[y].ravel() for split, (_, y) in pairs.items()}
    labels, class_names = number(labels, {split: f"{path}: {y}" for split, (_, y) in pairs.items()})
    suspicions = _suspicions(pairs["train"][0], arrays[pairs["train"][0]])
    # pop, so that each array is freed once it is converted.
    splits = {split: Split(_to_examples(arrays.pop(x)), labels[split]) for split, (x, _) in pairs.items()}
    unused = sorted({*archive.files} - headers.keys())
    notes = (f"not used: {shorten(', '.join(unused), 400)}",) if unused else ()
    return Source(
        path,
        splits["train"],
        splits.get("test"),
        class_names,
        splits.get("validation"),
        is_user_data=True,
        notes=notes,
        suspicions=suspicions,
    )


def npz_rows(path, needs_labels):
    """Reads the examples of an .npz file for a trained run, as they are.

    They are x_test and y_test, or x and y; without labels, also the only array; with labels, also x_train and y_train.
    All names that `npz` takes are allowed.

    Returns:
      (examples, labels or None, name of the examples, name of the labels or None).

    Raises:
      UserError: as `npz`; there are no such arrays.
    """
    with _opened(path) as archive:
        x, y = _find_rows(path, archive.files, needs_labels)
        headers = {name: _read_header(path, archive.zip, name) for name in (x, y) if name}
        _check_numbers(path, x, headers[x])
        if needs_labels:
            _check_pair(path, headers, x, y)
        machine.check_memory(_needed(headers[x]), f"{path}: {x} needs", "give fewer or smaller images")
        return archive[x], archive[y].ravel() if needs_labels else None, x, y


def _find_rows(path, members, needs_labels):
    """Returns the names of the examples and of the labels; of the latter None if not needed; see `npz_rows`."""
    names = {member.lower(): member for member in members}
    pairs = _find_pairs(path, members)
    found = [pairs["test"]] if "test" in pairs else []
    found.append(tuple(names.get(name, name) for name in "xy"))
    if needs_labels:
        found = [pair for pair in [*found, pairs["train"]] if {*pair} <= {*members}]
        wanted = "x_test and y_test, or x and y"
    else:
        found = [(x, None) for x in [*(x for x, _ in found), *members[: len(members) == 1]] if x in members]
        wanted = "x_test or x, or a single array"
    if not found:
        raise UserError(f"{path}: holds {shorten(', '.join(members), 200) or 'nothing'}; it must hold {wanted}")
    return found[0]


def _find_pairs(path, members):
    """Returns {split: (name of its examples, name of its labels)}; one of the two may be missing."""
    names = {member.lower(): member for member in members}
    pairs = {}
    for word, split in PURPOSES.items():
        for layout in _LAYOUTS:
            pair = tuple(names.get(form.format(word), form.format(word)) for form in layout)
            if not {*pair} & {*members}:
                continue
            if split in pairs:
                raise UserError(f"{path}: both {pairs[split][0]} and {pair[0]} name a {split} split; keep one")
            pairs[split] = pair
    return {"train": ("x_train", "y_train"), **pairs}


@contextlib.contextmanager
def _opened(path):
    """Yields the opened .npz file; turns what a wrong file raises in the block into a `UserError`."""
    try:
        # NumPy warns of an array that Python 2 wrote.
        with (
            warnings.catch_warnings(action="ignore"),
            open_regular(path) as file,
            np.load(file, allow_pickle=False) as archive,
        ):
            yield archive
    except UserError:
        raise
    except Exception as error:  # NumPy and zipfile fail in any way on a torn or malicious file
        if reason := getattr(error, "strerror", None):
            raise UserError(f"{path}: {reason}; give an .npz file that can be read") from None
        raise UserError(
            f"{path}: not an .npz file of plain arrays ({type(error).__name__}); write it with numpy.savez(FILE, "
            "x_train=..., y_train=..., x_test=..., y_test=...), without Python objects in it"
        ) from None


def _read_header(path, archive, name):
    """Returns the `_Header` of an array in a `ZipFile`, after a check that its file has as many bytes as it says."""
    member = f"{name}.npy"
    if member not in archive.namelist():
        raise UserError(
            f"{path}: {name} is not a file in the archive; it must hold the arrays x_train and y_train, and may hold "
            f"x_test and y_test, and x_val and y_val; it has {shorten(', '.join(archive.namelist()), 200)}"
        )
    with archive.open(member) as file:
        beginning = io.BytesIO(file.read(_LONGEST_HEADER))
    read = _READERS[np.lib.format.read_magic(beginning)]
    shape, _, dtype = read(beginning)
    if dtype.hasobject:
        raise UserError(f"{path}: {name} holds Python objects; make it numbers or words, such as {name}.astype(str)")
    if not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("an impossible shape")
    header = _Header(dtype, shape)
    if beginning.tell() + header.nbytes != archive.getinfo(member).file_size:
        raise ValueError("another number of bytes than the header says")
    return header


def _check_numbers(path, name, header):
    if header.dtype.kind not in "biuf" or header.dtype.itemsize > 8:
        raise UserError(
            f"{path}: {name} is {header.dtype}; it must be uint8 (pixels from 0 to 255) or other real numbers"
        )


def _check_pair(path, headers, x, y):
    examples, labels = headers[x], headers[y]
    _check_numbers(path, x, examples)
    check_type(f"{path}: {y}", labels.dtype, labels.shape)
    if examples.shape and examples.shape[0] != labels.shape[0]:
        advice = "give one label for each row"
        if examples.shape[-1] == labels.shape[0]:
            advice = f"if its last axis counts the rows, save numpy.moveaxis({x}, -1, 0)"
            if len(examples.shape) == 2:
                advice = f"if its columns are the examples, save {x}.T"
        raise UserError(f"{path}: {examples.shape[0]} rows in {x} but {labels.shape[0]} labels in {y}; {advice}")


def _needed(header):
    """Returns the bytes that examples take until their split is made.

    The original stays while they are converted, then the uint8 or float32 ones while they are copied into the splits.
    """
    converted = header.count * (1 if header.dtype == np.uint8 else 4)
    return converted + max(converted, header.nbytes)


def _suspicions(name, examples):
    """Returns what looks wrong in features: values that float32 cannot tell apart in the first rows, row numbers."""
    if examples.dtype.itemsize < 4 or examples.ndim != 2 or not examples.size:
        return ()
    beginning = examples[:1000].astype(np.float64)
    found = coarse(beginning, lambda column: f"column {column} of {name}")
    for column in range(examples.shape[1]):
        if numbers_rows(beginning[:, column]) and numbers_rows(examples[:, column].astype(np.float64)):
            found += (f"column {column} of {name} numbers the rows, which says nothing about new ones; leave it out",)
    return found


def _to_examples(array):
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        return np.ascontiguousarray(array, np.uint8 if array.dtype == np.uint8 else np.float32)
