"""The user's table: examples and labels as the file has them, and faults refused by row, column and value."""

import os
import re
import resource

import numpy as np
import pytest
from helpers import NO_REGULAR_FILES
from PIL import Image

from mlp_tf import UserError
from mlp_tf.config import Config
from mlp_tf.data import load
from mlp_tf.data.sources import resolve
from mlp_tf.data.tables import csv, csv_folder


@pytest.fixture
def write(tmp_path):
    """Writes a .csv file, of text or of bytes."""

    def write_file(content):
        path = tmp_path / "a.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write_file


@pytest.fixture
def read(write):
    """Writes a .csv file and reads it: (examples, labels, names of the classes)."""

    def read_file(content):
        source = csv(write(content))
        return source.train.images, source.train.labels, source.class_names

    return read_file


def table(values, labels, names, place=0):
    """Text of a table with the column `label` at `place`."""
    lines = [[*names], *([f"{value}" for value in row] for row in values.tolist())]
    for line, label in zip(lines, ["label", *labels], strict=True):
        line.insert(place, str(label))
    return "".join(",".join(line) + "\n" for line in lines)


def digits(rows=30, side=3, seed=0):
    """(values `[rows, side ** 2]`, labels, names of the columns) of a table of images."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (rows, side**2))
    values[0, :2] = 0, 255
    return values, rng.permutation(np.arange(rows) % 3), [f"pixel{i}" for i in range(side**2)]


SPELLINGS = {
    "pixel0": [f"pixel{i}" for i in range(9)],
    "pixel1": [f"pixel{i}" for i in range(1, 10)],
    "0x0": ["0x0", "0x1", "0x2", "1x0", "1x1", "1x2", "2x0", "2x1", "2x2"],
    "1x1": ["1x1", "1x2", "1x3", "2x1", "2x2", "2x3", "3x1", "3x2", "3x3"],
}


@pytest.mark.parametrize("place", [0, 4, 9])
@pytest.mark.parametrize("names", SPELLINGS.values(), ids=SPELLINGS)
def test_columns_called_as_pixels_are_images(write, place, names):
    values, labels, _ = digits()
    path = write(table(values, labels, names, place))
    source = csv(path)
    assert (source.name, source.test, source.is_user_data, source.class_names) == (path, None, True, ("0", "1", "2"))
    images, numbers, *_ = source.train
    assert (images.dtype, numbers.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(images, values.reshape(-1, 3, 3))
    np.testing.assert_array_equal(numbers, labels)


PIXELS = SPELLINGS["pixel0"]


@pytest.mark.parametrize(
    "names",
    [PIXELS[:8], [*PIXELS[:7], "pixel8", "pixel7"], [f"pixel{i}" for i in range(2, 11)], [*PIXELS[:8], "width"]],
    ids=["8 pixels", "other order", "from pixel2", "other name"],
)
def test_columns_of_other_names_are_features(read, names):
    values, labels, _ = digits()
    values = values[:, : len(names)]
    examples, numbers, _ = read(table(values, labels, names, 2))
    assert examples.dtype == np.float32
    np.testing.assert_array_equal(examples, values.astype(np.float32))
    np.testing.assert_array_equal(numbers, labels)


def test_features_are_the_nearest_float32_of_the_text(read):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(200, 7)) * 10.0 ** rng.integers(-30, 30, (200, 7))
    labels = np.arange(200) % 2
    np.testing.assert_array_equal(read(table(values, labels, "abcdefg"))[0], values.astype(np.float32))


@pytest.mark.parametrize("late", [None, 0.5, 300])
def test_one_value_or_label_of_another_kind_counts_however_late_it_is(read, late):
    rows = 60_000  # more than pandas would look at together, if it guessed a column's type block by block
    values, labels, names = digits(rows)
    if late:
        values = values.astype(object)
        values[-1, 3] = late
    examples, numbers, classes = read(table(values, [f"0{label}" for label in labels[:-1]] + ["cat"], names))
    assert examples.dtype == np.float32
    np.testing.assert_array_equal(examples.reshape(rows, -1), values.astype(np.float32))
    assert classes == ("00", "01", "02", "cat")
    np.testing.assert_array_equal(numbers, [*labels[:-1], 3])


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        (["cat", "dog", "ant"], ("ant", "cat", "dog"), [1, 2, 0]),
        (["10", "9", "-3"], ("-3", "9", "10"), [2, 1, 0]),
        (["1.0", "2.0", "1.0"], ("1", "2"), [0, 1, 0]),
        (["1", "1.0", "1e3"], ("1", "1000"), [0, 0, 1]),
        (["007", "7", "8"], ("7", "8"), [0, 0, 1]),
        (["1", "cat", "01"], ("01", "1", "cat"), [1, 2, 0]),
        (["True", "False", "True"], ("False", "True"), [1, 0, 1]),
        (["NA", "None", "nan"], ("NA", "None", "nan"), [0, 1, 2]),
        (["inf", "1", "2"], ("1", "2", "inf"), [2, 0, 1]),
        (["10000000000000001", "10000000000000000", "9"], ("9", "10000000000000000", "10000000000000001"), [2, 1, 0]),
        (["9" * 20, "1", "2"], ("1", "2", "9" * 20), [2, 0, 1]),
        (['"a, ""b"""', "Zoë", "a b "], ('Zoë', 'a b', 'a, "b"'), [2, 0, 1]),
        (["x" * 200, "y", "z"], ("x" * 200, "y", "z"), [0, 1, 2]),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_labels_are_whole_numbers_if_all_are_else_words(read, labels, classes, numbers):
    _, found, names = read(table(np.ones((3, 2)), labels, "ab"))
    assert (found.tolist(), names) == (numbers, classes)


