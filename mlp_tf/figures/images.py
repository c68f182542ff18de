"""Images in a grid: examples under their captions, and the weights of hidden units."""

import math

import numpy as np
from matplotlib.patches import Rectangle

from mlp_tf.base.text import columns
from mlp_tf.figures.style import COLORS, WIDTH, fitting, new_figure, safe_text, styled


@styled
def plot_images(images, captions, title, across=10, framed=()):
    """Returns a figure of gray or color images in a grid, each under its caption.

    Args:
      images: `[N, H, W]` or `[N, H, W, C]`; where C is not 3 or 4, the mean over the channels is shown. Any
        type but uint8 is scaled: the smallest value is black, the largest white.
      captions: N short texts.
      title: of the figure.
      across: the most images side by side; long captions leave room for fewer.
      framed: indices of the images that get a frame.
    """
    images = to_pixels(np.asarray(images))
    longest = max(columns(line) for caption in captions for line in caption.split("\n"))
    across = max(1, min(across, len(images), fitting(WIDTH, longest + 2)))
    lines = max(caption.count("\n") + 1 for caption in captions)
    figure, axes = _grid(len(images), across, lines, title)
    for i, (axis, image, caption) in enumerate(zip(axes, images, captions, strict=False)):
        axis.imshow(image / 255, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(safe_text(caption), fontsize=11, color=COLORS[1] if i in framed else "black")
        if i in framed:
            frame = {"fill": False, "edgecolor": COLORS[1], "linewidth": 5, "clip_on": False}
            axis.add_patch(Rectangle((0, 0), 1, 1, transform=axis.transAxes, **frame))
    return figure


def to_pixels(images):
    """Returns images, as `plot_images` takes them, with values from 0 to 255: `[N, H, W]` or `[N, H, W, 3 or 4]`."""
    if images.dtype != np.uint8:
        images = 255 * (images - images.min()) / max(np.ptp(images), 1e-9)
    if images.ndim == 4 and images.shape[3] not in (3, 4):
        images = images.mean(axis=3)
    return images


@styled
def plot_first_layer(weights, outgoing, image_shape, title, most=64, names=None):
    """Returns a figure of each unit's weights as an image, the units with the largest outgoing weights first.

    All share one scale, symmetric about 0. It ends at the 99.5th percentile, so that a few outliers do not make all
    others pale. The weights of color images are shown as a color image, in which gray is 0.

    Args:
      weights: float `[pixels, units]`.
      outgoing: float `[units, outputs]`, the weights of the next layer; of classes, those of this layer, transposed.
      image_shape: `(H, W)` or `(H, W, C)`; where C is not 3, the mean over the channels is shown.
      title: of the figure.
      most: the largest number of units that are drawn.
      names: of the units, if they are classes, which stay in their order.
    """
    units = np.argsort(-np.linalg.norm(outgoing, axis=1), kind="stable")[:most]
    if names:
        units.sort()
    images = weights[:, units].T.reshape(len(units), *image_shape)
    has_colors = image_shape[2:] == (3,)
    if images.ndim == 4 and not has_colors:
        images = images.mean(axis=3)
    limit = max(np.percentile(np.abs(images), 99.5), 1e-12)
    if has_colors:
        images = np.clip(0.5 + images / (2 * limit), 0, 1)
    figure, axes = _grid(len(units), math.ceil(len(units) / math.ceil(len(units) / 8)), 1, title)
    for axis, unit, image in zip(axes, units, images, strict=False):
        drawn = axis.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axis.set_title(safe_text(names[unit], 12) if names else f"unit {unit}", fontsize=11)
    if has_colors:
        label = f"each color channel: {-limit:.2g} is dark, 0 is medium, {limit:.2g} is bright"
        figure.supxlabel(label, fontsize=11)
    else:
        mean = ", the mean over the channels" if image_shape[2:] > (1,) else ""
        label = f"weight{mean}; the colors end at the 99.5th percentile"
        figure.colorbar(drawn, ax=axes, label=label, location="bottom", extend="both", aspect=50)
    return figure


def _grid(images, across, lines, title):
    """Returns a figure, and its axes, for this many images under captions of this many lines."""
    down = math.ceil(images / across)
    figure = new_figure(0.5 + down * (WIDTH / max(across, 4) * 0.85 + 0.2 * lines), title)
    figure.get_layout_engine().set(h_pad=0.06)  # inches; with the usual 0.04, captions may overlap the title
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    return figure, axes
