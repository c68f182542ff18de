"""The train command: its output, its files, its exit codes, and one clear line for a mistake."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from helpers import (
    command,
    make_arrays,
    needs_mnist,
    prepared_mnist,
    read_lines,
    read_results,
    saved,
    small_flags,
    start,
)


@pytest.fixture(scope="module")
def finished_run(npz, tmp_path_factory):
    """(The folder of a run of 3 epochs, not to be changed; how training it in a process of its own ended)."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    # Cold: only a process that imports TensorFlow itself could print TensorFlow's messages.
    return folder, command("mlp_tf.train", *small_flags(npz, folder), cold=True)


def test_a_process_of_its_own_writes_the_documented_lines_and_no_others(finished_run, npz):
    folder, outcome = finished_run
    assert outcome.code == 0
    costs, share = r"cost=\d+\.\d{{4}}", r"accuracy=[01]\.\d{{4}}"
    epoch = rf"Epoch: {{}} {costs} {share} val_{costs} val_{share} seconds=\d+\.\d\d"
    expected = [
        rf"Dataset: {re.escape(npz)}, 200 training, 40 validation, 61 test images of 8 x 8, 3 classes",
        r"Model: 64-8-4-3, 571 parameters; 20 steps of 10 an epoch",
        *(epoch.format(e) for e in (1, 2, 3)),
        r"Model has completed 3 Epochs of Training",
        r"Test cost: \d+\.\d{4}",
        r"Accuracy: [01]\.\d{4}",
        rf"Run: {folder}",
    ]
    lines = outcome.out.splitlines()
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line), line
    assert outcome.err == ""  # no progress bar without a terminal, and nothing of TensorFlow's


def test_a_runs_folder_holds_the_documented_files_and_keys(finished_run):
    folder, _ = finished_run
    assert sorted(os.listdir(folder)) == ["checkpoints", "config.json", "metrics.jsonl", "results.json"]
    rows = read_lines(folder / "metrics.jsonl")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert list(rows[0]) == ["epoch", "cost", "accuracy", "val_cost", "val_accuracy", "learning_rate", "seconds"]
    results = read_results(folder)
    assert list(results) == [
        "format", "test_cost", "test_accuracy", "train_accuracy", "val_cost", "val_accuracy", "epochs", "best_epoch",
        "best_val_cost", "best_val_accuracy", "stopped_early", "train_examples", "train_seconds",
        "examples_per_second", "dataset", "run", "sha256",
    ]  # fmt: skip
    assert (results["epochs"], results["train_examples"]) == (3, 600)
    assert results["test_accuracy"] * 61 == pytest.approx(round(results["test_accuracy"] * 61), abs=1e-9)
    assert [results[name] for name in ("val_cost", "val_accuracy")] == [rows[-1]["val_cost"], rows[-1]["val_accuracy"]]
    assert results["train_seconds"] == pytest.approx(sum(row["seconds"] for row in rows))
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["hidden"] == [8, 4]
    assert config["data"]["train"] == 200
    assert {"tensorflow", "numpy", "python", "threads"} <= config["environment"].keys()


def test_printed_numbers_are_those_of_the_files(finished_run):
    folder, outcome = finished_run
    row = read_lines(folder / "metrics.jsonl")[1]
    assert f"Test cost: {read_results(folder)['test_cost']:.4f}" in outcome.out
    digits = " ".join(f"{name}={row[name]:.4f}" for name in ("cost", "accuracy", "val_cost", "val_accuracy"))
    assert f"Epoch: 2 {digits} seconds=" in outcome.out


def test_it_learns(train, small, tmp_path):
    train(*small(epochs=20))
    assert read_results(tmp_path / "run")["test_accuracy"] > 0.9


def test_without_validation_lines_leave_it_out_and_rows_say_null(train, small, tmp_path):
    out = train(*small(validation_size=0, epochs=1)).out
    assert re.search(r"^Epoch: 1 cost=\d\.\d{4} accuracy=[01]\.\d{4} seconds=", out, re.MULTILINE)
    assert read_lines(tmp_path / "run/metrics.jsonl")[0]["val_cost"] is None


