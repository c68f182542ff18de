"""Shows a dataset as training sees it: counts, shapes, ranges, classes, and a plot of samples.

    python -m mlp_tf.show_data --dataset=mnist_sample --deskew --distort=1
    python -m mlp_tf.show_data --dataset=mine.npz --json

The plot, in the current folder or in --out, is named after the dataset and the changes to its images, such as
samples-mnist_sample_deskew_distort=1.0_seed=0.png. --json prints one object: dataset, sha256, class_names, warnings,
splits (for train, validation and test: dtype, shape, min, max, mean, and the examples of each class) and plot (its
path, or null).
"""

import json
import pathlib
import sys

from absl import flags as absl_flags

from mlp_tf.base.text import printable, shorten
from mlp_tf.cli import command, flags, quiet

SAMPLES = 50
SETTINGS = (
    "dataset",
    "data_dir",
    "validation_size",
    "label",
    "layout",
    "resize",
    "distort",
    "elastic",
    "deskew",
    "seed",
)


def define_flags(values):
    """Defines the flags of this command: those of `train` that say what the data are, and where the plot goes."""
    flags.define(values, only=SETTINGS)
    absl_flags.DEFINE_string("out", ".", "Folder for the plot.", flag_values=values)
    absl_flags.DEFINE_boolean("json", False, "Print one JSON object instead of words.", flag_values=values)
    flags.define_plots(values)


def main(values):
    """Prints and draws the dataset that the flags name; returns the exit code."""
    config = flags.to_config(values)
    quiet.import_tensorflow()
    from mlp_tf import data, figures
    from mlp_tf.data.feed import check_images

    splits = data.load(config.dataset, config.data_dir, config.validation_size, config=config)
    command.warn(splits.warning, *splits.suspicions)
    command.note(*splits.notes)
    check_images(config, splits.train.images)
    report = _report(splits)
    if not values["json"].value:
        _print(report)
    path = None
    if len(splits.example_shape) < 2:
        print("samples: not drawn, as the examples are not images", file=sys.stderr)
    else:
        changes = _changes(config)
        stem = "_".join([f"samples-{pathlib.Path(splits.name).name}", *changes])
        folder = flags.make_folder("out", flags.path(values, "out"))
        path = figures.save(_draw(splits, config, changes), folder / stem, **flags.plot_options(values))
    if values["json"].value:
        print(json.dumps({**report, "plot": path and str(path)}))
    elif path:
        print(f"Plot: {path}")
    return 0


def _report(splits):
    """Returns what is printed, of JSON's types."""
    return {
        "dataset": splits.name,
        "sha256": splits.sha256,
        "class_names": list(splits.class_names),
        "warnings": [text for text in (splits.warning, *splits.suspicions) if text],
        "splits": {name: _measure(getattr(splits, name), splits.classes) for name in ("train", "validation", "test")},
    }


def _measure(split, classes):
    import numpy as np

    values = split.images
    measured = {"dtype": str(values.dtype), "shape": list(values.shape)}
    if len(values):
        measured["min"] = values.min().item()
        measured["max"] = values.max().item()
        measured["mean"] = values.mean(dtype=np.float64).item()
        measured["examples"] = np.bincount(split.labels, minlength=classes).tolist()
    return measured


def _print(report):
    """Prints the report in words."""
    names = [printable(name) for name in report["class_names"]]
    print(f"Dataset: {report['dataset']}, {len(names)} classes")
    for name, split in report["splits"].items():
        print(f"{name}: {split['dtype']} {split['shape']}")
        if "examples" in split:
            values = "pixels" if split["dtype"] == "uint8" else "values"
            print(f"  {values} {split['min']:g} to {split['max']:g}, mean {split['mean']:.4g}")
            counts = zip(names, split["examples"], strict=True)
            print("  examples of each class: " + ", ".join(f"{c}: {count:,}" for c, count in counts), flush=True)


def _changes(config):
    """Returns the changes to the images, in words."""
    changes = ["deskew"] if config.deskew else []
    changes += [f"{name}={getattr(config, name)}" for name in ("distort", "elastic") if getattr(config, name)]
    return [*changes, f"seed={config.seed}"] if config.distort or config.elastic else changes


def _draw(splits, config, changes):
    """Returns a figure of training images, as the first epoch of a run with these settings sees them."""
    import numpy as np

    from mlp_tf import figures
    from mlp_tf.data.augmentation import deskew, distort

    split = splits.train
    total = len(split.labels)
    rows = np.linspace(0, total - 1, min(SAMPLES, total)).astype(int)
    images = deskew(split.images[rows]).numpy() if config.deskew else split.images[rows]
    if config.distort or config.elastic:
        in_place = np.zeros_like(split.images)  # as the distortion of an image depends on its row number
        in_place[rows] = images
        images = distort(in_place, config, epoch=0, split=split).numpy()[rows]
    title = f"{pathlib.Path(splits.name).name}: {len(rows)} of {total:,} training images"
    if changes:
        title += f"\nas the first epoch sees them ({', '.join(changes)})"
    captions = [shorten(splits.class_names[label], 24) for label in split.labels[rows]]
    return figures.plot_images(images, captions, title)


if __name__ == "__main__":
    command.end(command.run(main, __doc__, define_flags))
