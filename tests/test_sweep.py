"""The sweep command: a row for each network, in print, CSV and plot; what it does again, and what not."""

import csv
import json
import os
import re
import shutil
import signal
import time

import numpy as np
import pytest
from absl import flags as absl_flags
from helpers import Outcome, make_arrays, read_lines, read_results, start
from PIL import Image

from mlp_tf import evaluate, sweep


def sweep_flags(npz, folder, *more, hidden=("4", "8,4"), seeds=2, epochs=2):
    """Flags of a sweep of about 3 s."""
    flags = [f"--dataset={npz}", "--validation_size=40", "--batch_size=10", f"--workdir={folder}"]
    return [*flags, *(f"--hidden={each}" for each in hidden), f"--seeds={seeds}", f"--epochs={epochs}", *more]


def table(folder):
    """The rows of sweep.csv."""
    return list(csv.DictReader((folder / "sweep.csv").open()))


def test_sweep_prints_a_row_for_each_network_and_writes_csv_and_plot(run, npz, tmp_path):
    folder = tmp_path / "sweep"
    outcome = run(sweep, *sweep_flags(npz, folder))
    assert (outcome.code, outcome.err) == (0, "")
    assert len(outcome.out.splitlines()) == 1 + 1 + 2 + 1 + 2
    assert max(map(len, outcome.out.splitlines()[1:4])) <= 80
    rows = table(folder)
    assert [(row["hidden"], row["parameters"], row["units"], row["seeds"]) for row in rows] == [
        ("4", "275", "4", "2"),
        ("8,4", "571", "12", "2"),
    ]
    runs = [folder / f"hidden=8,4/seed-{seed}" for seed in (0, 1)]
    for split in ("test", "train"):
        accuracies = [read_results(each)[f"{split}_accuracy"] for each in runs]
        assert float(rows[1][f"{split}_accuracy"]) == pytest.approx(np.mean(accuracies))
        assert float(rows[1][f"{split}_accuracy_std"]) == pytest.approx(np.std(accuracies, ddof=1))
    validated = [read_lines(each / "metrics.jsonl")[-1]["val_accuracy"] for each in runs]
    assert float(rows[1]["val_accuracy"]) == pytest.approx(np.mean(validated))
    assert Image.open(folder / "sweep.png").width == 1200
    assert outcome.out.endswith(f"\nPlot: {folder / 'sweep.png'}\n")
    assert json.loads(run(sweep, f"--workdir={folder}", "--json").out)["plot"] == str(folder / "sweep.png")


def test_the_training_accuracy_of_a_row_is_that_of_evaluate(run, run_folder):
    report = json.loads(run(evaluate, f"--workdir={run_folder}", "--json").out)
    assert read_results(run_folder)["train_accuracy"] == pytest.approx(report["train_accuracy"], abs=1e-9)


@pytest.mark.parametrize("metrics", ['{"epoch": 1, "val_accuracy": 1.0}\n', None])
def test_a_finished_run_keeps_its_row_whatever_its_metrics_say(run, run_folder, tmp_path, metrics):
    folder = shutil.copytree(run_folder, tmp_path / "runs/one")
    before = run(sweep, f"--workdir={folder.parent}").out
    if metrics:
        (folder / "metrics.jsonl").write_text(metrics)
    else:
        (folder / "metrics.jsonl").unlink()
    assert run(sweep, f"--workdir={folder.parent}") == Outcome(0, before, "")
    validated = read_lines(run_folder / "metrics.jsonl")[-1]["val_accuracy"]
    assert float(table(folder.parent)[0]["val_accuracy"]) == validated


def test_any_setting_may_vary_and_names_its_folder(run, npz, tmp_path):
    more = ["--deskew", "--nodeskew", "--learning_rate=0.01", "--learning_rate=1e-2", "--learning_rate=0.1"]
    outcome = run(sweep, *sweep_flags(npz, tmp_path / "sweep", *more, hidden=["4"], seeds=1, epochs=1))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[1].split()[:3] == ["hidden", "learning_rate", "deskew"]
    assert [(row["learning_rate"], row["deskew"]) for row in table(tmp_path / "sweep")] == [
        ("0.01", "False"), ("0.01", "True"), ("0.1", "False"), ("0.1", "True"),
    ]  # fmt: skip
    folders = [f"hidden=4_learning_rate={rate}_deskew={each}" for rate in (0.01, 0.1) for each in (False, True)]
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir()) == [*folders, "sweep.csv", "sweep.png"]