def test_a_finished_run_prints_its_result_again(train, small, finished_run):
    folder, first = finished_run
    again = train(*small(workdir=folder))
    assert again.code == 0
    assert again.out.splitlines() == [line for line in first.out.splitlines() if not line.startswith("Epoch")]


@pytest.mark.slow
def test_runs_that_start_in_one_second_have_a_folder_each(small, tmp_path):
    processes = [start("mlp_tf.train", *small(workdir=None, epochs=1), cwd=tmp_path) for _ in range(2)]
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    folders = {out.splitlines()[-1].removeprefix("Run: runs/") for out, _ in ends}
    assert folders == set(os.listdir(tmp_path / "runs"))
    assert len(folders) == 2


def test_a_refused_start_leaves_no_empty_folder_of_its_own(train, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train(*small(workdir=None, batch_size=100_000)).code == 1
    assert os.listdir(tmp_path) == []
    (tmp_path / "runs").mkdir()
    assert train(*small(workdir=None, batch_size=100_000)).code == 1
    assert os.listdir(tmp_path / "runs") == []


def test_a_clock_that_stands_still_divides_by_nothing(train, small, tmp_path, monkeypatch):
    monkeypatch.setattr("time.perf_counter", lambda: 5.0)
    monkeypatch.setattr("time.monotonic", lambda: 5.0)
    assert train(*small(epochs=1)).code == 0
    assert read_results(tmp_path / "run")["train_seconds"] == 0


def test_without_workdir_each_run_has_a_new_folder_under_runs(train, small, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folders = {re.search("Run: (.*)", train(*small(workdir=None, epochs=1)).out).group(1) for _ in range(2)}
    assert len(folders) == 2
    for folder in folders:
        assert re.fullmatch(r"runs/\d{8}-\d{6}(-\d+)?", folder)
        assert (tmp_path / folder / "results.json").exists()


def test_patience_stops_n_epochs_after_the_best_and_gives_the_best(
    train, small, noisy_npz, early_stopped_run, tmp_path
):
    costs = [row["val_cost"] for row in read_lines(early_stopped_run / "metrics.jsonl")]
    best = int(np.argmin(costs))
    assert len(costs) == best + 1 + 3 < 100
    results = read_results(early_stopped_run)
    assert results["epochs"] == len(costs)
    # A run of only as many epochs as the best has its last epoch as the result: the same parameters.
    train(*small(dataset=noisy_npz, epochs=best + 1, hidden="64,64", workdir=tmp_path / "best"))
    of_best = read_results(tmp_path / "best")
    for name in ("test_cost", "train_accuracy", "val_cost", "val_accuracy"):
        assert of_best[name] == results[name]


def test_a_run_that_patience_stopped_does_not_resume(train, early_stopped_run, tmp_path):
    folder = shutil.copytree(early_stopped_run, tmp_path / "run")
    epochs = read_results(folder)["epochs"]
    outcome = train(f"--workdir={folder}", "--epochs=200")
    assert (outcome.code, outcome.error) == (0, "note: --patience=3 has stopped this run; raise --patience to train on")
    said = [line.split(":")[0] for line in outcome.out.splitlines()]
    assert said == ["Dataset", "Model", "Stopped early", f"Model has completed {epochs} Epochs of Training", *said[4:]]
    assert said[4:] == ["Test cost", "Accuracy", "Run"]


def test_divergence_exits_3_says_where_and_keeps_the_last_good_checkpoint(train, small, tmp_path):
    outcome = train(*small(optimizer="sgd", learning_rate=1e30))
    assert outcome.code == 3
    assert re.search(
        r"diverged: cost is not finite in epoch 1, at step \d+ of 20, with learning rate 1e\+30", outcome.error
    )
    assert saved(tmp_path / "run") == os.listdir(tmp_path / "run/checkpoints") == ["step-0000000000.001"]
    assert not (tmp_path / "run/results.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": "256,x"}, "--hidden=256,x: must be integers from 1 to 100000 separated by commas"),
        ({"hidden": "0"}, "--hidden=0: must be"),
        ({"hidden": "8,"}, "--hidden=8,: must be"),
        ({"epochs": 0}, "--epochs=0: must be an integer from 1 to 100000"),
        ({"batch_size": 201}, "--batch_size=201: must be at most the 200 training examples"),
        ({"learning_rate": -1}, "--learning_rate=-1: must be a number above 0"),
        ({"learning_rate": "nan"}, "--learning_rate=nan: must be a number above 0"),
        ({"patience": 2, "validation_size": 0}, "--patience=2 with --validation_size=0: patience watches"),
        ({"dataset": "nosuch"}, "--dataset=nosuch: no such dataset; give auto, mnist_sample or the name"),
        ({"dataset": "imdb_reviews"}, "--dataset=imdb_reviews: has no supervised (image, label) pairs"),
        ({"dataset": "nosuch.npz"}, "nosuch.npz: No such file or directory; give an .npz file"),
        ({"workdir": "/proc/run"}, "--workdir=/proc/run: No such file or directory; give a folder that can be written"),
        ({"workdir": "/dev/null"}, "--workdir=/dev/null: is not a folder; give one"),
        ({"flagfile": "nosuch.flags"}, "nosuch.flags"),
        ({"hidden": "100000,100000"}, "10,006,900,003 parameters and the outputs of all layers need 187 GiB"),
        ({"colour": "red"}, "Unknown command line flag 'colour'"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_1_and_leaves_no_folder(train, small, tmp_path, changes, message):
    outcome = train(*small(**changes))
    assert (outcome.code, outcome.out) == (1, "")
    assert message in outcome.error
    assert not (tmp_path / "run").exists()


def test_leftover_words_are_refused(train, small, tmp_path):
    assert "epochs=3 fast: not a flag" in train(*small(), "epochs=3", "fast").error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("flag", ["--distort=1", "--elastic=1", "--deskew"])
def test_flat_images_can_be_neither_distorted_nor_deskewed(train, small, tmp_path, flag):
    arrays = make_arrays()
    flat = {k: v.reshape(len(v), -1) if k.startswith("x") else v for k, v in arrays.items()}
    np.savez(tmp_path / "flat.npz", **flat)
    assert "needs images of height x width" in train(*small(dataset=tmp_path / "flat.npz"), flag).error
    assert not (tmp_path / "run").exists()
    assert train(*small(dataset=tmp_path / "flat.npz", epochs=1)).code == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden": "5", "optimizer": "rmsprop"},
        {"hidden": "6,5,4", "label_smoothing": 0.1, "schedule": "linear"},
        {"activation": "tanh", "init": "normal", "distort": 1, "elastic": 0.5},
    ],
)
def test_every_setting_trains(train, small, changes):
    assert train(*small(**changes, epochs=1)).code == 0


