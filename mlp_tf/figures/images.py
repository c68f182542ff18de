"""Images in a grid: examples under their captions, and the weights of hidden units."""

import math

import numpy as np

from mlp_tf.figures.style import WIDTH, fitting, new_figure, shown, styled


@styled
def image_grid(images, captions, title, columns=10):
    """Grey or colour images in a grid, each under its caption.

    Args:
      images: uint8, or others that are shown from their least to their largest value, `[N, H, W]` or `[N, H, W, C]`;
        where C is not 3 or 4, the mean over the channels is shown.
      captions: N short texts.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        images = 255 * (images - images.min()) / max(np.ptp(images), 1e-9)
    if images.ndim == 4 and images.shape[3] not in (3, 4):
        images = images.mean(axis=3)
    longest = max(len(line) for caption in captions for line in caption.split("\n"))
    columns = max(1, min(columns, len(images), fitting(WIDTH, longest + 2)))
    lines = max(caption.count("\n") + 1 for caption in captions)
    figure, axes = _grid(len(images), columns, lines, title)
    for axis, image, caption in zip(axes, images, captions, strict=False):
        axis.imshow(image / 255, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(shown(caption), fontsize=11)
    return figure


@styled
def first_layer(weights, outgoing, image_shape, title, most=64):
    """Each hidden unit's weights as an image, the units with the largest outgoing weights first.

    All are on one colour scale, symmetric about 0, which ends where 99.5 % of the weights do; so that a few outliers
    do not make all others pale.

    Args:
      weights: float `[pixels, units]`.
      outgoing: float `[units, outputs]`, the weights of the next layer.
      image_shape: `(H, W)`, or `(H, W, C)`, of which the mean over the channels is shown.
      most: how many units are shown.
    """
    units = np.argsort(-np.linalg.norm(outgoing, axis=1), kind="stable")[:most]
    pictures = weights[:, units].T.reshape(len(units), *image_shape)
    if pictures.ndim == 4:
        pictures = pictures.mean(axis=3)
    limit = max(np.percentile(np.abs(pictures), 99.5), 1e-12)
    figure, axes = _grid(len(units), min(8, len(units)), 1, title)
    for axis, unit, picture in zip(axes, units, pictures, strict=False):
        drawn = axis.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axis.set_title(f"{unit}", fontsize=11)
    figure.colorbar(
        drawn, ax=axes, label="weight; the colours end at the 99.5th percentile", location="bottom", extend="both",
        aspect=50,
    )  # fmt: skip
    return figure


def _grid(images, columns, lines, title):
    """A figure, and its axes, for so many images over captions of so many lines."""
    rows = math.ceil(images / columns)
    figure = new_figure(0.5 + rows * (WIDTH / max(columns, 4) * 0.85 + 0.2 * lines), title)
    figure.get_layout_engine().set(h_pad=0.06)  # inches; with the usual 0.04, captions may overlap the title
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    return figure, axes
