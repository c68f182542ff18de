"""Pictures of arrays and of rows: every function returns a matplotlib `Figure`, and `save` writes it.

Figures are 8 inches wide at 100 dots an inch, and use colours that colour-blind readers tell apart. Never
pyplot: it keeps global state and may ask for a display.
"""

import math
import textwrap
import warnings

import numpy as np
from matplotlib.figure import Figure

from mlp_tf import UserError
from mlp_tf.printable import printable, shortened
from mlp_tf.regular import replaced

DOTS_PER_INCH = 100
# Okabe and Ito (2008), and line styles, so that no curve depends on colour alone.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]


def save(figure, path):
    """Writes a figure as PNG, replacing the file at once; returns the path.

    Raises:
      UserError: it cannot be written.
    """
    try:
        with replaced(path) as file:
            _draw(figure, file)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}; make room or access, or use another folder"
        ) from None
    return path


def _draw(figure, file):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # in a name, which is shown with a box then
        figure.savefig(file, dpi=DOTS_PER_INCH, format="png")


def _shown(text):
    """Text as a figure shows it: what stands between two `$` matplotlib would take for a formula."""
    return printable(text, but="\n").replace("$", r"\$")


def _wrapped(title):
    return "\n".join(textwrap.fill(line, 70) for line in _shown(title).splitlines())


def image_grid(images, captions, title, columns=10):
    """Grey or colour images in a grid, each under its caption.

    Args:
      images: uint8, or others that are shown from their least to their largest value, `[N, H, W]` or `[N, H, W, C]`;
        where C is not 3 or 4, the mean over the channels is shown.
      captions: N short texts.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        images = 255 * (images - images.min()) / max(np.ptp(images), 1e-9)
    if images.ndim == 4 and images.shape[3] not in (3, 4):
        images = images.mean(axis=3)
    longest = max(len(line) for caption in captions for line in caption.split("\n"))
    columns = min(columns, len(images), max(3, 105 // (longest + 1)))  # so that captions do not overlap
    rows = math.ceil(len(images) / columns)
    lines = max(caption.count("\n") + 1 for caption in captions)
    figure = Figure(figsize=(8, 0.6 + rows * (8 / max(columns, 4) * 0.85 + 0.17 * lines)), layout="constrained")
    figure.suptitle(_wrapped(title))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, image, caption in zip(axes, images, captions, strict=False):
        axis.imshow(image / 255, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(_shown(caption), fontsize=9)
    return figure


def confusion(counts, names, title):
    """A confusion matrix, rows true and columns predicted, coloured by the share of each row.

    Args:
      counts: integers `[classes, classes]`.
      names: of the classes.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(8, 7), layout="constrained")
    axis = figure.subplots()
    picture = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, label="share of the true class")
    classes = range(len(counts))
    axis.set(xlabel="predicted class", ylabel="true class", title=_wrapped(title))
    shown, longest = [_shown(shortened(name, 16)) for name in names], max(map(len, names))
    every = math.ceil(len(names) / 50)  # more would run into each other
    axis.set_xticks(classes[::every], shown[::every], rotation=90 if longest > 3 or len(names) > 20 else 0)
    axis.set_yticks(classes[::every], shown[::every])
    if len(counts) <= 20:  # beyond that the numbers would run into each other
        for row in classes:
            for column in classes:
                colour = "white" if share[row, column] > 0.5 else "black"
                axis.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=8)
    return figure


