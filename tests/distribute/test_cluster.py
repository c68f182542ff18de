"""Several replicas in one process: the same numbers as one."""

import json
import os

import numpy as np
import pytest
from helpers import assert_same_run, command, contents, slow

# Tried with so many replicas.
OPTIMIZERS = {1: ("adam",), 2: ("adam", "rmsprop", "momentum"), 4: ("sgd",)}
# For each optimizer, on some logical CPUs and on one, a line for 100 steps: the cost of each epoch of ten, and what
# each replica holds afterwards.
REPLICAS = """
import dataclasses, json, sys
from mlp_tf import data, loop
from mlp_tf.config import Config
from mlp_tf.data.feed import SINGLE_DEVICE
from mlp_tf.distribute.cluster import connect
from mlp_tf.distribute.tf_config import Task
settings = {"batch_size": 24, "epochs": 10, "schedule": "linear", "distort": 0.5, "elastic": 0.5, "deskew": True}
settings |= {"dropout": 0.2, "input_dropout": 0.1, "weight_decay": 0.1, "max_norm": 1.0}
config = Config(hidden=(16, 8), **settings, strategy="mirrored", logical_cpus=int(sys.argv[2]))
train = data.load(sys.argv[1], validation_size=0).train
several = connect(config, Task(), lambda: None, print)
for optimizer in sys.argv[3:]:
    config = dataclasses.replace(config, optimizer=optimizer)
    for cluster in (several, SINGLE_DEVICE):
        feed = data.Feed(train, config, cluster)
        with cluster.strategy.scope():
            state = loop.new_state(config, (64, 16, 8, 3), 100)
        train_steps = loop.compile_steps(state, config, feed)
        chunks = loop.fit(train_steps, state, config, feed, loop.Progress(0, 0, 10))
        costs = [p.total / 240 for p in chunks if p.step == 10]
        variables = [*state.variables(), *state.slots(), state.step]
        held = [[v.numpy().tolist() for v in cluster.strategy.experimental_local_results(x)] for x in variables]
        print(json.dumps({"costs": costs, "held": held}))
"""


@pytest.fixture(scope="module")
def replicas_and_one(npz):
    """{(optimizer, replicas): what several replicas have, what one has}; a process for each number of replicas."""

    def outcomes(replicas, optimizers):
        outcome = command("-c", REPLICAS, npz, replicas, *optimizers)
        assert outcome.code == 0, outcome.err
        lines = map(json.loads, outcome.out.splitlines())
        return zip(optimizers, lines, lines, strict=True)

    return {(name, n): pair for n, names in OPTIMIZERS.items() for name, *pair in outcomes(n, names)}


@pytest.mark.parametrize(
    ("optimizer", "replicas"), [slow(name, count) for count, names in OPTIMIZERS.items() for name in names]
)
def test_replicas_have_the_costs_of_one_over_100_steps_and_equal_bits(replicas_and_one, optimizer, replicas):
    several, one = replicas_and_one[optimizer, replicas]
    assert len(one["costs"]) == 10
    np.testing.assert_allclose(several["costs"], one["costs"], rtol=1e-5)
    for copies, [alone] in zip(several["held"], one["held"], strict=True):
        assert len(copies) == replicas
        assert all(copy == copies[0] for copy in copies)
        np.testing.assert_allclose(copies[0], alone, rtol=1e-3, atol=1e-6)


# Trains a run on two logical CPUs to its end; then another one, stopped after a step and opened again.
RESUMED = """
import sys
from mlp_tf.config import Config
from mlp_tf.runs import open_run
settings = {"optimizer": "momentum", "schedule": "cosine", "activation": "elu", "monitor": "val_accuracy"}
settings |= {"max_norm": 1.0, "weight_decay": 0.1, "learning_rate": 0.02}
config = Config(hidden=(8, 4), batch_size=10, epochs=2, validation_size=40, dataset=sys.argv[1], **settings,
                strategy="mirrored", logical_cpus=2)
for folder, stops in (("whole", ()), ("run", (1, 23))):
    for stop in stops:
        with open_run(config, folder) as run:
            next(progress for progress, _ in run.train() if int(run.state.step.numpy()) >= stop)
    with open_run(config, folder) as run:
        list(run.train())
"""


@pytest.mark.slow
def test_a_run_on_two_replicas_resumes_bit_for_bit(npz, tmp_path):
    # A process of its own, as it splits its CPU before TensorFlow computes anything.
    outcome = command("-c", RESUMED, npz, cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--strategy=mirrored"], "TensorFlow sees no GPU here; give --strategy=default, or --logical_cpus=N"),
        (["--strategy=mirrored", "--logical_cpus=3"], "--batch_size=10: must be a multiple of the 3 replicas"),
    ],
)
def test_devices_that_do_not_fit_are_refused_and_nothing_is_written(small, tmp_path, flags, message):
    outcome = command("mlp_tf.train", *small(), *flags, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert outcome.code == 1
    assert message in outcome.error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_mirrored_run_goes_on_as_a_default_one_and_says_what_differs(train, small, tmp_path):
    first = command("mlp_tf.train", *small(epochs=1), "--strategy=mirrored", "--logical_cpus=2")
    assert (first.code, first.err) == (0, "")
    before = contents(tmp_path / "run")
    again = train(*small(epochs=1))
    assert again.code == 0  # a finished run is finished, whoever asks
    assert first.out.endswith(again.out[again.out.index("Test cost") :])
    assert contents(tmp_path / "run") == before
    outcome = train(*small(epochs=2), "--strategy=default")
    assert outcome.code == 0
    assert "resuming, but not bit for bit: replicas 1, but 2 before" in outcome.error