@pytest.mark.parametrize(
    "text",
    [
        "label,a,b\r\nx,1,2\r\ny,3,4\r\n",
        "label,a,b\rx,1,2\ry,3,4",
        "\ufefflabel,a,b\nx,1,2\ny,3,4\n",
        '"label","a","b"\n"x","1","2"\n"y","3","4"\n',
        "label , a, b\nx, 1 , 2\ny, 3 , 4\n",
        'a, label, b\n 1, x, 2\n "3", "y", "4"\n',
        "\n\nlabel,a,b\n\nx,1,2\n  \n\ny,3,4\n\n",
        "label,a,b\nx,1,2,\ny,3,4,\n",
        "label,a,b\nx,+1,2e0\ny,3.0,.4e1\n",
    ],
)
def test_a_table_may_be_written_in_many_ways(read, text):
    examples, labels, names = read(text)
    assert (examples.tolist(), labels.tolist(), names) == ([[1, 2], [3, 4]], [0, 1], ("x", "y"))


@pytest.mark.parametrize(("true", "false"), [("True", "False"), ("TRUE", "FALSE"), ("true", "false")])
def test_booleans_are_1_and_0(read, true, false):
    examples, _, _ = read(f"label,a,b\nx,{true},{false}\ny,{false},{true}\nz,{true},7\n")
    assert examples.tolist() == [[1, 0], [0, 1], [1, 7]]


def test_whole_numbers_may_be_beyond_64_bits(read):
    examples, _, _ = read(f"label,a,b\nx,{2**63},1\ny,{10**30},2\n")
    np.testing.assert_array_equal(examples, np.float32([[2**63, 1], [1e30, 2]]))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_may_be_longer_than_the_longest_line(read, monkeypatch, end):
    monkeypatch.setattr("mlp_tf.data.csv_file._LONGEST_LINE", 20)
    examples, _, _ = read(f"label,a{end}" + f"x,1{end}y,2{end}" * 50_000)
    assert examples.ravel().tolist() == [1, 2] * 50_000


