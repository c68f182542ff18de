"""The user's arrays: read in any form that NumPy writes, and refused by name and value."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
from helpers import NO_REGULAR_FILES, make_arrays

from mlp_tf import UserError, data


def test_an_npz_is_split_as_it_stands(npz, arrays):
    splits = data.load(npz, validation_size=40)
    assert (splits.classes, splits.example_shape) == (3, (8, 8))
    np.testing.assert_array_equal(splits.test.images, arrays["x_test"])
    assert [len(split.labels) for split in (splits.train, splits.validation)] == [200, 40]


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
        ("y_train", lambda y: y.astype(np.float32), "y_train is float32 .* whole numbers.*: .*, such as y.astype"),
        ("y_test", lambda y: np.eye(3)[y], r"y_test is float64 of shape \(61, 3\); .*: take y\.argmax\(axis=1\)"),
        ("y_train", lambda y: y[:-1], "240 rows in x_train but 239 labels in y_train"),
        ("x_train", lambda x: x.reshape(240, 64).T, r"64 rows in x_train but 240 .*, save x_train\.T"),
        ("x_train", lambda x: np.moveaxis(x, 0, -1), r"8 rows in x_train .*, save numpy\.moveaxis\(x_train, -1, 0\)"),
        ("x_train", lambda x: x[:0], "0 rows in x_train but 240 labels in y_train"),
        ("y_test", lambda y: y.astype(str), "y_train is int32, but .*y_test <U11; make both the same type"),
        (
            "x_train",
            lambda x: x.astype(object),
            r"x_train holds Python objects; make it numbers or words, such as x_tr",
        ),
    ],
)
def test_wrong_arrays_are_refused_by_name_and_value(tmp_path, name, change, message):
    arrays = make_arrays()
    np.savez(tmp_path / "wrong.npz", **{**arrays, name: change(arrays[name])})
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / "wrong.npz"), validation_size=0)


@pytest.mark.parametrize("missing", ["x_train", "y_train", "x_test", "y_test"])
def test_an_npz_without_one_of_the_four_arrays_is_refused(tmp_path, arrays, missing):
    np.savez(tmp_path / "three.npz", **{name: array for name, array in arrays.items() if name != missing})
    message = f"{missing} is not a file in the archive; it must hold the arrays x_train and y_train"
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / "three.npz"), validation_size=0)


SPELLINGS = [
    ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"),
    ("X_train", "Y_train", "X_Valid", "Y_Valid", "X_test", "y_test"),
    ("x_training", "y_training", "x_dev", "y_dev", "x_testing", "y_testing"),
    ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),  # MedMNIST
    ("Train_Images", "train_labels", "validation_images", "validation_labels", "x_test", "y_test"),
]


@pytest.mark.parametrize("names", SPELLINGS, ids=lambda names: names[2])
@pytest.mark.parametrize("labels_shape", [(-1,), (-1, 1)])
def test_the_users_own_validation_split_is_used_however_it_is_called(tmp_path, names, labels_shape):
    arrays, validation = make_arrays(), make_arrays(train=31, seed=5)
    content = [arrays["x_train"], arrays["y_train"], validation["x_train"], validation["y_train"]]
    content += [arrays["x_test"], arrays["y_test"]]
    content = [each.reshape(labels_shape) if each.ndim == 1 else each for each in content]
    np.savez(tmp_path / "a.npz", **dict(zip(names, content, strict=True)))
    splits = data.load(str(tmp_path / "a.npz"))
    for split, x, y in (
        (splits.train, arrays["x_train"], arrays["y_train"]),
        (splits.validation, validation["x_train"], validation["y_train"]),
        (splits.test, arrays["x_test"], arrays["y_test"]),
    ):
        np.testing.assert_array_equal(split.images, x)
        np.testing.assert_array_equal(split.labels, y)
        assert (split.labels.dtype, split.classes) == (np.int32, 3)
    assert splits.notes == ("the data have a validation split, of 31 rows",)


def test_a_validation_split_stays_where_a_test_split_is_held_out(tmp_path, arrays):
    validation = make_arrays(train=31, seed=5)
    np.savez(
        tmp_path / "a.npz",
        x_train=arrays["x_train"], y_train=arrays["y_train"],
        x_val=validation["x_train"], y_val=validation["y_train"],
    )  # fmt: skip
    splits = data.load(str(tmp_path / "a.npz"))
    assert [len(split.labels) for split in (splits.train, splits.validation, splits.test)] == [200, 31, 40]
    np.testing.assert_array_equal(splits.validation.images, validation["x_train"])
    assert len(splits.notes) == 2


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"y_val": lambda a: a["y_train"]}, "x_val is not a file in the archive; it must hold the arrays x_train"),
        ({"val_images": lambda a: a["x_train"]}, "val_labels is not a file in the archive"),
        (
            {"train_images": lambda a: a["x_train"], "train_labels": lambda a: a["y_train"]},
            "both x_train and train_images name a train split; keep one",
        ),
        (
            {"x_val": lambda a: a["x_test"], "y_val": lambda a: a["y_test"] + 9},
            r"y_val\[0\] is 9, but the classes of y_train are 0, 1, 2",
        ),
        (
            {"x_val": lambda a: a["x_test"][:, 1:], "y_val": lambda a: a["y_test"]},
            r"uint8 of \(8, 8\) in x_train, uint8 of \(7, 8\) in x_validation; make them equal",
        ),
    ],
)
def test_a_wrong_validation_split_is_refused_by_name(tmp_path, arrays, extra, message):
    np.savez(tmp_path / "a.npz", **arrays, **{name: make(arrays) for name, make in extra.items()})
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / "a.npz"))


def test_arrays_that_are_not_used_are_named(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays, weights=np.zeros(3), x_extra=arrays["x_test"])
    splits = data.load(str(tmp_path / "a.npz"), validation_size=40)
    assert splits.notes == ("not used: weights, x_extra",)


def test_a_column_that_numbers_the_rows_is_named(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    x[:, 1] = np.arange(60)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(60) // 20)
    [warning] = data.load(str(tmp_path / "a.npz")).suspicions
    assert warning.startswith("column 1 of x_train numbers the rows, which says nothing about new ones; leave it out")


def npy_file():
    """The content of a file that numpy.save writes."""
    file = io.BytesIO()
    np.save(file, np.zeros((240, 8, 8), np.uint8))
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 torn", npy_file(), pickle.dumps({"x_train": [1]})])
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


def npy(shape, dtype, content=b""):
    """An array in an .npz file."""
    return headed(f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}}}", content)


def headed(words, content=b""):
    """An array in an .npz file whose header has these words."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(words)) + words.encode() + content


