"""The table of the runs in a folder: what differs, means over seeds, the best."""

import dataclasses
import pathlib

import msgspec
import pytest

from mlp_tf.config import Config
from mlp_tf.runs import table
from mlp_tf.runs.folder import Results
from mlp_tf.runs.identity import Data, Description

DATA = Data("mnist", 55_000, 5_000, 10_000, (28, 28), "uint8", 10, tuple("0123456789"), "a" * 64, 1)


def description(data=DATA, **settings):
    """Of a run with these settings."""
    return Description(Config(**settings), data, {})


def entry(accuracy, described, seconds=1.0, val_accuracy=None):
    """A finished run of this test accuracy."""
    known = accuracy if val_accuracy is None else val_accuracy
    results = Results(0.1, accuracy, 1.0, 0.1, known, 15, 15, 0.1, known, False, 100, seconds, 1.0, "mnist")
    return table.Entry(pathlib.Path("x"), described, results)


def test_a_row_has_mean_and_deviation_over_its_seeds():
    entries = [entry(accuracy, description(seed=seed)) for seed, accuracy in enumerate((0.90, 0.92, 0.97))]
    [row] = table.rows(entries)
    assert row["test_accuracy"] == pytest.approx(0.93)
    assert row["test_accuracy_std"] == pytest.approx((0.0026 / 2) ** 0.5)
    assert (row["seeds"], row["epochs_trained"], row["train_accuracy_std"]) == (3, 15, 0)
    assert set(row) == set(table.COLUMNS)


def test_one_seed_has_no_standard_deviation():
    [row] = table.rows([entry(0.9, description())])
    assert (row["test_accuracy"], row["test_accuracy_std"]) == (0.9, None)


def test_a_row_without_results_or_validation_has_none_for_what_is_unknown():
    unfinished = table.Entry(pathlib.Path("x"), description(), note="not finished, 1 of 15 epochs")
    [row] = table.rows([unfinished])
    assert (row["seeds"], row["test_accuracy"], row["seconds"], row["best"]) == (0, None, None, False)
    assert row["note"] == "seed 0: not finished, 1 of 15 epochs"
    assert "none" in "\n".join(table.lines(table.rows([entry(0.9, description(hidden=()))])))


def test_a_seed_that_was_trained_twice_counts_once():
    [row] = table.rows([entry(0.9, description()), entry(0.9, description(workdir="y", tensorboard=True))])
    assert row["seeds"] == 1


def test_what_changes_no_result_makes_no_row_of_its_own():
    free = {"data_dir": "x", "workdir": "y", "tensorboard": True, "strategy": "mirrored", "logical_cpus": 2, "seed": 9}
    assert len(table.rows([entry(0.9, description()), entry(0.9, description(**free))])) == 1
    names = [field.name for field in dataclasses.fields(Config) if field.name not in free]
    differing = {"hidden": (1,), "epochs": 1, "batch_size": 1, "learning_rate": 1.0, "optimizer": "sgd"}
    differing |= {"activation": "tanh", "init": "he", "schedule": "linear", "label_smoothing": 0.1, "distort": 1.0}
    differing |= {"elastic": 1.0, "deskew": True, "patience": 1, "dropout": 0.1, "input_dropout": 0.1}
    differing |= {"weight_decay": 0.1, "max_norm": 1.0, "monitor": "val_accuracy", "scaling": "none"}
    of_data = {"dataset", "validation_size", "label", "layout", "resize"}
    assert set(names) - set(differing) == {*of_data, "replicate_data", "momentum"}
    for name, value in differing.items():
        assert len(table.rows([entry(0.9, description()), entry(0.9, description(**{name: value}))])) == 2
    with_momentum = [description(optimizer="momentum", momentum=value) for value in (0.5, 0.9)]
    assert len(table.rows([entry(0.9, each) for each in with_momentum])) == 2


def test_the_best_row_is_best_by_validation_among_those_of_its_data():
    others = msgspec.structs.replace(DATA, name="/x.npz", sha256="b" * 64)
    entries = [
        entry(0.99, description(hidden=(8,)), val_accuracy=0.90),
        entry(0.95, description(hidden=(9,)), val_accuracy=0.91),
        entry(0.50, description(others), val_accuracy=0.5),
    ]
    assert [(row["hidden"], row["best"]) for row in table.rows(entries)] == [
        ("8", False), ("9", True), ("256,256", True),
    ]  # fmt: skip
    assert [line[0] for line in table.lines(table.rows(entries))[:4]] == [" ", " ", "*", "*"]


def test_small_networks_come_first_and_numbers_in_their_order():
    rates = [description(hidden=hidden, learning_rate=rate) for hidden in ((16,), (4,)) for rate in (0.1, 0.01)]
    rows = table.rows([entry(0.9, each) for each in rates])
    assert [(row["hidden"], row["learning_rate"]) for row in rows] == [
        ("4", 0.01),
        ("4", 0.1),
        ("16", 0.01),
        ("16", 0.1),
    ]


def test_runs_are_labeled_by_what_tells_them_apart():
    described = [description(), description(activation="tanh", seed=2)]
    assert table.labels(described) == ["activation=relu, seed=0", "activation=tanh, seed=2"]
    assert table.labels([description(), description(workdir="x")]) == ["", ""]
    changed = msgspec.structs.replace(DATA, sha256="b" * 64)
    assert table.labels([description(), description(changed)]) == ["sha256=aaaaaaaa", "sha256=bbbbbbbb"]
    other = msgspec.structs.replace(changed, name="/a/mine.csv", train=90, validation=10)
    assert table.labels([description(), description(other)]) == ["dataset=mnist", "dataset=mine.csv"]
    fewer = msgspec.structs.replace(DATA, train=59_000, validation=1_000)
    assert table.labels([description(), description(fewer)]) == ["validation_rows=5000", "validation_rows=1000"]
