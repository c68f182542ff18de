"""TF_CONFIG: read as TensorFlow documents it, or refused before anything is written."""

import json
import socket

import pytest

from mlp_tf.config import Config
from mlp_tf.distribute import tf_config


def words(index, addresses, kind="worker"):
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "--strategy=multi_worker needs the addresses of all workers and the number of this one, such as"),
        ("{", "TF_CONFIG={: Expecting property name"),
        ('{"cluster": {"worker": ["a:1"]}}', "'task' is missing"),
        ('{"task": {"type": "worker", "index": 0}}', "'cluster' is missing"),
        (words(2, ["a:1", "b:2"]), "task index is 2, but must be from 0 to 1"),
        (words(-1, ["a:1", "b:2"]), "task index is -1, but must be from 0 to 1"),
        (words("0", ["a:1", "b:2"]), "task index is 0, but must be an integer"),
        (words(0, ["a:1", "b:2"], "ps"), "task type is ps, but must be chief or worker"),
        (words(0, ["a:1", "b"]), "address b is not host:port"),
        (words(0, ["a:1", "b:70000"]), "address b:70000 is not host:port"),
        (words(0, ["a:1", "a:1"]), "two workers have one address"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "worker", "index": 0}}', "cluster has ps, but may have chief"),
        ("[]", "must be an object with cluster and task"),
    ],
)
def test_a_wrong_tf_config_is_refused_in_one_line_and_no_folder_is_made(
    train, small, tmp_path, monkeypatch, given, message
):
    monkeypatch.setenv("TF_CONFIG", given)
    outcome = train(*small(), "--strategy=multi_worker")
    assert outcome.code == 1
    assert message in outcome.error
    assert not (tmp_path / "run").exists()


def test_a_port_that_is_taken_is_refused(train, small, monkeypatch):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("TF_CONFIG", words(0, [f"127.0.0.1:{port}", "127.0.0.1:1"]))
        outcome = train(*small(), "--strategy=multi_worker")
    assert outcome.code == 1
    assert f"port {port} of this worker cannot be used (Address already in use)" in outcome.error


def test_several_workers_need_a_folder_to_start_again_with(train, npz, monkeypatch, free_addresses):
    monkeypatch.setenv("TF_CONFIG", words(0, [*free_addresses(1), "127.0.0.1:1"]))
    outcome = train(f"--dataset={npz}", "--strategy=multi_worker")
    assert outcome.code == 1
    assert "--workdir is missing" in outcome.error


def test_the_chief_comes_before_worker_0_where_tf_config_has_one(monkeypatch, free_addresses):
    [address] = free_addresses(1)
    own = address.replace("127.0.0.1", "c")
    cluster = {"chief": ["a:1"], "worker": ["b:2", own]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
    task = tf_config.task(Config(strategy="multi_worker"))
    assert (task.index, task.addresses, task.chief) == (2, ("a:1", "b:2", own), False)
