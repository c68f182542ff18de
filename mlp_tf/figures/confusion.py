"""The confusion matrix."""

import math

import numpy as np

from mlp_tf.figures.style import WIDTH, fitting, new_figure, shown, styled

_ACROSS = 5.8  # inches of the matrix


@styled
def confusion(counts, names, title):
    """A confusion matrix, rows true and columns predicted: errors coloured, the diagonal grey, zeros empty.

    Args:
      counts: integers `[classes, classes]`.
      names: of the classes.
    """
    right = np.eye(len(counts), dtype=bool)
    errors = np.ma.masked_where(right | (counts == 0), counts)
    figure = new_figure(WIDTH - 1, title)
    axis = figure.subplots()
    axis.imshow(np.ma.masked_where(~right, np.ones(counts.shape)), cmap="Greys", vmin=0, vmax=6)
    most = errors.max() if errors.count() else 1
    drawn = axis.imshow(errors, cmap="YlOrRd", vmin=0, vmax=most)
    figure.colorbar(drawn, label="errors (examples)", ticks=_ticks(most), shrink=0.8)
    axis.set(xlabel="predicted class", ylabel="true class")
    classes, texts = range(len(counts)), [shown(name, 16) for name in names]
    every = math.ceil(len(names) / 28)  # more would run into each other
    longest = max(map(len, texts))
    beside = fitting(_ACROSS, longest + 1) >= len(names)
    axis.set_xticks(classes[::every], texts[::every], rotation=0 if beside else 90)
    axis.set_yticks(classes[::every], texts[::every])
    if fitting(_ACROSS, len(str(counts.max())) + 0.5) >= len(names):  # else the numbers would run into each other
        for row, column in np.argwhere(counts):
            colour = "white" if row != column and counts[row, column] > 0.65 * most else "black"
            axis.text(column, row, counts[row, column], ha="center", va="center", color=colour)
    return figure


def _ticks(most):
    """At most six whole numbers from 0 on."""
    return range(0, most + 1, math.ceil(most / 5))
