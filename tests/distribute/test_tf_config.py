"""TF_CONFIG: read as TensorFlow documents it, or refused before anything is written."""

import itertools
import json
import math
import socket

import pytest

from mlp_tf import UserError
from mlp_tf.config import Config
from mlp_tf.distribute import meeting, tf_config

WRONG_ADDRESSES = [
    "", ":", "b:", ":2", "b:0", "b:00", "b:02", "b:65536", "b:99999", "b:-2", "b:+2", "b:2 ", " b:2", "b:2\n", "b\n:2",
    "b:\u0662", "b:\u00b2", "\u00fc:2", "b c:2", "b\0:2", "b\x1b:2", "b..c:2", ".b:2", f"{'b' * 64}:2",
    "b:2:3", "b/c:2", "[::1]:2",
]  # fmt: skip


def words(index, addresses, kind="worker"):
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "it is missing or empty; --strategy=multi_worker needs the addresses of all workers"),
        ("{", "TF_CONFIG={: Input data was truncated"),
        ('{"cluster": {"worker": ["a:1"]}}', "missing required field `task`"),
        ('{"task": {"type": "worker", "index": 0}}', "missing required field `cluster`"),
        (words(2, ["a:1", "b:2"]), "task index is 2, but must be from 0 to 1"),
        (words(-1, ["a:1", "b:2"]), "task index is -1, but must be from 0 to 1"),
        (words("0", ["a:1", "b:2"]), "Expected `int`, got `str` - at `$.task.index`"),
        (words(0, ["a:1", "b:2"], "ps"), "task type is ps, but must be chief or worker"),
        (words(0, ["a:1", "b"]), "address b is not host:port"),
        (words(0, ["a:1", "b:70000"]), "address b:70000 is not host:port"),
        (words(0, ["a:1", "a:1"]), "two workers have the same address"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "worker", "index": 0}}', "unknown field `ps` - at `$.cluster`"),
        ("[]", "Expected `object`, got `array`"),
        ("7", "TF_CONFIG=7: Expected `object`, got `int`"),
        ("NaN", "TF_CONFIG=NaN: JSON is malformed: invalid character (byte 0)"),
        ("[" * 100_000, "Expected `object`, got `array`"),
        ('{"other": ' + "[" * 100_000, "nested too deeply"),
        (words(math.inf, ["a:1", "b:2"]), "JSON is malformed: invalid character"),
        (words(True, ["a:1", "b:2"]), "Expected `int`, got `bool` - at `$.task.index`"),
        (words(1.0, ["a:1", "b:2"]), "Expected `int`, got `float` - at `$.task.index`"),
        (words(None, ["a:1", "b:2"]), "Expected `int`, got `null` - at `$.task.index`"),
        (words([0], ["a:1", "b:2"]), "Expected `int`, got `array` - at `$.task.index`"),
        (words(10**400, ["a:1", "b:2"]), "but must be from 0 to 1"),
        (words(0, ["a:1", "b:2"], ["worker"]), "Expected `str`, got `array` - at `$.task.type`"),
        (words(0, ["a:1", "b:2"], None), "Expected `str`, got `null` - at `$.task.type`"),
        (words(0, ["a:1", "b:2"], "chief"), "task type is chief, but cluster has none"),
        (words(0, []), "task type is worker, but cluster has none"),
        (words(0, "a:1"), "Expected `array`, got `str` - at `$.cluster.worker`"),
        (words(0, {"0": "a:1"}), "Expected `array`, got `object` - at `$.cluster.worker`"),
        (words(0, None), "Expected `array`, got `null` - at `$.cluster.worker`"),
        (words(0, [1, 2]), "Expected `str`, got `int` - at `$.cluster.worker[0]`"),
        (words(0, ["a:1", ["b:2"]]), "Expected `str`, got `array` - at `$.cluster.worker[1]`"),
        ('{"cluster": ["a:1"], "task": {"type": "worker", "index": 0}}', "got `array` - at `$.cluster`"),
        ('{"cluster": {"worker": ["a:1"]}, "task": ["worker", 0]}', "Expected `object`, got `array` - at `$.task`"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"index": 0}}', "missing required field `type` - at `$.task`"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}', "required field `index` - at `$.task`"),
        ('{"cluster": {"chief": "a:1"}, "task": {"type": "chief", "index": 0}}', "got `str` - at `$.cluster.chief`"),
        (
            '{"cluster": {"chief": ["a:1", "b:2"]}, "task": {"type": "chief", "index": 0}}',
            "cluster has 2 chiefs, but may have one",
        ),
        (words(0, ["a:1", "\ud800:2"]), "unexpected end of escaped utf-16 surrogate pair"),
        *((words(0, ["a:1", each]), "is not host:port") for each in WRONG_ADDRESSES),
    ],
    ids=itertools.count(1),
)
def test_a_wrong_tf_config_is_refused_in_one_line_and_no_folder_is_made(
    train, small, tmp_path, monkeypatch, given, message
):
    monkeypatch.setattr(meeting, "TIMEOUT_SECONDS", 1)  # in case that one is accepted
    monkeypatch.setenv("TF_CONFIG", given)
    outcome = train(*small(), "--strategy=multi_worker")
    assert outcome.code == 1
    assert message in outcome.error
    assert len(outcome.error) < 1000
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


