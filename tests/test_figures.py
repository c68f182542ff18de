"""Arrays to figures: what is marked, scaled and colored; and that all can be read."""

import io
import itertools

import numpy as np
import pytest
from helpers import slow
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from mlp_tf import figures

RNG = np.random.default_rng(0)
RUN = "of 20261121-102407: 784-256-256-10, mnist, 15 of 15 epochs"
WIDTHS, ACTIVATIONS = ["16", "16,16", "16,16,16", "64,64", "256,256"], ["relu", "sigmoid", "tanh"]


def metrics(epochs, scale=1.0):
    """Rows of metrics.jsonl whose best epoch is the one in the middle."""
    middle = (epochs + 1) // 2
    costs = [scale * (abs(epoch - middle) + 0.5) for epoch in range(1, epochs + 1)]
    rows = [{"epoch": e, "cost": 1 / e, "accuracy": 1 - 1 / e, "val_cost": c} for e, c in enumerate(costs, 1)]
    return [{**row, "val_accuracy": row["epoch"] / 100} for row in rows]


def sweep_rows(count, **known):
    """Rows of a table of a sweep."""
    row = {"seeds": 3, "val_accuracy": 0.95, "test_accuracy": 0.94, **known}
    deviations = {"val_accuracy_std": 0.003, "test_accuracy_std": 0.002}
    return [{**row, **deviations, "parameters": 12_730 * (i + 1) ** 2} for i in range(count)]


def several(count):
    """Runs with names as long as those of a sweep."""
    return {f"hidden={i},{i}, activation=relu, learning_rate=0.001": metrics(15, 1 + i / 50) for i in range(count)}


def counts(classes):
    """A confusion matrix with as many digits as that of MNIST."""
    return np.where(np.eye(classes, dtype=bool), 1000, RNG.integers(0, 20, (classes, classes)))


def layers(count, rows=50, inputs=30, units=20):
    """What a network of this many layers does."""
    arrays = {"activations": RNG.normal(size=(rows, units)), "gradient": RNG.normal(size=(inputs, units)) / 1000}
    arrays["on"] = np.arange(units) / units  # the first one is dead
    return {f"h{i}": arrays for i in range(1, count)} | {"out": arrays}


def vary(*names):
    """What a sweep of these settings varies, and its rows."""
    values = {"hidden": WIDTHS, "activation": ACTIVATIONS, "learning_rate": [0.0001, 0.001, 0.1]}
    grid = list(itertools.product(*(values[name] for name in names)))
    return sweep_rows(len(grid)), {name: [each[i] for each in grid] for i, name in enumerate(names)}


def images(count):
    """Images of noise."""
    return RNG.integers(0, 256, (count, 28, 28), np.uint8)


def probabilities(classes, logit):
    """Probabilities of which that of class 1 is the largest; the larger its logit, the more so."""
    exponentials = np.exp(np.append(np.sin(np.arange(classes - 1)), 0))
    exponentials[1] = np.exp(1 + logit)
    return exponentials / exponentials.sum()


