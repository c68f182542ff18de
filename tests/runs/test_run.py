"""A run's life: bit-equal wherever it is stopped, early stopping, raised epochs, divergence."""

import dataclasses
import json
import os
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import assert_same_run, read_results, saved, slow, steps, tensors, untimed

from mlp_tf import UserError, loop
from mlp_tf.data.tfds import Unavailable
from mlp_tf.runs.checkpoint import Checkpoint
from mlp_tf.runs.run import Run, Start, open_run

STOPS = {
    "step 1": {"step": 1},
    "mid-epoch": {"step": 27},
    "before the last step of an epoch": {"step": 19},
    "during evaluation": {"step": 20},
    "after evaluation": {"rows": 1},
    "last step of the run": {"step": 60},
    "after the last evaluation": {"rows": 3},
}
# fmt: off
SETTINGS = {
    "adam": {},
    "rmsprop, linear": {"optimizer": "rmsprop", "schedule": "linear"},
    "dropout, weight decay, max norm": {"dropout": 0.3, "input_dropout": 0.1, "weight_decay": 0.1, "max_norm": 1.0},
    "sgd, patience": {"optimizer": "sgd", "patience": 2},
    "momentum, cosine, gelu, val_accuracy": {
        "optimizer": "momentum", "learning_rate": 0.02, "schedule": "cosine", "activation": "gelu", "max_norm": 1.0,
        "weight_decay": 0.1, "monitor": "val_accuracy", "patience": 2,
    },
    "no hidden layer, no scaling": {"hidden": (), "scaling": "none", "optimizer": "momentum", "learning_rate": 1e-5},
    "distort, elastic, deskew, linear, patience": {
        "distort": 1.0, "elastic": 0.5, "deskew": True, "schedule": "linear", "patience": 2, "label_smoothing": 0.1,
    },
}
# fmt: on


@pytest.mark.parametrize("stop", [slow(stop) if stop.startswith(("before", "last step")) else stop for stop in STOPS])
def test_a_run_stopped_anywhere_ends_as_if_never_stopped(live, config, whole_run, tmp_path, stop):
    live(config, tmp_path / "run", **STOPS[stop])
    assert not (tmp_path / "run/results.json").exists()
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole_run)


@pytest.mark.parametrize(
    "settings", [name if name.startswith(("distort", "dropout", "momentum")) else slow(name) for name in SETTINGS]
)
def test_a_run_stopped_at_every_seventeenth_step_ends_as_if_never_stopped(live, config, tmp_path, settings):
    config = dataclasses.replace(config, **SETTINGS[settings])
    live(config, tmp_path / "whole")
    for step in range(17, 60, 17):
        live(config, tmp_path / "run", step=step)
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("monitor", ["val_cost", "val_accuracy"])
def test_early_stopping_and_the_best_epoch_resume(live, config, noisy_npz, tmp_path, monitor):
    changes = {"hidden": (64, 64), "dataset": noisy_npz, "patience": 4, "epochs": 50, "monitor": monitor}
    config = dataclasses.replace(config, **changes)
    live(config, tmp_path / "whole")
    rows = untimed(tmp_path / "whole/metrics.jsonl")
    sign = 1 if monitor == "val_cost" else -1
    best = min(rows, key=lambda row: sign * row[monitor])["epoch"]
    results = read_results(tmp_path / "whole")
    assert (results["best_epoch"], results[f"best_{monitor}"]) == (best, rows[best - 1][monitor])
    assert len(rows) == best + 4
    for count in (best, best + 2):  # right at the best epoch, and while it is being waited for
        live(config, tmp_path / "run", rows=count)
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_raising_epochs_continues_a_finished_run(live, config, whole_run, tmp_path):
    live(dataclasses.replace(config, epochs=2), tmp_path / "run")
    assert read_results(tmp_path / "run")["epochs"] == 2
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole_run)
    assert json.loads((tmp_path / "run/config.json").read_text())["settings"]["epochs"] == 3


def test_a_caller_that_leaves_the_loop_finds_its_state_saved(live, config, whole_run, tmp_path):
    with open_run(config, tmp_path / "run") as run:
        for _, row in run.train():
            if row:
                break
    assert steps(tmp_path / "run")[-1] == 20
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole_run)