def test_what_is_typed_takes_the_place_of_the_values_in_a_flag_file(run, npz, tmp_path):
    (tmp_path / "x.flags").write_text("--hidden=4\n--hidden=5\n--epochs=1\n--epochs=2\n")
    flags = [flag for flag in sweep_flags(npz, tmp_path / "sweep", hidden=[], seeds=1) if "epochs" not in flag]
    assert run(sweep, "--epochs=1", f"--flagfile={tmp_path / 'x.flags'}", "--epochs=3", *flags).code == 0
    rows = [(row["hidden"], row["epochs"]) for row in table(tmp_path / "sweep")]
    assert rows == [("4", "1"), ("4", "3"), ("5", "1"), ("5", "3")]


def test_no_later_sweep_loses_a_row_of_an_earlier_one(run, npz, tmp_path, train):
    folder, data = tmp_path / "sweep", [f"--dataset={npz}", "--validation_size=40", "--batch_size=10"]
    run(sweep, *sweep_flags(npz, folder, hidden=["4"], seeds=1))
    assert train(*data, "--hidden=6", "--epochs=2", "--seed=5", f"--workdir={folder / 'mine'}").code == 0
    outcome = run(sweep, *sweep_flags(npz, folder, hidden=["4", "6"], seeds=1, epochs=1))
    assert (outcome.code, outcome.err) == (0, "")
    rows = [("4", "1"), ("4", "2"), ("6", "1"), ("6", "2")]
    assert [(row["hidden"], row["epochs"]) for row in table(folder)] == rows
    (folder / "sweep.csv").unlink()
    again = run(sweep, f"--workdir={folder}")
    assert (again.code, again.err) == (0, "")
    assert again.out.splitlines() == outcome.out.splitlines()[1:]
    assert [(row["hidden"], row["epochs"]) for row in table(folder)] == rows


def test_a_run_trained_by_itself_is_not_trained_again_in_a_sweep(run, npz, tmp_path, train):
    data = [f"--dataset={npz}", "--validation_size=40", "--batch_size=10", "--hidden=4", "--epochs=2"]
    train(*data, "--seed=1", f"--workdir={tmp_path / 'sweep/mine'}")
    outcome = run(sweep, *sweep_flags(npz, tmp_path / "sweep", hidden=["4"]))
    assert outcome.out.startswith("Sweep: 2 runs, 1 already done\n")
    [row] = table(tmp_path / "sweep")
    assert row["seeds"] == "2"
    assert os.listdir(tmp_path / "sweep/hidden=4") == ["seed-0"]


def test_the_best_row_is_that_of_the_highest_validation_accuracy(run, npz, tmp_path):
    rates = ["--learning_rate=1e-5", "--learning_rate=0.01", "--learning_rate=1e-6"]
    outcome = run(sweep, *sweep_flags(npz, tmp_path / "sweep", *rates, hidden=["8"], seeds=1, epochs=3))
    accuracies = [float(row["val_accuracy"]) for row in table(tmp_path / "sweep")]
    assert [row["best"] for row in table(tmp_path / "sweep")] == [str(a == max(accuracies)) for a in accuracies]
    marked = [line.startswith("*") for line in outcome.out.splitlines()[2:5]]
    assert marked == [a == max(accuracies) for a in accuracies]


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_runs_asks_what_to_train(run, tmp_path, there):
    if there:
        (tmp_path / "sweep").mkdir()
    outcome = run(sweep, f"--workdir={tmp_path / 'sweep'}")
    assert (outcome.code, outcome.error.count("no run there; say what to train")) == (1, 1)
    assert (tmp_path / "sweep").exists() == there


def test_the_folder_of_one_run_is_no_sweep(run, run_folder):
    outcome = run(sweep, f"--workdir={run_folder}", "--hidden=4")
    assert (outcome.code, outcome.error.count("is a single run")) == (1, 1)


def test_a_run_that_is_not_finished_stands_in_the_table(run, run_folder, tmp_path):
    for name in ("whole", "begun", "torn"):
        shutil.copytree(run_folder, tmp_path / name)
    (tmp_path / "begun/results.json").unlink()
    (tmp_path / "torn/config.json").write_text("{")
    outcome = run(sweep, f"--workdir={tmp_path}")
    assert outcome.code == 0
    assert re.fullmatch(r"WARNING: left out: \S+/torn/config.json: not a file of a run .*\n", outcome.err)
    [row] = table(tmp_path)
    assert (row["seeds"], row["note"]) == ("1", "seed 0: not finished, 20 of 20 epochs")
    assert "    seed 0: not finished, 20 of 20 epochs\n" in outcome.out