FIGURES = {
    "curves of one run": lambda: figures.plot_curves({"a": metrics(15)}, f"Training {RUN}", "stopped by --patience=7"),
    "curves of 1,234 epochs": lambda: figures.plot_curves({"a": metrics(1234)}, f"Training {RUN}"),
    "curves of one epoch": lambda: figures.plot_curves({"a": metrics(1)}, f"Training {RUN}"),
    "curves of 10 runs": lambda: figures.plot_curves(several(10), "Training of 10 runs"),
    "curves of 30 runs": lambda: figures.plot_curves(several(30), "Training of 30 runs"),
    "confusion of digits": lambda: figures.plot_confusion(counts(10), list("0123456789"), f"Confusion\n{RUN}"),
    "confusion of 40 words": lambda: figures.plot_confusion(
        counts(40), [f"long name {i}" for i in range(40)], "Confusion"
    ),
    "confusion of words, in part hopeless": lambda: figures.plot_confusion(
        counts(4) * [[0], [1], [1], [1]], ["cat", "dog", "horse", "a name that is too long"], "Confusion"
    ),
    "confusion without errors": lambda: figures.plot_confusion(np.diag([5, 3, 0]), ["a", "b", "c"], "Confusion"),
    "example that is doubtful": lambda: figures.plot_example(
        images(1)[0], probabilities(10, 2), list("0123456789"), 6, f"Example\n{RUN}", "set upright,\nas seen"
    ),
    "example in color": lambda: figures.plot_example(
        RNG.integers(0, 256, (32, 32, 3), np.uint8), probabilities(3, 9), ["no", "automobile", "yes"], 1, "Example"
    ),
    "example of features": lambda: figures.plot_example(None, probabilities(2, 1), ["no", "yes"], 0, "Example"),
    "example of 1,000 words": lambda: figures.plot_example(
        images(1)[0], probabilities(1000, 6), [f"a name too long for its axis {i}" for i in range(1000)], 1, "Example"
    ),
    "weights of color images": lambda: figures.plot_first_layer(
        RNG.normal(size=(192, 5)), RNG.normal(size=(5, 3)), (8, 8, 3), f"Weights\n{RUN}"
    ),
    "weights": lambda: figures.plot_first_layer(
        RNG.normal(size=(784, 300)), RNG.normal(size=(300, 10)), (28, 28), f"Weights\n{RUN}"
    ),
    "mistakes": lambda: figures.plot_images(images(50), ["true 7\npredicted 8\n100.0 %"] * 50, f"Mistakes\n{RUN}"),
    "mistakes in words": lambda: figures.plot_images(
        images(3), ["true Ankle boot\npredicted Sandal\n99.2 %"] * 3, "A", framed=[1]
    ),
    "layers": lambda: figures.plot_layers(layers(3), f"Layers {RUN}"),
    "small layers": lambda: figures.plot_layers(layers(2, rows=12, inputs=4, units=3), f"Layers {RUN}"),
    "wide layers": lambda: figures.plot_layers(layers(3, rows=500, inputs=784, units=256), f"Layers {RUN}"),
    "six layers": lambda: figures.plot_layers(layers(6), f"Layers {RUN}"),
    "sweep over widths": lambda: figures.plot_sweep(*vary("hidden"), "Sweep"),
    "sweep over a number": lambda: figures.plot_sweep(*vary("learning_rate"), "Sweep"),
    "sweep over words": lambda: figures.plot_sweep(*vary("activation"), "Sweep"),
    "sweep over two": lambda: figures.plot_sweep(*vary("hidden", "activation"), "Sweep"),
    "sweep over three": lambda: figures.plot_sweep(*vary("hidden", "activation", "learning_rate"), "Sweep"),
    "sweep of one network": lambda: figures.plot_sweep(sweep_rows(1), {"hidden": ["16"]}, "Sweep"),
    "sweep of one seed": lambda: figures.plot_sweep(sweep_rows(3, seeds=1), {"hidden": ["16", "32", "64"]}, "Sweep"),
}  # fmt: skip


MANY_AXES = ("weights", "mistakes", "six layers", "sweep over three")


def texts_of(figure):
    """[(a text that is drawn, where)]: of the marks of an axis those within its limits."""
    unseen = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for mark in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not (axis.axes.axison and low <= mark.get_loc() <= high):
                unseen |= {mark.label1, mark.label2}
    drawn = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in unseen]
    return [(text, Text.get_window_extent(text, figure.canvas.get_renderer())) for text in drawn]


@pytest.mark.parametrize("name", [slow(name) if name in MANY_AXES else name for name in FIGURES])
def test_text_is_large_enough_inside_the_picture_and_overlaps_no_other(name):
    figure = FIGURES[name]()
    FigureCanvasAgg(figure).draw()
    texts, (width, height) = texts_of(figure), figure.bbox.size
    assert len(texts) > 2
    for text, box in texts:
        assert text.get_fontsize() * 8 / figure.get_figwidth() >= 10.99, text
        assert -1 <= box.x0 <= box.x1 <= width + 1, text
        assert -1 <= box.y0 <= box.y1 <= height + 1, text
    for (one, box), (other, its_box) in itertools.combinations(texts, 2):
        overlap = Bbox.intersection(box, its_box)
        assert overlap is None or min(overlap.size) < 2.5, (one, other)


