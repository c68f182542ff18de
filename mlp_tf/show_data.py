"""Shows a dataset as training sees it: counts, shapes, ranges, classes, and samples.png.

python -m mlp_tf.show_data --dataset=mnist_sample --deskew --distort=1
"""

import pathlib
import sys

from absl import flags

from mlp_tf import UserError, config, door

SAMPLES = 50
DATA = ("dataset", "data_dir", "validation_size")


def define_flags(values):
    """Defines the flags of this command: those of `train` that say what the images are, and where the picture goes."""
    config.define_flags(values, only=(*DATA, "distort", "elastic", "deskew", "seed"))
    flags.DEFINE_string("out", ".", "Folder for samples.png.", flag_values=values)


def main(values):
    """Prints and draws the dataset that the flags name; returns the exit code."""
    out = pathlib.Path(values["out"].value)
    if not out.is_dir():
        raise UserError(f"--out={out}: no such folder; make it first")
    door.import_tensorflow()
    from mlp_tf import data

    splits = data.load(*(values[name].value for name in DATA))
    door.warn(splits.warning)
    print(f"Dataset: {splits.name}, {splits.classes} classes")
    for name in ("train", "validation", "test"):
        _print_split(name, getattr(splits, name), splits.classes)
    if len(splits.image_shape) < 2:
        print("samples.png: not drawn, as the images have one dimension", file=sys.stderr)
        return 0
    from mlp_tf import figures

    shown = _first_epoch(splits.train.images, values)
    title = f"{splits.name}: the first {len(shown)} training images, as the first epoch sees them"
    picture = figures.image_grid(shown, [str(label) for label in splits.train.labels[:SAMPLES]], title)
    print(f"Picture: {figures.save(picture, out / 'samples.png')}")
    return 0


def _first_epoch(images, values):
    """The first training images as the first epoch of a run with these flags sees them."""
    from mlp_tf import data, warp

    shown = images[:SAMPLES]
    seed, *strengths = (values[name].value for name in ("seed", "distort", "elastic"))
    if values["deskew"].value:
        shown = warp.deskew(shown).numpy()
    return data.distort(shown, seed, 0, *strengths, total=len(images)).numpy() if any(strengths) else shown


def _print_split(name, split, classes):
    import numpy as np

    images, labels = split[:2]
    print(f"{name}: images {images.dtype} {list(images.shape)}, labels {labels.dtype} {list(labels.shape)}")
    if len(labels):
        print(f"  pixels {images.min()} to {images.max()}, mean {images.mean():.1f}")
        counts = np.bincount(labels, minlength=classes)
        print("  images of each class: " + ", ".join(f"{c}: {count:,}" for c, count in enumerate(counts)), flush=True)


if __name__ == "__main__":
    sys.exit(door.enter(main, __doc__, define_flags))
