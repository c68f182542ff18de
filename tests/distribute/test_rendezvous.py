"""The workers' meeting: all are there, or each is told who is not; whatever strangers send."""

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

import pytest
from helpers import start

from mlp_tf import UserError
from mlp_tf.distribute import connections, messages, rendezvous
from mlp_tf.distribute.messages import Challenge, Channel, Echo, Go, Hello
from mlp_tf.distribute.rendezvous import meet, refusal
from mlp_tf.distribute.tf_config import Task

IGNORED = "ignored a connection from 127.0.0.1 that is not one of the workers"
SETTINGS = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff"  # how a server of gRPC begins, in HTTP/2


def a_worker_gets_in(mine, host):
    """Worker 1 meets the chief, whatever came before, and with it all are there."""
    meet(Task(1, mine), print)
    host.result(timeout=10)


@pytest.fixture(autouse=True)
def _a_test_that_fails_ends(monkeypatch):
    monkeypatch.setattr(rendezvous, "TIMEOUT_SECONDS", 20)


@pytest.fixture
def threads():
    """Runs functions beside the test."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


def connect(address):
    """A connection to an address, once there is one."""
    host, _, port = address.rpartition(":")
    for _ in range(100):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((host, int(port)), timeout=10)
        time.sleep(0.02)
    raise AssertionError(f"nobody listens at {address}")


def line(message):
    return json.dumps({"protocol": "mlp_tf meeting 1", "message": message._asdict()}).encode() + b"\n"


def greet(connection, index, addresses):
    """What a worker says until it is counted."""
    channel = Channel(connection, 10)
    channel.send(Hello(index, addresses))
    channel.send(Echo(channel.receive().challenge))
    return channel


def is_closed(connection, seconds):
    """Whether the other side closes the connection within that time, whatever it says before."""
    connection.settimeout(seconds)
    try:
        while connection.recv(1000):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


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
    assert err.startswith("stopped with nothing new to save; to resume")


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_does_not_wait_for_ever(monkeypatch, free_addresses, index):
    monkeypatch.setattr(rendezvous, "TIMEOUT_SECONDS", 1)
    with pytest.raises(UserError, match=rf"worker {1 - index} \(127.0.0.1:\d+\) did not connect within 1 s"):
        meet(Task(index, free_addresses(2)), print)


def test_workers_whose_addresses_differ_are_told_both_lists(free_addresses, threads):
    mine = free_addresses(3)
    visit = threads.submit(meet, Task(1, mine[:2]), print)
    with pytest.raises(UserError, match=r"in worker 1, .* in worker 0; give every worker the same addresses"):
        meet(Task(0, mine), print)
    with pytest.raises(UserError, match="give every worker the same addresses"):
        visit.result(timeout=10)


def test_two_workers_with_one_index_are_told(free_addresses, threads):
    mine = free_addresses(3)
    visits = [threads.submit(meet, Task(1, mine), print) for _ in range(2)]
    with pytest.raises(UserError, match="TF_CONFIG gives two workers the index 1; give each one of its own"):
        meet(Task(0, mine), print)
    for visit in visits:
        with pytest.raises(UserError, match="gives two workers the index 1"):
            visit.result(timeout=10)


def test_a_worker_that_has_left_is_not_counted_and_may_come_again(free_addresses, threads):
    mine, reports = free_addresses(3), []
    host = threads.submit(meet, Task(0, mine), reports.append)
    with connect(mine[0]) as connection:
        greet(connection, 1, mine)
        time.sleep(0.3)
    second = threads.submit(meet, Task(2, mine), print)
    time.sleep(0.5)
    assert not host.done()
    assert not second.done()
    a_worker_gets_in(mine, host)
    second.result(timeout=10)
    assert reports == []


def test_who_did_not_connect_is_named_to_those_who_did(free_addresses, threads, monkeypatch):
    monkeypatch.setattr(rendezvous, "TIMEOUT_SECONDS", 1)
    mine = free_addresses(3)
    host = threads.submit(meet, Task(0, mine), print)
    with connect(mine[0]) as connection:
        reason = greet(connection, 1, mine).receive().reason
    assert reason.startswith(f"worker 2 ({mine[2]}) did not connect within 1 s; start every worker again")
    with pytest.raises(UserError, match=re.escape(reason)):
        host.result(timeout=10)


GREETINGS = {
    "http": b"GET / HTTP/1.0\r\n\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS + b"\n",
    "not-utf-8": b"\xff\xfe\xfd\n",
    "nothing": b"\n",
    "a-number": b"7\n",
    "null": b"null\n",
    "infinity": b'{"protocol": "mlp_tf meeting 1", "message": {"index": Infinity, "addresses": []}}\n',
    "infinity-as-of-0.3": b'{"index": Infinity, "addresses": []}\n',
    "1e999": b'{"protocol": "mlp_tf meeting 1", "message": {"index": 1e999, "addresses": []}}\n',
    "deep": b"[" * 60_000 + b"\n",
    "deeper": b"[" * 100_000 + b"\n",
    "deep-within": b'{"protocol": "mlp_tf meeting 1", "message": ' + b"[" * 900 + b"]" * 900 + b"}\n",
    "long-number": b"9" * 60_000 + b"\n",
    "numbers-as-addresses": line(Hello(1, (1, 2))),
    "objects-as-addresses": line(Hello(1, ({}, {}))),
    "words-as-addresses": line(Hello(1, "ab")),
    "a-boolean-as-index": line(Hello(True, ("a:1", "b:1"))),
    "a-negative-index": line(Hello(-1, ("a:1", "b:1"))),
    "another-version": line(Hello(1, ("a:1", "b:1"))).replace(b"meeting 1", b"meeting 2"),
    "a-chiefs-message": line(Go(2)),
    "an-echo-of-nothing": line(Echo("")),
}


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_a_stranger_is_left_out_said_once_and_a_worker_gets_in(free_addresses, threads, greeting):
    mine, reports = free_addresses(2), []
    host = threads.submit(meet, Task(0, mine), reports.append)
    for _ in range(2):
        with connect(mine[0]) as stranger:
            stranger.sendall(greeting)
            assert is_closed(stranger, 3)
    assert not host.done()
    a_worker_gets_in(mine, host)
    assert reports == [IGNORED]


def test_a_stranger_that_connects_and_leaves_is_said_once(free_addresses, threads):
    mine, reports = free_addresses(2), []
    host = threads.submit(meet, Task(0, mine), reports.append)
    for _ in range(3):
        connect(mine[0]).close()
    a_worker_gets_in(mine, host)
    assert reports == [IGNORED]


@pytest.mark.parametrize("addresses", [None, ("a:1", "b:1")], ids=["its-addresses", "other-addresses"])
@pytest.mark.parametrize(
    "more", [b"", line(Echo("0" * 32)), line(Hello(1, ()))], ids=["silence", "a-guess", "another-hello"]
)
def test_a_hello_without_its_echo_is_not_counted(free_addresses, threads, addresses, more):
    mine = free_addresses(2)
    host = threads.submit(meet, Task(0, mine), print)
    with connect(mine[0]) as one, connect(mine[0]) as two:
        for stranger in (one, two):
            stranger.sendall(line(Hello(1, addresses or mine)))
            assert b'"challenge"' in stranger.recv(1000)
            stranger.sendall(more)
        time.sleep(0.3)
        assert not host.done()
        a_worker_gets_in(mine, host)


def test_a_hello_and_silence_loses_its_place_in_time(monkeypatch, free_addresses, threads):
    monkeypatch.setattr(messages, "PROOF_SECONDS", 0.5)
    mine = free_addresses(2)
    host = threads.submit(meet, Task(0, mine), print)
    with connect(mine[0]) as stranger:
        stranger.sendall(line(Hello(1, mine)))
        assert is_closed(stranger, 2)
    a_worker_gets_in(mine, host)


def test_a_worker_that_is_counted_may_not_go_on_talking(free_addresses, threads):
    mine = free_addresses(3)
    host = threads.submit(meet, Task(0, mine), print)
    for more in (Hello(1, mine), Echo("")):
        with connect(mine[0]) as connection:
            greet(connection, 1, mine).send(more)
            assert is_closed(connection, 3)
    with connect(mine[0]) as connection:
        channel = Channel(connection, 10)
        channel.send(Hello(1, mine))
        echo = Echo(channel.receive().challenge)
        channel.send(echo)
        time.sleep(0.2)
        channel.send(echo)
        assert is_closed(connection, 3)
    second = threads.submit(meet, Task(2, mine), print)
    time.sleep(0.3)
    assert not host.done()
    a_worker_gets_in(mine, host)
    second.result(timeout=10)


def test_one_byte_now_and_then_does_not_keep_the_chief(monkeypatch, free_addresses, threads):
    monkeypatch.setattr(rendezvous, "TIMEOUT_SECONDS", 1.5)
    mine = free_addresses(2)

    def trickle():
        with connect(mine[0]) as stranger, contextlib.suppress(OSError):
            for _ in range(30):
                stranger.sendall(b"[")
                time.sleep(0.3)

    threads.submit(trickle)
    begin = time.monotonic()
    with pytest.raises(UserError, match=r"did not connect within 1.5 s"):
        meet(Task(0, mine), print)
    assert time.monotonic() - begin < 2.5


def test_one_byte_now_and_then_is_closed_once_its_time_is_over(monkeypatch, free_addresses, threads):
    monkeypatch.setattr(messages, "PROOF_SECONDS", 1)
    mine, reports = free_addresses(2), []
    host = threads.submit(meet, Task(0, mine), reports.append)
    begin = time.monotonic()
    with connect(mine[0]) as stranger, contextlib.suppress(ConnectionError):
        while time.monotonic() - begin < 5:
            stranger.sendall(b"[")
            time.sleep(0.1)
    assert 1 < time.monotonic() - begin < 2.5
    a_worker_gets_in(mine, host)
    assert reports == [IGNORED]


def test_bytes_without_an_end_are_cut_off(free_addresses, threads):
    mine, reports = free_addresses(2), []
    host = threads.submit(meet, Task(0, mine), reports.append)
    with connect(mine[0]) as stranger, pytest.raises(ConnectionError):
        stranger.sendall(b"[" * 66_000_000)  # far more than the system keeps for both sides
    a_worker_gets_in(mine, host)
    assert reports == [IGNORED]


def test_a_hundred_silent_connections_do_not_keep_a_worker_out(free_addresses, threads):
    mine = free_addresses(2)
    host = threads.submit(meet, Task(0, mine), print)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(connect(mine[0]))
        begin = time.monotonic()
        a_worker_gets_in(mine, host)
        assert time.monotonic() - begin < 2


def test_of_too_many_strangers_the_oldest_makes_room(monkeypatch, free_addresses, threads):
    monkeypatch.setattr(connections, "STRANGERS", 3)
    mine = free_addresses(2)
    host = threads.submit(meet, Task(0, mine), print)
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(connect(mine[0])) for _ in range(4)]
        assert [is_closed(stranger, 0.5) for stranger in strangers] == [True, False, False, False]
        a_worker_gets_in(mine, host)


def start_meeting(index, addresses, before="", **options):
    """A meeting in a process of its own, which ends at SIGTERM with exit code 143 by a handler of Python's."""
    code = f"""if True:
        import os, resource, signal
        from mlp_tf.distribute.rendezvous import meet
        from mlp_tf.distribute.tf_config import Task
        signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
        {before}
        print("ready", flush=True)
        meet(Task({index}, {addresses}), print)
    """
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, **options)
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_chief_without_free_file_descriptors_lets_a_worker_in(free_addresses):
    mine = free_addresses(2)
    chief = start_meeting(0, mine, "resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))")
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connect(mine[0]))
        begin = time.monotonic()
        meet(Task(1, mine), print)
        assert time.monotonic() - begin < 2
    assert chief.communicate(timeout=10) == (f"{IGNORED}\n", None)
    assert chief.returncode == 0


