"""Accuracy over the settings that a sweep varies."""

import numpy as np
from matplotlib.patches import Rectangle

from mlp_tf.figures.style import COLORS, add_legend, fitting, format_numbers, name_ticks, new_figure, safe_text, styled

_STYLES = {"validation": ("s--", COLORS[1]), "test": ("o-", COLORS[0])}
_MOST_ROWS = 40  # networks with a line of dots each; of more, the best
_MOST_CELLS = 12  # across a heat map


@styled
def plot_sweep(rows, varied, title):
    """Returns a figure of validation and test accuracy over the settings that vary.

    A setting with numbers makes a curve, and so do the layer sizes, in the order of their parameters. Two settings make
    a heat map. Anything else makes a line of dots for each network. Several seeds add the standard deviation.

    Args:
      rows: dictionaries with `parameters` and `seeds` (a count), the means `val_accuracy` and `test_accuracy`, from 0
        to 1 or None, and the standard deviations `val_accuracy_std` and `test_accuracy_std`.
      varied: {name of a setting: its value in each row, a number or text}.
      title: of the figure.
    """
    accuracies = {"validation": _percent(rows, "val_accuracy"), "test": _percent(rows, "test_accuracy")}
    accuracies = {split: both for split, both in accuracies.items() if not np.isnan(both[0]).all()}
    if len(rows) > 1 and len(varied) == 1:
        [(name, values)] = varied.items()
        if name == "hidden" or not any(isinstance(value, str | bool) for value in values):
            ranks = [row["parameters"] for row in rows] if name == "hidden" else values
            return _draw_curve(name, values, np.argsort(ranks, kind="stable"), accuracies, title)
    if len(varied) == 2 and max(len(set(values)) for values in varied.values()) <= _MOST_CELLS:
        return _draw_heat_map(varied, accuracies, title)
    return _draw_dots(varied, accuracies, title)


def _percent(rows, name):
    """Returns (means, standard deviations) in %, NaN where there is none: one seed has no standard deviation."""
    means = [row[name] for row in rows]
    deviations = [row[f"{name}_std"] if row["seeds"] > 1 else None for row in rows]
    return 100 * np.array(means, float), 100 * np.array(deviations, float)


def _axis_label(accuracies):
    has_deviations = any(np.isfinite(deviations).any() for _, deviations in accuracies.values())
    return "accuracy (%)" + (",\nmean and standard deviation over seeds" if has_deviations else "")


def _draw_curve(name, values, order, accuracies, title):
    figure = new_figure(4.5, title)
    axis = figure.subplots()
    is_named = isinstance(values[0], str)
    x = np.arange(len(order)) if is_named else np.array(values)[order]
    handles = []
    for split, (means, deviations) in accuracies.items():
        style, color = _STYLES[split]
        handles.append(axis.errorbar(x, means[order], deviations[order], fmt=style, color=color, capsize=4)[0])
    is_log = x[0] > 0 and x[-1] >= 20 * x[0]
    if is_named:
        name_ticks(axis.xaxis, [safe_text(values[i], 24) for i in order], 6.8)
        name += " (fewest parameters first)"
    else:
        format_numbers(axis.xaxis, log=is_log)
        name += " (log scale)" if is_log else ""
    axis.set(xlabel=name, ylabel=_axis_label(accuracies))
    axis.grid(alpha=0.3)
    add_legend(figure, handles, list(accuracies))
    return figure


def _draw_heat_map(varied, accuracies, title):
    down, across = sorted(varied, key=lambda name: len(set(varied[name])))
    lines = _sort_values(varied[down])
    columns = _sort_values(varied[across])
    places = [(columns.index(x), lines.index(y)) for x, y in zip(varied[across], varied[down], strict=True)]
    title += f"\nframed: the network with the highest {next(iter(accuracies))} accuracy"
    figure = new_figure(len(accuracies) * (1 + 0.45 * len(lines)), title)
    means = [means for means, _ in accuracies.values()]
    low = np.nanmin(means)
    high = np.nanmax(means)
    best = places[np.nanargmax(means[0])]
    all_axes = figure.subplots(len(accuracies), squeeze=False).ravel()
    for axis, (split, (means, deviations)) in zip(all_axes, accuracies.items(), strict=True):
        grid = np.full((len(lines), len(columns)), np.nan)
        for (x, y), mean, deviation in zip(places, means, deviations, strict=True):
            grid[y, x] = mean
            if np.isfinite(mean):
                text = _accuracy_text(mean, deviation if fitting(6.3, 7) >= len(columns) else np.nan, "\n")
                axis.text(x, y, text, ha="center", va="center", color="black" if mean > (low + high) / 2 else "white")
        axis.imshow(grid, cmap="viridis", vmin=low, vmax=high, aspect="auto")
        frame = {"fill": False, "edgecolor": "red", "linewidth": 3, "clip_on": False, "zorder": 3}
        axis.add_patch(Rectangle((best[0] - 0.5, best[1] - 0.5), 1, 1, **frame))
        axis.set(title=f"{split} accuracy (%)", xlabel=across, ylabel=down)
        name_ticks(axis.xaxis, [_value_text(each, 14) for each in columns], 6.3)
        axis.set_yticks(range(len(lines)), [_value_text(each, 20) for each in lines])
    return figure


def _sort_values(values):
    """Returns each value once: numbers in ascending order, words in the order given."""
    distinct = list(dict.fromkeys(values))
    return distinct if any(isinstance(each, str) for each in distinct) else sorted(distinct)


def _value_text(value, most):
    return f"{value:g}" if isinstance(value, float) else safe_text(str(value), most)


def _accuracy_text(mean, deviation, separator):
    return f"{mean:.2f}" + (f"{separator}± {deviation:.2f}" if np.isfinite(deviation) else "")


def _draw_dots(varied, accuracies, title):
    names = [", ".join(map(_name_value, varied, values)) for values in zip(*varied.values(), strict=True)]
    means = [means for means, _ in accuracies.values()]
    order = np.argsort(np.where(np.isnan(means[0]), means[-1], means[0]), kind="stable")  # by validation, where known
    if len(names) > _MOST_ROWS:
        title += f"\nthe best {_MOST_ROWS} of {len(names)}"
        order = order[-_MOST_ROWS:]
    elif len(varied) == 1:  # in their order, the first one on top
        order = np.arange(len(names))[::-1]
    figure = new_figure(1.2 + 0.5 * len(order), title)
    axis = figure.subplots()
    handles = []
    for split, (means, deviations) in accuracies.items():
        style, color = _STYLES[split]
        y = np.arange(len(order)) + (0.18 if split == "validation" else -0.18)
        drawn = axis.errorbar(means[order], y, xerr=deviations[order], fmt=style[0], color=color, capsize=4)
        handles.append(drawn[0])
        for at, i in zip(y, order, strict=True):
            if np.isfinite(means[i]):  # the numbers stand in the right margin
                text = _accuracy_text(means[i], deviations[i], " ")
                axis.text(1.01, at, text, color=color, va="center", transform=axis.get_yaxis_transform())
    axis.set_yticks(range(len(order)), [safe_text(names[i], 44) for i in order])
    axis.set(xlabel=_axis_label(accuracies), ylim=(-0.5, len(order) - 0.5))
    axis.grid(axis="x", alpha=0.3)
    add_legend(figure, handles, list(accuracies))
    return figure


def _name_value(name, value):
    """Returns a value as text; a number with the name of its setting."""
    return value if isinstance(value, str) else f"{name}={_value_text(value, 20)}"
