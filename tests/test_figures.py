"""Arrays to figures: what is marked, scaled and coloured."""

import numpy as np

from mlp_tf import figures


def test_curves_mark_the_best_epoch():
    rows = [{"epoch": e, "cost": 1 / e, "val_cost": abs(e - 3) + 0.5, "val_accuracy": e / 10} for e in range(1, 6)]
    costs, accuracies = figures.curves({"run": rows}).axes
    [mark] = [line for line in costs.lines if line.get_marker() == "o"]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([3], [0.5])
    assert [line.get_ydata()[-1] for line in accuracies.lines] == [50, 30]


def test_weights_share_one_scale_that_is_symmetric_about_0():
    weights = np.linspace(-0.5, 2.0, 4 * 6).reshape(4, 6)
    figure = figures.first_layer(weights, (2, 2), "title")
    limits = {image.get_clim() for axis in figure.axes[:6] for image in axis.get_images()}
    assert limits == {(-2.0, 2.0)}


def test_a_confusion_matrix_is_coloured_by_the_share_of_its_row():
    axis = figures.confusion(np.array([[8, 2], [0, 0]]), ["cat", "$5$"], "title").axes[0]
    np.testing.assert_array_equal(axis.get_images()[0].get_array(), [[0.8, 0.2], [0, 0]])
    assert [text.get_text() for text in axis.texts] == ["8", "2", "0", "0"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["cat", r"\$5\$"]