@pytest.mark.parametrize("index", [0, 1])
def test_a_signal_ends_a_worker_whose_connections_are_silent(free_addresses, index):
    mine = free_addresses(2)
    with contextlib.ExitStack() as stack:
        if index:
            host, _, port = mine[0].rpartition(":")
            stack.enter_context(socket.create_server((host, int(port))))
        worker = start_meeting(index, mine)
        if not index:
            stack.enter_context(connect(mine[0]))
        time.sleep(0.3)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=1) == 143
        worker.stdout.close()


@contextlib.contextmanager
def another_program(threads, address, greeting):
    """Sends whoever connects to an address the same, and waits; yields the connections."""
    host, _, port = address.rpartition(":")
    server, clients = socket.create_server((host, int(port))), []

    def serve():
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            while True:
                clients.append(stack.enter_context(server.accept()[0]))
                clients[-1].sendall(greeting)

    serving = threads.submit(serve)
    try:
        yield clients
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        serving.result(timeout=10)


@pytest.mark.parametrize(
    "greeting",
    [
        SETTINGS,
        SETTINGS + b"\n",
        b"",
        b"error: a password is needed\n",
        b"[" * 60_000 + b"\n",
        b"[" * 200_000,
        b"Infinity\n",
        line(Echo("")),
        line(Go(2)),
    ],
    ids=["http2", "http2-line", "silence", "text", "deep", "endless", "infinity", "echo", "go-unasked"],
)
def test_a_worker_waits_until_the_chief_is_at_its_address(monkeypatch, free_addresses, threads, greeting):
    monkeypatch.setattr(messages, "PROOF_SECONDS", 0.3)
    mine, reports = free_addresses(2), []
    with another_program(threads, mine[0], greeting) as clients:
        worker = threads.submit(meet, Task(1, mine), reports.append)
        begin = time.monotonic()
        while len(clients) < 2 and time.monotonic() - begin < 5:
            time.sleep(0.02)
        assert len(clients) > 1  # it has given up the first
        assert not worker.done()
    meet(Task(0, mine), reports.append)
    worker.result(timeout=10)
    assert reports == []


