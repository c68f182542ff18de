"""Cost and accuracy over the epochs, of one run or of several."""

import math
import textwrap

from matplotlib.lines import Line2D

from mlp_tf.figures.style import COLORS, add_legend, format_numbers, new_figure, safe_text, styled

_BEST = 5  # runs that get a color if there are more runs than colors
_GRAY = "0.75"  # the color of the others


@styled
def plot_curves(runs, title, stopped="", monitor="val_cost"):
    """Returns a figure of cost and accuracy over the epochs, in training and validation, the best epoch marked.

    Each run has a color. If there are more runs than colors, the best five have one, and the others are gray.

    Args:
      runs: {name: rows of metrics.jsonl}.
      title: of the figure.
      stopped: why a single run ended before its last epoch, if it did.
      monitor: val_cost, whose lowest value is the best, or val_accuracy, whose highest is.
    """
    bests = {name: _best_row(rows, monitor) for name, rows in runs.items()}
    figure = new_figure(6, title)
    axes = figure.subplots(2, sharex=True)
    colors = _choose_colors(bests, monitor)
    lengths = [len(rows) for rows in runs.values()]
    marker = "." if max(lengths) < 10 or min(lengths) == 1 else None  # one point makes no line
    for name, color in reversed(colors.items()):  # the best on top
        style = {"color": color, "marker": marker, "linewidth": 1 if color == _GRAY else 1.6}
        _draw_run(axes, runs[name], bests[name], style)
    last = max(row["epoch"] for rows in runs.values() for row in rows)
    if stopped:
        for axis in axes:
            axis.axvline(last, color="black", linestyle=":", linewidth=1.6)
    costs = [row[name] for rows in runs.values() for row in rows for name in ("cost", "val_cost")]
    costs = [cost for cost in costs if cost is not None]
    is_log = max(costs) >= 10 * min(costs) > 0
    if is_log:
        format_numbers(axes[0].yaxis, log=True)
    axes[0].set(ylabel="cost (nats per example, log scale)" if is_log else "cost (nats per example)")
    axes[1].set(ylabel="accuracy (%)")
    for axis in axes:
        axis.grid(alpha=0.3)
    axes[-1].set(xlabel="epoch", xticks=_epoch_ticks(last))
    if last == 1:
        axes[-1].set_xlim(0.5, 1.5)
    handles, labels = zip(*_legend_entries(bests, colors, monitor, stopped), strict=True)
    add_legend(figure, handles, labels)
    return figure


def _best_row(rows, monitor):
    """Returns the row of the best epoch, or None."""
    validated = [row for row in rows if row[monitor] is not None]
    return min(validated, key=lambda row: _rank(row, monitor), default=None)


def _rank(row, monitor):
    """Returns a number that is lower the better a row is."""
    if row is None:
        return math.inf
    return row[monitor] if monitor == "val_cost" else -row[monitor]


def _choose_colors(bests, monitor):
    """Returns {name: its color}; if there are too many runs, the best come first, and the others are gray."""
    if len(bests) <= len(COLORS):
        return dict(zip(bests, COLORS, strict=False))
    ranked = sorted(bests, key=lambda name: _rank(bests[name], monitor))
    return dict.fromkeys(ranked, _GRAY) | dict(zip(ranked[:_BEST], COLORS, strict=False))


def _draw_run(axes, rows, best, style):
    for axis, name, scale in zip(axes, ("cost", "accuracy"), (1, 100), strict=True):
        for key, line in ((name, "--"), (f"val_{name}", "-")):
            known = [row for row in rows if row[key] is not None]
            axis.plot([row["epoch"] for row in known], [scale * row[key] for row in known], line, **style)
        if best:
            axis.plot(best["epoch"], scale * best[f"val_{name}"], "o", color=style["color"])


def _epoch_ticks(last):
    """Returns the first epoch, the last one, and round numbers in between."""
    if last <= 15:
        return range(1, last + 1)
    step = next(each for power in range(10) for each in (10**power, 2 * 10**power, 5 * 10**power) if each * 10 >= last)
    between = [epoch for epoch in range(step, last, step) if last - epoch > 0.6 * step]
    return sorted({1, *between, last})


def _legend_entries(bests, colors, monitor, stopped):
    """Returns (handle, text) of each entry of the legend."""

    def line(style, text, color="black"):
        return Line2D([], [], color=color, linestyle=style, linewidth=1.6), text

    is_single = len(bests) == 1
    has_validation = any(bests.values())
    best = "lowest validation cost" if monitor == "val_cost" else "highest validation accuracy"
    color = next(iter(colors.values())) if is_single else "black"
    named = [] if is_single else [name for name in colors if colors[name] != _GRAY]
    entries = [line("-", textwrap.fill(safe_text(name, 300), 75), colors[name]) for name in named]
    if not is_single and len(named) < len(bests):
        worse = "higher validation cost" if monitor == "val_cost" else "lower validation accuracy"
        which = f", with a {worse}" if has_validation else ""
        entries.append(line("-", f"{len(bests) - len(named)} other runs{which}", _GRAY))
    entries.append(line("--", "training", color))
    if has_validation:
        entries.append(line("-", "validation", color))
        epoch = f": epoch {next(iter(bests.values()))['epoch']}" if is_single else ""
        entries.append((Line2D([], [], color=color, linestyle="", marker="o"), f"{best}{epoch}"))
    if stopped:
        entries.append(line(":", stopped))
    return entries
