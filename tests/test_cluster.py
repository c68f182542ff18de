"""Several replicas and several worker processes: the same numbers as one, and what happens when one is lost."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import Outcome, command, slow, small_flags, start
from test_checkpoint import assert_same_run, contents

from mlp_tf import UserError, workers
from mlp_tf.config import Config

# 100 steps over some logical CPUs: the cost of each epoch of ten, and what each replica holds afterwards.
REPLICAS = """
import json, sys
from mlp_tf import data, loop
from mlp_tf.cluster import connect
from mlp_tf.config import Config
from mlp_tf.workers import Seat
settings = {"batch_size": 24, "epochs": 10, "schedule": "linear", "distort": 0.5, "elastic": 0.5, "deskew": True}
config = Config(hidden=(16, 8), **settings, optimizer=sys.argv[2], strategy="mirrored", logical_cpus=int(sys.argv[3]))
train = data.load(sys.argv[1], validation_size=0).train
for cluster in (connect(config, Seat(), lambda: None, print), loop.ALONE):
    state = loop.new_state(config, (64, 16, 8, 3), 100, cluster)
    train_steps = loop.build_train_steps(state, config, train, cluster)
    chunks = loop.fit(state, config, train, loop.Progress(0, 0, 10), train_steps, cluster)
    costs = [p.total / 240 for p in chunks if p.step == 10]
    variables = [*state.variables(), *state.slots().values(), state.step]
    held = [[v.numpy().tolist() for v in cluster.strategy.experimental_local_results(x)] for x in variables]
    print(json.dumps({"costs": costs, "held": held}))
"""


@pytest.mark.parametrize(
    ("optimizer", "replicas"), [slow("adam", 2), slow("adam", 4), slow("rmsprop", 2), slow("sgd", 2), slow("sgd", 4)]
)
def test_several_replicas_have_the_costs_of_one_over_100_steps_and_equal_bits_in_each(npz, optimizer, replicas):
    words = [sys.executable, "-c", REPLICAS, npz, optimizer, str(replicas)]
    lines = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    several, one = map(json.loads, lines)
    assert len(one["costs"]) == 10
    np.testing.assert_allclose(several["costs"], one["costs"], rtol=1e-5)
    for copies, [alone] in zip(several["held"], one["held"], strict=True):
        assert len(copies) == replicas
        assert all(copy == copies[0] for copy in copies)
        np.testing.assert_allclose(copies[0], alone, rtol=1e-3, atol=1e-6)


EPOCHS = 40  # of the runs that are interrupted


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def tf_config(index, addresses, kind="worker"):
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": kind, "index": index}})


def start_workers(flags_of, count=2, module="mlp_tf.train"):
    """Worker processes on this machine, each with its own flags."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    return [
        start(
            module,
            "--strategy=multi_worker",
            *flags_of(index),
            env={**os.environ, "TF_CONFIG": tf_config(index, addresses)},
        )
        for index in range(count)
    ]


def ended(processes, timeout=90):
    return [Outcome(p.returncode, *out) for p, out in [(p, p.communicate(timeout=timeout)) for p in processes]]


def results(folder):
    return json.loads((folder / "results.json").read_text())


def wait_for_steps(folder, process):
    """Until a run has trained an epoch."""
    while not (folder / "metrics.jsonl").exists() or not (folder / "metrics.jsonl").read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def two_workers(npz, tmp_path_factory):
    """The small run by two workers, never interrupted: its folder."""
    folder = tmp_path_factory.mktemp("workers")
    chief, other = ended(start_workers(lambda i: small_flags(npz, folder / f"run{i or ''}", epochs=EPOCHS)))
    assert (chief.code, other.code) == (0, 0), (chief, other)
    assert (other.out, other.err) == ("", "")
    assert not (folder / "run1").exists()
    return folder / "run"


