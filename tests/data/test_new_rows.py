"""New rows for a trained run: which columns and arrays are read, and what is refused."""

import numpy as np
import pytest

from mlp_tf import UserError, data
from mlp_tf.config import Config
from mlp_tf.runs.identity import Data


def on_features(*names):
    """Data of a run on features of these names."""
    shape = (len(names) or 2,)
    return Data("/t.csv", 9, 1, 2, shape, "float32", 2, ("a", "b"), "", 1, names)


PIXELS = Data("/t.csv", 9, 1, 2, (2, 2), "uint8", 2, ("a", "b"), "", 1, ("pixel0", "pixel1", "pixel2", "pixel3"))
ARRAYS = on_features()


def table(tmp_path, *lines):
    (tmp_path / "new.csv").write_text("\n".join(lines))
    return str(tmp_path / "new.csv")


def test_a_table_keeps_the_names_of_its_columns_in_order(tmp_path):
    lines = [f"{i % 5},{'ab'[i % 2]},{i % 3},{i}" for i in range(12)]
    assert data.load(table(tmp_path, "z,label,a,Id", *lines)).columns == ("z", "a")  # without the count of the rows
    pixels = [f"{i % 5},{i % 2},{i % 7},0,255" for i in range(12)]
    assert data.load(table(tmp_path, "pixel0,label,pixel1,pixel2,pixel3", *pixels)).columns == PIXELS.columns


def test_columns_are_taken_by_name_and_an_id_is_kept_as_text(tmp_path):
    rows = data.new_rows(table(tmp_path, "b,row_id,a,c", "1,007,2,x", "3,,4,"), on_features("a", "b"))
    np.testing.assert_array_equal(rows.examples, np.array([[2, 1], [4, 3]], np.float32))
    assert rows.examples.dtype == np.float32
    assert (rows.id_name, rows.ids, rows.notes) == ("row_id", ["007", ""], ("not used: c",))


def test_a_column_of_the_run_is_no_id(tmp_path):
    rows = data.new_rows(table(tmp_path, "Id,a,humid", "1,2,3"), on_features("Id", "a"))
    np.testing.assert_array_equal(rows.examples, [[1, 2]])
    assert (rows.id_name, rows.notes) == (None, ("not used: humid",))


def test_pixels_in_any_order_become_images(tmp_path):
    rows = data.new_rows(table(tmp_path, "pixel2,pixel0,ImageId,pixel1,pixel3", "2,0,9,1.0,255"), PIXELS)
    np.testing.assert_array_equal(rows.examples, [[[0, 1], [2, 255]]])
    assert (rows.examples.dtype, rows.ids) == (np.uint8, ["9"])


def test_a_run_without_names_takes_the_columns_in_their_order(tmp_path):
    rows = data.new_rows(table(tmp_path, "id,u,label,v", "1,2,?,3"), ARRAYS)
    np.testing.assert_array_equal(rows.examples, [[2, 3]])
    assert "taken in their order" in rows.notes[0]
    message = "3 columns besides label and id, but the run takes 2, in its order; leave the others out"
    with pytest.raises(UserError, match=message):
        data.new_rows(table(tmp_path, "id,u,v,w", "1,2,3,4"), ARRAYS)


def test_a_table_without_names_is_taken_in_order(tmp_path):
    rows = data.new_rows(table(tmp_path, "1,2", "3,4"), on_features("b", "a"))
    np.testing.assert_array_equal(rows.examples, [[1, 2], [3, 4]])
    names = tuple(f"pixel{i}" for i in range(64))
    in_run = Data("/t.csv", 9, 1, 2, (8, 8), "uint8", 2, ("4", "9"), "", 1, names)
    x = np.random.default_rng(0).integers(0, 256, (40, 64))
    path = table(tmp_path, *(f"{9 if i % 2 else 4},{','.join(map(str, row))}" for i, row in enumerate(x.tolist())))
    _, split, _ = data.labelled_rows(path, in_run)
    np.testing.assert_array_equal(split.images, x.reshape(40, 8, 8))
    assert (split.images.dtype, split.labels.tolist()) == (np.uint8, 20 * [0, 1])
    np.testing.assert_array_equal(data.new_rows(path, in_run).examples, split.images)


