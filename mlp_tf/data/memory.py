"""Arrays and tensors that share their memory."""

import math

import numpy as np
import tensorflow as tf

_ALIGNMENT = 64  # bytes: what TensorFlow asks of memory that it did not allocate


def aligned(shape, dtype=np.uint8):
    """An uninitialised array whose memory `tensor` can use as it is."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + _ALIGNMENT - 1, np.uint8)
    first = -memory.ctypes.data % _ALIGNMENT
    return memory[first : first + size].view(dtype).reshape(shape)


def tensor(array):
    """The array as a tensor: on the GPU, if there is one, else in the array's own memory where that can be."""
    if tf.config.list_physical_devices("GPU"):
        return tf.constant(array)
    if array.size and array.flags.c_contiguous and array.flags.writeable and array.ctypes.data % _ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.constant(array)