def test_what_another_program_says_is_never_shown(monkeypatch, free_addresses, threads):
    monkeypatch.setattr(rendezvous, "TIMEOUT_SECONDS", 1)
    mine = free_addresses(2)
    with (
        another_program(threads, mine[0], b"a password is needed\n"),
        pytest.raises(UserError, match=r"^worker 0 \(127.0.0.1:\d+\) did not connect within 1 s; start every worker"),
    ):
        meet(Task(1, mine), print)


def test_what_comes_after_the_challenge_must_be_the_chiefs_too(free_addresses, threads):
    mine = free_addresses(2)
    host, _, port = mine[0].rpartition(":")
    with socket.create_server((host, int(port))) as server:
        worker = threads.submit(meet, Task(1, mine), print)
        connection, _ = server.accept()
        channel = Channel(connection, 10)
        assert channel.receive() == Hello(1, mine)
        channel.send(Challenge("a"))
        assert channel.receive() == Echo("a")
        connection.sendall(b"error: a password is needed\n")
        assert is_closed(connection, 3)
        connection.close()
    meet(Task(0, mine), print)
    worker.result(timeout=10)


@pytest.mark.parametrize(("leaves", "missing"), [(False, 2), (True, 0)])
def test_a_worker_names_whom_it_waits_for(monkeypatch, free_addresses, threads, leaves, missing):
    monkeypatch.setattr(rendezvous, "TIMEOUT_SECONDS", 1)
    mine = free_addresses(3)
    host, _, port = mine[0].rpartition(":")
    with socket.create_server((host, int(port))) as server:
        worker = threads.submit(meet, Task(1, mine), print)
        connection, _ = server.accept()
    with connection:
        channel = Channel(connection, 10)
        channel.receive()
        channel.send(Challenge("a"))
        assert channel.receive() == Echo("a")
        if leaves:
            connection.close()
        with pytest.raises(UserError, match=rf"^worker {missing} \({mine[missing]}\) did not connect within 1 s"):
            worker.result(timeout=10)


