"""Event files for TensorBoard: every epoch once, with the numbers of metrics.jsonl."""

import pytest
from helpers import read_lines


def test_tensorboard_reads_cost_and_accuracy_of_train_and_validation(train, small, tmp_path):
    import tensorflow as tf
    from tensorboard.backend.event_processing import event_accumulator

    train(*small(epochs=2), "--tensorboard")
    train(*small(epochs=3), "--tensorboard")  # goes on, and shows each epoch once
    rows = read_lines(tmp_path / "run/metrics.jsonl")
    for split, cost, accuracy in (("train", "cost", "accuracy"), ("validation", "val_cost", "val_accuracy")):
        events = event_accumulator.EventAccumulator(str(tmp_path / "run/tensorboard" / split)).Reload()
        for tag, key in (("cost", cost), ("accuracy", accuracy)):
            seen = [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]
            assert seen == [(row["epoch"], pytest.approx(row[key], rel=1e-6)) for row in rows]


def test_without_tensorboard_the_flag_names_the_extra_before_training(train, small, tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "tensorboard" else find(name, *a))
    outcome = train(*small(), "--tensorboard")
    assert outcome.code == 1
    assert "[tensorboard]" in outcome.error
    assert not (tmp_path / "run").exists()
