"""Arrays to figures: each function returns a matplotlib `Figure`, which a notebook shows, and `save` writes it."""

from mlp_tf.figures.confusion import plot_confusion
from mlp_tf.figures.curves import plot_curves
from mlp_tf.figures.example import plot_example
from mlp_tf.figures.images import plot_first_layer, plot_images
from mlp_tf.figures.layers import plot_layers
from mlp_tf.figures.style import save
from mlp_tf.figures.sweep import plot_sweep

__all__ = [
    "plot_confusion",
    "plot_curves",
    "plot_example",
    "plot_first_layer",
    "plot_images",
    "plot_layers",
    "plot_sweep",
    "save",
]
