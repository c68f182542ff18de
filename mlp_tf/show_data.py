"""Shows a dataset as training sees it: counts, shapes, ranges, classes, and samples.png.

    python -m mlp_tf.show_data --dataset=mnist_sample --deskew --distort=1
    python -m mlp_tf.show_data --dataset=mine.npz --json

--json prints one object: dataset, sha256, class_names, warnings, splits (for train, validation and test: dtype, shape,
min, max, mean, and the examples of each class) and picture (its path, or null).
"""

import json
import pathlib
import sys

from absl import flags as absl_flags

from mlp_tf.cli import app, flags, quiet
from mlp_tf.printable import printable

SAMPLES = 50
SETTINGS = ("dataset", "data_dir", "validation_size", "distort", "elastic", "deskew", "seed")


def define_flags(values):
    """Defines the flags of this command: those of `train` that say what the data are, and where the picture goes."""
    flags.define(values, only=SETTINGS)
    absl_flags.DEFINE_string("out", ".", "Folder for samples.png.", flag_values=values)
    absl_flags.DEFINE_boolean("json", False, "Print one JSON object instead of words.", flag_values=values)


def main(values):
    """Prints and draws the dataset that the flags name; returns the exit code."""
    config = flags.to_config(values)
    quiet.import_tensorflow()
    from mlp_tf import data
    from mlp_tf.data.feed import check_images

    splits = data.load(config.dataset, config.data_dir, config.validation_size)
    app.warn(splits.warning, *splits.suspicions)
    app.note(*splits.notes)
    check_images(config, splits.train.images)
    report = _report(splits)
    if not values["json"].value:
        _print(report)
    picture = _draw(splits, config, flags.path(values, "out"))
    if values["json"].value:
        print(json.dumps({**report, "picture": picture and str(picture)}))
    elif picture:
        print(f"Picture: {picture}")
    return 0


def _report(splits):
    """What is printed, of JSON's types."""
    return {
        "dataset": splits.name,
        "sha256": splits.sha256,
        "class_names": list(splits.class_names),
        "warnings": [text for text in (splits.warning, *splits.suspicions) if text],
        "splits": {name: _describe(getattr(splits, name), splits.classes) for name in ("train", "validation", "test")},
    }


def _describe(split, classes):
    import numpy as np

    values, described = split.images, {"dtype": str(split.images.dtype), "shape": list(split.images.shape)}
    if not len(values):
        return described
    statistics = {"min": values.min(), "max": values.max(), "mean": values.mean(dtype=np.float64)}
    counts = np.bincount(split.labels, minlength=classes).tolist()
    return {**described, **{name: value.item() for name, value in statistics.items()}, "examples": counts}


def _print(report):
    """The report in words."""
    names = [printable(name) for name in report["class_names"]]
    print(f"Dataset: {report['dataset']}, {len(names)} classes")
    for name, split in report["splits"].items():
        print(f"{name}: {split['dtype']} {split['shape']}")
        if "examples" in split:
            values = "pixels" if split["dtype"] == "uint8" else "values"
            print(f"  {values} {split['min']:g} to {split['max']:g}, mean {split['mean']:.4g}")
            counts = zip(names, split["examples"], strict=True)
            print("  examples of each class: " + ", ".join(f"{c}: {count:,}" for c, count in counts), flush=True)


def _draw(splits, config, out):
    """The path of the picture, or None where the examples are no images."""
    if len(splits.image_shape) < 2:
        print("samples.png: not drawn, as the examples are no images", file=sys.stderr)
        return None
    from mlp_tf import figures

    shown = _first_epoch(splits.train, config)
    title = f"{pathlib.Path(splits.name).name}: the first {len(shown)} training images, as the first epoch sees them"
    captions = [splits.class_names[label] for label in splits.train.labels[:SAMPLES]]
    picture = figures.image_grid(shown, captions, title)
    return figures.save(picture, flags.make_folder("out", out) / "samples.png")


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


if __name__ == "__main__":
    app.end(app.run(main, __doc__, define_flags))