@pytest.mark.parametrize(
    ("in_run", "lines", "message"),
    [
        (
            on_features("a", "b", "c"),
            ["a,B,label,C", "1,2,x,3"],
            "lacks 2 of the 3 columns that the run was trained on, 'b', 'c'; the run does not know 'B', 'C'; add the "
            "missing columns, or rename others to match",
        ),
        (on_features("a", "b"), ["a", "1"], "lacks 1 of the 2 columns that the run was trained on, 'b'; add the"),
        (on_features("a"), ["a", "1", "x"], "row 2, column a: 'x'; must be a number from"),
        (on_features("a", "b"), ["b,a", "1,2", "3,"], "row 2, column a: empty; must be a number from"),
        (on_features("a"), ["a", "inf"], "row 1, column a: 'inf'; must be a number from"),
        (PIXELS, ["pixel3,pixel2,pixel1,pixel0", "0,1,2,3", "0,256,1,2"], "row 2, column pixel2: 256.0; must be a"),
        (PIXELS, ["pixel3,pixel2,pixel1,pixel0", "0,1,2.5,3"], "row 1, column pixel1: 2.5; must be a pixel"),
        (on_features("a"), ["a"], "no rows under the names of the columns"),
        (on_features("a"), ["label", "x"], "lacks 1 of the 1 columns that the run was trained on, 'a'; add the"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_the_run_is_refused(tmp_path, in_run, lines, message):
    path = table(tmp_path, *lines)
    with pytest.raises(UserError) as raised:
        data.new_rows(path, in_run)
    assert str(raised.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x_train": [[0, 0]], "x_test": [[1, 2]]}, [[1, 2]]),
        ({"test_images": [[1, 2]], "other": [[3, 4]]}, [[1, 2]]),
        ({"X": [[1.5, 2]], "y": [0]}, [[1.5, 2]]),
        ({"anything": [[1, 2]]}, [[1, 2]]),
    ],
)
def test_the_array_of_new_rows_is_found_by_its_name(tmp_path, arrays, expected):
    np.savez(tmp_path / "new.npz", **arrays)
    rows = data.new_rows(str(tmp_path / "new.npz"), ARRAYS)
    np.testing.assert_array_equal(rows.examples, np.array(expected, np.float32))
    assert (rows.ids, rows.notes) == (None, ())


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:, None],
        lambda x: x[..., None],
        lambda x: x.astype(int),
        lambda x: x / 255,
        lambda x: x / np.float32(255),
    ],
)
def test_pixels_in_any_common_form_become_those_of_the_run(tmp_path, change):
    x = np.random.default_rng(0).integers(0, 256, (3, 5, 4)).astype(np.uint8)
    np.savez(tmp_path / "new.npz", change(x))
    in_run = Data("/t.npz", 9, 1, 2, (5, 4), "uint8", 2, ("a", "b"), "", 1)
    rows = data.new_rows(str(tmp_path / "new.npz"), in_run)
    np.testing.assert_array_equal(rows.examples, x)
    assert rows.examples.dtype == np.uint8


def test_rows_take_the_shape_that_layout_has_given_the_run(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (3, 4)).astype(np.uint8)
    np.savez(tmp_path / "new.npz", x)
    rows = data.new_rows(str(tmp_path / "new.npz"), PIXELS, Config(layout="images"))
    np.testing.assert_array_equal(rows.examples, x.reshape(3, 2, 2))
    with pytest.raises(UserError, match=r"arr_0 has shape \(3, 4\); the run takes \(N, 2, 2\), N above 0"):
        data.new_rows(str(tmp_path / "new.npz"), PIXELS)


def test_the_column_of_labels_is_that_of_the_run(tmp_path):
    path = table(tmp_path, "a,kind,label", "1,b,2", "3,a,4")
    name, split, notes = data.labelled_rows(path, on_features("label", "a"), config=Config(label="kind"))
    np.testing.assert_array_equal(split.images, [[2, 1], [4, 3]])
    assert (name, split.labels.tolist(), notes) == (path, [1, 0], ())
    message = "no column label, but 'a', 'kind'; rename the one that holds the classes"
    with pytest.raises(UserError, match=message):
        data.labelled_rows(table(tmp_path, "a,kind", "1,b", "3,a"), on_features("a"))


@pytest.mark.parametrize(
    ("in_run", "arrays", "message"),
    [
        (ARRAYS, {"train": [[1, 2]], "b": [[3, 4]]}, ": holds train, b; it must hold x_test or x, or a single array"),
        (ARRAYS, {"x_train": [[1, 2]], "y_train": [0]}, ": holds x_train, y_train; it must hold x_test or x"),
        (ARRAYS, {"x": [[1, 2, 3]]}, ": x has shape (1, 3); the run takes (N, 2), N above 0"),
        (ARRAYS, {"x": np.zeros((0, 2))}, ": x has shape (0, 2); the run takes (N, 2), N above 0"),
        (ARRAYS, {"x": [[1, 2], [3, np.nan]]}, ": x: row 2, column 1: nan; must be a finite number in float32"),
        (ARRAYS, {"x": [["1", "2"]]}, ": x is <U1; it must be uint8 (pixels from 0 to 255) or other real numbers"),
        (PIXELS, {"x": [[[0, 1], [2, -1]]]}, ": x: row 1, column 1, 1: -1; must be a pixel: a whole number from 0"),
    ],
)
def test_an_array_that_does_not_fit_the_run_is_refused(tmp_path, in_run, arrays, message):
    np.savez(tmp_path / "new.npz", **arrays)
    with pytest.raises(UserError) as raised:
        data.new_rows(str(tmp_path / "new.npz"), in_run)
    assert str(raised.value).startswith(f"{tmp_path / 'new.npz'}{message}")


