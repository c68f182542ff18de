"""load(name): what it falls back to, what it refuses by name and value, the fingerprint, and the shards."""

import hashlib
import importlib.util
import sys

import numpy as np
import pytest
from helpers import make_arrays

from mlp_tf import UserError, data, evaluate
from mlp_tf.data import sources, tfds

pytestmark = pytest.mark.usefixtures("sample_read_once")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder without anything in it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_auto_falls_back_to_the_sample_and_says_so(tmp_path, home, monkeypatch):
    monkeypatch.setattr(tfds, "_unreachable", lambda builder: "no network")
    splits = data.load("auto", str(tmp_path))
    assert splits.name == "mnist_sample"
    assert "NOT COMPARABLE WITH FULL MNIST" in splits.warning
    assert "TFDS_DATA_DIR" in splits.warning


def test_auto_falls_back_when_the_download_breaks_off(tmp_path, home, monkeypatch):
    class Builder:
        data_dir, info = tmp_path, None

        def is_prepared(self):
            return False

        def download_and_prepare(self, file_format):
            raise ConnectionResetError("connection reset")

    monkeypatch.setattr(tfds, "_builder", lambda name, data_dir: Builder())
    monkeypatch.setattr(tfds, "_unreachable", lambda builder: "")
    assert "connection reset" in data.load("auto").warning
    with pytest.raises(tfds.Unavailable, match="connection reset"):
        data.load("mnist")


@pytest.fixture
def keras_mnist(home, arrays, monkeypatch):
    """The small dataset in place of Keras' MNIST, which tensorflow-datasets cannot download here."""
    path = home / ".keras/datasets/mnist.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays)
    monkeypatch.setattr(tfds, "_unreachable", lambda builder: "no network")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(sys.modules["mlp_tf.data.sources"], "_KERAS_SHA256", digest)
    return path


def test_auto_takes_the_copy_that_keras_has_and_says_so(tmp_path, keras_mnist, arrays):
    splits = data.load("auto", str(tmp_path), validation_size=40)
    assert (splits.name, splits.warning) == (str(keras_mnist), "")
    assert splits.notes == (f"full MNIST is read from {keras_mnist}, as tensorflow-datasets does not have it here",)
    np.testing.assert_array_equal(splits.test.images, arrays["x_test"])


def test_a_copy_that_is_not_what_keras_downloads_is_no_mnist(tmp_path, keras_mnist):
    keras_mnist.write_bytes(keras_mnist.read_bytes() + b"\0")
    assert data.load("auto", str(tmp_path)).name == "mnist_sample"


def test_the_checksum_of_mnist_is_the_one_that_keras_checks():
    path = importlib.util.find_spec("keras").submodule_search_locations[0] + "/src/datasets/mnist.py"
    with open(path) as file:
        assert f'"{sources._KERAS_SHA256}"' in file.read()


def test_a_run_on_the_copy_of_keras_resumes_with_auto(train, tmp_path, keras_mnist):
    flags = ["--hidden=4", "--batch_size=10", f"--workdir={tmp_path / 'run'}", f"--data_dir={tmp_path}"]
    assert train(*flags, "--epochs=1").code == 0
    outcome = train(*flags, "--epochs=2", "--dataset=auto")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Model has completed 2 Epochs" in outcome.out


def test_labels_of_64_bits_become_int32(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **{**arrays, "y_train": arrays["y_train"].astype(np.int64)})
    assert data.load(str(tmp_path / "a.npz"), validation_size=0).train.labels.dtype == np.int32


