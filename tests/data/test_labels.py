"""Labels of any kind: the names of the classes, the class of each label, and what cannot be labels."""

import re

import numpy as np
import pytest
from helpers import make_arrays

from mlp_tf import UserError, data
from mlp_tf.data.labels import check_type, match, number

NAMES = {split: f"a b.npz: y_{split}" for split in ("train", "test", "validation")}


@pytest.mark.parametrize(
    "labels",
    [
        np.array([5, 2, 9, 2, 5]),
        np.array([-1, 1, -1, 10**12, 0]),
        np.array([200, 3], np.uint8),
        np.array([2**63, 5, 2**63 + 1], np.uint64),
        np.array([5, 2, 9], ">i4"),
        np.array([True, False, True]),
        np.array(["dog", "cat", "dog", "an eel", "Cat"]),
        np.array(["10", "9", "10"]),
        np.array([b"dog", "épée".encode(), b"cat"]),
    ],
    ids=lambda labels: f"{labels.dtype}",
)
def test_the_classes_are_the_distinct_training_labels_sorted(labels):
    plain = [label.decode() if isinstance(label, bytes) else label for label in labels.tolist()]
    classes = sorted(set(plain))
    numbers = [classes.index(label) for label in plain]
    found, names = number({"train": labels, "test": labels[::-1], "validation": labels[1:]}, NAMES)
    assert {split: each.tolist() for split, each in found.items()} == {
        "train": numbers, "test": numbers[::-1], "validation": numbers[1:]
    }  # fmt: skip
    assert {each.dtype for each in found.values()} == {np.dtype(np.int32)}
    assert names == tuple(f"{each}" for each in classes)


@pytest.mark.parametrize("kind", ["<U2", ">U2"])
@pytest.mark.parametrize("code", [0x110000, 2**32 - 1])
def test_a_code_point_beyond_unicode_is_refused_and_its_row_named(tmp_path, kind, code):
    arrays = make_arrays()
    arrays["y_test"] = np.array(["b", "c", "a"], kind)[arrays["y_test"] % 3]
    arrays["y_train"] = np.array(["b", "c", "a"], kind)[arrays["y_train"] % 3]
    arrays["y_test"].view(f"{kind[0]}u4")[2 * 7] = code
    np.savez(tmp_path / "a.npz", **arrays)
    message = f"a.npz: y_test: row 8 holds the code point {code:#x}; must be at most 0x10ffff: save"
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / "a.npz"))
    with pytest.raises(UserError, match=message):
        match(arrays["y_test"], ("a", "b"), "a.npz: y_test")


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([1, 5], [1, 5, 3], "a b.npz: y_test[2] is 3, but the classes of y_train are 1, 5; leave such rows out"),
        ([1, 5], [6, 7], "a b.npz: y_test[0] is 6, but the classes of y_train are 1, 5;"),
        ([1, 5], [-1], "a b.npz: y_test[0] is -1, but the classes of y_train are 1, 5;"),
        ([False, True], [0, 2], "y_test[1] is 2, but the classes of y_train are False, True;"),
        (["a", "c"], ["a", "b"], "a b.npz: y_test[1] is 'b', but the classes of y_train are a, c;"),
        ([b"a", b"c"], ["ab"], "a b.npz: y_test[0] is 'ab', but the classes of y_train are a, c;"),
        (range(10), [10], "the classes of y_train are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9;"),
        (range(30), [30], "the classes of y_train are 0, 1, 2, 3, 4, 5, 6, 7, 8, ..., 29;"),
        ([7, 7], [7], "a b.npz: y_train holds the class 7 only; give two classes or more"),
        (["cat"], None, "a b.npz: y_train holds the class cat only; give two classes or more"),
        (np.array([], int), [7], "a b.npz: y_train holds no labels; give two classes or more"),
        (["a", "b"], [0], "a b.npz: y_train is <U1, but a b.npz: y_test int64; make both the same type"),
        ([0, 1], ["0"], "a b.npz: y_train is int64, but a b.npz: y_test <U1; make both the same type"),
    ],
)
def test_labels_that_fit_no_class_are_refused_by_name_and_place(train, test, message):
    labels = {"train": np.array(train)} | ({} if test is None else {"test": np.array(test)})
    with pytest.raises(UserError, match=re.escape(message)):
        number(labels, {split: f"a b.npz: y_{split}" for split in labels})


