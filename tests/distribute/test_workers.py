"""Two worker processes: the same numbers as one, and what happens when one is stopped or lost."""

import json
import os
import re
import signal
import time

import pytest
from helpers import Outcome, assert_same_run, newest, read_lines, read_results, saved, small_flags, start

from mlp_tf import evaluate

pytestmark = pytest.mark.slow

EPOCHS = 20  # of the runs that are interrupted
# The train command, saving only when it is stopped and at the end: on a busy machine, it would once more in between.
FEW_SAVES = """
from mlp_tf import train
from mlp_tf.cli import command
from mlp_tf.runs import run
run.SAVE_EVERY = 1e9
command.end(command.run(train.main, train.__doc__, train.define_flags))
"""


@pytest.fixture(scope="module")
def start_workers(free_addresses):
    """Starts two worker processes on this machine, each with its own flags."""

    def processes(flags_of, words=("mlp_tf.train",), cold=False):
        cluster = {"worker": free_addresses(2)}
        started = []
        for index in range(2):
            given = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
            flags = ["--strategy=multi_worker", *flags_of(index)]
            started.append(start(*words, *flags, env={**os.environ, "TF_CONFIG": given}, cold=cold))
        return started

    return processes


def ended(processes):
    return [Outcome(p.returncode, *out) for p, out in [(p, p.communicate(timeout=90)) for p in processes]]


def wait_for_an_epoch(folder, process):
    """Until a run has trained an epoch, and one more than its newest checkpoint tells."""
    while not (folder / "metrics.jsonl").exists() or len(read_lines(folder / "metrics.jsonl")) <= epochs_saved(folder):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def epochs_saved(folder):
    return len(json.loads((newest(folder) / "manifest.json").read_text())["history"])


@pytest.fixture(scope="module")
def worker_of_a_frozen_chief(npz, start_workers, tmp_path_factory):
    """A worker whose chief was frozen, by SIGSTOP, in training; TensorFlow notices after 10 s."""
    folder = tmp_path_factory.mktemp("frozen") / "run"
    chief, other = start_workers(lambda i: small_flags(npz, folder, epochs=10_000))
    wait_for_an_epoch(folder, chief)
    chief.send_signal(signal.SIGSTOP)
    yield other
    chief.kill()


@pytest.fixture(scope="module")
def two_worker_run(npz, start_workers, tmp_path_factory):
    """The small run by two workers, never interrupted: its folder."""
    folder = tmp_path_factory.mktemp("workers")
    chief, other = ended(start_workers(lambda i: small_flags(npz, folder / f"run{i or ''}", epochs=EPOCHS)))
    assert (chief.code, other.code) == (0, 0), (chief, other)
    assert (other.out, other.err) == ("", "")
    assert not (folder / "run1").exists()
    return folder / "run"


def test_two_workers_with_all_the_data_end_as_one_and_the_chief_prints(train, small, start_workers, tmp_path):
    alone = train(*small(workdir=tmp_path / "alone"))
    # Cold, once: workers as users start them. Those of the other tests are forked before TensorFlow connects anything.
    workers = start_workers(lambda i: [*small(workdir=tmp_path / f"run{i}"), "--replicate_data"], cold=True)
    chief, other = ended(workers)
    assert (chief.code, other.code) == (0, 0), (chief, other)
    assert (other.out, other.err, chief.err) == ("", "", "")
    without_time = re.compile(r"seconds=\S+|Run: \S+")
    assert without_time.sub("", chief.out) == without_time.sub("", alone.out)
    assert not (tmp_path / "run1").exists()
    one, two = read_results(tmp_path / "alone"), read_results(tmp_path / "run0")
    assert two["test_cost"] == pytest.approx(one["test_cost"], rel=1e-5)
    for key in ("test_accuracy", "epochs", "train_examples", "dataset"):
        assert two[key] == one[key]
    # Its checkpoint is a run's like any other: one process goes on with it, and says what differs.
    resumed = train(*small(workdir=tmp_path / "run0", epochs=4), "--strategy=default")
    assert resumed.code == 0
    assert "resuming, but not bit for bit: replicas 1, but 2 before; workers 1, but 2 before" in resumed.error