def relabeled(row, value):
    """Gives one row another label."""
    return lambda labels: np.where(np.arange(len(labels)) == row, value, labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": lambda x: x / 255}, r"float32 of \(8, 8\) in x_train, uint8 of \(8, 8\) in x_test"),
        ({"y_test": relabeled(5, 3)}, r"y_test\[5\] is 3, but the classes of y_train are 0, 1, 2"),
        ({"y_train": np.zeros_like}, "y_train holds the class 0 only"),
        ({"x_train": lambda x: x[:0], "y_train": lambda y: y[:0]}, "y_train holds no labels"),
        ({"x_train": lambda x: x[:, :0], "x_test": lambda x: x[:, :0]}, r"x_train has shape \(240, 0, 8\)"),
        ({"x_test": lambda x: x[:, :7]}, r"uint8 of \(8, 8\) in x_train, uint8 of \(7, 8\) in x_test"),
        ({"x_train": lambda x: x[:, 0, 0]}, r"x_train has shape \(240,\); must be"),
    ],
)
def test_wrong_arrays_are_refused_by_name_and_value(tmp_path, changes, message):
    arrays = make_arrays()
    np.savez(tmp_path / "wrong.npz", **{**arrays, **{name: change(arrays[name]) for name, change in changes.items()}})
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / "wrong.npz"), validation_size=0)


def test_a_validation_split_that_leaves_nothing_to_train_on_is_refused(npz):
    with pytest.raises(
        UserError, match=r"--validation_size=238 leaves no training rows of the 240.*at most 237, so that each"
    ):
        data.load(npz, validation_size=238)


@pytest.fixture
def with_validation(tmp_path, arrays):
    """An .npz file with three splits."""
    validation = make_arrays(train=31, seed=5)
    own = {"x_val": validation["x_train"], "y_val": validation["y_train"]}
    np.savez(tmp_path / "a.npz", **{name: each / 2 if each.ndim > 1 else each for name, each in (arrays | own).items()})
    return str(tmp_path / "a.npz")


def test_a_validation_split_of_the_users_own_allows_no_other_size(with_validation):
    splits = data.load(with_validation, validation_size=31)
    assert splits.sha256 == data.load(with_validation).sha256
    for size in (0, 30, 240):
        with pytest.raises(
            UserError, match=rf"--validation_size={size}: {with_validation} has a validation split, of 31"
        ):
            data.load(with_validation, validation_size=size)


def test_a_validation_split_of_the_users_own_is_scaled_and_shared(with_validation, arrays):
    splits = data.load(with_validation)
    digest = hashlib.sha256()
    with np.load(with_validation) as file:
        for name in ("train", "val", "test"):
            digest.update(file[f"x_{name}"].astype(np.float32).tobytes())
            digest.update(file[f"y_{name}"].astype(np.int32).tobytes())
    assert splits.sha256 == digest.hexdigest()
    np.testing.assert_allclose(splits.validation.scaling.mean, (arrays["x_train"] / 2).mean(axis=0), rtol=1e-12)
    part = data.load(with_validation, shard=data.Shard(1, 2))
    np.testing.assert_array_equal(part.validation.images, splits.validation.images[1::2])
    assert part.validation.global_rows == 31


def test_a_run_on_a_validation_split_of_the_users_own_resumes(train, run, with_validation, tmp_path):
    flags = ["--hidden=4", "--batch_size=10", f"--workdir={tmp_path / 'run'}", f"--dataset={with_validation}"]
    outcome = train(*flags, "--epochs=1")
    assert outcome.err.endswith("note: the data have a validation split, of 31 rows\n")
    assert "240 training, 31 validation, 61 test" in outcome.out
    assert train(*flags, "--epochs=2").code == 0
    assert run(evaluate, "--split=validation", f"--workdir={tmp_path / 'run'}").code == 0


def numbers_to_predict(rows, count):
    """This many different labels, which do not number classes."""
    return 25 + 3 * (np.arange(rows) % count)


