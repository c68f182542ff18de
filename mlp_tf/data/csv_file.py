"""Reads a .csv file with pandas, and explains in one line what is wrong with it."""

import collections
import contextlib
import io
import os
import re
import warnings

import pandas

from mlp_tf import UserError
from mlp_tf.base import machine
from mlp_tf.base.files import open_regular
from mlp_tf.base.text import shorten

_LONGEST_LINE = 2**24  # bytes; pandas would read a file without line ends into memory as a single field
_MOST_COLUMNS = 100_000  # pandas takes 0.2 ms for each
_FIELD = 32  # bytes that pandas takes for a field, besides its text


@contextlib.contextmanager
def opened(path):
    """Yields the opened file, after a check that it is text that fits into memory.

    Args:
      path: of a regular file, or of a link to one.

    Raises:
      UserError: it cannot be read, is not text in lines, or is larger than the memory of this machine.
    """
    try:
        with open_regular(path) as file:
            _check_text(path, file)
            yield file
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a .csv file that can be read") from None


def _check_text(path, file):
    """Raises UserError for a file that is not text in lines, or that does not fit into memory as a table."""
    size = os.fstat(file.fileno()).st_size
    _check_memory(path, size)
    fields = 0
    while block := file.read(_LONGEST_LINE):
        if b"\0" in block:
            raise UserError(f"{path}: not a text, as it holds NUL bytes; save the table as CSV in UTF-8")
        ends = block.count(b"\n") + block.count(b"\r")
        if not ends and len(block) == _LONGEST_LINE:
            raise UserError(f"{path}: a line of more than {_LONGEST_LINE:,} bytes; begin a new line for each row")
        fields += block.count(b",") + ends
    _check_memory(path, size + _FIELD * fields)


def _check_memory(path, size):
    machine.check_memory(size, f"{path}: needs", "give fewer rows or columns", unit="GiB or more")


def read_first_line(path, file):
    """Returns the fields of the first line, which should name all columns; raises UserError if they are too many."""
    file.seek(0)
    beginning = file.read(2 * _LONGEST_LINE).lstrip(b" \r\n")
    line = re.match(rb"[^\r\n]*", beginning)[0]
    columns = line.count(b",") + 1
    if columns > _MOST_COLUMNS:
        raise UserError(f"{path}: {columns:,} columns; must be at most {_MOST_COLUMNS:,}: save them in an .npz file")
    frame = read(path, io.BytesIO(line), header=None, dtype=str)
    return frame.iloc[0].fillna("").str.strip().tolist()


def read_columns(path, file, names, has_names, texts):
    """Reads the whole table.

    Args:
      path, file: of the table.
      names: of all columns.
      has_names: whether the first line holds names, not a row.
      texts: names of the columns to read as text.

    Returns:
      A data frame.

    Raises:
      UserError: two columns with the same name, no rows, or no table that pandas can read.
    """
    name, times = collections.Counter(names).most_common(1)[0]
    if times > 1:
        called = f"are called {shorten(name, 60)}" if name else "have no name"
        raise UserError(f"{path}: {times} columns {called}; give each its own name")
    file.seek(0)
    frame = read(path, file, header=0 if has_names else None, names=names, dtype=dict.fromkeys(texts, str))
    if frame.empty:
        raise UserError(f"{path}: no rows under the names of the columns; give one for each example")
    return frame


def read(path, file, **options):
    """Returns a table, or the part that the options select, as a data frame in which only empty fields are missing.

    Raises:
      UserError: no table that pandas can read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)  # pandas would drop fields
            return pandas.read_csv(
                file,
                index_col=False,
                skipinitialspace=True,
                na_values=[""],
                keep_default_na=False,
                low_memory=False,  # else the type of a column could change from block to block
                **options,
            )
    except pandas.errors.EmptyDataError:
        raise UserError(f"{path}: empty; give a table, with the names of its columns in the first line") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text in UTF-8; save the table as CSV in UTF-8") from None
    except (pandas.errors.ParserError, pandas.errors.ParserWarning) as error:
        raise UserError(f"{path}: {_explain(str(error))}") from None


def _explain(message):
    """Returns what is wrong with a table, from pandas' message, which counts a field with line ends as one line."""
    if ragged := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message):
        expected, line, found = ragged.groups()
        return f"line {line} has {found} fields, but the first line {expected}; quote a field that has commas"
    if quoted := re.search(r"EOF inside string starting at row (\d+)", message):
        return f'line {int(quoted[1]) + 1} has a quote (") that does not close; write "" for one in a field'
    if message.startswith("Length of header"):  # pandas takes the first row as it is, and checks all others
        return "row 1 has more fields than the first line; quote a field that has commas"
    return f"not a table that pandas can read ({message.splitlines()[0]}); save it as CSV in UTF-8"