def test_a_sweep_started_again_trains_only_what_is_missing(run, npz, tmp_path):
    flags = sweep_flags(npz, tmp_path / "sweep", hidden=["4"])
    first = run(sweep, *flags).out.splitlines()[1:]
    kept, missing = (tmp_path / f"sweep/hidden=4/seed-{s}/results.json" for s in (0, 1))
    before = kept.stat().st_mtime_ns
    missing.unlink()
    again = run(sweep, *flags).out.splitlines()[1:]
    assert [line.split()[:-1] for line in again] == [line.split()[:-1] for line in first]
    assert kept.stat().st_mtime_ns == before
    assert missing.exists()


# The sweep command, waiting 0.3 s after each epoch of the run with seed 1.
WAITING = """
import time
from mlp_tf import sweep
from mlp_tf.cli import command
from mlp_tf.runs.folder import RunFolder
append = RunFolder.append_metrics
def append_and_wait(self, row):
    append(self, row)
    time.sleep(0.3 * (self.path.name == "seed-1"))
RunFolder.append_metrics = append_and_wait
command.end(command.run(sweep.main, sweep.__doc__, sweep.define_flags))
"""


@pytest.mark.slow
def test_a_sweep_that_is_stopped_goes_on(run, npz, tmp_path):
    # The second of three runs is stopped after its first epoch, when 12 s or more are left of it.
    flags = sweep_flags(npz, tmp_path / "sweep", hidden=["4"], seeds=3, epochs=40)
    runs = [tmp_path / f"sweep/hidden=4/seed-{seed}" for seed in range(3)]
    process = start("-c", WAITING, *flags)
    while not (runs[1] / "metrics.jsonl").exists() or not (runs[1] / "metrics.jsonl").stat().st_size:
        time.sleep(0.005)
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "to resume: the same command again" in err
    kept = (runs[0] / "results.json").stat().st_mtime_ns
    assert not (runs[1] / "results.json").exists()
    done = len(read_lines(runs[1] / "metrics.jsonl"))
    assert 1 <= done < 40
    assert not runs[2].exists()
    outcome = run(sweep, *flags)
    assert (outcome.code, outcome.err) == (0, "")
    assert (runs[0] / "results.json").stat().st_mtime_ns == kept
    assert [read_results(folder)["epochs"] for folder in runs] == [40] * 3


def test_a_failing_network_becomes_a_row_that_says_so(run, npz, tmp_path):
    outcome = run(sweep, *sweep_flags(npz, tmp_path / "sweep", "--optimizer=sgd", "--learning_rate=1e30"))
    assert outcome.code == 1
    assert outcome.out.count("failed: cost is not finite in epoch 1") == 4
    rows = table(tmp_path / "sweep")
    assert [row["note"].count("not finite") for row in rows] == [2, 2]
    assert [row["test_accuracy"] for row in rows] == ["", ""]


def test_the_reason_of_a_failure_stays_in_the_table(run, npz, tmp_path):
    flags = sweep_flags(npz, tmp_path / "sweep", "--batch_size=10", "--batch_size=999", hidden=["4"], seeds=1, epochs=1)
    first = run(sweep, *flags)
    assert first.code == 1
    again = run(sweep, f"--workdir={tmp_path / 'sweep'}")
    assert (again.code, again.out.splitlines()) == (0, first.out.splitlines()[1:])
    file = tmp_path / "sweep/failures.json"
    file.write_text("[1]")
    broken = run(sweep, f"--workdir={tmp_path / 'sweep'}")
    assert "failures.json: " in broken.error
    assert "batch_size=999" not in broken.out


def test_failures_of_runs_with_many_features_are_kept_too(run, tmp_path, monkeypatch):
    """The limit is lower here, as if there were 200,000 features."""
    monkeypatch.setattr("mlp_tf.base.files.LARGEST_TEXT", 30_000)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", x_train=rng.normal(size=(40, 200)), y_train=np.arange(40) % 2)
    flags = [f"--dataset={tmp_path / 'a.npz'}", f"--workdir={tmp_path / 'sweep'}", "--hidden=4", "--seeds=1"]
    assert run(sweep, *flags, *(f"--batch_size={size}" for size in range(100, 110))).code == 1
    assert run(sweep, f"--workdir={tmp_path / 'sweep'}").out.count("failed: ") == 10


