"""Sets of tensorflow-datasets, by the example of full MNIST: what is read, and what is refused as damaged."""

import json
import pathlib
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers import needs_mnist, prepared_mnist

from mlp_tf import UserError, data

pytestmark = needs_mnist


@pytest.fixture(scope="module")
def mnist():
    """What `auto` finds where MNIST is prepared."""
    return data.load("auto", prepared_mnist())


@pytest.fixture(scope="module")
def small_mnist(tmp_path_factory):
    """A folder with 1,000 and 1,000 images of prepared MNIST, and the metadata to match."""
    folder = tmp_path_factory.mktemp("prepared")
    shutil.copytree(pathlib.Path(prepared_mnist()) / "mnist", folder / "mnist")
    for split in ("train", "test"):
        write_records(folder, split, records(folder, split, 1000))
    [info] = folder.rglob("dataset_info.json")
    content = json.loads(info.read_text())
    for split in content["splits"]:
        split["shardLengths"] = ["1000"]
    info.chmod(0o644)
    info.write_text(json.dumps(content))
    return folder


@pytest.fixture
def copy(small_mnist, tmp_path):
    """A copy of `small_mnist` to be changed."""
    return shutil.copytree(small_mnist, tmp_path / "copy")


def file_of(folder, split):
    """The file that holds a split's records."""
    [file] = folder.rglob(f"mnist-{split}.tfrecord*")
    return file


def records(folder, split, count):
    """The first records of a split."""
    return list(tf.data.TFRecordDataset(str(file_of(folder, split))).take(count).as_numpy_iterator())


def write_records(folder, split, content):
    """Replaces the records of a split."""
    file = file_of(folder, split)
    file.unlink()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in content:
            writer.write(record)


def test_mnist_is_55000_5000_10000_and_the_last_rows_validate(mnist):
    splits = (mnist.train, mnist.validation, mnist.test)
    assert [len(split.labels) for split in splits] == [55_000, 5_000, 10_000]
    assert (mnist.name, mnist.classes, mnist.example_shape, mnist.warning) == ("mnist", 10, (28, 28), "")
    # Counts of the ten digits among the 60,000 and 10,000, as LeCun's files have them.
    both = np.concatenate([mnist.train.labels, mnist.validation.labels])
    np.testing.assert_array_equal(np.bincount(both), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    np.testing.assert_array_equal(
        np.bincount(mnist.test.labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )


def test_images_equal_those_that_tensorflow_datasets_decodes(mnist):
    import tensorflow_datasets as tfds

    theirs = tfds.as_numpy(tfds.load("mnist", split="test[:500]", data_dir=prepared_mnist(), batch_size=-1))
    np.testing.assert_array_equal(mnist.test.images[:500], theirs["image"][..., 0])
    np.testing.assert_array_equal(mnist.test.labels[:500], theirs["label"])


def test_a_prepared_set_is_read_whole(small_mnist, mnist):
    splits = data.load("mnist", str(small_mnist), validation_size=100)
    assert [len(split.labels) for split in (splits.train, splits.validation, splits.test)] == [900, 100, 1000]
    np.testing.assert_array_equal(splits.train.images, mnist.train.images[:900])
    np.testing.assert_array_equal(splits.test.labels, mnist.test.labels[:1000])


def test_a_prepared_set_with_a_torn_file_is_refused(copy):
    file = file_of(copy, "test")
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(UserError, match=r"the data in .* cannot be used: .*delete that folder"):
        data.load("mnist", str(copy), validation_size=100)


def test_a_prepared_set_with_fewer_rows_than_its_metadata_is_refused(copy):
    write_records(copy, "test", records(copy, "test", 999))
    with pytest.raises(UserError, match="999 examples in test where its metadata says 1000"):
        data.load("mnist", str(copy), validation_size=100)


@pytest.mark.parametrize("block", [300, 1000])
def test_a_prepared_set_with_more_rows_than_its_metadata_is_refused(copy, monkeypatch, block):
    monkeypatch.setattr(sys.modules["mlp_tf.data.tfds"], "_BLOCK", block)
    content = records(copy, "test", 1000)
    write_records(copy, "test", content + content[:50])
    with pytest.raises(UserError, match="1050 or more examples in test where its metadata says 1000"):
        data.load("mnist", str(copy), validation_size=100)


def test_a_prepared_set_with_a_label_of_no_class_is_refused(copy):
    example = tf.train.Example.FromString(records(copy, "test", 1)[0])
    example.features.feature["label"].int64_list.value[0] = 10
    write_records(copy, "test", [*records(copy, "test", 999), example.SerializeToString()])
    with pytest.raises(UserError, match="a label in test is 10; labels must be 0 to 9; delete that folder"):
        data.load("mnist", str(copy), validation_size=100)