@pytest.mark.slow
def test_two_workers_with_all_the_data_end_as_one_process_does_and_only_the_chief_writes_and_prints(small, tmp_path):
    alone = command("mlp_tf.train", *small(workdir=tmp_path / "alone"))
    chief, other = ended(start_workers(lambda i: [*small(workdir=tmp_path / f"run{i}"), "--replicate_data"]))
    assert (chief.code, other.code) == (0, 0), (chief, other)
    assert (other.out, other.err, chief.err) == ("", "", "")
    without_time = re.compile(r"seconds=\S+|Run: \S+")
    assert without_time.sub("", chief.out) == without_time.sub("", alone.out)
    assert not (tmp_path / "run1").exists()
    one, two = results(tmp_path / "alone"), results(tmp_path / "run0")
    assert two["test_cost"] == pytest.approx(one["test_cost"], rel=1e-5)
    for key in ("test_accuracy", "epochs", "train_examples", "dataset"):
        assert two[key] == one[key]
    # Its checkpoint is a run's like any other: one process goes on with it, and says what differs.
    resumed = command("mlp_tf.train", *small(workdir=tmp_path / "run0", epochs=4))
    assert resumed.code == 0
    assert "resuming, but not bit for bit: replicas was 2, is 1; workers was 2, is 1" in resumed.error


@pytest.mark.slow
def test_two_workers_with_shares_train_as_well_and_their_run_is_refused_to_one(small, two_workers):
    assert results(two_workers)["test_accuracy"] > 0.8
    assert json.loads((two_workers / "config.json").read_text())["data"]["shares"] == 2
    outcome = command("mlp_tf.train", *small(workdir=two_workers, epochs=EPOCHS + 1))
    assert outcome.code == 1
    assert "2 workers share the images of this run, and 1 were started" in outcome.error
    # Evaluated by one process on the whole of the data, it is the same network on the same images.
    evaluated = command("mlp_tf.evaluate", f"--workdir={two_workers}")
    assert f"Cost: {results(two_workers)['test_cost']:.4f}" in evaluated.out
    assert f"Accuracy: {results(two_workers)['test_accuracy']:.4f}" in evaluated.out


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_ends_the_other_within_60_s_and_all_started_again_end_bit_equal(
    small, tmp_path, two_workers, victim
):
    def flags(index):
        return small(workdir=tmp_path / f"run{index or ''}", epochs=EPOCHS)

    processes = start_workers(flags)
    wait_for_steps(tmp_path / "run", processes[0])
    processes[victim].kill()
    killed = time.monotonic()
    outcomes = ended(processes)
    assert time.monotonic() - killed < 60
    assert outcomes[victim].code == -signal.SIGKILL
    other = outcomes[1 - victim]
    assert other.code == 1
    assert re.search(
        rf"worker {victim} \(127.0.0.1:\d+\) ended or cannot be reached any more; start every", other.error
    )
    assert [outcome.code for outcome in ended(start_workers(flags))] == [0, 0]
    assert_same_run(tmp_path / "run", two_workers)


@pytest.mark.slow
@pytest.mark.parametrize("told", [[0], [1], [0, 1]])
def test_a_signal_to_any_worker_stops_all_at_one_step_and_they_resume_bit_equal(small, tmp_path, two_workers, told):
    def flags(index):
        return small(workdir=tmp_path / f"run{index or ''}", epochs=EPOCHS)

    processes = start_workers(flags)
    wait_for_steps(tmp_path / "run", processes[0])
    for index in told:
        processes[index].send_signal(signal.SIGTERM)
    outcomes = ended(processes, timeout=20)
    assert [outcome.code for outcome in outcomes] == [143, 143], outcomes
    for outcome in outcomes:
        assert "stopped and saved; to go on, in every worker: python -m mlp_tf.train" in outcome.error
    # The first save and the last one, and nothing in the folder that another worker was given.
    assert len(list((tmp_path / "run/checkpoints").iterdir())) == 2
    assert not (tmp_path / "run1").exists()
    assert [outcome.code for outcome in ended(start_workers(flags))] == [0, 0]
    assert_same_run(tmp_path / "run", two_workers)


