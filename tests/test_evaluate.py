"""The evaluate command: its numbers against NumPy, its plots, and the data that it takes or refuses."""

import json
import struct

import numpy as np
import pytest
from helpers import feature_probabilities, logits, make_arrays, read_results
from PIL import Image

from mlp_tf import data, evaluate, figures
from mlp_tf.base.text import columns


def scores(labels, guesses, classes=3):
    """(precision, recall, F1) of each class and the means over the classes, `[classes + 1, 3]`, from their masks."""
    each = []
    for c in range(classes):
        precision, recall = (labels[guesses == c] == c).mean(), (guesses[labels == c] == c).mean()
        each.append((precision, recall, 2 * precision * recall / (precision + recall)))
    return np.array([*each, np.mean(each, axis=0)], np.float64)


def scores_in(report):
    """The same from what --json prints, NaN for null."""
    rows = [*report["classes"], report["macro"]]
    return np.array([[each[name] for name in evaluate.SCORES] for each in rows], np.float64)


def test_evaluate_equals_numpy_in_float64(run, run_folder, npz, arrays):
    outcome = run(evaluate, run_folder)
    assert (outcome.code, outcome.err) == (0, "")
    guesses, labels = logits(run_folder, arrays["x_test"]).argmax(axis=1), arrays["y_test"]
    lines = outcome.out.splitlines()
    heading = lines.index("Precision, recall and F1 of each class (examples: correct of all):")
    assert lines[heading + 1].split() == ["precision", "recall", "F1", "examples"]
    rows = [" ".join(f"{score:.4f}" for score in row) for row in scores(labels, guesses)]
    counts = [f"{((labels == c) & (guesses == c)).sum()} of {(labels == c).sum()}" for c in range(3)]
    expected = [f"{c} {rows[c]} {counts[c]}" for c in range(3)] + [f"macro average {rows[3]}"]
    assert [" ".join(line.split()) for line in lines[heading + 2 : heading + 6]] == expected
    assert f"Accuracy: {(guesses == labels).mean():.4f}" in lines
    assert f"Cost: {read_results(run_folder)['test_cost']:.4f}" in lines
    table = [[int(word) for word in line.split()] for line in lines[-3:]]
    for c in range(3):
        assert table[c] == [c, *(int(((labels == c) & (guesses == p)).sum()) for p in range(3))]
    train_split = data.load(npz, validation_size=40).train
    train = (logits(run_folder, train_split.images).argmax(axis=1) == train_split.labels).mean()
    test = (guesses == labels).mean()
    assert f"Generalization gap: {train - test:.4f} (training {train:.4f} - test {test:.4f})" in lines


