"""A run goes on with its own settings, data and machine; what differs is named."""

import os
import re

import numpy as np
import pytest
from helpers import contents, make_arrays, newest

from mlp_tf import UserError
from mlp_tf.config import Config
from mlp_tf.runs import identity
from mlp_tf.runs.identity import Data, Description


def test_other_settings_are_named_with_both_values_and_change_nothing(refused, small, finished_run):
    error = refused(finished_run, *small(hidden="9,9", seed=4))
    assert "--hidden=9,9, but 8,4 in the run; --seed=4, but 0 in the run" in error


def test_other_data_is_refused_and_changes_nothing(train, small, tmp_path):
    np.savez(tmp_path / "a.npz", **make_arrays(seed=0))
    train(*small(dataset=tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", **make_arrays(seed=1))
    before = contents(tmp_path)
    assert "data: sha256" in train(*small(dataset=tmp_path / "a.npz", epochs=5)).error
    assert contents(tmp_path) == before


def test_epochs_below_what_is_trained_are_refused(train, small, finished_run):
    before = contents(finished_run)
    assert "--epochs=2: the run in" in train(*small(epochs=2)).error
    assert contents(finished_run) == before


def test_the_total_cannot_change_where_the_schedule_depends_on_it(train, small, tmp_path):
    train(*small(schedule="linear"))
    before = contents(tmp_path)
    outcome = train(*small(schedule="linear", epochs=5))
    assert outcome.code == 1
    assert (
        "--epochs=5, but 3 in the run (with --schedule=linear the learning rates depend on the total)" in outcome.error
    )
    assert contents(tmp_path) == before


def test_a_config_json_that_could_not_be_read_again_is_refused(train, small, tmp_path, monkeypatch):
    monkeypatch.setattr("mlp_tf.runs.identity.LARGEST_TEXT", 1000)
    error = train(*small(workdir=tmp_path / "run")).error
    assert re.search(r"config.json would take 1,\d+ bytes, for 64 features and 3 classes; must be at most 1,000", error)
    assert not (tmp_path / "run").exists()


def test_another_environment_is_warned_of(live, config, stopped_run, change_manifest):
    change_manifest(newest(stopped_run), lambda manifest: manifest["environment"].update(threads=64))
    [warning] = live(config, stopped_run)
    assert re.search(r"not bit for bit: threads \d+, but 64 before", warning)


def test_the_machine_that_saved_counts_not_the_one_that_began(live, config, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    live(config, tmp_path / "run", step=5)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    [warning] = live(config, tmp_path / "run", step=9)
    assert ", but 1 before" in warning
    assert live(config, tmp_path / "run", step=12) == []


def test_a_variable_that_changes_bits_is_recorded_and_warned_of(live, config, tmp_path, monkeypatch):
    name = "XLA_FLAGS"
    monkeypatch.delenv(name, raising=False)
    live(config, tmp_path / "run", step=5)
    monkeypatch.setenv(name, "1")  # TensorFlow has read it long ago
    assert live(config, tmp_path / "run", step=9) == [f"resuming, but not bit for bit: {name} 1, but unset before"]
    monkeypatch.setenv(name, "0")
    assert live(config, tmp_path / "run", step=12) == [f"resuming, but not bit for bit: {name} 0, but 1 before"]
    assert live(config, tmp_path / "run", step=15) == []


def test_threads_that_are_as_many_are_not_warned_of(live, config, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    live(config, tmp_path / "run", step=5)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", str(len(os.sched_getaffinity(0))))
    assert live(config, tmp_path / "run", step=9) == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"hidden": (100_000, 100_000)}, "--hidden=100000,100000, --batch_size=100: 10,001,200,002 parameters"),
        ({"hidden": (100_000,), "batch_size": 700_000}, "--hidden=100000, --batch_size=700000: 1,100,002 parameters"),
    ],
)
def test_a_network_or_batch_larger_than_the_memory_is_refused(settings, reason):
    data = Data("/x.npz", 1_000_000, 10, 10, (8,), "float32", 2, ("0", "1"), "", 1)
    with pytest.raises(
        UserError, match=rf"^{reason} and the outputs of all layers need [\d,]+ GiB, and this machine has"
    ):
        identity.check_memory(Description(Config(**settings), data, None))
    identity.check_memory(Description(Config(batch_size=10_000), data, None))
