"""The workers' meeting: all are there, or each says who is not, whatever strangers send."""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from helpers import end_by_signal, small_flags, start

from mlp_tf import UserError
from mlp_tf.distribute import meeting
from mlp_tf.distribute.meeting import Answer, Challenge, Hello, meet, refusal
from mlp_tf.distribute.tf_config import Task

IGNORED = "ignored a connection from 127.0.0.1 that is not one of the workers"
SETTINGS = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff"  # the first bytes of a gRPC server
LONG = 1000  # seconds: longer than any test


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(meeting, "TIMEOUT_SECONDS", 60)  # so that a test that fails ends
    monkeypatch.setattr(meeting, "REPORT_SECONDS", LONG)
    monkeypatch.setattr(meeting, "POLL_SECONDS", 0.02)


@pytest.fixture
def threads():
    """Runs functions beside the test."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def missing(monkeypatch):
    """The workers that the chief found missing, each time that it looked."""
    found = []
    original = meeting._missing

    def record(task, hellos):
        found.append(original(task, hellos))
        return found[-1]

    monkeypatch.setattr(meeting, "_missing", record)
    return found


def wait_until(condition):
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < 30
        time.sleep(0.005)


def host_and_port(address):
    host, _, port = address.rpartition(":")
    return host, int(port)


def connect(address):
    """A connection to an address, once somebody listens there."""
    for _ in range(1000):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(host_and_port(address), timeout=30)
        time.sleep(0.02)
    raise AssertionError(f"nobody listens at {address}")


def line(message, **changes):
    """The bytes of a message, or of one with other values."""
    return json.dumps(msgspec.to_builtins(message) | changes).encode() + b"\n"


def receive(connection):
    """The chief's next message."""
    with connection.makefile("rb") as file:
        return msgspec.json.decode(file.readline(), type=Challenge | Answer)


def greet(connection, index, addresses):
    """Says what makes the connection count as a worker's."""
    connection.sendall(line(Hello(receive(connection).word, index, addresses)))


