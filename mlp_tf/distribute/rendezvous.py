"""The workers' meeting before TensorFlow connects them.

TensorFlow would wait for the last worker without an end, and without answering signals.
"""

import contextlib
import json
import socket
import time

from mlp_tf import UserError

TIMEOUT_SECONDS = 300  # seconds that the workers have to meet
AGAIN = "start every worker again with the same command: the run goes on from its last checkpoint"


def meet(task, report):
    """Returns once all workers are there, at about the same time in each.

    Args:
      task: from `tf_config.task`.
      report: called with a text that tells whom this worker waits for, if it takes long.

    Raises:
      UserError: workers that do not connect, or were given another list of addresses.
    """
    if not task.single:
        (_host if task.chief else _join)(task, report)


def _host(task, report):
    connected = {}  # number of a worker: its connection
    try:
        with socket.create_server(("", task.address(0)[1])) as server:
            server.settimeout(0.2)
            for _ in _waiting(lambda: [worker for worker in task.others if worker not in connected], task, report):
                with contextlib.suppress(TimeoutError):
                    _accept(server.accept()[0], task, connected)
                for worker in [worker for worker, connection in connected.items() if not _is_open(connection)]:
                    del connected[worker]  # it has ended while it waited
                if len(connected) == len(task.others):
                    break
        _answer(connected, "go")
    except UserError as error:
        _answer(connected, str(error))
        raise


def _answer(connected, words):
    for connection in connected.values():
        with contextlib.suppress(OSError):  # lost in this very moment: TensorFlow will tell
            connection.sendall(f"{words}\n".encode())
        connection.close()


def _accept(connection, task, connected):
    """Adds the connection of a worker that has connected, under its number, to those that are there."""
    connection.settimeout(5)
    try:
        theirs = json.loads(connection.makefile().readline())
        index, addresses = int(theirs["index"]), tuple(theirs["addresses"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # not one of ours
    twice = index not in task.others or (index in connected and _is_open(connected[index]))
    connected[-1 if twice else index] = connection  # to be answered too
    if addresses != task.addresses:
        raise UserError(
            f"TF_CONFIG names {', '.join(addresses)} in worker {index}, {', '.join(task.addresses)} in worker 0; give "
            "every worker the same addresses"
        )
    if twice:
        raise UserError(f"TF_CONFIG gives two workers the index {index}; give each one of its own")


def _is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.settimeout(5)


def _join(task, report):
    connection = None  # to worker 0, which waits for the others with us

    def missing():
        return [0] if connection is None else [worker for worker in task.others if worker] or [0]

    for _ in _waiting(missing, task, report):
        try:
            if connection is None:
                connection = socket.create_connection(task.address(0), timeout=1)
                connection.sendall(json.dumps({"index": task.index, "addresses": task.addresses}).encode() + b"\n")
            answer = connection.recv(10_000).decode().strip()
        except TimeoutError:
            continue
        except OSError:
            answer = ""
        if answer == "go":
            return connection.close()
        if answer:
            raise UserError(answer)
        connection = None  # it is not there yet, or not there any more
        time.sleep(0.2)


def _waiting(missing, task, report):
    """Yields for each attempt, until the time is over."""
    begin, said = time.monotonic(), False
    while time.monotonic() - begin < TIMEOUT_SECONDS:
        yield
        if time.monotonic() - begin > 5 and not said:
            said = True
            report(f"waiting for {task.names(missing())}, at most {TIMEOUT_SECONDS} s")
    raise UserError(f"{task.names(missing())} did not connect within {TIMEOUT_SECONDS} s; {AGAIN}")