@pytest.mark.parametrize(
    ("monitor", "marks", "text"),
    [
        ("val_cost", [(3, 0.5), (3, 3)], "lowest validation cost: epoch 3"),
        ("val_accuracy", [(5, 2.5), (5, 5)], "highest validation accuracy: epoch 5"),
    ],
)
def test_curves_mark_the_best_epoch_by_what_is_monitored(monitor, marks, text):
    figure = figures.plot_curves({"run": metrics(5)}, "title", monitor=monitor)
    found = [line for axis in figure.axes for line in axis.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in found] == marks
    assert text in legend_of(figure)


def test_training_accuracy_is_dashed_beside_validation_accuracy():
    accuracies = figures.plot_curves({"run": metrics(4)}, "title").axes[1]
    drawn = {line.get_linestyle(): list(line.get_ydata()) for line in accuracies.lines if line.get_marker() != "o"}
    assert drawn == {"--": [0, 50, pytest.approx(200 / 3), 75], "-": [1, 2, 3, 4]}


def test_a_run_of_one_epoch_has_points_over_whole_epochs():
    costs, _ = figures.plot_curves({"run": metrics(1)}, "title").axes
    assert {line.get_marker() for line in costs.lines} == {".", "o"}
    assert list(costs.get_xticks()) == [1]


@pytest.mark.parametrize(
    ("last", "ticks"),
    [
        (2, [1, 2]), (15, range(1, 16)), (20, [1, *range(2, 21, 2)]), (57, [1, 10, 20, 30, 40, 50, 57]),
        (60, [1, *range(10, 61, 10)]), (61, [1, *range(10, 51, 10), 61]), (1234, [1, 200, 400, 600, 800, 1000, 1234]),
    ],
)  # fmt: skip
def test_whole_epochs_are_marked_from_the_first_to_the_last(last, ticks):
    axes = figures.plot_curves({"run": metrics(last)}, "title").axes
    assert [list(axis.get_xticks()) for axis in axes] == [list(ticks)] * 2


@pytest.mark.parametrize(("lengths", "marker"), [((3, 9), "."), ((3, 15), "None"), ((1, 15), ".")])
def test_all_curves_of_a_plot_have_dots_or_none_has(lengths, marker):
    runs = {f"run {length}": metrics(length) for length in lengths}
    lines = [line for axis in figures.plot_curves(runs, "title").axes for line in axis.lines]
    assert {line.get_marker() for line in lines} == {marker, "o"}


@pytest.mark.parametrize(("factor", "is_log"), [(9.0, False), (11.0, True)])
def test_a_cost_axis_is_logarithmic_over_a_wide_range_and_says_so(factor, is_log):
    rows = [{**row, "cost": cost, "val_cost": 1.0} for row, cost in zip(metrics(2), (factor, 1.0), strict=True)]
    axis = figures.plot_curves({"run": rows}, "title").axes[0]
    assert (axis.get_yscale() == "log", "log scale" in axis.get_ylabel()) == (is_log, is_log)


def legend_of(figure):
    """{text: color of its line}."""
    [legend] = figure.legends
    return {text.get_text(): line.get_color() for text, line in zip(legend.texts, legend.get_lines(), strict=True)}


def test_curves_without_validation_show_training_alone():
    rows = [{**row, "val_cost": None, "val_accuracy": None} for row in metrics(2)]
    figure = figures.plot_curves({"run": rows}, "title")
    assert list(legend_of(figure)) == ["training"]
    assert [list(axis.lines[0].get_ydata()) for axis in figure.axes] == [[1, 0.5], [0, 50]]


def test_each_of_ten_runs_has_a_color_and_of_more_the_best_have():
    assert len({*legend_of(figures.plot_curves(several(10), "title")).values()} - {"black"}) == 10
    runs = {f"run {i}": metrics(15, 2 - i / 50) for i in range(30)}
    entries = legend_of(figures.plot_curves(runs, "title"))
    named = [f"run {i}" for i in (29, 28, 27, 26, 25)]
    assert [*entries][:6] == [*named, "25 other runs, with a higher validation cost"]
    assert len({*entries.values()}) == 7  # black for the line styles


def test_every_setting_in_the_name_of_a_run_is_in_the_legend():
    name = "a run: " + ", ".join(f"a_setting_{i}=0.05" for i in range(14))
    figure = figures.plot_curves({name: metrics(2), "b": metrics(2)}, "title")
    [first, *_] = legend_of(figure)
    assert first.replace("\n", " ") == name
    assert max(map(len, first.splitlines())) <= 75