def test_the_port_is_free_for_tensorflow_when_a_worker_may_go(free_addresses):
    mine = (*free_addresses(1), *(f"127.0.0.1:{port}" for port in range(1, 60)))
    chief = start_meeting(0, mine)
    with contextlib.ExitStack() as stack:
        first, *_ = [greet(stack.enter_context(connect(mine[0])), index, mine) for index in range(1, 60)]
        assert first.receive() == Go(60)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(first.connection.getpeername(), timeout=3)
    chief.communicate(timeout=10)


def test_a_chief_listens_at_its_own_address_alone(free_addresses, threads):
    mine = free_addresses(2)
    host = threads.submit(meet, Task(0, mine), print)
    with connect(mine[0]), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", int(mine[0].rpartition(":")[2])), timeout=3)
    a_worker_gets_in(mine, host)


@pytest.mark.parametrize(
    "hosts",
    [("no-such-host.invalid", "127.0.0.1"), ("203.0.113.7", "127.0.0.1"), ("127.0.1.1", "127.0.0.1")],
    ids=["a name that only others know", "an address of a router", "a name that is loopback here, as on Debian"],
)
def test_a_chief_that_cannot_tell_its_address_listens_at_all(free_addresses, threads, hosts):
    mine = tuple(address.replace("127.0.0.1", host) for host, address in zip(hosts, free_addresses(2), strict=True))
    host = threads.submit(meet, Task(0, mine), print)
    with connect(mine[0].replace(hosts[0], "127.0.0.2")) as connection:
        assert greet(connection, 1, mine).receive() == Go(2)
    host.result(timeout=10)


