"""The user's rows scanned: their hashes, values that are not finite, and what looks wrong."""

import re

import numpy as np
import pytest
from helpers import make_arrays

from mlp_tf import UserError, data
from mlp_tf.data.scan import Scan, scan, suspicions
from mlp_tf.data.splits import Rows, rows_in_memory


def in_blocks(examples, labels, cuts):
    """`Rows` that come in these blocks."""
    blocks = list(zip(np.split(examples, cuts), np.split(labels, cuts), strict=True))
    return Rows(examples.shape, examples.dtype, lambda: iter(blocks))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(5,), (3, 2), (2, 2, 3)])
def test_two_rows_have_one_hash_just_where_they_are_equal(shape, dtype):
    rng = np.random.default_rng(0)
    examples = rng.integers(0, 200, (12, *shape)).astype(dtype)[rng.integers(0, 12, 40)]
    hashes = scan(rows_in_memory(examples, np.zeros(40, np.int32)), "x").hashes
    assert hashes.shape == (40,)
    for i in range(40):
        for j in range(40):
            assert (hashes[i] == hashes[j]) == (examples[i].tolist() == examples[j].tolist())


@pytest.mark.parametrize("arrange", [np.ascontiguousarray, np.asfortranarray])
def test_a_scan_is_the_same_whatever_the_blocks(arrange):
    rng = np.random.default_rng(0)
    examples, labels = rng.normal(size=(50, 4, 3)).astype(np.float32), rng.integers(0, 3, 50)
    whole = scan(rows_in_memory(examples, labels), "x")
    parts = scan(in_blocks(arrange(examples), labels, (1, 20, 49)), "x")
    assert parts.hashes.tolist() == whole.hashes.tolist()
    assert parts.labels.tolist() == whole.labels.tolist() == labels.tolist()
    assert parts.largest == whole.largest == max(examples.ravel().tolist())


@pytest.mark.parametrize(
    ("shape", "place", "value", "message"),
    [
        ((2000, 3), (1234, 2), np.nan, "a.npz: x_train: row 1234, column 2 is nan as float32; all values must be"),
        ((2000, 3), (0, 0), np.inf, "a.npz: x_train: row 0, column 0 is inf as float32;"),
        ((2000, 3), (1999, 1), -np.inf, "a.npz: x_train: row 1999, column 1 is -inf as float32;"),
        ((1300, 2, 3), (1234, 1, 2), np.nan, "a.npz: x_train: row 1234, pixel 1, 2 is nan as float32;"),
    ],
)
def test_the_first_value_that_is_not_finite_is_named_by_its_place(shape, place, value, message):
    examples = np.ones(shape, np.float32)
    examples[place] = value
    examples[(-1,) * len(shape)] = -np.inf  # a later one
    with pytest.raises(UserError, match=re.escape(message)):
        scan(rows_in_memory(examples, np.zeros(len(examples), np.int32)), "a.npz: x_train")


def test_a_number_too_large_for_float32_is_refused_in_an_npz(tmp_path):
    arrays = {name: array / 1 if name[0] == "x" else array for name, array in make_arrays(test=1100).items()}
    arrays["x_test"][1050, 4, 7] = 1e300
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=re.escape("a.npz: x_test: row 1050, pixel 4, 7 is inf as float32;")):
        data.load(str(tmp_path / "a.npz"))


def rows(labels, largest=255.0, first_hash=0):
    """The scan of rows that are all different."""
    return Scan(np.arange(first_hash, first_hash + len(labels), dtype=np.uint64), np.array(labels), largest)


FINE = {"train": rows([0, 1, 2, 0, 1, 2]), "test": rows([0, 1, 2], first_hash=6)}
FINE |= {"validation": np.arange(6) >= 3, "dtype": np.dtype(np.uint8)}
DARK = {"train": rows([0, 1, 2, 0, 1, 2], 63.0), "test": rows([0, 1, 2], 9.0, 6)}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (DARK, "the largest pixel is 63, and pixels are divided by 255, so the inputs are almost zero"),
        ({"train": rows(range(1001)), "validation": np.zeros(1001, bool), "test": rows([], 0, 2000)}, "1,001 classes"),
        ({"validation": np.arange(6) == 4}, "validation has no row of 2 of the 3 classes; hold out more rows"),
        (
            {"test": rows([0, 1, 2])._replace(hashes=np.uint64([5, 9, 5]))},
            "2 of the 3 test rows are training rows too, so test accuracy is inflated",
        ),
    ],
)
def test_each_thing_that_looks_wrong_is_one_line(changes, line):
    [found] = suspicions(**{**FINE, **changes})
    assert line in found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {**DARK, "dtype": np.dtype(np.float32)},
        {"train": rows([0, 1, 2, 0, 1, 2], 64.0), "test": rows([0, 1, 2], 9.0, 6)},
        {"train": rows([0, 1, 2, 0, 1, 2], 9.0)},  # but the test images are bright
        {"train": rows(range(1000)), "validation": np.zeros(1000, bool), "test": rows([0], first_hash=2000)},
        {"validation": np.zeros(6, bool)},
    ],
)
def test_what_is_as_it_should_be_raises_no_suspicion(changes):
    assert suspicions(**{**FINE, **changes}) == ()


def test_the_splits_of_a_strange_npz_say_all_that_looks_wrong(tmp_path):
    arrays = make_arrays()
    dark = {name: arrays[name] // 8 for name in ("x_train", "x_test")}
    dark["x_test"][:5] = dark["x_train"][235:]  # some of which validate
    np.savez(tmp_path / "a.npz", **{**arrays, **dark})
    found = data.load(str(tmp_path / "a.npz"), validation_size=2).suspicions
    largest = max(dark["x_train"].max(), dark["x_test"].max())
    expected = [f"pixel is {largest},", "no row of 1 of the 3 classes", "5 of the 61 test rows are training"]
    assert len(found) == len(expected)
    for line, part in zip(found, expected, strict=True):
        assert part in line
