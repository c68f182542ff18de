"""What each layer of a network does, as histograms."""

import math

from mlp_tf.figures.style import COLOURS, new_figure, styled

_ACROSS = 3  # layers beside each other


@styled
def layers(layers, title):
    """Histograms of each layer's activations, and below them of its gradients; layer beside layer.

    Args:
      layers: {name: {"activations": an array, "gradient": an array, ...}}.
    """
    columns, bands = min(_ACROSS, len(layers)), math.ceil(len(layers) / _ACROSS)
    figure = new_figure(5 * bands, title)
    axes = figure.subplots(2 * bands, columns, squeeze=False)
    for axis in axes[-2:, len(layers) - columns * (bands - 1) :].ravel():  # of the last band, where no layer is left
        axis.axis("off")
    for i, (name, layer) in enumerate(layers.items()):
        band, column = divmod(i, _ACROSS)
        what = {"activations": "logits" if name == "out" else "activations", "gradient": "gradient of the weights"}
        both = axes[2 * band : 2 * band + 2, column]
        for axis, (key, label), colour in zip(both, what.items(), COLOURS, strict=False):
            axis.hist(layer[key].ravel(), bins=60, color=colour)
            axis.set(title=f"{name}: {layer[key].shape[-1]:,} units", xlabel=label, yscale="log")
            axis.locator_params(axis="x", nbins=3)
            axis.grid(alpha=0.3)
            if column == 0:
                axis.set_ylabel("how many")
    return figure