@pytest.mark.parametrize("place", ["../outside", "/tmp/outside", "a/../../outside"])
def test_a_failure_outside_of_the_folder_is_not_believed(run, npz, tmp_path, place):
    flags = sweep_flags(npz, tmp_path / "sweep", "--batch_size=999", hidden=["4"], seeds=1, epochs=1)
    flags = [flag for flag in flags if flag != "--batch_size=10"]
    assert run(sweep, *flags).code == 1
    file = tmp_path / "sweep/failures.json"
    content = json.loads(file.read_text())
    content["failures"][0]["path"] = place
    file.write_text(json.dumps(content))
    assert "no run there" in run(sweep, f"--workdir={tmp_path / 'sweep'}").error


def test_data_that_were_moved_make_no_new_runs(run, small, tmp_path):
    np.savez(tmp_path / "a.npz", **make_arrays())
    flags = [f for f in small(tmp_path / "sweep", epochs=1) if "--hidden" not in f and "--dataset" not in f]
    assert run(sweep, *flags, f"--dataset={tmp_path / 'a.npz'}", "--hidden=4", "--seeds=1").code == 0
    (tmp_path / "a.npz").rename(tmp_path / "b.npz")
    outcome = run(sweep, *flags, f"--dataset={tmp_path / 'b.npz'}", "--hidden=4", "--seeds=1")
    assert "Sweep: 1 run, 1 already done\n" in outcome.out
    assert len(table(tmp_path / "sweep")) == 1


@pytest.mark.parametrize(
    "words",
    [
        "hidden=4 hidden=8,4", "epochs=1 epochs=2", "batch_size=10 batch_size=20", "learning_rate=1 learning_rate=2",
        "optimizer=sgd optimizer=adam", "activation=relu activation=tanh", "init=he init=glorot",
        "schedule=linear schedule=constant", "label_smoothing=0 label_smoothing=0.1", "dropout=0 dropout=0.1",
        "input_dropout=0 input_dropout=0.1", "weight_decay=0 weight_decay=0.1", "max_norm=0 max_norm=2",
        "distort=0 distort=1", "elastic=0 elastic=1", "deskew=true deskew=false", "patience=0 patience=3",
    ],
)  # fmt: skip
def test_each_setting_of_the_network_and_its_training_can_be_varied(words):
    values = absl_flags.FlagValues()
    sweep.define_flags(values)
    values(["sweep", *(f"--{word}" for word in words.split()), "--seeds=1"])
    assert len({config for _, config in sweep.grid(values)}) == 2


def test_the_name_of_a_folder_is_short_enough_for_any_disk():
    values = absl_flags.FlagValues()
    sweep.define_flags(values)
    values(["sweep", f"--hidden={','.join(['10'] * 200)}", "--hidden=4", "--seeds=1"])
    assert [len(name) for name, _ in sweep.grid(values)] == [120, len("hidden=4")]


def test_a_failure_takes_no_other_run_with_it(run, npz, tmp_path):
    rates = ["--optimizer=sgd", "--learning_rate=1e30", "--learning_rate=0.01", "--batch_size=10", "--batch_size=999"]
    outcome = run(sweep, *sweep_flags(npz, tmp_path / "sweep", *rates, hidden=["4"], seeds=1, epochs=1))
    assert outcome.code == 1
    rows = {(row["learning_rate"], row["batch_size"]): row for row in table(tmp_path / "sweep")}
    assert len(rows) == 4
    assert rows["0.01", "10"]["note"] == ""
    assert "--batch_size=999: must be at most the 200 training examples" in rows["0.01", "999"]["note"]
    assert "not finite" in rows["1e+30", "10"]["note"]


@pytest.mark.parametrize("words", [["--hidden=4,x"], ["--hidden=4", "--hidden=0"]])
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


def test_runs_on_other_data_are_other_rows(run, small, tmp_path):
    np.savez(tmp_path / "a.npz", **make_arrays())
    flags = [f for f in small(tmp_path / "sweep", dataset=tmp_path / "a.npz", epochs=1) if "--hidden" not in f]
    assert run(sweep, *flags, "--hidden=4", "--seeds=1").code == 0
    np.savez(tmp_path / "a.npz", **make_arrays(seed=1))
    outcome = run(sweep, *flags, "--hidden=4", "--seeds=1")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[1].split()[:2] == ["hidden", "sha256"]
    assert outcome.out.count("*") == 3  # the best of each, as they cannot be compared
    assert len({row["sha256"] for row in table(tmp_path / "sweep")}) == 2
