"""Pictures of arrays and of rows: every function returns a matplotlib `Figure`, and `save` writes it."""

from mlp_tf.figures.confusion import confusion
from mlp_tf.figures.curves import curves
from mlp_tf.figures.images import first_layer, image_grid
from mlp_tf.figures.layers import layers
from mlp_tf.figures.style import save
from mlp_tf.figures.sweep import sweep

__all__ = ["confusion", "curves", "first_layer", "image_grid", "layers", "save", "sweep"]
