"""The workers' meeting before TensorFlow connects them.

TensorFlow would wait for the last worker without an end, and without answering signals. As TensorFlow's own ports, the
meeting belongs in a trusted network; what it withstands is strangers that blunder in.
"""

import contextlib
import ipaddress
import math
import socket
import time

from mlp_tf import UserError
from mlp_tf.distribute import messages, tf_config
from mlp_tf.distribute.connections import Connections
from mlp_tf.distribute.messages import Challenge, Channel, Echo, Go, Hello, Refused

TIMEOUT_SECONDS = 300  # that the workers have to meet
REFUSAL_SECONDS = 10  # that a chief that was refused has to tell the others
AGAIN = "start every worker again with the same command: the run goes on from its last checkpoint"


def meet(task, report):
    """Returns once all workers are there, at about the same time in each.

    Args:
      task: from `tf_config.task`.
      report: called with a text that tells whom this worker waits for, if it takes long; and once if a stranger came.

    Raises:
      UserError: workers that do not connect, or were given another list of addresses or one index twice; a port that
        another process is using; and in the other workers, what the chief was refused for.
    """
    if not task.single:
        (_host if task.chief else _join)(task, report)


@contextlib.contextmanager
def refusal(task):
    """Has a chief tell the other workers what ends it inside, so that they do not wait for it.

    That takes REFUSAL_SECONDS at most.

    Args:
      task: from `tf_config.task`.

    Raises:
      UserError, OSError: what was raised inside.
    """
    try:
        yield
    except (UserError, OSError) as error:
        if task.chief and not task.single:
            with contextlib.suppress(UserError, OSError):  # such as a port that is taken
                _tell(task, f"{task.names([0])} was refused: {error}")
        raise


def _tell(task, reason):
    begin, untold = time.monotonic(), set(task.others)
    with _listen(task) as server, contextlib.closing(Connections(server, lambda text: None)) as connections:
        while untold and time.monotonic() - begin < REFUSAL_SECONDS:
            connections.poll()
            untold -= {worker.hello.index for worker in connections.workers}
            connections.answer(Refused(reason[: messages.REASON_LENGTH]))


def _host(task, report):
    wait = _Wait(task, report)
    with _listen(task) as server, contextlib.closing(Connections(server, report)) as connections:
        try:
            while wait.missing:
                wait.tick()
                connections.poll()
                present = _present(connections, task)
                wait.missing = [worker for worker in task.others if worker not in present]
        except UserError as error:
            connections.answer(Refused(str(error)[: messages.REASON_LENGTH]))
            raise
        server.close()  # first, as who is told to go connects to TensorFlow at this port
        connections.answer(Go(len(task.addresses)))


def _present(connections, task):
    """The numbers of the workers that are there, which were given what the chief was given."""
    present = []
    for index, addresses in [worker.hello for worker in connections.workers]:
        if addresses != task.addresses:
            raise UserError(
                f"TF_CONFIG names {', '.join(addresses)} in worker {index}, {', '.join(task.addresses)} in worker 0; "
                "give every worker the same addresses"
            )
        if index in present or index not in task.others:
            raise UserError(f"TF_CONFIG gives two workers the index {index}; give each one of its own")
        present.append(index)
    return present


def _listen(task):
    return tf_config.listen(_own_host(task), task.address(0)[1])


def _own_host(task):
    """The chief's own address of TF_CONFIG, or "" for all that this machine has, where it cannot be told."""
    try:
        host = socket.gethostbyname(task.address(0)[0])
        with socket.socket() as probe:
            probe.bind((host, 0))
    except OSError:  # a name that only the others know, or the address of what forwards to this machine
        return ""
    # Debian gives a machine's own name the address 127.0.1.1, where other machines cannot connect.
    hosts = {address.rpartition(":")[0] for address in task.addresses}
    return "" if ipaddress.ip_address(host).is_loopback and len(hosts) > 1 else host


def _join(task, report):
    wait, answer = _Wait(task, report), None
    while answer is None:
        wait.missing = [0]
        try:
            with socket.create_connection(task.address(0), timeout=1) as connection:
                answer = _ask(Channel(connection, timeout=0.2), task, wait)
        except OSError:  # the chief is not there yet, or not any more; another program may be, such as its TensorFlow
            wait.tick()
            time.sleep(0.2)
    if isinstance(answer, Refused):
        raise UserError(answer.reason)


def _ask(chief, task, wait):
    """The chief's last message."""
    chief.send(Hello(task.index, task.addresses))
    chief.send(Echo(_next(chief, Challenge, wait, messages.PROOF_SECONDS).challenge))
    wait.missing = [worker for worker in task.others if worker] or [0]
    return _next(chief, Go | Refused, wait, math.inf)


def _next(chief, form, wait, seconds):
    begin = time.monotonic()
    while (message := chief.receive()) is None:
        wait.tick()
        if time.monotonic() - begin > seconds:
            raise TimeoutError
    if not isinstance(message, form):
        raise ConnectionError("not what the chief says")
    return message


class _Wait:
    """How long this worker has waited, and for whom."""

    def __init__(self, task, report):
        self.missing = task.others
        self._task, self._report, self._reported = task, report, False
        self._begin = time.monotonic()

    def tick(self):
        """Says once whom it waits for, if it takes long.

        Raises:
          UserError: the time is over.
        """
        seconds, names = time.monotonic() - self._begin, self._task.names(self.missing)
        if seconds > TIMEOUT_SECONDS:
            raise UserError(f"{names} did not connect within {TIMEOUT_SECONDS} s; {AGAIN}")
        if seconds > 5 and not self._reported:
            self._reported = True
            self._report(f"waiting for {names}, at most {TIMEOUT_SECONDS} s")