NOISE = np.random.default_rng(0).normal(size=(30, 2)).round(4)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("Id", range(1, 31)),
        ("", range(30)),
        ("Unnamed: 0", range(29, -1, -1)),
        ("time", [1.7e12 + 20 * i for i in range(30)]),
        ("t", [0.1 * i for i in range(30)]),
        ("index", np.random.default_rng(1).permutation(30) + 100),
    ],
)
def test_a_column_that_numbers_the_rows_is_left_out_with_a_warning(write, name, numbers):
    names = ["a", name, "b"]
    values = np.column_stack([NOISE[:, 0], numbers, NOISE[:, 1]])
    source = csv(write(table(values, np.arange(30) // 10, names)))
    np.testing.assert_array_equal(source.train.images, NOISE.astype(np.float32))
    [warning] = source.suspicions
    assert warning.startswith(f"the column {name or 'without a name'} numbers the rows, which says nothing")


@pytest.mark.parametrize(
    "numbers", [np.arange(30) ** 2, np.arange(30) // 2, [*range(29), 30], np.full(30, 7), NOISE[:, 1]]
)
def test_other_columns_of_whole_or_sorted_numbers_stay(write, numbers):
    source = csv(write(table(np.column_stack([NOISE[:, 0], numbers]), np.arange(30) // 10, "ab")))
    assert (source.train.images.shape, source.suspicions) == ((30, 2), ())


def test_an_only_feature_may_be_in_steps(write):
    """As numpy.linspace makes it for a first try."""
    source = csv(write(table(np.linspace(-1, 1, 30)[:, None], np.arange(30) // 15, "x")))
    assert (source.train.images.shape, source.suspicions) == ((30, 1), ())


def test_row_numbers_are_left_out_of_every_table_of_a_folder(tmp_path):
    for name, first in (("train", 0), ("test", 30)):
        values = np.column_stack([np.arange(first, first + 30), NOISE])
        write_tables(tmp_path, **{name: table(values, np.arange(30) % 3, ["Id", "a", "b"])})
    source = resolve(str(tmp_path))
    assert source.train.images.shape == source.test.images.shape == (30, 2)
    assert len(source.suspicions) == 1


ROWS = "x,1,2\ny,3,4\n"
RANGE = r"; must be a number from -3\.4e\+38 to 3\.4e\+38: fix it, or leave the row or the column out"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty; give a table, with the names"),
        (" \n\r\n", "empty; give a table"),
        ("label,a,b\n", "no rows under the names of the columns"),
        ("label,a,b", "no rows under the names of the columns"),
        ("class,a,b\n" + ROWS, "no column label, but 'class', 'a', 'b'; name the one .*, such as --label=class$"),
        ("Label,a,b\n" + ROWS, "no column label, but 'Label', .*, such as --label=Label$"),
        (",".join(f"f{i}" for i in range(11)) + "\n", r"no column label, but 'f0', .* 'f9', \.\.\.; name .* by"),
        ("x" * 1000 + ",y\n", r"no column label, but 'x{29}\.\.\.x{28}', 'y'; name"),
        ("a,the kind\n" + "1,x\n2,y\n" * 9, "no column label, but 'a', 'the kind'; name .* '--label=the kind'$"),
        ("a,b\n" + "1,0.5\n2,0.25\n" * 9, "no column label, but 'a', 'b'; name .* by --label=NAME$"),
        ("label;a;b\nx;1;2\n", "no column label, and semicolons in the names; save the table with commas"),
        ("label\ta\tb\nx\t1\t2\n", "no column label, and tabs in the names; save the table with commas"),
        ("label|a|b\nx|1|2\n", "no column label, and bars in the names; save the table with commas"),
        ("label a b\nx 1 2\n", "no column label, and spaces in the names; save the table with commas"),
        ("1,2,0\n2,3,1\n", "the first line holds numbers, not names; put a line of names above it, with label for"),
        ("0,1,2\n" + "2,0.5,1\n3,0.5,1\n" * 9, "no column label, but '0', '1', '2'; name"),
        ("5,6,True\n" + "2,3,False\n" * 9, "no column label, but '5', '6', 'True'; name"),
        ("5,6,nan\n" + "2,3,1\n" * 9, "no column label, but '5', '6', 'nan'; name"),
        ("5,6,x\n" + "2,y,x\n" * 9, "row 2, column 2: 'y'; must be"),
        ("5,6,1\n" + "2,y,0\n" * 9, "the first line holds numbers, not names"),
        ("400,410,class\n" + "2,3,x\n3,4,y\n" * 9, "no column label, but '400', '410', 'class'; name"),
        ("label\nx\ny\n", "no column except label; put the numbers of each example into other columns"),
        ("label,a,a\n" + ROWS, "2 columns are called a; give each its own name"),
        ("label,a, label\n" + ROWS, "2 columns are called label; "),
        (",label,a\n0,x,1\n1,y,2\n", "a column has no name; leave it out, as pandas does with index=False, or name it"),
        (",label,\n0,x,1\n1,y,2\n", "2 columns have no name; give each its own name"),
        ("label,a,b\n" + ROWS + "z,5,abc\n", "row 3, column b: 'abc'" + RANGE),
        ("label,file\nx,a/0.PNG\n", "row 1, column file: 'a/0.PNG'; names of images are not read: put the"),
        ("label,a,b\n" + ROWS + "z,1_0,5\n", "row 3, column a: '1_0'; must be a number"),
        ('label,a,b\nx,"1,5",2\n', "row 1, column a: '1,5'; must be a number"),
        ("label,a,b\nx,nan,2\n", "row 1, column a: 'nan'; must be a number"),
        ("label,a,b\nx,NA,2\n", "row 1, column a: 'NA'; must be a number"),
        ("label,a,b\n" + ROWS + "z,5,inf\n", "row 3, column b: 'inf'" + RANGE),
        ("label,a,b\n" + ROWS + "z,-1e39,5\n", r"row 3, column a: '-1e\+39'; must be a number"),
        ("label,a,b\n" + ROWS + "z,1e400,5\n", "row 3, column a: '(inf|1e400)'; must be a number"),  # pandas 3 or 2
        (f"label,a,b\n{ROWS}z,{'9' * 400},5\n", "row 3, column a: '9{29}...9{28}'; must be a number"),
        ("label,a,b\n" + ROWS + f"z,{'q' * 1000},5\n", r"row 3, column a: 'q{29}\.\.\.q{28}'; must be a number"),
        ("label,a,b\n" + ROWS + "z,,5\n", "row 3, column a: empty" + RANGE),
        ("label,a,b\nx,True,1\ny,False,\n", "row 2, column b: empty"),
        ("label,a,b\nx,True,1\ny,,2\n", "row 2, column a: empty"),
        ("label,a,b\nx,1\ny,3,4\n", "row 1, column b: empty"),
        ("label,a,b\n" + ROWS + "z\n", "row 3, column a: empty"),
        ("label,a,b\n" + ROWS + ",5,6\n", "row 3 has no label; give it one, or leave the row out"),
        ('label,a,b\n"",1,2\n', "row 1 has no label"),
        ("label,a,b\n" + ROWS + f"{'z' * 201},5,6\n", r"row 3, column label: 'z{29}\.\.\.z{28}' has 201 characters"),
        ("label,a,b\n1,1,2\n1.5,3,4\n", "1.5 in column label; labels must be .* number the .*; regression"),
        ("label,a,b\nx,1,2\nx,3,4\n", "column label holds the class x only"),
        ("label,a,b\n1,1,2\n01,3,4\n", "column label holds the class 1 only"),
        ("label,a,b\nx,1,2,3\ny,3,4\n", "row 1 has more fields than the first line; quote a field that has commas"),
        ("label,a,b\nx,1,2,3\ny,3,4,5\n", "row 1 has more fields than the first line"),
        ("label,a,b\nx,1,2,\ny,3,4,5\n", "row 1 has more fields than the first line"),
        ("label,a,b\nx,1,2\ny,3,4,5\n", "line 3 has 4 fields, but the first line 3; quote a field that has commas"),
        ('label,a,b\n"x\n",1,2\ny,3,4,5,6\n', "line 3 has 5 fields, but the first line 3"),  # two lines, one row
        ('label,a,b\nx,1,2\n"y,3,4\nz,5,6\n', r'line 3 has a quote \("\) that does not close; write "" for one'),
        ('label,a,b\nx,1,2\n"y,3,4\n' + "z,5,6\n" * 50_000, r'line 3 has a quote \("\) that does not close'),
        ('label,"a\n",b\nx,1,2\n', r'line 1 has a quote \("\) that does not close'),
        ("label" + 100_000 * ",a" + "\n", "100,001 columns; must be at most 100,000: save them in an .npz file"),
        ("label" + 2**24 // 2 * "," + "\n", "8,388,609 columns; must be at most 100,000"),
        (f"label,a,b\nx,{'9' * 5000},1\ny,3,4\n", "row 1, column a: '9{29}...9{28}'; must be a number"),
        (b"label,a,b\nZo\xeb,1,2\n", "not a text in UTF-8; save the table as CSV in UTF-8"),
        ("label,a,b\nx,1,2\n".encode("utf-16"), "not a text, as it holds NUL bytes; save"),
        (b"label,a,b\nx,1,\xe2\x80", "not a text in UTF-8"),
        (b"\x1f\x8b\x08\x00", "not a text"),
        (b"PK\x03\x04\x14\x00\x06\x00", "not a text, as it holds NUL bytes; save the table as CSV in UTF-8"),
        (b"label,a,b\nx,1,\x002\n", "not a text, as it holds NUL bytes"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_a_wrong_table_is_refused_by_row_column_and_value(write, content, message):
    path = write(content)
    with pytest.raises(UserError, match=f"^{path}: {message}") as caught:
        csv(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", [3, 100_000])
@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("w,7", "row {row}, column b: empty"),
        ("w,7,q", "row {row}, column b: 'q'; must be a number"),
        (",7,8", "row {row} has no label"),
        ("w,7,8,9", "line {line} has 4 fields, but the first line 3"),
        ("w,7,8,", "line {line} has 4 fields, but the first line 3"),
        ('"w,7,8', 'line {line} has a quote'),
    ],
)  # fmt: skip
def test_a_wrong_row_is_refused_however_late_it_is(write, rows, last, message):
    path = write("label,a,b\n" + "x,1,2\n" * rows + f"{last}\ny,5,6\n")
    with pytest.raises(UserError, match=message.format(row=rows + 1, line=rows + 2)):
        csv(path)


@pytest.mark.parametrize(("make", "message"), [(lambda path: None, "No such file or directory"), *NO_REGULAR_FILES])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, make, message):
    make(tmp_path / "a.csv")
    with pytest.raises(UserError, match=rf"a\.csv: {message}; give a \.csv file that can be read"):
        csv(str(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("begin", "message"),
    [
        (b"", "not a text, as it holds NUL bytes"),
        (b"label,a\nx,", r"a line of more than 16,777,216 bytes; begin a new line for each row"),
        (b"", r"a line of more than 16,777,216 bytes"),
    ],
    ids=["NULs", "a row", "the names"],
)
def test_2_gib_without_a_newline_are_refused_before_they_are_read(write, begin, message):
    path = write(begin + b"1" * 2**25 * ("line" in message))
    os.truncate(path, 2**31)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=message):
        csv(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB


def test_more_than_the_memory_there_is_is_refused_before_it_is_read(write, monkeypatch):
    text = table(*digits())
    path = write(text)
    needed = len(text) + 32 * 31 * 10  # 31 lines of 10 fields
    monkeypatch.setattr("mlp_tf.base.machine.memory", lambda: needed)
    csv(path)
    monkeypatch.setattr("mlp_tf.data.csv_file.read", None)
    for memory in (needed - 1, len(text) - 1):
        monkeypatch.setattr("mlp_tf.base.machine.memory", lambda memory=memory: memory)
        with pytest.raises(UserError, match=r"a\.csv: needs 0\.0 GiB or more, and this machine has 0\.0; give fewer"):
            csv(path)


def test_another_column_may_hold_the_labels(write):
    path = write("label,a,the kind\n1,2,cat\n3,4,dog\n")
    source = csv(path, "the kind")
    assert (source.train.images.tolist(), source.class_names) == ([[1, 2], [3, 4]], ("cat", "dog"))
    with pytest.raises(UserError, match="no column a b, but 'label', 'a', 'the kind'; name the one"):
        csv(path, "a b")


def test_a_run_reads_its_table_again_by_its_label(write, train, run, tmp_path):
    """Costs two trainings, as what reads the data again must find the labels again."""
    from mlp_tf import evaluate

    lines = table(NOISE, np.arange(30) % 3, "ab").replace("label", "kind")
    flags = ["--hidden=4", "--batch_size=5", f"--workdir={tmp_path / 'run'}"]
    assert train(*flags, "--epochs=1", f"--dataset={write(lines)}", "--label=kind").code == 0
    assert run(evaluate, f"--workdir={tmp_path / 'run'}").code == 0
    assert "2 Epochs" in train(*flags, "--epochs=2").out
    assert "--label=a, but kind in the run" in train(*flags, "--epochs=3", "--label=a").err


def test_a_label_is_refused_where_there_are_no_columns(npz):
    with pytest.raises(UserError, match=r"^--label=a: .*small\.npz is not a table; leave the flag out$"):
        load(npz, config=Config(label="a"))


WITHOUT_NAMES = {
    "words last": (np.column_stack([NOISE, np.arange(30) % 3]), 2, lambda label: "abc"[int(label)]),
    "words first": (np.column_stack([np.arange(30) % 3, NOISE]), 0, lambda label: "abc"[int(label)]),
    "numbers last": (np.column_stack([NOISE, np.arange(30) % 3]), 2, int),
}


@pytest.mark.parametrize(("values", "place", "word"), WITHOUT_NAMES.values(), ids=WITHOUT_NAMES)
def test_a_table_without_names_is_read_if_one_column_may_be_labels(write, values, place, word):
    lines = [[word(x) if i == place else x for i, x in enumerate(row)] for row in values.tolist()]
    source = csv(write("".join(",".join(map(str, line)) + "\n" for line in lines)))
    np.testing.assert_array_equal(source.train.images, NOISE.astype(np.float32))
    np.testing.assert_array_equal(source.train.labels, np.arange(30) % 3)
    assert source.notes == (
        f"the first line holds no names, so it is read as a row, and column {place + 1} as the labels",
    )


def test_a_label_flag_is_refused_where_there_are_no_names(write):
    with pytest.raises(UserError, match=r"a.csv: no column kind, as the first line holds no names; put a line of"):
        csv(write("".join(f"{x},{y},{i % 3}\n" for i, (x, y) in enumerate(NOISE.tolist()))), "kind")


def test_a_label_flag_is_refused_where_a_test_table_has_no_names(tmp_path):
    write_tables(tmp_path, train=TRAIN.replace("label", "kind"), test="8,9,dog\n7,6,cat\n5,4,cat\n3,2,dog\n")
    with pytest.raises(UserError, match=r"test\.csv: no column kind, as the first line holds no names"):
        csv_folder(str(tmp_path), "kind")


@pytest.mark.parametrize("place", [0, 64])
def test_pixels_without_names_are_images(write, place):
    values, labels, _ = digits(side=8)
    values[:, [0, -1]] = 0  # as at the border of a digit
    rows = np.insert(values, place, labels, axis=1)
    source = csv(write("".join(",".join(map(str, row)) + "\n" for row in rows)))
    np.testing.assert_array_equal(source.train.images, values.reshape(30, 8, 8))
    np.testing.assert_array_equal(source.train.labels, labels)


def write_tables(folder, **texts):
    """Writes tables into a folder, by the names of their files without the ending."""
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)


TRAIN = "a,b,label\n0,1,cat\n2,3,dog\n4,5,cat\n6,7,eel\n"


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("Training", "DEV", "Testing"), ("my set_train", "my set-valid", "my set.test")],
)
def test_tables_of_a_folder_are_the_splits_that_they_are_called(tmp_path, train, val, test):
    write_tables(tmp_path, **{train: TRAIN, val: "label,b,a\neel,-1,-2\n", test: "b,a,label\n9,8,dog\n1,0,cat\n"})
    (tmp_path / "sample_submission.csv").write_text("x")
    source = resolve(str(tmp_path))
    assert (source.name, source.class_names) == (str(tmp_path), ("cat", "dog", "eel"))
    assert source.train.images.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert source.validation.images.tolist() == [[-2, -1]]
    assert source.test.images.tolist() == [[8, 9], [0, 1]]
    assert [split.labels.tolist() for split in (source.train, source.validation, source.test)] == [
        [0, 1, 0, 2], [2], [1, 0]
    ]  # fmt: skip
    assert source.notes == ("not used: sample_submission.csv",)


def test_pixels_in_several_tables_are_images(tmp_path):
    for name, seed in (("train", 0), ("test", 1)):
        values, labels, names = digits(seed=seed)
        write_tables(tmp_path, **{name: table(values, labels, names)})
    source = resolve(str(tmp_path))
    np.testing.assert_array_equal(source.test.images, digits(seed=1)[0].reshape(-1, 3, 3))
    assert source.test.labels.tolist() == digits(seed=1)[1].tolist()


def test_a_test_table_without_labels_is_not_used_and_noted(tmp_path):
    """As Kaggle's are."""
    write_tables(tmp_path, train=TRAIN, test="a,b\n1,2\n")
    source = resolve(str(tmp_path))
    assert (source.test, len(source.train.labels)) == (None, 4)
    assert source.notes == ("not used: test.csv (it has no column label)",)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"test": "a,c,label\n1,2,cat\n"}, "test.csv: it and train.csv do not both have the column b; give them the"),
        ({"test": "a,b,c,label\n1,2,3,cat\n"}, "test.csv: it and train.csv do not both have the column c; give"),
        (
            {"val": "a,b,label\n1,2,cat\n1,2,cow\n"},
            "val.csv: row 2, column label: 'cow' is not a class of train.csv; leave such rows out",
        ),
        ({"val": "a,b,label\n1,2,7\n"}, "val.csv: row 1, column label: '7' is not a class of train.csv"),
        ({"val": "a,b,label\n1,x,cat\n"}, "val.csv: row 1, column b: 'x'; must be a number"),
        ({"a_train": TRAIN}, ": both a_train.csv and train.csv name a train split; keep one"),
        ({"train": "a,b\n1,2\n"}, "train.csv: no column label, but 'a', 'b'; name"),
    ],
)
def test_a_wrong_table_among_several_is_refused_by_name(tmp_path, texts, message):
    write_tables(tmp_path, **{"train": TRAIN, **texts})
    with pytest.raises(UserError, match=re.escape(message)):
        resolve(str(tmp_path))


def test_a_table_beside_folders_of_splits_is_left_out(tmp_path):
    write_tables(tmp_path, train="filename,label\n0.png,cat\n")
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "train" / name / "0.png")
    source = resolve(str(tmp_path))
    assert source.train.images.shape == (2, 2, 2)
    assert source.notes[0].startswith("left out (1): train.csv;")