def wait_for_end(connection):
    """Reads until the other side closes the connection."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(100_000):
            pass


def finish(addresses, host):
    """Worker 1 meets the chief, who missed only this worker, whatever came before."""
    meet(Task(1, addresses), print)
    host.result(timeout=60)


HELLO = Hello("THE WORD", 1, ("a:1", "b:1"))
GREETINGS = {
    "http": b"GET / HTTP/1.0\r\n\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS + b"\n",
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "not-utf-8": b"\xff\xfe\xfd\n",
    "nothing": b"\n",
    "a-number": b"7\n",
    "null": b"null\n",
    "infinity": line(HELLO, index=float("inf")),
    "1e999": line(HELLO).replace(b": 1", b": 1e999"),
    "deep": b"[" * 60_000 + b"\n",
    "deeper": b"[" * 100_000 + b"\n",
    "deep-within": line(HELLO).replace(b'["a:1"', b"[" * 900),
    "deep-in-another-field": b'{"a": ' + b"[" * 60_000 + b"\n",
    "deep-in-the-tag": b'{"mlp_tf meeting 2": ' + b"[" * 60_000 + b"\n",
    "without-an-end": b"[" * 200_000,
    "long-number": b"9" * 60_000 + b"\n",
    "numbers-as-addresses": line(HELLO, addresses=[1, 2]),
    "objects-as-addresses": line(HELLO, addresses=[{}, {}]),
    "words-as-addresses": line(HELLO, addresses="ab"),
    "a-boolean-as-index": line(HELLO, index=True),
    "a-negative-index": line(HELLO, index=-1),
    "one-field-more": line(HELLO, more=1),
    "another-version": line(HELLO).replace(b"meeting 2", b"meeting 3"),
    "a-guess": line(HELLO, word="0" * 32),
    "the-chiefs-last-message": line(Answer()),
}


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_says_once_for_whom_it_waits_and_gives_up(monkeypatch, free_addresses, index):
    monkeypatch.setattr(meeting, "REPORT_SECONDS", 0)
    monkeypatch.setattr(meeting, "TIMEOUT_SECONDS", 0.2)
    mine, reports = free_addresses(2), []
    other = f"worker {1 - index} ({mine[1 - index]})"
    with pytest.raises(UserError, match=re.escape(f"{other} did not connect within 0.2 s; start every worker again")):
        meet(Task(index, mine), reports.append)
    assert reports == [f"waiting for {other}, at most 0.2 s"]


@pytest.mark.parametrize(
    ("index", "addresses", "workers", "message"),
    [
        (1, 2, 1, r"in worker 1, .* in worker 0; give every worker the same addresses"),
        (1, 3, 2, "TF_CONFIG gives two workers the index 1; give each a different one"),
        (7, 3, 1, "TF_CONFIG gives two workers the index 7; give each a different one"),
    ],
    ids=["other addresses", "one index twice", "an index too high"],
)
def test_workers_that_contradict_the_chief_are_told(free_addresses, threads, index, addresses, workers, message):
    mine = free_addresses(3)
    visits = [threads.submit(meet, Task(index, mine[:addresses]), print) for _ in range(workers)]
    with pytest.raises(UserError, match=message):
        meet(Task(0, mine), print)
    for visit in visits:
        with pytest.raises(UserError, match=message):
            visit.result(timeout=60)


@pytest.mark.parametrize("how", ["leaves", "is reset", "says more"])
def test_a_worker_that_leaves_or_says_more_must_come_again(free_addresses, threads, missing, how):
    mine, reports = free_addresses(3), []
    host = threads.submit(meet, Task(0, mine), reports.append)
    with connect(mine[0]) as connection:
        greet(connection, 1, mine)
        wait_until(lambda: [2] in missing)
        if how == "says more":
            connection.sendall(line(HELLO))
            wait_for_end(connection)
        if how == "is reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: missing[-1] == [1, 2])
    second = threads.submit(meet, Task(2, mine), print)
    finish(mine, host)
    second.result(timeout=60)
    assert reports == []


def test_who_did_not_connect_is_named_to_those_who_did(free_addresses, threads, monkeypatch, missing):
    mine = free_addresses(3)
    host = threads.submit(meet, Task(0, mine), print)
    with connect(mine[0]) as connection:
        greet(connection, 1, mine)
        wait_until(lambda: [2] in missing)
        monkeypatch.setattr(meeting, "TIMEOUT_SECONDS", 0)
        reason = receive(connection).refusal
    assert reason.startswith(f"worker 2 ({mine[2]}) did not connect within 0 s; start every worker again")
    with pytest.raises(UserError, match=re.escape(reason)):
        host.result(timeout=60)


def test_a_chief_that_is_interrupted_leaves_no_connection(monkeypatch, free_addresses, threads, missing):
    def interrupt(text):
        raise KeyboardInterrupt

    mine = free_addresses(3)
    host = threads.submit(meet, Task(0, mine), interrupt)
    with connect(mine[0]) as worker, connect(mine[0]) as stranger:
        greet(worker, 1, mine)
        receive(stranger)
        wait_until(lambda: [2] in missing)
        monkeypatch.setattr(meeting, "REPORT_SECONDS", 0)
        wait_for_end(worker)
        wait_for_end(stranger)
    with pytest.raises(KeyboardInterrupt):
        host.result(timeout=60)


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_a_stranger_is_left_out_said_once_and_a_worker_gets_in(monkeypatch, free_addresses, threads, greeting):
    monkeypatch.setattr(meeting, "PROOF_SECONDS", LONG)  # so a stranger is closed for what it says
    mine, reports = free_addresses(2), []
    host = threads.submit(meet, Task(0, mine), reports.append)
    for _ in range(2):
        with connect(mine[0]) as stranger:
            word = receive(stranger).word.encode()
            with contextlib.suppress(ConnectionError):
                stranger.sendall(greeting.replace(b"THE WORD", word))
            wait_for_end(stranger)
    wait_until(lambda: reports)
    finish(mine, host)
    assert reports == [IGNORED]


def test_a_workers_words_do_not_count_when_they_are_repeated(free_addresses, threads, missing):
    mine = free_addresses(3)
    host = threads.submit(meet, Task(0, mine), print)
    with connect(mine[0]) as worker, connect(mine[0]) as stranger:
        words = line(Hello(receive(worker).word, 1, mine))
        worker.sendall(words)
        wait_until(lambda: [2] in missing)
        stranger.sendall(words)
        wait_for_end(stranger)
    wait_until(lambda: missing[-1] == [1, 2])
    second = threads.submit(meet, Task(2, mine), print)
    finish(mine, host)
    second.result(timeout=60)


def test_silent_strangers_lose_their_places_in_time_and_are_said_once(monkeypatch, free_addresses, threads):
    monkeypatch.setattr(meeting, "PROOF_SECONDS", 0.1)
    mine, reports = free_addresses(2), []
    host = threads.submit(meet, Task(0, mine), reports.append)
    connect(mine[0]).close()
    with connect(mine[0]) as silent, connect(mine[0]) as speaker:
        speaker.sendall(line(HELLO, word=receive(speaker).word)[:-1])  # all but the end of the line
        wait_for_end(silent)
        wait_for_end(speaker)
    wait_until(lambda: reports)
    monkeypatch.setattr(meeting, "PROOF_SECONDS", 5)
    finish(mine, host)
    assert reports == [IGNORED]


def trickle(connection, host):
    """Sends a byte now and then, until the chief closes the connection or has ended."""
    with contextlib.suppress(ConnectionError):
        while not host.done():
            connection.sendall(b"[")
            time.sleep(0.01)


def test_one_byte_now_and_then_keeps_neither_its_place_nor_the_chief(monkeypatch, free_addresses, threads):
    monkeypatch.setattr(meeting, "PROOF_SECONDS", 0.2)
    mine = free_addresses(2)
    begin = time.monotonic()
    host = threads.submit(meet, Task(0, mine), print)
    with connect(mine[0]) as stranger:
        trickle(stranger, host)
    assert time.monotonic() - begin > 0.2
    assert not host.done()
    monkeypatch.setattr(meeting, "PROOF_SECONDS", LONG)
    with connect(mine[0]) as stranger:
        monkeypatch.setattr(meeting, "TIMEOUT_SECONDS", 0)
        trickle(stranger, host)
    with pytest.raises(UserError, match="did not connect within 0 s"):
        host.result(timeout=60)


@pytest.mark.parametrize("greetings", [[b""], GREETINGS.values()], ids=["silent", "of all kinds"])
def test_a_hundred_strangers_at_once_do_not_keep_a_worker_out(monkeypatch, free_addresses, threads, greetings):
    monkeypatch.setattr(meeting, "PROOF_SECONDS", LONG)  # the worker does not wait until they lose their places
    mine = free_addresses(2)
    host = threads.submit(meet, Task(0, mine), print)
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(connect(mine[0])) for _ in range(100)]
        for i, stranger in enumerate(strangers):
            with contextlib.suppress(ConnectionError):
                stranger.sendall([*greetings][i % len(greetings)])
        finish(mine, host)


def test_of_too_many_strangers_the_oldest_makes_room(monkeypatch, free_addresses, threads):
    monkeypatch.setattr(meeting, "STRANGERS", 3)
    monkeypatch.setattr(meeting, "PROOF_SECONDS", LONG)
    mine = free_addresses(2)
    host = threads.submit(meet, Task(0, mine), print)
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(connect(mine[0])) for _ in range(8)]
        for stranger in strangers:
            receive(stranger)
        wait_until(lambda: sum("process_request" in thread.name for thread in threading.enumerate()) == 4)
        for stranger in strangers[:4]:
            wait_for_end(stranger)
        for stranger in strangers[4:]:
            stranger.setblocking(False)
            with pytest.raises(BlockingIOError):
                stranger.recv(1)
        finish(mine, host)


def start_meeting(index, addresses, before):
    """A meeting in a process of its own, which ends at SIGTERM with exit code 143 by a handler of Python's."""
    code = f"""if True:
        import os, resource, signal, threading, time
        from mlp_tf.distribute import meeting
        from mlp_tf.distribute.tf_config import Task
        signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
        {before}
        meeting.meet(Task({index}, {addresses}), print)
    """
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_a_chief_without_free_file_descriptors_lets_a_worker_in(free_addresses):
    mine = free_addresses(2)
    limits = f"meeting.PROOF_SECONDS = {LONG}; resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))"
    chief = start_meeting(0, mine, limits)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connect(mine[0]))
        meet(Task(1, mine), print)
    assert chief.communicate(timeout=60) == (f"{IGNORED}\n", None)
    assert chief.returncode == 0


