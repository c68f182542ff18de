"""The confusion matrix."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from mlp_tf.figures.style import WIDTH, count_locator, fitting, name_ticks, new_figure, safe_text, styled

_ACROSS = 5.3  # inches of the matrix
_MOST_LINED = 100  # classes with lines between their cells
_DIAGONAL = LinearSegmentedColormap.from_list("recall", ["black", "0.9"])


@styled
def plot_confusion(counts, names, title):
    """Returns a figure of a confusion matrix, rows true and columns predicted.

    Errors are colored by their count; the diagonal is gray, and darker where the recall of the class is lower.

    Args:
      counts: integers `[classes, classes]`.
      names: of the classes.
      title: of the figure.
    """
    on_diagonal = np.eye(len(counts), dtype=bool)
    examples = counts.sum(axis=1)
    recalls = np.diag(100 * counts.diagonal() / np.maximum(examples, 1))
    errors = np.ma.masked_where(on_diagonal | (counts == 0), counts)
    most = errors.max() if errors.count() else 1
    figure = new_figure(WIDTH - 1.3, title)
    # Two color bars stand beside the matrix, one above the other; without errors there is nothing to explain.
    bars = [["matrix", "errors"], ["matrix", "recall"]] if errors.count() else [["matrix"]]
    axes = figure.subplot_mosaic(bars, width_ratios=[30, 1] if errors.count() else None)
    axis = axes["matrix"]
    diagonal = np.ma.masked_where(~on_diagonal | (examples == 0), recalls)
    by_class = axis.imshow(diagonal, cmap=_DIAGONAL, vmin=0, vmax=100, aspect="auto")
    by_count = axis.imshow(errors, cmap="YlOrRd", vmin=0.5, vmax=most + 0.5, aspect="auto")
    if errors.count():
        figure.colorbar(by_count, cax=axes["errors"], label="errors (count)", ticks=count_locator())
        figure.colorbar(by_class, cax=axes["recall"], label="recall of the class (%)")
    axis.set(xlabel="predicted class", ylabel="true class")
    for each in (axis.xaxis, axis.yaxis):
        name_ticks(each, [safe_text(name, 16) for name in names], _ACROSS)
    if len(names) <= _MOST_LINED:
        edges = np.arange(len(names) + 1) - 0.5
        axis.set_xticks(edges, minor=True)
        axis.set_yticks(edges, minor=True)
        axis.grid(which="minor", color="0.85", linewidth=0.6)
        axis.tick_params(which="minor", length=0)
    if fitting(_ACROSS, len(str(counts.max())) + 0.5) >= len(names):  # else the numbers would run into each other
        for row, column in np.argwhere((counts > 0) | (on_diagonal & (examples > 0)[:, None])):
            is_dark = recalls[row, row] < 50 if row == column else counts[row, column] > 0.65 * most
            color = "white" if is_dark else "black"
            axis.text(column, row, counts[row, column], ha="center", va="center", color=color)
    return figure