@pytest.mark.parametrize(("rows", "count"), [(442, 214), (442, 45), (60, 21)])
def test_numbers_to_predict_are_refused(tmp_path, rows, count):
    x = np.random.default_rng(0).normal(size=(rows, 3))
    np.savez(tmp_path / "a.npz", x_train=x, y_train=numbers_to_predict(rows, count))
    message = f"a.npz: {count} different numbers are the labels of {rows} rows; regression is not supported: give"
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    ("shape", "labels"),
    [
        ((442, 3), numbers_to_predict(442, 44)),
        ((60, 3), numbers_to_predict(60, 20)),
        ((60, 3), np.arange(60) % 30),
        ((60, 3), np.arange(60) % 30 + 1),
        ((60, 3), np.char.add(numbers_to_predict(60, 30).astype(str), "x")),
        ((60, 4, 4), numbers_to_predict(60, 30)),
    ],
    ids=["a tenth", "20 classes", "from 0", "from 1", "words", "images"],
)
def test_few_or_numbered_classes_and_words_are_not_refused(tmp_path, shape, labels):
    np.savez(tmp_path / "a.npz", x_train=np.random.default_rng(0).normal(size=shape), y_train=labels)
    assert data.load(str(tmp_path / "a.npz")).classes == len(np.unique(labels))


def make_source(arrays, name):
    """The small dataset as a set of tensorflow-datasets."""
    train, test = (data.Split(arrays[f"x_{kind}"], arrays[f"y_{kind}"]) for kind in ("train", "test"))
    return data.splits.Source(name, train, test, ("a", "b", "c"))


def test_the_fingerprint_is_the_sha256_of_each_splits_images_then_labels(arrays, monkeypatch):
    digest = hashlib.sha256()
    for x, y, rows in (
        ("x_train", "y_train", slice(200)),
        ("x_train", "y_train", slice(200, None)),
        ("x_test", "y_test", slice(None)),
    ):
        digest.update(arrays[x][rows].tobytes() + arrays[y][rows].tobytes())
    monkeypatch.setattr(
        sys.modules["mlp_tf.data.sources"], "prepared", lambda name, data_dir: make_source(arrays, name)
    )
    for shard in (data.Shard(), data.Shard(2, 3)):
        assert data.load("kmnist", validation_size=40, shard=shard).sha256 == digest.hexdigest()


def test_the_fingerprint_of_given_rows_never_changes(npz, arrays, tmp_path):
    """Otherwise a run would not find its data again: these are the digests of version 0.8.0."""
    with_test = data.load(npz, validation_size=40)
    assert with_test.sha256 == "7a301ddc81a585f27b8cc9e5e93b82f7be3225626e2d81bb01d449883358e93a"
    np.savez(tmp_path / "a.npz", x_train=arrays["x_train"] / 8, y_train=arrays["y_train"])
    held_out = data.load(str(tmp_path / "a.npz"))
    assert held_out.sha256 == "91c133b883ccae636bcfc63d8ed0748aa8bd6e413884c3686bb2c318efd483e7"


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_the_shards_of_all_workers_are_all_rows_once(tmp_path, workers):
    path = str(tmp_path / "a.npz")
    np.savez(path, **make_arrays(train=2500, test=1001))
    whole = data.load(path, validation_size=700)
    for index in range(workers):
        shard = data.Shard(index, workers)
        splits = data.load(path, validation_size=700, shard=shard)
        for name in ("train", "validation", "test"):
            all_rows, local = getattr(whole, name), getattr(splits, name)
            np.testing.assert_array_equal(local.images, all_rows.images[index::workers])
            np.testing.assert_array_equal(local.labels, all_rows.labels[index::workers])
            assert local.global_rows == len(all_rows.labels)
            np.testing.assert_array_equal(all_rows.sharded(shard).images, local.images)
            assert local.sharded(shard) is local
        assert splits.sha256 == whole.sha256
        replicated = data.load(path, validation_size=700, shard=data.Shard(index, workers, whole_train=True))
        assert len(replicated.train.labels) == 1800


def test_a_name_is_looked_up_among_prepared_sets_where_data_dir_says(arrays, monkeypatch):
    asked = []

    def prepared(name, data_dir):
        asked.append((name, data_dir))
        return make_source(arrays, name)

    monkeypatch.setattr(sys.modules["mlp_tf.data.sources"], "prepared", prepared)
    for name, found in (("kmnist", "kmnist"), ("auto", "mnist")):
        splits = data.load(name, "here", validation_size=40)
        assert (splits.name, splits.warning, len(splits.train.labels)) == (found, "", 200)
    assert asked == [("kmnist", "here"), ("mnist", "here")]
