"""Resolves a --dataset to its source, and finds files that were moved."""

import difflib
import glob
import hashlib
import os
import pathlib
import re

from mlp_tf import UserError
from mlp_tf.base.files import open_regular
from mlp_tf.config import DEFAULTS, is_file, is_path
from mlp_tf.data.idx import idx_folder
from mlp_tf.data.npz import npz
from mlp_tf.data.sample import mnist_sample
from mlp_tf.data.tfds import Unavailable, known_names, prepared

KINDS = (
    "give auto, mnist_sample or the name of an image-classification set of tensorflow-datasets, such as "
    "fashion_mnist; a FILE.npz of arrays; a FILE.csv with a column label, or with --label=NAME; or a FOLDER of images, "
    "in a folder for each class, of tables such as train.csv, or of IDX files such as train-images-idx3-ubyte.gz"
)
_KERAS_MNIST = "~/.keras/datasets/mnist.npz"  # where keras.datasets.mnist keeps it
_KERAS_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"  # as Keras checks it
_CONVERSIONS = {  # of files that NumPy or pandas read
    ".npy": "x = numpy.load({name!r}); numpy.savez({npz!r}, x_train=x, y_train=the_labels)",
    ".txt": 'table = pandas.read_csv({name!r}, sep=r"[\\s,;|]+", engine="python"); table.to_csv({csv!r}, index=False)',
    ".tsv": 'table = pandas.read_csv({name!r}, sep="\\t"); table.to_csv({csv!r}, index=False)',
    ".parquet": "table = pandas.read_parquet({name!r}); table.to_csv({csv!r}, index=False)",
    ".xlsx": "table = pandas.read_excel({name!r}); table.to_csv({csv!r}, index=False)  # pip install openpyxl",
}
_PACKED = (".gz", ".zip", ".bz2", ".xz", ".tar", ".tgz", ".7z", ".rar")


def resolve(dataset, data_dir="", config=DEFAULTS):
    """Returns the `Source` that a --dataset names.

    Args:
      dataset, data_dir: as `load` takes them. `auto` is MNIST of tensorflow-datasets; if that is not prepared and
        cannot be downloaded, Keras' copy in the home folder; if that is missing too, the sample.
      config: the settings; only `label` and `resize` count.

    Raises:
      UserError: no such data, or they are wrong.
    """
    path = os.path.abspath(os.path.expanduser(dataset))
    if dataset == "auto":
        return _mnist_or_sample(data_dir)
    if dataset == "mnist_sample":
        return mnist_sample()
    if dataset.lower().endswith(".npz"):
        return npz(path)
    if dataset.lower().endswith(".csv"):
        from mlp_tf.data.tables import csv  # and pandas, which takes 0.4 s

        return csv(path, config.label)
    # A name of tensorflow-datasets takes precedence over a folder of that name, which may be where it is prepared.
    if not is_path(dataset) and re.split("[/:]", dataset)[0] in known_names():
        return prepared(dataset, data_dir)
    if dataset and os.path.isdir(path):
        if source := idx_folder(path):
            return source
        if glob.glob(os.path.join(glob.escape(path), "*.[cC][sS][vV]")):
            from mlp_tf.data.tables import csv_folder

            if source := csv_folder(path, config.label):
                return source
        from mlp_tf.data.image_folder import image_folder  # and Pillow, which no other dataset needs

        return image_folder(path, config.resize)
    raise UserError(f"--dataset={dataset}: {_explain(dataset, path)}")


def _mnist_or_sample(data_dir):
    try:
        return prepared("mnist", data_dir)
    except Unavailable as error:
        path = os.path.expanduser(_KERAS_MNIST)
        if _is_keras_mnist(path):
            note = f"full MNIST is read from {path}, as tensorflow-datasets does not have it here"
            return npz(path)._replace(notes=(note,))
        warning = (
            "full MNIST is not here, so this run uses mnist_sample, 5,000 real MNIST images: ITS ACCURACY IS NOT "
            f"COMPARABLE WITH FULL MNIST. Why, and how to get it: {error}"
        )
        return mnist_sample()._replace(warning=warning)


def _is_keras_mnist(path):
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == _KERAS_SHA256
    except OSError:
        return False


def _explain(dataset, path):
    """Explains why a --dataset is not valid, and what to give."""
    suffix = pathlib.Path(path).suffix.lower()
    if suffix in _CONVERSIONS:
        stem = pathlib.Path(dataset).stem
        name = os.path.expanduser(dataset)
        line = _CONVERSIONS[suffix].format(name=name, npz=f"{stem}.npz", csv=f"{stem}.csv")
        return f"{suffix} files are not read; convert it in Python: {line}"
    if suffix in _PACKED and os.path.exists(path):
        return f"{suffix} files are not read; unpack it, and give the file or folder in it"
    if dataset and os.path.exists(path):
        return f"a file that ends in {suffix or pathlib.Path(path).name}; {KINDS}"
    if is_path(dataset):
        return f"no such file or folder; {KINDS}"
    near = difflib.get_close_matches(dataset.lower(), known_names(), 1)
    question = f" (is it {near[0]}?)" if near else ""
    return f"no such dataset{question}; {KINDS}"


def located(name, data_dir=""):
    """Returns the path of a run's data now: in `data_dir`, `data_dir` itself, or where they were.

    Args:
      name: an absolute path, or the name of a set, which is returned as it is.
      data_dir: may be empty.

    Raises:
      UserError: they are at none of these.
    """
    if not os.path.isabs(name):
        return name
    inside = os.path.join(data_dir, os.path.basename(name))
    # `data_dir` may hold the folder, or be the folder itself: the latter only if neither of the others exists.
    candidates = [inside, data_dir, name] if is_file(name) else [inside, name, data_dir]
    exists = os.path.isfile if is_file(name) else os.path.isdir
    for path in candidates if data_dir else [name]:
        if exists(path):
            return os.path.abspath(path)
    elsewhere = f", nor in {data_dir}" if data_dir else ""
    raise UserError(
        f"{name}: the data of this run are no longer there{elsewhere}; say where they are now with --data_dir=PATH"
    )