@pytest.mark.parametrize("index", [0, 1])
def test_a_signal_ends_a_worker_whose_connections_are_silent(free_addresses, index):
    # The system hands the signal to another thread, so it does not interrupt the wait of the main thread.
    another_thread = "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    takes_it = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])"

    def start_waiting():
        mine = free_addresses(2)
        server = stack.enter_context(socket.create_server(host_and_port(mine[1 - index])))
        process = start_meeting(index, mine, f"{another_thread}; {takes_it}")
        stack.enter_context(server.accept()[0] if index else connect(mine[0]))
        time.sleep(0.1)  # so that it waits
        return process

    with contextlib.ExitStack() as stack:
        code, _ = end_by_signal(signal.SIGTERM, 1, start_waiting)
    assert code == 143


@pytest.mark.slow
def test_a_command_that_waits_says_for_whom_and_answers_a_signal(npz, tmp_path, free_addresses):
    code = """if True:
        from mlp_tf import train
        from mlp_tf.cli import command, flags
        from mlp_tf.distribute import meeting
        meeting.REPORT_SECONDS = 0
        command.end(command.run(train.main, train.__doc__, flags.define))
    """
    words = ["-c", code, *small_flags(npz, tmp_path / "run"), "--strategy=multi_worker"]

    def start_waiting():
        mine = free_addresses(2)
        process = start(*words, env=environment(0, mine))
        assert process.stderr.readline() == f"WARNING: waiting for worker 1 ({mine[1]}), at most 300 s\n"
        time.sleep(0.1)  # so that it waits
        return process

    code, err = end_by_signal(signal.SIGTERM, 2, start_waiting)
    assert code == 143
    assert err.startswith("stopped with nothing new to save; to resume")