@pytest.fixture
def write(arrays, tmp_path):
    """Writes the small dataset with some other members, and with what the directory says of some."""

    def write_members(members=(), entries=(), compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
            for name, array in arrays.items():
                content = dict(members).get(name) or npy(array.shape, array.dtype.str, array.tobytes())
                archive.writestr(f"{name}.npy", content)
            for (name, field), value in dict(entries).items():
                setattr(archive.getinfo(f"{name}.npy"), field, value)
        return str(tmp_path / "a.npz")

    return write_members


@pytest.fixture
def claim(write):
    """Writes the small dataset with headers without any data, though the directory says that they are there."""

    def claim_arrays(**headers):
        members = {name: npy(*header) for name, header in headers.items()}
        sizes = {
            name: int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
            for name, (shape, dtype) in headers.items()
        }
        return write(members, {(name, "file_size"): len(members[name]) + size for name, size in sizes.items()})

    return claim_arrays


@pytest.mark.parametrize(
    "words",
    [
        *(
            f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}"
            for shape in [
                (-240, 8, -8), (240, 8, 8, True), (240, 8, 7), (240, 8, 9), (240, 2**62, 2**62), (240, 10**4000)
            ]
        ),
        "(" * 9000,
        "[" * 150 + "]" * 150,
        "-" * 9000 + "1",
        "{'descr': '|u1', 'fortran_order': False, 'shape': " + "(" * 190 + ")" * 190 + "}",
        "{'descr': '|u1', 'fortran_order': 1, 'shape': (240, 8, 8)}",
        "\\",
    ],
    ids=lambda words: f"{words[:70]}",
)  # fmt: skip
def test_an_impossible_header_is_refused(write, arrays, words):
    path = write({"x_train": headed(words, arrays["x_train"].tobytes())})
    with pytest.raises(UserError, match=r"a\.npz: not an \.npz file of plain arrays"):
        data.load(path, validation_size=0)