def test_several_workers_that_the_strategy_ignores_are_noted(train, small, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", words(0, ["a:1", "b:2"]))
    outcome = train(*small())
    assert outcome.code == 0
    assert "note: TF_CONFIG names 2 workers, but --strategy=default trains alone" in outcome.error
    for other in ["", "{", words(0, ["a:1"])]:
        monkeypatch.setenv("TF_CONFIG", other)
        assert tf_config.unused_note("default") is None
    assert tf_config.unused_note("multi_worker") is None


def test_the_chief_comes_before_worker_0_where_tf_config_has_one(monkeypatch, free_addresses):
    [address] = free_addresses(1)
    own = address.replace("127.0.0.1", "c")
    cluster = {"chief": ["a:1"], "worker": ["b:2", own]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
    task = tf_config.task(Config(strategy="multi_worker"))
    assert (task.index, task.addresses, task.chief) == (2, ("a:1", "b:2", own), False)


def test_values_of_any_depth_are_refused_in_words(monkeypatch):
    for depth in range(900, 1000, 3):
        deep = "[" * depth + "]" * depth
        monkeypatch.setenv("TF_CONFIG", words(0, ["a:1"]).replace('"index": 0', f'"trial": {deep}, "index": {deep}'))
        with pytest.raises(UserError, match=r"(got `array` - at `\$.task.index`|nested too deeply); --strategy"):
            tf_config.task(Config(strategy="multi_worker"))


def test_names_that_only_tensorflow_reads_are_let_pass(monkeypatch, free_addresses):
    mine = free_addresses(2)
    given = json.loads(words(1, mine)) | {"environment": "cloud", "rpc_layer": "grpc", "job": [1]}
    given["task"]["trial"] = ""
    monkeypatch.setenv("TF_CONFIG", json.dumps(given))
    assert tf_config.task(Config(strategy="multi_worker")) == tf_config.Task(1, mine)


@pytest.mark.parametrize("host", ["a", "a.b-c.example", "a.b.", "127.0.0.1", "node_1", "0", "b" * 63])
@pytest.mark.parametrize("port", ["1", "65535"])
def test_an_address_may_be_any_host_and_port(monkeypatch, free_addresses, host, port):
    own = free_addresses(1)[0]
    monkeypatch.setenv("TF_CONFIG", words(0, [own, f"{host}:{port}"]))
    assert tf_config.task(Config(strategy="multi_worker")).address(1) == (host, int(port))
