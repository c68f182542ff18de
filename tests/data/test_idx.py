"""The user's IDX files, written byte by byte: read in every layout in which they are published, or refused by name."""

import gzip
import os
import re
import struct

import numpy as np
import pytest
from helpers import NO_REGULAR_FILES

from mlp_tf import UserError, data
from mlp_tf.data.idx import idx_folder

# 12 and 4 images of 3 rows and 2 columns: their pixels count up. Labels from 1.
TRAIN = bytes(range(72))
TEST = bytes(range(100, 124))
TRAIN_LABELS = bytes([1, 2, 3] * 4)
TEST_LABELS = bytes([3, 1, 1, 2])
FILES = {
    "train-images-idx3-ubyte": struct.pack(">4I", 0x803, 12, 3, 2) + TRAIN,
    "train-labels-idx1-ubyte": struct.pack(">2I", 0x801, 12) + TRAIN_LABELS,
    "t10k-images-idx3-ubyte": struct.pack(">4I", 0x803, 4, 3, 2) + TEST,
    "t10k-labels-idx1-ubyte": struct.pack(">2I", 0x801, 4) + TEST_LABELS,
}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def write(folder, files=FILES, rename=lambda name: name, pack=lambda content: content):
    """Writes a set of IDX files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / rename(name)).write_bytes(pack(content))


def check(source, path):
    """Asserts that a source holds what `FILES` do, row by row."""
    assert (source.name, source.class_names, source.is_user_data) == (str(path), ("1", "2", "3"), True)
    for split, pixels, labels in ((source.train, TRAIN, TRAIN_LABELS), (source.test, TEST, TEST_LABELS)):
        assert split.images.tobytes() == pixels
        assert split.images.shape == (len(labels), 3, 2)
        assert split.labels.tolist() == [label - 1 for label in labels]
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int32)


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name,
        lambda name: name.replace("-idx", ".idx"),
        lambda name: name.replace("t10k", "test"),
        lambda name: "kmnist-" + name,
        str.upper,
        lambda name: "My Digits " + name.title().replace("-Idx", ".IDX"),
    ],
    ids=["as_published", "dot", "test", "prefix", "upper", "spaces"],
)
@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".GZ", gzip.compress)])
def test_a_set_is_read_under_every_spelling_of_its_names(tmp_path, rename, suffix, pack):
    write(tmp_path, rename=lambda name: rename(name) + suffix, pack=pack)
    source = idx_folder(str(tmp_path))
    check(source, tmp_path)
    assert source.notes == ()


@pytest.mark.parametrize("below", ["MNIST/raw", "raw", "a b [1]/c*"])
def test_a_set_is_found_up_to_two_folders_deeper(tmp_path, below):
    write(tmp_path / "my data" / below)
    check(idx_folder(str(tmp_path / "my data")), tmp_path / "my data")


def test_a_set_three_folders_deeper_or_hidden_is_not_searched_for(tmp_path):
    write(tmp_path / "a/b/c")
    write(tmp_path / ".hidden")
    write(tmp_path, rename=lambda name: f"._{name}")
    assert idx_folder(str(tmp_path)) is None


def test_a_file_goes_before_its_packed_copy_and_before_folders(tmp_path):
    write(tmp_path)
    write(tmp_path, rename=lambda name: f"{name}.gz", pack=lambda content: b"not read")
    for name in FILES:  # as in the copy of MNIST on Kaggle, beside files with a dot
        (tmp_path / name.replace("-idx", ".idx")).mkdir()
    write(tmp_path / "deeper", rename=lambda name: f"kmnist-{name}")
    check(idx_folder(str(tmp_path)), tmp_path)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])
def test_what_is_packed_is_seen_by_its_bytes_not_by_its_name(tmp_path, name):
    write(tmp_path)
    os.remove(tmp_path / IMAGES)
    (tmp_path / name).write_bytes(FILES[IMAGES] if name.endswith(".gz") else gzip.compress(FILES[IMAGES]))
    check(idx_folder(str(tmp_path)), tmp_path)


@pytest.mark.parametrize("prefix", ["emnist-letters-", "EMNIST-Letters-"])
def test_images_of_emnist_are_transposed_and_a_note_says_so(tmp_path, prefix):
    write(tmp_path, rename=lambda name: prefix + name)
    source = idx_folder(str(tmp_path))
    # Image 0 is stored as 0 1 / 2 3 / 4 5.
    assert source.train.images[0].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert source.test.images[3].tolist() == [[118, 120, 122], [119, 121, 123]]
    assert source.train.labels.tolist() == [0, 1, 2] * 4
    assert source.notes == ("the images are transposed, as EMNIST stores them so",)
    assert data.load(str(tmp_path)).example_shape == (2, 3)


def test_several_sets_in_a_folder_are_listed(tmp_path):
    for prefix in ("emnist-letters-", "emnist-digits-"):
        write(tmp_path, rename=lambda name, prefix=prefix: f"{prefix}{name}")
    with pytest.raises(UserError) as caught:
        idx_folder(str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: holds 2 sets of IDX files, those of emnist-digits-t10k-images-idx3-ubyte, "
        "emnist-letters-t10k-images-idx3-ubyte; give the folder of one, or move the files of one into a "
        "separate folder"
    )


def test_sets_in_several_folders_are_listed(tmp_path):
    for name in ("MNIST", "KMNIST"):
        write(tmp_path / name / "raw")
    with pytest.raises(UserError, match=r"holds 2 sets of IDX files, those of KMNIST/raw/t10k.*, MNIST/raw/t10k"):
        idx_folder(str(tmp_path))


def test_without_a_test_split_a_sixth_is_held_out(tmp_path):
    write(tmp_path, {name: FILES[name] for name in (IMAGES, LABELS)})
    splits = data.load(str(tmp_path))
    assert [len(split.labels) for split in (splits.train, splits.validation, splits.test)] == [9, 1, 2]
    assert "there is no test split; 2 of the 12 rows are held out for it" in splits.notes[0]


def test_mnist_as_published_is_55000_5000_10000(tmp_path):
    for part, rows in (("train", 60_000), ("t10k", 10_000)):
        images = np.random.default_rng(rows).integers(0, 256, rows * 4, np.uint8).tobytes()
        write(
            tmp_path,
            {
                f"{part}-images-idx3-ubyte": struct.pack(">4I", 0x803, rows, 2, 2) + images,
                f"{part}-labels-idx1-ubyte": struct.pack(">2I", 0x801, rows) + bytes(range(10)) * (rows // 10),
            },
        )
    splits = data.load(str(tmp_path))
    assert [len(split.labels) for split in (splits.train, splits.validation, splits.test)] == [55_000, 5_000, 10_000]
    assert splits.validation.labels.tolist().count(7) == 500
    assert splits.notes == ()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (LABELS, ": has no train-labels-idx1-ubyte beside t10k-images-idx3-ubyte; put it there, or give another"),
        (IMAGES, ": has no train-images-idx3-ubyte beside t10k-images-idx3-ubyte; put it there"),
        ("t10k-labels-idx1-ubyte", ": has no test-labels-idx1-ubyte beside t10k-images-idx3-ubyte; put it there"),
        ("t10k-images-idx3-ubyte", ": has no test-images-idx3-ubyte beside t10k-labels-idx1-ubyte; put it there"),
    ],
)
def test_a_set_without_one_of_its_files_names_it(tmp_path, missing, message):
    write(tmp_path, {name: FILES[name] for name in FILES if name != missing})
    with pytest.raises(UserError, match="^" + re.escape(f"{tmp_path}{message}")):
        idx_folder(str(tmp_path))


PAGE = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
BEGINS = f"{IMAGES}: begins with {{}}, but IDX images with b'\\x00\\x00\\x08\\x03' (unsigned bytes, 3-dimensional, big"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (IMAGES, PAGE, BEGINS.format("b'<!DO' (a web page?)")),
        (IMAGES, b"", BEGINS.format("b''")),
        (IMAGES, b"\0\0\x08", BEGINS.format(r"b'\x00\x00\x08'")),
        (IMAGES, struct.pack("<4I", 0x803, 12, 3, 2) + TRAIN, BEGINS.format(r"b'\x03\x08\x00\x00'")),
        (IMAGES, struct.pack(">4I", 0xD03, 12, 3, 2) + TRAIN * 4, BEGINS.format(r"b'\x00\x00\r\x03'")),
        (IMAGES, struct.pack(">5I", 0x804, 12, 3, 2, 1) + TRAIN, BEGINS.format(r"b'\x00\x00\x08\x04'")),
        (IMAGES, FILES[LABELS], BEGINS.format(r"b'\x00\x00\x08\x01'")),
        # The time in the header is fixed, as it is part of the id of the test, which all processes must agree on.
        (IMAGES, gzip.compress(PAGE, mtime=0), BEGINS.format("b'<!DO' (a web page?)")),
        (LABELS, FILES[IMAGES], r"\x08\x03', but IDX labels with b'\x00\x00\x08\x01' (unsigned bytes, 1-dimensional"),
        (IMAGES, FILES[IMAGES][:11], f"{IMAGES}: ends within its header; download it again"),
        (IMAGES, struct.pack(">4I", 0x803, 12, 0, 2), f"{IMAGES}: its header says images of shape [12, 0, 2]; none"),
        (IMAGES, struct.pack(">4I", 0x803, 0, 28, 28), f"{IMAGES}: its header says images of shape [0, 28, 28]"),
        (LABELS, struct.pack(">2I", 0x801, 0), f"{LABELS}: its header says labels of shape [0]; none of these may"),
        (IMAGES, FILES[IMAGES][:-1], f"{IMAGES}: holds 71 bytes of images, but its header says 72; download it again"),
        (IMAGES, FILES[IMAGES] + b"\0", f"{IMAGES}: holds more bytes of images, but its header says 72; download"),
        (LABELS, FILES[LABELS][:-1], f"{LABELS}: holds 11 bytes of labels, but its header says 12; download it"),
        (LABELS, struct.pack(">2I", 0x801, 11) + TRAIN_LABELS[1:], f"{LABELS}: 11 labels, but 12 images in {IMAGES}"),
        (LABELS, struct.pack(">2I", 0x801, 12) + b"\1" * 12, ": train-labels holds the class 1 only; give two classes"),
        (
            LABELS,
            struct.pack(">2I", 0x801, 12) + b"\1\2" * 6,
            ": test-labels[0] is 3, but the classes of train-labels are 1, 2; leave such rows out",
        ),
        (
            "t10k-images-idx3-ubyte",
            struct.pack(">4I", 0x803, 4, 2, 3) + TEST,
            ": uint8 of (3, 2) in x_train, uint8 of (2, 3) in x_test; make them equal",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_its_name_and_what_is_wrong(tmp_path, name, content, message):
    write(tmp_path, {**FILES, name: content})
    with pytest.raises(UserError) as caught:
        data.load(str(tmp_path), validation_size=0)
    assert str(caught.value).startswith(str(tmp_path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda packed: packed[:-20], "cannot be unpacked (Compressed file ended before the end-of-stream marker"),
        (lambda packed: packed[:5], "cannot be unpacked ("),
        (lambda packed: packed + b"garbage", "cannot be unpacked (Not a gzipped file"),
        (lambda packed: packed + gzip.compress(b"more"), "holds more bytes of images, but its header says 72"),
        (lambda packed: packed[:-8] + bytes(8), "cannot be unpacked (CRC check failed"),
        (lambda packed: packed[:20] + b"\xff" * 20 + packed[40:], "cannot be unpacked ("),
    ],
)
def test_a_damaged_packed_file_is_refused_in_one_line(tmp_path, change, message):
    write(tmp_path, {**FILES, f"{IMAGES}.gz": change(gzip.compress(FILES[IMAGES]))})
    os.remove(tmp_path / IMAGES)
    with pytest.raises(UserError, match=f"^{tmp_path}/{IMAGES}.gz: {re.escape(message)}"):
        idx_folder(str(tmp_path))


def test_zeros_after_a_packed_file_are_padding(tmp_path):
    write(tmp_path, pack=lambda content: gzip.compress(content) + bytes(512))
    check(idx_folder(str(tmp_path)), tmp_path)


def test_more_than_the_memory_there_is_is_refused_before_it_is_unpacked(tmp_path):
    rows = 2**32 - 1
    bomb = {IMAGES: struct.pack(">4I", 0x803, rows, 2**16, 2**16), LABELS: struct.pack(">2I", 0x801, rows)}
    write(tmp_path, bomb, lambda name: f"{name}.gz", gzip.compress)
    with pytest.raises(UserError, match=r"its IDX files need 34,35\d,\d+,\d+\.\d GiB, and this machine has"):
        idx_folder(str(tmp_path))


def test_a_bomb_is_unpacked_no_further_than_its_header_says(tmp_path, monkeypatch):
    write(tmp_path, {**FILES, f"{IMAGES}.gz": gzip.compress(FILES[IMAGES] + bytes(2**26))})
    os.remove(tmp_path / IMAGES)
    read = []
    unpack = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda file, size=-1: read.append(size) or unpack(file, size))
    with pytest.raises(UserError, match="holds more bytes of images, but its header says 72"):
        idx_folder(str(tmp_path))
    assert max(read) == 72
    assert min(read) >= 0


@pytest.mark.parametrize(("make", "message"), [case for case in NO_REGULAR_FILES if case[0] is not os.mkdir])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, make, message):
    write(tmp_path, {name: FILES[name] for name in FILES if name != IMAGES})
    make(tmp_path / IMAGES)
    with pytest.raises(UserError, match=f"^{tmp_path}/{IMAGES}: {message}; give a file that can be read"):
        idx_folder(str(tmp_path))


def test_a_folder_of_idx_files_is_a_dataset_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "MNIST_data")
    for dataset in ("MNIST_data", "./MNIST_data/", str(tmp_path / "MNIST_data")):
        assert data.load(dataset, validation_size=3).name == str(tmp_path / "MNIST_data")