def test_weights_share_one_symmetric_scale_that_outliers_do_not_stretch():
    weights = RNG.uniform(-1, 1, (2500, 4))
    weights[0, 0] = -1000.0
    figure = figures.plot_first_layer(weights, np.ones((4, 3)), (50, 50), "title")
    [(low, high)] = {image.get_clim() for axis in figure.axes[:4] for image in axis.get_images()}
    assert (low, high) == (-high, pytest.approx(0.995, abs=0.005))


def test_units_stand_in_the_order_of_their_outgoing_weights():
    weights, outgoing = np.arange(4 * 3.0).reshape(4, 3), np.array([[0, 0.1], [3, -4], [1, 1]])
    axes = figures.plot_first_layer(weights, outgoing, (2, 2), "title", most=2).axes
    assert [axis.get_title() for axis in axes[:2]] == ["unit 1", "unit 2"]
    np.testing.assert_array_equal(axes[0].get_images()[0].get_array(), [[1, 4], [7, 10]])


def test_weights_of_color_images_are_shown_in_color():
    weights = np.zeros((4 * 3, 1))
    weights[0:3, 0] = 1.0, -1.0, 0.0  # of the first pixel: much red, no green, as much blue as gray has
    figure = figures.plot_first_layer(weights, np.ones((1, 2)), (2, 2, 3), "title")
    [axis] = figure.axes  # and no color bar, which could explain one channel only
    image = axis.get_images()[0].get_array()
    np.testing.assert_allclose(image[0, 0], [1, 0, 0.5])
    np.testing.assert_allclose(image[1, 1], [0.5, 0.5, 0.5])
    assert "each color channel" in figure.get_supxlabel()


def test_images_of_low_confidence_are_framed():
    framed, plain = figures.plot_images(images(2), ["a", "b"], "title", framed=[0]).axes
    assert (len(framed.patches), len(plain.patches)) == (1, 0)
    assert framed.title.get_color() != plain.title.get_color()


def bars(figure):
    """[(class, percentage, color)] of the bars of an example, from above."""
    axis = figure.axes[-1]
    names = [label.get_text() for label in axis.get_yticklabels()]
    rows = zip(names, axis.patches, strict=True)
    return [(name, pytest.approx(bar.get_width()), to_hex(bar.get_facecolor()).upper()) for name, bar in rows]


def test_classes_of_an_example_stand_by_probability_and_two_are_colored():
    answer = np.array([0.04, 0.2, 0.7, 0.06])
    gray, blue, orange = "#B2B2B2", *figures.style.COLORS[:2]
    wrong = figures.plot_example(images(1)[0], answer, ["a", "b", "$c$", "d"], 3, "title", "caption")
    assert bars(wrong) == [(r"\$c\$", 70, orange), ("b", 20, gray), ("d", 6, blue), ("a", 4, gray)]
    assert [text.get_text() for text in wrong.axes[1].texts] == ["70.00", "20.00", "6.00", "4.00"]
    assert [text.get_text() for text in wrong.legends[0].texts] == ["predicted class", "true class"]
    assert wrong.axes[0].get_xlabel() == "caption"
    right = figures.plot_example(None, answer, ["a", "b", "c", "d"], 2, "title")
    assert len(right.axes) == 1  # without an image
    assert [color for _, _, color in bars(right)] == [blue, gray, gray, gray]
    assert [text.get_text() for text in right.legends[0].texts] == ["true and predicted class"]


def test_of_many_classes_the_20_most_probable_are_drawn_and_the_true_one():
    answer = np.arange(45) / np.arange(45).sum()
    for label, classes, more in ((44, range(44, 24, -1), ""), (7, [*range(44, 24, -1), 7], ", and the true one")):
        figure = figures.plot_example(None, answer, list(map(str, range(45))), label, "title")
        assert [name for name, _, _ in bars(figure)] == list(map(str, classes))
        assert figure.get_suptitle() == f"title\nthe 20 most probable of 45 classes{more}"


def test_an_example_is_drawn_as_it_is():
    image = images(1)[0]
    [drawn] = figures.plot_example(image, np.array([0.5, 0.5]), ["a", "b"], 1, "title").axes[0].get_images()
    np.testing.assert_allclose(drawn.get_array(), image / 255)
    assert drawn.get_clim() == (0, 1)


