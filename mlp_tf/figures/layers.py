"""What each layer of a network does, as histograms."""

import math

from mlp_tf.base.text import plural
from mlp_tf.figures.style import COLORS, count_locator, format_numbers, new_figure, styled

_ACROSS = 3  # layers side by side
_MANY = 1000  # values; the counts of more need a logarithmic scale


@styled
def plot_layers(layers, title):
    """Returns a figure of each layer's activations as a histogram, and below it one of its gradients.

    Args:
      layers: {name: {"activations": `[B, units]`, "on": fraction of the examples for which each unit is on, `[units]`,
        "gradient": of the weights, `[inputs, units]`, ...}}.
      title: of the figure.
    """
    bands = math.ceil(len(layers) / _ACROSS)
    figure = new_figure(5 * bands, title)
    axes = figure.subplots(2 * bands, min(_ACROSS, len(layers)), squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()  # some axes of the last band stay empty
    for i, (name, layer) in enumerate(layers.items()):
        band, column = divmod(i, _ACROSS)
        dead = (layer["on"] == 0).sum() if name != "out" else 0
        units = plural(layer["activations"].shape[1], "unit") + (f", {dead:,} dead" if dead else "")
        above = {"title": f"{name}: {units}", "xlabel": "logits" if name == "out" else "activations"}
        below = {"title": f"{name}: {plural(layer['gradient'].size, 'weight')}", "xlabel": "gradients"}
        for j, (key, texts) in enumerate({"activations": above, "gradient": below}.items()):
            axis = axes[2 * band + j, column]
            is_log = max(each[key].size for each in layers.values()) > _MANY
            axis.set_axis_on()
            bins = min(60, math.ceil(layer[key].size ** 0.5))
            counts, *_ = axis.hist(layer[key].ravel(), bins=bins, color=COLORS[j])
            axis.set(**texts)
            axis.locator_params(axis="x", nbins=4)
            axis.ticklabel_format(axis="x", scilimits=(-2, 3), useMathText=True)
            axis.grid(alpha=0.3)
            if is_log:
                axis.set_ylim(0.7, 2 * counts.max())  # so that a bar of one value is seen
                format_numbers(axis.yaxis, log=True)
            else:
                axis.yaxis.set_major_locator(count_locator())
            if column == 0:
                axis.set_ylabel("count (log scale)" if is_log else "count")
    return figure