def test_names_that_are_numbers_are_matched_too(tmp_path):
    rows = data.new_rows(table(tmp_path, "420,410,400", "3,2,1"), on_features("400", "410", "420"))
    np.testing.assert_array_equal(rows.examples, [[1, 2, 3]])


def test_a_first_line_of_numbers_is_a_row_and_a_note_says_so(tmp_path):
    rows = data.new_rows(table(tmp_path, "5,6", "3,4"), on_features("b", "a"))
    assert rows.notes == ("the first line holds no names, so it is read as a row",)
    with pytest.raises(UserError, match="row 1, column 1: empty; must be a number"):
        data.new_rows(table(tmp_path, "1.5,", "3,4"), ARRAYS)


def test_one_column_too_many_without_names_is_not_guessed_to_be_labels(tmp_path):
    lines = [f"{i},{i / 7},{i % 2}" for i in range(40)]
    with pytest.raises(UserError, match="holds numbers, not names, in 3 columns; the run takes 2: put a line of names"):
        data.new_rows(table(tmp_path, *lines), on_features("b", "a"))


def test_channels_first_under_layout_features_keep_their_order(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (12, 3, 4, 5), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(12) % 2, x_test=x, y_test=np.arange(12) % 2)
    config = Config(layout="features")
    splits = data.load(str(tmp_path / "a.npz"), config=config)
    in_run = Data("/a.npz", 9, 1, 2, (60,), "float32", 2, ("0", "1"), "", 1)
    _, split, _ = data.labelled_rows(str(tmp_path / "a.npz"), in_run, config=config)
    np.testing.assert_array_equal(split.images, splits.test.images)


@pytest.mark.parametrize(("factor", "expected"), [(1, 1), (255, 255)])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "float32", "bool"])
def test_pixels_of_0_and_1_are_multiplied_as_those_of_the_run_were(tmp_path, dtype, factor, expected):
    in_run = Data("/a.npz", 9, 1, 2, (2, 2), "uint8", 2, ("a", "b"), "", 1, (), factor)
    np.savez(tmp_path / "a.npz", x_test=np.array([[[0, 1], [1, 0]]], dtype))
    rows = data.new_rows(str(tmp_path / "a.npz"), in_run)
    np.testing.assert_array_equal(rows.examples, [[[0, expected], [expected, 0]]])


def test_on_a_folder_without_test_split_every_split_is_evaluated(tmp_path):
    from PIL import Image

    for split, count in (("train", 3), ("val", 4)):
        for name in "ab":
            folder = tmp_path / "f" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(np.full((2, 2), 10 * i, np.uint8)).save(folder / f"{i}.png")
    in_run = Data("/f", 9, 1, 2, (2, 2), "uint8", 2, ("a", "b"), "", 1)
    _, split, _ = data.labelled_rows(str(tmp_path / "f"), in_run)
    assert split.labels.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]


def test_a_table_without_names_may_hold_labels_that_are_words(tmp_path):
    in_run = on_features("1", "2")
    path = table(tmp_path, *(f"{i / 7},{i / 3},{'ab'[i % 2]}" for i in range(20)))
    rows = data.new_rows(path, in_run)
    np.testing.assert_allclose(rows.examples, [(i / 7, i / 3) for i in range(20)], rtol=1e-6)
    _, split, _ = data.labelled_rows(path, in_run)
    assert split.labels.tolist() == 10 * [0, 1]


def test_pixels_of_other_names_are_taken_in_their_order_with_a_note(tmp_path):
    rows = data.new_rows(table(tmp_path, "1x1,1x2,2x1,2x2", "0,1,2,255"), PIXELS)
    np.testing.assert_array_equal(rows.examples, [[[0, 1], [2, 255]]])
    assert rows.notes == ("the columns have other names than the run's pixels, and are taken in their order",)
    with pytest.raises(UserError, match="lacks 2 of the 2 columns that the run was trained on"):
        data.new_rows(table(tmp_path, "c,d", "1,2"), on_features("a", "b"))
