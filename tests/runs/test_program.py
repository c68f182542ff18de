"""A compiled loop serves later runs of its settings and shapes, which have the bits of a fresh process."""

import dataclasses

import pytest
from helpers import assert_same_run, command

from mlp_tf.config import Config
from mlp_tf.runs import open_run, program

SETTINGS = {
    "adam": {},
    "rmsprop, linear": {"optimizer": "rmsprop", "schedule": "linear"},
    "smoothing, tanh": {"label_smoothing": 0.1, "activation": "tanh", "init": "normal"},
    "distorted": {"distort": 1.0, "elastic": 0.5, "deskew": True, "patience": 2},
    "dropout": {"dropout": 0.3, "input_dropout": 0.1, "weight_decay": 0.1, "max_norm": 1.0},
}
# Trains a run of each settings in a process that has compiled nothing before.
FRESH = """
import sys
from mlp_tf.config import Config
from mlp_tf.runs import open_run
for settings in eval(sys.argv[1]):
    with open_run(Config(**settings)) as run:
        list(run.train())
"""


def settings_of(npz, folder, name, seed):
    settings = {"hidden": (8, 4), "batch_size": 10, "epochs": 2, "validation_size": 40, "learning_rate": 0.01}
    return {**settings, **SETTINGS[name], "dataset": npz, "workdir": str(folder), "seed": seed}


@pytest.fixture(scope="module")
def fresh_runs(npz, tmp_path_factory):
    """{name of settings: folder of a run with seed 1}, all trained in one process of their own, each compiled first."""
    folders = {name: tmp_path_factory.mktemp("fresh") / "run" for name in SETTINGS}
    settings = [settings_of(npz, folder, name, seed=1) for name, folder in folders.items()]
    assert command("-c", FRESH, repr(settings)).code == 0
    return folders


def train(config):
    """Trains a run; returns its compiled loop."""
    with open_run(config) as run:
        for _ in run.train():
            pass
        return run._program.train_steps


@pytest.mark.parametrize("name", SETTINGS)
def test_a_second_run_reuses_the_loop_and_has_the_bits_of_a_fresh_process(npz, fresh_runs, tmp_path, name):
    loops = [train(Config(**settings_of(npz, tmp_path / str(seed), name, seed))) for seed in (0, 1)]
    assert loops[0] is loops[1]
    assert_same_run(tmp_path / "1", fresh_runs[name])


@pytest.mark.parametrize(
    "change", [{"learning_rate": 0.02}, {"hidden": (8, 5)}, {"batch_size": 20}, {"weight_decay": 0.2}, {"dropout": 0.1}]
)
def test_a_run_that_computes_otherwise_is_compiled(npz, tmp_path, change):
    config = Config(**{**settings_of(npz, tmp_path / "one", "adam", seed=0), "optimizer": "sgd"})
    other = dataclasses.replace(config, workdir=str(tmp_path / "other"), **change)
    assert train(config) is not train(other)


def test_a_linear_schedule_over_more_epochs_is_compiled(npz, tmp_path):
    settings = settings_of(npz, tmp_path / "one", "rmsprop, linear", seed=0)
    longer = {**settings, "workdir": str(tmp_path / "other"), "epochs": 3}
    assert train(Config(**settings)) is not train(Config(**longer))


def test_two_runs_that_are_open_at_once_share_nothing(npz, tmp_path):
    configs = [Config(**settings_of(npz, tmp_path / name, "adam", seed=0)) for name in "ab"]
    with open_run(configs[0]) as one, open_run(configs[1]) as other:
        for _ in zip(one.train(), other.train(), strict=True):
            pass
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_programs_are_dropped_when_they_need_too_much_memory(npz, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "_kept", [])
    monkeypatch.setattr(program, "_KEPT_BYTES", 2 * program._CODE_BYTES)
    for units in (3, 4, 5):
        settings = settings_of(npz, tmp_path / str(units), "adam", seed=0)
        train(Config(**{**settings, "optimizer": "sgd", "hidden": (units,), "epochs": 1}))
    assert [kept.state.weights["h1"].shape[1] for _, kept in program._kept] == [5]


def test_a_loop_of_a_strategy_is_not_reused(npz, tmp_path):
    """One logical device is one replica too, but its optimizer cannot be started again."""
    for seed in (0, 1):
        settings = settings_of(npz, tmp_path / str(seed), "adam", seed)
        train(Config(**settings, strategy="mirrored", logical_cpus=1))
    assert train(Config(**settings_of(npz, tmp_path / "default", "adam", seed=1)))
    assert_same_run(tmp_path / "1", tmp_path / "default")


def test_a_closed_run_gives_up_its_variables(npz, tmp_path):
    with open_run(Config(**settings_of(npz, tmp_path / "run", "adam", seed=0))) as run:
        assert run.state is not None
    assert run.state is None
