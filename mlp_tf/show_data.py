"""Shows a dataset as training sees it: counts, shapes, ranges, classes, and samples of it in a picture.

    python -m mlp_tf.show_data --dataset=mnist_sample --deskew --distort=1
    python -m mlp_tf.show_data --dataset=mine.npz --json

The picture, in the current folder or in --out, is named by the dataset and by what was done to the images:
samples-mnist_sample_deskew_distort=1.0.png.

--json prints one object: dataset, sha256, class_names, warnings, splits (for train, validation and test: dtype, shape,
min, max, mean, and the examples of each class) and picture (its path, or null).
"""

import json
import pathlib
import sys

from absl import flags as absl_flags

from mlp_tf.base.text import printable, shorten
from mlp_tf.cli import command, flags, quiet

SAMPLES = 50
SETTINGS = ("dataset", "data_dir", "validation_size", "distort", "elastic", "deskew", "seed")


def define_flags(values):
    """Defines the flags of this command: those of `train` that say what the data are, and where the picture goes."""
    flags.define(values, only=SETTINGS)
    absl_flags.DEFINE_string("out", ".", "Folder for the picture.", flag_values=values)
    absl_flags.DEFINE_boolean("json", False, "Print one JSON object instead of words.", flag_values=values)
    flags.define_plots(values)


def main(values):
    """Prints and draws the dataset that the flags name; returns the exit code."""
    config = flags.to_config(values)
    quiet.import_tensorflow()
    from mlp_tf import data
    from mlp_tf.data.feed import check_images

    splits = data.load(config.dataset, config.data_dir, config.validation_size)
    command.warn(splits.warning, *splits.suspicions)
    command.note(*splits.notes)
    check_images(config, splits.train.images)
    report = _report(splits)
    if not values["json"].value:
        _print(report)
    picture = _draw(splits, config, flags.path(values, "out"), flags.plot_options(values))
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


def _draw(splits, config, out, pictures):
    """The path of the picture, or None where the examples are no images."""
    if len(splits.example_shape) < 2:
        print("samples: not drawn, as the examples are no images", file=sys.stderr)
        return None
    import numpy as np

    from mlp_tf import figures

    rows = np.linspace(0, len(splits.train.labels) - 1, min(SAMPLES, len(splits.train.labels))).astype(int)
    name, changes = pathlib.Path(splits.name).name, _changes(config)
    seen = f"as the first epoch sees them ({', '.join(changes)})" if changes else "as they are"
    title = f"Samples of {name}: {len(rows)} of {len(splits.train.labels):,} training images, {seen}"
    captions = [shorten(splits.class_names[label], 24) for label in splits.train.labels[rows]]
    picture = figures.image_grid(_first_epoch(splits.train, config, rows), captions, title)
    return figures.save(picture, flags.make_folder("out", out) / "_".join([f"samples-{name}", *changes]), **pictures)


def _changes(config):
    """What is done to the images, in words."""
    changes = ["deskew"] if config.deskew else []
    changes += [f"{name}={getattr(config, name)}" for name in ("distort", "elastic") if getattr(config, name)]
    return [*changes, f"seed={config.seed}"] if config.distort or config.elastic else changes


def _first_epoch(split, config, rows):
    """Rows of the training images as the first epoch of a run with these settings sees them."""
    import numpy as np

    from mlp_tf.data.augmentation import deskew, distort

    shown = deskew(split.images[rows]).numpy() if config.deskew else split.images[rows]
    if not config.distort and not config.elastic:
        return shown
    in_place = np.zeros_like(split.images)  # since the distortion of a row belongs to its number
    in_place[rows] = shown
    return distort(in_place, config, epoch=0, split=split).numpy()[rows]


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags))
