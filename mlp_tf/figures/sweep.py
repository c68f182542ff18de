"""Accuracy over what a sweep varies, or the error, where that is words."""

import math

import numpy as np

from mlp_tf.figures.style import COLOURS, decimal, fitting, legend, new_figure, shown, styled

_SPLITS = {"validation": ("val_accuracy", "s--", COLOURS[1]), "test": ("test_accuracy", "o-", COLOURS[0])}
_MOST_BARS = 40  # of more rows, the best
_MOST_NAMES = 28  # of points
_MOST_CELLS = 12  # across a heat map


@styled
def sweep(rows, varied, title):
    """Validation and test accuracy over what varies: a curve over numbers, bars of the error for words.

    Over the widths it is a curve over the parameters; over two settings a heat map; over more, bars again.

    Args:
      rows: dictionaries with `parameters`, and with `val_accuracy`, `test_accuracy`, from 0 to 1 or None, and their
        standard deviations `val_accuracy_std`, `test_accuracy_std`.
      varied: {name of a setting: its value in each row, a number or text}.
    """
    if list(varied) == ["hidden"]:
        return _over("parameters", [row["parameters"] for row in rows], rows, title, varied["hidden"])
    [*values] = varied.values()
    if len(values) == 1 and len(rows) > 1 and not any(isinstance(value, str | bool) for value in values[0]):
        return _over(next(iter(varied)), values[0], rows, title)
    if len(values) == 2 and max(len(set(each)) for each in values) <= _MOST_CELLS:
        return _heat(rows, varied, title)
    return _bars(rows, varied, title)


def _known(rows, split):
    """(positions of the rows, their accuracies, their deviations) in %, where the accuracy is known."""
    name = _SPLITS[split][0]
    known = [i for i, row in enumerate(rows) if row[name] is not None]
    return known, *([100 * rows[i][f"{name}{end}"] for i in known] for end in ("", "_std"))


def _over(name, values, rows, title, labels=()):
    figure = new_figure(4.5, title)
    axis = figure.subplots()
    order = sorted(range(len(rows)), key=lambda i: values[i])
    values, rows = [values[i] for i in order], [rows[i] for i in order]
    for split, (_, style, colour) in _SPLITS.items():
        known, accuracies, deviations = _known(rows, split)
        x = [values[i] for i in known]
        if known:
            axis.errorbar(x, accuracies, deviations, fmt=style, color=colour, capsize=4, label=split)
    if min(values) > 0 and max(values) >= 20 * min(values):
        axis.set_xscale("log")
        decimal(axis.xaxis)
    axis.set(xlabel=name, ylabel="accuracy (%), mean and\nstandard deviation over seeds")
    axis.grid(alpha=0.3)
    if labels:
        _name_points(axis, values, [labels[i] for i in order])
    legend(figure, *axis.get_legend_handles_labels())
    return figure


def _name_points(axis, values, labels):
    """Writes names above the axes, in the order of the values, and a line from each to its value."""
    low, high = axis.get_xlim()
    scale = np.log if axis.get_xscale() == "log" else np.asarray
    places = (scale(values) - scale(low)) / (scale(high) - scale(low))
    every = math.ceil(len(labels) / _MOST_NAMES)
    values, places, labels = values[::every], places[::every], labels[::every]
    spread, gap = list(places), 1 / _MOST_NAMES  # of the width of the axes, which one line of text takes
    for i in range(1, len(spread)):
        spread[i] = max(spread[i], spread[i - 1] + gap)
    spread[-1] = min(spread[-1], 1.0)
    for i in reversed(range(len(spread) - 1)):
        spread[i] = min(spread[i], spread[i + 1] - gap)
    for value, place, at, label in zip(values, places, spread, labels, strict=True):
        axis.axvline(value, color="0.9", zorder=0)
        axis.annotate(
            shown(label, 24), (place, 1), (at, 1.1), xycoords="axes fraction", textcoords="axes fraction",
            rotation=90, ha="center", va="bottom", arrowprops={"arrowstyle": "-", "color": "0.6"},
        )  # fmt: skip


def _heat(rows, varied, title):
    (down, downs), (across, acrosses) = sorted(varied.items(), key=lambda item: len(set(item[1])))
    lines, columns = _in_order(downs), _in_order(acrosses)
    splits = [split for split in _SPLITS if _known(rows, split)[0]]
    figure = new_figure(len(splits) * (0.9 + 0.45 * len(lines)), title)
    grids = []
    for split in splits:
        grids.append(np.full((len(lines), len(columns)), np.nan))
        for i, accuracy in zip(*_known(rows, split)[:2], strict=True):
            grids[-1][lines.index(downs[i]), columns.index(acrosses[i])] = accuracy
    low, high = np.nanmin(grids), np.nanmax(grids)
    for axis, split, grid in zip(figure.subplots(len(splits), squeeze=False).ravel(), splits, grids, strict=True):
        axis.imshow(grid, cmap="viridis", vmin=low, vmax=high, aspect="auto")
        axis.set(title=f"{split} accuracy (%)", xlabel=across, ylabel=down)
        texts = [_text(each, 14) for each in columns]
        beside = fitting(6.3, max(map(len, texts)) + 1) >= len(texts)
        axis.set_xticks(range(len(columns)), texts, rotation=0 if beside else 90)
        axis.set_yticks(range(len(lines)), [_text(each, 20) for each in lines])
        for line, column in np.argwhere(np.isfinite(grid)):
            colour = "black" if grid[line, column] > (low + high) / 2 else "white"
            axis.text(column, line, f"{grid[line, column]:.2f}", ha="center", va="center", color=colour)
    return figure


def _in_order(values):
    """Each value once: numbers from the least on, words as they come."""
    distinct = list(dict.fromkeys(values))
    return distinct if any(isinstance(each, str) for each in distinct) else sorted(distinct)


def _text(value, most):
    return f"{value:g}" if isinstance(value, float) else shown(str(value), most)


def _bars(rows, varied, title):
    names = [", ".join(_named(name, values[i]) for name, values in varied.items()) for i in range(len(rows))]
    order = sorted(range(len(rows)), key=lambda i: rows[i]["val_accuracy"] or rows[i]["test_accuracy"])
    if len(rows) > _MOST_BARS:
        title += f"\nthe best {_MOST_BARS} of {len(rows)}"
    elif len(varied) == 1:  # in their own order, the first one on top
        order = range(len(rows) - 1, -1, -1)
    rows, names = [[each[i] for i in order[-_MOST_BARS:]] for each in (rows, names)]
    figure = new_figure(1 + 0.5 * len(rows), title)
    axis = figure.subplots()
    for split, offset in zip(_SPLITS, (0.2, -0.2), strict=True):
        known, accuracies, deviations = _known(rows, split)
        if not known:
            continue
        errors = [100 - accuracy for accuracy in accuracies]
        style = {"color": _SPLITS[split][2], "hatch": "//" if split == "validation" else None, "edgecolor": "white"}
        drawn = axis.barh([i + offset for i in known], errors, 0.4, xerr=deviations, label=split, **style)
        axis.bar_label(drawn, [f"{error:.2f}" for error in errors], padding=4)
    axis.set_yticks(range(len(rows)), [shown(name, 44) for name in names])
    axis.set(xlabel="error (%): lower is better\nmean and standard deviation over seeds")
    axis.margins(x=0.12, y=0.01)
    legend(figure, *axis.get_legend_handles_labels())
    return figure


def _named(name, value):
    """A value that says of what it is."""
    return value if isinstance(value, str) else f"{name}={_text(value, 20)}"
