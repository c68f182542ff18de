"""Shows a dataset as training sees it: counts, shapes, ranges, classes, and samples.png.

python -m mlp_tf.show_data --dataset=mnist_sample --deskew --distort=1
"""

import pathlib
import sys

from absl import flags as absl_flags

from mlp_tf import UserError
from mlp_tf.cli import app, flags, quiet

SAMPLES = 50
SETTINGS = ("dataset", "data_dir", "validation_size", "distort", "elastic", "deskew", "seed")


def define_flags(values):
    """Defines the flags of this command: those of `train` that say what the images are, and where the picture goes."""
    flags.define(values, only=SETTINGS)
    absl_flags.DEFINE_string("out", ".", "Folder for samples.png.", flag_values=values)


def main(values):
    """Prints and draws the dataset that the flags name; returns the exit code."""
    out = pathlib.Path(values["out"].value)
    if not out.is_dir():
        raise UserError(f"--out={out}: no such folder; make it first")
    config = flags.to_config(values)
    quiet.import_tensorflow()
    from mlp_tf import data

    splits = data.load(config.dataset, config.data_dir, config.validation_size)
    app.warn(splits.warning)
    print(f"Dataset: {splits.name}, {splits.classes} classes")
    for name in ("train", "validation", "test"):
        _print_split(name, getattr(splits, name), splits.classes)
    if len(splits.image_shape) < 2:
        print("samples.png: not drawn, as the images have one dimension", file=sys.stderr)
        return 0
    from mlp_tf import figures

    shown = _first_epoch(splits.train, config)
    title = f"{splits.name}: the first {len(shown)} training images, as the first epoch sees them"
    picture = figures.image_grid(shown, [str(label) for label in splits.train.labels[:SAMPLES]], title)
    print(f"Picture: {figures.save(picture, out / 'samples.png')}")
    return 0


def _first_epoch(split, config):
    """The first training images as the first epoch of a run with these settings sees them."""
    from mlp_tf.data.epoch import distort
    from mlp_tf.data.warp import deskew

    shown = split.images[:SAMPLES]
    if config.deskew:
        shown = deskew(shown).numpy()
    if config.distort or config.elastic:
        shown = distort(shown, config, epoch=0, split=split).numpy()
    return shown


def _print_split(name, split, classes):
    import numpy as np

    images, labels = split.images, split.labels
    print(f"{name}: images {images.dtype} {list(images.shape)}, labels {labels.dtype} {list(labels.shape)}")
    if len(labels):
        print(f"  pixels {images.min()} to {images.max()}, mean {images.mean():.1f}")
        counts = np.bincount(labels, minlength=classes)
        print("  images of each class: " + ", ".join(f"{c}: {count:,}" for c, count in enumerate(counts)), flush=True)


if __name__ == "__main__":
    app.end(app.run(main, __doc__, define_flags))
