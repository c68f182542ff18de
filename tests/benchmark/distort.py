"""Seconds to distort 60,000 images by mlp_tf, and by TensorFlow's own affine transform, in turn."""

import functools
import time

from common import EXAMPLES, arrays, show, spread


def measure(rounds):
    """{implementation: seconds to distort all images}, after one round of warm-up."""
    from mlp_tf.cli import quiet

    quiet.import_tensorflow()
    import tensorflow as tf

    from mlp_tf.config import Config
    from mlp_tf.data.augmentation import distort

    images = tf.constant(arrays()[0])
    implementations = {
        "affine": functools.partial(distort, images, Config(distort=1.0)),
        "affine and elastic": functools.partial(distort, images, Config(distort=1.0, elastic=0.5)),
        "affine, by ImageProjectiveTransformV3": functools.partial(transform, images),
    }
    seconds = {name: [] for name in implementations}
    for epoch in range(rounds + 1):
        for name, implementation in implementations.items():
            begin = time.perf_counter()
            implementation(epoch).numpy()
            seconds[name].append(time.perf_counter() - begin)
    return {name: spread(values[1:]) for name, values in seconds.items()}


def transform(images, epoch):
    """Random affine maps of the same strength, applied by an operation of TensorFlow's."""
    import tensorflow as tf

    from mlp_tf.data import augmentation

    maps = augmentation.affine_maps(tf.random.stateless_uniform([5, EXAMPLES], [0, epoch], -1.0, 1.0), 28, 28)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images[..., None],
        transforms=tf.pad(maps, [[0, 0], [0, 2]]),
        output_shape=[28, 28],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def report(figures):
    """Prints a table of the implementations."""
    print(f"\n| distortion of {EXAMPLES:,} images | seconds: median (min - max) |\n|---|---|")
    for name, seconds in figures.items():
        print(f"| {name} | {show(seconds)} |", flush=True)