def environment(index, addresses):
    """The environment of a worker's process."""
    given = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    return {**os.environ, "TF_CONFIG": json.dumps(given)}


@contextlib.contextmanager
def another_program(threads, addresses, greeting):
    """Says the same to worker 1, twice, instead of a chief; yields what the worker comes to, and its reports."""
    reports = []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(host_and_port(addresses[0])))
        server.settimeout(60)
        worker = threads.submit(meet, Task(1, addresses), reports.append)
        for _ in range(2):  # the second time, it has given up the first
            connection, _ = server.accept()
            stack.enter_context(connection)
            with contextlib.suppress(ConnectionError):
                connection.sendall(greeting)
        yield worker, reports


PROGRAMS = {
    **GREETINGS,
    "grpc": SETTINGS,
    "silence": b"",
    "a-number-as-word": line(Challenge(""), word=1),
    "two-messages-at-once": line(Challenge("")) + line(Answer()),
}


@pytest.mark.parametrize("greeting", PROGRAMS.values(), ids=PROGRAMS)
def test_a_worker_waits_until_the_chief_is_at_its_address(monkeypatch, free_addresses, threads, greeting):
    monkeypatch.setattr(meeting, "PROOF_SECONDS", 0.1)
    mine = free_addresses(2)
    with another_program(threads, mine, greeting) as (worker, reports):
        assert not worker.done()
        monkeypatch.setattr(meeting, "PROOF_SECONDS", 5)
    meet(Task(0, mine), reports.append)
    worker.result(timeout=60)
    assert reports == []


def test_what_another_program_says_is_never_shown(monkeypatch, free_addresses, threads):
    mine = free_addresses(2)
    with another_program(threads, mine, b"a password is needed\n") as (worker, _):
        monkeypatch.setattr(meeting, "TIMEOUT_SECONDS", 0)
        with pytest.raises(UserError, match=rf"^worker 0 \({mine[0]}\) did not connect within 0 s; start every worker"):
            worker.result(timeout=60)


@pytest.mark.parametrize(
    ("more", "missing"),
    [(b"", 2), (b"", 0), (b"error: a password is needed\n", 0), (line(Challenge("a")), 0)],
    ids=["the chief waits", "the chief leaves", "another program", "a message out of turn"],
)
def test_a_worker_names_whom_it_waits_for(monkeypatch, free_addresses, threads, more, missing):
    mine = free_addresses(3)
    with socket.create_server(host_and_port(mine[0])) as server:
        worker = threads.submit(meet, Task(1, mine), print)
        connection, _ = server.accept()
    with connection, connection.makefile("rb") as file:
        connection.sendall(line(Challenge("a")))
        assert msgspec.json.decode(file.readline(), type=Hello) == Hello("a", 1, mine)
        connection.sendall(more)
        if not more and not missing:
            connection.shutdown(socket.SHUT_WR)
        if not missing:
            wait_for_end(connection)
        monkeypatch.setattr(meeting, "TIMEOUT_SECONDS", 0)
        with pytest.raises(UserError, match=rf"^worker {missing} \({mine[missing]}\) did not connect within 0 s"):
            worker.result(timeout=60)


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"], ids=["", "a name that only others know"])
def test_the_port_is_free_for_tensorflow_when_a_worker_may_go(free_addresses, threads, host):
    here = free_addresses(1)[0]
    mine = (here.replace("127.0.0.1", host), *(f"127.0.0.1:{port}" for port in range(1, 20)))
    chief = threads.submit(meet, Task(0, mine), print)
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(connect(here)) for _ in mine[1:]]
        for index, worker in enumerate(workers, 1):
            greet(worker, index, mine)
        assert receive(workers[0]) == Answer()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(host_and_port(here), timeout=30)
    chief.result(timeout=60)