def curves(runs):
    """Cost and validation accuracy over the epochs, the best epoch marked.

    Args:
      runs: {name: rows of metrics.jsonl}.
    """
    figure = Figure(figsize=(8, 8), layout="constrained")
    costs, accuracies = figure.subplots(2, sharex=True)
    for i, (name, rows) in enumerate(runs.items()):
        colour, label = COLOURS[i % len(COLOURS)], f"{_shown(name)}: " if len(runs) > 1 else ""
        epochs = [row["epoch"] for row in rows]
        costs.plot(epochs, [row["cost"] for row in rows], "--", color=colour, label=f"{label}training")
        validated = [row for row in rows if row["val_cost"] is not None]
        if not validated:
            continue
        epochs, best = [row["epoch"] for row in validated], min(validated, key=lambda row: row["val_cost"])
        costs.plot(epochs, [row["val_cost"] for row in validated], "-", color=colour, label=f"{label}validation")
        accuracies.plot(epochs, [100 * row["val_accuracy"] for row in validated], "-", color=colour, label=_shown(name))
        caption = f"{label}lowest validation cost, epoch {best['epoch']}"
        costs.plot(best["epoch"], best["val_cost"], "o", color=colour, label=caption)
        accuracies.plot(best["epoch"], 100 * best["val_accuracy"], "o", color=colour)
    costs.set(ylabel="cost (nats per example)", title="Cost", yscale="log")
    accuracies.set(ylabel="validation accuracy (%)", xlabel="epoch", title="Validation accuracy")
    costs.legend(fontsize=8)
    if len(runs) > 1 and accuracies.lines:
        accuracies.legend(fontsize=8)
    for axis in (costs, accuracies):
        axis.grid(alpha=0.3)
    accuracies.xaxis.get_major_locator().set_params(integer=True)
    return figure


def first_layer(weights, image_shape, title, most=64):
    """Each hidden unit's weights as an image, all on one colour scale that is symmetric about 0.

    Args:
      weights: float `[pixels, units]`; the first `most` units are shown.
      image_shape: `(H, W)`, or `(H, W, C)`, of which the mean over the channels is shown.
    """
    units = min(most, weights.shape[1])
    pictures = weights[:, :units].T.reshape(units, *image_shape)
    if pictures.ndim == 4:
        pictures = pictures.mean(axis=3)
    limit = np.abs(pictures).max()
    columns = min(8, units)
    rows = math.ceil(units / columns)
    figure = Figure(figsize=(8, 0.8 + rows * 0.85 * 8 / max(columns, 4)), layout="constrained")
    figure.suptitle(_wrapped(title))
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    for axis, picture in zip(axes.ravel(), pictures, strict=False):
        shown = axis.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    figure.colorbar(shown, ax=axes, label="weight", shrink=0.8)
    return figure


def layers(layers, title):
    """Histograms of each layer's activations, and below them of its gradients; layer beside layer.

    Args:
      layers: {name: {"activations": an array, "gradient": an array, ...}}.
    """
    figure = Figure(figsize=(max(8, 2.6 * len(layers)), 6), layout="constrained")
    figure.suptitle(_wrapped(title))
    axes = figure.subplots(2, len(layers), squeeze=False)
    for column, (name, layer) in enumerate(layers.items()):
        what = {"activations": "logits" if name == "out" else "activations", "gradient": "gradient of the weights"}
        for axis, (key, label), colour in zip(axes[:, column], what.items(), COLOURS, strict=False):
            axis.hist(layer[key].ravel(), bins=60, color=colour)
            axis.set_title(f"{name}: {layer[key].shape[-1]:,} units", fontsize=12)
            axis.set_xlabel(label, fontsize=11)
            axis.set_yscale("log")
            axis.locator_params(axis="x", nbins=3)
            axis.tick_params(labelsize=11)
            axis.grid(alpha=0.3)
    for row in axes:
        row[0].set_ylabel("how many", fontsize=11)
    return figure


def sweep(rows):
    """Training and test accuracy over the number of hidden units, with error bars.

    Args:
      rows: dictionaries with `units`, `train_accuracy`, `train_std`, `test_accuracy`, `test_std`, from 0 to 1.
    """
    rows = sorted(rows, key=lambda row: row["units"])
    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    units = [row["units"] for row in rows]
    for split, style, colour in (("train", "s--", COLOURS[1]), ("test", "o-", COLOURS[0])):
        accuracy, deviation = ([100 * row[f"{split}_{kind}"] for row in rows] for kind in ("accuracy", "std"))
        label = {"train": "training", "test": "test"}[split]
        axis.errorbar(units, accuracy, deviation, fmt=style, color=colour, capsize=4, label=label)
    axis.set(xlabel="hidden units, all layers together", ylabel="accuracy (%), mean and standard deviation over seeds")
    axis.set_title("Accuracy over the size of the network")
    axis.grid(alpha=0.3)
    axis.legend()
    return figure
