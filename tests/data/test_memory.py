"""Arrays and tensors that share their memory."""

import numpy as np
import pytest

from mlp_tf import data
from mlp_tf.data.memory import aligned, tensor


def test_a_tensor_in_an_arrays_own_memory_equals_a_copy(npz):
    images = data.load(npz, validation_size=40).train.images
    assert images.ctypes.data % 64 == 0
    for array in (images, images[1:], images[::2], images[:0], images.ravel()[1:]):
        np.testing.assert_array_equal(tensor(array), array)
    shared = tensor(images)
    images[0, 0, 0] ^= 1
    assert int(shared[0, 0, 0]) == images[0, 0, 0]


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4), (1,)])
def test_a_tensor_of_floats_in_their_own_memory_sees_them_change(shape):
    array = aligned(shape, np.float32)
    assert (array.shape, array.dtype, array.ctypes.data % 64) == (shape, np.float32, 0)
    array[...] = np.arange(array.size).reshape(shape) / 8
    shared = tensor(array)
    assert shared.numpy().tolist() == array.tolist()
    array[0] -= 1.5
    assert float(shared.numpy().ravel()[0]) == -1.5


@pytest.mark.parametrize("shape", [(0, 3), (4, 0)])
def test_an_array_of_no_floats_can_be_a_tensor(shape):
    assert tensor(aligned(shape, np.float32)).shape == shape