def test_a_chief_whose_host_name_is_unknown_is_refused_at_once():
    chief = ".".join(["b" * 63] * 5) + ":1"  # too long for a host name, so no name server is asked
    with pytest.raises(UserError, match=rf"^TF_CONFIG: the host of worker 0 \({chief}\) is unknown .*; correct its"):
        meet(Task(1, (chief, "127.0.0.1:1")), print)


def test_a_port_that_was_taken_since_is_refused(free_addresses):
    mine = free_addresses(2)
    with (
        socket.create_server(host_and_port(mine[0])),
        pytest.raises(UserError, match=r"port \d+ of this worker cannot be used \(Address already in use\)"),
    ):
        meet(Task(0, mine), print)


def refuse(task, error):
    with refusal(task):
        raise error


@pytest.mark.parametrize("error", [UserError("other settings"), OSError("other settings")])
def test_a_refused_chief_tells_the_others_why_and_ends(monkeypatch, free_addresses, threads, error):
    monkeypatch.setattr(meeting, "REFUSAL_SECONDS", LONG)  # it ends once all know
    mine = free_addresses(3)
    refused = threads.submit(refuse, Task(0, mine), error)
    with connect(mine[0]) as stranger:
        stranger.sendall(GREETINGS["infinity"])
        wait_for_end(stranger)
    for visit in [threads.submit(meet, Task(index, mine), print) for index in (1, 2)]:
        with pytest.raises(UserError, match=rf"^worker 0 \({mine[0]}\) was refused: other settings$"):
            visit.result(timeout=60)
    with pytest.raises(type(error), match=r"^other settings$"):
        refused.result(timeout=60)


def test_a_refused_chief_ends_though_nobody_comes(monkeypatch, free_addresses):
    monkeypatch.setattr(meeting, "REFUSAL_SECONDS", 0.1)
    begin = time.monotonic()
    with pytest.raises(UserError, match=r"^other settings$"):
        refuse(Task(0, free_addresses(2)), UserError("other settings"))
    assert 0.1 < time.monotonic() - begin < 10


@pytest.mark.parametrize(
    ("character", "shown"), [("\U0001f600", "\U0001f600"), ("\x01", r"\x01"), ("\udcff", r"\udcff"), ('"', '"')]
)
def test_a_reason_of_any_text_and_length_reaches_the_others(free_addresses, threads, character, shown):
    mine = free_addresses(2)
    visit = threads.submit(meet, Task(1, mine), print)
    with pytest.raises(UserError, match=re.escape(character)):
        refuse(Task(0, mine), UserError(character * 100_000))
    with pytest.raises(UserError) as refused:
        visit.result(timeout=60)
    _, _, reason = str(refused.value).partition(" was refused: ")
    assert len(reason) > 4000
    assert set(reason) == set(shown)


@pytest.mark.parametrize("what", ["another worker", "a single worker", "a taken port", "a bug"])
def test_only_a_chief_that_can_be_met_tells_what_refused_it(monkeypatch, free_addresses, what):
    monkeypatch.setattr(meeting, "REFUSAL_SECONDS", 30)
    mine = free_addresses(2)
    task = {"another worker": Task(1, mine), "a single worker": Task()}.get(what, Task(0, mine))
    error = ZeroDivisionError("other settings") if what == "a bug" else UserError("other settings")
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        if what == "a taken port":
            stack.enter_context(socket.create_server(host_and_port(mine[0])))
        with pytest.raises(type(error), match=r"^other settings$"):
            refuse(task, error)
    assert time.monotonic() - begin < 30


@pytest.mark.slow
def test_why_a_chief_is_refused_reaches_the_other_processes(monkeypatch, train, small, free_addresses):
    monkeypatch.setattr(meeting, "REFUSAL_SECONDS", LONG)
    assert train(*small(epochs=1)).code == 0
    mine = free_addresses(2)
    flags = [*small(epochs=1, learning_rate=0.02), "--strategy=multi_worker"]
    other = start("mlp_tf.train", *flags, env=environment(1, mine))
    monkeypatch.setenv("TF_CONFIG", environment(0, mine)["TF_CONFIG"])
    chief = train(*flags)
    _, err = other.communicate(timeout=60)
    assert (chief.code, other.returncode) == (1, 1)
    assert "--learning_rate=0.02, but 0.01 in the run" in chief.error
    assert err == f"error: worker 0 ({mine[0]}) was refused: {chief.error.removeprefix('error: ')}\n"