@pytest.mark.parametrize(
    ("dtype", "shape", "advice"),
    [
        (
            "f4",
            (3,),
            "y is float32 of shape (3,); labels must be .*; regression is not supported",
        ),
        (
            "f2",
            (3,),
            "y is float16 of shape (3,); .*; regression is not supported",
        ),
        ("O", (3,), "y is object of shape (3,); .*: make them words or whole numbers, such as y.astype(str)"),
        ("f4", (3, 10), "y is float32 of shape (3, 10); .*: take y.argmax(axis=1), if they are one-hot"),
        ("i8", (), "y is int64 of shape (); .*: give one label for each example"),
        ("i8", (3, 2, 2), "y is int64 of shape (3, 2, 2); .*: give one label for each example"),
        ("c8", (3,), "y is complex64 of shape (3,); .*: give one label for each example"),
        ("M8[s]", (3,), "y is datetime64[s] of shape (3,); .*: give one label for each example"),
        ("U201", (3,), "y is <U201 of shape (3,); .* words of at most 200 characters.*: make them shorter"),
        ("S201", (3,), "y is |S201 of shape (3,); .*: make them shorter"),
    ],
)
def test_what_cannot_be_labels_is_refused_with_what_to_do(dtype, shape, advice):
    with pytest.raises(UserError, match=re.escape(advice).replace(r"\.\*", ".*") + "$"):
        check_type("y", np.dtype(dtype), shape)


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", ">i4", "u8", "U1", "U200", "S200"])
def test_whole_numbers_and_words_of_200_characters_are_labels(dtype):
    check_type("y", np.dtype(dtype), (3,))
    check_type("y", np.dtype(dtype), (3, 1))


@pytest.mark.parametrize("kind", ["U", "S"])
def test_the_classes_of_an_npz_of_words_are_called_by_them(tmp_path, kind):
    arrays, words = make_arrays(), np.array(["eel", "cat", "dog"], kind)
    named = {name: words[arrays[name]] for name in ("y_train", "y_test")}
    np.savez(tmp_path / "words.npz", **{**arrays, **named})
    splits = data.load(str(tmp_path / "words.npz"), validation_size=0)
    assert splits.class_names == ("cat", "dog", "eel")
    numbers = {0: 2, 1: 0, 2: 1}  # the place of eel, cat, dog
    assert splits.test.labels.tolist() == [numbers[label] for label in arrays["y_test"].tolist()]


def test_bytes_that_are_no_utf_8_are_escaped():
    assert number({"train": np.array([b"\xe9t\xe9", b"hiver"])}, NAMES)[1] == ("\\xe9t\\xe9", "hiver")


def test_whole_numbers_beyond_float64_are_told_apart():
    train, test = np.array([2**60, 2**60 + 1], np.uint64), np.array([2**60 + 1], np.int64)
    assert number({"train": train, "test": test}, NAMES)[0]["test"].tolist() == [1]


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        (np.array(["7", "10", "7"]), ("10", "7"), [1, 0, 1]),
        (np.array([7, 10, 7]), ("10", "7"), [1, 0, 1]),
        (np.array(["01", "2.0", "-1"]), ("-1", "1", "2"), [1, 2, 0]),
        (np.array(["01", "1"]), ("01", "1", "a"), [0, 1]),
        (np.array([b"cat"]), ("an eel", "cat"), [1]),
        (np.array([True, False]), ("False", "True"), [1, 0]),
    ],
)
def test_labels_of_other_data_are_matched_by_name(labels, classes, numbers):
    found = match(labels, classes, "")
    assert (found.tolist(), found.dtype) == (numbers, np.int32)


@pytest.mark.parametrize("label", ["3", "1.5", "nan", "inf", "Cat", ""])
def test_a_label_that_the_run_does_not_know_is_named(label):
    message = f"a.csv: column label: row 2 is {label!r}, but the classes of the run are 1, 2, cat; leave such rows out"
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        match(np.array(["cat", label, "x"]), ("1", "2", "cat"), "a.csv: column label")