def test_images_with_channels_train(train, small, tmp_path):
    arrays = make_arrays()
    color = {k: np.stack([v] * 3, -1) if k.startswith("x") else v for k, v in arrays.items()}
    np.savez(tmp_path / "color.npz", **color)
    outcome = train(*small(dataset=tmp_path / "color.npz", distort=1, epochs=1), "--deskew")
    assert "images of 8 x 8 x 3" in outcome.out
    assert "Model: 192-8-4-3" in outcome.out


def test_a_flagfile_gives_the_flags(train, small, tmp_path):
    (tmp_path / "my.flags").write_text("# a comment\n" + "\n".join(small(epochs=1)) + "\n")
    assert "Model has completed 1 Epochs" in train(f"--flagfile={tmp_path / 'my.flags'}").out


def test_help_describes_each_flag(train):
    outcome = train("--help")
    assert outcome.code == 0
    for flag in ("hidden", "epochs", "batch_size", "learning_rate", "patience", "dataset", "workdir", "seed"):
        assert re.search(rf"^  --{flag}: ", outcome.out, re.MULTILINE), flag
    assert "an integer of 1 or more" in outcome.out


@pytest.fixture
def without_network(free_addresses, tmp_path):
    """The environment of a command that finds no data, and a proxy that refuses, as tests must not download."""
    proxy = f"http://{free_addresses(1)[0]}"
    return {**os.environ, "TFDS_DATA_DIR": str(tmp_path / "empty"), "https_proxy": proxy}


