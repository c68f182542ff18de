"""The user's own table in a .csv file: a column of labels, and numbers in all others, read in blocks of rows."""

import codecs
import collections
import contextlib
import csv as standard_csv
import io
import math
import os
import warnings

import numpy as np

from mlp_tf import UserError
from mlp_tf.base import machine
from mlp_tf.base.files import open_regular
from mlp_tf.data.labels import LONGEST, number
from mlp_tf.data.scaling import coarse
from mlp_tf.data.splits import Rows, Source

# pandas is imported where it is used: that takes 0.4 s, and no other dataset needs it.

_VALUES = 2**22  # that are read at once; each takes some 40 bytes until it is one of the examples
_LONGEST_LINE = 2**24  # bytes; a file without a newline would otherwise be read into memory whole
_LARGEST = np.finfo(np.float32).max
_BOOLEANS = {"true": "1", "True": "1", "TRUE": "1", "false": "0", "False": "0", "FALSE": "0"}


def csv(path):
    """The rows of a table: images where its columns are pixels, else features.

    Images are uint8 `[N, H, H]`: all columns but `label` are pixel0, pixel1, ..., in that order and as many as a
    square has, and hold whole numbers from 0 to 255. Features are float32 `[N, D]`, in the columns' order.

    Args:
      path: of a regular file, or of a link to one: text in UTF-8, with the names of the columns in its first line.

    Returns:
      `Source` without test rows. The classes are the labels: as whole numbers if all are, else as words.

    Raises:
      UserError: no such file, not a table, no column `label`, a field that is empty or holds no number, more than the
        memory of this machine.
    """
    words, places, chunks, suspicions = {}, [], [], ()
    with _opened(path) as file:
        _check_memory(path, os.fstat(file.fileno()).st_size)
        names = _read_names(path, file)
        pixels = _are_pixels([name for name in names if name != "label"])
        for frame in _frames(path, file, max(1, _VALUES // len(names)), header=0, names=names, dtype={"label": str}):
            places.append(_places(path, frame.pop("label").str.strip(), words))
            suspicions = suspicions if chunks else _suspicions(frame)
            chunks.append(_examples(path, frame, pixels))
            _check_memory(path, sum(chunk.nbytes for chunk in chunks))
    if not words:
        raise UserError(f"{path}: no rows under the names of the columns; give one for each example")
    numbers, _, class_names = number(_labels(path, list(words)), None, f"{path}: column label")
    rows = _rows(chunks, numbers[np.concatenate(places)], pixels)
    return Source(path, rows, None, class_names, own=True, suspicions=suspicions)


@contextlib.contextmanager
def _opened(path):
    """The file, open; what a wrong one raises in the block becomes a `UserError`."""
    import pandas

    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)  # that it would leave fields out
            yield file
    except OSError as error:
        raise UserError(f"--dataset={path}: {error.strerror}; give a .csv file that can be read") from None
    except pandas.errors.EmptyDataError:
        raise UserError(f"{path}: empty; give a table, with the names of its columns in the first line") from None
    except (pandas.errors.ParserError, pandas.errors.ParserWarning):
        raise UserError(f"{path}: {_torn_line(path)}") from None


def _check_memory(path, size):
    machine.check_memory(size, f"{path}: needs", "give fewer rows or columns", unit="GiB or more")


class _Text(io.TextIOBase):
    """The text of a file, as pandas reads it: bit by bit, and no further than it is text in lines."""

    def __init__(self, path, file):
        file.seek(0)
        self._path, self._file = path, file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._unfinished = 0  # bytes of the line that is being read

    def read(self, size):
        """The next `size` bytes, as text."""
        content = self._file.read(size)
        ended = max(content.rfind(b"\n"), content.rfind(b"\r")) + 1  # bytes of lines that end in it
        self._unfinished = len(content) - ended if ended else self._unfinished + len(content)
        if self._unfinished > _LONGEST_LINE:
            raise UserError(
                f"{self._path}: a line of more than {_LONGEST_LINE:,} bytes; give each row a line of its own"
            )
        if b"\0" in content:
            raise UserError(f"{self._path}: not a text, as it holds NUL bytes; save the table as CSV in UTF-8")
        try:
            return self._decoder.decode(content, final=len(content) < size)
        except UnicodeDecodeError:
            raise UserError(f"{self._path}: not a text in UTF-8; save the table as CSV in UTF-8") from None


def _frames(path, file, rows, **options):
    """Data frames of so many rows each; nothing but an empty field is missing in them."""
    import pandas

    return pandas.read_csv(
        _Text(path, file),
        chunksize=rows,
        index_col=False,
        skipinitialspace=True,
        na_values=[""],
        keep_default_na=False,
        low_memory=False,  # else it guesses a column's type anew every some rows
        **options,
    )


def _read_names(path, file):
    """Names of all columns."""
    line = next(_frames(path, file, 1, header=None, dtype=str))
    names = line.iloc[0].fillna("").str.strip().tolist()
    if "label" not in names:
        raise UserError(f"{path}: {_without_label(names)}")
    if len(names) == 1:
        raise UserError(f"{path}: no column but label; give each example's numbers in columns of their own")
    for place, name in enumerate(names, 1):
        if not name:
            raise UserError(
                f"{path}: column {place} has no name; name it, or leave it out, as pandas does with index=False"
            )
    for name, times in collections.Counter(names).items():
        if times > 1:
            raise UserError(f"{path}: {times} columns are called {_short(name)}; give each a name of its own")
    return names


def _without_label(names):
    """What is wrong with a table that has no column `label`."""
    for separator, called in ((";", "semicolons"), ("\t", "tabs")):
        if any(separator in name for name in names):
            return f"no column label, and {called} in the names; save the table with commas between its columns"
    shown = ", ".join([repr(_short(name)) for name in names[:10]] + ["..."] * (len(names) > 10))
    return f"no column label, but {shown}; rename the column that holds the classes to label"


def _are_pixels(names):
    return math.isqrt(len(names)) ** 2 == len(names) and names == [f"pixel{i}" for i in range(len(names))]


def _places(path, column, words):
    """Where in `words` the labels of some rows stand, as int32; new ones are put to its end.

    Args:
      column: of strings; its index counts all rows.
      words: {label: place}.
    """
    for row in column.index[column.isna()]:
        raise UserError(f"{path}: row {row + 1} has no label; give it one, or leave the row out")
    for row in column.index[column.str.len() > LONGEST]:
        raise UserError(
            f"{path}: row {row + 1}, column label: {_short(column[row])!r} has {len(column[row]):,} characters; must "
            f"be at most {LONGEST}: make it shorter"
        )
    codes, distinct = column.factorize()
    return np.array([words.setdefault(word, len(words)) for word in distinct], np.int32)[codes]


def _suspicions(frame):
    """Whether float32 will do, by the first rows."""
    numbers = frame.select_dtypes("number")
    if not numbers.size:
        return ()
    return coarse(numbers.to_numpy(np.float64), lambda column: f"column {_short(numbers.columns[column])}")


def _examples(path, frame, pixels):
    """The numbers of some rows, `[n, D]`: uint8 if they are pixels and can be, else float32."""
    others = [name for name, dtype in frame.dtypes.items() if dtype.kind not in "biuf"]
    values = frame.assign(**{name: _numbers(frame[name]) for name in others}).to_numpy(np.float64)
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        examples = values.astype(np.float32)
    if not (finite := np.isfinite(examples)).all():
        row, column = np.unravel_index(finite.argmin(), finite.shape)
        raise UserError(
            f"{path}: row {frame.index[row] + 1}, column {_short(frame.columns[column])}: "
            f"{_fault(frame.iat[row, column], values[row, column])}; must be a number from {-_LARGEST:.3g} to "
            f"{_LARGEST:.3g}: mend it, or leave the row or the column out"
        )
    if pixels and (values == (grey := values.clip(0, 255).astype(np.uint8))).all():
        return grey
    return examples


def _numbers(column):
    """A column that pandas took for no numbers; what is none becomes NaN.

    It may be one all the same: of both numbers and booleans, or of whole numbers beyond int64.
    """
    import pandas

    return pandas.to_numeric(column.astype(str).replace(_BOOLEANS), errors="coerce")


def _fault(field, value):
    """What is wrong with a field whose value is no finite float32."""
    if not np.isnan(value):
        return f"{value:g} is too large"
    return f"{_short(field)!r} is not a number" if isinstance(field, str) else "empty"


def _labels(path, words):
    """The distinct labels: an array of whole numbers if all are, else of words."""
    import pandas

    numbers = pandas.to_numeric(np.array(words, object), errors="coerce")
    if numbers.dtype.kind in "iu":
        return numbers
    if not (np.abs(numbers) < 2**53).all():  # words, or beyond the whole numbers that float64 can tell apart
        return np.array(words)
    if (broken := np.flatnonzero(numbers != np.floor(numbers))).size:
        raise UserError(
            f"{path}: {words[broken[0]]} in column label; labels must be whole numbers or words: number the classes"
        )
    return numbers.astype(np.int64)


def _rows(chunks, labels, pixels):
    """`Rows` of the chunks: images if all chunks can be."""
    width = chunks[0].shape[1]
    images = pixels and all(chunk.dtype == np.uint8 for chunk in chunks)
    dtype, shape = (np.uint8, (math.isqrt(width),) * 2) if images else (np.float32, (width,))

    def blocks():
        first = 0
        for chunk in chunks:
            yield chunk.astype(dtype, copy=False).reshape(-1, *shape), labels[first : first + len(chunk)]
            first += len(chunk)

    return Rows((len(labels), *shape), np.dtype(dtype), blocks)


def _torn_line(path):
    """What is wrong with the first line that has more fields than the names, or a quote too many."""
    line, columns = 1, 0
    with open_regular(path) as file, contextlib.suppress(standard_csv.Error):
        text = io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
        lines = standard_csv.reader(text, skipinitialspace=True, strict=True)
        for fields in lines:
            columns = columns or len(fields)
            if len(fields) > columns:
                return (
                    f"line {line} has {len(fields)} fields, but the first line {columns}; quote a field that has commas"
                )
            line = lines.line_num + 1
    return f'line {line} has a quote (") that opens and does not close, or the reverse; write "" for one in a field'


def _short(text):
    return text if len(text) <= 60 else f"{text[:60]}..."