def test_a_confusion_matrix_colors_errors_and_leaves_zeros_empty():
    matrix = np.array([[80, 2, 0], [1, 50, 9], [0, 0, 0]])
    axis = figures.plot_confusion(matrix, ["cat", "$5$", "dog"], "title").axes[0]
    diagonal, errors = axis.get_images()
    np.testing.assert_array_equal(np.ma.getmaskarray(errors.get_array()), [[1, 0, 1], [0, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(np.ma.getmaskarray(diagonal.get_array()), [[0, 1, 1], [1, 0, 1], [1, 1, 1]])
    np.testing.assert_allclose(diagonal.get_array().compressed(), [100 * 80 / 82, 100 * 50 / 60])
    assert errors.get_clim() == (0.5, 9.5)
    assert [text.get_text() for text in axis.texts] == ["80", "2", "1", "50", "9"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["cat", r"\$5\$", "dog"]


def test_a_class_with_nothing_right_is_seen_on_the_diagonal():
    axis = figures.plot_confusion(np.array([[0, 7], [0, 9]]), ["a", "b"], "title").axes[0]
    assert [(text.get_text(), text.get_color()) for text in axis.texts] == [
        ("0", "white"), ("7", "white"), ("9", "black"),
    ]  # fmt: skip
    diagonal = axis.get_images()[0]
    shades = diagonal.to_rgba(diagonal.get_array())
    assert tuple(shades[0, 0]) == (0, 0, 0, 1)
    assert shades[1, 1].min() > 0.85


def test_a_confusion_matrix_without_errors_has_no_color_bar():
    assert len(figures.plot_confusion(np.diag([5, 3, 0]), ["a", "b", "c"], "title").axes) == 1
    assert len(figures.plot_confusion(np.array([[5, 0], [1, 3]]), ["a", "b"], "title").axes) == 3


def test_histograms_of_few_values_have_a_linear_axis_of_whole_counts():
    small = figures.plot_layers(layers(2, rows=12, inputs=4, units=3), "title")
    large = figures.plot_layers(layers(2, rows=500, inputs=784, units=256), "title")
    for figure, scale, label in ((small, "linear", "count"), (large, "log", "count (log scale)")):
        assert {axis.get_yscale() for axis in figure.axes} == {scale}
        assert {axis.get_ylabel() for axis in figure.axes} == {label, ""}
    FigureCanvasAgg(small).draw()
    for axis in small.axes:
        assert all(tick == int(tick) for tick in axis.get_yticks())
        assert len(axis.patches) <= 6
    for axis in large.axes:
        assert axis.get_ylim()[0] < 1  # a bar of one value is seen


def test_titles_of_histograms_count_units_dead_units_and_weights():
    figure = figures.plot_layers(layers(2, inputs=30, units=20), "title")
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["h1: 20 units, 1 dead", "out: 20 units", "h1: 600 weights", "out: 600 weights"]


@pytest.mark.parametrize("names", [["hidden"], ["activation"], ["hidden", "activation"]], ids=str)
def test_one_seed_has_no_standard_deviation(names):
    rows, varied = vary(*names)
    for seeds, has_deviations in ((3, True), (1, False)):
        figure = figures.plot_sweep([{**row, "seeds": seeds} for row in rows], varied, "title")
        texts = " ".join(text.get_text() for text in figure.findobj(Text))
        assert ("standard deviation" in texts or "±" in texts) == has_deviations
        assert (
            not any(np.isfinite(c.get_segments()).any() for a in figure.axes for c in a.collections) or has_deviations
        )


def test_a_sweep_over_a_wide_range_has_a_logarithmic_axis():
    rows = sweep_rows(3)
    for values, scale in (([1, 19, 5], "linear"), ([1, 20, 5], "log"), ([0, 20, 5], "linear")):
        axis = figures.plot_sweep(rows, {"epochs": values}, "title").axes[0]
        assert axis.get_xscale() == scale
        assert axis.get_xlabel() == ("epochs (log scale)" if scale == "log" else "epochs")
        assert sorted(axis.containers[0].lines[0].get_xdata()) == sorted(values)


def test_layer_sizes_stand_in_the_order_of_their_parameters():
    rows = [{**row, "val_accuracy": i / 10} for i, row in enumerate(sweep_rows(3))]
    axis = figures.plot_sweep([rows[1], rows[2], rows[0]], {"hidden": ["16,16", "300", "8"]}, "title").axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["8", "16,16", "300"]
    assert list(axis.containers[0].lines[0].get_ydata()) == pytest.approx([0, 10, 20])


def test_a_heat_map_leaves_a_combination_that_is_missing_empty():
    rows = [{**row, "val_accuracy": 0.9 + i / 100} for i, row in enumerate(sweep_rows(3))]
    rows[0]["seeds"] = 1
    varied = {"hidden": ["4", "4", "8"], "activation": ["relu", "tanh", "tanh"]}
    validation, test = figures.plot_sweep(rows, varied, "title").axes
    np.testing.assert_allclose(validation.get_images()[0].get_array(), [[90, 91], [np.nan, 92]])
    assert [text.get_text() for text in validation.texts] == ["90.00", "91.00\n± 0.30", "92.00\n± 0.30"]
    assert [axis.patches[0].get_xy() for axis in (validation, test)] == [(0.5, 0.5)] * 2  # around the best
    assert validation.get_images()[0].get_clim() == test.get_images()[0].get_clim() == (90, 94)


def test_of_many_rows_the_best_are_drawn_and_the_title_says_so():
    rows = [{**row, "val_accuracy": 0.5 + i / 200} for i, row in enumerate(sweep_rows(60))]
    varied = {name: [f"{name}{i}" for i in range(60)] for name in ("hidden", "init", "optimizer")}
    figure = figures.plot_sweep(rows, varied, "title")
    assert figure.get_suptitle() == "title\nthe best 40 of 60"
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert (len(names), names[-1]) == (40, "hidden59, init59, optimizer59")


def test_a_heat_map_has_numbers_in_their_order():
    varied = {"learning_rate": [0.1, 0.001, 0.01], "activation": ["tanh", "relu", "relu"]}
    axis = figures.plot_sweep(sweep_rows(3), varied, "title").axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0.001", "0.01", "0.1"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["tanh", "relu"]


def test_curves_of_a_cost_of_0_are_drawn_on_a_linear_axis():
    rows = [{"epoch": e, "cost": 0.0, "accuracy": 1.0, "val_cost": 0.0, "val_accuracy": 1.0} for e in (1, 2)]
    assert figures.plot_curves({"run": rows}, "title").axes[0].get_yscale() == "linear"


def test_dots_show_accuracies_the_highest_of_validation_on_top():
    rows = [{**row, "val_accuracy": accuracy} for row, accuracy in zip(sweep_rows(3), (0.9, 0.7, 0.8), strict=True)]
    varied = {"activation": ["relu", "tanh", "relu"], "init": ["he", "he", "glorot"], "epochs": [1, 2, 1]}
    axis = figures.plot_sweep(rows, varied, "title").axes[0]
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["tanh, he, epochs=2", "relu, glorot, epochs=1", "relu, he, epochs=1"]  # from below
    assert list(axis.containers[0].lines[0].get_xdata()) == pytest.approx([70, 80, 90])
    assert [text.get_text() for text in axis.texts[:3]] == ["70.00 ± 0.30", "80.00 ± 0.30", "90.00 ± 0.30"]


def test_a_style_of_the_calling_program_stays_and_does_not_show():
    import matplotlib

    with matplotlib.rc_context({"font.size": 5}):
        text = figures.plot_images(images(1), ["a"], "title").axes[0].title
        assert (matplotlib.rcParams["font.size"], text.get_fontsize()) == (5, 11)


def test_a_notebook_shows_a_figure_without_asking_pyplot():
    """IPython takes the first of an object's `_repr_*_` methods that returns something."""
    figure = figures.plot_images(images(1), ["a"], "title")
    assert figure._repr_html_() is None
    shown = Image.open(io.BytesIO(figure._repr_png_()))
    assert (shown.format, shown.width) == ("PNG", 800)


@pytest.mark.parametrize(("format", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_figure_is_written_in_each_format(tmp_path, format, start):
    path = figures.save(FIGURES["sweep of one network"](), tmp_path / "a.b", format=format, dpi=60)
    assert path == tmp_path / f"a.b.{format}"
    assert path.read_bytes().startswith(start)