def test_fractions_of_nothing_are_none_and_left_out_of_the_mean():
    counts = np.array([[8, 2, 0, 0, 1], [1, 3, 0, 0, 0], [4, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    classes, macro = evaluate.score_classes("abcde", counts)
    assert [tuple(each.values()) for each in classes] == [
        ("a", 11, 13, 8, 8 / 13, 8 / 11, 2 / 3),
        ("b", 4, 5, 3, 0.6, 0.75, 2 / 3),
        ("c", 5, 0, 0, None, 0.0, 0.0),  # never predicted
        ("d", 0, 0, 0, None, None, None),  # nor has it examples
        ("e", 0, 2, 0, 0.0, None, 0.0),  # without examples
    ]
    assert macro == pytest.approx({"precision": (8 / 13 + 0.6) / 3, "recall": (8 / 11 + 0.75) / 3, "f1": 1 / 3})


def test_a_class_that_is_neither_predicted_nor_in_the_split_has_no_scores(run, train, small, tmp_path):
    arrays = make_arrays()
    for name in ("train", "test"):
        arrays[f"y_{name}"] %= 2
    arrays["y_train"][0] = 2  # one of 240: too few to be learned
    np.savez(tmp_path / "a.npz", **arrays)
    train(*small(dataset=tmp_path / "a.npz", epochs=1))
    lines = run(evaluate, tmp_path / "run").out.splitlines()
    assert "              2          -       -       -    0 of 0" in lines
    report = json.loads(run(evaluate, tmp_path / "run", "--json").out)
    assert report["classes"][2] == {
        "name": "2", "examples": 0, "predicted": 0, "correct": 0, "precision": None, "recall": None, "f1": None,
    }  # fmt: skip
    *classes, macro = scores_in(report)
    np.testing.assert_allclose(macro, np.nanmean(classes, axis=0))


@pytest.mark.parametrize(("split", "count"), [("train", 200), ("validation", 40)])
def test_evaluate_takes_other_splits(run, run_folder, split, count):
    assert f"Split: {split}, {count} examples" in run(evaluate, f"--workdir={run_folder}", f"--split={split}").out


def test_a_split_that_was_not_held_out_is_refused(run, train, small, tmp_path):
    train(*small(validation_size=0, epochs=1))
    outcome = run(evaluate, f"--workdir={tmp_path / 'run'}", "--split=validation")
    assert "has no validation examples" in outcome.error


def test_evaluate_draws_confusion_and_mistakes(run, train, small, tmp_path):
    train(*small(epochs=1))
    outcome = run(evaluate, f"--workdir={tmp_path / 'run'}", "--plots")
    for name in ("confusion.png", "mistakes.png"):
        assert f"Plot: {tmp_path / 'run' / name}" in outcome.out
        assert Image.open(tmp_path / "run" / name).width == 1200
    as_json = json.loads(run(evaluate, tmp_path / "run", "--plots", "--json", "--format=svg").out)
    assert as_json["plots"] == [str(tmp_path / "run" / name) for name in ("confusion.svg", "mistakes.svg")]


def drawn(monkeypatch, name):
    """What a function of `figures` is called with, once it was."""
    calls = []
    draw = getattr(figures, name)
    monkeypatch.setattr(figures, name, lambda *given: calls.append(given) or draw(*given))
    return calls


def test_the_titles_say_the_accuracy_and_how_many_of_the_mistakes(run, train, small, arrays, tmp_path, monkeypatch):
    train(*small(epochs=1))
    confusion, mistakes = drawn(monkeypatch, "plot_confusion"), drawn(monkeypatch, "plot_images")
    wrong = (logits(tmp_path / "run", arrays["x_test"]).argmax(axis=1) != arrays["y_test"]).sum()
    assert wrong > 4
    for most, which in ((49, f"{wrong} mistakes"), (4, f"the 4 most confident of {wrong} mistakes")):
        monkeypatch.setattr(evaluate, "MISTAKES", most)
        assert run(evaluate, tmp_path / "run", "--plots").code == 0
        assert confusion[-1][2].endswith(f"\nconfusion matrix, accuracy {1 - wrong / 61:.4f} on 61 test examples")
        assert mistakes[-1][2].endswith(f"\n{which} in 61 test images")


@pytest.fixture
def members(train, small, tmp_path):
    """Three runs on one file that differ in their seed, one of them in its network too."""
    folders = [tmp_path / name for name in "abc"]
    for seed, (folder, hidden) in enumerate(zip(folders, ("8,4", "8,4", "6,5"), strict=True)):
        train(*small(workdir=folder, seed=seed, hidden=hidden, epochs=1))
    return folders


def test_an_ensemble_answers_with_the_mean_of_the_probabilities(run, members, arrays):
    outcome = run(evaluate, members[0], f"--workdir={members[1]}", members[2], "--json")
    members = [members[0], members[2], members[1]]  # words first
    report, labels = json.loads(outcome.out), arrays["y_test"]
    exponentials = [np.exp(logits(folder, arrays["x_test"])) for folder in members]
    predicted = np.mean([each / each.sum(axis=1, keepdims=True) for each in exponentials], axis=0)
    assert report["accuracy"] == (predicted.argmax(axis=1) == labels).mean()
    assert report["cost"] == pytest.approx(-np.log(predicted[np.arange(len(labels)), labels]).mean(), rel=1e-5)
    assert [each["run"] for each in report["runs"]] == list(map(str, members))
    for folder, each in zip(members, report["runs"], strict=True):
        results = read_results(folder)
        assert each["accuracy"] == results["test_accuracy"]
        assert each["cost"] == pytest.approx(results["test_cost"], rel=1e-5)
    np.testing.assert_allclose(scores_in(report), scores(labels, predicted.argmax(axis=1)))
    assert sum(map(sum, report["confusion"])) == len(labels)
    assert sum(report["confusion"][c][c] for c in range(3)) == round(report["accuracy"] * len(labels))
    np.savez(members[0].parent / "more.npz", x=arrays["x_test"], y=labels)
    other = json.loads(run(evaluate, *members, f"--on={members[0].parent / 'more.npz'}", "--json").out)
    assert (other["cost"], other["confusion"], other["runs"]) == (report["cost"], report["confusion"], report["runs"])


def test_an_ensemble_is_reported_in_words(run, members):
    outcome = run(evaluate, *(f"--workdir={folder}" for folder in members))
    assert "Run: an ensemble of 3 runs" in outcome.out
    for folder in members:
        accuracy, cost = (read_results(folder)[f"test_{name}"] for name in ("accuracy", "cost"))
        assert f"  accuracy {accuracy:.4f}, cost {cost:.4f}: {folder}" in outcome.out.splitlines()
    assert "gap:" not in outcome.out


def test_a_run_that_is_named_twice_is_no_ensemble(run, members, monkeypatch):
    monkeypatch.chdir(members[0].parent)
    once, twice = (run(evaluate, *words, "--plots") for words in (["--workdir=a"], ["./a/", "--workdir=a"]))
    assert (twice.code, once.out) == (0, twice.out)


@pytest.mark.parametrize(
    ("changes", "differing"), [({"validation_size": 50}, "validation, sha256"), ({"dataset": "other.npz"}, "sha256")]
)
def test_an_ensemble_of_runs_on_other_data_is_refused(run, train, small, tmp_path, monkeypatch, changes, differing):
    monkeypatch.chdir(tmp_path)
    np.savez("other.npz", **make_arrays(seed=1))
    train(*small(workdir="a", epochs=1))
    train(*small(workdir="b", epochs=1, **changes))
    outcome = run(evaluate, "--workdir=a", "--workdir=b")
    assert outcome.code == 1
    assert f"--workdir=b: its data differ from those of a in {differing}; an ensemble needs" in outcome.error


def test_the_members_of_an_ensemble_take_features_as_they_come(run, train, small, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(100, 30, (300, 4)), rng.integers(0, 2, 300)
    np.savez(tmp_path / "x.npz", x_train=x[:240], y_train=y[:240], x_test=x[240:], y_test=y[240:])
    for name in "ab":
        train(*small(dataset=tmp_path / "x.npz", workdir=tmp_path / name, epochs=1, seed=ord(name)))
    words = [f"--workdir={tmp_path / name}" for name in "ab"]
    report = json.loads(run(evaluate, *words, "--json").out)
    for name, each in zip("ab", report["runs"], strict=True):
        assert each["cost"] == pytest.approx(read_results(tmp_path / name)["test_cost"], rel=1e-5)
    shown = run(evaluate, words[0], "--show=2", "--dpi=50").out
    assert f"Features: {', '.join(f'{value:g}' for value in x[242].astype(np.float32))}" in shown.splitlines()
    report = json.loads(run(evaluate, words[0], "--show=2", "--json", "--dpi=50").out)
    assert report["features"] == pytest.approx(x[242], rel=1e-6)


def test_the_plots_of_an_ensemble_need_a_folder_and_name_its_runs(run, members, tmp_path, monkeypatch):
    confusion = drawn(monkeypatch, "plot_confusion")
    words = [f"--workdir={folder}" for folder in members]
    assert "say where its plots go with --out=FOLDER" in run(evaluate, *words, "--plots").error
    outcome = run(evaluate, *words, "--plots", f"--out={tmp_path / 'plots'}")
    assert outcome.code == 0
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["confusion.png", "mistakes.png"]
    assert confusion[0][2].startswith("an ensemble of 3 runs: a, b, c\n")
    assert not (members[0] / "confusion.png").exists()


def test_data_that_changed_is_refused(run, train, small, tmp_path):
    np.savez(tmp_path / "a.npz", **make_arrays(seed=0))
    train(*small(dataset=tmp_path / "a.npz", epochs=1))
    np.savez(tmp_path / "a.npz", **make_arrays(seed=1))
    assert "is not the data that the run was trained on" in run(evaluate, f"--workdir={tmp_path / 'run'}").error


def test_a_run_is_evaluated_from_any_folder(run, train, small, tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", **make_arrays())
    monkeypatch.chdir(tmp_path)
    assert train(*small(dataset="a.npz", epochs=1)).code == 0
    monkeypatch.chdir("/")
    assert run(evaluate, f"--workdir={tmp_path / 'run'}").code == 0
    (tmp_path / "moved").mkdir()
    (tmp_path / "a.npz").rename(tmp_path / "moved/a.npz")
    assert run(evaluate, f"--workdir={tmp_path / 'run'}", f"--data_dir={tmp_path / 'moved'}").code == 0


def test_under_patience_the_cost_is_that_of_the_best_epoch(run, early_stopped_run):
    cost = read_results(early_stopped_run)["test_cost"]
    assert f"Cost: {cost:.4f}" in run(evaluate, f"--workdir={early_stopped_run}").out


def test_a_single_example_is_shown_with_its_cost_and_all_probabilities(run, run_folder, arrays, tmp_path, monkeypatch):
    exponentials = np.exp(logits(run_folder, arrays["x_test"]))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    true = arrays["y_test"]
    number = int(probabilities[np.arange(61), true].argmin())  # the worst answer
    monkeypatch.setenv("COLUMNS", "80")
    plots = drawn(monkeypatch, "plot_example")
    words = [run_folder, f"--show={number}", f"--out={tmp_path}", "--dpi=50"]
    lines = run(evaluate, *words).out.splitlines()
    order = (-probabilities[number]).argsort()
    cost = -np.log(probabilities[number, true[number]])
    assert lines[1:6] == [
        f"Example: {number} of the 61 test examples, counted from 0",
        f"True class: {true[number]}",
        f"Predicted class: {order[0]}",
        f"Cost: {cost:.4f} nats (-log of the probability of the true class)",
        "Probability of each class:",
    ]
    rows = [line.split() for line in lines[6:9]]
    assert [row[:2] for row in rows] == [[str(c), f"{probabilities[number, c]:.4f}"] for c in order]
    assert [row[0] for row in rows if row[-1] == "true"] == [str(true[number])]
    assert [line.count("#") for line in lines[6:9]] == [round(20 * probabilities[number, c]) for c in order]
    assert lines[9:] == [f"Plot: {tmp_path / f'example-{number}.png'}"]
    [(image, answer, names, label, title, caption)] = plots
    np.testing.assert_array_equal(image, arrays["x_test"][number])
    np.testing.assert_allclose(answer, probabilities[number], atol=1e-6)
    assert (names, label, caption) == (("0", "1", "2"), true[number], "")
    assert title.endswith(f"\ntest example {number}, cost {cost:.4f} nats")
    report = json.loads(run(evaluate, *words, "--json", "--format=svg").out)
    assert report["plots"] == [str(tmp_path / f"example-{number}.svg")]
    assert report["cost"] == pytest.approx(cost, rel=1e-4)
    assert [each["class"] for each in report["classes"]] == order.tolist()
    assert (report["example"], report["predicted"]) == (number, report["classes"][0])
    assert report["true"]["probability"] == pytest.approx(np.exp(-cost), rel=1e-4)
    assert "confusion" not in report


def test_an_example_of_an_ensemble_is_shown_with_each_members_answer(run, members, npz, tmp_path):
    split = data.load(npz, validation_size=40).validation
    words = [*members, "--split=validation", "--show=39", f"--out={tmp_path}", "--dpi=50"]
    report = json.loads(run(evaluate, *words, "--json").out)
    exponentials = [np.exp(logits(folder, split.images[39:])[0]) for folder in members]
    each = np.array([values / values.sum() for values in exponentials])
    expected = [each.mean(axis=0)[row["class"]] for row in report["classes"]]
    assert [row["probability"] for row in report["classes"]] == pytest.approx(expected, rel=1e-5)
    assert report["cost"] == pytest.approx(-np.log(each.mean(axis=0)[split.labels[39]]), rel=1e-5)
    assert [row["cost"] for row in report["runs"]] == pytest.approx(-np.log(each[:, split.labels[39]]), rel=1e-5)
    assert [row["predicted"]["class"] for row in report["runs"]] == each.argmax(axis=1).tolist()
    lines = run(evaluate, *words).out.splitlines()
    for i, folder in enumerate(members):
        cost = f"cost {report['runs'][i]['cost']:.4f}"
        assert lines[1 + i] == f"  predicted {each[i].argmax()} ({each[i].max():.4f}), {cost}: {folder}"


def test_an_example_is_drawn_upright_if_all_runs_set_it_upright(
    run, members, train, small, arrays, tmp_path, monkeypatch
):
    from mlp_tf.data.augmentation import deskew

    train(*small(workdir=tmp_path / "upright", epochs=1, deskew=True))
    plots = drawn(monkeypatch, "plot_example")
    for folders in ([tmp_path / "upright"], [tmp_path / "upright", members[0]]):
        assert run(evaluate, *folders, "--show=4", f"--out={tmp_path}", "--dpi=50").code == 0
    upright = deskew(arrays["x_test"][4:5]).numpy()[0]
    assert (upright != arrays["x_test"][4]).any()
    np.testing.assert_array_equal(plots[0][0], upright)
    np.testing.assert_array_equal(plots[1][0], arrays["x_test"][4])
    assert [plot[5] for plot in plots] == ["set upright, as the\nnetwork sees it", ""]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--show=61"], "--show=61: must be from 0 to 60, the test examples of this run"),
        (["--show=-1", "--split=validation"], "--show=-1: must be from 0 to 39, the validation examples of this run"),
        (["--show=0", "--plots"], "--show=0: draws only this example; leave out --plots or --show"),
    ],
)
def test_an_example_that_is_not_there_is_refused_in_one_line(run, run_folder, words, said):
    assert run(evaluate, run_folder, *words).error == f"error: {said}"
    assert not list(run_folder.glob("*.png"))


@pytest.fixture
def named(run, train, tmp_path, monkeypatch):
    """Evaluates a run on features whose classes have these names, in a terminal of this width: the two tables."""

    def evaluated(names, width):
        rng = np.random.default_rng(0)
        rows = [f"{rng.normal()},{name}" for name in names for _ in range(30)]
        (tmp_path / "a.csv").write_text("x,label\n" + "\n".join(rows) + "\n")
        flags = [f"--dataset={tmp_path / 'a.csv'}", "--hidden=2", "--epochs=1", "--batch_size=10"]
        assert train(*flags, f"--workdir={tmp_path / 'run'}").code == 0
        monkeypatch.setenv("COLUMNS", str(width))
        out = run(evaluate, tmp_path / "run").out
        table, matrix = out.split("(examples: correct of all):\n")[1].split("Confusion matrix")
        return table.splitlines(), matrix.splitlines()

    return evaluated


def test_names_of_classes_are_not_cut_where_there_is_room(named):
    names = ["triangle", "vermilion circle", "数字"]
    table, matrix = named(names, 56)
    assert [line[:18].strip() for line in table[1:3]] == names[:2]
    assert [columns(line) for line in table] == [18 + 11 + 8 + 8 + 10] * 4 + [18 + 11 + 8 + 8]
    assert matrix[1].split() == ["triangle", "vermilion", "circle", "数字"]
    assert {columns(line) for line in matrix[1:]} == {18 + 10 + 18 + 6}


def test_where_names_do_not_fit_the_columns_have_numbers_and_names_are_cut(named):
    names = [f"{letter} class that has a name of 40 characters" for letter in "abc"]
    table, matrix = named(names, 50)
    assert max(map(len, table + matrix)) <= 50
    assert ["..." in line for line in table[1:4]] == [True] * 3
    assert matrix[0] == " (rows true, columns predicted by their numbers):"
    assert matrix[1].split() == ["0", "1", "2"]
    assert [line.split("(")[1].split(")")[0] for line in matrix[2:]] == ["0", "1", "2"]


def test_a_matrix_that_is_too_wide_is_left_out_and_says_where_it_is(named):
    _, matrix = named([f"class {i}" for i in range(30)], 80)
    assert matrix == [": 30 classes do not fit into 80 columns; see --plots or --json"]


def pixel_table(folder, x, y):
    lines = [f"{label},{','.join(map(str, row))}" for row, label in zip(x.reshape(-1, 64).tolist(), y, strict=True)]
    (folder / "more.csv").write_text("\n".join([",".join(["label", *(f"pixel{i}" for i in range(64))]), *lines]))
    return folder / "more.csv"


def image_folder(folder, x, y):
    for i, (image, label) in enumerate(zip(x, y, strict=True)):
        (folder / f"more/{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"more/{label}/{i}.png")
    return folder / "more"


def idx_folder(folder, x, y):
    (folder / "more").mkdir()
    head = bytes([0, 0, 8, 3]) + struct.pack(">III", *x.shape)
    (folder / "more/train-images-idx3-ubyte").write_bytes(head + x.tobytes())
    head = bytes([0, 0, 8, 1]) + struct.pack(">I", len(y))
    (folder / "more/train-labels-idx1-ubyte").write_bytes(head + y.astype(np.uint8).tobytes())
    return folder / "more"


def npz_file(folder, **arrays):
    np.savez(folder / "more.npz", **arrays)
    return folder / "more.npz"


@pytest.mark.parametrize(
    "write",
    [
        pixel_table,
        image_folder,
        idx_folder,
        lambda folder, x, y: npz_file(folder, x_test=x, y_test=y.astype(str), x_train=x[:9], y_train=y[:9]),
        lambda folder, x, y: npz_file(folder, X=x.astype(float), Y=y),
    ],
)
def test_the_test_examples_in_any_form_have_the_cost_of_the_run(run, run_folder, arrays, tmp_path, write):
    path = write(tmp_path, arrays["x_test"], arrays["y_test"])
    report = json.loads(run(evaluate, run_folder, f"--on={path}", "--json").out)
    results = read_results(run_folder)
    assert report["accuracy"] == results["test_accuracy"]
    assert report["cost"] == pytest.approx(results["test_cost"], rel=1e-6)
    assert (report["dataset"], report["split"], report["examples"]) == (str(path), None, 61)


@pytest.fixture
def more(table_run, tmp_path):
    """(a run on a table, a table of two of its three classes with other columns, labels, probabilities by NumPy)."""
    folder, table = table_run
    labels = np.arange(40) % 2 * 2
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.normal(3 * labels, 3), rng.normal(size=40), rng.integers(90, size=40)])
    lines = [f"{age},{'abc'[c]}x ,{weight},?,{size}" for (weight, size, age), c in zip(x.tolist(), labels, strict=True)]
    (tmp_path / "more.csv").write_text("\n".join(["age,label,weight,Name,size", *reversed(lines)]))
    train_x = data.load(str(table)).train.images.astype(np.float64)
    return folder, tmp_path / "more.csv", labels[::-1], feature_probabilities(folder, x[::-1], train_x)


def test_training_examples_among_other_data_are_counted(run, table_run, tmp_path):
    folder, table = table_run
    lines = table.read_text().splitlines()
    splits = data.load(str(table))
    trained_on = {tuple(row) for row in splits.train.images.tolist()}
    held_out = {tuple(row) for row in splits.test.images.tolist()}
    rows = [tuple(np.float32(line.split(",")[:3]).tolist()) for line in lines[1:]]
    for known in (trained_on, held_out):
        some = [line for line, row in zip(lines[1:], rows, strict=True) if row in known][:9]
        (tmp_path / "more.csv").write_text("\n".join([f"{lines[0]},more", *(f"{line},?" for line in some[::-1])]))
        said = run(evaluate, folder, f"--on={tmp_path / 'more.csv'}").err
        inflated = "note: 9 of the 9 examples are training examples of the run, so the accuracy is inflated; without"
        assert (inflated in said) == (known is trained_on)


def test_other_data_are_evaluated_whole_with_columns_and_classes_by_name(run, more):
    folder, table, labels, expected = more
    outcome = run(evaluate, folder, f"--on={table}")
    assert outcome.error == "note: not used: Name"
    guesses = expected.argmax(axis=1)
    cost = -np.log(expected[np.arange(40), labels]).mean()
    lines = outcome.out.splitlines()
    assert lines[1:4] == [
        f"Data: {table}, 40 examples",
        f"Cost: {cost:.4f}",
        f"Accuracy: {(guesses == labels).mean():.4f}",
    ]
    assert lines[4].startswith("Precision")  # no generalization gap
    report = json.loads(run(evaluate, folder, f"--on={table}", "--json").out)
    counts = [[int(((labels == c) & (guesses == p)).sum()) for p in range(3)] for c in range(3)]
    assert report["confusion"] == counts
    assert not {"train_accuracy", "test_accuracy"} & report.keys()


def test_plots_of_other_data_are_named_after_them(run, run_folder, arrays, tmp_path, monkeypatch):
    confusion, mistakes = drawn(monkeypatch, "plot_confusion"), drawn(monkeypatch, "plot_images")
    path = npz_file(tmp_path, x=arrays["x_test"], y=(arrays["y_test"] + 1) % 3)
    words = [run_folder, f"--on={path}", f"--out={tmp_path}", "--dpi=50"]
    assert run(evaluate, *words, "--plots").code == 0
    wrong = (logits(run_folder, arrays["x_test"]).argmax(axis=1) != (arrays["y_test"] + 1) % 3).sum()
    assert confusion[0][2].endswith(f"accuracy {1 - wrong / 61:.4f} on 61 examples of more.npz")
    assert mistakes[0][2].endswith(f" of {wrong} mistakes in 61 images of more.npz")
    examples = drawn(monkeypatch, "plot_example")
    lines = run(evaluate, *words, "--show=60").out.splitlines()
    assert lines[1:3] == ["Example: 60 of the 61 examples of more.npz, counted from 0", "True class: 1"]
    assert "\nmore.npz: example 60, cost " in examples[0][4]
    names = ["confusion-more.png", "example-60-more.png", "mistakes-more.png", "more.npz"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    error = run(evaluate, *words, "--show=61").err.splitlines()[-1]
    assert error == f"error: --show=61: must be from 0 to 60, those of {path}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"x": np.zeros((2, 8, 8), np.uint8), "y": [1, 7]}, "y: row 2 is '7', but the classes of the run are 0, 1, 2;"),
        ({"x": np.zeros((2, 9, 8), np.uint8), "y": [1, 2]}, "x has shape (2, 9, 8); the run takes (N, 8, 8), N above"),
        ({"x": np.zeros((2, 8, 8), np.uint8), "y": [1]}, "2 rows in x but 1 labels in y; give one label for each row"),
        ({"a": np.zeros((2, 8, 8), np.uint8)}, "holds a; it must hold x_test and y_test, or x and y"),
    ],
)  # fmt: skip
def test_other_data_that_do_not_fit_the_run_are_refused(run, run_folder, tmp_path, content, said):
    path = npz_file(tmp_path, **content)
    assert run(evaluate, run_folder, f"--on={path}").error.startswith(f"error: {path}: {said}")


def test_what_names_no_other_data_is_refused_in_one_line(run, run_folder, tmp_path):
    (tmp_path / "train.csv").write_text("a,label\n1,x\n2,y\n")
    for words, said in (
        (["--on=./no"], "--on=./no: no such file or folder; give"),
        (["--on=a.csv", "--split=test"], "--split=test: is a split of the run's data; leave out --split or --on"),
        ([f"--on={tmp_path}"], f"--on={tmp_path}: a folder of tables; give one of them, such as its test.csv"),
    ):
        assert run(evaluate, run_folder, *words).error.startswith(f"error: {said}")