def test_a_port_that_was_taken_since_is_refused(free_addresses):
    mine = free_addresses(2)
    with (
        socket.create_server(("127.0.0.1", int(mine[0].rpartition(":")[2]))),
        pytest.raises(UserError, match=r"port \d+ of this worker cannot be used \(Address already in use\)"),
    ):
        meet(Task(0, mine), print)


def refuse(task, error):
    with refusal(task):
        raise error


@pytest.mark.parametrize("error", [UserError("other settings"), OSError("other settings")])
def test_a_refused_chief_tells_the_others_why_and_ends(free_addresses, threads, error):
    mine = free_addresses(3)
    begin = time.monotonic()
    visits = [threads.submit(meet, Task(index, mine), print) for index in (1, 2)]
    with connect_later(threads, mine[0], GREETINGS["infinity"]), pytest.raises(type(error), match=r"^other settings$"):
        refuse(Task(0, mine), error)
    for visit in visits:
        with pytest.raises(UserError, match=rf"^worker 0 \({mine[0]}\) was refused: other settings$"):
            visit.result(timeout=10)
    assert time.monotonic() - begin < 5


@contextlib.contextmanager
def connect_later(threads, address, greeting):
    """A stranger, as soon as somebody listens."""

    def visit():
        with connect(address) as stranger:
            stranger.sendall(greeting)
            return is_closed(stranger, 3)

    visit = threads.submit(visit)
    yield
    assert visit.result(timeout=10)


def test_a_refused_chief_ends_though_nobody_comes(monkeypatch, free_addresses):
    monkeypatch.setattr(rendezvous, "REFUSAL_SECONDS", 0.5)
    begin = time.monotonic()
    with pytest.raises(UserError, match=r"^other settings$"):
        refuse(Task(0, free_addresses(2)), UserError("other settings"))
    assert 0.5 < time.monotonic() - begin < 2


def test_a_reason_of_any_length_reaches_the_others(free_addresses, threads):
    mine = free_addresses(2)
    visit = threads.submit(meet, Task(1, mine), print)
    face = "\U0001f600"  # as long as a character can be in JSON
    with pytest.raises(UserError, match=face):
        refuse(Task(0, mine), UserError(face * 100_000))
    with pytest.raises(UserError, match=f"was refused: {face * 4000}"):
        visit.result(timeout=10)


@pytest.mark.parametrize("what", ["another worker", "a single worker", "a taken port", "a bug"])
def test_only_a_chief_that_can_be_met_tells_what_refused_it(free_addresses, what):
    mine = free_addresses(2)
    task = {"another worker": Task(1, mine), "a single worker": Task()}.get(what, Task(0, mine))
    error = ZeroDivisionError("other settings") if what == "a bug" else UserError("other settings")
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        if what == "a taken port":
            stack.enter_context(socket.create_server(("127.0.0.1", int(mine[0].rpartition(":")[2]))))
        with pytest.raises(type(error), match=r"^other settings$"):
            refuse(task, error)
    assert time.monotonic() - begin < 0.5


@pytest.mark.slow
def test_why_a_chief_is_refused_reaches_the_other_processes(train, small, free_addresses):
    assert train(*small()).code == 0
    mine = free_addresses(2)
    flags = [*small(learning_rate=0.02), "--strategy=multi_worker"]
    given = [json.dumps({"cluster": {"worker": mine}, "task": {"type": "worker", "index": i}}) for i in range(2)]
    processes = [start("mlp_tf.train", *flags, env={**os.environ, "TF_CONFIG": words}) for words in given]
    outcomes = [process.communicate(timeout=20) for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    reason = "--learning_rate=0.02, but 0.01 in the run"
    (_, chief), (_, other) = outcomes
    assert reason in chief
    assert other.startswith(f"error: worker 0 ({mine[0]}) was refused: ")
    assert reason in other
    assert chief.count("\n") == other.count("\n") == 1