@pytest.mark.slow
def test_workers_with_other_flags_or_addresses_end_with_one_line_each(small, tmp_path):
    outcomes = ended(start_workers(lambda i: small(workdir=tmp_path / "run", learning_rate=0.01 * (i + 1))))
    assert [outcome.code for outcome in outcomes] == [1, 1]
    assert "worker 1 has learning_rate 0.02, but 0.01 in worker 0; start all workers with the same" in outcomes[1].error
    assert "worker 1 (127.0.0.1:" in outcomes[0].error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_sweep_by_two_workers_writes_one_table_and_goes_on_where_it_was(npz, tmp_path):
    def flags(index):
        networks = ["--hidden=8", "--hidden=8,4", f"--dataset={npz}", "--validation_size=40", "--batch_size=10"]
        return [*networks, "--seeds=1", "--epochs=2", f"--workdir={tmp_path / f'sweep{index}'}"]

    for _ in range(2):  # the second finds both networks trained
        chief, other = ended(start_workers(flags, module="mlp_tf.sweep"))
        assert (chief.code, other.code, other.out) == (0, 0, ""), (chief, other)
        assert len((tmp_path / "sweep0/sweep.csv").read_text().splitlines()) == 3
    assert not (tmp_path / "sweep1").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "--strategy=multi_worker needs the addresses of all workers and the number of this one, such as"),
        ("{", "TF_CONFIG={: Expecting property name"),
        ('{"cluster": {"worker": ["a:1"]}}', "'task' is missing"),
        ('{"task": {"type": "worker", "index": 0}}', "'cluster' is missing"),
        (tf_config(2, ["a:1", "b:2"]), "task index is 2, but must be from 0 to 1"),
        (tf_config(-1, ["a:1", "b:2"]), "task index is -1, but must be from 0 to 1"),
        (tf_config("0", ["a:1", "b:2"]), "task index is 0, but must be an integer"),
        (tf_config(0, ["a:1", "b:2"], "ps"), "task type is ps, but must be chief or worker"),
        (tf_config(0, ["a:1", "b"]), "address b is not host:port"),
        (tf_config(0, ["a:1", "b:70000"]), "address b:70000 is not host:port"),
        (tf_config(0, ["a:1", "a:1"]), "two workers have one address"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "worker", "index": 0}}', "cluster has ps, but may have chief"),
        ("[]", "must be an object with cluster and task"),
    ],
)
def test_a_wrong_tf_config_is_refused_in_one_line_and_no_folder_is_made(
    train, small, tmp_path, monkeypatch, words, message
):
    monkeypatch.setenv("TF_CONFIG", words)
    outcome = train(*small(), "--strategy=multi_worker")
    assert outcome.code == 1
    assert message in outcome.error
    assert not (tmp_path / "run").exists()


def test_a_port_that_is_taken_is_refused(train, small, monkeypatch):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("TF_CONFIG", tf_config(0, [f"127.0.0.1:{port}", "127.0.0.1:1"]))
        outcome = train(*small(), "--strategy=multi_worker")
    assert outcome.code == 1
    assert f"port {port} of this worker cannot be used (Address already in use)" in outcome.error


@pytest.mark.slow
def test_a_worker_that_waits_says_for_whom_and_answers_a_signal(small):
    here, there = (f"127.0.0.1:{port}" for port in free_ports(2))
    process = start(
        "mlp_tf.train",
        *small(),
        "--strategy=multi_worker",
        env={**os.environ, "TF_CONFIG": tf_config(0, [here, there])},
    )
    assert process.stderr.readline() == f"WARNING: waiting for worker 1 ({there}), at most 300 s\n"
    process.terminate()
    _, err = process.communicate(timeout=2)
    assert process.returncode == 143
    assert err.startswith("stopped with nothing new to save; to go on")


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_does_not_wait_for_ever(monkeypatch, index):
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(2))
    monkeypatch.setattr(workers, "PATIENCE", 1)
    with pytest.raises(UserError, match=rf"worker {1 - index} \(127.0.0.1:\d+\) did not come within 1 s"):
        workers.meet(workers.Seat(index, addresses), print)