def test_without_network_and_data_mnist_by_name_is_one_line_and_exit_1(small, without_network, tmp_path):
    outcome = command("mlp_tf.train", *small(dataset="mnist"), env=without_network)
    assert outcome.code == 1
    assert "--dataset=mnist is not prepared in" in outcome.error
    assert "TFDS_DATA_DIR" in outcome.error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_network_that_never_answers_is_given_up(small, tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {**os.environ, "TFDS_DATA_DIR": str(tmp_path / "empty"), "https_proxy": proxy}
        outcome = command("mlp_tf.train", *small(dataset="mnist"), env=environment)
    assert outcome.code == 1
    assert "cannot be downloaded" in outcome.error


@pytest.mark.slow
def test_without_network_and_data_auto_trains_on_the_sample_and_warns(without_network, tmp_path):
    flags = ["--hidden=256,256", "--epochs=15", f"--workdir={tmp_path / 'run'}"]
    # Cold: the first command of a user without a network; a library may read the environment as it is imported.
    outcome = command("mlp_tf.train", *flags, env=without_network, cold=True)
    assert outcome.code == 0
    assert "WARNING" in outcome.error
    assert "NOT COMPARABLE WITH FULL MNIST" in outcome.error
    assert "Dataset: mnist_sample, 4,000 training, 500 validation, 500 test images of 28 x 28" in outcome.out
    assert read_results(tmp_path / "run")["test_accuracy"] > 0.9
    assert "NOT COMPARABLE" in json.loads((tmp_path / "run/config.json").read_text())["warning"]


@pytest.mark.slow
@needs_mnist
def test_the_main_job_reaches_0977_with_the_costs_of_version_0_2_0(tmp_path):
    flags = ["--hidden=256,256", "--epochs=15", f"--data_dir={prepared_mnist()}", f"--workdir={tmp_path / 'run'}"]
    outcome = command("mlp_tf.train", *flags, cold=True)  # this is the job as a user starts it
    assert (outcome.code, outcome.err) == (0, "")
    assert "Model: 784-256-256-10, 269,322 parameters; 550 steps of 100 an epoch" in outcome.out
    assert read_results(tmp_path / "run")["test_accuracy"] > 0.977
    # To the last bit on the processor where 0.2.0 gave them; elsewhere XLA adds in another order, and that grows.
    costs = [row["cost"] for row in read_lines(tmp_path / "run/metrics.jsonl")[:3]]
    assert costs[0] == pytest.approx(0.24928529410795733, rel=1e-3)
    assert costs == pytest.approx([0.24928529410795733, 0.09361523525281386, 0.06069699932011691], rel=0.05)


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        (
            {"optimizer": "sgd", "learning_rate": 1e6, "epochs": 1},
            r"WARNING: cost=\S+ is far above that of guessing, 1.10",
        ),
        (
            {"activation": "sigmoid", "optimizer": "sgd", "learning_rate": 1e-9, "epochs": 3},
            r"WARNING: cost=1.\d+ is no better than guessing \(1.10\) two epochs in a row: nothing",
        ),
        (
            {"learning_rate": 1, "epochs": 6},
            r"WARNING: cost=1.\d+ is no better than guessing \(1.10\) two epochs in a row: nothing",
        ),
        ({"epochs": 3}, ""),
    ],
)
def test_a_cost_that_explodes_or_stays_at_guessing_is_warned_of(train, small, settings, warning):
    outcome = train(*small(**settings))
    assert (outcome.code, bool(outcome.err)) == (0, bool(warning))
    assert re.match(warning, outcome.err)
