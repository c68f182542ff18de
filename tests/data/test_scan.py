"""The user's rows scanned: their hashes, values that are not finite, and what looks wrong."""

import re

import numpy as np
import pytest
from helpers import make_arrays

from mlp_tf import UserError, data
from mlp_tf.config import Config
from mlp_tf.data.scan import dark_pixels, hash_rows, suspicions


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(5,), (3, 2), (2, 2, 3)])
def test_two_rows_have_one_hash_just_where_they_are_equal(shape, dtype):
    rng = np.random.default_rng(0)
    examples = rng.integers(0, 200, (12, *shape)).astype(dtype)[rng.integers(0, 12, 40)]
    hashes = hash_rows(examples, "x")
    assert hashes.shape == (40,)
    for i in range(40):
        for j in range(40):
            assert (hashes[i] == hashes[j]) == (examples[i].tolist() == examples[j].tolist())


def test_a_row_has_the_same_hash_wherever_it_stands():
    rows = np.random.default_rng(0).normal(size=(2345, 3)).astype(np.float32)
    order = np.random.default_rng(1).permutation(2345)
    np.testing.assert_array_equal(hash_rows(rows[order], "x"), hash_rows(rows, "x")[order])


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
        hash_rows(examples, "a.npz: x_train")


def test_a_number_too_large_for_float32_is_refused_in_an_npz(tmp_path):
    arrays = {name: array / 1 if name[0] == "x" else array for name, array in make_arrays(test=1100).items()}
    arrays["x_test"][1050, 4, 7] = 1e300
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=re.escape("a.npz: x_test: row 1050, pixel 4, 7 is inf as float32;")):
        data.load(str(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    ("split", "column", "changed", "scaling", "is_refused"),
    [
        ("test", [], 3e38, "auto", True),
        ("test", [], -3e38, "none", True),
        ("train", [], 2e18, "none", True),
        ("test", np.arange(300) * 1e-37, 1.0, "auto", True),
        ("test", np.zeros(300), 0.5e18, "auto", False),  # a constant is divided by 1
        ("test", np.zeros(300), 2e18, "auto", True),
        ("train", [], 3e38, "auto", False),  # with it, the standard deviation is large
        ("train", np.resize([3e38, -3e38], 300), 3e38, "auto", False),
        ("test", np.resize([3e38, -1e38], 300), -3e38, "auto", True),  # x - mean overflows float32
    ],
)
def test_a_value_that_overflows_once_it_is_standardized_is_refused(
    tmp_path, split, column, changed, scaling, is_refused
):
    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    if len(column):
        x[:, 1] = column
    arrays = {"x_train": x, "y_train": np.arange(300) % 2, "x_test": x[:50].copy(), "y_test": np.arange(50) % 2}
    arrays[f"x_{split}"][7, 1] = changed
    np.savez(tmp_path / "a.npz", **arrays)
    config = Config(scaling=scaling)
    train = x[:, 1].astype(np.float64)
    mean, std = (0.0, 1.0) if scaling == "none" else (train.mean(), train.std() or 1.0)
    most = min(1e18 * std, np.finfo(np.float32).max)
    assert is_refused == (abs(changed - mean) > most)
    if is_refused:
        message = (
            f"a.npz: {split} rows: column 1 holds {changed:g}; must be from {mean - most:.3g} to {mean + most:.3g}"
        )
        with pytest.raises(UserError, match=re.escape(message)):
            data.load(str(tmp_path / "a.npz"), validation_size=0, config=config)
    else:
        data.load(str(tmp_path / "a.npz"), validation_size=0, config=config)


@pytest.mark.parametrize(
    ("change", "value", "place"),
    [
        ({17: 1e10}, "1e+10", 17),
        ({17: -900, 250: -1000}, "-1000", 250),
        (dict.fromkeys(range(3, 300, 7), -999), "-999", 3),
    ],
    ids=["one value", "two values", "a code for missing values"],
)
def test_values_that_flatten_a_column_are_named(tmp_path, change, value, place):
    x = np.random.default_rng(0).normal(size=(300, 3))
    x[[*change], 1] = [*change.values()]
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(300) % 2)
    lines = ["label,a,b,c", *(f"{i % 2},{','.join(map(repr, row))}" for i, row in enumerate(x.tolist()))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    for name, where in (("a.npz", f"row {place} of x_train, column 1"), ("a.csv", f"row {place + 1}, column b")):
        [warning] = data.load(str(tmp_path / name)).suspicions
        assert warning.startswith(f"{where}: {value} is far from the others, half of which are from -")


@pytest.mark.parametrize(
    "column",
    [
        np.random.default_rng(0).normal(size=300),
        np.random.default_rng(0).lognormal(sigma=1.5, size=300),
        np.arange(300) == 7,
        np.repeat([0, 1000], 150),
        np.maximum(0, np.arange(-220, 80)) ** 2,
    ],
    ids=["normal", "lognormal", "a flag", "two values", "most are 0"],
)
def test_other_columns_have_no_outliers(tmp_path, column):
    np.savez(tmp_path / "a.npz", x_train=np.column_stack([column, column]), y_train=np.arange(300) % 2)
    assert not any("far from" in text for text in data.load(str(tmp_path / "a.npz")).suspicions)


def rows(labels, largest=255, dtype=np.uint8):
    """A split of images whose brightest pixel is `largest`."""
    return data.Split(np.full((len(labels), 2, 2), largest, dtype), np.array(labels))


FINE = {"train": rows([0, 1, 2]), "validation": rows([0, 1, 2]), "test": rows([0, 1, 2]), "copies": {"test": 0}}
DARK = {"train": rows([0, 1, 2], 9), "validation": rows([0, 1, 2], 63), "test": rows([0, 1, 2], 9)}


def found(classes=3, copies=None, **splits):
    """The suspicions about data of three splits."""
    source = data.splits.Source("a", splits["train"], splits["test"], ("x",) * classes, splits["validation"])
    return (*dark_pixels(source), *suspicions(source, copies))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (DARK, "the largest pixel is 63, and pixels are divided by 255, so the inputs are almost zero"),
        ({"classes": 1001, "validation": rows([])}, "1,001 classes"),
        ({"validation": rows([1, 1])}, "validation has no row of 2 of the 3 classes; hold out more rows"),
        ({"copies": {"test": 2}}, "2 of the 3 test rows are training rows too, so test accuracy is inflated"),
        ({"copies": {"validation": 3, "test": 0}}, "3 of the 3 validation rows are training rows too, so validation a"),
    ],
)
def test_each_thing_that_looks_wrong_is_one_line(changes, line):
    [text] = found(**{**FINE, **changes})
    assert line in text


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {name: rows([0, 1, 2], 63, np.float32) for name in DARK},
        {**DARK, "train": rows([0, 1, 2], 64)},
        {**DARK, "test": rows([0, 1, 2], 64)},
        {"classes": 1000, "validation": rows([])},
        {"validation": rows([])},
    ],
)
def test_what_is_as_it_should_be_raises_no_suspicion(changes):
    assert found(**{**FINE, **changes}) == ()


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
