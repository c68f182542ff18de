"""The user's own arrays: read however NumPy wrote them, and refused by name and value."""

import zipfile

import numpy as np
import pytest
from helpers import make_arrays

from mlp_tf import UserError, data


def test_an_npz_is_split_as_it_stands(npz, arrays):
    splits = data.load(npz, validation_size=40)
    assert (splits.classes, splits.image_shape) == (3, (8, 8))
    np.testing.assert_array_equal(splits.train.images, arrays["x_train"][:200])
    np.testing.assert_array_equal(splits.validation.labels, arrays["y_train"][200:])
    np.testing.assert_array_equal(splits.test.images, arrays["x_test"])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("arrange", [np.asfortranarray, lambda x: x[:, ::-1], np.ascontiguousarray])
def test_an_npz_is_read_however_numpy_wrote_it(tmp_path, save, arrange):
    arrays = make_arrays(train=2500)
    save(tmp_path / "a.npz", **{**arrays, "x_train": arrange(arrays["x_train"])})
    np.testing.assert_array_equal(
        data.load(str(tmp_path / "a.npz"), validation_size=0).train.images, arrange(arrays["x_train"])
    )


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("y_train", lambda y: y.astype(np.float32), "y_train is float32 .* labels must be integers"),
        ("y_test", lambda y: y[:, None], r"y_test is int32 of shape \(61, 1\)"),
        ("y_train", lambda y: y[:-1], "240 images in x_train but 239 labels in y_train"),
        ("x_train", lambda x: x[:0], "0 images in x_train but 240 labels in y_train"),
        ("y_train", lambda y: np.where(np.arange(240) == 7, 4_000_000, y), "goes up to 4000000 but has no label 3"),
        ("x_train", lambda x: x.astype(object), r"not an \.npz file of plain arrays \(ValueError\)"),
    ],
)
def test_wrong_arrays_are_refused_by_name_and_value(tmp_path, name, change, message):
    arrays = make_arrays()
    np.savez(tmp_path / "wrong.npz", **{**arrays, name: change(arrays[name])})
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / "wrong.npz"), validation_size=0)


def test_an_npz_without_one_of_the_four_arrays_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "three.npz", **{name: array for name, array in arrays.items() if name != "y_test"})
    message = "y_test is not a file in the archive; it must hold the arrays x_train, y_train"
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / "three.npz"), validation_size=0)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 torn"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "wrong.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"not an \.npz file of plain arrays"):
        data.load(str(tmp_path / "wrong.npz"))


def test_an_array_that_is_shorter_than_its_header_says_is_refused(tmp_path, npz):
    with zipfile.ZipFile(npz) as whole, zipfile.ZipFile(tmp_path / "short.npz", "w") as short:
        for name in whole.namelist():
            content = whole.read(name)
            short.writestr(name, content[:-640] if name == "x_train.npy" else content)
    with pytest.raises(UserError, match=r"not an \.npz file of plain arrays"):
        data.load(str(tmp_path / "short.npz"), validation_size=0)


def test_a_torn_npz_is_refused(tmp_path, npz):
    with open(npz, "rb") as file:
        (tmp_path / "torn.npz").write_bytes(file.read()[:-1000])
    with pytest.raises(UserError, match=r"not an \.npz file"):
        data.load(str(tmp_path / "torn.npz"))
