"""Cost and accuracy over the epochs, of one run or of several."""

import math

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mlp_tf.figures.style import COLOURS, decimal, legend, new_figure, shown, styled

_LABELLED, _OTHERS = 5, "0.75"  # of more runs than there are colours, the best; the grey of the others


@styled
def curves(runs, title, stopped=""):
    """Cost and validation accuracy over the epochs, the epoch of the lowest validation cost marked.

    Each run has a colour; of more runs than there are colours the best five have, and the others are grey.

    Args:
      runs: {name: rows of metrics.jsonl}.
      stopped: of one run, why it ended before its last epoch, if it did.
    """
    validated = any(_best(rows) for rows in runs.values())
    figure = new_figure(6 if validated else 3.5, title)
    axes = figure.subplots(1 + validated, sharex=True, squeeze=False).ravel()
    colours = _colours(runs)
    for name, colour in reversed(colours.items()):  # the best on top
        _draw(axes, runs[name], colour)
    last = max(row["epoch"] for rows in runs.values() for row in rows)
    if stopped:
        for axis in axes:
            axis.axvline(last, color="black", linestyle=":", linewidth=1.6)
    _scale(axes, last, all(row["cost"] > 0 and row["val_cost"] != 0 for rows in runs.values() for row in rows))
    legend(figure, *zip(*_explained(runs, colours, validated, stopped), strict=True))
    return figure


def _best(rows):
    """The row of the lowest validation cost, or None."""
    return min((row for row in rows if row["val_cost"] is not None), key=lambda row: row["val_cost"], default=None)


def _colours(runs):
    """{name: its colour}; of too many runs the best first, and grey for the others."""
    if len(runs) <= len(COLOURS):
        return dict(zip(runs, COLOURS, strict=False))
    best = sorted(runs, key=lambda name: (_best(runs[name]) or {"val_cost": math.inf})["val_cost"])
    return dict.fromkeys(best, _OTHERS) | dict(zip(best[:_LABELLED], COLOURS, strict=False))


def _draw(axes, rows, colour):
    style = {"color": colour, "marker": "." if len(rows) < 10 else None, "linewidth": 1 if colour == _OTHERS else 1.6}
    axes[0].plot([row["epoch"] for row in rows], [row["cost"] for row in rows], "--", **style)
    best, validated = _best(rows), [row for row in rows if row["val_cost"] is not None]
    for axis, name, scale in zip(axes, ("val_cost", "val_accuracy"), (1, 100), strict=False) if best else ():
        axis.plot([row["epoch"] for row in validated], [scale * row[name] for row in validated], "-", **style)
        axis.plot(best["epoch"], scale * best[name], "o", color=colour)


def _scale(axes, last, positive):
    axes[0].set(ylabel="cost (nats per example)")
    if positive:
        axes[0].set_yscale("log")
        decimal(axes[0].yaxis)
    for axis in axes[1:]:
        axis.set(ylabel="validation accuracy (%)")
    for axis in axes:
        axis.grid(alpha=0.3)
    axes[-1].set(xlabel="epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if last == 1:
        axes[-1].set_xlim(0.5, 1.5)


def _explained(runs, colours, validated, stopped):
    """(handle, text) of each entry of the legend."""

    def line(style, text, colour="black"):
        return Line2D([], [], color=colour, linestyle=style, linewidth=1.6), text

    several = len(runs) > 1
    named = [name for name, colour in colours.items() if colour != _OTHERS] if several else []
    entries = [line("-", shown(name, 70), colours[name]) for name in named]
    if len(named) < len(runs) and several:
        what = ", of a higher validation cost" if validated else ""
        entries.append(line("-", f"{len(runs) - len(named)} other runs{what}", _OTHERS))
    own = "black" if several else next(iter(colours.values()))
    entries.append(line("--", "training", own))
    if validated:
        entries.append(line("-", "validation", own))
        best = None if several else _best(next(iter(runs.values())))
        text = f"lowest validation cost: epoch {best['epoch']}" if best else "lowest validation cost"
        entries.append((Line2D([], [], color=own, linestyle="", marker="o"), text))
    return entries + ([line(":", stopped)] if stopped else [])