@pytest.mark.parametrize("validation_size", [0, 40])
def test_a_cost_that_only_evaluation_finds_not_finite_is_divergence(train, small, tmp_path, validation_size):
    """One step of SGD with an enormous rate: finite parameters, whose logits overflow."""
    outcome = train(
        *small(optimizer="sgd", learning_rate=1e20, epochs=1, batch_size=200, validation_size=validation_size)
    )
    assert outcome.code == 3
    assert re.search(r"(validation|test) cost is not finite after epoch 1", outcome.err)
    rows = (tmp_path / "run/metrics.jsonl").read_text()
    assert "NaN" not in rows
    assert "Infinity" not in rows
    assert not (tmp_path / "run/results.json").exists()


def test_no_checkpoint_is_written_of_a_state_that_is_not_finite(live, config, tmp_path):
    config = dataclasses.replace(config, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(loop.Diverged):
        live(config, tmp_path / "run")
    for value in tensors(tmp_path / "run").values():
        assert np.isfinite(value).all()


@pytest.mark.usefixtures("sample_read_once")
def test_auto_stays_what_it_stood_for_when_the_run_began(train, small, tmp_path, monkeypatch):
    def unavailable(*arguments):
        raise Unavailable("no network")

    flags = small(dataset="auto", batch_size=100, epochs=1)
    monkeypatch.setattr("mlp_tf.data.sources.prepared", unavailable)
    assert "NOT COMPARABLE" in train(*flags).err
    monkeypatch.undo()
    outcome = train(*small(dataset="auto", batch_size=100, epochs=2))
    assert outcome.code == 0
    assert "Dataset: mnist_sample" in outcome.out
    assert "NOT COMPARABLE" in outcome.err
    again = train(*small(dataset="auto", batch_size=100, epochs=2))
    assert "Dataset: mnist_sample" in again.out
    assert "NOT COMPARABLE" in again.err
    assert "NOT COMPARABLE" in json.loads((tmp_path / "run/config.json").read_text())["warning"]


def test_a_first_save_that_was_killed_starts_the_run_again(live, config, tmp_path, whole_run):
    live(config, tmp_path / "run", step=1)
    checkpoints = tmp_path / "run/checkpoints"
    first, last = saved(tmp_path / "run")
    (checkpoints / first).rename(checkpoints / ".mlp_tf-saving")
    (checkpoints / ".mlp_tf-saving/manifest.json").unlink()
    shutil.rmtree(checkpoints / last)
    (tmp_path / "run/metrics.jsonl").unlink()
    assert os.listdir(checkpoints) == [".mlp_tf-saving"]
    live(config, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole_run)
    assert not (checkpoints / ".mlp_tf-saving").exists()


def test_a_worker_writes_no_file_that_a_save_does_not(tmp_path, monkeypatch):
    """What a chief could send, had it not looked at its manifest itself."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = Run(Start(None), folder=None, cluster=SimpleNamespace(workers=2))
    with pytest.raises(UserError, match=r"'../x' is not the name of a file"):
        run._restore(Checkpoint(None, None, {"state.index": 3, "../x": 3}))
    assert os.listdir(tmp_path) == []


def test_a_run_interrupted_inside_a_chunk_goes_no_further(config, tmp_path, monkeypatch):
    """As by Ctrl-C in a notebook, where the caller catches KeyboardInterrupt and trains on."""
    check_finite = loop.check_finite

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with open_run(config, tmp_path / "run") as run:
        monkeypatch.setattr(loop, "check_finite", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(run.train())
        monkeypatch.setattr(loop, "check_finite", check_finite)
        with pytest.raises(UserError, match="was interrupted inside a chunk of steps; open it again"):
            next(run.train())
    assert steps(tmp_path / "run") == [0]


def test_a_finished_run_that_is_opened_for_more_epochs_has_no_results_yet(config, tmp_path):
    with open_run(config, tmp_path / "run", epochs=1) as run:
        list(run.train())
        assert run.results.epochs == 1
    with open_run(config, tmp_path / "run") as run:
        assert run.results is None
        list(run.train())
        assert run.results.epochs == 3


def test_a_finished_run_that_is_opened_again_has_its_history(config, tmp_path):
    with open_run(config, tmp_path / "run", epochs=2) as run:
        list(run.train())
        history = list(run.history)
    with open_run(config, tmp_path / "run", epochs=2) as run:
        assert [row["epoch"] for row in run.history] == [1, 2]
        assert run.history == history


def test_a_run_without_a_folder_is_refused():
    with pytest.raises(UserError, match="workdir is missing: give the folder of the run"), open_run():
        pass
