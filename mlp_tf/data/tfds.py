"""Sets of tensorflow-datasets, prepared on this machine or downloaded, read in blocks from their records."""

import contextlib
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import tensorflow as tf

from mlp_tf import UserError
from mlp_tf.base.files import temporary_files_removed
from mlp_tf.data.splits import Source, Split

PROBE_SECONDS = 5
_BLOCK = 1000  # rows read at once


class Unavailable(UserError):
    """A dataset that is not prepared here and cannot be downloaded now."""


def prepared(name, data_dir=""):
    """Returns the `Source` of a set by its name; downloads and prepares the set first if it is not here.

    Raises:
      Unavailable: not prepared, and no network.
      UserError: no such set, not a set for image classification, or damaged.
    """
    builder = _builder(name, data_dir)
    if not builder.is_prepared():
        _download(builder, name)
    if not {"train", "test"} <= set(builder.info.splits):
        raise UserError(
            f"--dataset={name}: has the splits {', '.join(builder.info.splits)}; it must have train and test; save it "
            "as an .npz file with both"
        )
    label = builder.info.features["label"]
    names = tuple(label.names or map(str, range(label.num_classes)))
    return Source(name, _read(builder, "train"), _read(builder, "test"), names)


def known_names():
    """Returns the names of the sets that tensorflow-datasets has, prepared here or not."""
    import tensorflow_datasets as tfds

    return tfds.list_builders(with_community_datasets=False)


def _builder(name, data_dir):
    import tensorflow_datasets as tfds

    try:
        with temporary_files_removed():  # tfds leaves a folder for each set that is not prepared
            builder = tfds.builder(name, data_dir=data_dir or None)
        usable = builder.info.supervised_keys == ("image", "label")
    except Exception as error:  # versions and configurations are free text, and fail in any way
        raise UserError(
            f"--dataset={name}: tensorflow-datasets cannot load it ({type(error).__name__}); give the name of an "
            "image-classification set, such as mnist, fashion_mnist or kmnist, without a version or configuration that "
            "it does not have"
        ) from None
    if not usable:
        raise UserError(
            f"--dataset={name}: has no supervised (image, label) pairs; give an image-classification set, such as "
            "mnist, fashion_mnist or kmnist"
        )
    shape = builder.info.features["image"].shape
    if None in shape:
        raise UserError(
            f"--dataset={name}: its images are of different sizes, {shape}; give a set of one size, such as mnist, "
            "fashion_mnist, kmnist or cifar10"
        )
    return builder


def _read(builder, split):
    """Returns a prepared split as a `Split`, its images without a last axis of 1.

    The images are decoded a thousand at a time, which is 3 times faster than one at a time.
    """
    info = builder.info.splits[split]
    shape = builder.info.features["image"].shape
    row_shape = shape[:-1] if shape[-1] == 1 else shape
    spec = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}

    @tf.autograph.experimental.do_not_convert  # AutoGraph writes a file, and the disk may be full
    def decode_image(encoded):
        return tf.ensure_shape(tf.io.decode_image(encoded, shape[-1], expand_animations=False), shape)

    @tf.autograph.experimental.do_not_convert
    def decode(records):
        examples = tf.io.parse_example(records, spec)
        images = tf.map_fn(decode_image, examples["image"], fn_output_signature=tf.uint8)
        return tf.reshape(images, [-1, *row_shape]), examples["label"]

    images = np.empty((info.num_examples, *row_shape), np.uint8)
    labels = np.empty(info.num_examples, np.int64)
    count = 0
    try:
        records = tf.data.TFRecordDataset([str(path) for path in info.filepaths]).batch(_BLOCK)
        for block in records.map(decode, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator():
            rows = slice(count, count + len(block[1]))
            count = rows.stop
            if count > info.num_examples:
                break
            images[rows], labels[rows] = block
    except (tf.errors.OpError, ValueError, KeyError) as error:
        raise _unusable(builder, _first_line(error)) from None
    if count != info.num_examples:
        found = count if count < info.num_examples else f"{count} or more"
        raise _unusable(builder, f"{found} examples in {split} where its metadata says {info.num_examples}")
    classes = builder.info.features["label"].num_classes
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        raise _unusable(builder, f"a label in {split} is {labels[outside][0]}; labels must be 0 to {classes - 1}")
    return Split(images, labels.astype(np.int32))


def _unusable(builder, reason):
    return UserError(
        f"--dataset={builder.name}: the data in {builder.data_dir} cannot be used: {reason}; delete that folder and "
        "prepare the set again"
    )


def _download(builder, name):
    """Downloads and prepares a set; raises `Unavailable` if that fails."""
    reason = _unreachable(builder)
    if not reason:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
                builder.download_and_prepare(file_format="tfrecord")
            return
        except Exception as error:  # such as a lost connection, a full disk, a host that moved
            reason = _first_line(error)
    raise Unavailable(
        f"--dataset={name} is not prepared in {builder.data_dir} and cannot be downloaded ({reason}); point --data_dir "
        "or TFDS_DATA_DIR at a prepared copy, connect to the network, or use --dataset=mnist_sample"
    )


def _unreachable(builder):
    """Returns why a download would fail, or "": checked first, as tensorflow-datasets would retry for 204 s."""
    urls = {urllib.parse.urlsplit(url).netloc: url for url in builder.url_infos or {}}
    reasons = dict.fromkeys(urls, f"no answer within {PROBE_SECONDS} s")
    probes = [threading.Thread(target=_probe, args=(host, urls[host], reasons), daemon=True) for host in urls]
    for probe in probes:
        probe.start()
    deadline = time.monotonic() + PROBE_SECONDS
    for probe in probes:
        probe.join(max(0.0, deadline - time.monotonic()))  # the lookup of a host name has no time limit
    return "; ".join(f"{host}: {reason}" for host, reason in reasons.items() if reason)


def _probe(host, url, reasons):
    """Asks a host for a URL, and writes into `reasons` why a download would fail, or ""."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PROBE_SECONDS):
            reasons[host] = ""
    except urllib.error.HTTPError as error:
        # The host answers (405 is about HEAD), unless a proxy refuses the connection: then the code is 403 or 407.
        reasons[host] = str(error) if error.code in (403, 407) or error.code >= 500 else ""
    except (OSError, ValueError) as error:
        reasons[host] = str(getattr(error, "reason", error))


def _first_line(error):
    return str(error).strip().partition("\n")[0]