def test_workers_whose_addresses_differ_are_told_both_lists():
    mine = tuple(f"127.0.0.1:{port}" for port in free_ports(3))
    with ThreadPoolExecutor(1) as thread:
        visit = thread.submit(workers.meet, workers.Seat(1, mine[:2]), print)
        with pytest.raises(UserError, match=r"in worker 1, .* in worker 0; give every worker the same addresses"):
            workers.meet(workers.Seat(0, mine), print)
        with pytest.raises(UserError, match="give every worker the same addresses"):
            visit.result(timeout=10)


def test_two_workers_with_one_index_are_told():
    mine = tuple(f"127.0.0.1:{port}" for port in free_ports(3))
    with ThreadPoolExecutor(2) as threads:
        visits = [threads.submit(workers.meet, workers.Seat(1, mine), print) for _ in range(2)]
        with pytest.raises(UserError, match="TF_CONFIG gives two workers the index 1; give each one of its own"):
            workers.meet(workers.Seat(0, mine), print)
        for visit in visits:
            with pytest.raises(UserError, match="gives two workers the index 1"):
                visit.result(timeout=10)


def test_several_workers_need_a_folder_to_start_again_with(train, npz, monkeypatch):
    [port] = free_ports(1)
    monkeypatch.setenv("TF_CONFIG", tf_config(0, [f"127.0.0.1:{port}", "127.0.0.1:1"]))
    outcome = train(f"--dataset={npz}", "--strategy=multi_worker")
    assert outcome.code == 1
    assert "--workdir is missing" in outcome.error


def test_a_stranger_at_the_meeting_and_a_worker_that_has_left_it_are_not_counted():
    mine = tuple(f"127.0.0.1:{port}" for port in free_ports(3))
    address = ("127.0.0.1", int(mine[0].split(":")[1]))
    with ThreadPoolExecutor(3) as threads:
        host = threads.submit(workers.meet, workers.Seat(0, mine), print)
        time.sleep(0.3)
        for greeting in (b"GET / HTTP/1.0\r\n", json.dumps({"index": 1, "addresses": mine}).encode() + b"\n"):
            with socket.create_connection(address) as connection:
                connection.sendall(greeting)
        second = threads.submit(workers.meet, workers.Seat(2, mine), print)
        time.sleep(1)
        assert not host.done()
        assert not second.done()
        threads.submit(workers.meet, workers.Seat(1, mine), print).result(timeout=10)
        host.result(timeout=10)
        second.result(timeout=10)


def test_the_chief_comes_before_worker_0_where_tf_config_has_one(monkeypatch):
    given = {"cluster": {"chief": ["a:1"], "worker": ["b:2", "c:3"]}, "task": {"type": "worker", "index": 1}}
    [port] = free_ports(1)
    given["cluster"]["worker"][1] = f"c:{port}"
    monkeypatch.setenv("TF_CONFIG", json.dumps(given))
    seat = workers.seat(Config(strategy="multi_worker"))
    assert (seat.index, seat.addresses, seat.chief) == (2, ("a:1", "b:2", f"c:{port}"), False)


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
def test_a_mirrored_run_goes_on_as_a_default_one_and_says_what_differs(small, tmp_path):
    first = command("mlp_tf.train", *small(epochs=1), "--strategy=mirrored", "--logical_cpus=2")
    assert (first.code, first.err) == (0, "")
    before = contents(tmp_path / "run")
    again = command("mlp_tf.train", *small(epochs=1))
    assert again.code == 0  # a finished run is finished, whoever asks
    assert first.out.endswith(again.out[again.out.index("Test cost") :])
    assert contents(tmp_path / "run") == before
    outcome = command("mlp_tf.train", *small(epochs=2))
    assert outcome.code == 0
    assert "resuming, but not bit for bit: replicas was 2, is 1" in outcome.error
