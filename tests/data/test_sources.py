"""What a --dataset names, what the message is if it names nothing, and where moved data are found."""

import os
import sys

import numpy as np
import pandas
import pytest
from PIL import Image

from mlp_tf import UserError, data
from mlp_tf.data.sources import located, resolve

KINDS = (
    "auto, mnist_sample or the name",
    "such as fashion_mnist",
    "a FILE.npz",
    "a FILE.csv",
    "a FOLDER of images",
    "of IDX files",
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A fresh current folder with two files that are not datasets."""
    monkeypatch.chdir(tmp_path)
    for name in ("notes.md", "notes"):
        (tmp_path / name).write_text("hello\n")
    return tmp_path


def refusal(dataset):
    """The message about a --dataset: one line, and nothing from within tensorflow-datasets."""
    with pytest.raises(UserError) as caught:
        resolve(dataset)
    message = str(caught.value)
    assert "\n" not in message
    assert "Parsing builder name" not in message
    return message


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("nosuch", "--dataset=nosuch: no such dataset; give auto"),
        ("x y", "--dataset=x y: no such dataset; give auto"),
        ("nosuch/config", "--dataset=nosuch/config: no such dataset; give auto"),
        ("huggingface:mnist", "--dataset=huggingface:mnist: no such dataset; give auto"),
        ("fashion_mnis", "--dataset=fashion_mnis: no such dataset (is it fashion_mnist?); give auto"),
        ("./nosuch", "--dataset=./nosuch: no such file or folder; give auto"),
        ("~/nosuch", "--dataset=~/nosuch: no such file or folder; give auto"),
        ("/no/such.md", "--dataset=/no/such.md: no such file or folder; give auto"),
        ("notes.md", "--dataset=notes.md: a file that ends in .md; give auto"),
        ("./notes", "--dataset=./notes: a file that ends in notes; give auto"),
    ],
)
def test_words_that_name_nothing_are_told_the_kinds_there_are(dataset, message):
    found = refusal(dataset)
    assert found.startswith(message)
    for kind in KINDS:
        assert kind in found


@pytest.mark.parametrize("name", ["a.csv.gz", "a.zip"])
def test_a_packed_file_is_to_be_unpacked(here, name):
    (here / name).write_bytes(b"x")
    end = name.rpartition(".")[2]
    assert refusal(name) == (
        f"--dataset={name}: .{end} files are not read; unpack it, and give the file or folder in it"
    )


def test_a_slash_at_the_end_means_a_folder(here):
    write_images(here / "mnist")
    assert resolve("mnist/").name == str(here / "mnist")


@pytest.mark.parametrize("dataset", ["mnist/nosuchconfig", "mnist:9.9.9", "mnist:x:y"])
def test_a_set_without_such_a_version_or_configuration_is_refused(dataset):
    message = refusal(dataset)
    assert message.startswith(f"--dataset={dataset}: tensorflow-datasets cannot load it (")
    assert message.endswith("without a version or configuration that it does not have")


@pytest.mark.parametrize("dataset", ["a.npy", "b/a.txt", "./a.TSV", "~/a.parquet", "a.xlsx"])
def test_a_file_that_pandas_or_numpy_reads_is_told_how(dataset):
    suffix = dataset[dataset.rindex(".") :].lower()
    message = refusal(dataset)
    assert message.startswith(f"--dataset={dataset}: {suffix} files are not read; convert it in Python: ")
    assert f"({os.path.expanduser(dataset)!r}" in message
    assert ("'a.npz'" if suffix == ".npy" else "'a.csv'") in message


FEATURES = np.random.default_rng(0).integers(-99, 99, (24, 3)) / 8
LABELS = np.arange(24) % 2


def write_table(path, separator):
    """Writes the features, and the labels as words, in a text."""
    rows = [[*map(repr, row), ("cat", "dog")[label]] for row, label in zip(FEATURES.tolist(), LABELS, strict=True)]
    path.write_text("".join(separator.join(row) + "\n" for row in [["a", "b", "c", "label"], *rows]))


@pytest.mark.parametrize(
    ("name", "write", "converted", "classes"),
    [
        ("a.npy", lambda path: np.save(path, FEATURES), "a.npz", ("0", "1")),
        ("a.txt", lambda path: write_table(path, "   "), "a.csv", ("cat", "dog")),
        ("b.txt", lambda path: write_table(path, ","), "b.csv", ("cat", "dog")),
        ("c.txt", lambda path: write_table(path, "; "), "c.csv", ("cat", "dog")),
        ("a.tsv", lambda path: write_table(path, "\t"), "a.csv", ("cat", "dog")),
    ],
)
def test_the_line_that_converts_a_file_makes_a_dataset_of_it(here, name, write, converted, classes):
    write(here / name)
    line = refusal(name).split("convert it in Python: ")[1]
    exec(line, {"numpy": np, "pandas": pandas, "the_labels": LABELS})
    splits = data.load(converted, validation_size=4)
    found = [
        (*row, label)
        for split in (splits.train, splits.validation, splits.test)
        for row, label in zip(split.images.tolist(), split.labels.tolist(), strict=True)
    ]
    assert sorted(found) == sorted((*row, label) for row, label in zip(FEATURES.tolist(), LABELS.tolist(), strict=True))
    assert splits.class_names == classes


def write_images(folder):
    """Writes six images, of two classes."""
    for label, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((5, 4), 50 * label + i, np.uint8)).save(folder / name / f"{i}.png")


@pytest.mark.parametrize("dataset", ["images", "images/", "./images", "./mnist"])
def test_a_folder_of_images_is_taken_by_its_path(here, dataset):
    write_images(here / dataset)
    source = resolve(dataset)
    assert source.name == str(here / dataset.strip("./"))
    assert (source.class_names, source.train.images.shape) == (("cat", "dog"), (6, 5, 4))


def test_a_path_that_begins_at_home_is_found(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    write_images(here / "images")
    assert resolve("~/images").name == str(here / "images")


@pytest.fixture
def moved(here):
    """Data that were moved to new/: a file, and a folder."""
    (here / "new" / "images").mkdir(parents=True)
    (here / "new" / "a.npz").touch()
    (here / "new" / "renamed.csv").touch()
    return here


@pytest.mark.parametrize(
    ("name", "data_dir", "found"),
    [
        ("old/a.npz", "new", "new/a.npz"),
        ("old/a.npz", "new/a.npz", "new/a.npz"),
        ("old/a.csv", "new/renamed.csv", "new/renamed.csv"),
        ("old/images", "new", "new/images"),
        ("old/images", "new/images", "new/images"),
        ("new/a.npz", "", "new/a.npz"),
        ("new/a.npz", "elsewhere", "new/a.npz"),
        ("new/images", "", "new/images"),
    ],
)
def test_data_that_were_moved_are_found_by_folder_or_path(moved, name, data_dir, found):
    for place in {data_dir, data_dir and str(moved / data_dir)}:  # relative to this folder, or not
        assert located(str(moved / name), place) == str(moved / found)


@pytest.mark.parametrize(
    ("name", "data_dir"),
    [
        ("old/a.npz", ""),
        ("old/images", ""),
        ("old/b.npz", "new"),
        ("old/others/cats", "nowhere"),
        ("old/a.npz", "new/images"),
        ("old/images", "new/a.npz"),
    ],
)
def test_data_that_are_nowhere_are_asked_for_by_data_dir(moved, name, data_dir):
    missing = f"{moved / name}: the data of this run are no longer there"
    elsewhere = f", nor in {moved / data_dir}" if data_dir else ""
    with pytest.raises(UserError) as caught:
        located(str(moved / name), data_dir and str(moved / data_dir))
    assert str(caught.value) == f"{missing}{elsewhere}; say where they are now with --data_dir=PATH"


@pytest.mark.parametrize("name", ["auto", "mnist_sample", "mnist", "fashion_mnist"])
def test_the_name_of_a_set_stays_wherever_data_are(moved, name):
    (moved / "new" / name).mkdir()
    assert located(name, str(moved / "new")) == name


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_name_goes_before_what_is_called_so_in_this_folder(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir() if kind == "folder" else (tmp_path / "mnist").write_text("")
    monkeypatch.setattr(sys.modules["mlp_tf.data.sources"], "prepared", lambda name, data_dir: name)
    assert resolve("mnist") == "mnist"


def test_no_words_at_all_are_told_the_kinds_there_are(tmp_path, monkeypatch):
    (tmp_path / "class").mkdir()
    monkeypatch.chdir(tmp_path)
    message = refusal("")
    assert all(kind in message for kind in KINDS)
