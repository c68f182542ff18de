"""Arrays and tensors that share their memory."""

import numpy as np

from mlp_tf import data
from mlp_tf.data.memory import tensor


def test_a_tensor_in_an_arrays_own_memory_equals_a_copy(npz):
    images = data.load(npz, validation_size=40).train.images
    assert images.ctypes.data % 64 == 0
    for array in (images, images[1:], images[::2], images[:0], images.ravel()[1:]):
        np.testing.assert_array_equal(tensor(array), array)
    shared = tensor(images)
    images[0, 0, 0] ^= 1
    assert int(shared[0, 0, 0]) == images[0, 0, 0]