def test_two_workers_with_shards_train_as_well_and_one_is_refused(run, train, small, two_worker_run):
    assert read_results(two_worker_run)["test_accuracy"] > 0.8
    assert json.loads((two_worker_run / "config.json").read_text())["data"]["shards"] == 2
    outcome = train(*small(workdir=two_worker_run, epochs=EPOCHS + 1), "--strategy=default")
    assert outcome.code == 1
    assert "2 workers share the examples of this run, and 1 were started; start 2" in outcome.error
    # Evaluated by one process on the whole of the data, it is the same network on the same images.
    evaluated = run(evaluate, f"--workdir={two_worker_run}")
    assert f"Cost: {read_results(two_worker_run)['test_cost']:.4f}" in evaluated.out
    assert f"Accuracy: {read_results(two_worker_run)['test_accuracy']:.4f}" in evaluated.out


@pytest.mark.usefixtures("worker_of_a_frozen_chief")  # so its 10 s pass meanwhile
def test_a_killed_worker_ends_the_other_and_all_again_end_bit_equal(small, tmp_path, start_workers, two_worker_run):
    def flags(index):
        return small(workdir=tmp_path / f"run{index or ''}", epochs=EPOCHS)

    for victim in (0, 1):
        (tmp_path / "run/metrics.jsonl").unlink(missing_ok=True)  # may be ahead of the checkpoint; it comes again
        processes = start_workers(flags)
        wait_for_an_epoch(tmp_path / "run", processes[0])
        processes[victim].kill()
        killed = time.monotonic()
        outcomes = ended(processes)
        assert time.monotonic() - killed < 60
        assert outcomes[victim].code == -signal.SIGKILL
        other = outcomes[1 - victim]
        assert other.code == 1
        lost = rf"worker {victim} \(127.0.0.1:\d+\) ended or cannot be reached any more; start every"
        assert re.search(lost, other.error)
    assert [outcome.code for outcome in ended(start_workers(flags))] == [0, 0]
    assert_same_run(tmp_path / "run", two_worker_run)


def test_a_frozen_chief_ends_the_other_in_a_line_that_names_it(worker_of_a_frozen_chief):
    [other] = ended([worker_of_a_frozen_chief])
    assert other.code == 1
    assert re.search(r"worker 0 \(127.0.0.1:\d+\) ended or cannot be reached any more; start every", other.error)


def test_a_signal_to_any_worker_stops_all_and_they_resume_bit_equal(small, tmp_path, start_workers, two_worker_run):
    def flags(index):
        return small(workdir=tmp_path / f"run{index or ''}", epochs=EPOCHS)

    for told, saves in (([0], "12"), ([1], "123"), ([0, 1], "234")):
        processes = start_workers(flags, words=("-c", FEW_SAVES))
        wait_for_an_epoch(tmp_path / "run", processes[0])
        for index in told:
            processes[index].send_signal(signal.SIGTERM)
        outcomes = ended(processes)
        assert [outcome.code for outcome in outcomes] == [143, 143], outcomes
        for outcome in outcomes:
            assert "stopped and saved; to resume, in every worker: python -m mlp_tf.train" in outcome.error
        # One save more than before, and nothing in the folder that another worker was given.
        assert sorted(os.listdir(tmp_path / "run/checkpoints")) == saved(tmp_path / "run")
        assert [name[-3:] for name in saved(tmp_path / "run")] == [f"00{count}" for count in saves]
        assert not (tmp_path / "run1").exists()
    assert [outcome.code for outcome in ended(start_workers(flags))] == [0, 0]
    assert_same_run(tmp_path / "run", two_worker_run)


def test_workers_with_other_flags_end_with_one_line_each(small, tmp_path, start_workers):
    outcomes = ended(start_workers(lambda i: small(workdir=tmp_path / "run", learning_rate=0.01 * (i + 1))))
    assert [outcome.code for outcome in outcomes] == [1, 1]
    said = r"worker 1 \(127.0.0.1:\d+\) was refused: it has learning_rate 0.02, but 0.01 in worker 0; start all workers"
    for outcome in outcomes:  # the chief says why, too
        assert re.search(said, outcome.error)
    assert not (tmp_path / "run").exists()