@pytest.mark.parametrize(
    ("name", "dtype", "message"),
    [
        ("y_train", "<U1000000", "y_train is <U1000000 of shape"),
        ("y_train", [("a", "<i8", 100_000)], r"y_train is \[.* labels must be whole numbers"),
        ("y_test", "|O", "y_test holds Python objects; make it numbers or words"),
        ("x_train", "|S1000000", r"x_train is \|S1000000; it must be uint8"),
        ("x_train", "<c16", r"x_train is complex128; it must be uint8 \(pixels from 0 to 255\) or other real numbers"),
        ("x_test", [("a", "|u1", (8, 8))], r"x_test is \[.* it must be uint8"),
    ],
)
def test_a_strange_type_is_refused_before_data_are_read(claim, arrays, name, dtype, message):
    with pytest.raises(UserError, match=message):
        data.load(claim(**{name: (arrays[name].shape[:1], dtype)}), validation_size=0)


def test_more_than_the_memory_there_is_is_refused_before_data_are_read(claim):
    path = claim(x_train=((10**9, 1024, 1024), "|u1"), y_train=((10**9,), "<i8"))
    with pytest.raises(
        UserError, match=r"a\.npz: its arrays need 1,953,132\.5 GiB, and this machine has [\d,.]+; give"
    ):
        data.load(path)


def test_images_and_labels_of_both_splits_must_fit_into_memory(npz, arrays, monkeypatch):
    # Examples once more, while they are copied into the splits.
    size = sum(array.nbytes * (2 if name.startswith("x") else 1) for name, array in arrays.items())
    monkeypatch.setattr("mlp_tf.base.machine.memory", lambda: size)
    data.load(npz, validation_size=0)
    monkeypatch.setattr("mlp_tf.base.machine.memory", lambda: size - 1)
    with pytest.raises(UserError, match="its arrays need"):
        data.load(npz, validation_size=0)


@pytest.mark.parametrize("name", ["x_train", "y_test"])
@pytest.mark.parametrize(("field", "value"), [("flag_bits", 1), ("compress_type", 97), ("header_offset", 2**40)])
def test_a_member_that_zipfile_cannot_read_is_refused(write, name, field, value):
    with pytest.raises(UserError, match=r"a\.npz: not an \.npz file of plain arrays"):
        data.load(write(entries={(name, field): value}), validation_size=0)


@pytest.mark.parametrize("where", [0.0, 0.5])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_data_are_refused_however_compressed(write, compression, where):
    path = write(compression=compression)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("x_train.npy")
    with open(path, "r+b") as file:
        file.seek(member.header_offset + 30 + len(member.filename) + int(where * member.compress_size))
        file.write(bytes(range(255, 191, -1)))
    with pytest.raises(UserError, match=r"a\.npz: not an \.npz file of plain arrays"):
        data.load(path, validation_size=0)


@pytest.mark.parametrize(("make", "message"), NO_REGULAR_FILES)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, make, message):
    make(tmp_path / "a.npz")
    with pytest.raises(UserError, match=rf"a\.npz: {message}; give an \.npz file that can be read"):
        data.load(str(tmp_path / "a.npz"))


def test_a_symbolic_link_to_an_npz_is_followed(tmp_path, npz):
    (tmp_path / "link.npz").symlink_to(npz)
    assert data.load(str(tmp_path / "link.npz"), validation_size=0).sha256 == data.load(npz, validation_size=0).sha256
