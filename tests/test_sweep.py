"""The sweep command: a row a network, in print, CSV and picture; what it does again, and what not."""

import csv
import os
import signal
import time

import numpy as np
import pytest
from helpers import make_arrays, read_lines, read_results, start
from PIL import Image

from mlp_tf import sweep


def sweep_flags(npz, folder, *more, hidden=("4", "8,4"), seeds=2, epochs=2):
    """Flags of a sweep of about 3 s."""
    flags = [f"--dataset={npz}", "--validation_size=40", "--batch_size=10", f"--workdir={folder}"]
    return [*flags, *(f"--hidden={each}" for each in hidden), f"--seeds={seeds}", f"--epochs={epochs}", *more]


def test_sweep_prints_a_row_a_network_and_writes_csv_and_picture(run, npz, tmp_path):
    outcome = run(sweep, *sweep_flags(npz, tmp_path / "sweep"))
    assert (outcome.code, outcome.err) == (0, "")
    assert len(outcome.out.splitlines()) == 1 + 2 + 2
    rows = list(csv.DictReader((tmp_path / "sweep/sweep.csv").open()))
    assert [(row["hidden"], row["parameters"], row["units"], row["seeds"]) for row in rows] == [
        ("4", "275", "4", "2"),
        ("8-4", "571", "12", "2"),
    ]
    accuracies = [read_results(tmp_path / f"sweep/8-4/seed-{seed}")["test_accuracy"] for seed in (0, 1)]
    assert float(rows[1]["test_accuracy"]) == pytest.approx(np.mean(accuracies))
    assert float(rows[1]["test_std"]) == pytest.approx(np.std(accuracies, ddof=1))
    assert Image.open(tmp_path / "sweep/sweep.png").width == 800


def test_a_sweep_started_again_trains_only_what_is_missing(run, npz, tmp_path):
    flags = sweep_flags(npz, tmp_path / "sweep", hidden=["4"])
    first = run(sweep, *flags).out
    kept, missing = (tmp_path / f"sweep/4/seed-{s}/results.json" for s in (0, 1))
    before = kept.stat().st_mtime_ns
    missing.unlink()
    again = run(sweep, *flags)
    assert [line.split()[:-1] for line in again.out.splitlines()] == [line.split()[:-1] for line in first.splitlines()]
    assert kept.stat().st_mtime_ns == before
    assert missing.exists()


@pytest.mark.slow
def test_a_sweep_that_is_stopped_goes_on(run, npz, tmp_path):
    # The second of three runs is stopped after its first epoch, when 0.7 s or more are left of it.
    flags = sweep_flags(npz, tmp_path / "sweep", hidden=["4"], seeds=3, epochs=300)
    runs = [tmp_path / f"sweep/4/seed-{seed}" for seed in range(3)]
    process = start("mlp_tf.sweep", *flags)
    while not (runs[1] / "metrics.jsonl").exists() or not (runs[1] / "metrics.jsonl").stat().st_size:
        time.sleep(0.005)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "to go on: the same command again" in err
    kept = (runs[0] / "results.json").stat().st_mtime_ns
    assert not (runs[1] / "results.json").exists()
    done = len(read_lines(runs[1] / "metrics.jsonl"))
    assert 1 <= done < 300
    assert not runs[2].exists()
    outcome = run(sweep, *flags)
    assert (outcome.code, outcome.err) == (0, "")
    assert (runs[0] / "results.json").stat().st_mtime_ns == kept
    assert [read_results(folder)["epochs"] for folder in runs] == [300] * 3


def test_a_failing_network_becomes_a_row_that_says_so(run, npz, tmp_path):
    outcome = run(sweep, *sweep_flags(npz, tmp_path / "sweep", "--optimizer=sgd", "--learning_rate=1e30"))
    assert outcome.code == 1
    assert outcome.out.count("failed: cost is not finite in epoch 1") == 2
    rows = list(csv.DictReader((tmp_path / "sweep/sweep.csv").open()))
    assert all("not finite" in row["note"] for row in rows)


@pytest.mark.parametrize("words", [["--hidden=4,x"], ["--hidden=4", "--hidden=0"], []])
def test_sweep_refuses_a_network_that_is_none(run, npz, tmp_path, words):
    outcome = run(sweep, f"--dataset={npz}", f"--workdir={tmp_path / 'sweep'}", *words)
    assert outcome.code == 1
    assert "--hidden" in outcome.error
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_over_several_workers_is_refused_in_one_line(run, npz, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for where in ({}, {"TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'}):
        for name, value in where.items():
            monkeypatch.setenv(name, value)
        outcome = run(sweep, *sweep_flags(npz, tmp_path / "sweep", "--strategy=multi_worker"))
        assert (outcome.code, outcome.out) == (1, "")
        assert "--strategy=multi_worker: the runs of a sweep need no connection" in outcome.error
    assert os.listdir(tmp_path) == []


def test_runs_on_other_data_are_refused_in_a_sweep(run, small, tmp_path):
    np.savez(tmp_path / "a.npz", **make_arrays())
    flags = [f for f in small(tmp_path / "sweep", dataset=tmp_path / "a.npz", epochs=1) if "--hidden" not in f]
    assert run(sweep, *flags, "--hidden=4", "--seeds=1").code == 0
    np.savez(tmp_path / "a.npz", **make_arrays(seed=1))
    outcome = run(sweep, *flags, "--hidden=4", "--seeds=1")
    assert outcome.code == 1
    assert "failed: " in outcome.out
    assert "data: sha256" in outcome.out
