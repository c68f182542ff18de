"""One example, and the probabilities that a network gives it."""

from matplotlib.patches import Patch

from mlp_tf.figures.images import to_pixels
from mlp_tf.figures.style import COLORS, add_legend, new_figure, safe_text, styled

_MOST = 20  # classes
_OTHER = "0.7"  # the color of a class that is neither the true nor the predicted one


@styled
def plot_example(image, probabilities, names, label, title, caption=""):
    """Returns a figure of an image beside the probabilities of the classes, the most probable on top.

    Of more than 20 classes it shows the 20 most probable ones, and the true one.

    Args:
      image: `[H, W]` or `[H, W, C]`, shown as `plot_images` shows it; None for an example that is not an image.
      probabilities: float `[classes]`.
      names: of the classes.
      label: number of the true class.
      title: of the figure.
      caption: short text below the image.
    """
    order = (-probabilities).argsort(kind="stable")
    shown = order[:_MOST]
    if len(order) > _MOST:
        title += f"\nthe {_MOST} most probable of {len(order):,} classes"
        if label not in shown:
            shown = [*shown, label]
            title += ", and the true one"
    figure = new_figure(max(1 + 0.28 * len(shown), 3 if image is not None else 0), title)
    if image is None:
        axis = figure.subplots()
    else:
        left, axis = figure.subplots(1, 2, width_ratios=[2, 3])
        left.imshow(to_pixels(image[None])[0] / 255, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        left.set(xticks=[], yticks=[], xlabel=caption, anchor="N")
    colors = dict.fromkeys(shown, _OTHER) | {order[0]: COLORS[1], label: COLORS[0]}
    percents = [100 * probabilities[i] for i in shown]
    axis.barh(range(len(shown)), percents, height=0.65, color=colors.values())
    axis.set_yticks(range(len(shown)), [safe_text(names[i], 24) for i in shown])
    axis.set(xlabel="probability (%)", xlim=(0, 100), ylim=(len(shown) - 0.4, -0.6))
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    for y, (percent, color, tick) in enumerate(zip(percents, colors.values(), axis.get_yticklabels(), strict=True)):
        color = "black" if color == _OTHER else color
        tick.set_color(color)  # as a bar of a small probability can hardly be seen
        axis.text(1.02, y, f"{percent:.2f}", color=color, va="center", transform=axis.get_yaxis_transform())
    marks = {"true and predicted class": COLORS[0]}
    if order[0] != label:
        marks = {"predicted class": COLORS[1], "true class": COLORS[0]}
    add_legend(figure, [Patch(color=color) for color in marks.values()], list(marks))
    return figure
