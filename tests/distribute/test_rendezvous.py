"""The workers' meeting: all are there, or each is told who is not."""

import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import start

from mlp_tf import UserError
from mlp_tf.distribute import rendezvous
from mlp_tf.distribute.rendezvous import meet
from mlp_tf.distribute.tf_config import Task


@pytest.mark.slow
def test_a_worker_that_waits_says_for_whom_and_answers_a_signal(small, free_addresses):
    here, there = free_addresses(2)
    given = {"cluster": {"worker": [here, there]}, "task": {"type": "worker", "index": 0}}
    environment = {**os.environ, "TF_CONFIG": json.dumps(given)}
    process = start("mlp_tf.train", *small(), "--strategy=multi_worker", env=environment)
    assert process.stderr.readline() == f"WARNING: waiting for worker 1 ({there}), at most 300 s\n"
    process.terminate()
    _, err = process.communicate(timeout=2)
    assert process.returncode == 143
    assert err.startswith("stopped with nothing new to save; to go on")


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_does_not_wait_for_ever(monkeypatch, free_addresses, index):
    monkeypatch.setattr(rendezvous, "TIMEOUT_SECONDS", 1)
    with pytest.raises(UserError, match=rf"worker {1 - index} \(127.0.0.1:\d+\) did not connect within 1 s"):
        meet(Task(index, free_addresses(2)), print)


def test_workers_whose_addresses_differ_are_told_both_lists(free_addresses):
    mine = free_addresses(3)
    with ThreadPoolExecutor(1) as thread:
        visit = thread.submit(meet, Task(1, mine[:2]), print)
        with pytest.raises(UserError, match=r"in worker 1, .* in worker 0; give every worker the same addresses"):
            meet(Task(0, mine), print)
        with pytest.raises(UserError, match="give every worker the same addresses"):
            visit.result(timeout=10)


def test_two_workers_with_one_index_are_told(free_addresses):
    mine = free_addresses(3)
    with ThreadPoolExecutor(2) as threads:
        visits = [threads.submit(meet, Task(1, mine), print) for _ in range(2)]
        with pytest.raises(UserError, match="TF_CONFIG gives two workers the index 1; give each one of its own"):
            meet(Task(0, mine), print)
        for visit in visits:
            with pytest.raises(UserError, match="gives two workers the index 1"):
                visit.result(timeout=10)


def test_a_stranger_and_a_worker_that_has_left_are_not_counted(free_addresses):
    mine = free_addresses(3)
    address = ("127.0.0.1", int(mine[0].split(":")[1]))
    with ThreadPoolExecutor(3) as threads:
        host = threads.submit(meet, Task(0, mine), print)
        time.sleep(0.3)
        for greeting in (b"GET / HTTP/1.0\r\n", json.dumps({"index": 1, "addresses": mine}).encode() + b"\n"):
            with socket.create_connection(address) as connection:
                connection.sendall(greeting)
        second = threads.submit(meet, Task(2, mine), print)
        time.sleep(1)
        assert not host.done()
        assert not second.done()
        threads.submit(meet, Task(1, mine), print).result(timeout=10)
        host.result(timeout=10)
        second.result(timeout=10)
